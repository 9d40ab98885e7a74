// SPDX-License-Identifier: GPL-2.0

//! Which ports and regions there are.
//!
//! The registry's mutex is held while ports come and go, and while anything is bound or unbound. Outside of it is the
//! RTNL mutex, see the lock order in the crate's description.

use super::{
    kind::{Kind, Steps},
    pipe::{self, Parent, Pipe},
    port::Port, //
};
use crate::{
    logic::name::{Pipe as PipeName, PipeEnd, Text},
    mem::{Region, Regions},
    prelude::*,
    sys::{net_ns::NetNs, netdev::NetDev}, //
};
use kernel::sync::{global_lock, GlobalGuard};

/// The ports in netmap mode, and the regions of their rings.
pub(crate) struct Registry {
    ports: KVec<Arc<dyn Kind>>,
    pub(super) regions: Regions,
}

global_lock! {
    // SAFETY: Initialised in `init` before anything else runs.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry {
        ports: KVec::new(),
        regions: Regions::new(),
    };
}

/// # Safety
///
/// To be called once, when the module is loaded.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe { REGISTRY.init() };
}

/// The registry, locked.
pub(crate) fn lock() -> RegistryGuard {
    REGISTRY.lock()
}

/// See [`lock`].
pub(crate) type RegistryGuard = GlobalGuard<REGISTRY>;

impl Registry {
    /// The ports in netmap mode.
    pub(crate) fn ports(&self) -> &[Arc<dyn Kind>] {
        &self.ports
    }

    /// The regions in use.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &Arc<Region>> {
        self.regions.iter()
    }

    /// The port of a device.
    pub(super) fn find(&self, dev: &NetDev) -> Option<Arc<dyn Kind>> {
        let is_of = |kind: &&Arc<dyn Kind>| {
            kind.device()
                .is_some_and(|device| device.as_ptr() == dev.as_ptr())
        };
        self.ports.iter().find(is_of).cloned()
    }

    /// Whether a program has the port of a device bound, or a pipe on it.
    pub(super) fn is_used(&self, dev: &NetDev) -> bool {
        let bound = self.find(dev).is_some_and(|kind| !kind.port().is_dead());
        bound || self.first_pipe(Parent::device(dev)).is_some()
    }

    /// The port of this name in a network namespace that is no device's.
    pub(super) fn find_named(&self, name: &Text, net: NetNs) -> Option<Arc<dyn Kind>> {
        self.ports
            .iter()
            .find(|kind| kind.is_named(name, net))
            .cloned()
    }

    /// The pipes on `parent` of which an end is bound, each of them once for such an end.
    pub(super) fn pipes(&self, parent: Parent) -> impl Iterator<Item = &Arc<Pipe>> {
        self.ports
            .iter()
            .filter_map(|kind| kind.pipe())
            .filter(move |pipe| pipe.parent() == parent)
    }

    /// Whether there is a pipe of this name, of which either end is bound.
    pub(super) fn has_pipe(&self, parent: Parent, id: &Text) -> bool {
        self.pipes(parent).any(|pipe| pipe.is(parent, id))
    }

    /// One of these.
    pub(super) fn first_pipe(&self, parent: Parent) -> Option<Arc<Pipe>> {
        self.pipes(parent).next().cloned()
    }

    /// Their region.
    pub(super) fn pipes_region(&self, parent: Parent) -> Option<Arc<Region>> {
        let pipe = self.first_pipe(parent)?;
        Some(pipe.port(PipeEnd::Master).region().clone())
    }

    /// The end of this name of a pipe on `parent`, if the pipe is there. If the end is not bound it is entered.
    pub(super) fn find_end(
        &mut self,
        parent: Parent,
        name: &PipeName,
    ) -> Result<Option<Arc<dyn Kind>>> {
        let pipe = self.pipes(parent).find(|pipe| pipe.is(parent, &name.id));
        let Some(pipe) = pipe.cloned() else {
            return Ok(None);
        };
        let port = pipe.port(name.end);
        let is_end = |kind: &&Arc<dyn Kind>| Arc::ptr_eq(kind.port(), port);
        if let Some(kind) = self.ports.iter().find(is_end) {
            return Ok(Some(kind.clone()));
        }
        let kind = pipe::end_of(&pipe, name.end)?;
        self.insert(kind.clone())?;
        Ok(Some(kind))
    }

    /// Makes room for a port.
    pub(super) fn reserve(&mut self) -> Result {
        Ok(self.ports.reserve(1, GFP_CHARGED)?)
    }

    /// Enters a port.
    pub(super) fn insert(&mut self, kind: Arc<dyn Kind>) -> Result {
        if let Steps::Device(_) = kind.steps() {
            kind.port().region().tenants().add_device();
        }
        Ok(self.ports.push(kind, GFP_CHARGED)?)
    }

    /// Forgets a port that has no bindings left or whose device is gone.
    pub(super) fn remove(&mut self, port: &Arc<Port>) {
        self.ports.retain(|other| !Arc::ptr_eq(other.port(), port));
        self.trim();
    }

    /// Drops regions that no binding and no port uses.
    pub(super) fn trim(&mut self) {
        let ports = &self.ports;
        self.regions.trim(|region| {
            ports
                .iter()
                .any(|kind| Arc::ptr_eq(kind.port().region(), region))
        });
    }
}
