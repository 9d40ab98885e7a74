// SPDX-License-Identifier: GPL-2.0

//! A ring in the memory that programs share, as the kernel accesses it.

use crate::{
    abi,
    atomic::{fence, Ordering},
    bindings, //
};
use core::ptr::NonNull;

/// The ring in shared memory, as the kernel accesses it.
///
/// All accesses are volatile: a program may write any of it at any time.
///
/// # Invariants
///
/// `base` points to a ring of `num_slots` slots in pages that stay mapped in the kernel while the kring is attached.
#[derive(Clone, Copy)]
pub struct SharedRing {
    base: NonNull<abi::Ring>,
    num_slots: u32,
}

// SAFETY: Ring memory belongs to no thread, and all accesses are volatile.
unsafe impl Send for SharedRing {}
// SAFETY: As above.
unsafe impl Sync for SharedRing {}

impl SharedRing {
    /// # Safety
    ///
    /// `base` must point to an [`abi::Ring`] followed by `num_slots` slots, which stay valid until the last use.
    pub unsafe fn new(base: NonNull<abi::Ring>, num_slots: u32) -> Self {
        // INVARIANT: By the safety requirement.
        Self { base, num_slots }
    }

    /// The number of slots.
    #[inline]
    pub fn num_slots(self) -> u32 {
        self.num_slots
    }

    /// The ring's header.
    #[inline]
    pub fn header(self) -> *mut abi::Ring {
        self.base.as_ptr()
    }

    /// The two words of a slot, if there is such a slot: buffer index, length and flags; pointer. The accesses must be
    /// volatile.
    #[inline]
    pub fn at(self, index: u32) -> *mut u64 {
        // The slots start right behind the header, 16 bytes each.
        self.base
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(core::mem::size_of::<abi::Ring>() + (index as usize) * 16)
            .cast()
    }

    /// Reads buffer index, length and flags of a slot, all at once.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn read(self, index: u32) -> u64 {
        // SAFETY: The type's invariant and this function's requirement; slots are 16-byte aligned.
        unsafe { self.at(index).read_volatile() }
    }

    /// Writes buffer index, length and flags of a slot, all at once.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn write(self, index: u32, raw: u64) {
        // SAFETY: The type's invariant and this function's requirement; slots are 16-byte aligned.
        unsafe { self.at(index).write_volatile(raw) }
    }

    /// Writes buffer index, length and flags of a slot, all at once, unless they are not `from` any more.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    pub unsafe fn replace(self, index: u32, from: u64, to: u64) {
        // SAFETY: The type's invariant and this function's requirement; slots are 16-byte aligned.
        unsafe { bindings::netmap_replace64(self.at(index), from, to) };
    }

    /// Reads the pointer of a slot.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn read_pointer(self, index: u32) -> u64 {
        // SAFETY: The type's invariant and this function's requirement.
        unsafe { self.at(index).add(1).read_volatile() }
    }

    /// Writes the pointer of a slot.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn write_pointer(self, index: u32, raw: u64) {
        // SAFETY: The type's invariant and this function's requirement.
        unsafe { self.at(index).add(1).write_volatile(raw) }
    }

    /// Moves `head` and `cur`, where the program of the ring is the kernel itself.
    pub fn advance(self, to: u32) {
        // The slots that were written are seen before.
        fence(Ordering::Release);
        let header = self.header();
        // SAFETY: By the type's invariant the header is valid.
        unsafe {
            (&raw mut (*header).cur).write_volatile(to);
            (&raw mut (*header).head).write_volatile(to);
        }
    }

    /// Moves the program's `head` from what it was when it was read, unless the program has moved it since. Says whether it did.
    pub fn move_head(self, from: u32, to: u32) -> bool {
        // SAFETY: By the type's invariant the header is valid.
        unsafe { bindings::netmap_replace32(&raw mut (*self.header()).head, from, to) }
    }

    /// As [`Self::move_head`], of `cur`.
    pub fn move_cur(self, from: u32, to: u32) -> bool {
        // SAFETY: As above.
        unsafe { bindings::netmap_replace32(&raw mut (*self.header()).cur, from, to) }
    }

    /// Writes length and flags of a slot and leaves the buffer index.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn write_len_flags(self, index: u32, len: u16, flags: u16) {
        // SAFETY: The type's invariant and this function's requirement.
        unsafe { Self::write_len_flags_at(self.at(index), len, flags) }
    }

    /// As [`Self::write_len_flags`], of the slot to which [`Self::at`] has led.
    ///
    /// # Safety
    ///
    /// `slot` must be a slot of a ring that is attached.
    #[inline]
    pub unsafe fn write_len_flags_at(slot: *mut u64, len: u16, flags: u16) {
        let word = u32::from(len) | (u32::from(flags) << 16);
        // SAFETY: By the function's requirement; the second half of the word is 4-byte aligned.
        unsafe { slot.cast::<u32>().add(1).write_volatile(word) }
    }

    /// What the program last wrote to `head`; may be anything.
    #[inline]
    pub fn head(self) -> u32 {
        // SAFETY: By the type's invariant the header is valid; volatile because programs write it.
        unsafe { (&raw const (*self.header()).head).read_volatile() }
    }

    /// `head`, `cur` and `tail` as the program wrote them; may be anything.
    #[inline]
    pub fn user_cursors(self) -> (u32, u32, u32) {
        let header = self.header();
        // SAFETY: As above.
        let cursors = unsafe {
            (
                (&raw const (*header).head).read_volatile(),
                (&raw const (*header).cur).read_volatile(),
                (&raw const (*header).tail).read_volatile(),
            )
        };
        // The slots that another thread filled before it moved `head` are read after it.
        fence(Ordering::Acquire);
        cursors
    }

    /// The ring's flags as the program wrote them.
    #[inline]
    pub fn flags(self) -> u32 {
        // SAFETY: As above.
        unsafe { (&raw const (*self.header()).flags).read_volatile() }
    }

    /// Publishes `tail`, and with it the slots before it.
    #[inline]
    pub fn publish(self, tail: u32) {
        // A program that sees the new tail must see the slots.
        fence(Ordering::Release);
        // SAFETY: As above.
        unsafe { (&raw mut (*self.header()).tail).write_volatile(tail) };
    }

    /// Writes the time of the last sync.
    #[inline]
    pub fn set_time(self, time: abi::Timeval) {
        // SAFETY: As above.
        unsafe { (&raw mut (*self.header()).ts).write_volatile(time) };
    }
}
