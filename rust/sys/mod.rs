// SPDX-License-Identifier: GPL-2.0

//! Thin safe wrappers over kernel API that the `kernel` crate lacks.

pub(crate) mod netdev;
pub(crate) mod sched;
pub(crate) mod wait;
