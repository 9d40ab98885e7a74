// SPDX-License-Identifier: BSD-2-Clause
//! A model of the Intel 82599 network card, and of what X540 and X550 do alike.
//!
//! `device::Device` is the card's function as a driver meets it: registers, descriptor rings in the guest's
//! memory, interrupts. It is driven by calls and by a clock that the caller reads, so that tests need no machine. Around
//! it, `server` speaks vfio-user with QEMU, and `worker` moves the packets, asynchronous to the register accesses.

pub mod checksum;
pub mod coalesce;
pub mod control;
pub mod far_end;
pub mod faults;
pub mod filters;
pub mod flow_director;
pub mod packet;
pub mod packet_buffer;
pub mod pause;
pub mod receive;
pub mod rss;
pub mod segmentation;
pub mod statistics;
pub mod traffic;
pub mod vlan;
pub mod wire;
