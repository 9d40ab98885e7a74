// SPDX-License-Identifier: GPL-2.0

//! One ring: the kernel's state of it, what stands behind it, and how a program's system call goes through it.

pub(crate) mod counters;
pub(crate) mod idle;
pub(crate) mod inbox;
pub(crate) mod kring;
pub(crate) mod listeners;
pub(crate) mod queue;
pub(crate) mod sync;
