// SPDX-License-Identifier: GPL-2.0

//! The table of regions.

use super::region::Region;
use crate::{
    bindings,
    logic::pools::{next_region, Parameters, PortDemand, GLOBAL_REGION},
    prelude::*,
    sys::net_ns::NetNs, //
};

/// The regions there are: the global one, which is made when it is first used, and those of ports that have one of their own.
pub(crate) struct Regions {
    entries: KVec<Entry>,
    /// The identifier of the private region that was made last.
    last: u16,
}

struct Entry {
    region: Arc<Region>,
    /// Where a private region is known by its identifier.
    net: Option<NetNs>,
    /// Bindings whose memory is there.
    users: usize,
}

/// The parameters of the module for the global region as they are now.
fn global_parameters() -> Parameters {
    // SAFETY: Plain integers; a store through sysfs at this moment makes us see the old or the new value.
    unsafe {
        Parameters {
            if_size: (&raw const bindings::netmap_if_size).read_volatile(),
            if_num: (&raw const bindings::netmap_if_num).read_volatile(),
            ring_size: (&raw const bindings::netmap_ring_size).read_volatile(),
            ring_num: (&raw const bindings::netmap_ring_num).read_volatile(),
            buf_size: (&raw const bindings::netmap_buf_size).read_volatile(),
            buf_num: (&raw const bindings::netmap_buf_num).read_volatile(),
        }
    }
}

/// Those for private regions, which are at least as large.
fn private_parameters() -> Parameters {
    // SAFETY: As above.
    unsafe {
        Parameters {
            if_size: (&raw const bindings::netmap_priv_if_size).read_volatile(),
            if_num: (&raw const bindings::netmap_priv_if_num).read_volatile(),
            ring_size: (&raw const bindings::netmap_priv_ring_size).read_volatile(),
            ring_num: (&raw const bindings::netmap_priv_ring_num).read_volatile(),
            buf_size: (&raw const bindings::netmap_priv_buf_size).read_volatile(),
            buf_num: (&raw const bindings::netmap_priv_buf_num).read_volatile(),
        }
    }
}

impl Regions {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self {
            entries: KVec::new(),
            last: GLOBAL_REGION,
        }
    }

    /// The global region, which is made if there is none now.
    pub(crate) fn global(&mut self) -> Result<Arc<Region>> {
        if let Some(entry) = self.find(GLOBAL_REGION) {
            return Ok(entry.region.clone());
        }
        self.make(GLOBAL_REGION, &global_parameters(), None)
    }

    /// A new region for a port of a network namespace, large enough for it. `EINVAL` if a parameter is impossible; `ENOMEM`.
    pub(crate) fn private(&mut self, port: &PortDemand, net: NetNs) -> Result<Arc<Region>> {
        let id = next_region(self.last, |id| self.find(id).is_some()).ok_or(ENOMEM)?;
        let region = self.make(id, &private_parameters().of_port(port), Some(net))?;
        self.last = id;
        Ok(region)
    }

    /// The region that a request of a process in that namespace names, [`None`] if it names none. `EINVAL` if there is no such
    /// region: those of other namespaces are not known there.
    pub(crate) fn named(&mut self, id: u16, net: NetNs) -> Result<Option<Arc<Region>>> {
        match id {
            0 => Ok(None),
            GLOBAL_REGION => Ok(Some(self.global()?)),
            _ => {
                let entry = self.find(id).filter(|entry| entry.net == Some(net));
                Ok(Some(entry.ok_or(EINVAL)?.region.clone()))
            }
        }
    }

    /// Whether [`Self::named`] finds a region.
    pub(crate) fn knows(&self, id: u16, net: NetNs) -> bool {
        let is_known = |entry: &Entry| entry.net == Some(net);
        id <= GLOBAL_REGION || self.find(id).is_some_and(is_known)
    }

    fn make(
        &mut self,
        id: u16,
        parameters: &Parameters,
        net: Option<NetNs>,
    ) -> Result<Arc<Region>> {
        self.entries.reserve(1, GFP_CHARGED)?;
        let region = Region::new(id, parameters)?;
        let entry = Entry {
            region: region.clone(),
            net,
            users: 0,
        };
        // There is room for it.
        let _ = self.entries.push_within_capacity(entry);
        Ok(region)
    }

    fn find(&self, id: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.region.id() == id)
    }

    /// The regions, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.entries.iter().map(|entry| &entry.region)
    }

    /// One more binding has its memory there, which the caller makes.
    pub(crate) fn join(&mut self, region: &Arc<Region>) {
        if let Some(entry) = self.entry(region) {
            region.tenants().add_program(entry.users == 0);
            entry.users += 1;
        }
    }

    /// One less.
    pub(crate) fn leave(&mut self, region: &Arc<Region>) {
        if let Some(entry) = self.entry(region) {
            entry.users = entry.users.saturating_sub(1);
        }
    }

    fn entry(&mut self, region: &Arc<Region>) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|entry| Arc::ptr_eq(&entry.region, region))
    }

    /// Drops regions in which no binding has memory, and of which no port is that `is_kept` knows.
    pub(crate) fn trim(&mut self, is_kept: impl Fn(&Arc<Region>) -> bool) {
        self.entries
            .retain(|entry| entry.users != 0 || is_kept(&entry.region));
    }
}
