// SPDX-License-Identifier: GPL-2.0

//! What has arrived on connections, against a model: each connection has a queue of bytes, and what comes out of the lists is
//! what went in, in order and grouped, with no buffer lost or in two places.

use netmap_logic::logic::arrivals::{Arrivals, Next, Node, Source, Taken};
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};

const ROOM: u16 = 10;
const BUFFERS: u32 = 8;
const MOST: u32 = 4;
const CONNECTIONS: u32 = 3;

fn arrivals() -> Arrivals<Vec<Node>, Vec<Source>> {
    let nodes = (0..BUFFERS)
        .map(|index| Node::free(index, 100 + index, index + 1 == BUFFERS))
        .collect();
    let mut arrivals = Arrivals::new(
        nodes,
        vec![Source::NOBODY; CONNECTIONS as usize],
        ROOM,
        MOST,
    );
    for id in 0..CONNECTIONS {
        arrivals.open(id, 10 + id as i32, 1 + id);
    }
    arrivals
}

/// Stores `count` bytes as the module does; how many found room.
fn store(arrivals: &mut Arrivals<Vec<Node>, Vec<Source>>, id: u32, count: u16) -> u16 {
    let mut done = 0;
    while done < count {
        let Some(room) = arrivals.room(id) else { break };
        let part = (count - done).min(ROOM - room.used);
        arrivals.stored(id, room, part);
        done += part;
    }
    done
}

/// The buffers of a connection's list, and how much is in each.
fn list(arrivals: &Arrivals<Vec<Node>, Vec<Source>>, id: u32) -> Vec<(u32, u16)> {
    let mut list = Vec::new();
    let mut at = None;
    while let Some((node, buffer, len)) = arrivals.behind(id, at) {
        list.push((buffer, len));
        at = Some(node);
    }
    list
}

/// Takes data of the connection whose turn it is, for the buffer `former`: the buffer, and the bytes in it.
fn take(arrivals: &mut Arrivals<Vec<Node>, Vec<Source>>, former: u32) -> Option<(u32, u16)> {
    let (_, fd, serial) = arrivals.head()?;
    let taken = arrivals.take_data(former)?;
    assert_eq!((taken.fd, taken.serial), (fd, serial));
    let Taken { buffer, len, .. } = taken;
    Some((buffer, len))
}

#[test]
fn grouped() {
    let mut arrivals = arrivals();
    assert!(arrivals.look());
    // The second connection comes first, and all that it has.
    assert_eq!(store(&mut arrivals, 1, 5), 5);
    assert_eq!(store(&mut arrivals, 0, 3), 3);
    assert_eq!(store(&mut arrivals, 1, 7), 7);
    assert!(!arrivals.look());
    assert_eq!(arrivals.head(), Some((1, 11, 2)));
    assert_eq!(take(&mut arrivals, 200), Some((100, 10)));
    assert_eq!(take(&mut arrivals, 201), Some((102, 2)));
    // It has no more, and the next one's turn comes.
    assert_eq!(arrivals.head(), Some((0, 10, 1)));
    assert_eq!(take(&mut arrivals, 202), Some((101, 3)));
    assert_eq!(arrivals.head(), None);
    assert_eq!(arrivals.free_count(), BUFFERS);
}

#[test]
fn ends_come_after_data() {
    let mut arrivals = arrivals();
    store(&mut arrivals, 0, 5);
    // What is left in the socket goes before the end and the error.
    arrivals.note(0, true, false, false, 104);
    arrivals.note(0, false, true, false, 0);
    assert_eq!(take(&mut arrivals, 200), Some((100, 5)));
    assert_eq!(
        arrivals.due(),
        Next::Nothing {
            left: true,
            gone: false
        }
    );
    store(&mut arrivals, 0, 2);
    arrivals.note(0, false, true, false, 0);
    assert!(matches!(take(&mut arrivals, 201), Some((_, 2))));
    assert_eq!(arrivals.due(), Next::Error(104));
    arrivals.error_told();
    assert_eq!(
        arrivals.due(),
        Next::Nothing {
            left: false,
            gone: true
        }
    );
    assert_eq!(arrivals.head(), None);
}

#[test]
fn end_is_told_once() {
    let mut arrivals = arrivals();
    arrivals.note(2, false, true, false, 0);
    assert_eq!(arrivals.due(), Next::End);
    arrivals.end_told();
    let nothing = Next::Nothing {
        left: false,
        gone: false,
    };
    assert_eq!(arrivals.due(), nothing);
    arrivals.note(2, false, true, false, 0);
    assert_eq!(arrivals.due(), nothing);
    arrivals.note(2, false, false, false, 110);
    assert_eq!(arrivals.due(), Next::Error(110));
}

