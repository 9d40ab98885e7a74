// SPDX-License-Identifier: BSD-2-Clause
//! PCI configuration space: the header, and the capabilities PM, MSI-X, PCI Express and AER.
//!
//! Source: PCI Express base specification; the place of the capabilities is the real card's, whose driver reads the
//! link's width at a fixed offset (ixgbe_type.h, `IXGBE_PCI_LINK_STATUS`).

/// Octets of the space.
pub const SIZE: usize = 0x1000;
/// MSI-X vectors.
pub const VECTORS: usize = 64;
/// Octets of BAR 0: registers and flash.
pub const BAR0_SIZE: u64 = 0x8_0000;
/// Octets of BAR 4: the MSI-X table.
pub const BAR4_SIZE: u64 = 0x4000;
/// Where the MSI-X pending bits are in BAR 4.
const PENDING_BITS: u32 = 0x2000;

const COMMAND: usize = 0x04;
const PM: usize = 0x40;
const MSIX: usize = 0x70;
const EXPRESS: usize = 0xa0;
const AER: usize = 0x100;

const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;
const COMMAND_INTX_OFF: u16 = 1 << 10;
const DEVICE_CONTROL_FLR: u8 = 0x80;
const LINK_SPEED_WIDTH: u16 = 0x0082;

/// What a write asks of the rest of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// A function level reset.
    Reset,
    /// A return from sleep to D0, which resets the function, as it says no other in PMCSR.
    PowerUp,
    /// Bus mastering or power has been turned off.
    MasterOff,
}

/// Which card, as PCI tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device id.
    pub device: u16,
    /// Subsystem id.
    pub subsystem: u16,
    /// Revision.
    pub revision: u8,
    /// The function's interrupt pin, 1 to 4.
    pub pin: u8,
}

/// The configuration space of a port.
pub struct ConfigSpace {
    octets: Vec<u8>,
    writable: Vec<u8>,
}

impl ConfigSpace {
    /// The space after power-on.
    pub fn new(identity: Identity) -> Self {
        let mut space = ConfigSpace {
            octets: vec![0; SIZE],
            writable: vec![0; SIZE],
        };
        space.put16(0x00, 0x8086);
        space.put16(0x02, identity.device);
        space.put16(0x06, 0x0010);
        space.octets[0x08] = identity.revision;
        space.put16(0x0a, 0x0200);
        // BAR 0 and BAR 4: 64 bits, prefetchable.
        space.put32(0x10, 0xc);
        space.put32(0x20, 0xc);
        space.put16(0x2c, 0x8086);
        space.put16(0x2e, identity.subsystem);
        space.octets[0x34] = PM as u8;
        space.octets[0x3d] = identity.pin;
        space.let16(COMMAND, 0x0547);
        space.octets_writable(0x0c, 2);
        space.octets_writable(0x10, 0x18);
        space.octets_writable(0x3c, 1);

        space.put16(PM, 0x0001 | ((MSIX as u16) << 8));
        space.put16(PM + 2, 0x4823);
        space.let16(PM + 4, 0x0103);

        space.put16(MSIX, 0x0011 | ((EXPRESS as u16) << 8));
        space.put16(MSIX + 2, VECTORS as u16 - 1);
        space.let16(MSIX + 2, 0xc000);
        space.put32(MSIX + 4, 4);
        space.put32(MSIX + 8, PENDING_BITS | 4);

        space.put16(EXPRESS, 0x0010);
        space.put16(EXPRESS + 2, 0x0002);
        // 512 octets of payload, function level reset.
        space.put32(EXPRESS + 4, 0x1000_8cc2);
        space.put16(EXPRESS + 8, 0x2810);
        space.let16(EXPRESS + 8, 0x7fff);
        space.put32(EXPRESS + 0xc, 0x0003_fc82);
        space.let16(EXPRESS + 0x10, 0x0fc3);
        space.put16(EXPRESS + 0x12, LINK_SPEED_WIDTH);
        space.put32(EXPRESS + 0x24, 0x1f);
        space.let16(EXPRESS + 0x28, 0x1f);
        space.put16(EXPRESS + 0x30, 0x0002);

        space.put32(AER, 0x0001_0001);
        for register in [0x08, 0x0c, 0x14] {
            space.octets_writable(AER + register, 4);
        }
        space
    }

