// SPDX-License-Identifier: GPL-2.0

//! Taking a hardware queue from a live driver and giving it back: `Stock` -> `Frozen` -> `Taken` -> `Frozen` -> `Stock`.
//!
//! Heads are read-only in these NICs, and a queue that is started begins at 0. So driver and hardware must both be at 0, or
//! the hardware must be brought to where the driver is in its ring:
//!
//! - Receive: when the queue is frozen, the driver is fed damaged frames, one for each descriptor up to the end of its ring,
//!   which it drops and refills. Then it stands at 0, with all descriptors filled, and its poll finds nothing to do as long
//!   as the queue is ours. When the queue is given back, the driver need not do anything.
//! - Transmit: the driver is not given anything to send. It stands where its ring ran empty, and when the queue is given
//!   back, the hardware is sent there through descriptors that send nothing.
//!
//! It is never assumed that the driver's ring is empty (transmit) or full (receive): the byte queue limits and the distance
//! of head and tail show it.
//!
//! Nor is it assumed that a taken queue is still ours. A driver may have closed and opened its device in the meantime: so
//! before anything of the driver's is written at the release, the hardware is asked whose the queue is
//! ([`crate::logic::owner`]). All of this runs under the RTNL mutex, and the drivers free rings and program queues with that
//! mutex held, or while the device is detached. So what is found at the beginning of a step holds to its end.

use super::rings::{Descriptors, DriverRing, DESCRIPTOR};
use crate::{
    bindings,
    logic::{
        desc::{Receive, Transmit},
        owner::{Owner, QueueState},
        rewind::{Rewind, Stretch},
        ring::{add, distance, prev}, //
    },
    nic::{
        device::{QueueId, Refusal},
        driver::napi,
        family::{
            enable::Enable,
            register::{Block, Hardware, Settings, Stopped, TemporarySettings}, //
            Family,
        }, //
    },
    prelude::*,
    ring::queue::Direction,
    sys::{barrier, rtnl::Rtnl, sched}, //
};
use core::marker::PhantomData;

/// How long a driver has to finish what it has begun.
const PATIENCE_MS: u32 = 500;

/// The smallest buffers that all controllers can be set to, in bytes.
const SMALLEST_BUFFER: u32 = 1024;

/// Largest payload with which every frame fits the smallest buffer that the drivers use.
const PLAIN_MTU: u32 = 1500;

/// Why the driver is restarted for a queue without an owner ([`Owner::Nobody`]).
pub const RESET_UNKNOWN: &CStr = c"the device was reset, and its driver does not know";

/// A step that failed.
pub struct StepFailure {
    /// Why.
    pub refusal: Refusal,
    /// Whether the queue is left stopped or half way: only a restart of the driver helps.
    pub spoilt: bool,
}

impl StepFailure {
    const fn new(errno: Error, reason: &'static CStr, spoilt: bool) -> Self {
        Self {
            refusal: Refusal { errno, reason },
            spoilt,
        }
    }

    fn again(reason: &'static CStr) -> Self {
        Self::new(EAGAIN, reason, false)
    }

    fn spoilt(reason: &'static CStr) -> Self {
        Self::new(EAGAIN, reason, true)
    }
}

impl From<Error> for StepFailure {
    fn from(errno: Error) -> Self {
        Self::new(errno, c"no memory, or a ring that does not fit", false)
    }
}

/// The registers of the queue `id`.
pub fn block<F: Family>(id: QueueId) -> Block {
    match id.direction {
        Direction::Tx => F::tx_block(id.index),
        Direction::Rx => F::rx_block(id.index),
    }
}

/// Makes the hardware of the queue `id` leave our ring alone, which the device sees at `address`, while the driver has
/// detached the device.
///
/// A queue that has another ring stays as it is: some drivers program their queues, as after an error on the bus, before they
/// attach the device again, and without the RTNL mutex. Otherwise the driver programs it anew before it uses it. If the queue
/// cannot be stopped, the device loses its access to memory, which the driver gives it back when it has reset it.
pub fn halt<F: Family>(hw: &Hardware, id: QueueId, address: u64) {
    let block = block::<F>(id);
    // A device that is gone reads all ones.
    if block.base(hw) != address || hw.is_gone() || !F::Enable::is_on(hw, block, id.direction) {
        return;
    }
    if F::Enable::stop(hw, block, id.direction).is_err() && !hw.is_gone() {
        // SAFETY: The PCI device is valid, by the type's invariant.
        unsafe { bindings::netmap_stop_dma(hw.pdev()) };
    }
}

