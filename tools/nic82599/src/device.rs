// SPDX-License-Identifier: BSD-2-Clause
//! One port of the card: all blocks together.
//!
//! A [`Device`] does nothing by itself. [`Device::read`] and [`Device::write`] are the driver's accesses of registers,
//! [`Device::step`] is what the card does meanwhile, [`Device::receive`] is a frame from the wire; what is sent is taken
//! from [`Device::take_sent`]. Each is told the time, so that a test decides what comes before what.

mod access;
mod receiver;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
mod transmitter;

use crate::coalesce::Coalescer;
use crate::config_space::{ConfigSpace, Effect, Identity};
use crate::eeprom::Eeprom;
use crate::faults::{Fault, Faults};
use crate::firmware::Firmware;
use crate::flow_director::FlowDirector;
use crate::interrupt::{earlier, Interrupts};
use crate::link::{Change, Link};
use crate::memory::GuestMemory;
use crate::packet_buffer::PacketBuffer;
use crate::pause;
use crate::phy::Bus;
use crate::receive::Received;
use crate::register_file::RegisterFile;
use crate::registers::{cause, ctrl, esdp, offset, QUEUES};
use crate::ring::{Delays, State};
use crate::rules::{Mode, Rule, Rules};
use crate::rx_queue::RxQueue;
use crate::sfp::Sfp;
use crate::statistics::Statistics;
use crate::tx_queue::TxQueue;
use std::collections::VecDeque;

/// The link's bits per second.
pub const LINK_RATE: u64 = 10_000_000_000;

/// Which card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Model {
    /// 82599 with SFP+ cage.
    #[default]
    I82599,
    /// X540 with twisted pair.
    X540,
    /// X550 with twisted pair.
    X550,
}

impl Model {
    /// What PCI says of it.
    pub fn identity(self, port: u8) -> Identity {
        let (device, subsystem) = match self {
            Model::I82599 => (0x10fb, 0x7a11),
            Model::X540 => (0x1528, 0x0001),
            Model::X550 => (0x1563, 0x0001),
        };
        Identity {
            device,
            subsystem,
            revision: 1,
            pin: port + 1,
        }
    }

    /// Whether it has a cage for a module, and no PHY.
    pub fn optical(self) -> bool {
        self == Model::I82599
    }

    /// The PHY on the management bus.
    ///
    /// Source: ixgbe_type.h, `X540_PHY_ID`, `X550_PHY_ID3`.
    fn bus(self) -> Bus {
        match self {
            Model::I82599 => Bus::default(),
            Model::X540 => Bus::with_phy(0x0154_0200),
            Model::X550 => Bus::with_phy(0x0154_0221),
        }
    }

    /// Octets of packet buffer for received frames.
    ///
    /// Source: ixgbe_82599.c and ixgbe_x540.c, `IXGBE_82599_RX_PB_SIZE`, `IXGBE_X540_RX_PB_SIZE`.
    fn packet_buffer(self) -> u32 {
        match self {
            Model::I82599 => 512 << 10,
            Model::X540 | Model::X550 => 384 << 10,
        }
    }

    /// Whether there is firmware that takes commands.
    fn firmware(self) -> Option<Firmware> {
        (self == Model::X550).then(Firmware::default)
    }

    /// Words of RSS table behind the first 32.
    ///
    /// Source: ixgbe_main.c, ixgbe_rss_indir_tbl_entries.
    fn table_extension(self) -> usize {
        if self == Model::X550 {
            96
        } else {
            0
        }
    }
}

/// What makes one port differ from another.
pub struct Settings {
    /// Which card.
    pub model: Model,
    /// Which of the card's ports, 0 or 1.
    pub port: u8,
    /// Its address.
    pub mac: [u8; 6],
    /// How long things take, if the card is strict.
    pub delays: Delays,
    /// The judge.
    pub rules: Rules,
}

impl Settings {
    /// A quiet port 0 for tests: strict, but everything happens at once.
    pub fn for_tests() -> Self {
        Settings {
            model: Model::default(),
            port: 0,
            mac: [0x02, 0, 0, 0, 0, 1],
            delays: Delays::NONE,
            rules: Rules::quiet(Mode::Strict),
        }
    }
}

/// What the card wants after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another step at once: there is work left.
    Now,
    /// Another step at this time, in nanoseconds.
    At(u64),
    /// Nothing, until something comes from outside.
    Idle,
}

