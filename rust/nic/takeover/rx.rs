// SPDX-License-Identifier: GPL-2.0

//! A taken receive queue.
//!
//! Per packet: read the word that the NIC wrote, write length and flags of the slot. Per slot given back: check the
//! index, write a descriptor. Per batch: write the tail. The slot before `hwcur` has a descriptor that the hardware
//! does not get yet, so that head and tail never meet.
//!
//! - A frame in several descriptors is published when its last one is there, with `NS_MOREFRAG` in all but that.
//! - The FCS, where the driver has the NIC store it, is cut off; the last slot of a frame is empty if it held nothing
//!   else.
//! - A VLAN tag that the NIC took out, where the driver would have to restart to leave it in ([`Family::FREE_TAGS`]),
//!   is put back in. If its four bytes do not fit, the frame counts as damaged.
//! - A damaged frame, of which the NIC stores some only if it was told to, is published with length 0 and counted. So is
//!   one without a byte, or with more in a buffer than that has: no program reads beyond a buffer, whatever the NIC says.

use super::{
    hardware_queue::{ArmedRing, HardwareQueue},
    progress::Progress,
    rings::Descriptors, //
};
use crate::{
    abi::slot_flags::NS_MOREFRAG,
    logic::{
        desc::{share_of_slot, Offset, Receive},
        ring::{self, Span, Untaken},
        slot::Slot, //
    },
    mem::{Region, SharedRing},
    nic::family::Family,
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    },
    sys::barrier, //
};
use core::{
    marker::PhantomData,
    ptr::copy, //
};

/// Bytes of an FCS.
const FCS: u16 = 4;
/// Bytes of a VLAN tag.
const TAG: usize = 4;
/// Where a VLAN tag stands in a frame: after the addresses.
const TAG_AT: usize = 12;

/// A receive queue behind a kring.
pub struct RxQueue<F: Family> {
    hardware: HardwareQueue<RxRing>,
    /// After the map in `hardware`: it has the memory that is mapped, and fields are dropped in this order.
    region: Arc<Region>,
    family: PhantomData<F>,
}

/// What there is while the hardware has our ring.
///
/// # Invariants
///
/// `offset` is of rings of `ring.count()` slots, and the kring has as many.
pub struct RxRing {
    ring: Descriptors,
    offset: Offset,
    /// The descriptor after the last one that was handed over.
    tail: u32,
    /// Bytes of an FCS that the NIC stores.
    fcs: u16,
}

impl ArmedRing for RxRing {
    fn tail(&self) -> u32 {
        self.tail
    }

    fn into_ring(self) -> Descriptors {
        self.ring
    }
}

/// Frames that are plain, one in each slot.
struct PlainFrames {
    slots: u32,
    bytes: u64,
    /// Whether there may be something behind them.
    more: bool,
}

/// A frame that is complete.
struct ReceivedFrame {
    slots: u32,
    bytes: u32,
    damaged: bool,
}

impl<F: Family> RxQueue<F> {
    /// A queue without a ring.
    pub fn new(hardware: HardwareQueue<RxRing>, region: &Arc<Region>) -> Self {
        Self {
            hardware,
            region: region.clone(),
            family: PhantomData,
        }
    }

    /// What the queue has in common with all others.
    pub fn hardware(&self) -> &HardwareQueue<RxRing> {
        &self.hardware
    }

