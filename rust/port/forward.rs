// SPDX-License-Identifier: GPL-2.0

//! Forwarding between NIC and host stack: what a program releases with `NS_FORWARD` in a ring with `NR_FORWARD`.
//!
//! - From a NIC RX ring up: the frame is copied and goes up the stack.
//! - From a host RX ring down: the frame's buffers are swapped into a NIC TX ring that the same file has bound, at the
//!   program's `head`, which moves. The program is in a system call then, and is not to use the ring in another thread.
//!
//! The mark of a frame of several slots is that of its first one. What finds no room is dropped and counted.
//!
//! # Who holds what
//!
//! [`Released::before_sync`] runs with the RX kring held, between its prologue and its rxsync. It takes NIC TX krings
//! one at a time, passes over those that others sync, and waits for none of them: so there is no order between them to
//! keep. An interrupt that looks at one is no reason to pass over it. [`Forward::finish`] runs with no kring held.

use super::{
    binding::Binding,
    host::{HostFrame, HostTx},
};
use crate::{
    abi::{
        ring_flags::NR_FORWARD,
        slot_flags::{NS_BUF_CHANGED, NS_FORWARD, NS_MOREFRAG},
        NETMAP_MAX_FRAGS,
    },
    atomic::Ordering,
    logic::{
        ring::{distance, is_passed, next, Span},
        slot::Slot, //
    },
    mem::{Region, SharedRing},
    prelude::*,
    ring::{kring::Kring, queue::Inner, sync::Released},
    sys::{param, skb::SkbChain}, //
};

/// What is forwarded in one system call.
pub(crate) struct Forward<'a> {
    host: Option<&'a HostTx>,
    tx: &'a [Arc<Kring>],
    /// Whether frames without the mark are forwarded too, as a module parameter may say.
    all: bool,
    up: SkbChain,
    down: bool,
}

impl Released for Forward<'_> {
    /// Forwards what is marked in `span`, the slots that the program has released of the ring of `kring`.
    #[inline]
    fn before_sync(&mut self, kring: &Kring, held: &mut Inner, span: &Span) {
        if !span.is_empty() && (self.all || held.ring.flags() & NR_FORWARD != 0) {
            self.forward(kring, held, span);
        }
    }
}

impl<'a> Forward<'a> {
    /// For a system call on a bound file.
    #[inline]
    pub(crate) fn new(binding: &'a Binding) -> Self {
        Self {
            host: binding.host.as_deref(),
            tx: &binding.tx,
            all: param::forward_all(),
            up: SkbChain::new(),
            down: false,
        }
    }

