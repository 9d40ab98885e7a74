// SPDX-License-Identifier: GPL-2.0

//! A network device in netmap mode: its hardware queues and host rings as krings.
//!
//! A port is made by its first binding and goes with its last one, or with its device. In between it can lose its
//! queues for a while (the interface is down, the driver re-initialises its rings, the system sleeps): its krings then
//! have an [`Idle`] queue behind them, which moves nothing, and programs wait.

use super::{
    binding::{new_interface, Binding},
    host::{HostRx, HostTx},
};
use crate::{
    abi,
    atomic::{AtomicBool, Ordering},
    bindings,
    logic::{
        pools::round_slots,
        request::{BindRequest, Geometry, Reply},
        ringset::RingSet,
        selection::{RingCounts, Selection}, //
    },
    mem::{DmaMap, Group, Region, RingMemory},
    nic::{
        driver::{
            events::{self, LossReason},
            intercept::Installed,
        },
        Adapter,
        QueueId,
        Refusal, //
    },
    prelude::*,
    ring::{idle::Idle, kring::Kring, listeners::Subscription, queue::Direction},
    sys::{
        log::{self, Displayed},
        netdev::NetDev,
        rtnl::Rtnl,
        wait::WaitQueue, //
    },
};
use kernel::{
    fmt,
    str::BStr,
    sync::{new_mutex, Mutex, UniqueArc}, //
};

/// Most host rings of a direction that a request gets.
const MAX_HOST_RINGS: u16 = 16;

/// A network device in netmap mode.
#[pin_data]
pub(crate) struct NicPort {
    pub(super) tx: KVec<Arc<Kring>>,
    pub(super) rx: KVec<Arc<Kring>>,
    pub(super) host_rx: KVec<Arc<HostRx>>,
    pub(super) host_tx: Arc<HostTx>,
    pub(super) idle: Idle,
    pub(super) counts: RingCounts,
    pub(super) slots: (u32, u32),
    pub(super) region: Arc<Region>,
    pub(super) dead: AtomicBool,
    #[pin]
    pub(super) state: Mutex<State>,
}

/// What changes, under the port's mutex, which nests inside the registry's.
pub(super) struct State {
    /// [`None`] once the device is gone.
    pub(super) live: Option<Live>,
    pub(super) tx: KVec<RingUse>,
    pub(super) rx: KVec<RingUse>,
    pub(super) bindings: u32,
    /// Why queues are not taken that have users.
    pub(super) lost: LossReasons,
    pub(super) name: [u8; abi::IFNAMSIZ],
    /// Room for the queues to give back, since that must not fail for want of memory.
    pub(super) ids: KVec<QueueId>,
}

/// What a port needs of a device that is there.
pub(super) struct Live {
    /// Before the rest: to be undone first.
    pub(super) hooks: Option<Installed>,
    pub(super) adapter: Arc<Adapter>,
    pub(super) dma: Option<Arc<DmaMap>>,
    pub(super) dev: NetDev,
}

/// How a ring is used.
#[derive(Default)]
pub(super) struct RingUse {
    pub(super) users: u32,
    pub(super) exclusive: bool,
    pub(super) memory: Option<RingMemory>,
    /// Whether a hardware queue is taken for it.
    pub(super) taken: bool,
}

/// A set of reasons why hardware queues are left to the driver for now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LossReasons(u32);

impl LossReasons {
    /// No reason: queues can be taken.
    pub(super) const NONE: Self = Self(0);
    /// The driver has queues off that it turns on when the carrier comes. Those that are taken stay so.
    pub(super) const NO_CARRIER: Self = Self(1 << 3);

    /// Adds a reason.
    pub(super) fn insert(&mut self, why: Self) {
        self.0 |= why.0;
    }

    /// Takes a reason out; says whether that was the last one.
    pub(super) fn remove(&mut self, why: Self) -> bool {
        let was = self.0 & why.0 != 0;
        self.0 &= !why.0;
        was && self.0 == 0
    }
}

impl From<LossReason> for LossReasons {
    fn from(why: LossReason) -> Self {
        Self(match why {
            LossReason::Down => 1 << 0,
            LossReason::Reinit => 1 << 1,
            LossReason::Suspend => 1 << 2,
        })
    }
}