    /// Gives the queue a ring, for a kring that stands as `held` says, with the buffers that its shadow says.
    ///
    /// Descriptor 0 becomes the slot at `hwtail`. `fcs` says whether the NIC stores the FCS.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the ring is not as large as the kring or a buffer does not exist.
    ///
    /// # Safety
    ///
    /// The kring is stopped, and the caller holds it.
    pub unsafe fn arm(&self, ring: Descriptors, held: &Inner, fcs: bool) -> Result {
        let count = ring.count();
        let cursors = &held.cursors;
        if cursors.num_slots() != count {
            return Err(EINVAL);
        }
        let offset = Offset::new(cursors.hwtail(), count).ok_or(EINVAL)?;
        ring.clear();
        let vacant = cursors.vacant();
        let tail = offset.descriptor(vacant.end());
        // The last one is not handed over yet, but becomes so when the program gives slots back.
        for descriptor in 0..=tail {
            let slot = offset.slot(descriptor);
            let index = *held.shadow.get(slot as usize).ok_or(EINVAL)?;
            let address = self.hardware.dma.get(index).ok_or(EINVAL)?;
            if self.hardware.dma.need_sync() {
                self.hardware
                    .dma
                    .sync_for_device(index, held.buf_size as usize);
            }
            // SAFETY: A slot's descriptor is within the ring.
            unsafe { ring.at(descriptor).write_volatile(address.to_le()) };
        }
        let live = RxRing {
            ring,
            offset,
            tail,
            fcs: if fcs { FCS } else { 0 },
        };
        // SAFETY: By the requirement.
        unsafe { self.hardware.arm(live) };
        Ok(())
    }

    /// Publishes frames from `slot` on in up to `run` slots, as long as each is complete and plain.
    ///
    /// # Safety
    ///
    /// Neither ring wraps within the run.
    #[inline(always)]
    unsafe fn collect<const SYNC: bool>(
        &self,
        live: &RxRing,
        held: &Inner,
        slot: u32,
        run: u32,
    ) -> PlainFrames {
        let fcs = live.fcs;
        let checked = F::Rx::checked(held.buf_size);
        // SAFETY: The run ends before the rings do.
        let (slots, words) = unsafe {
            (
                held.ring.at(slot),
                live.ring.at(live.offset.descriptor(slot)).add(1),
            )
        };
        let mut bytes = 0u64;
        for i in 0..run as usize {
            // SAFETY: The second word of descriptor `i` of the run.
            let word = u64::from_le(unsafe { words.add(2 * i).read_volatile() });
            let length = F::Rx::length(word);
            // A length that is none is looked at there, too; one without an FCS would wrap around.
            if !F::Rx::is_plain(word, checked) || length <= fcs {
                return PlainFrames {
                    slots: i as u32,
                    bytes,
                    more: F::Rx::is_done(word),
                };
            }
            let len = length.wrapping_sub(fcs);
            if SYNC {
                // The data is copied after it was seen that it is there.
                barrier::dma_rmb();
                self.sync_for_cpu(held, slot.wrapping_add(i as u32), len);
            }
            // SAFETY: Slot `i` of the run.
            unsafe { SharedRing::write_len_flags_at(slots.add(2 * i), len, 0) };
            bytes = bytes.wrapping_add(u64::from(len));
        }
        PlainFrames {
            slots: run,
            bytes,
            more: true,
        }
    }

    fn sync_for_cpu(&self, held: &Inner, slot: u32, len: u16) {
        if let Some(&index) = held.shadow.get(slot as usize) {
            self.hardware.dma.sync_for_cpu(index, usize::from(len));
        }
    }

