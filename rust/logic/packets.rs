// SPDX-License-Identifier: GPL-2.0

//! Packets in the slots that a program hands over for transmission: where each begins, and which cannot be sent.

use crate::{
    abi::slot_flags::NS_MOREFRAG,
    logic::{
        desc::TX_LEAST,
        ring::{next, Untaken},
        slot::Slot, //
    },
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

/// What slots begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A packet.
    Packet {
        /// How many slots it has.
        slots: u32,
        /// Bytes of it.
        bytes: u32,
    },
    /// A packet, or nothing yet, whose end is not among them.
    Unfinished,
    /// More slots than a packet has, all of which are nothing.
    Endless {
        /// How many: up to the next end.
        slots: u32,
    },
}

/// Looks for the end of the packet with which `slots` begin, if a packet has no more than `most` of them.
pub fn first_packet(slots: impl Iterator<Item = Slot>, most: u32) -> Found {
    let (mut count, mut bytes, mut has_end) = (0u32, 0u32, false);
    for slot in slots {
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(u32::from(slot.len));
        if !slot.has(NS_MOREFRAG) {
            has_end = true;
            break;
        }
    }
    match (count, has_end) {
        (slots, _) if slots > most => Found::Endless { slots },
        (slots, true) => Found::Packet { slots, bytes },
        (_, false) => Found::Unfinished,
    }
}
