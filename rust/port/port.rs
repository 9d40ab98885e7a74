// SPDX-License-Identifier: GPL-2.0

//! What every port has, of whatever kind it is: rings, and who uses them.

use crate::{
    abi::IFNAMSIZ,
    atomic::{AtomicBool, Ordering},
    logic::{
        name::Text,
        request::{Geometry, Reply},
        ring::Cursors,
        ringset::RingSet,
        selection::{RingCounts, Selection}, //
    },
    mem::{Group, Region, RingMemory},
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Attached, Direction, Inner, Queue}, //
    },
    sys::log::{self, Displayed}, //
};
use kernel::sync::{new_mutex, new_spinlock, Mutex, MutexGuard, SpinLock};

/// The rings of a port.
#[pin_data]
pub(crate) struct Port {
    tx: KVec<Arc<Kring>>,
    rx: KVec<Arc<Kring>>,
    counts: RingCounts,
    /// Slots of a transmit and of a receive ring.
    slots: (u32, u32),
    region: Arc<Region>,
    dead: AtomicBool,
    on_switch: AtomicBool,
    #[pin]
    uses: Mutex<RingUses>,
    /// A lock of its own, which nests inside all others: some devices tell of a new name with their own lock held, which is taken
    /// inside the port's mutex otherwise.
    #[pin]
    name: SpinLock<Text>,
}

/// What a port's mutex protects: who uses its rings, and how many files are bound. It nests inside the registry's.
pub(crate) struct RingUses {
    tx: KVec<RingUse>,
    rx: KVec<RingUse>,
    bindings: u32,
}

/// How a ring is used.
#[derive(Default)]
struct RingUse {
    users: u32,
    exclusive: bool,
    place: Option<Place>,
}

/// Where a ring in use is.
enum Place {
    /// In memory that goes with its last user.
    Own(RingMemory),
    /// At this offset of the region, in memory that its kind of port keeps.
    Kept(u64),
}

/// The name of a port that has that of its device, which ends with a NUL.
pub(crate) fn device_name(name: &[u8; IFNAMSIZ]) -> Text {
    Text::from_field(name).unwrap_or(Text::EMPTY)
}

