// SPDX-License-Identifier: GPL-2.0

//! Hardware queues of live stock drivers, and standing between a driver and the network core.

mod adapter;
mod backlog;
mod e1000;
mod e1000e;
mod ethtool;
pub(crate) mod events;
mod family;
mod gate;
mod igb;
pub(crate) mod intercept;
mod ixgbe;
mod line;
mod machine;
mod napi;
mod ops;
mod queue;
mod redirect;
mod register;
mod rings;
mod rss;
mod rx;
mod switch;
mod table;
mod takeover;
mod tx;

pub(crate) use {
    adapter::{Adapter, Policy, QueueId, Refusal, Wanted},
    register::Awake, //
};

/// # Safety
///
/// To be called once, when the module is loaded.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe { redirect::init() };
}