    /// Publishes the frame that begins in `slot`, if it is complete in `left` slots.
    #[cold]
    #[inline(never)]
    fn collect_frame(
        &self,
        live: &RxRing,
        held: &Inner,
        slot: u32,
        left: u32,
    ) -> Option<ReceivedFrame> {
        let n = live.ring.count();
        let word = |i: u32| {
            let descriptor = live.offset.descriptor(ring::add(slot, i, n));
            // SAFETY: A slot's descriptor is within the ring.
            u64::from_le(unsafe { live.ring.at(descriptor).add(1).read_volatile() })
        };
        let mut slots = 0;
        let mut bytes = 0;
        let mut longest = 0;
        let mut last = 0;
        while slots < left {
            last = word(slots);
            if !F::Rx::is_done(last) {
                return None;
            }
            slots += 1;
            let stored = u32::from(F::Rx::length(last));
            bytes += stored;
            longest = longest.max(stored);
            if last & F::Rx::END != 0 {
                break;
            }
        }
        if slots == 0 || (last & F::Rx::END == 0 && slots < n - 1) {
            return None;
        }
        // The data is copied, or moved, after it was seen that it is there.
        barrier::dma_rmb();
        // What fills the whole ring without an end is no frame, nor is what no NIC would store.
        let damaged = last & (F::Rx::ERRORS | F::Rx::END) != F::Rx::END
            || longest > held.buf_size
            || bytes <= u32::from(live.fcs);
        // Bytes still to be published; the FCS may lie in two descriptors.
        let mut rest = if damaged {
            0
        } else {
            bytes.saturating_sub(u32::from(live.fcs))
        };
        bytes = rest;
        for i in 0..slots {
            let at = ring::add(slot, i, n);
            let stored = F::Rx::length(word(i));
            if !damaged && self.hardware.dma.need_sync() {
                self.sync_for_cpu(held, at, stored);
            }
            let len = share_of_slot(rest, stored, held.buf_size);
            rest -= u32::from(len);
            let more = if i + 1 < slots { NS_MOREFRAG } else { 0 };
            // SAFETY: Within the ring, as `slot` is.
            unsafe { held.ring.write_len_flags(at, len, more) };
        }
        let mut frame = ReceivedFrame {
            slots,
            bytes,
            damaged,
        };
        if !damaged && last & F::Rx::TAG != 0 {
            if self.insert_tag(held, slot, slots, F::Rx::tag(last)) {
                frame.bytes += TAG as u32;
            } else {
                frame.damaged = true;
                for i in 0..slots {
                    // SAFETY: As above.
                    unsafe { held.ring.write_len_flags(ring::add(slot, i, n), 0, 0) };
                }
            }
        }
        Some(frame)
    }

    /// Puts a VLAN tag into the frame in `slots` slots from `slot` on, moving what follows it from buffer to buffer.
    /// Returns false, with the frame spoilt, if it does not fit.
    fn insert_tag(&self, held: &Inner, slot: u32, slots: u32, tag: u16) -> bool {
        let n = held.ring.num_slots();
        let size = held.buf_size as usize;
        let [high, low] = tag.to_be_bytes();
        // What goes in at the front of the rest of a buffer, and where that rest begins.
        let mut carry = [0x81, 0x00, high, low];
        let mut from = TAG_AT;
        let mut carried = TAG;
        for i in 0..slots {
            let at = ring::add(slot, i, n);
            let Some(buffer) = held
                .shadow
                .get(at as usize)
                .and_then(|&index| self.region.buf_ptr(index))
            else {
                return false;
            };
            // SAFETY: Within the ring, as `slot` is.
            let found = Slot::from_raw(unsafe { held.ring.read(at) });
            // The slot is the kernel's, but a program may have changed it all the same.
            let len = usize::from(found.len).min(size);
            if len < from {
                return false;
            }
            let over = (len + carried).saturating_sub(size);
            let mut next = [0; TAG];
            // SAFETY: All within the buffer of `size` bytes: `from <= len`, and `len + carried - over <= size`. A
            // program may write it at the same time, to its own harm: bytes are moved, and none decides anything.
            unsafe {
                let start = buffer.as_ptr();
                copy(start.add(len - over), next.as_mut_ptr(), over);
                copy(
                    start.add(from),
                    start.add(from + carried),
                    len - over - from,
                );
                copy(carry.as_ptr(), start.add(from), carried);
                held.ring
                    .write_len_flags(at, (len + carried - over) as u16, found.flags);
            }
            if over == 0 {
                return true;
            }
            (carry, carried, from) = (next, over, 0);
        }
        false
    }

    /// Publishes what has arrived.
    #[inline(always)]
    fn receive<const SYNC: bool>(&self, live: &RxRing, held: &mut Inner, kring: &Kring) {
        let vacant = held.cursors.vacant();
        let mut at = Progress::new(&vacant);
        let run = live.offset.run(at.slot, at.left);
        // SAFETY: `Offset::run` keeps within both rings.
        let got = unsafe { self.collect::<SYNC>(live, held, at.slot, run) };
        at.advance(got.slots, got.slots, got.bytes, live.ring.count());
        if got.more && at.left != 0 {
            self.receive_rest::<SYNC>(live, held, kring, at);
        } else if got.slots != 0 {
            // That was all, as it mostly is.
            Self::publish(held, kring, &at);
        }
    }

