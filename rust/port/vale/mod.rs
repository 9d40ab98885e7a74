// SPDX-License-Identifier: GPL-2.0

//! Ports of VALE switches.
//!
//! A port is a [`Member`] of its [`switch`] from its first binding to its last. What the program sends is copied into the receive rings
//! of the ports that it is for ([`transmit`]); a ring that is full, or that no file has bound, costs those packets and nothing else,
//! and they are counted there.

mod convert;
mod interface;
mod link;
mod pump;
mod relay;
pub(crate) mod requests;
mod staging;
mod switch;
mod transmit;
mod wire;

use super::{
    kind::{BareSteps, Kind, Steps},
    port::{Port, RingUses},
    requests::device, //
};
use crate::{
    atomic::{AtomicU64, Ordering},
    logic::{
        name::{PortName, Text},
        pools::{round_slots, PortDemand},
        request::{BindRequest, Geometry},
        ringset::RingSet,
        selection::RingCounts, //
    },
    mem::Region,
    prelude::*,
    ring::{
        inbox::Inbox,
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{net_ns::NetNs, netdev::NetDev}, //
};
use core::fmt;
pub(crate) use interface::Interface;
use switch::Member;
use transmit::TxQueue;

/// # Safety
///
/// To be called once, when the module is loaded.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe {
        switch::init();
        relay::init();
    }
}

/// What is there as long as the module: dropping it lets go of all interfaces on switches, and removes those of the module's own.
pub(crate) struct Attached {
    // First: they have persistent ports bound.
    _relays: relay::Relays,
    _interfaces: interface::Interfaces,
}

impl Attached {
    /// None yet. `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            _relays: relay::Relays::new()?,
            _interfaces: interface::Interfaces::register()?,
        })
    }
}

/// Most rings of a direction, and most slots of a ring, as in C netmap.
const MOST_RINGS: u16 = 16;
const MOST_SLOTS: u32 = 4096;
/// Slots of a ring, if the request does not say.
const SLOTS: u32 = 1024;
/// Pipes for which a region of its own has room.
const PIPES: u32 = 2;

/// A port of a switch that is there as long as a file has it bound.
struct ValePort {
    port: Arc<Port>,
    member: Arc<Member>,
    /// What is behind each transmit ring.
    transmit: KVec<Arc<TxQueue>>,
}

/// The number of an attachment, or of a persistent port, which no other one has that comes to its name later.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Serial(u64);

impl Serial {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);

        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who has the rings of a port bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    /// Programs, by files.
    Programs,
    /// The thread of an interface on the switch.
    Relay,
}

/// How many rings and slots a request gets.
struct Size {
    counts: RingCounts,
    slots: (u32, u32),
}

impl Size {
    fn of(wish: &Geometry) -> Self {
        let rings = |wish: u16| wish.clamp(1, MOST_RINGS);
        let slots = |wish: u32| round_slots(wish.min(MOST_SLOTS), SLOTS, 1);
        Self {
            counts: RingCounts {
                tx: rings(wish.tx_rings),
                rx: rings(wish.rx_rings),
                host_tx: 0,
                host_rx: 0,
            },
            slots: (slots(wish.tx_slots), slots(wish.rx_slots)),
        }
    }
}

/// What a port as the request asks for needs of a region of its own.
pub(super) fn demand(request: &BindRequest) -> PortDemand {
    let size = Size::of(&request.geometry);
    PortDemand {
        tx_rings: size.counts.tx,
        rx_rings: size.counts.rx,
        tx_slots: size.slots.0,
        rx_slots: size.slots.1,
        extra_buffers: request.extra_bufs,
        pipes: PIPES,
    }
}

/// A port of a switch that does not exist, with no ring in use, and its switch if that does not. `ENOMEM` if there is no room for it
/// in the namespace or the switch; `EINVAL` for the name of an interface, which is attached by another request.
pub(super) fn open(
    name: &PortName,
    wish: &Geometry,
    region: Arc<Region>,
    net: NetNs,
) -> Result<Arc<dyn Kind>> {
    if device(&behind_colon(name)?).is_ok() {
        return Err(EINVAL);
    }
    make(name, wish, region, net, User::Programs)
}

