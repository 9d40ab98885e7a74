// SPDX-License-Identifier: BSD-2-Clause
//! A model of the Intel 82599 network card, and of what X540 and X550 do alike.
//!
//! `device::Device` is the card's function as a driver meets it: registers, descriptor rings in the guest's
//! memory, interrupts. It is driven by calls and by a clock that the caller reads, so that tests need no machine. Around
//! it, `server` speaks vfio-user with QEMU, and `worker` moves the packets, asynchronous to the register accesses.

pub mod cable;
pub mod checksum;
pub mod clock;
pub mod coalesce;
pub mod config_space;
pub mod control;
pub mod descriptor;
pub mod device;
pub mod driver;
pub mod eeprom;
pub mod far_end;
pub mod faults;
pub mod filters;
pub mod firmware;
pub mod flow_director;
pub mod interrupt;
pub mod link;
pub mod memory;
pub mod operator;
pub mod packet;
pub mod packet_buffer;
pub mod pause;
pub mod phy;
pub mod receive;
pub mod register_file;
pub mod registers;
pub mod ring;
pub mod rss;
pub mod rules;
pub mod rx_queue;
pub mod segmentation;
pub mod server;
pub mod sfp;
pub mod statistics;
pub mod traffic;
pub mod tx_queue;
pub mod vlan;
pub mod wire;
pub mod worker;
