// SPDX-License-Identifier: GPL-2.0

//! Copies of frames between buffers and the stack's packets.

use crate::bindings;
use core::arch::asm;

/// Up to this many bytes are copied word by word.
const SHORT: usize = 256;
/// As many are copied at a time: half of a cache line.
const BLOCK: usize = 32;

/// Copies a frame, or a part of one. A long one is left to the processor's own copy by words, which begins as one by bytes, as `memcpy`
/// may be, and has an eighth of the steps where each of them is emulated. That takes some tens of cycles to begin: as long as
/// all of a short frame takes one word after the other.
///
/// # Safety
///
/// `from` must be valid for reads, and `to` for writes, of `len` bytes, and they must not overlap. A program may write either of
/// them meanwhile: then it is its own frame that is garbled.
#[inline(always)]
pub(crate) unsafe fn copy_frame(from: *const u8, to: *mut u8, len: usize) {
    let last = len.wrapping_sub(BLOCK);
    // Less than a block wraps to a huge number.
    if last > SHORT - BLOCK {
        // SAFETY: By the function's requirement.
        unsafe { copy_unusual(from, to, len) };
        return;
    }
    let mut done = 0;
    // SAFETY: By the function's requirement: each block ends within `len`.
    unsafe {
        while done < last {
            copy_block(from.add(done), to.add(done));
            done += BLOCK;
        }
        // The last one may have been copied in part.
        copy_block(from.add(last), to.add(last));
    }
}

/// Copies a frame that is long, or has less than a block: out of the way of the others.
///
/// # Safety
///
/// As for [`copy_frame`].
#[inline(never)]
unsafe fn copy_unusual(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: By the function's requirement; the last word of a long one may have been copied in part.
    unsafe {
        if len < BLOCK {
            copy_few(from, to, len);
        } else {
            copy_words(from, to, len / 8);
            copy_one::<u64>(from.add(len - 8), to.add(len - 8));
        }
    }
}

/// Copies as many words of 8 bytes.
///
/// # Safety
///
/// As for [`copy_frame`].
#[inline(always)]
unsafe fn copy_words(from: *const u8, to: *mut u8, words: usize) {
    // SAFETY: By the function's requirement. The kernel runs with the direction flag clear.
    unsafe {
        asm!(
            "rep movsq",
            inout("rcx") words => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// Copies less than a block.
///
/// # Safety
///
/// As for [`copy_frame`].
#[inline]
unsafe fn copy_few(from: *const u8, to: *mut u8, len: usize) {
    let mut done = 0;
    // SAFETY: By the function's requirement: `done` and what is added to it stay within `len`.
    unsafe {
        while len - done >= 8 {
            copy_one::<u64>(from.add(done), to.add(done));
            done += 8;
        }
        if len & 4 != 0 {
            copy_one::<u32>(from.add(done), to.add(done));
            done += 4;
        }
        if len & 2 != 0 {
            copy_one::<u16>(from.add(done), to.add(done));
            done += 2;
        }
        if len & 1 != 0 {
            copy_one::<u8>(from.add(done), to.add(done));
        }
    }
}

/// Copies a block.
///
/// # Safety
///
/// Both must be valid for that, at any address.
#[inline(always)]
unsafe fn copy_block(from: *const u8, to: *mut u8) {
    for at in (0..BLOCK).step_by(8) {
        // SAFETY: By the function's requirement.
        unsafe { copy_one::<u64>(from.add(at), to.add(at)) };
    }
}

/// # Safety
///
/// Both must be valid for a `T`, at any address.
#[inline(always)]
unsafe fn copy_one<T: Copy>(from: *const u8, to: *mut u8) {
    // SAFETY: By the function's requirement.
    unsafe {
        to.cast::<T>()
            .write_unaligned(from.cast::<T>().read_unaligned())
    };
}

/// Waits until memory of the calling program can be read, which may take as long as the program likes; false if it cannot. With no lock
/// held.
pub(crate) fn wait_for(address: u64, len: u16) -> bool {
    // SAFETY: The function takes any address, and may sleep here.
    unsafe { bindings::netmap_fault_in(address, len.into()) }
}
