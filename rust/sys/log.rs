// SPDX-License-Identifier: GPL-2.0

//! Messages that a program can cause.

use crate::bindings;

/// Lets the kernel's macros print what implements the `Display` of `core` alone, as all of [`crate::logic`] does.
pub(crate) struct Displayed<T>(pub(crate) T);

impl<T: core::fmt::Display> kernel::fmt::Display for Displayed<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a message that a program caused may be printed now: at most a few in five seconds, for all together.
pub(crate) fn allowed() -> bool {
    // SAFETY: Callable from any context.
    unsafe { bindings::netmap_message_allowed() }
}

/// The same for the reasons why a bind was refused, with a limit of their own: messages that other programs cause must not
/// suppress them.
pub(crate) fn refusal_allowed() -> bool {
    // SAFETY: Callable from any context.
    unsafe { bindings::netmap_refusal_allowed() }
}

/// The same for what a bind got, with a limit of its own.
pub(crate) fn bind_allowed() -> bool {
    // SAFETY: Callable from any context.
    unsafe { bindings::netmap_bind_message_allowed() }
}
