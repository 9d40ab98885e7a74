// SPDX-License-Identifier: GPL-2.0

//! Work that is left to a thread of the kernel's.

use crate::{bindings, prelude::*};
use kernel::types::Opaque;

/// What there is to do.
pub(crate) trait Job: Send + Sync {
    /// Does it, in process context.
    fn run(&self);
}

/// A job that can be asked for from any context, and is done soon after; once, however often it was asked for before it begins.
///
/// The work items of the kernel crate own what they work on, and cannot be waited for: the module could be unloaded under one.
/// Dropping this one waits for the job.
///
/// # Invariants
///
/// `raw` is initialised, with a function that takes it for the first field of this type.
#[pin_data(PinnedDrop)]
#[repr(C)]
pub(crate) struct Work<J: Job> {
    #[pin]
    raw: Opaque<bindings::work_struct>,
    job: J,
}

// SAFETY: The kernel's functions for work may be called by any thread.
unsafe impl<J: Job> Send for Work<J> {}
// SAFETY: As above, and the job can be shared.
unsafe impl<J: Job> Sync for Work<J> {}

impl<J: Job> Work<J> {
    /// Nothing is asked for yet. `ENOMEM`.
    pub(crate) fn new(job: J) -> Result<Arc<Self>> {
        // INVARIANT: The function is for this type.
        Arc::pin_init(
            pin_init!(Self {
                raw <- Opaque::ffi_init(|raw| {
                    // SAFETY: It is valid for writes, and pinned from now on.
                    unsafe { bindings::netmap_work_init(raw, Some(Self::raw)) }
                }),
                job,
            }),
            GFP_CHARGED,
        )
    }

    /// Has the job done soon. It may be under way already: then it is done once more.
    pub(crate) fn ask(&self) {
        // SAFETY: Initialised, by the type's invariant; dropping it waits for the job.
        unsafe { bindings::netmap_work_ask(self.raw.get()) };
    }

    /// When it returns, the job is not under way, and will not be done unless it is asked for again. In process context, with no
    /// lock held that the job waits for.
    pub(crate) fn cancel(&self) {
        // SAFETY: Initialised, by the type's invariant.
        unsafe { bindings::netmap_work_cancel(self.raw.get()) };
    }

    /// # Safety
    ///
    /// For the kernel to call, with a `raw` that [`Self::new`] has initialised.
    unsafe extern "C" fn raw(raw: *mut bindings::work_struct) {
        // SAFETY: It is the first field of one of these, which is not dropped before this returns.
        let this = unsafe { &*raw.cast::<Self>() };
        this.job.run();
    }
}

#[pinned_drop]
impl<J: Job> PinnedDrop for Work<J> {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}
