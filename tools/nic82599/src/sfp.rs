// SPDX-License-Identifier: BSD-2-Clause
//! The SFP+ module in the port's cage: its memory, and the two wires by which the driver reads it bit by bit.
//!
//! Source: SFF-8472 for the content; the I2C specification for the wires; ixgbe_phy.c, ixgbe_identify_sfp_module_generic
//! for what must be in it, and ixgbe_type.h, `IXGBE_I2C_*`, for the bits of I2CCTL.

const CLOCK_IN: u32 = 1 << 0;
const CLOCK_OUT: u32 = 1 << 1;
const DATA_IN: u32 = 1 << 2;
const DATA_OUT: u32 = 1 << 3;

/// Addresses on the two wires: identity, and diagnostics.
const IDENTITY: u8 = 0xa0;
const DIAGNOSTICS: u8 = 0xa2;

/// What the module does after the current octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not addressed: waits for a start.
    Idle,
    /// Takes its address.
    Address,
    /// Takes the offset of the octets that follow.
    Offset,
    /// Takes octets.
    Store,
    /// Gives octets.
    Give,
}

/// A 10GBASE-SR module of Intel, in its cage or not.
pub struct Sfp {
    present: bool,
    identity: Box<[u8; 256]>,
    diagnostics: Box<[u8; 256]>,
    phase: Phase,
    chosen: u8,
    offset: u8,
    shift: u8,
    bits: u8,
    clock: bool,
    data: bool,
    /// The module does not pull the data wire down.
    released: bool,
}

impl Default for Sfp {
    fn default() -> Self {
        Self::new("82599MODEL0001")
    }
}

impl Sfp {
    /// A module with this serial number.
    pub fn new(serial: &str) -> Self {
        let mut identity = Box::new([0; 256]);
        // SFP, two-wire interface; LC connector; 10GBASE-SR; 64B/66B; 10.3 Gbit/s; 300 m of OM3.
        identity[0] = 0x03;
        identity[1] = 0x04;
        identity[2] = 0x07;
        identity[3] = 0x10;
        identity[11] = 0x06;
        identity[12] = 0x67;
        identity[19] = 0x1e;
        put_text(&mut identity[20..36], "Intel Corp");
        identity[37..40].copy_from_slice(&[0x00, 0x1b, 0x21]);
        put_text(&mut identity[40..56], "FTLX8571D3BCV");
        put_text(&mut identity[56..60], "A");
        identity[60..62].copy_from_slice(&850u16.to_be_bytes());
        put_text(&mut identity[68..84], serial);
        put_text(&mut identity[84..92], "200101");
        // Diagnostics are there, calibrated inside.
        identity[92] = 0x68;
        identity[94] = 0x03;
        let sum = |octets: &[u8]| octets.iter().fold(0u8, |sum, o| sum.wrapping_add(*o));
        identity[63] = sum(&identity[..63]);
        identity[95] = sum(&identity[64..95]);
        let mut diagnostics = Box::new([0; 256]);
        // 30 degrees Celsius, 3.3 V, 6 mA, 0.5 mW both ways.
        diagnostics[96] = 30;
        diagnostics[98..100].copy_from_slice(&33_000u16.to_be_bytes());
        diagnostics[100..102].copy_from_slice(&3_000u16.to_be_bytes());
        diagnostics[102..104].copy_from_slice(&5_000u16.to_be_bytes());
        diagnostics[104..106].copy_from_slice(&5_000u16.to_be_bytes());
        Sfp {
            present: true,
            identity,
            diagnostics,
            phase: Phase::Idle,
            chosen: IDENTITY,
            offset: 0,
            shift: 0,
            bits: 0,
            clock: true,
            data: true,
            released: true,
        }
    }

    /// Whether a module is in the cage.
    pub fn present(&self) -> bool {
        self.present
    }

    /// Puts the module in, or pulls it out; in both cases it forgets where it was.
    pub fn set_present(&mut self, present: bool) {
        self.present = present;
        self.phase = Phase::Idle;
        self.released = true;
    }

    /// I2CCTL, read: both wires as they are, each low if anybody pulls it down.
    pub fn wires(&self) -> u32 {
        let mut value = 0;
        if self.clock {
            value |= CLOCK_IN | CLOCK_OUT;
        }
        if self.data {
            value |= DATA_OUT;
        }
        if self.data && self.released {
            value |= DATA_IN;
        }
        value
    }

    /// I2CCTL, written: the driver pulls wires down, or lets them go.
    pub fn drive(&mut self, value: u32) {
        let clock = value & CLOCK_OUT != 0;
        let data = value & DATA_OUT != 0;
        let was = (self.clock, self.data);
        (self.clock, self.data) = (clock, data);
        if !self.present {
            return;
        }
        match (was, (clock, data)) {
            ((true, true), (true, false)) => {
                self.phase = Phase::Address;
                self.bits = 0;
                self.released = true;
            }
            ((true, false), (true, true)) => {
                self.phase = Phase::Idle;
                self.released = true;
            }
            ((false, _), (true, _)) => self.rise(),
            ((true, _), (false, _)) => self.fall(),
            _ => {}
        }
    }

