// SPDX-License-Identifier: GPL-2.0

//! Hardware queues of live stock drivers, and standing between a driver and the network core.

mod adapter;
mod ethtool;
pub(crate) mod events;
pub(crate) mod intercept;
mod napi;
mod ops;
mod table;

pub(crate) use adapter::{Adapter, Policy, QueueId, Refusal, Wanted};
