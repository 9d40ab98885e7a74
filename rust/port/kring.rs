// SPDX-License-Identifier: GPL-2.0

//! The kernel's own state of a ring.
//!
//! Truth is in the [`Kring`]; the [`abi::Ring`] in shared memory is a copy that is published to the program. A kring
//! lives as long as its port, its ring memory only while some binding uses it.
//!
//! Who may touch what:
//!
//! | state | who |
//! |---|---|
//! | cursors, ring memory, queue (`Inner`) | the holder of the busy flag ([`Held`]) |
//! | attach, detach of ring memory and queue | the same, who has stopped the kring for it, with the RTNL mutex held |
//! | list of the files to wake | readers under RCU, writers with the registry's mutex |
//! | counters | anyone reads them; who writes is said at each ([`Counters`]) |

use super::listeners::Listeners;
use crate::{
    abi::{self, slot_flags::NS_MOREFRAG},
    atomic::{AtomicU64, Ordering},
    bindings,
    logic::{
        busy::{Busy, NotHeld},
        packets::Packets,
        ring::{Cursors, Span, Untaken},
        slot::Slot, //
    },
    mem::{Group, Region},
    prelude::*,
    sys::{sched, wait}, //
};
use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};

/// Which way packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the program.
    Tx,
    /// To the program.
    Rx,
}

/// Why a sync did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncError {
    /// The program wrote an impossible cursor or slot; the ring is to be reinitialised.
    BadRing {
        /// The slot at fault and its packet, or the ring's cursors if `None`.
        at: Option<Untaken>,
    },
    /// The port behind the ring is gone for good.
    Gone,
}

/// A queue behind a kring: a hardware queue, a host ring, later a switch port or a pipe.
///
/// Both functions run with the kring's busy flag held, in process context, in the context of the program. `span` is
/// what the program has released, already checked: every index in it is below the ring's number of slots.
pub trait Queue: Send + Sync {
    /// Transmits the slots of `span` and reclaims what is complete.
    ///
    /// On return `hwcur` must be the end of what was consumed and `hwtail` the end of the program's free slots.
    fn txsync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        flags: u32,
    ) -> Result<(), SyncError>;

    /// Publishes what was received by moving `hwtail`, and takes back the slots of `span` by moving `hwcur`.
    fn rxsync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        flags: u32,
    ) -> Result<(), SyncError>;

    /// Whether the next sync would find something new. To be true if that is not known.
    ///
    /// Runs with the kring's busy flag held, in an interrupt.
    fn has_news(&self, _held: &Inner) -> bool {
        true
    }
}

/// The ring in shared memory, as the kernel accesses it.
///
/// All accesses are volatile: a program may write any of it at any time.
///
/// # Invariants
///
/// `base` points to a ring of `num_slots` slots in pages that stay mapped in the kernel while the kring is attached.
#[derive(Clone, Copy)]
pub struct SharedRing {
    base: NonNull<abi::Ring>,
    num_slots: u32,
}

// SAFETY: Ring memory belongs to no thread, and all accesses are volatile.
unsafe impl Send for SharedRing {}
// SAFETY: As above.
unsafe impl Sync for SharedRing {}

impl SharedRing {
    /// # Safety
    ///
    /// `base` must point to an [`abi::Ring`] followed by `num_slots` slots, which stay valid until the last use.
    pub unsafe fn new(base: NonNull<abi::Ring>, num_slots: u32) -> Self {
        // INVARIANT: By the safety requirement.
        Self { base, num_slots }
    }

    /// The number of slots.
    #[inline]
    pub fn num_slots(self) -> u32 {
        self.num_slots
    }

    /// The ring's header.
    #[inline]
    pub fn header(self) -> *mut abi::Ring {
        self.base.as_ptr()
    }

