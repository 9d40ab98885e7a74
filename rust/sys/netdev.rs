// SPDX-License-Identifier: GPL-2.0

//! A reference to a network device.

use super::rtnl::Rtnl;
use crate::{abi::IFNAMSIZ, bindings, prelude::*};
use core::ptr::NonNull;
use kernel::{fmt, str::BStr};

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
    pub fn by_name(name: &CStr) -> Result<Self> {
        // SAFETY: A string that ends with a NUL; the namespace is the current task's and so is alive.
        let ptr = unsafe { bindings::netmap_dev_get(name.as_char_ptr()) };
        // INVARIANT: The function returns a counted reference.
        Ok(Self {
            ptr: NonNull::new(ptr).ok_or(ENXIO)?,
        })
    }

    /// Its name, NUL terminated.
    pub fn name(&self, _rtnl: &Rtnl) -> [u8; IFNAMSIZ] {
        let mut name = [0; IFNAMSIZ];
        // SAFETY: The device is valid and is renamed only under the RTNL mutex; both are of this size.
        unsafe {
            name.as_mut_ptr()
                .copy_from_nonoverlapping((&raw const (*self.as_ptr()).name).cast(), IFNAMSIZ);
        }
        name
    }

    /// Its name, to print.
    pub fn label(&self, rtnl: &Rtnl) -> Label {
        Label(self.name(rtnl))
    }

    /// Whether the link is up.
    pub fn carrier(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_carrier(self.as_ptr()) }
    }

    /// How many transmit queues the stack uses now.
    pub fn tx_queues(&self) -> u16 {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_tx_queues(self.as_ptr()) }
    }

    /// How many receive queues the stack uses now.
    pub fn rx_queues(&self) -> u16 {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_rx_queues(self.as_ptr()) }
    }

    /// How many transmit and how many receive queues the stack uses when the interface is up, be it now or not.
    pub fn queues(&self, rtnl: &Rtnl) -> (u16, u16) {
        let now = (self.tx_queues(), self.rx_queues());
        if self.is_running(rtnl) {
            return now;
        }
        // SAFETY: The device is valid, and the RTNL mutex is held.
        match unsafe { bindings::netmap_channels(self.as_ptr()) } {
            0 => now,
            count => (count, count),
        }
    }

    /// Lets the core and the driver work out the device's features again, unless the device is going away.
    pub fn update_features(&self, _rtnl: &Rtnl) {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        unsafe {
            if bindings::netmap_is_present(self.as_ptr()) {
                bindings::netdev_update_features(self.as_ptr());
            }
        }
    }

    /// The features that the user wants, of those that can be turned on and off.
    pub fn wanted_features(&self, _rtnl: &Rtnl) -> u64 {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        unsafe { bindings::netmap_wanted_features(self.as_ptr()) }
    }

    /// Turns features off and on as the user does, unless the device is going away.
    pub fn set_wanted_features(&self, off: u64, on: u64, _rtnl: &Rtnl) {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        unsafe { bindings::netmap_set_wanted_features(self.as_ptr(), off, on) };
    }

    /// Checks that the calling process may bind the device: `EPERM` without `CAP_NET_ADMIN` in the network namespace that
    /// the device is in, unless the module parameter `trust_file` admits all that may open `/dev/netmap`.
    pub fn check_admin(&self, _rtnl: &Rtnl) -> Result {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        if unsafe { bindings::netmap_may_bind(self.as_ptr()) } {
            Ok(())
        } else {
            Err(EPERM)
        }
    }

    /// Why it has no frames as an Ethernet has on its wire, if that is so.
    pub fn not_ethernet(&self, _rtnl: &Rtnl) -> Option<&'static CStr> {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        let reason = unsafe { bindings::netmap_not_ethernet(self.as_ptr()) };
        // SAFETY: The function returns null or a string of its own.
        (!reason.is_null()).then(|| unsafe { CStr::from_char_ptr(reason) })
    }

    /// Whether it is unregistered, or about to be; not if it moves to another namespace.
    pub fn is_leaving(&self, _rtnl: &Rtnl) -> bool {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        unsafe { bindings::netmap_is_leaving(self.as_ptr()) }
    }

    /// Whether the driver has not detached the device, as it does while it is suspended or recovers from an error on the bus.
    pub fn is_attached(&self) -> bool {
        const PRESENT: usize = 1 << bindings::netdev_state_t___LINK_STATE_PRESENT;
        // SAFETY: The device is valid; the state is a word that others change at any time.
        unsafe { (&raw const (*self.as_ptr()).state).read_volatile() & PRESENT != 0 }
    }

    /// Whether the interface is up.
    pub fn is_running(&self, _rtnl: &Rtnl) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_dev_running(self.as_ptr()) }
    }

    /// The longest frame that it sends, with a header and a VLAN tag. Some virtual devices have an MTU without a limit.
    #[inline]
    pub fn longest_frame(&self) -> u32 {
        /// Bytes of header and tag.
        const MORE: u32 = 14 + 4;
        // SAFETY: The device is valid; its MTU is a word that others change at any time.
        let mtu = unsafe { (&raw const (*self.as_ptr()).mtu).read_volatile() };
        mtu.min(u32::from(u16::MAX)) + MORE
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

/// The name of a device, to print.
pub struct Label([u8; IFNAMSIZ]);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.split(|byte| *byte == 0).next().unwrap_or(&[]);
        fmt::Display::fmt(BStr::from_bytes(name), f)
    }
}
