// SPDX-License-Identifier: BSD-2-Clause
//! The firmware of an X550, as far as the driver needs it: commands in shared memory, by which the EEPROM is read.
//!
//! Source: ixgbe_common.c, ixgbe_hic_unlocked; ixgbe_x550.c, ixgbe_read_ee_hostif_buffer_X550, ixgbe_set_fw_drv_ver_x550.

use crate::eeprom::Eeprom;

/// HICR: the interface is there; a command is pending; its answer is valid.
const ENABLED: u32 = 1;
const PENDING: u32 = 2;
const VALID: u32 = 4;

const READ_EEPROM: u8 = 0x31;
const SUCCESS: u8 = 1;
/// Where in the answer the words begin.
const DATA: usize = 12;
/// Octets of shared memory.
const MEMORY: usize = 0x700;

/// The firmware and the memory that it shares with the driver.
pub struct Firmware {
    memory: Vec<u8>,
    status: u32,
}

impl Default for Firmware {
    fn default() -> Self {
        Firmware {
            memory: vec![0; MEMORY],
            status: ENABLED,
        }
    }
}

impl Firmware {
    /// A word of the shared memory, at an offset in octets.
    pub fn load(&self, at: u32) -> u32 {
        let mut octets = [0; 4];
        for (octet, from) in octets.iter_mut().zip(self.memory.iter().skip(at as usize)) {
            *octet = *from;
        }
        u32::from_le_bytes(octets)
    }

    /// The driver writes a word of the shared memory.
    pub fn store(&mut self, at: u32, value: u32) {
        let at = at as usize;
        if let Some(place) = self.memory.get_mut(at..).and_then(|rest| rest.get_mut(..4)) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// HICR, read.
    pub fn status(&self) -> u32 {
        self.status
    }

    /// HICR, written: a pending command is done at once.
    pub fn command(&mut self, value: u32, eeprom: &Eeprom) {
        self.status = ENABLED;
        if value & PENDING == 0 {
            return;
        }
        if self.memory[0] == READ_EEPROM {
            let octet = |at: usize| usize::from(self.memory[at]);
            let address = (octet(4) << 24) | (octet(5) << 16) | (octet(6) << 8) | octet(7);
            let length = (octet(8) << 8) | octet(9);
            let words = (address / 2..).map(|at| eeprom.word(at).to_le_bytes());
            let octets: Vec<u8> = words.take(length.div_ceil(2)).flatten().collect();
            for (place, octet) in self.memory[DATA..].iter_mut().zip(octets) {
                *place = octet;
            }
        }
        self.memory[2] = SUCCESS;
        self.status |= VALID;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_eeprom_are_read_by_command() {
        let eeprom = Eeprom::new([2, 0, 0, 0x12, 0x34, 0x56]);
        let mut firmware = Firmware::default();
        firmware.store(0, u32::from(READ_EEPROM));
        firmware.store(4, 2u32.swap_bytes());
        firmware.store(8, u32::from(4u16.swap_bytes()));
        firmware.command(ENABLED | PENDING, &eeprom);
        assert_eq!(firmware.status(), ENABLED | VALID);
        assert_eq!(firmware.load(DATA as u32), 0x5634_1200);
    }

    #[test]
    fn what_lies_outside_is_nothing() {
        let mut firmware = Firmware::default();
        firmware.store(0xffff_fffc, 1);
        firmware.store(0, u32::from(READ_EEPROM));
        firmware.store(4, !0);
        firmware.store(8, !0);
        let eeprom = Eeprom::new([0; 6]);
        firmware.command(PENDING, &eeprom);
        assert_eq!(firmware.load(0xffff_fffc), 0);
    }
}
