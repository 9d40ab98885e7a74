// SPDX-License-Identifier: GPL-2.0

//! The offloads that change received packets, off while a receive ring is bound: a program wants them as they came.

use crate::{
    atomic::{AtomicU64, Ordering},
    bindings,
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};

/// Those that put packets together: in software, in hardware, and the one before both.
pub(super) const TOGETHER: u64 = 1 << bindings::NETIF_F_GRO_BIT
    | 1 << bindings::NETIF_F_GRO_HW_BIT
    | 1 << bindings::NETIF_F_LRO_BIT;

/// Those of them that no driver turns on while it has an XDP program.
const NOT_WITH_XDP: u64 = 1 << bindings::NETIF_F_GRO_HW_BIT | 1 << bindings::NETIF_F_LRO_BIT;

/// That which takes out the VLAN tag: XDP is not told of it.
pub(super) const TAGS: u64 =
    1 << bindings::NETIF_F_HW_VLAN_CTAG_RX_BIT | 1 << bindings::NETIF_F_HW_VLAN_STAG_RX_BIT;

/// Some offloads of a device, and which of them were turned off. Under the RTNL mutex.
pub(super) struct Offloads {
    which: u64,
    ours: AtomicU64,
}

impl Offloads {
    /// These, none of which is turned off.
    pub(super) fn new(which: u64) -> Self {
        Self {
            which,
            ours: AtomicU64::new(0),
        }
    }

    /// Turns them off. One that the device has always on stays on: what it puts together is cut.
    pub(super) fn off(&self, dev: &NetDev, rtnl: &Rtnl) {
        let wanted = dev.wanted_features(rtnl) & self.which;
        if wanted != 0 {
            self.ours.fetch_or(wanted, Ordering::Relaxed);
            dev.set_wanted_features(wanted, 0, rtnl);
        }
    }

    /// Turns those on again that [`Self::off`] turned off, unless the user has done it.
    pub(super) fn restore(&self, dev: &NetDev, rtnl: &Rtnl) {
        let ours = self.take(rtnl);
        if ours != 0 {
            dev.set_wanted_features(0, ours, rtnl);
        }
    }

    /// [`Self::restore`] of a device with an XDP program: some have to wait until it is gone.
    pub(super) fn restore_beside_xdp(&self, dev: &NetDev, rtnl: &Rtnl) {
        let ours = self.ours.fetch_and(NOT_WITH_XDP, Ordering::Relaxed) & !NOT_WITH_XDP;
        if ours != 0 {
            dev.set_wanted_features(0, ours, rtnl);
        }
    }

    /// Those that [`Self::restore`] would turn on. The caller does it.
    pub(super) fn take(&self, _rtnl: &Rtnl) -> u64 {
        self.ours.swap(0, Ordering::Relaxed)
    }

    /// The device's features have changed. What the user turns on is not ours any more, even if it is turned off again.
    pub(super) fn changed(&self, dev: &NetDev, rtnl: &Rtnl) {
        self.ours
            .fetch_and(!dev.wanted_features(rtnl), Ordering::Relaxed);
    }
}