    /// The clock has risen: whoever listens takes the bit. `bits` counts them, 8 of an octet and its acknowledge.
    fn rise(&mut self) {
        if self.phase == Phase::Idle {
            return;
        }
        self.bits += 1;
        match self.phase {
            Phase::Give if self.bits == 9 && self.data => self.phase = Phase::Idle,
            Phase::Give => {}
            _ if self.bits <= 8 => self.shift = (self.shift << 1) | u8::from(self.data),
            _ => {}
        }
    }

    /// The clock has fallen: whoever talks puts the next bit on the wire. The fall that ends a start has no bit yet.
    fn fall(&mut self) {
        match (self.phase, self.bits) {
            (Phase::Idle, _) => self.released = true,
            (Phase::Give, 9) => self.give(),
            (Phase::Give, 8) => self.released = true,
            (Phase::Give, _) => {
                self.shift <<= 1;
                self.released = self.shift & 0x80 != 0;
            }
            (_, 8) => self.take(),
            (_, 9) => {
                self.released = true;
                self.bits = 0;
                if self.phase == Phase::Address {
                    if self.shift & 1 == 1 {
                        self.phase = Phase::Give;
                        self.give();
                    } else {
                        self.phase = Phase::Offset;
                    }
                } else if self.phase == Phase::Offset {
                    self.phase = Phase::Store;
                }
            }
            _ => {}
        }
    }

    /// An octet has come: acknowledges it, unless it was an address of somebody else.
    fn take(&mut self) {
        match self.phase {
            Phase::Address => {
                let address = self.shift & 0xfe;
                if address != IDENTITY && address != DIAGNOSTICS {
                    self.phase = Phase::Idle;
                    return;
                }
                self.chosen = address;
            }
            Phase::Offset => self.offset = self.shift,
            // The memory is write-protected: octets are taken, and forgotten.
            _ => self.offset = self.offset.wrapping_add(1),
        }
        self.released = false;
    }

    /// The next octet to give, its first bit at once.
    fn give(&mut self) {
        let memory = if self.chosen == DIAGNOSTICS {
            &self.diagnostics
        } else {
            &self.identity
        };
        self.shift = memory[usize::from(self.offset)];
        self.offset = self.offset.wrapping_add(1);
        self.bits = 0;
        self.released = self.shift & 0x80 != 0;
    }
}

fn put_text(field: &mut [u8], text: &str) {
    field.fill(b' ');
    for (octet, character) in field.iter_mut().zip(text.bytes()) {
        *octet = character;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The driver's side, one wire change a write, as ixgbe_phy.c does it.
    struct Master<'a>(&'a mut Sfp);

    impl Master<'_> {
        fn put(&mut self, clock: bool, data: bool) -> bool {
            let mut value = 0;
            if clock {
                value |= CLOCK_OUT;
            }
            if data {
                value |= DATA_OUT;
            }
            self.0.drive(value);
            self.0.wires() & DATA_IN != 0
        }

        fn start(&mut self) {
            self.put(false, true);
            self.put(true, true);
            self.put(true, false);
            self.put(false, false);
        }

        fn bit(&mut self, data: bool) -> bool {
            self.put(false, data);
            let seen = self.put(true, data);
            self.put(false, data);
            seen
        }

        /// Whether it was acknowledged.
        fn send(&mut self, octet: u8) -> bool {
            for bit in (0..8).rev() {
                self.bit((octet >> bit) & 1 == 1);
            }
            !self.bit(true)
        }

        fn receive(&mut self, last: bool) -> u8 {
            let octet = (0..8).fold(0, |octet, _| (octet << 1) | u8::from(self.bit(true)));
            self.bit(last);
            octet
        }

        fn stop(&mut self) {
            self.put(false, false);
            self.put(true, false);
            self.put(true, true);
        }

        fn read(&mut self, device: u8, offset: u8, count: usize) -> Option<Vec<u8>> {
            self.start();
            if !self.send(device) || !self.send(offset) {
                return None;
            }
            self.start();
            if !self.send(device | 1) {
                return None;
            }
            let octets = (1..=count).map(|i| self.receive(i == count)).collect();
            self.stop();
            Some(octets)
        }
    }

    #[test]
    fn octets_are_read_one_by_one_and_in_a_row() {
        let mut sfp = Sfp::default();
        let mut master = Master(&mut sfp);
        assert_eq!(master.read(IDENTITY, 0, 1), Some(vec![3]));
        assert_eq!(master.read(IDENTITY, 3, 1), Some(vec![0x10]));
        assert_eq!(master.read(IDENTITY, 37, 3), Some(vec![0x00, 0x1b, 0x21]));
        assert_eq!(master.read(DIAGNOSTICS, 96, 1), Some(vec![30]));
    }

    #[test]
    fn nobody_acknowledges_another_address_or_an_empty_cage() {
        let mut sfp = Sfp::default();
        assert_eq!(Master(&mut sfp).read(0x50, 0, 1), None);
        sfp.set_present(false);
        assert_eq!(Master(&mut sfp).read(IDENTITY, 0, 1), None);
        sfp.set_present(true);
        assert_eq!(Master(&mut sfp).read(IDENTITY, 0, 1), Some(vec![3]));
    }

    #[test]
    fn the_content_adds_up() {
        let sfp = Sfp::default();
        let sum = |octets: &[u8]| octets.iter().fold(0u8, |sum, o| sum.wrapping_add(*o));
        assert_eq!(sfp.identity[63], sum(&sfp.identity[..63]));
        assert_eq!(sfp.identity[95], sum(&sfp.identity[64..95]));
    }
}
