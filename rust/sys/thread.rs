// SPDX-License-Identifier: GPL-2.0

//! A thread of the kernel's that does one thing again and again.

use super::wait::WaitQueue;
use crate::{bindings, prelude::*};
use core::ptr::NonNull;
use kernel::{error::from_err_ptr, ffi::c_void};

/// What a thread does.
pub(crate) trait Pass: Send + Sync {
    /// Does some of it, in process context; false if there is nothing left for now.
    fn pass(&self) -> bool;
}

/// A thread that does a [`Pass`] until there is nothing left, and again when its wait queue is woken. Dropping it ends it, and waits for
/// that.
///
/// # Invariants
///
/// `raw` is a thread that was started with `queue` and with `pass`, of which it has no references of its own.
pub(crate) struct Thread<P: Pass> {
    raw: NonNull<bindings::netmap_thread>,
    _pass: Arc<P>,
    _queue: Arc<WaitQueue>,
}

// SAFETY: The functions for it may be called by any thread, as long as only one stops it, which is dropping it.
unsafe impl<P: Pass> Send for Thread<P> {}
// SAFETY: As above.
unsafe impl<P: Pass> Sync for Thread<P> {}

impl<P: Pass> Thread<P> {
    /// Starts it. `ENOMEM`; `EINTR` if the caller is killed.
    pub(crate) fn start(queue: &Arc<WaitQueue>, pass: Arc<P>, name: &CStr) -> Result<Self> {
        let data = Arc::as_ptr(&pass).cast_mut().cast();
        // SAFETY: Queue and data stay until the thread is stopped, as this value has references to them; the function takes such data.
        let raw = from_err_ptr(unsafe {
            bindings::netmap_thread_start(
                queue.as_ptr().cast(),
                Some(Self::raw_pass),
                data,
                name.as_char_ptr(),
            )
        })?;
        // INVARIANT: As it was just started.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            _pass: pass,
            _queue: queue.clone(),
        })
    }

    /// Has it go on all the time, on this processor, as one of `count` threads. `EINVAL` if there is no such processor, or none beside
    /// as many.
    pub(crate) fn spin(&self, cpu: u32, count: u32) -> Result {
        // SAFETY: By the type's invariant.
        kernel::error::to_result(unsafe {
            bindings::netmap_thread_spin(self.raw.as_ptr(), count, cpu)
        })
    }

    /// The opposite.
    pub(crate) fn rest(&self) {
        // SAFETY: By the type's invariant.
        unsafe { bindings::netmap_thread_spin(self.raw.as_ptr(), 0, 0) };
    }

    /// # Safety
    ///
    /// For the thread to call, with the `data` that it was started with.
    unsafe extern "C" fn raw_pass(data: *mut c_void) -> bool {
        // SAFETY: It is a `P` that the value which started the thread has a reference to.
        unsafe { &*data.cast::<P>() }.pass()
    }
}

impl<P: Pass> Drop for Thread<P> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant, and nobody else stops it. Not by the thread itself: what it does has no reference to this.
        unsafe { bindings::netmap_thread_stop(self.raw.as_ptr()) };
    }
}