    fn put16(&mut self, at: usize, value: u16) {
        self.octets[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, at: usize, value: u32) {
        self.octets[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn get16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.octets[at], self.octets[at + 1]])
    }

    fn let16(&mut self, at: usize, mask: u16) {
        self.writable[at..at + 2].copy_from_slice(&mask.to_le_bytes());
    }

    fn octets_writable(&mut self, at: usize, count: usize) {
        self.writable[at..at + count].fill(0xff);
    }

    /// Reads; what lies outside is all ones.
    pub fn read(&self, at: usize, data: &mut [u8]) {
        for (offset, octet) in data.iter_mut().enumerate() {
            *octet = self.octets.get(at + offset).copied().unwrap_or(0xff);
        }
    }

    /// Writes what is writable.
    pub fn write(&mut self, at: usize, data: &[u8]) -> Effect {
        let was = (self.masters(), self.awake());
        for (offset, &new) in data.iter().enumerate() {
            let Some(mask) = self.writable.get(at + offset).copied() else {
                continue;
            };
            let octet = &mut self.octets[at + offset];
            *octet = (*octet & !mask) | (new & mask);
        }
        let control = EXPRESS + 9;
        if (at..at + data.len()).contains(&control) && data[control - at] & DEVICE_CONTROL_FLR != 0
        {
            return Effect::Reset;
        }
        match (was, (self.masters(), self.awake())) {
            ((_, false), (_, true)) => Effect::PowerUp,
            ((true, _), (false, _)) => Effect::MasterOff,
            _ => Effect::None,
        }
    }

    fn awake(&self) -> bool {
        self.get16(PM + 4) & 3 == 0
    }

    /// Whether the function may access memory.
    pub fn masters(&self) -> bool {
        self.get16(COMMAND) & COMMAND_MASTER != 0 && self.awake()
    }

    /// Whether the function answers to accesses of its BARs.
    pub fn answers(&self) -> bool {
        self.get16(COMMAND) & COMMAND_MEMORY != 0 && self.awake()
    }

    /// Whether the function may pull its interrupt line.
    pub fn line_allowed(&self) -> bool {
        self.get16(COMMAND) & COMMAND_INTX_OFF == 0 && !self.msix()
    }

    /// Whether the function sends messages.
    pub fn msix(&self) -> bool {
        self.get16(MSIX + 2) & 0x8000 != 0
    }

    /// What a function level reset does to the space.
    pub fn reset(&mut self) {
        self.put16(COMMAND, 0);
        self.put16(PM + 4, 0);
        self.put16(MSIX + 2, VECTORS as u16 - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> ConfigSpace {
        ConfigSpace::new(Identity {
            device: 0x10fb,
            subsystem: 3,
            revision: 1,
            pin: 1,
        })
    }

    #[test]
    fn every_capability_is_found() {
        let space = space();
        let mut found = Vec::new();
        let mut at = space.octets[0x34];
        while at != 0 {
            found.push(space.octets[usize::from(at)]);
            at = space.octets[usize::from(at) + 1];
        }
        assert_eq!(found, [0x01, 0x11, 0x10]);
        assert_eq!(space.octets[AER], 1);
        assert_eq!(space.get16(0xb2), LINK_SPEED_WIDTH);
    }

    #[test]
    fn identity_cannot_be_written() {
        let mut space = space();
        assert_eq!(space.write(0, &[0; 4]), Effect::None);
        assert_eq!(space.get16(2), 0x10fb);
    }

    #[test]
    fn flr_is_asked_for_by_one_bit() {
        let mut space = space();
        assert_eq!(space.write(EXPRESS + 8, &[0x10, 0xa8]), Effect::Reset);
        assert_eq!(space.get16(EXPRESS + 8) & 0x8000, 0);
        assert_eq!(space.write(EXPRESS + 8, &[0x10, 0x28]), Effect::None);
    }

    #[test]
    fn sleep_stops_everything_and_waking_resets() {
        let mut space = space();
        space.write(COMMAND, &[6, 0]);
        assert!(space.masters() && space.answers());
        assert_eq!(space.write(PM + 4, &[3, 0]), Effect::MasterOff);
        assert!(!space.masters() && !space.answers());
        assert_eq!(space.write(PM + 4, &[0, 0]), Effect::PowerUp);
    }
}
