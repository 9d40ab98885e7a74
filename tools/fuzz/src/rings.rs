// SPDX-License-Identifier: BSD-2-Clause
//! What programs do in shared memory: sensible things, nearly sensible ones, and nonsense.

use crate::domain::line;
use crate::layout::RingAt;
use crate::machine::{Machine, Mapping};
use crate::tables::{From, CURSORS, FROM, SLOT_FIELDS};
use libc::c_int;
use netmap::abi::{If, Ring, NR_FORWARD};
use std::mem::offset_of;

const PAGE: u64 = 4096;
/// Where a ring's `head` is.
pub const HEAD: u64 = offset_of!(Ring, head) as u64;
const CUR: u64 = offset_of!(Ring, cur) as u64;
const TAIL: u64 = offset_of!(Ring, tail) as u64;

/// A mapping and a ring in it.
fn ring_of(machine: &Machine<'_>, map: u64, ring: u64) -> Option<(Mapping, RingAt)> {
    let mapping = machine.map(map)?;
    let rings = &mapping.layout.as_ref()?.rings;
    let chosen = *rings.get(usize::try_from(ring).ok()?.checked_rem(rings.len())?)?;
    Some((mapping, chosen))
}

/// A ring of one direction.
pub fn ring_towards(
    machine: &Machine<'_>,
    map: u64,
    ring: u64,
    transmit: bool,
) -> Option<(Mapping, RingAt)> {
    let mapping = machine.map(map)?;
    let rings = &mapping.layout.as_ref()?.rings;
    let chosen: Vec<_> = rings
        .iter()
        .filter(|ring| ring.transmit == transmit)
        .collect();
    let chosen = **chosen.get(usize::try_from(ring).ok()?.checked_rem(chosen.len())?)?;
    Some((mapping, chosen))
}

/// A number near something of a ring.
fn near(machine: &Machine<'_>, mapping: &Mapping, ring: &RingAt, from: u64, by: u64) -> u64 {
    let word = |field: u64| u64::from(machine.peek_u32(mapping.at(ring.offset + field)));
    let from = match *line(&FROM, from) {
        From::Zero => 0,
        From::Head => word(HEAD),
        From::Cur => word(CUR),
        From::Tail => word(TAIL),
        From::Slots => ring.slots.into(),
        From::BufSize => ring.buf_size.into(),
        From::Buffer => ring.first.into(),
        From::Half => 1 << 31,
        From::Whole => 1 << 32,
    };
    from.wrapping_add(by)
}

/// Reads or writes pages of a mapping, from inside the kernel, so that a page that is not there is an error.
pub fn touch(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, page, pages, write] = *args else {
        return None;
    };
    let mapping = machine.map(map)?;
    let mut errno = 0;
    for page in page..=page + pages {
        let address = mapping.address + (page * PAGE) % mapping.length.max(PAGE);
        let mut byte = [0];
        let there = machine.peek(address, &mut byte);
        if !there || (write != 0 && !machine.poke(address, &byte)) {
            errno = libc::EFAULT;
        }
    }
    Some(errno)
}

/// Lets the other thread write into what a file is bound to, or into requests.
pub fn share(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, what, seed] = *args else {
        return None;
    };
    let bound = machine.file(file).zip(machine.layout(file));
    machine.scribbler.share(bound, what, seed)
}

/// Fills slots of a transmit ring and gives them to the kernel, as many as there are or a few more.
pub fn send(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, ring, count, length, flags, port] = *args else {
        return None;
    };
    let (mapping, ring) = ring_towards(machine, map, ring, true)?;
    let head = machine.peek_u32(mapping.at(ring.offset + HEAD));
    for i in 0..count.min(ring.slots.into()) {
        let index = u64::from(head) + i;
        let at = mapping.at(ring.slot(index));
        let mut slot = [0; 16];
        machine.peek(at, &mut slot);
        let buffer = u32::from_ne_bytes([slot[0], slot[1], slot[2], slot[3]]);
        if i < 4 {
            // Broadcast: every receiver takes it. An IPv4 packet to the host's own port, or what is no packet at all.
            let mut frame = [0xff; 64];
            if port != 0 {
                frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
            }
            machine.poke(mapping.at(ring.buffer(buffer)), &frame);
        }
        slot[4..6].copy_from_slice(&(length as u16).to_ne_bytes());
        slot[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        // The packet ends with the last slot.
        if i + 1 == count {
            slot[6] &= !0x20;
        }
        machine.poke(at, &slot);
    }
    advance(machine, &mapping, &ring, count)
}

