// SPDX-License-Identifier: GPL-2.0

//! The queues of one device that are taken, and how they come and go together.

use super::{
    adapter::{conflict, Device, Limits, Policy, QueueId, Refusal, Wanted},
    family::Family,
    gate::Gate,
    intercept::Hooks,
    register::{Hardware, Reg, RCTL_SECRC},
    rings::Descriptors,
    rx::RxQueue,
    takeover::{self, Stock, Stuck, Taken},
    tx::TxQueue, //
};
use crate::{
    bindings,
    port::kring::{Direction, Kring, Queue},
    prelude::*,
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};
use core::marker::PhantomData;
use kernel::sync::{new_mutex, Mutex};

/// A device of family `F`.
#[pin_data]
pub(super) struct Machine<F: Family> {
    hw: Arc<Hardware>,
    gate: Arc<Gate>,
    /// What is taken. Its lock nests inside a port's, and krings are stopped inside it.
    #[pin]
    taken: Mutex<KVec<Ours<F>>>,
    family: PhantomData<F>,
}

/// The queue behind a kring.
enum Side<F: Family> {
    Tx(Arc<TxQueue<F>>),
    Rx(Arc<RxQueue<F>>),
}

/// A queue that is ours, or was until the driver or its restart took it away.
struct Ours<F: Family> {
    id: QueueId,
    kring: Arc<Kring>,
    side: Side<F>,
    state: Option<Taken<F>>,
    /// Where the device sees our ring.
    address: u64,
}

impl<F: Family> Side<F> {
    fn queue(&self) -> Arc<dyn Queue> {
        match self {
            Side::Tx(queue) => queue.clone(),
            Side::Rx(queue) => queue.clone(),
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
                Side::Tx(queue) => queue.disarm(),
                Side::Rx(queue) => queue.disarm(),
            }
        }
    }
}

impl<F: Family> Ours<F> {
    fn new(hw: &Arc<Hardware>, gate: &Arc<Gate>, wanted: &Wanted) -> Result<Self> {
        let Wanted {
            id,
            kring,
            dma,
            region,
        } = wanted;
        let block = takeover::block::<F>(*id);
        let side = match id.direction {
            Direction::Tx => Side::Tx(Arc::new(TxQueue::new(hw, gate, dma, block), GFP_KERNEL)?),
            Direction::Rx => Side::Rx(Arc::new(
                RxQueue::new(hw, gate, dma, region, block),
                GFP_KERNEL,
            )?),
        };
        Ok(Self {
            id: *id,
            kring: kring.clone(),
            side,
            state: None,
            address: 0,
        })
    }

    /// Takes the queue from the driver. Its kring is stopped, and a transmit queue's gate closed.
    fn take(&mut self, hw: &Arc<Hardware>, rtnl: &Rtnl) -> Result<(), Stuck> {
        let mut held = self.kring.stop();
        let inner = &mut held.attached().ok_or(EINVAL)?.inner;
        let count = inner.cursors.num_slots();
        let ring = takeover::ring(hw, count)?;
        let (address, bytes) = (ring.address(), ring.bytes());
        let mut lost = 0;
        // SAFETY: We hold the stopped kring.
        unsafe {
            match &self.side {
                Side::Tx(queue) => {
                    lost = inner.cursors.in_flight().len();
                    queue.arm(ring, &inner.cursors, inner.buf_size)?;
                }
                Side::Rx(queue) => {
                    let stores_fcs = !F::STRIPS_FCS && hw.read(Reg::RCTL) & RCTL_SECRC == 0;
                    queue.arm(ring, inner, stores_fcs)?;
                }
            }
        }
        let (tx, rx) = ring_sizes(hw)?;
        let theirs = match self.id.direction {
            Direction::Tx => tx,
            Direction::Rx => rx,
        };
        let buf_size = inner.buf_size;
        let taken = Stock::<F>::new(hw, self.id, theirs)
            .and_then(|stock| stock.freeze(rtnl))
            .and_then(|frozen| frozen.program(address, bytes, buf_size));
        match taken {
            Ok(taken) => {
                self.state = Some(taken);
                self.address = address;
                match &self.side {
                    Side::Tx(_) => {
                        // What the hardware had of an earlier ring is lost, and so done with.
                        let _ = inner.cursors.publish(lost);
                        if lost != 0 {
                            self.kring
                                .counters
                                .drops
                                .fetch_add(u64::from(lost), core::sync::atomic::Ordering::Relaxed);
                        }
                    }
                    // SAFETY: We hold the stopped kring, and the queue has its ring.
                    Side::Rx(queue) => unsafe { queue.start() },
                }
                Ok(())
            }
            Err(stuck) if stuck.spoilt => Err(stuck),
            Err(stuck) => {
                // SAFETY: We hold the stopped kring. The hardware has not had the ring.
                drop(unsafe { self.side.disarm() });
                Err(stuck)
            }
        }
    }

