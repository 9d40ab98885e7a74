// SPDX-License-Identifier: GPL-2.0

//! The offloads that put received packets together, off while a receive ring is bound: a program wants them as they came.

use crate::{
    atomic::{AtomicU64, Ordering},
    bindings,
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};

/// In software, in hardware, and the one before both.
const RECEIVE: u64 = 1 << bindings::NETIF_F_GRO_BIT
    | 1 << bindings::NETIF_F_GRO_HW_BIT
    | 1 << bindings::NETIF_F_LRO_BIT;

/// The offloads of a device that were turned off. Under the RTNL mutex.
pub(super) struct Offloads(AtomicU64);

impl Offloads {
    /// None.
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Turns them off. One that the device has always on stays on: what it puts together is cut.
    pub(super) fn off(&self, dev: &NetDev, rtnl: &Rtnl) {
        let wanted = dev.wanted_features(rtnl) & RECEIVE;
        if wanted != 0 {
            self.0.fetch_or(wanted, Ordering::Relaxed);
            dev.set_wanted_features(wanted, 0, rtnl);
        }
    }

    /// Turns those on again that [`Self::off`] turned off, unless the user has done it.
    pub(super) fn restore(&self, dev: &NetDev, rtnl: &Rtnl) {
        let ours = self.0.swap(0, Ordering::Relaxed);
        if ours != 0 {
            dev.set_wanted_features(0, ours, rtnl);
        }
    }

    /// The device's features have changed. What the user turns on is not ours any more, even if it is turned off again.
    pub(super) fn changed(&self, dev: &NetDev, rtnl: &Rtnl) {
        self.0
            .fetch_and(!dev.wanted_features(rtnl), Ordering::Relaxed);
    }
}
