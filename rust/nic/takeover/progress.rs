// SPDX-License-Identifier: GPL-2.0

//! How far a walk over slots is.

use crate::logic::ring::{self, Span};

/// How far a walk over the slots of a ring is, and what it has found so far.
#[derive(Clone, Copy)]
pub struct Progress {
    /// The next slot.
    pub slot: u32,
    /// Slots from there on.
    pub left: u32,
    /// Packets before it.
    pub packets: u32,
    /// Their bytes.
    pub bytes: u64,
}

impl Progress {
    /// At the beginning of `span`.
    #[inline]
    pub fn new(span: &Span) -> Self {
        Self {
            slot: span.begin(),
            left: span.len(),
            packets: 0,
            bytes: 0,
        }
    }

    /// The next `slots` slots of those left, in a ring of `n`, held `packets` packets of `bytes` bytes.
    #[inline]
    pub fn advance(&mut self, slots: u32, packets: u32, bytes: u64, n: u32) {
        self.slot = ring::add(self.slot, slots, n);
        self.left = self.left.wrapping_sub(slots);
        self.packets = self.packets.wrapping_add(packets);
        self.bytes = self.bytes.wrapping_add(bytes);
    }
}
