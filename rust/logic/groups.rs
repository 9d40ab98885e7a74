// SPDX-License-Identifier: GPL-2.0

//! Which buffers of a region belong together, and when they are free again.
//!
//! Each buffer in use has an owner, a *group*: the files that it was given to, and those with whose rings buffers were
//! exchanged. The kernel learns of an exchange when a slot is handed over with a buffer of another group: then the two
//! become one. So two things hold, whatever programs write:
//!
//! - what the kernel has seen in the slots of a ring are buffers of the ring's own group;
//! - the buffers of a group are freed when it has no member left, a file or a ring in use, and not before.
//!
//! Hence no buffer is freed that a ring in use was handed, and all are found that a program has lost, without a look at
//! what programs write.

use crate::atomic::{AtomicU32, Ordering};
use core::ops::Deref;

/// The owner of a buffer that is free.
pub const NOBODY: u32 = 0;

/// The owner of each buffer, by its index. Read without a lock, written by the holder of the region's lock.
pub struct Owners<W> {
    labels: W,
}

impl<W: Deref<Target = [AtomicU32]>> Owners<W> {
    /// A table of the words of the caller, all [`NOBODY`].
    pub fn new(labels: W) -> Self {
        for label in labels.iter() {
            label.store(NOBODY, Ordering::Relaxed);
        }
        Self { labels }
    }

    /// The label of a buffer's group; [`NOBODY`] for an index without a buffer, too.
    #[inline]
    pub fn owner(&self, index: u32) -> u32 {
        self.labels
            .get(index as usize)
            .map_or(NOBODY, |label| label.load(Ordering::Relaxed))
    }

    /// Makes a group, or [`NOBODY`], the owner of a buffer.
    pub fn set(&self, index: u32, label: u32) {
        if let Some(entry) = self.labels.get(index as usize) {
            entry.store(label, Ordering::Relaxed);
        }
    }

    /// Makes `to` the owner of the `count` buffers that `from` owns, and tells `each` their indices.
    pub fn move_all(&self, from: u32, to: u32, count: u32, mut each: impl FnMut(u32)) {
        let mut left = count;
        for (index, label) in (0u32..).zip(self.labels.iter()) {
            if left == 0 {
                break;
            }
            if label.load(Ordering::Relaxed) == from {
                label.store(to, Ordering::Relaxed);
                each(index);
                left = left.saturating_sub(1);
            }
        }
    }
}

/// What was made by one bind: part of a group, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// That of its group.
    label: u32,
    /// The file, and the rings of it that are in use.
    members: u32,
    /// Buffers that were given to it, or to those of its group that are gone.
    buffers: u32,
}

impl Account {
    /// The account of a new bind, with the file as its only member: a group of its own.
    ///
    /// `last` is the label of the last one that was made.
    pub fn new(accounts: &[Account], last: u32) -> Self {
        let mut label = last.wrapping_add(1);
        while label == NOBODY || accounts.iter().any(|account| account.label == label) {
            label = label.wrapping_add(1);
        }
        Self {
            label,
            members: 1,
            buffers: 0,
        }
    }

    /// The label of its group.
    pub fn label(&self) -> u32 {
        self.label
    }

    /// Counts a ring with its buffers.
    pub fn join(&mut self, buffers: u32) {
        self.members = self.members.saturating_add(1);
        self.charge(buffers);
    }

    /// Counts buffers that it is given.
    pub fn charge(&mut self, buffers: u32) {
        self.buffers = self.buffers.saturating_add(buffers);
    }
}

/// What became of an account that a member has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It has members still.
    Open,
    /// It is to be forgotten; others have its buffers.
    Inherited,
    /// It is to be forgotten, and its group has no member left: as many buffers with this label are free.
    Free {
        /// The label.
        label: u32,
        /// How many have it.
        buffers: u32,
    },
}

/// A member leaves the account of this number.
pub fn leave(accounts: &mut [Account], number: usize) -> Left {
    let Some(account) = accounts.get_mut(number) else {
        return Left::Open;
    };
    account.members = account.members.saturating_sub(1);
    if account.members != 0 {
        return Left::Open;
    }
    let Account { label, buffers, .. } = *account;
    let heir = accounts
        .iter_mut()
        .enumerate()
        .find(|(other, account)| *other != number && account.label == label);
    match heir {
        Some((_, heir)) => {
            heir.charge(buffers);
            Left::Inherited
        }
        None => Left::Free { label, buffers },
    }
}

/// Makes two groups one: what has the label `from` gets the label `into`.
pub fn unite<W: Deref<Target = [AtomicU32]>>(
    accounts: &mut [Account],
    owners: &Owners<W>,
    from: u32,
    into: u32,
) {
    let mut count = 0u32;
    for account in accounts.iter_mut().filter(|account| account.label == from) {
        account.label = into;
        count = count.saturating_add(account.buffers);
    }
    owners.move_all(from, into, count, |_| ());
}
