// SPDX-License-Identifier: GPL-2.0

//! The receive ring of a stack port: what has arrived on connections, grouped by connection.
//!
//! Data are copied to buffers where they arrive ([`super::sockets`]). A sync exchanges these for those of slots. What has found no
//! buffer there is still in its socket, and is read by the sync.

use super::sockets::{PutBack, Registered, Sockets, Stack};
use crate::{
    abi::{
        slot_flags::{NS_STACK_END, NS_STACK_ERROR},
        StackRun, StackRuns,
    },
    logic::{
        arrivals::Next,
        payload::Pointer,
        ring::{add, is_passed, Span, Untaken},
        runs::{Run, Runs},
        slot::Slot, //
    },
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    },
    sys::{
        socket::News,
        softirq::Softirq, //
    },
};
use core::cell::UnsafeCell;

/// Slots that are filled before softirqs are let in again.
const BATCH: usize = 64;
/// How often a sync looks for more in the sockets.
const ROUNDS: usize = 8;

/// Bytes behind the slots of a ring of `slots`, for its runs.
pub(super) fn behind(slots: u32) -> u32 {
    // At most 2^14 slots.
    slots * size_of::<StackRun>() as u32 + size_of::<StackRuns>() as u32
}

/// The queue of a receive ring.
///
/// # Invariants
///
/// `live` is accessed by the holder of the kring's busy flag alone.
pub(super) struct RxQueue {
    live: UnsafeCell<Option<Live>>,
}

// SAFETY: By the type's invariant.
unsafe impl Sync for RxQueue {}
// SAFETY: Nothing in it is bound to a thread.
unsafe impl Send for RxQueue {}

/// What there is while the ring is in use.
struct Live {
    stack: Arc<Stack>,
    /// What is in the slots that are not released.
    runs: Runs<KVVec<Run>>,
    /// Bytes of each slot, as they were published.
    lens: KVVec<u16>,
    /// Connections that need more than their data moved: number, identity, whether they are gone.
    work: KVec<(u32, u32, bool)>,
}

impl RxQueue {
    /// Closed.
    pub(super) fn new() -> Result<Arc<Self>> {
        // INVARIANT: Nobody knows it.
        let queue = Self {
            live: UnsafeCell::new(None),
        };
        Ok(Arc::new(queue, GFP_CHARGED)?)
    }

    /// Opens the ring of `slots` slots for the connections of `stack`.
    ///
    /// # Safety
    ///
    /// The kring is stopped, and the caller holds it.
    pub(super) unsafe fn open(&self, stack: Arc<Stack>, slots: u32) -> Result {
        let live = Live {
            stack,
            runs: Runs::new(KVVec::from_elem(
                Run::default(),
                slots as usize,
                GFP_CHARGED,
            )?),
            lens: KVVec::from_elem(0, slots as usize, GFP_CHARGED)?,
            work: KVec::with_capacity(BATCH, GFP_CHARGED)?,
        };
        // SAFETY: By the requirement nobody else accesses it.
        unsafe { *self.live.get() = Some(live) };
        Ok(())
    }

    /// Closes it.
    ///
    /// # Safety
    ///
    /// As for [`Self::open`].
    pub(super) unsafe fn close(&self) {
        // SAFETY: By the requirement nobody else accesses it.
        drop(unsafe { (*self.live.get()).take() });
    }

    /// Puts back what slots that are not released have of a connection, from the last one on.
    ///
    /// # Safety
    ///
    /// The caller holds the kring.
    pub(super) unsafe fn unread(
        &self,
        held: &Inner,
        connection: &Registered,
        put_back: &mut PutBack<'_>,
    ) {
        // SAFETY: By the requirement nobody else accesses it.
        let Some(live) = (unsafe { (*self.live.get()).as_ref() }) else {
            return;
        };
        // What the program has released without a sync since is released, too.
        let head = held.cursors.released_by(held.ring.head());
        let n = held.ring.num_slots();
        for run in live.runs.iter().rev() {
            if run.serial != connection.serial {
                continue;
            }
            for slot in (0..run.count).rev() {
                let index = add(run.first, slot, n);
                if is_passed(held.cursors.hwcur(), index, head, n) {
                    continue;
                }
                let at = index as usize;
                let (Some(&buffer), Some(&len)) = (held.shadow.get(at), live.lens.get(at)) else {
                    continue;
                };
                if let Some(data) = live.stack.payload(buffer, live.stack.room) {
                    put_back(data, u32::from(len));
                }
            }
        }
    }
}

