// SPDX-License-Identifier: GPL-2.0

//! `mmap`: a region in the memory of a program.
//!
//! Pages are entered as they are touched, and taken from the system then if they are not there yet, with 2 MiB mappings
//! where a part of the region is one compound page and program and region agree in alignment, which `thp_get_unmapped_area`
//! arranges. The pages are ordinary counted ones, so that they can be the source or target of direct I/O. The mapping holds
//! the file, the file its binding and the binding the region, so nothing here outlives the memory.

use super::{open_file, OpenFile, Table};
use crate::{
    atomic::{AtomicU64, Ordering},
    bindings as ours,
    port::binding::Binding,
    prelude::*, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    ffi::{c_int, c_uint},
    mm::virt::{flags, VmaNew, VmaRef},
    page::{PAGE_SHIFT, PAGE_SIZE}, //
};

/// Size of a large mapping in bytes.
const HUGE: u64 = 1 << 21;
/// Order of a page of that size.
const HUGE_PAGE_ORDER: u32 = HUGE.trailing_zeros() - PAGE_SHIFT as u32;

static OPERATIONS: Table<bindings::vm_operations_struct> = Table(bindings::vm_operations_struct {
    fault: Some(fault),
    huge_fault: Some(huge_fault),
    ..pin_init::zeroed()
});

/// Sets up a mapping of the region; no page is entered yet.
///
/// # Safety
///
/// For the kernel to call, as this operation of an open `/dev/netmap`.
pub(super) unsafe extern "C" fn mmap(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: This is an operation on an open file.
    let open = unsafe { open_file(file) };
    // SAFETY: The area is being set up by the caller.
    let area = unsafe { VmaNew::from_raw(vma) };
    // SAFETY: As above.
    let page_offset = unsafe { (*vma).vm_pgoff };
    if let Err(e) = check(open, area, page_offset as u64) {
        return e.to_errno();
    }
    area.set_dontexpand();
    area.set_dontdump();
    // SAFETY: As above; the operations are static.
    unsafe { (*vma).vm_ops = &raw const OPERATIONS.0 };
    0
}

/// Checks that the area is a shared mapping of a part of the region.
fn check(open: &OpenFile, area: &VmaRef, page_offset: u64) -> Result {
    let binding = open.binding().ok_or(EINVAL)?;
    if area.flags() & flags::SHARED == 0 {
        return Err(EINVAL);
    }
    let len = area.end().wrapping_sub(area.start()) as u64;
    let end = page_offset
        .checked_mul(PAGE_SIZE as u64)
        .and_then(|offset| offset.checked_add(len))
        .ok_or(EINVAL)?;
    if end > binding.region.size() {
        return Err(EINVAL);
    }
    Ok(())
}

/// What the two fault handlers need to know.
struct Fault<'a> {
    open: &'a OpenFile,
    binding: &'a Binding,
    area: &'a VmaRef,
    /// Faulting address.
    address: u64,
    /// Offset in the region, of the faulting page.
    offset: u64,
}

impl<'a> Fault<'a> {
    /// # Safety
    ///
    /// `vmf` must be what a fault handler of [`OPERATIONS`] was called with.
    unsafe fn new(vmf: *mut bindings::vm_fault) -> Option<Self> {
        // SAFETY: By the function's requirement; the area and its file stay during the fault, and the file is ours.
        let (vma, pgoff, address, open) = unsafe {
            let info = &raw const (*vmf).__bindgen_anon_1;
            let vma = (*info).vma;
            (
                (*info).vma,
                (*info).pgoff,
                (*info).address,
                open_file((*vma).vm_file),
            )
        };
        Some(Self {
            open,
            binding: open.binding()?,
            // SAFETY: A fault runs with the area locked for reading.
            area: unsafe { VmaRef::from_raw(vma) },
            address: address as u64,
            offset: (pgoff as u64).checked_mul(PAGE_SIZE as u64)?,
        })
    }

    /// Makes sure that there is a page; `ENOMEM` if there is no memory for it, `EINTR` if the task is killed.
    fn fill(&self) -> Result {
        self.binding.region.fill(self.offset)
    }

    /// The large page for the aligned 2 MiB around the fault, if they lie in the area and in one such page.
    fn huge(&self) -> Option<NonNull<ours::page>> {
        let inside = self.address & (HUGE - 1) & !(PAGE_SIZE as u64 - 1);
        let start = self.address & !(HUGE - 1);
        let offset = self.offset.checked_sub(inside)?;
        if offset & (HUGE - 1) != 0
            || start < self.area.start() as u64
            || start.checked_add(HUGE)? > self.area.end() as u64
        {
            return None;
        }
        self.binding.region.huge_at(offset)
    }
}

/// Enters one page.
///
/// # Safety
///
/// For the kernel to call, as this operation of a mapping of `/dev/netmap`.
unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: This is a fault handler of these operations.
    let Some(fault) = (unsafe { Fault::new(vmf) }) else {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    };
    // Also for a task that is killed, which takes no other signal any more: a fault of the kernel on its behalf has to end,
    // and would be repeated without end if the handler said that there is a page.
    let page = fault.fill().ok();
    let Some(page) = page.and_then(|()| fault.binding.region.page_at(fault.offset)) else {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    };
    count(&fault.open.faults);
    // SAFETY: The region keeps the page as long as the binding lives; the caller takes over the reference.
    unsafe {
        ours::netmap_get_page(page.as_ptr());
        (*vmf).page = page.as_ptr().cast();
    }
    0
}

/// Enters a page of 2 MiB, or leaves it to [`fault`].
///
/// # Safety
///
/// For the kernel to call, as this operation of a mapping of `/dev/netmap`.
unsafe extern "C" fn huge_fault(
    vmf: *mut bindings::vm_fault,
    order: c_uint,
) -> bindings::vm_fault_t {
    if order != HUGE_PAGE_ORDER {
        return bindings::vm_fault_reason_VM_FAULT_FALLBACK;
    }
    // SAFETY: This is a fault handler of these operations.
    let page = unsafe { Fault::new(vmf) }.and_then(|fault| {
        // What fails is left to the other handler.
        let _ = fault.fill();
        Some((fault.huge()?, fault.open))
    });
    let Some((page, open)) = page else {
        return bindings::vm_fault_reason_VM_FAULT_FALLBACK;
    };
    count(&open.huge_faults);
    // SAFETY: A head page is its folio; it has this order, and the area has room for it at this alignment.
    unsafe {
        let write = (*vmf).flags & bindings::fault_flag_FAULT_FLAG_WRITE != 0;
        bindings::vmf_insert_folio_pmd(vmf, page.as_ptr().cast(), write)
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
