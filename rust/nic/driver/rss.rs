// SPDX-License-Identifier: GPL-2.0

//! The table by which a NIC spreads what it receives over its queues (`ethtool -X`), kept over a restart of the driver.
//!
//! `ixgbe` fills it anew whenever it opens the device. Without the user's table, the NIC would send flows of the host to the
//! taken queues that the user has kept free of them.

use super::intercept::Hooks;
use crate::{
    bindings,
    prelude::*,
    sys::rtnl::Rtnl, //
};

/// The most entries that a NIC of our families has: the X550's.
const ENTRIES: usize = 512;

/// A user's table.
pub(in crate::nic) struct Rss {
    /// Room for the largest, so that a restart needs no memory.
    entries: KVec<u32>,
    /// How many are in use; none if the user has set no table.
    size: u32,
}

impl Rss {
    /// No table yet; `ENOMEM`.
    pub(in crate::nic) fn new() -> Result<Self> {
        let mut entries = KVec::with_capacity(ENTRIES, GFP_CHARGED)?;
        entries.extend_with(ENTRIES, 0, GFP_CHARGED)?;
        Ok(Self { entries, size: 0 })
    }

    /// Reads the table that the user has set, if any.
    pub(in crate::nic) fn read(&mut self, hooks: &Hooks, _rtnl: &Rtnl) {
        // SAFETY: The device is valid, the RTNL mutex held, and the operations are the driver's own. There is room for as
        // many entries.
        self.size = unsafe {
            bindings::netmap_rss_read(
                hooks.device().as_ptr(),
                hooks.original_ethtool(),
                self.entries.as_mut_ptr(),
                self.entries.len() as u32,
            )
        };
    }

    /// Gives the driver the table back that was read.
    pub(in crate::nic) fn write(&mut self, hooks: &Hooks, rtnl: &Rtnl) {
        if self.size == 0 {
            return;
        }
        // SAFETY: As in `read`, which has filled that many entries.
        let errno = unsafe {
            bindings::netmap_rss_write(
                hooks.device().as_ptr(),
                hooks.original_ethtool(),
                self.entries.as_mut_ptr(),
                self.size,
            )
        };
        if errno != 0 {
            pr_warn!(
                "{}: the restart has undone ethtool -X, as there are not the same queues any more\n",
                hooks.device().label(rtnl)
            );
        }
    }
}
