// SPDX-License-Identifier: GPL-2.0

//! A part of a region that is handed out in runs of pages: the pools of interfaces and of rings.

use super::page::{Cluster, PAGE_SIZE};
use crate::{
    atomic::{AtomicPtr, Ordering},
    bindings,
    logic::bitmap::{words_for, Bitmap},
    prelude::*, //
};
use core::ptr::NonNull;

/// The pages of the area by their number, null where none was taken yet. Written under the region's mutex, read by
/// page faults without it: an entry that was once written stays.
type PageTable = KVVec<AtomicPtr<bindings::page>>;

/// What the region's mutex protects of an area.
struct AreaState {
    used: Bitmap<KVVec<u64>>,
    owned: KVVec<Cluster>,
}

/// An area of `capacity` pages.
pub(crate) struct PageArea {
    pages: PageTable,
    state: AreaState,
}

/// A run of pages of an area, contiguous for the kernel and at their offset in the region.
///
/// It must be given back to its area by [`PageArea::free`], after its last use; dropping it undoes the mapping alone.
///
/// # Invariants
///
/// `address` is a kernel mapping of `count` pages of the area, from page `first` on, which lives as long as this value.
pub(crate) struct PageRun {
    address: NonNull<u8>,
    first: u32,
    count: u32,
}

// SAFETY: The mapping belongs to no thread.
unsafe impl Send for PageRun {}
// SAFETY: All methods are reads of what never changes.
unsafe impl Sync for PageRun {}

impl PageRun {
    /// Where the kernel sees the run.
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// Offset in the area in bytes.
    pub(crate) fn offset(&self) -> usize {
        self.first as usize * PAGE_SIZE
    }

    fn clear(&self) {
        // SAFETY: By the type's invariant. To the kernel nobody else uses the run: it is being handed out or taken back.
        unsafe {
            core::ptr::write_bytes(self.address.as_ptr(), 0, self.count as usize * PAGE_SIZE);
        }
    }
}

impl Drop for PageRun {
    fn drop(&mut self) {
        // SAFETY: The mapping was made by `vmap` and is ours by the type's invariant.
        unsafe { bindings::netmap_vunmap(self.address.as_ptr().cast()) };
    }
}

/// Page faults read the table without the mutex that protects the rest, through [`PageArea::view`].
impl PageArea {
    /// An area without any memory yet.
    pub(crate) fn new(capacity: u32) -> Result<Self> {
        let mut pages = PageTable::with_capacity(capacity as usize, GFP_CHARGED)?;
        for _ in 0..capacity {
            pages.push(AtomicPtr::new(core::ptr::null_mut()), GFP_CHARGED)?;
        }
        let words = KVVec::from_elem(0u64, words_for(capacity), GFP_CHARGED)?;
        Ok(Self {
            pages,
            state: AreaState {
                used: Bitmap::new(words, capacity).map_err(|_| EINVAL)?,
                owned: KVVec::new(),
            },
        })
    }

    /// Pages that are not handed out.
    pub(crate) fn free_count(&self) -> u32 {
        self.state.used.free_count()
    }

    /// All pages.
    pub(crate) fn capacity(&self) -> u32 {
        self.state.used.len()
    }

    /// Pages that were taken from the system.
    pub(crate) fn backed(&self) -> usize {
        self.state.owned.len()
    }

    /// Hands out `count` zeroed pages in a row, or `ENOSPC` if the area has no such run, or `ENOMEM`.
    pub(crate) fn alloc(&mut self, count: u32) -> Result<PageRun> {
        let mut list = KVVec::<*mut bindings::page>::with_capacity(count as usize, GFP_CHARGED)?;
        let first = self.state.used.alloc_run(count, 1).ok_or(ENOSPC)?;
        match self.back(first, count, &mut list) {
            Ok(run) => {
                // Zeroed when they came back, but a program that has them mapped may have written to them since.
                run.clear();
                Ok(run)
            }
            Err(error) => {
                self.release(first, count);
                Err(error)
            }
        }
    }

    /// The page at this number, which is taken from the system if there is none yet. [`None`] beyond the area's end.
    pub(crate) fn fill(&mut self, number: usize) -> Result<Option<*mut bindings::page>> {
        let Some(entry) = self.pages.get(number) else {
            return Ok(None);
        };
        let mut page = entry.load(Ordering::Relaxed);
        if page.is_null() {
            let cluster = Cluster::new(0)?;
            page = cluster.page();
            self.state.owned.push(cluster, GFP_CHARGED)?;
            // Pairs with the acquire in `PageTableView::get`.
            entry.store(page, Ordering::Release);
        }
        Ok(Some(page))
    }

    fn back(
        &mut self,
        first: u32,
        count: u32,
        list: &mut KVVec<*mut bindings::page>,
    ) -> Result<PageRun> {
        for number in first..first.saturating_add(count) {
            // The bitmap has as many bits as there are pages.
            let page = self.fill(number as usize)?.ok_or(EINVAL)?;
            list.push(page, GFP_CHARGED)?;
        }
        // SAFETY: `list` holds `count` valid pages.
        let address = unsafe { bindings::netmap_vmap(list.as_mut_ptr(), count) };
        // INVARIANT: Just mapped.
        Ok(PageRun {
            address: NonNull::new(address.cast()).ok_or(ENOMEM)?,
            first,
            count,
        })
    }

    fn release(&mut self, first: u32, count: u32) {
        for page in first..first.saturating_add(count) {
            // They were allocated together, so this cannot fail.
            let _ = self.state.used.free(page);
        }
    }

    /// Takes a run back and zeroes it, because programs that have it mapped can still read it.
    pub(crate) fn free(&mut self, run: &PageRun) {
        run.clear();
        self.release(run.first, run.count);
    }

    /// The page at this number, if it was ever used.
    pub(crate) fn view(&self) -> PageTableView {
        PageTableView {
            pages: self.pages.as_ptr(),
            count: self.pages.len(),
        }
    }
}

/// The page table of an area, to be read without a lock.
///
/// # Invariants
///
/// `pages` points to `count` entries, which live as long as the area.
pub(crate) struct PageTableView {
    pages: *const AtomicPtr<bindings::page>,
    count: usize,
}

// SAFETY: The entries are atomics.
unsafe impl Send for PageTableView {}
// SAFETY: As above.
unsafe impl Sync for PageTableView {}

impl PageTableView {
    /// Whether the area ends before this number.
    pub(crate) fn ends_before(&self, index: usize) -> bool {
        index >= self.count
    }

    /// The page at this number, if one was taken.
    ///
    /// # Safety
    ///
    /// The area must be alive.
    pub(crate) unsafe fn get(&self, index: usize) -> Option<NonNull<bindings::page>> {
        if self.ends_before(index) {
            return None;
        }
        // SAFETY: By the type's invariant and this function's requirement.
        NonNull::new(unsafe { (*self.pages.add(index)).load(Ordering::Acquire) })
    }
}
