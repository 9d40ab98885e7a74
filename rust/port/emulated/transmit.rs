// SPDX-License-Identifier: GPL-2.0

//! The transmit rings of emulated ports: frames are copied, and handed to the driver as the stack's packets are.
//!
//! A slot is free when its frame is copied and the driver has taken the copy. What the driver does not take stays in the ring:
//! behind a queue that it has stopped, and without a carrier. It is never called without one, since there are drivers whose
//! hardware hangs then.
//!
//! What stays goes by itself as soon as the driver takes it ([`super::retry`]), or with the program's next sync, if that comes
//! first. A ring that loses its last user lets go of what the driver still takes ([`drain`]).

use super::{
    pool::{Blank, Pool, SHORTEST},
    retry::{Resume, Retry}, //
};
use crate::{
    abi::slot_flags::{NS_BUF_CHANGED, NS_MOREFRAG, NS_REPORT},
    atomic::Ordering,
    bindings,
    logic::{
        packets::Packets,
        ring::{distance, next, prev, Span, Untaken},
        slot::Slot, //
    },
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    },
    sys::{
        device_queue::{DeviceQueue, QueueState},
        netdev::NetDev,
        rtnl::Rtnl,
        sched,
        work::Work, //
    },
};
use core::{cell::UnsafeCell, ptr::NonNull};
use kernel::time::hrtimer::ArcHrTimerHandle;

/// Packets that are handed over under the lock of the driver's queue at a time, with softirqs off. The driver tells the hardware
/// after each such batch, which may raise an interrupt for it. What is copied and not taken is copied again.
const BATCH: usize = 128;
/// Milliseconds for which a ring that is closed waits for a driver that takes nothing, and in all.
const STILL: u32 = 200;
const MOST: u32 = 6000;

/// A transmit ring's way to the driver's queue of the same number, open while the ring is in use.
pub(super) struct TxQueue {
    kring: Arc<Kring>,
    /// Sends what waits, if the ring is in use.
    resume: Arc<Work<Resume>>,
    live: UnsafeCell<Option<Live>>,
}

// SAFETY: `live` is accessed only by the holder of the kring's busy flag; all other fields are `Sync`.
unsafe impl Sync for TxQueue {}
// SAFETY: Nothing in it is bound to a thread.
unsafe impl Send for TxQueue {}

/// What there is while the ring is in use.
struct Live {
    queue: DeviceQueue,
    pool: Pool,
    /// How many slots from `hwcur` on have been read and accepted already.
    accepted: u32,
    /// Packets on their way to the driver.
    batch: KVec<bindings::netmap_packet>,
    filled: usize,
    /// Whether it was memory that was missing when frames were left last.
    starved: bool,
    retry: Arc<Retry>,
    /// Its timer, if it was started since the driver last took all there was.
    waiting: Option<ArcHrTimerHandle<Retry>>,
    /// The first slot that waited when the timer was last started.
    waits_from: u32,
}

/// Why no more is copied.
enum Stop {
    /// The batch is full.
    Full,
    /// There are no more frames.
    Done,
    /// There is no memory.
    NoMemory,
    /// A slot is impossible.
    Bad(Untaken),
}

/// A frame that is being put together.
#[derive(Default)]
struct Frame {
    to: Option<Blank>,
    len: u32,
    flagged: bool,
}

impl TxQueue {
    /// What stands behind `kring`, closed.
    pub(super) fn new(kring: Arc<Kring>) -> Result<Arc<Self>> {
        let queue = Self {
            resume: Work::new(Resume::new(kring.clone()))?,
            kring,
            live: UnsafeCell::new(None),
        };
        Ok(Arc::new(queue, GFP_CHARGED)?)
    }

    /// Opens the way to the queue of `dev`.
    ///
    /// # Safety
    ///
    /// The kring is stopped, and the caller holds it.
    pub(super) unsafe fn open(&self, dev: &NetDev, rtnl: &Rtnl) -> Result {
        let queue = DeviceQueue::new(dev.clone(), self.kring.index);
        let mut batch = KVec::with_capacity(BATCH, GFP_CHARGED)?;
        batch.extend_with(BATCH, bindings::netmap_packet::default(), GFP_CHARGED)?;
        let live = Live {
            pool: Pool::new(&queue, queue.ring_size(rtnl))?,
            accepted: 0,
            batch,
            filled: 0,
            starved: false,
            retry: Retry::new(queue.clone(), self.kring.clone(), self.resume.clone())?,
            waiting: None,
            waits_from: 0,
            queue,
        };
        // SAFETY: By the requirement nobody else accesses it.
        unsafe { *self.live.get() = Some(live) };
        Ok(())
    }