/// A queue as its driver runs it.
pub struct Stock<F: Family> {
    hw: Arc<Hardware>,
    id: QueueId,
    block: Block,
    count: u32,
    family: PhantomData<F>,
}

impl<F: Family> Stock<F> {
    /// The queue `id`, which must have `count` descriptors by what the driver says, and be on.
    pub fn new(hw: &Arc<Hardware>, id: QueueId, count: u32) -> Result<Self, StepFailure> {
        let queues = match id.direction {
            Direction::Tx => hw.dev().tx_queues(),
            Direction::Rx => hw.dev().rx_queues(),
        };
        // A driver that did not get its interrupts when it opened the device may use fewer queues: the registers of the
        // others lead to rings that it has freed.
        if id.index >= queues {
            return Err(StepFailure::again(
                c"the driver has fewer queues than before",
            ));
        }
        let block = block::<F>(id);
        if count == 0 || block.bytes(hw) != count.saturating_mul(DESCRIPTOR) {
            return Err(StepFailure::again(
                c"a ring is not as large as its driver says",
            ));
        }
        // Drivers of NICs with one switch for all turn the transmitter on when the link comes up, not before: a ring that
        // was just opened is at rest then, and ours may be in place when that happens.
        let waits = id.direction == Direction::Tx && F::Enable::RESUMES && !hw.dev().carrier();
        if !waits && !F::Enable::is_on(hw, block, id.direction) {
            return Err(StepFailure::again(c"a queue is off"));
        }
        Ok(Self {
            hw: hw.clone(),
            id,
            block,
            count,
            family: PhantomData,
        })
    }

    /// Stops the queue with the driver's ring at rest. A transmit queue is diverted.
    pub fn freeze(self, _rtnl: &Rtnl) -> Result<Frozen<F>, StepFailure> {
        let (hw, block) = (&self.hw, self.block);
        // Before anything is touched: giving back must not need memory.
        //
        // SAFETY: The queue is on, or waits for the link with the device open, so that its driver has programmed it; it does
        // not free the ring while the RTNL mutex is held. Afterwards the ring is accessed by `Frozen::resume` alone, which
        // `Taken::give_back` reaches only if the driver has not reset the device since, and so has not freed the ring.
        let ring = unsafe { DriverRing::find(hw, block.base(hw), self.count)? };
        match self.id.direction {
            Direction::Tx => self.freeze_tx(ring),
            Direction::Rx => self.freeze_rx(ring),
        }
    }

    fn freeze_tx(self, ring: DriverRing) -> Result<Frozen<F>, StepFailure> {
        let Self { hw, id, block, .. } = self;
        if !sched::wait_until(PATIENCE_MS, || block.head(&hw) == block.tail(&hw)) {
            return Err(StepFailure::again(c"a transmit queue does not run empty"));
        }
        F::write_back(&hw);
        let completed = || {
            // SAFETY: The device is valid, and the queue is one of its own.
            unsafe { bindings::netmap_tx_completed(hw.dev().as_ptr(), id.index) }
        };
        let done = sched::wait_until(PATIENCE_MS, || {
            completed() || {
                napi::schedule(hw.dev());
                completed()
            }
        });
        if !done {
            return Err(StepFailure::again(
                c"a driver does not complete what it has sent",
            ));
        }
        let frozen = Frozen::stop(&hw, id, block, ring)?;
        if block.head(&hw) != block.tail(&hw) {
            return Err(StepFailure::spoilt(c"a stopped transmit queue moves"));
        }
        Ok(frozen)
    }

    fn freeze_rx(self, ring: DriverRing) -> Result<Frozen<F>, StepFailure> {
        let Self { hw, id, block, .. } = self;
        F::write_back(&hw);
        let frozen = Frozen::stop(&hw, id, block, ring)?;
        let full = sched::wait_until(PATIENCE_MS, || {
            frozen.is_full() || {
                napi::schedule(hw.dev());
                false
            }
        });
        if !full {
            return frozen.go_on(StepFailure::again(
                c"a driver does not refill its receive ring",
            ));
        }
        frozen.rewind()?;
        // The poll that has just filled the last descriptor may be about to write the tail, and must not write that of our
        // ring.
        //
        // SAFETY: May sleep here, as the waiting above did. A poll runs with softirqs off, and so ends before this does.
        unsafe { bindings::synchronize_net() };
        Ok(frozen)
    }
}