    /// Gives the queue back. Its kring is stopped. If the result is an error, the ring's memory is kept until
    /// [`Self::clear`] is called, after a restart.
    fn give_back(&mut self, rtnl: &Rtnl) -> Result<(), Stuck> {
        let held = self.kring.stop();
        if let Some(taken) = self.state.take() {
            taken.give_back(rtnl)?;
        }
        drop(held);
        self.clear();
        Ok(())
    }

    /// Frees the memory of the ring, which the hardware does not have. The kring is stopped.
    fn clear(&mut self) {
        let held = self.kring.stop();
        self.state = None;
        // SAFETY: We hold the stopped kring.
        drop(unsafe { self.side.disarm() });
        drop(held);
    }

    fn close_gate(&self, hooks: &Hooks) {
        if self.id.direction == Direction::Tx {
            hooks.close_gate(self.id.index);
        }
    }

    fn open_gate(&self, hooks: &Hooks) {
        if self.id.direction == Direction::Tx {
            hooks.open_gate(self.id.index);
        }
    }
}

/// How many descriptors the driver says its rings have: transmit, receive.
fn ring_sizes(hw: &Hardware) -> Result<(u32, u32), Stuck> {
    let (mut tx, mut rx) = (0, 0);
    // SAFETY: The device is valid and the RTNL mutex held.
    kernel::error::to_result(unsafe {
        bindings::netmap_ring_sizes(hw.dev().as_ptr(), &mut tx, &mut rx)
    })?;
    Ok((tx, rx))
}

impl<F: Family> Machine<F> {
    /// Opens the device; see [`super::Adapter::open`].
    pub(super) fn open(dev: &NetDev, _rtnl: &Rtnl) -> Result<KBox<dyn Device>, Refusal> {
        if let Some(reason) = F::CONDITION.and_then(|condition| condition()) {
            return Err(Refusal::new(EOPNOTSUPP, reason));
        }
        let hw = Hardware::map(dev)
            .map_err(|errno| Refusal::new(errno, c"the registers cannot be mapped"))?;
        if hw.is_gone() {
            return Err(Refusal::new(ENODEV, c"the device does not answer"));
        }
        conflict(&hw)?;
        Self::boxed(hw).map_err(|errno| Refusal::new(errno, c"out of memory"))
    }

    fn boxed(hw: Hardware) -> Result<KBox<dyn Device>> {
        let gate = Arc::new(Gate::new(hw.dev()), GFP_KERNEL)?;
        let hw = Arc::new(hw, GFP_KERNEL)?;
        let machine = KBox::new(
            Held(Arc::pin_init(
                pin_init!(Self {
                    hw,
                    gate,
                    taken <- new_mutex!(KVec::new(), "netmap_taken"),
                    family: PhantomData,
                }),
                GFP_KERNEL,
            )?),
            GFP_KERNEL,
        )?;
        Ok(machine)
    }

    fn power(&self, on: bool) {
        // SAFETY: The device is valid; references are counted.
        unsafe {
            if on {
                bindings::netmap_power_get(self.hw.pdev());
            } else {
                bindings::netmap_power_put(self.hw.pdev());
            }
        }
    }

