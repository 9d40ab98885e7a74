// SPDX-License-Identifier: BSD-2-Clause
//! A transmit queue: reads descriptors and the octets that they point to, and reports what is done.
//!
//! Source: ixgbe_main.c, ixgbe_configure_tx_ring, ixgbe_tx_map, ixgbe_clean_tx_irq.

use crate::descriptor::{Data, Raw, TxDescriptor, TX_DONE};
use crate::memory::GuestMemory;
use crate::registers::{txdctl, TxRegister};
use crate::ring::{Delays, Fetched, Ring, State};
use crate::rules::{Rule, Rules};
use crate::segmentation::Context;
use std::collections::VecDeque;

/// Descriptors that the card can hold of a queue.
///
/// Source: data sheet of the 82598, section 3.5.3.3.2.
const CACHE: usize = 64;
/// The largest packet that can be segmented (ixgbe.h, `IXGBE_MAX_DATA_PER_TXD`; netdev's 64 KiB and headers).
const LARGEST: usize = 256 * 1024;

/// A packet as the driver gave it, before offloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// All octets.
    pub octets: Vec<u8>,
    /// Its first descriptor, which tells the offloads.
    pub first: Data,
    /// The context that the descriptor names.
    pub context: Option<Context>,
}

/// A transmit queue.
pub struct TxQueue {
    ring: Ring,
    control: u32,
    writeback_low: u32,
    writeback_high: u32,
    dca: u32,
    contexts: [Option<Context>; 2],
    partial: Vec<u8>,
    first: Option<Data>,
    done: VecDeque<u32>,
    done_since: u64,
}

impl TxQueue {
    /// Queue `number` after reset.
    pub fn new(number: usize) -> Self {
        TxQueue {
            ring: Ring::new("tx", number),
            control: 0,
            writeback_low: 0,
            writeback_high: 0,
            dca: 0,
            contexts: [None; 2],
            partial: Vec::new(),
            first: None,
            done: VecDeque::new(),
            done_since: 0,
        }
    }

    /// What a reset does.
    pub fn reset(&mut self) {
        self.ring.reset();
        self.control = 0;
        self.writeback_low = 0;
        self.writeback_high = 0;
        self.dca = 0;
        self.abandon();
        self.done.clear();
    }

    fn abandon(&mut self) {
        self.partial.clear();
        self.first = None;
    }

    /// Reads a register.
    pub fn read(&self, register: TxRegister) -> u32 {
        match register {
            TxRegister::BaseLow => self.ring.base_low(),
            TxRegister::BaseHigh => self.ring.base_high(),
            TxRegister::Length => self.ring.length(),
            TxRegister::Dca => self.dca,
            TxRegister::Head => self.ring.head(),
            TxRegister::Tail => self.ring.tail(),
            TxRegister::Control if self.ring.reads_enabled() => self.control | txdctl::ENABLE,
            TxRegister::Control => self.control,
            TxRegister::WritebackLow => self.writeback_low,
            TxRegister::WritebackHigh => self.writeback_high,
        }
    }

    /// Writes a register at `now`.
    pub fn write(
        &mut self,
        register: TxRegister,
        value: u32,
        now: u64,
        delays: &Delays,
        rules: &mut Rules,
    ) {
        match register {
            TxRegister::BaseLow => self.ring.set_base_low(value, rules),
            TxRegister::BaseHigh => self.ring.set_base_high(value, rules),
            TxRegister::Length => self.ring.set_length(value, rules),
            TxRegister::Dca => self.dca = value,
            TxRegister::Head => self.ring.set_head(value, rules),
            TxRegister::Tail => self.ring.set_tail(value, now, delays, rules),
            TxRegister::Control => {
                self.control = value & !(txdctl::ENABLE | txdctl::SWFLSH);
                self.ring
                    .set_enabled(value & txdctl::ENABLE != 0, now, delays);
                if value & txdctl::SWFLSH != 0 {
                    self.done_since = 0;
                }
            }
            TxRegister::WritebackLow => self.writeback_low = value,
            TxRegister::WritebackHigh => self.writeback_high = value,
        }
    }

    /// The ring.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Breaks a rule by which the queue cannot go on.
    pub fn offend(&mut self, rule: Rule, rules: &mut Rules, what: impl FnOnce() -> String) {
        self.ring.offend(rule, rules, what);
    }

    /// Lets a blocked queue go on once it is enabled anew.
    pub fn unblock(&mut self) {
        self.ring.unblock();
    }

    /// Descriptors below which the card reads more: PTHRESH.
    fn read_below(&self) -> usize {
        ((self.control & 0x7f) as usize).clamp(1, CACHE)
    }

    /// Descriptors that must be there to be read, unless the card has none: HTHRESH.
    fn read_from(&self) -> u32 {
        ((self.control >> 8) & 0x7f).max(1)
    }

    /// Reports that are written together: WTHRESH.
    fn report_together(&self) -> usize {
        ((self.control >> 16) & 0x7f) as usize
    }

    fn reports_head(&self) -> bool {
        self.writeback_low & 1 != 0
    }

    /// Moves what time moves. `on` says that the transmitter is on. Returns when to ask again.
    pub fn advance(&mut self, now: u64, on: bool, rules: &mut Rules) -> Option<u64> {
        let quiet = self.done.is_empty();
        let was = self.ring.state();
        let next = self.ring.advance(now, on, quiet, rules);
        if was != self.ring.state() {
            self.abandon();
        }
        next
    }

