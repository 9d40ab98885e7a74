// SPDX-License-Identifier: BSD-2-Clause
//! A receive queue: puts frames into the buffers that the driver has given, and reports them.
//!
//! Source: ixgbe_main.c, ixgbe_configure_srrctl, ixgbe_clean_rx_irq, ixgbe_alloc_rx_buffers.

use crate::descriptor::{rx, Raw, RxReport};
use crate::faults::Faults;
use crate::memory::GuestMemory;
use crate::receive::Received;
use crate::registers::{rxdctl, srrctl, RxRegister};
use crate::ring::{Delays, Fetched, Ring, State};
use crate::rules::{Rule, Rules};
use std::collections::VecDeque;

/// Descriptors that the card reads ahead.
const READ_AHEAD: usize = 64;
/// Reports that are written together, four to a line of the cache.
const REPORTS: usize = 16;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in memory, or on its way.
    Stored,
    /// There are too few descriptors, and the queue drops.
    Dropped,
    /// There are too few descriptors, and the queue lets it wait.
    Waits,
}

/// A receive queue.
pub struct RxQueue {
    ring: Ring,
    control: u32,
    split: u32,
    coalescing: u32,
    dca: u32,
    done: VecDeque<(u32, Raw)>,
    done_since: u64,
    /// Until when frames wait for descriptors, since there are too few.
    dry_until: Option<u64>,
}

impl RxQueue {
    /// Queue `number` after reset.
    pub fn new(number: usize) -> Self {
        RxQueue {
            ring: Ring::new("rx", number),
            control: 0,
            split: 2,
            coalescing: 0,
            dca: 0,
            done: VecDeque::new(),
            done_since: 0,
            dry_until: None,
        }
    }

    /// What a reset does.
    pub fn reset(&mut self) {
        self.ring.reset();
        self.control = 0;
        self.split = 2;
        self.coalescing = 0;
        self.dca = 0;
        self.done.clear();
        self.dry_until = None;
    }

    /// Reads a register.
    pub fn read(&self, register: RxRegister) -> u32 {
        match register {
            RxRegister::BaseLow => self.ring.base_low(),
            RxRegister::BaseHigh => self.ring.base_high(),
            RxRegister::Length => self.ring.length(),
            RxRegister::Dca => self.dca,
            RxRegister::Head => self.ring.head(),
            RxRegister::Split => self.split,
            RxRegister::Tail => self.ring.tail(),
            RxRegister::Control if self.ring.reads_enabled() => self.control | rxdctl::ENABLE,
            RxRegister::Control => self.control,
            RxRegister::Coalescing => self.coalescing,
        }
    }

