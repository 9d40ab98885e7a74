// SPDX-License-Identifier: GPL-2.0

//! A taken transmit queue.
//!
//! Per slot: read it, check index and length, write a descriptor. Per batch: ask the NIC to report the last descriptor,
//! write the tail. Reports are also asked for at each quarter of the ring and where the program wants one. Which
//! descriptors report is remembered in order, so what is sent is found by reading those, and no register.
//!
//! A slot without a byte sends nothing: it is what a damaged frame becomes that a program passes on, and part of a frame
//! whose last buffer held an FCS alone. Its descriptor is one that hardware need not report, so that it has been there is
//! seen in the head register, and nobody is told by an interrupt: a program that would sleep for that looks again.

use super::{
    hardware_queue::{ArmedRing, HardwareQueue},
    progress::Progress,
    reports::{Report, Reports},
    rings::Descriptors, //
};
use crate::{
    abi::slot_flags::{NS_BUF_CHANGED, NS_MOREFRAG, NS_REPORT},
    logic::{
        desc::{
            Offset,
            Transmit, //
            TX_DONE,
            TX_LEAST,
            TX_MIN_FRAME,
            TX_REPORT,
        },
        ring::{self, Cursors, Span, Untaken},
        slot::Slot, //
    },
    mem::Region,
    nic::family::Family,
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    }, //
};
use core::marker::PhantomData;

/// How often the head register is read for a descriptor that sends nothing, which takes the hardware a moment and no
/// interrupt.
const LOOKS: u32 = 32;
/// How often whoever waits for such a descriptor is woken to look again. Hardware that works needs some microseconds; if it does not,
/// nobody is to be kept from sleeping, and from the end of his time limit.
const LOOKS_AGAIN: u32 = 4000;

/// A transmit queue behind a kring.
pub struct TxQueue<F: Family> {
    hardware: HardwareQueue<TxRing>,
    /// After the map in `hardware`: it has the memory that is mapped, and fields are dropped in this order.
    region: Arc<Region>,
    family: PhantomData<F>,
}

/// What there is while the hardware has our ring.
///
/// # Invariants
///
/// `offset` is of rings of `ring.count()` slots, and the kring has as many. `reports` is of descriptors below `ring.count()`.
pub struct TxRing {
    ring: Descriptors,
    offset: Offset,
    /// The descriptor after the last one that was handed over.
    tail: u32,
    /// Descriptors since the last one that reports.
    unreported: u32,
    quarter: u32,
    /// The descriptors that report.
    reports: Reports,
    /// How often somebody was woken to look again since the last of them was seen.
    looks: u32,
    /// The longest frame in one slot.
    max_len: u32,
}

impl ArmedRing for TxRing {
    fn tail(&self) -> u32 {
        self.tail
    }

    fn into_ring(self) -> Descriptors {
        self.ring
    }
}

/// What became of a frame.
enum Outcome {
    /// It is in as many descriptors.
    Filled { slots: u32, bytes: u32 },
    /// The rest of it is not there yet.
    Incomplete,
    /// A slot is impossible.
    Bad(u32),
}

impl<F: Family> TxQueue<F> {
    /// A queue without a ring.
    pub fn new(hardware: HardwareQueue<TxRing>, region: &Arc<Region>) -> Self {
        Self {
            hardware,
            region: region.clone(),
            family: PhantomData,
        }
    }

