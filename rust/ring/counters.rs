// SPDX-License-Identifier: GPL-2.0

//! What is counted of a ring.

use crate::atomic::{AtomicU64, Ordering};

/// Counters of a ring. One writer at a time unless said otherwise: the holder of the busy flag, or, of packets and bytes that an
/// inbox delivers, its sender; of those of a pipe's receive ring, the holder of the flag of the transmit ring at the other end.
#[derive(Default)]
pub struct Counters {
    /// Packets sent or received, however many slots each of them has.
    pub packets: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Calls of txsync or rxsync.
    pub syncs: AtomicU64,
    /// Times that sleepers were woken for news of the ring; written by interrupts.
    pub wakeups: AtomicU64,
    /// Packets lost here; written by interrupts and the transmit path too.
    pub drops: AtomicU64,
    /// Packets with errors, dropped by the hardware or by us.
    pub errors: AtomicU64,
    /// Times the ring was reinitialised because of an impossible value.
    pub reinits: AtomicU64,
}

impl Counters {
    /// Adds to a counter that has one writer at a time, and this is it.
    #[inline]
    pub fn add(counter: &AtomicU64, n: u64) {
        counter.store(
            counter.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }
}
