// SPDX-License-Identifier: GPL-2.0

//! The stack's packets as the frames that a wire would show.

use super::{copy::copy_frame, skb::Skb, softirq::Softirq};
use crate::bindings;
use core::{marker::PhantomData, ptr::NonNull};

/// Bytes of the two addresses, after which a VLAN tag goes.
const ADDRESSES: u32 = 12;
/// Bytes of a VLAN tag.
const TAG: u32 = 4;
/// A VLAN tag as the wire has it: protocol and tag.
type Tag = [u8; TAG as usize];

/// Copies `len` bytes of a frame with a VLAN tag in it to `to`, from byte `offset` on, which is not within addresses and tag, and
/// `len` is at least that of these if it is 0. `copy` copies bytes of the frame without the tag: offset, address, length.
///
/// # Safety
///
/// `to` must be valid for writes of `len` bytes.
#[inline]
unsafe fn copy_tagged(
    tag: Option<Tag>,
    offset: u32,
    to: *mut u8,
    len: u32,
    copy: impl Fn(u32, *mut u8, u32) -> bool,
) -> bool {
    let Some(tag) = tag else {
        return copy(offset, to, len);
    };
    if let Some(offset) = offset.checked_sub(TAG) {
        return copy(offset, to, len);
    }
    let Some(rest) = len.checked_sub(ADDRESSES + TAG) else {
        return false;
    };
    // SAFETY: By the function's requirement: `len` is at least that of addresses and tag.
    unsafe {
        to.add(ADDRESSES as usize)
            .copy_from_nonoverlapping(tag.as_ptr(), tag.len());
        copy(0, to, ADDRESSES) && copy(ADDRESSES, to.add((ADDRESSES + TAG) as usize), rest)
    }
}

/// A packet that lies in one piece.
///
/// # Invariants
///
/// `from` is valid for reads of `len` bytes as long as `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a> {
    from: NonNull<u8>,
    len: u32,
    _packet: PhantomData<&'a ()>,
}

impl Bytes<'_> {
    /// The `len` bytes at `from`.
    ///
    /// # Safety
    ///
    /// They are there as long as the value.
    #[inline(always)]
    pub(crate) unsafe fn new(from: NonNull<u8>, len: u32) -> Self {
        // INVARIANT: By the function's requirement.
        Self {
            from,
            len,
            _packet: PhantomData,
        }
    }

    /// How many there are.
    #[inline(always)]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Copies all of them to `to`.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of as many bytes.
    #[inline(always)]
    pub(crate) unsafe fn copy_all(&self, to: NonNull<u8>) {
        // SAFETY: By the type's invariant, and the function's requirement.
        unsafe { copy_frame(self.from.as_ptr(), to.as_ptr(), self.len as usize) };
    }

    /// Copies `len` bytes from byte `offset` on to `to`; false if there are not as many.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes.
    #[inline]
    pub(crate) unsafe fn copy(&self, offset: u32, to: NonNull<u8>, len: u32) -> bool {
        let end = offset.checked_add(len);
        let within = end.is_some_and(|end| end <= self.len);
        if within {
            // SAFETY: By the type's invariant, as was just checked, and the function's requirement.
            unsafe {
                let from = self.from.as_ptr().add(offset as usize);
                copy_frame(from, to.as_ptr(), len as usize);
            }
        }
        within
    }
}

/// A packet with its VLAN tag, complete and cut, as the wire would show it.
pub(crate) struct Tagged {
    skb: Skb,
    tag: Option<Tag>,
    len: u32,
}

impl Tagged {
    /// For a packet that begins with its Ethernet header.
    pub(crate) fn new(skb: Skb) -> Self {
        let tag = skb.vlan_tag().filter(|_| skb.len() >= ADDRESSES);
        let len = skb.len() + tag.map_or(0, |_| TAG);
        Self { skb, tag, len }
    }

    /// Bytes, the tag included.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The packet.
    pub(crate) fn into_skb(self) -> Skb {
        self.skb
    }

    /// Copies `len` bytes from byte `offset` on to `to`; false if there are not as many. The first part that is copied has at least
    /// 64 bytes, if the frame has.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes.
    pub(crate) unsafe fn copy(&self, offset: u32, to: NonNull<u8>, len: u32) -> bool {
        // SAFETY: By the function's requirement; the closure is called for parts of that.
        unsafe {
            copy_tagged(self.tag, offset, to.as_ptr(), len, |offset, to, len| {
                self.skb.copy_bits(offset, to, len)
            })
        }
    }
}

