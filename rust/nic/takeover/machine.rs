// SPDX-License-Identifier: GPL-2.0

//! The taken queues of one device, and how they are taken and given back together.

use super::{
    backlog,
    gate::Gate,
    queue::{ring_sizes, TakenQueue},
    stages::StepFailure, //
};
use crate::{
    bindings,
    logic::owner::Owner,
    nic::{
        device::{conflict, Device, Limits, QueueId, Refusal, TakeoverPolicy, Wanted},
        driver::{
            intercept::{self, Hooks},
            rss::Rss,
        },
        family::{
            register::{Awake, Hardware},
            Family,
        }, //
    },
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{netdev::NetDev, rtnl::Rtnl}, //
};
use core::{iter, marker::PhantomData};
use kernel::sync::{new_mutex, Mutex};

/// While a driver has detached its device it works on it, or has given it up: no queue can be taken, and the driver cannot
/// be restarted.
const DETACHED: Refusal = Refusal::new(
    EAGAIN,
    c"its driver has detached the device, which is suspended or recovers from an error",
);

/// How often a driver is asked to open a device again: the memory that it lacked may be free by then.
const OPENINGS: u32 = 3;

/// How often a driver is restarted because a queue failed after the restart before. The RTNL mutex is held all the time.
const RESTARTS: u32 = 3;

/// What came of the attempt to restart a driver.
enum Restart {
    /// The device is open, and all registers and rings are the driver's own.
    Open,
    /// The driver has stopped it, as the core was about to ask it to.
    Stopped,
    /// The driver has stopped it and does not open it again.
    Failed,
    /// The driver has detached it meanwhile, and may not have stopped it.
    Detached,
}

/// A device of family `F`.
#[pin_data]
pub(in crate::nic) struct Machine<F: Family> {
    hw: Arc<Hardware>,
    /// Held as long as something is bound, also while no queue is taken: a driver may free its NAPI instances when it
    /// suspends the device.
    _awake: Awake,
    gate: Arc<Gate>,
    /// The queues that are taken. This mutex nests inside a port's, and krings are stopped with it held.
    #[pin]
    taken: Mutex<KVec<TakenQueue<F>>>,
    /// This mutex nests inside that of `taken`.
    #[pin]
    rss: Mutex<Rss>,
    family: PhantomData<F>,
}

impl<F: Family> Machine<F> {
    /// Opens the device; see [`super::Adapter::open`].
    pub(in crate::nic) fn open(dev: &NetDev, _rtnl: &Rtnl) -> Result<KBox<dyn Device>, Refusal> {
        if let Some(reason) = F::CONDITION.and_then(|condition| condition()) {
            return Err(Refusal::new(EOPNOTSUPP, reason));
        }
        let hw = Hardware::map(dev)
            .map_err(|errno| Refusal::new(errno, c"the registers cannot be mapped"))?;
        // Before the first look at a register.
        let awake =
            Awake::new(&hw).map_err(|_| Refusal::new(ENODEV, c"the device does not wake up"))?;
        if hw.is_gone() {
            return Err(Refusal::new(ENODEV, c"the device does not answer"));
        }
        conflict::<F>(&hw)?;
        Self::boxed(hw, awake).map_err(|errno| Refusal::new(errno, c"out of memory"))
    }

    fn boxed(hw: Hardware, awake: Awake) -> Result<KBox<dyn Device>> {
        let gate = Arc::new(Gate::new(hw.dev()), GFP_CHARGED)?;
        let hw = Arc::new(hw, GFP_CHARGED)?;
        let rss = Rss::new()?;
        let machine = KBox::new(
            SharedMachine(Arc::pin_init(
                pin_init!(Self {
                    hw,
                    _awake: awake,
                    gate,
                    taken <- new_mutex!(KVec::new(), "netmap_taken"),
                    rss <- new_mutex!(rss, "netmap_rss"),
                    family: PhantomData,
                }),
                GFP_CHARGED,
            )?),
            GFP_CHARGED,
        )?;
        Ok(machine)
    }

