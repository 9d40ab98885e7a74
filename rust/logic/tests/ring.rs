// SPDX-License-Identifier: GPL-2.0

//! The ring against a model that knows no arithmetic: an array that says who owns each slot.

use netmap_logic::logic::ring::{
    add, distance, is_passed, next, prev, Culprit, Cursors, OutOfTurn, Untaken, MAX_SLOTS,
    MIN_SLOTS,
};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// The program's, and it knows.
    Program,
    /// The program's, and it will know after the next sync.
    Unpublished,
    /// Given back, and not yet taken by the port.
    GivenBack,
    /// The port's.
    Port,
}

/// Walks slot by slot where the code computes. `begin` is where the port's next slot to take is, or
/// would be; the owners from there on are GivenBack*, Program*, Unpublished*, Port+.
#[derive(Debug)]
struct Model {
    owners: Vec<Owner>,
    begin: usize,
    cur: usize,
}

impl Model {
    fn new(slots: u32, transmit: bool) -> Self {
        let mut owners = vec![
            if transmit {
                Owner::Program
            } else {
                Owner::Port
            };
            slots as usize
        ];
        *owners.last_mut().unwrap() = Owner::Port;
        Model {
            owners,
            begin: 0,
            cur: 0,
        }
    }

    /// All slots in ring order, from `begin` on.
    fn walk(&self) -> impl Iterator<Item = usize> + '_ {
        let n = self.owners.len();
        (self.begin..n).chain(0..self.begin)
    }

    fn owned_by(&self, owner: Owner) -> Vec<usize> {
        self.walk().filter(|&i| self.owners[i] == owner).collect()
    }

    /// The first slot in ring order that is none of `before`.
    fn first_not(&self, before: &[Owner]) -> usize {
        self.walk()
            .find(|&i| !before.contains(&self.owners[i]))
            .expect("one slot is always the port's")
    }

    fn head(&self) -> usize {
        self.first_not(&[Owner::GivenBack])
    }

    fn tail(&self) -> usize {
        self.first_not(&[Owner::GivenBack, Owner::Program])
    }

    fn hwtail(&self) -> usize {
        self.first_not(&[Owner::GivenBack, Owner::Program, Owner::Unpublished])
    }

    /// Where `head` may be put: at each slot of the program's, or right behind them.
    fn heads(&self, transmit: bool) -> Vec<usize> {
        let mut heads = self.owned_by(Owner::Program);
        if !transmit {
            heads.extend(self.owned_by(Owner::GivenBack));
        }
        heads.push(self.tail());
        heads
    }

    fn curs(&self, head: usize) -> Vec<usize> {
        let mut curs = Vec::new();
        let mut at = head;
        while at != self.tail() {
            curs.push(at);
            at = (at + 1) % self.owners.len();
        }
        curs.push(at);
        curs
    }

    fn give_back(&mut self, head: usize, cur: usize) {
        let order: Vec<usize> = self.walk().collect();
        let mut before = true;
        for i in order {
            before &= i != head;
            if matches!(self.owners[i], Owner::Program | Owner::GivenBack) {
                self.owners[i] = if before {
                    Owner::GivenBack
                } else {
                    Owner::Program
                };
            }
        }
        self.cur = cur;
    }

    fn take(&mut self, count: usize) {
        for i in self.owned_by(Owner::GivenBack).into_iter().take(count) {
            self.owners[i] = Owner::Port;
            self.begin = (i + 1) % self.owners.len();
        }
    }

    fn publishable(&self) -> Vec<usize> {
        let mut port = self.owned_by(Owner::Port);
        port.pop();
        port
    }

    fn publish(&mut self, count: usize) {
        for i in self.publishable().into_iter().take(count) {
            self.owners[i] = Owner::Unpublished;
        }
    }

    fn tell(&mut self) {
        for owner in &mut self.owners {
            if *owner == Owner::Unpublished {
                *owner = Owner::Program;
            }
        }
    }

    /// Whether `cur` is one of the slots that the program has given back once `head` is at its place.
    fn is_behind(&self, head: usize, cur: usize) -> bool {
        self.walk().take_while(|&i| i != head).any(|i| i == cur)
    }

    fn set_back(&mut self) {
        self.cur = self.head();
    }

    /// Sets the program back to the slot that is so many behind the first one that it gave back, if that is one of these.
    fn set_back_by(&mut self, count: usize) {
        let given = self.owned_by(Owner::GivenBack);
        for &slot in given.iter().skip(count) {
            self.owners[slot] = Owner::Program;
        }
        self.set_back();
    }
}

