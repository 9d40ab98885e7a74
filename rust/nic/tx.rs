// SPDX-License-Identifier: GPL-2.0

//! A taken transmit queue.
//!
//! Per slot: read it, check index and length, write a descriptor. Per batch: ask the NIC to report the last descriptor,
//! write the tail. Reports are also asked for at each quarter of the ring and where the program wants one. Which
//! descriptors report is remembered in order, so what is sent is found by reading those, and no register.

use super::{
    family::Family,
    line::{Armed, Line},
    rings::Descriptors, //
};
use crate::{
    abi::slot_flags::{NS_BUF_CHANGED, NS_MOREFRAG, NS_REPORT},
    logic::{
        desc::{Offset, Transmit, TX_DONE, TX_MIN_FRAME, TX_REPORT},
        ring::{self, Cursors, Span},
        slot::Slot, //
    },
    mem::Region,
    port::kring::{Counters, Inner, Kring, Queue, SyncError},
    prelude::*, //
};
use core::marker::PhantomData;

/// A transmit queue behind a kring.
pub struct TxQueue<F: Family> {
    line: Line<Live>,
    /// After the map in `line`: it has the memory that is mapped, and fields are dropped in this order.
    region: Arc<Region>,
    family: PhantomData<F>,
}

/// What there is while the hardware has our ring.
///
/// # Invariants
///
/// `offset` is of rings of `ring.count()` slots, and the kring has as many. `reports` has a power of two of entries, at
/// least that many, each below `ring.count()`.
pub struct Live {
    ring: Descriptors,
    offset: Offset,
    /// The descriptor after the last one that was handed over.
    tail: u32,
    /// Descriptors since the last one that reports.
    unreported: u32,
    quarter: u32,
    /// The descriptors that report, in order; the first and the next one to write, both counting on for ever.
    reports: KVVec<u16>,
    first: usize,
    next: usize,
    /// The longest frame in one slot.
    max_len: u32,
}

impl Armed for Live {
    fn tail(&self) -> u32 {
        self.tail
    }

    fn into_ring(self) -> Descriptors {
        self.ring
    }
}

/// What became of a frame.
enum Frame {
    /// It is in as many descriptors.
    Filled { slots: u32, bytes: u32 },
    /// The rest of it is not there yet.
    Incomplete,
    /// A slot is impossible.
    Bad(u32),
}

impl<F: Family> TxQueue<F> {
    /// A queue without a ring.
    pub fn new(line: Line<Live>, region: &Arc<Region>) -> Self {
        Self {
            line,
            region: region.clone(),
            family: PhantomData,
        }
    }

    /// What the queue has in common with all others.
    pub fn line(&self) -> &Line<Live> {
        &self.line
    }

    /// Gives the queue a ring, for a kring that stands at `cursors`. Descriptor 0 becomes the slot at `hwcur`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the ring is not as large as the kring; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The kring is stopped, and the caller holds it.
    pub unsafe fn arm(&self, ring: Descriptors, cursors: &Cursors, buf_size: u32) -> Result {
        let count = ring.count();
        let entries = (count as usize).next_power_of_two();
        let mut reports = KVVec::with_capacity(entries, GFP_CHARGED)?;
        reports.extend_with(entries, 0, GFP_CHARGED)?;
        if cursors.num_slots() != count {
            return Err(EINVAL);
        }
        ring.clear();
        let live = Live {
            ring,
            offset: Offset::new(cursors.hwcur(), count).ok_or(EINVAL)?,
            tail: 0,
            unreported: 0,
            quarter: (count / 4).max(1),
            reports,
            first: 0,
            next: 0,
            max_len: buf_size.min(F::Tx::MAX_FRAME),
        };
        // SAFETY: By the requirement.
        unsafe { self.line.arm(live) };
        Ok(())
    }

