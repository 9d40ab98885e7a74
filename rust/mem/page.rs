// SPDX-License-Identifier: GPL-2.0

//! Pages that kernel, NIC and programs share.

use crate::{bindings, prelude::*};
use core::ptr::NonNull;

/// Bytes of a page.
pub(crate) const PAGE_SIZE: usize = kernel::page::PAGE_SIZE;

/// Order of the largest cluster, 2 MiB on x86: what one page table entry of the second level maps.
pub(crate) const CLUSTER_ORDER: u32 = 9;

/// `2^order` physically contiguous pages, zeroed when they were taken.
///
/// A program that has them mapped keeps them alive by references of its own, so that dropping this never pulls memory
/// from under a page table.
///
/// # Invariants
///
/// `page` is the head of a compound page of this order, and carries a reference that this value owns.
pub(crate) struct Cluster {
    page: NonNull<bindings::page>,
    order: u32,
}

// SAFETY: Pages belong to no thread.
unsafe impl Send for Cluster {}
// SAFETY: All methods are reads of what never changes.
unsafe impl Sync for Cluster {}

impl Cluster {
    /// Takes `2^order` pages; fails quietly, since a smaller order may do.
    pub(crate) fn new(order: u32) -> Result<Self> {
        // SAFETY: Callable from any context that may sleep.
        let page = unsafe { bindings::netmap_pages_alloc(order) };
        // INVARIANT: The function returns a compound page of this order with one reference.
        Ok(Self {
            page: NonNull::new(page).ok_or(ENOMEM)?,
            order,
        })
    }

    /// The head page.
    pub(crate) fn page(&self) -> *mut bindings::page {
        self.page.as_ptr()
    }

    /// Number of pages, as a power of two.
    pub(crate) fn order(&self) -> u32 {
        self.order
    }

    /// Bytes in it.
    pub(crate) fn size(&self) -> usize {
        PAGE_SIZE << self.order
    }

    /// Where the kernel sees it.
    pub(crate) fn address(&self) -> NonNull<u8> {
        // SAFETY: By the type's invariant; low memory is always mapped on 64 bits, so the address is not null.
        unsafe { NonNull::new_unchecked(bindings::netmap_page_address(self.page()).cast()) }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type's invariant.
        unsafe { bindings::netmap_pages_free(self.page()) };
    }
}
