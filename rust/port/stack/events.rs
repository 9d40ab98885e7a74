// SPDX-License-Identifier: GPL-2.0

//! The events of the devices of stack ports.
//!
//! Each comes with the RTNL mutex held, and only a device that goes away takes the registry's mutex.

use super::{
    super::{port::device_name, registry},
    StackPort, //
};
use crate::{
    bindings,
    prelude::*,
    sys::{
        netdev::NetDev,
        notifier::{NetdevEvent, NetdevNotifier},
        rtnl::Rtnl,
        socket, //
    },
};
use kernel::sync::global_lock;

/// A port and its device.
struct Entry {
    dev: NetDev,
    port: Arc<StackPort>,
}

global_lock! {
    // SAFETY: Initialised in `Notifier::register` before anything else runs.
    unsafe(uninit) static ENTRIES: Mutex<KVec<Entry>> = KVec::new();
}

/// The port of `dev` hears of its events from now on, until [`leave`].
pub(super) fn enter(dev: &NetDev, port: &Arc<StackPort>, _rtnl: &Rtnl) -> Result {
    let entry = Entry {
        dev: dev.clone(),
        port: port.clone(),
    };
    Ok(ENTRIES.lock().push(entry, GFP_CHARGED)?)
}

/// The opposite of [`enter`], if that was called.
pub(super) fn leave(port: &StackPort, _rtnl: &Rtnl) {
    let mut entries = ENTRIES.lock();
    entries.retain(|entry| !core::ptr::eq(&*entry.port, port));
}

/// Whether a program has a port of `dev`.
pub(in crate::port) fn has(dev: &NetDev, _rtnl: &Rtnl) -> bool {
    find(dev.as_ptr(), 0).is_some()
}

/// A port of `dev`, behind the first `skip` ones.
fn find(dev: *mut bindings::net_device, skip: usize) -> Option<(NetDev, Arc<StackPort>)> {
    let entries = ENTRIES.lock();
    let mut of_device = entries.iter().filter(|entry| entry.dev.as_ptr() == dev);
    let entry = of_device.nth(skip)?;
    Some((entry.dev.clone(), entry.port.clone()))
}

fn on_netdev(event: NetdevEvent, dev: *mut bindings::net_device, rtnl: &Rtnl) {
    match event {
        NetdevEvent::ChangeName => {
            let mut skip = 0;
            while let Some((dev, stack)) = find(dev, skip) {
                stack.port.rename(device_name(&dev.name(rtnl)));
                skip += 1;
            }
        }
        NetdevEvent::Unregister => {
            // A port that ends is not found any more.
            while let Some((_dev, stack)) = find(dev, 0) {
                let mut registry = registry::lock();
                stack.end(rtnl);
                registry.remove(&stack.port);
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
        // The module goes, and buffers of ports that are closed may be in packets still.
        socket::settle();
    }
}
