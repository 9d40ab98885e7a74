// SPDX-License-Identifier: BSD-2-Clause
//! The way of a frame from the wire to memory: filters, packet buffer, rings.

use super::{join, Device, LINK_RATE};
use crate::faults::Side;
use crate::filters::Filters;
use crate::interrupt::{earlier, Direction};
use crate::packet_buffer::PacketBuffer;
use crate::pause::{self, Marks, Signal};
use crate::receive::{classify, Received};
use crate::registers::{hlreg0, offset, QUEUES};
use crate::rss::Rss;
use crate::rx_queue::Outcome;
use crate::statistics::{queue_set, Counter, Damage};
use crate::vlan;
use crate::wire::Arrival;

/// Frames from packet buffer to memory in one step.
const BURST: usize = 64;
/// Where the map from receive queues to sets of counters is: RQSMR.
const RQSMR: u32 = 0x2300;
/// Octets of the frame check sequence.
const CHECK: usize = 4;
/// Status bit: the VLAN tag is in the report.
const VP: u32 = crate::descriptor::rx::VP;
/// Status bit: the frame came from the own transmitter.
const LB: u32 = crate::descriptor::rx::LB;

impl Device {
    /// A frame comes from the wire.
    pub fn receive(&mut self, arrival: Arrival, now: u64) {
        self.now = now;
        if self.faults.dead() || !self.link.up() || self.loops_back() {
            return;
        }
        if !arrival.good {
            self.statistics.received_damaged(Damage::Crc);
            return;
        }
        self.accept(arrival.frame, false);
    }

    /// The port's own address.
    pub fn station(&self) -> [u8; 6] {
        let low = self.registers.get(offset::RAL0).to_le_bytes();
        let high = self.registers.get(offset::RAH0).to_le_bytes();
        [low[0], low[1], low[2], low[3], high[0], high[1]]
    }

    /// The longest frame without its check sequence.
    fn longest(&self) -> usize {
        if self.registers.get(offset::HLREG0) & hlreg0::JUMBOEN == 0 {
            return 1518 - CHECK;
        }
        ((self.registers.get(offset::MAXFRS) >> 16) as usize).saturating_sub(CHECK)
    }

    pub(super) fn accept(&mut self, frame: Vec<u8>, looped: bool) {
        let tag = if vlan::tag(&frame).is_some() { 4 } else { 0 };
        if frame.len() > self.longest() + tag {
            self.statistics.received_damaged(Damage::Oversize);
            return;
        }
        self.statistics.received_any(frame.len());
        if frame.get(12..14) == Some(&pause::MAC_CONTROL.to_be_bytes()) {
            let mflcn = self.registers.get(offset::MFLCN);
            let reception = pause::receive(&frame, self.station(), mflcn);
            if let Some(quanta) = reception.pause {
                self.statistics.count(if quanta == 0 {
                    Counter::XonReceived
                } else {
                    Counter::XoffReceived
                });
                self.pause_for(pause::duration(quanta, LINK_RATE));
            }
            if !reception.pass {
                return;
            }
        }
        if !self.receiving() {
            return;
        }
        let filters = Filters {
            fctrl: self.registers.get(offset::FCTRL),
            mcstctrl: self.registers.get(offset::MCSTCTRL),
            vlnctrl: self.registers.get(offset::VLNCTRL),
            addresses: self.registers.slice(offset::RAL0, 256),
            multicast: self.registers.slice(offset::MTA0, 128),
            vlans: self.registers.slice(offset::VFTA0, 128),
        };
        let rss = Rss {
            mrqc: self.registers.get(offset::MRQC),
            key: self.registers.slice(offset::RSSRK0, 10),
            table: self.registers.slice(offset::RETA0, 32),
            extension: self
                .registers
                .slice(offset::ERETA0, self.settings.model.table_extension()),
        };
        let Ok(mut received) = classify(frame, &filters, &mut self.director, &rss) else {
            return;
        };
        self.statistics.received_good(&received.frame);
        if looped {
            received.status |= LB;
        }
        let queue = usize::from(received.queue) % QUEUES;
        let largest = self.rx[queue].largest_frame();
        if largest.is_some_and(|largest| received.frame.len() + CHECK > largest) {
            return;
        }
        if self.rx[queue].strips_vlan() {
            received.vlan = vlan::strip(&mut received.frame);
            if received.vlan.is_some() {
                received.status |= VP;
            }
        }
        if self.registers.get(offset::HLREG0) & hlreg0::RXCRCSTRP == 0 {
            // Nobody looks at its value; only that it is there.
            received.frame.extend_from_slice(&[0; CHECK]);
        }
        self.coalesce(queue, received);
    }

