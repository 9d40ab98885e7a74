// SPDX-License-Identifier: BSD-2-Clause
//! The EEPROM's content, and the registers by which it is read: EEC and EERD.
//!
//! Source: what the stock driver looks for, ixgbe_common.c and ixgbe_82599.c (functions named at each word).

/// Words of the EEPROM.
const WORDS: usize = 0x4000;

const EEC_PRESENT: u32 = 1 << 8;
const EEC_AUTO_READ_DONE: u32 = 1 << 9;
/// 2^(6 + 8) words.
const EEC_SIZE: u32 = 8 << 11;
const EERD_START: u32 = 1;
const EERD_DONE: u32 = 2;

/// The sum of the words that the checksum covers (ixgbe_calc_eeprom_checksum_generic).
const CHECKSUM: u16 = 0xbaba;
const CHECKSUM_WORD: usize = 0x3f;

/// The EEPROM.
pub struct Eeprom {
    words: Vec<u16>,
    answer: u32,
}

impl Eeprom {
    /// An EEPROM with the content that the driver of the 82599 wants, and `mac` as the port's address.
    pub fn new(mac: [u8; 6]) -> Self {
        let mut words = vec![0xffff; WORDS];
        // The checksum of the X550 covers words 0x40 and 0x41, too: they are 0 (ixgbe_calc_checksum_X550).
        words[..0x42].fill(0);
        for (word, pair) in words.iter_mut().zip(mac.chunks(2)) {
            *word = u16::from_le_bytes([pair[0], pair[1]]);
        }
        // No pointers to alternative addresses (ixgbe_get_san_mac_addr_offset, ixgbe_get_wwn_prefix_generic), nor to
        // sections that are only for other media.
        for pointer in [0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x17, 0x27, 0x28, 0x37] {
            words[pointer] = 0xffff;
        }
        // The board's part number in its old form: "E68785-001" (ixgbe_read_pba_string_generic).
        words[0x15] = 0xe687;
        words[0x16] = 0x8501;
        // No FCoE, and no delay against crosstalk (ixgbe_get_device_caps_generic, ixgbe_probe).
        words[0x2c] = 0x0082;
        // Version words (ixgbe_get_etk_id).
        words[0x2d] = 0x0ea0;
        words[0x2e] = 0x8000;
        // The firmware's block, with a version that is not before production (ixgbe_verify_fw_version_82599), and no
        // LESM (ixgbe_verify_lesm_fw_enabled_82599).
        words[0x0f] = 0x0100;
        words[0x0102] = 0xffff;
        words[0x0104] = 0x0110;
        words[0x0117] = 0x0006;
        // Start-up sequences of optical modules: kinds 3 to 6 (ixgbe_get_sfp_init_sequence_offsets); each list of words
        // ends at once.
        words[0x2b] = 0x0120;
        words[0x0120] = 0x0000;
        let mut at = 0x0121;
        for kind in 3..=6 {
            words[at] = kind;
            words[at + 1] = 0x0140;
            at += 2;
        }
        words[at] = 0xffff;
        words[0x0140] = 0x0000;
        words[0x0141] = 0xffff;
        let mut eeprom = Eeprom { words, answer: 0 };
        eeprom.words[CHECKSUM_WORD] = eeprom.checksum();
        eeprom
    }

    /// What word 0x3f must be (ixgbe_calc_eeprom_checksum_generic): words 0 to 0x3e and the sections that words 3 to
    /// 0xe point to add up with it.
    fn checksum(&self) -> u16 {
        let mut sum =
            (self.words[..CHECKSUM_WORD].iter()).fold(0u16, |sum, w| sum.wrapping_add(*w));
        for pointer in 0x03..0x0f {
            let at = usize::from(self.words[pointer]);
            if at == 0 || at == 0xffff {
                continue;
            }
            let length = usize::from(self.words[at]);
            if length == 0 || length == 0xffff {
                continue;
            }
            sum =
                (self.words[at + 1..=at + length].iter()).fold(sum, |sum, w| sum.wrapping_add(*w));
        }
        CHECKSUM.wrapping_sub(sum)
    }

    /// A word; those that do not exist are as if erased.
    pub fn word(&self, at: usize) -> u16 {
        self.words.get(at).copied().unwrap_or(0xffff)
    }

    /// EEC: an EEPROM is there, of this size, and has been read after reset.
    pub fn control(&self) -> u32 {
        EEC_PRESENT | EEC_AUTO_READ_DONE | EEC_SIZE
    }

    /// EERD, written: the word at bits 2 to 15 is asked for.
    pub fn ask(&mut self, value: u32) {
        if value & EERD_START == 0 {
            return;
        }
        let word = (value >> 2) as usize & (WORDS - 1);
        self.answer = (u32::from(self.words[word]) << 16) | (value & 0xfffc) | EERD_DONE;
    }

    /// EERD, read: the word, and that it is there.
    pub fn answer(&self) -> u32 {
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: ixgbe_common.c, ixgbe_read_eerd_buffer_generic.
    #[test]
    fn a_word_is_read_by_address() {
        let mut eeprom = Eeprom::new([2, 0, 0, 0x12, 0x34, 0x56]);
        eeprom.ask(EERD_START | (1 << 2));
        assert_eq!(eeprom.answer() & EERD_DONE, EERD_DONE);
        assert_eq!(eeprom.answer() >> 16, 0x1200);
    }

    /// Source: ixgbe_common.c, ixgbe_validate_eeprom_checksum_generic.
    #[test]
    fn all_words_and_sections_add_up() {
        let eeprom = Eeprom::new([2, 0, 0, 0, 0, 1]);
        assert_eq!(eeprom.checksum(), eeprom.words[CHECKSUM_WORD]);
    }
}
