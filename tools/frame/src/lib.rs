// SPDX-License-Identifier: BSD-2-Clause
//! Ethernet frames that test programs send and recognize.
//!
//! [`Udp`] makes frames with correct checksums, [`number`] gives them numbers. [`Udp::stamp`] makes one whose payload is a sequence
//! number and a pattern derived from it, [`check`] verifies a received frame against them, and [`Tracker`] tells lost, repeated and
//! reordered frames apart in bounded memory.

mod checksum;
mod stamp;
mod tracker;
mod udp;

pub use checksum::{fold, sum};
pub use stamp::{check, Verdict, MAX_SEQUENCE, STAMPED_MIN};
pub use tracker::{Counts, Tracker, WINDOW};
pub use udp::{number, numbered, AddressFields, Mac, Moving, TooShort, Udp, HEADERS};
