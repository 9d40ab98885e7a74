// SPDX-License-Identifier: BSD-2-Clause
//! `nmport_inject()`.

use crate::mapping::MemDesc;
use crate::port::PortDesc;
use core::ffi::{c_int, c_void};
use core::ptr::{addr_of, addr_of_mut};
use core::sync::atomic::{AtomicU32, Ordering};
use netmap::abi::{If, Ring, Slot, NS_BUF_CHANGED, NS_MOREFRAG};

/// Copies a packet into a transmit ring with room; its size, or 0.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_inject(
    port: *mut PortDesc,
    packet: *const c_void,
    size: usize,
) -> c_int {
    let Ok(result) = c_int::try_from(size) else {
        return 0;
    };
    // SAFETY: as the caller promises: a port that is mapped, and as many octets.
    unsafe {
        let (first, last) = ((*port).first_tx_ring, (*port).last_tx_ring);
        let (mem, nifp) = ((*port).mem, (*port).nifp);
        if size == 0 || first > last || nifp.is_null() {
            return 0;
        }
        let packet = core::slice::from_raw_parts(packet.cast(), size);
        let table: *const i64 = nifp.add(1).cast();
        let current = (*port).cur_tx_ring.clamp(first, last);
        for number in (current..=last).chain(first..current) {
            let offset = table.add(usize::from(number)).read_volatile();
            let ring = ring(mem, nifp, offset);
            if ring.is_some_and(|(ring, slots)| queue(mem, ring, slots, packet)) {
                (*port).cur_tx_ring = number;
                return result;
            }
        }
    }
    0
}

/// The ring `offset` octets behind `nifp`, and how many slots it has, if all of it is in the region. The offset and the number are
/// in memory that other programs may write, and are read once.
///
/// # Safety
///
/// `mem` must be a region that is mapped, and `nifp` in it.
unsafe fn ring(mem: *const MemDesc, nifp: *const If, offset: i64) -> Option<(*mut Ring, u32)> {
    // SAFETY: as the caller promises.
    let (start, size) = unsafe { ((*mem).mem.cast::<u8>(), (*mem).size) };
    let at = (nifp.addr() - start.addr()).checked_add_signed(isize::try_from(offset).ok()?)?;
    let slots_at = at.checked_add(size_of::<Ring>())?;
    if offset == 0 || at % align_of::<u64>() != 0 || slots_at > size {
        return None;
    }
    // SAFETY: the head of the ring is inside of the region, by the check, and aligned for its fields.
    let (ring, slots) = unsafe {
        let ring: *mut Ring = start.add(at).cast();
        (ring, addr_of!((*ring).num_slots).read_volatile())
    };
    let len = (slots as usize).checked_mul(size_of::<Slot>())?;
    (len <= size - slots_at).then_some((ring, slots))
}

/// Copies a packet into a ring, if there is room.
///
/// # Safety
///
/// `ring` must be a ring of so many slots in the region `mem`, as [`ring`] finds it.
unsafe fn queue(mem: *const MemDesc, ring: *mut Ring, slots: u32, packet: &[u8]) -> bool {
    // SAFETY: as the caller promises; fields are aligned as in all of the region, even if the ring is not as its type is. Other
    // processes load and store indices whole.
    let (head, cur, tail) = unsafe {
        (
            AtomicU32::from_ptr(addr_of_mut!((*ring).head)),
            AtomicU32::from_ptr(addr_of_mut!((*ring).cur)),
            AtomicU32::from_ptr(addr_of_mut!((*ring).tail)),
        )
    };
    let next = |at: u32| if at + 1 == slots { 0 } else { at + 1 };
    let (start, end) = (head.load(Ordering::Relaxed), tail.load(Ordering::Acquire));
    if start >= slots || end >= slots {
        return false;
    }
    let room = |at: u32| {
        // SAFETY: as the caller promises; `at` is below the number of slots.
        let room = unsafe { room(mem, ring, at) };
        room.filter(|(_, room)| at != end && *room > 0)
    };
    // Once to see whether there is room, once to write. What another program has changed in between ends it too.
    let (mut at, mut left) = (start, packet);
    while !left.is_empty() {
        let Some((_, room)) = room(at) else {
            return false;
        };
        left = &left[room.min(left.len())..];
        at = next(at);
    }
    (at, left) = (start, packet);
    while !left.is_empty() {
        let Some((buffer, room)) = room(at) else {
            return false;
        };
        let (part, rest) = left.split_at(room.min(left.len()));
        // SAFETY: `room` has found as many octets in the region; the slot is the program's.
        unsafe {
            core::ptr::copy_nonoverlapping(part.as_ptr(), buffer, part.len());
            let slot = slot(ring, at);
            // No longer than 16 bits tell, by `room`.
            (*slot).len = part.len() as u16;
            let more = if rest.is_empty() { 0 } else { NS_MOREFRAG };
            let flags = addr_of_mut!((*slot).flags);
            flags.write_volatile(flags.read_volatile() & NS_BUF_CHANGED | more);
        }
        left = rest;
        at = next(at);
    }
    cur.store(at, Ordering::Relaxed);
    head.store(at, Ordering::Release);
    true
}

/// The slot `at` of a ring.
///
/// # Safety
///
/// `at` must be below the number of slots.
unsafe fn slot(ring: *mut Ring, at: u32) -> *mut Slot {
    // SAFETY: as the caller promises: the slots follow the head of the ring.
    unsafe { ring.add(1).cast::<Slot>().add(at as usize) }
}

/// Where a packet goes in the buffer of a slot, and how many octets of it; none if the buffer is not in the region.
///
/// # Safety
///
/// As for [`slot`]; `ring` must be in the region `mem`.
unsafe fn room(mem: *const MemDesc, ring: *mut Ring, at: u32) -> Option<(*mut u8, usize)> {
    // SAFETY: as the caller promises; the slot is read once.
    let (slot, size, mask, base) = unsafe {
        (
            slot(ring, at).read_volatile(),
            addr_of!((*ring).nr_buf_size).read_volatile() as usize,
            addr_of!((*ring).offset_mask).read_volatile(),
            addr_of!((*ring).buf_ofs).read_volatile() as isize,
        )
    };
    // SAFETY: a region that is mapped.
    let (start, len) = unsafe { ((*mem).mem.cast::<u8>(), (*mem).size) };
    let before = (ring.addr() - start.addr()).checked_add_signed(base)?;
    let from = (slot.buf_idx as usize)
        .checked_mul(size)?
        .checked_add(before)?;
    if from.checked_add(size)? > len {
        return None;
    }
    // A slot's length has 16 bits, one too few for the largest buffers.
    let most = size.min(usize::from(u16::MAX));
    let offset = usize::try_from(slot.ptr & mask).ok()?;
    let room = most.checked_sub(offset)?;
    // SAFETY: inside of the region, by the check.
    Some((unsafe { start.add(from + offset) }, room))
}

#[cfg(test)]
#[path = "inject_tests.rs"]
mod tests;
