// SPDX-License-Identifier: GPL-2.0

//! Interfaces on a switch.
//!
//! An interface is attached by what a program would do that bridges the two: its rings are bound, exclusively, and so is a port of the
//! switch that has its name, in the same region; a thread moves packets between them by exchanging buffers. So an interface takes
//! part as any other port does, of whatever kind its own port is; no sender waits for its hardware, and when that is slow, the port's
//! ring is full as any other's would be. The rings of the interface's host are another pair, with a port whose name ends with "^".
//!
//! Of a persistent port it is the other end of its wire that is attached, and so a program binds the interface by the name on the switch,
//! too. To attach it to another switch is to attach the interface itself, as any other: then it joins the two switches.
//!
//! The memory is that of the interface's region, and any program of that region may write to the rings, as it may to those of another
//! program. The thread takes what it finds there as the kernel takes what programs have in theirs.

use super::{
    interface::Interface,
    link::Link,
    make,
    pump::{Pump, Threads},
    switch,
    wire::{self, Wire},
    Serial,
    User,
    MOST_RINGS, //
};
use crate::{
    abi::register_flags::NR_EXCLUSIVE,
    atomic::AtomicBool,
    logic::{
        name::{PortName, Text},
        request::{BindFlags, BindRequest, Geometry, RingSelect},
        switching::Pollers, //
    },
    mem::Region,
    port::{
        binding::Binding,
        requests::{self as ports, device}, //
    },
    prelude::*,
    sys::{
        log::{self, Displayed},
        net_ns::NetNs,
        netdev::NetDev,
        rtnl::Rtnl,
        wait::WaitQueue,
        work::{Job, Work}, //
    },
};
use kernel::sync::{global_lock, new_mutex, Mutex};

global_lock! {
    // SAFETY: Initialised in `init` before anything else runs.
    unsafe(uninit) static RELAYS: Mutex<KVec<Arc<Relay>>> = KVec::new();
}

global_lock! {
    // SAFETY: Initialised in `init` before anything else runs.
    unsafe(uninit) static REAPER: Mutex<Option<Arc<Work<Reaper>>>> = None;
}

/// # Safety
///
/// To be called once, when the module is loaded.
pub(super) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe {
        RELAYS.init();
        REAPER.init();
    }
}

/// An interface on a switch.
#[pin_data]
struct Relay {
    /// The name of its port on the switch.
    name: Text,
    net: NetNs,
    serial: Serial,
    number: u8,
    /// Of a persistent port, the end of its wire that is attached.
    wire: Option<Arc<Wire>>,
    /// Before the bindings, whose rings they work on. [`None`] before they have begun, and once they have ended.
    #[pin]
    threads: Mutex<Option<Threads>>,
    _bindings: Bindings,
}

/// Takes relays away whose interface, or a ring of which, is gone.
pub(super) struct Reaper;

impl Job for Reaper {
    fn run(&self) {
        loop {
            let over = {
                let mut relays = RELAYS.lock();
                let is_over = |it: &Arc<Relay>| it.is_over();
                let Some(at) = relays.iter().position(is_over) else {
                    return;
                };
                relays.remove(at).ok()
            };
            if let Some(relay) = over {
                if log::allowed() {
                    pr_info!(
                        "{}: the interface or a ring of it is gone, and it is detached\n",
                        Displayed(relay.name)
                    );
                }
                relay.end();
            }
        }
    }
}

/// Lets go of all interfaces, and asks for nothing any more, when the module goes: dropping it waits for that.
pub(super) struct Relays {
    reaper: Arc<Work<Reaper>>,
}

impl Relays {
    pub(super) fn new() -> Result<Self> {
        let reaper = Work::new(Reaper)?;
        *REAPER.lock() = Some(reaper.clone());
        Ok(Self { reaper })
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        let all = core::mem::replace(&mut *RELAYS.lock(), KVec::new());
        for relay in &all {
            relay.end();
        }
        drop(all);
        *REAPER.lock() = None;
        self.reaper.cancel();
    }
}

