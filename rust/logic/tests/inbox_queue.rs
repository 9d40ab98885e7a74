// SPDX-License-Identifier: GPL-2.0

//! An inbox against a simple model of it: a queue of slots, with room for all of the ring but one.

use netmap_logic::logic::{
    inbox::{Halves, Producer},
    ring::{Cursors, Span},
};
use proptest::prelude::*;
use std::collections::VecDeque;

/// A ring with both halves in one thread.
struct Ring {
    halves: Halves,
    producer: Producer,
    cursors: Cursors,
    /// The number of the packet in each slot.
    slots: Vec<usize>,
}

impl Ring {
    fn new(slots: u32) -> Self {
        let (halves, cursors) = (Halves::new(), Cursors::receive(slots).unwrap());
        Self {
            producer: halves.open(&cursors),
            halves,
            cursors,
            slots: vec![0; slots as usize],
        }
    }

    /// Delivers a packet of `count` slots; false if there is no room.
    fn deliver(&mut self, number: usize, count: u32) -> bool {
        let lease = match count {
            1 => self.producer.lease_one(&self.halves),
            _ => self.producer.lease(&self.halves, count),
        };
        let Some(lease) = lease else {
            return false;
        };
        for slot in lease.slots() {
            self.slots[slot as usize] = number;
        }
        lease.fill();
        let _ = self.producer.publish(&self.halves);
        true
    }

    /// A sync of a program that has released `count` of the slots that it has; returns what is in the new ones.
    fn sync(&mut self, count: u32) -> Vec<usize> {
        let (n, tail) = (self.cursors.num_slots(), self.cursors.rtail());
        let head = (self.cursors.rhead() + count) % n;
        self.cursors.rx_prologue(head, head, tail).unwrap();
        self.cursors.release_all();
        self.halves.release(self.cursors.hwcur());
        self.cursors.publish_to(self.halves.look()).unwrap();
        let new = Span::new(tail, self.cursors.finalize(), n).unwrap();
        new.map(|slot| self.slots[slot as usize]).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Of so many slots.
    Deliver(u32),
    /// Of so many slots, or of all that the program has.
    Release(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u32..24).prop_map(Step::Deliver),
        (0u32..24).prop_map(Step::Release),
    ]
}

proptest! {
    #[test]
    fn as_a_queue(slots in 2u32..20, steps in prop::collection::vec(step(), 1..200)) {
        let mut ring = Ring::new(slots);
        let mut unseen = VecDeque::new();
        // Slots that the program has.
        let mut seen = 0;
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Step::Deliver(count) => {
                    let room = slots - 1 - seen - unseen.len() as u32;
                    prop_assert_eq!(ring.deliver(number, count), count <= room);
                    if count <= room {
                        unseen.extend((0..count).map(|_| number));
                    }
                }
                Step::Release(count) => {
                    let count = count.min(seen);
                    let new = ring.sync(count);
                    seen = seen - count + new.len() as u32;
                    prop_assert_eq!(new, unseen.drain(..).collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn a_packet_longer_than_the_ring_never_fits() {
    let mut ring = Ring::new(8);
    assert_eq!(ring.producer.most(), 7);
    assert!(!ring.deliver(1, 8));
    assert!(!ring.deliver(1, u32::MAX));
    assert!(ring.deliver(1, 7));
    assert!(!ring.deliver(2, 1));
    assert_eq!(ring.sync(0), [1; 7]);
    assert_eq!(ring.sync(3), []);
    assert!(!ring.deliver(3, 4));
    assert!(ring.deliver(3, 3));
    assert_eq!(ring.sync(4), [3; 3]);
}
