// SPDX-License-Identifier: GPL-2.0

//! Host rings: the host stack as the other end of a ring.
//!
//! What the stack sends comes in under the device's transmit lock and waits in a queue until the program syncs; only
//! then, in the program's own time, it is cut into frames, its checksum completed and its VLAN tag put in, so that the
//! program sees what the wire would have shown. What the program puts in a host TX ring is copied and goes up the
//! stack as if the device had received it.

use super::port::Port;
use crate::{
    abi::{slot_flags::NS_MOREFRAG, NETMAP_MAX_FRAGS},
    atomic::{AtomicU32, Ordering},
    logic::{
        ring::{next, prev, Span, Untaken},
        slot::Slot, //
    },
    prelude::*,
    ring::{
        counters::Counters,
        kring::Kring,
        queue::{Direction, Inner, Queue, SyncError},
    },
    sys::{
        frame::Tagged,
        netdev::NetDev,
        skb::{SentSkb, Skb, SkbChain, SkbQueue}, //
    },
};
use core::ptr::NonNull;
use kernel::sync::{new_spinlock, SpinLock};

/// Most host rings of a direction that a request gets.
const MAX_HOST_RINGS: u16 = 16;

/// The host rings of a device's port.
pub(super) struct HostRings {
    rx: KVec<Arc<HostRx>>,
    tx: Arc<HostTx>,
}

impl HostRings {
    /// How many host rings of a direction a request for `wish` gets.
    pub(super) fn count(wish: u16) -> u16 {
        if wish == 0 {
            1
        } else {
            wish.min(MAX_HOST_RINGS)
        }
    }

    /// Those of a port without users. `hooked` as for [`HostTx::new`].
    pub(super) fn new(port: &Port, dev: &NetDev, hooked: bool) -> Result<Self> {
        Self::with(port, HostTx::new(dev.clone(), hooked)?)
    }

    /// Those at the other end of a device's wire, which has as many queues: what goes up by a ring has come by the queue of its number.
    pub(super) fn of_wire(port: &Port, dev: &NetDev) -> Result<Self> {
        Self::with(port, HostTx::with(dev.clone(), false, true)?)
    }

    fn with(port: &Port, tx: Arc<HostTx>) -> Result<Self> {
        let krings = port.krings(Direction::Rx).iter();
        let mut rx = KVec::with_capacity(usize::from(port.counts().host_rx), GFP_CHARGED)?;
        for kring in krings.filter(|kring| kring.host) {
            rx.push(HostRx::new(kring.clone(), port.slots().1)?, GFP_CHARGED)?;
        }
        Ok(Self { rx, tx })
    }

    /// The way up to the stack.
    pub(super) fn tx(&self) -> &Arc<HostTx> {
        &self.tx
    }

    /// The RX rings.
    pub(super) fn rx(&self) -> &[Arc<HostRx>] {
        &self.rx
    }

    /// What stands behind a host ring whose memory is there. `dev` is the port's device.
    pub(super) fn queue(&self, kring: &Kring, dev: &NetDev) -> Result<Arc<dyn Queue>> {
        Ok(match kring.direction {
            Direction::Tx => self.tx.clone(),
            Direction::Rx => {
                let host = self.rx.get(usize::from(kring.index)).ok_or(EINVAL)?;
                // A packet may still have been on its way in when the last user went.
                host.purge(dev);
                host.clone()
            }
        })
    }

    /// The RX ring for what the stack sends on TX queue `queue`.
    pub(super) fn ring_of(&self, queue: u16) -> usize {
        usize::from(queue) % self.rx.len().max(1)
    }

    /// Takes a packet that the stack sends on TX queue `queue`; see [`HostRx::push`].
    pub(super) fn push(&self, skb: SentSkb, queue: u16) -> bool {
        let host = self.rx.get(self.ring_of(queue));
        host.is_some_and(|host| host.push(skb))
    }

    /// Drops what the stack has sent and no program has taken of the RX ring of `kring`, which has no user any more.
    pub(super) fn retire(&self, kring: &Kring, dev: &NetDev) {
        if let Some(host) = self.rx.get(usize::from(kring.index)) {
            host.purge(dev);
        }
    }

