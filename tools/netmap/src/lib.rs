// SPDX-License-Identifier: BSD-2-Clause
//! Packet rings shared with the network card through `/dev/netmap`.
//!
//! A [`Port`] is an open file bound to some rings of an interface. Its [`TxRing`]s and [`RxRing`]s are views of
//! memory that the kernel and the program share; a slot between a ring's `head` and its `tail` belongs to the
//! program, the others to the kernel. The program fills or reads slots with [`TxRing::fill`] and
//! [`RxRing::drain`], which pass the slots on, and tells the kernel with [`Port::sync_tx`], [`Port::sync_rx`] or
//! [`Port::poll`].
//!
//! ```no_run
//! use netmap::{Interest, Options, Port};
//!
//! let mut port = Port::open(&"netmap:eth0".parse()?, &Options::default())?;
//! let mut octets = 0;
//! while !port.poll(Interest::Rx, None)?.error {
//!     for ring in port.rx_mut() {
//!         ring.drain(u32::MAX, |slot| octets += slot.packet().len());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A bridge between two ports passes on what one of them receives, without a copy if they share a memory region:
//!
//! ```no_run
//! use netmap::{Interest, Options, Port};
//!
//! let mut from = Port::open(&"netmap:eth0".parse()?, &Options::default())?;
//! let mut to = Port::open(&"netmap:eth1".parse()?, &Options::default())?;
//! while !from.poll(Interest::Rx, None)?.error {
//!     for (input, output) in from.rx_mut().iter_mut().zip(to.tx_mut()) {
//!         output.forward(input, u32::MAX);
//!     }
//!     to.sync_tx()?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Port::take_rings`] gives each thread rings of its own; [`ExtraBuf`]s keep packets that the rings must not hold;
//! [`Control`] asks about ports and manages VALE switches.
//!
//! # Features
//!
//! - `mio`: a [`Port`] is an event source.
//! - `tokio`: `AsyncPort`, a port that is awaited.
//! - `smoltcp`: `SmoltcpDevice`, a port below a TCP/IP of the program's own.
//!
//! A [`StackPort`] has the data of the kernel's own TCP connections in its slots.
//!
//! # What is checked and what is trusted
//!
//! Ring indices and buffer indices are checked before they are used, so that no content of the shared memory makes
//! this crate reach outside of the mapping. A ring is in the hands of at most one view per process
//! ([`OpenError::RingTaken`]). No buffer is in two slots or [`ExtraBuf`]s of this process, whatever is dropped in whatever order, and
//! exchanges need not be synced: files that have exchanged buffers are closed together, see [`Port`].
//!
//! Two things are beyond this crate, and assumed:
//!
//! - Another *process* that maps the same region can write to all of it at any time, slots and buffers alike, as with any file mapped
//!   shared. That is a limit of netmap's shared memory: whoever can open `/dev/netmap` is trusted to write to his own slots and
//!   their buffers alone.
//! - A ring may stay in use when all of its files are closed here, if another program, or a duplicate of a [`Binding`]'s descriptor, is
//!   bound to it as well. The kernel frees the buffers of the closed files then, but for those that it has taken in slots of that
//!   ring. The drop of a port is a last sync of its receive rings, by which the kernel takes the slots that were passed on. Whoever
//!   leaves other exchanged slots in such a ring (transmit slots that no sync has taken, received slots that were exchanged with
//!   an [`ExtraBuf`] and not passed on) leaves buffers in it that are free, and it must not be bound again by this crate while it
//!   stays in use. A port that is opened exclusively (`/x`) shares no ring.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("netmap is for 64-bit Linux");

pub mod abi;
#[cfg(feature = "tokio")]
mod asynchronous;
mod binding;
mod conf;
mod control;
#[cfg(feature = "mio")]
mod event_source;
mod group;
pub mod name;
// Public for libnetmap, which has more options.
#[doc(hidden)]
pub mod name_options;
mod port;
mod region;
mod ring;
mod slot;
#[cfg(feature = "smoltcp")]
mod smoltcp_device;
mod spec;
mod stack;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncPort;
pub use binding::{Binding, Interest, Ready};
pub use control::{Control, Indices, Polling, Switched};
pub use name::SpecError;
pub use name_options::OptionError;
pub use port::{ExtraBuf, OpenError, Options, Port, PortInfo};
pub use ring::{RingState, RxRing, TxRing};
pub use slot::{DifferentRegion, RxSlot, TxSlot};
#[cfg(feature = "smoltcp")]
pub use smoltcp_device::{DeviceRx, DeviceTx, SmoltcpDevice};
pub use spec::{PipeEnd, PortSpec, Rings};
pub use stack::{Connection, Event, StackPort, StackTx};

/// The programs in these are compiled as those of this documentation are.
#[cfg(doctest)]
#[doc = include_str!("../rust.md")]
#[doc = include_str!("../README.md")]
struct Pages;
