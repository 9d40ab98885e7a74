// SPDX-License-Identifier: BSD-2-Clause
//! What a receive queue and a transmit queue have in common: the ring's registers, being enabled and disabled, and the
//! descriptors that the card has read ahead.
//!
//! Source: ixgbe_main.c, ixgbe_configure_rx_ring, ixgbe_configure_tx_ring, ixgbe_disable_rx, ixgbe_disable_tx.

use crate::descriptor::{Raw, SIZE};
use crate::memory::{DmaFault, GuestMemory};
use crate::rules::{Rule, Rules};
use std::collections::VecDeque;

/// Bits of the base address that are 0: rings are aligned to 128 octets (ixgbe_ethtool.c, reg_test_82599).
const BASE_MASK: u32 = 0xffff_ff80;
/// Bits of the length register.
const LENGTH_MASK: u32 = 0x000f_ff80;
/// Bits of head and tail.
const INDEX_MASK: u32 = 0xffff;
/// Descriptors that are read in one request.
const REQUEST: usize = 32;

/// Where a queue is between disabled and enabled. Times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does nothing.
    Disabled,
    /// It will be enabled; the bit reads 0 until then.
    Enabling {
        /// When.
        at: u64,
    },
    /// It runs.
    Enabled,
    /// It will be disabled once nothing is outstanding; the bit reads 1 until then.
    Disabling {
        /// Not before.
        at: u64,
    },
}

/// How long things take, in nanoseconds. Zero for lenient cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// From a tail's write to the first read of a descriptor.
    pub fetch: u64,
    /// From a frame's end to its descriptor's write-back, at most.
    pub writeback: u64,
    /// From a write of ENABLE to the bit being readable.
    pub enable: u64,
    /// From a write that clears ENABLE to the bit reading 0, at least.
    pub disable: u64,
    /// How long a frame waits for descriptors in a queue that drops. Silicon does not wait; but where two cards are on one
    /// processor, a tail that was written before the frame was sent may arrive after it, by as long as the thread that
    /// brings it gets no time.
    pub patience: u64,
}

impl Delays {
    /// All at once.
    pub const NONE: Delays = Delays {
        fetch: 0,
        writeback: 0,
        enable: 0,
        disable: 0,
        patience: 0,
    };

    /// Times in the range of silicon's: some 100 us for what the driver polls for (ixgbe_main.c, ixgbe_disable_rx: up to
    /// milliseconds), microseconds for PCI Express.
    pub const SILICON: Delays = Delays {
        fetch: 1_000,
        writeback: 3_000,
        enable: 20_000,
        disable: 100_000,
        patience: 0,
    };
}

/// A descriptor that the card has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Its place in the ring.
    pub index: u32,
    /// What was there then.
    pub raw: Raw,
}

/// A ring and its queue's state.
///
/// # Invariants
///
/// While the queue runs, `fetched` is below `count`, and the descriptors from `head` to `fetched` are the card's: in
/// `cache`, or in work.
pub struct Ring {
    kind: &'static str,
    number: usize,
    base_low: u32,
    base_high: u32,
    length: u32,
    head: u32,
    tail: u32,
    state: State,
    /// The ring as it was when the queue was enabled.
    base: u64,
    count: u32,
    fetched: u32,
    /// The tail that the card's DMA has noticed.
    noticed: u32,
    /// When it will notice the register's.
    notice_at: Option<u64>,
    cache: VecDeque<Fetched>,
    /// The last report in each descriptor, all 0 if there is none.
    reports: Vec<Raw>,
    /// An access has failed, or a descriptor could not be: the queue stands still until it is disabled.
    hung: bool,
    /// Malicious driver detection has stopped it.
    blocked: bool,
    /// It was disabled, and no other ring was put in place since.
    at_rest: bool,
}

impl Ring {
    /// A ring after reset. `kind` and `number` name it in the log.
    pub fn new(kind: &'static str, number: usize) -> Self {
        Ring {
            kind,
            number,
            base_low: 0,
            base_high: 0,
            length: 0,
            head: 0,
            tail: 0,
            state: State::Disabled,
            base: 0,
            count: 0,
            fetched: 0,
            noticed: 0,
            notice_at: None,
            cache: VecDeque::new(),
            reports: Vec::new(),
            hung: false,
            blocked: false,
            at_rest: false,
        }
    }

    /// Its name in the log.
    pub fn name(&self) -> String {
        format!("{} queue {}", self.kind, self.number)
    }

    /// Where it is between disabled and enabled.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether it runs, or still does.
    pub fn live(&self) -> bool {
        matches!(self.state, State::Enabled | State::Disabling { .. })
    }

