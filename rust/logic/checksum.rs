// SPDX-License-Identifier: GPL-2.0

//! The checksum of IP, TCP and UDP.

/// A sum of 16-bit words in ones' complement, as they lie in memory on this machine: what the kernel's `csum_partial()` yields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u32);

impl Sum {
    /// Of what the kernel has added up.
    pub const fn from_raw(raw: u32) -> Self {
        Sum(raw)
    }

    /// Of bytes of which the first is the first of a word.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = Sum(0);
        for word in bytes.chunks(2) {
            let value = match *word {
                [first, second] => u16::from_ne_bytes([first, second]),
                [first] => u16::from_ne_bytes([first, 0]),
                _ => 0,
            };
            sum = sum.plus(Sum(u32::from(value)));
        }
        sum
    }

    /// Both together.
    pub const fn plus(self, other: Sum) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        // If there is a carry, the sum is not the largest number.
        Sum(if carry { sum.wrapping_add(1) } else { sum })
    }

    /// With bytes that begin at byte `at` of what is summed up, and whose own sum is `block`.
    pub const fn with_block(self, block: Sum, at: u32) -> Self {
        self.plus(if at % 2 == 0 {
            block
        } else {
            Sum(block.0.rotate_left(8))
        })
    }

    /// The 16 bits of it.
    const fn fold(self) -> u16 {
        let once = (self.0 & 0xffff).wrapping_add(self.0 >> 16);
        let twice = (once & 0xffff).wrapping_add(once >> 16);
        // It has 16 bits by now.
        let [a, b, ..] = twice.to_le_bytes();
        u16::from_le_bytes([a, b])
    }

    /// What goes into the field of a checksum.
    pub const fn to_field(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }

    /// [`Self::to_field`] of UDP, where 0 means that there is none.
    pub const fn to_udp_field(self) -> [u8; 2] {
        match self.to_field() {
            [0, 0] => [0xff, 0xff],
            field => field,
        }
    }
}
