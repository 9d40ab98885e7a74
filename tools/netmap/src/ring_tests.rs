// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use crate::DifferentRegion;
use proptest::prelude::*;
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::sync::atomic::AtomicUsize;

const SLOTS: u32 = 8;
const BUF_SIZE: u32 = 128;
const BUFFERS: u32 = 32;
/// Where the second ring starts, and the buffers.
const SECOND: usize = 512;
const BUFS_AT: usize = 1024;
const LEN: usize = BUFS_AT + (BUFFERS * BUF_SIZE) as usize;

/// Memory with two rings, at 0 and at `SECOND`, over common buffers; the test plays the kernel.
struct Memory {
    base: NonNull<u8>,
}

impl Memory {
    fn layout() -> Layout {
        Layout::from_size_align(LEN, 128).unwrap()
    }

    fn new() -> Memory {
        // SAFETY: the layout is not empty.
        let base = NonNull::new(unsafe { alloc_zeroed(Memory::layout()) }).unwrap();
        let memory = Memory { base };
        for (ring, at) in [(0, 0), (1, SECOND)] {
            memory.put(at, (BUFS_AT - at) as i64);
            memory.put(at + 8, SLOTS);
            memory.put(at + 12, BUF_SIZE);
            memory.put(at + 16, ring as u16);
            for slot in 0..SLOTS {
                memory.put(at + 256 + slot as usize * 16, 2 + ring * SLOTS + slot);
            }
        }
        memory
    }

    fn put<T>(&self, at: usize, value: T) {
        assert!(at + size_of::<T>() <= LEN);
        // SAFETY: inside of the allocation, by the check.
        unsafe { self.base.add(at).cast::<T>().write_unaligned(value) }
    }

    fn get<T: Copy>(&self, at: usize) -> T {
        assert!(at + size_of::<T>() <= LEN);
        // SAFETY: inside of the allocation, by the check; callers read integers.
        unsafe { self.base.add(at).cast::<T>().read_unaligned() }
    }

    fn head(&self, ring: usize) -> u32 {
        self.get(ring + 20)
    }

    fn set_indices(&self, ring: usize, head: u32, tail: u32) {
        self.put(ring + 20, head);
        self.put(ring + 24, head);
        self.put(ring + 28, tail);
    }

    fn slot(&self, ring: usize, slot: u32) -> (u32, u16, u16) {
        let at = ring + 256 + slot as usize * 16;
        (self.get(at), self.get(at + 4), self.get(at + 6))
    }

    fn buffer(&self, idx: u32) -> Vec<u8> {
        let at = BUFS_AT + (idx * BUF_SIZE) as usize;
        (at..at + BUF_SIZE as usize)
            .map(|at| self.get(at))
            .collect()
    }

    /// The memory must outlive what the region is given to.
    fn region(&self) -> Arc<Region> {
        // SAFETY: the allocation has `LEN` octets; tests drop their rings before the memory.
        unsafe { Region::fake(self.base, LEN) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.base.as_ptr(), Memory::layout()) }
    }
}

fn raw(region: &Arc<Region>, at: usize) -> Result<RawRing, RingError> {
    RawRing::new(&Member::new(region, Arc::<AtomicUsize>::default()), at)
}

fn tx(region: &Arc<Region>) -> TxRing {
    TxRing(raw(region, 0).ok().unwrap())
}

fn rx(region: &Arc<Region>) -> RxRing {
    RxRing(raw(region, SECOND).ok().unwrap())
}

#[test]
fn filling_writes_slots_and_moves_head_and_cur() {
    let memory = Memory::new();
    memory.set_indices(0, 6, 5);
    let mut ring = tx(&memory.region());
    assert_eq!((ring.space(), ring.pending()), (7, 0));
    let mut octet = 0;
    let sent = ring.fill(4, |slot| {
        octet += 1;
        slot.write(&[octet; 60]);
    });
    assert_eq!(sent, 4);
    assert_eq!(
        ring.state(),
        RingState {
            head: 2,
            cur: 2,
            tail: 5
        }
    );
    assert_eq!((ring.space(), ring.pending()), (3, 4));
    for (slot, octet) in [(6, 1), (7, 2), (0, 3), (1, 4)] {
        assert_eq!(memory.slot(0, slot), (2 + slot, 60, 0));
        assert_eq!(
            memory.buffer(2 + slot)[..61],
            [vec![octet; 60], vec![0]].concat()
        );
    }
    assert_eq!(memory.slot(0, 2), (4, 0, 0));
}

