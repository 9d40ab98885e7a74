// SPDX-License-Identifier: GPL-2.0

//! The slots of a receive ring by connection: runs of slots that are one behind the other.

use super::ring::{add, next};
use core::ops::DerefMut;

/// Slots of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The descriptor.
    pub fd: i32,
    /// The connection's identity, which no other has, whatever its descriptor.
    pub serial: u32,
    /// The first slot.
    pub first: u32,
    /// How many there are, around the ring.
    pub count: u32,
}

/// What is in the slots that a program has of a ring, which has as many slots as there are words for runs.
///
/// # Invariants
///
/// `first` and `len` say a part of `runs`, around its end. No run is empty, and each begins where the one before it ends.
pub struct Runs<W> {
    runs: W,
    first: u32,
    len: u32,
}

impl<W: DerefMut<Target = [Run]>> Runs<W> {
    /// None.
    pub fn new(runs: W) -> Self {
        // INVARIANT: There is none.
        Self {
            runs,
            first: 0,
            len: 0,
        }
    }

    fn capacity(&self) -> u32 {
        u32::try_from(self.runs.len()).unwrap_or(u32::MAX)
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The runs, in the order of the ring.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Run> {
        let first = self.first as usize;
        let len = self.len as usize;
        let (before, after) = self.runs.split_at_checked(first).unwrap_or((&[], &[]));
        let head = len.min(after.len());
        let tail = len.saturating_sub(head);
        Iterator::chain(
            after.get(..head).unwrap_or(&[]).iter(),
            before.get(..tail).unwrap_or(&[]).iter(),
        )
    }

    /// The slot `at`, the one behind the last run, is the connection's.
    #[inline]
    pub fn push(&mut self, at: u32, fd: i32, serial: u32) {
        let capacity = self.capacity();
        let mut place = self.first;
        if let Some(last) = self.len.checked_sub(1) {
            place = add(self.first, last, capacity);
            if let Some(run) = self.runs.get_mut(place as usize) {
                if run.serial == serial && run.fd == fd {
                    run.count = run.count.wrapping_add(1);
                    return;
                }
            }
            if self.len >= capacity {
                return;
            }
            place = next(place, capacity);
        }
        if let Some(run) = self.runs.get_mut(place as usize) {
            *run = Run {
                fd,
                serial,
                first: at,
                count: 1,
            };
            // INVARIANT: It is below the capacity.
            self.len = self.len.wrapping_add(1);
        }
    }

    /// The first `count` slots of a ring of `slots` are not the program's any more.
    #[inline]
    pub fn release(&mut self, mut count: u32, slots: u32) {
        let capacity = self.capacity();
        while count > 0 && self.len > 0 {
            let Some(run) = self.runs.get_mut(self.first as usize) else {
                return;
            };
            if count < run.count {
                run.first = add(run.first, count, slots);
                run.count = run.count.wrapping_sub(count);
                return;
            }
            count = count.wrapping_sub(run.count);
            self.first = next(self.first, capacity);
            self.len = self.len.wrapping_sub(1);
        }
        if self.len == 0 {
            self.first = 0;
        }
    }
}