    /// Closes it: what has not been handed to the driver is not, and what has been goes its way. Drops the reference to the
    /// device.
    ///
    /// # Safety
    ///
    /// As for [`Self::open`].
    pub(super) unsafe fn close(&self) {
        // SAFETY: By the requirement nobody else accesses it. With it goes the timer.
        drop(unsafe { (*self.live.get()).take() });
        // It does not wait for a kring that is stopped.
        self.resume.cancel();
    }

    /// The driver may take packets again: what waits in the ring is sent soon.
    pub(super) fn ask(&self) {
        self.resume.ask();
    }

    /// Sends what waits, if the driver takes it; how much of it has gone, and whether the rest may go soon.
    ///
    /// # Safety
    ///
    /// As for [`Self::open`], and `held` is of the kring.
    unsafe fn push(&self, held: &mut Inner) -> (u32, bool) {
        // SAFETY: By the requirement nobody else accesses it.
        let Some(live) = (unsafe { (*self.live.get()).as_mut() }) else {
            return (0, false);
        };
        let begin = held.cursors.hwcur();
        let sent = live.move_on(held, &self.kring);
        let waits = matches!(sent, Ok(false)) && live.queue.state() != QueueState::Closed;
        let gone = distance(begin, held.cursors.hwcur(), held.ring.num_slots());
        (gone, waits)
    }
}

/// Waits until what is in these rings, which lose their last user, has gone, as long as their drivers take some: until all of
/// them have stood still for a while. What waits for a carrier is lost at once. They are stopped.
pub(super) fn drain<'a, Queues: Iterator<Item = &'a Arc<TxQueue>>>(
    queues: impl Fn() -> Queues,
    _rtnl: &Rtnl,
) {
    let mut still = 0;
    for _ in 0..MOST {
        let (mut gone, mut waits) = (0u32, false);
        for queue in queues() {
            let mut held = queue.kring.stop();
            if let Some(attached) = held.attached() {
                // SAFETY: It is stopped, and held.
                let (some, rest) = unsafe { queue.push(&mut attached.inner) };
                gone = gone.saturating_add(some);
                waits |= rest;
            }
        }
        still = if gone == 0 { still + 1 } else { 0 };
        if !waits || still > STILL {
            return;
        }
        sched::rest();
    }
}