    /// Ends them: the reference to the device is dropped, and so is what no program has taken, of each ring when the syncs of it
    /// that are under way are done. No file has the rings bound any more, or they are dead, and nothing comes in any more.
    pub(super) fn end(&self, port: &Port, dev: &NetDev) {
        self.tx.forget();
        let krings = port.krings(Direction::Rx).iter();
        for (kring, host) in krings.filter(|kring| kring.host).zip(&self.rx) {
            let held = kring.stop();
            host.purge(dev);
            drop(held);
        }
    }
}

/// Bytes of a VLAN tag.
const TAG: u32 = 4;
/// Bytes of an Ethernet header.
const HEADER: u32 = 14;
/// Most bytes of a frame for the stack: the longest IP packet with its header and two VLAN tags.
const MAX_FRAME: u32 = 65535 + HEADER + 2 * TAG;

/// A ring to the program: what the stack sends. It lives as long as its port, whether the ring is in use or not.
#[pin_data]
pub(crate) struct HostRx {
    kring: Arc<Kring>,
    /// From the stack, whole.
    #[pin]
    sent: SkbQueue,
    /// Frames of the packet that was taken last from `sent`; only touched by the holder of the kring.
    #[pin]
    frames: SkbQueue,
    /// How many frames may wait in `sent`.
    limit: u32,
    waiting: AtomicU32,
}

impl HostRx {
    /// The queue of `kring`, in which `limit` frames may wait.
    pub(crate) fn new(kring: Arc<Kring>, limit: u32) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                kring,
                sent <- SkbQueue::new(),
                frames <- SkbQueue::new(),
                limit,
                waiting: AtomicU32::new(0),
            }),
            GFP_CHARGED,
        )
    }

    /// Drops the packets that wait, and counts them as [`Self::push`] counts what finds no room. The kring is stopped, and `_dev`
    /// the port's device.
    pub(crate) fn purge(&self, _dev: &NetDev) {
        // A packet that is on its way in at this moment is found by a later call, or by the drop.
        while let Some(packet) = self.next_sent() {
            self.lost(packet.segments());
            // SAFETY: It was sent through the port's device, which the caller has.
            unsafe { packet.lose() };
        }
        while let Some(frame) = self.frames.pop() {
            self.lost(1);
            // SAFETY: As above.
            unsafe { frame.lose() };
        }
    }

    /// Takes a packet from the stack and wakes the sleepers of the ring. If there is no room, or no file has the ring bound,
    /// the packet is dropped and counted as a loss of the ring and of the device. Sleepers are woken all the same: a
    /// program may have read all slots without a sync, and only its next sync makes room. Callable from any context.
    pub(crate) fn push(&self, skb: SentSkb) -> bool {
        let frames = skb.segments();
        // Counted first, so that senders on several CPUs stay within the limit together.
        let waiting = self.waiting.fetch_add(frames, Ordering::Relaxed);
        let fits = waiting.saturating_add(frames) <= self.limit && !self.kring.is_stopped();
        let own = if fits {
            skb.detach()
        } else {
            skb.lose();
            None
        };
        let Some(own) = own else {
            self.waiting.fetch_sub(frames, Ordering::Relaxed);
            self.lost(frames);
            self.kring.wake();
            return false;
        };
        self.sent.push(own);
        self.kring.wake();
        true
    }

    fn lost(&self, frames: u32) {
        self.kring
            .counters
            .drops
            .fetch_add(u64::from(frames), Ordering::Relaxed);
    }

    fn next_sent(&self) -> Option<Skb> {
        let skb = self.sent.pop()?;
        self.waiting.fetch_sub(skb.segments(), Ordering::Relaxed);
        Some(skb)
    }

    /// The next frame, cut and complete. Each packet that is taken from the stack costs one of `budget`.
    fn next_frame(&self, budget: &mut u32) -> Option<Skb> {
        loop {
            if let Some(frame) = self.frames.pop() {
                return Some(frame);
            }
            if self.sent.is_empty() {
                return None;
            }
            *budget = budget.checked_sub(1)?;
            let whole = self.next_sent()?;
            let count = whole.segments();
            match whole.segment(true) {
                Some(mut chain) => {
                    while let Some(frame) = chain.pop() {
                        self.frames.push(frame);
                    }
                }
                None => self.lost(count),
            }
        }
    }
}

