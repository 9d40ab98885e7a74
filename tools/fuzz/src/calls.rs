// SPDX-License-Identifier: BSD-2-Clause
//! System calls on files and mappings.

use crate::domain::line;
use crate::machine::{errno, result, Machine, Mapping};
use crate::tables::{Wait, PROTECTIONS, WAITS};
use libc::{c_int, c_ulong, c_void};
use netmap::abi::{NIOCRXSYNC, NIOCTXSYNC};

const PAGE: u64 = 4096;

/// Opens a file; one that was open is closed.
pub fn open(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file] = *args else { return None };
    match Machine::open_device() {
        Ok(fd) => Some(machine.set_file(file, fd, None)),
        Err(errno) => Some(errno),
    }
}

/// Closes a file.
pub fn close(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file] = *args else { return None };
    machine.file(file)?;
    Some(machine.set_file(file, -1, None))
}

/// Makes another descriptor of a file.
pub fn dup(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, to] = *args else { return None };
    let fd = machine.file(file)?;
    // SAFETY: The descriptor is open.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Some(errno());
    }
    Some(machine.set_file(to, copy, machine.layout(file)))
}

fn sync(machine: &Machine<'_>, args: &[u64], number: c_ulong) -> Option<c_int> {
    let [file, more] = *args else { return None };
    let fd = machine.file(file)?;
    let mut errno = 0;
    for _ in 0..=more {
        errno = Machine::ioctl(fd, number, 0);
    }
    Some(errno)
}

/// `NIOCTXSYNC`, some times.
pub fn txsync(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    sync(machine, args, NIOCTXSYNC)
}

/// `NIOCRXSYNC`, some times.
pub fn rxsync(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    sync(machine, args, NIOCRXSYNC)
}

/// Maps the region of a file, or a part of it.
pub fn mmap_file(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, file, how, pages, offset] = *args else {
        return None;
    };
    let fd = machine.file(file)?;
    let layout = machine.layout(file);
    let whole = layout.as_ref().map_or(PAGE, |layout| layout.memsize);
    let length = if pages == 0 {
        whole
    } else {
        pages.saturating_mul(PAGE)
    };
    let offset = offset.wrapping_mul(PAGE);
    let &(protection, flags) = line(&PROTECTIONS, how);
    // All of a region at once would take all of the machine's memory for its page tables.
    let flags = if length > 64 << 20 {
        flags & !libc::MAP_POPULATE
    } else {
        flags
    };
    machine.unmap(map);
    // SAFETY: A new mapping, at an address of the kernel's choice.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            usize::try_from(length).ok()?,
            protection,
            flags,
            fd,
            offset as i64,
        )
    };
    if address == libc::MAP_FAILED {
        return Some(errno());
    }
    let mapping = Mapping {
        address: address as u64,
        length,
        offset,
        layout,
    };
    machine.with_map(map, |slot| *slot = Some(mapping));
    Some(0)
}

/// Removes a mapping, or a part of it, which is then known by what is left.
pub fn munmap_map(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, part] = *args else { return None };
    if part == 0 {
        return machine.unmap(map);
    }
    let mapping = machine.map(map)?;
    let pages = mapping.length / PAGE;
    let hole = match part {
        1 => 0..pages / 2,
        2 => pages / 2..pages,
        _ => pages / 4..pages / 2,
    };
    if hole.is_empty() {
        return None;
    }
    // SAFETY: The range is within the mapping, which this process reaches by address only.
    Some(result(unsafe {
        libc::munmap(
            (mapping.address + hole.start * PAGE) as *mut c_void,
            ((hole.end - hole.start) * PAGE) as usize,
        )
    }))
}

/// Changes what may be done with a mapping.
pub fn protect(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, how] = *args else { return None };
    let mapping = machine.map(map)?;
    let &(protection, _) = line(&PROTECTIONS, how);
    // SAFETY: The mapping is ours, and is reached by address only.
    Some(result(unsafe {
        libc::mprotect(
            mapping.address as *mut c_void,
            mapping.length as usize,
            protection,
        )
    }))
}

/// Moves, shrinks or grows a mapping.
pub fn remap(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, how] = *args else { return None };
    let mapping = machine.map(map)?;
    let length = match how {
        0 => mapping.length,
        1 => (mapping.length / 2).next_multiple_of(PAGE),
        _ => mapping.length * 2,
    };
    // SAFETY: The mapping is ours, and is reached by address only.
    let address = unsafe {
        libc::mremap(
            mapping.address as *mut c_void,
            mapping.length as usize,
            length as usize,
            libc::MREMAP_MAYMOVE,
        )
    };
    if address == libc::MAP_FAILED {
        return Some(errno());
    }
    machine.with_map(map, |slot| {
        if let Some(mapping) = slot {
            mapping.address = address as u64;
            mapping.length = length;
        }
    });
    Some(0)
}

/// Gives the kernel advice about a mapping.
pub fn advise(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, advice] = *args else { return None };
    let mapping = machine.map(map)?;
    // SAFETY: The mapping is ours, and is reached by address only.
    Some(result(unsafe {
        libc::madvise(
            mapping.address as *mut c_void,
            mapping.length.min(16 << 20) as usize,
            advice as c_int,
        )
    }))
}

/// Waits for a file, for a short while.
pub fn wait(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, events, ms, how] = *args else {
        return None;
    };
    let fd = machine.file(file)?;
    let how = *line(&WAITS, how);
    let ms = ms as c_int;
    Some(match how {
        Wait::Poll => {
            let mut waiting = libc::pollfd {
                fd,
                events: events as i16,
                revents: 0,
            };
            // SAFETY: One structure is given.
            result(unsafe { libc::poll(&mut waiting, 1, ms) })
        }
        Wait::Select => select(fd, events, ms),
        Wait::Epoll | Wait::Edge => epoll(fd, events, ms, how == Wait::Edge),
    })
}

fn select(fd: c_int, events: u64, ms: c_int) -> c_int {
    let mut time = libc::timeval {
        tv_sec: 0,
        tv_usec: i64::from(ms) * 1000,
    };
    // SAFETY: Sets of descriptors are plain bits; the descriptors of a program are few, far below the sets' size.
    unsafe {
        let mut sets: [libc::fd_set; 3] = std::mem::zeroed();
        for (set, bit) in sets.iter_mut().zip([1, 4, 2]) {
            if events & bit != 0 {
                libc::FD_SET(fd, set);
            }
        }
        let [input, output, other] = &mut sets;
        result(libc::select(fd + 1, input, output, other, &mut time))
    }
}

fn epoll(fd: c_int, events: u64, ms: c_int, edge: bool) -> c_int {
    let edge = if edge { libc::EPOLLET as u32 } else { 0 };
    let mut event = libc::epoll_event {
        events: events as u32 | edge,
        u64: 0,
    };
    // SAFETY: The descriptor is open, and the structures are there.
    unsafe {
        let set = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if set < 0 {
            return errno();
        }
        let mut answer = result(libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, &mut event));
        if answer == 0 {
            let mut found: [libc::epoll_event; 4] = std::mem::zeroed();
            answer = result(libc::epoll_wait(set, found.as_mut_ptr(), 4, ms));
            libc::epoll_wait(set, found.as_mut_ptr(), 4, 0);
        }
        libc::close(set);
        answer
    }
}
