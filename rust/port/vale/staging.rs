// SPDX-License-Identifier: GPL-2.0

//! Packets that lie in the memory of the program that sends them (`NS_INDIRECT`), copied before anybody else's ring is locked.
//!
//! The sender's own ring is held while they are copied, and whoever wants to stop the ring waits for that; so nothing waits for the
//! program's memory here, which another program may keep absent for as long as it likes. What is absent ends the sync before its packet.
//! Then the memory is waited for without the ring, and the sync is done once more.

use crate::{
    bindings,
    prelude::*, //
    ring::{inbox::Fragment, queue::Absent},
};
use core::ptr::NonNull;

/// Room for the packets of a transmit ring.
pub(super) struct Staging {
    /// None until the first such packet.
    bytes: KVVec<u8>,
    used: usize,
}

impl Staging {
    /// Without memory.
    pub(super) const fn new() -> Self {
        Self {
            bytes: KVVec::new(),
            used: 0,
        }
    }

    /// Whether a packet that begins now may find no room for all of it.
    #[inline]
    pub(super) fn is_low(&self) -> bool {
        self.used > self.bytes.len() / 2
    }

    /// Nothing that was copied is used any more.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Copies `len` bytes from an address of the calling program, for a slot with these flags; `longest` is the most that a packet can
    /// have. `Err(None)` if there is no memory for it.
    pub(super) fn copy(
        &mut self,
        address: u64,
        len: u16,
        flags: u16,
        longest: usize,
    ) -> Result<Fragment, Option<Absent>> {
        if self.bytes.is_empty() {
            // One packet, and another one that begins before it is full by half.
            self.bytes = KVVec::from_elem(0, 2 * longest, GFP_CHARGED).map_err(|_| None)?;
        }
        let room = self.bytes.get_mut(self.used..).unwrap_or(&mut []);
        let to = room.get_mut(..usize::from(len)).ok_or(None)?;
        let absent = Absent { address, len };
        // SAFETY: There is room for as many bytes; the function takes any address.
        if !unsafe { bindings::netmap_copy_present(to.as_mut_ptr().cast(), address, len.into()) } {
            return Err(Some(absent));
        }
        let from = NonNull::new(to.as_mut_ptr()).ok_or(None)?;
        self.used += usize::from(len);
        // SAFETY: The bytes stay until `clear`, after which the caller does not use the value, and are not written before that.
        Ok(unsafe { Fragment::new(from, len, flags) })
    }
}