/// The interface that a program binds by the name of a port of a switch: a persistent port that is attached by that name.
pub(super) fn interface_of(name: &PortName, net: NetNs) -> Option<NetDev> {
    relay::interface_of(name, net)
}

/// As [`open`], whatever there is of that name outside of the switch.
fn make(
    name: &PortName,
    wish: &Geometry,
    region: Arc<Region>,
    net: NetNs,
    user: User,
) -> Result<Arc<dyn Kind>> {
    let Size { counts, slots } = Size::of(wish);
    let switch_len = name.switch().ok_or(EINVAL)?.len();
    let port = Port::new(name.base, counts, slots, region)?;
    let mut inboxes = KVec::with_capacity(usize::from(counts.rx), GFP_CHARGED)?;
    for kring in port.krings(Direction::Rx) {
        inboxes.push(Inbox::new(kring.clone(), slots.1)?, GFP_CHARGED)?;
    }
    let member = switch::join(name.base, switch_len, net, inboxes, user)?;
    let opened = ValePort::new(port, member.clone());
    match opened {
        Ok(port) => Ok(port),
        Err(error) => {
            switch::leave(&member);
            Err(error)
        }
    }
}

/// What the name has behind the colon.
fn behind_colon(name: &PortName) -> Result<Text> {
    let behind = name.switch().ok_or(EINVAL)?.len() + 1;
    let text = name.base.as_bytes().get(behind..).ok_or(EINVAL)?;
    Text::from_bytes(text).map_err(|_| EINVAL)
}

impl ValePort {
    fn new(port: Arc<Port>, member: Arc<Member>) -> Result<Arc<Self>> {
        let count = port.counts().tx;
        let mut transmit = KVec::with_capacity(usize::from(count), GFP_CHARGED)?;
        for ring in 0..count {
            let queue = TxQueue::new(member.clone(), ring, port.region().clone())?;
            transmit.push(queue, GFP_CHARGED)?;
        }
        let this = Self {
            port,
            member,
            transmit,
        };
        Ok(Arc::new(this, GFP_CHARGED)?)
    }

    fn inbox_of(&self, kring: &Kring) -> Option<&Arc<Inbox>> {
        match kring.direction {
            Direction::Tx => None,
            Direction::Rx => self.member.inboxes().get(usize::from(kring.index)),
        }
    }
}

impl Kind for ValePort {
    fn port(&self) -> &Arc<Port> {
        &self.port
    }

    fn is_named(&self, name: &Text, net: NetNs) -> bool {
        self.member.name() == name && self.member.is_in(net)
    }

    fn steps(&self) -> Steps<'_> {
        Steps::Bare(self)
    }

    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>> {
        let index = usize::from(kring.index);
        Ok(match kring.direction {
            Direction::Tx => self.transmit.get(index).ok_or(EINVAL)?.clone(),
            Direction::Rx => self.inbox_of(kring).ok_or(EINVAL)?.clone(),
        })
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vale {}", self.member.number())
    }
}

impl BareSteps for ValePort {
    fn prepare(&self, fresh: RingSet) -> Result {
        for kring in self.port.krings_of(fresh) {
            if let Some(inbox) = self.inbox_of(kring) {
                inbox.open(&kring.stop().attached().ok_or(EINVAL)?.inner)?;
            }
        }
        self.port.start(fresh);
        Ok(())
    }

    fn retire(&self, _uses: &RingUses, rings: RingSet) {
        for kring in self.port.krings_of(rings) {
            drop(kring.stop());
            if let Some(inbox) = self.inbox_of(kring) {
                inbox.close();
            }
        }
    }

    fn close(&self) {
        switch::leave(&self.member);
    }
}
