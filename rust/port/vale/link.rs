// SPDX-License-Identifier: GPL-2.0

//! From a receive ring to a transmit ring, by an exchange of buffers, as a program does it that bridges two ports.
//!
//! What is in the slots may have been written by another program of the region: it is taken as the kernel takes what any program has in
//! its rings.

use crate::{
    abi::{
        slot_flags::{NS_BUF_CHANGED, NS_MOREFRAG},
        NETMAP_MAX_FRAGS, //
    },
    atomic::{AtomicBool, Ordering},
    logic::{
        busy::NotHeld,
        name::Text,
        packets::{first_packet, Found},
        ring::{add, distance, next},
        slot::Slot, //
    },
    mem::SharedRing,
    port::{binding::Binding, kind::Kind},
    prelude::*,
    ring::{
        kring::{HeldKring, Kring},
        sync::{self, Failure}, //
    },
    sys::sched, //
};

/// From a receive ring to a transmit ring.
pub(super) struct Link {
    /// The number of the ring of the interface, unless that is its host's.
    ring: Option<u32>,
    from: End,
    to: End,
    /// A thread is moving packets to that ring: another one has nothing to do here.
    is_moving: Arc<AtomicBool>,
}

/// A ring of a port, bound for a link.
struct End {
    label: Text,
    kind: Arc<dyn Kind>,
    kring: Arc<Kring>,
    ring: SharedRing,
}

/// How far a link got.
pub(super) enum Moved {
    Nothing,
    Some,
    /// One of the rings is gone for good.
    Gone,
}

/// One of the rings is gone for good.
struct Gone;

impl From<Gone> for Moved {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl End {
    /// The end of a link at a ring of this binding.
    fn new(binding: &Binding, kring: &Arc<Kring>) -> Result<Self> {
        let mut held = loop {
            match kring.try_hold_after_look() {
                Ok(held) => break held,
                // By whoever looks at it for a moment.
                Err(NotHeld::Busy) => sched::yield_now(),
                Err(_) => return Err(ENXIO),
            }
        };
        let ring = HeldKring::attached(&mut held).ok_or(ENXIO)?.inner.ring;
        drop(held);
        Ok(Self {
            label: binding.label,
            kind: binding.kind().clone(),
            kring: kring.clone(),
            ring,
        })
    }

    /// The slots that the ring says are ours: the first one, and how many.
    fn ours(&self) -> (u32, u32) {
        let (head, _, tail) = self.ring.user_cursors();
        let slots = self.ring.num_slots();
        if head >= slots || tail >= slots {
            return (0, 0);
        }
        (head, distance(head, tail, slots))
    }

    fn receive(&self) -> Result<(), Gone> {
        match sync::rxsync(&self.label, &self.kring, &mut (), sync::FORCE) {
            Err(Failure::Gone) => Err(Gone),
            _ => Ok(()),
        }
    }

    /// Sends what is in the slots before `end`. What the port refuses is left out, and what is behind it is sent all the same.
    fn send(&self, end: u32) -> Result<(), Gone> {
        /// Another program of the region may write nonsense as fast as it is left out.
        const TRIES: u32 = 64;
        for _ in 0..TRIES {
            match sync::txsync(&self.label, &self.kring, sync::FORCE) {
                Err(Failure::Gone) => return Err(Gone),
                Err(Failure::Reinit) => self.leave_out(end),
                _ => break,
            }
        }
        Ok(())
    }

