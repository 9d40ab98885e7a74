// SPDX-License-Identifier: GPL-2.0

//! Slots as a program wrote them: decode, check, encode.
//!
//! A slot is read from shared memory as one 64-bit word (buffer index, length and flags) and, where
//! needed, a second one (pointer). The copy is checked; a [`Checked`] slot is the only way to a
//! [`BufferIndex`] that came from a program.

use core::fmt;

/// Buffers 0 and 1 of a region are reserved: no slot may name them.
pub const RESERVED_BUFFERS: u32 = 2;

/// The first word of a slot, taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Index of the buffer in the region.
    pub buf_idx: u32,
    /// Length in bytes.
    pub len: u16,
    /// Flags, see `crate::abi::slot_flags`.
    pub flags: u16,
}

impl Slot {
    /// Takes apart the word of a slot, as a 64-bit load on this machine yields it.
    #[inline]
    pub const fn from_raw(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        Slot {
            buf_idx: u32::from_ne_bytes([a, b, c, d]),
            len: u16::from_ne_bytes([e, f]),
            flags: u16::from_ne_bytes([g, h]),
        }
    }

    /// The word to store as the slot with a 64-bit store on this machine.
    #[inline]
    pub const fn to_raw(self) -> u64 {
        // Of bytes the compiler would make it byte by byte.
        const { assert!(cfg!(target_endian = "little")) };
        self.buf_idx as u64 | ((self.len_and_flags() as u64) << 32)
    }

    /// Whether any of the flags `mask` is set.
    #[inline]
    pub const fn has(&self, mask: u16) -> bool {
        self.flags & mask != 0
    }

    /// The length, and above it the flags: at most 65535 if there are none.
    #[inline]
    pub const fn len_and_flags(&self) -> u32 {
        // Widening, which `From` cannot do in a const fn.
        self.len as u32 | ((self.flags as u32) << 16)
    }

    /// Checks the buffer index and, for a slot to transmit, the length.
    #[inline]
    pub const fn check(self, limits: &Limits) -> Result<Checked, SlotFault> {
        let index = match limits.index(self.buf_idx) {
            Ok(index) => index,
            Err(fault) => return Err(fault),
        };
        // A `u16` as `u32`, which `From` cannot do in a const fn.
        if self.len as u32 > limits.buf_size {
            return Err(SlotFault::Length {
                len: self.len,
                buf_size: limits.buf_size,
            });
        }
        // INVARIANT: Both were checked against `limits`.
        Ok(Checked {
            index,
            len: self.len,
            flags: self.flags,
        })
    }
}

/// What a slot may name in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of buffers that a slot may name.
    usable: u32,
    /// Size of a buffer in bytes.
    buf_size: u32,
}

impl Limits {
    /// The limits of a region with `total` buffers, the reserved ones included, of `buf_size` bytes.
    pub const fn new(total: u32, buf_size: u32) -> Self {
        Limits {
            usable: total.saturating_sub(RESERVED_BUFFERS),
            buf_size,
        }
    }

    /// Checks a buffer index alone: for slots to receive into, and for lists of buffers.
    #[inline]
    pub const fn index(&self, buf_idx: u32) -> Result<BufferIndex, SlotFault> {
        // One comparison for both ends: reserved indices wrap to huge ones.
        if buf_idx.wrapping_sub(RESERVED_BUFFERS) >= self.usable {
            return Err(SlotFault::Index {
                buf_idx,
                total: self.total(),
            });
        }
        // INVARIANT: Checked above.
        Ok(BufferIndex(buf_idx))
    }

    /// Number of buffers of the region, the reserved ones included.
    pub const fn total(&self) -> u32 {
        self.usable.saturating_add(RESERVED_BUFFERS)
    }

    /// Size of a buffer in bytes.
    pub const fn buf_size(&self) -> u32 {
        self.buf_size
    }
}

/// The index of a buffer that exists.
///
/// # Invariants
///
/// At least [`RESERVED_BUFFERS`] and below the `total` of the [`Limits`] that it was checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferIndex(u32);

impl BufferIndex {
    /// The index.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A slot that passed the check.
///
/// # Invariants
///
/// `index` obeys the [`Limits`] of the check, and `len` is at most their `buf_size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    index: BufferIndex,
    len: u16,
    flags: u16,
}

impl Checked {
    /// The buffer.
    #[inline]
    pub const fn index(&self) -> BufferIndex {
        self.index
    }

    /// Length in bytes, at most the size of a buffer.
    #[inline]
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether there is nothing in the buffer.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The flags, any.
    #[inline]
    pub const fn flags(&self) -> u16 {
        self.flags
    }

    /// Whether any of the flags `mask` is set.
    #[inline]
    pub const fn has(&self, mask: u16) -> bool {
        self.flags & mask != 0
    }
}

/// What is wrong with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotFault {
    /// There is no such buffer, or it is reserved.
    Index {
        /// What the slot says.
        buf_idx: u32,
        /// Number of buffers of the region, the reserved ones included.
        total: u32,
    },
    /// The packet would go beyond the buffer.
    Length {
        /// What the slot says, in bytes.
        len: u16,
        /// Size of a buffer in bytes.
        buf_size: u32,
    },
}

impl fmt::Display for SlotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SlotFault::Index { buf_idx, total } => write!(
                f,
                "buffer index {} is not within {}..{}",
                buf_idx, RESERVED_BUFFERS, total
            ),
            SlotFault::Length { len, buf_size } => {
                write!(f, "length {} is above the buffer size {}", len, buf_size)
            }
        }
    }
}
