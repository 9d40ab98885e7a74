// SPDX-License-Identifier: BSD-2-Clause
//! Requests of `ioctl`, whole and broken.

use crate::arena::KERNEL;
use crate::domain::{entries, line};
use crate::layout::Layout;
use crate::machine::Machine;
use crate::tables::{End, Place, Request, ENDS, LEGACY, OPTIONS, PLACES, REQUESTS};
use libc::c_int;
use netmap::abi::{NETMAP_API, NIOCCTRL};

/// Options of the list that is too long.
const LONG: usize = 200;
/// `NETMAP_REQ_REGISTER` in [`REQUESTS`].
const REGISTER: Request = Request {
    reqtype: 1,
    body: 56,
};

/// What comes before and behind the body of a request.
struct Around<'a> {
    request: Request,
    nic: u64,
    port: u64,
    version: u64,
    reserved: u64,
    options: u64,
    end: u64,
    size: u64,
    places: &'a [u64],
}

/// Puts a structure where it is to be; its address.
fn put(machine: &Machine<'_>, place: Place, bytes: &[u8]) -> u64 {
    if place == Place::Region {
        // Copying it may fault on memory of the module's own.
        let target = machine.map(0).and_then(|map| {
            let ring = *map.layout.as_ref()?.rings.first()?;
            Some(map.at(ring.buffer(ring.first)))
        });
        if let Some(address) = target {
            machine.poke(address, bytes);
            return address;
        }
    }
    let (address, writable) = machine.arena().place(place, bytes.len());
    if let Some(writable) = writable {
        machine.poke(writable, bytes);
    }
    address
}

/// Puts a list of options in memory; the address of the first.
fn put_options(machine: &Machine<'_>, around: &Around<'_>) -> u64 {
    let mut wanted: Vec<_> = entries(around.options)
        .map(|index| *line(&OPTIONS, index))
        .collect();
    let end = *line(&ENDS, around.end);
    if end == End::Long {
        if let Some(last) = wanted.last().copied() {
            wanted.resize(LONG, last);
        }
    }
    // Those of one size lie behind each other; where each will be is known before it is written.
    let arena = machine.arena();
    let addresses: Vec<_> = wanted
        .iter()
        .map(|option| arena.place(Place::Normal, 24 + option.body).0)
        .collect();
    let Some((&first, &last)) = addresses.first().zip(addresses.last()) else {
        return 0;
    };
    let end = match end {
        End::Null | End::Long => 0,
        End::First => first,
        End::Itself => last,
        End::Unmapped => arena.place(Place::Unmapped, 24).0,
        End::Kernel => KERNEL,
    };
    let next = addresses.iter().skip(1).copied().chain([end]);
    for ((option, &address), next) in wanted.iter().zip(&addresses).zip(next) {
        let mut bytes = Vec::new();
        bytes.extend(next.to_ne_bytes());
        bytes.extend(option.reqtype.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(around.size.to_ne_bytes());
        for _ in 0..option.body / 8 {
            bytes.extend(around.size.to_ne_bytes());
        }
        machine.poke(address, &bytes);
    }
    first
}

/// Makes a request of `NIOCCTRL`; its errno, and where its body is.
fn control(machine: &Machine<'_>, fd: c_int, around: &Around<'_>, body: &[u8]) -> (c_int, u64) {
    machine.arena().reset();
    let [header_at, body_at] = *around.places else {
        return (0, 0);
    };
    let (header_at, body_at) = (*line(&PLACES, header_at), *line(&PLACES, body_at));
    let wanted = around.request.body != 0;
    // A request without a body gets one where it is to be wrong.
    let body_address = if wanted || !matches!(body_at, Place::Normal | Place::Null) {
        put(machine, body_at, body)
    } else {
        0
    };
    let options = put_options(machine, around);
    let mut header = Vec::with_capacity(88);
    let version = u64::from(NETMAP_API).wrapping_add(around.version) as u16;
    header.extend(version.to_ne_bytes());
    header.extend(around.request.reqtype.to_ne_bytes());
    header.extend((around.reserved as u32).to_ne_bytes());
    header.extend(machine.port_name::<64>(around.port, around.nic));
    header.extend(options.to_ne_bytes());
    header.extend(body_address.to_ne_bytes());
    let address = put(machine, header_at, &header);
    (Machine::ioctl(fd, NIOCCTRL, address), body_address)
}

/// Notes what a file was bound to.
fn bound(machine: &Machine<'_>, file: u64, fd: c_int, interface: u64, memsize: u64) {
    if let Some(layout) = Layout::of(machine, fd, interface, memsize) {
        machine.set_layout(file, layout);
    }
}

/// `NETMAP_REQ_REGISTER`.
pub fn register(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, nic, port, mode, ring, flags, tx_slots, rx_slots, tx_rings, rx_rings, host_tx, host_rx, mem, extra, version, options, end, size, ref places @ ..] =
        *args
    else {
        return None;
    };
    let fd = machine.open_file(file)?;
    let mut body = vec![0; 16];
    for slots in [tx_slots, rx_slots] {
        body.extend((slots as u32).to_ne_bytes());
    }
    for short in [tx_rings, rx_rings, host_tx, host_rx, mem, ring] {
        body.extend((short as u16).to_ne_bytes());
    }
    for word in [mode, extra] {
        body.extend((word as u32).to_ne_bytes());
    }
    body.extend([0; 4]);
    body.extend(flags.to_ne_bytes());
    let around = Around {
        request: REGISTER,
        nic,
        port,
        version,
        reserved: 0,
        options,
        end,
        size,
        places,
    };
    let (errno, at) = control(machine, fd, &around, &body);
    if errno == 0 {
        let mut reply = [0; 16];
        machine.peek(at, &mut reply);
        let word = |i: usize| u64::from_ne_bytes(std::array::from_fn(|j| reply[8 * i + j]));
        bound(machine, file, fd, word(0), word(1));
    }
    Some(errno)
}

