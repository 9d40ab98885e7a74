// SPDX-License-Identifier: GPL-2.0

//! The way into a ring: prologue, the queue's sync, finalize.
//!
//! This runs for every batch of packets. What the program wrote as `head`, `cur` and `tail` is read once each; the queue gets
//! checked cursors; at the end the kernel's `tail` is published. A ring that is stopped for a
//! moment is left as it is: to the program it looks like a link without traffic.
//!
//! Counters: `syncs` and `reinits` are counted here, packets and all that is known about them by the queue.

use super::{
    counters::Counters,
    kring::{HeldKring, Kring},
    queue::{Absent, Attached, Inner, SyncError}, //
};
use crate::{
    abi,
    atomic::Ordering,
    logic::{
        busy::NotHeld,
        name::Text,
        ring::{RingFault, Span, Untaken},
        slot::Slot, //
    },
    mem::SharedRing,
    prelude::*,
    sys::{
        self,
        log::{self, Displayed},
        trace, //
    }, //
};
use core::fmt;

/// Flag of a sync, and none of the ring's: a program asked for it by `ioctl`. A transmit queue then reclaims completed slots,
/// which it may put off in a sync of `poll`. Receive queues do the same in both.
pub(crate) const FORCE: u32 = 1;

/// Another one: the first packet whose memory is absent is dropped.
pub(crate) const SKIP: u32 = 2;

/// Why a sync failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// The program wrote something impossible; the ring was reinitialised and is usable.
    Reinit,
    /// The port is gone for good.
    Gone,
    /// The task was killed while it waited for another one's sync of the same ring.
    Killed,
    /// Memory of the program has to be waited for.
    Absent(Absent),
}

impl Failure {
    /// What the ioctls that sync answer. A ring that was reinitialised is no error of theirs, as it is none in C netmap,
    /// whose programs do not expect one there and end if they see it. `poll` reports it by `POLLERR`; the log and the
    /// ring's counter tell of it in any case.
    pub(crate) fn to_ioctl(self) -> Result {
        match self {
            Failure::Reinit | Failure::Absent(_) => Ok(()),
            Failure::Gone => Err(ENXIO),
            Failure::Killed => Err(EINTR),
        }
    }
}

/// Who looks at what a program has released of a ring, before the ring's queue does.
pub(crate) trait Released {
    /// Runs with the kring's busy flag held. `span` is checked, the slots in it are not.
    fn before_sync(&mut self, kring: &Kring, held: &mut Inner, span: &Span);
}

/// Nobody.
impl Released for () {
    #[inline]
    fn before_sync(&mut self, _: &Kring, _: &mut Inner, _: &Span) {}
}

/// Syncs a transmit ring: sends what the program has released and returns what was sent.
///
/// True if the program has slots that it has not seen yet, as poll reports it.
#[inline(always)]
pub(crate) fn txsync(label: &Text, kring: &Kring, flags: u32) -> Result<bool, Failure> {
    match txsync_present(label, kring, flags) {
        Err(Failure::Absent(absent)) => txsync_absent(label, kring, flags, absent),
        result => result,
    }
}

/// [`txsync`], of packets that lie in memory of the program which has to be waited for. What cannot be read is dropped.
#[cold]
fn txsync_absent(
    label: &Text,
    kring: &Kring,
    flags: u32,
    mut absent: Absent,
) -> Result<bool, Failure> {
    /// Memory may be absent again before it is used; but not all the time.
    const TRIES: u32 = 1000;
    let mut tries = 0u32;
    loop {
        // Another thread of the program may release more, as fast as this is sent.
        if sys::sched::killed() {
            return Err(Failure::Killed);
        }
        tries = tries.wrapping_add(1);
        let is_there = sys::copy::wait_for(absent.address, absent.len) && tries % TRIES != 0;
        let skip = if is_there { 0 } else { SKIP };
        match txsync_present(label, kring, flags | skip) {
            Err(Failure::Absent(next)) => absent = next,
            result => return result,
        }
    }
}

