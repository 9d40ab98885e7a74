// SPDX-License-Identifier: GPL-2.0

//! The transmit ring of a stack port: payload for connections.
//!
//! TCP takes payload as it lies in the buffer, which it holds until all of it was acknowledged; the slot gets another one of
//! the pool. When the pool is used up, TCP takes a copy.
//!
//! What TCP does not take stays in the ring. A sync goes through all slots that the program has handed over, those of former
//! syncs first. Slots that are done with are written to the front, where they become the program's again, and those that stay
//! behind them, in their order. Of a connection that has refused a slot nothing more is tried in that sync, so that its stream stays
//! in order; others go on.
//!
//! Where a slot that stays has its payload, and whose it is, the kernel remembers: what the program writes there meanwhile changes
//! nothing.

use super::sockets::{Connection, Registered, Sockets, Stack, NOTHING};
use crate::{
    atomic::Ordering,
    logic::{
        payload::{Payload, Pointer},
        ring::{next, prev, Span, Untaken},
        slot::Slot, //
    },
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    },
    sys::socket::Locked, //
};
use core::cell::UnsafeCell;

/// The queue of a transmit ring.
///
/// # Invariants
///
/// `live` is accessed by the holder of the kring's busy flag alone.
pub(super) struct TxQueue {
    live: UnsafeCell<Option<Live>>,
}

// SAFETY: By the type's invariant.
unsafe impl Sync for TxQueue {}
// SAFETY: Nothing in it is bound to a thread.
unsafe impl Send for TxQueue {}

/// A slot that TCP has refused.
#[derive(Clone, Copy, Default)]
struct Waiting {
    fd: i32,
    /// Number and identity of its connection.
    id: u32,
    serial: u32,
    buffer: u32,
    payload: Payload,
}

/// What there is while the ring is in use.
struct Live {
    stack: Arc<Stack>,
    /// Those slots from `hwcur` on that were refused, in their order.
    waiting: KVVec<Waiting>,
    /// Those that are refused in the sync under way.
    refused: KVVec<Waiting>,
    /// Which sync it is, to know which connections have refused something in it. Not 0.
    turn: u32,
    /// The descriptor of which the program was told that there is no memory to register it.
    told: Option<i32>,
}

impl TxQueue {
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
            waiting: KVVec::with_capacity(slots as usize, GFP_CHARGED)?,
            refused: KVVec::with_capacity(slots as usize, GFP_CHARGED)?,
            turn: 1,
            told: None,
        };
        // SAFETY: By the requirement nobody else accesses it.
        unsafe { *self.live.get() = Some(live) };
        Ok(())
    }

    /// Closes it: what waits is not sent.
    ///
    /// # Safety
    ///
    /// As for [`Self::open`].
    pub(super) unsafe fn close(&self) {
        // SAFETY: By the requirement nobody else accesses it.
        drop(unsafe { (*self.live.get()).take() });
    }
}

/// What became of a slot.
enum Done {
    /// It is the program's, with this buffer.
    Free(u32),
    /// It stays.
    Refused(Waiting),
}

/// A sync under way.
struct Turn<'a> {
    stack: &'a Arc<Stack>,
    number: u32,
    sent: u64,
    bytes: u64,
    dropped: u64,
    /// The descriptor that could not be registered last.
    failed: Option<i32>,
    /// That of [`Live::told`].
    told: Option<i32>,
    /// The connection that was found to be closed last.
    stale: u32,
}