#[test]
fn length_and_flags_go_to_their_fields() {
    let memory = Memory::new();
    memory.set_indices(0, 0, 7);
    let mut ring = tx(&memory.region());
    ring.fill(1, |slot| {
        slot.set(0x1234, abi::NS_REPORT | abi::NS_MOREFRAG)
    });
    assert_eq!(memory.slot(0, 0), (2, 0x1234, 0x22));
}

#[test]
fn draining_reads_packets_and_gives_slots_back() {
    let memory = Memory::new();
    memory.set_indices(SECOND, 7, 1);
    for (slot, len) in [(7u32, 3u16), (0, 1000)] {
        memory.put(SECOND + 256 + slot as usize * 16 + 4, len);
    }
    let mut ring = rx(&memory.region());
    let mut seen = Vec::new();
    let taken = ring.drain(u32::MAX, |slot| {
        seen.push((slot.len(), slot.packet().len()))
    });
    assert_eq!(taken, 2);
    // What does not fit a buffer is cut.
    assert_eq!(seen, [(3, 3), (1000, BUF_SIZE as usize)]);
    assert_eq!(memory.head(SECOND), 1);
    assert!(ring.is_empty());
}

#[test]
fn swapping_exchanges_buffers_and_marks_both_slots() {
    let memory = Memory::new();
    memory.set_indices(0, 0, 7);
    memory.set_indices(SECOND, 0, 1);
    memory.put(SECOND + 256 + 4, 99u16);
    let region = memory.region();
    let (mut tx, mut rx) = (tx(&region), rx(&region));
    rx.drain(1, |received| {
        tx.fill(1, |slot| slot.swap(received).unwrap());
    });
    assert_eq!(memory.slot(0, 0), (2 + SLOTS, 99, abi::NS_BUF_CHANGED));
    assert_eq!(memory.slot(SECOND, 0), (2, 99, abi::NS_BUF_CHANGED));
}

#[test]
fn buffers_do_not_change_regions() {
    let (one, other) = (Memory::new(), Memory::new());
    one.set_indices(0, 0, 7);
    other.set_indices(SECOND, 0, 1);
    let (mut tx, mut rx) = (tx(&one.region()), rx(&other.region()));
    rx.drain(1, |received| {
        tx.fill(1, |slot| {
            assert_eq!(slot.swap(received), Err(DifferentRegion))
        });
    });
    assert_eq!(one.slot(0, 0), (2, 0, 0));
    assert_eq!(other.slot(SECOND, 0), (2 + SLOTS, 0, 0));
}

#[test]
fn one_view_per_ring() {
    let memory = Memory::new();
    let region = memory.region();
    let first = raw(&region, 0).ok().unwrap();
    assert_eq!(raw(&region, 0).err(), Some(RingError::Taken));
    drop(first);
    assert!(raw(&region, 0).is_ok());
}

#[test]
fn rings_outside_of_the_region_are_refused() {
    let memory = Memory::new();
    let region = memory.region();
    let refused = |at| raw(&region, at).err() == Some(RingError::Malformed);
    assert!(refused(LEN));
    assert!(refused(LEN - 255));
    assert!(refused(4));
    assert!(refused(usize::MAX - 7));
    for (at, value) in [
        (8, 0),
        (8, u32::MAX),
        (8, LEN as u32 / 16),
        (12, 0),
        (12, u32::MAX),
    ] {
        let before: u32 = memory.get(at);
        memory.put(at, value);
        assert!(refused(0), "{value} at {at}");
        memory.put(at, before);
    }
    for buf_ofs in [-1, i64::MIN, i64::MAX, LEN as i64 - 1] {
        memory.put(0, buf_ofs);
        assert!(refused(0), "{buf_ofs}");
    }
}

