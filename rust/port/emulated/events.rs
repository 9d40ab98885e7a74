// SPDX-License-Identifier: GPL-2.0

//! The events of the devices of emulated ports.
//!
//! Each comes with the RTNL mutex held, and some while a port is bound, whose mutexes are held then: so ports are found by a table
//! of its own, and only a device that goes away takes the registry's mutex.

use super::{
    super::{port::device_name, registry},
    xdp,
    Emulated, //
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
use kernel::sync::global_lock;

/// A port and its device.
struct Entry {
    dev: NetDev,
    port: Arc<Emulated>,
}

global_lock! {
    // SAFETY: Initialised in `Notifier::register` before anything else runs.
    unsafe(uninit) static ENTRIES: Mutex<KVec<Entry>> = KVec::new();
}

/// The port of `dev` hears of its events from now on, until [`leave`].
pub(super) fn enter(dev: &NetDev, port: &Arc<Emulated>, _rtnl: &Rtnl) -> Result {
    let entry = Entry {
        dev: dev.clone(),
        port: port.clone(),
    };
    Ok(ENTRIES.lock().push(entry, GFP_CHARGED)?)
}

/// The opposite of [`enter`], if that was called.
pub(super) fn leave(port: &Emulated, _rtnl: &Rtnl) {
    let mut entries = ENTRIES.lock();
    entries.retain(|entry| !core::ptr::eq(&*entry.port, port));
}

fn find(dev: *mut bindings::net_device) -> Option<(NetDev, Arc<Emulated>)> {
    let entries = ENTRIES.lock();
    let entry = entries.iter().find(|entry| entry.dev.as_ptr() == dev)?;
    Some((entry.dev.clone(), entry.port.clone()))
}

fn on_netdev(event: NetdevEvent, dev: *mut bindings::net_device, rtnl: &Rtnl) {
    let Some((dev, emulated)) = find(dev) else {
        return;
    };
    match event {
        NetdevEvent::Up | NetdevEvent::Change => {
            // What waits for the carrier can be sent now, if there is one.
            emulated.transmit.iter().for_each(|queue| queue.ask());
            emulated.port.own_krings().for_each(|kring| kring.wake());
        }
        NetdevEvent::GoingDown => emulated.port.own_krings().for_each(|kring| kring.wake()),
        NetdevEvent::ChangeName => emulated.port.rename(device_name(&dev.name(rtnl))),
        NetdevEvent::Features => {
            emulated.offloads.changed(&dev, rtnl);
            emulated.tags.changed(&dev, rtnl);
        }
        NetdevEvent::Unregister => {
            let mut registry = registry::lock();
            emulated.end(rtnl);
            registry.remove(&emulated.port);
        }
    }
}

/// The notifier, in place until dropped.
pub(crate) struct Notifier {
    _netdev: NetdevNotifier,
}

impl Notifier {
    /// Registers it.
    ///
    /// # Safety
    ///
    /// To be called once, when the module is loaded.
    pub(crate) unsafe fn register() -> Result<Self> {
        // SAFETY: By the function's requirement.
        unsafe { ENTRIES.init() };
        Ok(Self {
            _netdev: NetdevNotifier::register(on_netdev)?,
        })
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // The module goes, and with it what it has left to be done.
        xdp::settle();
    }
}
