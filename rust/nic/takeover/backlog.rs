// SPDX-License-Identifier: GPL-2.0

//! Waiting for frames to leave before their queues are given back.

use super::queue::TakenQueue;
use crate::{
    bindings,
    logic::backlog::Backlog,
    nic::family::{register::Hardware, Family},
    sys::rtnl::Rtnl, //
};
use kernel::time::{delay::fsleep, Delta, Instant, Monotonic};

/// Waits until nothing is pending in `queues`, whose krings are stopped and whose slots are of up to `size` bytes each; not
/// longer than the link may need for that, and not for one that stands still.
pub(in crate::nic) fn drain<'a, F: Family>(
    hw: &Hardware,
    size: u32,
    queues: impl Iterator<Item = &'a TakenQueue<F>> + Clone,
    _rtnl: &Rtnl,
) {
    let slots = queues.clone().map(TakenQueue::pending).sum();
    if slots == 0 || !hw.dev().carrier() {
        return;
    }
    // SAFETY: The device is valid, and the RTNL mutex is held.
    let speed = unsafe { bindings::netmap_link_speed(hw.dev().as_ptr()) };
    let mut backlog = Backlog::new(slots, size, speed);
    let start = Instant::<Monotonic>::now();
    let mut counted_ms = 0;
    let mut queues = queues.peekable();
    while let Some(first) = queues.peek() {
        // A queue that is empty stays empty, because its kring is stopped.
        if first.pending() == 0 {
            queues.next();
            continue;
        }
        // Reading registers is slow, so all queues are counted at most once in a millisecond. Usually what is left takes
        // microseconds.
        let now_ms = u32::try_from(start.elapsed().as_millis()).unwrap_or(u32::MAX);
        if now_ms != counted_ms {
            counted_ms = now_ms;
            let left = queues.clone().map(TakenQueue::pending).sum();
            if !backlog.goes_on(now_ms, left) {
                return;
            }
        }
        fsleep(Delta::from_micros(50));
    }
}
