// SPDX-License-Identifier: GPL-2.0

//! A queue that is ours: its kring, what moves the packets, and what its driver had.

use super::{
    gate::Gate,
    hardware_queue::HardwareQueue,
    rings::Descriptors,
    rx::RxQueue,
    stages::{self, StepFailure, Stock, Taken},
    tx::TxQueue, //
};
use crate::{
    atomic::Ordering,
    bindings,
    logic::owner::Owner,
    nic::{
        device::{QueueId, Refusal, Wanted},
        driver::intercept::Hooks,
        family::{
            register::{Hardware, TemporarySettings},
            Family,
        }, //
    },
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Direction, Queue},
    },
    sys::rtnl::Rtnl, //
};

/// The queue behind a kring.
pub(in crate::nic) enum DirectedQueue<F: Family> {
    Tx(Arc<TxQueue<F>>),
    Rx(Arc<RxQueue<F>>),
}

/// A queue that is ours, or was until the driver or its restart took it away.
pub(in crate::nic) struct TakenQueue<F: Family> {
    pub(in crate::nic) id: QueueId,
    pub(in crate::nic) kring: Arc<Kring>,
    pub(in crate::nic) queue: DirectedQueue<F>,
    pub(in crate::nic) state: Option<Taken<F>>,
    /// Where the device sees the ring that the hardware was given last, if it was given one.
    address: Option<u64>,
    /// Bytes of a buffer.
    pub(in crate::nic) buf_size: u32,
    /// To be forgotten as soon as the hardware certainly does not have its ring any more.
    pub(in crate::nic) leaving: bool,
}

/// A tail of ours that was written to the driver's ring sends the hardware to where the driver is not.
const STRAYED: StepFailure = StepFailure {
    refusal: Refusal::new(EAGAIN, c"a tail was written as the driver reset the device"),
    spoilt: true,
};

impl<F: Family> DirectedQueue<F> {
    pub(in crate::nic) fn queue(&self) -> Arc<dyn Queue> {
        match self {
            DirectedQueue::Tx(queue) => queue.clone(),
            DirectedQueue::Rx(queue) => queue.clone(),
        }
    }

    /// Whether a tail of ours may have been written to the driver's ring.
    fn has_strayed(&self) -> bool {
        match self {
            DirectedQueue::Tx(queue) => queue.hardware().has_strayed(),
            DirectedQueue::Rx(queue) => queue.hardware().has_strayed(),
        }
    }

    /// Writes the tail again to the queue, which was found to be ours.
    ///
    /// # Safety
    ///
    /// The kring is stopped, and the caller holds it.
    unsafe fn kick(&self) {
        // SAFETY: The same requirement.
        unsafe {
            match self {
                DirectedQueue::Tx(queue) => {
                    queue.hardware().forget_strayed();
                    queue.hardware().kick();
                }
                DirectedQueue::Rx(queue) => {
                    queue.hardware().forget_strayed();
                    queue.hardware().kick();
                }
            }
        }
    }

    /// Takes the ring out.
    ///
    /// # Safety
    ///
    /// The kring is stopped, and the caller holds it.
    unsafe fn disarm(&self) -> Option<Descriptors> {
        // SAFETY: The same requirement.
        unsafe {
            match self {
                DirectedQueue::Tx(queue) => queue.hardware().disarm(),
                DirectedQueue::Rx(queue) => queue.hardware().disarm(),
            }
        }
    }
}

impl<F: Family> TakenQueue<F> {
    pub(in crate::nic) fn new(
        hw: &Arc<Hardware>,
        gate: &Arc<Gate>,
        wanted: &Wanted,
    ) -> Result<Self> {
        let Wanted {
            id,
            kring,
            dma,
            region,
        } = wanted;
        let block = stages::block::<F>(*id);
        let queue = match id.direction {
            Direction::Tx => {
                let hardware = HardwareQueue::new(hw, gate, dma, block);
                DirectedQueue::Tx(Arc::new(TxQueue::new(hardware, region), GFP_CHARGED)?)
            }
            Direction::Rx => {
                let hardware = HardwareQueue::new(hw, gate, dma, block);
                DirectedQueue::Rx(Arc::new(RxQueue::new(hardware, region), GFP_CHARGED)?)
            }
        };
        Ok(Self {
            id: *id,
            kring: kring.clone(),
            queue,
            state: None,
            address: None,
            buf_size: region.buf_size(),
            leaving: false,
        })
    }

