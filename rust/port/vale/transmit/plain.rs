// SPDX-License-Identifier: GPL-2.0

//! Plain packets: of one slot, without a flag that asks for something, from a port whose packets have no header. Most packets are, and
//! many of them go the same way one after the other.

use super::{addresses_at, Sender, ALONE, UNUSUAL};
use crate::{
    logic::{
        forwarding::{Addresses, SHORTEST},
        ring::Span,
        slot::Slot, //
    },
    mem::{Buffers, SharedRing},
    ring::{inbox::Fragment, queue::Inner}, //
};
use core::ptr::NonNull;

/// A packet as its slot has it.
struct Found {
    from: NonNull<u8>,
    len: u16,
    addresses: Addresses,
}

/// What packets are read with.
#[derive(Clone, Copy)]
struct Reader<'a> {
    ring: SharedRing,
    buffers: Buffers<'a>,
    buf_size: u32,
}

impl Reader<'_> {
    /// The packet in a slot, if it is a plain one in the buffer that the kernel knows to be there.
    ///
    /// # Safety
    ///
    /// `index` must be below the number of slots.
    #[inline(always)]
    unsafe fn read(self, index: u32, known: u32) -> Option<Found> {
        // SAFETY: By the function's requirement.
        let slot = Slot::from_raw(unsafe { self.ring.read(index) });
        let len = u32::from(slot.len);
        // A shorter one wraps to a huge number.
        let fits = len.wrapping_sub(SHORTEST) <= self.buf_size.wrapping_sub(SHORTEST);
        if slot.buf_idx != known || slot.has(UNUSUAL) || !fits {
            return None;
        }
        let from = self.buffers.get(slot.buf_idx)?;
        Some(Found {
            from,
            len: slot.len,
            // SAFETY: The packet is long enough, its buffer has room for it and is aligned to 64.
            addresses: unsafe { addresses_at(from) },
        })
    }
}

impl Sender<'_> {
    /// Reads the first packets in these slots, up to `most`, as long as they are plain and go where those go that have been read and not
    /// delivered, if there are such. Returns how many they are, and their bytes.
    #[inline(never)]
    pub(super) fn read_plain(&mut self, held: &Inner, slots: &Span, most: u32) -> (u32, u64) {
        let first = slots.begin();
        // What wraps is read by the next call.
        let (slots, _) = slots.first(most).segments();
        let known = held.shadow.get(slots.start as usize..slots.end as usize);
        let known = known.unwrap_or(&[]);
        let reader = Reader {
            ring: held.ring,
            buffers: held.region.addresses(),
            buf_size: held.buf_size,
        };
        let begin = match known.first() {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            Some(known) => unsafe { reader.read(first, *known) },
            None => None,
        };
        let Some(verdict) = begin.map(|it| self.route.find(it.addresses)) else {
            return (0, 0);
        };
        if self.whole == 0 {
            self.verdict = verdict;
        } else if self.verdict != verdict {
            return (0, 0);
        }
        let (mut count, mut bytes) = (0u32, 0u64);
        for (place, known) in self.fragments.spare_capacity_mut().iter_mut().zip(known) {
            // SAFETY: As above: there are no more entries in `known` than slots from the first one on.
            let Some(found) = (unsafe { reader.read(first.wrapping_add(count), *known) }) else {
                break;
            };
            if !self.route.is_like_last(found.addresses) {
                break;
            }
            // SAFETY: The buffer has room for the length, and stays as long as the region, which `held` has.
            place.write(unsafe { Fragment::new(found.from, found.len, ALONE) });
            // No more than slots, and bytes of that many frames.
            count = count.wrapping_add(1);
            bytes = bytes.wrapping_add(found.len.into());
        }
        // SAFETY: As many have been written behind those that were there, where there was room for them.
        unsafe { self.fragments.inc_len(count as usize) };
        self.whole += count as usize;
        (count, bytes)
    }
}
