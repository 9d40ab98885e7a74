// SPDX-License-Identifier: GPL-2.0

//! Native ports: a network device whose hardware queues and host rings are krings.
//!
//! A port is made by its first binding and goes with its last one, or with its device. In between it can lose its
//! queues for a while (the interface is down, the driver re-initialises its rings, the system sleeps): its krings then
//! have an [`Idle`] queue behind them, which moves nothing, and programs wait.

mod events;
mod takeover;

use super::{
    host::{HostRings, HostTx},
    kind::{DeviceSteps, Kind, Steps},
    port::{device_name, each, Port, RingUses}, //
};
use crate::{
    bindings,
    logic::{
        pools::round_slots,
        request::Geometry,
        ringset::RingSet,
        selection::RingCounts, //
    },
    mem::{DmaMap, Region},
    nic::{
        driver::{
            events::{is_sleeping, ReleaseReason},
            intercept::Installed, //
        },
        Adapter,
        QueueId,
        Refusal, //
    },
    prelude::*,
    ring::{
        idle::Idle,
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{log, netdev::NetDev, rtnl::Rtnl}, //
};
use core::fmt;
use kernel::sync::{new_mutex, Mutex};

/// A network device in netmap mode.
#[pin_data]
pub(crate) struct Nic {
    port: Arc<Port>,
    host: HostRings,
    idle: Idle,
    /// Its lock nests inside the port's.
    #[pin]
    state: Mutex<NicState>,
}

struct NicState {
    /// [`None`] once the device is gone.
    opened: Option<OpenDevice>,
    /// The rings that a hardware queue is taken for.
    taken: RingSet,
    /// Why queues of rings in use are given back, or were not taken yet.
    released_for: ReleaseReasons,
    /// Room for the queues to give back, allocated in advance, because giving back must not fail for lack of memory.
    ids: KVec<QueueId>,
}

/// What a port has of a device that is there.
struct OpenDevice {
    /// Before the rest, so that it is dropped first.
    hooks: Option<Installed>,
    adapter: Arc<Adapter>,
    dma: Option<Arc<DmaMap>>,
    dev: NetDev,
}

/// A set of reasons for which the driver has the hardware queues for now.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ReleaseReasons(u32);

impl ReleaseReasons {
    /// No reason: queues can be taken.
    const NONE: Self = Self(0);
    /// There is no carrier, so the driver has turned some queues off and they could not be taken. They are when a carrier comes;
    /// those that were taken before stay taken.
    const NO_CARRIER: Self = Self(1 << 3);

    /// Adds a reason.
    fn insert(&mut self, why: Self) {
        self.0 |= why.0;
    }

    /// Takes a reason out; says whether that was the last one.
    fn remove(&mut self, why: Self) -> bool {
        let was = self.0 & why.0 != 0;
        self.0 &= !why.0;
        was && self.0 == 0
    }
}

impl From<ReleaseReason> for ReleaseReasons {
    fn from(why: ReleaseReason) -> Self {
        Self(match why {
            ReleaseReason::Down => 1 << 0,
            ReleaseReason::Reinit => 1 << 1,
            ReleaseReason::Suspend => 1 << 2,
        })
    }
}

/// Why the queues of a new port cannot be taken yet.
fn initial_reasons(dev: &NetDev, rtnl: &Rtnl) -> ReleaseReasons {
    let mut reasons = ReleaseReasons::NONE;
    if !dev.is_running(rtnl) {
        reasons.insert(ReleaseReason::Down.into());
    }
    if is_sleeping(rtnl) {
        reasons.insert(ReleaseReason::Suspend.into());
    }
    reasons
}

/// Logs why a device or what is asked of it was refused, unless there were many such lines of late. Returns the error for the
/// caller.
pub(super) fn refused(dev: &NetDev, refusal: Refusal, rtnl: &Rtnl) -> Error {
    if log::refusal_allowed() {
        pr_err!("{}: {}\n", dev.label(rtnl), refusal.reason);
    }
    refusal.errno
}

/// Why there is no port when the adapter does not mind.
fn no_memory(errno: Error) -> Refusal {
    Refusal::new(errno, c"the port cannot be made")
}

/// The device that does the DMA of a NIC.
fn dma_device(dev: &NetDev) -> *mut bindings::device {
    // SAFETY: The device is valid; its parent is the PCI function that the adapter was opened for.
    unsafe { (*dev.as_ptr()).dev.parent }
}

/// A native port as one of its kind.
struct NicKind(Arc<Nic>);

/// The port of a device that has none yet, with no ring in use. Errors as [`Adapter::open`]; `ENOMEM`.
pub(super) fn open(
    dev: &NetDev,
    wish: &Geometry,
    region: Arc<Region>,
    rtnl: &Rtnl,
) -> Result<Arc<dyn Kind>, Refusal> {
    let adapter = Adapter::open(dev, rtnl)?;
    let nic = Nic::new(adapter, dev, wish, region, rtnl).map_err(no_memory)?;
    let kind = Arc::new(NicKind(nic), GFP_CHARGED);
    Ok(kind.map_err(|_| no_memory(ENOMEM))?)
}

impl Nic {
    fn new(
        adapter: Arc<Adapter>,
        dev: &NetDev,
        wish: &Geometry,
        region: Arc<Region>,
        rtnl: &Rtnl,
    ) -> Result<Arc<Self>> {
        let limits = adapter.limits(rtnl);
        let counts = RingCounts {
            tx: limits.tx_queues,
            rx: limits.rx_queues,
            host_tx: HostRings::count(wish.host_tx_rings),
            host_rx: HostRings::count(wish.host_rx_rings),
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
        let port = Port::new(device_name(&dev.name(rtnl)), counts, slots, region)?;
        let (tx, rx) = (port.krings(Direction::Tx), port.krings(Direction::Rx));
        let host = HostRings::new(&port, dev, false)?;
        let idle = Idle::new()?;
        let state = NicState {
            ids: KVec::with_capacity(tx.len() + rx.len(), GFP_CHARGED)?,
            taken: RingSet::default(),
            released_for: initial_reasons(dev, rtnl),
            opened: Some(OpenDevice {
                hooks: None,
                adapter,
                dma: None,
                dev: dev.clone(),
            }),
        };
        Arc::pin_init(
            pin_init!(Self {
                port,
                host,
                idle,
                state <- new_mutex!(state, "netmap_nic"),
            }),
            GFP_CHARGED,
        )
    }

    /// Tells the hooks which TX queues have a host ring that is bound.
    fn set_hosted(&self, uses: &RingUses) {
        let state = self.state.lock();
        if let Some(hooks) = state
            .opened
            .as_ref()
            .and_then(|opened| opened.hooks.as_ref())
        {
            hooks.set_hosted(|queue| {
                let ring = usize::from(self.port.counts().rx) + self.host.ring_of(queue);
                uses.is_used(Direction::Rx, ring as u32)
            });
        }
    }

    fn close(&self, rtnl: &Rtnl) {
        let opened = self.state.lock().opened.take();
        if let Some(opened) = opened {
            self.let_go(opened, rtnl);
        }
    }

    fn let_go(&self, opened: OpenDevice, rtnl: &Rtnl) {
        let OpenDevice {
            hooks,
            adapter,
            dma,
            dev,
        } = opened;
        if let Some(hooks) = hooks {
            // A device that moves to another namespace keeps the features that it has.
            hooks.set_bound(false, rtnl);
            hooks.remove(rtnl);
        }
        // After the hooks, through which the packets come. The packets name the device without a reference to it.
        self.host.end(&self.port, &dev);
        drop(adapter);
        if let Some(dma) = dma {
            self.port.region().detach(&dma);
        }
        drop(dev);
    }

    /// The NIC rings in use that are not lost.
    fn usable(&self, uses: &RingUses) -> RingSet {
        self.port.used_where(uses, |kring| !kring.is_dead())
    }

    /// The NIC rings in use that have no hardware queue now, without those that are lost: these cannot be synced any more.
    fn waiting(&self, uses: &RingUses, state: &NicState) -> RingSet {
        let mut waiting = self.usable(uses);
        for (direction, ring) in each(state.taken) {
            waiting.remove(direction == Direction::Tx, ring);
        }
        waiting
    }

    /// Ends the port and drops its reference to the device. `answers` is false if the device's registers cannot be read any
    /// more, so that its queues are not given back. Users have the dead port until they close it. Not to be called from the device's hooks, but for [`PortEvents::gone`].
    ///
    /// [`PortEvents::gone`]: crate::nic::driver::events::PortEvents::gone
    fn end(&self, answers: bool, rtnl: &Rtnl) {
        self.port.kill();
        let opened = {
            let uses = self.port.uses();
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let list = self.port.used_where(&uses, |_| true);
            if let Some(opened) = state.opened.as_ref().filter(|_| !answers) {
                opened.adapter.forget();
            }
            self.give_back(state, list, rtnl);
            state.opened.take()
        };
        if let Some(opened) = opened {
            self.let_go(opened, rtnl);
        }
    }
}

impl Kind for NicKind {
    fn port(&self) -> &Arc<Port> {
        &self.0.port
    }

    fn device(&self) -> Option<NetDev> {
        let state = self.0.state.lock();
        state.opened.as_ref().map(|opened| opened.dev.clone())
    }

    fn steps(&self) -> Steps<'_> {
        Steps::Device(self)
    }

    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>> {
        let nic = &self.0;
        if kring.host {
            nic.host.queue(kring, &self.device().ok_or(ENXIO)?)
        } else {
            Ok(nic.idle.queue(kring.direction))
        }
    }

    fn uses_changed(&self, uses: &RingUses) {
        self.0.set_hosted(uses);
    }

    fn longest_packet(&self, kring: &Kring) -> u32 {
        if kring.host {
            return u32::MAX;
        }
        let state = self.0.state.lock();
        // Without a device nothing is sent. No NIC's MTU is for frames that it cannot send.
        let opened = state.opened.as_ref();
        opened.map_or(u32::MAX, |opened| opened.dev.longest_frame())
    }

    fn host(&self) -> Option<Arc<HostTx>> {
        Some(self.0.host.tx().clone())
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        let Some(opened) = &state.opened else {
            return f.write_str("gone");
        };
        let family = opened.adapter.family().to_str().unwrap_or_default();
        write!(f, "native ({family})")
    }

    fn is_taken(&self, transmit: bool, ring: u32) -> bool {
        self.0.state.lock().taken.contains(transmit, ring)
    }
}

impl DeviceSteps for NicKind {
    fn admit(&self, fresh: RingSet, rtnl: &Rtnl) -> Result {
        self.0.admit(&mut self.0.state.lock(), fresh, rtnl)
    }

    fn prepare(&self, fresh: RingSet, rtnl: &Rtnl) -> Result {
        self.0.prepare(&self.0, fresh, rtnl)
    }

    fn retire(&self, uses: &RingUses, rings: RingSet, rtnl: &Rtnl) {
        self.0.retire(uses, rings, rtnl);
    }

    fn close(&self, rtnl: &Rtnl) {
        self.0.close(rtnl);
    }

    fn end(&self, rtnl: &Rtnl) {
        self.0.end(true, rtnl);
    }
}