/// A port of the card.
pub struct Device {
    /// PCI configuration space.
    pub config: ConfigSpace,
    /// The guest's memory.
    pub memory: GuestMemory,
    /// What the driver broke.
    pub rules: Rules,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// The optical module.
    pub sfp: Sfp,
    settings: Identifying,
    delays: Delays,
    registers: RegisterFile,
    eeprom: Eeprom,
    firmware: Option<Firmware>,
    bus: Bus,
    link: Link,
    light: bool,
    statistics: Statistics,
    director: FlowDirector,
    rx: Vec<RxQueue>,
    tx: Vec<TxQueue>,
    /// Queues from here on have not been touched since the last reset.
    rx_used: usize,
    tx_used: usize,
    coalescers: Vec<Coalescer>,
    buffer: PacketBuffer<Received>,
    pause: pause::Sender,
    paused_until: u64,
    sent: VecDeque<Vec<u8>>,
    urgent: Vec<Vec<u8>>,
    looped: Vec<Vec<u8>>,
    turn: usize,
    faults: Faults,
    accesses: Accesses,
    now: u64,
}

/// How often the driver has read and written registers, which a processor waits for, since the card was powered on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accesses {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

struct Identifying {
    model: Model,
    port: u8,
    mac: [u8; 6],
}

impl Device {
    /// A card that has just been powered on.
    pub fn new(settings: Settings) -> Self {
        let mut device = Device {
            config: ConfigSpace::new(settings.model.identity(settings.port)),
            memory: GuestMemory::default(),
            rules: settings.rules,
            interrupts: Interrupts::default(),
            sfp: Sfp::default(),
            settings: Identifying {
                model: settings.model,
                port: settings.port,
                mac: settings.mac,
            },
            delays: settings.delays,
            registers: RegisterFile::new(),
            eeprom: Eeprom::new(settings.mac),
            firmware: settings.model.firmware(),
            bus: settings.model.bus(),
            link: Link::default(),
            light: false,
            statistics: Statistics::default(),
            director: FlowDirector::default(),
            rx: (0..QUEUES).map(RxQueue::new).collect(),
            tx: (0..QUEUES).map(TxQueue::new).collect(),
            rx_used: 0,
            tx_used: 0,
            coalescers: (0..QUEUES).map(|_| Coalescer::new()).collect(),
            buffer: PacketBuffer::new(),
            pause: pause::Sender::default(),
            paused_until: 0,
            sent: VecDeque::new(),
            urgent: Vec::new(),
            looped: Vec::new(),
            turn: 0,
            faults: Faults::default(),
            accesses: Accesses::default(),
            now: 0,
        };
        device.sfp.set_present(settings.model.optical());
        device.reset();
        device
    }

    fn delays(&self) -> Delays {
        let mut delays = if self.rules.strict() {
            self.delays
        } else {
            Delays::NONE
        };
        delays.writeback += self.faults.late();
        delays
    }

    /// A device reset: all registers and queues; memory, wires and configuration space stay.
    ///
    /// Source: ixgbe_82599.c, ixgbe_reset_hw_82599.
    pub fn reset(&mut self) {
        self.faults.reset();
        self.registers.reset();
        self.interrupts.reset();
        for queue in &mut self.rx {
            queue.reset();
        }
        for queue in &mut self.tx {
            queue.reset();
        }
        (self.rx_used, self.tx_used) = (0, 0);
        for coalescer in &mut self.coalescers {
            coalescer.flush(drop);
        }
        self.buffer.clear();
        self.statistics = Statistics::default();
        self.director = FlowDirector::default();
        self.bus.reset();
        self.link.reset();
        self.pause = pause::Sender::default();
        self.paused_until = 0;
        self.looped.clear();
        self.sent.clear();
        self.urgent.clear();
        let buffer = self.settings.model.packet_buffer();
        self.registers.set(offset::RXPBSIZE0, buffer);
        let [a, b, c, d, e, f] = self.settings.mac;
        self.registers
            .set(offset::RAL0, u32::from_le_bytes([a, b, c, d]));
        self.registers
            .set(offset::RAH0, u32::from_le_bytes([e, f, 0, 0x80]));
    }

    /// A function level reset, or the host's: configuration space, too.
    pub fn reset_function(&mut self) {
        self.config.reset();
        self.reset();
        self.configure();
    }

    /// The driver writes configuration space.
    pub fn write_config(&mut self, at: usize, data: &[u8]) {
        match self.config.write(at, data) {
            Effect::Reset => self.reset_function(),
            Effect::PowerUp => self.reset(),
            Effect::MasterOff => {
                let busy =
                    self.rx.iter().any(|q| q.ring().state() == State::Enabled) && self.receiving();
                // Nobody can turn the receiver of a dead card off.
                if busy && !self.faults.dead() {
                    self.rules
                        .broken(Rule::BusMasterOff, || "receiver is on".into());
                }
            }
            Effect::None => {}
        }
        self.configure();
    }