/// Why the queues of a new port cannot be taken yet.
fn lost_from_the_start(dev: &NetDev, rtnl: &Rtnl) -> LossReasons {
    let mut lost = LossReasons::NONE;
    if !dev.is_running(rtnl) {
        lost.insert(LossReason::Down.into());
    }
    if events::is_sleeping(rtnl) {
        lost.insert(LossReason::Suspend.into());
    }
    lost
}

/// The error that a refusal of the adapter means, after telling the reason, unless that was told often of late.
pub(super) fn refused(dev: &NetDev, refusal: Refusal, rtnl: &Rtnl) -> Error {
    if log::refusal_allowed() {
        pr_err!("{}: {}\n", name_of(&dev.name(rtnl)), refusal.reason);
    }
    refusal.errno
}

/// A device's name for the log.
fn name_of(name: &[u8; abi::IFNAMSIZ]) -> &BStr {
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    BStr::from_bytes(name.get(..len).unwrap_or(&[]))
}

/// The sizes of transmit and receive rings, to print: one number if they are the same.
struct Slots(u32, u32);

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slots(tx, rx) if tx == rx => write!(f, "{tx}"),
            Slots(tx, rx) => write!(f, "{tx} + {rx}"),
        }
    }
}

/// The rings of a set.
pub(super) fn each(set: RingSet) -> impl Iterator<Item = (Direction, u32)> {
    set.iter().map(|(transmit, ring)| {
        (
            if transmit {
                Direction::Tx
            } else {
                Direction::Rx
            },
            ring,
        )
    })
}

fn rings(direction: Direction, nic: u16, host: u16) -> Result<KVec<Arc<Kring>>> {
    let mut list = KVec::with_capacity(usize::from(nic) + usize::from(host), GFP_CHARGED)?;
    for (count, is_host) in [(nic, false), (host, true)] {
        for index in 0..count {
            list.push(
                Arc::new(Kring::new(direction, index, is_host), GFP_CHARGED)?,
                GFP_CHARGED,
            )?;
        }
    }
    Ok(list)
}

fn unused(count: usize) -> Result<KVec<RingUse>> {
    let mut list = KVec::with_capacity(count, GFP_CHARGED)?;
    for _ in 0..count {
        list.push(RingUse::default(), GFP_CHARGED)?;
    }
    Ok(list)
}

/// The device that does the DMA of a NIC.
pub(super) fn dma_device(dev: &NetDev) -> *mut bindings::device {
    // SAFETY: The device is valid; its parent is the PCI function that the adapter was opened for.
    unsafe { (*dev.as_ptr()).dev.parent }
}

impl NicPort {
    /// The port of a device that has none yet, with no ring in use.
    pub(super) fn new(
        dev: &NetDev,
        wish: &Geometry,
        region: Arc<Region>,
        rtnl: &Rtnl,
    ) -> Result<Arc<Self>> {
        let adapter = Adapter::open(dev, rtnl).map_err(|refusal| refused(dev, refusal, rtnl))?;
        let limits = adapter.limits(rtnl);
        let host = |wish: u16| {
            if wish == 0 {
                1
            } else {
                wish.min(MAX_HOST_RINGS)
            }
        };
        let counts = RingCounts {
            tx: limits.tx_queues,
            rx: limits.rx_queues,
            host_tx: host(wish.host_tx_rings),
            host_rx: host(wish.host_rx_rings),
        };
        let slots = |wish: u32, default: u32| {
            let wish = if wish == 0 { default } else { wish };
            round_slots(
                wish.clamp(limits.min_slots, limits.max_slots),
                default,
                limits.slot_multiple,
            )
        };
        let slots = (
            slots(wish.tx_slots, limits.tx_slots),
            slots(wish.rx_slots, limits.rx_slots),
        );
        let tx = rings(Direction::Tx, counts.tx, counts.host_tx)?;
        let rx = rings(Direction::Rx, counts.rx, counts.host_rx)?;
        let mut host_rx = KVec::with_capacity(usize::from(counts.host_rx), GFP_CHARGED)?;
        for kring in rx.iter().filter(|kring| kring.host) {
            host_rx.push(
                HostRx::new(kring.clone(), region.clone(), slots.1)?,
                GFP_CHARGED,
            )?;
        }
        let host_tx = HostTx::new(dev.clone(), region.clone())?;
        let idle = Idle::new()?;
        let state = State {
            ids: KVec::with_capacity(tx.len() + rx.len(), GFP_CHARGED)?,
            tx: unused(tx.len())?,
            rx: unused(rx.len())?,
            bindings: 0,
            lost: lost_from_the_start(dev, rtnl),
            name: dev.name(rtnl),
            live: Some(Live {
                hooks: None,
                adapter,
                dma: None,
                dev: dev.clone(),
            }),
        };
        Arc::pin_init(
            pin_init!(Self {
                tx,
                rx,
                host_rx,
                host_tx,
                idle,
                counts,
                slots,
                region,
                dead: AtomicBool::new(false),
                state <- new_mutex!(state, "netmap_port"),
            }),
            GFP_CHARGED,
        )
    }

