// SPDX-License-Identifier: BSD-2-Clause
//! Memory for requests: where they end up is part of the test.

use crate::tables::Place;
use libc::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

const PAGE: usize = 4096;
/// Bytes for requests, with nothing behind them.
const SIZE: usize = 8 * PAGE;

/// An address in the kernel's half.
pub const KERNEL: u64 = 0xffff_8880_0010_0000;

/// Two views of the same pages: one to write, with a page behind it that is not there, and one to read.
#[derive(Clone)]
pub struct Arena {
    base: u64,
    read_only: u64,
    used: Arc<AtomicUsize>,
}

impl Arena {
    /// New memory, which lives as long as the process.
    pub fn new() -> std::io::Result<Self> {
        let failed = |address: *mut c_void| {
            if address == libc::MAP_FAILED {
                Err(std::io::Error::last_os_error())
            } else {
                Ok(address as u64)
            }
        };
        // SAFETY: The name ends with a NUL.
        let fd = unsafe { libc::memfd_create(c"requests".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: The file is new, and the mappings are where the kernel chooses, but for the one that takes the place
        // of a part of ours.
        unsafe {
            if libc::ftruncate(fd, SIZE as i64) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            let null = std::ptr::null_mut();
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let whole = failed(libc::mmap(
                null,
                SIZE + PAGE,
                libc::PROT_NONE,
                anonymous,
                -1,
                0,
            ))?;
            let base = failed(libc::mmap(
                whole as *mut c_void,
                SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                fd,
                0,
            ))?;
            let read_only = failed(libc::mmap(
                null,
                SIZE,
                libc::PROT_READ,
                libc::MAP_SHARED,
                fd,
                0,
            ))?;
            libc::close(fd);
            Ok(Arena {
                base,
                read_only,
                used: Arc::new(AtomicUsize::new(0)),
            })
        }
    }

    /// Forgets what was placed before.
    pub fn reset(&self) {
        self.used.store(0, Ordering::Relaxed);
    }

    /// Where the last request begins, and how many bytes it and its parts have.
    pub fn in_use(&self) -> (u64, usize) {
        (self.base, self.used.load(Ordering::Relaxed))
    }

    /// The address for a structure of so many bytes, and where this process can write it, if it can.
    pub fn place(&self, place: Place, length: usize) -> (u64, Option<u64>) {
        let begin = self.used.load(Ordering::Relaxed).next_multiple_of(8);
        let begin = if begin + length + 16 > SIZE { 0 } else { begin };
        let normal = self.base + begin as u64;
        let end = self.base + SIZE as u64;
        match place {
            Place::Normal | Place::Region => {
                self.used.store(begin + length, Ordering::Relaxed);
                (normal, Some(normal))
            }
            Place::Odd => {
                self.used.store(begin + length + 1, Ordering::Relaxed);
                (normal + 1, Some(normal + 1))
            }
            Place::ReadOnly => {
                self.used.store(begin + length, Ordering::Relaxed);
                (self.read_only + begin as u64, Some(normal))
            }
            Place::Edge => (end - length as u64, Some(end - length as u64)),
            Place::Cross => (end - length as u64 / 2, Some(end - length as u64 / 2)),
            Place::Unmapped => (end, None),
            Place::Null => (0, None),
            Place::Kernel => (KERNEL, None),
            Place::Noncanonical => (1 << 63, None),
        }
    }
}
