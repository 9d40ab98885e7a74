// SPDX-License-Identifier: GPL-2.0

//! The kinds of ports: what each has to implement.

use super::{
    host::HostTx,
    pipe::Pipe,
    port::{Port, RingUses}, //
};
use crate::{
    logic::{name::Text, ringset::RingSet},
    mem::Group,
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{net_ns::NetNs, netdev::NetDev, rtnl::Rtnl}, //
};
use core::fmt;

/// A port of some kind.
///
/// All functions but those that say so are called with the registry's mutex held, and of a port that has [`DeviceSteps`] with the RTNL
/// mutex outside of it. Those that get the [`RingUses`] are called with that mutex of the port held, too.
pub(crate) trait Kind: Send + Sync {
    /// What it has in common with all others.
    fn port(&self) -> &Arc<Port>;

    /// The device of which it is the only port, unless it is gone. A stack port is one of many.
    fn device(&self) -> Option<NetDev> {
        None
    }

    /// Whether it is the port of this name in that network namespace. Ports of a device are found by [`Kind::device`] instead.
    fn is_named(&self, _name: &Text, _net: NetNs) -> bool {
        false
    }

    /// What it is an end of, if it is one of a pipe.
    fn pipe(&self) -> Option<&Arc<Pipe>> {
        None
    }

    /// What is done as bindings come and go.
    fn steps(&self) -> Steps<'_>;

    /// Bytes of memory that it needs behind a ring's slots.
    fn behind(&self, _kring: &Kring) -> u32 {
        0
    }

    /// What stands behind a ring when its memory is there. `EOPNOTSUPP` if it has another way to [`Kind::attach`] rings.
    fn queue(&self, _kring: &Kring) -> Result<Arc<dyn Queue>> {
        Err(EOPNOTSUPP)
    }

    /// Gives a ring that has no user memory, whose owner `group` is, and a queue. It is stopped.
    fn attach(
        &self,
        uses: &mut RingUses,
        (direction, ring): (Direction, u32),
        group: &Arc<Group>,
    ) -> Result {
        let port = self.port();
        let kring = port.kring(direction, ring).ok_or(EINVAL)?;
        let (queue, behind) = (self.queue(kring)?, self.behind(kring));
        port.attach(uses, (direction, ring), group, queue, behind)
    }

    /// The opposite of [`Kind::attach`]: the rings have no user, and are stopped.
    fn detach(&self, uses: &mut RingUses, rings: RingSet) {
        self.port().detach(uses, rings);
    }

    /// A file has bound rings, or is about to let go of some; `uses` is up to date already.
    fn uses_changed(&self, _uses: &RingUses) {}

    /// What a bind leaves to be done, without any mutex held, by the task that has bound rings. Another bind or the port's end may
    /// come in between.
    fn bound(&self) {}

    /// A file is about to let go of its rings, which nobody syncs any more: what takes long is done here, without any mutex held. The
    /// port's end may come in between.
    fn leaving(&self) {}

    /// Has the data of a connection, a socket of the calling task, go through the rings. Without any mutex held.
    fn register(&self, _fd: i32) -> Result {
        Err(EOPNOTSUPP)
    }

    /// The opposite of [`Kind::register`]. Without any mutex held.
    fn unregister(&self, _fd: i32) -> Result {
        Err(EOPNOTSUPP)
    }

    /// Most bytes of a packet that a transmit ring of it takes: the ring of whoever sends a longer one is reinitialised, and not just
    /// that packet dropped. Without any mutex held.
    fn longest_packet(&self, _kring: &Kring) -> u32 {
        u32::MAX
    }

    /// The way up to the stack of the port's device, if it has one.
    fn host(&self) -> Option<Arc<HostTx>> {
        None
    }

    /// Writes what the port is, as `native (igb)`. It may take locks, so it is not for the arguments of a message, which
    /// `printk` formats with interrupts off.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Whether the ring of this number has the queue that moves its packets behind it, and not an idle one for a while.
    fn is_taken(&self, _transmit: bool, _ring: u32) -> bool {
        false
    }
}