    fn all_queues(
        &self,
        wanted: &[Wanted],
        policy: TakeoverPolicy,
        hooks: &Hooks,
        rtnl: &Rtnl,
    ) -> Result<KVec<Arc<dyn Queue>>, Refusal> {
        const MEMORY: Refusal = Refusal::new(ENOMEM, c"out of memory");
        if !self.hw.dev().is_running(rtnl) {
            return Err(Refusal::new(ENETDOWN, c"the interface is down"));
        }
        if !self.hw.dev().is_attached() {
            return Err(DETACHED);
        }
        conflict::<F>(&self.hw)?;
        let mut taken = self.taken.lock();
        let mut queues = KVec::with_capacity(wanted.len(), GFP_CHARGED).map_err(|_| MEMORY)?;
        let mut fresh = KVec::with_capacity(wanted.len(), GFP_CHARGED).map_err(|_| MEMORY)?;
        for wanted in wanted {
            let ours = TakenQueue::new(&self.hw, &self.gate, wanted).map_err(|_| MEMORY)?;
            queues
                .push(ours.queue.queue(), GFP_CHARGED)
                .map_err(|_| MEMORY)?;
            fresh.push(ours, GFP_CHARGED).map_err(|_| MEMORY)?;
        }
        taken
            .reserve(fresh.len(), GFP_CHARGED)
            .map_err(|_| MEMORY)?;
        if taken.is_empty() {
            self.gate.renew();
        }
        // The driver may have made new NAPI instances since it was last asked to do something.
        hooks.hook_napi(rtnl);
        for ours in fresh.iter() {
            ours.divert(hooks);
        }
        let mut result = match policy {
            TakeoverPolicy::Restart => Err(StepFailure {
                refusal: Refusal::new(
                    EAGAIN,
                    F::no_hot_takeover().unwrap_or(c"as takeover=restart asks"),
                ),
                spoilt: false,
            }),
            _ => fresh
                .iter_mut()
                .try_for_each(|ours| ours.take(&self.hw, rtnl)),
        };
        if let Err(stuck) = &result {
            let retry = policy != TakeoverPolicy::Hot && stuck.refusal.errno == EAGAIN;
            let reason = stuck.refusal.reason;
            let mut spoilt = stuck.spoilt;
            Self::abandon(&mut fresh, &mut spoilt, rtnl);
            if retry {
                result = self.restart(&mut taken, &mut fresh, hooks, reason, rtnl);
            } else if spoilt {
                // The caller is told of the first error.
                let _ = self.bounce(&mut taken, &mut fresh, hooks, reason, rtnl);
            }
        }
        match result {
            Ok(()) => {
                for ours in fresh {
                    // There is room: reserved above.
                    let _ = taken.push(ours, GFP_CHARGED);
                }
                Ok(queues)
            }
            Err(stuck) => {
                for ours in fresh.iter_mut() {
                    ours.clear();
                    ours.admit(hooks);
                }
                Err(stuck.refusal)
            }
        }
    }

    /// Gives back those of `fresh` that are ours, until the driver has to be restarted anyway: what is left then is stopped
    /// by that.
    fn abandon(fresh: &mut [TakenQueue<F>], spoilt: &mut bool, rtnl: &Rtnl) {
        for ours in fresh.iter_mut().filter(|ours| ours.state.is_some()) {
            *spoilt = *spoilt || ours.give_back(rtnl).is_err();
        }
    }

    /// Restarts the driver, and takes what is `fresh` before the link is up. The krings of `fresh` are stopped.
    ///
    /// # Errors
    ///
    /// If the fresh queues could not be taken; they are the driver's then.
    fn restart(
        &self,
        taken: &mut KVec<TakenQueue<F>>,
        fresh: &mut [TakenQueue<F>],
        hooks: &Hooks,
        reason: &CStr,
        rtnl: &Rtnl,
    ) -> Result<(), StepFailure> {
        self.bounce(taken, fresh, hooks, reason, rtnl)?;
        let result = fresh
            .iter_mut()
            .try_for_each(|ours| ours.take(&self.hw, rtnl));
        if let Err(stuck) = &result {
            let mut spoilt = stuck.spoilt;
            Self::abandon(fresh, &mut spoilt, rtnl);
            if spoilt {
                let _ = self.bounce(taken, fresh, hooks, stuck.refusal.reason, rtnl);
            }
        }
        result
    }

