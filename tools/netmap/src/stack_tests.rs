// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use crate::group::Member;
use crate::region::Region;
use core::ptr::NonNull;
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::fs::File;
use std::sync::atomic::AtomicUsize;
use std::sync::Arc;

const SLOTS: u32 = 4;
const BUF_SIZE: u32 = 128;
const ROOM: u32 = 80;
const BUFFERS: u32 = 10;
/// Where the receive ring starts, its list of runs, and the buffers.
const RX: usize = 512;
const RUNS: usize = 1024;
const BUFS: usize = 1280;
const LEN: usize = BUFS + (BUFFERS * BUF_SIZE) as usize;

/// Memory with a transmit ring at 0 and a receive ring; the test plays the kernel.
struct Memory(NonNull<u8>);

impl Memory {
    fn layout() -> Layout {
        Layout::from_size_align(LEN, 128).unwrap()
    }

    fn new() -> Memory {
        // SAFETY: the layout is not empty.
        let memory = Memory(NonNull::new(unsafe { alloc_zeroed(Memory::layout()) }).unwrap());
        for (ring, at) in [(0, 0), (1, RX)] {
            memory.put(at, (BUFS - at) as i64);
            memory.put(at + 8, SLOTS);
            memory.put(at + 12, BUF_SIZE);
            memory.put(at + 80, ROOM);
            for slot in 0..SLOTS {
                memory.put(at + 256 + slot as usize * 16, 2 + ring * SLOTS + slot);
            }
        }
        memory.put(RX + 72, (RUNS - RX) as i64);
        memory
    }

    fn put<T>(&self, at: usize, value: T) {
        assert!(at + size_of::<T>() <= LEN);
        // SAFETY: inside of the allocation, by the check.
        unsafe { self.0.add(at).cast::<T>().write_unaligned(value) }
    }

    fn get<T: Copy>(&self, at: usize) -> T {
        assert!(at + size_of::<T>() <= LEN);
        // SAFETY: inside of the allocation, by the check; callers read integers.
        unsafe { self.0.add(at).cast::<T>().read_unaligned() }
    }

    fn ring(&self, at: usize) -> RawRing {
        // SAFETY: the allocation has `LEN` octets; tests drop their rings before the memory.
        let region = unsafe { Region::fake(self.0, LEN) };
        RawRing::new(&Member::new(&region, Arc::<AtomicUsize>::default()), at).unwrap()
    }

    /// A slot of the receive ring, and what its buffer holds at the offset.
    fn received(&self, slot: u32, fd: i32, octets: &[u8]) {
        let at = RX + 256 + slot as usize * 16;
        self.put(at + 4, octets.len() as u16);
        self.put(at + 6, 0_u16);
        self.put(at + 8, u64::from(fd as u32) | (u64::from(ROOM) << 32));
        let idx: u32 = self.get(at);
        for (i, octet) in octets.iter().enumerate() {
            self.put(BUFS + (idx * BUF_SIZE + ROOM) as usize + i, *octet);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.0.as_ptr(), Memory::layout()) }
    }
}

/// Stands for a socket.
fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

/// A port, whose memory must outlive it.
fn port(memory: &Memory) -> StackPort {
    // SAFETY: the allocation has `LEN` octets.
    let region = unsafe { Region::fake(memory.0, LEN) };
    StackPort {
        port: Port::fake(&region, &[0], &[RX]),
        sockets: Sockets::default(),
        queued: vec![None; SLOTS as usize],
    }
}

/// What the kernel puts into the receive ring: slots of one connection each, up to `tail`.
fn sync(memory: &Memory, first: u32, tail: u32, fd: RawFd) {
    memory.put(RX + 28, tail);
    memory.put(RUNS, 1_u32);
    memory.put(RUNS + 4, SLOTS);
    memory.put(RUNS + 8, fd);
    memory.put(RUNS + 12, first);
    memory.put(RUNS + 16, tail - first);
    for slot in first..tail {
        memory.received(slot, fd, &[slot as u8]);
    }
}

fn heard(port: &mut StackPort) -> Vec<(Connection, u8)> {
    let mut heard = Vec::new();
    port.receive(|connection, event, _| {
        let Event::Data(octets) = event else { panic!() };
        heard.push((connection, octets[0]));
    });
    heard
}

#[test]
fn a_number_that_is_used_again_is_another_connection() {
    let memory = Memory::new();
    let mut port = port(&memory);
    let former = port.adopt(null());
    sync(&memory, 0, 1, former.fd);
    assert_eq!(heard(&mut port), [(former, 0)]);
    // Slots of a connection that is closed with these in the ring, whose number the next one has.
    sync(&memory, 1, 2, former.fd);
    let fd = port.sockets.remove(former);
    let next = port.adopt(fd);
    assert_eq!(next.fd, former.fd);
    assert_ne!(next, former);
    // A sync before these are released adds to them.
    sync(&memory, 1, 3, next.fd);
    assert_eq!(heard(&mut port), [(next, 2)]);
    assert_eq!(memory.get::<u32>(RX + 20), 3);
    port.close(next);
    assert!(port.sockets.find(next.fd, 0).is_none());
}

