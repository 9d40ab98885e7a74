// SPDX-License-Identifier: GPL-2.0

//! Programs that move buffers between rings, lose them, name those of others and are killed, against what must hold of a
//! region at every moment.

use netmap_logic::logic::groups::{leave, unite, Account, Left, Owners, NOBODY};
use proptest::prelude::*;
use std::sync::atomic::AtomicU32;

const BUFFERS: u32 = 64;
const SLOTS: usize = 4;
const EXTRA: u32 = 3;

/// What a program, or the end of one, does. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// Binds a port of so many rings.
    Bind(usize),
    /// Closes a file, and with it those of its rings that no other has.
    Close(usize),
    /// Binds the rings of a file once more.
    Share(usize),
    /// Exchanges two slots.
    Swap((usize, usize), (usize, usize)),
    /// Does the first half of that, and is killed.
    Copy((usize, usize), (usize, usize)),
    /// Writes anything.
    Scribble((usize, usize), u32),
    /// Hands a slot over.
    HandOver((usize, usize)),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || (0..64usize, 0..SLOTS);
    prop_oneof![
        2 => (1..3usize).prop_map(Step::Bind),
        2 => (0..64usize).prop_map(Step::Close),
        1 => (0..64usize).prop_map(Step::Share),
        6 => (slot(), slot()).prop_map(|(a, b)| Step::Swap(a, b)),
        2 => (slot(), slot()).prop_map(|(a, b)| Step::Copy(a, b)),
        1 => (slot(), 0..BUFFERS + 4).prop_map(|(a, b)| Step::Scribble(a, b)),
        9 => slot().prop_map(Step::HandOver),
    ]
}

struct Ring {
    /// What its program wrote, and what the kernel has seen.
    slots: [u32; SLOTS],
    shadow: [u32; SLOTS],
    /// The number of the bind that made it, and how many files have it.
    made_by: usize,
    users: usize,
}

struct File {
    made: usize,
    rings: Vec<usize>,
}

/// A region as the kernel keeps it.
struct Region {
    owners: Owners<Vec<AtomicU32>>,
    accounts: Vec<Account>,
    /// The number of the bind behind each account.
    binds: Vec<usize>,
    last: u32,
    next_bind: usize,
    free: Vec<u32>,
    /// By number; those that nobody uses are gone.
    rings: Vec<Option<Ring>>,
    files: Vec<File>,
}

impl Region {
    fn new() -> Self {
        Self {
            owners: Owners::new((0..BUFFERS).map(|_| AtomicU32::new(7)).collect()),
            accounts: Vec::new(),
            binds: Vec::new(),
            last: u32::MAX - 2,
            next_bind: 0,
            free: (2..BUFFERS).collect(),
            rings: Vec::new(),
            files: Vec::new(),
        }
    }

    fn account(&self, bind: usize) -> usize {
        self.binds.iter().position(|b| *b == bind).unwrap()
    }

    fn take(&mut self, label: u32) -> u32 {
        let index = self.free.remove(0);
        assert_eq!(self.owners.owner(index), NOBODY);
        self.owners.set(index, label);
        index
    }

    fn open(&mut self) -> (usize, u32) {
        let account = Account::new(&self.accounts, self.last);
        self.last = account.label();
        self.accounts.push(account);
        self.binds.push(self.next_bind);
        self.next_bind += 1;
        (self.next_bind - 1, self.last)
    }

    fn bind(&mut self, count: usize) {
        if self.free.len() < count * SLOTS + EXTRA as usize {
            return;
        }
        let (bind, label) = self.open();
        let mut rings = Vec::new();
        for _ in 0..count {
            let slots = [(); SLOTS].map(|()| self.take(label));
            self.accounts.last_mut().unwrap().join(SLOTS as u32);
            rings.push(self.rings.len());
            self.rings.push(Some(Ring {
                slots,
                shadow: slots,
                made_by: bind,
                users: 1,
            }));
        }
        for _ in 0..EXTRA {
            // The program has lost them at once.
            self.take(label);
        }
        self.accounts.last_mut().unwrap().charge(EXTRA);
        self.files.push(File { made: bind, rings });
    }

    fn share(&mut self, file: usize) {
        let rings = self.files[file].rings.clone();
        for ring in &rings {
            self.rings[*ring].as_mut().unwrap().users += 1;
        }
        let (made, _) = self.open();
        self.files.push(File { made, rings });
    }