fn as_slots(slots: Vec<usize>) -> Vec<u32> {
    slots.into_iter().map(|i| i as u32).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// The program writes what it may: positions as fractions of what it may.
    Sync {
        head: u16,
        cur: u16,
        tail: bool,
    },
    /// The program writes anything.
    Scribble {
        head: u32,
        cur: u32,
    },
    /// A packet that cannot be taken.
    SlotFault {
        count: u16,
    },
    Release {
        count: u16,
    },
    ReleaseAll,
    Publish {
        count: u16,
    },
    PublishTo {
        to: u32,
    },
    Finalize,
}

fn step(slots: u32) -> impl Strategy<Value = Step> {
    let near = prop_oneof![9 => 0..slots + 2, 1 => any::<u32>()];
    prop_oneof![
        6 => (any::<u16>(), any::<u16>(), any::<bool>())
            .prop_map(|(head, cur, tail)| Step::Sync { head, cur, tail }),
        3 => (near.clone(), near.clone()).prop_map(|(head, cur)| Step::Scribble { head, cur }),
        1 => any::<u16>().prop_map(|count| Step::SlotFault { count }),
        2 => any::<u16>().prop_map(|count| Step::Release { count }),
        3 => Just(Step::ReleaseAll),
        4 => any::<u16>().prop_map(|count| Step::Publish { count }),
        1 => near.prop_map(|to| Step::PublishTo { to }),
        4 => Just(Step::Finalize),
    ]
}

fn sequence() -> impl Strategy<Value = (u32, bool, Vec<Step>)> {
    (MIN_SLOTS..20, any::<bool>()).prop_flat_map(|(slots, transmit)| {
        (
            Just(slots),
            Just(transmit),
            prop::collection::vec(step(slots), 1..60),
        )
    })
}

fn pick(choices: &[usize], fraction: u16) -> usize {
    choices[usize::from(fraction) * choices.len() / (usize::from(u16::MAX) + 1)]
}

