// SPDX-License-Identifier: BSD-2-Clause
//! What became of the frames of one stream.

/// How far a frame can be late, in sequence numbers, and still be told from a repeated one: more than a queue on the way
/// holds, even if most of those that overtake it are lost.
pub const WINDOW: u64 = 1 << 20;

const WORDS: usize = (WINDOW / 64) as usize;

/// Counts over one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Different frames received.
    pub unique: u64,
    /// Frames received again. One that is late by [`WINDOW`] or more counts here too.
    pub duplicate: u64,
    /// Different frames that came after a later one.
    pub reordered: u64,
    /// Frames missing between the lowest and the highest sequence number received.
    pub lost: u64,
}

/// Follows the sequence numbers of one stream, in memory that does not grow.
#[derive(Debug, Clone)]
pub struct Tracker {
    /// Bit `n % WINDOW` tells whether `n` was received, for `n` in `highest + 1 - WINDOW ..= highest`.
    seen: Box<[u64; WORDS]>,
    range: Option<(u64, u64)>,
    counts: Counts,
}

impl Default for Tracker {
    fn default() -> Self {
        Tracker {
            seen: Box::new([0; WORDS]),
            range: None,
            counts: Counts::default(),
        }
    }
}

impl Tracker {
    /// Notes that `sequence` was received.
    pub fn note(&mut self, sequence: u64) {
        let Some((lowest, highest)) = self.range else {
            self.range = Some((sequence, sequence));
            self.mark(sequence);
            self.counts.unique += 1;
            return;
        };
        if sequence > highest {
            if sequence - highest >= WINDOW {
                self.seen.fill(0);
            } else {
                (highest + 1..sequence).for_each(|skipped| self.clear(skipped));
            }
            self.range = Some((lowest, sequence));
        } else if highest - sequence >= WINDOW || self.is_marked(sequence) {
            self.counts.duplicate += 1;
            return;
        } else {
            self.range = Some((lowest.min(sequence), highest));
            self.counts.reordered += 1;
        }
        self.mark(sequence);
        self.counts.unique += 1;
    }

    /// Lowest and highest sequence number received.
    pub fn range(&self) -> Option<(u64, u64)> {
        self.range
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let span = self
            .range
            .map_or(0, |(lowest, highest)| highest - lowest + 1);
        Counts {
            lost: span - self.counts.unique,
            ..self.counts
        }
    }

    fn place(sequence: u64) -> (usize, u64) {
        let bit = sequence % WINDOW;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn mark(&mut self, sequence: u64) {
        let (word, bit) = Self::place(sequence);
        self.seen[word] |= bit;
    }

    fn clear(&mut self, sequence: u64) {
        let (word, bit) = Self::place(sequence);
        self.seen[word] &= !bit;
    }

    fn is_marked(&self, sequence: u64) -> bool {
        let (word, bit) = Self::place(sequence);
        self.seen[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn counts(sequences: impl IntoIterator<Item = u64>) -> Counts {
        let mut tracker = Tracker::default();
        sequences
            .into_iter()
            .for_each(|sequence| tracker.note(sequence));
        tracker.counts()
    }

    #[test]
    fn nothing_received_is_nothing_lost() {
        assert_eq!(counts([]), Counts::default());
    }

    #[test]
    fn in_order_beyond_the_window() {
        let expected = Counts {
            unique: 3 * WINDOW,
            ..Counts::default()
        };
        assert_eq!(counts(0..3 * WINDOW), expected);
    }

    #[test]
    fn a_gap_is_lost_until_it_is_filled() {
        assert_eq!(
            counts([5, 8]),
            Counts {
                unique: 2,
                lost: 2,
                ..Counts::default()
            }
        );
        assert_eq!(
            counts([5, 8, 6, 7]),
            Counts {
                unique: 4,
                reordered: 2,
                ..Counts::default()
            }
        );
    }

    #[test]
    fn a_jump_forgets_the_window() {
        let far = 1 + 2 * WINDOW;
        let expected = Counts {
            unique: 3,
            reordered: 1,
            lost: 2 * WINDOW - 2,
            duplicate: 0,
        };
        assert_eq!(counts([1, far, far - WINDOW + 1]), expected);
        let expected = Counts {
            unique: 2,
            duplicate: 1,
            lost: 2 * WINDOW - 1,
            reordered: 0,
        };
        assert_eq!(counts([1, far, 1]), expected);
    }

    proptest! {
        /// Against a set of all numbers received, for streams that stay within the window.
        #[test]
        fn agrees_with_a_set(sequences in proptest::collection::vec(1000..3000u64, 0..3000)) {
            let mut seen = HashSet::new();
            let mut expected = Counts::default();
            let mut highest = 0;
            for &sequence in &sequences {
                if !seen.insert(sequence) {
                    expected.duplicate += 1;
                } else if sequence < highest {
                    expected.reordered += 1;
                }
                highest = highest.max(sequence);
            }
            expected.unique = seen.len() as u64;
            if let (Some(lowest), Some(highest)) = (seen.iter().min(), seen.iter().max()) {
                expected.lost = highest - lowest + 1 - expected.unique;
            }
            prop_assert_eq!(counts(sequences), expected);
        }
    }
}
