// SPDX-License-Identifier: GPL-2.0

//! A receive ring whose packets come from another context than that of its program: where its two halves stand.
//!
//! The consumer is whoever holds the ring's busy flag, and has the ring's [`Cursors`] as any ring has. The producer, which is
//! one at a time, has a [`Producer`]. Neither waits for the other: each tells the other how far it is by one word of
//! [`Halves`].
//!
//! ```text
//!   hwcur, told by `released`         hwtail, told by `published`
//!     |  the consumer's: with the program, or not seen yet  |  the producer's  | (one stays empty)
//! ```
//!
//! The producer owns exactly `[hwtail, released - 1)`, of which a [`Lease`] is the only way to a part. A model checker runs this
//! file on the host, against all orders in which threads and memory may act (`tests/inbox.rs`).

use super::{
    atomic::{fence, AtomicU32, Ordering},
    ring::{add, distance, next, Cursors, Span}, //
};

/// What consumer and producer tell each other.
pub struct Halves {
    /// The consumer's `hwcur`. What it has written about slots before that, it has written before this.
    released: AtomicU32,
    /// The producer's `hwtail`. What it has written to slots before that, it has written before this.
    published: AtomicU32,
    /// Whether the consumer has looked at `published` since the producer was last told to wake it.
    curious: AtomicU32,
}

impl Halves {
    /// Of an empty ring that nobody has opened.
    pub fn new() -> Self {
        Self {
            released: AtomicU32::new(0),
            published: AtomicU32::new(0),
            curious: AtomicU32::new(0),
        }
    }

    /// The producer's half of a ring that stands at `cursors`. The caller is the only consumer, and there is no other producer.
    pub fn open(&self, cursors: &Cursors) -> Producer {
        self.released.store(cursors.hwcur(), Ordering::Relaxed);
        self.published.store(cursors.hwtail(), Ordering::Relaxed);
        // Whoever sleeps already has looked before there was anything to see.
        self.curious.store(1, Ordering::Relaxed);
        // INVARIANT: These are cursors of a ring of that size.
        Producer {
            num_slots: cursors.num_slots(),
            hwtail: cursors.hwtail(),
            released: cursors.hwcur(),
        }
    }

    /// The producer's half of a ring that is filled from a transmit ring of the same size, slot by slot: what the latter has sent says
    /// where the producer stands, and what its program was told is free what was released when it was told. There is no other producer.
    #[inline]
    pub fn resume(&self, transmit: &Cursors) -> Producer {
        let num_slots = transmit.num_slots();
        // INVARIANT: These are cursors of a ring of that size.
        Producer {
            num_slots,
            hwtail: transmit.hwcur(),
            released: next(transmit.hwtail(), num_slots),
        }
    }

    /// How far slots are released, at a glance.
    #[inline]
    pub fn released(&self) -> u32 {
        self.released.load(Ordering::Acquire)
    }

    /// The consumer has taken back what the program released: the slots before `hwcur` are the producer's, all but one.
    #[inline]
    pub fn release(&self, hwcur: u32) {
        self.released.store(hwcur, Ordering::Release);
    }

    /// How far the producer is, for a consumer that may sleep afterwards: [`Producer::publish`] says that it is to be woken for
    /// what is not seen by this.
    #[inline]
    pub fn look(&self) -> u32 {
        self.curious.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.published.load(Ordering::Acquire)
    }

    /// How far the producer is, at a glance.
    #[inline]
    pub fn published(&self) -> u32 {
        self.published.load(Ordering::Acquire)
    }
}

impl Default for Halves {
    fn default() -> Self {
        Self::new()
    }
}

/// The producer's half of a ring. Nobody else acts for it at the same time.
///
/// # Invariants
///
/// `hwtail` and `released` are below `num_slots`, which is within the limits of a ring.
pub struct Producer {
    num_slots: u32,
    /// The next slot to fill.
    hwtail: u32,
    /// `released` as it was last read: more may be free by now.
    released: u32,
}