    fn leave(&mut self, bind: usize) {
        let number = self.account(bind);
        match leave(&mut self.accounts, number) {
            Left::Open => return,
            Left::Inherited => (),
            Left::Free { label, buffers } => {
                let mut found = Vec::new();
                self.owners
                    .move_all(label, NOBODY, buffers, |index| found.push(index));
                assert_eq!(found.len() as u32, buffers);
                for index in found {
                    assert!(!self.free.contains(&index));
                    self.free.push(index);
                }
            }
        }
        self.accounts.swap_remove(number);
        self.binds.swap_remove(number);
    }

    fn close(&mut self, file: usize) {
        let file = self.files.swap_remove(file);
        for number in file.rings {
            let ring = self.rings[number].as_mut().unwrap();
            ring.users -= 1;
            if ring.users == 0 {
                let bind = ring.made_by;
                self.rings[number] = None;
                self.leave(bind);
            }
        }
        self.leave(file.made);
    }

    /// What a queue does with a slot that it gets.
    fn hand_over(&mut self, ring: usize, slot: usize) {
        let Some(ring) = self.rings[ring].as_mut() else {
            return;
        };
        let index = ring.slots[slot];
        let mine =
            self.accounts[self.binds.iter().position(|b| *b == ring.made_by).unwrap()].label();
        let theirs = self.owners.owner(index);
        if theirs == NOBODY {
            // The ring is reinitialised.
            ring.slots[slot] = ring.shadow[slot];
            return;
        }
        ring.shadow[slot] = index;
        if theirs != mine {
            unite(&mut self.accounts, &self.owners, theirs, mine);
        }
    }

    fn slot(&mut self, (ring, slot): (usize, usize)) -> Option<&mut u32> {
        let count = self.rings.len().max(1);
        let ring = self.rings.get_mut(ring % count)?.as_mut()?;
        Some(&mut ring.slots[slot])
    }

    fn check(&self) {
        for ring in self.rings.iter().flatten() {
            let label = self.accounts[self.account(ring.made_by)].label();
            for index in ring.shadow {
                assert_eq!(
                    self.owners.owner(index),
                    label,
                    "what a ring was handed is its group's"
                );
                assert!(!self.free.contains(&index));
            }
        }
        for index in 0..BUFFERS {
            let free = index < 2 || self.free.contains(&index);
            assert_eq!(free, self.owners.owner(index) == NOBODY);
        }
        if self.files.is_empty() {
            assert!(self.accounts.is_empty());
            assert_eq!(self.free.len() as u32, BUFFERS - 2);
        }
    }
}

proptest! {
    #[test]
    fn no_buffer_is_freed_in_use_and_none_is_lost(steps in prop::collection::vec(step(), 0..200)) {
        let mut region = Region::new();
        for step in steps {
            match step {
                Step::Bind(rings) => region.bind(rings),
                Step::Close(file) if !region.files.is_empty() => region.close(file % region.files.len()),
                Step::Share(file) if !region.files.is_empty() => region.share(file % region.files.len()),
                Step::Swap(a, b) => {
                    if let (Some(first), Some(second)) = (region.slot(a).copied(), region.slot(b).copied()) {
                        *region.slot(a).unwrap() = second;
                        *region.slot(b).unwrap() = first;
                    }
                }
                Step::Copy(a, b) => {
                    if let Some(first) = region.slot(a).copied() {
                        if let Some(second) = region.slot(b) {
                            *second = first;
                        }
                    }
                }
                Step::Scribble(a, index) => {
                    if let Some(slot) = region.slot(a) {
                        *slot = index;
                    }
                }
                Step::HandOver((ring, slot)) if !region.rings.is_empty() => {
                    let count = region.rings.len();
                    region.hand_over(ring % count, slot);
                }
                _ => (),
            }
            region.check();
        }
        while !region.files.is_empty() {
            region.close(0);
            region.check();
        }
    }

    /// A file that exchanges nothing gets all of its own back at once, whatever it leaves in its slots.
    #[test]
    fn an_ordinary_program_leaves_nothing(writes in prop::collection::vec(((0..2usize, 0..SLOTS), 0..BUFFERS + 4), 0..20)) {
        let mut region = Region::new();
        region.bind(2);
        let free = region.free.len();
        region.bind(2);
        for ((ring, slot), index) in writes {
            *region.slot((2 + ring, slot)).unwrap() = index;
        }
        region.close(1);
        region.check();
        prop_assert_eq!(region.free.len(), free);
    }
}