impl Live {
    /// Copies frames from `slots` to the batch as long as they are what nearly all are, in one slot, and what is kept is not in use.
    /// False if that was why it has stopped.
    #[inline(never)]
    fn fill_short(&mut self, held: &mut Inner, slots: &mut Span, longest: u32) -> bool {
        let lengths = SHORTEST..=longest.min(held.buf_size);
        let n = held.ring.num_slots();
        let free = self.batch.get_mut(self.filled..).unwrap_or(&mut []);
        let mut found = 0;
        for (entry, index) in free.iter_mut().zip(slots.clone()) {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { held.ring.read(index) });
            let len = u32::from(slot.len);
            if slot.has(NS_MOREFRAG) || !lengths.contains(&len) {
                break;
            }
            let Some(from) = held.region.buf_ptr(slot.buf_idx) else {
                break;
            };
            if !held.accept(index, slot.buf_idx) {
                break;
            }
            *entry = bindings::netmap_packet {
                from: from.as_ptr().cast(),
                end: next(index, n),
                bytes: len,
                flagged: slot.flags != 0,
                pooled: true,
                ..Default::default()
            };
            found += 1;
        }
        let found = free.get_mut(..found).unwrap_or(&mut []);
        // SAFETY: Buffers with a whole frame each, for which there is room. The region keeps them.
        let copied = unsafe { self.pool.copy(&self.queue, found) };
        let all = copied == found.len();
        self.filled += copied;
        *slots = slots.rest(copied as u32);
        all
    }

    /// Copies frames from `slots` to the batch.
    #[inline]
    fn fill(&mut self, held: &mut Inner, kring: &Kring, slots: &mut Span, longest: u32) -> Stop {
        let n = held.ring.num_slots();
        let mut packets = Packets::new(slots.begin(), n);
        let mut frame = Frame::default();
        let mut kept_is_free = true;
        let stop = loop {
            // Between two frames.
            if kept_is_free && packets.first() == slots.begin() {
                kept_is_free = self.fill_short(held, slots, longest);
                packets = Packets::new(slots.begin(), n);
            }
            if self.filled == BATCH {
                break Stop::Full;
            }
            // The rest of a frame may be missing: then what there is waits for it.
            let Some(index) = slots.next() else {
                break Stop::Done;
            };
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { held.ring.read(index) });
            let len = u32::from(slot.len);
            let Some(from) = held
                .region
                .buf_ptr(slot.buf_idx)
                .filter(|_| len <= held.buf_size)
                .filter(|_| held.accept(index, slot.buf_idx))
            else {
                break Stop::Bad(packets.untaken(index));
            };
            let more = slot.has(NS_MOREFRAG);
            if let Err(at) = packets.add(index, slot.len, more) {
                break Stop::Bad(at);
            }
            frame.flagged |= slot.flags != 0;
            if len != 0 && frame.len + len <= longest {
                let to = match frame.to.take().or_else(|| self.pool.take()) {
                    Some(to) => frame.to.insert(to).data,
                    None => break Stop::NoMemory,
                };
                // SAFETY: A buffer with `len` bytes, and room for the longest frame, of which the frame is a part so far.
                unsafe { copy(from, to, frame.len, len) };
            }
            frame.len += len;
            if more {
                continue;
            }
            let Frame { to, len, flagged } = core::mem::take(&mut frame);
            let end = next(index, n);
            match to {
                Some(to) if len <= longest => {
                    // SAFETY: A frame with bytes has those of a header, as `add` has seen.
                    let packet = unsafe { self.pool.finish(to, &self.queue, len) };
                    self.add(bindings::netmap_packet {
                        end,
                        flagged,
                        ..packet
                    });
                }
                to => {
                    if let Some(to) = to {
                        self.pool.put_back(to);
                    }
                    self.skip(held, kring, (end, flagged), u32::from(len > longest));
                }
            }
        };
        if let Some(to) = frame.to.take() {
            self.pool.put_back(to);
        }
        stop
    }

    /// Adds a packet to the batch, which is not full.
    #[inline(always)]
    fn add(&mut self, packet: bindings::netmap_packet) {
        if let Some(entry) = self.batch.get_mut(self.filled) {
            *entry = packet;
            self.filled += 1;
        }
    }

    /// Frames up to the slot `end` that send nothing, `errors` of them because they are too long, are gone when all before them
    /// are.
    #[cold]
    fn skip(&mut self, held: &mut Inner, kring: &Kring, (end, flagged): (u32, bool), errors: u32) {
        let last = self.filled.checked_sub(1);
        if let Some(packet) = last.and_then(|last| self.batch.get_mut(last)) {
            packet.end = end;
            packet.flagged |= flagged;
            packet.errors += errors;
        } else {
            release(held, end, flagged);
            let errors = u64::from(errors);
            kring.counters.errors.fetch_add(errors, Ordering::Relaxed);
        }
    }

    /// Hands the batch to the driver; false if it has not taken all.
    #[inline]
    fn send(&mut self, held: &mut Inner, kring: &Kring) -> bool {
        let filled = core::mem::take(&mut self.filled);
        let Some(batch) = self.batch.get_mut(..filled) else {
            return true;
        };
        // SAFETY: The pool has made the packets for this queue.
        let taken = unsafe { self.pool.send(&self.queue, batch) };
        let (mut packets, mut bytes) = (0, 0u64);
        let (mut errors, mut drops) = (0, 0);
        let mut flagged = false;
        for packet in batch.iter().take(taken) {
            if packet.dropped {
                drops += 1;
            } else {
                packets += 1;
                bytes = bytes.wrapping_add(u64::from(packet.bytes));
            }
            errors += u64::from(packet.errors);
            flagged |= packet.flagged;
        }
        if let Some(last) = taken.checked_sub(1).and_then(|last| batch.get(last)) {
            release(held, last.end, flagged);
        }
        for packet in batch.iter().skip(taken).rev() {
            // SAFETY: The driver did not take it.
            unsafe { self.pool.retract(packet) };
        }
        Counters::add(&kring.counters.packets, packets);
        Counters::add(&kring.counters.bytes, bytes);
        if errors | drops != 0 {
            kring.counters.errors.fetch_add(errors, Ordering::Relaxed);
            kring.counters.drops.fetch_add(drops, Ordering::Relaxed);
        }
        taken == filled
    }

    /// Sends what the program has released, as far as the driver takes it. False if something has to wait.
    fn send_all(
        &mut self,
        held: &mut Inner,
        kring: &Kring,
        mut slots: Span,
    ) -> Result<bool, Untaken> {
        let longest = self.queue.longest();
        self.pool.fit(&self.queue, longest);
        self.starved = false;
        while self.queue.state() == QueueState::Open {
            let stop = self.fill(held, kring, &mut slots, longest);
            if !self.send(held, kring) {
                break;
            }
            match stop {
                Stop::Full => {}
                Stop::Done => return Ok(true),
                Stop::NoMemory => {
                    self.starved = true;
                    break;
                }
                Stop::Bad(at) => return Err(at),
            }
        }
        Ok(false)
    }

    /// [`Self::send_all`] of all that the program has released by now, whose slots are its own again as far as that was taken: it is
    /// copied.
    #[inline]
    fn move_on(&mut self, held: &mut Inner, kring: &Kring) -> Result<bool, Untaken> {
        let (n, begin) = (held.ring.num_slots(), held.cursors.hwcur());
        let sent = self.send_all(held, kring, held.cursors.given_back());
        let now = held.cursors.hwcur();
        self.accepted = self.accepted.saturating_sub(distance(begin, now, n));
        let _ = held.cursors.publish_to(prev(now, n));
        sent
    }

    /// Reads and accepts what waits, and was not accepted already: from now on its buffers are the ring's, whatever the program
    /// writes.
    #[cold]
    fn accept(&mut self, held: &mut Inner) -> Result<(), Untaken> {
        let rest = held.cursors.given_back().rest(self.accepted);
        let end = held.accept_span(rest, true)?;
        self.accepted = distance(held.cursors.hwcur(), end, held.ring.num_slots());
        Ok(())
    }

    /// Has what waits, from `hwcur` on, sent when the driver takes packets again. Without a carrier it is an event of the device
    /// that does it.
    #[cold]
    fn wait(&mut self, hwcur: u32) {
        let state = match self.queue.state() {
            // It was full for a moment.
            QueueState::Open if !self.starved => QueueState::Full,
            state => state,
        };
        // Before the timer is started anew: that the handle goes stops the timer.
        let waited = self.waiting.take().is_some();
        let stands = waited && self.waits_from == hwcur;
        self.waits_from = hwcur;
        if state != QueueState::Closed {
            self.waiting = Some(Retry::start(&self.retry, state, stands));
        }
    }
}

