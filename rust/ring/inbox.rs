// SPDX-License-Identifier: GPL-2.0

//! The receive side of everything whose packets come from another context than that of the program: a softirq, or another
//! port's sender.
//!
//! An [`Inbox`] is the queue behind a receive kring, and where senders deliver. Who is where in the ring is decided in
//! [`crate::logic::inbox`]: a sender has no use for the kring's busy flag, and a sync none for the lock of the senders.
//!
//! Nothing that a program can write decides where a sender writes: not the cursors in the ring, which a sync has checked before
//! it released slots, and not the slots, whose buffers a sender takes from a table of the kernel's own.

mod run;
mod together;

use super::{
    counters::Counters,
    kring::Kring,
    queue::{Inner, Queue, SyncError},
};
use crate::{
    abi::slot_flags::{NS_MOREFRAG, NS_PORT_SHIFT},
    atomic::{AtomicBool, AtomicU32, Ordering},
    logic::{
        inbox::{Halves, Producer},
        ring::Span,
        slot::Slot, //
    },
    mem::{Region, SharedRing},
    prelude::*,
    sys::{frame::Bytes, softirq::Softirq}, //
};
use core::ptr::NonNull;
use kernel::sync::{new_spinlock, SpinLock, SpinLockGuard};
pub(crate) use run::{packets_in, Fragment, NotDelivered};

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
    /// Bytes that fit a slot: those of its buffer, as far as a slot can say them.
    longest: u32,
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
            longest: inner.buf_size.min(u32::from(u16::MAX)),
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

    /// Delivers a packet that lies in one piece, all of it or nothing: what finds no room is counted as a drop of the ring, and what
    /// never will as an error. False if the inbox is closed.
    #[inline(always)]
    pub(crate) fn deliver(&self, softirq: &Softirq, packet: Bytes<'_>) -> bool {
        let mut producer = self.lock(softirq);
        let Some(opened) = &mut *producer else {
            return false;
        };
        let len = packet.len();
        let put = if len <= opened.longest {
            self.put(opened, packet)
        } else {
            // SAFETY: It is asked for bytes at an address that is valid for writes.
            self.put_in_parts(opened, len, false, &mut |offset, to, len| unsafe {
                packet.copy(offset, to, len)
            })
        };
        let wake = put && self.show(opened, len);
        // A sleeper is woken when the lock is free.
        drop(producer);
        if wake {
            self.wake();
        }
        true
    }

    /// [`Self::deliver`] for any other packet, of `len` bytes. `copy` is called for each buffer that it needs, with an address that is
    /// valid for writes: it copies as many bytes of the packet, from that offset on, to the address, and says whether it could. It
    /// neither sleeps nor takes a lock.
    pub(crate) fn deliver_parts(
        &self,
        softirq: &Softirq,
        len: u32,
        copy: &mut dyn FnMut(u32, NonNull<u8>, u32) -> bool,
    ) -> bool {
        let mut producer = self.lock(softirq);
        let Some(opened) = &mut *producer else {
            return false;
        };
        let wake = self.put_in_parts(opened, len, false, copy) && self.show(opened, len);
        drop(producer);
        if wake {
            self.wake();
        }
        true
    }

    /// [`Self::deliver_parts`] for a sender that tells by the flags of each slot how many the packet has, and calls [`Self::wake`]
    /// itself, if this returns true. Errors are not counted.
    pub(crate) fn deliver_counted(
        &self,
        softirq: &Softirq,
        len: u32,
        copy: &mut dyn FnMut(u32, NonNull<u8>, u32) -> bool,
    ) -> Result<bool, NotDelivered> {
        let mut producer = self.lock(softirq);
        let Some(opened) = &mut *producer else {
            return Err(NotDelivered::Closed);
        };
        Ok(self.put_in_parts(opened, len, true, copy) && self.show(opened, len))
    }

    /// Counts a packet that was put into the ring, and shows it. True if a sleeper is to be woken: once for all that comes until the
    /// ring is synced.
    #[inline(always)]
    fn show(&self, opened: &Opened, len: u32) -> bool {
        let counters = &self.kring.counters;
        Counters::add(&counters.packets, 1);
        Counters::add(&counters.bytes, u64::from(len));
        opened.half.publish(&self.halves)
    }

    /// Wakes whoever waits for the ring.
    #[cold]
    #[inline(never)]
    pub(crate) fn wake(&self) {
        self.kring.wake();
    }

    /// Counts a packet that was not delivered because it makes no sense.
    pub(crate) fn damaged(&self) {
        self.impossible();
    }

    /// Counts a packet that can never be delivered.
    #[cold]
    fn impossible(&self) -> bool {
        self.kring.counters.errors.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Counts a packet for which there is no room now.
    #[cold]
    fn full(&self) -> bool {
        self.lost(1);
        false
    }

    /// Puts a packet into the next slot, into whose buffer it fits.
    #[inline(always)]
    fn put(&self, opened: &mut Opened, packet: Bytes<'_>) -> bool {
        let Some(lease) = opened.half.lease_one(&self.halves) else {
            return self.full();
        };
        let index = lease.slots().begin();
        let Some((buf_idx, buffer)) = self.buffer_of(&opened.region, index) else {
            return self.impossible();
        };
        // SAFETY: It fits the buffer.
        unsafe { packet.copy_all(buffer) };
        let slot = Slot {
            buf_idx,
            len: packet.len() as u16,
            flags: 0,
        };
        // SAFETY: The index of a lease of this ring is below its number of slots, and the ring is there until the inbox is closed,
        // which waits for us.
        unsafe { opened.ring.write(index, slot.to_raw()) };
        lease.fill();
        true
    }

    /// Puts a packet into as many slots as it needs, and says in each how many they are if they are `counted`.
    #[inline(never)]
    fn put_in_parts(
        &self,
        opened: &mut Opened,
        len: u32,
        counted: bool,
        copy: &mut dyn FnMut(u32, NonNull<u8>, u32) -> bool,
    ) -> bool {
        let size = opened.longest;
        let count = len.div_ceil(size).max(1);
        if count > opened.half.most() {
            return self.impossible();
        }
        let Some(lease) = opened.half.lease(&self.halves, count) else {
            return self.full();
        };
        // As C netmap, of which a byte of the flags has no more than the low bits.
        let number = if counted {
            (count as u16) << NS_PORT_SHIFT
        } else {
            0
        };
        let mut offset = 0;
        for index in lease.slots() {
            let part = size.min(len - offset);
            let Some((buf_idx, buffer)) = self.buffer_of(&opened.region, index) else {
                return self.impossible();
            };
            if !copy(offset, buffer, part) {
                return self.impossible();
            }
            offset += part;
            let slot = Slot {
                buf_idx,
                len: part as u16,
                flags: number | if offset < len { NS_MOREFRAG } else { 0 },
            };
            // SAFETY: As in `put`.
            unsafe { opened.ring.write(index, slot.to_raw()) };
        }
        lease.fill();
        true
    }

    /// What is in a slot by the kernel's own notion: a program may write anything there.
    #[inline(always)]
    fn buffer_of(&self, region: &Region, index: u32) -> Option<(u32, NonNull<u8>)> {
        let buf_idx = self.table.get(index as usize)?.load(Ordering::Relaxed);
        Some((buf_idx, region.buf_ptr(buf_idx)?))
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