/// What is done as the bindings of a port come and go, if a network device is at the root of its name.
pub(crate) trait DeviceSteps {
    /// Checks whether rings that have no user yet could be made ready: what is impossible is refused here, before anything
    /// is touched. When it has succeeded, memory for them can be taken.
    fn admit(&self, fresh: RingSet, rtnl: &Rtnl) -> Result;

    /// Makes rings ready that have memory and no user yet, and lets syncs in. After an error they are retired.
    fn prepare(&self, fresh: RingSet, rtnl: &Rtnl) -> Result;

    /// Takes rings out of service that have no user any more, and stops them.
    fn retire(&self, uses: &RingUses, rings: RingSet, rtnl: &Rtnl);

    /// Lets go of what is behind the port, when nothing is bound.
    fn close(&self, rtnl: &Rtnl);

    /// Ends the port of a device that is still there. Its users keep the rings, which are dead, until they close them.
    fn end(&self, rtnl: &Rtnl);
}

/// The same of a port that depends on nothing outside of netmap, as those of switches, pipes and null ports: the RTNL mutex need not be
/// held.
pub(crate) trait BareSteps {
    /// As [`DeviceSteps::admit`].
    fn admit(&self, _fresh: RingSet) -> Result {
        Ok(())
    }

    /// As [`DeviceSteps::prepare`].
    fn prepare(&self, fresh: RingSet) -> Result;

    /// As [`DeviceSteps::retire`].
    fn retire(&self, uses: &RingUses, rings: RingSet);

    /// As [`DeviceSteps::close`].
    fn close(&self) {}
}

/// The steps of a port, which say what has to be held for them.
#[derive(Clone, Copy)]
pub(crate) enum Steps<'a> {
    /// The RTNL mutex, outside of the registry's.
    Device(&'a dyn DeviceSteps),
    /// The registry's mutex alone.
    Bare(&'a dyn BareSteps),
}

impl<'a> Steps<'a> {
    /// The steps, of a caller that holds the RTNL mutex.
    pub(super) fn with(self, rtnl: &'a Rtnl) -> LockedSteps<'a> {
        match self {
            Self::Device(steps) => LockedSteps::Device(steps, rtnl),
            Self::Bare(steps) => LockedSteps::Bare(steps),
        }
    }

    /// The steps, of a caller that does not hold it. `EINVAL` if it has to.
    pub(super) fn bare(self) -> Result<LockedSteps<'a>> {
        match self {
            Self::Device(_) => Err(EINVAL),
            Self::Bare(steps) => Ok(LockedSteps::Bare(steps)),
        }
    }
}

/// The steps of a port, of whose mutexes those that [`Steps`] says are held.
#[derive(Clone, Copy)]
pub(crate) enum LockedSteps<'a> {
    /// With the RTNL mutex.
    Device(&'a dyn DeviceSteps, &'a Rtnl),
    /// With the registry's alone.
    Bare(&'a dyn BareSteps),
}

impl LockedSteps<'_> {
    /// See [`DeviceSteps::admit`].
    pub(super) fn admit(self, fresh: RingSet) -> Result {
        match self {
            Self::Device(steps, rtnl) => steps.admit(fresh, rtnl),
            Self::Bare(steps) => steps.admit(fresh),
        }
    }

    /// See [`DeviceSteps::prepare`].
    pub(super) fn prepare(self, fresh: RingSet) -> Result {
        match self {
            Self::Device(steps, rtnl) => steps.prepare(fresh, rtnl),
            Self::Bare(steps) => steps.prepare(fresh),
        }
    }

    /// See [`DeviceSteps::retire`].
    pub(super) fn retire(self, uses: &RingUses, rings: RingSet) {
        match self {
            Self::Device(steps, rtnl) => steps.retire(uses, rings, rtnl),
            Self::Bare(steps) => steps.retire(uses, rings),
        }
    }

    /// See [`DeviceSteps::close`].
    pub(super) fn close(self) {
        match self {
            Self::Device(steps, rtnl) => steps.close(rtnl),
            Self::Bare(steps) => steps.close(),
        }
    }

    /// See [`DeviceSteps::end`]. A port that depends on no device ends with its last binding.
    pub(super) fn end(self) {
        match self {
            Self::Device(steps, rtnl) => steps.end(rtnl),
            Self::Bare(_) => {}
        }
    }
}
