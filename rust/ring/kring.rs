// SPDX-License-Identifier: GPL-2.0

//! The kernel's own state of a ring.
//!
//! The kernel decides by the [`Kring`] alone. The [`abi::Ring`] in shared memory is what it has published to the program, and
//! is not read back, but for what the program may write. A kring
//! lives as long as its port, its ring memory only while some binding uses it.
//!
//! Who may touch what:
//!
//! | state | who |
//! |---|---|
//! | cursors, ring memory, queue (`Inner`) | the holder of the busy flag ([`HeldKring`]) |
//! | attach, detach of ring memory and queue | the same, who has stopped the kring for it, with the registry's mutex held or the RTNL mutex |
//! | list of the files to wake | readers under RCU, writers with the registry's mutex |
//! | counters | anyone reads them; who writes is said at each ([`Counters`]) |

use super::{
    counters::Counters,
    listeners::Listeners,
    queue::{Attached, Direction}, //
};
use crate::{
    atomic::Ordering,
    logic::busy::{Busy, NotHeld},
    prelude::*,
    sys::{sched, wait}, //
};
use core::cell::UnsafeCell;

/// The kernel's state of one ring.
///
/// # Invariants
///
/// `attached` is accessed only by whoever holds the busy flag.
pub struct Kring {
    /// Which way it goes.
    pub direction: Direction,
    /// Its number among the rings of its kind and direction.
    pub index: u16,
    /// Whether it is a host ring.
    pub host: bool,
    busy: Busy,
    /// The files that are bound to the ring.
    pub listeners: Listeners,
    /// Counters, zero at the port's creation.
    pub counters: Counters,
    attached: UnsafeCell<Option<Attached>>,
}

// SAFETY: `attached` is accessed only by the holder of the busy flag; all other fields are `Sync`.
unsafe impl Sync for Kring {}
// SAFETY: Nothing in a kring is bound to a thread.
unsafe impl Send for Kring {}

impl Kring {
    /// A kring that nobody uses yet: stopped, with nothing attached.
    pub fn new(direction: Direction, index: u16, host: bool) -> Self {
        Self {
            direction,
            index,
            host,
            busy: Busy::stopped(),
            listeners: Listeners::new(),
            counters: Counters::default(),
            attached: UnsafeCell::new(None),
        }
    }