fn agree(cursors: &Cursors, model: &Model) {
    assert_eq!(cursors.hwcur() as usize, model.begin);
    assert_eq!(cursors.rhead() as usize, model.head());
    assert_eq!(cursors.rcur() as usize, model.cur);
    assert_eq!(cursors.rtail() as usize, model.tail());
    assert_eq!(cursors.hwtail() as usize, model.hwtail());
    assert_eq!(
        cursors.given_back().collect::<Vec<_>>(),
        as_slots(model.owned_by(Owner::GivenBack))
    );
    assert_eq!(
        cursors.vacant().collect::<Vec<_>>(),
        as_slots(model.publishable())
    );
    assert_eq!(
        cursors.in_flight().collect::<Vec<_>>(),
        as_slots(model.owned_by(Owner::Port).into_iter().skip(1).collect())
    );
    assert_eq!(
        cursors.space() as usize,
        model.owned_by(Owner::Program).len()
    );
    assert_eq!(cursors.is_ready(), model.cur != model.tail());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model((slots, transmit, steps) in sequence()) {
        let mut model = Model::new(slots, transmit);
        let mut cursors = if transmit {
            Cursors::transmit(slots).unwrap()
        } else {
            Cursors::receive(slots).unwrap()
        };
        agree(&cursors, &model);
        for step in steps {
            let before = cursors;
            let prologue = |cursors: &mut Cursors, head, cur, tail| if transmit {
                cursors.tx_prologue(head, cur, tail)
            } else {
                cursors.rx_prologue(head, cur, tail)
            };
            match step {
                Step::Sync { head, cur, tail } => {
                    let head = pick(&model.heads(transmit), head);
                    let cur = pick(&model.curs(head), cur);
                    let seen = if tail { before.rtail() } else { before.rtail() ^ 1 };
                    let found =
                        prologue(&mut cursors, head as u32, cur as u32, seen).unwrap();
                    model.give_back(head, cur);
                    prop_assert_eq!(found.tail_overwritten, !tail);
                    prop_assert_eq!(
                        found.span.collect::<Vec<_>>(),
                        as_slots(model.owned_by(Owner::GivenBack))
                    );
                }
                Step::Scribble { head, cur } => {
                    let head_ok = model.heads(transmit).contains(&(head as usize));
                    let cur_ok =
                        head_ok && model.curs(head as usize).contains(&(cur as usize));
                    let behind = head_ok && !cur_ok && model.is_behind(head as usize, cur as usize);
                    match prologue(&mut cursors, head, cur, before.rtail()) {
                        Ok(found) => {
                            prop_assert!(cur_ok || behind);
                            prop_assert_eq!(found.cur_behind, behind);
                            let cur = if behind { head } else { cur };
                            model.give_back(head as usize, cur as usize);
                        }
                        Err(fault) => {
                            prop_assert!(!cur_ok && !behind);
                            prop_assert_eq!(fault.culprit == Culprit::Cur, head_ok);
                            if head_ok {
                                model.give_back(head as usize, head as usize);
                            } else {
                                prop_assert_eq!(cursors, before);
                            }
                            let back = cursors.reinit();
                            model.set_back();
                            model.tell();
                            prop_assert_eq!(back.head as usize, model.head());
                            prop_assert_eq!(back.cur as usize, model.head());
                            prop_assert_eq!(back.tail as usize, model.hwtail());
                        }
                    }
                }
                Step::SlotFault { count } => {
                    let given = model.owned_by(Owner::GivenBack).len();
                    let count = usize::from(count) % (given + 1);
                    let packet = ((model.begin + count) % slots as usize) as u32;
                    let back = cursors.reinit_untaken(Untaken { slot: 0, packet });
                    model.set_back_by(count);
                    model.tell();
                    prop_assert_eq!(back.head, packet);
                    prop_assert_eq!(back.cur, packet);
                    prop_assert_eq!(back.tail as usize, model.hwtail());
                }
                Step::Release { count } => {
                    let given = model.owned_by(Owner::GivenBack).len();
                    let count = usize::from(count) % (given + 2);
                    let to = (model.begin + count) % slots as usize;
                    // In a full ring one step too many comes round to no step at all.
                    let legal = count <= given || to == model.begin;
                    prop_assert_eq!(cursors.release(to as u32).is_ok(), legal);
                    if count <= given {
                        model.take(count);
                    }
                }
                Step::ReleaseAll => {
                    cursors.release_all();
                    model.take(usize::MAX);
                }
                Step::Publish { count } => {
                    let room = model.publishable().len();
                    let count = usize::from(count) % (room + 2);
                    prop_assert_eq!(cursors.publish(count as u32).is_ok(), count <= room);
                    if count <= room {
                        model.publish(count);
                    }
                }
                Step::PublishTo { to } => {
                    let mut choices = model.publishable();
                    choices.push(*model.owned_by(Owner::Port).last().unwrap());
                    let count = choices.iter().position(|&i| i == to as usize);
                    prop_assert_eq!(cursors.publish_to(to).is_ok(), count.is_some());
                    if let Some(count) = count {
                        model.publish(count);
                    }
                }
                Step::Finalize => {
                    let tail = cursors.finalize();
                    model.tell();
                    prop_assert_eq!(tail as usize, model.tail());
                }
            }
            agree(&cursors, &model);
        }
    }

    #[test]
    fn index_arithmetic(
        (n, i, j) in (MIN_SLOTS..=MAX_SLOTS).prop_flat_map(|n| (Just(n), 0..n, 0..n))
    ) {
        prop_assert_eq!(next(i, n), (i + 1) % n);
        prop_assert_eq!(prev(i, n), (i + n - 1) % n);
        prop_assert_eq!(add(i, j, n), (i + j) % n);
        prop_assert_eq!(distance(i, j, n), (j + n - i) % n);
        prop_assert_eq!(add(i, distance(i, j, n), n), j);
    }

    #[test]
    fn a_cursor_is_passed_by_one_that_walks_over_it(
        (n, from, at, to) in (MIN_SLOTS..20)
            .prop_flat_map(|n| (Just(n), 0..n, prop_oneof![9 => 0..n, 1 => n..=u32::MAX], 0..n))
    ) {
        let mut walk = from;
        let mut passed = false;
        while walk != to {
            passed |= walk == at;
            walk = next(walk, n);
        }
        prop_assert_eq!(is_passed(from, at, to, n), passed);
    }

    #[test]
    fn span_pieces_are_the_span(
        (slots, given, limit) in (MIN_SLOTS..64)
            .prop_flat_map(|n| (Just(n), prop::collection::vec(0..n, 1..8), 0..n + 2))
    ) {
        let mut cursors = Cursors::transmit(slots).unwrap();
        for step in given {
            let head = add(cursors.rhead(), step.min(cursors.space()), slots);
            let span = cursors.tx_prologue(head, head, cursors.rtail()).unwrap().span;
            let all: Vec<u32> = span.clone().collect();
            prop_assert_eq!(span.len() as usize, all.len());
            prop_assert_eq!(span.is_empty(), all.is_empty());
            let (low, high) = span.segments();
            prop_assert_eq!(low.chain(high).collect::<Vec<_>>(), all.clone());
            let first: Vec<u32> = span.first(limit).collect();
            prop_assert_eq!(&first[..], &all[..all.len().min(limit as usize)]);
            let rest: Vec<u32> = span.rest(limit).collect();
            prop_assert_eq!(&rest[..], &all[first.len()..]);
            cursors.release_all();
            cursors.publish(cursors.vacant().len()).unwrap();
            cursors.finalize();
        }
    }
}