    /// Has the driver stop and open the device, so that all registers and rings are its own and at 0. Then takes again
    /// what was taken, or gives it up if queues fail each time. The rings of `fresh`, which the hardware may have had, are
    /// freed.
    ///
    /// A device that the core is closing is stopped alone, and nothing taken again.
    ///
    /// # Errors
    ///
    /// `EIO` if the driver does not open the device again: then it is down, and all that was taken is given up. `EAGAIN` if
    /// the driver has detached the device: then the hardware leaves all rings of ours alone, and what was taken is taken again
    /// when there is a carrier.
    fn bounce(
        &self,
        taken: &mut KVec<TakenQueue<F>>,
        fresh: &mut [TakenQueue<F>],
        hooks: &Hooks,
        reason: &CStr,
        rtnl: &Rtnl,
    ) -> Result<(), StepFailure> {
        let dev = self.hw.dev();
        if !dev.is_attached() {
            return Err(self.let_go(taken, fresh, hooks));
        }
        let mut restarts = 0;
        let mut rss = self.rss.lock();
        rss.read(hooks, rtnl);
        loop {
            if hooks.is_closing() {
                pr_warn!(
                    "{}: stopping the driver before the interface goes down: {}\n",
                    dev.label(rtnl),
                    reason
                );
            } else {
                pr_warn!(
                    "{}: restarting the driver, the link goes down for a moment: {}\n",
                    dev.label(rtnl),
                    reason
                );
            }
            for ours in taken.iter() {
                drop(ours.kring.stop());
            }
            let restart = hooks.ask(rtnl, |ops| {
                let (Some(stop), Some(open)) = (ops.ndo_stop, ops.ndo_open) else {
                    return Restart::Failed;
                };
                // SAFETY: The driver's own functions, with the RTNL mutex held, on a device that is up: as the driver
                // itself calls them when its rings change.
                unsafe { stop(dev.as_ptr()) };
                if hooks.is_closing() {
                    return Restart::Stopped;
                }
                // The recovery from an error on the bus does not hold the RTNL mutex. Some drivers do not stop a device that
                // is detached, and must not open it twice.
                if !dev.is_attached() {
                    return Restart::Detached;
                }
                for _ in 0..OPENINGS {
                    // SAFETY: As above; after a failure it is stopped as before.
                    if unsafe { open(dev.as_ptr()) } == 0 {
                        return Restart::Open;
                    }
                }
                Restart::Failed
            });
            let detached = match restart {
                Restart::Stopped => {
                    // The driver has been asked to stop, whatever it has done, and is not asked again.
                    hooks.take_down(rtnl);
                    !dev.is_attached()
                }
                Restart::Detached => true,
                Restart::Open | Restart::Failed => false,
            };
            if detached {
                return Err(self.let_go(taken, fresh, hooks));
            }
            // The hardware was reset in between.
            for ours in Iterator::chain(taken.iter_mut(), fresh.iter_mut()) {
                ours.clear();
            }
            Self::forget_leaving(taken, hooks);
            if matches!(restart, Restart::Stopped) {
                return Ok(());
            }
            if matches!(restart, Restart::Failed) {
                pr_err!(
                    "{}: the driver does not open the device again\n",
                    dev.label(rtnl)
                );
                // All queues are given up here: the port, which waits for us, need not be told.
                hooks.take_down(rtnl);
                self.give_up(taken, hooks);
                return Err(StepFailure {
                    refusal: Refusal::new(EIO, c"the driver does not open the device again"),
                    spoilt: false,
                });
            }
            rss.write(hooks, rtnl);
            hooks.hook_napi(rtnl);
            self.gate.renew();
            restarts += 1;
            if restarts > RESTARTS {
                pr_err!(
                    "{}: queues fail after each restart, and are given up\n",
                    dev.label(rtnl)
                );
                self.give_up(taken, hooks);
                return Ok(());
            }
            // Each round gives up a queue at least, so that there are fewer to fail in the next.
            if self.take_again(taken, hooks, rtnl) {
                return Ok(());
            }
        }
    }

    /// Lets go of all rings of a device that its driver has detached, and returns that as the reason of the failure.
    fn let_go(
        &self,
        taken: &mut KVec<TakenQueue<F>>,
        fresh: &mut [TakenQueue<F>],
        hooks: &Hooks,
    ) -> StepFailure {
        for ours in Iterator::chain(taken.iter_mut(), fresh.iter_mut()) {
            ours.abandon(&self.hw);
        }
        Self::forget_leaving(taken, hooks);
        StepFailure {
            refusal: DETACHED,
            spoilt: false,
        }
    }

