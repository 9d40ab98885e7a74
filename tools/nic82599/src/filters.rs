// SPDX-License-Identifier: BSD-2-Clause
//! The layer 2 filters: which frames of the wire are for this port.

use crate::packet::ETHERNET;
use crate::vlan;

/// FCTRL and VLNCTRL bits.
mod bits {
    /// FCTRL: all multicast frames.
    pub const MPE: u32 = 1 << 8;
    /// FCTRL: all unicast frames.
    pub const UPE: u32 = 1 << 9;
    /// FCTRL: broadcast frames.
    pub const BAM: u32 = 1 << 10;
    /// MCSTCTRL: the multicast table is used.
    pub const MFE: u32 = 1 << 2;
    /// RAH: the address is valid.
    pub const AV: u32 = 1 << 31;
    /// VLNCTRL: the VLAN table is used.
    pub const VFE: u32 = 1 << 30;
    /// VLNCTRL: the canonical form bit is compared.
    pub const CFIEN: u32 = 1 << 29;
    /// VLNCTRL: the canonical form bit to compare with.
    pub const CFI: u32 = 1 << 28;
}

/// Kind of destination address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cast {
    /// To one station.
    Unicast,
    /// To a group.
    Multicast,
    /// To all.
    Broadcast,
}

impl Cast {
    /// The kind of a frame's destination.
    pub fn of(frame: &[u8]) -> Cast {
        match frame {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => Cast::Broadcast,
            [first, ..] if first & 1 != 0 => Cast::Multicast,
            _ => Cast::Unicast,
        }
    }
}

/// The registers of the filters.
#[derive(Debug, Clone, Copy)]
pub struct Filters<'a> {
    /// FCTRL.
    pub fctrl: u32,
    /// MCSTCTRL.
    pub mcstctrl: u32,
    /// VLNCTRL.
    pub vlnctrl: u32,
    /// RAL and RAH in turn, 128 pairs.
    pub addresses: &'a [u32],
    /// MTA, 128 words.
    pub multicast: &'a [u32],
    /// VFTA, 128 words.
    pub vlans: &'a [u32],
}

impl Filters<'_> {
    /// Whether the frame is for this port.
    ///
    /// Source: datasheet section 7.1.1; ixgbe_main.c: ixgbe_set_rx_mode.
    pub fn accept(&self, frame: &[u8]) -> bool {
        frame.len() >= ETHERNET && self.accept_address(frame) && self.accept_vlan(frame)
    }

    fn accept_address(&self, frame: &[u8]) -> bool {
        match Cast::of(frame) {
            Cast::Broadcast => self.fctrl & bits::BAM != 0,
            Cast::Multicast => {
                self.fctrl & bits::MPE != 0 || self.is_exact(frame) || self.is_in_table(frame)
            }
            Cast::Unicast => self.fctrl & bits::UPE != 0 || self.is_exact(frame),
        }
    }

    /// Source: ixgbe_common.c: ixgbe_set_rar_generic (RAL has the first octet in its lowest bits).
    fn is_exact(&self, frame: &[u8]) -> bool {
        let low = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]);
        let high = u32::from(u16::from_le_bytes([frame[4], frame[5]]));
        self.addresses
            .chunks_exact(2)
            .any(|pair| pair[1] & bits::AV != 0 && pair[0] == low && pair[1] & 0xffff == high)
    }

    /// The table has a bit for 12 bits of the address; which 12, MCSTCTRL.MO says.
    ///
    /// Source: ixgbe_common.c: ixgbe_mta_vector and ixgbe_set_mta.
    fn is_in_table(&self, frame: &[u8]) -> bool {
        if self.mcstctrl & bits::MFE == 0 {
            return false;
        }
        let tail = u16::from_le_bytes([frame[4], frame[5]]);
        let vector = match self.mcstctrl & 3 {
            0 => tail >> 4,
            1 => tail >> 3,
            2 => tail >> 2,
            _ => tail,
        };
        is_set(self.multicast, vector & 0xfff)
    }

    /// A frame without a tag passes; so does one whose identifier has its bit in the table.
    ///
    /// Source: ixgbe_common.c: ixgbe_set_vfta_generic; datasheet section 8.2.3.7.2 (CFI).
    fn accept_vlan(&self, frame: &[u8]) -> bool {
        if self.vlnctrl & bits::VFE == 0 {
            return true;
        }
        let Some(tci) = vlan::tag(frame) else {
            return true;
        };
        let canonical_agrees = self.vlnctrl & bits::CFIEN == 0
            || (self.vlnctrl & bits::CFI != 0) == (tci & 0x1000 != 0);
        canonical_agrees && is_set(self.vlans, tci & 0xfff)
    }
}

