// SPDX-License-Identifier: GPL-2.0

//! The tracepoints `netmap:*`, see `trace.h`.
//!
//! A tracepoint that is off is a no-op instruction, which the kernel rewrites into a jump when it is switched on, the
//! same as in C: the static key is tested here, and only then is the function called that `trace.c` makes of it.

use crate::{bindings, logic::name::Text};
use kernel::{jump_label::static_branch_unlikely, prelude::*};

/// Whether a tracepoint is on.
macro_rules! enabled {
    ($name:ident) => {
        // SAFETY: Every tracepoint has such a key.
        unsafe { static_branch_unlikely!(bindings::$name, kernel::bindings::tracepoint, key) }
    };
}

/// A file was bound; `offset` is that of its interface in the region.
pub(crate) fn bind(port: &Text, tx_rings: usize, rx_rings: usize, offset: u64) {
    if enabled!(__tracepoint_bind) {
        let port = port.as_cstr().as_char_ptr();
        // SAFETY: The name ends with NUL.
        unsafe { bindings::rust_do_trace_bind(port, tx_rings as u32, rx_rings as u32, offset) };
    }
}

/// A binding was undone.
pub(crate) fn unbind(port: &Text) {
    if enabled!(__tracepoint_unbind) {
        // SAFETY: The name ends with NUL.
        unsafe { bindings::rust_do_trace_unbind(port.as_cstr().as_char_ptr()) };
    }
}

/// A hardware queue was taken.
pub(crate) fn takeover(dev: &Text, transmit: bool, queue: u16) {
    if enabled!(__tracepoint_takeover) {
        // SAFETY: The name ends with NUL.
        unsafe {
            bindings::rust_do_trace_takeover(dev.as_cstr().as_char_ptr(), transmit, queue.into())
        };
    }
}

/// A hardware queue was given back.
pub(crate) fn release(dev: &Text, transmit: bool, queue: u16) {
    if enabled!(__tracepoint_release) {
        // SAFETY: The name ends with NUL.
        unsafe {
            bindings::rust_do_trace_release(dev.as_cstr().as_char_ptr(), transmit, queue.into())
        };
    }
}

/// A ring was synced.
pub(crate) struct Sync<'a> {
    /// The binding's name.
    pub(crate) port: &'a Text,
    /// Whether it is a transmit ring.
    pub(crate) transmit: bool,
    /// Whether it is a host ring.
    pub(crate) host: bool,
    /// Its number.
    pub(crate) ring: u16,
    /// Flags of the sync.
    pub(crate) flags: u32,
    /// The program's `head`.
    pub(crate) head: u32,
    /// The kernel's cursors afterwards.
    pub(crate) hwcur: u32,
    /// The kernel's cursors afterwards.
    pub(crate) hwtail: u32,
}

/// A ring was synced; `event` is called only if the tracepoint is on.
#[inline(always)]
pub(crate) fn sync<'a>(event: impl FnOnce() -> Sync<'a>) {
    if enabled!(__tracepoint_sync) {
        hit_sync(&event());
    }
}

#[cold]
fn hit_sync(event: &Sync<'_>) {
    // SAFETY: The name ends with NUL.
    unsafe {
        bindings::rust_do_trace_sync(
            event.port.as_cstr().as_char_ptr(),
            event.transmit,
            event.host,
            event.ring.into(),
            event.flags,
            event.head,
            event.hwcur,
            event.hwtail,
        );
    }
}
