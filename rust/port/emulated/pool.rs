// SPDX-License-Identifier: GPL-2.0

//! What the frames of a transmit ring are copied to, to be used again when the driver is done with it.
//!
//! An skb costs more than all that is done with a short frame otherwise, most of it for being allocated and cleared. Where
//! the device allows it (`IFF_TX_SKB_SHARING` and a queue, which is nearly all hardware), an skb is kept: the driver gets a second reference, and
//! while that is there the packet is left alone. Elsewhere (virtual devices, whose packets go to a stack and may stay there)
//! its page is kept: each frame gets a new skb around it, which has a reference to the page.
//!
//! What is kept stands in the order of its use, which is about the order in which drivers complete. Some complete late: only
//! when the next packets come (virtio), or at an interrupt. So nobody waits for the front: if that is still in use,
//! one more is allocated, up to a number larger than the driver's ring, and from then on in place of the front, which goes
//! with its last user. A packet or page that some receiver never lets go of thus costs one allocation.
//!
//! Nothing of it refers to the module: a packet or page that is in use when the pool goes, or the module, lives on until the
//! driver frees it.

use crate::{bindings, prelude::*, sys::device_queue::DeviceQueue};
use core::ptr::{null_mut, NonNull};

/// Fewest entries of a pool.
const LEAST: u32 = 512;
/// Most entries of a pool.
const MOST: u32 = 8192;
/// Bytes that a pool's entries may have in all, if that is not too few entries.
const BYTES: u32 = 4 << 20;
/// How many those are.
const FEW: u32 = 16;
/// Bytes of a cache line, in multiples of which there is room.
const LINE: u32 = 64;
/// Bytes of the shortest frame, to which shorter ones are padded.
pub(super) const SHORTEST: u32 = 60;

/// What is kept of a frame.
#[derive(Clone, Copy)]
enum Kept {
    /// Nothing yet.
    Nothing,
    Packet(NonNull<bindings::sk_buff>),
    Page(NonNull<bindings::page>),
}

/// Something that a frame can be copied to.
pub(super) struct Blank {
    /// Where; there is room for the pool's longest frame.
    pub(super) data: NonNull<u8>,
    from: Kept,
    /// The packet, if it is not kept.
    fresh: *mut bindings::sk_buff,
}

/// The pool of a ring.
///
/// # Invariants
///
/// The `count` entries from `first` on, a multiple of their number left out, are the pool's, and none of them is `Nothing`. It
/// has a reference to each. There is a power of two of entries.
///
/// Each has `room` bytes for a frame, `headroom` bytes from its begin.
pub(super) struct Pool {
    entries: KVVec<Kept>,
    first: u32,
    count: u32,
    /// Whether packets are kept, or pages.
    shares: bool,
    headroom: u32,
    room: u32,
    /// How many of the entries are used: with long frames not all.
    most: u32,
}

// SAFETY: Packets and pages belong to no thread.
unsafe impl Send for Pool {}

impl Pool {
    /// A pool for frames to `queue`, whose driver has room for `in_driver` of them as far as that is known.
    pub(super) fn new(queue: &DeviceQueue, in_driver: Option<u32>) -> Result<Self> {
        let most = in_driver
            .unwrap_or(0)
            .clamp(LEAST - 1, MOST - 1)
            .saturating_add(1)
            .next_power_of_two();
        let mut entries = KVVec::with_capacity(most as usize, GFP_CHARGED)?;
        entries.extend_with(most as usize, Kept::Nothing, GFP_CHARGED)?;
        // INVARIANT: A power of two of entries, none of which is the pool's.
        Ok(Self {
            entries,
            first: 0,
            count: 0,
            shares: queue.may_share(),
            headroom: 0,
            room: 0,
            most,
        })
    }

    /// Makes room for frames of `longest` bytes to `queue`.
    #[inline]
    pub(super) fn fit(&mut self, queue: &DeviceQueue, longest: u32) {
        if longest > self.room || queue.headroom() > self.headroom {
            self.grow(queue, longest);
        }
    }

