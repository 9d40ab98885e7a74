// SPDX-License-Identifier: BSD-2-Clause
//! Memory shared with the kernel.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;

/// Octets after each mapping that can be read too, so that copies of fixed length need no care at its end.
const SPARE: usize = 4096;

/// A mapping, undone when dropped.
///
/// # Invariants
///
/// `len` octets from `base` on are readable and writable, and `SPARE` more are readable.
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Anonymous memory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn anonymous(len: usize) -> io::Result<Mapping> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(core::ptr::null_mut(), len + SPARE, access, flags, -1, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        // INVARIANT: just mapped, with the spare octets; unmapped by `drop` alone.
        Ok(Mapping { base, len })
    }

    /// `len` octets of `fd` from `offset` on.
    ///
    /// # Errors
    ///
    /// `mmap`'s.
    pub fn of(fd: &OwnedFd, len: usize, offset: i64) -> io::Result<Mapping> {
        let mapping = Mapping::anonymous(len)?;
        // SAFETY: replaces pages of a mapping that is this function's own and that nothing points into yet.
        let base = unsafe {
            libc::mmap(
                mapping.base.as_ptr().cast(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE,
                fd.as_raw_fd(),
                offset,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    /// Address of the first octet.
    pub fn base(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Address of the octet at `offset`.
    ///
    /// # Panics
    ///
    /// If it is not in the mapping.
    #[inline(always)]
    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len);
        // SAFETY: inside of the mapping, as just checked.
        unsafe { self.base.as_ptr().add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, with all that points into it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len + SPARE) };
    }
}
