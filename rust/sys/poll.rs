// SPDX-License-Identifier: GPL-2.0

//! The poll table: who waits, and for what.
//!
//! `PollTable` of `kernel::sync::poll` registers the caller, but shows neither the events that are asked for nor the
//! function that registers, and both decide here what a poll has to do.

use super::wait::WaitQueue;
use crate::{
    atomic::{AtomicUsize, Ordering},
    prelude::*, //
};
use core::marker::PhantomData;
use kernel::bindings;

/// The address of the function with which `poll` and `select` register; 0 if it is not known.
static TRANSIENT: AtomicUsize = AtomicUsize::new(0);

/// What a poll operation was called with.
pub(crate) struct Poll<'a> {
    file: *mut bindings::file,
    table: *mut bindings::poll_table,
    _life: PhantomData<&'a ()>,
}

impl Poll<'_> {
    /// # Safety
    ///
    /// Both must be what a poll operation was called with, and that call must outlive the value.
    pub(crate) unsafe fn new(file: *mut bindings::file, table: *mut bindings::poll_table) -> Self {
        Self {
            file,
            table,
            _life: PhantomData,
        }
    }

    /// The events that are asked for; all if it is not known.
    #[inline]
    pub(crate) fn events(&self) -> u32 {
        if self.table.is_null() {
            return u32::MAX;
        }
        // SAFETY: The table is valid during the call.
        unsafe { (*self.table)._key }
    }

    /// Whether the caller is `poll` or `select`: they register anew in each call, and need not if something is ready. All
    /// others register once for the life of the file.
    #[inline]
    pub(crate) fn is_transient(&self) -> bool {
        if self.table.is_null() {
            return false;
        }
        // SAFETY: The table is valid during the call.
        match unsafe { (*self.table)._qproc } {
            Some(register) => register as usize == TRANSIENT.load(Ordering::Relaxed),
            None => false,
        }
    }

    /// Lets `queue` wake the caller.
    #[inline]
    pub(crate) fn register(&self, queue: &WaitQueue) {
        queue.register(self.file, self.table);
    }
}

/// Finds out how `poll` and `select` register, which the kernel does not export by name.
pub(crate) fn init() -> Result {
    let mut table = KBox::<bindings::poll_wqueues>::new(pin_init::zeroed(), GFP_KERNEL)?;
    // SAFETY: The function fills in the table; nothing is registered, and so nothing needs to be freed.
    let register = unsafe {
        bindings::poll_initwait(&raw mut *table);
        table.pt._qproc
    };
    TRANSIENT.store(
        register.map_or(0, |register| register as usize),
        Ordering::Relaxed,
    );
    Ok(())
}
