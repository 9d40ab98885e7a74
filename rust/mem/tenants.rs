// SPDX-License-Identifier: GPL-2.0

//! Whose ports have their memory in a region.

use crate::{
    atomic::{AtomicBool, Ordering},
    sys::address_space::{AddressSpace, Whose},
};

/// Whose ports have their memory in a region, each of whom can write to all of it.
pub(crate) struct Tenants {
    /// Ports of network devices are among them, or were.
    devices: AtomicBool,
    /// The program of all bindings since the first one; nobody's once there were those of several.
    program: AddressSpace,
}

impl Tenants {
    pub(super) const fn new() -> Self {
        Self {
            devices: AtomicBool::new(false),
            program: AddressSpace::new(),
        }
    }

    /// A port of a network device has its memory there: packets of the host are in it.
    pub(crate) fn add_device(&self) {
        self.devices.store(true, Ordering::Relaxed);
    }

    /// Whether ports of network devices have, or had, their memory there.
    pub(crate) fn has_devices(&self) -> bool {
        self.devices.load(Ordering::Relaxed)
    }

    /// The caller binds something there, while nobody else is bound if it is the `first`.
    pub(super) fn add_program(&self, first: bool) {
        if first {
            self.program.be_ours();
        } else if self.program.whose() != Whose::Ours {
            self.program.be_nobodys();
        }
    }

    /// The program that alone can write there: what addresses in slots are addresses of.
    pub(crate) fn program(&self) -> Whose {
        self.program.whose()
    }
}
