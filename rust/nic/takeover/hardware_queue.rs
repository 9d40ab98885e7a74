// SPDX-License-Identifier: GPL-2.0

//! What a taken queue of either direction is: registers behind a gate, buffers, and a ring as long as it has one.

use super::{
    gate::Gate,
    rings::Descriptors, //
};
use crate::{
    atomic::{AtomicBool, Ordering},
    logic::gate::Passed,
    mem::DmaMap,
    nic::family::register::{Block, Hardware},
    prelude::*, //
};
use core::cell::UnsafeCell;

/// What there is while the hardware has our ring.
pub trait ArmedRing: Send {
    /// The descriptor after the last one that was handed over.
    fn tail(&self) -> u32;

    /// Lets go of all but the ring.
    fn into_ring(self) -> Descriptors;
}

/// A hardware queue behind a kring.
///
/// # Invariants
///
/// `live` is accessed by the holder of the kring's busy flag alone.
pub struct HardwareQueue<L> {
    hw: Arc<Hardware>,
    gate: Arc<Gate>,
    pub(in crate::nic) dma: Arc<DmaMap>,
    block: Block,
    /// Whether a tail may have been written to the driver's ring, as the gate closed at the same time.
    strayed: AtomicBool,
    live: UnsafeCell<Option<L>>,
}

// SAFETY: `live` is accessed by one thread at a time, by the type's invariant; the rest is `Send` and `Sync`.
unsafe impl<L: ArmedRing> Send for HardwareQueue<L> {}
// SAFETY: As above.
unsafe impl<L: ArmedRing> Sync for HardwareQueue<L> {}

impl<L: ArmedRing> HardwareQueue<L> {
    /// A queue without a ring.
    pub fn new(hw: &Arc<Hardware>, gate: &Arc<Gate>, dma: &Arc<DmaMap>, block: Block) -> Self {
        Self {
            hw: hw.clone(),
            gate: gate.clone(),
            dma: dma.clone(),
            block,
            strayed: AtomicBool::new(false),
            live: UnsafeCell::new(None),
        }
    }

    /// Gives the queue a ring.
    ///
    /// # Safety
    ///
    /// The caller holds the kring, and no result of [`Self::live`] is in use.
    pub unsafe fn arm(&self, live: L) {
        self.strayed.store(false, Ordering::Relaxed);
        // SAFETY: By the requirement nobody else accesses it.
        unsafe { *self.live.get() = Some(live) };
    }

    /// Takes the ring out.
    ///
    /// # Safety
    ///
    /// As for [`Self::arm`].
    pub unsafe fn disarm(&self) -> Option<Descriptors> {
        // SAFETY: By the requirement nobody else accesses it.
        let live = unsafe { (*self.live.get()).take() };
        live.map(L::into_ring)
    }

    /// The ring and what belongs to it, if the queue has one.
    ///
    /// # Safety
    ///
    /// As for [`Self::arm`], as long as the result is in use.
    #[inline]
    pub unsafe fn live(&self) -> Option<&mut L> {
        // SAFETY: By the requirement nobody else accesses it.
        unsafe { (*self.live.get()).as_mut() }
    }

    /// Lets the hardware go up to `tail`, if the gate is open.
    #[inline]
    pub fn hand_over(&self, tail: u32) {
        if self.gate.pass(|| self.block.set_tail(&self.hw, tail)) == Passed::Late {
            self.strayed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the hardware has been let go up to the last tail, and goes on: the carrier is on, and the queue ours as far as is
    /// known.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    /// The queue was found to be ours: what was written has gone to our ring. The kring is stopped.
    pub fn forget_strayed(&self) {
        self.strayed.store(false, Ordering::Relaxed);
    }

    /// Whether a tail of ours may have been written to the driver's ring since the queue was given its ring, or was last found
    /// to be ours.
    pub fn has_strayed(&self) -> bool {
        self.strayed.load(Ordering::Relaxed)
    }

    /// The descriptor at which the hardware is; any value if it does not answer.
    pub fn head(&self) -> u32 {
        self.block.head(&self.hw)
    }

    /// Writes the tail again, which the gate may have held back.
    ///
    /// # Safety
    ///
    /// As for [`Self::arm`].
    pub unsafe fn kick(&self) {
        // SAFETY: The same requirement.
        if let Some(live) = unsafe { self.live() } {
            self.hand_over(live.tail());
        }
    }

    /// Writes the tail whether the gate is open or not, with the queue just programmed.
    ///
    /// # Safety
    ///
    /// As for [`Self::arm`], and the queue has our ring.
    pub unsafe fn start(&self) {
        // SAFETY: The same requirement.
        if let Some(live) = unsafe { self.live() } {
            self.block.set_tail(&self.hw, live.tail());
        }
    }
}
