// SPDX-License-Identifier: GPL-2.0

//! Many packets at once for the same inbox: the lock of its senders is taken once for them, and they are shown together.

use super::{Inbox, Opened};
use crate::{
    abi::slot_flags::NS_MOREFRAG,
    atomic::Ordering,
    logic::slot::Slot,
    ring::counters::Counters,
    sys::{copy::copy_frame, softirq::Softirq}, //
};
use core::ptr::NonNull;

/// A packet, or a part of one that has a slot of its own.
///
/// # Invariants
///
/// `from` is valid for reads of `len` bytes until the value is last used.
#[derive(Clone, Copy)]
pub(crate) struct Fragment {
    from: NonNull<u8>,
    len: u16,
    flags: u16,
}

impl Fragment {
    /// The `len` bytes at `from`, for a slot with these flags: [`NS_MOREFRAG`] if the packet goes on.
    ///
    /// # Safety
    ///
    /// They are there until the value is last used. A program may change them meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn new(from: NonNull<u8>, len: u16, flags: u16) -> Self {
        // INVARIANT: By the function's requirement.
        Self { from, len, flags }
    }

    /// Where the bytes are.
    #[inline(always)]
    pub(crate) fn from(&self) -> NonNull<u8> {
        self.from
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> u16 {
        self.len
    }

    /// Whether the packet goes on in the next one.
    #[inline(always)]
    pub(crate) fn has_more(&self) -> bool {
        self.flags & NS_MOREFRAG != 0
    }

    /// The flags of the slot.
    #[inline(always)]
    pub(crate) fn flags(&self) -> u16 {
        self.flags
    }

    /// Gives the slot other flags.
    #[inline(always)]
    pub(crate) fn set_flags(&mut self, flags: u16) {
        self.flags = flags;
    }
}

/// How many packets end in these.
pub(crate) fn packets_in(fragments: &[Fragment]) -> u64 {
    fragments.iter().filter(|it| !it.has_more()).count() as u64
}

/// Why packets were not delivered, nor counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDelivered {
    /// The inbox is closed.
    Closed,
    /// Some fit none of its buffers in one piece: each packet is to be delivered by [`Inbox::deliver_counted`].
    TooLong,
}

impl Inbox {
    /// Delivers whole packets, of which no part is longer than `longest`: the first ones if there is no room for all. What finds none
    /// is counted as drops of the ring. True if [`Inbox::wake`] is to be called afterwards.
    pub(crate) fn deliver_run(
        &self,
        softirq: &Softirq,
        fragments: &[Fragment],
        longest: u16,
    ) -> Result<bool, NotDelivered> {
        let mut producer = self.lock(softirq);
        let Some(opened) = &mut *producer else {
            return Err(NotDelivered::Closed);
        };
        if u32::from(longest) > opened.longest {
            return Err(NotDelivered::TooLong);
        }
        let done = self.put_run(opened, fragments);
        let wake = opened.half.publish(&self.halves);
        drop(producer);
        if done != fragments.len() {
            self.lost(packets_in(fragments.get(done..).unwrap_or(&[])));
        }
        Ok(wake)
    }

    /// Puts whole packets into the ring, as many as there is room for. Returns how many fragments have gone.
    #[inline(always)]
    fn put_run(&self, opened: &mut Opened, fragments: &[Fragment]) -> usize {
        let Opened {
            half, ring, region, ..
        } = opened;
        let (ring, buffers) = (*ring, region.addresses());
        // A sender has no more of them than slots.
        let Some(lease) = half.lease_most(&self.halves, fragments.len() as u32) else {
            return 0;
        };
        let (first, second) = lease.slots().segments();
        let (mut filled, mut bytes, mut packets) = (0, 0u64, 0u64);
        let mut left = fragments;
        for part in [first, second] {
            let table = self.table.get(part.start as usize..part.end as usize);
            let mut index = part.start;
            for (entry, fragment) in table.unwrap_or(&[]).iter().zip(left) {
                // As `buffer_of`.
                let buf_idx = entry.load(Ordering::Relaxed);
                let Some(to) = buffers.get(buf_idx) else {
                    break;
                };
                // SAFETY: By the type's invariant the bytes can be read, and the caller has seen that they fit a buffer.
                unsafe { copy_frame(fragment.from.as_ptr(), to.as_ptr(), fragment.len.into()) };
                let slot = Slot {
                    buf_idx,
                    len: fragment.len,
                    flags: fragment.flags,
                };
                // SAFETY: The index of a lease of this ring is below its number of slots, and the ring is there until the inbox is
                // closed, which waits for us.
                unsafe { ring.write(index, slot.to_raw()) };
                // There are no more than slots, and bytes of that many frames.
                index = index.wrapping_add(1);
                bytes = bytes.wrapping_add(fragment.len.into());
                packets = packets.wrapping_add((!fragment.has_more()).into());
            }
            let done = index.wrapping_sub(part.start) as usize;
            filled += done;
            left = left.get(done..).unwrap_or(&[]);
            if left.is_empty() || index != part.end {
                break;
            }
        }
        // What has gone of a packet without its end is not shown.
        let gone = fragments.get(..filled).unwrap_or(&[]);
        let cut = gone.iter().rev().take_while(|it| it.has_more());
        let (cut, cut_bytes) = cut.fold((0, 0u64), |(count, bytes), it| {
            (count + 1, bytes + u64::from(it.len))
        });
        let whole = filled - cut;
        lease.fill_first(whole as u32);
        Counters::add(&self.kring.counters.packets, packets);
        Counters::add(&self.kring.counters.bytes, bytes - cut_bytes);
        whole
    }
}
