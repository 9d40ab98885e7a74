// SPDX-License-Identifier: GPL-2.0

//! Ring arithmetic: who owns which slot, and what a program may change about that.
//!
//! A ring of `n` slots is cut by the kernel's two cursors. Slots in `[hwtail, hwcur)` are the
//! kernel's, of which the last one before `hwcur` always stays empty, so that equal cursors mean
//! "the kernel owns everything". Of `[hwcur, hwtail)` the program owns `[rhead, rtail)`: what is before
//! it has been given back, and what is behind it is not published yet.
//!
//! ```text
//!          hwcur     rhead     rcur      rtail     hwtail
//!   kernel   |  given  | program's own     |  not yet  |  kernel
//!            |  back   |                   | published |
//! ```
//!
//! A sync is: the caller reads `head`, `cur` and `tail` of the shared ring once each; a prologue
//! checks them and yields the given-back slots as a [`Span`]; the port works on the span and calls
//! [`Cursors::release`] and [`Cursors::publish`]; [`Cursors::finalize`] yields the new `tail`.

use core::fmt;
use core::iter::FusedIterator;
use core::ops::Range;

/// Most slots that a ring may have.
pub const MAX_SLOTS: u32 = 1 << 14;
/// Fewest slots that a ring may have: one, and the one that stays empty.
pub const MIN_SLOTS: u32 = 2;

/// Which of the two values that the program writes was impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// `head` is not in the part that the program owns.
    Head,
    /// `cur` is not between `head` and the end of the part that the program owns.
    Cur,
}

/// Impossible values in a shared ring. If it is `head`, the kernel's cursors are as they were; if it is `cur`, what the
/// program gave back with `head` is given back, and `cur` is where `head` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFault {
    /// What was wrong.
    pub culprit: Culprit,
    /// The `head` that was read.
    pub head: u32,
    /// The `cur` that was read.
    pub cur: u32,
    /// First value that `head` could have had.
    pub low: u32,
    /// Last value that `head` and `cur` could have had.
    pub high: u32,
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.culprit {
            Culprit::Head => "head",
            Culprit::Cur => "cur",
        };
        write!(
            f,
            "impossible {} (head {} cur {}, want {}..={})",
            name, self.head, self.cur, self.low, self.high
        )
    }
}

/// The half-open range of slots `[begin, end)` of a ring, wrapping at its end.
///
/// # Invariants
///
/// `begin < num_slots` and `end < num_slots`. Every index that the iterator or
/// [`segments`](Self::segments) yields is below `num_slots`, and each is yielded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    begin: u32,
    end: u32,
    num_slots: u32,
}

impl Span {
    /// The slots `[begin, end)` of a ring of `num_slots`; [`None`] unless both are below that.
    #[inline]
    pub const fn new(begin: u32, end: u32, num_slots: u32) -> Option<Self> {
        if begin >= num_slots || end >= num_slots {
            return None;
        }
        // INVARIANT: Checked above.
        Some(Span {
            begin,
            end,
            num_slots,
        })
    }

    /// The number of slots in the span; below `num_slots`.
    #[inline]
    pub const fn len(&self) -> u32 {
        distance(self.begin, self.end, self.num_slots)
    }

    /// Whether there is no slot in the span.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// The first slot, or for an empty span the slot where it would begin.
    #[inline]
    pub const fn begin(&self) -> u32 {
        self.begin
    }

    /// The slot after the last one.
    #[inline]
    pub const fn end(&self) -> u32 {
        self.end
    }

    /// The number of slots of the ring.
    #[inline]
    pub const fn num_slots(&self) -> u32 {
        self.num_slots
    }

    /// The span as two contiguous ranges, in ring order; the second is empty unless it wraps.
    #[inline]
    pub const fn segments(&self) -> (Range<u32>, Range<u32>) {
        if self.begin <= self.end {
            (self.begin..self.end, 0..0)
        } else {
            (self.begin..self.num_slots, 0..self.end)
        }
    }

    /// The first `count` slots of the span, or all of it if it is shorter.
    #[inline]
    pub const fn first(&self, count: u32) -> Span {
        // INVARIANT: `begin` is unchanged, and the new end is below `num_slots`, as `after` says.
        let end = self.after(count);
        Span { end, ..*self }
    }

    /// The span without its first `count` slots; nothing if it is shorter.
    #[inline]
    pub const fn rest(&self, count: u32) -> Span {
        // INVARIANT: `end` is unchanged, and the new begin is below `num_slots`, as `after` says.
        let begin = self.after(count);
        Span { begin, ..*self }
    }

