// SPDX-License-Identifier: GPL-2.0

//! A lane of a pipe: a transmit ring whose packets go to a receive ring of the same size, from each slot to the one of the same
//! number.
//!
//! The sender is whoever holds the busy flag of the transmit ring, the receiver whoever holds that of the receive ring. Neither waits for
//! the other. To hand over a slot is to exchange its buffer for that of the receiver's slot, so a sender has as many slots as are
//! free at the receiver: what it may fill ends where the receiver has released.
//!
//! ```text
//!   receive ring:   hwcur, told by `released`                     hwtail, told by `published`
//!                     |  the receiver's: with its program, or not seen yet  |  the sender's  | (one stays empty)
//!   transmit ring:  hwtail + 1                                            hwcur
//! ```
//!
//! A model checker runs this file on the host, against all orders in which threads and memory may act (`tests/pipe.rs`).

use super::{
    atomic::{fence, AtomicU32, Ordering},
    inbox::{Halves, Producer},
    ring::{prev, Cursors, Span}, //
};

/// What sender and receiver tell each other.
pub struct Lane {
    halves: Halves,
    /// Whether the sender has looked at how far slots are released since the receiver was last told to wake it.
    curious: AtomicU32,
}

impl Lane {
    /// Of two rings that nobody has used yet.
    pub fn new() -> Self {
        Self {
            halves: Halves::new(),
            curious: AtomicU32::new(0),
        }
    }

    /// The receiver's slots that the sender owns, of which it fills those with the numbers of the slots that it hands over.
    ///
    /// The caller is the only sender.
    #[inline]
    pub fn sending(&self, transmit: &Cursors) -> Sending<'_> {
        Sending {
            producer: self.halves.resume(transmit),
            lane: self,
        }
    }

    /// How far slots are released, as the `hwtail` of a transmit ring of `num_slots`, for a sender that may sleep afterwards:
    /// [`Lane::release`] says that it is to be woken for what is not seen by this.
    #[inline]
    pub fn vacant(&self, num_slots: u32) -> u32 {
        self.curious.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        prev(self.halves.released(), num_slots)
    }

    /// The same at a glance.
    #[inline]
    pub fn vacant_now(&self, num_slots: u32) -> u32 {
        prev(self.halves.released(), num_slots)
    }

    /// The receiver has taken back what its program released: the slots before `hwcur` are the sender's, all but one. True if the sender is
    /// to be woken: it may have looked before this, and is not going to look again.
    #[inline]
    #[must_use]
    pub fn release(&self, hwcur: u32) -> bool {
        self.halves.release(hwcur);
        fence(Ordering::SeqCst);
        let curious = self.curious.load(Ordering::Relaxed) != 0;
        if curious {
            // Before the sender is woken, who sets it when it looks.
            self.curious.store(0, Ordering::Relaxed);
        }
        curious
    }

    /// How far the sender is, for a receiver that may sleep afterwards: [`Sending::publish`] says that it is to be woken for what is
    /// not seen by this.
    #[inline]
    pub fn look(&self) -> u32 {
        self.halves.look()
    }

    /// How far the sender is, at a glance.
    #[inline]
    pub fn published(&self) -> u32 {
        self.halves.published()
    }
}

impl Default for Lane {
    fn default() -> Self {
        Self::new()
    }
}

/// What a sync of the transmit ring does to the receive ring.
pub struct Sending<'a> {
    producer: Producer,
    lane: &'a Lane,
}

impl Sending<'_> {
    /// The receiver's slots for the first `count` that the transmit ring hands over, which have the same numbers. [`None`] if not as
    /// many are free, which cannot be unless the transmit ring was told of too many.
    #[inline]
    pub fn slots(&mut self, count: u32) -> Option<Span> {
        let lease = self.producer.lease(&self.lane.halves, count)?;
        Some(lease.slots())
    }

    /// Shows the receiver the first `count` of them, which are filled. True if it is to be woken.
    #[inline]
    #[must_use]
    pub fn publish(mut self, count: u32) -> bool {
        match self.producer.lease(&self.lane.halves, count) {
            Some(lease) => lease.fill(),
            None => return false,
        }
        self.producer.publish(&self.lane.halves)
    }
}
