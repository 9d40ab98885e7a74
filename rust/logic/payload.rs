// SPDX-License-Identifier: GPL-2.0

//! Slots of a stack port: payload of a connection, which a descriptor names.

use super::slot::Slot;

/// The second word of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    /// The descriptor of the connection.
    pub fd: i32,
    /// Bytes of the buffer before the payload.
    pub offset: u16,
    /// An errno, in a receive slot that tells of one.
    pub error: u16,
}

impl Pointer {
    /// Takes apart the word of a slot, as a 64-bit load on this machine yields it.
    #[inline]
    pub const fn from_raw(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        Self {
            fd: i32::from_ne_bytes([a, b, c, d]),
            offset: u16::from_ne_bytes([e, f]),
            error: u16::from_ne_bytes([g, h]),
        }
    }

    /// The word to store as that of a slot with a 64-bit store on this machine.
    #[inline]
    pub const fn to_raw(self) -> u64 {
        // Of single bytes compilers make a dozen instructions. Widening, which `From` cannot do in a const fn.
        let (fd, offset, error) = (
            u32::from_ne_bytes(self.fd.to_ne_bytes()) as u64,
            self.offset as u64,
            self.error as u64,
        );
        if cfg!(target_endian = "little") {
            fd | (offset << 32) | (error << 48)
        } else {
            (fd << 32) | (offset << 16) | error
        }
    }

    /// That of a transmit slot that names no connection yet, in a buffer with so much room for headers.
    #[inline]
    pub const fn unnamed(room: u16) -> Self {
        Self {
            fd: -1,
            offset: room,
            error: 0,
        }
    }
}

/// Where payload lies in a buffer.
///
/// # Invariants
///
/// It was checked against the size of a buffer that it ends within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    offset: u16,
    len: u16,
}

impl Payload {
    /// That of a slot; [`None`] if it does not lie within a buffer of `size` bytes.
    #[inline]
    pub const fn of(slot: &Slot, pointer: &Pointer, size: u32) -> Option<Self> {
        // Widening, which `From` cannot do in a const fn; the sum of two `u16` is a `u32`.
        if (pointer.offset as u32).wrapping_add(slot.len as u32) > size {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Self {
            offset: pointer.offset,
            len: slot.len,
        })
    }

    /// Bytes of the buffer before it.
    #[inline]
    pub const fn offset(&self) -> u16 {
        self.offset
    }

    /// Its bytes.
    #[inline]
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is left of it when its first `count` bytes are gone.
    #[inline]
    pub const fn without(self, count: u16) -> Self {
        let count = if count < self.len { count } else { self.len };
        // INVARIANT: It ends where it ended.
        Self {
            offset: self.offset.wrapping_add(count),
            len: self.len.wrapping_sub(count),
        }
    }
}
