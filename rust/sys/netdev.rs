// SPDX-License-Identifier: GPL-2.0

//! A reference to a network device.

use crate::{bindings, prelude::*};
use core::ptr::NonNull;

/// A counted reference to a `struct net_device`.
///
/// # Invariants
///
/// `ptr` is valid and carries a reference that this value owns.
pub struct NetDev {
    ptr: NonNull<bindings::net_device>,
}

// SAFETY: A `net_device` may be used from any thread; what needs a lock says so.
unsafe impl Send for NetDev {}
// SAFETY: As above.
unsafe impl Sync for NetDev {}

impl NetDev {
    /// Takes a new reference.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid device during the call.
    pub unsafe fn hold(ptr: NonNull<bindings::net_device>) -> Self {
        // SAFETY: By the function's requirement.
        unsafe { bindings::netmap_dev_hold(ptr.as_ptr()) };
        // INVARIANT: A reference was just taken.
        Self { ptr }
    }

    /// The device of this name in the namespace of the calling process, or `ENXIO`.
    ///
    /// `name` is NUL terminated.
    pub fn by_name(name: &[u8; crate::abi::IFNAMSIZ]) -> Result<Self> {
        // SAFETY: `name` is an array of `IFNAMSIZ` bytes that the caller terminated; the namespace is the current
        // task's and so is alive.
        let ptr = unsafe { bindings::netmap_dev_get(name.as_ptr().cast()) };
        // INVARIANT: The function returns a counted reference.
        Ok(Self {
            ptr: NonNull::new(ptr).ok_or(ENXIO)?,
        })
    }

    /// The raw device, valid as long as `self`.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::net_device {
        self.ptr.as_ptr()
    }
}

impl Clone for NetDev {
    fn clone(&self) -> Self {
        // SAFETY: By the type's invariant.
        unsafe { Self::hold(self.ptr) }
    }
}

impl Drop for NetDev {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, by the type's invariant.
        unsafe { bindings::netmap_dev_put(self.as_ptr()) };
    }
}