    /// Takes those queues again that are not ours any more, and lets programs go on. What cannot be taken is given up.
    /// Returns false if the hardware may have the ring of one of those: the driver must be restarted.
    fn take_again(&self, taken: &mut KVec<TakenQueue<F>>, hooks: &Hooks, rtnl: &Rtnl) -> bool {
        let mut clean = true;
        taken.retain(|ours| {
            if ours.state.is_some() || ours.leaving {
                return true;
            }
            drop(ours.kring.stop());
            let result = ours.take(&self.hw, rtnl);
            let (label, id) = (self.hw.dev().label(rtnl), ours.id);
            let keep = match result {
                Ok(()) => {
                    pr_info!(
                        "{}: {:?} queue {} taken again\n",
                        label,
                        id.direction,
                        id.index
                    );
                    true
                }
                Err(StepFailure { refusal, spoilt }) => {
                    pr_err!(
                        "{}: {:?} queue {} is lost: {}\n",
                        label,
                        id.direction,
                        id.index,
                        refusal.reason
                    );
                    Kring::kill(iter::once(&ours.kring));
                    ours.leaving = true;
                    // The hardware may run our ring: the queue stays diverted until the driver has been restarted.
                    if spoilt {
                        clean = false;
                    } else {
                        ours.admit(hooks);
                    }
                    spoilt
                }
            };
            ours.kring.start();
            keep
        });
        clean
    }

    /// Forgets the queues that are leaving, which the hardware does not run any more.
    fn forget_leaving(taken: &mut KVec<TakenQueue<F>>, hooks: &Hooks) {
        taken.retain(|ours| {
            if ours.leaving {
                ours.admit(hooks);
            }
            !ours.leaving
        });
    }

    /// Forgets all queues. The hardware runs none of their rings any more.
    fn give_up(&self, taken: &mut KVec<TakenQueue<F>>, hooks: &Hooks) {
        Kring::kill(taken.iter().map(|ours| &ours.kring));
        for ours in taken.iter() {
            ours.admit(hooks);
        }
        taken.clear();
    }
}

/// A machine behind the trait that all families share.
struct SharedMachine<F: Family>(Arc<Machine<F>>);

