// SPDX-License-Identifier: GPL-2.0

//! What is asked of a device whose hardware queues can be taken, whatever its family.

use super::{
    driver::intercept::{self, Hooks},
    family::{register::Hardware, Family}, //
};
use crate::{
    bindings,
    mem::{DmaMap, Region},
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Direction, Queue},
    },
    sys::rtnl::Rtnl, //
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

impl Refusal {
    /// A refusal.
    pub const fn new(errno: Error, reason: &'static CStr) -> Self {
        Self { errno, reason }
    }
}

/// What a device has.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Transmit queues that the driver uses when it is up.
    pub tx_queues: u16,
    /// Receive queues that it uses then.
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
pub enum TakeoverPolicy {
    /// From the running driver, or not at all.
    Hot,
    /// Around a stop and an open of the driver: one link flap.
    Restart,
    /// Hot where it can be proven safe, else by restart.
    Auto,
}

impl TakeoverPolicy {
    /// What the module's parameter says now.
    pub fn current() -> Self {
        // SAFETY: A word that is written through sysfs.
        match unsafe { (&raw const bindings::netmap_takeover).read_volatile() } {
            1 => TakeoverPolicy::Hot,
            2 => TakeoverPolicy::Restart,
            _ => TakeoverPolicy::Auto,
        }
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
    /// The buffers.
    pub region: Arc<Region>,
}

/// What a [`Machine`](super::takeover::machine::Machine) of any family does; see [`Adapter`](super::Adapter) for what it means.
pub(in crate::nic) trait Device: Send + Sync {
    fn limits(&self, rtnl: &Rtnl) -> Limits;
    fn family(&self) -> &'static CStr;
    fn no_hot_takeover(&self) -> Option<&'static CStr>;
    fn restrictions(&self, buf_size: u32) -> intercept::Restrictions;
    fn admits(&self, receives: bool, buf_size: u32, rtnl: &Rtnl) -> Result<(), Refusal>;
    fn take(
        &self,
        wanted: &[Wanted],
        policy: TakeoverPolicy,
        hooks: &Hooks,
        rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal>;
    fn release(&self, ids: &[QueueId], hooks: &Hooks, rtnl: &Rtnl);
    fn check(&self, hooks: &Hooks, rtnl: &Rtnl);
    fn forget(&self);
}

/// Refuses a device whose rings are used by something other than the driver's own interrupt and transmit functions, or in a
/// way that is not known here.
pub(in crate::nic) fn conflict<F: Family>(hw: &Hardware) -> Result<(), Refusal> {
    let dev = hw.dev().as_ptr();
    // SAFETY: The device is valid.
    if unsafe { bindings::netmap_has_own_lock(dev) } {
        // What stands in for the driver's functions relies on the RTNL mutex.
        let reason = c"the driver's functions are not called under the RTNL mutex";
        return Err(Refusal::new(EOPNOTSUPP, reason));
    }
    // SAFETY: The devices are valid, and the RTNL mutex is held.
    let (functions, xdp, classes, features) = unsafe {
        (
            bindings::netmap_num_vf(hw.pdev()),
            bindings::netmap_xdp_attached(dev),
            bindings::netmap_traffic_classes(dev),
            bindings::netmap_features(dev),
        )
    };
    let has = |bit: u32| features & (1 << bit) != 0;
    let queues = hw.dev().rx_queues().max(hw.dev().tx_queues());
    // SAFETY: As above, and the indices are of queues of the device.
    let xsk = (0..queues).any(|queue| unsafe { bindings::netmap_xsk_bound(dev, queue) });
    let reason = if functions != 0 {
        c"the device has virtual functions (SR-IOV)"
    } else if xdp {
        c"an XDP program is attached"
    } else if xsk {
        c"an AF_XDP socket is bound"
    } else if classes != 0 {
        c"traffic classes are configured"
    } else if has(bindings::NETIF_F_HW_L2FW_DOFFLOAD_BIT) {
        c"macvlan offload is on"
    } else if has(bindings::NETIF_F_RXALL_BIT) {
        c"the feature rx-all is on"
    } else if let Some(oddity) = F::oddity(hw) {
        oddity
    } else {
        return Ok(());
    };
    Err(Refusal::new(EBUSY, reason))
}
