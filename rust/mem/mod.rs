// SPDX-License-Identifier: GPL-2.0

//! Regions: one mappable area each, with pools of interfaces, rings and buffers.

