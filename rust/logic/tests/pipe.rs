// SPDX-License-Identifier: GPL-2.0

//! A lane of a pipe, in all orders in which threads and weakly ordered memory may act.
//!
//! The files under test are compiled a second time here, with loom's atomics in place of the machine's.

// What is public in the crate that the files belong to is private to this one.
#![allow(unreachable_pub, dead_code)]

use loom::cell::UnsafeCell;
use loom::sync::atomic::{fence, AtomicU32, Ordering};
use loom::sync::Arc;
use loom::thread;

mod atomic {
    pub use loom::sync::atomic::{fence, AtomicU32, Ordering};
}
#[path = "../inbox.rs"]
mod inbox;
#[path = "../pipe.rs"]
mod pipe;
#[path = "../ring.rs"]
mod ring;

use pipe::Lane;
use ring::{Cursors, Span};

/// A slot of the receive ring as the module has it: cells of loom's, which fails where sender and receiver are in one at the same time,
/// or where one does not see what the other has done.
#[derive(Default)]
struct Slot {
    value: UnsafeCell<u32>,
    buffer: UnsafeCell<u32>,
}

/// Who waits, and how often he was woken.
#[derive(Default)]
struct Sleeper {
    waits: AtomicU32,
    woken: AtomicU32,
}

impl Sleeper {
    fn wake(&self) {
        fence(Ordering::SeqCst);
        self.woken
            .fetch_add(self.waits.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// As `poll` does before it sleeps: on the wait queue first, then a sync.
    fn wait(&self) {
        self.waits.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn was_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed) > 0
    }
}

struct Joined {
    lane: Lane,
    slots: Vec<Slot>,
    sender: Sleeper,
    receiver: Sleeper,
}

struct Sender {
    joined: Arc<Joined>,
    cursors: Cursors,
    /// The buffers of its slots.
    shadow: Vec<u32>,
    next: u32,
}

struct Receiver {
    joined: Arc<Joined>,
    cursors: Cursors,
}

/// Two rings of `slots` slots. The sender's buffers are 100 and more, the receiver's 200 and more.
fn join(slots: u32) -> (Sender, Receiver) {
    let joined = Arc::new(Joined {
        lane: Lane::new(),
        slots: (0..slots)
            .map(|slot| Slot {
                value: UnsafeCell::new(0),
                buffer: UnsafeCell::new(200 + slot),
            })
            .collect(),
        sender: Sleeper::default(),
        receiver: Sleeper::default(),
    });
    let sender = Sender {
        joined: joined.clone(),
        cursors: Cursors::transmit(slots).unwrap(),
        shadow: (0..slots).map(|slot| 100 + slot).collect(),
        next: 1,
    };
    let receiver = Receiver {
        joined,
        cursors: Cursors::receive(slots).unwrap(),
    };
    (sender, receiver)
}

impl Sender {
    /// How many slots its program may fill, as far as it was told.
    fn room(&self) -> u32 {
        self.cursors.space()
    }

