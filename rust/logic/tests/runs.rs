// SPDX-License-Identifier: GPL-2.0

//! Runs of slots, against a list of who each slot is.

use netmap_logic::logic::{
    numbers,
    payload::{Payload, Pointer},
    runs::{Run, Runs},
    slot::Slot, //
};
use proptest::prelude::*;
use std::collections::VecDeque;

const SLOTS: u32 = 8;

#[test]
fn pointers() {
    let pointer = Pointer {
        fd: -2,
        offset: 80,
        error: 104,
    };
    assert_eq!(Pointer::from_raw(pointer.to_raw()), pointer);
    // A program on a little-endian machine that writes the descriptor alone.
    assert_eq!(
        Pointer::from_raw(7),
        Pointer {
            fd: 7,
            offset: 0,
            error: 0
        }
    );
    assert_eq!(Pointer::unnamed(80).fd, -1);
}

#[test]
fn payloads() {
    let slot = |len| Slot {
        buf_idx: 2,
        len,
        flags: 0,
    };
    let at = |offset| Pointer {
        fd: 1,
        offset,
        error: 0,
    };
    assert!(Payload::of(&slot(100), &at(28), 128).is_some());
    assert!(Payload::of(&slot(101), &at(28), 128).is_none());
    assert!(Payload::of(&slot(0), &at(128), 128).is_some());
    assert!(Payload::of(&slot(0), &at(129), 128).is_none());
    assert!(Payload::of(&slot(u16::MAX), &at(u16::MAX), 1 << 16).is_none());
    let payload = Payload::of(&slot(100), &at(28), 128).unwrap();
    let rest = payload.without(30);
    assert_eq!((rest.offset(), rest.len()), (58, 70));
    assert!(payload.without(1000).is_empty());
}

#[test]
fn table_of_numbers() {
    assert_eq!(numbers::words_for(-1, 0), None);
    assert_eq!(numbers::words_for(numbers::MOST_NUMBERS as i32, 0), None);
    assert_eq!(numbers::words_for(3, 0), Some(64));
    assert_eq!(numbers::words_for(64, 64), Some(128));
    assert_eq!(numbers::words_for(5, 128), Some(128));
    let mut table = vec![numbers::NONE; 64];
    assert_eq!(numbers::get(&table, 3), None);
    assert_eq!(numbers::set(&mut table, 3, 7), None);
    assert_eq!(numbers::get(&table, 3), Some(7));
    assert_eq!(numbers::set(&mut table, 3, 8), Some(7));
    numbers::clear(&mut table, 3, 7);
    assert_eq!(numbers::get(&table, 3), Some(8));
    numbers::clear(&mut table, 3, 8);
    assert_eq!(numbers::get(&table, 3), None);
    assert_eq!(numbers::get(&table, -1), None);
    assert_eq!(numbers::get(&table, 64), None);
    assert_eq!(numbers::set(&mut table, 64, 1), None);
}

proptest! {
    #[test]
    fn as_a_list(steps in proptest::collection::vec((any::<bool>(), 0..4u32, 1..SLOTS), 0..100)) {
        let mut runs = Runs::new(vec![Run::default(); SLOTS as usize]);
        let mut list: VecDeque<u32> = VecDeque::new();
        let (mut head, mut tail) = (0, 0);
        for (push, who, count) in steps {
            if push {
                // One slot stays empty.
                if list.len() + 1 < SLOTS as usize {
                    runs.push(tail, who as i32, who + 1);
                    list.push_back(who);
                    tail = (tail + 1) % SLOTS;
                }
            } else {
                let count = count.min(list.len() as u32);
                runs.release(count, SLOTS);
                list.drain(..count as usize);
                head = (head + count) % SLOTS;
            }
            let mut at = head;
            let mut left = list.iter();
            prop_assert_eq!(runs.len() as usize, runs.iter().count());
            let mut before = None;
            for run in runs.iter() {
                prop_assert_eq!(run.first, at);
                prop_assert!(run.count > 0);
                // Neighbours are different connections.
                prop_assert_ne!(before, Some(run.serial));
                before = Some(run.serial);
                for _ in 0..run.count {
                    prop_assert_eq!(left.next().copied(), Some(run.fd as u32));
                }
                at = (at + run.count) % SLOTS;
            }
            prop_assert_eq!(left.next(), None);
        }
    }
}
