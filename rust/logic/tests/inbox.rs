// SPDX-License-Identifier: GPL-2.0

//! The two halves of an inbox, in all orders in which threads and weakly ordered memory may act.
//!
//! The files under test are compiled a second time here, with loom's atomics in place of the machine's.

// What is public in the crate that the files belong to is private to this one.
#![allow(unreachable_pub, dead_code)]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{fence, AtomicU32, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

mod atomic {
    pub use loom::sync::atomic::{fence, AtomicU32, Ordering};
}
#[path = "../inbox.rs"]
mod inbox;
#[path = "../ring.rs"]
mod ring;

use inbox::{Halves, Producer};
use ring::Cursors;

/// A ring as the module has it: a slot is a cell of loom's, which fails where producer and consumer are in it at the same time, or
/// where one does not see what the other has done; and so is an entry of the table of buffers.
struct Ring {
    halves: Halves,
    slots: Vec<UnsafeCell<u32>>,
    table: Vec<AtomicU32>,
    producer: Mutex<Producer>,
    /// Whether the consumer is on the wait queue.
    waits: AtomicU32,
    /// How often it was woken.
    woken: AtomicU32,
}

/// The consumer's half.
struct Consumer {
    ring: Arc<Ring>,
    cursors: Cursors,
}

fn open(slots: u32) -> (Arc<Ring>, Consumer) {
    let cursors = Cursors::receive(slots).unwrap();
    let halves = Halves::new();
    let producer = Mutex::new(halves.open(&cursors));
    let ring = Arc::new(Ring {
        halves,
        slots: (0..slots).map(|_| UnsafeCell::new(0)).collect(),
        table: (0..slots).map(AtomicU32::new).collect(),
        producer,
        waits: AtomicU32::new(0),
        woken: AtomicU32::new(0),
    });
    let consumer = Consumer {
        ring: ring.clone(),
        cursors,
    };
    (ring, consumer)
}