#[test]
#[should_panic(expected = "names buffer 4000000000")]
fn a_buffer_outside_of_the_region_is_not_touched() {
    let memory = Memory::new();
    memory.set_indices(0, 0, 7);
    memory.put(256, 4_000_000_000u32);
    let mut ring = tx(&memory.region());
    ring.fill(1, |slot| slot.write(&[1]));
}

proptest! {
    #[test]
    fn impossible_indices_give_no_slot(head: u32, tail: u32) {
        prop_assume!(head >= SLOTS || tail >= SLOTS);
        let memory = Memory::new();
        memory.set_indices(0, head, tail);
        let mut ring = tx(&memory.region());
        prop_assert_eq!(ring.fill(u32::MAX, |_| panic!("a slot")), 0);
    }

    /// A ring between a program and a kernel that both move at random, against a queue of numbers.
    #[test]
    fn packets_arrive_in_order_and_once(steps in proptest::collection::vec((any::<bool>(), 0..12u32), 0..200)) {
        let memory = Memory::new();
        memory.set_indices(0, 0, SLOTS - 1);
        let mut ring = tx(&memory.region());
        let (mut written, mut sent, mut kernel_head) = (0u32, 0u32, 0);
        for (program, amount) in steps {
            let under_way = written - sent;
            if program {
                let done = ring.fill(amount, |slot| {
                    slot.write(&written.to_le_bytes());
                    written += 1;
                });
                prop_assert_eq!(done, amount.min(SLOTS - 1 - under_way));
            } else {
                for _ in 0..amount.min(under_way) {
                    let (idx, len, _) = memory.slot(0, kernel_head);
                    prop_assert_eq!(len, 4);
                    prop_assert_eq!(&memory.buffer(idx)[..4], &sent.to_le_bytes());
                    kernel_head = (kernel_head + 1) % SLOTS;
                    sent += 1;
                }
                memory.put(28, (kernel_head + SLOTS - 1) % SLOTS);
            }
            prop_assert_eq!(memory.head(0), written % SLOTS);
            prop_assert_eq!(ring.pending(), written - sent);
        }
    }
}

/// Sets length and flags of a slot.
fn describe(memory: &Memory, ring: usize, slot: u32, len: u16, flags: u16) {
    let at = ring + 256 + slot as usize * 16;
    memory.put(at + 4, len);
    memory.put(at + 6, flags);
}

#[test]
fn received_slots_can_be_looked_at() {
    let memory = Memory::new();
    memory.set_indices(SECOND, 6, 1);
    for (slot, len) in [(6, 60), (7, 61), (0, 62)] {
        describe(&memory, SECOND, slot, len, 0);
    }
    let mut ring = rx(&memory.region());
    let lengths: Vec<_> = (0..4)
        .map(|i| ring.slot(i).map(|slot| slot.len()))
        .collect();
    assert_eq!(lengths, [Some(60), Some(61), Some(62), None]);
    assert_eq!((ring.space(), memory.head(SECOND)), (3, 6));
}

#[test]
fn a_packet_is_whole_when_its_last_slot_is_there() {
    let memory = Memory::new();
    let region = memory.region();
    let mut ring = rx(&region);
    assert_eq!(ring.first_packet(), None);
    memory.set_indices(SECOND, 6, 0);
    describe(&memory, SECOND, 6, 128, abi::NS_MOREFRAG);
    describe(&memory, SECOND, 7, 128, abi::NS_MOREFRAG);
    assert_eq!(ring.first_packet(), None);
    memory.set_indices(SECOND, 6, 2);
    assert_eq!(ring.first_packet(), Some(3));
    ring.drain(3, |_| {});
    assert_eq!(ring.first_packet(), Some(1));
}