    /// Writes a register at `now`.
    pub fn write(
        &mut self,
        register: RxRegister,
        value: u32,
        now: u64,
        delays: &Delays,
        rules: &mut Rules,
    ) {
        match register {
            RxRegister::BaseLow => self.ring.set_base_low(value, rules),
            RxRegister::BaseHigh => self.ring.set_base_high(value, rules),
            RxRegister::Length => self.ring.set_length(value, rules),
            RxRegister::Dca => self.dca = value,
            RxRegister::Head => self.ring.set_head(value, rules),
            RxRegister::Split => {
                let format = srrctl::BSIZEPACKET | srrctl::DESCTYPE;
                if self.ring.live() && (value ^ self.split) & format != 0 {
                    rules.broken(Rule::FormatWhileEnabled, || {
                        format!("{}: {value:#x} written", self.ring.name())
                    });
                }
                self.split = value;
            }
            RxRegister::Tail => self.ring.set_tail(value, now, delays, rules),
            RxRegister::Control => {
                self.control = value & !(rxdctl::ENABLE | rxdctl::SWFLSH);
                self.ring
                    .set_enabled(value & rxdctl::ENABLE != 0, now, delays);
                if value & rxdctl::SWFLSH != 0 {
                    self.done_since = 0;
                }
            }
            RxRegister::Coalescing => self.coalescing = value,
        }
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Lets a blocked queue go on once it is enabled anew.
    pub fn unblock(&mut self) {
        self.ring.unblock();
    }

    /// Whether VLAN tags are stripped.
    pub fn strips_vlan(&self) -> bool {
        self.control & rxdctl::VME != 0
    }

    /// Whether frames are coalesced, and up to how many descriptors (RSCCTL).
    pub fn coalescing(&self) -> Option<usize> {
        (self.coalescing & 1 != 0).then_some(match (self.coalescing >> 2) & 3 {
            0 => 1,
            1 => 4,
            2 => 8,
            _ => 16,
        })
    }

    /// The largest frame that the queue takes, if it is limited (X540 and later).
    pub fn largest_frame(&self) -> Option<usize> {
        (self.control & rxdctl::RLPML_EN != 0).then_some((self.control & rxdctl::RLPML) as usize)
    }

    /// Octets of a buffer.
    pub fn buffer_size(&self) -> usize {
        ((self.split & srrctl::BSIZEPACKET) as usize).max(1) * 1024
    }

    /// Moves what time moves; and reads descriptors ahead, if the receiver is on. Returns when to ask again.
    pub fn advance(
        &mut self,
        now: u64,
        on: bool,
        memory: &GuestMemory,
        rules: &mut Rules,
    ) -> Option<u64> {
        let quiet = self.done.is_empty();
        let next = self.ring.advance(now, true, quiet, rules);
        if on && self.ring.unread() > 0 && self.ring.cached() < READ_AHEAD {
            self.fetch(READ_AHEAD - self.ring.cached(), memory, rules);
        }
        match self.dry_until {
            Some(until) if until > now => Some(next.map_or(until, |at| at.min(until))),
            _ => next,
        }
    }

    fn fetch(&mut self, limit: usize, memory: &GuestMemory, rules: &mut Rules) {
        self.ring.fetch(limit, memory, rules, |raw, report| {
            if raw == report && raw != Raw::default() {
                return Some(Rule::StaleReceiveDescriptor);
            }
            (raw.0[0] == 0).then_some(Rule::BadDescriptor)
        });
    }

    /// Puts a frame into buffers. Reports are written by [`Self::flush`].
    pub fn deliver(
        &mut self,
        received: &Received,
        now: u64,
        delays: &Delays,
        memory: &GuestMemory,
        rules: &mut Rules,
    ) -> Outcome {
        if self.ring.state() != State::Enabled {
            self.dry_until = None;
            return Outcome::Dropped;
        }
        let frame = &received.frame[..];
        let size = self.buffer_size();
        let need = frame.len().div_ceil(size).max(1);
        if self.ring.cached() < need {
            self.fetch(need.max(READ_AHEAD) - self.ring.cached(), memory, rules);
        }
        if self.ring.cached() < need {
            // What was given before the frame came is there for it, only not read yet.
            if self.ring.unnoticed() {
                return Outcome::Waits;
            }
            let until = *self.dry_until.get_or_insert(now + delays.patience);
            return if self.split & srrctl::DROP_EN != 0 && now >= until {
                Outcome::Dropped
            } else {
                Outcome::Waits
            };
        }
        self.dry_until = None;
        if self.split & srrctl::DESCTYPE != srrctl::ADV_ONEBUF {
            rules.broken(Rule::BadDescriptor, || {
                format!("{}: SRRCTL {:#x}", self.ring.name(), self.split)
            });
            return Outcome::Dropped;
        }
        let mut from = 0;
        while let Some(Fetched { index, raw }) = self.ring.take() {
            let to = (from + size).min(frame.len());
            if let Err(fault) = memory.write(raw.0[0], &frame[from..to]) {
                let doing = format!("storing a frame by descriptor {index}");
                self.ring.fault(fault, &doing, rules);
                return Outcome::Dropped;
            }
            let last = to == frame.len();
            let coalesced = received.coalesced_count(from, to);
            let mut report = RxReport {
                kind: coalesced << rx::RSCCNT_SHIFT,
                status: rx::DD,
                // A buffer has at most 31 KiB.
                length: (to - from) as u16,
                ..RxReport::default()
            };
            if last {
                report.kind |= received.info;
                report.hash = received.hash;
                report.status |= received.status | rx::EOP;
                report.vlan = received.vlan.unwrap_or(0);
            } else if coalesced != 0 {
                report.status |= ((index + 1) % self.ring.count()) << rx::NEXTP_SHIFT;
            }
            self.report(index, report.encode(), now);
            from = to;
            if last {
                break;
            }
        }
        Outcome::Stored
    }

    fn report(&mut self, index: u32, raw: Raw, now: u64) {
        if self.done.is_empty() {
            self.done_since = now;
        }
        self.done.push_back((index, raw));
    }

    /// When the reports that wait are written at the latest.
    pub fn deadline(&self, delays: &Delays) -> Option<u64> {
        (!self.done.is_empty()).then_some(self.done_since + delays.writeback)
    }

    /// Whether reports wait that are due at `now`.
    pub fn due(&self, now: u64, delays: &Delays) -> bool {
        match self.done.len() {
            0 => false,
            count => count >= REPORTS || now >= self.done_since + delays.writeback,
        }
    }

    /// Writes all reports that wait. Returns whether there were any.
    pub fn flush(&mut self, memory: &GuestMemory, faults: &mut Faults, rules: &mut Rules) -> bool {
        let any = !self.done.is_empty();
        while let Some((index, raw)) = self.done.pop_front() {
            let raw = Raw(faults.report(raw.0));
            self.ring.write_back(index, raw, memory, rules);
            self.ring.complete(index);
        }
        any
    }
}