    /// Whether this is the port of `dev`.
    pub(super) fn is_of(&self, dev: &NetDev) -> bool {
        let state = self.state.lock();
        state
            .live
            .as_ref()
            .is_some_and(|live| live.dev.as_ptr() == dev.as_ptr())
    }

    /// Whether nothing is bound.
    pub(super) fn is_unused(&self) -> bool {
        self.state.lock().bindings == 0
    }

    /// Whether the device is gone, or its queues could not be taken again.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// The transmit and the receive rings, and how many of them are whose.
    pub(crate) fn rings(&self) -> (&[Arc<Kring>], &[Arc<Kring>], &RingCounts) {
        (&self.tx, &self.rx, &self.counts)
    }

    /// The way up to the stack.
    pub(crate) fn stack(&self) -> &HostTx {
        &self.host_tx
    }

    /// The name of the device, NUL terminated.
    pub(crate) fn name(&self) -> [u8; abi::IFNAMSIZ] {
        self.state.lock().name
    }

    /// Whether a hardware queue is taken for the ring of this number, host rings counted after the NIC's.
    pub(crate) fn is_taken(&self, direction: Direction, ring: usize) -> bool {
        let state = self.state.lock();
        let uses = match direction {
            Direction::Tx => &state.tx,
            Direction::Rx => &state.rx,
        };
        uses.get(ring).is_some_and(|ring| ring.taken)
    }

    /// What a request about the port is answered.
    pub(super) fn reply(&self) -> Reply {
        Reply {
            memsize: self.region.size(),
            mem_id: self.region.id(),
            geometry: Geometry {
                tx_slots: self.slots.0,
                rx_slots: self.slots.1,
                tx_rings: self.counts.tx,
                rx_rings: self.counts.rx,
                host_tx_rings: self.counts.host_tx,
                host_rx_rings: self.counts.host_rx,
            },
            ..Reply::default()
        }
    }

    pub(super) fn krings(&self, direction: Direction) -> &[Arc<Kring>] {
        match direction {
            Direction::Tx => &self.tx,
            Direction::Rx => &self.rx,
        }
    }

    /// Binds the rings that the request selects; see [`super::registry::bind`] for the errors.
    pub(super) fn bind(
        &self,
        this: &Arc<Self>,
        request: &BindRequest,
        file: &Arc<WaitQueue>,
        rtnl: &Rtnl,
    ) -> Result<Arc<Binding>> {
        let selection = Selection::new(request.select, request.flags, &self.counts)
            .map_err(|fault| Error::from_errno(-fault.errno()))?;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.live.is_none() {
            return Err(ENXIO);
        }
        let exclusive = request.flags.exclusive();
        let mut fresh = RingSet::default();
        for (direction, range) in [
            (Direction::Tx, selection.tx()),
            (Direction::Rx, selection.rx()),
        ] {
            for ring in range {
                let ring_use = state.ring(direction, ring)?;
                if ring_use.exclusive || (exclusive && ring_use.users > 0) {
                    return Err(EBUSY);
                }
                if ring_use.users == 0 {
                    fresh.insert(direction == Direction::Tx, ring);
                    continue;
                }
                let kring = self.krings(direction).get(ring as usize).ok_or(EINVAL)?;
                if kring.is_dead() {
                    if log::refusal_allowed() {
                        pr_err!(
                            "{}: the {} ring {} is lost until all who have it bound have closed it\n",
                            name_of(&state.name),
                            Displayed(direction),
                            ring
                        );
                    }
                    return Err(EBUSY);
                }
            }
        }
        let group = self.region.new_group()?;
        let result = self
            .prepare(this, state, fresh, &group, rtnl)
            .and_then(|()| self.finish(this, state, request, &selection, file, &group));
        match result {
            Ok(binding) => {
                for (direction, range) in [
                    (Direction::Tx, selection.tx()),
                    (Direction::Rx, selection.rx()),
                ] {
                    for ring in range {
                        if let Ok(ring_use) = state.ring(direction, ring) {
                            ring_use.users += 1;
                            ring_use.exclusive = exclusive;
                        }
                    }
                }
                state.bindings += 1;
                self.set_hosted(state);
                Ok(binding)
            }
            Err(error) => {
                self.retire(state, fresh, rtnl);
                self.region.leave(&group, 0);
                Err(error)
            }
        }
    }