    /// The slot after the first `count` of the span, or its end if it is shorter: an index of the ring.
    #[inline]
    const fn after(&self, count: u32) -> u32 {
        if count < self.len() {
            add(self.begin, count, self.num_slots)
        } else {
            self.end
        }
    }
}

impl Iterator for Span {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if self.begin == self.end {
            return None;
        }
        let slot = self.begin;
        // INVARIANT: `next` of an index of the ring is an index of the ring.
        self.begin = next(slot, self.num_slots);
        Some(slot)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.len() as usize;
        (len, Some(len))
    }
}

impl ExactSizeIterator for Span {}
impl FusedIterator for Span {}

/// What a prologue found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prologue {
    /// The slots that the program gave back: `[hwcur, head)`.
    pub span: Span,
    /// The program wrote `tail`, which is the kernel's. Harmless: [`Cursors::finalize`] repairs it.
    pub tail_overwritten: bool,
    /// The program left `cur` behind `head`, for which `head` is taken: it is to be told so by the ring.
    pub cur_behind: bool,
}

/// The kernel's state of a ring.
///
/// # Invariants
///
/// `MIN_SLOTS <= num_slots <= MAX_SLOTS`, every cursor is below `num_slots`, and in ring order from
/// `hwcur`: `hwcur <= rhead <= rcur <= rtail <= hwtail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursors {
    num_slots: u32,
    hwcur: u32,
    hwtail: u32,
    rhead: u32,
    rcur: u32,
    rtail: u32,
}

impl Cursors {
    const fn new(num_slots: u32, hwtail: u32) -> Option<Self> {
        if num_slots < MIN_SLOTS || num_slots > MAX_SLOTS {
            return None;
        }
        // INVARIANT: The range is checked above; both callers pass an index of the ring.
        Some(Cursors {
            num_slots,
            hwcur: 0,
            hwtail,
            rhead: 0,
            rcur: 0,
            rtail: hwtail,
        })
    }

    /// A transmit ring, whose slots are all the program's but the one that stays empty.
    ///
    /// [`None`] unless `num_slots` is within [`MIN_SLOTS`] and [`MAX_SLOTS`].
    pub const fn transmit(num_slots: u32) -> Option<Self> {
        Self::new(num_slots, num_slots.saturating_sub(1))
    }

    /// A receive ring, whose slots are all the kernel's.
    ///
    /// [`None`] unless `num_slots` is within [`MIN_SLOTS`] and [`MAX_SLOTS`].
    pub const fn receive(num_slots: u32) -> Option<Self> {
        Self::new(num_slots, 0)
    }

    /// The number of slots of the ring.
    #[inline]
    pub const fn num_slots(&self) -> u32 {
        self.num_slots
    }

    /// First slot that the port has not yet taken back from the program.
    #[inline]
    pub const fn hwcur(&self) -> u32 {
        self.hwcur
    }

    /// First slot that the port owns.
    #[inline]
    pub const fn hwtail(&self) -> u32 {
        self.hwtail
    }

    /// The program's `head` as of the last prologue.
    #[inline]
    pub const fn rhead(&self) -> u32 {
        self.rhead
    }

    /// The program's `cur` as of the last prologue.
    #[inline]
    pub const fn rcur(&self) -> u32 {
        self.rcur
    }

    /// The `tail` that the program was last told.
    #[inline]
    pub const fn rtail(&self) -> u32 {
        self.rtail
    }

    /// Checks `head` and `cur` of a transmit ring and takes them over.
    ///
    /// `head` lies in `rhead..=rtail`: it may not go back. `cur` lies in `head..=rtail`, or behind `head`: a program may
    /// write `head` first, and another thread sync in between. The values are to be read once each from the shared ring.
    #[inline]
    pub fn tx_prologue(&mut self, head: u32, cur: u32, tail: u32) -> Result<Prologue, RingFault> {
        self.prologue(head, cur, tail, self.rhead)
    }

    /// Checks `head` and `cur` of a receive ring and takes them over.
    ///
    /// `head` lies in `hwcur..=rtail`: what the port has not yet taken back, the program may claim
    /// again. `cur` is as that of a transmit ring. The values are to be read once each from the shared ring.
    #[inline]
    pub fn rx_prologue(&mut self, head: u32, cur: u32, tail: u32) -> Result<Prologue, RingFault> {
        self.prologue(head, cur, tail, self.hwcur)
    }

