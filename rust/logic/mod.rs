// SPDX-License-Identifier: GPL-2.0

//! Decisions of the module that need no kernel: ring arithmetic, checks of what programs write,
//! request decoding, allocation bitmaps and region layout.
//!
//! Imports `core`, [`crate::abi`] and [`crate::atomic`] alone, holds no `unsafe`, allocates nothing and cannot panic
//! (the tests run with overflow checks), but for debug assertions, which a debug kernel has. The same files are built into
//! the module and, as the package in this directory, tested on the host.

pub mod arrivals;
pub mod backlog;
pub mod bitmap;
pub mod busy;
pub mod checksum;
pub mod desc;
pub mod errno;
pub mod forwarding;
pub mod gate;
pub mod groups;
pub mod inbox;
pub mod legacy;
pub mod name;
pub mod numbers;
pub mod offload;
pub mod options;
pub mod owner;
pub mod packets;
pub mod payload;
pub mod pipe;
pub mod pools;
pub mod request;
pub mod rewind;
pub mod ring;
pub mod ringset;
pub mod runs;
pub mod selection;
pub mod slot;
pub mod switching;

// What `busy`, `inbox` and `pipe` are made of; their tests have a model checker's in place of these.
use crate::atomic;