impl<F: Family> Device for SharedMachine<F> {
    fn limits(&self, rtnl: &Rtnl) -> Limits {
        let (tx_queues, rx_queues) = self.0.hw.dev().queues(rtnl);
        let (tx_slots, rx_slots) = ring_sizes(&self.0.hw).unwrap_or((256, 256));
        Limits {
            tx_queues: tx_queues.min(F::MAX_QUEUES),
            rx_queues: rx_queues.min(F::MAX_QUEUES),
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

    fn no_hot_takeover(&self) -> Option<&'static CStr> {
        F::no_hot_takeover()
    }

    fn restrictions(&self, buf_size: u32) -> intercept::Restrictions {
        /// Ethernet header, VLAN tag, FCS.
        const OVERHEAD: u32 = 14 + 4 + 4;
        const fn bit(bit: u32) -> u64 {
            1 << bit
        }
        let tags =
            bit(bindings::NETIF_F_HW_VLAN_CTAG_RX_BIT) | bit(bindings::NETIF_F_HW_VLAN_CTAG_TX_BIT);
        let lro = bit(bindings::NETIF_F_LRO_BIT);
        let frozen = [
            bindings::NETIF_F_RXCSUM_BIT,
            bindings::NETIF_F_RXALL_BIT,
            bindings::NETIF_F_RXFCS_BIT,
            bindings::NETIF_F_RXHASH_BIT,
            bindings::NETIF_F_NTUPLE_BIT,
            bindings::NETIF_F_HW_TC_BIT,
            bindings::NETIF_F_HW_L2FW_DOFFLOAD_BIT,
        ];
        intercept::Restrictions {
            interposition: F::INTERPOSITION,
            masked: if F::FREE_TAGS { tags } else { 0 } | if F::QUEUE_LRO { 0 } else { lro },
            frozen: frozen
                .into_iter()
                .fold(tags | lro, |all, one| all | bit(one)),
            coalesce: F::COALESCING_RESTARTS,
            max_mtu: F::rx_buffer(buf_size).unwrap_or(0).saturating_sub(OVERHEAD),
        }
    }

    fn admits(&self, receives: bool, buf_size: u32, _rtnl: &Rtnl) -> Result<(), Refusal> {
        if receives && F::rx_buffer(buf_size).is_none() {
            return Err(Refusal::new(
                EINVAL,
                c"buffers of this size are too small for the NIC to receive into (module parameter buf_size, of a private region priv_buf_size)",
            ));
        }
        conflict::<F>(&self.0.hw)
    }

    fn take(
        &self,
        wanted: &[Wanted],
        policy: TakeoverPolicy,
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
        // A queue that must not be given back to the running driver counts as one that could not be.
        let mut failed = F::no_hot_takeover();
        // A device that does not answer does not access our memory either.
        let gone = machine.hw.is_gone();
        if !gone {
            // One wait for all of them, because they share the link.
            let size = taken.iter().map(|ours| ours.buf_size).max().unwrap_or(0);
            let leaving = taken.iter().filter(|ours| ids.contains(&ours.id));
            backlog::drain(&machine.hw, size, leaving, rtnl);
        }
        for ours in taken.iter_mut().filter(|ours| ids.contains(&ours.id)) {
            ours.leaving = true;
            if gone {
                ours.clear();
            } else if failed.is_none() {
                // After a failure the restart of the driver gives back all of them: to wait for each in turn would take
                // minutes with many.
                failed = ours.give_back(rtnl).err().map(|stuck| stuck.refusal.reason);
            }
        }
        if let Some(reason) = failed.filter(|_| !gone) {
            let _ = machine.bounce(&mut taken, &mut [], hooks, reason, rtnl);
        }
        taken.retain(|ours| !ours.leaving);
        for id in ids.iter().filter(|id| id.direction == Direction::Tx) {
            hooks.admit(id.index);
        }
    }

    fn check(&self, hooks: &Hooks, rtnl: &Rtnl) {
        let machine = &*self.0;
        let mut taken = machine.taken.lock();
        // A device that is detached has a carrier again when it is attached.
        if taken.is_empty() || machine.hw.is_gone() || !machine.hw.dev().is_attached() {
            return;
        }
        // Before the look at the rings, so that a later change of the carrier closes the gate again.
        machine.gate.renew();
        let mut lost = false;
        let mut restart = None;
        for ours in taken.iter_mut() {
            match ours.check(&machine.hw, rtnl) {
                Ok(Owner::Netmap) => ours.kring.start(),
                Ok(_) => lost = true,
                Err(reason) => restart = Some(reason),
            }
        }
        if !lost && restart.is_none() {
            return;
        }
        match conflict::<F>(&machine.hw) {
            Ok(()) => {
                hooks.hook_napi(rtnl);
                restart = restart.or(F::no_hot_takeover());
                if restart.is_none() && !machine.take_again(&mut taken, hooks, rtnl) {
                    restart = Some(c"a queue was lost half way");
                }
                if let Some(reason) = restart {
                    let _ = machine.bounce(&mut taken, &mut [], hooks, reason, rtnl);
                }
            }
            Err(refusal) => {
                pr_err!(
                    "{}: the driver took its queues back, and they are not taken again: {}\n",
                    machine.hw.dev().label(rtnl),
                    refusal.reason
                );
                // Some may be ours still: their memory is not freed as long as the hardware runs their rings.
                Kring::kill(taken.iter().map(|ours| &ours.kring));
                for ours in taken.iter_mut() {
                    ours.leaving = true;
                    if restart.is_none() && ours.state.is_some() {
                        restart = ours.give_back(rtnl).err().map(|stuck| stuck.refusal.reason);
                    }
                }
                if let Some(reason) = restart {
                    // It forgets all that are leaving.
                    let _ = machine.bounce(&mut taken, &mut [], hooks, reason, rtnl);
                }
                machine.give_up(&mut taken, hooks);
            }
        }
    }

    fn forget(&self) {
        let mut taken = self.0.taken.lock();
        for ours in taken.iter_mut() {
            ours.clear();
        }
        taken.clear();
    }
}
