// SPDX-License-Identifier: GPL-2.0

//! Socket buffers: the packets of the host stack.

use super::netdev::NetDev;
use crate::{bindings, prelude::*};
use core::ptr::{null, null_mut, NonNull};
use kernel::{ffi::c_int, types::Opaque};

/// A packet that the host stack hands over to be sent. Dropping it frees it, from any context.
///
/// Its sender may hold it too, and may send it once more while we have it, as pktgen does. So nothing of it is changed,
/// and it is on no list of ours, before [`SentSkb::detach`] has made a packet of its own of it.
///
/// # Invariants
///
/// `ptr` is a valid `sk_buff` whose device is set, and this value owns one of the references to it.
pub struct SentSkb {
    ptr: NonNull<bindings::sk_buff>,
}

impl SentSkb {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff` whose device is set, with a reference that the caller gives away.
    pub unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the function's requirement.
        Self { ptr }
    }

    /// The TX queue that the stack chose for it.
    #[inline]
    pub fn queue(&self) -> u16 {
        // SAFETY: The packet is valid.
        unsafe { bindings::netmap_skb_queue(self.ptr.as_ptr()) }
    }

    /// How many packets the wire would show, as far as the packet knows; at least 1.
    #[inline]
    pub fn segments(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { bindings::netmap_skb_segments(self.ptr.as_ptr()) }
    }

    /// Makes it a packet of our own that may be held for long: one that its sender does not hold, without references to
    /// its socket, its route and the sender's memory. Without memory for that the packet is lost, see [`Self::lose`].
    pub fn detach(self) -> Option<Skb> {
        // SAFETY: The reference is given away.
        let own = unsafe { bindings::netmap_skb_detach(self.into_raw()) };
        // INVARIANT: What the function returns is on no list, and nobody else holds it.
        NonNull::new(own).map(|ptr| Skb { ptr })
    }

    /// Drops the packet as one that the stack sent and its device lost.
    pub fn lose(self) {
        // SAFETY: The reference is given away, and the device is set.
        unsafe { bindings::netmap_skb_lost(self.into_raw()) };
    }

    /// Gives the packet away.
    pub fn into_raw(self) -> *mut bindings::sk_buff {
        core::mem::ManuallyDrop::new(self).ptr.as_ptr()
    }
}

impl Drop for SentSkb {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, by the type's invariant.
        unsafe { bindings::netmap_skb_drop(self.ptr.as_ptr()) };
    }
}

/// The queue that the stack is going to choose for a packet that it sends; [`None`] if it drops it, because the interface is down.
///
/// # Safety
///
/// `skb` is a valid `sk_buff` on its way from the stack to a device, which is set. Softirqs are off.
#[inline]
pub unsafe fn sent_queue(skb: NonNull<bindings::sk_buff>) -> Option<u16> {
    let mut queue = 0;
    // SAFETY: By the function's requirement.
    unsafe { bindings::netmap_skb_sent_queue(skb.as_ptr(), &raw mut queue) }.then_some(queue)
}

/// A packet of our own. Dropping it frees it, from any context.
///
/// # Invariants
///
/// `ptr` is a valid `sk_buff` on no list, and this value owns the only reference to it.
#[repr(transparent)]
pub struct Skb {
    ptr: NonNull<bindings::sk_buff>,
}

// SAFETY: A packet belongs to no thread.
unsafe impl Send for Skb {}

impl Skb {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `ptr` must be a valid `sk_buff` on no list, with its only reference, which the caller gives away.
    pub(super) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the function's requirement.
        Self { ptr }
    }

    /// Frees the packet as one that reached its destination; a drop would count as a loss in traces of the stack.
    pub fn consume(self) {
        // SAFETY: The reference is given away.
        unsafe { bindings::netmap_skb_consume(self.into_raw()) };
    }

    /// Drops the packet as one that the stack sent and its device lost.
    ///
    /// # Safety
    ///
    /// The packet's device is set, and still there.
    pub unsafe fn lose(self) {
        // SAFETY: The reference is given away; by the requirement.
        unsafe { bindings::netmap_skb_lost(self.into_raw()) };
    }

    /// Gives the packet away.
    pub fn into_raw(self) -> *mut bindings::sk_buff {
        core::mem::ManuallyDrop::new(self).ptr.as_ptr()
    }

    /// The raw packet, valid as long as `self`.
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.ptr.as_ptr()
    }
}

impl Drop for Skb {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, by the type's invariant.
        unsafe { bindings::netmap_skb_drop(self.as_ptr()) };
    }
}

impl Skb {
    /// A packet of `len` bytes, not filled, as if received by `dev`. May sleep; [`None`] without memory.
    pub fn alloc(dev: &NetDev, len: u32) -> Option<Self> {
        // SAFETY: The device is valid; the result is a new packet that nobody else has.
        let ptr = unsafe { bindings::netmap_skb_alloc(dev.as_ptr(), len) };
        // INVARIANT: As above.
        NonNull::new(ptr).map(|ptr| Self { ptr })
    }

    /// Bytes in the packet.
    #[inline]
    pub fn len(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { (*self.as_ptr()).len }
    }

    /// The start of the bytes that lie in one piece: all of them, in a packet of [`Skb::alloc`].
    #[inline]
    pub fn data(&self) -> *mut u8 {
        // SAFETY: The packet is valid.
        unsafe { (*self.as_ptr()).data }
    }

    /// Copies `len` bytes from byte `offset` on to `to`; false if there are not as many.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes.
    pub unsafe fn copy_bits(&self, offset: u32, to: *mut u8, len: u32) -> bool {
        let (Ok(offset), Ok(len)) = (c_int::try_from(offset), c_int::try_from(len)) else {
            return false;
        };
        // SAFETY: The packet is valid, the function checks the range, and `to` is as required.
        unsafe { bindings::skb_copy_bits(self.as_ptr(), offset, to.cast(), len) == 0 }
    }

    /// The VLAN tag that the packet carries beside its bytes, as the wire has it: protocol and tag.
    #[inline]
    pub fn vlan_tag(&self) -> Option<[u8; 4]> {
        // SAFETY: The packet is valid.
        let tag = unsafe { bindings::netmap_skb_vlan(self.as_ptr()) };
        // Protocol numbers are not 0.
        (tag != 0).then(|| tag.to_be_bytes())
    }

    /// How many packets the wire would show, as far as the packet knows; at least 1.
    #[inline]
    pub fn segments(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { bindings::netmap_skb_segments(self.as_ptr()) }
    }

    /// Completes the checksum, if that was left to the hardware. False without memory.
    pub fn complete_checksum(&self) -> bool {
        // SAFETY: The packet is valid, and nobody else holds it.
        unsafe { bindings::netmap_skb_checksum(self.as_ptr()) == 0 }
    }

    /// Cuts a packet that was left to the hardware to cut, or was put together of what it received, and not `sent` by the stack. A
    /// packet that needs no cuts comes back as the one of the chain; [`None`] without memory or for a malformed one.
    pub fn segment(self, sent: bool) -> Option<SkbChain> {
        let whole = self.as_ptr();
        // SAFETY: The packet is valid, and nobody else holds it.
        let first = unsafe { bindings::netmap_skb_segment(whole, sent) };
        let first = NonNull::new(first)?;
        if first.as_ptr() == whole {
            let _ = self.into_raw();
        } else {
            self.consume();
        }
        // SAFETY: A chain of packets that nobody else has; or the packet itself, whose reference was given away, with what is behind it,
        // which is nothing if it was not cut.
        Some(unsafe { SkbChain::from_raw(first) })
    }
}

/// Packets one behind the other, owned by one thread.
///
/// # Invariants
///
/// From `first` on the packets are linked by their `next`, up to `last`, whose `next` is null; each is owned as by
/// [`Skb`]. Both are null in an empty chain.
pub struct SkbChain {
    first: *mut bindings::sk_buff,
    last: *mut bindings::sk_buff,
}

impl SkbChain {
    /// An empty chain.
    pub fn new() -> Self {
        // INVARIANT: Empty.
        Self {
            first: null_mut(),
            last: null_mut(),
        }
    }

    /// # Safety
    ///
    /// From `first` on packets must be linked by their `next` up to a null, each with its only reference, which is given
    /// away.
    unsafe fn from_raw(first: NonNull<bindings::sk_buff>) -> Self {
        let first = first.as_ptr();
        let mut last = first;
        // SAFETY: By the function's requirement.
        unsafe {
            while !(*link(last)).is_null() {
                last = *link(last);
            }
        }
        // INVARIANT: By the function's requirement.
        Self { first, last }
    }

    /// Adds a packet at the end.
    pub fn push(&mut self, skb: Skb) {
        let skb = skb.into_raw();
        // SAFETY: Both are packets of ours.
        unsafe {
            *link(skb) = null_mut();
            if self.last.is_null() {
                self.first = skb;
            } else {
                *link(self.last) = skb;
            }
        }
        // INVARIANT: Linked above.
        self.last = skb;
    }

    /// Takes the first packet out.
    pub fn pop(&mut self) -> Option<Skb> {
        let skb = NonNull::new(self.first)?;
        // SAFETY: A packet of ours.
        unsafe {
            self.first = *link(skb.as_ptr());
            *link(skb.as_ptr()) = null_mut();
        }
        if self.first.is_null() {
            self.last = null_mut();
        }
        // SAFETY: Owned by the chain until now, and on no list any more.
        Some(unsafe { Skb::from_raw(skb) })
    }

    /// Whether there is no packet.
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    /// Hands the packets to the host stack as received by `dev`; they are dropped if that is down. `marked` ones are let pass by
    /// the ingress hook of an emulated port; a `queue` of the device is where they came from. In process context.
    pub fn receive(mut self, dev: &NetDev, marked: bool, queue: Option<u16>) {
        let first = core::mem::replace(&mut self.first, null_mut());
        self.last = null_mut();
        if !first.is_null() {
            let queue = queue.as_ref().map_or(null(), |queue| &raw const *queue);
            // SAFETY: A chain of packets which is given away; the device is valid, and the pointer null or to a number.
            unsafe { bindings::netmap_skb_receive(dev.as_ptr(), first, marked, queue) };
        }
    }
}

impl Drop for SkbChain {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// The field that links a packet to the next one of its chain.
///
/// # Safety
///
/// `skb` must be a valid packet.
unsafe fn link(skb: *mut bindings::sk_buff) -> *mut *mut bindings::sk_buff {
    // SAFETY: The address of a field of a valid packet, by the function's requirement.
    unsafe { &raw mut (*skb).__bindgen_anon_1.__bindgen_anon_1.next }
}

/// A queue of packets with a lock of its own. All operations may be called from any context.
#[pin_data(PinnedDrop)]
pub struct SkbQueue {
    #[pin]
    head: Opaque<bindings::sk_buff_head>,
}

// SAFETY: The queue has its own lock, and packets belong to no thread.
unsafe impl Send for SkbQueue {}
// SAFETY: As above.
unsafe impl Sync for SkbQueue {}

impl SkbQueue {
    /// An empty queue.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `head` is valid for writes and pinned from now on.
            head <- Opaque::ffi_init(|head| unsafe { bindings::netmap_skb_queue_init(head) }),
        })
    }

    /// Adds a packet at the end.
    pub fn push(&self, skb: Skb) {
        // SAFETY: The queue is initialised, and the packet given away.
        unsafe { bindings::skb_queue_tail(self.head.get(), skb.into_raw()) };
    }

    /// Puts a packet back in front.
    pub fn push_front(&self, skb: Skb) {
        // SAFETY: As above.
        unsafe { bindings::skb_queue_head(self.head.get(), skb.into_raw()) };
    }

    /// Takes the first packet.
    pub fn pop(&self) -> Option<Skb> {
        // SAFETY: The queue is initialised.
        let skb = NonNull::new(unsafe { bindings::skb_dequeue(self.head.get()) })?;
        // SAFETY: The packet is on no list any more, and ours.
        Some(unsafe { Skb::from_raw(skb) })
    }

    /// Whether there is no packet, at a glance without the lock.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: The queue is initialised.
        unsafe { bindings::netmap_skb_queue_empty(self.head.get()) }
    }

    /// Drops all packets.
    pub fn purge(&self) {
        while self.pop().is_some() {}
    }
}

#[pinned_drop]
impl PinnedDrop for SkbQueue {
    fn drop(self: Pin<&mut Self>) {
        self.purge();
    }
}
