// SPDX-License-Identifier: GPL-2.0

//! Socket buffers: the packets of the host stack.

use crate::bindings;
use core::ptr::NonNull;

/// A packet of the host stack, owned. Dropping it frees it, from any context.
///
/// # Invariants
///
/// `ptr` is a valid `sk_buff` on no list, and this value owns one reference to it.
#[repr(transparent)]
pub struct Skb {
    ptr: NonNull<bindings::sk_buff>,
}

// SAFETY: A packet belongs to no thread.
unsafe impl Send for Skb {}

impl Skb {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff` on no list, with a reference that the caller gives away.
    pub unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the function's requirement.
        Self { ptr }
    }

    /// The TX queue that the stack chose for it.
    #[inline]
    pub fn queue(&self) -> u16 {
        // SAFETY: The packet is valid.
        unsafe { bindings::netmap_skb_queue(self.as_ptr()) }
    }

    /// Frees the packet as one that reached its destination; dropping it counts as a loss for who watches the stack.
    pub fn consume(self) {
        // SAFETY: The reference is given away.
        unsafe { bindings::netmap_skb_consume(self.into_raw()) };
    }

    /// Gives the packet away.
    pub fn into_raw(self) -> *mut bindings::sk_buff {
        core::mem::ManuallyDrop::new(self).ptr.as_ptr()
    }

    /// The raw packet, valid as long as `self`.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.ptr.as_ptr()
    }
}

impl Drop for Skb {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, by the type's invariant.
        unsafe { bindings::netmap_skb_drop(self.as_ptr()) };
    }
}
