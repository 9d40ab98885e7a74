// SPDX-License-Identifier: GPL-2.0

//! The pool of buffers of a region.
//!
//! The pool's room is cut into blocks of 2 MiB. A block gets memory when its first buffer is needed: one cluster of
//! 2 MiB where the system has one, smaller ones where it has not.
//!
//! Who has the region mapped can read all of it, also what nobody holds. So buffers are zeroed when they are taken back:
//! what a program has left behind is not to be found by the next one, whether that gets these buffers or not.

use super::page::{Cluster, HUGE_ORDER, PAGE_SIZE};
use crate::{
    bindings,
    logic::bitmap::{words_for, Bitmap},
    prelude::*, //
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicPtr, Ordering}, //
};

/// Buffers 0 and 1 are nobody's: 0 ends lists.
pub(super) const RESERVED: u32 = 2;

/// Where the kernel sees each buffer. Readable without a lock.
///
/// # Invariants
///
/// A non-null entry points to a buffer of `buf_size` bytes that stays as long as the table's region.
pub(crate) struct BufferTable {
    addresses: KVVec<AtomicPtr<u8>>,
    buf_size: u32,
}

impl BufferTable {
    /// The kernel's address of a buffer; [`None`] for an index without a buffer.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<NonNull<u8>> {
        NonNull::new(self.addresses.get(index as usize)?.load(Ordering::Acquire))
    }

    /// Bytes of a buffer.
    #[inline]
    pub(crate) fn buf_size(&self) -> u32 {
        self.buf_size
    }

    /// Number of indices, with or without a buffer.
    #[inline]
    pub(crate) fn total(&self) -> u32 {
        // The count was a `u32` when the table was made.
        self.addresses.len() as u32
    }

    /// The page of the pool's byte `offset`, if there is memory there.
    pub(super) fn page_at(&self, offset: u64) -> Option<NonNull<bindings::page>> {
        // A buffer's size is a power of two.
        let within = offset & u64::from(self.buf_size.wrapping_sub(1));
        let index = u32::try_from(offset >> self.buf_size.trailing_zeros()).ok()?;
        let address = self.get(index)?.as_ptr().wrapping_add(within as usize);
        // SAFETY: The address lies in a buffer, which lies in low memory.
        NonNull::new(unsafe { bindings::netmap_virt_to_page(address.cast()) })
    }
}

/// The head pages of the blocks that are one cluster, null for the others.
type HugePages = KVVec<AtomicPtr<bindings::page>>;

/// What is behind the region's mutex of the pool.
pub(super) struct BufferPool {
    used: Bitmap<KVVec<u64>>,
    clusters: KVVec<(Cluster, u32)>,
    /// Buffers with memory; all of them come before those without.
    backed: u32,
}

/// The part of the pool that page faults read without a lock.
pub(super) struct BufferMap {
    pub(super) table: BufferTable,
    huge: HugePages,
}

impl BufferMap {
    /// The head page of the 2 MiB page at `offset` of the pool, if that block is one.
    pub(super) fn huge_at(&self, offset: u64) -> Option<NonNull<bindings::page>> {
        let block = usize::try_from(offset / block_size()).ok()?;
        NonNull::new(self.huge.get(block)?.load(Ordering::Acquire))
    }
}

/// Bytes of a block.
fn block_size() -> u64 {
    (PAGE_SIZE as u64) << HUGE_ORDER
}

/// A pool of `total` buffers of `buf_size` bytes, a power of two up to the size of a block.
pub(super) fn new(total: u32, buf_size: u32) -> Result<(BufferPool, BufferMap)> {
    let mut addresses = KVVec::with_capacity(total as usize, GFP_KERNEL_ACCOUNT)?;
    for _ in 0..total {
        addresses.push(AtomicPtr::new(core::ptr::null_mut()), GFP_KERNEL_ACCOUNT)?;
    }
    let blocks = (u64::from(total) * u64::from(buf_size)).div_ceil(block_size());
    let mut huge = HugePages::new();
    for _ in 0..blocks {
        huge.push(AtomicPtr::new(core::ptr::null_mut()), GFP_KERNEL_ACCOUNT)?;
    }
    let words = KVVec::from_elem(0u64, words_for(total), GFP_KERNEL_ACCOUNT)?;
    let pool = BufferPool {
        // Grows with what has memory, so that the allocator hands out nothing else.
        used: Bitmap::new(words, 0).map_err(|_| EINVAL)?,
        clusters: KVVec::new(),
        backed: 0,
    };
    // INVARIANT: All entries are null.
    let table = BufferTable {
        addresses,
        buf_size,
    };
    Ok((pool, BufferMap { table, huge }))
}

