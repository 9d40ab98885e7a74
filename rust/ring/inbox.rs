// SPDX-License-Identifier: GPL-2.0

//! The receive side of everything whose packets come from another context than that of the program: a softirq, or another
//! port's sender.
//!
//! An [`Inbox`] is the queue behind a receive kring, and where senders deliver. Who is where in the ring is decided in
//! [`crate::logic::inbox`]: a sender has no use for the kring's busy flag, and a sync none for the lock of the senders.
//!
//! Nothing that a program can write decides where a sender writes: not the cursors in the ring, which a sync has checked before
//! it released slots, and not the slots, whose buffers a sender takes from a table of the kernel's own.

use super::{
    counters::Counters,
    kring::Kring,
    queue::{Inner, Queue, SyncError},
};
use crate::{
    abi::slot_flags::NS_MOREFRAG,
    atomic::{AtomicBool, AtomicU32, Ordering},
    logic::{
        inbox::{Halves, Producer},
        ring::Span,
        slot::Slot, //
    },
    mem::{Region, SharedRing},
    prelude::*,
    sys::softirq::Softirq, //
};
use core::ptr::NonNull;
use kernel::sync::{new_spinlock, SpinLock, SpinLockGuard};

/// The queue of a receive kring, open for senders while the ring is in use.
#[pin_data]
pub(crate) struct Inbox {
    kring: Arc<Kring>,
    halves: Halves,
    /// The buffer of each slot that is the senders': a sync stores it before it releases the slot.
    table: KVVec<AtomicU32>,
    /// At a glance, whether `producer` is there.
    is_open: AtomicBool,
    /// A leaf, taken by one sender at a time: under it nothing sleeps, and nothing of a program's memory is touched but the ring
    /// and its buffers, which are mapped in the kernel.
    #[pin]
    producer: SpinLock<Option<Opened>>,
}

/// What senders need of a ring that is in use.
struct Opened {
    half: Producer,
    ring: SharedRing,
    region: Arc<Region>,
    buf_size: u32,
}

impl Inbox {
    /// The queue of a kring of `slots` slots, closed.
    pub(crate) fn new(kring: Arc<Kring>, slots: u32) -> Result<Arc<Self>> {
        let mut table = KVVec::with_capacity(slots as usize, GFP_CHARGED)?;
        for _ in 0..slots {
            table.push(AtomicU32::new(0), GFP_CHARGED)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                kring,
                halves: Halves::new(),
                table,
                is_open: AtomicBool::new(false),
                producer <- new_spinlock!(None, "netmap_inbox"),
            }),
            GFP_CHARGED,
        )
    }

    /// Lets senders into the ring of `inner`, which is that of the inbox's kring. The caller has the kring stopped, and closes the
    /// inbox before the ring's memory goes.
    pub(crate) fn open(&self, inner: &Inner) -> Result {
        if inner.shadow.len() != self.table.len() {
            return Err(EINVAL);
        }
        self.note(inner, 0..self.table.len());
        let softirqs = Softirq::off();
        let mut producer = self.lock(&softirqs);
        if producer.is_some() {
            return Err(EBUSY);
        }
        *producer = Some(Opened {
            half: self.halves.open(&inner.cursors),
            ring: inner.ring,
            region: inner.region.clone(),
            buf_size: inner.buf_size,
        });
        self.is_open.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Keeps senders out: when it returns, none is in the ring or its buffers any more.
    pub(crate) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        let opened = {
            let softirqs = Softirq::off();
            let mut producer = self.lock(&softirqs);
            producer.take()
        };
        // Not under the lock: it may have the region's last reference.
        drop(opened);
    }

    /// Whether senders are let in, at a glance.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Counts packets that are lost before they get here.
    pub(crate) fn lost(&self, packets: u64) {
        self.kring
            .counters
            .drops
            .fetch_add(packets, Ordering::Relaxed);
    }

    /// Begins a delivery; [`None`] if the inbox is closed. What is delivered is seen when the delivery is dropped.
    #[inline]
    pub(crate) fn deliver<'a>(&'a self, softirq: &'a Softirq) -> Option<Delivery<'a>> {
        let producer = self.lock(softirq);
        producer.is_some().then_some(Delivery {
            inbox: self,
            producer,
            packets: 0,
            bytes: 0,
            wake: Wake {
                kring: &self.kring,
                wanted: false,
            },
        })
    }

    #[inline]
    fn lock<'a>(&'a self, _softirq: &'a Softirq) -> SpinLockGuard<'a, Option<Opened>> {
        self.producer.lock()
    }

    /// Stores the buffers of these slots, as the kernel knows them, for the senders.
    #[inline]
    fn note(&self, inner: &Inner, slots: core::ops::Range<usize>) {
        let table = self.table.get(slots.clone()).unwrap_or(&[]);
        let shadow = inner.shadow.get(slots).unwrap_or(&[]);
        for (entry, buf_idx) in table.iter().zip(shadow) {
            entry.store(*buf_idx, Ordering::Relaxed);
        }
    }
}