    fn configure(&mut self) {
        self.interrupts
            .configure(self.config.msix(), self.config.line_allowed());
        self.interrupts.settle(self.now);
    }

    /// Whether light comes out, or what is its like on a wire of copper.
    pub fn shines(&self) -> bool {
        if !self.settings.model.optical() {
            return self.bus.talks() && !self.faults.dead();
        }
        let laser = self.registers.get(offset::ESDP) & esdp::SDP3 == 0;
        self.sfp.present() && laser && !self.faults.dead()
    }

    /// Whether light comes in.
    pub fn set_light(&mut self, light: bool) {
        self.light = light;
    }

    /// Puts an optical module in, or pulls it out.
    pub fn set_sfp(&mut self, present: bool) {
        if self.settings.model.optical() && present != self.sfp.present() {
            self.sfp.set_present(present);
            self.interrupts.other_event(cause::SDP2);
        }
    }

    /// Puts a fault in force, or takes it out of force.
    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::LoseInterrupts { count } => self.interrupts.lines.lose = count,
            Fault::SpuriousInterrupts { count } => {
                for _ in 0..count {
                    self.interrupts.lines.spurious();
                }
            }
            Fault::MemoryError => self.interrupts.other_event(cause::ECC),
            Fault::Clear => self.interrupts.lines.lose = 0,
            _ => {}
        }
        let was_dead = self.faults.dead();
        self.faults.inject(fault);
        if was_dead && !self.faults.dead() {
            // What comes back is a card that was plugged in: it knows of no ring.
            self.reset();
        }
    }

    /// Whether the link is up.
    pub fn link_up(&self) -> bool {
        self.link.up()
    }

    /// Takes frames that are to be sent, up to `room` octets, the last perhaps in part beyond them. PAUSE frames come
    /// first, and do not wait when others do.
    pub fn take_sent(&mut self, room: usize) -> Vec<Vec<u8>> {
        let mut frames = std::mem::take(&mut self.urgent);
        let mut octets = 0;
        while octets < room && self.now >= self.paused_until {
            let Some(frame) = self.sent.pop_front() else {
                break;
            };
            octets += frame.len();
            frames.push(frame);
        }
        frames
    }

    /// The receive queues.
    pub fn rx_queues(&self) -> &[RxQueue] {
        &self.rx
    }

    /// The transmit queues.
    pub fn tx_queues(&self) -> &[TxQueue] {
        &self.tx
    }

    /// Whether frames wait that the wire could take.
    pub fn waiting_frames(&self) -> bool {
        !self.urgent.is_empty() || (!self.sent.is_empty() && self.now >= self.paused_until)
    }

    fn loops_back(&self) -> bool {
        self.registers.get(offset::HLREG0) & crate::registers::hlreg0::LPBK != 0
    }

    fn primary_disabled(&self) -> bool {
        self.registers.get(offset::CTRL) & ctrl::GIO_DIS != 0
    }

    /// Does what the card does at `now`.
    pub fn step(&mut self, now: u64) -> Next {
        self.now = now;
        if self.faults.dead() {
            return Next::Idle;
        }
        let mut next = self.watch_link(now);
        let mut busy = false;
        if self.config.masters() && !self.primary_disabled() {
            next = join(next, self.advance_queues(now));
            let (more, at) = self.transmit(now);
            busy |= more;
            next = join(next, at);
            for frame in std::mem::take(&mut self.looped) {
                self.accept(frame, true);
            }
            busy |= self.fill_rings(now);
            next = join(next, self.flush(now));
        }
        next = join(next, self.watch_buffer(now));
        next = join(next, self.interrupts.settle(now));
        match next {
            _ if busy => Next::Now,
            Some(at) if at <= now => Next::Now,
            Some(at) => Next::At(at),
            None => Next::Idle,
        }
    }

    fn watch_link(&mut self, now: u64) -> Option<u64> {
        let (change, at) = self.link.update(self.light && self.shines(), now);
        if change != Change::None {
            self.interrupts.other_event(cause::LSC);
        }
        at
    }

    fn advance_queues(&mut self, now: u64) -> Option<u64> {
        let mut next = None;
        let (receiver, transmitter) = (self.receiving(), self.transmitting());
        for queue in &mut self.tx[..self.tx_used] {
            if queue.ring().state() != State::Disabled {
                next = join(next, queue.advance(now, transmitter, &mut self.rules));
            }
        }
        for queue in &mut self.rx[..self.rx_used] {
            if queue.ring().state() != State::Disabled {
                next = join(
                    next,
                    queue.advance(now, receiver, &self.memory, &mut self.rules),
                );
            }
        }
        next
    }
}

fn join(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    other.map_or(one, |other| earlier(one, other))
}
