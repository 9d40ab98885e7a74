// SPDX-License-Identifier: GPL-2.0

//! What stands behind the two rings of a lane: the transmit ring of one end of a pipe, and the receive ring of the other.
//!
//! A sync of the transmit ring holds that ring alone. It fills slots of the receive ring that are the sender's, as
//! [`crate::logic::pipe`] decides, and takes their buffers in exchange: from a table that both share, never from a slot, which programs can
//! write. Both rings have one owner of buffers, so that an exchange needs no look at owners.

use crate::{
    abi::{
        self,
        slot_flags::{NS_BUF_CHANGED, NS_MOREFRAG}, //
    },
    atomic::{AtomicU32, Ordering},
    logic::{
        pipe::Lane,
        ring::{distance, next, prev, Span, Untaken},
        slot::Slot, //
    },
    mem::{Group, Region, SharedRing},
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    },
};

/// What the two rings share.
pub(super) struct Joined {
    lane: Lane,
    /// The buffer of each slot of the receive ring, which is of whoever owns the slot: what a shadow is to other rings.
    table: KVVec<AtomicU32>,
    transmit: Arc<Kring>,
    receive: Arc<Kring>,
}

impl Joined {
    /// Of two rings of `slots` slots that nobody has used yet.
    pub(super) fn new(
        transmit: &Arc<Kring>,
        receive: &Arc<Kring>,
        slots: u32,
    ) -> Result<Arc<Self>> {
        let mut table = KVVec::with_capacity(slots as usize, GFP_CHARGED)?;
        for _ in 0..slots {
            table.push(AtomicU32::new(0), GFP_CHARGED)?;
        }
        let joined = Self {
            lane: Lane::new(),
            table,
            transmit: transmit.clone(),
            receive: receive.clone(),
        };
        Ok(Arc::new(joined, GFP_CHARGED)?)
    }

    /// Takes over the buffers that the slots of the receive ring were given. Nobody uses it yet.
    pub(super) fn note(&self, receive: &Inner) {
        for (entry, buf_idx) in self.table.iter().zip(receive.shadow.iter()) {
            entry.store(*buf_idx, Ordering::Relaxed);
        }
    }
}

/// Behind a transmit ring.
///
/// # Invariants
///
/// `to` is the receive ring of `joined`, of as many slots as the table and the transmit ring, and its memory stays until the kring of the
/// transmit ring has this queue no more.
pub(super) struct TxQueue {
    joined: Arc<Joined>,
    to: SharedRing,
}

/// What was handed over.
#[derive(Default)]
struct Sum {
    bytes: u64,
    /// The flags of all slots, or-ed.
    flags: u16,
}

/// The slots of `span` that are whole packets: all but those of one that has no end yet.
#[inline]
fn whole(ring: SharedRing, span: &Span) -> Span {
    let mut count = span.len();
    while let Some(before) = count.checked_sub(1) {
        // SAFETY: Indices of a span of this ring are below its number of slots.
        let last = unsafe { ring.read(span.rest(before).begin()) };
        if !Slot::from_raw(last).has(NS_MOREFRAG) {
            break;
        }
        count = before;
    }
    span.first(count)
}

/// Exchanges slots that lie in a row: as many as `mine` and `theirs` have entries, which are the buffers of those that begin at `from` and at
/// `to`. Returns how many were done if the next one is impossible.
///
/// # Safety
///
/// There are as many slots of rings that are attached.
// A function of its own, for the registers.
#[inline(never)]
unsafe fn exchange_part(
    (mine, theirs): (&mut [u32], &[AtomicU32]),
    (mut from, mut to): (*mut u64, *mut u64),
    region: &Region,
    group: &Group,
) -> Result<Sum, usize> {
    /// The buffer in a slot.
    const BUF_IDX: u64 = 0xffff_ffff;
    /// What a program that relies on what is in its buffers looks at: what it has sent is not there any more.
    const CHANGED: u64 = (NS_BUF_CHANGED as u64) << 48;
    let size = region.buf_size();
    let begin = from;
    let (mut bytes, mut flags) = (0u64, 0);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        // SAFETY: By the requirement they are slots; the accesses are volatile because programs write there.
        let (raw, pointer) =
            unsafe { (from.read_volatile(), from.wrapping_add(1).read_volatile()) };
        let slot = Slot::from_raw(raw);
        if (slot.buf_idx != *mine || u32::from(slot.len) > size)
            && !is_possible(region, group, slot)
        {
            return Err((from as usize).wrapping_sub(begin as usize) / size_of::<abi::Slot>());
        }
        let given = theirs.load(Ordering::Relaxed);
        theirs.store(slot.buf_idx, Ordering::Relaxed);
        *mine = given;
        // SAFETY: As above. Nobody else relies on what is in these slots: the receiver's is ours until it is shown to the receiver.
        unsafe {
            to.write_volatile(raw);
            to.wrapping_add(1).write_volatile(pointer);
            from.write_volatile(raw & !BUF_IDX | CHANGED | u64::from(given));
        }
        (from, to) = (from.wrapping_add(2), to.wrapping_add(2));
        // In a ring there are not as many slots that it could overflow.
        bytes = bytes.wrapping_add(slot.len.into());
        flags |= slot.flags;
    }
    Ok(Sum { bytes, flags })
}

