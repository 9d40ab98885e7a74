// SPDX-License-Identifier: GPL-2.0

//! Switches: which there are, and which ports each of them has.
//!
//! A switch is there as long as it has a port. Senders find the others under RCU, of which it is enough that softirqs are off on
//! their processor: a port that leaves waits for a grace period, after which no sender is in its rings or has its number from the
//! table of addresses any more.

use super::User;
use crate::{
    atomic::{AtomicPtr, AtomicU32, Ordering},
    bindings,
    logic::{
        forwarding::{table_size, Entry, ForwardingTable, MAX_PORTS},
        name::{PortName, Text}, //
    },
    prelude::*,
    ring::inbox::Inbox,
    sys::{net_ns::NetNs, param, softirq::Softirq}, //
};
use core::ptr::null_mut;
use kernel::sync::global_lock;

global_lock! {
    // SAFETY: Initialised in `init` before anything else runs.
    unsafe(uninit) static SWITCHES: Mutex<KVec<Arc<Switch>>> = KVec::new();
}

/// # Safety
///
/// To be called once, when the module is loaded.
pub(super) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe { SWITCHES.init() };
}

/// The memory of a table of addresses.
pub(super) type Table = KVVec<Entry>;

/// A switch of a network namespace.
///
/// # Invariants
///
/// Each pointer in `members` that is not null is one to a [`Member`] that is valid, and stays so for a grace period after it was
/// taken out. They are written with the lock of the switches held.
pub(super) struct Switch {
    net: NetNs,
    /// Its number among the switches of the namespace.
    index: u32,
    name: Text,
    table: ForwardingTable<Table>,
    members: KVec<AtomicPtr<Member>>,
    /// One more than the highest number of a port.
    end: AtomicU32,
}

/// A port of a switch, as the others see it.
pub(super) struct Member {
    switch: Arc<Switch>,
    /// Its number in the switch.
    number: u8,
    name: Text,
    user: User,
    /// Bytes of the header that its packets have before the Ethernet header.
    header: AtomicU32,
    /// Its receive rings.
    inboxes: KVec<Arc<Inbox>>,
}

impl Switch {
    fn new(net: NetNs, index: u32, name: Text) -> Result<Arc<Self>> {
        let count = table_size(param::bridge_addresses());
        let mut entries = KVVec::with_capacity(count as usize, GFP_CHARGED)?;
        for _ in 0..count {
            entries.push(Entry::new(), GFP_CHARGED)?;
        }
        let mut members = KVec::with_capacity(MAX_PORTS as usize, GFP_CHARGED)?;
        for _ in 0..MAX_PORTS {
            members.push(AtomicPtr::new(null_mut()), GFP_CHARGED)?;
        }
        // INVARIANT: All pointers are null.
        let switch = Self {
            net,
            index,
            name,
            table: ForwardingTable::new(entries, param::bridge_ageing()).ok_or(EINVAL)?,
            members,
            end: AtomicU32::new(0),
        };
        Ok(Arc::new(switch, GFP_CHARGED)?)
    }

    /// Where its senders find out to whom frames go.
    #[inline]
    pub(super) fn table(&self) -> &ForwardingTable<Table> {
        &self.table
    }

    /// One more than the highest number of a port.
    #[inline]
    pub(super) fn end(&self) -> u8 {
        // At most `MAX_PORTS`.
        self.end.load(Ordering::Relaxed) as u8
    }

    /// The port of this number, if there is one.
    #[inline]
    pub(super) fn member<'a>(&'a self, number: u8, _softirq: &'a Softirq) -> Option<&'a Member> {
        let member = self
            .members
            .get(usize::from(number))?
            .load(Ordering::Acquire);
        // SAFETY: By the type's invariant. No grace period ends while softirqs are off.
        unsafe { member.as_ref() }
    }

    /// Which of the members has this number, for a holder of the lock of the switches, without which none leaves.
    fn held(&self, number: usize) -> Option<&Member> {
        let member = self.members.get(number)?.load(Ordering::Relaxed);
        // SAFETY: By the type's invariant, and the caller's lock.
        unsafe { member.as_ref() }
    }

    fn used(&self) -> impl Iterator<Item = (usize, &Member)> {
        (0..self.members.len()).filter_map(|number| Some((number, self.held(number)?)))
    }

    /// Finds out anew up to which number there are ports.
    fn recount(&self) {
        let end = self.used().last().map_or(0, |(number, _)| number + 1);
        // There are at most `MAX_PORTS`.
        self.end.store(end as u32, Ordering::Relaxed);
    }
}

impl Member {
    /// Its switch.
    #[inline]
    pub(super) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Its number in the switch.
    #[inline]
    pub(super) fn number(&self) -> u8 {
        self.number
    }

    /// The name of the port.
    pub(super) fn name(&self) -> &Text {
        &self.name
    }

    /// Whether it is a port of a switch of this network namespace.
    pub(super) fn is_in(&self, net: NetNs) -> bool {
        self.switch.net == net
    }

    /// Bytes of the header that its packets have before the Ethernet header.
    #[inline]
    pub(super) fn header(&self) -> u32 {
        self.header.load(Ordering::Relaxed)
    }

    /// Gives its packets such a header from now on: one that exists. `EOPNOTSUPP` for an interface, whose packets have none on its wire.
    pub(super) fn set_header(&self, len: u32) -> Result {
        if self.user == User::Relay {
            return Err(EOPNOTSUPP);
        }
        self.header.store(len, Ordering::Relaxed);
        Ok(())
    }

    /// The ring for what comes from ring `ring` of another port.
    #[inline]
    pub(super) fn inbox(&self, ring: u16) -> Option<&Inbox> {
        let (ring, count) = (usize::from(ring), self.inboxes.len());
        let ring = if ring < count {
            ring
        } else {
            ring.checked_rem(count)?
        };
        self.inboxes.get(ring).map(|inbox| &**inbox)
    }

