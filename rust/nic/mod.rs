// SPDX-License-Identifier: GPL-2.0

//! Hardware queues of live stock drivers, and standing between a driver and the network core.

mod ethtool;
pub(crate) mod events;
pub(crate) mod intercept;
mod napi;
mod ops;
mod table;
