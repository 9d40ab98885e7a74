// SPDX-License-Identifier: BSD-2-Clause
//! The registers that only hold what was written, and which of their bits exist.
//!
//! Source of the masks: ixgbe_ethtool.c, reg_test_82599.

use crate::registers::{offset, FILE_SIZE};

/// Storage for all registers without behaviour of their own.
pub struct RegisterFile {
    words: Vec<u32>,
}

impl Default for RegisterFile {
    fn default() -> Self {
        Self::new()
    }
}

impl RegisterFile {
    /// All registers with their values after reset.
    pub fn new() -> Self {
        let mut file = RegisterFile {
            words: vec![0; (FILE_SIZE / 4) as usize],
        };
        file.reset();
        file
    }

    /// Gives all registers their values after reset.
    ///
    /// Source: ixgbe_82599.c, ixgbe_identify_phy_82599 and ixgbe_get_link_capabilities_82599 for the link's mode;
    /// ixgbe_common.c, ixgbe_set_rxpba_generic for the packet buffers.
    pub fn reset(&mut self) {
        self.words.fill(0);
        self.set(offset::AUTOC, 3 << 13);
        self.set(offset::AUTOC2, 2 << 16);
        self.set(offset::TXPBSIZE0, 0x2_8000);
        self.set(offset::MAXFRS, 1518 << 16);
        self.set(offset::VLNCTRL, 0x8100);
        self.set(offset::DMATXCTL, 0x8100 << 16);
        self.set(offset::HLREG0, 0x2 | 0x1 | 0x400);
    }

    /// Reads. What does not exist is 0.
    pub fn get(&self, offset: u32) -> u32 {
        self.words.get((offset / 4) as usize).copied().unwrap_or(0)
    }

    /// Stores, whatever bits exist.
    pub fn set(&mut self, offset: u32, value: u32) {
        if let Some(word) = self.words.get_mut((offset / 4) as usize) {
            *word = value;
        }
    }

    /// Writes the bits that exist.
    pub fn write(&mut self, offset: u32, value: u32) {
        self.set(offset, value & writable(offset));
    }

    /// `count` registers from `offset` on.
    pub fn slice(&self, offset: u32, count: usize) -> &[u32] {
        let first = (offset / 4) as usize;
        self.words.get(first..first + count).unwrap_or(&[])
    }
}

fn writable(offset: u32) -> u32 {
    match offset {
        // Receive address, high: address, valid bit.
        0xa200..=0xa5fc if offset % 8 == 4 => 0x8000_ffff,
        0x3220..=0x323c | 0x3260..=0x327c => 0x8007_fff0,
        _ => !0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_do_not_exist_stay_0() {
        let mut file = RegisterFile::new();
        file.write(offset::RAH0, !0);
        assert_eq!(file.get(offset::RAH0), 0x8000_ffff);
        file.write(offset::FCRTL0, !0);
        assert_eq!(file.get(offset::FCRTL0), 0x8007_fff0);
        file.write(0x1ff_fffc, 1);
        assert_eq!(file.get(0x1ff_fffc), 0);
    }
}
