// SPDX-License-Identifier: BSD-2-Clause
//! The memory that rings and buffers live in.

use crate::group::Groups;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// One mapped memory region, shared by all ports of this process that use it.
///
/// # Invariants
///
/// `base` points to `len` octets that stay readable and writable as long as the value lives.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
    mapped: bool,
    /// Offsets of the rings that have a view.
    taken: Mutex<HashSet<usize>>,
    /// The files of this process that are bound to it.
    groups: Mutex<Groups>,
    /// The same, in the order in which they came. The first one has the mapping: the kernel keeps it bound until that is gone.
    files: Mutex<Vec<RawFd>>,
}

// SAFETY: the region is plain memory, reached through raw pointers only; the set of views has its own lock.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// Regions mapped by this process, with number and length.
static REGIONS: Mutex<Vec<(u16, usize, Weak<Region>)>> = Mutex::new(Vec::new());

/// Held from before a file is bound until its group has its rings, and while the files of a group are closed. Taken before any other
/// lock.
pub(crate) static BINDS: Mutex<()> = Mutex::new(());

/// A panic leaves what the locks here protect whole, so that a poisoned lock means nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Region {
    /// The region `mem_id`, which `fd` is bound to: the mapping that another port made, or a new one. [`Self::leave`] is to be called
    /// before the file is closed.
    ///
    /// # Errors
    ///
    /// `mmap`'s.
    pub(crate) fn of(fd: BorrowedFd<'_>, mem_id: u16, len: usize) -> io::Result<Arc<Region>> {
        let mut regions = lock(&REGIONS);
        regions.retain(|(.., region)| region.strong_count() > 0);
        // No other one is kept by this, not even for a moment. The kernel gives the number of a region that is mapped to no other one.
        let mut known = regions
            .iter()
            .filter(|(known, mapped, _)| *known == mem_id && *mapped >= len);
        if let Some(region) = known.find_map(|(.., region)| region.upgrade()) {
            lock(&region.files).push(fd.as_raw_fd());
            return Ok(region);
        }
        let region = Arc::new(Region::map(fd, len)?);
        lock(&region.files).push(fd.as_raw_fd());
        regions.push((mem_id, len, Arc::downgrade(&region)));
        Ok(region)
    }

    fn map(fd: BorrowedFd<'_>, len: usize) -> io::Result<Region> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base =
            NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        // INVARIANT: just mapped; unmapped when the value is dropped.
        Ok(Region {
            base,
            len,
            mapped: true,
            taken: Mutex::default(),
            groups: Mutex::default(),
            files: Mutex::default(),
        })
    }

    /// The file `fd` is about to be closed. If it has the mapping, and there are others, one of these has it from now on, at the same
    /// place and of the same memory.
    pub(crate) fn leave(&self, fd: RawFd) {
        let mut files = lock(&self.files);
        let Some(place) = files.iter().position(|file| *file == fd) else {
            return;
        };
        files.remove(place);
        let Some(next) = files.first().filter(|_| place == 0 && self.mapped) else {
            return;
        };
        // SAFETY: it takes the place of a mapping of the same region, all of it, and whatever points into that leads to the same octets as
        // before. `next` is open, as it is taken out of the list first. Should it fail, the mapping that was there stays, and the file with it.
        unsafe {
            libc::mmap(
                self.base.as_ptr().cast(),
                self.len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                *next,
                0,
            )
        };
    }

    /// A region in memory of the test's own.
    ///
    /// # Safety
    ///
    /// `base` must be valid for reads and writes of `len` octets as long as the value lives.
    #[cfg(test)]
    pub(crate) unsafe fn fake(base: NonNull<u8>, len: usize) -> Arc<Region> {
        // INVARIANT: the caller's promise.
        Arc::new(Region {
            base,
            len,
            mapped: false,
            taken: Mutex::default(),
            groups: Mutex::default(),
            files: Mutex::default(),
        })
    }

    /// Size in octets.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Address of `offset`, if `len` octets from there on are inside and `align` divides the offset.
    pub(crate) fn at(&self, offset: usize, len: usize, align: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(len)?;
        if end > self.len || offset % align != 0 {
            return None;
        }
        // SAFETY: `offset` is inside the region by the check above.
        Some(unsafe { self.base.add(offset) })
    }

    /// The files of this process that are bound to it.
    pub(crate) fn groups(&self) -> &Mutex<Groups> {
        &self.groups
    }

    /// Notes that the ring at `offset` has a view; false if it had one.
    pub(crate) fn take_ring(&self, offset: usize) -> bool {
        lock(&self.taken).insert(offset)
    }

    /// Notes that the view of the ring at `offset` is gone.
    pub(crate) fn release_ring(&self, offset: usize) {
        lock(&self.taken).remove(&offset);
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: `map` made this mapping; nothing points into it any more, for whoever does holds the region.
            unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    const LEN: usize = 4096;

    /// A file of memory that begins with this octet.
    fn file(first: u8) -> OwnedFd {
        // SAFETY: the name is a string, and the number is a file that nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"region".as_ptr(), 0)) };
        let file = std::fs::File::from(fd);
        let mut octets = vec![0; LEN];
        octets[0] = first;
        std::os::unix::fs::FileExt::write_all_at(&file, &octets, 0).unwrap();
        file.into()
    }

    /// Here the files have memory of their own each, so that it can be seen whose the mapping is.
    #[test]
    fn the_mapping_passes_to_a_file_that_stays() {
        const ID: u16 = 60_000;
        let files = [1, 2, 3].map(file);
        let regions = files
            .each_ref()
            .map(|file| Region::of(file.as_fd(), ID, LEN).unwrap());
        let region = &regions[0];
        assert!(regions.iter().all(|other| Arc::ptr_eq(other, region)));
        // SAFETY: the octet is in the mapping, which nobody writes to.
        let first = || unsafe { region.base.as_ptr().read_volatile() };
        assert_eq!(first(), 1);
        region.leave(files[1].as_raw_fd());
        assert_eq!(first(), 1);
        region.leave(files[0].as_raw_fd());
        assert_eq!(first(), 3);
        region.leave(files[2].as_raw_fd());
        assert_eq!(first(), 3);
    }
}