impl Relay {
    /// Whether the name in that namespace is this one's.
    fn is_of(&self, name: &PortName, net: NetNs) -> bool {
        self.net == net && self.name == name.base
    }

    /// Whether it is the attachment of that number, if one is given.
    fn is_meant(&self, only: Option<Serial>) -> bool {
        only.is_none_or(|it| it == self.serial)
    }

    fn is_over(&self) -> bool {
        self.threads.lock().as_ref().is_some_and(|it| it.is_over())
    }

    fn polls(&self) -> bool {
        self.threads.lock().as_ref().is_some_and(|it| it.polls())
    }

    /// Ends the threads. The rings are let go of with the last reference.
    fn end(&self) {
        let threads = self.threads.lock().take();
        drop(threads);
    }
}

/// An interface that is being attached.
struct Attaching<'a> {
    /// The name of its port on the switch.
    name: &'a PortName,
    net: NetNs,
    wait: Arc<WaitQueue>,
    bindings: Bindings,
    links: KVec<Link>,
}

/// An exclusive bind of a port.
fn request(port: PortName, select: RingSelect, geometry: Geometry, mem_id: u16) -> BindRequest {
    BindRequest {
        label: port.base,
        port: Some(port),
        select,
        flags: BindFlags::new(NR_EXCLUSIVE),
        geometry,
        mem_id,
        extra_bufs: 0,
    }
}

impl Attaching<'_> {
    /// Binds an interface whose rings are those of a port of the device, with its host rings, too, if that is wanted; and ports for them,
    /// with so many slots.
    fn bind_nic(
        &mut self,
        interface: PortName,
        host: bool,
        mem_id: u16,
        (tx_slots, rx_slots): (u32, u32),
    ) -> Result {
        let select = if host {
            RingSelect::NicSw
        } else {
            RingSelect::AllNic
        };
        let request = request(interface, select, Geometry::default(), mem_id);
        let nic = ports::bind(&request, &self.wait)?;
        self.bindings.keep(nic.clone());
        let counts = *nic.kind().port().counts();
        let rings = |tx, rx| Geometry {
            tx_rings: tx,
            rx_rings: rx,
            tx_slots,
            rx_slots,
            ..Geometry::default()
        };
        // What it receives we send, and the other way round.
        let port = self.bind_port(*self.name, rings(counts.rx, counts.tx), &nic.region)?;
        self.link(&nic, &port, false)?;
        if host {
            let base = self.name.base.with(b"^").map_err(|_| EINVAL)?;
            let name = PortName { base, ..*self.name };
            let rings = rings(counts.host_rx, counts.host_tx);
            let port = self.bind_port(name, rings, &nic.region)?;
            self.link(&nic, &port, true)?;
        }
        Ok(())
    }

    /// Binds the other end of the wire of a persistent port, and a port for it. Returns that end.
    fn bind_wire(
        &mut self,
        interface: PortName,
        dev: &NetDev,
        own: &Interface,
        mem_id: u16,
    ) -> Result<Arc<Wire>> {
        let region = own.region();
        if mem_id != 0 && mem_id != region.id() {
            return Err(EINVAL);
        }
        let request = request(interface, RingSelect::Sw, Geometry::default(), 0);
        let mut opened = None;
        let open = |dev: &NetDev, rtnl: &Rtnl| {
            let wire = wire::open(dev, rtnl)?;
            opened = Some(wire.clone());
            wire::kind_of(wire)
        };
        let binding = ports::bind_beside(dev, open, &request, &self.wait)?;
        self.bindings.keep(binding.clone());
        let counts = *binding.kind().port().counts();
        let (tx_slots, rx_slots) = own.slots();
        let rings = Geometry {
            tx_rings: counts.host_rx,
            rx_rings: counts.host_tx,
            tx_slots,
            rx_slots,
            ..Geometry::default()
        };
        let port = self.bind_port(*self.name, rings, region)?;
        self.link(&binding, &port, true)?;
        opened.ok_or(ENXIO)
    }

    /// Makes and binds a port of the switch.
    fn bind_port(
        &mut self,
        name: PortName,
        rings: Geometry,
        region: &Arc<Region>,
    ) -> Result<Arc<Binding>> {
        let geometry = Geometry {
            tx_rings: rings.tx_rings.clamp(1, MOST_RINGS),
            rx_rings: rings.rx_rings.clamp(1, MOST_RINGS),
            ..rings
        };
        let request = request(name, RingSelect::AllNic, geometry, region.id());
        let (region, net) = (region.clone(), self.net);
        let open = || make(&name, &geometry, region, net, User::Relay);
        let made = ports::bind_new(open, &request, &self.wait)?;
        self.bindings.keep(made.clone());
        Ok(made)
    }

    /// Links the rings of a device's port that are the host's, or that are not, to those of a port of the switch, and back.
    fn link(&mut self, device: &Binding, port: &Binding, host: bool) -> Result {
        let number = |ring: u16| (!host).then_some(ring.into());
        let mut moving = KVec::with_capacity(port.tx.len(), GFP_CHARGED)?;
        for _ in 0..port.tx.len() {
            moving.push(idle()?, GFP_CHARGED)?;
        }
        let received = device.rx.iter().filter(|kring| kring.host == host);
        for (index, from) in received.enumerate() {
            // An interface may have more receive rings than the port has transmit rings.
            let at = index % port.tx.len().max(1);
            let to = port.tx.get(at).ok_or(EINVAL)?;
            let is_moving = moving.get(at).ok_or(EINVAL)?.clone();
            let link = Link::new(number(from.index), (device, from), (port, to), is_moving)?;
            self.links.push(link, GFP_CHARGED)?;
        }
        let sent = device.tx.iter().filter(|kring| kring.host == host);
        for (to, from) in sent.zip(port.rx.iter()) {
            let link = Link::new(number(to.index), (port, from), (device, to), idle()?)?;
            self.links.push(link, GFP_CHARGED)?;
        }
        Ok(())
    }
}