impl Turn<'_> {
    /// The connection of a slot, registered if it is new. [`None`] if that is not possible; the program is told so. `ENOMEM` if there is
    /// no memory for that now.
    fn connection(
        &mut self,
        sockets: &mut Sockets,
        slot: &Waiting,
        is_new: bool,
    ) -> Result<Option<Arc<Connection>>> {
        if !is_new {
            let connection = sockets.get(slot.id, slot.serial).cloned();
            // It is told once.
            if connection.is_none() && self.stale != slot.serial {
                self.stale = slot.serial;
                self.stack.notify(slot.fd, slot.serial, ESTALE);
            }
            return Ok(connection);
        }
        if let Some(connection) = sockets.find(slot.fd) {
            return Ok(Some(connection.clone()));
        }
        // Of the same one it is told once.
        if self.failed == Some(slot.fd) {
            return Ok(None);
        }
        match sockets.register(self.stack, slot.fd) {
            Ok(connection) => Ok(Some(connection)),
            // Were it dropped, a later one might be sent, and the stream have a hole.
            Err(ENOMEM) => {
                if self.told != Some(slot.fd) {
                    self.told = Some(slot.fd);
                    self.stack.notify(slot.fd, 0, ENOMEM);
                }
                Err(ENOMEM)
            }
            Err(error) => {
                self.failed = Some(slot.fd);
                self.stack.notify(slot.fd, 0, error);
                Ok(None)
            }
        }
    }

    /// Sends the payload of a slot on the connection, which is locked and not dead.
    fn send(
        &mut self,
        connection: &Registered,
        locked: &mut Locked<'_, Registered>,
        slot: Waiting,
        more: bool,
    ) -> Done {
        let slot = Waiting {
            id: connection.id,
            serial: connection.serial,
            ..slot
        };
        if connection.refused.load(Ordering::Relaxed) == self.number {
            return Done::Refused(slot);
        }
        if connection.ended.load(Ordering::Relaxed) {
            self.dropped += 1;
            return Done::Free(slot.buffer);
        }
        let len = u32::from(slot.payload.len());
        let Some(data) = self.stack.payload(slot.buffer, slot.payload.offset()) else {
            return Done::Free(slot.buffer);
        };
        let mut buffer = slot.buffer;
        // SAFETY: The payload lies within its buffer, which lives as long as the region, and that as long as the pool's owner. We
        // hold the kring, and nobody else uses the pool.
        let sent = unsafe { locked.send(&self.stack.buffers.pool, data, len, more, &mut buffer) };
        match sent {
            Ok(sent) if sent >= len => {
                self.sent += 1;
                self.bytes = self.bytes.wrapping_add(u64::from(len));
                Done::Free(buffer)
            }
            Ok(sent) => {
                self.bytes = self.bytes.wrapping_add(u64::from(sent));
                // Less than the length of a slot.
                let payload = slot.payload.without(sent as u16);
                let to = self.stack.payload(buffer, payload.offset());
                if let Some(to) = to.filter(|_| buffer != slot.buffer) {
                    // TCP has the buffer with the part that it took: the rest goes to the one that the slot has now.
                    // SAFETY: It lies within both buffers, as the whole did; they are different ones.
                    unsafe {
                        let from = data.add(sent as usize);
                        from.copy_to_nonoverlapping(to, usize::from(payload.len()));
                    }
                }
                connection.stall();
                self.refuse(
                    connection,
                    Waiting {
                        buffer,
                        payload,
                        ..slot
                    },
                )
            }
            Err(EAGAIN) => {
                connection.stall();
                self.refuse(connection, slot)
            }
            // There is no memory, and nobody will say when there is.
            Err(ENOBUFS) => {
                self.stack.retry();
                self.refuse(connection, slot)
            }
            Err(error) => {
                self.dropped += 1;
                connection.ended.store(true, Ordering::Relaxed);
                // Of the end of the connection it is told anyway.
                if error == EPIPE {
                    self.stack.notify(slot.fd, connection.serial, error);
                }
                Done::Free(buffer)
            }
        }
    }

    /// Nothing more is tried on the connection in this sync.
    fn refuse(&mut self, connection: &Registered, slot: Waiting) -> Done {
        connection.refused.store(self.number, Ordering::Relaxed);
        Done::Refused(slot)
    }
}

/// A slot that the program has handed over, read and checked: its buffer is the kernel's from now on. [`None`] if it is impossible.
#[inline]
fn read(held: &mut Inner, stack: &Stack, index: u32) -> Option<Waiting> {
    // SAFETY: Its callers have the index from a span of the ring.
    let (slot, pointer) = unsafe {
        (
            Slot::from_raw(held.ring.read(index)),
            Pointer::from_raw(held.ring.read_pointer(index)),
        )
    };
    let payload = Payload::of(&slot, &pointer, held.buf_size)?;
    if !stack.buffers.holders.accept(held, index, slot.buf_idx) {
        return None;
    }
    Some(Waiting {
        fd: pointer.fd,
        buffer: slot.buf_idx,
        payload,
        ..Waiting::default()
    })
}

/// The slots of a sync, in their order.
struct Walk {
    /// The slot that comes next, and how many there are from it on.
    index: u32,
    left: u32,
    /// How many are behind us.
    position: usize,
}

impl Live {
    /// The next slot, if there is one: that, and whether it is new. The error is the slot at fault.
    #[inline]
    fn peek(&self, held: &mut Inner, walk: &Walk) -> Result<Option<(Waiting, bool)>, Untaken> {
        if walk.left == 0 {
            return Ok(None);
        }
        if let Some(slot) = self.waiting.get(walk.position) {
            return Ok(Some((*slot, false)));
        }
        match read(held, &self.stack, walk.index) {
            Some(slot) => Ok(Some((slot, true))),
            None => Err(Untaken::alone(walk.index)),
        }
    }

    /// A slot has been dealt with; `to` is where the next one goes that is done with.
    #[inline]
    fn settle(&mut self, held: &mut Inner, walk: &mut Walk, to: &mut u32, done: Done) {
        let n = held.ring.num_slots();
        match done {
            Done::Free(buffer) => {
                self.stack.buffers.holders.give(buffer);
                write(held, *to, buffer, 0, Pointer::unnamed(self.stack.room));
                *to = next(*to, n);
            }
            Done::Refused(slot) => {
                // There is room for as many as the ring has slots.
                let _ = self.refused.push_within_capacity(slot);
            }
        }
        walk.index = next(walk.index, n);
        walk.left -= 1;
        walk.position += 1;
    }