    /// Takes the queue from the driver. Its kring is stopped, and a transmit queue is diverted.
    pub(in crate::nic) fn take(
        &mut self,
        hw: &Arc<Hardware>,
        rtnl: &Rtnl,
    ) -> Result<(), StepFailure> {
        let mut held = self.kring.stop();
        let inner = &mut held.attached().ok_or(EINVAL)?.inner;
        let count = inner.cursors.num_slots();
        let ring = stages::ring(hw, count)?;
        let (address, bytes) = (ring.address(), ring.bytes());
        let mut lost = 0;
        // SAFETY: We hold the stopped kring.
        unsafe {
            match &self.queue {
                DirectedQueue::Tx(queue) => {
                    lost = inner.cursors.in_flight().len();
                    queue.arm(ring, &inner.cursors, inner.buf_size)?;
                }
                DirectedQueue::Rx(queue) => {
                    queue.arm(ring, inner, F::stores_fcs(hw))?;
                }
            }
        }
        let (tx, rx) = ring_sizes(hw)?;
        let theirs = match self.id.direction {
            Direction::Tx => tx,
            Direction::Rx => rx,
        };
        let buf_size = inner.buf_size;
        self.address = Some(address);
        let _detection_off = TemporarySettings::new(hw, &F::detection(hw));
        let taken = Stock::<F>::new(hw, self.id, theirs)
            .and_then(|stock| stock.freeze(rtnl))
            .and_then(|frozen| frozen.program(address, bytes, buf_size));
        match taken {
            Ok(taken) => {
                self.state = Some(taken);
                match &self.queue {
                    DirectedQueue::Tx(_) => {
                        // What the hardware had of an earlier ring is lost, and so complete.
                        let _ = inner.cursors.publish(lost);
                        if lost != 0 {
                            self.kring
                                .counters
                                .drops
                                .fetch_add(u64::from(lost), Ordering::Relaxed);
                        }
                    }
                    // SAFETY: We hold the stopped kring, and the queue has its ring.
                    DirectedQueue::Rx(queue) => unsafe { queue.hardware().start() },
                }
                Ok(())
            }
            Err(stuck) if stuck.spoilt => Err(stuck),
            Err(stuck) => {
                // SAFETY: We hold the stopped kring. The hardware has not had the ring.
                drop(unsafe { self.queue.disarm() });
                Err(stuck)
            }
        }
    }

    /// Gives the queue back, if the driver does not have it already. Its kring is stopped. If the result is an error, the
    /// ring's memory is kept until [`Self::clear`] is called, after a restart.
    pub(in crate::nic) fn give_back(&mut self, rtnl: &Rtnl) -> Result<(), StepFailure> {
        let held = self.kring.stop();
        if let Some(taken) = self.state.take() {
            if taken.owner(rtnl) == Owner::Driver && self.queue.has_strayed() {
                return Err(STRAYED);
            }
            taken.give_back(rtnl)?;
        }
        drop(held);
        self.clear();
        Ok(())
    }

    /// Frees the memory of the ring, which the hardware does not have. The kring is stopped.
    pub(in crate::nic) fn clear(&mut self) {
        let held = self.kring.stop();
        self.state = None;
        self.address = None;
        // SAFETY: We hold the stopped kring.
        drop(unsafe { self.queue.disarm() });
        drop(held);
    }

    /// Lets go of the queue of a device that its driver has detached: the hardware is made to leave our ring alone, and the
    /// ring is freed. A queue that does not run our ring stays as it is. The kring is stopped.
    pub(in crate::nic) fn abandon(&mut self, hw: &Hardware) {
        if let Some(address) = self.address {
            stages::halt::<F>(hw, self.id, address);
        }
        self.clear();
    }

    /// Stops the kring and looks whose the queue is. If ours, the tail is written again; if not, our ring is freed.
    ///
    /// # Errors
    ///
    /// Why the driver must be restarted, if it must.
    pub(in crate::nic) fn check(
        &mut self,
        hw: &Hardware,
        rtnl: &Rtnl,
    ) -> Result<Owner, &'static CStr> {
        let held = self.kring.stop();
        let owner = match &self.state {
            Some(taken) => taken.owner(rtnl),
            None => Owner::Driver,
        };
        if owner == Owner::Netmap {
            if let Some(taken) = &self.state {
                taken.keep();
            }
            // SAFETY: We hold the stopped kring.
            unsafe { self.queue.kick() };
        }
        drop(held);
        match owner {
            Owner::Netmap => return Ok(owner),
            Owner::Stopping => self.abandon(hw),
            Owner::Driver | Owner::Nobody | Owner::Gone => self.clear(),
        }
        match owner {
            Owner::Nobody => Err(stages::RESET_UNKNOWN),
            Owner::Driver if self.queue.has_strayed() => Err(STRAYED.refusal.reason),
            _ => Ok(owner),
        }
    }

    /// How many slots were handed over for transmission and have not left.
    pub(in crate::nic) fn pending(&self) -> u32 {
        self.state.as_ref().map_or(0, Taken::pending)
    }

    pub(in crate::nic) fn divert(&self, hooks: &Hooks) {
        if self.id.direction == Direction::Tx {
            hooks.divert(self.id.index);
        }
    }

    pub(in crate::nic) fn admit(&self, hooks: &Hooks) {
        if self.id.direction == Direction::Tx {
            hooks.admit(self.id.index);
        }
    }
}

/// How many descriptors the driver says its rings have: transmit, receive.
pub(in crate::nic) fn ring_sizes(hw: &Hardware) -> Result<(u32, u32), StepFailure> {
    let (mut tx, mut rx) = (0, 0);
    // SAFETY: The device is valid and the RTNL mutex held.
    kernel::error::to_result(unsafe {
        bindings::netmap_ring_sizes(hw.dev().as_ptr(), &mut tx, &mut rx)
    })?;
    Ok((tx, rx))
}
