// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use crate::port::{nmport_delete, nmport_new};
use core::ptr::null_mut;

const BUF: usize = 64;
const SLOTS: usize = 4;
/// Where the second ring is; the first one is behind the `If` and its table.
const RINGS: [usize; 2] = [128, 512];
const BUFS: usize = 1024;
const LEN: usize = BUFS + 16 * BUF;

/// A region with two transmit rings, and a port that is bound to them.
struct Bound {
    memory: Box<[u64; LEN / 8]>,
    region: Box<MemDesc>,
    port: *mut PortDesc,
}

impl Bound {
    fn new() -> Bound {
        let mut memory = Box::new([0u64; LEN / 8]);
        let mut region = Box::new(MemDesc {
            mem_id: 1,
            refcount: 1,
            mem: memory.as_mut_ptr().cast(),
            size: LEN,
            is_extmem: 1,
            next: null_mut(),
            prev: null_mut(),
        });
        // SAFETY: the default context is one; the port is new.
        let port = unsafe {
            let port = nmport_new();
            (*port).mem = &mut *region;
            (*port).nifp = memory.as_mut_ptr().cast();
            (*port).last_tx_ring = 1;
            port
        };
        let mut bound = Bound {
            memory,
            region,
            port,
        };
        for (number, ring) in RINGS.into_iter().enumerate() {
            bound.put(size_of::<If>() + 8 * number, ring as u64);
            bound.put(ring, (BUFS - ring) as u64);
            bound.put(ring + 8, SLOTS as u64 | ((BUF as u64) << 32));
            bound.set(ring, 0, SLOTS as u64 - 1);
            for slot in 0..SLOTS {
                bound.put(ring + 256 + 16 * slot, (2 + number * SLOTS + slot) as u64);
            }
        }
        bound
    }

    fn put(&mut self, at: usize, value: u64) {
        self.memory[at / 8] = value;
    }

    /// Head and tail; cur is the head.
    fn set(&mut self, ring: usize, head: u64, tail: u64) {
        self.put(ring + 16, head << 32);
        self.put(ring + 24, head | (tail << 32));
    }

    fn head(&self, ring: usize) -> u64 {
        assert_eq!(
            self.memory[(ring + 24) / 8] as u32,
            (self.memory[(ring + 16) / 8] >> 32) as u32
        );
        self.memory[(ring + 16) / 8] >> 32
    }

    /// Length and flags of a slot, and what is in its buffer.
    fn slot(&self, ring: usize, slot: usize) -> (u64, u64, Vec<u8>) {
        let word = self.memory[(ring + 256 + 16 * slot) / 8];
        let (index, len, flags) = (word as u32 as usize, (word >> 32) & 0xffff, word >> 48);
        let octets: Vec<u8> = self
            .memory
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let start = BUFS + index * BUF;
        (len, flags, octets[start..start + len as usize].to_vec())
    }

    fn inject(&mut self, packet: &[u8]) -> c_int {
        // SAFETY: a port that is mapped, as it says.
        unsafe { nmport_inject(self.port, packet.as_ptr().cast(), packet.len()) }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        assert_eq!(self.region.refcount, 1);
        // SAFETY: made by `nmport_new()`.
        unsafe { nmport_delete(self.port) };
    }
}

#[test]
fn packets_go_to_rings_with_room_in_turn() {
    let mut bound = Bound::new();
    assert_eq!(bound.inject(&[1; 60]), 60);
    assert_eq!((bound.head(RINGS[0]), bound.head(RINGS[1])), (1, 0));
    assert_eq!(bound.slot(RINGS[0], 0), (60, 0, vec![1; 60]));
    bound.set(RINGS[0], 3, 3);
    assert_eq!(bound.inject(&[2; 10]), 10);
    assert_eq!(bound.slot(RINGS[1], 0), (10, 0, vec![2; 10]));
    // The ring that was used last is the first one now.
    bound.set(RINGS[0], 0, 3);
    assert_eq!(bound.inject(&[3; 10]), 10);
    assert_eq!((bound.head(RINGS[0]), bound.head(RINGS[1])), (0, 2));
    bound.set(RINGS[0], 3, 3);
    bound.set(RINGS[1], 1, 1);
    assert_eq!(bound.inject(&[4; 10]), 0);
    assert_eq!(bound.inject(&[]), 0);
}

