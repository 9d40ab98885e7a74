// SPDX-License-Identifier: GPL-2.0

//! netmap: the rings of a NIC, shared between NIC, kernel and program.
//!
//! The parts, each depending only on those below it:
//!
//! - [`dev`]: `/dev/netmap`, one binding per open file;
//! - [`port`]: what a name can be bound to;
//! - [`nic`]: hardware queues of live stock drivers;
//! - [`ring`]: one ring, and how a system call goes through it;
//! - [`mem`]: regions of buffers, rings and interfaces;
//! - [`sys`]: wrappers over what the `kernel` crate lacks;
//! - [`logic`] and [`abi`]: pure decisions and the user ABI, used by all; [`atomic`]: core's atomics, or slow ones for tests.
//!
//! # Lock order
//!
//! Outermost first:
//!
//! 1. `rtnl_mutex`: everything that binds, unbinds or changes a port of a network device; not that of others;
//! 2. the registry's mutex ([`port::registry`]): the tables of ports and regions;
//! 3. the mutex of a port ([`port`]), which of its rings are in use; in it that of what it is of, as a NIC with its device;
//! 4. the mutex of the redirected functions, and that of a NIC's taken queues and, in it, of its RSS table ([`nic`]);
//! 5. a kring, stopped ([`ring::kring::Kring::stop`]) or held for a sync;
//! 6. the mutex of a stack port's connections, and in it the locks of sockets ([`port::stack`]);
//! 7. the mutex of a region ([`mem`]), and that of the switches ([`port::vale`]);
//! 8. `netif_addr_lock`, `netif_tx_lock`, the queue lock and the device lock of host rings, the lock of an inbox's senders, and
//!    the mutexes of the tables of emulated and of stack ports, and the spin lock of what has arrived on a stack port's connections.
//!
//! A sync takes the busy flag of its own kring. It takes no mutex, except that of the region when it is handed a buffer of
//! another group, and that one of a stack port takes those of 6, and the region's in these. A task that has a socket's lock may wait
//! for the RTNL mutex, or for as long as it likes: so whoever has stopped a kring of a stack port, or waits for that, holds none of 1
//! to 4, unless no connection is registered. A sync that forwards from a host ring takes the flags of transmit krings as well, one at a time, and only
//! those that are free: it never waits for one while it holds another, so there is no order between krings. A page fault on
//! a mapped region takes that region's mutex, which nests inside the program's `mmap_lock`. Interrupts and the stack's
//! transmit path take the queue lock of a host ring, wake wait queues, and find ports under RCU. An interrupt takes a
//! kring's busy flag only if it is free, and never waits for it. What delivers to an inbox, in a softirq, takes the lock of its
//! senders, and no flag; nothing faults, sleeps or takes another lock under it. User memory is never copied under a lock.
//!
//! A sync of a port of a switch takes the locks of other ports' inboxes, one at a time, and no other kring. The mutex of the interfaces on
//! switches is held by none of the above, and while none of these is taken but by starting a thread. That thread syncs the krings of the
//! interface and of its ports as a program does, one at a time; whoever ends it holds no mutex but that of the interface's threads, which is
//! inside that of the interfaces. The threads of a ring are ended with it held, and take none. A device of the module's own that goes takes the
//! registry's mutex: with RTNL held when it is unregistered, and with no lock when nobody has it any more.
//!
//! What an emulated port's driver did not take is sent by a work item, which holds the kring for it, as a sync does, and takes no
//! mutex but the region's. Whoever has stopped a kring may wait for it, with the RTNL mutex and the registry's held.
//!
//! The program of an emulated port that receives by XDP is attached with no lock held (`Kind::bound`), and taken away by a work
//! item, which takes the RTNL mutex: only who does not hold that may wait for it.

#![allow(
    // No crate links to this one: `pub` marks what a module offers to the others, and in `logic` also to its tests on the
    // host.
    unreachable_pub
)]

pub mod abi;
mod atomic;
mod bindings;
mod dev;
pub mod logic;
mod mem;
mod nic;
mod port;
mod prelude;
mod ring;
mod sys;

use prelude::*;

module! {
    type: Netmap,
    name: "netmap",
    authors: ["The netmap for Linux authors"],
    description: "netmap: fast packet I/O on stock NIC drivers",
    license: "GPL v2",
}

#[pin_data]
struct Netmap {
    // First: the interfaces on switches are bound as by a file.
    _attached: port::vale::Attached,
    #[pin]
    device: dev::CharDevice,
    // Dropped after the device: without that no port is left that has to be notified.
    _notifiers: nic::driver::events::Notifiers,
    _emulated: port::emulated::events::Notifier,
    _stack: port::stack::events::Notifier,
    _pipes: port::pipe::events::Notifier,
}

impl kernel::InPlaceModule for Netmap {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: Called once, before anything else.
        unsafe {
            nic::init();
            port::registry::init();
            port::vale::init();
        }
        try_pin_init!(Self {
            _attached: port::vale::Attached::new()?,
            _notifiers: nic::driver::events::Notifiers::register()?,
            // SAFETY: As above.
            _emulated: unsafe { port::emulated::events::Notifier::register() }?,
            // SAFETY: As above.
            _stack: unsafe { port::stack::events::Notifier::register() }?,
            _pipes: port::pipe::events::Notifier::register()?,
            device <- dev::CharDevice::register(),
        })
    }
}
