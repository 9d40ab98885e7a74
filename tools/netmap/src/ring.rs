// SPDX-License-Identifier: BSD-2-Clause
//! Views of rings and of their slots.

use crate::abi;
use crate::group::{Label, Member};
use crate::region::Region;
use crate::slot::{RxSlot, TxSlot};
use core::ptr::{addr_of, addr_of_mut, NonNull};
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// Where the buffers of a ring are.
///
/// # Invariants
///
/// Buffer `i < count` is the `size` octets at `base + i * size`, all inside of a live region.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffers {
    base: NonNull<u8>,
    size: u32,
    count: u32,
}

impl Buffers {
    /// Address of buffer `idx`.
    ///
    /// # Panics
    ///
    /// If no such buffer is in the region.
    #[inline(always)]
    pub(crate) fn at(self, idx: u32) -> *mut u8 {
        if idx >= self.count {
            no_such_buffer(idx, self.count);
        }
        // SAFETY: by the invariant, as `idx` is below `count`.
        unsafe { self.base.as_ptr().add(idx as usize * self.size as usize) }
    }

    #[inline(always)]
    pub(crate) fn count(self) -> u32 {
        self.count
    }

    #[inline(always)]
    pub(crate) fn size(self) -> u32 {
        self.size
    }

    #[inline(always)]
    pub(crate) fn same_as(self, other: Buffers) -> bool {
        self.base == other.base
    }
}

#[cold]
#[inline(never)]
fn no_such_buffer(idx: u32, count: u32) -> ! {
    panic!("a slot names buffer {idx}, but the region has {count}: another program has written to the ring")
}

/// A snapshot of a ring's indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingState {
    /// First slot of the program.
    pub head: u32,
    /// Slot at which `poll` wakes the program.
    pub cur: u32,
    /// First slot of the kernel.
    pub tail: u32,
}

/// What transmit and receive rings have in common.
///
/// # Invariants
///
/// - `ring` is the head of a ring inside of `region`, and `num_slots >= 1` slots follow it there.
/// - `buffers` are inside of `region`.
/// - No other value of this process holds the same ring (`Region::take_ring`).
pub(crate) struct RawRing {
    ring: NonNull<abi::Ring>,
    num_slots: u32,
    buffers: Buffers,
    offset: usize,
    /// Keeps the region, and open the file that is bound to the ring and those of its group.
    member: Arc<Member>,
}

// SAFETY: the pointers lead into the region, which is shared memory and kept by `member`; the view is the only one.
unsafe impl Send for RawRing {}

/// Why a ring cannot be viewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RingError {
    /// The ring or its buffers do not lie within the region.
    Malformed,
    /// The process has a view of it.
    Taken,
}

impl RawRing {
    pub(crate) fn new(member: &Arc<Member>, offset: usize) -> Result<RawRing, RingError> {
        let region: &Region = member.region();
        let malformed = RingError::Malformed;
        let head_len = size_of::<abi::Ring>();
        let ring: NonNull<abi::Ring> = region.at(offset, head_len, 8).ok_or(malformed)?.cast();
        let head = ring.as_ptr();
        // SAFETY: the whole head is inside of the region and aligned for its fields; it is read by raw pointer.
        let (num_slots, size, buf_ofs) = unsafe {
            (
                addr_of!((*head).num_slots).read_volatile(),
                addr_of!((*head).nr_buf_size).read_volatile(),
                addr_of!((*head).buf_ofs).read_volatile(),
            )
        };
        let slots_len = (num_slots as usize).checked_mul(size_of::<abi::Slot>());
        let slots_len = slots_len.ok_or(malformed)?;
        let _ = region
            .at(offset + head_len, slots_len, 8)
            .ok_or(malformed)?;
        let first = usize::try_from(buf_ofs)
            .ok()
            .and_then(|ofs| offset.checked_add(ofs));
        let first = first.ok_or(malformed)?;
        if num_slots == 0 || size == 0 {
            return Err(malformed);
        }
        let base = region.at(first, size as usize, 1).ok_or(malformed)?;
        let count = (region.len() - first) / size as usize;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if !region.take_ring(offset) {
            return Err(RingError::Taken);
        }
        // INVARIANT: `at` has checked the head, the slots and the first buffer; `count` is as many buffers as fit
        // between the first one and the end of the region; `take_ring` has excluded other views.
        Ok(RawRing {
            ring,
            num_slots,
            buffers: Buffers { base, size, count },
            offset,
            member: Arc::clone(member),
        })
    }