#[test]
fn what_is_told_of_nobody_is_released() {
    let memory = Memory::new();
    let mut port = port(&memory);
    for fd in [-1, 3, i32::MAX] {
        memory.put(RX + 20, [0_u32; 3]);
        sync(&memory, 0, 2, fd);
        assert_eq!(heard(&mut port), []);
        assert_eq!(memory.get::<u32>(RX + 20), 2);
    }
    // What was dropped of a former connection, after its number was registered again.
    let next = port.adopt(null());
    memory.put(RX + 20, [0_u32; 3]);
    sync(&memory, 0, 1, next.fd);
    memory.put(RX + 256 + 6, abi::NS_STACK_ERROR);
    memory.put(RX + 256 + 14, libc::ESTALE as u16);
    assert_eq!(heard(&mut port), []);
}

#[test]
#[should_panic(expected = "the connection is closed")]
fn nothing_is_sent_on_a_connection_that_was_closed() {
    let memory = Memory::new();
    memory.put(28, SLOTS - 1);
    let mut port = port(&memory);
    let former = port.adopt(null());
    let fd = port.sockets.remove(former);
    port.adopt(fd);
    port.tx().send(former, b"for another");
}

#[test]
fn what_is_sent_lies_behind_the_room_for_headers() {
    let memory = Memory::new();
    memory.put(28, SLOTS - 1);
    let mut ring = memory.ring(0);
    let mut sockets = Sockets::default();
    let [one, other] = [(); 2].map(|()| sockets.insert(null(), 0));
    let mut queued = [None; SLOTS as usize];
    let mut tx = StackTx::new(&mut ring, &sockets, &mut queued);
    assert_eq!((tx.space(), tx.slot_len()), (3, 48));
    let octets: Vec<u8> = (0..200).collect();
    assert_eq!(tx.send(one, &octets[..50]), 50);
    assert_eq!(memory.get::<u32>(20), 2);
    for (slot, len) in [(0, 48_u16), (1, 2)] {
        let at = 256 + slot * 16;
        assert_eq!(memory.get::<u16>(at + 4), len);
        let ptr = one.fd as u64 | (u64::from(ROOM) << 32);
        assert_eq!(memory.get::<u64>(at + 8), ptr);
        let buffer = BUFS + ((2 + slot as u32) * BUF_SIZE + ROOM) as usize;
        for i in 0..usize::from(len) {
            assert_eq!(memory.get::<u8>(buffer + i), octets[48 * slot + i]);
        }
    }
    assert_eq!(tx.send(other, &octets), 48);
    assert_eq!((tx.send(other, &octets), tx.space()), (0, 0));
    assert_eq!(tx.unsent(), [one, one, other]);
}

#[test]
fn slots_tell_data_ends_and_errors() {
    let memory = Memory::new();
    memory.received(0, 5, b"abc");
    memory.received(1, 5, b"");
    memory.put(RX + 256 + 16 + 6, abi::NS_STACK_END);
    memory.received(2, 6, b"");
    memory.put(RX + 256 + 32 + 6, abi::NS_STACK_ERROR);
    memory.put(RX + 256 + 32 + 14, libc::ECONNRESET as u16);
    let ring = memory.ring(RX);
    assert!(matches!(event(&ring, 0), Event::Data(b"abc")));
    assert!(matches!(event(&ring, 1), Event::End));
    let Event::Error(error) = event(&ring, 2) else {
        panic!()
    };
    assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
}

#[test]
fn impossible_offsets_lengths_and_lists_reach_nothing_outside() {
    let memory = Memory::new();
    memory.received(0, 5, b"abc");
    let ring = memory.ring(RX);
    let at = RX + 256;
    for (offset, len, expected) in [
        (80_u16, 0xffff_u16, 48),
        (127, 9, 1),
        (128, 1, 0),
        (0xffff, 1, 0),
    ] {
        memory.put(at + 12, offset);
        memory.put(at + 4, len);
        let Event::Data(octets) = event(&ring, 0) else {
            panic!()
        };
        assert_eq!(octets.len(), expected);
    }
    assert!(runs(&ring).is_some());
    for offset in [
        0,
        1,
        -((RX + 4) as i64),
        (LEN - RX) as i64,
        i64::MAX,
        i64::MIN,
    ] {
        memory.put(RX + 72, offset);
        assert!(runs(&ring).is_none(), "{offset}");
    }
    memory.put(RX + 80, BUF_SIZE);
    assert_eq!(room(&ring), 0);
}