    #[cold]
    fn forward(&mut self, kring: &Kring, held: &mut Inner, span: &Span) {
        let Some(host) = self.host else { return };
        let region = held.region.clone();
        let mut frames = Frames {
            ring: held.ring,
            region: &region,
            slots: span.clone(),
        };
        if kring.host {
            self.send_down(kring, held, frames);
        } else if let Some(dev) = host.device() {
            let mut frame = HostFrame::new(0);
            while frames.next(&mut frame, self.all) {
                unmark(held.ring, frame.first);
                match frame.copy(&dev) {
                    Ok(skb) => self.up.push(skb),
                    Err(_) => {
                        kring.counters.drops.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    fn send_down(&mut self, kring: &Kring, held: &mut Inner, mut frames: Frames<'_>) {
        let mut frame = HostFrame::new(0);
        let mut more = frames.next(&mut frame, self.all);
        for to in self.tx.iter().filter(|to| !to.host) {
            if !more {
                return;
            }
            let Ok(mut to) = to.try_hold_after_look() else {
                continue;
            };
            let Some(attached) = to.attached() else {
                continue;
            };
            let Some(mut room) = Room::of(&attached.inner) else {
                continue;
            };
            while more && room.swap(&mut attached.inner, held, &frame) {
                more = frames.next(&mut frame, self.all);
            }
            self.down |= room.close(attached.inner.ring);
        }
        while more {
            unmark(held.ring, frame.first);
            kring.counters.drops.fetch_add(1, Ordering::Relaxed);
            more = frames.next(&mut frame, self.all);
        }
    }

    /// Hands the frames that go up to the stack. True if something on TX rings of the file waits for a txsync.
    #[inline]
    pub(crate) fn finish(self) -> bool {
        let down = self.down;
        if !self.up.is_empty() {
            self.send_up();
        }
        down
    }

    #[cold]
    fn send_up(self) {
        let to = self.host.and_then(|host| Some((host, host.device()?)));
        if let Some((host, dev)) = to {
            host.send_up(self.up, &dev);
        }
    }
}

/// The frames of a span of slots. A frame whose end is not in the span, and all from the first impossible slot on, are
/// left out.
struct Frames<'a> {
    ring: SharedRing,
    region: &'a Region,
    slots: Span,
}

impl Frames<'_> {
    /// Puts the next frame that is marked, or just the next one if `all`, into `frame`; false if there is none.
    fn next(&mut self, frame: &mut HostFrame, all: bool) -> bool {
        frame.restart(self.slots.begin());
        let mut wanted = all;
        while let Some(index) = self.slots.next() {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { self.ring.read(index) });
            let buffer = self.region.buf_ptr(slot.buf_idx);
            let Some(buffer) = buffer.filter(|_| u32::from(slot.len) <= self.region.buf_size())
            else {
                return false;
            };
            wanted |= frame.count == 0 && slot.has(NS_FORWARD);
            frame.add(buffer, slot.len);
            if !slot.has(NS_MOREFRAG) {
                if wanted {
                    return true;
                }
                frame.restart(self.slots.begin());
            } else if frame.count == NETMAP_MAX_FRAGS {
                return false;
            }
        }
        false
    }
}

/// Takes the mark off a frame, so that it is not forwarded again should the sync fail.
fn unmark(ring: SharedRing, first: u32) {
    // SAFETY: The first slot of a frame of this ring is one of its slots.
    unsafe {
        let raw = ring.read(first);
        let mut slot = Slot::from_raw(raw);
        slot.flags &= !NS_FORWARD;
        // The program may claim it again until the sync takes it.
        ring.replace(first, raw, slot.to_raw());
    }
}

/// The slots of a TX ring that its program owns, from `head` on.
struct Room {
    /// What the program had written as `head` and `cur`.
    seen: (u32, u32),
    head: u32,
    left: u32,
    moved: bool,
}

impl Room {
    /// [`None`] if `head` is impossible, which the ring's own sync will find.
    fn of(tx: &Inner) -> Option<Self> {
        let (n, cursors) = (tx.ring.num_slots(), &tx.cursors);
        let (head, cur, _) = tx.ring.user_cursors();
        let (low, high) = (cursors.rhead(), cursors.rtail());
        (head < n && distance(low, head, n) <= distance(low, high, n)).then(|| Self {
            seen: (head, cur),
            head,
            left: distance(head, high, n),
            moved: false,
        })
    }

    /// Swaps the buffers of `frame`, which are in the host ring `from`, with those at `head`. False if there is no room
    /// or a slot is impossible; slots before that one are swapped, but not released to be sent.
    fn swap(&mut self, tx: &mut Inner, from: &mut Inner, frame: &HostFrame) -> bool {
        if frame.count > self.left {
            return false;
        }
        let (mut index, mut head) = (frame.first, self.head);
        for _ in 0..frame.count {
            // SAFETY: `index` goes over slots of a frame of its ring, `head` over slots that `of` found in its own.
            unsafe {
                let packet = Slot::from_raw(from.ring.read(index));
                let free = Slot::from_raw(tx.ring.read(head));
                if u32::from(packet.len) > tx.buf_size
                    || !tx.accept(head, packet.buf_idx)
                    || !from.accept(index, free.buf_idx)
                {
                    return false;
                }
                let sent = Slot {
                    flags: NS_BUF_CHANGED | (packet.flags & NS_MOREFRAG),
                    ..packet
                };
                let empty = Slot {
                    buf_idx: free.buf_idx,
                    len: 0,
                    flags: NS_BUF_CHANGED,
                };
                tx.ring.write(head, sent.to_raw());
                from.ring.write(index, empty.to_raw());
            }
            index = next(index, from.ring.num_slots());
            head = next(head, tx.ring.num_slots());
        }
        self.head = head;
        self.left -= frame.count;
        self.moved = true;
        true
    }

    /// Moves the program's `head` over what was swapped, and `cur` with it if that would be left behind `head`. Says whether
    /// anything was swapped.
    ///
    /// What another thread writes there at the same time, which it must not do, is kept.
    fn close(self, ring: SharedRing) -> bool {
        if !self.moved {
            return false;
        }
        let (head, cur) = self.seen;
        if ring.move_head(head, self.head) && is_passed(head, cur, self.head, ring.num_slots()) {
            let _ = ring.move_cur(cur, self.head);
        }
        true
    }
}