#[test]
fn slot_counts_have_limits() {
    assert_eq!(Cursors::transmit(MIN_SLOTS - 1), None);
    assert_eq!(Cursors::transmit(0), None);
    assert_eq!(Cursors::receive(MAX_SLOTS + 1), None);
    assert_eq!(Cursors::receive(u32::MAX), None);
    assert!(Cursors::transmit(MAX_SLOTS).is_some());
    assert!(Cursors::receive(MIN_SLOTS).is_some());
}

#[test]
fn new_rings_are_as_programs_expect() {
    let tx = Cursors::transmit(8).unwrap();
    assert_eq!((tx.rhead(), tx.rcur(), tx.rtail()), (0, 0, 7));
    assert!(tx.is_ready());
    assert!(tx.in_flight().is_empty());
    let rx = Cursors::receive(8).unwrap();
    assert_eq!((rx.rhead(), rx.rcur(), rx.rtail()), (0, 0, 0));
    assert!(!rx.is_ready());
    assert_eq!(rx.vacant().len(), 7);
}

#[test]
fn transmit_head_does_not_go_back_and_receive_head_may() {
    let mut tx = Cursors::transmit(8).unwrap();
    tx.tx_prologue(4, 4, 7).unwrap();
    let fault = tx.tx_prologue(3, 4, 7).unwrap_err();
    assert_eq!(fault.culprit, Culprit::Head);
    assert_eq!((fault.low, fault.high), (4, 7));
    assert_eq!(
        fault.to_string(),
        "impossible head (head 3 cur 4, want 4..=7)"
    );

    let mut rx = Cursors::receive(8).unwrap();
    rx.publish(7).unwrap();
    rx.finalize();
    rx.rx_prologue(4, 5, 7).unwrap();
    assert_eq!(rx.rx_prologue(3, 7, 7).unwrap().span.len(), 3);
    rx.release(2).unwrap();
    assert_eq!(rx.release(4), Err(OutOfTurn));
    assert!(rx.rx_prologue(1, 1, 7).is_err());
}

