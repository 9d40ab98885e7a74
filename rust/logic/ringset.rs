// SPDX-License-Identifier: GPL-2.0

//! A set of rings of a port that needs no memory of its own, for paths that must not fail.

/// Most rings of a direction that a port may have: those of a pipe.
pub const MAX_RINGS: u32 = 256;

const WORDS: usize = (MAX_RINGS / u64::BITS) as usize;

/// A set of rings, each a direction and a number below [`MAX_RINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingSet {
    tx: [u64; WORDS],
    rx: [u64; WORDS],
}

impl RingSet {
    fn words(&mut self, transmit: bool) -> &mut [u64; WORDS] {
        if transmit {
            &mut self.tx
        } else {
            &mut self.rx
        }
    }

    /// Adds a ring; one whose number is too large is left out.
    pub fn insert(&mut self, transmit: bool, ring: u32) {
        if let Some(word) = self.words(transmit).get_mut((ring / u64::BITS) as usize) {
            *word |= 1u64.wrapping_shl(ring % u64::BITS);
        }
    }

    /// Takes a ring out; says whether it was there.
    pub fn remove(&mut self, transmit: bool, ring: u32) -> bool {
        let there = self.contains(transmit, ring);
        if let Some(word) = self.words(transmit).get_mut((ring / u64::BITS) as usize) {
            *word &= !1u64.wrapping_shl(ring % u64::BITS);
        }
        there
    }

    /// Whether a ring is in it.
    pub fn contains(&self, transmit: bool, ring: u32) -> bool {
        let words = if transmit { &self.tx } else { &self.rx };
        words
            .get((ring / u64::BITS) as usize)
            .is_some_and(|word| word & 1u64.wrapping_shl(ring % u64::BITS) != 0)
    }

    /// Whether there is no ring in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rings: whether it transmits, and its number; transmit rings first, in order.
    pub fn iter(self) -> Rings {
        Rings { set: self, at: 0 }
    }
}

/// The rings of a set, see [`RingSet::iter`].
#[derive(Clone, Debug)]
pub struct Rings {
    set: RingSet,
    /// Where to look next: transmit rings from 0 on, receive rings from [`MAX_RINGS`] on.
    at: u32,
}

impl Iterator for Rings {
    type Item = (bool, u32);

    fn next(&mut self) -> Option<(bool, u32)> {
        loop {
            let at = self.at;
            let found = match at.checked_sub(MAX_RINGS) {
                None => (true, at),
                Some(ring) if ring < MAX_RINGS => (false, ring),
                Some(_) => return None,
            };
            self.at = at.saturating_add(1);
            if self.set.contains(found.0, found.1) {
                return Some(found);
            }
        }
    }
}