#[test]
fn large_packets_take_several_slots_and_wrap() {
    let mut bound = Bound::new();
    bound.set(RINGS[0], 2, 1);
    let packet: Vec<u8> = (0..3 * BUF as u8).collect();
    assert_eq!(bound.inject(&packet), 3 * BUF as c_int);
    let more = u64::from(NS_MOREFRAG);
    assert_eq!(bound.slot(RINGS[0], 2), (64, more, packet[..64].to_vec()));
    assert_eq!(
        bound.slot(RINGS[0], 3),
        (64, more, packet[64..128].to_vec())
    );
    assert_eq!(bound.slot(RINGS[0], 0), (64, 0, packet[128..].to_vec()));
    assert_eq!(bound.head(RINGS[0]), 1);
    assert_eq!(bound.inject(&[0; 3 * BUF + 1]), 0);
    assert_eq!(bound.head(RINGS[1]), 0);
}

#[test]
fn a_buffer_that_was_exchanged_stays_marked() {
    let mut bound = Bound::new();
    bound.put(
        RINGS[0] + 256,
        2 | (u64::from(NS_BUF_CHANGED | NS_MOREFRAG) << 48),
    );
    assert_eq!(bound.inject(&[1; 8]), 8);
    assert_eq!(bound.slot(RINGS[0], 0).1, u64::from(NS_BUF_CHANGED));
}

#[test]
fn packets_start_at_the_offset_of_their_slot() {
    let mut bound = Bound::new();
    bound.put(RINGS[0] + 56, 0xff);
    bound.put(RINGS[0] + 256 + 8, 0xa500 + 16);
    assert_eq!(bound.inject(&[7; 50]), 50);
    assert_eq!(bound.slot(RINGS[0], 0).0, 48);
    assert_eq!(bound.slot(RINGS[0], 1), (2, 0, vec![7; 2]));
    let start = BUFS + 2 * BUF;
    assert_eq!(
        bound.memory[start / 8 + 1..start / 8 + 3],
        [0, 0x0707_0707_0707_0707]
    );
}

#[test]
fn what_others_have_scribbled_over_is_left_alone() {
    let mut bound = Bound::new();
    bound.put(RINGS[0] + 256, 16);
    bound.set(RINGS[1], 4, 3);
    assert_eq!(bound.inject(&[1; 8]), 0);
    bound.put(RINGS[0] + 256, u64::from(u32::MAX));
    assert_eq!(bound.inject(&[1; 8]), 0);
    assert_eq!(bound.head(RINGS[0]), 0);
}

#[test]
fn rings_that_are_not_in_the_region_are_passed_over() {
    let mut bound = Bound::new();
    bound.set(RINGS[1], 3, 3);
    let entry = size_of::<If>();
    for offset in [1, LEN as i64 - 8, LEN as i64, -8, i64::MAX, i64::MIN] {
        bound.put(entry, offset as u64);
        assert_eq!(bound.inject(&[1; 8]), 0, "{offset}");
    }
    bound.put(entry, RINGS[0] as u64);
    for slots in [(LEN - RINGS[0] - 256) / 16 + 1, u32::MAX as usize] {
        bound.put(RINGS[0] + 8, slots as u64 | ((BUF as u64) << 32));
        assert_eq!(bound.inject(&[1; 8]), 0, "{slots}");
    }
}

#[test]
fn slots_without_room_take_nothing() {
    let mut bound = Bound::new();
    bound.set(RINGS[1], 3, 3);
    bound.put(RINGS[0] + 8, SLOTS as u64);
    assert_eq!(bound.inject(&[1; 8]), 0);
}