    /// The two words of a slot, if there is such a slot: buffer index, length and flags; pointer. The accesses must be
    /// volatile.
    #[inline]
    pub fn at(self, index: u32) -> *mut u64 {
        // The slots start right behind the header, 16 bytes each.
        self.base
            .as_ptr()
            .cast::<u8>()
            .wrapping_add(core::mem::size_of::<abi::Ring>() + (index as usize) * 16)
            .cast()
    }

    /// Reads buffer index, length and flags of a slot, all at once.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn read(self, index: u32) -> u64 {
        // SAFETY: The type's invariant and this function's requirement; slots are 16-byte aligned.
        unsafe { self.at(index).read_volatile() }
    }

    /// Writes buffer index, length and flags of a slot, all at once.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn write(self, index: u32, raw: u64) {
        // SAFETY: The type's invariant and this function's requirement; slots are 16-byte aligned.
        unsafe { self.at(index).write_volatile(raw) }
    }

    /// Writes buffer index, length and flags of a slot, all at once, unless they are not `from` any more.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    pub unsafe fn replace(self, index: u32, from: u64, to: u64) {
        // SAFETY: The type's invariant and this function's requirement; slots are 16-byte aligned.
        unsafe { bindings::netmap_replace64(self.at(index), from, to) };
    }

    /// Moves the program's `head` from what it was when it was read, unless the program has moved it since. Says whether it did.
    pub fn move_head(self, from: u32, to: u32) -> bool {
        // SAFETY: By the type's invariant the header is valid.
        unsafe { bindings::netmap_replace32(&raw mut (*self.header()).head, from, to) }
    }

    /// As [`Self::move_head`], of `cur`.
    pub fn move_cur(self, from: u32, to: u32) -> bool {
        // SAFETY: As above.
        unsafe { bindings::netmap_replace32(&raw mut (*self.header()).cur, from, to) }
    }

    /// Writes length and flags of a slot and leaves the buffer index.
    ///
    /// # Safety
    ///
    /// `index` must be less than [`Self::num_slots`].
    #[inline]
    pub unsafe fn write_len_flags(self, index: u32, len: u16, flags: u16) {
        let word = u32::from(len) | (u32::from(flags) << 16);
        // SAFETY: The type's invariant and this function's requirement; the second word of a slot is 4-byte aligned.
        unsafe {
            self.at(index)
                .cast::<u32>()
                .wrapping_add(1)
                .write_volatile(word)
        }
    }
}

/// What the holder of the busy flag owns of a kring.
pub struct Inner {
    /// Where kernel and program stand.
    pub cursors: Cursors,
    /// The ring in shared memory.
    pub ring: SharedRing,
    /// The buffer that the kernel last saw or put in each slot: what it gives to the hardware, whatever the program writes
    /// into a slot meanwhile. It follows each slot that is handed over, whatever stands behind the ring at that moment.
    /// All of them are buffers of `group`.
    pub shadow: KVVec<u32>,
    /// The owner of the ring's buffers.
    pub group: Arc<Group>,
    /// Size of a buffer of the region in bytes.
    pub buf_size: u32,
    /// `hwtail` when an interrupt last woke for the ring.
    pub announced: u32,
}

impl Inner {
    /// Notes that the program has handed over the slot `index` with the buffer `buf_idx`. If it had been given to others,
    /// they and this ring belong together from now on. False, with nothing noted, if nobody has that buffer in `region`.
    #[inline]
    pub fn accept(&mut self, region: &Region, index: u32, buf_idx: u32) -> bool {
        let Some(entry) = self.shadow.get_mut(index as usize) else {
            return false;
        };
        if *entry != buf_idx {
            if !region.exchange(&self.group, buf_idx) {
                return false;
            }
            *entry = buf_idx;
        }
        true
    }

