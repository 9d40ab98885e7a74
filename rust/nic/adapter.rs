// SPDX-License-Identifier: GPL-2.0

//! A network device whose hardware queues can be taken.

use super::{
    device::{Device, Limits, QueueId, Refusal, TakeoverPolicy, Wanted},
    driver::intercept::{self, Hooks},
    family::{e1000::E1000, e1000e::E1000e, igb::Igb, ixgbe::Ixgbe, Family},
    takeover::machine::Machine, //
};
use crate::{
    bindings,
    prelude::*,
    ring::queue::Queue,
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};

/// A device of a family that we know.
pub struct Adapter {
    device: KBox<dyn Device>,
}

impl Adapter {
    /// Identifies the device.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if it is of no known family, its driver is not that of the kernel's own source tree, or the family is
    /// off; `EBUSY` if something other than the driver uses its rings; `ENODEV` if it does not answer; `ENOMEM`.
    pub fn open(dev: &NetDev, rtnl: &Rtnl) -> Result<Arc<Self>, Refusal> {
        let device = match Self::identify(dev)? {
            KnownFamily::E1000 => Machine::<E1000>::open(dev, rtnl)?,
            KnownFamily::E1000e => Machine::<E1000e>::open(dev, rtnl)?,
            KnownFamily::Igb => Machine::<Igb>::open(dev, rtnl)?,
            KnownFamily::Ixgbe => Machine::<Ixgbe>::open(dev, rtnl)?,
        };
        Arc::new(Self { device }, GFP_CHARGED).map_err(|_| Refusal::new(ENOMEM, c"out of memory"))
    }

    fn identify(dev: &NetDev) -> Result<KnownFamily, Refusal> {
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
            KnownFamily::E1000
        } else if is::<E1000e>(device, driver) {
            KnownFamily::E1000e
        } else if is::<Igb>(device, driver) {
            KnownFamily::Igb
        } else if is::<Ixgbe>(device, driver) {
            KnownFamily::Ixgbe
        } else {
            return Err(UNKNOWN);
        };
        // How a driver fills its rings, and that it drops a damaged frame, is known only of the drivers in the kernel's
        // source tree; Intel publishes others under the same names. A takeover by restart is no way out, because giving the
        // queues back relies on the same facts.
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

    /// Why queues must not be taken from the driver while it runs, if that is so. They may still be taken from a driver that
    /// has just opened its device.
    pub fn no_hot_takeover(&self) -> Option<&'static CStr> {
        self.device.no_hot_takeover()
    }

    /// What the driver must not be asked for while its queues are taken, with buffers of `buf_size` bytes.
    pub fn restrictions(&self, buf_size: u32) -> intercept::Restrictions {
        self.device.restrictions(buf_size)
    }

    /// Checks whether queues can be taken at all, for buffers of `buf_size` bytes: refuses what is impossible whatever the
    /// driver does. `receives` says whether receive queues are among them. Touches nothing.
    ///
    /// # Errors
    ///
    /// `EBUSY` as for [`Self::open`]; `EINVAL` for buffers of a size that the NIC cannot receive into.
    pub fn admits(&self, receives: bool, buf_size: u32, rtnl: &Rtnl) -> Result<(), Refusal> {
        self.device.admits(receives, buf_size, rtnl)
    }

    /// Takes queues, all or none. Returns what is to stand behind their krings, in the same order.
    ///
    /// The ring of each queue may have been used before: the kernel's slots (`[hwtail, hwcur)`) of a receive ring are
    /// handed to the hardware, and what a transmit ring had in flight is lost and so complete.
    ///
    /// # Errors
    ///
    /// `EBUSY` as for [`Self::open`], `ENETDOWN` if the interface is down, `ENOMEM`; `EAGAIN` if the driver could not be
    /// brought to rest and, unless `policy` is [`TakeoverPolicy::Hot`], a restart did not help. The device is as it was.
    pub fn take(
        &self,
        wanted: &[Wanted],
        policy: TakeoverPolicy,
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

    /// The carrier changed. If it is up now, the hardware is asked whose rings it has: for ours the tail gate is opened,
    /// other queues are taken again.
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
enum KnownFamily {
    E1000,
    E1000e,
    Igb,
    Ixgbe,
}