/// The rings of a set.
pub(crate) fn each(set: RingSet) -> impl Iterator<Item = (Direction, u32)> + Clone {
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

/// The rings of a selection.
fn selected(selection: &Selection) -> impl Iterator<Item = (Direction, u32)> {
    Iterator::chain(
        selection.tx().map(|ring| (Direction::Tx, ring)),
        selection.rx().map(|ring| (Direction::Rx, ring)),
    )
}

fn krings(direction: Direction, own: u16, host: u16) -> Result<KVec<Arc<Kring>>> {
    let mut list = KVec::with_capacity(usize::from(own) + usize::from(host), GFP_CHARGED)?;
    for (count, is_host) in [(own, false), (host, true)] {
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

impl Port {
    /// A port of this name, with no ring in use.
    pub(crate) fn new(
        name: Text,
        counts: RingCounts,
        slots: (u32, u32),
        region: Arc<Region>,
    ) -> Result<Arc<Self>> {
        let tx = krings(Direction::Tx, counts.tx, counts.host_tx)?;
        let rx = krings(Direction::Rx, counts.rx, counts.host_rx)?;
        let uses = RingUses {
            tx: unused(tx.len())?,
            rx: unused(rx.len())?,
            bindings: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                tx,
                rx,
                counts,
                slots,
                region,
                dead: AtomicBool::new(false),
                on_switch: AtomicBool::new(false),
                uses <- new_mutex!(uses, "netmap_port"),
                name <- new_spinlock!(name, "netmap_port_name"),
            }),
            GFP_CHARGED,
        )
    }

    /// Who uses which ring, locked.
    pub(crate) fn uses(&self) -> MutexGuard<'_, RingUses> {
        self.uses.lock()
    }

    /// The region of all rings.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// How many rings there are, and how many of them are host rings.
    pub(crate) fn counts(&self) -> &RingCounts {
        &self.counts
    }

    /// Slots of a transmit and of a receive ring.
    pub(crate) fn slots(&self) -> (u32, u32) {
        self.slots
    }

    /// The rings of one direction, host rings last.
    pub(crate) fn krings(&self, direction: Direction) -> &[Arc<Kring>] {
        match direction {
            Direction::Tx => &self.tx,
            Direction::Rx => &self.rx,
        }
    }

    /// The ring of this number, host rings counted after the others.
    pub(crate) fn kring(&self, direction: Direction, ring: u32) -> Option<&Arc<Kring>> {
        self.krings(direction).get(ring as usize)
    }

    /// The rings that are no host rings.
    #[inline]
    pub(crate) fn own_krings(&self) -> impl Iterator<Item = &Arc<Kring>> {
        Iterator::chain(
            self.rx.iter().take(usize::from(self.counts.rx)),
            self.tx.iter().take(usize::from(self.counts.tx)),
        )
    }

    /// The name.
    pub(crate) fn name(&self) -> Text {
        *self.name.lock()
    }

    /// Gives the port another name.
    pub(super) fn rename(&self, name: Text) {
        *self.name.lock() = name;
    }

    /// Whether nothing is bound.
    pub(crate) fn is_unused(&self) -> bool {
        self.uses.lock().bindings == 0
    }

    /// Whether what the port was is gone, or its rings are lost for good.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether it is that of an interface on a switch, or the one of the switch: programs may put no pipe on it.
    pub(super) fn is_on_switch(&self) -> bool {
        self.on_switch.load(Ordering::Relaxed)
    }

    /// Says whether it is such a port.
    pub(super) fn set_on_switch(&self, is: bool) {
        self.on_switch.store(is, Ordering::Relaxed);
    }

    /// Marks the port dead: its users get `POLLERR` and errors until they close it.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        Kring::kill(Iterator::chain(self.tx.iter(), self.rx.iter()));
    }

    /// What a request about the port is answered.
    pub(crate) fn reply(&self) -> Reply {
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

    /// Those of the selected rings that have no user yet.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a ring is bound exclusively, is to be and has users, or is lost and not yet closed by all that have it
    /// bound; `EINVAL` if there is no such ring.
    pub(super) fn fresh(
        &self,
        uses: &RingUses,
        selection: &Selection,
        exclusive: bool,
    ) -> Result<RingSet> {
        let mut fresh = RingSet::default();
        for (direction, ring) in selected(selection) {
            let ring_use = uses.ring(direction, ring).ok_or(EINVAL)?;
            if ring_use.exclusive || (exclusive && ring_use.users > 0) {
                return Err(EBUSY);
            }
            if ring_use.users == 0 {
                fresh.insert(direction == Direction::Tx, ring);
                continue;
            }
            if self.kring(direction, ring).ok_or(EINVAL)?.is_dead() {
                if log::refusal_allowed() {
                    pr_err!(
                        "{}: the {} ring {} is lost until all who have it bound have closed it\n",
                        Displayed(self.name()),
                        Displayed(direction),
                        ring
                    );
                }
                return Err(EBUSY);
            }
        }
        Ok(fresh)
    }

    /// Gives a ring that has no user memory, with `behind` bytes more than it needs, as a member of `group`, and `base` to move its
    /// packets. It is stopped.
    pub(super) fn attach(
        &self,
        uses: &mut RingUses,
        (direction, ring): (Direction, u32),
        group: &Arc<Group>,
        base: Arc<dyn Queue>,
        behind: u32,
    ) -> Result {
        let memory = self.new_ring((direction, ring), group, base, behind)?;
        uses.ring_mut(direction, ring).ok_or(EINVAL)?.place = Some(Place::Own(memory));
        Ok(())
    }

    /// The memory of a ring that has none, which it is given with `base` to move its packets, as [`Port::attach`] does. It is stopped.
    pub(super) fn new_ring(
        &self,
        (direction, ring): (Direction, u32),
        group: &Arc<Group>,
        base: Arc<dyn Queue>,
        behind: u32,
    ) -> Result<RingMemory> {
        let kring = self.kring(direction, ring).ok_or(EINVAL)?;
        let (slots, cursors) = match direction {
            Direction::Tx => (self.slots.0, Cursors::transmit(self.slots.0)),
            Direction::Rx => (self.slots.1, Cursors::receive(self.slots.1)),
        };
        let cursors = cursors.ok_or(EINVAL)?;
        let mut memory = self.region.new_ring(slots, behind, group)?;
        let inner = Inner {
            cursors,
            ring: memory.ring,
            region: self.region.clone(),
            shadow: core::mem::take(&mut memory.shadow),
            group: group.clone(),
            buf_size: self.region.buf_size(),
            announced: cursors.hwtail(),
        };
        publish(&inner, direction, ring);
        kring.stop().replace(Some(Attached { inner, base }));
        // All files that had the ring when it died have closed it.
        kring.revive();
        Ok(memory)
    }

    /// The opposite of [`Port::new_ring`]. Whatever its queue leads to is not used any more.
    pub(super) fn free_ring(&self, (direction, ring): (Direction, u32), memory: RingMemory) {
        if let Some(kring) = self.kring(direction, ring) {
            drop(kring.stop().replace(None));
        }
        self.region.free_ring(memory);
    }

    /// Takes queue and memory from rings that have no user. They are stopped.
    pub(super) fn detach(&self, uses: &mut RingUses, rings: RingSet) {
        for (direction, ring) in each(rings) {
            let place = uses
                .ring_mut(direction, ring)
                .and_then(|ring| ring.place.take());
            if let Some(Place::Own(memory)) = place {
                self.free_ring((direction, ring), memory);
            }
        }
    }

    /// The rings of a set.
    pub(super) fn krings_of(&self, rings: RingSet) -> impl Iterator<Item = &Arc<Kring>> + Clone {
        each(rings).filter_map(|(direction, ring)| self.kring(direction, ring))
    }

    /// Lets syncs into these rings.
    pub(super) fn start(&self, rings: RingSet) {
        self.krings_of(rings).for_each(|kring| kring.start());
    }

    /// The rings in use, but for host rings, of which `condition` holds.
    pub(super) fn used_where(
        &self,
        uses: &RingUses,
        condition: impl Fn(&Kring) -> bool,
    ) -> RingSet {
        let mut list = RingSet::default();
        for (direction, uses, own) in [
            (Direction::Tx, &uses.tx, self.counts.tx),
            (Direction::Rx, &uses.rx, self.counts.rx),
        ] {
            let rings = uses.iter().zip(self.krings(direction));
            for (ring, (ring_use, kring)) in rings.enumerate().take(usize::from(own)) {
                if ring_use.users > 0 && condition(kring) {
                    list.insert(direction == Direction::Tx, ring as u32);
                }
            }
        }
        list
    }
}

