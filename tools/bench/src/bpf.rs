// SPDX-License-Identifier: BSD-2-Clause
//! The program that hands a queue's frames to an AF_XDP socket.

use crate::packet::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// Commands, types and flags of bpf(2), from the kernel's user interface.
const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const LINK_CREATE: i32 = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;

/// Run the program in the network core.
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
/// Run the program in the driver.
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Verdict for frames of queues without a socket: the network stack gets them.
const XDP_PASS: i32 = 2;

/// Queues that the map has room for.
const QUEUES: u32 = 64;

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct MapUpdate {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// Calls bpf(2).
///
/// # Safety
///
/// `attribute` must be what `command` takes, and the addresses in it must be valid for what the command does.
unsafe fn bpf<T>(command: i32, attribute: &T) -> io::Result<usize> {
    // SAFETY: `attribute` is as long as stated and lives through the call; the rest is the caller's promise.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            core::ptr::from_ref(attribute),
            size_of::<T>(),
        ) as isize
    })
}

/// # Safety
///
/// As [`bpf`]; the command must be one that makes a descriptor.
unsafe fn bpf_fd<T>(command: i32, attribute: &T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise; the descriptor is new and owned by nobody else.
    unsafe {
        let fd = bpf(command, attribute)?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// One instruction: operation, destination and source registers, offset, immediate value.
fn insn(op: u8, dst: u8, src: u8, offset: i16, value: i32) -> u64 {
    let registers = u64::from((src << 4) | dst);
    let offset = u64::from(offset as u16);
    u64::from(op) | (registers << 8) | (offset << 16) | (u64::from(value as u32) << 32)
}

/// Where the descriptor of a map fits.
fn number(fd: &OwnedFd) -> u32 {
    // Descriptors are not negative.
    fd.as_raw_fd() as u32
}

/// The program at work on an interface, until dropped.
pub struct Redirect {
    map: OwnedFd,
    _link: OwnedFd,
    /// True if it runs in the driver.
    pub native: bool,
}

impl Redirect {
    /// Loads the program and attaches it: in the driver, or, where that is not possible, in the network core.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN`, `EBUSY` if another program is attached.
    pub fn attach(ifindex: u32) -> io::Result<Redirect> {
        let create = MapCreate {
            map_type: MAP_TYPE_XSKMAP,
            key_size: 4,
            value_size: 4,
            max_entries: QUEUES,
            map_flags: 0,
        };
        // SAFETY: the attribute belongs to the command and holds no addresses.
        let map = unsafe { bpf_fd(MAP_CREATE, &create)? };
        let program = load(&map)?;
        let link = |flags| {
            let create = LinkCreate {
                prog_fd: number(&program),
                target_ifindex: ifindex,
                attach_type: ATTACH_XDP,
                flags,
            };
            // SAFETY: the attribute belongs to the command and holds no addresses.
            unsafe { bpf_fd(LINK_CREATE, &create) }
        };
        let (link, native) = match link(XDP_FLAGS_DRV_MODE) {
            Ok(link) => (link, true),
            Err(_) => (link(XDP_FLAGS_SKB_MODE)?, false),
        };
        Ok(Redirect {
            map,
            _link: link,
            native,
        })
    }

    /// From now on frames of `queue` go to `socket`.
    ///
    /// # Errors
    ///
    /// `E2BIG` if there is no such queue.
    pub fn steer(&self, queue: u32, socket: &OwnedFd) -> io::Result<()> {
        let value = number(socket);
        let update = MapUpdate {
            map_fd: number(&self.map),
            key: core::ptr::from_ref(&queue).expose_provenance() as u64,
            value: core::ptr::from_ref(&value).expose_provenance() as u64,
            ..MapUpdate::default()
        };
        // SAFETY: the attribute belongs to the command; key and value are 4 octets each, as the map was made, and
        // live through the call.
        unsafe { bpf(MAP_UPDATE_ELEM, &update) }.map(drop)
    }
}

/// Loads `return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS)`.
fn load(map: &OwnedFd) -> io::Result<OwnedFd> {
    const LOAD_WORD: u8 = 0x61;
    const LOAD_DOUBLE: u8 = 0x18;
    const MOVE: u8 = 0xb7;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const RX_QUEUE_INDEX: i16 = 16;
    const PSEUDO_MAP_FD: u8 = 1;
    const REDIRECT_MAP: i32 = 51;
    let program = [
        insn(LOAD_WORD, 2, 1, RX_QUEUE_INDEX, 0),
        insn(LOAD_DOUBLE, 1, PSEUDO_MAP_FD, 0, map.as_raw_fd()),
        insn(0, 0, 0, 0, 0),
        insn(MOVE, 3, 0, 0, XDP_PASS),
        insn(CALL, 0, 0, 0, REDIRECT_MAP),
        insn(EXIT, 0, 0, 0, 0),
    ];
    let license = c"Dual BSD/GPL";
    let attribute = ProgLoad {
        prog_type: PROG_TYPE_XDP,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        expected_attach_type: ATTACH_XDP,
        ..ProgLoad::default()
    };
    // SAFETY: the attribute belongs to the command; program and license live through the call.
    unsafe { bpf_fd(PROG_LOAD, &attribute) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r2 = *(u32 *)(r1 + 16)` and `r3 = 2`, as an assembler encodes them.
    #[test]
    fn instructions_are_encoded() {
        assert_eq!(
            insn(0x61, 2, 1, 16, 0).to_le_bytes(),
            [0x61, 0x12, 16, 0, 0, 0, 0, 0]
        );
        assert_eq!(
            insn(0xb7, 3, 0, 0, 2).to_le_bytes(),
            [0xb7, 0x03, 0, 0, 2, 0, 0, 0]
        );
    }
}