impl BufferPool {
    /// Buffers that could be handed out now or after taking more memory.
    pub(super) fn free_count(&self, map: &BufferMap) -> u32 {
        self.used.free_count() + map.table.total().saturating_sub(self.backed.max(RESERVED))
    }

    /// Buffers handed out.
    pub(super) fn used_count(&self) -> u32 {
        self.backed
            .saturating_sub(RESERVED)
            .saturating_sub(self.used.free_count())
    }

    /// Clusters taken from the system, and how many of them are of 2 MiB.
    pub(super) fn clusters(&self) -> (usize, usize) {
        let huge = self
            .clusters
            .iter()
            .filter(|(cluster, _)| cluster.order() == HUGE_ORDER)
            .count();
        (self.clusters.len(), huge)
    }

    /// The clusters, each with the index of its first buffer.
    pub(super) fn each_cluster(&self) -> impl Iterator<Item = (&Cluster, u32)> {
        self.clusters
            .iter()
            .map(|(cluster, first)| (cluster, *first))
    }

    /// Hands out `count` buffers, all or none, after taking memory for them if need be.
    ///
    /// No cluster is larger than `largest` bytes, or a buffer. `added` is told of each new cluster, to map it for the
    /// devices; it fails the allocation if it fails. `ENOSPC` if the pool has no room for as many, `ENOMEM` if the system
    /// has no memory.
    pub(super) fn alloc(
        &mut self,
        map: &BufferMap,
        count: u32,
        largest: usize,
        mut added: impl FnMut(&Cluster, u32) -> Result,
        mut take: impl FnMut(u32),
    ) -> Result {
        if count > self.free_count(map) {
            return Err(ENOSPC);
        }
        while self.used.free_count() < count {
            self.grow(map, largest, &mut added)?;
        }
        self.used.alloc_many(count, &mut take);
        Ok(())
    }

    /// Takes memory for the rest of the block in which the first buffer without memory lies.
    fn grow(
        &mut self,
        map: &BufferMap,
        largest: usize,
        added: &mut impl FnMut(&Cluster, u32) -> Result,
    ) -> Result {
        let size = u64::from(map.table.buf_size());
        let total = map.table.total();
        let at = u64::from(self.backed) * size;
        let end = (u64::from(total) * size).next_multiple_of(PAGE_SIZE as u64);
        let room = (block_size() - at % block_size()).min(end.next_multiple_of(block_size()) - at);
        let least = (size as usize)
            .div_ceil(PAGE_SIZE)
            .next_power_of_two()
            .trailing_zeros();
        let most = ((room as usize).min(largest) / PAGE_SIZE)
            .max(1)
            .ilog2()
            .min(HUGE_ORDER);
        let cluster = (least..=most.max(least))
            .rev()
            .find_map(|order| Cluster::new(order).ok())
            .ok_or(ENOMEM)?;
        let first = self.backed;
        let buffers = u32::try_from(cluster.size() >> size.trailing_zeros()).map_err(|_| EINVAL)?;
        let backed = first.saturating_add(buffers).min(total);
        self.clusters.reserve(1, GFP_KERNEL_ACCOUNT)?;
        added(&cluster, first)?;
        for index in first..backed {
            let address = cluster
                .address()
                .as_ptr()
                .wrapping_add((index - first) as usize * size as usize);
            if let Some(entry) = map.table.addresses.get(index as usize) {
                // INVARIANT: The buffer lies in the cluster, which the pool keeps.
                entry.store(address, Ordering::Release);
            }
        }
        if cluster.order() == HUGE_ORDER {
            if let Some(entry) = map.huge.get((at / block_size()) as usize) {
                entry.store(cluster.page(), Ordering::Release);
            }
        }
        self.clusters.push((cluster, first), GFP_KERNEL_ACCOUNT)?;
        self.backed = backed;
        self.used.grow(backed).map_err(|_| EINVAL)?;
        if first < RESERVED {
            self.used.alloc_many(RESERVED - first, |_| ());
        }
        Ok(())
    }

    /// Takes a buffer back and zeroes it; says whether it was handed out. No device may write to it any more.
    pub(super) fn free(&mut self, map: &BufferMap, index: u32) -> bool {
        if index < RESERVED || self.used.free(index).is_err() {
            return false;
        }
        if let Some(buffer) = map.table.get(index) {
            // SAFETY: The table's entries are buffers of this size that stay.
            unsafe {
                core::ptr::write_bytes(buffer.as_ptr(), 0, map.table.buf_size() as usize);
            }
        }
        true
    }

    /// Whether a buffer is handed out.
    pub(super) fn is_used(&self, index: u32) -> bool {
        index >= RESERVED && self.used.is_allocated(index)
    }

    /// One more than the highest index that may be handed out.
    pub(super) fn backed(&self) -> u32 {
        self.backed
    }
}
