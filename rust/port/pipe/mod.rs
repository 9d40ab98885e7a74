// SPDX-License-Identifier: GPL-2.0

//! Pipes: two ends, each a port, of which one receives what the other sends, without a copy.
//!
//! The first file that binds an end makes the pipe, of which the other end is there from then on; it goes when the last file of both is
//! closed. What was sent to an end that nobody has bound waits for its next file.
//!
//! The rings of the ends are joined to lanes ([`queue`]): a transmit ring of one with the receive ring of the same number of the
//! other. A lane gets memory when one of its rings is first bound, and keeps it as long as one of them is.

pub(crate) mod events;
mod queue;

use super::{
    kind::{BareSteps, Kind, Steps},
    port::{each, Port, RingUses}, //
};
use crate::{
    logic::{
        name::{Pipe as PipeName, PipeEnd, Text},
        pools::PortDemand,
        request::Geometry,
        ring::MIN_SLOTS,
        ringset::{RingSet, MAX_RINGS},
        selection::RingCounts, //
    },
    mem::{Group, Region, RingMemory},
    prelude::*,
    ring::queue::Direction,
    sys::{net_ns::NetNs, netdev::NetDev}, //
};
use core::fmt;
use kernel::sync::{new_mutex, Mutex};
use queue::{Joined, RxQueue, TxQueue};

/// Most slots of a ring.
const MOST_SLOTS: u32 = 4096;
/// Slots of a ring of a pipe on nothing, if the request does not say.
const SLOTS: u32 = 1024;
/// Pipes that there is to be room for in the region of those that are on nothing.
const PIPES: u32 = 32;

/// What pipes are on: those of one name on the same are one pipe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    /// A network device, by its address, which nobody has any more when no pipe is on it.
    Device(usize),
    /// What has this name in a network namespace: a port of a switch, or nothing.
    Named(NetNs, Text),
}

impl Parent {
    /// A device. Pipes on it end before it goes, see [`events`].
    pub(super) fn device(dev: &NetDev) -> Self {
        Self::Device(dev.as_ptr() as usize)
    }
}

/// What a new pipe takes from what it is on.
pub(super) struct Base {
    /// What it is on.
    pub(super) parent: Parent,
    /// The name of that.
    pub(super) name: Text,
    /// Slots of a transmit and of a receive ring, if the request does not say.
    pub(super) slots: (u32, u32),
    /// Where its rings are to be.
    pub(super) region: Arc<Region>,
}

/// A pipe.
#[pin_data]
pub(crate) struct Pipe {
    parent: Parent,
    id: Text,
    master: Arc<Port>,
    slave: Arc<Port>,
    /// Its lock nests inside that of either port.
    #[pin]
    lanes: Mutex<Lanes>,
}

/// The lanes of a pipe.
struct Lanes {
    /// By the number of their rings, those in which the master sends.
    from_master: KVec<Option<LaneMemory>>,
    /// Those in which the slave sends.
    from_slave: KVec<Option<LaneMemory>>,
}

/// The memory of a lane's rings, of which at least one is in use.
struct LaneMemory {
    transmit: RingMemory,
    receive: RingMemory,
    is_sent: bool,
    is_received: bool,
}

/// An end of a pipe as a port.
struct EndKind {
    pipe: Arc<Pipe>,
    end: PipeEnd,
}

/// What a region has to have room for that is made for pipes on nothing, the first of which is this.
pub(super) fn demand(wish: &Geometry, extra_buffers: u32) -> PortDemand {
    let (counts, slots) = shape(wish, (SLOTS, SLOTS));
    PortDemand {
        tx_rings: counts.tx,
        rx_rings: counts.rx,
        tx_slots: slots.0,
        rx_slots: slots.1,
        extra_buffers,
        pipes: PIPES,
    }
}

/// The slots of rings on nothing, if the request does not say.
pub(super) const fn usual_slots() -> (u32, u32) {
    (SLOTS, SLOTS)
}

/// The rings of an end, and their slots: what a request for it says, within the limits of C netmap.
fn shape(wish: &Geometry, usual: (u32, u32)) -> (RingCounts, (u32, u32)) {
    let rings = |wish: u16| wish.clamp(1, MAX_RINGS as u16);
    let slots = |wish: u32, usual: u32| {
        let slots = if wish == 0 { usual } else { wish };
        slots.clamp(MIN_SLOTS, MOST_SLOTS)
    };
    let counts = RingCounts {
        tx: rings(wish.tx_rings),
        rx: rings(wish.rx_rings),
        host_tx: 0,
        host_rx: 0,
    };
    let slots = (slots(wish.tx_slots, usual.0), slots(wish.rx_slots, usual.1));
    (counts, slots)
}