/// That nobody moves packets to a ring.
fn idle() -> Result<Arc<AtomicBool>> {
    Ok(Arc::new(AtomicBool::new(false), GFP_CHARGED)?)
}

/// Attaches the interface of a name to its switch, and its host too if that is wanted, which is at the other end of a persistent port in
/// any case, unless that is on another switch already. Returns the number of its port, and of the attachment.
///
/// Errors: `EINVAL` if there is no such interface or region; `EBUSY` if it is attached, or bound by a program; those of binding it.
pub(super) fn attach(
    name: &PortName,
    interface: &Text,
    host: bool,
    mem_id: u16,
) -> Result<(u32, Serial)> {
    let net = NetNs::current();
    if switch::with_member(name, net, |_| ()).is_some() {
        return Err(EBUSY);
    }
    let dev = device(interface).map_err(|_| EINVAL)?;
    let base = PortName::parse(interface.as_bytes()).map_err(|_| EINVAL)?;
    let mut attaching = Attaching {
        name,
        net,
        wait: Arc::pin_init(WaitQueue::new(), GFP_CHARGED)?,
        bindings: Bindings(KVec::with_capacity(3, GFP_CHARGED)?),
        links: KVec::new(),
    };
    let wire = match Interface::of(&dev) {
        Some(own) if !own.is_connected(&Rtnl::lock()) => {
            Some(attaching.bind_wire(base, &dev, own, mem_id)?)
        }
        own => {
            // In a region of its own there may be no room for more slots.
            let slots = own.map_or((0, 0), Interface::slots);
            attaching.bind_nic(base, host, mem_id, slots)?;
            None
        }
    };
    drop(dev);
    let Attaching {
        wait,
        bindings,
        links,
        ..
    } = attaching;
    let number = switch::with_member(name, net, |member| member.number()).ok_or(ENXIO)?;
    let reaper = REAPER.lock().clone().ok_or(ENXIO)?;
    let pump = Pump::new(links, reaper)?;
    let serial = Serial::next();
    let relay = Arc::pin_init(
        pin_init!(Relay {
            name: name.base,
            net,
            serial,
            number,
            wire,
            threads <- new_mutex!(None, "netmap_relay"),
            _bindings: bindings,
        }),
        GFP_CHARGED,
    )?;
    let mut relays = RELAYS.lock();
    relays.reserve(1, GFP_CHARGED)?;
    let threads = Threads::start(&wait, pump, *interface)?;
    *relay.threads.lock() = Some(threads);
    // There is room for it.
    let _ = relays.push_within_capacity(relay);
    Ok((number.into(), serial))
}