    /// What the queue has in common with all others.
    pub fn hardware(&self) -> &HardwareQueue<TxRing> {
        &self.hardware
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
        let reports = Reports::new(count)?;
        if cursors.num_slots() != count {
            return Err(EINVAL);
        }
        ring.clear();
        let live = TxRing {
            ring,
            offset: Offset::new(cursors.hwcur(), count).ok_or(EINVAL)?,
            tail: 0,
            unreported: 0,
            quarter: (count / 4).max(1),
            reports,
            looks: 0,
            max_len: buf_size.min(F::Tx::MAX_FRAME),
        };
        // SAFETY: By the requirement.
        unsafe { self.hardware.arm(live) };
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
        live: &TxRing,
        held: &mut Inner,
        slot: u32,
        run: u32,
    ) -> (u32, u64) {
        let table = self.hardware.dma.table();
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
            let found = Slot::from_raw(word);
            let (buf_idx, len) = (found.buf_idx, found.len);
            let Some(address) = table.get(buf_idx) else {
                return (i as u32, bytes);
            };
            // One comparison for the length and the flags, which are above it.
            let fits =
                |len_and_flags: u32| len_and_flags.wrapping_sub(u32::from(TX_MIN_FRAME)) <= max;
            if !fits(found.len_and_flags()) {
                if !fits(found.len_and_flags() ^ (u32::from(NS_BUF_CHANGED) << 16)) {
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
                self.hardware.dma.sync_for_device(buf_idx, usize::from(len));
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
    ///
    /// Those with data come first, then those of slots without a byte.
    #[cold]
    #[inline(never)]
    fn fill_frame(&self, live: &mut TxRing, held: &mut Inner, slot: u32, left: u32) -> Outcome {
        let n = live.ring.count();
        let mut bytes = 0;
        let mut report = false;
        // Slots and descriptors walked; the last slot with data, and the length in the first one.
        let (mut at, mut to) = (slot, slot);
        let mut last = None;
        let mut first = 0;
        for count in 1..=left {
            // SAFETY: `at` is within the ring: it began there, and `next` keeps it there.
            let found = Slot::from_raw(unsafe { held.ring.read(at) });
            let Some(address) = self.hardware.dma.get(found.buf_idx) else {
                return Outcome::Bad(at);
            };
            bytes += u32::from(found.len);
            if u32::from(found.len) > held.buf_size
                || bytes > F::Tx::MAX_FRAME
                || !held.accept(at, found.buf_idx)
            {
                return Outcome::Bad(at);
            }
            if found.len != 0 {
                self.hand_to_device(found.buf_idx, found.len);
                live.put(to, [address, F::Tx::part(found.len, false)]);
                if to == slot {
                    first = found.len;
                }
                last = Some((to, found));
                to = ring::next(to, n);
            }
            report |= found.has(NS_REPORT);
            if found.has(NS_MOREFRAG) {
                at = ring::next(at, n);
                continue;
            }
            if let Some((end, found)) = last {
                if bytes < u32::from(TX_LEAST) {
                    return Outcome::Bad(at);
                }
                let Some(padding) = self.pad(held, &found, bytes) else {
                    return Outcome::Bad(at);
                };
                let word = F::Tx::part(found.len + padding, true);
                let total = bytes + u32::from(padding);
                if end == slot {
                    live.put_word(slot, F::Tx::with_total(word, total));
                } else {
                    live.put_word(end, word);
                    let word = F::Tx::part(first, false);
                    live.put_word(slot, F::Tx::with_total(word, total));
                }
            }
            let after = ring::next(at, n);
            while to != after {
                live.put(to, F::Tx::NOTHING);
                to = ring::next(to, n);
            }
            self.clear_flags(held, slot, count);
            live.unreported += count;
            if report {
                live.report::<F::Tx>(at);
            }
            return Outcome::Filled {
                slots: count,
                bytes,
            };
        }
        if left == n - 1 {
            // All that a program can have, and no end.
            return Outcome::Bad(slot);
        }
        Outcome::Incomplete
    }

    fn hand_to_device(&self, buf_idx: u32, len: u16) {
        if self.hardware.dma.need_sync() {
            self.hardware.dma.sync_for_device(buf_idx, usize::from(len));
        }
    }

    /// Makes a frame of `bytes` bytes, whose last slot is `found`, as long as the hardware wants it, with zeros behind it.
    /// Returns how many; [`None`] if there is no room for them.
    fn pad(&self, held: &Inner, found: &Slot, bytes: u32) -> Option<u16> {
        let padding = u32::from(TX_MIN_FRAME).saturating_sub(bytes) as u16;
        if padding == 0 {
            return Some(0);
        }
        let len = found.len + padding;
        if u32::from(len) > held.buf_size {
            return None;
        }
        let buffer = self.region.buf_ptr(found.buf_idx)?;
        // SAFETY: Within the buffer, by the test above. It was handed over; a program that writes it all the same garbles its
        // own packet.
        unsafe {
            buffer
                .as_ptr()
                .add(usize::from(found.len))
                .write_bytes(0, usize::from(padding))
        };
        self.hand_to_device(found.buf_idx, len);
        Some(padding)
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

    /// Hands the slots of `span`, of which there is at least one, to the hardware, up to the first one that is impossible.
    #[inline(always)]
    fn send<const SYNC: bool>(
        &self,
        live: &mut TxRing,
        held: &mut Inner,
        kring: &Kring,
        span: &Span,
    ) -> Result<(), SyncError> {
        let mut at = Progress::new(span);
        let run = live.offset.run(at.slot, at.left).min(live.quarter);
        // SAFETY: `Offset::run` keeps within both rings.
        let (done, bytes) = unsafe { self.fill::<SYNC>(live, held, at.slot, run) };
        live.unreported = done;
        if done != at.left {
            at.advance(done, done, bytes, live.ring.count());
            return self.send_rest::<SYNC>(live, held, kring, at);
        }
        // That was all, as it is of most small batches.
        at = Progress {
            slot: span.end(),
            left: 0,
            packets: done,
            bytes,
        };
        self.hand_over(live, held, kring, &at);
        Ok(())
    }

    /// [`Self::send`] of what is left of a batch: what goes around the end of a ring, what a report at a quarter of the ring is
    /// in between, and frames that are not plain.
    #[inline(never)]
    fn send_rest<const SYNC: bool>(
        &self,
        live: &mut TxRing,
        held: &mut Inner,
        kring: &Kring,
        mut at: Progress,
    ) -> Result<(), SyncError> {
        let n = live.ring.count();
        let begin = held.cursors.hwcur();
        let mut fault = None;
        while at.left != 0 {
            if live.unreported >= live.quarter {
                live.report::<F::Tx>(ring::prev(at.slot, n));
            }
            let run = live
                .offset
                .run(at.slot, at.left)
                .min(live.quarter.wrapping_sub(live.unreported));
            // SAFETY: `Offset::run` keeps within both rings.
            let (done, bytes) = unsafe { self.fill::<SYNC>(live, held, at.slot, run) };
            live.unreported = live.unreported.wrapping_add(done);
            at.advance(done, done, bytes, n);
            if done < run {
                match self.fill_frame(live, held, at.slot, at.left) {
                    Outcome::Filled { slots, bytes } => {
                        at.advance(slots, u32::from(bytes != 0), bytes.into(), n);
                    }
                    Outcome::Incomplete => break,
                    Outcome::Bad(bad) => {
                        fault = Some(bad);
                        break;
                    }
                }
            }
        }
        if at.slot != begin {
            self.hand_over(live, held, kring, &at);
        }
        match fault {
            None => Ok(()),
            Some(bad) => {
                Counters::add(&kring.counters.errors, 1);
                Err(SyncError::BadRing {
                    at: Some(Untaken {
                        slot: bad,
                        packet: at.slot,
                    }),
                })
            }
        }
    }

    /// Hands the slots before `at` to the hardware, whose descriptors are filled.
    #[inline(always)]
    fn hand_over(&self, live: &mut TxRing, held: &mut Inner, kring: &Kring, at: &Progress) {
        if live.unreported != 0 {
            live.report::<F::Tx>(ring::prev(at.slot, live.ring.count()));
        }
        live.tail = live.offset.descriptor(at.slot);
        self.hardware.hand_over(live.tail);
        // It lies between `hwcur` and the program's head, where the span is.
        let _ = held.cursors.release(at.slot);
        Counters::add(&kring.counters.packets, u64::from(at.packets));
        Counters::add(&kring.counters.bytes, at.bytes);
    }

    /// [`Self::send`] with buffers that the device sees only after a synchronisation.
    #[inline(never)]
    fn send_bounced(
        &self,
        live: &mut TxRing,
        held: &mut Inner,
        kring: &Kring,
        span: &Span,
    ) -> Result<(), SyncError> {
        self.send::<true>(live, held, kring, span)
    }
}

impl TxRing {
    /// Writes both words of the descriptor of `slot`.
    fn put(&self, slot: u32, [low, high]: [u64; 2]) {
        // SAFETY: A slot's descriptor, of two words, is within the ring.
        unsafe {
            let desc = self.ring.at(self.offset.descriptor(slot));
            desc.write_volatile(low.to_le());
            desc.add(1).write_volatile(high.to_le());
        }
    }

    /// Writes the second word of the descriptor of `slot`.
    fn put_word(&self, slot: u32, word: u64) {
        // SAFETY: As above.
        unsafe {
            let desc = self.ring.at(self.offset.descriptor(slot));
            desc.add(1).write_volatile(word.to_le());
        }
    }

    /// Asks for a report on the descriptor of `slot`, which is filled and the last one that is.
    #[inline]
    fn report<T: Transmit>(&mut self, slot: u32) {
        let descriptor = self.offset.descriptor(slot);
        // SAFETY: A slot's descriptor is within the ring.
        let word = unsafe { self.ring.at(descriptor).add(1) };
        // SAFETY: As above.
        let now = unsafe { word.read_volatile() };
        if u64::from_le(now) == T::NOTHING[1] {
            self.report_empty::<T>(slot);
        } else {
            // SAFETY: As above.
            unsafe { word.write_volatile(now | TX_REPORT.to_le()) };
            self.reports.add(Report::new(descriptor, slot));
        }
        self.unreported = 0;
    }

    /// As [`Self::report`], for a slot without a byte: asks for a report on the last one with data before it, if that was
    /// not asked for yet.
    #[cold]
    #[inline(never)]
    fn report_empty<T: Transmit>(&mut self, slot: u32) {
        let mut at = slot;
        for _ in 1..self.unreported {
            at = ring::prev(at, self.ring.count());
            let descriptor = self.offset.descriptor(at);
            // SAFETY: A slot's descriptor is within the ring.
            let word = unsafe { self.ring.at(descriptor).add(1) };
            // SAFETY: As above.
            let now = unsafe { word.read_volatile() };
            if u64::from_le(now) != T::NOTHING[1] {
                // SAFETY: As above.
                unsafe { word.write_volatile(now | TX_REPORT.to_le()) };
                self.reports.add(Report::new(descriptor, at));
                break;
            }
        }
        self.reports
            .add(Report::empty(self.offset.descriptor(slot), slot));
    }

    /// Whether all is sent but for slots without a byte, which no interrupt follows, and maybe what comes after them.
    #[inline]
    fn awaits_empty(&self) -> bool {
        self.reports.oldest().is_some_and(Report::is_empty)
    }

    /// Whether the hardware has reported a descriptor of [`Self::reports`] that is not empty.
    #[inline]
    fn is_reported(&self, report: Report) -> bool {
        // SAFETY: By the type's invariant it is within the ring.
        let word = unsafe { self.ring.at(report.descriptor()).add(1).read_volatile() };
        u64::from_le(word) & TX_DONE != 0
    }

    /// Whether the hardware, which is at `head`, is beyond `descriptor`, which was handed over.
    fn is_passed(&self, descriptor: u32, head: u32) -> bool {
        let n = self.ring.count();
        let left = |from| ring::distance(from, self.tail, n);
        head < n && left(head) < left(descriptor)
    }
}

impl<F: Family> TxQueue<F> {
    /// The last slot that was sent since the last call, as far as reports tell.
    #[inline]
    fn reported(&self, live: &mut TxRing) -> Option<u32> {
        let mut last = None;
        while let Some(report) = live.reports.oldest() {
            let sent = if report.is_empty() {
                self.passes(live, report.descriptor())
            } else {
                live.is_reported(report)
            };
            if !sent {
                break;
            }
            last = Some(report.slot());
            live.reports.remove_oldest();
            live.looks = 0;
        }
        last
    }

    /// Whether the hardware passes a descriptor that sends nothing, all before which is sent.
    #[cold]
    #[inline(never)]
    fn passes(&self, live: &TxRing, descriptor: u32) -> bool {
        (0..LOOKS).any(|_| live.is_passed(descriptor, self.hardware.head()))
    }
}

impl<F: Family> Queue for TxQueue<F> {
    fn sync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        flags: u32,
    ) -> Result<(), SyncError> {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { self.hardware.live() }) else {
            return Err(SyncError::Gone);
        };
        let result = if span.is_empty() {
            Ok(())
        } else if self.hardware.dma.need_sync() {
            self.send_bounced(live, held, kring, &span)
        } else {
            self.send::<false>(live, held, kring, &span)
        };
        // Who comes with nothing to send wants to know what is sent, and so does who has no slot left and would sleep: the rest
        // of a frame may wait for that, however little is in flight. Else it can wait until half of the ring is used.
        if span.is_empty()
            || flags != 0
            || held.cursors.has_seen_all()
            || held.cursors.in_flight().len() >= live.ring.count() / 2
        {
            if let Some(slot) = self.reported(live) {
                // A slot in flight, as it was handed over and not reported yet.
                let _ = held.cursors.publish_to(slot);
            }
        }
        if held.cursors.has_seen_all() && live.awaits_empty() && live.looks < LOOKS_AGAIN {
            // No interrupt tells when the hardware has passed a slot without a byte. All before it is sent, so that it is a
            // matter of a moment: whoever would sleep looks again, if the hardware was let go up to there.
            if self.hardware.is_open() {
                live.looks = live.looks.wrapping_add(1);
                kring.wake();
            }
        }
        result
    }

    fn has_news(&self, _: &Inner) -> bool {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { self.hardware.live() }) else {
            return true;
        };
        // No bit tells that a slot without a byte is done, and the head register is not for interrupts to wait for.
        live.reports
            .oldest()
            .is_some_and(|report| report.is_empty() || live.is_reported(report))
    }
}
