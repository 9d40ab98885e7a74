// SPDX-License-Identifier: GPL-2.0

//! Order between this CPU and a device that reads and writes memory, see `Documentation/memory-barriers.txt`.
//!
//! x86 keeps that order by itself. There a fence of Rust's is one for the compiler alone, while the kernel crate's barriers
//! are calls of a function.

/// What was read of a device's memory before, above all that a descriptor is done, is read before what follows.
#[inline(always)]
pub(crate) fn dma_rmb() {
    #[cfg(target_arch = "x86_64")]
    crate::atomic::fence(crate::atomic::Ordering::Acquire);
    #[cfg(not(target_arch = "x86_64"))]
    kernel::sync::barrier::dma_mb(kernel::sync::barrier::Read);
}

/// What was written before is seen before what is written afterwards.
#[inline(always)]
pub(crate) fn dma_wmb() {
    #[cfg(target_arch = "x86_64")]
    crate::atomic::fence(crate::atomic::Ordering::Release);
    #[cfg(not(target_arch = "x86_64"))]
    kernel::sync::barrier::dma_mb(kernel::sync::barrier::Write);
}
