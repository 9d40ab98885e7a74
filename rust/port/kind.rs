// SPDX-License-Identifier: GPL-2.0

//! The kinds of ports: what each has to implement.

use super::{
    host::HostTx,
    port::{Port, RingUses}, //
};
use crate::{
    logic::ringset::RingSet,
    prelude::*,
    ring::{kring::Kring, queue::Queue},
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};
use core::fmt;

/// A port of some kind.
///
/// All functions but those that say so are called with the registry's mutex held, and the RTNL mutex outside of it, because every port belongs to
/// a network device. Those that get the [`RingUses`] are called with that mutex of the port held, too.
pub(crate) trait Kind: Send + Sync {
    /// What it has in common with all others.
    fn port(&self) -> &Arc<Port>;

    /// The device of which it is the only port, unless it is gone. A stack port is one of many.
    fn device(&self) -> Option<NetDev>;

    /// Checks whether rings that have no user yet could be made ready: what is impossible is refused here, before anything
    /// is touched. When it has succeeded, memory for them can be taken.
    fn admit(&self, fresh: RingSet, rtnl: &Rtnl) -> Result;

    /// Bytes of memory that it needs behind a ring's slots.
    fn behind(&self, _kring: &Kring) -> u32 {
        0
    }

    /// What stands behind a ring when its memory is there.
    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>>;

    /// Makes rings ready that have memory and no user yet, and lets syncs in. After an error they are retired.
    fn prepare(&self, fresh: RingSet, rtnl: &Rtnl) -> Result;

    /// Takes rings out of service that have no user any more, and stops them.
    fn retire(&self, uses: &RingUses, rings: RingSet, rtnl: &Rtnl);

    /// A file has bound rings, or is about to let go of some; `uses` is up to date already.
    fn uses_changed(&self, uses: &RingUses);

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

    /// Lets go of what is behind the port, when nothing is bound.
    fn close(&self, rtnl: &Rtnl);

    /// Ends the port of a device that is still there. Its users keep the rings, which are dead, until they close them.
    fn end(&self, rtnl: &Rtnl);

    /// The way up to the stack of the port's device, if it has one.
    fn host(&self) -> Option<Arc<HostTx>>;

    /// Writes what the port is, as `native (igb)`. It may take locks, so it is not for the arguments of a message, which
    /// `printk` formats with interrupts off.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Whether the ring of this number has the queue that moves its packets behind it, and not an idle one for a while.
    fn is_taken(&self, transmit: bool, ring: u32) -> bool;
}
