// SPDX-License-Identifier: GPL-2.0

//! Copies of frames between buffers and the stack's packets.

/// Up to this many bytes are copied word by word.
const SHORT: usize = 256;
/// As many are copied at a time: half of a cache line.
const BLOCK: usize = 32;

/// Copies a frame, or a part of one. `memcpy` has the processor do it, which takes some tens of cycles to begin: as long as all of
/// a short frame takes in words.
///
/// # Safety
///
/// `from` must be valid for reads, and `to` for writes, of `len` bytes, and they must not overlap. A program may write either of
/// them meanwhile: then it is its own frame that is garbled.
#[inline(always)]
pub(crate) unsafe fn copy_frame(from: *const u8, to: *mut u8, len: usize) {
    if len > SHORT {
        // SAFETY: By the function's requirement.
        unsafe { to.copy_from_nonoverlapping(from, len) };
        return;
    }
    let Some(last) = len.checked_sub(BLOCK) else {
        // SAFETY: By the function's requirement.
        unsafe { copy_few(from, to, len) };
        return;
    };
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

/// Copies less than a block.
///
/// # Safety
///
/// As for [`copy_frame`].
#[inline(never)]
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