impl Queue for TxQueue {
    fn sync(&self, held: &mut Inner, kring: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        // SAFETY: We are called with the busy flag held.
        let live = unsafe { (*self.live.get()).as_mut() }.ok_or(SyncError::Gone)?;
        if span.is_empty() {
            return Ok(());
        }
        let mut sent = live.move_on(held, kring);
        if let Ok(false) = sent {
            sent = live.accept(held).map(|()| false);
        }
        match sent {
            Ok(true) => live.waiting = None,
            Ok(false) => live.wait(held.cursors.hwcur()),
            Err(at) => {
                // Those before it may wait, and are not set back.
                live.wait(held.cursors.hwcur());
                return Err(SyncError::BadRing { at: Some(at) });
            }
        }
        Ok(())
    }

    fn resume(&self, held: &mut Inner, kring: &Kring) {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { (*self.live.get()).as_mut() }) else {
            return;
        };
        let begin = held.cursors.hwcur();
        let sent = live.move_on(held, kring);
        if let Ok(false) = sent {
            live.wait(held.cursors.hwcur());
        }
        // An impossible slot is for a sync to find.
        if sent.is_err() || held.cursors.hwcur() != begin {
            kring.wake();
        }
    }

    fn has_news(&self, held: &Inner) -> bool {
        // SAFETY: We are called with the busy flag held.
        let Some(live) = (unsafe { (*self.live.get()).as_ref() }) else {
            return true;
        };
        !held.cursors.given_back().is_empty() && live.queue.state() == QueueState::Open
    }
}

/// The slots before `end` are done with. If they have flags that ask for something, these are cleared.
#[inline]
fn release(held: &mut Inner, end: u32, flagged: bool) {
    if flagged {
        clear_flags(held, end);
    }
    // It lies between `hwcur` and the program's head, where the span is.
    let _ = held.cursors.release(end);
}

#[cold]
fn clear_flags(held: &Inner, end: u32) {
    let mut at = held.cursors.hwcur();
    while at != end {
        // SAFETY: Within the ring, as both ends are.
        unsafe {
            let slot = Slot::from_raw(held.ring.read(at));
            let flags = slot.flags & !(NS_BUF_CHANGED | NS_MOREFRAG | NS_REPORT);
            held.ring.write_len_flags(at, slot.len, flags);
        }
        at = next(at, held.ring.num_slots());
    }
}

/// Copies `len` bytes of a buffer to a frame, from its byte `offset` on.
///
/// # Safety
///
/// `from` is a buffer with `len` bytes. At `to`, which is aligned to a word, there is room for the frame and for whole words.
#[inline(always)]
unsafe fn copy(from: NonNull<u8>, to: NonNull<u8>, offset: u32, len: u32) {
    if offset != 0 {
        // A program may write the buffer meanwhile: then it is its own packet that is garbled.
        // SAFETY: By the requirement.
        unsafe {
            to.as_ptr()
                .add(offset as usize)
                .copy_from_nonoverlapping(from.as_ptr(), len as usize);
        }
        return;
    }
    // Most frames are short, and `memcpy` may take many cycles to begin.
    let (from, to) = (from.as_ptr().cast::<u64>(), to.as_ptr().cast::<u64>());
    for word in 0..(len as usize).div_ceil(8) {
        // SAFETY: Buffers begin at multiples of a cache line and are as long; the rest is by the requirement.
        unsafe { to.add(word).write(from.add(word).read_volatile()) };
    }
}