    #[cold]
    fn grow(&mut self, queue: &DeviceQueue, longest: u32) {
        self.clear();
        // INVARIANT: There are no entries.
        self.headroom = queue.headroom();
        self.room = (longest.max(SHORTEST) + queue.tailroom()).next_multiple_of(LINE);
        let affordable = BYTES / (self.headroom + self.room);
        self.most = affordable.clamp(FEW, self.entries.len() as u32);
    }

    #[inline]
    fn at(&mut self, position: u32) -> Option<&mut Kept> {
        let mask = (self.entries.len() as u32).wrapping_sub(1);
        self.entries.get_mut((position & mask) as usize)
    }

    /// Whether what is kept is nobody else's, and where its frame goes then. Of a packet there is one more reference from then on.
    #[inline]
    fn data(&self, kept: Kept) -> Option<NonNull<u8>> {
        let data = match kept {
            Kept::Nothing => null_mut(),
            // SAFETY: The pool has a reference to the packet, and made it with this headroom.
            Kept::Packet(skb) => unsafe { bindings::netmap_tx_reuse(skb.as_ptr(), self.headroom) },
            // SAFETY: The pool has a reference to the page, which is larger than this headroom.
            Kept::Page(page) => unsafe {
                bindings::netmap_tx_page_data(page.as_ptr(), self.headroom)
            },
        };
        NonNull::new(data.cast())
    }

