// SPDX-License-Identifier: GPL-2.0

//! NAPI: being called when a driver's interrupts are.
//!
//! The poll function of each of the device's NAPI instances is replaced by one that wakes the sleepers and goes on to
//! the driver's own. That one function is all that is remembered: instances come and go with the driver's vectors.

use super::{
    events::Vector,
    table, //
};
use crate::{
    bindings,
    sys::netdev::NetDev, //
};
use kernel::{container_of, ffi::c_int, sync::rcu};

/// A driver's NAPI poll function.
pub(in crate::nic) type Poll = unsafe extern "C" fn(*mut bindings::napi_struct, c_int) -> c_int;

/// What stands in for the driver's. A static, so that it has one address.
pub(in crate::nic) static POLL: Poll = poll;

/// # Safety
///
/// Only for the network core, as the poll function of a device that is in the table.
unsafe extern "C" fn poll(napi: *mut bindings::napi_struct, budget: c_int) -> c_int {
    let original = {
        let rcu = rcu::read_lock();
        // SAFETY: The core passes a valid instance, which belongs to a valid device.
        let dev = unsafe { (*napi).dev };
        let Some(hooks) = table::find(dev, &rcu) else {
            // Hooks leave the table only when no instance calls us any more.
            return 0;
        };
        // The interrupt is off until the driver's poll completes; what comes in until then raises it again.
        // SAFETY: The core passes a valid instance.
        hooks.events().interrupt(&unsafe { Vector::new(napi) });
        hooks.original_poll()
    };
    // SAFETY: The driver's own function with what the core gave us. The hooks may be gone by its return, and are not
    // used any more; this code stays, because softirqs are off until we return.
    unsafe { original(napi, budget) }
}

/// Calls `f` with each NAPI instance of the device.
fn for_each(dev: &NetDev, mut f: impl FnMut(*mut bindings::napi_struct)) {
    let _rcu = rcu::read_lock();
    let dev = dev.as_ptr();
    // SAFETY: The device is valid. Its list of instances may be walked under RCU.
    unsafe {
        let head = &raw mut (*dev).napi_list;
        let mut entry = (&raw const (*head).next).read_volatile();
        while entry != head {
            f(container_of!(entry, bindings::napi_struct, dev_list));
            entry = (&raw const (*entry).next).read_volatile();
        }
    }
}

/// The poll function that the device's instances have, if any and if it is the same in all.
pub(in crate::nic) fn common_poll(dev: &NetDev) -> Option<Poll> {
    let mut common: Option<Poll> = None;
    let mut mixed = false;
    for_each(dev, |napi| {
        // SAFETY: A valid instance.
        let found = unsafe { (&raw const (*napi).poll).read_volatile() };
        mixed |= common.is_some() && address(common) != address(found);
        common = found;
    });
    common.filter(|_| !mixed)
}

/// Replaces `from` by `to` in all instances that have it.
pub(in crate::nic) fn replace_poll(dev: &NetDev, from: Poll, to: Poll) {
    for_each(dev, |napi| {
        // SAFETY: A valid instance; who reads its poll function gets either, whole.
        unsafe {
            let poll = &raw mut (*napi).poll;
            if address(poll.read_volatile()) == address(Some(from)) {
                poll.write_volatile(Some(to));
            }
        }
    });
}

fn address(poll: Option<Poll>) -> usize {
    poll.map_or(0, |poll| poll as *const () as usize)
}

/// Has all instances polled soon.
pub(in crate::nic) fn schedule(dev: &NetDev) {
    for_each(dev, |napi| {
        // SAFETY: A valid instance, as long as the list is walked.
        unsafe { bindings::netmap_napi_schedule(napi) };
    });
}
