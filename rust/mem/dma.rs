// SPDX-License-Identifier: GPL-2.0

//! The addresses at which a device sees the buffers of a region.

use super::page::Cluster;
use crate::{
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    bindings,
    prelude::*, //
};
use kernel::error::to_result;

/// The buffers of a region as one device sees them.
///
/// Made at the first bind of the device, undone when the last reference goes. The region adds every cluster that it
/// takes later on.
///
/// # Invariants
///
/// - `device` carries a reference that this value owns.
/// - A nonzero entry of `addresses` is the DMA address of a whole buffer inside of a live mapping for `device`.
pub(crate) struct DmaMap {
    device: *mut bindings::device,
    addresses: KVVec<AtomicU64>,
    buf_size: usize,
    mappings: UnsafeMappings,
    /// Ports that use this map; written under the region's mutex.
    pub(super) users: AtomicUsize,
    need_sync: AtomicBool,
    largest: usize,
}

/// The addresses of a [`DmaMap`].
#[derive(Clone, Copy)]
pub(crate) struct AddressTable<'a>(&'a [AtomicU64]);

impl AddressTable<'_> {
    /// As [`DmaMap::get`].
    #[inline]
    pub(crate) fn get(self, index: u32) -> Option<u64> {
        match self.0.get(index as usize)?.load(Ordering::Relaxed) {
            0 => None,
            address => Some(address),
        }
    }
}

/// The live mappings; changed under the region's mutex only.
type UnsafeMappings = core::cell::UnsafeCell<KVVec<Mapping>>;

/// A cluster as a device sees it; undone when it is dropped.
///
/// # Invariants
///
/// `address` is a live mapping of `size` bytes for `device`, which carries a reference that this value owns.
pub(super) struct Mapping {
    device: *mut bindings::device,
    address: u64,
    size: usize,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant. Whoever programmed the device with it has released its reference to the map,
        // or the map was never told of it.
        unsafe {
            bindings::netmap_dma_unmap(self.device, self.address, self.size);
            bindings::netmap_device_put(self.device);
        }
    }
}

// SAFETY: `device` is only passed to the DMA API; `mappings` is changed under the region's mutex.
unsafe impl Send for DmaMap {}
// SAFETY: As above.
unsafe impl Sync for DmaMap {}

impl DmaMap {
    /// A map for `device` that can hold `total` buffers of `buf_size` bytes and holds none yet.
    ///
    /// # Safety
    ///
    /// `device` must be a valid device that is set up for DMA.
    pub(super) unsafe fn new(
        device: *mut bindings::device,
        total: usize,
        buf_size: usize,
    ) -> Result<Self> {
        let mut addresses = KVVec::with_capacity(total, GFP_CHARGED)?;
        for _ in 0..total {
            addresses.push(AtomicU64::new(0), GFP_CHARGED)?;
        }
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_device_hold(device) };
        // INVARIANT: A reference was just taken; all entries are zero.
        Ok(Self {
            device,
            addresses,
            buf_size,
            mappings: UnsafeMappings::new(KVVec::new()),
            users: AtomicUsize::new(0),
            need_sync: AtomicBool::new(false),
            // SAFETY: The device is valid.
            largest: unsafe { bindings::netmap_dma_largest(device) },
        })
    }

    /// Whether this is the map of `device`.
    pub(super) fn is_for(&self, device: *mut bindings::device) -> bool {
        self.device == device
    }

    /// The most bytes that can be mapped at once: a bounce buffer has a limit.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Maps a cluster. The addresses of its buffers cannot be looked up until [`Self::publish`]; `before` others that were
    /// mapped may be published first.
    ///
    /// # Safety
    ///
    /// The caller holds the region's mutex, and the cluster outlives the mapping.
    pub(super) unsafe fn map(&self, cluster: &Cluster, before: usize) -> Result<Mapping> {
        // SAFETY: The mutex makes this the only access.
        unsafe { &mut *self.mappings.get() }.reserve(before + 1, GFP_CHARGED)?;
        let mut address = 0;
        // SAFETY: Device and cluster are valid.
        to_result(unsafe {
            bindings::netmap_dma_map(self.device, cluster.page(), cluster.order(), &mut address)
        })?;
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_device_hold(self.device) };
        // INVARIANT: Just mapped, and a reference taken.
        Ok(Mapping {
            device: self.device,
            address,
            size: cluster.size(),
        })
    }

    /// Lets the addresses of a cluster, whose first buffer is `first`, be used. It must not fail: a program may use them
    /// at once.
    ///
    /// # Safety
    ///
    /// The caller has held the region's mutex since [`Self::map`] returned `mapping`, and the cluster outlives this map.
    pub(super) unsafe fn publish(&self, mapping: Mapping, first: u32) {
        // The first mapping that bounces turns it on.
        // SAFETY: The device is valid.
        let need_sync = unsafe { bindings::netmap_dma_need_sync(self.device) };
        self.need_sync.store(need_sync, Ordering::Relaxed);
        let (address, size) = (mapping.address, mapping.size);
        // SAFETY: The mutex makes this the only access.
        let mappings = unsafe { &mut *self.mappings.get() };
        if mappings.push_within_capacity(mapping).is_err() {
            // Does not happen, as there is room since the mapping was made; else the mapping would be undone by now.
            return;
        }
        let entries = self.addresses.iter().skip(first as usize);
        // Buffers 0 and 1 are reserved and no device sees them.
        for (i, entry) in entries
            .take(size >> self.buf_size.trailing_zeros())
            .enumerate()
            .filter(|(i, _)| *i + first as usize >= 2)
        {
            // INVARIANT: The buffer lies inside of the mapping, which is kept.
            entry.store(address + (i * self.buf_size) as u64, Ordering::Release);
        }
    }

    /// The address at which the device sees a buffer; [`None`] for an index without a buffer.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<u64> {
        self.table().get(index)
    }

    /// The addresses, to look up many of them.
    #[inline]
    pub(crate) fn table(&self) -> AddressTable<'_> {
        AddressTable(&self.addresses)
    }

    /// Whether the processor's view must be brought in line with the device's (bounce buffers).
    #[inline]
    pub(crate) fn need_sync(&self) -> bool {
        self.need_sync.load(Ordering::Relaxed)
    }

    /// Hands the first `len` bytes of a buffer to the device.
    pub(crate) fn sync_for_device(&self, index: u32, len: usize) {
        if let Some(address) = self.get(index) {
            // SAFETY: The address is of a live mapping of at least `buf_size` bytes from there, by the invariant.
            unsafe {
                bindings::netmap_dma_sync_for_device(self.device, address, len.min(self.buf_size))
            };
        }
    }

    /// Hands the first `len` bytes of a buffer to the processor.
    pub(crate) fn sync_for_cpu(&self, index: u32, len: usize) {
        if let Some(address) = self.get(index) {
            // SAFETY: As above.
            unsafe {
                bindings::netmap_dma_sync_for_cpu(self.device, address, len.min(self.buf_size))
            };
        }
    }
}

impl Drop for DmaMap {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type's invariant.
        unsafe { bindings::netmap_device_put(self.device) };
    }
}