    /// Room for a frame; [`None`] without memory. May sleep.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Blank> {
        if self.count != 0 {
            let front = *self.at(self.first)?;
            if let Some(data) = self.data(front) {
                let end = self.first.wrapping_add(self.count);
                // INVARIANT: The front becomes the back.
                *self.at(end)? = front;
                self.first = self.first.wrapping_add(1);
                return Some(Blank {
                    data,
                    from: front,
                    fresh: null_mut(),
                });
            }
        }
        self.add()
    }

    /// [`Self::take`], the copy of a whole frame and [`Self::finish`] at once, if the front is a packet that is not in use.
    ///
    /// # Safety
    ///
    /// `from` is a buffer with `len` bytes, at least [`SHORTEST`] and no more than there is room for.
    #[inline(always)]
    pub(super) unsafe fn copy(
        &mut self,
        queue: &DeviceQueue,
        from: NonNull<u8>,
        len: u32,
    ) -> Option<NonNull<bindings::sk_buff>> {
        if self.count == 0 {
            return None;
        }
        let front = *self.at(self.first)?;
        let Kept::Packet(skb) = front else {
            return None;
        };
        // SAFETY: By the requirement and the type's invariant. Buffers and room are multiples of a cache line.
        if !unsafe { queue.copy(skb, self.headroom, from, len) } {
            return None;
        }
        let end = self.first.wrapping_add(self.count);
        // INVARIANT: The front becomes the back.
        *self.at(end)? = front;
        self.first = self.first.wrapping_add(1);
        Some(skb)
    }

    /// One more, in place of the front if there are as many as may be.
    #[cold]
    #[inline(never)]
    fn add(&mut self) -> Option<Blank> {
        // SAFETY: Callable from any context.
        let page_room = unsafe { bindings::netmap_tx_page_room(self.headroom) };
        let (from, fresh) = if self.shares {
            (Kept::Packet(self.packet()?), null_mut())
        } else if self.room <= page_room {
            // SAFETY: In process context.
            let page = unsafe { bindings::netmap_tx_page_alloc() };
            (Kept::Page(NonNull::new(page)?), null_mut())
        } else {
            (Kept::Nothing, self.packet()?.as_ptr())
        };
        let data = if fresh.is_null() {
            if self.count == self.most {
                self.remove();
            }
            let end = self.first.wrapping_add(self.count);
            // INVARIANT: It is new, and the reference to it the pool's.
            *self.at(end)? = from;
            self.count = self.count.wrapping_add(1);
            self.data(from)?
        } else {
            // SAFETY: A packet of ours.
            NonNull::new(unsafe { (*fresh).data })?
        };
        Some(Blank { data, from, fresh })
    }

    fn packet(&self) -> Option<NonNull<bindings::sk_buff>> {
        // SAFETY: In process context.
        NonNull::new(unsafe { bindings::netmap_tx_alloc(self.headroom, self.room) })
    }

    /// Lets go of the front.
    fn remove(&mut self) {
        let front = self.at(self.first).map_or(Kept::Nothing, |entry| {
            core::mem::replace(entry, Kept::Nothing)
        });
        // INVARIANT: It is not the pool's any more.
        self.first = self.first.wrapping_add(1);
        self.count = self.count.saturating_sub(1);
        match front {
            Kept::Nothing => {}
            // SAFETY: The reference is the pool's. The driver may have another one.
            Kept::Packet(skb) => unsafe { bindings::netmap_skb_consume(skb.as_ptr()) },
            // SAFETY: As above, and so may packets.
            Kept::Page(page) => unsafe { bindings::netmap_tx_page_put(page.as_ptr()) },
        }
    }

    fn clear(&mut self) {
        while self.count != 0 {
            self.remove();
        }
    }

    /// Makes a packet for `queue` of the frame of `len` bytes that was copied to what [`Self::take`] gave last; if it is in a page,
    /// what one is to be made of.
    ///
    /// # Safety
    ///
    /// `len` is at least that of a header, and there was room for it.
    #[inline]
    pub(super) unsafe fn finish(
        &mut self,
        blank: Blank,
        queue: &DeviceQueue,
        len: u32,
    ) -> bindings::netmap_packet {
        let (skb, page) = match blank.from {
            Kept::Nothing => (blank.fresh, null_mut()),
            Kept::Packet(skb) => (skb.as_ptr(), null_mut()),
            Kept::Page(page) => (null_mut(), page.as_ptr()),
        };
        if page.is_null() {
            // SAFETY: The packet is ours alone. The frame is at its data, and by the type's invariant there is room for 60 bytes.
            unsafe { queue.finish(skb, len) };
        } else {
            // SAFETY: The pool has a reference to the page; this one is the packet's.
            unsafe { bindings::netmap_get_page(page) };
        }
        bindings::netmap_packet {
            skb,
            page,
            bytes: len,
            pooled: blank.fresh.is_null(),
            ..Default::default()
        }
    }

    /// Hands packets that [`Self::finish`] or [`Self::copy`] made to the driver, as far as it takes them; how many it took.
    ///
    /// # Safety
    ///
    /// They are for `queue`, and each is handed over once.
    #[inline]
    pub(super) unsafe fn send(
        &self,
        queue: &DeviceQueue,
        packets: &mut [bindings::netmap_packet],
    ) -> usize {
        // SAFETY: By the requirement, and by the type's invariant on headroom and room.
        unsafe { queue.send(packets, self.headroom) }
    }

    /// What [`Self::take`] gave last is not used.
    pub(super) fn put_back(&mut self, blank: Blank) {
        match blank.from {
            // SAFETY: A packet of ours.
            Kept::Nothing => unsafe { bindings::netmap_skb_consume(blank.fresh) },
            Kept::Packet(skb) => {
                // SAFETY: The reference for the driver, which `take` has made.
                unsafe { bindings::netmap_skb_consume(skb.as_ptr()) };
                self.rewind();
            }
            Kept::Page(_) => self.rewind(),
        }
    }

    /// The packet of [`Self::finish`] that was finished last, but for those that are retracted already, is not sent.
    ///
    /// # Safety
    ///
    /// The driver did not get it.
    pub(super) unsafe fn retract(&mut self, packet: &bindings::netmap_packet) {
        // SAFETY: The reference that the driver would have got is ours.
        unsafe {
            if packet.page.is_null() {
                bindings::netmap_skb_consume(packet.skb);
            } else {
                bindings::netmap_tx_page_put(packet.page);
            }
        }
        if packet.pooled {
            self.rewind();
        }
    }

    /// Makes the back the front.
    fn rewind(&mut self) {
        let to = self.first.wrapping_sub(1);
        let back = to.wrapping_add(self.count);
        let Some(kept) = self.at(back).map(|entry| *entry) else {
            return;
        };
        if let Some(entry) = self.at(to) {
            // INVARIANT: The back becomes the front.
            *entry = kept;
            self.first = to;
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.clear();
    }
}