impl Queue for HostRx {
    fn sync(&self, held: &mut Inner, kring: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        let size = held.buf_size;
        if let Err(at) = held.accept_span(span, false) {
            // It lies between `hwcur` and the program's head, where the span is.
            let _ = held.cursors.release(at.slot);
            return Err(SyncError::BadRing { at: Some(at) });
        }
        held.cursors.release_all();

        let mut vacant = held.cursors.vacant();
        let mut published = 0;
        let (mut packets, mut bytes) = (0, 0);
        // It bounds the work: packets that are dropped take no slot, and the stack could send more of them as fast as they
        // are dropped.
        let mut budget = self.limit;
        while !vacant.is_empty() {
            let Some(frame) = self.next_frame(&mut budget) else {
                break;
            };
            if !frame.complete_checksum() {
                self.lost(1);
                continue;
            }
            let tagged = Tagged::new(frame);
            let slots = tagged.len().div_ceil(size);
            if slots > vacant.len() {
                // Longer than the ring ever has room for?
                if slots < vacant.num_slots() {
                    self.frames.push_front(tagged.into_skb());
                    break;
                }
                self.lost(1);
                continue;
            }
            if self.put(held, vacant.first(slots), &tagged) {
                packets += 1;
                bytes += u64::from(tagged.len());
                published += slots;
                // Skips the slots that the frame was put in.
                vacant.nth(slots.saturating_sub(1) as usize);
                tagged.into_skb().consume();
            } else {
                kring.counters.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
        if budget == 0 && !self.sent.is_empty() {
            // There is more, and no other wake-up may come for it.
            self.kring.wake();
        }
        Counters::add(&kring.counters.packets, packets);
        Counters::add(&kring.counters.bytes, bytes);
        held.cursors
            .publish(published)
            .map_err(|_| SyncError::BadRing { at: None })
    }
}

impl HostRx {
    /// Copies a frame into the buffers of `slots`, as many as it needs.
    fn put(&self, held: &mut Inner, slots: Span, frame: &Tagged) -> bool {
        let size = held.buf_size;
        let mut offset = 0;
        for index in slots {
            // The kernel's own notion of what is in the slot: a program may still scribble there.
            let buf_idx = held.shadow.get(index as usize).copied().unwrap_or(0);
            let len = size.min(frame.len() - offset);
            // Fails for 64 KiB in one buffer: more than a slot can say, and than any frame has.
            let Ok(slot_len) = u16::try_from(len) else {
                return false;
            };
            let Some(buffer) = held.region.buf_ptr(buf_idx) else {
                return false;
            };
            // SAFETY: A buffer of `size` bytes, at least `len`.
            if !unsafe { frame.copy(offset, buffer, len) } {
                return false;
            }
            offset += len;
            let slot = Slot {
                buf_idx,
                len: slot_len,
                flags: if offset < frame.len() { NS_MOREFRAG } else { 0 },
            };
            // SAFETY: Indices of a span of this ring are below its number of slots.
            unsafe { held.ring.write(index, slot.to_raw()) };
        }
        true
    }
}

/// A ring from the program: what goes up the stack. Stateless: one serves all host TX rings of a port, and what is
/// forwarded from its RX rings.
#[pin_data]
pub(crate) struct HostTx {
    /// Whether packets of the device come through our own hook, which is to let these pass.
    hooked: bool,
    /// Whether the number of a ring is that of the queue from which its packets come.
    by_queue: bool,
    /// Taken out when the device goes, even if rings and bindings still have references to this.
    #[pin]
    dev: SpinLock<Option<NetDev>>,
}

impl HostTx {
    /// The way to the stack of `dev`. `hooked` says whether what `dev` receives comes through our own hook.
    pub(crate) fn new(dev: NetDev, hooked: bool) -> Result<Arc<Self>> {
        Self::with(dev, hooked, false)
    }

    fn with(dev: NetDev, hooked: bool, by_queue: bool) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                hooked,
                by_queue,
                dev <- new_spinlock!(Some(dev), "netmap_host_dev"),
            }),
            GFP_CHARGED,
        )
    }

    /// Drops the reference to the device, which is going away. Syncs under way may have one of their own for as long as they
    /// run.
    pub(crate) fn forget(&self) {
        let dev = self.dev.lock().take();
        drop(dev);
    }

    /// Hands packets to the stack of `dev`, which is the port's device.
    pub(super) fn send_up(&self, chain: SkbChain, dev: &NetDev) {
        chain.receive(dev, self.hooked, None);
    }

    /// The device, unless it is gone.
    pub(super) fn device(&self) -> Option<NetDev> {
        self.dev.lock().clone()
    }
}

