// SPDX-License-Identifier: BSD-2-Clause
//! A driver for tests and for measuring: drives a device through its registers and through rings in a memory file, as a
//! guest does. It panics where a test would fail.

use crate::descriptor::{rx, Raw, SIZE};
use crate::device::{Device, Next, Settings};
use crate::memory::memory_file;
use crate::registers::{dmatxctl, offset, rxctrl, rxdctl, srrctl, txdctl};
use crate::wire::Arrival;

/// Where the guest's memory begins, and its size.
pub const MEMORY: u64 = 0x10_0000;
const MEMORY_SIZE: u64 = 0x40_0000;
/// Descriptors of each ring.
pub const SLOTS: u32 = 64;
const RX_RING: u64 = MEMORY;
const TX_RING: u64 = MEMORY + 0x1_0000;
/// Where receive buffers begin, one after the other.
pub const RX_BUFFERS: u64 = MEMORY + 0x10_0000;
const TX_BUFFERS: u64 = MEMORY + 0x20_0000;
/// Octets of a buffer.
pub const BUFFER: u64 = 2048;

/// A whole packet in one advanced data descriptor that asks for a report: what is set beside lengths.
pub const EOP_RS_DATA: u64 = (1 << 24) | (1 << 25) | (1 << 27) | (1 << 29) | (3 << 20);

/// A device with bus mastering on and light coming in, and time.
pub struct Driver {
    /// The device.
    pub device: Device,
    /// The time in nanoseconds.
    pub now: u64,
}

impl Driver {
    /// Powers a card on, waits for its link, and turns receiver and transmitter on.
    pub fn new(settings: Settings) -> Self {
        let mut device = Device::new(settings);
        let file = memory_file(MEMORY_SIZE).unwrap();
        device
            .memory
            .map(MEMORY, MEMORY_SIZE, Some((file, 0)), true, true)
            .unwrap();
        device.write_config(4, &[6, 0]);
        device.set_light(true);
        let mut driver = Driver { device, now: 0 };
        driver.pass(10_000_000);
        assert!(driver.device.link_up());
        // All unicast frames, broadcasts; receiver and transmitter on.
        driver.write(offset::FCTRL, 0x600);
        driver.write(offset::RXCTRL, rxctrl::RXEN);
        driver.write(offset::DMATXCTL, dmatxctl::TE);
        driver
    }

    /// With a card on which everything happens at once.
    pub fn quiet() -> Self {
        Self::new(Settings::for_tests())
    }

    /// Reads a register.
    pub fn read(&mut self, at: u32) -> u32 {
        self.device.read(at, self.now)
    }

    /// Writes a register.
    pub fn write(&mut self, at: u32, value: u32) {
        self.device.write(at, value, self.now);
    }