    /// [`Self::receive`] of what else may have arrived: around the end of a ring, or in frames that are not plain.
    #[inline(never)]
    fn receive_rest<const SYNC: bool>(
        &self,
        live: &RxRing,
        held: &mut Inner,
        kring: &Kring,
        mut at: Progress,
    ) {
        let n = live.ring.count();
        let mut damaged = 0u64;
        while at.left != 0 {
            let run = live.offset.run(at.slot, at.left);
            // SAFETY: `Offset::run` keeps within both rings.
            let got = unsafe { self.collect::<SYNC>(live, held, at.slot, run) };
            at.advance(got.slots, got.slots, got.bytes, n);
            if !got.more {
                break;
            }
            if got.slots < run {
                let Some(frame) = self.collect_frame(live, held, at.slot, at.left) else {
                    break;
                };
                at.advance(frame.slots, 1, frame.bytes.into(), n);
                damaged = damaged.wrapping_add(frame.damaged.into());
            }
        }
        if at.slot != held.cursors.hwtail() {
            Self::publish(held, kring, &at);
        }
        Counters::add(&kring.counters.errors, damaged);
    }

    /// Publishes the slots before `at`, which are filled.
    #[inline(always)]
    fn publish(held: &mut Inner, kring: &Kring, at: &Progress) {
        // The program reads what the NIC wrote before it wrote the descriptors.
        barrier::dma_rmb();
        // Not more than is vacant.
        let _ = held.cursors.publish_to(at.slot);
        Counters::add(&kring.counters.packets, u64::from(at.packets));
        Counters::add(&kring.counters.bytes, at.bytes);
    }

    /// Fills descriptors for `run` slots from `slot` on, as long as their buffers are of the ring's group. Returns how many.
    ///
    /// # Safety
    ///
    /// Neither ring wraps within the run.
    #[inline(always)]
    unsafe fn refill<const SYNC: bool>(
        &self,
        live: &RxRing,
        held: &mut Inner,
        slot: u32,
        run: u32,
    ) -> u32 {
        let table = self.hardware.dma.table();
        let (owners, label) = (self.region.owners(), held.group.label());
        // SAFETY: The run ends before the rings do, and `shadow` has as many entries as the ring has slots.
        let (slots, shadow, descs) = unsafe {
            (
                held.ring.at(slot),
                held.shadow.as_mut_ptr().add(slot as usize),
                live.ring.at(live.offset.descriptor(slot)),
            )
        };
        for i in 0..run as usize {
            // SAFETY: Slot and descriptor, of two words each, and shadow entry `i` of the run.
            let (at, shadow, desc) = unsafe { (slots.add(2 * i), shadow.add(i), descs.add(2 * i)) };
            // SAFETY: As above.
            let index = Slot::from_raw(unsafe { at.read_volatile() }).buf_idx;
            let Some(address) = table.get(index) else {
                return i as u32;
            };
            // SAFETY: As above.
            if index != unsafe { shadow.read() } {
                if owners.owner(index) != label {
                    return i as u32;
                }
                // SAFETY: As above.
                unsafe { shadow.write(index) };
            }
            if SYNC {
                self.hardware
                    .dma
                    .sync_for_device(index, held.buf_size as usize);
            }
            // SAFETY: As above.
            unsafe {
                desc.write_volatile(address.to_le());
                desc.add(1).write_volatile(0);
            }
        }
        run
    }

    /// Fills the descriptor for `slot`, whose buffer need not be of the ring's group yet. False if nobody has that buffer.
    #[cold]
    #[inline(never)]
    fn refill_slot(&self, live: &RxRing, held: &mut Inner, slot: u32) -> bool {
        // SAFETY: Within the ring, as all slots of a span are.
        let index = Slot::from_raw(unsafe { held.ring.read(slot) }).buf_idx;
        let Some(address) = self.hardware.dma.get(index) else {
            return false;
        };
        if !held.accept(slot, index) {
            return false;
        }
        if self.hardware.dma.need_sync() {
            self.hardware
                .dma
                .sync_for_device(index, held.buf_size as usize);
        }
        // SAFETY: A slot's descriptor, of two words, is within the ring.
        unsafe {
            let desc = live.ring.at(live.offset.descriptor(slot));
            desc.write_volatile(address.to_le());
            desc.add(1).write_volatile(0);
        }
        true
    }