/// [`txsync`], as far as it waits for no memory.
#[inline(always)]
fn txsync_present(label: &Text, kring: &Kring, flags: u32) -> Result<bool, Failure> {
    let mut held = hold(kring)?;
    match held.as_mut().and_then(HeldKring::attached) {
        Some(attached) => run::<true>(label, kring, &mut (), attached, flags),
        None => Ok(false),
    }
}

/// [`txsync`], if the program has released something.
#[inline]
pub(crate) fn txflush(label: &Text, kring: &Kring, flags: u32) -> Result<bool, Failure> {
    let mut held = hold(kring)?;
    let result = match held.as_mut().and_then(HeldKring::attached) {
        Some(attached) if attached.inner.ring.head() != attached.inner.cursors.hwcur() => {
            run::<true>(label, kring, &mut (), attached, flags)
        }
        _ => Ok(false),
    };
    drop(held);
    match result {
        Err(Failure::Absent(absent)) => txsync_absent(label, kring, flags, absent),
        result => result,
    }
}

/// Syncs a receive ring: takes back what the program has released and returns what was received.
///
/// True if there are packets that the program has not seen yet, as poll reports it.
#[inline(always)]
pub(crate) fn rxsync(
    label: &Text,
    kring: &Kring,
    released: &mut impl Released,
    flags: u32,
) -> Result<bool, Failure> {
    let mut held = hold(kring)?;
    match held.as_mut().and_then(HeldKring::attached) {
        Some(attached) => run::<false>(label, kring, released, attached, flags),
        None => Ok(false),
    }
}

#[inline(always)]
fn run<const TX: bool>(
    label: &Text,
    kring: &Kring,
    released: &mut impl Released,
    attached: &mut Attached,
    flags: u32,
) -> Result<bool, Failure> {
    let Attached { inner, base } = attached;
    let (head, cur, tail) = inner.ring.user_cursors();
    let prologue = if TX {
        inner.cursors.tx_prologue(head, cur, tail)
    } else {
        inner.cursors.rx_prologue(head, cur, tail)
    };
    let span = match prologue {
        Ok(prologue) => {
            if prologue.cur_behind {
                // Another thread of the program may be about to move it, or have done so: then its word counts.
                let _ = inner.ring.move_cur(cur, inner.cursors.rcur());
            }
            prologue.span
        }
        Err(fault) => {
            let fault = Impossible::Cursor(fault);
            return Err(reinit::<TX>(label, kring, attached, (head, cur), fault));
        }
    };
    released.before_sync(kring, inner, &span);
    let result = base.sync(inner, kring, span, flags);
    Counters::add(&kring.counters.syncs, 1);
    trace::sync(|| trace::Sync {
        port: label,
        transmit: TX,
        host: kring.host,
        ring: kring.index,
        flags,
        head,
        hwcur: inner.cursors.hwcur(),
        hwtail: inner.cursors.hwtail(),
    });
    match result {
        Ok(()) => {
            let now = inner.cursors.finalize();
            if !TX {
                stamp(inner.ring);
            }
            inner.ring.publish(now);
            Ok(inner.cursors.is_ready())
        }
        Err(SyncError::BadRing { at }) => {
            let fault = Impossible::Slot(at);
            Err(reinit::<TX>(label, kring, attached, (head, cur), fault))
        }
        Err(SyncError::Gone) => Err(Failure::Gone),
        Err(SyncError::Absent(absent)) => {
            let now = inner.cursors.finalize();
            inner.ring.publish(now);
            Err(Failure::Absent(absent))
        }
    }
}

/// Writes the time of a receive sync into the ring, before its `tail`.
///
/// Not only where `NR_TIMESTAMP` asks for it: programs, as libpcap, use it without, some as their clock. It costs one
/// reading of the clock per batch, which the parameter `no_timestamp` saves those who need no time.
#[inline]
fn stamp(ring: SharedRing) {
    if sys::param::no_timestamp() == 0 || ring.flags() & abi::ring_flags::NR_TIMESTAMP != 0 {
        ring.set_time(sys::time::wall_clock());
    }
}