    /// Whether it stands still by a fault.
    pub fn hung(&self) -> bool {
        self.hung
    }

    /// Breaks a rule by which the queue cannot go on: it stands still. With malicious driver detection it is blocked.
    pub fn offend(&mut self, rule: Rule, rules: &mut Rules, what: impl FnOnce() -> String) {
        let name = self.name();
        rules.broken(rule, || format!("{name}: {}", what()));
        self.hung = true;
        self.blocked |= rules.detects();
    }

    /// Whether malicious driver detection has stopped it.
    pub fn blocked(&self) -> bool {
        self.blocked
    }

    /// Lets a blocked queue go on once it is enabled anew.
    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Base, low.
    pub fn base_low(&self) -> u32 {
        self.base_low
    }

    /// Base, high.
    pub fn base_high(&self) -> u32 {
        self.base_high
    }

    /// Length in octets.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Head.
    pub fn head(&self) -> u32 {
        self.head
    }

    /// Tail.
    pub fn tail(&self) -> u32 {
        self.tail
    }

    /// Descriptors of the ring that runs.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Writes the base, low.
    pub fn set_base_low(&mut self, value: u32, rules: &mut Rules) {
        self.check_stopped(Rule::BaseWhileEnabled, value, rules);
        self.at_rest = false;
        self.base_low = value & BASE_MASK;
        self.latch_leniently(rules);
    }

    /// Writes the base, high.
    pub fn set_base_high(&mut self, value: u32, rules: &mut Rules) {
        self.check_stopped(Rule::BaseWhileEnabled, value, rules);
        self.at_rest = false;
        self.base_high = value;
        self.latch_leniently(rules);
    }

    /// Writes the length.
    pub fn set_length(&mut self, value: u32, rules: &mut Rules) {
        self.check_stopped(Rule::LengthWhileEnabled, value, rules);
        self.at_rest = false;
        self.length = value & LENGTH_MASK;
        self.latch_leniently(rules);
    }

    fn check_stopped(&self, rule: Rule, value: u32, rules: &mut Rules) {
        if self.state != State::Disabled {
            rules.broken(rule, || format!("{}: {value:#x} written", self.name()));
        }
    }

    fn latch_leniently(&mut self, rules: &Rules) {
        if !rules.strict() && self.live() {
            self.latch();
        }
    }

    fn latch(&mut self) {
        self.base = (u64::from(self.base_high) << 32) | u64::from(self.base_low);
        self.count = self.length / SIZE as u32;
        self.reports.clear();
        self.reports.resize(self.count as usize, Raw::default());
    }

    /// Writes the head.
    pub fn set_head(&mut self, value: u32, rules: &mut Rules) {
        if !rules.strict() {
            self.head = value & INDEX_MASK;
            self.fetched = self.head;
            self.cache.clear();
        } else if value != 0 {
            rules.broken(Rule::HeadWritten, || {
                format!("{}: {value} written", self.name())
            });
        }
    }

    /// Writes the tail at `now`.
    pub fn set_tail(&mut self, value: u32, now: u64, delays: &Delays, rules: &mut Rules) {
        let stopped = matches!(self.state, State::Disabled | State::Enabling { .. });
        if stopped && rules.strict() {
            if value != 0 && !self.at_rest {
                rules.broken(Rule::TailWhileDisabled, || {
                    format!("{}: {value} written", self.name())
                });
            }
            return;
        }
        self.tail = value & INDEX_MASK;
        self.notice_at.get_or_insert(now + delays.fetch);
    }

    /// ENABLE is written at `now`.
    pub fn set_enabled(&mut self, enabled: bool, now: u64, delays: &Delays) {
        self.state = match (self.state, enabled) {
            (State::Disabled, true) => State::Enabling {
                at: now + delays.enable,
            },
            (State::Enabling { .. }, false) => State::Disabled,
            (State::Enabled, false) => State::Disabling {
                at: now + delays.disable,
            },
            // A request to enable that comes while it is being disabled is forgotten: the bit is read first.
            (state, _) => state,
        };
    }

    /// What ENABLE reads as: whether the queue is in fact enabled.
    ///
    /// Source: data sheet of the 82598, section 4.4.3.5.6.
    pub fn reads_enabled(&self) -> bool {
        self.live()
    }

    /// Ends a transition whose time has come. `may_start` and `quiet` say that nothing hinders it. Returns when to ask
    /// again.
    pub fn advance(
        &mut self,
        now: u64,
        may_start: bool,
        quiet: bool,
        rules: &mut Rules,
    ) -> Option<u64> {
        match self.state {
            State::Enabling { at } if now < at => return Some(at),
            State::Enabling { .. } if may_start => self.start(rules),
            State::Disabling { at } if now < at => return Some(at),
            State::Disabling { .. } if quiet => self.stop(),
            _ => {}
        }
        match self.notice_at {
            Some(at) if now < at => Some(at),
            Some(_) => {
                self.notice_at = None;
                self.noticed = self.tail;
                None
            }
            None => None,
        }
    }

