// SPDX-License-Identifier: GPL-2.0

//! The pool of buffers of a region.
//!
//! The pool's room is cut into blocks of 2 MiB. A block gets memory when its first buffer is needed: one cluster of
//! 2 MiB where the system has one, smaller ones where it has not.
//!
//! A program that has the region mapped can read all of it, also buffers that are free. So buffers are zeroed when they are
//! taken back, and no other program finds what one has left behind, whether it gets these buffers or not.

use super::page::{Cluster, CLUSTER_ORDER, PAGE_SIZE};
use crate::{
    atomic::{AtomicPtr, Ordering},
    bindings,
    logic::{
        bitmap::{words_for, Bitmap},
        slot::RESERVED_BUFFERS, //
    },
    prelude::*,
    sys::sched, //
};
use core::ptr::NonNull;

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

    /// The same for many of them, one after the other.
    #[inline]
    pub(crate) fn buffers(&self) -> Buffers<'_> {
        Buffers(&self.addresses)
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

/// The buffers of a [`BufferTable`], for a loop over packets: what it needs for each of them is in the value itself.
#[derive(Clone, Copy)]
pub(crate) struct Buffers<'a>(&'a [AtomicPtr<u8>]);

impl Buffers<'_> {
    /// The kernel's address of a buffer; [`None`] for an index without a buffer or of a reserved one.
    #[inline(always)]
    pub(crate) fn get(self, index: u32) -> Option<NonNull<u8>> {
        if index < RESERVED_BUFFERS {
            return None;
        }
        NonNull::new(self.0.get(index as usize)?.load(Ordering::Acquire))
    }
}

/// The head pages of the blocks that are one cluster, null for the others.
type HugePages = KVVec<AtomicPtr<bindings::page>>;

/// The devices that have a pool's buffers mapped.
pub(super) trait Devices {
    /// A cluster that all of them have mapped; undone when it is dropped.
    type Mapped;

    /// Maps a cluster, the last of `before` + 1 that may be published.
    fn map(&self, cluster: &Cluster, before: usize) -> Result<Self::Mapped>;

    /// Lets the devices use a cluster, whose first buffer is `first`, from now on until the region goes.
    fn publish(&self, mapped: Self::Mapped, first: u32);
}

/// A cluster that is not published yet.
struct Fresh<M> {
    /// Before the cluster, so that it is dropped first.
    mapped: M,
    cluster: Cluster,
    first: u32,
}

/// One more than the index of the last buffer of a cluster.
fn end_of(map: &BufferMap, cluster: &Cluster, first: u32) -> u32 {
    // At most 2 MiB of at least 64 bytes each.
    let buffers = (cluster.size() >> map.table.buf_size().trailing_zeros()) as u32;
    first.saturating_add(buffers).min(map.table.total())
}

/// Takes memory from the buffer `first` on, for the rest of its block at most.
fn new_cluster(map: &BufferMap, first: u32, largest: usize) -> Result<Cluster> {
    let size = u64::from(map.table.buf_size());
    let at = u64::from(first) * size;
    let end = (u64::from(map.table.total()) * size).next_multiple_of(PAGE_SIZE as u64);
    let room = (block_size() - at % block_size()).min(end.next_multiple_of(block_size()) - at);
    let least = (size as usize)
        .div_ceil(PAGE_SIZE)
        .next_power_of_two()
        .trailing_zeros();
    let most = ((room as usize).min(largest) / PAGE_SIZE)
        .checked_ilog2()
        .unwrap_or(0)
        .min(CLUSTER_ORDER);
    (least..=most.max(least))
        .rev()
        .find_map(|order| Cluster::new(order).ok())
        .ok_or(ENOMEM)
}

/// The part of the pool that the region's mutex protects.
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
    (PAGE_SIZE as u64) << CLUSTER_ORDER
}

