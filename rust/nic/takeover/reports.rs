// SPDX-License-Identifier: GPL-2.0

//! Which descriptors of a transmit queue tell how far the hardware has come.

use crate::{
    logic::ring,
    prelude::*, //
};

/// A descriptor that was handed over, and tells how far the hardware has come.
#[derive(Clone, Copy)]
pub struct Report {
    /// The descriptor; with [`Self::EMPTY`] if it sends nothing.
    descriptor: u16,
    slot: u16,
}

impl Report {
    const EMPTY: u16 = 1 << 15;

    /// The report of the descriptor `descriptor`, for the slot `slot`; both are those of a ring.
    #[inline]
    pub fn new(descriptor: u32, slot: u32) -> Self {
        const {
            assert!(ring::MAX_SLOTS <= Self::EMPTY as u32);
        }
        Self {
            descriptor: descriptor as u16,
            slot: slot as u16,
        }
    }

    /// The same, for a descriptor that sends nothing, and which the hardware does not report.
    pub fn empty(descriptor: u32, slot: u32) -> Self {
        let report = Self::new(descriptor, slot);
        Self {
            descriptor: report.descriptor | Self::EMPTY,
            ..report
        }
    }

    /// Whether the hardware does not report it: that it was there is seen in the head register alone.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.descriptor & Self::EMPTY != 0
    }

    /// The descriptor.
    #[inline]
    pub fn descriptor(self) -> u32 {
        u32::from(self.descriptor & !Self::EMPTY)
    }

    /// Its slot.
    #[inline]
    pub fn slot(self) -> u32 {
        u32::from(self.slot)
    }
}

/// The reports that were asked for and not seen yet, in order.
///
/// # Invariants
///
/// There is a power of two of entries, each of a descriptor and a slot of the ring.
pub struct Reports {
    entries: KVVec<Report>,
    /// The first and the next one to write, both counting on for ever.
    first: usize,
    next: usize,
}

impl Reports {
    /// None yet, for a ring of `count` slots. `ENOMEM`.
    pub fn new(count: u32) -> Result<Self> {
        let len = (count as usize).next_power_of_two();
        let mut entries = KVVec::with_capacity(len, GFP_CHARGED)?;
        entries.extend_with(len, Report::new(0, 0), GFP_CHARGED)?;
        // INVARIANT: As was just made; each ring has a first slot.
        Ok(Self {
            entries,
            first: 0,
            next: 0,
        })
    }

    #[inline]
    fn entry(&self, number: usize) -> usize {
        number & self.entries.len().wrapping_sub(1)
    }

    /// Adds a report of this ring. There are no more of them than slots.
    #[inline]
    pub fn add(&mut self, report: Report) {
        let entry = self.entry(self.next);
        if let Some(entry) = self.entries.get_mut(entry) {
            // INVARIANT: By the requirement.
            *entry = report;
        }
        self.next = self.next.wrapping_add(1);
    }

    /// The oldest one.
    #[inline]
    pub fn oldest(&self) -> Option<Report> {
        if self.first == self.next {
            return None;
        }
        self.entries.get(self.entry(self.first)).copied()
    }

    /// The oldest one was seen.
    #[inline]
    pub fn remove_oldest(&mut self) {
        self.first = self.first.wrapping_add(1);
    }
}