impl RingUses {
    fn ring(&self, direction: Direction, ring: u32) -> Option<&RingUse> {
        match direction {
            Direction::Tx => self.tx.get(ring as usize),
            Direction::Rx => self.rx.get(ring as usize),
        }
    }

    fn ring_mut(&mut self, direction: Direction, ring: u32) -> Option<&mut RingUse> {
        match direction {
            Direction::Tx => self.tx.get_mut(ring as usize),
            Direction::Rx => self.rx.get_mut(ring as usize),
        }
    }

    /// Whether a file has the ring bound.
    pub(super) fn is_used(&self, direction: Direction, ring: u32) -> bool {
        self.ring(direction, ring)
            .is_some_and(|ring| ring.users > 0)
    }

    /// Where in the region the ring's memory is, if it has some.
    pub(super) fn offset(&self, direction: Direction, ring: u32) -> Option<u64> {
        match self.ring(direction, ring)?.place.as_ref()? {
            Place::Own(memory) => Some(memory.offset),
            Place::Kept(offset) => Some(*offset),
        }
    }

    /// The ring is in memory at this offset that its kind keeps; or it has none any more, if [`None`].
    pub(super) fn set_offset(&mut self, direction: Direction, ring: u32, offset: Option<u64>) {
        if let Some(ring) = self.ring_mut(direction, ring) {
            ring.place = offset.map(Place::Kept);
        }
    }

    /// How many files are bound to the port.
    pub(super) fn bindings(&self) -> u32 {
        self.bindings
    }

    /// One more file has the selected rings.
    pub(super) fn join(&mut self, selection: &Selection, exclusive: bool) {
        for (direction, ring) in selected(selection) {
            if let Some(ring_use) = self.ring_mut(direction, ring) {
                ring_use.users += 1;
                ring_use.exclusive = exclusive;
            }
        }
        self.bindings += 1;
    }

    /// A file does not have the selected rings any more. Returns those that have no user now.
    pub(super) fn leave(&mut self, selection: &Selection) -> RingSet {
        let mut last = RingSet::default();
        for (direction, ring) in selected(selection) {
            let Some(ring_use) = self.ring_mut(direction, ring) else {
                continue;
            };
            ring_use.users = ring_use.users.saturating_sub(1);
            ring_use.exclusive = false;
            if ring_use.users == 0 {
                last.insert(direction == Direction::Tx, ring);
            }
        }
        self.bindings = self.bindings.saturating_sub(1);
        last
    }
}

/// Writes what a program finds in a new ring, the host rings counted after the others.
fn publish(inner: &Inner, direction: Direction, ring: u32) {
    let header = inner.ring.header();
    let cursors = &inner.cursors;
    // SAFETY: The header is mapped, and the accesses are volatile.
    unsafe {
        (&raw mut (*header).ringid).write_volatile(ring as u16);
        let dir = match direction {
            Direction::Tx => 0,
            Direction::Rx => 1,
        };
        (&raw mut (*header).dir).write_volatile(dir);
        (&raw mut (*header).head).write_volatile(cursors.rhead());
        (&raw mut (*header).cur).write_volatile(cursors.rcur());
        (&raw mut (*header).tail).write_volatile(cursors.rtail());
    }
}
