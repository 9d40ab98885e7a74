// SPDX-License-Identifier: GPL-2.0

//! Who may use a ring: one thread at a time, and nobody while it is stopped.
//!
//! A sync takes the flag by one atomic exchange and lets go of it by another. Whoever changes what is behind the ring
//! stops it first, and then has the flag like anyone else. A model checker runs this file on the host, against all
//! orders in which threads and memory may act (`tests/busy.rs`).

use super::atomic::{AtomicU32, Ordering};

const BUSY: u32 = 1;
const STOPPED: u32 = 2;
const DEAD: u32 = 4;
/// Beside [`BUSY`]: whoever holds the ring only looks, and waits for nothing.
const LOOK: u32 = 8;

/// Why a ring cannot be held now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotHeld {
    /// Another thread holds it.
    Busy,
    /// An interrupt holds it, for a few instructions.
    Looked,
    /// It is stopped for a moment.
    Stopped,
    /// It is gone for good.
    Dead,
}

/// The flag, and whether it may be taken.
///
/// Between a successful [`try_hold`](Self::try_hold), [`try_look`](Self::try_look) or [`stop`](Self::stop) and the next
/// [`release`](Self::release) no other of the first three succeeds, and all that was done before a `release` is seen by the
/// next to hold it.
pub struct Busy(AtomicU32);

impl Busy {
    /// Not held, and stopped.
    pub fn stopped() -> Self {
        Self(AtomicU32::new(STOPPED))
    }

    /// Takes the flag, unless it is taken, or the ring is stopped or dead.
    #[inline]
    pub fn try_hold(&self) -> Result<(), NotHeld> {
        self.take(BUSY)
    }

    /// As [`Self::try_hold`], for an interrupt, which holds the ring for a few instructions. A thread that finds the ring
    /// held can tell that from a sync of another thread.
    #[inline]
    pub fn try_look(&self) -> Result<(), NotHeld> {
        self.take(BUSY | LOOK)
    }

    #[inline(always)]
    fn take(&self, state: u32) -> Result<(), NotHeld> {
        match self
            .0
            .compare_exchange(0, state, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(state) if state & DEAD != 0 => Err(NotHeld::Dead),
            Err(state) if state & STOPPED != 0 => Err(NotHeld::Stopped),
            Err(state) if state & LOOK != 0 => Err(NotHeld::Looked),
            Err(_) => Err(NotHeld::Busy),
        }
    }

    /// Keeps others out and takes the flag, once whoever holds it has let go; `wait` is called until then.
    ///
    /// No two threads may be in here at the same time.
    pub fn stop(&self, mut wait: impl FnMut()) {
        self.0.fetch_or(STOPPED, Ordering::Relaxed);
        loop {
            let seen = self.0.load(Ordering::Relaxed);
            if seen & BUSY == 0
                && self
                    .0
                    .compare_exchange(seen, seen | BUSY, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                return;
            }
            wait();
        }
    }

    /// Lets others in again.
    pub fn start(&self) {
        self.0.fetch_and(!STOPPED, Ordering::Release);
    }

    /// Keeps others out for good. Whoever holds the flag still does.
    pub fn kill(&self) {
        self.0.fetch_or(DEAD, Ordering::Release);
    }

    /// The opposite of [`kill`](Self::kill): a dead ring is stopped then. The caller keeps away all others that use or kill
    /// it.
    pub fn revive(&self) {
        if self.is_dead() {
            self.0.store(STOPPED, Ordering::Release);
        }
    }

    /// Whether [`kill`](Self::kill) was called, and [`revive`](Self::revive) not since.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.0.load(Ordering::Relaxed) & DEAD != 0
    }

    /// Lets go of the flag; for its holder only.
    #[inline]
    pub fn release(&self) {
        let seen = self.0.fetch_and(!(BUSY | LOOK), Ordering::Release);
        debug_assert!(seen & BUSY != 0, "two threads held a ring");
    }

    /// Whether others are kept out by [`stop`](Self::stop).
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STOPPED != 0
    }
}
