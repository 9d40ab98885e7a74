// SPDX-License-Identifier: BSD-2-Clause
//! The management bus to a PHY, MSCA and MSRWD; and the PHY of the cards with twisted pair. A card with an optical module
//! has nobody on the bus.
//!
//! Source: ixgbe_type.h, `IXGBE_MSCA_*`, `IXGBE_MSRWD_*`; ixgbe_phy.c, ixgbe_identify_phy_generic; IEEE 802.3 clause 45.

use std::collections::HashMap;

const COMMAND: u32 = 1 << 30;
const DATA_SHIFT: u32 = 16;
/// What nobody pulls down.
const NOBODY: u16 = 0xffff;
const OPERATION_WRITE: u32 = 1;
const OPERATION_ADDRESS: u32 = 0;

/// Devices of a PHY, and registers in them.
const PMA: u8 = 1;
const NEGOTIATION: u8 = 7;
const VENDOR: u8 = 30;
const CONTROL: u16 = 0;
const CONTROL_RESET: u16 = 1 << 15;
const CONTROL_LOW_POWER: u16 = 1 << 11;

/// The bus.
#[derive(Debug, Clone, Default)]
pub struct Bus {
    command: u32,
    to_write: u16,
    data: u16,
    phy: Option<Phy>,
}

impl Bus {
    /// A bus with a PHY of this identity at address 0.
    pub fn with_phy(identity: u32) -> Self {
        Bus {
            phy: Some(Phy::new(identity)),
            ..Bus::default()
        }
    }

    /// What a reset of the device does: the PHY has one of its own.
    pub fn reset(&mut self) {
        (self.command, self.to_write, self.data) = (0, 0, 0);
    }

    /// MSRWD, written: the data of a write that follows.
    pub fn set_data(&mut self, value: u32) {
        self.to_write = value as u16;
    }

    /// MSCA, written: the command is done at once.
    pub fn command(&mut self, value: u32) {
        self.command = value & !COMMAND;
        if value & COMMAND == 0 {
            return;
        }
        let (register, device) = (value as u16, (value >> 16) as u8 & 0x1f);
        let address = (value >> 21) & 0x1f;
        self.data = NOBODY;
        let Some(phy) = self.phy.as_mut().filter(|_| address == 0) else {
            return;
        };
        match (value >> 26) & 3 {
            OPERATION_ADDRESS => {}
            OPERATION_WRITE => phy.write(device, register, self.to_write),
            _ => self.data = phy.read(device, register),
        }
    }

    /// MSCA, read.
    pub fn state(&self) -> u32 {
        self.command
    }

    /// MSRWD, read: what the PHY answered.
    pub fn data(&self) -> u32 {
        (u32::from(self.data) << DATA_SHIFT) | u32::from(self.to_write)
    }

    /// Whether there is a PHY, and it has power.
    pub fn talks(&self) -> bool {
        (self.phy.as_ref()).is_some_and(|phy| phy.read(VENDOR, CONTROL) & CONTROL_LOW_POWER == 0)
    }
}

/// A 10GBASE-T PHY: what the driver looks for, and storage.
#[derive(Debug, Clone)]
struct Phy {
    registers: HashMap<(u8, u16), u16>,
}

impl Phy {
    fn new(identity: u32) -> Self {
        let fixed = [
            ((PMA, 2), (identity >> 16) as u16),
            ((PMA, 3), identity as u16),
            // 10 Gbit/s, 1 Gbit/s, 100 Mbit/s.
            ((PMA, 4), 0x0031),
            // The devices in it: PMA, PCS, PHY XS, negotiation.
            ((PMA, 5), 0x009a),
            ((PMA, 8), 0x8000),
            ((PMA, 11), 0x00a4),
            // Negotiation has ended, and there is a link.
            ((NEGOTIATION, 1), 0x0024),
        ];
        Phy {
            registers: fixed.into_iter().collect(),
        }
    }

    fn read(&self, device: u8, register: u16) -> u16 {
        self.registers
            .get(&(device, register))
            .copied()
            .unwrap_or(0)
    }

    fn write(&mut self, device: u8, register: u16, value: u16) {
        let identity = device == PMA && (1..12).contains(&register);
        if !identity {
            let value = if register == CONTROL {
                value & !CONTROL_RESET
            } else {
                value
            };
            self.registers.insert((device, register), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: u32 = COMMAND | (3 << 26);
    const WRITE: u32 = COMMAND | (1 << 26);

    #[test]
    fn nobody_answers() {
        let mut bus = Bus::default();
        bus.command(READ);
        assert_eq!(bus.state() & COMMAND, 0);
        assert_eq!(bus.data(), 0xffff_0000);
        assert!(!bus.talks());
    }

    /// Source: ixgbe_phy.c, ixgbe_get_phy_id.
    #[test]
    fn a_phy_tells_who_it_is_at_its_address() {
        let mut bus = Bus::with_phy(0x0154_0200);
        bus.command(COMMAND | (1 << 16) | 2);
        bus.command(READ | (1 << 16) | 2);
        assert_eq!(bus.data() >> 16, 0x0154);
        bus.command(READ | (1 << 21) | (1 << 16) | 2);
        assert_eq!(bus.data() >> 16, 0xffff);
    }

    /// Source: ixgbe_phy.c, ixgbe_set_copper_phy_power, ixgbe_reset_phy_generic.
    #[test]
    fn power_is_a_bit_and_reset_clears_itself() {
        let mut bus = Bus::with_phy(0x0154_0200);
        assert!(bus.talks());
        bus.set_data(u32::from(CONTROL_LOW_POWER | CONTROL_RESET));
        bus.command(WRITE | (30 << 16));
        assert!(!bus.talks());
        bus.command(READ | (30 << 16));
        assert_eq!(bus.data() >> 16, u32::from(CONTROL_LOW_POWER));
    }
}
