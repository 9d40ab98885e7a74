// SPDX-License-Identifier: GPL-2.0

//! Memory of descriptor rings: ours, and a driver's.

use crate::{
    bindings,
    nic::family::register::Hardware,
    prelude::*, //
};
use core::ptr::NonNull;
use kernel::page::PAGE_SIZE;

/// Bytes of a descriptor.
pub const DESCRIPTOR: u32 = 16;

/// A descriptor ring of our own.
///
/// Whoever drops it has made sure that no queue has it any more. The memory is not from `kernel::dma`, whose functions take a
/// `Device<Bound>`: only the driver that is bound to the device can have one, and this module is not that.
///
/// # Invariants
///
/// `start` points to `count` descriptors of coherent DMA memory of the device of `hw`, which sees them at `address`.
pub struct Descriptors {
    hw: Arc<Hardware>,
    start: NonNull<u64>,
    address: u64,
    count: u32,
}

// SAFETY: The memory is not bound to a thread.
unsafe impl Send for Descriptors {}
// SAFETY: The memory is only accessed by volatile reads and writes of words.
unsafe impl Sync for Descriptors {}

impl Descriptors {
    /// A ring of `count` zeroed descriptors; `ENOMEM`.
    pub fn new(hw: &Arc<Hardware>, count: u32) -> Result<Self> {
        let mut address = 0;
        let bytes = (count * DESCRIPTOR) as usize;
        // SAFETY: The device is valid.
        let start = unsafe { bindings::netmap_dma_alloc(hw.device(), bytes, &mut address) };
        // INVARIANT: Just allocated; the allocator zeroes it.
        Ok(Self {
            hw: hw.clone(),
            start: NonNull::new(start.cast()).ok_or(ENOMEM)?,
            address,
            count,
        })
    }

    /// The number of descriptors.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of all descriptors.
    pub fn bytes(&self) -> u32 {
        self.count * DESCRIPTOR
    }

    /// Where the device sees the ring.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The first word of descriptor `index`.
    ///
    /// # Safety
    ///
    /// `index` must be below [`Self::count`].
    #[inline]
    pub unsafe fn at(&self, index: u32) -> *mut u64 {
        // SAFETY: By the requirement it is within the ring.
        unsafe { self.start.as_ptr().add(2 * index as usize) }
    }

    /// Zeroes all descriptors.
    pub fn clear(&self) {
        for word in 0..2 * self.count as usize {
            // SAFETY: Within the ring, by the type's invariant.
            unsafe { self.start.as_ptr().add(word).write_volatile(0) };
        }
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: Allocated in `new` with these values, and no queue has it any more.
        unsafe {
            bindings::netmap_dma_free(
                self.hw.device(),
                self.bytes() as usize,
                self.start.as_ptr().cast(),
                self.address,
            )
        };
    }
}

/// The descriptor ring of a driver, found through the registers that the driver wrote.
///
/// # Invariants
///
/// The pages were the ring's, in order, when it was found. They are accessed only while they are, see
/// [`DriverRing::find`].
pub struct DriverRing {
    pages: KVec<NonNull<u8>>,
    address: u64,
    offset: usize,
    count: u32,
}

// SAFETY: The pages belong to no thread.
unsafe impl Send for DriverRing {}

impl DriverRing {
    /// The ring of `count` descriptors that the device sees at `address`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the address does not lead to memory, as one that was read from a device that no longer answers; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// They must be what the driver has programmed a queue with, which it does not free during the call. [`Self::read`] and
    /// [`Self::write`] must not be called on the result once the driver may have freed that ring.
    pub unsafe fn find(hw: &Hardware, address: u64, count: u32) -> Result<Self> {
        if address % u64::from(DESCRIPTOR) != 0 {
            return Err(EFAULT);
        }
        let bytes = u64::from(count) * u64::from(DESCRIPTOR);
        let end = address.checked_add(bytes).ok_or(EFAULT)?;
        let offset = (address % PAGE_SIZE as u64) as usize;
        let mut pages = KVec::new();
        for page in (address - offset as u64..end).step_by(PAGE_SIZE) {
            // SAFETY: The device is valid. The shim looks the address up in the device's IOMMU domain, if it has one.
            let virt = unsafe { bindings::netmap_dma_to_virt(hw.device(), page) };
            pages.push(NonNull::new(virt.cast()).ok_or(EFAULT)?, GFP_CHARGED)?;
        }
        // INVARIANT: Each page was looked up.
        Ok(Self {
            pages,
            address,
            offset,
            count,
        })
    }

    /// Where the device sees the ring.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// The number of descriptors.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// A word of a descriptor, 0 or 1; [`None`] if there is no such descriptor.
    fn word(&self, descriptor: u32, word: usize) -> Option<*mut u64> {
        if descriptor >= self.count {
            return None;
        }
        let byte = self.offset + (descriptor * DESCRIPTOR) as usize + 8 * word;
        let page = self.pages.get(byte / PAGE_SIZE)?;
        // SAFETY: Within the page.
        Some(unsafe { page.as_ptr().add(byte % PAGE_SIZE).cast() })
    }

    /// Reads a word of a descriptor, 0 or 1; 0 if there is no such descriptor.
    pub fn read(&self, descriptor: u32, word: usize) -> u64 {
        self.word(descriptor, word).map_or(0, |word| {
            // SAFETY: Part of the ring, which the driver still has by the requirement of `find`. It is 8-byte aligned,
            // because `find` takes no ring that does not begin at a multiple of a descriptor.
            u64::from_le(unsafe { word.read_volatile() })
        })
    }

    /// Writes a word of a descriptor, 0 or 1, if there is such a descriptor.
    pub fn write(&self, descriptor: u32, word: usize, value: u64) {
        if let Some(word) = self.word(descriptor, word) {
            // SAFETY: As above. Whether driver and hardware may find that value there is up to the caller.
            unsafe { word.write_volatile(value.to_le()) }
        }
    }
}