/// Bindings that are undone when they are dropped, with no mutex held.
struct Bindings(KVec<Arc<Binding>>);

impl Bindings {
    fn keep(&mut self, binding: Arc<Binding>) {
        binding.kind().port().set_on_switch(true);
        // There is room for as many as there can be.
        let _ = self.0.push_within_capacity(binding);
    }
}

impl Drop for Bindings {
    fn drop(&mut self) {
        // The newest first: it may depend on the older ones.
        for binding in self.0.iter().rev() {
            binding.kind().port().set_on_switch(false);
            ports::unbind(binding);
        }
    }
}

/// The relay of a name.
fn find(name: &PortName, net: NetNs) -> Option<Arc<Relay>> {
    let relays = RELAYS.lock();
    relays.iter().find(|it| it.is_of(name, net)).cloned()
}

/// The persistent port that is attached by this name, with its wire.
pub(super) fn interface_of(name: &PortName, net: NetNs) -> Option<NetDev> {
    // Not the relay itself: who detaches it is to be the last to have it.
    let wire = {
        let relays = RELAYS.lock();
        relays.iter().find(|it| it.is_of(name, net))?.wire.clone()?
    };
    wire.device()
}

/// Detaches an interface, `only` if it is the attachment of that number. Returns the number that its port had. `EBUSY` while it polls;
/// `ENXIO` if it is not attached.
pub(super) fn detach(name: &PortName, only: Option<Serial>) -> Result<u32> {
    let net = NetNs::current();
    let relay = {
        let mut relays = RELAYS.lock();
        let at = relays
            .iter()
            .position(|it| it.is_of(name, net) && it.is_meant(only))
            .ok_or(ENXIO)?;
        if relays.get(at).is_some_and(|it| it.polls()) {
            return Err(EBUSY);
        }
        relays.remove(at).map_err(|_| ENXIO)?
    };
    relay.end();
    Ok(relay.number.into())
}

/// Calls `f` with the threads of an attached interface, `only` if it is the attachment of that number, which is returned with what `f`
/// does. `EOPNOTSUPP` for a port of another kind, or the wire of a persistent one.
fn with_threads(
    name: &PortName,
    only: Option<Serial>,
    f: impl FnOnce(&mut Threads) -> Result,
) -> Result<Serial> {
    let relay = find(name, NetNs::current())
        .filter(|it| it.wire.is_none())
        .ok_or(EOPNOTSUPP)?;
    let mut threads = relay.threads.lock();
    match &mut *threads {
        Some(threads) if relay.is_meant(only) => f(threads).map(|()| relay.serial),
        _ => Err(ENXIO),
    }
}

/// Has an attached interface polled; the number of the attachment. Errors as [`Threads::start_polling`]; `EOPNOTSUPP` for what is none.
pub(super) fn start_polling(name: &PortName, pollers: Pollers) -> Result<Serial> {
    with_threads(name, None, |threads| threads.start_polling(pollers))
}

/// The opposite, `only` for the attachment of that number. `EINVAL` if it does not poll.
pub(super) fn stop_polling(name: &PortName, only: Option<Serial>) -> Result {
    with_threads(name, only, |threads| threads.stop_polling()).map(drop)
}
