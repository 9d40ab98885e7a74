// SPDX-License-Identifier: GPL-2.0

//! Regions: one mappable area each, with pools of interfaces, rings and buffers.
//!
//! A region announces room for as many objects as its parameters allow and takes memory from the system only as they
//! are used. What it has taken it keeps until its last user is gone: a page that a program has mapped at some offset
//! is never exchanged for another one.

mod area;
mod buffers;
mod dma;
mod group;
mod page;
mod region;
mod regions;
mod shared_ring;
mod tenants;

pub(crate) use buffers::Buffers;
pub(crate) use dma::DmaMap;
pub(crate) use group::Group;
pub(crate) use region::{InterfaceMemory, Region, Reserve, RingMemory};
pub(crate) use regions::Regions;
pub(crate) use shared_ring::SharedRing;