    /// Takes the busy flag, unless the kring is busy, stopped or dead.
    #[inline]
    pub fn try_hold(&self) -> Result<HeldKring<'_>, NotHeld> {
        self.busy.try_hold()?;
        // INVARIANT: The flag was clear and is ours now.
        Ok(HeldKring { kring: self })
    }

    /// [`Self::try_hold`], for an interrupt that looks and waits for nothing.
    #[inline]
    fn try_look(&self) -> Result<HeldKring<'_>, NotHeld> {
        self.busy.try_look()?;
        // INVARIANT: The flag was clear and is ours now.
        Ok(HeldKring { kring: self })
    }

    /// [`Self::try_hold`], but an interrupt that looks at the ring is waited for, which waits for nobody. In process context.
    pub fn try_hold_after_look(&self) -> Result<HeldKring<'_>, NotHeld> {
        /// Rounds of waiting without sleep, longer than a look.
        const SPINS: u32 = 200;
        for _ in 0..SPINS {
            match self.try_hold() {
                Err(NotHeld::Looked) => sched::relax(),
                result => return result,
            }
        }
        loop {
            match self.try_hold() {
                // Where softirqs are threads it may have been preempted, and need this CPU.
                Err(NotHeld::Looked) => sched::yield_now(),
                result => return result,
            }
        }
    }

    /// Keeps syncs out until [`Self::start`] and takes the busy flag, for attach, detach and reprogramming; waits for a sync
    /// under way. Of a kring that is stopped already it takes the flag alone.
    ///
    /// There is only one caller at a time: it holds the RTNL mutex, of a port without a device the registry's, or is the one that ends a
    /// stack port's use of its rings.
    pub fn stop(&self) -> HeldKring<'_> {
        /// Rounds of waiting without sleep.
        const YIELDS: u32 = 100;
        let mut round = 0u32;
        // A sync is bounded by the ring's size, and its holder may need this CPU; but that of a stack port waits for sockets.
        self.busy.stop(|| {
            if round < YIELDS {
                round = round.wrapping_add(1);
                sched::yield_now();
            } else {
                sched::rest();
            }
        });
        // INVARIANT: The flag was clear and is ours now.
        HeldKring { kring: self }
    }

    /// Lets syncs in again; the opposite of [`Self::stop`]. Wakes the ring's sleepers, for what was behind the ring may be
    /// another now.
    pub fn start(&self) {
        self.busy.start();
        self.wake();
    }

    /// Marks krings dead, for good, and wakes their sleepers, who will see `POLLERR`. All are marked before anybody is woken:
    /// whoever was told of one of them finds none of the others alive.
    pub fn kill<'a>(krings: impl Iterator<Item = &'a Arc<Self>> + Clone) {
        for kring in krings.clone() {
            kring.busy.kill();
        }
        for kring in krings {
            kring.wake();
        }
    }

    /// Makes a dead kring one that is stopped, for its next user. The caller holds the mutex under which the krings of its port die,
    /// RTNL or the registry's, and nobody has the ring bound.
    pub fn revive(&self) {
        self.busy.revive();
    }

    /// Whether the ring is lost to those who have it bound.
    pub fn is_dead(&self) -> bool {
        self.busy.is_dead()
    }

    /// Whether syncs are kept out: nothing is attached, or not for long.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.busy.is_stopped()
    }

    /// Has whoever sleeps on a file with this ring look again. Callable from interrupts.
    #[inline]
    pub fn wake(&self) {
        wait::published();
        if self.listeners.wake() {
            self.counters.wakeups.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes who waits for the ring, if somebody does and there is something new. To be called when an interrupt that may
    /// be the ring's was raised, after [`wait::published`].
    #[inline]
    pub fn interrupt(&self) {
        if self.listeners.has_sleepers() && self.has_news() {
            self.wake();
        }
    }

    /// Has the queue move what syncs have left in the ring, unless the ring is stopped; waits for a sync under way, which may have
    /// looked at the queue before it was told to be asked again. In process context, not in that of the program.
    pub fn resume(&self) {
        loop {
            match self.try_hold() {
                Ok(mut held) => {
                    if let Some(Attached { inner, base }) = held.attached() {
                        base.resume(inner, self);
                    }
                    return;
                }
                Err(NotHeld::Busy | NotHeld::Looked) => sched::yield_now(),
                Err(NotHeld::Stopped | NotHeld::Dead) => return,
            }
        }
    }

    /// Whether somebody who has synced the ring before and sleeps now would find something new.
    ///
    /// Not only what the hardware has done since the last sync is new: another thread may have synced the ring in the
    /// meantime, and what it found is news to the sleeper.
    fn has_news(&self) -> bool {
        match self.try_look() {
            Ok(mut held) => held.attached().is_some_and(|Attached { inner, base }| {
                let tail = inner.cursors.hwtail();
                core::mem::replace(&mut inner.announced, tail) != tail || base.has_news(inner)
            }),
            // The sync under way may have looked at the hardware before the interrupt: a wake-up too many does no harm.
            Err(NotHeld::Busy | NotHeld::Looked) => true,
            // Sleepers are woken when the ring is started, and were when it was killed.
            Err(NotHeld::Stopped | NotHeld::Dead) => false,
        }
    }
}

/// The busy flag of a kring, held.
///
/// # Invariants
///
/// The flag is set and nobody else acts as its holder.
pub struct HeldKring<'a> {
    kring: &'a Kring,
}

impl<'a> HeldKring<'a> {
    /// What is attached, if anything.
    #[inline]
    pub fn attached(&mut self) -> Option<&mut Attached> {
        // SAFETY: By the type's invariant this is the only access, and the borrow of `self` keeps it so.
        unsafe { (*self.kring.attached.get()).as_mut() }
    }

    /// Puts ring memory and queue in place, or takes them out; returns what was there.
    pub fn replace(&mut self, attached: Option<Attached>) -> Option<Attached> {
        // SAFETY: As above.
        core::mem::replace(unsafe { &mut *self.kring.attached.get() }, attached)
    }
}

impl Drop for HeldKring<'_> {
    #[inline]
    fn drop(&mut self) {
        self.kring.busy.release();
    }
}