    #[inline]
    fn prologue(
        &mut self,
        head: u32,
        cur: u32,
        tail: u32,
        low: u32,
    ) -> Result<Prologue, RingFault> {
        let n = self.num_slots;
        let high = self.rtail;
        let fault = |culprit, low| RingFault {
            culprit,
            head,
            cur,
            low,
            high,
        };
        if head >= n || distance(low, head, n) > distance(low, high, n) {
            return Err(fault(Culprit::Head, low));
        }
        // INVARIANT: It is below `n`, `low` is `hwcur` or later, and `low <= head <= rtail` in ring order was checked.
        self.rhead = head;
        self.rcur = head;
        // Most programs write the same to both.
        let possible = cur == head || cur < n && distance(head, cur, n) <= distance(head, high, n);
        let behind = cur < n && distance(self.hwcur, cur, n) < distance(self.hwcur, head, n);
        if possible {
            // INVARIANT: Below `n`, and `rhead <= cur <= rtail` in ring order.
            self.rcur = cur;
        } else if !behind {
            return Err(fault(Culprit::Cur, head));
        }
        Ok(Prologue {
            span: self.given_back(),
            tail_overwritten: tail != high,
            cur_behind: !possible,
        })
    }

    /// The slots that the program gave back and the port has not yet taken: `[hwcur, rhead)`.
    #[inline]
    pub const fn given_back(&self) -> Span {
        // INVARIANT: Cursors are below `num_slots`.
        Span {
            begin: self.hwcur,
            end: self.rhead,
            num_slots: self.num_slots,
        }
    }

    /// The slots by which `hwtail` may still move: `[hwtail, hwcur - 1)`.
    ///
    /// On a receive ring, where the next packets go, in this order.
    #[inline]
    pub const fn vacant(&self) -> Span {
        // INVARIANT: Cursors are below `num_slots`, and so is `prev` of one.
        Span {
            begin: self.hwtail,
            end: prev(self.hwcur, self.num_slots),
            num_slots: self.num_slots,
        }
    }

    /// The slots of a transmit ring that were sent and not yet published: `[hwtail + 1, hwcur)`.
    ///
    /// As many as [`vacant`](Self::vacant) holds.
    #[inline]
    pub const fn in_flight(&self) -> Span {
        // INVARIANT: Cursors are below `num_slots`, and so is `next` of one.
        Span {
            begin: next(self.hwtail, self.num_slots),
            end: self.hwcur,
            num_slots: self.num_slots,
        }
    }

    /// The port has taken the given-back slots before `to`.
    ///
    /// [`OutOfTurn`] unless `to` lies in `hwcur..=rhead`.
    #[inline]
    pub fn release(&mut self, to: u32) -> Result<(), OutOfTurn> {
        let n = self.num_slots;
        // Mostly it is all of them.
        if to != self.rhead
            && (to >= n || distance(self.hwcur, to, n) > distance(self.hwcur, self.rhead, n))
        {
            return Err(OutOfTurn);
        }
        // INVARIANT: `to` is an index of the ring, not beyond `rhead`.
        self.hwcur = to;
        Ok(())
    }

    /// The port has taken all given-back slots.
    #[inline]
    pub fn release_all(&mut self) {
        // INVARIANT: `rhead` is an index of the ring, not beyond itself.
        self.hwcur = self.rhead;
    }

    /// The port hands the next `count` of its slots to the program.
    ///
    /// [`OutOfTurn`] if it does not own as many, the one that stays empty not counted. The program
    /// learns of them at the next [`finalize`](Self::finalize).
    #[inline]
    pub fn publish(&mut self, count: u32) -> Result<(), OutOfTurn> {
        if count > self.vacant().len() {
            return Err(OutOfTurn);
        }
        // INVARIANT: `count` is below `num_slots`, so `add` yields an index of the ring; it is not
        // beyond the slot before `hwcur`, so `hwtail` moves away from `rtail` without passing
        // `hwcur`.
        self.hwtail = add(self.hwtail, count, self.num_slots);
        Ok(())
    }

    /// The port hands its slots before `to` to the program.
    ///
    /// [`OutOfTurn`] unless `to` lies in `hwtail..=hwcur - 1`.
    #[inline]
    pub fn publish_to(&mut self, to: u32) -> Result<(), OutOfTurn> {
        let n = self.num_slots;
        if to >= n || distance(self.hwtail, to, n) > self.vacant().len() {
            return Err(OutOfTurn);
        }
        // INVARIANT: `to` is an index of the ring, and as in `publish` not beyond the slot before `hwcur`.
        self.hwtail = to;
        Ok(())
    }

    /// Ends a sync: yields the `tail` to write into the shared ring.
    #[inline]
    pub fn finalize(&mut self) -> u32 {
        // INVARIANT: `hwtail` is an index of the ring, not beyond itself.
        self.rtail = self.hwtail;
        self.rtail
    }

