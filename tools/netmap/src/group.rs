// SPDX-License-Identifier: BSD-2-Clause
//! Which files stay open as long as a view can reach their buffers.
//!
//! The kernel has an account for each bind: the file, its extra buffers, and the rings that this bind made, with theirs. It joins two
//! accounts when it takes a slot of a ring of one that holds a buffer of the other, and frees buffers when all files and rings in use
//! of the accounts that were joined are gone. An exchange that it has not taken, it does not know of, and nothing tells a program
//! what it has taken. So files whose views have exchanged buffers are a *group* here, as they will be in the kernel, and all files of a
//! group are closed together, when nothing of this process refers to any of them. Files that have a ring in common are a group too,
//! for the slots of that ring may hold what a view of either has put there.
//!
//! Groups only ever grow, so that an exchange within one, which is each but the first, costs a comparison of two numbers.

use crate::region::{lock, Region, BINDS};
use core::fmt::Debug;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// An open file that is bound; it is closed when it is dropped.
pub(crate) trait File: Debug + Send + Sync {
    /// Has the kernel take the receive slots that were released.
    fn release(&self);
}

/// Which group a member is of.
#[derive(Debug)]
pub(crate) struct Label {
    /// Of the member.
    number: u64,
    /// The number of the group. Written with the lock of the region's groups held.
    group: AtomicU64,
    /// Lives as long as the member.
    region: Weak<Region>,
}

impl Label {
    /// Before a view of this member exchanges a buffer with one of `other`, in the same region.
    #[inline(always)]
    pub(crate) fn meet(&self, other: &Label) {
        // Groups only ever grow, and their numbers are never used again: numbers that were equal at any time mean one group.
        if self.group.load(Ordering::Acquire) != other.group.load(Ordering::Acquire) {
            self.unite(other);
        }
    }

    #[cold]
    #[inline(never)]
    fn unite(&self, other: &Label) {
        if let Some(region) = self.region.upgrade() {
            let groups = &mut lock(region.groups());
            // One at a time: both numbers are read again, as another thread may have done it.
            groups.unite(self.number(), other.number());
        }
    }

    fn number(&self) -> u64 {
        self.group.load(Ordering::Relaxed)
    }
}

/// What all that refers to one file has in common: its views, its extra buffers, its binding. The file is open as long as there is a
/// member of its group.
#[derive(Debug)]
pub(crate) struct Member {
    region: Arc<Region>,
    label: Arc<Label>,
    /// Of its group as well. Taken when the member is dropped.
    file: Option<Arc<dyn File>>,
}

impl Member {
    /// A group of its own, with one file.
    pub(crate) fn new(region: &Arc<Region>, file: Arc<dyn File>) -> Arc<Member> {
        let label = lock(region.groups()).found(region, Arc::clone(&file));
        Arc::new(Member {
            region: Arc::clone(region),
            label,
            file: Some(file),
        })
    }

    /// The region that the file is bound to.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Its group.
    #[inline(always)]
    pub(crate) fn label(&self) -> &Label {
        &self.label
    }

    /// The file is bound to the ring at `offset`. Called for all of its rings before a view of them is used, and with [`BINDS`]
    /// held since before it was bound.
    pub(crate) fn hold(&self, offset: usize) {
        lock(self.region.groups()).hold(self.label.number(), offset);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let file = self.file.take();
        // No view of the file is left that could sync. The kernel learns of the exchanges of receive slots that were released: other
        // programs may use the rings still.
        if let Some(file) = &file {
            file.release();
        }
        // Nobody binds a ring between its group's end here and the close of its files, which would leave it in use, with buffers in
        // its slots that are free.
        let binds = lock(&BINDS);
        let closed = lock(self.region.groups()).leave(&self.label);
        drop((file, closed));
        drop(binds);
    }
}

/// # Invariants
///
/// A buffer that is in a slot of a view of a member, or an extra buffer of it, belongs to an account whose file, or whose ring by a file
/// that is bound to it, is among `files`.
#[derive(Debug, Default)]
struct Group {
    files: Vec<Arc<dyn File>>,
    /// Offsets of the rings that these files are bound to.
    rings: Vec<usize>,
    /// Those of its members that are not gone.
    members: HashMap<u64, Arc<Label>>,
}

impl Group {
    fn size(&self) -> usize {
        self.files.len() + self.rings.len() + self.members.len()
    }
}

/// The groups of a region: all of its files that this process has opened.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// The number that was given last, to a member and its group.
    last: u64,
    groups: HashMap<u64, Group>,
    /// The group that a ring is of.
    rings: HashMap<usize, u64>,
    /// Files, rings and members that have changed groups.
    #[cfg(test)]
    moved: usize,
}

impl Groups {
    /// A group of one file, and its member.
    fn found(&mut self, region: &Arc<Region>, file: Arc<dyn File>) -> Arc<Label> {
        self.last += 1;
        let number = self.last;
        let label = Arc::new(Label {
            number,
            group: AtomicU64::new(number),
            region: Arc::downgrade(region),
        });
        let group = Group {
            files: vec![file],
            rings: Vec::new(),
            members: HashMap::from([(number, Arc::clone(&label))]),
        };
        self.groups.insert(number, group);
        label
    }

    /// A file of a group is bound to the ring at `offset`.
    fn hold(&mut self, group: u64, offset: usize) {
        match self.rings.get(&offset) {
            // What the slots hold may be of any file of that group, one that no view is left of included.
            Some(other) => self.unite(group, *other),
            None => {
                self.rings.insert(offset, group);
                if let Some(group) = self.groups.get_mut(&group) {
                    group.rings.push(offset);
                }
            }
        }
    }

    /// Makes two groups one. The smaller is moved, so that each of `n` files changes groups `log2(n)` times at most.
    fn unite(&mut self, one: u64, other: u64) {
        if one == other {
            return;
        }
        let size = |group| self.groups.get(&group).map_or(0, Group::size);
        let (into, from) = match size(one) < size(other) {
            true => (other, one),
            false => (one, other),
        };
        let Some(gone) = self.groups.remove(&from) else {
            return;
        };
        #[cfg(test)]
        {
            self.moved += gone.size();
        }
        for offset in &gone.rings {
            self.rings.insert(*offset, into);
        }
        // INVARIANT: what either can reach, the other may reach after the exchange.
        let group = self.groups.entry(into).or_default();
        group.files.extend(gone.files);
        group.rings.extend(gone.rings);
        // After the files: who reads the new number need not wait for the lock.
        for label in gone.members.values() {
            label.group.store(into, Ordering::Release);
        }
        group.members.extend(gone.members);
    }

    /// A member is gone. With the last one of its group, the files of the group are to be closed.
    fn leave(&mut self, label: &Label) -> Vec<Arc<dyn File>> {
        let number = label.number();
        let last = self.groups.get_mut(&number).is_some_and(|group| {
            group.members.remove(&label.number);
            group.members.is_empty()
        });
        if !last {
            return Vec::new();
        }
        let gone = self.groups.remove(&number).unwrap_or_default();
        for offset in &gone.rings {
            self.rings.remove(offset);
        }
        gone.files
    }
}

/// A file of a test counts.
#[cfg(test)]
impl File for std::sync::atomic::AtomicUsize {
    fn release(&self) {
        self.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
