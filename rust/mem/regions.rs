// SPDX-License-Identifier: GPL-2.0

//! The table of regions.

use super::region::Region;
use crate::{bindings, logic::pools::Parameters, prelude::*};

/// The identifier of the global region.
const GLOBAL: u16 = 1;

/// The regions there are. Only the global one, so far.
pub(crate) struct Regions {
    global: Option<Entry>,
}

struct Entry {
    region: Arc<Region>,
    /// Bindings whose memory is there.
    users: usize,
}

/// Whether there is a region of this identifier. The global one is made when it is first used.
pub(crate) fn is_region(id: u16) -> bool {
    id == GLOBAL
}

/// The parameters of the module as they are now.
fn parameters() -> Parameters {
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

impl Regions {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { global: None }
    }

    /// The global region, which is made if there is none now.
    pub(crate) fn global(&mut self) -> Result<Arc<Region>> {
        if let Some(entry) = &self.global {
            return Ok(entry.region.clone());
        }
        let region = Region::new(GLOBAL, &parameters())?;
        self.global = Some(Entry {
            region: region.clone(),
            users: 0,
        });
        Ok(region)
    }

    /// The regions, in the order of their identifiers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.global.iter().map(|entry| &entry.region)
    }

    /// One more binding has its memory there.
    pub(crate) fn join(&mut self, region: &Arc<Region>) {
        if let Some(entry) = self.entry(region) {
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
        self.global
            .as_mut()
            .filter(|entry| Arc::ptr_eq(&entry.region, region))
    }

    /// Drops regions in which no binding has memory. No port is left that would use them.
    pub(crate) fn trim(&mut self) {
        if self.global.as_ref().is_some_and(|entry| entry.users == 0) {
            self.global = None;
        }
    }
}
