// SPDX-License-Identifier: GPL-2.0

//! The scheduler.

use crate::bindings as ours;
use kernel::bindings;

/// Lets somebody else run.
pub(crate) fn yield_now() {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { bindings::schedule_timeout_uninterruptible(1) };
}

/// Sleeps for a tick, unless the task is killed.
pub(crate) fn nap() {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { bindings::schedule_timeout_killable(1) };
}

/// Waits for a few cycles, for the other thread of this core to go on.
#[inline]
pub(crate) fn relax() {
    core::hint::spin_loop();
}

/// Whether the current task is being killed.
pub(crate) fn killed() -> bool {
    // SAFETY: Callable from any process context.
    unsafe { ours::netmap_killed() }
}

/// Sleeps for `us` microseconds or a little longer.
pub(crate) fn sleep_us(us: usize) {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { crate::bindings::netmap_sleep_us(us) };
}

/// Looks at `done` every 50 microseconds until it is true, for `ms` milliseconds at least; says whether it became so.
pub(crate) fn wait_until(ms: u32, mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..ms * 20 {
        if done() {
            return true;
        }
        sleep_us(50);
    }
    done()
}