/// What a driver had programmed. Where its ring is and how long is not read again: that is what `ring` was found with.
///
/// # Invariants
///
/// `at` is in the ring.
struct Saved {
    /// Where a transmit ring ran empty.
    at: u32,
    ring: DriverRing,
    settings: Settings,
}

impl Saved {
    /// Reads what the queue of `ring` has now, in the registers of `settings`; [`None`] if its tail is in no ring of that
    /// length, for instance because the device does not answer any more.
    fn read(hw: &Hardware, block: Block, ring: DriverRing, settings: Settings) -> Option<Self> {
        let at = block.tail(hw);
        // INVARIANT: Checked here.
        (at < ring.count()).then(|| Self {
            at,
            ring,
            settings: settings.map(|setting| setting.map(|setting| setting.found(hw))),
        })
    }

    /// Bytes of the driver's ring.
    fn bytes(&self) -> u32 {
        self.ring.count() * DESCRIPTOR
    }
}

/// A queue that is stopped, its driver's ring at rest. A receive ring stands at 0.
pub struct Frozen<F: Family> {
    id: QueueId,
    stopped: Stopped<F::Enable>,
    saved: Saved,
}

impl<F: Family> Frozen<F> {
    fn stop(
        hw: &Arc<Hardware>,
        id: QueueId,
        block: Block,
        ring: DriverRing,
    ) -> Result<Self, StepFailure> {
        // Which registers they are does not depend on the size of buffers.
        let saved = Saved::read(hw, block, ring, Self::settings(id, block, SMALLEST_BUFFER))
            .ok_or(StepFailure::again(
                c"a driver's tail is outside of its ring",
            ))?;
        let stopped = Stopped::stop(hw, block, id.direction)
            .map_err(|_| StepFailure::spoilt(c"a queue does not stop"))?;
        Ok(Self { id, stopped, saved })
    }

    fn settings(id: QueueId, block: Block, buf_size: u32) -> Settings {
        match id.direction {
            Direction::Rx => F::rx_settings(block, buf_size),
            Direction::Tx => F::tx_settings(block),
        }
    }

    /// How far the driver's tail of a receive ring is behind `head`, which is in the ring; [`None`] if that cannot be found
    /// out.
    ///
    /// Where a tail that is written to a stopped queue is lost, the register does not tell. But there the driver clears the
    /// length in each descriptor that it fills, and in the next one, where it will go on. So the descriptors with a length
    /// are those that the hardware has written and the driver has not filled since.
    fn gap(&self, head: u32) -> Option<u32> {
        let ring = &self.saved.ring;
        let count = ring.count();
        if F::Enable::RESUMES {
            let tail = self.stopped.block().tail(self.stopped.hw());
            return (tail < count).then(|| distance(tail, head, count));
        }
        let has_length = |i| F::Rx::length(ring.read(i, 1)) != 0;
        let total = (0..count).filter(|&i| has_length(i)).count() as u32;
        let mut gap = 1;
        while gap < count && has_length(distance(gap, head, count)) {
            gap += 1;
        }
        // A ring that is new has no lengths, however much of it the driver had memory for: what it has not filled has no
        // address either, and must not reach the hardware.
        let filled = |i| ring.read((head + i) % count, 0) != 0;
        // They are in one piece before the head, unless a frame is half written.
        (gap == total + 1 && (0..count - gap).all(filled)).then_some(gap)
    }

    /// Where the driver stands in its receive ring and how many descriptors it has left unfilled, if the ring is full.
    ///
    /// Where the descriptors tell, the driver may be in the midst of a refill and about to go on: see [`Self::is_full`].
    fn standing(&self) -> Option<(u32, u32)> {
        let count = self.saved.ring.count();
        let first = self.stopped.block().head(self.stopped.hw());
        // A card that has been pulled reads all ones.
        let gap = (first < count).then(|| self.gap(first)).flatten()?;
        Some((first, F::unfilled(gap).filter(|_| gap < count)?))
    }