    fn start(&mut self, rules: &mut Rules) {
        self.state = State::Enabled;
        self.at_rest = false;
        self.latch();
        self.cache.clear();
        self.hung = self.blocked;
        if rules.strict() {
            self.head = 0;
            self.tail = 0;
            self.notice_at = None;
        }
        self.fetched = self.head;
        self.noticed = self.tail;
    }

    fn stop(&mut self) {
        self.state = State::Disabled;
        self.at_rest = true;
        self.cache.clear();
        self.notice_at = None;
    }

    /// What a reset does.
    pub fn reset(&mut self) {
        *self = Ring::new(self.kind, self.number);
    }

    /// Descriptors that the driver has given and the card has not read.
    pub fn unread(&self) -> u32 {
        if !self.live() || self.noticed == self.fetched {
            return 0;
        }
        // A tail that cannot be is found when descriptors are to be read.
        if self.noticed >= self.count {
            return 1;
        }
        (self.noticed + self.count - self.fetched) % self.count
    }

    /// Whether descriptors were given of which the card's DMA does not know yet.
    pub fn unnoticed(&self) -> bool {
        self.live() && self.notice_at.is_some() && self.tail != self.noticed
    }

    /// Descriptors that were read and not taken.
    pub fn cached(&self) -> usize {
        self.cache.len()
    }

    /// Reads up to `limit` descriptors ahead. `stale` says whether one still has the card's own report in it, given that
    /// report.
    pub fn fetch(
        &mut self,
        limit: usize,
        memory: &GuestMemory,
        rules: &mut Rules,
        stale: impl Fn(Raw, Raw) -> Option<Rule>,
    ) {
        if self.hung {
            return;
        }
        if self.count == 0 {
            rules.broken(Rule::NoRing, || self.name());
            self.hung = true;
            return;
        }
        if self.noticed >= self.count {
            let (tail, count) = (self.noticed, self.count);
            self.offend(Rule::TailOutsideRing, rules, || {
                format!("{tail} of {count}")
            });
            return;
        }
        let mut left = limit.min(self.unread() as usize);
        let mut octets = [0; REQUEST * SIZE as usize];
        while left > 0 {
            let run = left.min(REQUEST).min((self.count - self.fetched) as usize);
            let part = &mut octets[..run * SIZE as usize];
            let address = self.address(self.fetched);
            if let Err(fault) = memory.read(address, part) {
                self.fault(fault, "reading descriptors", rules);
                return;
            }
            for octets in part.chunks_exact(SIZE as usize) {
                let raw = Raw::from_octets(octets);
                let index = self.fetched;
                let report = self.reports[index as usize];
                if let Some(rule) = stale(raw, report) {
                    rules.broken(rule, || format!("{}: descriptor {index}", self.name()));
                }
                self.cache.push_back(Fetched { index, raw });
                self.fetched = (self.fetched + 1) % self.count;
            }
            left -= run;
        }
    }

    /// Takes the next descriptor that was read.
    pub fn take(&mut self) -> Option<Fetched> {
        self.cache.pop_front()
    }

    /// Where a descriptor is.
    pub fn address(&self, index: u32) -> u64 {
        self.base + u64::from(index) * SIZE
    }

    /// Moves the head behind descriptor `index`.
    pub fn complete(&mut self, index: u32) {
        self.head = (index + 1) % self.count.max(1);
    }

    /// Writes `raw` into descriptor `index`, its second half last, and in one store.
    pub fn write_back(&mut self, index: u32, raw: Raw, memory: &GuestMemory, rules: &mut Rules) {
        if self.hung {
            return;
        }
        let address = self.address(index);
        let written = memory
            .publish64(address, raw.0[0])
            .and_then(|()| memory.publish64(address + 8, raw.0[1]));
        match written {
            Ok(()) => self.reports[index as usize] = raw,
            Err(fault) => self.fault(fault, "writing a descriptor back", rules),
        }
    }

    /// An access of the queue has failed: it is counted, and the queue stands still.
    pub fn fault(&mut self, fault: DmaFault, doing: &str, rules: &mut Rules) {
        let rule = if fault.mapped {
            Rule::DmaForbidden
        } else {
            Rule::DmaUnmapped
        };
        rules.broken(rule, || format!("{}: {doing}: {fault}", self.name()));
        self.hung = true;
    }
}