    /// Makes the packet at the ring's head, at most up to `end`, one without a byte, which is sent nowhere.
    fn leave_out(&self, end: u32) {
        let (mut at, slots) = (self.ring.head(), self.ring.num_slots());
        if at >= slots {
            return;
        }
        self.kring.counters.errors.fetch_add(1, Ordering::Relaxed);
        for _ in 0..distance(at, end, slots) {
            // SAFETY: `at` is below the number of slots, and `next` keeps it there.
            let slot = Slot::from_raw(unsafe { self.ring.read(at) });
            // SAFETY: As above.
            unsafe { self.ring.write_len_flags(at, 0, 0) };
            if !slot.has(NS_MOREFRAG) {
                break;
            }
            at = next(at, slots);
        }
        self.ring.advance(end);
    }
}

impl Link {
    /// From a ring of one binding to one of another. `is_moving` is that of all links to the latter.
    pub(super) fn new(
        ring: Option<u32>,
        from: (&Binding, &Arc<Kring>),
        to: (&Binding, &Arc<Kring>),
        is_moving: Arc<AtomicBool>,
    ) -> Result<Self> {
        Ok(Self {
            ring,
            from: End::new(from.0, from.1)?,
            to: End::new(to.0, to.1)?,
            is_moving,
        })
    }

    /// The number of the ring of the interface, unless that is its host's.
    pub(super) fn ring(&self) -> Option<u32> {
        self.ring
    }

    /// Moves what has come in, as far as there is room for it.
    pub(super) fn step(&self) -> Moved {
        if self.is_moving.swap(true, Ordering::Acquire) {
            return Moved::Nothing;
        }
        let moved = self.pass().unwrap_or_else(Moved::from);
        self.is_moving.store(false, Ordering::Release);
        moved
    }

    fn pass(&self) -> Result<Moved, Gone> {
        let Self { from, to, .. } = self;
        from.receive()?;
        let (first, arrived) = from.ours();
        if arrived == 0 {
            return Ok(Moved::Nothing);
        }
        let (mut put, mut room) = to.ours();
        if room < arrived {
            to.send(put)?;
            (put, room) = to.ours();
        }
        let slots = from.ring.num_slots();
        let longest = to.kind.longest_packet(&to.kring);
        let (mut at, mut left, mut refused) = (first, arrived, 0);
        let begin = put;
        loop {
            let ahead = (0..left).map(|count| {
                // SAFETY: `add` keeps it below the number of slots, as `ours` has seen to `first`.
                Slot::from_raw(unsafe { from.ring.read(add(at, count, slots)) })
            });
            let count = match first_packet(ahead, NETMAP_MAX_FRAGS) {
                Found::Packet { slots, bytes }
                    if slots < to.ring.num_slots() && bytes <= longest =>
                {
                    if slots > room {
                        // There will be room for it.
                        break;
                    }
                    self.exchange(at, put, slots);
                    put = add(put, slots, to.ring.num_slots());
                    room -= slots;
                    slots
                }
                // The port does not send that, nor will it.
                Found::Packet { slots, .. } | Found::Endless { slots } => {
                    refused += 1;
                    slots
                }
                // Its end is still to come, if there is one at all.
                Found::Unfinished => break,
            };
            at = add(at, count, slots);
            left -= count;
        }
        if refused != 0 {
            from.kring
                .counters
                .errors
                .fetch_add(refused, Ordering::Relaxed);
        }
        if at == first {
            return Ok(Moved::Nothing);
        }
        if put != begin {
            to.ring.advance(put);
            to.send(put)?;
        }
        from.ring.advance(at);
        Ok(Moved::Some)
    }

    /// Gives what was received in `count` slots from `at` on to those from `put` on, for the buffers that are there.
    fn exchange(&self, mut at: u32, mut put: u32, count: u32) {
        let (from, to) = (self.from.ring, self.to.ring);
        for _ in 0..count {
            // SAFETY: Both are below the numbers of slots: `ours` has seen to that, and `next` keeps it.
            unsafe {
                let received = Slot::from_raw(from.read(at));
                let empty = Slot::from_raw(to.read(put));
                let flags = received.flags & NS_MOREFRAG | NS_BUF_CHANGED;
                to.write(put, Slot { flags, ..received }.to_raw());
                let buf_idx = empty.buf_idx;
                let given = Slot {
                    buf_idx,
                    ..received
                };
                from.write(at, given.to_raw());
            }
            at = next(at, from.num_slots());
            put = next(put, to.num_slots());
        }
    }
}