    /// Sets the program back after a [`RingFault`]: yields what to write into the shared ring.
    ///
    /// What it gave back before stays given back: a frame that was to be sent is sent once, and one that was received is
    /// not received again.
    pub fn reinit(&mut self) -> Reinit {
        // INVARIANT: `rhead` and `hwtail` are indices of the ring, each not beyond itself.
        self.rcur = self.rhead;
        self.rtail = self.hwtail;
        Reinit {
            head: self.rhead,
            cur: self.rcur,
            tail: self.rtail,
        }
    }

    /// Sets the program back to the packet that cannot be taken: that packet and all behind it are the program's again, and what
    /// it gave back before stays given back, taken by the port or not. As [`reinit`](Self::reinit) otherwise, and if there is no
    /// such packet among what is given back.
    pub fn reinit_untaken(&mut self, untaken: Untaken) -> Reinit {
        let (to, n) = (untaken.packet, self.num_slots);
        if to < n && distance(self.hwcur, to, n) <= distance(self.hwcur, self.rhead, n) {
            // INVARIANT: It is below `n`, and `hwcur <= to <= rhead` in ring order.
            self.rhead = to;
        }
        self.reinit()
    }

    /// Whether `poll` reports the ring: the program has not seen all up to `tail`.
    #[inline]
    pub const fn is_ready(&self) -> bool {
        self.rcur != self.rtail
    }

    /// Whether the program has seen all that the port has handed to it, up to `hwtail`: it sleeps if it asks for more now.
    #[inline]
    pub const fn has_seen_all(&self) -> bool {
        self.rcur == self.hwtail
    }

    /// The slot before which the program has released all: `head`, as it was read, or if that is impossible what the last prologue
    /// has found.
    pub const fn released_by(&self, head: u32) -> u32 {
        let n = self.num_slots;
        if head < n && distance(self.rhead, head, n) <= distance(self.rhead, self.rtail, n) {
            head
        } else {
            self.rhead
        }
    }

    /// The number of slots that the program was told it may use: `[rhead, rtail)`.
    #[inline]
    pub const fn space(&self) -> u32 {
        distance(self.rhead, self.rtail, self.num_slots)
    }
}

/// What to write into a shared ring that is set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reinit {
    /// The new `head`.
    pub head: u32,
    /// The new `cur`.
    pub cur: u32,
    /// The new `tail`.
    pub tail: u32,
}

/// What cannot be taken of the slots that the program gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untaken {
    /// The slot at fault.
    pub slot: u32,
    /// The first slot of its packet, where the port's work ends: on a receive ring the slot itself.
    pub packet: u32,
}

impl Untaken {
    /// A slot that is not part of a packet with others.
    pub const fn alone(slot: u32) -> Self {
        Self { slot, packet: slot }
    }
}

/// The port tried to move a cursor over slots that are not its own, or a NIC reported such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTurn;

/// The slot after slot `i` in a ring of `n`, for `i < n`.
#[inline]
pub const fn next(i: u32, n: u32) -> u32 {
    let next = i.wrapping_add(1);
    if next == n {
        0
    } else {
        next
    }
}

/// The slot before slot `i` in a ring of `n`, for `i < n`.
#[inline]
pub const fn prev(i: u32, n: u32) -> u32 {
    if i == 0 {
        n.wrapping_sub(1)
    } else {
        i.wrapping_sub(1)
    }
}

/// The slot `count` after slot `i` in a ring of `n`, for `i < n` and `count < n`.
#[inline]
pub const fn add(i: u32, count: u32, n: u32) -> u32 {
    // In this form `i + count` need not fit in 32 bits.
    let left = n.wrapping_sub(i);
    if count < left {
        i.wrapping_add(count)
    } else {
        count.wrapping_sub(left)
    }
}

/// How many steps of [`next`] lead from slot `from` to slot `to` in a ring of `n`, for both below
/// `n`; the result is below `n`.
#[inline]
pub const fn distance(from: u32, to: u32, n: u32) -> u32 {
    let steps = to.wrapping_sub(from);
    if to < from {
        steps.wrapping_add(n)
    } else {
        steps
    }
}

/// Whether a cursor that stands at `at` is passed by one that moves from slot `from` to slot `to` in a ring of `n`: it is one of
/// the slots `[from, to)`. `from` and `to` are below `n`, and `at` may be anything.
#[inline]
pub const fn is_passed(from: u32, at: u32, to: u32, n: u32) -> bool {
    at < n && distance(from, at, n) < distance(from, to, n)
}