    fn all_queues(
        &self,
        wanted: &[Wanted],
        policy: Policy,
        hooks: &Hooks,
        rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal> {
        const MEMORY: Refusal = Refusal::new(ENOMEM, c"out of memory");
        if !self.hw.dev().is_running(rtnl) {
            return Err(Refusal::new(ENETDOWN, c"the interface is down"));
        }
        conflict(&self.hw)?;
        let mut taken = self.taken.lock();
        let mut queues = KVec::with_capacity(wanted.len(), GFP_KERNEL).map_err(|_| MEMORY)?;
        let mut fresh = KVec::with_capacity(wanted.len(), GFP_KERNEL).map_err(|_| MEMORY)?;
        for wanted in wanted {
            let ours = Ours::new(&self.hw, &self.gate, wanted).map_err(|_| MEMORY)?;
            queues
                .push(ours.side.queue(), GFP_KERNEL)
                .map_err(|_| MEMORY)?;
            fresh.push(ours, GFP_KERNEL).map_err(|_| MEMORY)?;
        }
        taken.reserve(fresh.len(), GFP_KERNEL).map_err(|_| MEMORY)?;
        if taken.is_empty() {
            self.power(true);
            self.gate.renew();
        }
        for ours in fresh.iter() {
            ours.close_gate(hooks);
        }
        let mut result = match policy {
            Policy::Restart => Err(Stuck {
                refusal: Refusal::new(EAGAIN, c"as takeover=restart asks"),
                spoilt: false,
            }),
            _ => fresh
                .iter_mut()
                .try_for_each(|ours| ours.take(&self.hw, rtnl)),
        };
        if let Err(stuck) = &result {
            let retry = policy != Policy::Hot && stuck.refusal.errno == EAGAIN;
            let mut spoilt = stuck.spoilt;
            for ours in fresh.iter_mut() {
                spoilt |= ours.give_back(rtnl).is_err();
            }
            if retry || spoilt {
                let fresh: &mut [Ours<F>] = if retry { &mut fresh } else { &mut [] };
                let reason = stuck.refusal.reason;
                let restarted = self.restart(&mut taken, fresh, hooks, reason, rtnl);
                if retry {
                    result = restarted;
                }
            }
        }
        match result {
            Ok(()) => {
                for ours in fresh {
                    // There is room: reserved above.
                    let _ = taken.push(ours, GFP_KERNEL);
                }
                Ok(queues)
            }
            Err(stuck) => {
                for ours in fresh.iter_mut() {
                    ours.clear();
                    ours.open_gate(hooks);
                }
                if taken.is_empty() {
                    self.power(false);
                }
                Err(stuck.refusal)
            }
        }
    }

    /// Has the driver stop and open the device, so that all registers and rings are its own and at 0. Then takes again
    /// what was taken, and takes what is `fresh`, before the link is up. The krings of `fresh` are stopped.
    ///
    /// # Errors
    ///
    /// If the fresh ones could not be taken; they are the driver's then.
    fn restart(
        &self,
        taken: &mut KVec<Ours<F>>,
        fresh: &mut [Ours<F>],
        hooks: &Hooks,
        reason: &CStr,
        rtnl: &Rtnl,
    ) -> Result<(), Stuck> {
        let dev = self.hw.dev();
        let ops = hooks.original_ops();
        let (Some(stop), Some(open)) = (ops.ndo_stop, ops.ndo_open) else {
            return Err(EOPNOTSUPP.into());
        };
        pr_warn!(
            "{}: restarting the driver, the link goes down for a moment: {}\n",
            dev.label(rtnl),
            reason
        );
        for ours in taken.iter() {
            drop(ours.kring.stop());
        }
        // SAFETY: The driver's own functions, with the RTNL mutex held, on a device that is up: as the driver itself
        // calls them when its rings change.
        let opened = unsafe {
            stop(dev.as_ptr());
            open(dev.as_ptr())
        };
        for ours in Iterator::chain(taken.iter_mut(), fresh.iter_mut()) {
            // The hardware was reset in between.
            ours.clear();
        }
        if opened != 0 {
            pr_err!(
                "{}: the driver does not open the device again\n",
                dev.label(rtnl)
            );
            // SAFETY: The device is valid and the RTNL mutex held.
            unsafe { bindings::netmap_dev_close(dev.as_ptr()) };
            self.give_up(taken, hooks);
            return Err(Stuck {
                refusal: Refusal::new(EIO, c"the driver does not open the device again"),
                spoilt: false,
            });
        }
        hooks.hook_napi(rtnl);
        self.gate.renew();
        self.take_again(taken, hooks, rtnl);
        let result = fresh
            .iter_mut()
            .try_for_each(|ours| ours.take(&self.hw, rtnl));
        if let Err(stuck) = &result {
            pr_err!("{}: {}\n", dev.label(rtnl), stuck.refusal.reason);
            for ours in fresh.iter_mut() {
                if ours.give_back(rtnl).is_err() {
                    ours.clear();
                }
            }
        }
        result
    }

    /// Takes those queues again that are not ours any more, and lets programs go on. What cannot be taken is given up.
    fn take_again(&self, taken: &mut KVec<Ours<F>>, hooks: &Hooks, rtnl: &Rtnl) {
        taken.retain(|ours| {
            if ours.state.is_some() {
                return true;
            }
            drop(ours.kring.stop());
            let result = ours.take(&self.hw, rtnl);
            match &result {
                Ok(()) => {
                    pr_info!(
                        "{}: {:?} queue {} taken again\n",
                        self.hw.dev().label(rtnl),
                        ours.id.direction,
                        ours.id.index
                    );
                }
                Err(stuck) => {
                    pr_err!(
                        "{}: {:?} queue {} is lost: {}\n",
                        self.hw.dev().label(rtnl),
                        ours.id.direction,
                        ours.id.index,
                        stuck.refusal.reason
                    );
                    ours.kring.kill();
                    ours.open_gate(hooks);
                }
            }
            ours.kring.start();
            ours.kring.wake();
            result.is_ok()
        });
    }

    fn give_up(&self, taken: &mut KVec<Ours<F>>, hooks: &Hooks) {
        for ours in taken.iter_mut() {
            ours.kring.kill();
            ours.open_gate(hooks);
        }
        taken.clear();
    }
}

/// A machine behind the trait that all families share.
struct Held<F: Family>(Arc<Machine<F>>);

impl<F: Family> Device for Held<F> {
    fn limits(&self) -> Limits {
        let dev = self.0.hw.dev().as_ptr();
        // SAFETY: The device is valid.
        let (tx, rx) = unsafe {
            (
                bindings::netmap_tx_queues(dev),
                bindings::netmap_rx_queues(dev),
            )
        };
        let (tx_slots, rx_slots) = ring_sizes(&self.0.hw).unwrap_or((256, 256));
        Limits {
            tx_queues: tx.min(F::MAX_QUEUES),
            rx_queues: rx.min(F::MAX_QUEUES),
            tx_slots,
            rx_slots,
            min_slots: 64,
            max_slots: 4096,
            slot_multiple: 8,
        }
    }