/// A pool of `total` buffers of `buf_size` bytes, a power of two up to the size of a block.
pub(super) fn new(total: u32, buf_size: u32) -> Result<(BufferPool, BufferMap)> {
    let mut addresses = KVVec::with_capacity(total as usize, GFP_CHARGED)?;
    for _ in 0..total {
        addresses.push(AtomicPtr::new(core::ptr::null_mut()), GFP_CHARGED)?;
    }
    let blocks = (u64::from(total) * u64::from(buf_size)).div_ceil(block_size());
    let mut huge = HugePages::new();
    for _ in 0..blocks {
        huge.push(AtomicPtr::new(core::ptr::null_mut()), GFP_CHARGED)?;
    }
    let words = KVVec::from_elem(0u64, words_for(total), GFP_CHARGED)?;
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
        self.used.free_count()
            + map
                .table
                .total()
                .saturating_sub(self.backed.max(RESERVED_BUFFERS))
    }

    /// Buffers handed out.
    pub(super) fn used_count(&self) -> u32 {
        self.backed
            .saturating_sub(RESERVED_BUFFERS)
            .saturating_sub(self.used.free_count())
    }

    /// Clusters taken from the system, and how many of them are of 2 MiB.
    pub(super) fn clusters(&self) -> (usize, usize) {
        let huge = self
            .clusters
            .iter()
            .filter(|(cluster, _)| cluster.order() == CLUSTER_ORDER)
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
    /// No cluster is larger than `largest` bytes, or a buffer. Each new one goes through `devices`. `ENOSPC` if the pool
    /// has no room for as many, `ENOMEM` if the system has no memory, or what `devices` says; then the pool is as before.
    pub(super) fn alloc<D: Devices>(
        &mut self,
        map: &BufferMap,
        count: u32,
        largest: usize,
        devices: &D,
        mut take: impl FnMut(u32),
    ) -> Result {
        if count > self.free_count(map) {
            return Err(ENOSPC);
        }
        let free = self.used.free_count();
        let before = self.backed.max(RESERVED_BUFFERS);
        // The reserved buffers are never counted as free.
        self.grow(map, largest, devices, |backed| {
            free + backed.max(RESERVED_BUFFERS) - before >= count
        })?;
        self.used.alloc_many(count, &mut take);
        Ok(())
    }

    /// Takes a cluster for the first buffers that have no memory, unless the buffer `index` has some. Returns whether it has now:
    /// if not, there is more to be done, for which the caller need not keep the mutex.
    ///
    /// `EINVAL` if there is no such buffer, else errors as [`Self::alloc`]; what earlier calls have taken stays.
    pub(super) fn approach<D: Devices>(
        &mut self,
        map: &BufferMap,
        index: u32,
        largest: usize,
        devices: &D,
    ) -> Result<bool> {
        if index >= map.table.total() {
            return Err(EINVAL);
        }
        if self.backed <= index {
            let before = self.backed;
            self.grow(map, largest, devices, |backed| backed > before)?;
        }
        Ok(self.backed > index)
    }

    /// Takes memory until `enough` says so of the number of buffers that have some, which becomes true before all have; all of
    /// it, or nothing if some is not to be had or the task is killed, which is `EINTR`.
    fn grow<D: Devices>(
        &mut self,
        map: &BufferMap,
        largest: usize,
        devices: &D,
        enough: impl Fn(u32) -> bool,
    ) -> Result {
        let mut new = KVVec::<Fresh<D::Mapped>>::new();
        let mut backed = self.backed;
        while !enough(backed) {
            if sched::killed() {
                return Err(EINTR);
            }
            new.reserve(1, GFP_CHARGED)?;
            let cluster = new_cluster(map, backed, largest)?;
            let mapped = devices.map(&cluster, new.len())?;
            let first = backed;
            backed = end_of(map, &cluster, first);
            let fresh = Fresh {
                mapped,
                cluster,
                first,
            };
            new.push(fresh, GFP_CHARGED)?;
        }
        self.clusters.reserve(new.len(), GFP_CHARGED)?;
        // From here on programs and devices can see the new memory, and nothing fails.
        for fresh in new {
            self.add(map, devices, fresh);
        }
        Ok(())
    }

    fn add<D: Devices>(&mut self, map: &BufferMap, devices: &D, fresh: Fresh<D::Mapped>) {
        let Fresh {
            mapped,
            cluster,
            first,
        } = fresh;
        let size = map.table.buf_size() as usize;
        let backed = end_of(map, &cluster, first);
        for index in first..backed {
            let address = cluster
                .address()
                .as_ptr()
                .wrapping_add((index - first) as usize * size);
            if let Some(entry) = map.table.addresses.get(index as usize) {
                // INVARIANT: The buffer lies in the cluster, which the pool keeps.
                entry.store(address, Ordering::Release);
            }
        }
        if cluster.order() == CLUSTER_ORDER {
            let at = u64::from(first) * size as u64;
            if let Some(entry) = map.huge.get((at / block_size()) as usize) {
                entry.store(cluster.page(), Ordering::Release);
            }
        }
        devices.publish(mapped, first);
        // There is room for it, and for all words of the bitmap.
        let _ = self.clusters.push_within_capacity((cluster, first));
        let _ = self.used.grow(backed);
        self.backed = backed;
        if first < RESERVED_BUFFERS {
            self.used.alloc_many(RESERVED_BUFFERS - first, |_| ());
        }
    }

    /// Takes a buffer that was handed out back and zeroes it. No device may write to it any more.
    pub(super) fn free(&mut self, map: &BufferMap, index: u32) {
        if index < RESERVED_BUFFERS || self.used.free(index).is_err() {
            return;
        }
        if let Some(buffer) = map.table.get(index) {
            // SAFETY: The table's entries are buffers of this size that stay.
            unsafe {
                core::ptr::write_bytes(buffer.as_ptr(), 0, map.table.buf_size() as usize);
            }
        }
    }
}