#[test]
fn forwarding_exchanges_buffers_or_copies() {
    let memory = Memory::new();
    memory.set_indices(0, 0, 7);
    memory.set_indices(SECOND, 0, 2);
    describe(&memory, SECOND, 0, 100, abi::NS_MOREFRAG | abi::NS_FORWARD);
    describe(&memory, SECOND, 1, 50, 0);
    let region = memory.region();
    let (mut to, mut from) = (tx(&region), rx(&region));
    assert!(to.takes_from(&from));
    assert_eq!(to.forward(&mut from, 9), 2);
    let flags = abi::NS_MOREFRAG | abi::NS_BUF_CHANGED;
    assert_eq!(memory.slot(0, 0), (10, 100, flags));
    assert_eq!(memory.slot(0, 1), (11, 50, abi::NS_BUF_CHANGED));
    assert_eq!(memory.slot(SECOND, 0).0, 2);
    assert_eq!((to.pending(), from.space()), (2, 0));

    let other = Memory::new();
    other.set_indices(SECOND, 0, 1);
    describe(&other, SECOND, 0, 5, 0);
    other.put(BUFS_AT + (10 * BUF_SIZE) as usize, *b"hello");
    let mut from = rx(&other.region());
    assert_eq!(to.forward(&mut from, 9), 1);
    assert_eq!(memory.slot(0, 2), (4, 5, 0));
    assert_eq!(&memory.buffer(4)[..5], b"hello");
    assert_eq!(other.slot(SECOND, 0).0, 10);

    let larger = Memory::new();
    larger.put(SECOND + 12, 2 * BUF_SIZE);
    assert!(!to.takes_from(&rx(&larger.region())));
}

#[cfg(feature = "smoltcp")]
#[test]
fn smoltcp_gets_packets_whole_and_fills_slots() {
    use crate::smoltcp_device::{DeviceRx, DeviceTx};
    use smoltcp::phy::{RxToken, TxToken};

    let memory = Memory::new();
    memory.set_indices(0, 0, 7);
    memory.set_indices(SECOND, 0, 3);
    describe(&memory, SECOND, 0, 128, abi::NS_MOREFRAG);
    describe(&memory, SECOND, 1, 3, 0);
    describe(&memory, SECOND, 2, 2, 0);
    for (buffer, octets) in [(10, [1u8; 3]), (11, [2; 3]), (12, [3; 3])] {
        memory.put(BUFS_AT + (buffer * BUF_SIZE) as usize, octets);
    }
    let region = memory.region();
    let (mut to, mut from) = (tx(&region), rx(&region));
    let slots = from.first_packet().unwrap();
    let whole = DeviceRx(&mut from, slots).consume(|packet| (packet.len(), packet[0], packet[130]));
    assert_eq!(whole, (131, 1, 2));
    assert_eq!(memory.head(SECOND), 2);
    assert_eq!(DeviceRx(&mut from, 1).consume(<[u8]>::to_vec), [3, 3]);
    assert_eq!(from.space(), 0);

    let said = DeviceTx(&mut to).consume(60, |packet| {
        packet.fill(9);
        packet.len()
    });
    assert_eq!((said, to.pending()), (60, 1));
    assert_eq!(memory.slot(0, 0), (2, 60, 0));
    assert_eq!(memory.buffer(2)[59..61], [9, 0]);
}

#[test]
fn a_ring_keeps_the_files_open_whose_buffers_it_may_hold() {
    let memory = Memory::new();
    memory.set_indices(0, 0, 7);
    memory.set_indices(SECOND, 0, 3);
    let region = memory.region();
    let [file, other] = [(); 2].map(|()| Arc::<AtomicUsize>::default());
    let (open, other_open) = (Arc::downgrade(&file), Arc::downgrade(&other));
    let mut to = TxRing(RawRing::new(&Member::new(&region, file), 0).ok().unwrap());
    let mut from = RxRing(
        RawRing::new(&Member::new(&region, other), SECOND)
            .ok()
            .unwrap(),
    );
    let are_open = || [&open, &other_open].map(|file| file.strong_count() != 0);
    to.fill(1, |slot| slot.write(b"copied"));
    from.drain(1, |slot| assert_eq!(slot.packet(), b""));
    assert_eq!(are_open(), [true, true]);
    to.forward(&mut from, 1);
    drop(from);
    assert_eq!(are_open(), [true, true]);
    drop(to);
    assert_eq!(are_open(), [false, false]);
}
