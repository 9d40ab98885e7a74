// SPDX-License-Identifier: GPL-2.0

//! The transmit side of a port of a switch.
//!
//! A sync reads each slot once, and decides by the first bytes of the packet where it goes. Packets that go the same way one after the
//! other, a *run*, are delivered together. While two packets have the same addresses nothing is looked up.
//!
//! The sender holds its own ring while others' inboxes are locked, and never another ring: nobody waits for two. Softirqs are off
//! while a run is delivered to a port, which is what keeps the port there.

mod plain;

use super::{
    convert,
    staging::Staging,
    switch::{Member, Table},
};
use crate::{
    abi::{
        slot_flags::{NS_INDIRECT, NS_MOREFRAG, NS_NO_LEARN, NS_PORT_MASK, NS_PORT_SHIFT},
        NETMAP_MAX_FRAGS,
    },
    atomic::Ordering,
    logic::{
        forwarding::{decide_named, Addresses, Route, Verdict, ADDRESSES, SHORTEST},
        ring::{Span, Untaken},
        slot::Slot, //
    },
    mem::Region,
    prelude::*,
    ring::{
        counters::Counters,
        inbox::{packets_in, Fragment, Inbox, NotDelivered},
        kring::Kring,
        queue::{Absent, Inner, Queue, SyncError},
        sync::SKIP, //
    },
    sys::{
        address_space::Whose,
        param,
        sched,
        softirq::Softirq,
        time, //
    },
};
use core::{cell::UnsafeCell, ptr::NonNull};

/// Flags of a slot that most packets do not have.
const UNUSUAL: u16 = NS_INDIRECT | NS_MOREFRAG | NS_NO_LEARN | NS_PORT_MASK;
/// The flags of the slot of a received packet that has one.
const ALONE: u16 = 1 << NS_PORT_SHIFT;
/// Most slots of a packet.
const MOST: usize = NETMAP_MAX_FRAGS as usize;

/// What stands behind a transmit ring of a port.
pub(super) struct TxQueue {
    member: Arc<Member>,
    /// The number of the ring.
    ring: u16,
    /// Where it is.
    region: Arc<Region>,
    scratch: UnsafeCell<Scratch>,
}

/// The packets of a sync; none between two.
struct Scratch {
    fragments: KVec<Fragment>,
    /// The memory of those that were not in buffers.
    staging: Staging,
}

// SAFETY: `scratch` is accessed only by the holder of the kring's busy flag; all other fields are `Sync`.
unsafe impl Sync for TxQueue {}
// SAFETY: Nothing in it is bound to a thread.
unsafe impl Send for TxQueue {}

impl TxQueue {
    /// For the ring of this number. `ENOMEM`.
    pub(super) fn new(member: Arc<Member>, ring: u16, region: Arc<Region>) -> Result<Arc<Self>> {
        let room = param::MOST_AT_ONCE as usize + MOST;
        let scratch = Scratch {
            fragments: KVec::with_capacity(room, GFP_CHARGED)?,
            staging: Staging::new(),
        };
        let queue = Self {
            member,
            ring,
            region,
            scratch: UnsafeCell::new(scratch),
        };
        Ok(Arc::new(queue, GFP_CHARGED)?)
    }
}

impl Queue for TxQueue {
    fn sync(
        &self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
        flags: u32,
    ) -> Result<(), SyncError> {
        if span.is_empty() {
            return Ok(());
        }
        // SAFETY: The caller holds the kring's busy flag, and this is the only access in this function.
        let Scratch { fragments, staging } = unsafe { &mut *self.scratch.get() };
        let mut sender = Sender {
            from: &self.member,
            route: Route::new(
                self.member.switch().table(),
                self.member.number(),
                time::seconds(),
            ),
            region: &self.region,
            header: self.member.header(),
            ring: self.ring,
            fragments,
            staging,
            may_drop: flags & SKIP != 0,
            is_absent: false,
            goes_on: true,
            whole: 0,
            // The length of a slot says no more.
            longest: held.buf_size.min(u16::MAX.into()) as u16,
            is_last: false,
            verdict: Verdict::Drop,
            wake: Ports::default(),
            wake_first: Ports::default(),
        };
        let result = sender.send(held, kring, span);
        drop(sender);
        let (to, end) = match result {
            Ok(to) => (to, Ok(())),
            Err((packet, end)) => (packet, Err(end)),
        };
        // It lies between `hwcur` and the program's head, where the span is.
        let _ = held.cursors.release(to);
        // What was copied is free at once.
        let sent = held.cursors.in_flight().len();
        let _ = held.cursors.publish(sent);
        end
    }

