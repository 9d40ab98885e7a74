// SPDX-License-Identifier: BSD-2-Clause
//! The regions that a context has mapped: one `struct nmem_d` for all ports that use the same.

use crate::context::{
    self, fail, last_error, nmctx_free, nmctx_lock, nmctx_unlock, place, Context,
};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

/// The files whose ports use a mapping, by its address. The first of a mapping is the one that has it: the kernel keeps that bound
/// until the mapping is gone.
static FILES: Mutex<Vec<(usize, c_int)>> = Mutex::new(Vec::new());

/// `struct nmem_d`.
#[repr(C)]
pub struct MemDesc {
    /// The region's number.
    pub mem_id: u16,
    /// Ports that use it.
    pub refcount: c_int,
    /// Its first octet.
    pub mem: *mut c_void,
    /// Its size.
    pub size: usize,
    /// Not 0: the memory is the program's.
    pub is_extmem: c_int,
    /// The next of the context's list.
    pub next: *mut MemDesc,
    /// The one before.
    pub prev: *mut MemDesc,
}

/// Where a region is to be found.
#[derive(Clone, Copy)]
pub enum Memory {
    /// In a mapping of this file, of as many octets.
    File(c_int, usize),
    /// In memory of the program's own.
    Own(*mut c_void, usize),
}

/// The region `mem_id` of the context, which has one more user now; null and `errno` if it cannot be mapped.
///
/// # Safety
///
/// `context` must be one.
pub unsafe fn get(context: *mut Context, mem_id: u16, memory: Memory) -> *mut MemDesc {
    // SAFETY: as the caller promises; what is done with the list is done under its lock.
    unsafe {
        nmctx_lock(context);
        let mut region = find(context, mem_id, memory);
        if region.is_null() {
            region = add(context, mem_id, memory);
        }
        if !region.is_null() {
            (*region).refcount += 1;
            if let Memory::File(fd, _) = memory {
                let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
                files.push(((*region).mem.addr(), fd));
            }
        }
        nmctx_unlock(context);
        region
    }
}

/// # Safety
///
/// `context` must be one, and locked.
unsafe fn find(context: *mut Context, mem_id: u16, memory: Memory) -> *mut MemDesc {
    // A mapping that ends before what is asked for is of no use.
    let (Memory::File(_, size) | Memory::Own(_, size)) = memory;
    // SAFETY: as the caller promises; the members of the list are whole.
    unsafe {
        let mut region = *context::regions(context);
        while !region.is_null() && ((*region).mem_id != mem_id || (*region).size < size) {
            region = (*region).next;
        }
        region
    }
}

/// # Safety
///
/// `context` must be one, and locked.
unsafe fn add(context: *mut Context, mem_id: u16, memory: Memory) -> *mut MemDesc {
    let (mem, size, is_extmem) = match memory {
        Memory::Own(mem, size) => (mem, size, 1),
        Memory::File(fd, size) => {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
            let mem = unsafe { libc::mmap(null_mut(), size, access, libc::MAP_SHARED, fd, 0) };
            if mem == libc::MAP_FAILED {
                let (errno, error) = last_error();
                // SAFETY: as the caller promises.
                unsafe { fail(context, errno, format_args!("mmap: {error}")) };
                return null_mut();
            }
            (mem, size, 0)
        }
    };
    // SAFETY: as the caller promises; the list's members are whole.
    unsafe {
        let list = context::regions(context);
        let region = place(
            context,
            MemDesc {
                mem_id,
                refcount: 0,
                mem,
                size,
                is_extmem,
                next: *list,
                prev: null_mut(),
            },
        );
        if !region.is_null() {
            if !(*list).is_null() {
                (**list).prev = region;
            }
            *list = region;
        } else if is_extmem == 0 {
            libc::munmap(mem, size);
        }
        region
    }
}

/// A region has one user less, the port of file `fd`; the last one unmaps it.
///
/// # Safety
///
/// `context` must be one, and `region` of `get`, once for each `put`; nothing may be in use there if this is the last.
pub unsafe fn put(context: *mut Context, region: *mut MemDesc, fd: c_int) {
    // SAFETY: as the caller promises; what is done with the list is done under its lock.
    unsafe {
        nmctx_lock(context);
        (*region).refcount -= 1;
        hand_over(region, fd);
        if (*region).refcount <= 0 {
            let (next, prev) = ((*region).next, (*region).prev);
            if !next.is_null() {
                (*next).prev = prev;
            }
            if prev.is_null() {
                *context::regions(context) = next;
            } else {
                (*prev).next = next;
            }
            if (*region).is_extmem == 0 {
                libc::munmap((*region).mem, (*region).size);
            }
            nmctx_free(context, region.cast());
        }
        nmctx_unlock(context);
    }
}

/// The file `fd` of a port that uses a mapping is about to be closed.
///
/// # Safety
///
/// `context` must be one, and `region` of `get`.
pub unsafe fn close(context: *mut Context, region: *mut MemDesc, fd: c_int) {
    // SAFETY: as the caller promises.
    unsafe {
        nmctx_lock(context);
        hand_over(region, fd);
        nmctx_unlock(context);
    }
}

/// The file `fd` has no part in the mapping of a region any more. If it is the one that has the mapping, and there are others, one of
/// these has it from now on, at the same place and of the same memory: the port's interface is given back when the file is closed.
///
/// # Safety
///
/// `region` must be whole, and its context locked.
unsafe fn hand_over(region: *mut MemDesc, fd: c_int) {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: as the caller promises.
    let (mem, size) = unsafe { ((*region).mem, (*region).size) };
    let of_region = |&(at, _): &(usize, c_int)| at == mem.addr();
    let first = files.iter().position(of_region);
    let Some(place) = files.iter().position(|file| *file == (mem.addr(), fd)) else {
        return;
    };
    files.remove(place);
    if first != Some(place) {
        return;
    }
    if let Some((_, next)) = files.iter().find(|file| of_region(file)) {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let how = libc::MAP_SHARED | libc::MAP_FIXED;
        // SAFETY: it takes the place of a mapping of the same region, all of it, and every pointer into that leads to the same octets as
        // before. Should it fail, the mapping that was there stays, and the file with it.
        unsafe { libc::mmap(mem, size, access, how, *next, 0) };
    }
}
