// SPDX-License-Identifier: GPL-2.0

//! The scheduler.

use crate::bindings as ours;
use kernel::{
    bindings,
    time::{delay::fsleep, Delta}, //
};

/// Sleeps for a tick, so that others run. The kernel crate has neither `schedule_timeout` nor `yield`.
pub(crate) fn yield_now() {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { bindings::schedule_timeout_uninterruptible(1) };
}

/// Waits for a few cycles, for the other thread of this core to go on.
pub(crate) use kernel::processor::cpu_relax as relax;

/// Sleeps for a tick, unless the task is killed.
pub(crate) fn nap() {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { bindings::schedule_timeout_killable(1) };
}

/// Sleeps for about a millisecond.
pub(crate) fn rest() {
    fsleep(Delta::from_millis(1));
}

/// Whether the current task is being killed. The kernel crate asks for any signal only.
pub(crate) fn killed() -> bool {
    // SAFETY: Callable from any process context.
    unsafe { ours::netmap_killed() }
}

/// Lets others run, if they are to, in the middle of something long; false if the task is being killed. With no lock held.
pub(crate) fn cond_resched() -> bool {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { ours::netmap_cond_resched() }
}

/// Looks at `done` every 50 microseconds until it is true, for `ms` milliseconds at least; says whether it became so.
///
/// It counts sleeps, and not time as `kernel::io::poll::read_poll_timeout` does: where a hypervisor stops the machine for a
/// while, the device and its driver's poll have not had the time that has passed, and a driver would be restarted for it.
pub(crate) fn wait_until(ms: u32, mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..ms * 20 {
        if done() {
            return true;
        }
        fsleep(Delta::from_micros(50));
    }
    done()
}