    /// Hands the slots of `span`, of which there is at least one, to the hardware, up to the first one that is impossible.
    #[inline(always)]
    fn give_back<const SYNC: bool>(
        &self,
        live: &mut RxRing,
        held: &mut Inner,
        span: &Span,
    ) -> Result<(), SyncError> {
        let mut at = Progress::new(span);
        let run = live.offset.run(at.slot, at.left);
        // SAFETY: `Offset::run` keeps within both rings.
        let done = unsafe { self.refill::<SYNC>(live, held, at.slot, run) };
        if done != at.left {
            at.advance(done, 0, 0, live.ring.count());
            return self.give_back_rest::<SYNC>(live, held, at);
        }
        // That was all, as it mostly is.
        self.hand_over(live, held, span.end());
        Ok(())
    }

    /// [`Self::give_back`] of what is left: slots around the end of a ring, and those with buffers that may be of another
    /// group.
    #[inline(never)]
    fn give_back_rest<const SYNC: bool>(
        &self,
        live: &mut RxRing,
        held: &mut Inner,
        mut at: Progress,
    ) -> Result<(), SyncError> {
        let n = live.ring.count();
        while at.left != 0 {
            let run = live.offset.run(at.slot, at.left);
            // SAFETY: `Offset::run` keeps within both rings.
            let done = unsafe { self.refill::<SYNC>(live, held, at.slot, run) };
            at.advance(done, 0, 0, n);
            if done < run {
                if !self.refill_slot(live, held, at.slot) {
                    break;
                }
                at.advance(1, 0, 0, n);
            }
        }
        if at.slot != held.cursors.hwcur() {
            self.hand_over(live, held, at.slot);
        }
        if at.left == 0 {
            Ok(())
        } else {
            Err(SyncError::BadRing {
                at: Some(Untaken::alone(at.slot)),
            })
        }
    }

    /// Hands the slots before `slot` to the hardware, whose descriptors are filled.
    #[inline(always)]
    fn hand_over(&self, live: &mut RxRing, held: &mut Inner, slot: u32) {
        let last = ring::prev(slot, live.ring.count());
        live.tail = live.offset.descriptor(last);
        self.hardware.hand_over(live.tail);
        // It lies between `hwcur` and the program's head, where the span is.
        let _ = held.cursors.release(slot);
    }

    #[inline(always)]
    fn run<const SYNC: bool>(
        &self,
        live: &mut RxRing,
        held: &mut Inner,
        kring: &Kring,
        span: &Span,
    ) -> Result<(), SyncError> {
        self.receive::<SYNC>(live, held, kring);
        if span.is_empty() {
            return Ok(());
        }
        self.give_back::<SYNC>(live, held, span)
    }

    /// [`Self::run`] with buffers that the device sees only after a synchronisation, and the processor after another one.
    #[inline(never)]
    fn run_bounced(
        &self,
        live: &mut RxRing,
        held: &mut Inner,
        kring: &Kring,
        span: &Span,
    ) -> Result<(), SyncError> {
        self.run::<true>(live, held, kring, span)
    }
}

impl<F: Family> Queue for RxQueue<F> {
    fn sync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        _flags: u32,
    ) -> Result<(), SyncError> {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { self.hardware.live() }) else {
            return Err(SyncError::Gone);
        };
        if self.hardware.dma.need_sync() {
            self.run_bounced(live, held, kring, &span)
        } else {
            self.run::<false>(live, held, kring, &span)
        }
    }

    fn has_news(&self, held: &Inner) -> bool {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { self.hardware.live() }) else {
            return true;
        };
        let vacant = held.cursors.vacant();
        if vacant.is_empty() {
            // The hardware can say nothing, and the program may have taken what there is without a sync since.
            return true;
        }
        // SAFETY: A slot's descriptor is within the ring.
        let word = unsafe { live.ring.at(live.offset.descriptor(vacant.begin())).add(1) };
        // SAFETY: As above.
        F::Rx::is_done(u64::from_le(unsafe { word.read_volatile() }))
    }
}