#[test]
fn a_share_for_each() {
    let mut arrivals = arrivals();
    let most = ROOM * MOST as u16;
    assert_eq!(store(&mut arrivals, 0, 1000), most);
    assert_eq!(store(&mut arrivals, 1, 1000), most);
    assert_eq!(store(&mut arrivals, 2, 1000), 0);
    arrivals.close(0);
    assert_eq!(store(&mut arrivals, 2, 1000), most);
    // The queue goes on without the one that is closed.
    assert_eq!(arrivals.head().map(|head| head.0), Some(1));
}

#[test]
fn parked() {
    let mut arrivals = arrivals();
    store(&mut arrivals, 0, 22);
    store(&mut arrivals, 1, 1);
    assert_eq!(list(&arrivals, 0), [(100, 10), (101, 10), (102, 2)]);
    arrivals.park(0);
    assert_eq!(arrivals.room(0), None);
    assert_eq!(arrivals.head().map(|head| head.0), Some(1));
    assert_eq!(list(&arrivals, 0), [(102, 2), (101, 10), (100, 10)]);
    assert!(!arrivals.note(0, true, true, true, 1));
    arrivals.close(0);
    assert_eq!(arrivals.free_count(), BUFFERS - 1);
}

#[test]
fn told_when_curious() {
    let mut arrivals = arrivals();
    let room = arrivals.room(0).unwrap();
    assert!(arrivals.stored(0, room, 1));
    let room = arrivals.room(0).unwrap();
    assert!(!arrivals.stored(0, room, 1));
    arrivals.look();
    assert!(arrivals.note(1, true, false, false, 0));
    assert!(!arrivals.note(1, true, false, false, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Store(u32, u16),
    Take,
    Note(u32),
    Reopen(u32),
    Grow,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..CONNECTIONS, 1..30u16).prop_map(|(id, count)| Step::Store(id, count)),
        5 => Just(Step::Take),
        1 => (0..CONNECTIONS).prop_map(Step::Note),
        1 => (0..CONNECTIONS).prop_map(Step::Reopen),
        1 => Just(Step::Grow),
    ]
}

proptest! {
    #[test]
    fn as_a_model(steps in proptest::collection::vec(step(), 0..200)) {
        let mut arrivals = arrivals();
        let mut model: Vec<usize> = vec![0; CONNECTIONS as usize];
        let mut slots: VecDeque<u32> = (0..4).collect();
        let mut serial = 100;
        for step in steps {
            match step {
                Step::Store(id, count) => model[id as usize] += usize::from(store(&mut arrivals, id, count)),
                Step::Note(id) => { arrivals.note(id, true, false, false, 0); }
                Step::Reopen(id) => {
                    serial += 1;
                    arrivals.open(id, id as i32, serial);
                    model[id as usize] = 0;
                }
                Step::Grow => {
                    let old = arrivals.grow(vec![Source::NOBODY; CONNECTIONS as usize + 1]);
                    prop_assert!(old.len() >= CONNECTIONS as usize);
                }
                Step::Take => {
                    let Some((id, _, _)) = arrivals.head() else {
                        prop_assert!(model.iter().all(|left| *left == 0));
                        continue;
                    };
                    match arrivals.due() {
                        Next::Data => {
                            let (buffer, len) = take(&mut arrivals, slots[0]).unwrap();
                            prop_assert!(len > 0 && len <= ROOM);
                            prop_assert!(model[id as usize] >= usize::from(len));
                            model[id as usize] -= usize::from(len);
                            slots.pop_front();
                            slots.push_back(buffer);
                        }
                        Next::Nothing { gone, .. } => {
                            prop_assert!(!gone);
                            prop_assert_eq!(model[id as usize], 0);
                        }
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
            // Each buffer is in one place.
            let mut lists = 0;
            let mut seen: BTreeSet<u32> = slots.iter().copied().collect();
            for id in 0..CONNECTIONS {
                let mut bytes = 0;
                for (buffer, len) in list(&arrivals, id) {
                    lists += 1;
                    bytes += usize::from(len);
                    assert!(seen.insert(buffer));
                }
                prop_assert_eq!(bytes, model[id as usize]);
            }
            prop_assert_eq!(arrivals.free_count() + lists, BUFFERS);
        }
    }
}
