// SPDX-License-Identifier: GPL-2.0

//! What stands behind a ring, and what it works on.

use super::kring::Kring;
use crate::{
    abi::slot_flags::NS_MOREFRAG,
    logic::{
        packets::Packets,
        ring::{Cursors, Span, Untaken},
        slot::Slot, //
    },
    mem::{Group, Region, SharedRing},
    prelude::*, //
};
use core::fmt;

/// Which way packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the program.
    Tx,
    /// To the program.
    Rx,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tx => "tx",
            Self::Rx => "rx",
        })
    }
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
    /// The packet behind what was taken is in memory of the program that has to be waited for, which is not done here.
    Absent(Absent),
}

/// Memory of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Absent {
    /// Its address; any.
    pub address: u64,
    /// Bytes.
    pub len: u16,
}

/// What stands behind a kring and moves its packets, in the kring's direction: a hardware queue, a host ring, or nothing for now.
pub trait Queue: Send + Sync {
    /// Syncs the ring. `span` is what the program has released, already checked: every index in it is below the ring's
    /// number of slots. Runs with the kring's busy flag held, in process context, in the context of the program.
    ///
    /// - A transmit queue sends the slots of `span` and reclaims what is complete. On return `hwcur` is the end of what was
    ///   consumed, and `hwtail` the end of the program's free slots.
    /// - A receive queue publishes what was received by moving `hwtail`, and takes back the slots of `span` by moving `hwcur`.
    fn sync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        flags: u32,
    ) -> Result<(), SyncError>;

    /// Moves what syncs have left in the ring, whose program need not sync again for it. Nothing is published to the program.
    ///
    /// Runs with the kring's busy flag held, in process context, and not in that of the program.
    fn resume(&self, _held: &mut Inner, _kring: &Kring) {}

    /// Whether the next sync would find something new. An implementation that cannot tell returns true.
    ///
    /// Runs with the kring's busy flag held, in an interrupt.
    fn has_news(&self, _held: &Inner) -> bool {
        true
    }

    /// The buffer that the kernel last saw or put in the slot `index`, which it has again after the program wrote one that nobody has.
    ///
    /// Runs with the kring's busy flag held.
    fn known(&self, held: &Inner, index: u32) -> Option<u32> {
        held.shadow.get(index as usize).copied()
    }
}

/// What the holder of the busy flag owns of a kring.
pub struct Inner {
    /// Where kernel and program stand.
    pub cursors: Cursors,
    /// The ring in shared memory.
    pub ring: SharedRing,
    /// The region of the ring and of its buffers.
    pub region: Arc<Region>,
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
    /// they and this ring belong together from now on. False, with nothing noted, if nobody has that buffer.
    #[inline]
    pub fn accept(&mut self, index: u32, buf_idx: u32) -> bool {
        let Some(entry) = self.shadow.get_mut(index as usize) else {
            return false;
        };
        if *entry != buf_idx {
            if !self.region.exchange(&self.group, buf_idx) {
                return false;
            }
            *entry = buf_idx;
        }
        true
    }

    /// Reads the slots of `span`, which the program has handed over, and notes their buffers. Stops at the first slot that
    /// is impossible, and returns it: nobody has its buffer or, if the slots are to be sent by a NIC, its length or that of
    /// its packet cannot be.
    ///
    /// Returns the slot after the last one, or after the last whole packet if the slots are to be sent.
    pub fn accept_span(&mut self, span: Span, to_send: bool) -> Result<u32, Untaken> {
        let mut packets = Packets::new(span.begin(), span.num_slots());
        let end = span.end();
        for index in span {
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { self.ring.read(index) });
            let at = if to_send {
                packets.untaken(index)
            } else {
                Untaken::alone(index)
            };
            let fits = !to_send || u32::from(slot.len) <= self.buf_size;
            if !fits || !self.accept(index, slot.buf_idx) {
                return Err(at);
            }
            if to_send {
                packets.add(index, slot.len, slot.has(NS_MOREFRAG))?;
            }
        }
        Ok(if to_send { packets.first() } else { end })
    }
}

/// The ring memory and the queue behind a kring in use.
pub struct Attached {
    /// Cursors and memory.
    pub inner: Inner,
    /// What moves the packets. It alone is exchanged when a hardware queue is taken or given back.
    pub base: Arc<dyn Queue>,
}