    /// Makes the interface and the rest of a binding, once its rings are ready.
    fn finish(
        &self,
        this: &Arc<Self>,
        state: &mut State,
        request: &BindRequest,
        selection: &Selection,
        file: &Arc<WaitQueue>,
        group: &Arc<Group>,
    ) -> Result<Arc<Binding>> {
        // First: what the region gives below must not be lost to a failure.
        let place = UniqueArc::new_uninit(GFP_CHARGED)?;
        let mut tx = KVec::new();
        let mut rx = KVec::new();
        for (from, range, to) in [
            (&self.tx, selection.tx(), &mut tx),
            (&self.rx, selection.rx(), &mut rx),
        ] {
            for ring in range {
                to.push(from.get(ring as usize).ok_or(EINVAL)?.clone(), GFP_CHARGED)?;
            }
        }
        let subscription = Subscription::new(file, tx.len() + rx.len())?;
        let name = state.name;
        let interface = new_interface(
            &self.region,
            name_of(&name),
            &self.counts,
            selection,
            |is_tx, ring| {
                let uses = if is_tx { &state.tx } else { &state.rx };
                Some(uses.get(ring as usize)?.memory.as_ref()?.offset)
            },
        )?;
        let (head, extra) = match request.extra_bufs {
            0 => (0, 0),
            count => self
                .region
                .new_extra(count, group)
                .inspect_err(|_| self.region.free_interface(&interface))?,
        };
        let header = interface.header().as_ptr();
        // SAFETY: The interface is mapped and nobody else sees it yet.
        unsafe { (&raw mut (*header).ni_bufs_head).write(head) };
        let reply = Reply {
            offset: interface.offset,
            extra_bufs: extra,
            ..self.reply()
        };
        let binding = Binding {
            label: request.label,
            region: self.region.clone(),
            reply,
            flags: request.flags,
            tx,
            rx,
            port: this.clone(),
            selection: selection.clone(),
            interface,
            extra,
            group: group.clone(),
            subscription,
        };
        let binding: Arc<Binding> = place.write(binding).into();
        // SAFETY: The registry's mutex is held, and `unbind` ends it.
        unsafe { binding.subscription.begin(binding.listeners()) };
        if let (0, Some(live)) = (state.bindings, &state.live) {
            pr_info!(
                "{}: native ({}), {} tx + {} rx queues, {} slots, buffers of {}\n",
                name_of(&name),
                live.adapter.family(),
                self.counts.tx,
                self.counts.rx,
                Slots(self.slots.0, self.slots.1),
                self.region.buf_size()
            );
        }
        Ok(binding)
    }

