// SPDX-License-Identifier: GPL-2.0

//! Hardware queues of live stock drivers, and the interposition between a driver and the network core.

mod adapter;
mod device;
pub(crate) mod driver;
mod family;
mod takeover;

pub(crate) use {
    adapter::Adapter,
    device::{QueueId, Refusal, TakeoverPolicy, Wanted},
    family::register::Awake, //
};

/// # Safety
///
/// To be called once, when the module is loaded.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe { driver::redirect::init() };
}