    /// Whether the driver's receive ring is full, and the driver done with filling it.
    fn is_full(&self) -> bool {
        self.standing().is_some() && {
            if F::REFILL > 1 {
                // A refill that is under way looks finished at the places where one may end.
                //
                // SAFETY: May sleep here. A poll runs with softirqs off, and so ends before this does. The next one finds
                // nothing to do in a full ring.
                unsafe { bindings::synchronize_net() };
            }
            self.standing().is_some()
        }
    }

    /// Lets the queue go on as if nothing had happened, where that is possible, and passes on what went wrong.
    fn go_on(self, stuck: StepFailure) -> Result<Self, StepFailure> {
        let resumed = F::Enable::RESUMES && self.stopped.start().is_ok();
        Err(StepFailure {
            spoilt: !resumed,
            ..stuck
        })
    }

    /// Has the driver of a full receive ring move on to descriptor 0.
    fn rewind(&self) -> Result<(), StepFailure> {
        let hw = self.stopped.hw();
        // SAFETY: The device is valid.
        let mtu = unsafe { (&raw const (*hw.dev().as_ptr()).mtu).read_volatile() };
        // The driver may have seen the first half of a long frame, and takes the first damaged descriptor for its end.
        let lap = mtu > PLAIN_MTU || F::may_hold_part(hw, self.stopped.block());
        self.standing()
            .and_then(|(first, unfilled)| {
                Rewind::new(self.saved.ring.count(), F::REFILL, first, unfilled, lap)
            })
            .ok_or(StepFailure::spoilt(
                c"a driver refills its receive ring at odd places",
            ))?
            .try_for_each(|stretch| self.feed(stretch))
    }

    /// Has the driver drop a damaged frame in each descriptor of a stretch, and refill.
    fn feed(&self, stretch: Stretch) -> Result<(), StepFailure> {
        let hw = self.stopped.hw();
        let ring = &self.saved.ring;
        let count = ring.count();
        let at = |i| add(stretch.from, i, count);
        // The descriptor before the stretch is empty, and is filled when the driver is done with the first one of it; and so
        // on.
        let before = |i| prev(at(i), count);
        ring.write(before(0), 0, 0);
        // In descending order, so that all are in place when the driver finds the first one.
        for i in (0..stretch.len).rev() {
            ring.write(at(i), 0, 0);
            barrier::dma_wmb();
            ring.write(at(i), 1, F::Rx::DAMAGED);
        }
        let refilled = sched::wait_until(PATIENCE_MS, || {
            napi::schedule(hw.dev());
            (0..stretch.len).all(|i| ring.read(before(i), 0) != 0)
        });
        if !refilled {
            return Err(StepFailure::spoilt(
                c"a driver does not go through its receive ring",
            ));
        }
        // Some drivers clear the status alone, and some hardware sets nothing else.
        for i in 0..stretch.len {
            ring.write(at(i), 1, 0);
        }
        Ok(())
    }

    /// Programs our ring and starts. `buf_size` is that of our buffers.
    pub fn program(self, address: u64, bytes: u32, buf_size: u32) -> Result<Taken<F>, StepFailure> {
        let Self { id, stopped, saved } = self;
        let block = stopped.block();
        if id.direction == Direction::Rx && F::rx_buffer(buf_size).is_none() {
            return Err(StepFailure::spoilt(c"no such buffer size"));
        }
        stopped.set_ring(address, bytes);
        for setting in Self::settings(id, block, buf_size).iter().flatten() {
            stopped.apply(setting);
        }
        stopped
            .start()
            .map_err(|_| StepFailure::spoilt(c"a queue does not start"))?;
        Ok(Taken {
            id,
            hw: stopped.hw().clone(),
            block,
            address,
            count: bytes / DESCRIPTOR,
            saved,
            family: PhantomData,
        })
    }

    /// Gives the queue back to the driver, whose ring is the one that was found when the queue was taken, and as it was
    /// then.
    fn resume(self) -> Result<(), StepFailure> {
        let Self { id, stopped, saved } = self;
        let hw = stopped.hw();
        let block = stopped.block();
        stopped.set_ring(saved.ring.address(), saved.bytes());
        for setting in saved.settings.iter().flatten() {
            stopped.apply(setting);
        }
        let count = saved.ring.count();
        stopped
            .start()
            .map_err(|_| StepFailure::spoilt(c"a queue does not start"))?;
        match id.direction {
            Direction::Rx => {
                block.set_tail(hw, F::full_tail(count));
                Ok(())
            }
            Direction::Tx => Self::walk(hw, block, &saved),
        }
    }

