// SPDX-License-Identifier: GPL-2.0

//! Order between this CPU and a device that reads and writes memory, see `Documentation/memory-barriers.txt`.
//!
//! x86 keeps that order by itself, and a fence of `core` is a barrier for the compiler alone there. `dma_mb` of
//! `kernel::sync::barrier`, which the crate of Linux 7.2 does not have yet, is a call of a C function even so: in a loop in
//! user space on an EPYC that took 1 ns, or 7 ns where the function returned by a thunk against speculation.

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
