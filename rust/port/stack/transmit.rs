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
    sys::socket::{Locked, Piece}, //
};
use core::cell::UnsafeCell;

/// Slots of a connection that go to TCP together: as many as a packet of TCP has pieces.
const BATCH: usize = 17;
/// Slots that are read before what is in them is sent.
const CHUNK: usize = 4 * BATCH;

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

/// A slot that is to be sent.
#[derive(Clone, Copy, Default)]
struct Waiting {
    fd: i32,
    /// Number and identity of its connection, if TCP has refused it; otherwise its descriptor says whose it is, and the identity is 0.
    id: u32,
    serial: u32,
    buffer: u32,
    payload: Payload,
}

impl Waiting {
    /// Whether it is of the same connection as `other`, and has payload.
    #[inline]
    fn goes_with(&self, other: &Self) -> bool {
        self.fd == other.fd && self.serial == other.serial && !self.payload.is_empty()
    }
}

/// What there is while the ring is in use.
struct Live {
    stack: Arc<Stack>,
    /// Those slots from `hwcur` on that were refused, in their order.
    waiting: KVVec<Waiting>,
    /// Those that are refused in the sync under way.
    refused: KVVec<Waiting>,
    /// Those that were read and not yet dealt with.
    chunk: KVec<Waiting>,
    /// The payload of those that go to TCP together.
    pieces: KVec<Piece>,
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
            chunk: KVec::with_capacity(CHUNK, GFP_CHARGED)?,
            pieces: KVec::with_capacity(BATCH, GFP_CHARGED)?,
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
    #[inline]
    fn connection<'s>(
        &mut self,
        sockets: &'s mut Sockets,
        slot: &Waiting,
    ) -> Result<Option<&'s Arc<Connection>>> {
        if slot.serial != 0 {
            let connection = sockets.get(slot.id, slot.serial);
            // It is told once.
            if connection.is_none() && self.stale != slot.serial {
                self.stale = slot.serial;
                self.stack.notify(slot.fd, slot.serial, ESTALE);
            }
            return Ok(connection);
        }
        let mut id = sockets.number(slot.fd);
        if id.is_none() && self.register(sockets, slot.fd)? {
            id = sockets.number(slot.fd);
        }
        Ok(id.and_then(|id| sockets.at(id)))
    }

    /// Registers a new connection. False if that is not possible; the program is told so, of the same one once. `ENOMEM` as above.
    #[cold]
    fn register(&mut self, sockets: &mut Sockets, fd: i32) -> Result<bool> {
        if self.failed == Some(fd) {
            return Ok(false);
        }
        match sockets.register(self.stack, fd) {
            Ok(_) => {
                self.told = self.told.filter(|told| *told != fd);
                Ok(true)
            }
            // Were the slot dropped, a later one might be sent, and the stream have a hole.
            Err(ENOMEM) => {
                if self.told != Some(fd) {
                    self.stack.notify(fd, 0, ENOMEM);
                }
                self.told = Some(fd);
                Err(ENOMEM)
            }
            Err(error) => {
                self.failed = Some(fd);
                self.stack.notify(fd, 0, error);
                Ok(false)
            }
        }
    }

    /// Sends payload, of `whole` bytes, on the connection, which is locked and not dead.
    #[inline]
    fn send(
        &mut self,
        connection: &Registered,
        locked: &mut Locked<'_, Registered>,
        (pieces, whole): (&mut [Piece], u32),
        more: bool,
    ) -> Result<u32> {
        if connection.refused.load(Ordering::Relaxed) == self.number {
            return Err(EAGAIN);
        }
        if connection.ended.load(Ordering::Relaxed) {
            return Err(EPIPE);
        }
        // SAFETY: The payload lies within its buffers, which live as long as the region, and that as long as the pool's owner. We
        // hold the kring, and nobody else uses the pool.
        let sent = unsafe { locked.send(&self.stack.buffers.pool, pieces, more) };
        match sent {
            // There is no memory, and nobody will say when there is.
            Err(ENOBUFS) => self.stack.retry(),
            // TCP says when it takes more. If it has taken a part, it has no room for the rest.
            Err(EAGAIN) => connection.stall(),
            Ok(sent) if sent < whole => connection.stall(),
            Ok(_) => {}
            Err(error) => {
                connection.ended.store(true, Ordering::Relaxed);
                // Of the end of the connection it is told anyway.
                if error == EPIPE {
                    self.stack.notify(connection.fd, connection.serial, EPIPE);
                }
            }
        }
        sent
    }

    /// What became of a slot that was sent with others. `left` is what TCP has accepted, or the error, of this one and those behind it.
    fn outcome(
        &mut self,
        connection: &Registered,
        slot: Waiting,
        piece: &Piece,
        left: &mut Result<u32>,
    ) -> Done {
        let len = u32::from(slot.payload.len());
        let buffer = piece.buffer();
        let sent = match left {
            Ok(left) => {
                let sent = (*left).min(len);
                *left -= sent;
                sent
            }
            Err(EAGAIN) | Err(ENOBUFS) => 0,
            Err(_) => {
                self.dropped += 1;
                return Done::Free(buffer);
            }
        };
        self.bytes = self.bytes.wrapping_add(u64::from(sent));
        if sent == len {
            self.sent += 1;
            return Done::Free(buffer);
        }
        // Less than the length of a slot.
        let payload = slot.payload.without(sent as u16);
        let to = self.stack.payload(buffer, payload.offset());
        if let Some(to) = to.filter(|_| buffer != slot.buffer) {
            // TCP has the buffer with the part that it took: the rest goes to the one that the slot has now.
            // SAFETY: It lies within both buffers, as the whole did; they are different ones.
            unsafe {
                let from = piece.data().add(sent as usize);
                from.copy_to_nonoverlapping(to.as_ptr(), usize::from(payload.len()));
            }
        }
        self.refuse(
            connection,
            Waiting {
                buffer,
                payload,
                ..slot
            },
        )
    }

    /// Nothing more is tried on the connection in this sync.
    fn refuse(&mut self, connection: &Registered, slot: Waiting) -> Done {
        connection.refused.store(self.number, Ordering::Relaxed);
        Done::Refused(Waiting {
            id: connection.id,
            serial: connection.serial,
            ..slot
        })
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

/// How far a sync is.
struct Walk {
    /// The slot that is read next, and how many there are from it on.
    index: u32,
    left: u32,
    /// How many were read.
    position: usize,
    /// The slot at fault, behind those that were read.
    bad: Option<Untaken>,
    /// Where the next slot goes that is done with. It is before the one that is read next.
    to: u32,
}

impl Live {
    /// Reads slots: those that wait, and then new ones. Returns whether the one behind them has the descriptor of the last one, at a
    /// glance.
    #[inline]
    fn read(&mut self, held: &mut Inner, walk: &mut Walk) -> bool {
        let n = held.ring.num_slots();
        self.chunk.clear();
        while walk.left != 0 && walk.bad.is_none() {
            if self.chunk.len() == CHUNK {
                // SAFETY: An index of the span.
                let pointer = Pointer::from_raw(unsafe { held.ring.read_pointer(walk.index) });
                return self.chunk.last().is_some_and(|last| last.fd == pointer.fd);
            }
            let slot = match self.waiting.get(walk.position) {
                Some(slot) => Some(*slot),
                None => read(held, &self.stack, walk.index),
            };
            let Some(slot) = slot else {
                walk.bad = Some(Untaken::alone(walk.index));
                break;
            };
            // There is room.
            let _ = self.chunk.push_within_capacity(slot);
            walk.index = next(walk.index, n);
            walk.left -= 1;
            walk.position += 1;
        }
        false
    }

    /// Sends slots of one connection, from `from` on of those that were read, and as many as go to TCP together. `more` follow behind the
    /// last one that was read. Returns how many they were, and whether those behind them that were read are of the connection, too.
    #[inline]
    fn send(
        &mut self,
        turn: &mut Turn<'_>,
        connection: &Registered,
        locked: &mut Locked<'_, Registered>,
        (held, walk): (&mut Inner, &mut Walk),
        (from, more): (usize, bool),
    ) -> (usize, bool) {
        let run = self.chunk.get(from..).unwrap_or(&[]);
        let Some(first) = run.first() else {
            return (0, false);
        };
        self.pieces.clear();
        let mut whole = 0u32;
        for slot in run.iter().take(BATCH) {
            if !slot.goes_with(first) {
                break;
            }
            // It was accepted: there is such a buffer.
            let Some(data) = self.stack.payload(slot.buffer, slot.payload.offset()) else {
                break;
            };
            let len = u32::from(slot.payload.len());
            whole = whole.wrapping_add(len);
            // There is room.
            let _ = self
                .pieces
                .push_within_capacity(Piece::new(data, len, slot.buffer));
        }
        let count = self.pieces.len();
        if count == 0 {
            let buffer = first.buffer;
            free(turn.stack, held, walk, buffer);
            return (1, false);
        }
        let (more, goes_on) = match run.get(count) {
            Some(slot) => {
                let goes_on = slot.goes_with(first);
                (goes_on, goes_on)
            }
            None => (more, false),
        };
        let mut sent = turn.send(connection, locked, (&mut self.pieces, whole), more);
        if sent == Ok(whole) {
            for piece in self.pieces.iter() {
                free(turn.stack, held, walk, piece.buffer());
            }
            turn.sent = turn.sent.wrapping_add(count as u64);
            turn.bytes = turn.bytes.wrapping_add(u64::from(whole));
            return (count, goes_on);
        }
        for index in 0..count {
            // They are as many.
            let slot = self.chunk.get(from.wrapping_add(index));
            if let (Some(slot), Some(piece)) = (slot, self.pieces.get(index)) {
                let done = turn.outcome(connection, *slot, piece, &mut sent);
                self.settle(held, walk, done);
            }
        }
        (count, goes_on)
    }

    /// A slot has been dealt with.
    #[inline]
    fn settle(&mut self, held: &mut Inner, walk: &mut Walk, done: Done) {
        match done {
            Done::Free(buffer) => free(&self.stack, held, walk, buffer),
            Done::Refused(slot) => {
                // There is room for as many as the ring has slots.
                let _ = self.refused.push_within_capacity(slot);
            }
        }
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
        let mut walk = Walk {
            index: span.begin(),
            left: span.len(),
            position: 0,
            bad: None,
            to: span.begin(),
        };
        let mut sockets = stack.sockets();
        'all: while walk.left != 0 && walk.bad.is_none() {
            let more = self.read(held, &mut walk);
            let mut from = 0;
            while let Some(slot) = self.chunk.get(from).copied() {
                let connection = if slot.payload.is_empty() {
                    Ok(None)
                } else {
                    turn.connection(&mut sockets, &slot)
                };
                let Ok(connection) = connection else {
                    // It stays as it is, with all that follow, as if they had not been handed over yet.
                    for slot in self.chunk.iter().skip(from) {
                        stack.buffers.holders.give(slot.buffer);
                    }
                    walk.bad = None;
                    stack.retry();
                    break 'all;
                };
                let Some(connection) = connection else {
                    turn.dropped += u64::from(!slot.payload.is_empty());
                    self.settle(held, &mut walk, Done::Free(slot.buffer));
                    from += 1;
                    continue;
                };
                // One that was closed meanwhile is to be forgotten, for its number may be another's.
                if connection.refused.load(Ordering::Relaxed) == turn.number
                    || connection.is_stalled() && connection.is_open()
                {
                    let done = turn.refuse(connection, slot);
                    self.settle(held, &mut walk, done);
                    from += 1;
                    continue;
                }
                let dead = match connection.lock().filter(|locked| !locked.is_dead()) {
                    Some(mut locked) => {
                        // All slots of the connection that follow are sent with one lock.
                        loop {
                            let at = (from, more);
                            let to = (&mut *held, &mut walk);
                            let (count, goes_on) =
                                self.send(&mut turn, connection, &mut locked, to, at);
                            from = from.wrapping_add(count);
                            if !goes_on {
                                break;
                            }
                        }
                        None
                    }
                    None => Some(connection.clone()),
                };
                // A slot that was there before is dropped; the number of a new one may be another connection's.
                if let Some(connection) = dead {
                    sockets.end(&stack, &connection, NOTHING);
                }
            }
        }
        let (to, bad) = (walk.to, walk.bad);
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
        (to, bad)
    }
}

/// The next slot that is done with is the program's, with this buffer.
#[inline]
fn free(stack: &Stack, held: &mut Inner, walk: &mut Walk, buffer: u32) {
    stack.buffers.holders.give(buffer);
    write(held, walk.to, buffer, 0, Pointer::unnamed(stack.room));
    walk.to = next(walk.to, held.ring.num_slots());
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
