// SPDX-License-Identifier: GPL-2.0

//! Letting frames leave before their queues are given back.

use super::register::Hardware;
use crate::{
    bindings,
    logic::backlog::Backlog,
    sys::{rtnl::Rtnl, sched},
};

/// Waits until nothing is `pending`, which counts the slots that were handed over and have not left, of up to `size` bytes
/// each; not longer than the link may need for them, and not for one that stands still.
pub(super) fn drain(hw: &Hardware, size: u32, pending: impl Fn() -> u32, _rtnl: &Rtnl) {
    let slots = pending();
    if slots == 0 || !hw.dev().carrier() {
        return;
    }
    // SAFETY: The device is valid, and the RTNL mutex is held.
    let speed = unsafe { bindings::netmap_link_speed(hw.dev().as_ptr()) };
    let mut backlog = Backlog::new(slots, size, speed);
    // Looks more often than once in a millisecond: mostly, what is left takes microseconds.
    while !sched::wait_until(1, || pending() == 0) && backlog.goes_on(pending()) {}
}
