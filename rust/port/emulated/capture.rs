// SPDX-License-Identifier: GPL-2.0

//! What the stack sends through the device of an emulated port, on its way to host rings.
//!
//! It is taken by netfilter's egress hook, before the device's queueing discipline. What does not come from there is not seen:
//! packets of pktgen, of packet sockets with `PACKET_QDISC_BYPASS`, of AF_XDP and of XDP's redirection, and those that traffic
//! control redirects to the device; nor are those of emulated ports, which go to the driver directly.
//!
//! As with native ports, the transmit rings that are bound decide: what the stack would send on the queue of one goes to the
//! host ring, if that is bound. If it is not, the packet goes to the device as long as the stack has a queue left that nobody
//! has bound, and is lost otherwise.

use crate::{
    atomic::{AtomicBool, Ordering},
    bindings,
    port::{host::HostRx, port::RingUses},
    prelude::*,
    ring::queue::Direction,
    sys::{
        netfilter::Inspector,
        skb::{sent_queue, SentSkb},
        softirq::Softirq, //
    },
};
use core::ptr::NonNull;

/// Which packets of the stack go to which host ring.
pub(super) struct Capture {
    /// Whether each transmit ring is bound, and all are.
    tx: KVec<AtomicBool>,
    all_tx: AtomicBool,
    /// The host receive rings, and whether each is bound.
    host: KVec<(Arc<HostRx>, AtomicBool)>,
}

impl Capture {
    /// Nothing is captured yet of what goes to `tx_rings` queues.
    pub(super) fn new(tx_rings: u16, host: &[Arc<HostRx>]) -> Result<Arc<Self>> {
        let mut capture = Self {
            tx: KVec::with_capacity(usize::from(tx_rings), GFP_CHARGED)?,
            all_tx: AtomicBool::new(false),
            host: KVec::with_capacity(host.len(), GFP_CHARGED)?,
        };
        for _ in 0..tx_rings {
            capture.tx.push(AtomicBool::new(false), GFP_CHARGED)?;
        }
        for ring in host {
            let ring = (ring.clone(), AtomicBool::new(false));
            capture.host.push(ring, GFP_CHARGED)?;
        }
        Ok(Arc::new(capture, GFP_CHARGED)?)
    }

    /// Follows a change of what is bound. The host rings are those from `first_host` on.
    pub(super) fn follow(&self, uses: &RingUses, first_host: u16) {
        let mut all = true;
        for (ring, bound) in (0u32..).zip(&self.tx) {
            let now = uses.is_used(Direction::Tx, ring);
            bound.store(now, Ordering::Relaxed);
            all &= now;
        }
        self.all_tx.store(all, Ordering::Relaxed);
        for (ring, (_, bound)) in (u32::from(first_host)..).zip(&self.host) {
            bound.store(uses.is_used(Direction::Rx, ring), Ordering::Relaxed);
        }
    }

    /// The host ring for a packet on `queue`, if it does not go to the device.
    fn host_of(&self, queue: u16) -> Option<&HostRx> {
        let queue = usize::from(queue);
        if !self.tx.get(queue)?.load(Ordering::Relaxed) {
            return None;
        }
        let (host, bound) = self.host.get(queue.checked_rem(self.host.len())?)?;
        // A ring that is not bound drops the packet, and counts that.
        (bound.load(Ordering::Relaxed) || self.all_tx.load(Ordering::Relaxed)).then_some(host)
    }
}

// SAFETY: The function is the usual one.
unsafe impl Inspector for Capture {
    unsafe fn take(&self, skb: NonNull<bindings::sk_buff>, _: &Softirq) -> bool {
        // SAFETY: By the function's requirement it is one that is sent.
        let Some(queue) = (unsafe { sent_queue(skb) }) else {
            return false;
        };
        let Some(host) = self.host_of(queue) else {
            return false;
        };
        // SAFETY: It is taken, and has its device.
        host.push(unsafe { SentSkb::from_raw(skb) });
        true
    }
}