fn is_set(table: &[u32], bit: u16) -> bool {
    table
        .get(usize::from(bit / 32))
        .is_some_and(|word| (word >> (bit % 32)) & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::examples;

    struct Registers {
        addresses: Vec<u32>,
        multicast: Vec<u32>,
        vlans: Vec<u32>,
    }

    impl Registers {
        fn new() -> Self {
            let mut registers = Registers {
                addresses: vec![0; 256],
                multicast: vec![0; 128],
                vlans: vec![0; 128],
            };
            // 02:00:00:00:00:02 in place 3.
            registers.addresses[6] = 2;
            registers.addresses[7] = 0x8000_0200;
            registers
        }

        fn filters(&self) -> Filters<'_> {
            Filters {
                fctrl: bits::BAM,
                mcstctrl: 0,
                vlnctrl: 0,
                addresses: &self.addresses,
                multicast: &self.multicast,
                vlans: &self.vlans,
            }
        }
    }

    fn to(destination: [u8; 6]) -> Vec<u8> {
        let mut frame = examples::udp4(60);
        frame[..6].copy_from_slice(&destination);
        frame
    }

    #[test]
    fn unicast_needs_a_valid_address() {
        let mut registers = Registers::new();
        assert!(registers.filters().accept(&to([2, 0, 0, 0, 0, 2])));
        assert!(!registers.filters().accept(&to([2, 0, 0, 0, 0, 3])));
        let promiscuous = Filters {
            fctrl: bits::UPE,
            ..registers.filters()
        };
        assert!(promiscuous.accept(&to([2, 0, 0, 0, 0, 3])));
        registers.addresses[7] = 0x200;
        assert!(!registers.filters().accept(&to([2, 0, 0, 0, 0, 2])));
    }

    #[test]
    fn broadcast_needs_its_bit() {
        let registers = Registers::new();
        assert!(registers.filters().accept(&to([255; 6])));
        let none = Filters {
            fctrl: 0,
            ..registers.filters()
        };
        assert!(!none.accept(&to([255; 6])));
    }

    #[test]
    fn multicast_by_table_or_all() {
        let mut registers = Registers::new();
        let group = to([1, 0, 0x5e, 0, 0x12, 0x34]);
        // Type 0: bits 47:36, that is 0x341.
        registers.multicast[0x341 >> 5] = 1 << (0x341 & 31);
        assert!(!registers.filters().accept(&group));
        let table = Filters {
            mcstctrl: bits::MFE,
            ..registers.filters()
        };
        assert!(table.accept(&group));
        assert!(!table.accept(&to([1, 0, 0x5e, 0, 0x22, 0x34])));
        let other_bits = Filters {
            mcstctrl: bits::MFE | 3,
            ..registers.filters()
        };
        assert!(!other_bits.accept(&group));
        let all = Filters {
            fctrl: bits::MPE,
            ..registers.filters()
        };
        assert!(all.accept(&group));
    }

    #[test]
    fn vlan_table() {
        let mut registers = Registers::new();
        registers.vlans[100 / 32] = 1 << (100 % 32);
        let filters = Filters {
            vlnctrl: bits::VFE,
            ..registers.filters()
        };
        let plain = to([2, 0, 0, 0, 0, 2]);
        assert!(filters.accept(&plain));
        assert!(filters.accept(&examples::tagged(&plain, 0x6064)));
        assert!(!filters.accept(&examples::tagged(&plain, 101)));
        assert!(registers.filters().accept(&examples::tagged(&plain, 101)));
        let canonical = Filters {
            vlnctrl: bits::VFE | bits::CFIEN,
            ..registers.filters()
        };
        assert!(canonical.accept(&examples::tagged(&plain, 100)));
        assert!(!canonical.accept(&examples::tagged(&plain, 0x1064)));
    }

    #[test]
    fn a_stump_is_for_nobody() {
        let registers = Registers::new();
        assert!(!registers.filters().accept(&[255; 13]));
    }
}
