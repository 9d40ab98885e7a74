// SPDX-License-Identifier: GPL-2.0

//! A wait queue for poll.

use crate::{
    atomic::{fence, Ordering},
    prelude::*, //
};
use kernel::{bindings, types::Opaque};

/// A `wait_queue_head`.
///
/// Only callers of `poll` on one open file sleep here. The file owns the queue until its release, and by then epoll, aio and
/// io_uring have left it. So dropping it needs no `wake_up_pollfree` and no RCU grace period, which `PollCondVar` of
/// `kernel::sync::poll` would make each close of a file wait for. Nor does that say whether anybody sleeps, which spares
/// the interrupt of a NIC the lock of the queue.
#[pin_data]
pub struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A `wait_queue_head` carries its own lock.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// An empty queue.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(|head| {
                // SAFETY: `head` is valid for writes and pinned from now on; the lock class is static.
                unsafe {
                    bindings::__init_waitqueue_head(
                        head,
                        c"netmap_file".as_char_ptr(),
                        kernel::static_lock_class!().as_ptr(),
                    )
                }
            }),
        })
    }

    /// The queue itself, there as long as `self`.
    pub(super) fn as_ptr(&self) -> *mut bindings::wait_queue_head {
        self.head.get()
    }

    /// Adds the caller of poll to the queue.
    pub fn register(&self, file: *mut bindings::file, table: *mut bindings::poll_table) {
        // SAFETY: The queue outlives the registration, see the type's description; the caller passes what its own
        // poll function was given.
        unsafe { bindings::poll_wait(file, self.head.get(), table) }
    }

    /// Whether anybody sleeps here. Without a call of [`published`] before it, it may miss a sleeper.
    #[inline]
    pub fn has_sleepers(&self) -> bool {
        let head = self.head.get();
        // SAFETY: A racy look at the list head, as `waitqueue_active` does.
        let (first, end) = unsafe {
            (
                (&raw const (*head).head.next).read_volatile(),
                (&raw const (*head).head).cast_mut(),
            )
        };
        first != end
    }

    /// Wakes all sleepers, which poll again. Callable from any context.
    pub fn wake(&self) {
        // No events are named: io_uring and aio would take them for what is ready, and not call poll again, which syncs.
        let key = core::ptr::null_mut();
        // SAFETY: The queue is initialised.
        unsafe { bindings::__wake_up(self.head.get(), bindings::TASK_NORMAL, 0, key) };
    }
}

/// To be called between a change that sleepers may wait for and [`WaitQueue::has_sleepers`].
///
/// Pairs with the barrier in `poll_wait`: either we see the sleeper, or it sees what was published before.
#[inline]
pub fn published() {
    fence(Ordering::SeqCst);
}
