// SPDX-License-Identifier: GPL-2.0

//! A wait queue for poll.

use crate::{
    atomic::{fence, Ordering},
    prelude::*, //
};
use kernel::{bindings, types::Opaque};

/// A `wait_queue_head`.
///
/// Only files sleep here, through `poll`, and each of these files holds a reference to the queue's owner until its
/// release, before which epoll has left the queue. So the queue needs no farewell when it is dropped.
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
                        c"netmap_ring".as_char_ptr(),
                        kernel::static_lock_class!().as_ptr(),
                    )
                }
            }),
        })
    }

    /// Adds the caller of poll to the queue.
    pub fn register(&self, file: *mut bindings::file, table: *mut bindings::poll_table) {
        // SAFETY: The queue outlives the registration, see the type's description; the caller passes what its own
        // poll function was given.
        unsafe { bindings::poll_wait(file, self.head.get(), table) }
    }

    /// Wakes all; returns whether anybody was there. Callable from any context.
    #[inline]
    pub fn wake(&self) -> bool {
        // Pairs with the barrier in `poll_wait`: either we see the sleeper or it sees what we published before.
        fence(Ordering::SeqCst);
        let head = self.head.get();
        // SAFETY: A racy look at the list head, as `waitqueue_active` does.
        let (first, end) = unsafe {
            (
                (&raw const (*head).head.next).read_volatile(),
                (&raw const (*head).head).cast_mut(),
            )
        };
        if first == end {
            return false;
        }
        // SAFETY: The queue is initialised.
        unsafe { bindings::__wake_up(head, bindings::TASK_NORMAL, 0, core::ptr::null_mut()) };
        true
    }
}