    /// Its receive rings.
    pub(super) fn inboxes(&self) -> &[Arc<Inbox>] {
        &self.inboxes
    }
}

/// Makes a port of this name, with these receive rings, one of the switch whose name is the first `switch_len` bytes of it. The switch
/// is made if there is none. `ENOMEM` if the namespace may have no more switches, or the switch no more ports; `EBUSY` if it has one of that
/// name.
pub(super) fn join(
    name: Text,
    switch_len: usize,
    net: NetNs,
    inboxes: KVec<Arc<Inbox>>,
    user: User,
) -> Result<Arc<Member>> {
    let switch_name = name.as_bytes().get(..switch_len).ok_or(EINVAL)?;
    let mut switches = SWITCHES.lock();
    let is_it = |it: &&Arc<Switch>| it.net == net && it.name.as_bytes() == switch_name;
    let switch = match switches.iter().find(is_it) {
        Some(switch) => switch.clone(),
        None => {
            let is_free = |index: &u32| {
                !switches
                    .iter()
                    .any(|it| it.net == net && it.index == *index)
            };
            let index = (0..param::max_bridges()).find(is_free).ok_or(ENOMEM)?;
            let text = Text::from_bytes(switch_name).map_err(|_| EINVAL)?;
            let switch = Switch::new(net, index, text)?;
            switches.push(switch.clone(), GFP_CHARGED)?;
            switch
        }
    };
    let joined = enter(&switch, name, inboxes, user);
    if joined.is_err() {
        drop_unused(&mut switches, &switch);
    }
    joined
}

/// Enters a port under the lowest number that is free. The caller holds the lock of the switches.
fn enter(
    switch: &Arc<Switch>,
    name: Text,
    inboxes: KVec<Arc<Inbox>>,
    user: User,
) -> Result<Arc<Member>> {
    if switch.used().any(|(_, member)| member.name == name) {
        return Err(EBUSY);
    }
    let number = (0..switch.members.len())
        .find(|number| switch.held(*number).is_none())
        .ok_or(ENOMEM)?;
    let member = Member {
        switch: switch.clone(),
        number: u8::try_from(number).map_err(|_| ENOMEM)?,
        name,
        user,
        header: AtomicU32::new(0),
        inboxes,
    };
    let member = Arc::new(member, GFP_CHARGED)?;
    if let Some(place) = switch.members.get(number) {
        // INVARIANT: The reference is the array's; `leave` waits for a grace period before it gives it back.
        place.store(Arc::into_raw(member.clone()).cast_mut(), Ordering::Release);
    }
    switch.recount();
    Ok(member)
}

/// Takes a port out of its switch, which goes with its last one. When it returns, no sender is in the port's rings.
pub(super) fn leave(member: &Arc<Member>) {
    let switch = &member.switch;
    let mut switches = SWITCHES.lock();
    let Some(place) = switch.members.get(usize::from(member.number)) else {
        return;
    };
    let raw = place.swap(null_mut(), Ordering::Relaxed);
    if raw.is_null() {
        return;
    }
    switch.recount();
    // SAFETY: Process context, callable with mutexes held.
    unsafe { bindings::synchronize_net() };
    // Nobody sends as this number any more, and nobody may find the next one of this number by an address of this one.
    switch.table.forget(member.number);
    // SAFETY: It was the array's reference.
    drop(unsafe { Arc::from_raw(raw) });
    drop_unused(&mut switches, switch);
}

/// Forgets a switch that has no ports.
fn drop_unused(switches: &mut KVec<Arc<Switch>>, switch: &Arc<Switch>) {
    if switch.used().next().is_none() {
        switches.retain(|it| !Arc::ptr_eq(it, switch));
    }
}

/// Where a port is, for programs that list them: number of the switch in its namespace, and of the port in it.
pub(super) type Place = (u32, u32);

/// The first port from there on, in the order of the numbers; and its name.
pub(super) fn next_from((index, number): Place, net: NetNs) -> Option<(Place, Text)> {
    let switches = SWITCHES.lock();
    let mut best: Option<(Place, Text)> = None;
    for switch in switches.iter().filter(|it| it.net == net) {
        let first = if switch.index == index { number } else { 0 };
        if switch.index < index {
            continue;
        }
        let found = switch.used().find(|(at, _)| *at as u32 >= first);
        let Some((at, member)) = found else { continue };
        let place = (switch.index, at as u32);
        if best.as_ref().is_none_or(|(other, _)| place < *other) {
            best = Some((place, member.name));
        }
    }
    best
}

/// The number of the switch of this name, and that of the port if the name is one of its ports'.
pub(super) fn find(name: &Text, switch_len: usize, net: NetNs) -> Option<(u32, Option<u32>)> {
    let switches = SWITCHES.lock();
    let switch_name = name.as_bytes().get(..switch_len)?;
    let is_it = |it: &&Arc<Switch>| it.net == net && it.name.as_bytes() == switch_name;
    let switch = switches.iter().find(is_it)?;
    let port = switch.used().find(|(_, member)| member.name == *name);
    Some((switch.index, port.map(|(number, _)| number as u32)))
}

/// Calls `f` with the port of this name, if there is one.
pub(super) fn with_member<R>(
    name: &PortName,
    net: NetNs,
    f: impl FnOnce(&Member) -> R,
) -> Option<R> {
    let switches = SWITCHES.lock();
    let mut in_net = switches.iter().filter(|it| it.net == net);
    let is_it = |member: &&Member| member.name == name.base;
    let member = in_net.find_map(|switch| switch.used().map(|(_, member)| member).find(is_it))?;
    Some(f(member))
}
