// SPDX-License-Identifier: GPL-2.0

//! Which files are to be woken when a ring has news.
//!
//! An open file has one wait queue, however many rings it is bound to: io_uring can wait on two queues of a file at most,
//! and aio on one. So each kring lists the files that are bound to it.
//!
//! Interrupts walk the list in an RCU read side. The registry's mutex serialises those who change it.

use crate::{
    atomic::{AtomicPtr, Ordering},
    prelude::*,
    sys::{
        rcu::{drop_later, Found, Head},
        wait::WaitQueue, //
    }, //
};
use core::{
    mem::offset_of,
    ptr::{from_ref, null_mut}, //
};
use kernel::sync::rcu;

/// The entry of a file in the list of one ring.
struct Listener {
    next: AtomicPtr<Listener>,
    file: Arc<WaitQueue>,
}

/// The files that are bound to a ring.
///
/// # Invariants
///
/// Whatever `first` and the entries' `next` lead to is valid, and stays so for an RCU grace period after it was unlinked.
pub(crate) struct Listeners {
    first: AtomicPtr<Listener>,
}

impl Listeners {
    /// An empty list.
    pub(crate) fn new() -> Self {
        // INVARIANT: There are no entries.
        Self {
            first: AtomicPtr::new(null_mut()),
        }
    }

    /// Calls `f` with the queue of each file, until it returns true, and says whether it did.
    #[inline]
    fn any(&self, mut f: impl FnMut(&WaitQueue) -> bool) -> bool {
        let _rcu = rcu::read_lock();
        let mut link = self.first.load(Ordering::Acquire);
        // SAFETY: By the type's invariant it is valid as long as the read side lasts.
        while let Some(listener) = unsafe { link.as_ref() } {
            if f(&listener.file) {
                return true;
            }
            link = listener.next.load(Ordering::Acquire);
        }
        false
    }

    /// Whether anybody sleeps on one of the files, see [`WaitQueue::has_sleepers`].
    #[inline]
    pub(crate) fn has_sleepers(&self) -> bool {
        self.any(WaitQueue::has_sleepers)
    }

    /// Wakes the sleepers; returns whether there were any. Callable from any context.
    pub(crate) fn wake(&self) -> bool {
        let mut found = false;
        self.any(|file| {
            if file.has_sleepers() {
                found = true;
                file.wake();
            }
            false
        });
        found
    }

    /// Adds an entry.
    ///
    /// # Safety
    ///
    /// The caller holds the registry's mutex. The entry is in no list; it neither moves nor is freed before it was removed
    /// and an RCU grace period has passed.
    unsafe fn insert(&self, listener: &Listener) {
        listener
            .next
            .store(self.first.load(Ordering::Relaxed), Ordering::Relaxed);
        // INVARIANT: By the requirement. This publishes the entry with what is in it.
        self.first
            .store(from_ref(listener).cast_mut(), Ordering::Release);
    }

    /// Takes an entry out, if it is there. The caller holds the registry's mutex.
    fn remove(&self, listener: &Listener) {
        let target = from_ref(listener).cast_mut();
        let mut link = &self.first;
        loop {
            let seen = link.load(Ordering::Relaxed);
            if seen == target {
                // A reader that has reached the entry still finds the rest of the list: the entry's own link stays.
                link.store(listener.next.load(Ordering::Relaxed), Ordering::Release);
                return;
            }
            // SAFETY: By the type's invariant it is valid, and the mutex keeps others from changing the list.
            match unsafe { seen.as_ref() } {
                Some(other) => link = &other.next,
                None => return,
            }
        }
    }
}

/// An entry for each of some rings, in their order. The vector does not change, so that they stay where they are.
struct Entries {
    head: Head,
    list: KVec<Listener>,
}

// SAFETY: It is the offset of that field.
unsafe impl Found for Entries {
    const HEAD: usize = offset_of!(Self, head);
}

/// The entries of one file in the lists of all its rings. Their memory goes a grace period after it was dropped, for which nobody waits.
pub(crate) struct Subscription(Arc<Entries>);

impl Subscription {
    /// Entries for as many rings, in no list yet.
    pub(crate) fn new(file: &Arc<WaitQueue>, rings: usize) -> Result<Self> {
        let mut list = KVec::with_capacity(rings, GFP_CHARGED)?;
        for _ in 0..rings {
            let listener = Listener {
                next: AtomicPtr::new(null_mut()),
                file: file.clone(),
            };
            list.push(listener, GFP_CHARGED)?;
        }
        let entries = Entries {
            head: Head::new(),
            list,
        };
        Ok(Self(Arc::new(entries, GFP_CHARGED)?))
    }

    /// Wakes the file for these rings from now on.
    ///
    /// # Safety
    ///
    /// The caller holds the registry's mutex. The entries are in no list, and [`Self::end`] is called before the value is
    /// dropped.
    pub(crate) unsafe fn begin<'a>(&self, rings: impl Iterator<Item = &'a Listeners>) {
        for (listener, listeners) in self.0.list.iter().zip(rings) {
            // SAFETY: By the requirement. The entries are in a vector that does not change any more, and whose last reference is dropped
            // a grace period after `self`, which is after `end`.
            unsafe { listeners.insert(listener) };
        }
    }

    /// Ends the wake-ups for these rings, which are those of [`Self::begin`], but for those that are under way. The caller holds the
    /// registry's mutex.
    pub(crate) fn end<'a>(&self, rings: impl Iterator<Item = &'a Listeners>) {
        for (listener, listeners) in self.0.list.iter().zip(rings) {
            listeners.remove(listener);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // SAFETY: These entries have no other subscription.
        unsafe { drop_later(self.0.clone()) };
    }
}
