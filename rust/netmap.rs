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
//! 1. `rtnl_mutex`: everything that binds, unbinds or changes a NIC port;
//! 2. the registry's mutex ([`port::registry`]): the tables of ports and regions;
//! 3. the mutex of a port ([`port`]): which of its rings are in use, and its device;
//! 4. the mutex of the redirected functions, and that of a NIC's taken queues and, in it, of its RSS table ([`nic`]);
//! 5. a kring, stopped ([`ring::kring::Kring::stop`]) or held for a sync;
//! 6. the mutex of a region ([`mem`]);
//! 7. `netif_addr_lock`, `netif_tx_lock`, the queue lock and the device lock of host rings.
//!
//! A sync takes the busy flag of its own kring, and no mutex but, where buffers are exchanged for the first time, that of
//! their region. One that forwards from a host ring has the flag of a transmit kring besides, one after the other, which
//! it takes only where nobody else has it: so it waits for none while it holds another, and there is no order between
//! them. A page fault on a mapped region takes that region's mutex, which nests in the program's own `mmap_lock`.
//! Interrupts and the stack's transmit path take the queue lock of a host ring, wake wait queues, and find ports under RCU; an
//! interrupt takes a kring's busy flag if it is free, and does not wait for it. User memory is never copied under a lock.

#![allow(
    // Nobody links to this crate: `pub` marks what a module offers to the others, in `logic` also to its host tests.
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
    #[pin]
    device: dev::CharDevice,
    // After the device: there is nobody left to notify when it goes.
    _notifiers: nic::driver::events::Notifiers,
}

impl kernel::InPlaceModule for Netmap {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: Called once, before anything else.
        unsafe {
            nic::init();
            port::registry::init();
        }
        try_pin_init!(Self {
            _notifiers: nic::driver::events::Notifiers::register()?,
            device <- dev::CharDevice::register(),
        })
    }
}