/// The end that a request names of a new pipe, with no ring in use. What it says of rings is of this end.
pub(super) fn open(base: Base, name: &PipeName, wish: &Geometry) -> Result<Arc<dyn Kind>> {
    let (counts, slots) = shape(wish, base.slots);
    let other_counts = RingCounts {
        tx: counts.rx,
        rx: counts.tx,
        ..counts
    };
    let (this, other) = ((counts, slots), (other_counts, (slots.1, slots.0)));
    let (master, slave) = match name.end {
        PipeEnd::Master => (this, other),
        PipeEnd::Slave => (other, this),
    };
    let port = |end: PipeEnd, (counts, slots): (RingCounts, (u32, u32))| {
        let name = name_of(&base.name, end, &name.id)?;
        Port::new(name, counts, slots, base.region.clone())
    };
    let (from_master, from_slave) = (lanes(master.0.tx)?, lanes(slave.0.tx)?);
    let (master, slave) = (port(PipeEnd::Master, master)?, port(PipeEnd::Slave, slave)?);
    let lanes = Lanes {
        from_master,
        from_slave,
    };
    let pipe = Arc::pin_init(
        pin_init!(Pipe {
            parent: base.parent,
            id: name.id,
            master,
            slave,
            lanes <- new_mutex!(lanes, "netmap_pipe"),
        }),
        GFP_CHARGED,
    )?;
    end_of(&pipe, name.end)
}

/// An end of a pipe that has it not bound.
pub(super) fn end_of(pipe: &Arc<Pipe>, end: PipeEnd) -> Result<Arc<dyn Kind>> {
    let kind = EndKind {
        pipe: pipe.clone(),
        end,
    };
    Ok(Arc::new(kind, GFP_CHARGED)?)
}

/// The name of an end.
fn name_of(base: &Text, end: PipeEnd, id: &Text) -> Result<Text> {
    base.with(&[end.brace()])
        .and_then(|name| name.with(id.as_bytes()))
        .map_err(|_| ENXIO)
}

fn lanes(count: u16) -> Result<KVec<Option<LaneMemory>>> {
    let mut lanes = KVec::with_capacity(count.into(), GFP_CHARGED)?;
    for _ in 0..count {
        lanes.push(None, GFP_CHARGED)?;
    }
    Ok(lanes)
}

impl Pipe {
    /// Whether it is the pipe of this name there.
    pub(super) fn is(&self, parent: Parent, id: &Text) -> bool {
        self.parent == parent && self.id == *id
    }

    /// What it is on.
    pub(super) fn parent(&self) -> Parent {
        self.parent
    }

    /// An end.
    pub(super) fn port(&self, end: PipeEnd) -> &Arc<Port> {
        match end {
            PipeEnd::Master => &self.master,
            PipeEnd::Slave => &self.slave,
        }
    }

    /// The end that sends in the lane of a ring of `end`, and the one that receives.
    fn ways(&self, end: PipeEnd, direction: Direction) -> (&Arc<Port>, &Arc<Port>) {
        match (end, direction) {
            (PipeEnd::Master, Direction::Tx) | (PipeEnd::Slave, Direction::Rx) => {
                (&self.master, &self.slave)
            }
            _ => (&self.slave, &self.master),
        }
    }

    /// Gives the lane of a ring of `end` memory, if it has none, and notes that the ring is in use. Returns where the ring is.
    fn attach(
        &self,
        end: PipeEnd,
        (direction, ring): (Direction, u32),
        group: &Arc<Group>,
    ) -> Result<u64> {
        let mut lanes = self.lanes.lock();
        let entry = lanes.entry(end, direction, ring).ok_or(EINVAL)?;
        let lane = match entry {
            Some(lane) => lane,
            None => {
                let (from, to) = self.ways(end, direction);
                entry.insert(LaneMemory::new(from, to, ring, group)?)
            }
        };
        Ok(match direction {
            Direction::Tx => {
                lane.is_sent = true;
                lane.transmit.offset
            }
            Direction::Rx => {
                lane.is_received = true;
                lane.receive.offset
            }
        })
    }