/// Holds a ring, waiting for another thread's sync, which is bounded by the size of the ring, of a port of a switch times that of the
/// switch, or, of a stack port, by whoever has the lock of a socket. [`None`] if it is stopped.
#[inline]
fn hold(kring: &Kring) -> Result<Option<HeldKring<'_>>, Failure> {
    match kring.try_hold() {
        Ok(held) => Ok(Some(held)),
        Err(why) => hold_slow(kring, why),
    }
}

#[cold]
fn hold_slow(kring: &Kring, mut why: NotHeld) -> Result<Option<HeldKring<'_>>, Failure> {
    /// Rounds of waiting without sleep, enough for most syncs.
    const SPINS: u32 = 200;
    let mut round = 0u32;
    loop {
        match why {
            NotHeld::Dead => return Err(Failure::Gone),
            NotHeld::Stopped => return Ok(None),
            NotHeld::Busy | NotHeld::Looked => {
                if round < SPINS {
                    round = round.wrapping_add(1);
                    sys::sched::relax();
                } else if sys::sched::killed() {
                    return Err(Failure::Killed);
                } else {
                    sys::sched::nap();
                }
            }
        }
        match kring.try_hold() {
            Ok(held) => return Ok(Some(held)),
            Err(now) => why = now,
        }
    }
}

/// What the program wrote.
enum Impossible {
    /// A cursor.
    Cursor(RingFault),
    /// A slot. [`None`] if the queue cannot say which one: the ring is then set back as for a cursor.
    Slot(Option<Untaken>),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cursor(fault) => fault.fmt(f),
            Self::Slot(Some(at)) => write!(f, "impossible slot {}", at.slot),
            Self::Slot(None) => f.write_str("impossible slots"),
        }
    }
}

/// Sets the program back: after an impossible cursor to the last possible ones, after an impossible slot to the first one of
/// its packet; and makes every slot name a buffer again.
///
/// `seen` is what the program had written as `head` and `cur`. What another thread of it has written since, there or in a slot,
/// stays, and is judged by the next sync.
#[cold]
fn reinit<const TX: bool>(
    label: &Text,
    kring: &Kring,
    attached: &mut Attached,
    seen: (u32, u32),
    fault: Impossible,
) -> Failure {
    let Attached { inner, base } = attached;
    kring.counters.reinits.fetch_add(1, Ordering::Relaxed);
    let region = &inner.region;
    for index in 0..inner.ring.num_slots() {
        let Some(known) = base.known(inner, index) else {
            continue;
        };
        // SAFETY: The index is below the number of slots.
        let raw = unsafe { inner.ring.read(index) };
        let mut slot = Slot::from_raw(raw);
        let nobodys = !region.is_held(slot.buf_idx);
        let long = u32::from(slot.len) > region.buf_size();
        if nobodys || long {
            if nobodys {
                slot.buf_idx = known;
            }
            slot.len = 0;
            // SAFETY: As above.
            unsafe { inner.ring.replace(index, raw, slot.to_raw()) };
        }
    }
    let to = match fault {
        Impossible::Slot(Some(at)) => inner.cursors.reinit_untaken(at),
        Impossible::Cursor(_) | Impossible::Slot(None) => inner.cursors.reinit(),
    };
    let _ = inner.ring.move_head(seen.0, to.head);
    let _ = inner.ring.move_cur(seen.1, to.cur);
    if !TX {
        // It is a receive sync all the same, and its program may take the time for its clock.
        stamp(inner.ring);
    }
    inner.ring.publish(to.tail);
    if log::allowed() {
        pr_warn!(
            "{}: {}{} ring {}: {}, reinitialised\n",
            Displayed(*label),
            if kring.host { "host " } else { "" },
            Displayed(kring.direction),
            kring.index,
            Displayed(fault)
        );
    }
    Failure::Reinit
}