    fn has_news(&self, _: &Inner) -> bool {
        false
    }
}

/// A set of ports.
#[derive(Default)]
struct Ports {
    words: [u64; 4],
    has_some: bool,
}

/// One sync.
struct Sender<'a> {
    from: &'a Member,
    route: Route<'a, Table>,
    region: &'a Region,
    /// Bytes of its packets before the Ethernet header.
    header: u32,
    ring: u16,
    /// The packets that are to be delivered, and behind them the one that is being read.
    fragments: &'a mut KVec<Fragment>,
    staging: &'a mut Staging,
    /// Whether a packet is dropped whose memory is absent, the first one; else the sync ends before it.
    may_drop: bool,
    /// Whether that has become of a part of the packet that is being read.
    is_absent: bool,
    /// False once the task is being killed.
    goes_on: bool,
    /// How many of the fragments are those of whole packets, which go the same way.
    whole: usize,
    /// Bytes that a part of a packet can have.
    longest: u16,
    /// Whether nothing is delivered after what is delivered now.
    is_last: bool,
    verdict: Verdict,
    /// Ports whose sleepers are to be woken: those of the ring of our number, and of the first one.
    wake: Ports,
    wake_first: Ports,
}

impl Ports {
    fn add(&mut self, number: u8) {
        if let Some(word) = self.words.get_mut(usize::from(number / 64)) {
            *word |= 1 << (number % 64);
            self.has_some = true;
        }
    }

    #[inline]
    fn for_each(&self, mut f: impl FnMut(u8)) {
        if !self.has_some {
            return;
        }
        for (number, word) in (0u8..).zip(&self.words) {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                // Four words of 64 bits.
                f(number * 64 + bit as u8);
            }
        }
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        // They are not valid for longer.
        self.fragments.clear();
        self.staging.clear();
    }
}