    /// A ring of `end` is not in use any more, and stopped. With the other ring of the lane, its memory goes.
    fn detach(&self, end: PipeEnd, direction: Direction, ring: u32) {
        let mut lanes = self.lanes.lock();
        let Some(entry) = lanes.entry(end, direction, ring) else {
            return;
        };
        if let Some(lane) = entry {
            match direction {
                Direction::Tx => lane.is_sent = false,
                Direction::Rx => lane.is_received = false,
            }
            if lane.is_sent || lane.is_received {
                return;
            }
        }
        if let Some(lane) = entry.take() {
            let (from, to) = self.ways(end, direction);
            // The sender's first, whose queue leads to the receiver's memory.
            from.free_ring((Direction::Tx, ring), lane.transmit);
            to.free_ring((Direction::Rx, ring), lane.receive);
        }
    }

    /// Ends the pipe. Its users keep the rings, which are dead, until they close them.
    fn end(&self) {
        self.master.kill();
        self.slave.kill();
    }

    /// What it is on has this name now.
    fn rename(&self, base: &Text) {
        for end in [PipeEnd::Master, PipeEnd::Slave] {
            // Of a name that is too long for requests, what there is room for.
            let id = self.id.as_bytes();
            let name = (0..=id.len()).rev().find_map(|len| {
                let id = Text::from_bytes(id.get(..len)?).ok()?;
                name_of(base, end, &id).ok()
            });
            if let Some(name) = name {
                self.port(end).rename(name);
            }
        }
    }
}

impl Lanes {
    /// The lane of a ring of `end`.
    fn entry(
        &mut self,
        end: PipeEnd,
        direction: Direction,
        ring: u32,
    ) -> Option<&mut Option<LaneMemory>> {
        let lanes = match (end, direction) {
            (PipeEnd::Master, Direction::Tx) | (PipeEnd::Slave, Direction::Rx) => {
                &mut self.from_master
            }
            _ => &mut self.from_slave,
        };
        lanes.get_mut(ring as usize)
    }
}

impl LaneMemory {
    /// Makes the rings number `ring` of a lane, both stopped and in no use yet.
    fn new(from: &Port, to: &Port, ring: u32, group: &Arc<Group>) -> Result<Self> {
        let kring = |port: &Port, direction| {
            let kring = port.kring(direction, ring);
            kring.cloned().ok_or(EINVAL)
        };
        let (tx, rx) = (kring(from, Direction::Tx)?, kring(to, Direction::Rx)?);
        let joined = Joined::new(&tx, &rx, from.slots().0)?;
        let receive = to.new_ring((Direction::Rx, ring), group, RxQueue::new(&joined)?, 0)?;
        if let Some(attached) = rx.stop().attached() {
            joined.note(&attached.inner);
        }
        // SAFETY: Both rings have as many slots, as `open` has it. The memory is freed by `Pipe::detach`, which takes the queue from the
        // transmit ring before, or below, if that never gets it.
        let made = unsafe { TxQueue::new(&joined, receive.ring) }
            .and_then(|queue| from.new_ring((Direction::Tx, ring), group, queue, 0));
        match made {
            Ok(transmit) => Ok(Self {
                transmit,
                receive,
                is_sent: false,
                is_received: false,
            }),
            Err(error) => {
                to.free_ring((Direction::Rx, ring), receive);
                Err(error)
            }
        }
    }
}

impl EndKind {
    fn port(&self) -> &Arc<Port> {
        self.pipe.port(self.end)
    }
}

impl Kind for EndKind {
    fn port(&self) -> &Arc<Port> {
        self.port()
    }

    fn pipe(&self) -> Option<&Arc<Pipe>> {
        Some(&self.pipe)
    }

    fn steps(&self) -> Steps<'_> {
        Steps::Bare(self)
    }

    fn attach(
        &self,
        uses: &mut RingUses,
        (direction, ring): (Direction, u32),
        group: &Arc<Group>,
    ) -> Result {
        let offset = self.pipe.attach(self.end, (direction, ring), group)?;
        uses.set_offset(direction, ring, Some(offset));
        Ok(())
    }

    fn detach(&self, uses: &mut RingUses, rings: RingSet) {
        for (direction, ring) in each(rings) {
            if uses.offset(direction, ring).is_some() {
                uses.set_offset(direction, ring, None);
                self.pipe.detach(self.end, direction, ring);
            }
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.end {
            PipeEnd::Master => "pipe (master)",
            PipeEnd::Slave => "pipe (slave)",
        })
    }
}

impl BareSteps for EndKind {
    fn prepare(&self, fresh: RingSet) -> Result {
        self.port().start(fresh);
        Ok(())
    }

    fn retire(&self, _uses: &RingUses, rings: RingSet) {
        for kring in self.port().krings_of(rings) {
            let mut held = kring.stop();
            if let (Direction::Tx, Some(attached)) = (kring.direction, held.attached()) {
                queue::take_back(&mut attached.inner);
            }
        }
    }
}
