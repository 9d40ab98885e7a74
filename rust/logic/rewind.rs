// SPDX-License-Identifier: GPL-2.0

//! Bringing a driver to the start of its receive ring, which is full: how many damaged frames it is fed at a time.
//!
//! A driver that refills by `refill` descriptors leaves fewer for later. So it shows that the driver is done with a stretch
//! of frames only if the stretch ends where a refill does: then all descriptors before its end have a buffer again. And only
//! descriptors that the driver has filled may be in a stretch, because it takes each for a frame in a buffer.

use super::ring;
use core::iter::FusedIterator;

/// The most descriptors that a driver's ring has: those of an X550.
pub const MAX_COUNT: u32 = 32768;

/// Most frames at a time: as many as a driver surely goes through in the time that it has for each stretch.
const MAX_STRETCH: u32 = 4096;

/// Frames for the descriptors from [`Self::from`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first descriptor, where the driver stands.
    pub from: u32,
    /// How many descriptors; at least one, and fewer than the ring has.
    pub len: u32,
}

/// The stretches that bring a driver to descriptor 0 with all of its ring filled.
#[derive(Clone, Debug)]
pub struct Rewind {
    count: u32,
    refill: u32,
    at: u32,
    /// Descriptors before `at` that the driver has yet to fill, without the one that always stays empty.
    unfilled: u32,
    left: u32,
}

impl Rewind {
    /// For a driver that stands at `at` in a ring of `count` descriptors, has `unfilled` to refill, and does so by `refill`
    /// at least. With `lap`, it goes through at least one descriptor.
    ///
    /// [`None`] if the numbers do not go together, if the ring is larger than [`MAX_COUNT`], or if no refill of the driver's
    /// ever ends where the ring does.
    pub fn new(count: u32, refill: u32, at: u32, unfilled: u32, lap: bool) -> Option<Self> {
        if at >= count || unfilled >= refill || count > MAX_COUNT || count / 2 <= refill {
            return None;
        }
        let first = match count.wrapping_sub(at) {
            left if left == count && !lap => 0,
            left => left,
        };
        // After `refill` laps the remainders begin anew.
        let left = (0..refill)
            .map(|laps| first.wrapping_add(laps.wrapping_mul(count)))
            .find(|&left| is_multiple(left.wrapping_add(unfilled), refill))?;
        Some(Self {
            count,
            refill,
            at,
            unfilled,
            left,
        })
    }
}

fn is_multiple(value: u32, of: u32) -> bool {
    value.checked_rem(of) == Some(0)
}

impl Iterator for Rewind {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        // All but what is unfilled and what stays empty.
        let filled = self.count.wrapping_sub(1).wrapping_sub(self.unfilled);
        let filled = filled.min(MAX_STRETCH);
        let len = if self.left <= filled {
            self.left
        } else {
            let sum = filled.wrapping_add(self.unfilled);
            filled.wrapping_sub(sum.checked_rem(self.refill)?)
        };
        let from = self.at;
        self.at = ring::add(from, len, self.count);
        self.left = self.left.wrapping_sub(len);
        self.unfilled = 0;
        (len != 0).then_some(Stretch { from, len })
    }
}

impl FusedIterator for Rewind {}
