// SPDX-License-Identifier: GPL-2.0

//! The events of the devices that pipes are on. They come with the RTNL mutex held, and none of these while a port is bound.

use super::{
    super::{
        port::device_name,
        registry, //
    },
    Parent, //
};
use crate::{
    bindings,
    prelude::*,
    sys::{
        netdev::NetDev,
        notifier::{NetdevEvent, NetdevNotifier},
        rtnl::Rtnl, //
    },
};
use core::ptr::NonNull;

fn on_netdev(event: NetdevEvent, dev: *mut bindings::net_device, rtnl: &Rtnl) {
    let Some(dev) = NonNull::new(dev) else {
        return;
    };
    let parent = Parent::Device(dev.as_ptr() as usize);
    match event {
        NetdevEvent::ChangeName => {
            let registry = registry::lock();
            // SAFETY: A notifier is called with a valid device.
            let name = device_name(&unsafe { NetDev::hold(dev) }.name(rtnl));
            registry.pipes(parent).for_each(|pipe| pipe.rename(&name));
        }
        NetdevEvent::Unregister => {
            let mut registry = registry::lock();
            // They are found no more from here on, nor is anything else by this address.
            while let Some(pipe) = registry.first_pipe(parent) {
                pipe.end();
                registry.remove(&pipe.master);
                registry.remove(&pipe.slave);
            }
        }
        NetdevEvent::Up | NetdevEvent::GoingDown | NetdevEvent::Change | NetdevEvent::Features => {}
    }
}

/// The notifier, in place until dropped.
pub(crate) struct Notifier {
    _netdev: NetdevNotifier,
}

impl Notifier {
    /// Registers it.
    pub(crate) fn register() -> Result<Self> {
        Ok(Self {
            _netdev: NetdevNotifier::register(on_netdev)?,
        })
    }
}