    /// Fills descriptors for `run` slots from `slot` on, as long as each is a whole frame in a buffer of the ring's group,
    /// without flags but the one for a changed buffer. Returns how many, and their bytes.
    ///
    /// # Safety
    ///
    /// Neither ring wraps within the run.
    #[inline(always)]
    unsafe fn fill<const SYNC: bool>(
        &self,
        live: &Live,
        held: &mut Inner,
        slot: u32,
        run: u32,
    ) -> (u32, u64) {
        let table = self.line.dma.table();
        let (owners, label) = (self.region.owners(), held.group.label());
        let max = live.max_len.wrapping_sub(u32::from(TX_MIN_FRAME));
        // SAFETY: The run ends before the rings do, and `shadow` has as many entries as the ring has slots.
        let (slots, shadow, descs) = unsafe {
            (
                held.ring.at(slot),
                held.shadow.as_mut_ptr().add(slot as usize),
                live.ring.at(live.offset.descriptor(slot)),
            )
        };
        let mut bytes = 0u64;
        for i in 0..run as usize {
            // SAFETY: Slot and descriptor, of two words each, and shadow entry `i` of the run.
            let (at, shadow, desc) = unsafe { (slots.add(2 * i), shadow.add(i), descs.add(2 * i)) };
            // SAFETY: As above.
            let word = unsafe { at.read_volatile() };
            let Slot {
                buf_idx,
                len,
                flags,
            } = Slot::from_raw(word);
            let Some(address) = table.get(buf_idx) else {
                return (i as u32, bytes);
            };
            if u32::from(len).wrapping_sub(u32::from(TX_MIN_FRAME)) > max {
                return (i as u32, bytes);
            }
            if flags != 0 {
                if flags != NS_BUF_CHANGED {
                    return (i as u32, bytes);
                }
                // SAFETY: As above.
                unsafe {
                    held.ring
                        .write_len_flags(slot.wrapping_add(i as u32), len, 0)
                };
            }
            // SAFETY: As above.
            if buf_idx != unsafe { shadow.read() } {
                if owners.owner(buf_idx) != label {
                    return (i as u32, bytes);
                }
                // SAFETY: As above.
                unsafe { shadow.write(buf_idx) };
            }
            if SYNC {
                self.line.dma.sync_for_device(buf_idx, usize::from(len));
            }
            // SAFETY: As above.
            unsafe {
                desc.write_volatile(address.to_le());
                desc.add(1).write_volatile(F::Tx::whole(len).to_le());
            }
            bytes = bytes.wrapping_add(u64::from(len));
        }
        (run, bytes)
    }

    /// Fills descriptors for the frame that begins in `slot`, with any flags, in up to `left` slots.
    #[cold]
    #[inline(never)]
    fn fill_frame(&self, live: &mut Live, held: &mut Inner, slot: u32, left: u32) -> Frame {
        let n = live.ring.count();
        let mut bytes = 0;
        let mut report = false;
        let mut at = slot;
        let mut head = 0;
        for count in 1..=left {
            // SAFETY: `at` is within the ring: it began there, and `next` keeps it there.
            let found = Slot::from_raw(unsafe { held.ring.read(at) });
            let Some(address) = self.line.dma.get(found.buf_idx) else {
                return Frame::Bad(at);
            };
            if u32::from(found.len) > held.buf_size
                || !held.accept(&self.region, at, found.buf_idx)
            {
                return Frame::Bad(at);
            }
            let more = found.has(NS_MOREFRAG);
            // A frame too short for the hardware goes out with what follows in the buffer.
            let len = match (count, more) {
                (1, false) => found.len.max(TX_MIN_FRAME),
                _ => found.len,
            };
            bytes += u32::from(len);
            if len == 0 || bytes > F::Tx::MAX_FRAME {
                return Frame::Bad(at);
            }
            if self.line.dma.need_sync() {
                self.line
                    .dma
                    .sync_for_device(found.buf_idx, usize::from(len));
            }
            report |= found.has(NS_REPORT);
            let word = F::Tx::part(len, !more);
            if count == 1 {
                head = word;
            }
            // SAFETY: The descriptor of a slot of the ring.
            unsafe {
                let desc = live.ring.at(live.offset.descriptor(at));
                desc.write_volatile(address.to_le());
                desc.add(1).write_volatile(word.to_le());
            }
            if more {
                at = ring::next(at, n);
                continue;
            }
            // SAFETY: As above; in a frame of one slot, `head` is the word that was just written.
            unsafe {
                let desc = live.ring.at(live.offset.descriptor(slot));
                desc.add(1)
                    .write_volatile(F::Tx::with_total(head, bytes).to_le());
            }
            self.clear_flags(held, slot, count);
            live.unreported += count;
            if report {
                live.report(at);
            }
            return Frame::Filled {
                slots: count,
                bytes,
            };
        }
        if left == n - 1 {
            // All that a program can have, and no end.
            return Frame::Bad(slot);
        }
        Frame::Incomplete
    }

    /// Clears the flags that ask for something, in slots that are done.
    fn clear_flags(&self, held: &Inner, slot: u32, count: u32) {
        let n = held.ring.num_slots();
        for i in 0..count {
            let at = ring::add(slot, i, n);
            // SAFETY: Within the ring, as `slot` is.
            unsafe {
                let found = Slot::from_raw(held.ring.read(at));
                let flags = found.flags & !(NS_BUF_CHANGED | NS_MOREFRAG | NS_REPORT);
                held.ring.write_len_flags(at, found.len, flags);
            }
        }
    }