    #[inline(always)]
    fn index(&self, field: *mut u32) -> &AtomicU32 {
        // SAFETY: callers pass the address of an index of the ring's head, which is aligned and lives as long as
        // `self`; the kernel and this view are the only ones to touch it, both with single loads and stores.
        unsafe { AtomicU32::from_ptr(field) }
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU32 {
        // SAFETY: the field is inside of the ring's head; no reference is made.
        self.index(unsafe { addr_of_mut!((*self.ring.as_ptr()).head) })
    }

    #[inline(always)]
    fn cur(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        self.index(unsafe { addr_of_mut!((*self.ring.as_ptr()).cur) })
    }

    #[inline(always)]
    fn tail(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        self.index(unsafe { addr_of_mut!((*self.ring.as_ptr()).tail) })
    }

    fn flags(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        self.index(unsafe { addr_of_mut!((*self.ring.as_ptr()).flags) })
    }

    pub(crate) fn buffers(&self) -> Buffers {
        self.buffers
    }

    pub(crate) fn num_slots(&self) -> u32 {
        self.num_slots
    }

    pub(crate) fn head_ptr(&self) -> *mut abi::Ring {
        self.ring.as_ptr()
    }

    /// Address of what lies `offset` octets from the ring's head on, if `len` octets of it are inside of the region.
    pub(crate) fn beside(&self, offset: i64, len: usize, align: usize) -> Option<NonNull<u8>> {
        let at = self
            .offset
            .checked_add_signed(isize::try_from(offset).ok()?)?;
        self.member.region().at(at, len, align)
    }

    fn state(&self) -> RingState {
        RingState {
            head: self.head().load(Ordering::Relaxed),
            cur: self.cur().load(Ordering::Relaxed),
            tail: self.tail().load(Ordering::Acquire),
        }
    }

    /// First slot of the program, below `num_slots`, and how many the program has, below `num_slots` too.
    ///
    /// Indices that are out of range, which the next sync repairs or refuses, make it none.
    #[inline(always)]
    pub(crate) fn window(&self) -> (u32, u32) {
        let head = self.head().load(Ordering::Relaxed);
        let tail = self.tail().load(Ordering::Acquire);
        if head >= self.num_slots || tail >= self.num_slots {
            return (0, 0);
        }
        let wrap = if tail < head { self.num_slots } else { 0 };
        (head, tail + wrap - head)
    }

    /// Address of the slot `idx`, which must be below `num_slots` or, as the end of a run, equal to it.
    #[inline(always)]
    pub(crate) fn slot(&self, idx: u32) -> *mut abi::Slot {
        debug_assert!(idx <= self.num_slots);
        // SAFETY: by the invariant `num_slots` slots follow the head, inside of the region.
        unsafe {
            self.ring
                .add(1)
                .cast::<abi::Slot>()
                .add(idx as usize)
                .as_ptr()
        }
    }

    /// Calls `f` with up to `max` of the program's slots, in order, then passes them on to the kernel.
    #[inline(always)]
    pub(crate) fn walk(&mut self, max: u32, mut f: impl FnMut(*mut abi::Slot, &Label)) -> u32 {
        let (head, available) = self.window();
        let count = available.min(max);
        let until_end = count.min(self.num_slots - head);
        for (start, len) in [(head, until_end), (0, count - until_end)] {
            let mut slot = self.slot(start);
            let end = self.slot(start + len);
            while slot != end {
                f(slot, self.member.label());
                // SAFETY: `slot` is before `end`, which is a slot of the ring or its end.
                slot = unsafe { slot.add(1) };
            }
        }
        self.advance(head, count);
        count
    }

    /// Passes `count` slots from `head` on; the window holds that many.
    #[inline(always)]
    pub(crate) fn advance(&mut self, head: u32, count: u32) {
        let next = head + count;
        let next = if next >= self.num_slots {
            next - self.num_slots
        } else {
            next
        };
        self.cur().store(next, Ordering::Relaxed);
        self.head().store(next, Ordering::Release);
    }
}

impl Drop for RawRing {
    fn drop(&mut self) {
        self.member.region().release_ring(self.offset);
    }
}

macro_rules! ring_methods {
    ($ring:ty) => {
        impl $ring {
            /// Slots in the ring; one of them always stays with the kernel.
            pub fn num_slots(&self) -> u32 {
                self.0.num_slots
            }

            /// Octets per buffer.
            pub fn buf_size(&self) -> u32 {
                self.0.buffers.size
            }

            /// Ring number within the port; host rings come after the NIC's.
            pub fn ring_id(&self) -> u16 {
                // SAFETY: the field is inside of the ring's head; it is read by raw pointer.
                unsafe { addr_of!((*self.0.ring.as_ptr()).ringid).read_volatile() }
            }

            /// The indices as they are now.
            pub fn state(&self) -> RingState {
                self.0.state()
            }

            /// Slots that the program has, as of the last sync.
            #[inline(always)]
            pub fn space(&self) -> u32 {
                self.0.window().1
            }

            /// True if the program has no slot.
            #[inline(always)]
            pub fn is_empty(&self) -> bool {
                self.space() == 0
            }

            /// Sets the ring's flags: [`abi::NR_TIMESTAMP`], [`abi::NR_FORWARD`].
            pub fn set_flags(&mut self, flags: u32) {
                self.0.flags().store(flags, Ordering::Relaxed);
            }
        }
    };
}

/// A view of a transmit ring.
pub struct TxRing(pub(crate) RawRing);

/// A view of a receive ring.
pub struct RxRing(pub(crate) RawRing);

ring_methods!(TxRing);
ring_methods!(RxRing);

impl TxRing {
    /// Calls `f` with up to `max` free slots, in order, then queues them for sending; returns how many.
    ///
    /// The packets leave at the next sync or poll. `f` must set each slot's length with [`TxSlot::set`] or
    /// [`TxSlot::write`]; a slot it leaves alone goes out with the length it had.
    #[inline(always)]
    pub fn fill(&mut self, max: u32, mut f: impl FnMut(&mut TxSlot<'_>)) -> u32 {
        let buffers = self.0.buffers;
        self.0.walk(max, |slot, label| {
            // SAFETY: `walk` gives each slot of the ring that is the program's once, and the ring is borrowed.
            f(&mut unsafe { TxSlot::new(slot, buffers, label) })
        })
    }

    /// Passes up to `max` received slots on, in order, and returns how many: their buffers change places where the two
    /// rings share a region, and are copied where not ([`TxSlot::forward`]). The packets leave at the next sync or poll.
    ///
    /// # Panics
    ///
    /// As [`TxSlot::forward`].
    #[inline]
    pub fn forward(&mut self, from: &mut RxRing, max: u32) -> u32 {
        let count = max.min(from.space()).min(self.space());
        self.fill(count, |slot| {
            from.drain(1, |received| {
                slot.forward(received);
            });
        })
    }

    /// Whether [`Self::forward`] can pass on what `from` receives: the two rings share a region, or the buffers here are no
    /// smaller than there.
    pub fn takes_from(&self, from: &RxRing) -> bool {
        self.0.buffers.same_as(from.0.buffers) || from.buf_size() <= self.buf_size()
    }

    /// Slots queued that the kernel has not reported as sent, as of the last sync.
    pub fn pending(&self) -> u32 {
        let (_, space) = self.0.window();
        self.0.num_slots - 1 - space
    }
}

impl RxRing {
    /// The received slot that `ahead` others are before, if there are so many. It stays the program's.
    #[inline(always)]
    pub fn slot(&mut self, ahead: u32) -> Option<RxSlot<'_>> {
        let (head, available) = self.0.window();
        if ahead >= available {
            return None;
        }
        let at = head + ahead;
        let at = if at < self.0.num_slots {
            at
        } else {
            at - self.0.num_slots
        };
        // SAFETY: the slot is one of the program's, and the ring is borrowed as long as the value lives.
        Some(unsafe { RxSlot::new(self.0.slot(at), self.0.buffers, self.0.member.label()) })
    }

    /// In how many slots the first packet is, if all of it has been received.
    #[inline]
    pub fn first_packet(&mut self) -> Option<u32> {
        for ahead in 0..abi::NETMAP_MAX_FRAGS {
            if self.slot(ahead)?.flags() & abi::NS_MOREFRAG == 0 {
                return Some(ahead + 1);
            }
        }
        None
    }

    /// Calls `f` with up to `max` received slots, in order, then gives them back; returns how many.
    ///
    /// The kernel takes them at the next sync or poll.
    #[inline(always)]
    pub fn drain(&mut self, max: u32, mut f: impl FnMut(&mut RxSlot<'_>)) -> u32 {
        let buffers = self.0.buffers;
        self.0.walk(max, |slot, label| {
            // SAFETY: `walk` gives each slot of the ring that is the program's once, and the ring is borrowed.
            f(&mut unsafe { RxSlot::new(slot, buffers, label) })
        })
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
