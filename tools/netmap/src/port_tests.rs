// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use core::ptr::NonNull;
use std::fs::File as Null;

const BUF_SIZE: u32 = 64;
/// Where the ring starts, and the buffers; the interface is at 0.
const RING: usize = 256;
const BUFS: usize = 1024;
const BUFFERS: u32 = 8;
const LEN: usize = BUFS + (BUFFERS * BUF_SIZE) as usize;

/// Memory of a region; the test plays the kernel. Aligned as rings are.
#[repr(align(128))]
struct Memory([u8; LEN]);

impl Memory {
    /// A region with one ring and a list of extra buffers.
    fn new(extra: &[u32]) -> Box<Memory> {
        let mut memory = Box::new(Memory([0; LEN]));
        memory.put(RING, (BUFS - RING) as u64);
        memory.put(RING + 8, 2_u32);
        memory.put(RING + 12, BUF_SIZE);
        let mut next = 0;
        for idx in extra.iter().rev() {
            memory.put(BUFS + (idx * BUF_SIZE) as usize, next);
            next = *idx;
        }
        memory.put(HEAD, next);
        memory
    }

    fn put<T>(&mut self, at: usize, value: T) {
        assert!(at + size_of::<T>() <= LEN);
        // SAFETY: inside of the memory, by the check.
        unsafe {
            self.0
                .as_mut_ptr()
                .add(at)
                .cast::<T>()
                .write_unaligned(value)
        }
    }

    /// The list of extra buffers.
    fn list(&self) -> Vec<u32> {
        let word = |at: usize| u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap());
        let mut list = Vec::new();
        let mut idx = word(HEAD);
        while idx != 0 {
            list.push(idx);
            idx = word(BUFS + (idx * BUF_SIZE) as usize);
        }
        list
    }

    /// A port with the ring; the memory must outlive it, and is not used meanwhile.
    fn port(&mut self, extra: u32) -> Port {
        let base = NonNull::new(self.0.as_mut_ptr()).unwrap();
        // SAFETY: the memory has `LEN` octets; tests drop their ports before it.
        let region = unsafe { Region::fake(base, LEN) };
        let mut port = Port::fake(&region, &[RING], &[]);
        port.collect_extra_bufs(extra);
        port
    }
}

impl Port {
    /// A port with rings at these offsets, and the interface at the start of the region.
    pub(crate) fn fake(region: &Arc<Region>, tx: &[usize], rx: &[usize]) -> Port {
        let file = PortFile::new(Null::open("/dev/null").unwrap().into(), region);
        let file = Arc::new(file);
        let member = Member::new(region, file.clone());
        let ring = |at: &usize| RawRing::new(&member, *at).ok().unwrap();
        let nifp = region.at(0, size_of::<abi::If>(), 8).unwrap().cast();
        Port {
            tx: tx.iter().map(ring).map(TxRing).collect(),
            rx: rx.iter().map(ring).map(RxRing).collect(),
            extra: Vec::new(),
            info: PortInfo {
                mem_size: region.len() as u64,
                mem_id: 1,
                tx_slots: 0,
                rx_slots: 0,
                tx_rings: tx.len() as u16,
                rx_rings: rx.len() as u16,
                host_tx_rings: 0,
                host_rx_rings: 0,
            },
            // INVARIANT: `at` has checked it.
            binding: Arc::new(Binding { file, nifp, member }),
        }
    }
}

const HEAD: usize = core::mem::offset_of!(abi::If, ni_bufs_head);

fn indices(port: &Port) -> Vec<u32> {
    port.extra.iter().map(|extra| extra.idx).collect()
}

#[test]
fn extra_buffers_are_taken_over_and_given_back() {
    let mut memory = Memory::new(&[3, 5, 7]);
    let mut port = memory.port(3);
    assert_eq!(indices(&port), [3, 5, 7]);
    port.extra_bufs_mut().remove(1);
    drop(port);
    assert_eq!(memory.list(), [7, 3]);
}

/// An index of one region is not that buffer in another one.
#[test]
fn extra_buffers_of_another_region_are_not_given_back_here() {
    let (mut memory, mut other) = (Memory::new(&[3, 4]), Memory::new(&[5, 6]));
    let (mut port, mut far) = (memory.port(2), other.port(2));
    let moved = far.extra_bufs_mut().pop().unwrap();
    port.extra_bufs_mut().push(moved);
    let back = port.extra_bufs_mut().remove(0);
    far.extra_bufs_mut().insert(0, back);
    assert_eq!((indices(&port), indices(&far)), (vec![4, 6], vec![3, 5]));
    drop(port);
    drop(far);
    assert_eq!((memory.list(), other.list()), (vec![4], vec![5]));
}

/// As after an exchange with a slot that another program has written to.
#[test]
fn an_index_without_a_buffer_is_not_given_back() {
    let mut memory = Memory::new(&[3]);
    let mut port = memory.port(1);
    port.extra[0].idx = BUFFERS;
    drop(port);
    assert_eq!(memory.list(), []);
}