/// Whether a slot that has another buffer than the kernel knows of, or a long packet, can be sent. If its buffer was another group's, the two
/// are one from now on.
#[cold]
#[inline(never)]
fn is_possible(region: &Region, group: &Group, slot: Slot) -> bool {
    u32::from(slot.len) <= region.buf_size() && region.exchange(group, slot.buf_idx)
}

impl TxQueue {
    /// The queue of a transmit ring.
    ///
    /// # Safety
    ///
    /// `to` must be the receive ring of `joined`, with as many slots as both rings have. Its memory must stay until the kring of the transmit
    /// ring has been stopped and has another queue, or none.
    pub(super) unsafe fn new(joined: &Arc<Joined>, to: SharedRing) -> Result<Arc<Self>> {
        // INVARIANT: By the requirement.
        let queue = Self {
            joined: joined.clone(),
            to,
        };
        Ok(Arc::new(queue, GFP_CHARGED)?)
    }

    /// Exchanges the slots of `span` for those of the receiver, which are the sender's. If one is impossible, because nobody has its buffer
    /// or its length is beyond that, what comes before its packet stays exchanged.
    #[inline]
    fn exchange(&self, held: &mut Inner, span: &Span) -> Result<Sum, Untaken> {
        let (first, second) = span.segments();
        let mut all = Sum::default();
        for part in [first, second] {
            let slots = part.start as usize..part.end as usize;
            let mine = held.shadow.get_mut(slots.clone()).unwrap_or_default();
            let theirs = self.joined.table.get(slots).unwrap_or_default();
            let (from, to) = (held.ring.at(part.start), self.to.at(part.start));
            // SAFETY: Both have an entry for each slot of these rings, which are attached, and begin at this slot.
            match unsafe { exchange_part((mine, theirs), (from, to), &held.region, &held.group) } {
                Ok(sum) => {
                    all.bytes = all.bytes.wrapping_add(sum.bytes);
                    all.flags |= sum.flags;
                }
                Err(done) => {
                    return Err(self.undo(held, span, part.start.wrapping_add(done as u32)));
                }
            }
        }
        Ok(all)
    }

    /// Takes back the slots before the impossible slot `fault` that are of the same packet. Those of `span` before `fault` were exchanged.
    #[cold]
    fn undo(&self, held: &mut Inner, span: &Span, fault: u32) -> Untaken {
        let num_slots = span.num_slots();
        let mut packet = fault;
        while packet != span.begin() {
            let index = prev(packet, num_slots);
            // SAFETY: The index is below the number of slots.
            let raw = unsafe { held.ring.read(index) };
            if !Slot::from_raw(raw).has(NS_MOREFRAG) {
                break;
            }
            let mine = held.shadow.get_mut(index as usize);
            let theirs = self.joined.table.get(index as usize);
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                let back = theirs.load(Ordering::Relaxed);
                theirs.store(*mine, Ordering::Relaxed);
                *mine = back;
                let slot = Slot {
                    buf_idx: back,
                    ..Slot::from_raw(raw)
                };
                // SAFETY: As above.
                unsafe { held.ring.write(index, slot.to_raw()) };
            }
            packet = index;
        }
        Untaken {
            slot: fault,
            packet,
        }
    }

    /// Counts what lies in the receiver's slots of `span`, of which some were not the last ones of their packets; and sees to it that
    /// the very last one is, should the program have changed it meanwhile.
    #[cold]
    fn count_fragments(&self, span: &Span) -> (u64, u64) {
        let (mut packets, mut bytes) = (0, 0);
        for index in span.clone() {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { self.to.read(index) });
            let is_last = next(index, span.num_slots()) == span.end();
            packets += u64::from(is_last || !slot.has(NS_MOREFRAG));
            bytes += u64::from(slot.len);
            if is_last && slot.has(NS_MOREFRAG) {
                let flags = slot.flags & !NS_MOREFRAG;
                // SAFETY: As above.
                unsafe { self.to.write_len_flags(index, slot.len, flags) };
            }
        }
        (packets, bytes)
    }

    /// Hands over `packets`, which are whole.
    #[inline]
    fn send(&self, held: &mut Inner, kring: &Kring, packets: &Span) -> Result<(), Untaken> {
        let joined = &*self.joined;
        let mut sending = joined.lane.sending(&held.cursors);
        let Some(slots) = sending.slots(packets.len()) else {
            return Err(Untaken::alone(packets.begin()));
        };
        let (result, sent, count) = match self.exchange(held, &slots) {
            Ok(sum) if sum.flags & NS_MOREFRAG == 0 => {
                let count = (u64::from(slots.len()), sum.bytes);
                (Ok(()), slots, count)
            }
            Ok(_) => {
                let count = self.count_fragments(&slots);
                (Ok(()), slots, count)
            }
            Err(at) => {
                let before = slots.first(distance(slots.begin(), at.packet, slots.num_slots()));
                let count = self.count_fragments(&before);
                (Err(at), before, count)
            }
        };
        for kring in [kring, &*joined.receive] {
            Counters::add(&kring.counters.packets, count.0);
            Counters::add(&kring.counters.bytes, count.1);
        }
        // The span is of what the program has given back.
        let _ = held.cursors.release(sent.end());
        if sending.publish(sent.len()) {
            joined.receive.wake();
        }
        result
    }
}