    fn family(&self) -> &'static CStr {
        F::NAME
    }

    fn max_buffer(&self, buf_size: u32) -> u32 {
        F::rx_mode_bits(buf_size).map_or(0, |(_, size)| size)
    }

    fn has_free_tags(&self) -> bool {
        F::FREE_TAGS
    }

    fn take(
        &self,
        wanted: &[Wanted],
        policy: Policy,
        hooks: &Hooks,
        rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal> {
        self.0.all_queues(wanted, policy, hooks, rtnl)
    }

    fn release(&self, ids: &[QueueId], hooks: &Hooks, rtnl: &Rtnl) {
        let machine = &*self.0;
        let mut taken = machine.taken.lock();
        if taken.is_empty() {
            return;
        }
        let mut failed = None;
        if machine.hw.is_gone() {
            // Nothing answers, so nothing has our memory.
            for ours in taken.iter_mut().filter(|ours| ids.contains(&ours.id)) {
                ours.clear();
            }
        } else {
            for ours in taken.iter_mut().filter(|ours| ids.contains(&ours.id)) {
                if let Err(stuck) = ours.give_back(rtnl) {
                    failed = Some(stuck.refusal.reason);
                }
            }
        }
        taken.retain(|ours| {
            let keep = !ids.contains(&ours.id);
            if !keep {
                ours.open_gate(hooks);
            }
            keep
        });
        if let Some(reason) = failed {
            let _ = machine.restart(&mut taken, &mut [], hooks, reason, rtnl);
        }
        if taken.is_empty() {
            machine.power(false);
        }
    }

    fn check(&self, hooks: &Hooks, rtnl: &Rtnl) {
        let machine = &*self.0;
        let mut taken = machine.taken.lock();
        if taken.is_empty() || machine.hw.is_gone() {
            return;
        }
        // Before the look at the rings: what changes them later is counted later.
        machine.gate.renew();
        let mut lost = false;
        for ours in taken.iter_mut() {
            let held = ours.kring.stop();
            if ours
                .state
                .as_ref()
                .is_some_and(|state| state.is_ours(ours.address))
            {
                // SAFETY: We hold the stopped kring.
                unsafe {
                    match &ours.side {
                        Side::Tx(queue) => queue.kick(),
                        Side::Rx(queue) => queue.kick(),
                    }
                }
                drop(held);
                ours.kring.start();
            } else {
                drop(held);
                // The driver re-programmed the queue, so the hardware has its ring and not ours.
                ours.clear();
                lost = true;
            }
        }
        if !lost {
            return;
        }
        match conflict(&machine.hw) {
            Ok(()) => {
                hooks.hook_napi(rtnl);
                machine.take_again(&mut taken, hooks, rtnl);
            }
            Err(refusal) => {
                pr_err!(
                    "{}: the driver took its queues back, and they are not taken again: {}\n",
                    machine.hw.dev().label(rtnl),
                    refusal.reason
                );
                machine.give_up(&mut taken, hooks);
            }
        }
        if taken.is_empty() {
            machine.power(false);
        }
    }

    fn forget(&self) {
        let mut taken = self.0.taken.lock();
        if taken.is_empty() {
            return;
        }
        for ours in taken.iter_mut() {
            ours.clear();
        }
        taken.clear();
        self.0.power(false);
    }
}