    /// Reads the slots of `span`, which the program has handed over, and notes their buffers. Stops at the first slot that
    /// is impossible, and returns it: nobody has its buffer or, if the slots are to be sent by a NIC, its length or that of
    /// its packet cannot be.
    pub fn accept_span(
        &mut self,
        region: &Region,
        span: Span,
        to_send: bool,
    ) -> Result<(), Untaken> {
        let mut packets = Packets::new(span.begin(), span.num_slots());
        for index in span {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { self.ring.read(index) });
            let at = if to_send {
                packets.untaken(index)
            } else {
                Untaken::alone(index)
            };
            let fits = !to_send || u32::from(slot.len) <= self.buf_size;
            if !fits || !self.accept(region, index, slot.buf_idx) {
                return Err(at);
            }
            if to_send {
                packets.add(index, slot.len, slot.has(NS_MOREFRAG))?;
            }
        }
        Ok(())
    }
}

/// Counters of a ring. One writer at a time (the holder of the busy flag) unless said otherwise.
#[derive(Default)]
pub struct Counters {
    /// Packets sent or received, however many slots each of them has.
    pub packets: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Calls of txsync or rxsync.
    pub syncs: AtomicU64,
    /// Times that the ring had news for somebody who slept; written by interrupts.
    pub wakeups: AtomicU64,
    /// Packets lost here; written by interrupts and the transmit path too.
    pub drops: AtomicU64,
    /// Packets with errors, dropped by the hardware or by us.
    pub errors: AtomicU64,
    /// Times the ring was reinitialised because of an impossible value.
    pub reinits: AtomicU64,
}

impl Counters {
    /// Adds to a counter that only the holder of the busy flag writes.
    #[inline]
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.store(
            counter.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }
}

/// The ring memory and the queue behind a kring in use.
pub struct Attached {
    /// Cursors and memory.
    pub inner: Inner,
    /// What moves the packets.
    pub queue: Arc<dyn Queue>,
}

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
    pub(super) listeners: Listeners,
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
    pub fn try_hold(&self) -> Result<Held<'_>, NotHeld> {
        self.busy.try_hold()?;
        // INVARIANT: The flag was clear and is ours now.
        Ok(Held { kring: self })
    }

    /// [`Self::try_hold`], for an interrupt that looks and waits for nothing.
    #[inline]
    fn try_look(&self) -> Result<Held<'_>, NotHeld> {
        self.busy.try_look()?;
        // INVARIANT: The flag was clear and is ours now.
        Ok(Held { kring: self })
    }

    /// [`Self::try_hold`], but an interrupt that looks at the ring is waited for, which waits for nobody. In process context.
    pub fn try_hold_after_look(&self) -> Result<Held<'_>, NotHeld> {
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
    /// The caller holds the RTNL mutex, so that there is only one.
    pub fn stop(&self) -> Held<'_> {
        // A sync is bounded by the ring's size, and its holder may need this CPU.
        self.busy.stop(sched::yield_now);
        // INVARIANT: The flag was clear and is ours now.
        Held { kring: self }
    }

    /// Lets syncs in again; the opposite of [`Self::stop`]. Wakes the ring's sleepers, for what was behind the ring may be
    /// another now.
    pub fn start(&self) {
        self.busy.start();
        self.wake();
    }

    /// Marks the kring dead, for good, and wakes its sleepers, who will see `POLLERR`.
    pub fn kill(&self) {
        self.busy.kill();
        self.wake();
    }

    /// Makes a dead kring one that is stopped, for its next user. The caller holds the RTNL mutex, under which krings die, and
    /// nobody has the ring bound.
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

    /// Whether somebody who has synced the ring before and sleeps now would find something new.
    ///
    /// Not only what the hardware has done since the last sync is new: another thread may have synced the ring in the
    /// meantime, and what it found is news to the sleeper.
    fn has_news(&self) -> bool {
        match self.try_look() {
            Ok(mut held) => held.attached().is_some_and(|Attached { inner, queue }| {
                let tail = inner.cursors.hwtail();
                core::mem::replace(&mut inner.announced, tail) != tail || queue.has_news(inner)
            }),
            // Whoever is at it may have looked already.
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
pub struct Held<'a> {
    kring: &'a Kring,
}

impl<'a> Held<'a> {
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

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.kring.busy.release();
    }
}