/// Any request of `NIOCCTRL`, its body made of two numbers.
pub fn request(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, kind, nic, port, word0, word1, version, reserved, options, end, size, ref places @ ..] =
        *args
    else {
        return None;
    };
    let fd = machine.open_file(file)?;
    let request = *line(&REQUESTS, kind);
    let words = [word0, word1].map(u64::to_ne_bytes);
    let body: Vec<u8> = words
        .iter()
        .cycle()
        .flatten()
        .copied()
        .take(request.body.max(8))
        .collect();
    let around = Around {
        request,
        nic,
        port,
        version,
        reserved,
        options,
        end,
        size,
        places,
    };
    Some(control(machine, fd, &around, &body).0)
}

/// The requests with the legacy structure.
pub fn legacy(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, kind, nic, port, mode, ring, flags, version, command, slots, rings, mem, extra, place] =
        *args
    else {
        return None;
    };
    let fd = machine.open_file(file)?;
    machine.arena().reset();
    let mut body = machine.port_name::<16>(port, nic).to_vec();
    body.extend(14u32.wrapping_sub(version as u32).to_ne_bytes());
    body.extend([0; 8]);
    for _ in 0..2 {
        body.extend((slots as u32).to_ne_bytes());
    }
    for short in [rings, rings, ring, command, 0, mem] {
        body.extend((short as u16).to_ne_bytes());
    }
    body.extend((extra as u32).to_ne_bytes());
    body.extend(((flags as u32 & !15) | (mode as u32 & 15)).to_ne_bytes());
    // The rest of the structure of NIOCCONFIG, which is the largest.
    body.resize(272, 0);
    let address = put(machine, *line(&PLACES, place), &body);
    let number = *line(&LEGACY, kind);
    let errno = Machine::ioctl(fd, number, address);
    if errno == 0 && kind == 0 {
        let interface = machine.peek_u32(address + 20);
        let memsize = machine.peek_u32(address + 24);
        bound(machine, file, fd, interface.into(), memsize.into());
    }
    Some(errno)
}

/// Any number of `ioctl`.
pub fn ioctl_number(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, number, place] = *args else {
        return None;
    };
    let fd = machine.open_file(file)?;
    machine.arena().reset();
    let address = put(machine, *line(&PLACES, place), &[0; 512]);
    let errno = Machine::ioctl(fd, number, address);
    // The core of the kernel answers some numbers itself, to any file.
    (number >> 8 != 0x54 || errno == libc::EOPNOTSUPP).then_some(errno)
}
