// SPDX-License-Identifier: GPL-2.0

//! Emulated ports: any Ethernet device, whose packets come and go as those of the stack do.
//!
//! Nothing of the driver is touched. What the device receives is taken at netfilter's ingress hook ([`receive`]), and what a
//! program sends is given to the driver as the stack would give it ([`transmit`]). A port is made by its first binding and goes
//! with its last one, or with its device.
//!
//! Where the driver can have a program look at packets before they are those of the stack, what is received is taken there
//! ([`xdp`]). The hook stays in place for what comes another way.

mod capture;
pub(crate) mod events;
mod offloads;
mod pool;
mod receive;
mod retry;
mod transmit;
mod xdp;

use super::{
    host::{HostRings, HostTx},
    kind::{DeviceSteps, Kind, Steps},
    nic::refused,
    port::{device_name, Port, RingUses},
    vale::Interface, //
};
use crate::{
    logic::{
        pools::round_slots,
        request::Geometry,
        ring::MAX_SLOTS,
        ringset::{RingSet, MAX_RINGS},
        selection::RingCounts, //
    },
    mem::Region,
    nic::Refusal,
    prelude::*,
    ring::{
        inbox::Inbox,
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{
        netdev::NetDev,
        netfilter::{Hook, Place},
        param,
        rtnl::Rtnl, //
    }, //
};
use capture::Capture;
use core::fmt;
use kernel::sync::{new_mutex, Mutex};
use offloads::{Offloads, TAGS, TOGETHER};
use receive::Receiver;
use transmit::TxQueue;
use xdp::Xdp;

/// Fewest slots of a ring.
const MIN_SLOTS: u32 = 32;
/// Most rings of a direction that are not host rings.
const MOST_RINGS: u16 = MAX_RINGS as u16 - 16;

/// A network device in netmap mode, whose queues stay the driver's.
#[pin_data]
struct Emulated {
    port: Arc<Port>,
    host: HostRings,
    /// What is behind each transmit ring.
    transmit: KVec<Arc<TxQueue>>,
    /// What is behind each receive ring.
    receiver: Arc<Receiver>,
    capture: Arc<Capture>,
    offloads: Offloads,
    /// Off while packets come by XDP.
    tags: Offloads,
    /// Its lock nests inside the port's.
    #[pin]
    state: Mutex<State>,
}

struct State {
    /// [`None`] once the device is gone.
    opened: Option<OpenDevice>,
}

/// What a port has of a device that is there.
struct OpenDevice {
    /// There while anything is bound: it lets pass what our own host rings send up.
    ingress: Option<Hook<Receiver>>,
    egress: Option<Hook<Capture>>,
    early: Early,
    dev: NetDev,
}

/// Whether packets come by XDP.
enum Early {
    /// They do not.
    No,
    /// They shall, as soon as a task that has bound a ring holds no lock.
    Wanted,
    /// A task is about it.
    Attaching,
    /// They do, unless an administrator took the program away.
    Attached(Xdp),
}

/// The port of a device that has none yet, with no ring in use. `EOPNOTSUPP` with the reason in the log if it is no Ethernet
/// device; `ENOMEM`.
pub(super) fn open(
    dev: &NetDev,
    wish: &Geometry,
    region: Arc<Region>,
    rtnl: &Rtnl,
) -> Result<Arc<dyn Kind>> {
    if let Some(reason) = dev.not_ethernet(rtnl) {
        return Err(refused(dev, Refusal::new(EOPNOTSUPP, reason), rtnl));
    }
    let emulated = Emulated::new(dev, wish, region, rtnl)?;
    Ok(Arc::new(EmulatedKind(emulated), GFP_CHARGED)?)
}

/// Waits until what the end of ports has left to be done is done. Without the RTNL mutex.
pub(super) fn settle() {
    xdp::settle();
}

/// Whether it is a ring for what the device receives.
fn is_received(kring: &Kring) -> bool {
    !kring.host && kring.direction == Direction::Rx
}

/// An emulated port as one of its kind.
struct EmulatedKind(Arc<Emulated>);

impl Emulated {
    fn new(dev: &NetDev, wish: &Geometry, region: Arc<Region>, rtnl: &Rtnl) -> Result<Arc<Self>> {
        let counts = RingCounts {
            tx: dev.tx_queues().clamp(1, MOST_RINGS),
            rx: dev.rx_queues().clamp(1, MOST_RINGS),
            host_tx: HostRings::count(wish.host_tx_rings),
            host_rx: HostRings::count(wish.host_rx_rings),
        };
        let slots = match Interface::of(dev) {
            Some(interface) => interface.slots(),
            None => {
                let slots = |wish: u32| {
                    let wish = if wish == 0 {
                        param::generic_ringsize()
                    } else {
                        wish
                    };
                    round_slots(wish.clamp(MIN_SLOTS, MAX_SLOTS), 0, 1)
                };
                (slots(wish.tx_slots), slots(wish.rx_slots))
            }
        };
        let port = Port::new(device_name(&dev.name(rtnl)), counts, slots, region)?;
        let own = |direction| port.krings(direction).iter().filter(|kring| !kring.host);
        let mut inboxes = KVec::with_capacity(usize::from(counts.rx), GFP_CHARGED)?;
        for kring in own(Direction::Rx) {
            inboxes.push(Inbox::new(kring.clone(), slots.1)?, GFP_CHARGED)?;
        }
        let mut transmit = KVec::with_capacity(usize::from(counts.tx), GFP_CHARGED)?;
        for kring in own(Direction::Tx) {
            transmit.push(TxQueue::new(kring.clone())?, GFP_CHARGED)?;
        }
        let host = HostRings::new(&port, dev, true)?;
        let receiver = Receiver::new(inboxes)?;
        let capture = Capture::new(counts.tx, host.rx())?;
        let state = State {
            opened: Some(OpenDevice {
                ingress: None,
                egress: None,
                early: Early::No,
                dev: dev.clone(),
            }),
        };
        Arc::pin_init(
            pin_init!(Self {
                port,
                host,
                transmit,
                receiver,
                capture,
                offloads: Offloads::new(TOGETHER),
                tags: Offloads::new(TAGS),
                state <- new_mutex!(state, "netmap_emulated"),
            }),
            GFP_CHARGED,
        )
    }

    /// Makes rings ready that have memory.
    fn prepare(this: &Arc<Self>, fresh: RingSet, rtnl: &Rtnl) -> Result {
        let mut state = this.state.lock();
        let opened = state.opened.as_mut().ok_or(ENXIO)?;
        if opened.ingress.is_none() {
            let hook = Hook::new(&opened.dev, Place::Ingress, this.receiver.clone(), rtnl)?;
            events::enter(&opened.dev, this, rtnl)?;
            opened.ingress = Some(hook);
        }
        if opened.egress.is_none() {
            let hook = Hook::new(&opened.dev, Place::Egress, this.capture.clone(), rtnl)?;
            opened.egress = Some(hook);
        }
        for kring in this.port.krings_of(fresh) {
            this.let_in(kring)?;
            if let Some(transmit) = this.transmit_of(kring) {
                let held = kring.stop();
                // SAFETY: It is stopped, and held.
                unsafe { transmit.open(&opened.dev, rtnl)? };
                drop(held);
            }
        }
        if this.port.krings_of(fresh).any(|kring| is_received(kring)) {
            this.offloads.off(&opened.dev, rtnl);
            if matches!(opened.early, Early::No) && Xdp::is_wanted(&opened.dev, rtnl) {
                opened.early = Early::Wanted;
            }
        }
        this.port.start(fresh);
        Ok(())
    }

    /// Has packets come by XDP, if that is wanted. Without any lock held.
    fn attach(&self) {
        let dev = match &mut self.state.lock().opened {
            Some(opened) if matches!(opened.early, Early::Wanted) => {
                opened.early = Early::Attaching;
                opened.dev.clone()
            }
            _ => return,
        };
        let attached = Xdp::attach(&dev, &self.receiver);
        let rtnl = Rtnl::lock();
        let mut state = self.state.lock();
        // If the port has ended, what was attached goes.
        let Some(opened) = &mut state.opened else {
            drop(state);
            self.restore(attached.ok(), &dev, &rtnl);
            return;
        };
        let armed = attached.and_then(|mut xdp| {
            self.tags.off(&dev, &rtnl);
            xdp.arm(&dev, &rtnl)
                .inspect_err(|_| self.tags.restore(&dev, &rtnl))?;
            Ok(xdp)
        });
        let label = dev.label(&rtnl);
        opened.early = match armed {
            Ok(xdp) => {
                pr_info!("{label}: emulated (xdp)\n");
                Early::Attached(xdp)
            }
            Err(error) => {
                let (why, errno) = (xdp::why(error), error.to_errno());
                pr_info!("{label}: emulated (skb), no XDP: {why} ({errno})\n");
                Early::No
            }
        };
    }

    /// Opens the inbox of a ring that has memory, if it has one.
    fn let_in(&self, kring: &Kring) -> Result {
        match self.inbox_of(kring) {
            Some(inbox) => inbox.open(&kring.stop().attached().ok_or(EINVAL)?.inner),
            None => Ok(()),
        }
    }

    /// Takes rings that have no user out of service.
    fn retire(&self, uses: &RingUses, rings: RingSet, rtnl: &Rtnl) {
        let sending = || {
            let krings = self.port.krings_of(rings);
            krings.filter_map(|kring| self.transmit_of(kring))
        };
        transmit::drain(sending, rtnl);
        for kring in self.port.krings_of(rings) {
            let held = kring.stop();
            if let Some(transmit) = self.transmit_of(kring) {
                // SAFETY: It is stopped, and held.
                unsafe { transmit.close() };
            }
            drop(held);
            if let Some(inbox) = self.inbox_of(kring) {
                inbox.close();
            }
        }
        let mut state = self.state.lock();
        // If the device is gone, nothing has come in since the host rings were emptied.
        let Some(opened) = &mut state.opened else {
            return;
        };
        let mut received = 0..u32::from(self.port.counts().rx);
        if !received.any(|ring| uses.is_used(Direction::Rx, ring)) {
            match opened.early {
                // If it is wanted still, a binding has failed that would have received.
                Early::No | Early::Wanted => {
                    opened.early = Early::No;
                    self.offloads.restore(&opened.dev, rtnl);
                }
                Early::Attaching | Early::Attached(_) => {
                    self.offloads.restore_beside_xdp(&opened.dev, rtnl)
                }
            }
        }
        for kring in self.port.krings_of(rings) {
            if kring.host && kring.direction == Direction::Rx {
                self.host.retire(kring, &opened.dev);
            }
        }
    }

    /// The inbox of a receive ring that is no host ring.
    fn inbox_of(&self, kring: &Kring) -> Option<&Arc<Inbox>> {
        is_received(kring)
            .then(|| self.receiver.inbox(kring.index))
            .flatten()
    }

    /// Ends the port. Its users have the dead port until they close it.
    fn end(&self, rtnl: &Rtnl) {
        self.port.kill();
        self.close(rtnl);
    }

    /// What is behind a transmit ring that is no host ring.
    fn transmit_of(&self, kring: &Kring) -> Option<&Arc<TxQueue>> {
        let transmits = !kring.host && kring.direction == Direction::Tx;
        transmits
            .then(|| self.transmit.get(usize::from(kring.index)))
            .flatten()
    }

    /// Turns on again what was turned off, once there is no program any more.
    fn restore(&self, xdp: Option<Xdp>, dev: &NetDev, rtnl: &Rtnl) {
        let features = self.offloads.take(rtnl) | self.tags.take(rtnl);
        match xdp {
            Some(xdp) => xdp.detach(dev, features),
            None if features != 0 => dev.set_wanted_features(0, features, rtnl),
            None => {}
        }
    }

    /// Lets go of the device: nothing comes from it or goes to it any more.
    fn close(&self, rtnl: &Rtnl) {
        let Some(opened) = self.state.lock().opened.take() else {
            return;
        };
        let OpenDevice {
            ingress,
            egress,
            early,
            dev,
        } = opened;
        events::leave(self, rtnl);
        match early {
            // Whoever attaches it finds that the port has ended.
            Early::Attaching => {}
            Early::Attached(xdp) => self.restore(Some(xdp), &dev, rtnl),
            Early::No | Early::Wanted => self.restore(None, &dev, rtnl),
        }
        drop(ingress);
        drop(egress);
        for inbox in self.receiver.inboxes() {
            inbox.close();
        }
        self.host.end(&self.port, &dev);
        for kring in self.port.krings(Direction::Tx) {
            if let Some(transmit) = self.transmit_of(kring) {
                let held = kring.stop();
                // SAFETY: It is stopped, and held.
                unsafe { transmit.close() };
                drop(held);
            }
        }
        drop(dev);
    }
}

impl Kind for EmulatedKind {
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
        let emulated = &self.0;
        let index = usize::from(kring.index);
        Ok(match (kring.host, kring.direction) {
            (true, _) => emulated.host.queue(kring, &self.device().ok_or(ENXIO)?)?,
            (false, Direction::Tx) => emulated.transmit.get(index).ok_or(EINVAL)?.clone(),
            (false, Direction::Rx) => emulated.receiver.inbox(kring.index).ok_or(EINVAL)?.clone(),
        })
    }

    fn uses_changed(&self, uses: &RingUses) {
        let emulated = &self.0;
        emulated.capture.follow(uses, emulated.port.counts().rx);
    }

    fn bound(&self) {
        self.0.attach();
    }

    fn host(&self) -> Option<Arc<HostTx>> {
        Some(self.0.host.tx().clone())
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0.state.lock().opened {
            None => "gone",
            Some(OpenDevice {
                early: Early::Attached(xdp),
                dev,
                ..
            }) if xdp.is_armed(dev) => "emulated (xdp)",
            Some(_) => "emulated (skb)",
        })
    }
}

impl DeviceSteps for EmulatedKind {
    fn admit(&self, _fresh: RingSet, _rtnl: &Rtnl) -> Result {
        Ok(())
    }

    fn prepare(&self, fresh: RingSet, rtnl: &Rtnl) -> Result {
        Emulated::prepare(&self.0, fresh, rtnl)
    }

    fn retire(&self, uses: &RingUses, rings: RingSet, rtnl: &Rtnl) {
        self.0.retire(uses, rings, rtnl);
    }

    fn close(&self, rtnl: &Rtnl) {
        self.0.close(rtnl);
    }

    fn end(&self, rtnl: &Rtnl) {
        self.0.end(rtnl);
    }
}
