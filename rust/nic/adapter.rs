// SPDX-License-Identifier: GPL-2.0

//! A network device whose hardware queues can be taken.

use super::{
    e1000::E1000,
    e1000e::E1000e,
    family::Family,
    igb::Igb,
    intercept::{self, Hooks},
    ixgbe::Ixgbe,
    machine::Machine,
    register::Hardware, //
};
use crate::{
    bindings,
    mem::{DmaMap, Region},
    ring::{kring::Kring, queue::{Direction, Queue}},
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
        // SAFETY: A word that is written through sysfs.
        match unsafe { (&raw const bindings::netmap_takeover).read_volatile() } {
            1 => Policy::Hot,
            2 => Policy::Restart,
            _ => Policy::Auto,
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

/// What a [`Machine`] of any family does; see [`Adapter`] for what it means.
pub(super) trait Device: Send + Sync {
    fn limits(&self, rtnl: &Rtnl) -> Limits;
    fn family(&self) -> &'static CStr;
    fn no_hot_takeover(&self) -> Option<&'static CStr>;
    fn hook_policy(&self, buf_size: u32) -> intercept::Policy;
    fn admits(&self, receives: bool, buf_size: u32, rtnl: &Rtnl) -> Result<(), Refusal>;
    fn take(
        &self,
        wanted: &[Wanted],
        policy: Policy,
        hooks: &Hooks,
        rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal>;
    fn release(&self, ids: &[QueueId], hooks: &Hooks, rtnl: &Rtnl);
    fn check(&self, hooks: &Hooks, rtnl: &Rtnl);
    fn forget(&self);
}

/// A device of a family that we know.
pub struct Adapter {
    device: KBox<dyn Device>,
}

impl Adapter {
    /// Identifies the device.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if it is of no family that we know, or its driver is not that of the kernel's own source tree, or the
    /// family is off;
    /// `EBUSY` if something else than the driver has its rings; `ENODEV` if it does not answer; `ENOMEM`.
    pub fn open(dev: &NetDev, rtnl: &Rtnl) -> Result<Arc<Self>, Refusal> {
        let device = match Self::identify(dev)? {
            Known::E1000 => Machine::<E1000>::open(dev, rtnl)?,
            Known::E1000e => Machine::<E1000e>::open(dev, rtnl)?,
            Known::Igb => Machine::<Igb>::open(dev, rtnl)?,
            Known::Ixgbe => Machine::<Ixgbe>::open(dev, rtnl)?,
        };
        Arc::new(Self { device }, GFP_CHARGED).map_err(|_| Refusal::new(ENOMEM, c"out of memory"))
    }

    fn identify(dev: &NetDev) -> Result<Known, Refusal> {
        const UNKNOWN: Refusal = Refusal::new(
            EOPNOTSUPP,
            c"not a NIC whose queues netmap knows how to take",
        );
        // SAFETY: The device is valid.
        let pdev = unsafe { bindings::netmap_pci_dev(dev.as_ptr()) };
        if pdev.is_null() {
            return Err(UNKNOWN);
        }
        // SAFETY: The PCI device is valid. Its driver stays while the network device, which is its own, is registered:
        // the RTNL mutex is held.
        let (vendor, device, driver) = unsafe {
            let driver = (*pdev).dev.driver;
            if driver.is_null() {
                return Err(UNKNOWN);
            }
            (
                (*pdev).vendor,
                (*pdev).device,
                CStr::from_char_ptr((*driver).name),
            )
        };
        if vendor != 0x8086 {
            return Err(UNKNOWN);
        }
        fn is<F: Family>(device: u16, driver: &CStr) -> bool {
            F::DEVICES.contains(&device) && driver == F::NAME
        }
        let known = if is::<E1000>(device, driver) {
            Known::E1000
        } else if is::<E1000e>(device, driver) {
            Known::E1000e
        } else if is::<Igb>(device, driver) {
            Known::Igb
        } else if is::<Ixgbe>(device, driver) {
            Known::Ixgbe
        } else {
            return Err(UNKNOWN);
        };
        // How a driver fills its rings and what it does with a damaged frame is known of the kernel's own source alone. Intel
        // publishes drivers of the same names. A restart would not do either: giving back relies on it, too.
        //
        // SAFETY: The PCI device is valid, and its driver stays, as above.
        if unsafe { bindings::netmap_is_foreign(pdev) } {
            return Err(Refusal::new(
                EOPNOTSUPP,
                c"the driver is from outside the kernel's source tree; load the kernel's own",
            ));
        }
        Ok(known)
    }

    /// What the device has now or, if it is down, will have when it is up.
    pub fn limits(&self, rtnl: &Rtnl) -> Limits {
        self.device.limits(rtnl)
    }

    /// The family's name, which is the driver's.
    pub fn family(&self) -> &'static CStr {
        self.device.family()
    }

    /// Why queues must not be taken from the running driver, if they must not. For one that has just opened its device they may.
    pub fn no_hot_takeover(&self) -> Option<&'static CStr> {
        self.device.no_hot_takeover()
    }

    /// What the driver must not be asked for while its queues are taken, with buffers of `buf_size` bytes.
    pub fn hook_policy(&self, buf_size: u32) -> intercept::Policy {
        self.device.hook_policy(buf_size)
    }

    /// Whether queues could be taken, receive queues among them or not, for buffers of `buf_size` bytes: what is impossible
    /// whatever the driver does. Touches nothing.
    ///
    /// # Errors
    ///
    /// `EBUSY` as for [`Self::open`]; `EINVAL` for buffers of a size that the NIC cannot receive into.
    pub fn admits(&self, receives: bool, buf_size: u32, rtnl: &Rtnl) -> Result<(), Refusal> {
        self.device.admits(receives, buf_size, rtnl)
    }

    /// Takes queues, all or none; the result has their sides of the krings in the same order.
    ///
    /// The ring of each queue may have been used before: the kernel's slots (`[hwtail, hwcur)`) of a receive ring are
    /// handed to the hardware, and what a transmit ring had in flight is lost and so complete.
    ///
    /// # Errors
    ///
    /// `EBUSY` as for [`Self::open`], `ENETDOWN` if the interface is down, `ENOMEM`; `EAGAIN` if the driver could not be brought to rest, and then, unless `policy` is
    /// [`Policy::Hot`], not by a restart either. The device is as it was.
    pub fn take(
        &self,
        wanted: &[Wanted],
        policy: Policy,
        hooks: &Hooks,
        rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal> {
        self.device.take(wanted, policy, hooks, rtnl)
    }

    /// Gives queues back; their krings are stopped. Falls back to a restart of the driver; does nothing after
    /// [`Self::forget`].
    pub fn release(&self, ids: &[QueueId], hooks: &Hooks, rtnl: &Rtnl) {
        self.device.release(ids, hooks, rtnl);
    }

    /// The carrier changed. With carrier up: checks whose rings the hardware has, and opens the tail gate for them, or
    /// takes them again.
    pub fn carrier(&self, up: bool, hooks: &Hooks, rtnl: &Rtnl) {
        if up {
            self.device.check(hooks, rtnl);
        }
    }

    /// The device is going away: no register is touched any more. The krings are dead or stopped.
    pub fn forget(&self) {
        self.device.forget();
    }
}

/// The families.
enum Known {
    E1000,
    E1000e,
    Igb,
    Ixgbe,
}

/// Whether something but the driver's own interrupt and transmit functions uses the rings, or the driver uses them in a
/// way that we do not know.
pub(super) fn conflict<F: Family>(hw: &Hardware) -> Result<(), Refusal> {
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