impl Queue for TxQueue {
    fn sync(&self, held: &mut Inner, kring: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        let packets = whole(held.ring, &span);
        let result = if !packets.is_empty() {
            self.send(held, kring, &packets)
        } else if span.len() == span.num_slots().wrapping_sub(1) {
            // A packet has all slots of the ring, and no end.
            Err(Untaken::alone(span.begin()))
        } else {
            Ok(())
        };
        let vacant = self.joined.lane.vacant(span.num_slots());
        held.cursors
            .publish_to(vacant)
            .map_err(|_| SyncError::BadRing { at: None })?;
        result.map_err(|at| SyncError::BadRing { at: Some(at) })
    }

    fn has_news(&self, held: &Inner) -> bool {
        self.joined.lane.vacant_now(held.cursors.num_slots()) != held.cursors.hwtail()
    }
}

/// Gives all slots of a transmit ring that were not sent back to its program, which has let go of the ring: the next one does not send the
/// beginning of a packet in front of its own. The ring is stopped.
pub(super) fn take_back(inner: &mut Inner) {
    let (head, cur, _) = inner.ring.user_cursors();
    let first = inner.cursors.hwcur();
    let to = inner.cursors.reinit_untaken(Untaken::alone(first));
    let _ = inner.ring.move_head(head, to.head);
    let _ = inner.ring.move_cur(cur, to.cur);
    inner.ring.publish(to.tail);
}

/// Behind a receive ring.
pub(super) struct RxQueue(Arc<Joined>);

impl RxQueue {
    /// The queue of the receive ring of `joined`.
    pub(super) fn new(joined: &Arc<Joined>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(joined.clone()), GFP_CHARGED)?)
    }

    /// Notes the buffers of the slots of `span`, which the program has given back, up to the first one that nobody has.
    #[inline]
    fn accept(&self, held: &Inner, span: &Span) -> Result<(), Untaken> {
        let (first, second) = span.segments();
        for part in [first, second] {
            let slots = part.start as usize..part.end as usize;
            let entries = self.0.table.get(slots).unwrap_or_default();
            for (index, entry) in part.zip(entries) {
                // SAFETY: There is an entry for each slot of the ring. The buffer's index is the first half of the word, and programs write it.
                let buf_idx = unsafe { held.ring.at(index).cast::<u32>().read_volatile() };
                if buf_idx != entry.load(Ordering::Relaxed) {
                    if !held.region.exchange(&held.group, buf_idx) {
                        return Err(Untaken::alone(index));
                    }
                    entry.store(buf_idx, Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }
}

impl Queue for RxQueue {
    fn sync(&self, held: &mut Inner, _: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        let joined = &*self.0;
        let accepted = self.accept(held, &span);
        // A slot at fault lies between `hwcur` and the program's head, where the span is.
        let to = accepted.map_or_else(|at| at.slot, |()| span.end());
        if to != span.begin() {
            let _ = held.cursors.release(to);
            if joined.lane.release(held.cursors.hwcur()) {
                joined.transmit.wake();
            }
        }
        if let Err(at) = accepted {
            return Err(SyncError::BadRing { at: Some(at) });
        }
        held.cursors
            .publish_to(joined.lane.look())
            .map_err(|_| SyncError::BadRing { at: None })
    }

    fn has_news(&self, held: &Inner) -> bool {
        self.0.lane.published() != held.cursors.hwtail()
    }

    fn known(&self, _held: &Inner, index: u32) -> Option<u32> {
        let entry = self.0.table.get(index as usize)?;
        Some(entry.load(Ordering::Relaxed))
    }
}