#[test]
fn what_is_given_back_stays_given_back() {
    // A program that moves `head` alone.
    let mut tx = Cursors::transmit(8).unwrap();
    let found = tx.tx_prologue(5, 0, 7).unwrap();
    assert!(found.cur_behind);
    assert_eq!((found.span.len(), tx.rcur()), (5, 5));
    tx.release(2).unwrap();
    assert_eq!(tx.tx_prologue(6, 5, 7).unwrap().span.len(), 4);
    // `cur` beyond the program's slots, of a head that is possible.
    let fault = tx.tx_prologue(7, 1, 7).unwrap_err();
    assert_eq!(fault.culprit, Culprit::Cur);
    assert_eq!(tx.reinit().head, 7);
    assert_eq!(tx.given_back().len(), 5);
    // And a head that goes back.
    assert!(tx.tx_prologue(6, 6, 7).is_err());
    assert_eq!(tx.reinit().head, 7);
    // A slot that cannot be sent is the program's again, and those after it.
    assert_eq!(tx.reinit_untaken(Untaken::alone(2)).head, 2);
    assert!(tx.given_back().is_empty());

    let mut rx = Cursors::receive(8).unwrap();
    rx.publish(3).unwrap();
    rx.finalize();
    assert_eq!(rx.rx_prologue(1, 0, 3).unwrap().span.len(), 1);
    rx.release_all();
    assert_eq!(rx.rx_prologue(2, 0, 3).unwrap_err().culprit, Culprit::Cur);
    assert_eq!(rx.reinit().head, 2);
}

#[test]
fn a_program_that_has_seen_all_is_known_before_it_is_told() {
    let mut tx = Cursors::transmit(8).unwrap();
    assert!(!tx.has_seen_all());
    // Two slots of a whole frame, and all others of one that is not complete.
    tx.tx_prologue(7, 7, 7).unwrap();
    tx.release(2).unwrap();
    assert!(tx.has_seen_all() && !tx.given_back().is_empty());
    tx.publish(2).unwrap();
    assert!(!tx.has_seen_all() && !tx.is_ready());
    tx.finalize();
    assert!(tx.is_ready());
    // It holds on to its slots and waits for more.
    tx.tx_prologue(7, 1, 1).unwrap();
    assert!(tx.has_seen_all());
}

#[test]
fn no_cursor_leaves_the_ring() {
    // The given-back slots wrap, so that distances to indices beyond the end look small.
    let mut tx = Cursors::transmit(8).unwrap();
    tx.tx_prologue(6, 6, 7).unwrap();
    tx.release_all();
    tx.publish(6).unwrap();
    tx.finalize();
    tx.tx_prologue(4, 4, 5).unwrap();
    let before = tx;
    for to in [8, 9, 10, 5, u32::MAX] {
        assert_eq!(tx.release(to), Err(OutOfTurn));
        assert_eq!(tx, before);
    }
    assert_eq!(tx.release(0), Ok(()));
    assert_eq!(tx.hwcur(), 0);
    for to in [8, 9, u32::MAX] {
        assert_eq!(tx.publish_to(to), Err(OutOfTurn));
        assert!(tx.tx_prologue(to, to, 5).is_err());
        assert!(tx.tx_prologue(4, to, 5).is_err());
    }
    assert_eq!(tx.publish(u32::MAX), Err(OutOfTurn));
    assert_eq!(tx.publish_to(7), Ok(()));
}
