// SPDX-License-Identifier: GPL-2.0

//! The busy flag of a ring, in all orders in which threads and weakly ordered memory may act.
//!
//! The file under test is compiled a second time here, with loom's atomics in place of the machine's.

// What is public in the crate that the file belongs to is private to this one.
#![allow(unreachable_pub)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

mod atomic {
    pub use loom::sync::atomic::{AtomicU32, Ordering};
}
#[path = "../busy.rs"]
mod busy;

use busy::{Busy, NotHeld};

/// A ring: what the flag guards is a cell of loom's, which fails where two threads are in it, or where one does not see
/// what the last has done.
struct Ring {
    busy: Busy,
    inside: UnsafeCell<u32>,
}

impl Ring {
    fn stopped() -> Arc<Self> {
        Arc::new(Ring {
            busy: Busy::stopped(),
            inside: UnsafeCell::new(0),
        })
    }

    fn started() -> Arc<Self> {
        let ring = Self::stopped();
        ring.busy.start();
        ring
    }

    /// For the holder.
    fn add(&self, amount: u32) -> u32 {
        self.inside.with_mut(|inside| {
            // SAFETY: The caller has the flag; loom checks it.
            unsafe {
                *inside += amount;
                *inside
            }
        })
    }

    fn sync(&self) -> Result<u32, NotHeld> {
        self.busy.try_hold()?;
        let sum = self.add(1);
        self.busy.release();
        Ok(sum)
    }

    fn stop(&self) {
        self.busy.stop(thread::yield_now);
    }
}

fn in_another_thread<T: 'static>(
    ring: &Arc<Ring>,
    run: impl FnOnce(&Ring) -> T + 'static,
) -> thread::JoinHandle<T> {
    let ring = ring.clone();
    thread::spawn(move || run(&ring))
}

#[test]
fn one_at_a_time() {
    loom::model(|| {
        let ring = Ring::started();
        let other = in_another_thread(&ring, Ring::sync);
        let mine = ring.sync();
        let theirs = other.join().unwrap();
        for result in [mine, theirs] {
            assert!(matches!(result, Ok(_) | Err(NotHeld::Busy)));
        }
        let done = [mine, theirs].iter().filter(|it| it.is_ok()).count();
        assert!(done >= 1);
        assert_eq!(ring.sync(), Ok(done as u32 + 1));
    });
}

#[test]
fn a_look_keeps_others_out_and_says_so() {
    loom::model(|| {
        let ring = Ring::started();
        let look = |ring: &Ring| -> Result<u32, NotHeld> {
            ring.busy.try_look()?;
            let sum = ring.add(0);
            ring.busy.release();
            Ok(sum)
        };
        let other = in_another_thread(&ring, look);
        let mine = ring.sync();
        assert!(matches!(mine, Ok(1) | Err(NotHeld::Looked)));
        let theirs = other.join().unwrap();
        assert!(matches!(theirs, Ok(0 | 1) | Err(NotHeld::Busy)));
        assert!(mine.is_ok() || theirs.is_ok());
        // It leaves nothing behind.
        assert!(ring.sync().is_ok());
        ring.stop();
        ring.busy.release();
        assert_eq!(look(&ring), Err(NotHeld::Stopped));
    });
}

/// As a takeover does: it stops a ring under two syncs, changes what is behind it, and lets go, in either order.
fn stop_under_syncs(start_first: bool) {
    loom::model(move || {
        let ring = Ring::started();
        let others = [(); 2].map(|()| in_another_thread(&ring, Ring::sync));
        ring.stop();
        assert!(ring.busy.is_stopped());
        let before = ring.add(0);
        assert_eq!(ring.busy.try_hold(), Err(NotHeld::Stopped));
        assert_eq!(ring.add(100), before + 100);
        if start_first {
            ring.busy.start();
            ring.busy.release();
        } else {
            ring.busy.release();
            ring.busy.start();
        }
        let done = others
            .map(|other| other.join().unwrap())
            .iter()
            .filter(|result| !matches!(result, Err(NotHeld::Dead)))
            .filter(|result| result.is_ok())
            .count();
        assert_eq!(ring.sync(), Ok(100 + done as u32 + 1));
    });
}

#[test]
fn a_stop_waits_for_who_is_in() {
    stop_under_syncs(true);
}

#[test]
fn a_stop_ends_in_either_order() {
    stop_under_syncs(false);
}

#[test]
fn what_is_attached_is_seen() {
    loom::model(|| {
        let ring = Ring::stopped();
        let other = in_another_thread(&ring, Ring::sync);
        ring.stop();
        ring.add(10);
        ring.busy.start();
        ring.busy.release();
        match other.join().unwrap() {
            Ok(sum) => assert_eq!(sum, 11),
            Err(why) => assert!(matches!(why, NotHeld::Stopped | NotHeld::Busy)),
        }
    });
}

#[test]
fn a_dead_ring_lets_nobody_in() {
    loom::model(|| {
        let ring = Ring::started();
        let other = in_another_thread(&ring, |ring| (ring.sync(), ring.sync()));
        ring.busy.kill();
        assert_eq!(ring.sync(), Err(NotHeld::Dead));
        // What was inside is still waited for, and what it did is seen.
        ring.stop();
        let sum = ring.add(0);
        ring.busy.release();
        ring.busy.start();
        let (first, second) = other.join().unwrap();
        let done = u32::from(first.is_ok()) + u32::from(second.is_ok());
        assert_eq!(sum, done);
        assert!(first.is_ok() || second == Err(NotHeld::Dead));
        assert_eq!(ring.sync(), Err(NotHeld::Dead));
    });
}

/// A check of the model itself: with a flag that is let go without `Release`, it must find the race.
#[test]
#[should_panic(expected = "Causality violation")]
fn loom_sees_a_relaxed_release() {
    use loom::sync::atomic::{AtomicU32, Ordering};
    loom::model(|| {
        let ring = Arc::new((AtomicU32::new(0), UnsafeCell::new(0u32)));
        let sync = |ring: &(AtomicU32, UnsafeCell<u32>)| {
            if ring
                .0
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
            {
                // SAFETY: None: the flag does not order the accesses, which loom must find.
                ring.1.with_mut(|inside| unsafe { *inside += 1 });
                ring.0.store(0, Ordering::Relaxed);
            }
        };
        let other = ring.clone();
        let other = thread::spawn(move || sync(&other));
        sync(&ring);
        other.join().unwrap();
    });
}

#[test]
fn a_dead_ring_lives_again() {
    loom::model(|| {
        let ring = Ring::started();
        ring.busy.revive();
        assert!(!ring.busy.is_stopped(), "it was not dead");
        let other = in_another_thread(&ring, Ring::sync);
        ring.busy.kill();
        let theirs = other.join().unwrap();
        assert!(matches!(theirs, Ok(1) | Err(NotHeld::Dead)));
        assert_eq!(ring.sync(), Err(NotHeld::Dead));
        assert!(ring.busy.is_dead());
        // Another ring is put in its place as in that of one that is not dead.
        ring.stop();
        ring.add(1);
        ring.busy.release();
        ring.busy.revive();
        assert!(!ring.busy.is_dead());
        assert_eq!(ring.sync(), Err(NotHeld::Stopped));
        ring.busy.start();
        let another = in_another_thread(&ring, Ring::sync);
        assert!(another.join().unwrap().is_ok());
    });
}