/// A packet that the stack is about to receive, as it is: looked at, and not changed.
pub(crate) struct Seen<'a> {
    raw: bindings::netmap_seen,
    _packet: PhantomData<&'a ()>,
}

impl<'a> Seen<'a> {
    /// Looks at a packet at the ingress hook; [`None`] if it is not to be taken: our own host rings have sent it up, or it has no
    /// Ethernet header.
    ///
    /// # Safety
    ///
    /// `skb` is what netfilter called the hook with, and stays for `'a`.
    #[inline]
    pub(crate) unsafe fn look(skb: NonNull<bindings::sk_buff>) -> Option<Self> {
        let mut raw = bindings::netmap_seen::default();
        // SAFETY: By the function's requirement.
        let ours = unsafe { bindings::netmap_received_look(skb.as_ptr(), &raw mut raw) };
        ours.then_some(Self {
            raw,
            _packet: PhantomData,
        })
    }

    /// The queue of the device that it came from; 0 if the driver does not say.
    #[inline]
    pub(crate) fn queue(&self) -> u16 {
        self.raw.queue
    }

    /// Whether it is a frame already: in one piece, complete and cut. If not, see [`ReceivedSkb::detach`].
    #[inline]
    pub(crate) fn is_frame(&self) -> bool {
        !self.raw.data.is_null()
    }

    /// The frame without its tag, if it is one.
    fn bytes(&self) -> Option<Bytes<'a>> {
        let from = NonNull::new(self.raw.data.cast_mut().cast())?;
        // SAFETY: As many bytes are there, in one piece, for the type's lifetime.
        Some(unsafe { Bytes::new(from, self.raw.len) })
    }

    /// Bytes of the frame, the tag included.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.raw.len + self.tag().map_or(0, |_| TAG)
    }

    /// The tag beside the packet, of which the hook has checked that there are addresses.
    #[inline]
    fn tag(&self) -> Option<Tag> {
        // Protocol numbers are not 0.
        (self.raw.tag != 0).then(|| self.raw.tag.to_be_bytes())
    }

    /// Copies `len` bytes of the frame from byte `offset` on to `to`; false if there are not as many.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes.
    pub(crate) unsafe fn copy(&self, offset: u32, to: NonNull<u8>, len: u32) -> bool {
        let copy = |offset: u32, to: *mut u8, len: u32| match (self.bytes(), NonNull::new(to)) {
            // SAFETY: `to` is for a part of what this function was called for.
            (Some(bytes), Some(to)) => unsafe { bytes.copy(offset, to, len) },
            _ => false,
        };
        // SAFETY: By the function's requirement.
        unsafe { copy_tagged(self.tag(), offset, to.as_ptr(), len, copy) }
    }
}

/// A packet that was taken at the ingress hook. Others may have references to it too. Dropping it frees it.
///
/// # Invariants
///
/// `ptr` is a valid `sk_buff` with its device and its MAC header set, and this value owns one of the references to it.
pub(crate) struct ReceivedSkb {
    ptr: NonNull<bindings::sk_buff>,
}

impl ReceivedSkb {
    /// Takes over a packet.
    ///
    /// # Safety
    ///
    /// `skb` is what netfilter called the ingress hook with, and the hook takes it.
    #[inline]
    pub(crate) unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the function's requirement.
        Self { ptr: skb }
    }

    /// How many frames the wire would show, as far as the packet knows; at least 1.
    pub(crate) fn segments(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { bindings::netmap_skb_segments(self.ptr.as_ptr()) }
    }

    /// Makes it a packet of our own, that begins with its Ethernet header. [`None`] without memory for that.
    pub(crate) fn detach(self) -> Option<Skb> {
        let skb = core::mem::ManuallyDrop::new(self).ptr.as_ptr();
        // SAFETY: The reference is given away; what the function returns is on no list, and nobody else holds it.
        unsafe { NonNull::new(bindings::netmap_received_detach(skb)).map(|skb| Skb::from_raw(skb)) }
    }

    /// Frees the packet as one that reached its destination, as the driver's next one, if it was the last reference.
    #[inline]
    pub(crate) fn consume(self, _softirq: &Softirq) {
        let skb = core::mem::ManuallyDrop::new(self).ptr.as_ptr();
        // SAFETY: The reference is given away, and softirqs are off.
        unsafe { bindings::napi_consume_skb(skb, 1) };
    }
}

impl Drop for ReceivedSkb {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, by the type's invariant.
        unsafe { bindings::netmap_skb_drop(self.ptr.as_ptr()) };
    }
}