impl Live {
    /// Takes back what the program has released.
    #[inline]
    fn release(&mut self, held: &mut Inner, span: &Span) -> Result<(), Untaken> {
        let n = held.ring.num_slots();
        let mut taken = 0;
        let mut result = Ok(());
        for index in span.clone() {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { held.ring.read(index) });
            let holders = &self.stack.buffers.holders;
            if !holders.accept(held, index, slot.buf_idx) {
                result = Err(Untaken::alone(index));
                break;
            }
            taken += 1;
        }
        self.runs.release(taken, n);
        let to = result.map_or_else(|at: Untaken| at.slot, |()| span.end());
        // It lies between `hwcur` and the program's head, where the span is.
        let _ = held.cursors.release(to);
        result
    }

    /// Writes a slot that holds no data.
    fn tell(&mut self, held: &Inner, index: u32, (fd, serial): (i32, u32), flags: u16, error: u16) {
        let Some(&buf_idx) = held.shadow.get(index as usize) else {
            return;
        };
        let slot = Slot {
            buf_idx,
            len: 0,
            flags,
        };
        self.stack.buffers.holders.give(buf_idx);
        self.write(held, index, slot, (fd, serial), error);
    }

    #[inline]
    fn write(
        &mut self,
        held: &Inner,
        index: u32,
        slot: Slot,
        (fd, serial): (i32, u32),
        error: u16,
    ) {
        let pointer = Pointer {
            fd,
            offset: self.stack.room,
            error,
        };
        // SAFETY: Its callers have the index from a span of the ring.
        unsafe {
            held.ring.write(index, slot.to_raw());
            held.ring.write_pointer(index, pointer.to_raw());
        }
        self.runs.push(index, fd, serial);
        if let Some(len) = self.lens.get_mut(index as usize) {
            *len = slot.len;
        }
    }

    /// Fills slots with what has arrived, a batch of them. Returns whether there may be more to do with the slots that are left; what
    /// needs work besides is in `work`.
    #[inline]
    fn fill(
        &mut self,
        held: &mut Inner,
        sockets: &Sockets,
        vacant: &mut Span,
        bytes: &mut u64,
    ) -> bool {
        let stack = self.stack.clone();
        let softirqs = Softirq::off();
        let mut arrivals = stack.arrivals(&softirqs);
        // No connection has it.
        let mut looked_at = 0;
        for _ in 0..BATCH {
            let Some((id, fd, serial)) = arrivals.head() else {
                return false;
            };
            if serial != looked_at {
                let connection = sockets.get(id, serial);
                if connection.is_none_or(|connection| connection.is_closed()) {
                    // Whoever has its number now would take what it has for its own.
                    arrivals.skip();
                    // There is room for a batch.
                    let _ = self.work.push_within_capacity((id, serial, true));
                    continue;
                }
                looked_at = serial;
            }
            let index = vacant.begin();
            if let Some(entry) = held.shadow.get_mut(index as usize) {
                let former = *entry;
                let taken = if Span::is_empty(vacant) {
                    None
                } else {
                    arrivals.take_data(former)
                };
                if let Some(taken) = taken {
                    let _ = vacant.next();
                    *entry = taken.buffer;
                    // The former one is the kernel's, as that of any slot which is.
                    stack.buffers.holders.give(taken.buffer);
                    let slot = Slot {
                        buf_idx: taken.buffer,
                        len: taken.len,
                        flags: 0,
                    };
                    self.write(held, index, slot, (taken.fd, taken.serial), 0);
                    *bytes = bytes.wrapping_add(u64::from(taken.len));
                    continue;
                }
            }
            match arrivals.due() {
                // There is no slot for it.
                Next::Data => return false,
                Next::End => {
                    let Some(index) = vacant.next() else {
                        return false;
                    };
                    self.tell(held, index, (fd, serial), NS_STACK_END, 0);
                    arrivals.end_told();
                }
                Next::Error(error) => {
                    let Some(index) = vacant.next() else {
                        return false;
                    };
                    self.tell(held, index, (fd, serial), NS_STACK_ERROR, error);
                    arrivals.error_told();
                }
                Next::Nothing { left, gone } => {
                    if left || gone {
                        // There is room for a batch.
                        let _ = self.work.push_within_capacity((id, serial, gone));
                    }
                }
            }
        }
        true
    }

    /// Reads what is left in sockets, and forgets connections that are gone. Returns whether there was any.
    fn work(&mut self) -> bool {
        let any = !self.work.is_empty();
        for (id, serial, gone) in self.work.drain_all() {
            if gone {
                self.stack.forget(id, serial);
                continue;
            }
            let Some(connection) = self.stack.connection(id, serial) else {
                continue;
            };
            let news = match connection.lock() {
                // It was disconnected, and its error is to be told.
                Some(locked) if locked.is_dead() && !connection.is_closed() => {
                    drop(locked);
                    connection.note(News::NONE, 0);
                    continue;
                }
                Some(locked) if locked.is_dead() => None,
                Some(mut locked) => Some(locked.drain()),
                // There is news of its end.
                None => continue,
            };
            match news {
                Some(news) if news.left() || news.ended() => connection.note(news, 0),
                Some(_) => {}
                // Nobody has it open any more.
                None => self.stack.forget(id, serial),
            }
        }
        any
    }

    /// Writes the runs for the program.
    #[inline]
    fn publish_runs(&self, held: &Inner) {
        let runs = held.ring.at(held.ring.num_slots()).cast::<StackRuns>();
        // SAFETY: The ring has room for this behind its slots, see `behind`: for as many runs as it has slots. The accesses are
        // volatile.
        unsafe {
            let first = (&raw mut (*runs).run).cast::<StackRun>();
            for (index, run) in self.runs.iter().enumerate() {
                // By fields: as a whole it would be put together on the stack before.
                let to = first.add(index);
                (&raw mut (*to).fd).write_volatile(run.fd);
                (&raw mut (*to).first).write_volatile(run.first);
                (&raw mut (*to).count).write_volatile(run.count);
            }
            (&raw mut (*runs).count).write_volatile(self.runs.len());
        }
    }

    fn sync(&mut self, held: &mut Inner, kring: &Kring, span: &Span) -> Result<(), SyncError> {
        let released = self.release(held, span);
        let mut vacant = held.cursors.vacant();
        let room = vacant.len();
        let mut bytes = 0;
        let stack = self.stack.clone();
        if released.is_ok() {
            for _ in 0..ROUNDS {
                let sockets = stack.sockets();
                while self.fill(held, &sockets, &mut vacant, &mut bytes) && self.work.is_empty() {}
                drop(sockets);
                if !self.work() {
                    break;
                }
            }
            if stack.has_notices() {
                let sockets = stack.sockets();
                while !vacant.is_empty() {
                    let Some((fd, error)) = stack.notice(&sockets) else {
                        break;
                    };
                    if let Some(index) = vacant.next() {
                        self.tell(held, index, (fd, 0), NS_STACK_ERROR, error);
                    }
                }
            }
            // What comes from now on wakes who sleeps. What has come since we looked, or is more than one sync does, has woken nobody.
            let is_empty = stack.is_quiet();
            if !is_empty && !vacant.is_empty() {
                kring.wake();
            }
        }
        let filled = room - vacant.len();
        if filled != 0 {
            Counters::add(&kring.counters.packets, u64::from(filled));
            Counters::add(&kring.counters.bytes, bytes);
            // They are the first ones of those that the port has.
            let _ = held.cursors.publish(filled);
        }
        if filled != 0 || !span.is_empty() {
            self.publish_runs(held);
        }
        released.map_err(|at| SyncError::BadRing { at: Some(at) })
    }
}

impl Queue for RxQueue {
    fn sync(&self, held: &mut Inner, kring: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        // SAFETY: We are called with the busy flag held.
        let live = unsafe { (*self.live.get()).as_mut() }.ok_or(SyncError::Gone)?;
        live.sync(held, kring, &span)
    }
}