impl Ring {
    /// Delivers a packet of `count` slots with this value in each; false if there is no room.
    fn deliver(&self, value: u32, count: u32) -> bool {
        let mut producer = self.producer.lock().unwrap();
        let lease = match count {
            1 => producer.lease_one(&self.halves),
            _ => producer.lease(&self.halves, count),
        };
        let Some(lease) = lease else {
            return false;
        };
        for slot in lease.slots() {
            let buffer = self.table[slot as usize].load(Ordering::Relaxed);
            // SAFETY: The lease says so; loom checks it.
            self.slots[slot as usize].with_mut(|cell| unsafe { *cell = value + 100 * buffer });
        }
        lease.fill();
        if producer.publish(&self.halves) {
            fence(Ordering::SeqCst);
            self.woken
                .fetch_add(self.waits.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        true
    }
}

impl Ring {
    /// Delivers packets of one slot with these values, as many as there is room for; how many.
    fn deliver_many(&self, values: &[u32]) -> usize {
        let mut producer = self.producer.lock().unwrap();
        let count = values.len() as u32;
        let lease = producer.lease_most(&self.halves, count).unwrap();
        let mut filled = 0;
        for (slot, value) in lease.slots().zip(values) {
            let buffer = self.table[slot as usize].load(Ordering::Relaxed);
            // SAFETY: The lease says so; loom checks it.
            self.slots[slot as usize].with_mut(|cell| unsafe { *cell = value + 100 * buffer });
            filled += 1;
        }
        lease.fill_first(filled);
        let _ = producer.publish(&self.halves);
        filled as usize
    }
}

impl Consumer {
    /// A sync, after the program has taken all that it was told of: gives back the slots with these buffers in them, and returns
    /// what is new: the values, and the buffers.
    fn sync(&mut self, new_buffers: impl Fn(u32) -> u32) -> Vec<(u32, u32)> {
        let (head, tail) = (self.cursors.rtail(), self.cursors.rtail());
        let span = self.cursors.rx_prologue(head, head, tail).unwrap().span;
        for slot in span {
            self.ring.table[slot as usize].store(new_buffers(slot), Ordering::Relaxed);
        }
        self.cursors.release_all();
        self.ring.halves.release(self.cursors.hwcur());
        self.cursors.publish_to(self.ring.halves.look()).unwrap();
        let from = self.cursors.rtail();
        self.cursors.finalize();
        let new = ring::Span::new(from, self.cursors.rtail(), self.cursors.num_slots()).unwrap();
        new.map(|slot| {
            // SAFETY: Published slots are the consumer's; loom checks it.
            let value = self.ring.slots[slot as usize].with(|cell| unsafe { *cell });
            (value % 100, value / 100)
        })
        .collect()
    }
}

#[test]
fn what_is_delivered_is_seen_once_and_in_order() {
    loom::model(|| {
        let (ring, mut consumer) = open(3);
        let sender =
            thread::spawn(move || (1..=3).filter(|&value| ring.deliver(value, 1)).collect());
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.extend(consumer.sync(|slot| slot));
        }
        let sent: Vec<u32> = sender.join().unwrap();
        seen.extend(consumer.sync(|slot| slot));
        let seen: Vec<u32> = seen.iter().map(|&(value, _)| value).collect();
        assert_eq!(seen, sent);
        // Two find room, whatever the consumer does.
        assert!(sent.len() >= 2 && sent[..2] == [1, 2]);
    });
}

#[test]
fn a_released_slot_is_filled_with_its_new_buffer() {
    loom::model(|| {
        let (ring, mut consumer) = open(3);
        assert!(ring.deliver(1, 2));
        assert_eq!(consumer.sync(|slot| slot), [(1, 0), (1, 1)]);
        assert!(!ring.deliver(2, 1), "they are still the program's");
        // They are given back with other buffers, while the sender looks for two slots: the third one, and the first.
        let sender = thread::spawn(move || ring.deliver(2, 2));
        let mut seen = consumer.sync(|slot| 7 + slot);
        if sender.join().unwrap() {
            seen.extend(consumer.sync(|slot| slot));
            assert_eq!(seen, [(2, 2), (2, 7)]);
        } else {
            assert_eq!(seen, []);
        }
    });
}

#[test]
fn senders_take_turns() {
    loom::model(|| {
        let (ring, mut consumer) = open(4);
        let other = ring.clone();
        let sender = thread::spawn(move || other.deliver(1, 1));
        assert!(ring.deliver(2, 2));
        assert!(sender.join().unwrap());
        let mut seen: Vec<u32> = consumer.sync(|slot| slot).iter().map(|it| it.0).collect();
        if seen[0] == 1 {
            assert_eq!(seen, [1, 2, 2]);
        } else {
            assert_eq!(seen, [2, 2, 1]);
        }
        seen.clear();
    });
}

impl Consumer {
    /// As `poll` does before it sleeps: on the wait queue first, then a sync.
    fn wait(&mut self) -> usize {
        self.ring.waits.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.sync(|slot| slot).len()
    }
}

#[test]
fn no_wake_is_lost() {
    loom::model(|| {
        let (ring, mut consumer) = open(4);
        let other = ring.clone();
        let sender = thread::spawn(move || {
            assert!(other.deliver(1, 1));
            assert!(other.deliver(2, 1));
        });
        // It may have looked before, too.
        let mut found = consumer.sync(|slot| slot).len();
        found += consumer.wait();
        sender.join().unwrap();
        assert!(found == 2 || ring.woken.load(Ordering::Relaxed) > 0);
    });
}

/// Of many that are delivered at once, the first ones find room, and in slots that are free.
#[test]
fn many_at_once() {
    loom::model(|| {
        let (ring, mut consumer) = open(4);
        assert_eq!(ring.deliver_many(&[1, 2]), 2);
        let sender = thread::spawn(move || ring.deliver_many(&[3, 4, 5]));
        // What the first sync gives back, nothing, and the second: what the first one has seen.
        let mut seen = consumer.sync(|slot| slot);
        seen.extend(consumer.sync(|slot| slot));
        let sent = sender.join().unwrap();
        seen.extend(consumer.sync(|slot| slot));
        let seen: Vec<u32> = seen.iter().map(|&(value, _)| value).collect();
        assert!((1..=3).contains(&sent));
        assert_eq!(seen, [1, 2, 3, 4, 5][..2 + sent]);
    });
}

/// What was leased and not filled is free for the next.
#[test]
fn the_first_of_many() {
    loom::model(|| {
        let (ring, mut consumer) = open(8);
        {
            let mut producer = ring.producer.lock().unwrap();
            let lease = producer.lease_most(&ring.halves, 5).unwrap();
            assert_eq!(lease.slots().len(), 5);
            for slot in lease.slots().first(2) {
                // SAFETY: The lease says so; loom checks it.
                ring.slots[slot as usize].with_mut(|cell| unsafe { *cell = 1 });
            }
            lease.fill_first(2);
            let _ = producer.publish(&ring.halves);
        }
        assert_eq!(ring.deliver_many(&[2, 3, 4, 5, 6, 7]), 5);
        let seen: Vec<u32> = consumer.sync(|slot| slot).iter().map(|it| it.0).collect();
        assert_eq!(seen, [1, 1, 2, 3, 4, 5, 6]);
    });
}

/// One wake-up is enough for all that comes before the next look.
#[test]
fn one_wake_for_many() {
    loom::model(|| {
        let (ring, mut consumer) = open(8);
        assert_eq!(consumer.wait(), 0);
        for (woken, new) in [(1, 2), (2, 3)] {
            for _ in 0..new {
                assert!(ring.deliver(1, 1));
            }
            assert_eq!(ring.woken.load(Ordering::Relaxed), woken);
            assert_eq!(consumer.sync(|slot| slot).len(), new);
        }
    });
}

#[test]
fn a_ring_is_opened_where_it_stands() {
    loom::model(|| {
        let (ring, mut consumer) = open(4);
        assert!(ring.deliver(1, 2));
        assert_eq!(consumer.sync(|slot| slot).len(), 2);
        let mut producer = ring.halves.open(&consumer.cursors);
        assert_eq!(producer.most(), 3);
        assert!(producer.lease(&ring.halves, 2).is_none());
        let lease = producer.lease(&ring.halves, 1).unwrap();
        assert_eq!(lease.slots().begin(), 2);
    });
}