    fn coalesce(&mut self, queue: usize, received: Received) {
        let Some(descriptors) = self.rx[queue].coalescing() else {
            self.store(received);
            return;
        };
        let limit = descriptors * self.rx[queue].buffer_size();
        let mut ready = Vec::new();
        self.coalescers[queue].push(received, limit, |received| ready.push(received));
        for received in ready {
            self.store(received);
        }
    }

    fn store(&mut self, received: Received) {
        let (len, size) = (received.frame.len(), self.registers.get(offset::RXPBSIZE0));
        if let Err(received) = self.buffer.store(received, len, size) {
            for _ in 0..received.starts.len().max(1) {
                self.missed();
            }
        }
    }

    /// Moves frames from the packet buffer to the rings. Returns whether there is more to move.
    pub(super) fn fill_rings(&mut self, now: u64) -> bool {
        if self.buffer.is_empty() {
            self.finish_coalescing();
        }
        if self.faults.stops(Side::Rx) {
            return false;
        }
        for _ in 0..BURST {
            let Some(received) = self.buffer.head() else {
                return false;
            };
            let number = usize::from(received.queue) % QUEUES;
            let queue = &mut self.rx[number];
            let packets = received.starts.len().max(1);
            let outcome = queue.deliver(received, now, &self.delays, &self.memory, &mut self.rules);
            let len = received.frame.len();
            let set = queue_set(self.registers.slice(RQSMR, 32), number);
            match outcome {
                Outcome::Waits => return false,
                Outcome::Dropped => self.statistics.queue_dropped(set),
                Outcome::Stored => {
                    for _ in 0..packets {
                        self.statistics.queue_received(set, len / packets);
                    }
                }
            }
            self.buffer.take();
        }
        true
    }

    /// Nothing more is coming at once: what grows in the coalescers is finished.
    fn finish_coalescing(&mut self) {
        for queue in 0..self.rx_used {
            if self.coalescers[queue].is_empty() {
                continue;
            }
            let mut ready = Vec::new();
            self.coalescers[queue].flush(|received| ready.push(received));
            for received in ready {
                self.store(received);
            }
        }
    }

    /// Writes reports that are due, and tells the driver. Returns when to ask again.
    pub(super) fn flush(&mut self, now: u64) -> Option<u64> {
        let delays = self.delays();
        let mut next = None;
        for (number, queue) in self.rx[..self.rx_used].iter_mut().enumerate() {
            if queue.due(now, &delays) {
                queue.flush(&self.memory, &mut self.faults, &mut self.rules);
                self.interrupts.queue_event(number, Direction::Rx);
            }
            next = join(next, queue.deadline(&delays));
        }
        for (number, queue) in self.tx[..self.tx_used].iter_mut().enumerate() {
            if queue.due(now, &delays) {
                queue.flush(&self.memory, &mut self.rules);
                self.interrupts.queue_event(number, Direction::Tx);
            }
            next = join(next, queue.deadline(&delays));
        }
        next
    }

    /// Sends PAUSE frames as the packet buffer's filling asks for. Returns when to ask again.
    pub(super) fn watch_buffer(&mut self, now: u64) -> Option<u64> {
        let marks = self.marks();
        if let Some(signal) = self.pause.poll(self.buffer.used(), &marks, now, LINK_RATE) {
            let (quanta, counter) = match signal {
                Signal::Xoff => (marks.quanta, Counter::XoffSent),
                Signal::Xon => (0, Counter::XonSent),
            };
            let frame = pause::build(self.station(), quanta);
            self.statistics.count(counter);
            self.statistics.sent(&frame);
            if self.link.up() && !self.loops_back() {
                self.urgent.push(frame);
            }
        }
        self.pause.next_poll().and_then(|at| earlier(None, at))
    }

    fn marks(&self) -> Marks {
        Marks {
            fccfg: self.registers.get(offset::FCCFG),
            high: self.registers.get(offset::FCRTH0),
            low: self.registers.get(offset::FCRTL0),
            quanta: self.registers.get(offset::FCTTV0) as u16,
            refresh: self.registers.get(offset::FCRTV) as u16,
        }
    }

    /// How many frames the far end can be let send now.
    ///
    /// Without PAUSE frames that is any number: what is too much is missed. With them it is what the packet buffer has
    /// room for. Silicon repeats its XOFF in time; this model may get no processor for that long, and that must not cost
    /// frames.
    pub fn arrivals(&self) -> usize {
        if !self.marks().in_force() {
            return usize::MAX;
        }
        let size = self.registers.get(offset::RXPBSIZE0) as usize & 0xffc00;
        size.saturating_sub(self.buffered()) / (self.longest() + CHECK)
    }

    /// Octets in the packet buffer.
    pub fn buffered(&self) -> usize {
        PacketBuffer::used(&self.buffer)
    }
}
