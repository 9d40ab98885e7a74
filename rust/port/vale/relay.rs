// SPDX-License-Identifier: GPL-2.0

//! Interfaces on a switch.
//!
//! An interface is attached by what a program would do that bridges the two: its rings are bound, exclusively, and so is a port of the
//! switch that has its name, in the same region; a thread moves packets between them by exchanging buffers. So an interface takes
//! part as any other port does, of whatever kind its own port is; no sender waits for its hardware, and when that is slow, the port's
//! ring is full as any other's would be. The rings of the interface's host are another pair, with a port whose name ends with "^".
//!
//! The memory is that of the interface's region, and any program of that region may write to the rings, as it may to those of another
//! program. The thread takes what it finds there as the kernel takes what programs have in theirs.

use super::{
    link::{Link, Moved},
    make,
    switch,
    User,
    MOST_RINGS, //
};
use crate::{
    abi::register_flags::NR_EXCLUSIVE,
    atomic::{AtomicBool, Ordering},
    logic::{
        name::{PortName, Text},
        request::{BindFlags, BindRequest, Geometry, RingSelect},
        switching::Pollers, //
    },
    port::{binding::Binding, requests as ports},
    prelude::*,
    ring::kring::Kring,
    sys::{
        log::Displayed,
        net_ns::NetNs,
        thread::{Pass, Thread},
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
    number: u8,
    /// Before the bindings, whose rings it works on. [`None`] before it has begun, and once it has ended.
    #[pin]
    thread: Mutex<Option<Running>>,
    _bindings: Bindings,
}

struct Running {
    thread: Thread<Pump>,
    polls: bool,
}

/// What the thread does.
struct Pump {
    links: KVec<Link>,
    /// Whether a port is gone for good.
    is_over: AtomicBool,
    reaper: Arc<Work<Reaper>>,
}

/// Takes relays away whose interface is gone.
struct Reaper;

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
                pr_info!("{}: the interface is gone\n", Displayed(relay.name));
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

impl Pass for Pump {
    fn pass(&self) -> bool {
        let mut any = false;
        for link in &self.links {
            match link.step() {
                Moved::Nothing => {}
                Moved::Some => any = true,
                Moved::Gone => {
                    if !self.is_over.swap(true, Ordering::Relaxed) {
                        self.reaper.ask();
                    }
                    return false;
                }
            }
        }
        any
    }
}

impl Relay {
    fn is_over(&self) -> bool {
        let thread = self.thread.lock();
        let running = thread.as_ref();
        running.is_some_and(|it| it.thread.pass().is_over.load(Ordering::Relaxed))
    }

    /// Ends the thread. The rings are let go of with the last reference.
    fn end(&self) {
        let running = self.thread.lock().take();
        drop(running);
    }
}

/// The pump of these bindings: the interface's, the port's, and that of the host's port.
fn pump(nic: &Binding, port: &Binding, host: Option<&Binding>) -> Result<Pump> {
    let mut links = KVec::new();
    let mut link = |from: (&Binding, &Arc<Kring>), to: (&Binding, &Arc<Kring>)| -> Result {
        Ok(links.push(Link::new(from, to)?, GFP_CHARGED)?)
    };
    for (side, is_host) in [(Some(port), false), (host, true)] {
        let Some(side) = side else { continue };
        let (tx, rx) = (side.tx.len().max(1), side.rx.len());
        let received = nic.rx.iter().filter(|kring| kring.host == is_host);
        for (index, kring) in received.enumerate() {
            link((nic, kring), (side, side.tx.get(index % tx).ok_or(EINVAL)?))?;
        }
        let sent = nic.tx.iter().filter(|kring| kring.host == is_host);
        for (kring, from) in sent.zip(side.rx.iter().take(rx)) {
            link((side, from), (nic, kring))?;
        }
    }
    let reaper = REAPER.lock().clone().ok_or(ENXIO)?;
    Ok(Pump {
        links,
        is_over: AtomicBool::new(false),
        reaper,
    })
}

/// Attaches the interface of a name to its switch, and its host too if that is wanted. Returns the number of its port.
///
/// Errors: `EINVAL` if there is no such interface or region; `EBUSY` if it is attached, or bound by a program; those of binding it.
pub(super) fn attach(name: &PortName, interface: &Text, host: bool, mem_id: u16) -> Result<u32> {
    let net = NetNs::current();
    let wait = Arc::pin_init(WaitQueue::new(), GFP_CHARGED)?;
    let request =
        |port: PortName, select: RingSelect, geometry: Geometry, mem_id: u16| BindRequest {
            label: port.base,
            port: Some(port),
            select,
            flags: BindFlags::new(NR_EXCLUSIVE),
            geometry,
            mem_id,
            extra_bufs: 0,
        };
    if switch::with_member(name, net, |_| ()).is_some() {
        return Err(EBUSY);
    }
    let device = PortName::parse(interface.as_bytes()).map_err(|_| EINVAL)?;
    let select = if host {
        RingSelect::NicSw
    } else {
        RingSelect::AllNic
    };
    let mut bindings = Bindings(KVec::with_capacity(3, GFP_CHARGED)?);
    let nic = ports::bind(&request(device, select, Geometry::default(), mem_id), &wait)?;
    bindings.keep(nic.clone());
    let counts = *nic.kind().port().counts();
    let region = nic.region.clone();
    let mut open = |name: PortName, tx: u16, rx: u16| -> Result<Arc<Binding>> {
        let geometry = Geometry {
            tx_rings: tx.clamp(1, MOST_RINGS),
            rx_rings: rx.clamp(1, MOST_RINGS),
            ..Geometry::default()
        };
        let request = request(name, RingSelect::AllNic, geometry, region.id());
        let region = region.clone();
        let made = ports::bind_new(
            || make(&name, &geometry, region, net, User::Relay),
            &request,
            &wait,
        )?;
        bindings.keep(made.clone());
        Ok(made)
    };
    // What it receives we send, and the other way round.
    let port = open(*name, counts.rx, counts.tx)?;
    let host = match host {
        true => {
            let base = name.base.with(b"^").map_err(|_| EINVAL)?;
            let name = PortName { base, ..*name };
            Some(open(name, counts.host_rx, counts.host_tx)?)
        }
        false => None,
    };
    let number = switch::with_member(name, net, |member| member.number()).ok_or(ENXIO)?;
    let pump = Arc::new(pump(&nic, &port, host.as_deref())?, GFP_CHARGED)?;
    let relay = Arc::pin_init(
        pin_init!(Relay {
            name: name.base,
            net,
            number,
            thread <- new_mutex!(None, "netmap_relay"),
            _bindings: bindings,
        }),
        GFP_CHARGED,
    )?;
    let mut relays = RELAYS.lock();
    relays.reserve(1, GFP_CHARGED)?;
    let thread = Thread::start(&wait, pump, interface.as_cstr())?;
    *relay.thread.lock() = Some(Running {
        thread,
        polls: false,
    });
    // There is room for it.
    let _ = relays.push_within_capacity(relay);
    Ok(number.into())
}

/// Bindings that are undone when they are dropped, with no mutex held.
struct Bindings(KVec<Arc<Binding>>);

impl Bindings {
    fn keep(&mut self, binding: Arc<Binding>) {
        // There is room for as many as there can be.
        let _ = self.0.push_within_capacity(binding);
    }
}

impl Drop for Bindings {
    fn drop(&mut self) {
        // The newest first: it may depend on the older ones.
        for binding in self.0.iter().rev() {
            ports::unbind(binding);
        }
    }
}

/// The relay of a name.
fn find(name: &PortName, net: NetNs) -> Option<Arc<Relay>> {
    let relays = RELAYS.lock();
    let is_it = |it: &&Arc<Relay>| it.net == net && it.name == name.base;
    relays.iter().find(is_it).cloned()
}

/// Detaches an interface. Returns the number that its port had. `EBUSY` while it polls; `ENXIO` if it is not attached.
pub(super) fn detach(name: &PortName) -> Result<u32> {
    let net = NetNs::current();
    let relay = {
        let mut relays = RELAYS.lock();
        let is_it = |it: &Arc<Relay>| it.net == net && it.name == name.base;
        let at = relays.iter().position(is_it).ok_or(ENXIO)?;
        let polls = relays
            .get(at)
            .is_some_and(|it| it.thread.lock().as_ref().is_some_and(|it| it.polls));
        if polls {
            return Err(EBUSY);
        }
        relays.remove(at).map_err(|_| ENXIO)?
    };
    relay.end();
    Ok(relay.number.into())
}

/// Has the thread of an attached interface poll. `EBUSY` if it does; `EINVAL` for a processor that is not there, or the only one;
/// `EOPNOTSUPP` for one of each ring.
pub(super) fn start_polling(name: &PortName, pollers: Pollers) -> Result {
    let relay = find(name, NetNs::current()).ok_or(EOPNOTSUPP)?;
    let mut thread = relay.thread.lock();
    let Some(running) = &mut *thread else {
        return Err(ENXIO);
    };
    if running.polls {
        return Err(EBUSY);
    }
    let Pollers::One(cpu) = pollers else {
        return Err(EOPNOTSUPP);
    };
    running.thread.spin(cpu)?;
    running.polls = true;
    Ok(())
}

/// The opposite. `EINVAL` if it does not poll.
pub(super) fn stop_polling(name: &PortName) -> Result {
    let relay = find(name, NetNs::current()).ok_or(EOPNOTSUPP)?;
    let mut thread = relay.thread.lock();
    let Some(running) = &mut *thread else {
        return Err(ENXIO);
    };
    if !running.polls {
        return Err(EINVAL);
    }
    running.thread.rest();
    running.polls = false;
    Ok(())
}
