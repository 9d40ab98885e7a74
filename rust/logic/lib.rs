// SPDX-License-Identifier: GPL-2.0

//! The kernel-free part of the netmap module, built for tests on the host.
//!
//! The two modules stand here where they stand in the kernel's crate, so that their files are the
//! same in both.

#![no_std]
#![forbid(unsafe_code)]
// No step that can panic: in the kernel each is a crash.
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

#[path = "../abi.rs"]
pub mod abi;
/// What the module has in `atomic.rs`.
mod atomic {
    pub(crate) use core::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
}
#[path = "mod.rs"]
pub mod logic;
