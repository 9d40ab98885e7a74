// SPDX-License-Identifier: BSD-2-Clause
//! VLAN tags: inserted on transmit, stripped on receive.

use crate::packet::VLAN;

/// Puts a tag behind the addresses.
///
/// Source: ixgbe_main.c: ixgbe_tx_cmd_type (`IXGBE_ADVTXD_DCMD_VLE`, the tag in the context descriptor).
pub fn insert(frame: &mut Vec<u8>, tci: u16) {
    if frame.len() >= 12 {
        let [high, low] = tci.to_be_bytes();
        let [kind_high, kind_low] = VLAN.to_be_bytes();
        frame.splice(12..12, [kind_high, kind_low, high, low]);
    }
}

/// Takes the tag out and returns its control information, if there is one.
///
/// Source: ixgbe_main.c: ixgbe_process_skb_fields (`IXGBE_RXD_STAT_VP`, the tag in the descriptor).
pub fn strip(frame: &mut Vec<u8>) -> Option<u16> {
    let tci = tag(frame)?;
    frame.drain(12..16);
    Some(tci)
}

/// The tag's control information, if the frame has a tag.
pub fn tag(frame: &[u8]) -> Option<u16> {
    let tag = frame.get(12..16)?;
    (tag[..2] == VLAN.to_be_bytes()).then(|| u16::from_be_bytes([tag[2], tag[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::examples;

    #[test]
    fn strip_undoes_insert() {
        let plain = examples::udp4(64);
        let mut frame = plain.clone();
        insert(&mut frame, 0x6123);
        assert_eq!(frame, examples::tagged(&plain, 0x6123));
        assert_eq!(tag(&frame), Some(0x6123));
        assert_eq!(strip(&mut frame), Some(0x6123));
        assert_eq!(frame, plain);
        assert_eq!(strip(&mut frame), None);
    }
}