    /// Hands the slots of `span` to the hardware, up to the first one that is impossible.
    #[inline(always)]
    fn send<const SYNC: bool>(
        &self,
        live: &mut Live,
        held: &mut Inner,
        kring: &Kring,
        span: &Span,
    ) -> Result<(), SyncError> {
        let n = live.ring.count();
        let mut slot = span.begin();
        let mut left = span.len();
        let mut bytes = 0u64;
        let mut fault = None;
        while left != 0 {
            let run = live
                .offset
                .run(slot, left)
                .min(live.quarter.wrapping_sub(live.unreported).max(1));
            // SAFETY: `Offset::run` keeps within both rings.
            let (mut done, sum) = unsafe { self.fill::<SYNC>(live, held, slot, run) };
            bytes = bytes.wrapping_add(sum);
            live.unreported = live.unreported.wrapping_add(done);
            if done < run {
                let at = ring::add(slot, done, n);
                match self.fill_frame(live, held, at, left.wrapping_sub(done)) {
                    Frame::Filled { slots, bytes: more } => {
                        done = done.wrapping_add(slots);
                        bytes = bytes.wrapping_add(u64::from(more));
                    }
                    Frame::Incomplete => left = done,
                    Frame::Bad(bad) => {
                        fault = Some(bad);
                        left = done;
                    }
                }
            }
            slot = ring::add(slot, done, n);
            left = left.wrapping_sub(done);
            if live.unreported >= live.quarter {
                live.report(ring::prev(slot, n));
            }
        }
        if slot != span.begin() {
            if live.unreported != 0 {
                live.report(ring::prev(slot, n));
            }
            live.tail = live.offset.descriptor(slot);
            self.line.hand_over(live.tail);
            // It lies between `hwcur` and the program's head, where the span is.
            let _ = held.cursors.release(slot);
            let sent = ring::distance(span.begin(), slot, n);
            Counters::add(&kring.counters.packets, u64::from(sent));
            Counters::add(&kring.counters.bytes, bytes);
        }
        match fault {
            None => Ok(()),
            slot => {
                Counters::add(&kring.counters.errors, 1);
                Err(SyncError::BadRing { slot })
            }
        }
    }
}

impl Live {
    /// Asks for a report on the descriptor of `slot`, which is filled and the last one that is.
    #[inline]
    fn report(&mut self, slot: u32) {
        let descriptor = self.offset.descriptor(slot);
        // SAFETY: A slot's descriptor is within the ring.
        unsafe {
            let word = self.ring.at(descriptor).add(1);
            word.write_volatile(word.read_volatile() | TX_REPORT.to_le());
        }
        let entry = self.next & self.reports.len().wrapping_sub(1);
        if let Some(entry) = self.reports.get_mut(entry) {
            *entry = descriptor as u16;
        }
        self.next = self.next.wrapping_add(1);
        self.unreported = 0;
    }

    /// The last slot that the hardware reports as sent since the last call.
    #[inline]
    fn reported(&mut self) -> Option<u32> {
        let mut last = None;
        while self.first != self.next {
            let entry = self.first & self.reports.len().wrapping_sub(1);
            let descriptor = u32::from(*self.reports.get(entry)?);
            // SAFETY: By the type's invariant it is within the ring.
            let word = unsafe { self.ring.at(descriptor).add(1).read_volatile() };
            if u64::from_le(word) & TX_DONE == 0 {
                break;
            }
            last = Some(descriptor);
            self.first = self.first.wrapping_add(1);
        }
        last.map(|descriptor| self.offset.slot(descriptor))
    }
}

impl<F: Family> Queue for TxQueue<F> {
    fn txsync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        flags: u32,
    ) -> Result<(), SyncError> {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { self.line.live() }) else {
            return Err(SyncError::Gone);
        };
        let result = if span.is_empty() {
            Ok(())
        } else if self.line.dma.need_sync() {
            self.send::<true>(live, held, kring, &span)
        } else {
            self.send::<false>(live, held, kring, &span)
        };
        // Who comes with nothing to send wants to know what is sent. Else it can wait until half of the ring is used.
        if span.is_empty() || flags != 0 || held.cursors.in_flight().len() >= live.ring.count() / 2
        {
            if let Some(slot) = live.reported() {
                // A slot in flight, as it was handed over and not reported yet.
                let _ = held.cursors.publish_to(slot);
            }
        }
        result
    }

    fn rxsync(&self, _: &mut Inner, _: &Kring, _: Span, _: u32) -> Result<(), SyncError> {
        Err(SyncError::Gone)
    }
}