impl Sender<'_> {
    /// Sends the packets in these slots. Returns the slot after the last whole one; with an error, of those before the packet that is
    /// the reason.
    fn send(
        &mut self,
        held: &mut Inner,
        kring: &Kring,
        span: Span,
    ) -> Result<u32, (u32, SyncError)> {
        let at_once = param::bridge_batch();
        let most = MOST.min(held.cursors.num_slots() as usize - 1);
        let (mut packets, mut bytes) = (0, 0);
        let mut first = span.begin();
        let mut end = Ok(());
        let mut slots = span;
        loop {
            if self.header == 0 && self.whole == self.fragments.len() {
                // At most `MOST_AT_ONCE`.
                let (count, sum) = self.read_plain(held, &slots, (at_once - self.whole) as u32);
                packets += u64::from(count);
                bytes += sum;
                slots = slots.rest(count);
                first = slots.begin();
                if self.whole >= at_once {
                    self.deliver(kring);
                    if !self.goes_on {
                        break;
                    }
                    continue;
                }
            }
            let Some(index) = slots.next() else {
                break;
            };
            // SAFETY: Indices of a span of this ring are below its number of slots.
            let slot = Slot::from_raw(unsafe { held.ring.read(index) });
            let untaken = Untaken {
                slot: index,
                packet: first,
            };
            if u32::from(slot.len) > held.buf_size || !held.accept(index, slot.buf_idx) {
                end = bad(untaken);
                break;
            }
            let Some(from) = held.region.buf_ptr(slot.buf_idx) else {
                end = bad(untaken);
                break;
            };
            bytes += u64::from(slot.len);
            // SAFETY: A buffer has room for the length, as was checked, and stays as long as the region, which `held` has.
            let mut fragment = unsafe { Fragment::new(from, slot.len, ALONE) };
            if slot.has(UNUSUAL) || self.header != 0 || self.whole != self.fragments.len() {
                fragment.set_flags(slot.flags);
                if slot.has(NS_INDIRECT) {
                    // SAFETY: As above.
                    let address = unsafe { held.ring.read_pointer(index) };
                    match self.stage(kring, address, slot, MOST * held.buf_size as usize) {
                        Ok(staged) => fragment = staged,
                        Err(absent) => {
                            end = match absent {
                                Some(absent) => Err((first, SyncError::Absent(absent))),
                                None => Ok(()),
                            };
                            break;
                        }
                    }
                }
                self.push(fragment);
                if slot.has(NS_MOREFRAG) {
                    // It would have no end in a packet's slots, or in the ring's.
                    if self.fragments.len() - self.whole >= most {
                        end = bad(Untaken::alone(first));
                        break;
                    }
                    continue;
                }
                let verdict = self.judge();
                self.add(kring, verdict);
            } else {
                let verdict = if u32::from(slot.len) < SHORTEST {
                    Verdict::Drop
                } else {
                    // SAFETY: There are as many bytes, and buffers are aligned to 64.
                    self.route.find(unsafe { addresses_at(from) })
                };
                self.push(fragment);
                self.add(kring, verdict);
            }
            packets += 1;
            first = crate::logic::ring::next(index, held.cursors.num_slots());
            if self.whole >= at_once {
                self.deliver(kring);
            }
            if !self.goes_on {
                break;
            }
        }
        self.is_last = true;
        self.deliver(kring);
        self.wake_all();
        Counters::add(&kring.counters.packets, packets);
        Counters::add(&kring.counters.bytes, bytes);
        end.map(|()| first)
    }

    /// Copies what lies at an address of the program. If that cannot be, and is not to end the sync, the packet will be dropped, and
    /// has an empty part here. `Err(None)` ends the sync before the packet, which is left to a sync of the program.
    #[cold]
    fn stage(
        &mut self,
        kring: &Kring,
        address: u64,
        slot: Slot,
        longest: usize,
    ) -> Result<Fragment, Option<Absent>> {
        if self.whole == self.fragments.len() && self.staging.is_low() {
            self.deliver(kring);
            self.staging.clear();
        }
        let whose = self.region.tenants().program();
        if whose == Whose::CallerHasNone {
            return Err(None);
        }
        // Whoever has anything bound in the region can have written the address, and it would be the caller's memory that is sent.
        if !self.is_absent && whose == Whose::Ours {
            match self.staging.copy(address, slot.len, slot.flags, longest) {
                Ok(fragment) => return Ok(fragment),
                Err(Some(absent)) if !self.may_drop => return Err(Some(absent)),
                Err(Some(_)) => self.may_drop = false,
                Err(None) => {}
            }
        }
        self.is_absent = true;
        // SAFETY: Nothing is read of it.
        Ok(unsafe { Fragment::new(NonNull::dangling(), 0, slot.flags) })
    }

    #[inline(always)]
    fn push(&mut self, fragment: Fragment) {
        // There is room for one packet more than are delivered at once.
        let _ = self.fragments.push_within_capacity(fragment);
    }

    /// What becomes of the packet that has just been read to its end, of any kind. The slots get the flags that they have for a
    /// receiver.
    #[inline(never)]
    fn judge(&mut self) -> Verdict {
        let packet = self.fragments.get_mut(self.whole..).unwrap_or(&mut []);
        let flags = packet.first().map_or(0, |it| it.flags());
        // At most `MOST`.
        let count = (packet.len() as u16) << NS_PORT_SHIFT;
        for fragment in packet.iter_mut() {
            let more = fragment.flags() & NS_MOREFRAG;
            fragment.set_flags(count | more);
        }
        if core::mem::take(&mut self.is_absent) {
            return Verdict::Drop;
        }
        let named = (flags & NS_PORT_MASK).to_le_bytes()[1];
        let Some(addresses) = convert::addresses(packet, self.header) else {
            return Verdict::Drop;
        };
        if named != 0 {
            return decide_named(named, self.from.number());
        }
        self.route.find_once(addresses, flags & NS_NO_LEARN == 0)
    }

    /// Puts the packet that has just been read to the others, if it goes the same way. If not, those are delivered first.
    #[inline(always)]
    fn add(&mut self, kring: &Kring, verdict: Verdict) {
        if verdict != self.verdict {
            if self.whole != 0 {
                self.deliver(kring);
            }
            self.verdict = verdict;
        }
        self.whole = self.fragments.len();
    }

    /// Delivers the whole packets there are, and leaves the others.
    #[inline(never)]
    fn deliver(&mut self, kring: &Kring) {
        let run = self.fragments.get(..self.whole).unwrap_or(&[]);
        if run.is_empty() {
            return;
        }
        let (me, ring) = (self.from.number(), self.ring);
        let lost = match self.verdict {
            Verdict::Drop => packets_in(run),
            Verdict::Port(to) => {
                let wake = self.deliver_to(run, to, ring);
                if wake == Some(true) {
                    self.wake.add(to);
                }
                match wake {
                    Some(_) => 0,
                    None => packets_in(run),
                }
            }
            Verdict::Flood => {
                for to in (0..self.from.switch().end()).filter(|to| *to != me) {
                    // As in C netmap, what goes to all goes to the first ring.
                    if self.deliver_to(run, to, 0) == Some(true) {
                        self.wake_first.add(to);
                    }
                    if !sched::cond_resched() {
                        break;
                    }
                }
                0
            }
        };
        if lost != 0 {
            kring.counters.drops.fetch_add(lost, Ordering::Relaxed);
        }
        let left = self.fragments.len() - self.whole;
        if left != 0 {
            self.fragments.as_mut_slice().copy_within(self.whole.., 0);
        }
        self.fragments.truncate(left);
        self.whole = 0;
        self.goes_on = sched::cond_resched();
    }

    /// Delivers packets to a port, if there is one of this number. True if its sleepers are to be woken.
    #[inline]
    fn deliver_to(&self, run: &[Fragment], to: u8, ring: u16) -> Option<bool> {
        let softirqs = Softirq::off();
        let member = self.from.switch().member(to, &softirqs)?;
        let inbox = member.inbox(ring)?;
        let header = member.header();
        let delivered = if header == self.header {
            match inbox.deliver_run(&softirqs, run, self.longest) {
                // It has smaller buffers, but these may fit.
                Err(NotDelivered::TooLong) => inbox.deliver_run(&softirqs, run, longest_of(run)),
                result => result,
            }
        } else {
            Err(NotDelivered::TooLong)
        };
        match delivered {
            Ok(true) if self.is_last => {
                inbox.wake();
                Some(false)
            }
            Ok(wake) => Some(wake),
            Err(NotDelivered::Closed) => {
                inbox.lost(packets_in(run));
                Some(false)
            }
            Err(NotDelivered::TooLong) => {
                drop(softirqs);
                Some(self.convert_to(run, to, ring))
            }
        }
    }

    /// As [`Self::deliver_to`], one by one, as each may become more than a thousand. What is left is lost with a port that goes.
    #[inline(never)]
    fn convert_to(&self, run: &[Fragment], to: u8, ring: u16) -> bool {
        let mut wake = false;
        for packet in run.split_inclusive(|fragment| !fragment.has_more()) {
            let softirqs = Softirq::off();
            let Some(member) = self.from.switch().member(to, &softirqs) else {
                break;
            };
            if let Some(inbox) = member.inbox(ring) {
                let headers = (self.header, member.header());
                wake |= convert::deliver(inbox, packet, headers, &softirqs);
            }
            drop(softirqs);
            if !sched::cond_resched() {
                break;
            }
        }
        wake
    }

    /// Wakes the sleepers of all rings that have got something. Once for each.
    fn wake_all(&self) {
        self.wake.for_each(|to| self.wake(to, self.ring));
        self.wake_first.for_each(|to| self.wake(to, 0));
    }

    fn wake(&self, number: u8, ring: u16) {
        let softirqs = Softirq::off();
        if let Some(inbox) = self
            .from
            .switch()
            .member(number, &softirqs)
            .and_then(|member| member.inbox(ring))
        {
            Inbox::wake(inbox);
        }
    }
}

/// Bytes of the longest of these.
fn longest_of(fragments: &[Fragment]) -> u16 {
    fragments.iter().map(Fragment::len).max().unwrap_or(0)
}

/// The end of a sync at an impossible packet.
fn bad(at: Untaken) -> Result<(), (u32, SyncError)> {
    Err((at.packet, SyncError::BadRing { at: Some(at) }))
}

/// The addresses of a frame.
///
/// # Safety
///
/// `frame` must be valid for reads of [`ADDRESSES`] bytes, and aligned to 8.
#[inline(always)]
unsafe fn addresses_at(frame: NonNull<u8>) -> Addresses {
    const { assert!(ADDRESSES == 12) };
    let frame = frame.as_ptr();
    // SAFETY: By the function's requirement. The program may change them meanwhile.
    unsafe {
        Addresses {
            first: frame.cast::<u64>().read_volatile(),
            rest: frame.add(8).cast::<u32>().read_volatile(),
        }
    }
}
