// SPDX-License-Identifier: GPL-2.0

//! Notifier chains: network devices and power management.

use super::rtnl::Rtnl;
use crate::{bindings, prelude::*};
use kernel::{
    container_of,
    ffi::{c_int, c_ulong, c_void}, //
};

/// What may happen to a network device, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetdevEvent {
    /// About to be set down; the driver's stop comes next.
    GoingDown,
    /// Set up; the driver's open is done.
    Up,
    /// Carrier or flags changed.
    Change,
    /// Renamed.
    ChangeName,
    /// Features were turned on or off.
    Features,
    /// Unregistered, or leaving its namespace.
    Unregister,
}

impl NetdevEvent {
    fn from_raw(event: c_ulong) -> Option<Self> {
        Some(match u32::try_from(event).ok()? {
            bindings::netdev_cmd_NETDEV_GOING_DOWN => Self::GoingDown,
            bindings::netdev_cmd_NETDEV_UP => Self::Up,
            bindings::netdev_cmd_NETDEV_CHANGE => Self::Change,
            bindings::netdev_cmd_NETDEV_CHANGENAME => Self::ChangeName,
            bindings::netdev_cmd_NETDEV_FEAT_CHANGE => Self::Features,
            bindings::netdev_cmd_NETDEV_UNREGISTER => Self::Unregister,
            _ => return None,
        })
    }
}

/// What happens to the power of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PmEvent {
    /// It is going to suspend or to hibernate, or to restore an image; tasks still run.
    Prepare,
    /// It has woken up, or did not sleep after all.
    Post,
}

impl PmEvent {
    fn from_raw(event: c_ulong) -> Option<Self> {
        Some(match u32::try_from(event).ok()? {
            bindings::PM_SUSPEND_PREPARE
            | bindings::PM_HIBERNATION_PREPARE
            | bindings::PM_RESTORE_PREPARE => Self::Prepare,
            bindings::PM_POST_SUSPEND
            | bindings::PM_POST_HIBERNATION
            | bindings::PM_POST_RESTORE => Self::Post,
            _ => return None,
        })
    }
}

/// A notifier block with the function it is for.
#[repr(C)]
struct Block<F> {
    raw: bindings::notifier_block,
    call: F,
}

impl<F> Block<F> {
    fn new(raw: Raw, call: F) -> Result<KBox<Self>> {
        let block = bindings::notifier_block {
            notifier_call: Some(raw),
            ..Default::default()
        };
        Ok(KBox::new(Self { raw: block, call }, GFP_KERNEL)?)
    }
}

type Raw = unsafe extern "C" fn(*mut bindings::notifier_block, c_ulong, *mut c_void) -> c_int;

const DONE: c_int = 0;

type OnNetdev = fn(NetdevEvent, *mut bindings::net_device, &Rtnl);

/// A registered notifier of network devices in all namespaces.
pub struct NetdevNotifier {
    block: KBox<Block<OnNetdev>>,
}

// SAFETY: The block is the chain's while registered, and only ever used through its address.
unsafe impl Send for NetdevNotifier {}
// SAFETY: As above.
unsafe impl Sync for NetdevNotifier {}

impl NetdevNotifier {
    /// Has `call` called at each event from now on, and at once for the devices there are.
    pub fn register(call: OnNetdev) -> Result<Self> {
        let mut block = Block::new(Self::raw, call)?;
        // SAFETY: The block stays at its address until it is unregistered.
        kernel::error::to_result(unsafe { bindings::register_netdevice_notifier(&mut block.raw) })?;
        Ok(Self { block })
    }

    /// # Safety
    ///
    /// Only for the chain of network devices, with a block of [`Self::register`].
    unsafe extern "C" fn raw(
        block: *mut bindings::notifier_block,
        event: c_ulong,
        info: *mut c_void,
    ) -> c_int {
        if let Some(event) = NetdevEvent::from_raw(event) {
            // SAFETY: The block is in a `Block` that lives while it is registered; the chain's data is the info of the
            // event with a valid device, and the RTNL mutex is held.
            unsafe {
                let block = container_of!(block, Block<OnNetdev>, raw);
                let dev = bindings::netmap_notifier_dev(info);
                ((*block).call)(event, dev, Rtnl::assume());
            }
        }
        DONE
    }
}

impl Drop for NetdevNotifier {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`. The result tells whether it was.
        unsafe { bindings::unregister_netdevice_notifier(&mut self.block.raw) };
    }
}

type OnPm = fn(PmEvent);

/// A registered notifier of suspend and resume.
pub struct PmNotifier {
    block: KBox<Block<OnPm>>,
}

// SAFETY: The block is the chain's while registered, and only ever used through its address.
unsafe impl Send for PmNotifier {}
// SAFETY: As above.
unsafe impl Sync for PmNotifier {}

impl PmNotifier {
    /// Has `call` called at each event from now on.
    pub fn register(call: OnPm) -> Result<Self> {
        let mut block = Block::new(Self::raw, call)?;
        // SAFETY: The block stays at its address until it is unregistered.
        kernel::error::to_result(unsafe { bindings::register_pm_notifier(&mut block.raw) })?;
        Ok(Self { block })
    }

    /// # Safety
    ///
    /// Only for the chain of power management, with a block of [`Self::register`].
    unsafe extern "C" fn raw(
        block: *mut bindings::notifier_block,
        event: c_ulong,
        _data: *mut c_void,
    ) -> c_int {
        if let Some(event) = PmEvent::from_raw(event) {
            // SAFETY: The block is in a `Block` that lives while it is registered.
            unsafe {
                let block = container_of!(block, Block<OnPm>, raw);
                ((*block).call)(event);
            }
        }
        DONE
    }
}

impl Drop for PmNotifier {
    fn drop(&mut self) {
        // SAFETY: Registered by `register`. The result tells whether it was.
        unsafe { bindings::unregister_pm_notifier(&mut self.block.raw) };
    }
}
