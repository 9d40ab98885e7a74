// SPDX-License-Identifier: BSD-2-Clause
//! The management bus to a PHY outside the card: MSCA and MSRWD. A card with an optical module has none.
//!
//! Source: ixgbe_type.h, `IXGBE_MSCA_*`, `IXGBE_MSRWD_*`; ixgbe_phy.c, ixgbe_identify_phy_generic.

const COMMAND: u32 = 1 << 30;
const DATA_SHIFT: u32 = 16;
/// What nobody pulls down.
const NOBODY: u16 = 0xffff;

/// The bus.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bus {
    command: u32,
    data: u16,
}

impl Bus {
    /// MSCA, written: the command is done at once.
    pub fn command(&mut self, value: u32) {
        self.command = value & !COMMAND;
        self.data = NOBODY;
    }

    /// MSCA, read.
    pub fn state(&self) -> u32 {
        self.command
    }

    /// MSRWD, read: what the PHY answered.
    pub fn data(&self) -> u32 {
        u32::from(self.data) << DATA_SHIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_answers() {
        let mut bus = Bus::default();
        bus.command(COMMAND | 0x0c00_0000);
        assert_eq!(bus.state() & COMMAND, 0);
        assert_eq!(bus.data(), 0xffff_0000);
    }
}