impl Queue for HostTx {
    fn sync(&self, held: &mut Inner, kring: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        let dev = self.device().ok_or(SyncError::Gone)?;
        let mut chain = SkbChain::new();
        let mut frame = HostFrame::new(span.begin());
        let (mut packets, mut bytes) = (0, 0);
        let mut result = Ok(());
        // A frame without an end would stop the ring.
        let most = NETMAP_MAX_FRAGS.min(held.ring.num_slots() - 1);
        for index in span {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { held.ring.read(index) });
            let checked = held.region.buf_ptr(slot.buf_idx);
            let Some(buffer) = checked
                .filter(|_| u32::from(slot.len) <= held.buf_size)
                .filter(|_| held.accept(index, slot.buf_idx))
            else {
                let (slot, packet) = (index, frame.first);
                result = Err(SyncError::BadRing {
                    at: Some(Untaken { slot, packet }),
                });
                break;
            };
            frame.add(buffer, slot.len);
            let endless = slot.has(NS_MOREFRAG);
            if endless && frame.count < most {
                continue;
            }
            let copy = if frame.is_empty() && !endless {
                // Slots without a byte are taken and send nothing, as in a ring of the NIC.
                None
            } else if endless {
                Some(Err(Rejected::Malformed))
            } else {
                Some(frame.copy(&dev))
            };
            match copy {
                None => {}
                Some(Ok(skb)) => {
                    packets += 1;
                    bytes += u64::from(frame.len);
                    chain.push(skb);
                }
                Some(Err(Rejected::Malformed)) => {
                    kring.counters.errors.fetch_add(1, Ordering::Relaxed);
                }
                Some(Err(Rejected::NoMemory)) => {
                    kring.counters.drops.fetch_add(1, Ordering::Relaxed);
                }
            }
            frame.restart(next(index, held.ring.num_slots()));
        }
        // An unfinished frame waits for its rest.
        Counters::add(&kring.counters.packets, packets);
        Counters::add(&kring.counters.bytes, bytes);
        let _ = held.cursors.release(frame.first);
        let free = prev(held.cursors.hwcur(), held.ring.num_slots());
        let _ = held.cursors.publish_to(free);
        chain.receive(&dev, self.hooked, self.by_queue.then_some(kring.index));
        result
    }
}

/// Why a frame does not go up.
pub(super) enum Rejected {
    /// Shorter than a header, or longer than anything the stack takes.
    Malformed,
    /// No memory.
    NoMemory,
}

/// A frame in one or more buffers.
pub(super) struct HostFrame {
    /// Its first slot.
    pub(super) first: u32,
    /// Its slots.
    pub(super) count: u32,
    /// Its bytes.
    pub(super) len: u32,
    parts: [(*const u8, u16); NETMAP_MAX_FRAGS as usize],
}

impl HostFrame {
    pub(super) fn new(first: u32) -> Self {
        Self {
            first,
            count: 0,
            len: 0,
            parts: [(core::ptr::null(), 0); NETMAP_MAX_FRAGS as usize],
        }
    }

    /// Empties it for a frame that starts at slot `first`.
    pub(super) fn restart(&mut self, first: u32) {
        self.first = first;
        self.count = 0;
        self.len = 0;
    }

    /// Adds a buffer with `len` bytes in it, at most its size.
    pub(super) fn add(&mut self, buffer: NonNull<u8>, len: u16) {
        if let Some(part) = self.parts.get_mut(self.count as usize) {
            *part = (buffer.as_ptr(), len);
            self.count += 1;
            self.len += u32::from(len);
        }
    }

    /// Whether there is nothing in its slots, if it has any.
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frame as a packet of the stack.
    pub(super) fn copy(&self, dev: &NetDev) -> Result<Skb, Rejected> {
        if !(HEADER..=MAX_FRAME).contains(&self.len) {
            return Err(Rejected::Malformed);
        }
        let skb = Skb::alloc(dev, self.len).ok_or(Rejected::NoMemory)?;
        let mut to = skb.data();
        for &(from, len) in self.parts.iter().take(self.count as usize) {
            let len = usize::from(len);
            // SAFETY: `from` is a buffer of at least `len` bytes, and the packet has room for the sum of all. A program
            // may write the buffer meanwhile: then it is its own packet that is garbled.
            unsafe {
                to.copy_from_nonoverlapping(from, len);
                to = to.add(len);
            }
        }
        Ok(skb)
    }
}
