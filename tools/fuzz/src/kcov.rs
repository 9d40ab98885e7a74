// SPDX-License-Identifier: BSD-2-Clause
//! Which code of the module a thread ran: the kernel's `kcov`.

use libc::{c_int, c_ulong, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};

const KCOV_INIT_TRACE: c_ulong = 0x8008_6301;
const KCOV_ENABLE: c_ulong = 0x6364;
const KCOV_DISABLE: c_ulong = 0x6365;
const KCOV_TRACE_PC: c_ulong = 0;
/// Addresses that one operation can leave, in words: a bind goes through thousands of buffers.
const WORDS: usize = 1 << 20;
/// Bytes of the module's code are fewer.
const CODE: usize = 1 << 21;

/// Memory that is shared with all processes that come from this one, and never removed.
fn shared(length: usize, file: c_int) -> io::Result<*mut c_void> {
    let anonymous = if file < 0 { libc::MAP_ANONYMOUS } else { 0 };
    // SAFETY: A new mapping, at an address of the kernel's choice.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | anonymous,
            file,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(memory)
}

/// All code that was run, by all programs so far.
pub struct Map {
    /// Where the module's code begins.
    base: u64,
    /// A byte for each of the code's, not 0 if it was come by.
    run: &'static [AtomicU8],
    /// What [`Self::news`] has told.
    told: Vec<bool>,
}

impl Map {
    /// For code that begins at this address.
    pub fn new(base: u64) -> io::Result<Self> {
        let memory = shared(CODE, -1)?;
        // SAFETY: The mapping is of that size and never removed.
        let run = unsafe { std::slice::from_raw_parts(memory.cast::<AtomicU8>(), CODE) };
        Ok(Map {
            base,
            run,
            told: vec![false; CODE],
        })
    }

    fn set(&self, address: u64) {
        let offset = usize::try_from(address.wrapping_sub(self.base)).unwrap_or(usize::MAX);
        if let Some(byte) = self.run.get(offset) {
            byte.store(1, Ordering::Relaxed);
        }
    }

    /// The addresses that were come by for the first time since the last call.
    pub fn news(&mut self) -> Vec<u64> {
        let mut news = Vec::new();
        for (offset, (run, told)) in self.run.iter().zip(&mut self.told).enumerate() {
            if run.load(Ordering::Relaxed) != 0 && !*told {
                *told = true;
                news.push(self.base + offset as u64);
            }
        }
        news
    }
}

/// Addresses that one thread at a time leaves.
pub struct Kcov {
    file: OwnedFd,
    /// The first word says how many follow.
    area: &'static [AtomicU64],
}

impl Kcov {
    /// Opens it; the kernel must have `CONFIG_KCOV`.
    pub fn new() -> io::Result<Self> {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")?;
        let file = OwnedFd::from(file);
        // SAFETY: The argument is a number.
        if unsafe { libc::ioctl(file.as_raw_fd(), KCOV_INIT_TRACE, WORDS) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let area = shared(WORDS * 8, file.as_raw_fd())?;
        // SAFETY: The mapping is of that size and never removed; the kernel and this process write to it by words.
        let area = unsafe { std::slice::from_raw_parts(area.cast::<AtomicU64>(), WORDS) };
        Ok(Kcov { file, area })
    }

    /// Begins with this thread.
    pub fn enable(&self) {
        self.area[0].store(0, Ordering::Relaxed);
        // SAFETY: The argument is a number.
        unsafe { libc::ioctl(self.file.as_raw_fd(), KCOV_ENABLE, KCOV_TRACE_PC) };
    }

    /// Ends with this thread.
    pub fn disable(&self) {
        // SAFETY: The argument is a number.
        unsafe { libc::ioctl(self.file.as_raw_fd(), KCOV_DISABLE, 0) };
    }

    /// Moves what this thread has left to the map, and makes room.
    pub fn drain(&self, map: &Map) {
        let count = usize::try_from(self.area[0].load(Ordering::Relaxed)).unwrap_or(0);
        for word in self.area[1..].iter().take(count) {
            map.set(word.load(Ordering::Relaxed));
        }
        self.area[0].store(0, Ordering::Relaxed);
    }
}
