// SPDX-License-Identifier: GPL-2.0

//! Which objects of a pool are free.

use core::ops::DerefMut;

const WORD_BITS: u32 = u64::BITS;

/// An allocator of the numbers `0..len` over words that the caller provides.
///
/// Lowest numbers first, so that a region is used from its start on. One word in the middle of a
/// run of full words costs a scan of that run; allocating or freeing many in a row costs one pass.
///
/// # Invariants
///
/// - Bit `i % 64` of word `i / 64` is set if and only if `i < len` and `i` is free; `len` is at most
///   64 times the number of words.
/// - `free` is the number of set bits.
/// - No word before word `hint` has a set bit.
#[derive(Debug)]
pub struct Bitmap<W> {
    words: W,
    len: u32,
    free: u32,
    hint: usize,
}

/// A number was freed that is not allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeFault {
    /// It is not below `len`.
    OutOfRange,
    /// It is free.
    AlreadyFree,
}

/// There are too few words for the wanted length. Holds the number of words that would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewWords(pub usize);

/// The number of words that `len` numbers need.
pub const fn words_for(len: u32) -> usize {
    len.div_ceil(WORD_BITS) as usize
}

/// Word and bit of number `i`.
const fn place(i: u32) -> (usize, u64) {
    ((i / WORD_BITS) as usize, 1u64.wrapping_shl(i % WORD_BITS))
}

/// A mask of the bits at and above bit `i % 64`.
const fn from_bit(i: u32) -> u64 {
    u64::MAX.wrapping_shl(i % WORD_BITS)
}

impl<W: DerefMut<Target = [u64]>> Bitmap<W> {
    /// An allocator of `0..len`, all free. What the words hold is overwritten.
    pub fn new(mut words: W, len: u32) -> Result<Self, TooFewWords> {
        words.fill(0);
        // INVARIANT: No bit is set and `len` is zero; `grow` keeps the invariants.
        let mut bitmap = Bitmap {
            words,
            len: 0,
            free: 0,
            hint: 0,
        };
        bitmap.grow(len)?;
        Ok(bitmap)
    }

    /// Raises `len`; the new numbers are free. A `len` that is not above the present one changes
    /// nothing.
    pub fn grow(&mut self, len: u32) -> Result<(), TooFewWords> {
        let need = words_for(len);
        if need > self.words.len() {
            return Err(TooFewWords(need));
        }
        // INVARIANT: Every new number gets its bit, and is counted, before it is below `len`.
        while self.len < len {
            let (index, _) = place(self.len);
            let Some(word) = self.words.get_mut(index) else {
                return Err(TooFewWords(need));
            };
            let begin = self.len % WORD_BITS;
            let end = len
                .saturating_sub(self.len)
                .saturating_add(begin)
                .min(WORD_BITS);
            let below_end = u64::MAX.checked_shl(end).map_or(u64::MAX, |above| !above);
            *word |= from_bit(begin) & below_end;
            self.hint = self.hint.min(index);
            let count = end.saturating_sub(begin);
            self.free = self.free.saturating_add(count);
            self.len = self.len.saturating_add(count);
        }
        Ok(())
    }

    /// One more than the largest number.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no numbers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many numbers are free.
    pub fn free_count(&self) -> u32 {
        self.free
    }

    /// Whether number `i` is allocated; not, if it is out of range.
    pub fn is_allocated(&self, i: u32) -> bool {
        let (index, bit) = place(i);
        i < self.len && self.words.get(index).is_some_and(|word| word & bit == 0)
    }

    /// Allocates the lowest free number.
    pub fn alloc(&mut self) -> Option<u32> {
        let mut got = None;
        self.alloc_many(1, |i| got = Some(i));
        got
    }

    /// Allocates up to `count` numbers, hands each to `take` in rising order, and returns how many.
    pub fn alloc_many(&mut self, count: u32, mut take: impl FnMut(u32)) -> u32 {
        let mut left = count;
        while left > 0 {
            let Some(word) = self.words.get_mut(self.hint) else {
                break;
            };
            if *word == 0 {
                // INVARIANT: The word that is left behind has no set bit.
                self.hint = self.hint.wrapping_add(1);
                continue;
            }
            let bit = word.trailing_zeros();
            // INVARIANT: One bit is cleared, and `free` is one less.
            *word &= word.wrapping_sub(1);
            self.free = self.free.saturating_sub(1);
            left = left.wrapping_sub(1);
            take(number(self.hint, bit));
        }
        count.wrapping_sub(left)
    }

    /// Allocates the lowest run of `count` consecutive free numbers that begins at a multiple of
    /// `align`, and returns its first. [`None`] if there is no such run or `count` is zero.
    pub fn alloc_run(&mut self, count: u32, align: u32) -> Option<u32> {
        let align = align.max(1);
        if count == 0 || count > self.free {
            return None;
        }
        let mut from = number(self.hint, 0);
        loop {
            let begin = self.find(from, true)?.checked_next_multiple_of(align)?;
            let end = begin.checked_add(count)?;
            if end > self.len {
                return None;
            }
            match self.find(begin, false) {
                Some(used) if used < end => from = used,
                _ => {
                    self.take_run(begin, end);
                    return Some(begin);
                }
            }
        }
    }

    /// Frees an allocated number.
    pub fn free(&mut self, i: u32) -> Result<(), FreeFault> {
        let (index, bit) = place(i);
        if i >= self.len {
            return Err(FreeFault::OutOfRange);
        }
        let word = self.words.get_mut(index).ok_or(FreeFault::OutOfRange)?;
        if *word & bit != 0 {
            return Err(FreeFault::AlreadyFree);
        }
        // INVARIANT: One bit is set and `free` is one more; `hint` is not beyond its word.
        *word |= bit;
        self.free = self.free.saturating_add(1);
        self.hint = self.hint.min(index);
        Ok(())
    }

    /// The first number at or after `from` that is free, or that is not; [`None`] if it would be
    /// beyond the last word.
    fn find(&self, from: u32, free: bool) -> Option<u32> {
        let flip = if free { 0 } else { u64::MAX };
        let (mut index, _) = place(from);
        let mut mask = from_bit(from);
        loop {
            let found = (self.words.get(index)? ^ flip) & mask;
            if found != 0 {
                return Some(number(index, found.trailing_zeros()));
            }
            index = index.wrapping_add(1);
            mask = u64::MAX;
        }
    }

    /// Clears the bits of `begin..end`, which are all set.
    fn take_run(&mut self, begin: u32, end: u32) {
        for i in begin..end {
            let (index, bit) = place(i);
            // INVARIANT: A set bit is cleared, and `free` is one less.
            if let Some(word) = self.words.get_mut(index) {
                *word &= !bit;
                self.free = self.free.saturating_sub(1);
            }
        }
    }
}

/// The number of bit `bit` in word `index`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "words beyond those of a `u32` length hold no set bit"
)]
const fn number(index: usize, bit: u32) -> u32 {
    (index as u32).wrapping_mul(WORD_BITS).wrapping_add(bit)
}