    /// Undoes a binding.
    pub(super) fn unbind(&self, binding: &Binding, rtnl: &Rtnl) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let mut last = RingSet::default();
        for (direction, range) in [
            (Direction::Tx, binding.selection.tx()),
            (Direction::Rx, binding.selection.rx()),
        ] {
            for ring in range {
                let Ok(ring_use) = state.ring(direction, ring) else {
                    continue;
                };
                ring_use.users = ring_use.users.saturating_sub(1);
                ring_use.exclusive = false;
                if ring_use.users == 0 {
                    last.insert(direction == Direction::Tx, ring);
                }
            }
        }
        // Before the rings go: from now on the stack's packets for a host ring of the file take another queue, if there is one.
        // Who has already chosen the ring is done when the file is told of nothing any more, which waits for a grace period.
        self.set_hosted(state);
        binding.subscription.end(binding.listeners());
        self.retire(state, last, rtnl);
        state.bindings = state.bindings.saturating_sub(1);
        self.region.leave(&binding.group, binding.extra);
        self.region.free_interface(&binding.interface);
    }

    /// Tells the hooks which TX queues have a host ring that is bound.
    fn set_hosted(&self, state: &State) {
        if let Some(hooks) = state.live.as_ref().and_then(|live| live.hooks.as_ref()) {
            hooks.set_hosted(|queue| {
                let ring = usize::from(self.counts.rx) + self.host_ring_of(queue);
                state.rx.get(ring).is_some_and(|ring| ring.users > 0)
            });
        }
    }

    /// The host RX ring for what the stack sends on TX queue `queue` while that is taken.
    pub(super) fn host_ring_of(&self, queue: u16) -> usize {
        usize::from(queue) % self.host_rx.len().max(1)
    }

    /// Lets go of the device, when nothing is bound.
    pub(super) fn close(&self, rtnl: &Rtnl) {
        let live = self.state.lock().live.take();
        if let Some(live) = live {
            self.drop_live(live, rtnl);
        }
    }

    pub(super) fn drop_live(&self, live: Live, rtnl: &Rtnl) {
        let Live {
            hooks,
            adapter,
            dma,
            dev,
        } = live;
        self.host_tx.forget();
        if let Some(hooks) = hooks {
            // A device that moves to another namespace keeps the features that it has.
            hooks.set_bound(false, rtnl);
            hooks.remove(rtnl);
        }
        // What came in until now, as nobody brings packets any more. They name the device without holding it.
        self.purge_host_rings(&dev);
        drop(adapter);
        if let Some(dma) = dma {
            self.region.detach(&dma);
        }
        drop(dev);
    }

    /// The NIC rings in use.
    pub(super) fn used(&self, state: &State) -> RingSet {
        self.used_where(state, |_, _| true)
    }

    /// The NIC rings in use that are not lost.
    pub(super) fn usable(&self, state: &State) -> RingSet {
        self.used_where(state, |kring, _| !kring.is_dead())
    }

    /// The NIC rings in use that have no hardware queue now. Not those that are lost, which nobody can sync any more.
    pub(super) fn waiting(&self, state: &State) -> RingSet {
        self.used_where(state, |kring, ring_use| !ring_use.taken && !kring.is_dead())
    }

    fn used_where(&self, state: &State, condition: impl Fn(&Kring, &RingUse) -> bool) -> RingSet {
        let mut list = RingSet::default();
        for (direction, uses, nic) in [
            (Direction::Tx, &state.tx, self.counts.tx),
            (Direction::Rx, &state.rx, self.counts.rx),
        ] {
            let rings = uses.iter().zip(self.krings(direction));
            for (ring, (ring_use, kring)) in rings.enumerate().take(usize::from(nic)) {
                if ring_use.users > 0 && condition(kring, ring_use) {
                    list.insert(direction == Direction::Tx, ring as u32);
                }
            }
        }
        list
    }

    /// Ends the port, whose users keep it until they close it, and lets go of the device. Not to be called from the
    /// device's hooks, but for [`PortEvents::gone`].
    ///
    /// [`PortEvents::gone`]: crate::nic::driver::events::PortEvents::gone
    pub(super) fn end(&self, answers: bool, rtnl: &Rtnl) {
        self.kill();
        let live = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let list = self.used(state);
            if let Some(live) = state.live.as_ref().filter(|_| !answers) {
                live.adapter.forget();
            }
            self.give_back(state, list, rtnl);
            state.live.take()
        };
        if let Some(live) = live {
            self.drop_live(live, rtnl);
        }
    }

    /// Marks the port dead: its users get `POLLERR` and errors until they close it.
    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        for kring in Iterator::chain(self.tx.iter(), self.rx.iter()) {
            kring.kill();
        }
    }
}

impl State {
    pub(super) fn ring(&mut self, direction: Direction, ring: u32) -> Result<&mut RingUse> {
        let uses = match direction {
            Direction::Tx => &mut self.tx,
            Direction::Rx => &mut self.rx,
        };
        uses.get_mut(ring as usize).ok_or(EINVAL)
    }

    pub(super) fn any_taken(&self) -> bool {
        Iterator::chain(self.tx.iter(), self.rx.iter()).any(|ring| ring.taken)
    }
}