    /// A sync, after the program has filled `count` slots with the next numbers.
    fn sync(&mut self, count: u32) {
        let n = self.cursors.num_slots();
        let head = ring::add(self.cursors.rhead(), count, n);
        let span = self
            .cursors
            .tx_prologue(head, head, self.cursors.rtail())
            .unwrap()
            .span;
        let mut sending = self.joined.lane.sending(&self.cursors);
        let slots = sending
            .slots(span.len())
            .expect("it was told that they are free");
        assert_eq!(slots, span);
        for slot in slots {
            let there = &self.joined.slots[slot as usize];
            let mine = &mut self.shadow[slot as usize];
            // SAFETY: They are the sender's; loom checks it.
            there.value.with_mut(|value| unsafe { *value = self.next });
            there
                .buffer
                .with_mut(|buffer| unsafe { core::ptr::swap(buffer, mine) });
            self.next += 1;
        }
        self.cursors.release_all();
        if count != 0 && sending.publish(span.len()) {
            self.joined.receiver.wake();
        }
        self.cursors.publish_to(self.joined.lane.vacant(n)).unwrap();
        self.cursors.finalize();
    }
}

impl Receiver {
    /// A sync, after the program has taken `count` of the packets that it was told of, and has put a buffer of its own in the place of
    /// each one's. Returns what is new: the values, and the buffers.
    fn sync(&mut self, count: u32, own: impl Fn(u32) -> Option<u32>) -> Vec<(u32, u32)> {
        let n = self.cursors.num_slots();
        let head = ring::add(self.cursors.rhead(), count, n);
        let span = self
            .cursors
            .rx_prologue(head, head, self.cursors.rtail())
            .unwrap()
            .span;
        for slot in span.clone() {
            if let Some(own) = own(slot) {
                // SAFETY: They are the receiver's; loom checks it.
                self.joined.slots[slot as usize]
                    .buffer
                    .with_mut(|buffer| unsafe { *buffer = own });
            }
        }
        self.cursors.release_all();
        if !span.is_empty() && self.joined.lane.release(self.cursors.hwcur()) {
            self.joined.sender.wake();
        }
        self.cursors.publish_to(self.joined.lane.look()).unwrap();
        let from = self.cursors.rtail();
        self.cursors.finalize();
        let new = Span::new(from, self.cursors.rtail(), n).unwrap();
        new.map(|slot| {
            let there = &self.joined.slots[slot as usize];
            // SAFETY: As above.
            unsafe {
                (
                    there.value.with(|value| *value),
                    there.buffer.with(|buffer| *buffer),
                )
            }
        })
        .collect()
    }
}

#[test]
fn all_that_is_sent_comes_once_in_order_and_buffers_are_exchanged() {
    loom::model(|| {
        let (mut sender, mut receiver) = join(3);
        assert_eq!(sender.room(), 2);
        let sent = thread::spawn(move || {
            sender.sync(2);
            // What is free by now, if anything.
            let room = sender.room();
            sender.sync(room);
            sender
        });
        let mut seen = receiver.sync(0, |_| None);
        let count = seen.len() as u32;
        seen.extend(receiver.sync(count, |_| None));
        let sender = sent.join().unwrap();
        let held = seen.len() as u32 - count;
        seen.extend(receiver.sync(held, |_| None));
        let values: Vec<u32> = seen.iter().map(|it| it.0).collect();
        assert_eq!(values, (1..sender.next).collect::<Vec<_>>());
        // Each buffer is in one place.
        let mut buffers = sender.shadow.clone();
        for slot in &receiver.joined.slots {
            // SAFETY: The other thread has ended.
            buffers.push(slot.buffer.with(|buffer| unsafe { *buffer }));
        }
        buffers.sort_unstable();
        assert_eq!(buffers, [100, 101, 102, 200, 201, 202]);
    });
}

#[test]
fn the_sender_gets_what_the_receiver_has_put_in_its_slots() {
    loom::model(|| {
        let (mut sender, mut receiver) = join(3);
        sender.sync(2);
        assert_eq!(sender.room(), 0, "as long as the receiver has them");
        assert_eq!(receiver.sync(0, |_| None), [(1, 100), (2, 101)]);
        assert_eq!(sender.shadow, [200, 201, 102]);
        let released = thread::spawn(move || {
            let seen = receiver.sync(2, |slot| Some(900 + slot));
            (receiver, seen)
        });
        sender.sync(0);
        let room = sender.room();
        assert!(room == 0 || room == 2);
        sender.sync(room);
        let (mut receiver, mut seen) = released.join().unwrap();
        // The third slot had never been used, the first one comes with what the receiver has put there.
        if room == 2 {
            assert_eq!(sender.shadow, [900, 201, 202]);
            seen.extend(receiver.sync(0, |_| None));
            assert_eq!(seen, [(3, 102), (4, 200)]);
        }
    });
}

#[test]
fn no_wake_of_the_sender_is_lost() {
    loom::model(|| {
        let (mut sender, mut receiver) = join(3);
        sender.sync(2);
        assert_eq!(receiver.sync(0, |_| None).len(), 2);
        let released = thread::spawn(move || {
            receiver.sync(1, |_| None);
            receiver.sync(1, |_| None);
        });
        // It may have looked before, too.
        sender.sync(0);
        sender.joined.sender.wait();
        sender.sync(0);
        released.join().unwrap();
        assert!(sender.room() == 2 || sender.joined.sender.was_woken());
    });
}

#[test]
fn no_wake_of_the_receiver_is_lost() {
    loom::model(|| {
        let (mut sender, mut receiver) = join(4);
        let sent = thread::spawn(move || {
            sender.sync(1);
            sender.sync(1);
        });
        receiver.joined.receiver.wait();
        let found = receiver.sync(0, |_| None).len();
        sent.join().unwrap();
        assert!(found == 2 || receiver.joined.receiver.was_woken());
    });
}

#[test]
fn less_than_all_may_be_shown() {
    loom::model(|| {
        let (mut sender, mut receiver) = join(4);
        assert_eq!(receiver.sync(0, |_| None), []);
        let span = sender.cursors.tx_prologue(2, 2, 3).unwrap().span;
        let lane = &sender.joined.lane;
        let mut sending = lane.sending(&sender.cursors);
        assert_eq!(sending.slots(2), Some(span));
        assert_eq!(sending.slots(4), None);
        assert!(sending.publish(1));
        sender.cursors.release(1).unwrap();
        assert_eq!(receiver.sync(0, |_| None).len(), 1);
        assert!(
            !sender.joined.lane.sending(&sender.cursors).publish(3),
            "no more are free"
        );
        assert_eq!(receiver.sync(0, |_| None).len(), 0);
    });
}