    /// Lets the card work until it has nothing to do at this time.
    pub fn settle(&mut self) {
        while self.device.step(self.now) == Next::Now {}
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            match self.device.step(self.now) {
                Next::Now => {}
                Next::At(at) if at <= end => self.now = at,
                _ => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// The offset of a receive queue's register, given that of queue 0 behind 0x1000.
    pub fn rx_register(queue: u32, at: u32) -> u32 {
        0x1000 + 0x40 * queue + at
    }

    /// The offset of a transmit queue's register, given that of queue 0 behind 0x6000.
    pub fn tx_register(queue: u32, at: u32) -> u32 {
        0x6000 + 0x40 * queue + at
    }

    /// Sets the queue's ring up, enables it, and gives `given` buffers.
    pub fn start_rx(&mut self, queue: u32, given: u32) {
        self.program_rx(queue);
        self.write(Self::rx_register(queue, 0x28), rxdctl::ENABLE);
        self.pass(1_000_000);
        assert_ne!(
            self.read(Self::rx_register(queue, 0x28)) & rxdctl::ENABLE,
            0
        );
        for slot in 0..SLOTS {
            self.post(queue, slot);
        }
        self.write(Self::rx_register(queue, 0x18), given);
        self.pass(100_000);
    }

    /// Programs the queue's ring and buffer size.
    pub fn program_rx(&mut self, queue: u32) {
        self.write(Self::rx_register(queue, 0x00), self.rx_ring(queue) as u32);
        self.write(Self::rx_register(queue, 0x04), 0);
        self.write(Self::rx_register(queue, 0x08), SLOTS * SIZE as u32);
        let split = srrctl::ADV_ONEBUF | (BUFFER / 1024) as u32;
        self.write(Self::rx_register(queue, 0x14), split);
    }

    /// Where a receive queue's ring is.
    pub fn rx_ring(&self, queue: u32) -> u64 {
        RX_RING + u64::from(queue) * 0x1000
    }

    /// Writes a receive descriptor with its slot's buffer.
    pub fn post(&mut self, queue: u32, slot: u32) {
        let buffer = RX_BUFFERS + u64::from(slot) * BUFFER;
        self.store(self.rx_ring(queue) + u64::from(slot) * SIZE, [buffer, 0]);
    }

    /// Writes a descriptor.
    pub fn store(&mut self, at: u64, words: [u64; 2]) {
        for (index, word) in (0..).zip(words) {
            let octets = word.to_le_bytes();
            self.device.memory.write(at + 8 * index, &octets).unwrap();
        }
    }

    /// Reads a descriptor.
    pub fn load(&self, at: u64) -> Raw {
        let mut octets = [0; SIZE as usize];
        self.device.memory.read(at, &mut octets).unwrap();
        Raw::from_octets(&octets)
    }

    /// The report in a receive descriptor: status, and length.
    pub fn report(&self, queue: u32, slot: u32) -> Option<(u32, usize)> {
        let raw = self.load(self.rx_ring(queue) + u64::from(slot) * SIZE);
        let status = raw.0[1] as u32;
        (status & rx::DD != 0).then_some((status, (raw.0[1] >> 32) as usize & 0xffff))
    }

    /// What was received into a slot's buffer.
    pub fn rx_octets(&self, slot: u32, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        let at = RX_BUFFERS + u64::from(slot) * BUFFER;
        self.device.memory.read(at, &mut octets).unwrap();
        octets
    }

    /// A frame comes from the wire.
    pub fn arrive(&mut self, frame: Vec<u8>) {
        self.device.receive(Arrival { frame, good: true }, self.now);
    }

    /// Where a transmit queue's ring is.
    pub fn tx_ring(&self, queue: u32) -> u64 {
        TX_RING + u64::from(queue) * 0x1000
    }

    /// Sets the queue's ring up and enables it, with the thresholds of `control`.
    pub fn start_tx(&mut self, queue: u32, control: u32) {
        self.write(Self::tx_register(queue, 0x00), self.tx_ring(queue) as u32);
        self.write(Self::tx_register(queue, 0x04), 0);
        self.write(Self::tx_register(queue, 0x08), SLOTS * SIZE as u32);
        self.write(Self::tx_register(queue, 0x28), control | txdctl::ENABLE);
        self.pass(1_000_000);
        assert_ne!(
            self.read(Self::tx_register(queue, 0x28)) & txdctl::ENABLE,
            0
        );
    }

    /// Writes a frame and its descriptor.
    pub fn put(&mut self, queue: u32, slot: u32, frame: &[u8], command: u64) {
        let buffer = TX_BUFFERS + u64::from(slot) * BUFFER;
        self.device.memory.write(buffer, frame).unwrap();
        self.renew(queue, slot, frame.len(), command);
    }

    /// Writes a descriptor anew whose frame of `length` octets is in place.
    pub fn renew(&mut self, queue: u32, slot: u32, length: usize, command: u64) {
        let buffer = TX_BUFFERS + u64::from(slot) * BUFFER;
        let len = length as u64;
        self.store(
            self.tx_ring(queue) + u64::from(slot) * SIZE,
            [buffer, command | len | (len << 46)],
        );
    }

    /// Writes the tail.
    pub fn set_tx_tail(&mut self, queue: u32, tail: u32) {
        self.write(Self::tx_register(queue, 0x18), tail);
    }

    /// Whether a transmit descriptor has been reported done.
    pub fn tx_done(&self, queue: u32, slot: u32) -> bool {
        let raw = self.load(self.tx_ring(queue) + u64::from(slot) * SIZE);
        raw == Raw([0, crate::descriptor::TX_DONE])
    }
}

/// A broadcast frame of `length` octets.
pub fn frame(length: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..length).map(|i| i as u8).collect();
    frame[..6].fill(0xff);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}
