// SPDX-License-Identifier: GPL-2.0

//! Packets in the slots that a program hands over for transmission: where each begins, and which cannot be sent.

use crate::logic::{
    desc::TX_LEAST,
    ring::{next, Untaken}, //
};

/// Where in its packets a walk over slots is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packets {
    num_slots: u32,
    /// The first slot of the packet that the walk is in.
    first: u32,
    /// Slots and bytes of that packet so far.
    slots: u32,
    bytes: u32,
}

impl Packets {
    /// A walk from slot `first` on, in which a packet begins, in a ring of `num_slots`.
    pub const fn new(first: u32, num_slots: u32) -> Self {
        Self {
            num_slots,
            first,
            slots: 0,
            bytes: 0,
        }
    }

    /// The first slot of the packet that the walk is in, or of the next one.
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// What is not taken if the slot `index`, the next one, cannot be.
    pub const fn untaken(&self, index: u32) -> Untaken {
        Untaken {
            slot: index,
            packet: self.first,
        }
    }

    /// Goes on by the slot `index`, which has `len` bytes of a packet, the last ones unless there are `more` in the next slot.
    ///
    /// # Errors
    ///
    /// The packet is not one that a NIC sends: it has bytes, but not those of an Ethernet header; or it has no end in as many
    /// slots as a program can have.
    pub fn add(&mut self, index: u32, len: u16, more: bool) -> Result<(), Untaken> {
        // In a ring of at most 16384 slots neither sum overflows.
        self.slots = self.slots.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u32::from(len));
        if more {
            if self.slots >= self.num_slots.saturating_sub(1) {
                return Err(Untaken::alone(self.first));
            }
        } else {
            if self.bytes != 0 && self.bytes < u32::from(TX_LEAST) {
                return Err(self.untaken(index));
            }
            *self = Self::new(next(index, self.num_slots), self.num_slots);
        }
        Ok(())
    }
}
