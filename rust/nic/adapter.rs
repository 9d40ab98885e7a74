// SPDX-License-Identifier: GPL-2.0

//! A network device whose hardware queues can be taken.

use super::intercept::{self, Hooks};
use crate::{
    mem::DmaMap,
    port::kring::{Direction, Kring, Queue},
    prelude::*,
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};

/// A hardware queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueId {
    /// Which way it goes.
    pub direction: Direction,
    /// Its number.
    pub index: u16,
}

/// Why a device or a queue is not taken; told in one line of the log.
pub struct Refusal {
    /// For the caller.
    pub errno: Error,
    /// For the log.
    pub reason: &'static CStr,
}

/// What a device has.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Transmit queues in use by the driver.
    pub tx_queues: u16,
    /// Receive queues in use by the driver.
    pub rx_queues: u16,
    /// Descriptors of the driver's transmit rings, our default.
    pub tx_slots: u32,
    /// Descriptors of the driver's receive rings, our default.
    pub rx_slots: u32,
    /// Fewest slots of a ring of ours.
    pub min_slots: u32,
    /// Most slots of a ring of ours.
    pub max_slots: u32,
    /// What the number of slots is a multiple of.
    pub slot_multiple: u32,
}

/// How queues may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// From the running driver, or not at all.
    Hot,
    /// Around a stop and an open of the driver: one link flap.
    Restart,
    /// Hot where it can be proven safe, else by restart.
    Auto,
}

impl Policy {
    /// What the module's parameter says now.
    pub fn current() -> Self {
        Policy::Auto
    }
}

/// A queue to take.
pub struct Wanted {
    /// Which one.
    pub id: QueueId,
    /// The ring for it, with memory attached, and stopped: [`Kring::stop`] gives access to its cursors.
    pub kring: Arc<Kring>,
    /// The buffers as the device sees them.
    pub dma: Arc<DmaMap>,
}

/// A device of a family that we know.
pub struct Adapter {}

impl Adapter {
    /// Identifies the device. `EOPNOTSUPP` if it is of no family that we know, or is in a state that we cannot serve.
    pub fn open(_dev: &NetDev, _rtnl: &Rtnl) -> Result<Arc<Self>, Refusal> {
        Err(Refusal {
            errno: EOPNOTSUPP,
            reason: c"no NIC family is supported yet",
        })
    }

    /// What the device has now.
    pub fn limits(&self) -> Limits {
        unreachable!()
    }

    /// The family's name, which is the driver's.
    pub fn family(&self) -> &'static CStr {
        c""
    }

    /// What the driver must not be asked for while its queues are taken, with buffers of `buf_size` bytes.
    pub fn hook_policy(&self, _buf_size: u32) -> intercept::Policy {
        unreachable!()
    }

    /// Takes queues, all or none; the result has their sides of the krings in the same order.
    ///
    /// The ring of each queue may have been used before: the kernel's slots (`[hwtail, hwcur)`) of a receive ring are
    /// handed to the hardware, and what a transmit ring had in flight is lost and so complete.
    pub fn take(
        &self,
        _wanted: &[Wanted],
        _policy: Policy,
        _hooks: &Hooks,
        _rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal> {
        unreachable!()
    }

    /// Gives queues back. Falls back to a restart of the driver; does nothing after [`Self::forget`].
    pub fn release(&self, _ids: &[QueueId], _hooks: &Hooks, _rtnl: &Rtnl) {}

    /// The carrier changed. With carrier up: checks whose rings the hardware has, and opens the tail gate for them, or
    /// takes them again.
    pub fn carrier(&self, _up: bool, _hooks: &Hooks, _rtnl: &Rtnl) {}

    /// The device is going away: no register is touched any more.
    pub fn forget(&self) {}
}