    /// Sends the hardware to where the driver stands in its empty transmit ring.
    fn walk(hw: &Arc<Hardware>, block: Block, saved: &Saved) -> Result<(), StepFailure> {
        if saved.at == 0 {
            return Ok(());
        }
        let ring = &saved.ring;
        let [low, high] = F::Tx::NOTHING;
        for i in 0..saved.at {
            ring.write(i, 0, low);
            ring.write(i, 1, high);
        }
        // If these descriptors were written back, the driver would take them for completions of its own.
        let _no_write_back = TemporarySettings::new(hw, &F::no_write_back());
        block.set_tail(hw, saved.at);
        // The other end may be pausing the transmitter.
        let there = sched::wait_until(PATIENCE_MS, || block.head(hw) == saved.at);
        if !there {
            return Err(StepFailure::spoilt(c"a transmit queue does not move"));
        }
        // With the driver's thresholds some hardware writes all descriptors back, whether they ask for it or not, and
        // several at once. That has to be over before they are zeroed below. The thresholds must not be changed while the
        // queue runs.
        F::Enable::write_back(hw, block);
        for i in 0..saved.at {
            ring.write(i, 0, 0);
            ring.write(i, 1, 0);
        }
        Ok(())
    }
}

/// A queue that was given our ring, and runs it unless its driver has taken it back.
pub struct Taken<F: Family> {
    id: QueueId,
    hw: Arc<Hardware>,
    block: Block,
    /// Where the device sees our ring.
    address: u64,
    /// How many descriptors it has.
    count: u32,
    saved: Saved,
    family: PhantomData<F>,
}

impl<F: Family> Taken<F> {
    /// Puts back what the driver has changed of the queue when the link came up.
    pub fn keep(&self) {
        if self.id.direction == Direction::Rx {
            let _detection_off = TemporarySettings::new(&self.hw, &F::detection(&self.hw));
            F::keep(&self.hw, self.block);
        }
    }

    /// Whose the queue is now.
    pub fn owner(&self, _rtnl: &Rtnl) -> Owner {
        let (hw, id) = (&self.hw, self.id);
        QueueState {
            answers: !hw.is_gone(),
            attached: hw.dev().is_attached(),
            carrier: hw.dev().carrier(),
            has_ours: self.block.base(hw) == self.address,
            is_on: F::is_on(hw)
                && (F::Enable::RESUMES || F::Enable::is_on(hw, self.block, id.direction)),
        }
        .owner()
    }

    /// How many descriptors of our ring were handed over for transmission and have not left.
    pub fn pending(&self) -> u32 {
        let (hw, block) = (&self.hw, self.block);
        if self.id.direction == Direction::Rx || block.base(hw) != self.address {
            return 0;
        }
        let (head, tail) = (block.head(hw), block.tail(hw));
        // A card that has been pulled reads all ones.
        if head >= self.count || tail >= self.count {
            return 0;
        }
        distance(head, tail, self.count)
    }

    /// Gives the queue back to its driver, if that has not taken it back already. What was handed over for transmission has
    /// left, or is lost.
    ///
    /// # Errors
    ///
    /// If the queue may be neither ours nor the driver's: the driver must be restarted before the memory of our ring is
    /// freed.
    pub fn give_back(self, rtnl: &Rtnl) -> Result<(), StepFailure> {
        match self.owner(rtnl) {
            Owner::Netmap => (),
            Owner::Driver | Owner::Gone => return Ok(()),
            Owner::Stopping => {
                halt::<F>(&self.hw, self.id, self.address);
                return Ok(());
            }
            Owner::Nobody => return Err(StepFailure::spoilt(RESET_UNKNOWN)),
        }
        let Self {
            id,
            hw,
            block,
            saved,
            ..
        } = self;
        let _detection_off = TemporarySettings::new(&hw, &F::detection(&hw));
        let stopped = Stopped::stop(&hw, block, id.direction)
            .map_err(|_| StepFailure::spoilt(c"a queue does not stop"))?;
        Frozen::<F> { id, stopped, saved }.resume()
    }
}

/// A ring for `count` slots.
pub fn ring(hw: &Arc<Hardware>, count: u32) -> Result<Descriptors, StepFailure> {
    Descriptors::new(hw, count)
        .map_err(|errno| StepFailure::new(errno, c"no memory for a descriptor ring", false))
}
