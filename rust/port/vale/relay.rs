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

use super::{make, switch, MOST_RINGS};
use crate::{
    abi::{
        register_flags::NR_EXCLUSIVE,
        slot_flags::{NS_BUF_CHANGED, NS_MOREFRAG},
        NETMAP_MAX_FRAGS, //
    },
    atomic::{AtomicBool, Ordering},
    logic::{
        name::{PortName, Text},
        request::{BindFlags, BindRequest, Geometry, RingSelect},
        ring::{add, distance, next},
        slot::Slot,
        switching::Pollers, //
    },
    mem::SharedRing,
    port::{binding::Binding, requests as ports},
    prelude::*,
    ring::{
        kring::{HeldKring, Kring},
        sync::{self, Failure}, //
    },
    sys::{
        log::{self, Displayed},
        net_ns::NetNs,
        thread::{Pass, Thread},
        wait::WaitQueue,
        work::{Job, Work}, //
    },
};
use kernel::sync::{global_lock, new_mutex, Mutex};

/// Most slots of a packet.
const MOST: u32 = NETMAP_MAX_FRAGS;

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

/// From a receive ring to a transmit ring.
struct Link {
    from: End,
    to: End,
}

struct End {
    label: Text,
    kring: Arc<Kring>,
    ring: SharedRing,
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
                if log::allowed() {
                    pr_info!("{}: the interface is gone\n", Displayed(relay.name));
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

impl End {
    /// The end of a link at a ring that is bound.
    fn new(label: &Text, kring: &Arc<Kring>) -> Result<Self> {
        let mut held = kring.try_hold_after_look().map_err(|_| ENXIO)?;
        let ring = HeldKring::attached(&mut held).ok_or(ENXIO)?.inner.ring;
        drop(held);
        Ok(Self {
            label: *label,
            kring: kring.clone(),
            ring,
        })
    }

    /// The slots that the ring says are ours: the first one, and how many.
    fn ours(&self) -> (u32, u32) {
        let (head, _, tail) = self.ring.user_cursors();
        let slots = self.ring.num_slots();
        if head >= slots || tail >= slots {
            return (0, 0);
        }
        (head, distance(head, tail, slots))
    }

    /// Whether a sync came to something but the ring's end.
    fn is_there(result: Result<bool, Failure>) -> bool {
        !matches!(result, Err(Failure::Gone))
    }

    fn send(&self) -> bool {
        Self::is_there(sync::txsync(&self.label, &self.kring, sync::FORCE))
    }

    fn receive(&self) -> bool {
        Self::is_there(sync::rxsync(&self.label, &self.kring, &mut (), sync::FORCE))
    }
}

/// How far a link got.
enum Moved {
    Nothing,
    Some,
    /// One of the rings is gone for good.
    Gone,
}

impl Link {
    /// Moves what has come in, as far as there is room for it.
    fn step(&self) -> Moved {
        let Self { from, to } = self;
        if !from.receive() {
            return Moved::Gone;
        }
        let (mut at, arrived) = from.ours();
        if arrived == 0 {
            return Moved::Nothing;
        }
        let (_, mut room) = to.ours();
        if room < arrived {
            if !to.send() {
                return Moved::Gone;
            }
            room = to.ours().1;
        }
        let count = self.whole(at, arrived.min(room));
        if count == 0 {
            let never = match self.first(at, arrived.min(MOST)) {
                // There will be room for it.
                Some(slots) if slots < to.ring.num_slots() => return Moved::Nothing,
                Some(slots) => slots,
                // Its end is still to come.
                None if arrived <= MOST => return Moved::Nothing,
                // That is no packet, nor will it be one: another program of the region has written there.
                None => arrived,
            };
            from.kring.counters.errors.fetch_add(1, Ordering::Relaxed);
            from.ring.advance(add(at, never, from.ring.num_slots()));
            return Moved::Some;
        }
        let (mut put, _) = to.ours();
        for _ in 0..count {
            // SAFETY: Both are below the numbers of slots: `ours` has seen to that, and `next` keeps it.
            unsafe {
                let received = Slot::from_raw(from.ring.read(at));
                let empty = Slot::from_raw(to.ring.read(put));
                let flags = received.flags & NS_MOREFRAG | NS_BUF_CHANGED;
                to.ring.write(put, Slot { flags, ..received }.to_raw());
                let buf_idx = empty.buf_idx;
                let given = Slot {
                    buf_idx,
                    ..received
                };
                from.ring.write(at, given.to_raw());
            }
            at = next(at, from.ring.num_slots());
            put = next(put, to.ring.num_slots());
        }
        to.ring.advance(put);
        let sent = to.send();
        from.ring.advance(at);
        if sent {
            Moved::Some
        } else {
            Moved::Gone
        }
    }

    /// How many of the `count` slots from `at` on are the first packet, if it ends there.
    fn first(&self, mut at: u32, count: u32) -> Option<u32> {
        let ring = self.from.ring;
        (1..=count).find(|_| {
            // SAFETY: As in `step`.
            let slot = Slot::from_raw(unsafe { ring.read(at) });
            at = next(at, ring.num_slots());
            !slot.has(NS_MOREFRAG)
        })
    }

    /// Up to where the `count` slots from `at` on are whole packets.
    fn whole(&self, mut at: u32, count: u32) -> u32 {
        let ring = self.from.ring;
        let mut whole = 0;
        for number in 1..=count {
            // SAFETY: As in `step`.
            let slot = Slot::from_raw(unsafe { ring.read(at) });
            if !slot.has(NS_MOREFRAG) {
                whole = number;
            }
            at = next(at, ring.num_slots());
        }
        whole
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
        let link = Link {
            from: End::new(&from.0.label, from.1)?,
            to: End::new(&to.0.label, to.1)?,
        };
        Ok(links.push(link, GFP_CHARGED)?)
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
        let made = ports::bind_new(|| make(&name, &geometry, region, net), &request, &wait)?;
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
