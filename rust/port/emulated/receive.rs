// SPDX-License-Identifier: GPL-2.0

//! The receive side of emulated ports: from netfilter's ingress hook, or XDP ([`super::xdp`]), into the rings' inboxes.
//!
//! A packet goes to the ring of the queue that the driver says it came from, modulo the number of rings. One whose ring no file has
//! bound goes on to the stack, as what comes in on a queue of a native port that is not taken.

use crate::{
    bindings,
    prelude::*,
    ring::inbox::Inbox,
    sys::{
        frame::{Bytes, ReceivedSkb, Seen, Tagged},
        netfilter::Inspector,
        softirq::Softirq, //
    },
};
use core::ptr::NonNull;
use kernel::ffi::c_void;

/// The receive rings of a port.
pub(super) struct Receiver {
    /// One for each ring.
    inboxes: KVec<Arc<Inbox>>,
}

impl Receiver {
    /// For rings with these inboxes.
    pub(super) fn new(inboxes: KVec<Arc<Inbox>>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { inboxes }, GFP_CHARGED)?)
    }

    /// The inboxes, in the order of the rings.
    pub(super) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }

    /// That of the ring `index`.
    pub(super) fn inbox(&self, index: u16) -> Option<&Arc<Inbox>> {
        self.inboxes.get(usize::from(index))
    }

    /// The one for a packet that came from a queue of the device, if the ring is bound.
    #[inline]
    pub(super) fn choose(&self, queue: u32) -> Option<&Inbox> {
        let count = self.inboxes.len();
        let queue = queue as usize;
        let ring = if queue < count {
            queue
        } else {
            queue.checked_rem(count)?
        };
        self.inboxes
            .get(ring)
            .map(|inbox| &**inbox)
            .filter(|inbox| inbox.is_open())
    }
}

// SAFETY: The function hands its private data to those below, which take it for a `Receiver`; what they take is freed, or theirs.
unsafe impl Inspector for Receiver {
    /// It calls [`netmap_take_frame`] and [`netmap_take_received`].
    const CALLED: bindings::nf_hookfn = Some(bindings::netmap_received);

    unsafe fn take(&self, skb: NonNull<bindings::sk_buff>, softirq: &Softirq) -> bool {
        // SAFETY: By the function's requirement; it is freed at the end of this function.
        let Some(seen) = (unsafe { Seen::look(skb) }) else {
            return false;
        };
        let Some(inbox) = self.choose(seen.queue().into()) else {
            return false;
        };
        if !seen.is_frame() {
            // SAFETY: It is taken.
            deliver_frames(inbox, unsafe { ReceivedSkb::from_raw(skb) }, softirq);
            return true;
        }
        // SAFETY: The inbox asks for bytes at the address of a buffer that has room for them.
        let is_open = inbox.deliver_parts(softirq, seen.len(), &mut |offset, to, len| unsafe {
            seen.copy(offset, to, len)
        });
        if !is_open {
            // Closed in the meantime.
            return false;
        }
        // SAFETY: It is taken.
        unsafe { ReceivedSkb::from_raw(skb) }.consume(softirq);
        true
    }
}

/// Whether a frame without a tag, from this queue of the device, is taken: it is copied then.
///
/// # Safety
///
/// For `netmap_received` alone, with the private data of a hook, and a frame of `len` bytes at `data`. Softirqs are off.
#[no_mangle]
unsafe extern "C" fn netmap_take_frame(
    receiver: *const c_void,
    data: *const c_void,
    len: u32,
    queue: u32,
) -> bool {
    // SAFETY: By the function's requirement; the private data stays while calls of the hook are under way.
    let (receiver, softirq) = unsafe { (&*receiver.cast::<Receiver>(), Softirq::assume()) };
    let Some(from) = NonNull::new(data.cast_mut().cast()) else {
        return false;
    };
    // SAFETY: By the function's requirement.
    let frame = unsafe { Bytes::new(from, len) };
    // What does not fit is counted, and lost.
    receiver
        .choose(queue)
        .is_some_and(|inbox| inbox.deliver(softirq, frame))
}

/// Whether any other packet is taken.
///
/// # Safety
///
/// For `netmap_received` alone, with what netfilter has called it with.
#[no_mangle]
unsafe extern "C" fn netmap_take_received(
    receiver: *const c_void,
    skb: *mut bindings::sk_buff,
) -> bool {
    // SAFETY: As above.
    let (receiver, softirq) = unsafe { (&*receiver.cast::<Receiver>(), Softirq::assume()) };
    // SAFETY: By the function's requirement.
    NonNull::new(skb).is_some_and(|skb| unsafe { receiver.take(skb, softirq) })
}

/// Delivers what is not in one piece or not complete, or is several packets in one: as the frames that the wire would have shown.
#[cold]
fn deliver_frames(inbox: &Inbox, packet: ReceivedSkb, softirq: &Softirq) {
    let count = packet.segments();
    let Some(mut frames) = packet.detach().and_then(|skb| skb.segment(false)) else {
        inbox.lost(u64::from(count));
        return;
    };
    while let Some(frame) = frames.pop() {
        if !frame.complete_checksum() {
            inbox.lost(1);
            continue;
        }
        let frame = Tagged::new(frame);
        // SAFETY: The inbox asks for bytes at the address of a buffer that has room for them.
        let is_open = inbox.deliver_parts(softirq, frame.len(), &mut |offset, to, len| unsafe {
            frame.copy(offset, to, len)
        });
        if !is_open {
            inbox.lost(1);
        }
        // Not while the inbox is locked: the packet may have a sender, who is told.
        frame.into_skb().consume();
    }
}
