// SPDX-License-Identifier: BSD-2-Clause
//! Descriptors: 16 octets in the guest's memory, as two words.
//!
//! Source: ixgbe_type.h, `union ixgbe_adv_rx_desc`, `union ixgbe_adv_tx_desc`, `struct ixgbe_adv_tx_context_desc`.

use crate::segmentation::Context;

/// Octets of a descriptor.
pub const SIZE: u64 = 16;

/// A descriptor as it is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Raw(pub [u64; 2]);

impl Raw {
    /// From the octets in memory.
    pub fn from_octets(octets: &[u8]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&octets[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Raw([word(0), word(8)])
    }
}

/// Report of a received frame's descriptor.
pub mod rx {
    /// The descriptor is done.
    pub const DD: u32 = 1 << 0;
    /// The frame ends here.
    pub const EOP: u32 = 1 << 1;
    /// A flow director filter matched.
    pub const FLM: u32 = 1 << 2;
    /// The VLAN tag is in the report.
    pub const VP: u32 = 1 << 3;
    /// The frame came back from the own transmitter.
    pub const LB: u32 = 1 << 18;
    /// Where the next descriptor of a coalesced frame is told.
    pub const NEXTP_SHIFT: u32 = 4;
    /// Where the count of coalesced frames is, in the low word.
    pub const RSCCNT_SHIFT: u32 = 17;
}

/// What the card reports of a frame in a receive descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RxReport {
    /// RSS type, packet type, count of coalesced frames.
    pub kind: u32,
    /// The hash, or the checksum.
    pub hash: u32,
    /// Status and errors.
    pub status: u32,
    /// Octets in this descriptor's buffer.
    pub length: u16,
    /// VLAN tag.
    pub vlan: u16,
}

impl RxReport {
    /// As it is written back.
    pub fn encode(self) -> Raw {
        Raw([
            u64::from(self.kind) | (u64::from(self.hash) << 32),
            u64::from(self.status) | (u64::from(self.length) << 32) | (u64::from(self.vlan) << 48),
        ])
    }
}

/// Bits of a transmit descriptor's second word, as 64 bits.
mod tx {
    pub const EOP: u64 = 1 << 24;
    pub const RS: u64 = 1 << 27;
    pub const DEXT: u64 = 1 << 29;
    pub const VLE: u64 = 1 << 30;
    pub const TSE: u64 = 1 << 31;
    pub const DD: u64 = 1 << 32;
    pub const CONTEXT_SHIFT: u64 = 36;
    pub const IXSM: u64 = 1 << 40;
    pub const TXSM: u64 = 1 << 41;
    pub const PAYLEN_SHIFT: u64 = 46;
    pub const TYPE_SHIFT: u64 = 20;
    pub const TYPE_CONTEXT: u64 = 2;
    pub const TYPE_DATA: u64 = 3;
}

/// A report that a transmit descriptor is done.
pub const TX_DONE: u64 = tx::DD;

/// A buffer with octets to send: an advanced data descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data {
    /// Where the octets are.
    pub address: u64,
    /// How many.
    pub length: u16,
    /// The frame ends here.
    pub end: bool,
    /// A report is asked for.
    pub report: bool,
    /// A VLAN tag is to be inserted.
    pub vlan: bool,
    /// The packet is to be cut into segments.
    pub segment: bool,
    /// Which context tells about the headers.
    pub context: u8,
    /// The IPv4 header's checksum is to be inserted.
    pub ip_checksum: bool,
    /// The transport's checksum is to be inserted.
    pub l4_checksum: bool,
    /// Octets of the whole packet, without the headers if it is segmented. Not there in a legacy descriptor.
    pub payload: Option<u32>,
    /// VLAN tag of a legacy descriptor.
    pub legacy_vlan: u16,
}

/// A transmit descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxDescriptor {
    /// How headers lie.
    Context(Context),
    /// Octets.
    Data(Data),
    /// Of no known type.
    Unknown,
}

impl TxDescriptor {
    /// Decodes.
    pub fn decode(raw: Raw) -> Self {
        let [address, word] = raw.0;
        let common = Data {
            address,
            length: word as u16,
            end: word & tx::EOP != 0,
            report: word & tx::RS != 0,
            vlan: word & tx::VLE != 0,
            ..Data::default()
        };
        if word & tx::DEXT == 0 {
            return TxDescriptor::Data(Data {
                legacy_vlan: (word >> 48) as u16,
                ..common
            });
        }
        match (word >> tx::TYPE_SHIFT) & 0xf {
            tx::TYPE_CONTEXT => TxDescriptor::Context(Context::decode([
                address as u32,
                (address >> 32) as u32,
                word as u32,
                (word >> 32) as u32,
            ])),
            tx::TYPE_DATA => TxDescriptor::Data(Data {
                segment: word & tx::TSE != 0,
                context: ((word >> tx::CONTEXT_SHIFT) & 1) as u8,
                ip_checksum: word & tx::IXSM != 0,
                l4_checksum: word & tx::TXSM != 0,
                payload: Some((word >> tx::PAYLEN_SHIFT) as u32),
                ..common
            }),
            _ => TxDescriptor::Unknown,
        }
    }

    /// Whether the card's own report is still in it. A context descriptor has other things there.
    pub fn is_done(raw: Raw) -> bool {
        let word = raw.0[1];
        let data = word & tx::DEXT == 0 || (word >> tx::TYPE_SHIFT) & 0xf == tx::TYPE_DATA;
        data && word & tx::DD != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: ixgbe_main.c, ixgbe_tx_map.
    #[test]
    fn data_is_decoded() {
        let word = 60 | (3 << 20) | tx::DEXT | tx::EOP | tx::RS | tx::TXSM | (60 << 46);
        let TxDescriptor::Data(data) = TxDescriptor::decode(Raw([0x1000, word])) else {
            panic!("no data");
        };
        assert_eq!(
            (data.address, data.length, data.payload),
            (0x1000, 60, Some(60))
        );
        assert!(data.end && data.report && data.l4_checksum && !data.ip_checksum && !data.segment);
    }

    #[test]
    fn length_and_status_share_a_word() {
        let report = RxReport {
            status: rx::DD | rx::EOP,
            length: 60,
            vlan: 7,
            ..RxReport::default()
        };
        assert_eq!(report.encode().0[1], 0x0007_003c_0000_0003);
    }
}