impl Queue for Inbox {
    fn sync(&self, held: &mut Inner, _: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        let (begin, end) = (span.begin(), span.end());
        let accepted = held.accept_span(span.clone(), false);
        // A slot at fault lies between `hwcur` and the program's head, where the span is.
        let to = accepted.map_or_else(|at| at.slot, |_| end);
        if to != begin {
            let _ = held.cursors.release(to);
            let released = Span::new(begin, to, span.num_slots());
            let (first, second) = released.map_or((0..0, 0..0), |span| span.segments());
            for part in [first, second] {
                self.note(held, part.start as usize..part.end as usize);
            }
            self.halves.release(held.cursors.hwcur());
        }
        if let Err(at) = accepted {
            return Err(SyncError::BadRing { at: Some(at) });
        }
        held.cursors
            .publish_to(self.halves.look())
            .map_err(|_| SyncError::BadRing { at: None })
    }

    fn has_news(&self, held: &Inner) -> bool {
        self.halves.published() != held.cursors.hwtail()
    }
}

/// Why a packet was not delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Undelivered {
    /// There is no room in the ring now; it is counted as a drop of the ring.
    Full,
    /// It needs more slots than the ring can ever have free, or could not be copied; it is counted as an error of the ring.
    Impossible,
}

/// A sender at work: the only one in its inbox.
pub(crate) struct Delivery<'a> {
    inbox: &'a Inbox,
    /// There is something in it as long as this exists.
    producer: SpinLockGuard<'a, Option<Opened>>,
    packets: u64,
    bytes: u64,
    /// After the lock, so that it is dropped when that is free.
    wake: Wake<'a>,
}

/// Wakes the sleepers of a ring when it is dropped, if it is wanted.
struct Wake<'a> {
    kring: &'a Kring,
    wanted: bool,
}

impl Drop for Wake<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.wanted {
            self.kring.wake();
        }
    }
}

impl Delivery<'_> {
    /// Delivers a packet of `len` bytes, all of it or nothing. `copy` is called for each buffer that it needs: it copies as many bytes
    /// of the packet, from that offset on, to the address, and says whether it could. It neither sleeps nor takes a lock.
    #[inline]
    pub(crate) fn put(
        &mut self,
        len: u32,
        mut copy: impl FnMut(u32, NonNull<u8>, u32) -> bool,
    ) -> Result<(), Undelivered> {
        let counters = &self.inbox.kring.counters;
        let impossible = || {
            counters.errors.fetch_add(1, Ordering::Relaxed);
            Undelivered::Impossible
        };
        let Some(opened) = &mut *self.producer else {
            return Err(Undelivered::Full);
        };
        let size = opened.buf_size;
        let count = if len <= size { 1 } else { len.div_ceil(size) };
        if count > opened.half.most() {
            return Err(impossible());
        }
        let Some(lease) = opened.half.lease(&self.inbox.halves, count) else {
            self.inbox.lost(1);
            return Err(Undelivered::Full);
        };
        let mut offset = 0;
        for index in lease.slots() {
            // The kernel's own notion of what is in the slot: a program may write anything there.
            let entry = self.inbox.table.get(index as usize);
            let buf_idx = entry.map_or(0, |entry| entry.load(Ordering::Relaxed));
            let part = size.min(len - offset);
            let (Some(buffer), Ok(slot_len)) =
                (opened.region.buf_ptr(buf_idx), u16::try_from(part))
            else {
                return Err(impossible());
            };
            if !copy(offset, buffer, part) {
                return Err(impossible());
            }
            offset += part;
            let slot = Slot {
                buf_idx,
                len: slot_len,
                flags: if offset < len { NS_MOREFRAG } else { 0 },
            };
            // SAFETY: Indices of a lease of this ring are below its number of slots, and the ring is there until the inbox is closed,
            // which waits for us.
            unsafe { opened.ring.write(index, slot.to_raw()) };
        }
        lease.fill();
        self.packets += 1;
        self.bytes += u64::from(len);
        Ok(())
    }
}

impl Drop for Delivery<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.packets == 0 {
            return;
        }
        let counters = &self.inbox.kring.counters;
        Counters::add(&counters.packets, self.packets);
        Counters::add(&counters.bytes, self.bytes);
        if let Some(opened) = &*self.producer {
            // Once for all that comes until the ring is synced.
            self.wake.wanted = opened.half.publish(&self.inbox.halves);
        }
    }
}
