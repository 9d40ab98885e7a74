// SPDX-License-Identifier: GPL-2.0

//! The scheduler.

/// Lets somebody else run.
pub(crate) fn yield_now() {
    // SAFETY: Callable from any process context that may sleep.
    unsafe { kernel::bindings::schedule_timeout_uninterruptible(1) };
}
