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