/// Gives slots of a receive ring back.
pub fn receive(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, ring, count, flags] = *args else {
        return None;
    };
    let (mapping, ring) = ring_towards(machine, map, ring, false)?;
    let head = machine.peek_u32(mapping.at(ring.offset + HEAD));
    let tail = machine.peek_u32(mapping.at(ring.offset + TAIL));
    let there = if tail >= head {
        tail - head
    } else {
        tail.wrapping_add(ring.slots).wrapping_sub(head)
    };
    // 33 and 255 are exact: they may be too many.
    let count = if count == 33 || count == 255 {
        count
    } else {
        count.min(there.into())
    };
    for i in 0..count.min(ring.slots.into()) {
        let at = mapping.at(ring.slot(u64::from(head) + i));
        machine.poke(at + 6, &(flags as u16).to_ne_bytes());
    }
    advance(machine, &mapping, &ring, count)
}

/// Moves `head` and `cur`.
pub fn advance(
    machine: &Machine<'_>,
    mapping: &Mapping,
    ring: &RingAt,
    count: u64,
) -> Option<c_int> {
    let head = u64::from(machine.peek_u32(mapping.at(ring.offset + HEAD)));
    let head = (head + count) % u64::from(ring.slots);
    let there = machine.poke(mapping.at(ring.offset + CUR), &(head as u32).to_ne_bytes())
        && machine.poke(mapping.at(ring.offset + HEAD), &(head as u32).to_ne_bytes());
    there.then_some(0)
}

/// Writes a field of a ring's header.
pub fn cursor(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, ring, field, from, by] = *args else {
        return None;
    };
    let (mapping, ring) = ring_of(machine, map, ring)?;
    let value = near(machine, &mapping, &ring, from, by).to_ne_bytes();
    for &(offset, bytes) in *line(&CURSORS, field) {
        machine.poke(mapping.at(ring.offset + offset), &value[..bytes]);
    }
    Some(0)
}

/// Writes a field of a slot.
pub fn slot(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, ring, at, field, from, by] = *args else {
        return None;
    };
    let (mapping, ring) = ring_of(machine, map, ring)?;
    let value = near(machine, &mapping, &ring, from, by).to_ne_bytes();
    // From where the program stands, so that the kernel sees it at the next sync.
    let head = u64::from(machine.peek_u32(mapping.at(ring.offset + HEAD)));
    let &(offset, bytes) = line(&SLOT_FIELDS, field);
    let at = mapping.at(ring.slot(head.wrapping_add(at)) + offset);
    machine.poke(at, &value[..bytes]).then_some(0)
}

/// Exchanges the buffers of two rings' slots, or of two slots of a ring.
pub fn swap(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, ring, with, count] = *args else {
        return None;
    };
    let (mapping, one) = ring_of(machine, map, ring)?;
    let (_, other) = ring_of(machine, map, with)?;
    let head = |ring: &RingAt| u64::from(machine.peek_u32(mapping.at(ring.offset + HEAD)));
    let (first, second) = (head(&one), head(&other) + u64::from(ring == with));
    for i in 0..=count {
        let here = mapping.at(one.slot(first + i));
        let there = mapping.at(other.slot(second + i));
        let (a, b) = (machine.peek_u32(here), machine.peek_u32(there));
        machine.poke(here, &b.to_ne_bytes());
        machine.poke(there, &a.to_ne_bytes());
        machine.poke(here + 6, &1u16.to_ne_bytes());
        machine.poke(there + 6, &1u16.to_ne_bytes());
    }
    Some(0)
}

/// Writes the list of extra buffers: its head, and a chain of some of a ring's buffers, which may be a loop.
pub fn extra(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, from, by, chain, closed] = *args else {
        return None;
    };
    let (mapping, ring) = ring_of(machine, map, 0)?;
    let head = near(machine, &mapping, &ring, from, by) as u32;
    let interface = mapping.layout.as_ref()?.interface;
    let at = mapping.at(interface + offset_of!(If, ni_bufs_head) as u64);
    machine.poke(at, &head.to_ne_bytes());
    for i in 0..chain as u32 {
        let this = ring.buffer(ring.first.wrapping_add(i));
        let next = if i + 1 == chain as u32 {
            if closed != 0 {
                ring.first
            } else {
                0
            }
        } else {
            ring.first.wrapping_add(i + 1)
        };
        machine.poke(mapping.at(this), &next.to_ne_bytes());
    }
    Some(0)
}

/// Writes a word of the interface.
pub fn interface(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, word, value] = *args else {
        return None;
    };
    let mapping = machine.map(map)?;
    let interface = mapping.layout.as_ref()?.interface;
    let at = mapping.at(interface + 8 * word);
    machine.poke(at, &value.to_ne_bytes()).then_some(0)
}

/// Asks for packets to be forwarded between NIC and host, on all receive rings.
pub fn forward(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, on] = *args else { return None };
    let mapping = machine.map(map)?;
    let flags = if on != 0 { NR_FORWARD } else { 0 };
    for ring in &mapping.layout.as_ref()?.rings {
        let at = mapping.at(ring.offset + offset_of!(Ring, flags) as u64);
        machine.poke(at, &flags.to_ne_bytes());
    }
    Some(0)
}