impl Producer {
    /// The most slots that a packet can have: there is never room for more.
    #[inline]
    pub const fn most(&self) -> u32 {
        self.num_slots.wrapping_sub(1)
    }

    /// How many slots are free, as far as is known.
    #[inline]
    const fn free(&self) -> u32 {
        // One less than there are from `hwtail` to `released`, around the ring.
        self.most()
            .wrapping_sub(distance(self.released, self.hwtail, self.num_slots))
    }

    /// The next `count` slots, or [`None`] if not as many are free.
    #[inline]
    pub fn lease(&mut self, halves: &Halves, count: u32) -> Option<Lease<'_>> {
        if count > self.free() {
            // INVARIANT: The consumer tells a `hwcur` of its cursors.
            self.released = halves.released.load(Ordering::Acquire);
            if count > self.free() {
                return None;
            }
        }
        // `count` is below `num_slots`.
        let end = add(self.hwtail, count, self.num_slots);
        let slots = Span::new(self.hwtail, end, self.num_slots)?;
        Some(Lease {
            producer: self,
            slots,
        })
    }

    /// Whether there is a [`Self::lease`] of as many slots.
    pub fn has_room(&mut self, halves: &Halves, count: u32) -> bool {
        self.lease(halves, count).is_some()
    }

    /// [`Self::lease`] of one slot, which most packets need.
    #[inline]
    pub fn lease_one(&mut self, halves: &Halves) -> Option<Lease<'_>> {
        let end = next(self.hwtail, self.num_slots);
        // The one before `released` stays empty.
        if end == self.released {
            // INVARIANT: The consumer tells a `hwcur` of its cursors.
            self.released = halves.released.load(Ordering::Acquire);
            if end == self.released {
                return None;
            }
        }
        let slots = Span::new(self.hwtail, end, self.num_slots)?;
        Some(Lease {
            producer: self,
            slots,
        })
    }

    /// The next slots, `count` of them or as many as are free; maybe none.
    #[inline]
    pub fn lease_most(&mut self, halves: &Halves, count: u32) -> Option<Lease<'_>> {
        if count > self.free() {
            // INVARIANT: The consumer tells a `hwcur` of its cursors.
            self.released = halves.released.load(Ordering::Acquire);
        }
        let end = add(self.hwtail, count.min(self.free()), self.num_slots);
        let slots = Span::new(self.hwtail, end, self.num_slots)?;
        Some(Lease {
            producer: self,
            slots,
        })
    }

    /// Shows the consumer all that was filled. True if it is to be woken: it may have looked before this, and is not going to look
    /// again.
    #[inline]
    #[must_use]
    pub fn publish(&self, halves: &Halves) -> bool {
        halves.published.store(self.hwtail, Ordering::Release);
        fence(Ordering::SeqCst);
        let curious = halves.curious.load(Ordering::Relaxed) != 0;
        if curious {
            // Before the consumer is woken, who sets it when it looks.
            halves.curious.store(0, Ordering::Relaxed);
        }
        curious
    }
}

/// Slots that are the producer's to fill, as long as this exists.
pub struct Lease<'a> {
    producer: &'a mut Producer,
    slots: Span,
}

impl Lease<'_> {
    /// The slots.
    #[inline]
    pub fn slots(&self) -> Span {
        self.slots.clone()
    }

    /// They are filled, and the next ones are to be filled now; [`Producer::publish`] shows them to the consumer.
    #[inline]
    pub fn fill(self) {
        // INVARIANT: The end of a span of the ring.
        self.producer.hwtail = self.slots.end();
    }

    /// As [`Self::fill`], of the first `count` slots, or all if there are fewer; the others stay free.
    #[inline]
    pub fn fill_first(self, count: u32) {
        // INVARIANT: The end of a span of the ring.
        self.producer.hwtail = self.slots.first(count).end();
    }
}