    /// Goes through the slots of `span`. Returns the slot behind those that are done with, and the one at fault, if any.
    fn send_all(&mut self, held: &mut Inner, kring: &Kring, span: &Span) -> (u32, Option<Untaken>) {
        let stack = self.stack.clone();
        self.turn = self.turn.wrapping_add(1).max(1);
        self.refused.clear();
        let mut turn = Turn {
            stack: &stack,
            number: self.turn,
            sent: 0,
            bytes: 0,
            dropped: 0,
            failed: None,
            told: self.told.take(),
            stale: 0,
        };
        let mut to = span.begin();
        let mut walk = Walk {
            index: to,
            left: span.len(),
            position: 0,
        };
        let mut sockets = stack.sockets();
        let mut peeked = self.peek(held, &walk);
        while let Ok(Some((slot, is_new))) = peeked {
            let connection = if slot.payload.is_empty() {
                Ok(None)
            } else {
                turn.connection(&mut sockets, &slot, is_new)
            };
            let Ok(connection) = connection else {
                // It stays as it is, with all that follow, as if it had not been handed over yet.
                stack.buffers.holders.give(slot.buffer);
                stack.retry();
                break;
            };
            let Some(connection) = connection else {
                turn.dropped += u64::from(!slot.payload.is_empty());
                self.settle(held, &mut walk, &mut to, Done::Free(slot.buffer));
                peeked = self.peek(held, &walk);
                continue;
            };
            // One that was closed meanwhile is to be forgotten, for its number may be another's.
            if connection.refused.load(Ordering::Relaxed) == turn.number
                || connection.is_stalled() && connection.is_open()
            {
                let slot = Waiting {
                    id: connection.id,
                    serial: connection.serial,
                    ..slot
                };
                let done = turn.refuse(&connection, slot);
                self.settle(held, &mut walk, &mut to, done);
                peeked = self.peek(held, &walk);
                continue;
            }
            let locked = connection.lock().filter(|locked| !locked.is_dead());
            let Some(mut locked) = locked else {
                // It is closed. A slot that was there before is dropped; the number of a new one may be another connection's.
                sockets.end(&stack, &connection, NOTHING);
                continue;
            };
            // All slots of the connection that follow are sent with one lock.
            let mut slot = slot;
            loop {
                // The slot at `to` may be this one, which has been read.
                let ahead = Walk {
                    index: next(walk.index, held.ring.num_slots()),
                    left: walk.left - 1,
                    position: walk.position + 1,
                };
                peeked = self.peek(held, &ahead);
                let following = match &peeked {
                    Ok(Some((slot, is_new))) => {
                        let same = if *is_new {
                            slot.fd == connection.fd
                                && sockets
                                    .find(slot.fd)
                                    .is_some_and(|other| Arc::ptr_eq(other, &connection))
                        } else {
                            slot.serial == connection.serial
                        };
                        (same && !slot.payload.is_empty()).then_some(*slot)
                    }
                    _ => None,
                };
                let done = turn.send(&connection, &mut locked, slot, following.is_some());
                self.settle(held, &mut walk, &mut to, done);
                match following {
                    Some(following) => slot = following,
                    None => break,
                }
            }
        }
        drop(sockets);
        self.told = turn.told;
        let n = held.ring.num_slots();
        let mut at = to;
        for slot in self.refused.iter() {
            let pointer = Pointer {
                fd: slot.fd,
                offset: slot.payload.offset(),
                error: 0,
            };
            write(held, at, slot.buffer, slot.payload.len(), pointer);
            at = next(at, n);
        }
        core::mem::swap(&mut self.waiting, &mut self.refused);
        Counters::add(&kring.counters.packets, turn.sent);
        Counters::add(&kring.counters.bytes, turn.bytes);
        let drops = &kring.counters.drops;
        if turn.dropped != 0 {
            drops.fetch_add(turn.dropped, Ordering::Relaxed);
        }
        (to, peeked.err())
    }
}

/// Writes a slot.
#[inline]
fn write(held: &mut Inner, index: u32, buf_idx: u32, len: u16, pointer: Pointer) {
    if let Some(entry) = held.shadow.get_mut(index as usize) {
        *entry = buf_idx;
        let slot = Slot {
            buf_idx,
            len,
            flags: 0,
        };
        // SAFETY: There is an entry of the shadow for each slot.
        unsafe {
            held.ring.write(index, slot.to_raw());
            held.ring.write_pointer(index, pointer.to_raw());
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
        let (to, bad) = live.send_all(held, kring, &span);
        // It lies in the span.
        let _ = held.cursors.release(to);
        let _ = held.cursors.publish_to(prev(to, held.ring.num_slots()));
        match bad {
            Some(at) => Err(SyncError::BadRing { at: Some(at) }),
            None => Ok(()),
        }
    }
}