    /// Whether there is something to send.
    pub fn ready(&self) -> bool {
        self.ring.state() == State::Enabled
            && !self.ring.hung()
            && (self.ring.cached() > 0 || self.ring.unread() > 0)
    }

    /// Reads what the thresholds allow: below PTHRESH descriptors, if HTHRESH are there; in any case if there are none.
    fn read_ahead(&mut self, memory: &GuestMemory, rules: &mut Rules) {
        let cached = self.ring.cached();
        let enough = self.ring.unread() >= self.read_from() || cached == 0;
        if cached < self.read_below() && enough {
            self.ring
                .fetch(CACHE - cached, memory, rules, |raw, report| {
                    (TxDescriptor::is_done(raw) && report != Raw::default())
                        .then_some(Rule::StaleTransmitDescriptor)
                });
        }
    }

    /// The next packet, if all of its descriptors are there.
    pub fn next(&mut self, now: u64, memory: &GuestMemory, rules: &mut Rules) -> Option<Packet> {
        loop {
            self.read_ahead(memory, rules);
            if self.ring.hung() {
                return None;
            }
            let Fetched { index, raw } = self.ring.take()?;
            match TxDescriptor::decode(raw) {
                TxDescriptor::Context(context) => {
                    self.contexts[usize::from(context.index)] = Some(context);
                    self.complete(index, false, now);
                }
                TxDescriptor::Data(data) => {
                    self.gather(index, data, memory, rules);
                    if self.ring.hung() {
                        return None;
                    }
                    self.complete(index, data.report, now);
                    if data.end {
                        return self.finish(index, rules);
                    }
                }
                TxDescriptor::Unknown => {
                    self.ring.offend(Rule::BadDescriptor, rules, || {
                        format!("descriptor {index}: {:x?}", raw.0)
                    });
                    return None;
                }
            }
        }
    }

    fn gather(&mut self, index: u32, data: Data, memory: &GuestMemory, rules: &mut Rules) {
        self.first.get_or_insert(data);
        let from = self.partial.len();
        if from + usize::from(data.length) > LARGEST {
            self.ring.offend(Rule::PayloadLength, rules, || {
                format!("descriptor {index}: no end of packet")
            });
            return;
        }
        self.partial.resize(from + usize::from(data.length), 0);
        if let Err(fault) = memory.read(data.address, &mut self.partial[from..]) {
            let doing = format!("reading a packet by descriptor {index}");
            self.ring.fault(fault, &doing, rules);
        }
    }

    fn complete(&mut self, index: u32, report: bool, now: u64) {
        self.ring.complete(index);
        if report {
            if self.done.is_empty() {
                self.done_since = now;
            }
            self.done.push_back(index);
        }
    }

    /// A packet has ended: what its first descriptor said must fit.
    fn finish(&mut self, index: u32, rules: &mut Rules) -> Option<Packet> {
        let first = self.first.take()?;
        let octets = std::mem::take(&mut self.partial);
        let context = self.contexts[usize::from(first.context)];
        // PAYLEN of a packet to be segmented is checked where it is cut.
        let told = match first.payload {
            Some(len) if !first.segment => len as usize,
            _ => octets.len(),
        };
        if octets.is_empty() || told != octets.len() {
            let what = || format!("to descriptor {index}: {told} told, {} there", octets.len());
            // A card that does not look sends what is there.
            if rules.detects() {
                self.ring.offend(Rule::PayloadLength, rules, what);
                return None;
            }
            let name = self.ring.name();
            rules.broken(Rule::PayloadLength, || format!("{name}: {}", what()));
        }
        if octets.is_empty() {
            return None;
        }
        Some(Packet {
            octets,
            first,
            context,
        })
    }

    /// When the reports that wait are written at the latest.
    pub fn deadline(&self, delays: &Delays) -> Option<u64> {
        (!self.done.is_empty()).then_some(self.done_since + delays.writeback)
    }

    /// Whether reports wait that are due at `now`: with WTHRESH 0 at once, else when there are so many, or in time.
    ///
    /// Source: data sheet of the 82598, section 3.5.3.3.4, where the time is that of the interrupt's moderation.
    pub fn due(&self, now: u64, delays: &Delays) -> bool {
        match self.done.len() {
            0 => false,
            count => {
                count >= self.report_together()
                    || matches!(self.ring.state(), State::Disabling { .. })
                    || now >= self.done_since + delays.writeback
            }
        }
    }

    /// Writes all reports that wait. Returns whether there were any.
    pub fn flush(&mut self, memory: &GuestMemory, rules: &mut Rules) -> bool {
        let any = !self.done.is_empty();
        if self.reports_head() {
            self.done.clear();
            if any {
                let low = u64::from(self.writeback_low & !3);
                let address = (u64::from(self.writeback_high) << 32) | low;
                if let Err(fault) = memory.publish32(address, self.ring.head()) {
                    self.ring.fault(fault, "writing the head back", rules);
                }
            }
            return any;
        }
        while let Some(index) = self.done.pop_front() {
            self.ring
                .write_back(index, Raw([0, TX_DONE]), memory, rules);
        }
        any
    }
}
