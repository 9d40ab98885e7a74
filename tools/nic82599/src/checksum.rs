// SPDX-License-Identifier: BSD-2-Clause
//! Checksum offload: sums inserted on transmit, verified on receive.

use crate::packet::{Headers, Network, Transport};
use frame::{fold, sum};

/// Status and error bits of a receive descriptor, in place in its `status_error` word.
pub mod status {
    /// The IPv4 header's checksum was verified.
    pub const IPCS: u32 = 1 << 6;
    /// The TCP or UDP checksum was verified.
    pub const L4CS: u32 = 1 << 5;
    /// The packet is UDP and its checksum was verified.
    pub const UDPCS: u32 = 1 << 4;
    /// The IPv4 header's checksum is wrong.
    pub const IPE: u32 = 1 << 31;
    /// The TCP or UDP checksum is wrong.
    pub const TCPE: u32 = 1 << 30;
}

/// Writes the IPv4 header's checksum. `at` is where the header starts, `end` where it ends.
///
/// Source: ixgbe_main.c: ixgbe_tso and ixgbe_tx_olinfo_status (`IXGBE_ADVTXD_POPTS_IXSM`).
pub fn insert_ipv4(frame: &mut [u8], at: usize, end: usize) {
    if at + 20 <= end && end <= frame.len() {
        frame[at + 10..at + 12].fill(0);
        let check = fold(sum(&frame[at..end], 0));
        frame[at + 10..at + 12].copy_from_slice(&check.to_be_bytes());
    }
}

/// Writes the transport checksum over `start..` into the field of `transport`, which holds the sum of the pseudo header.
///
/// Returns false, and leaves the frame as it is, if the field is outside of the frame.
/// Source: ixgbe_main.c: ixgbe_tx_csum (`IXGBE_ADVTXD_POPTS_TXSM`); a UDP sum of zero goes out as 0xffff (RFC 768);
/// SCTP has a CRC32c of its own (RFC 9260, appendix A).
pub fn insert_transport(frame: &mut [u8], start: usize, transport: Transport) -> bool {
    let field = start + field(transport);
    let width = if transport == Transport::Sctp { 4 } else { 2 };
    if field + width > frame.len() {
        return false;
    }
    if transport == Transport::Sctp {
        frame[field..field + 4].fill(0);
        let check = crc32c(&frame[start..]);
        frame[field..field + 4].copy_from_slice(&check.to_le_bytes());
        return true;
    }
    let check = match (fold(sum(&frame[start..], 0)), transport) {
        (0, Transport::Udp) => 0xffff,
        (check, _) => check,
    };
    frame[field..field + 2].copy_from_slice(&check.to_be_bytes());
    true
}

/// Where the checksum is in a transport header.
fn field(transport: Transport) -> usize {
    match transport {
        Transport::Tcp => 16,
        Transport::Udp => 6,
        Transport::Sctp => 8,
    }
}

/// The status and error bits that the receive path reports for a frame.
///
/// A UDP packet without a checksum is not verified, and neither is the transport of a fragment.
/// Source: datasheet section 7.1.11; ixgbe_main.c: ixgbe_rx_checksum.
pub fn verify(frame: &[u8], headers: &Headers) -> u32 {
    let mut bits = 0;
    let at = headers.network_at;
    if let Some(Network::Ipv4 { .. }) = headers.network {
        bits |= status::IPCS;
        let end = at + usize::from(frame[at] & 15) * 4;
        if fold(sum(&frame[at..end], 0)) != 0 {
            bits |= status::IPE;
        }
    }
    let Some(transport) = headers.transport else {
        return bits;
    };
    let segment = &frame[headers.transport_at..headers.end];
    let good = match transport {
        Transport::Sctp => {
            let mut copy = segment.to_vec();
            copy[8..12].fill(0);
            crc32c(&copy).to_le_bytes() == segment[8..12]
        }
        Transport::Udp if segment[6..8] == [0, 0] => return bits,
        Transport::Tcp | Transport::Udp => fold(sum(segment, pseudo(frame, headers))) == 0,
    };
    bits |= status::L4CS;
    if transport == Transport::Udp {
        bits |= status::UDPCS;
    }
    if !good {
        bits |= status::TCPE;
    }
    bits
}

/// Sum of the pseudo header of a packet with TCP or UDP.
fn pseudo(frame: &[u8], headers: &Headers) -> u64 {
    let protocol = match headers.transport {
        Some(Transport::Tcp) => 6,
        _ => 17,
    };
    let length = (headers.end - headers.transport_at) as u64;
    headers.addresses(frame).map_or(0, |(source, destination)| {
        sum(destination, sum(source, length + protocol))
    })
}

/// CRC32c, bit by bit: SCTP is rare.
fn crc32c(octets: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &octet in octets {
        crc ^= u32::from(octet);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::examples;

    #[test]
    fn good_packets_verify() {
        for (frame, bits) in [
            (
                examples::udp4(61),
                status::IPCS | status::L4CS | status::UDPCS,
            ),
            (examples::tcp4(b"abc", 1, 0x10), status::IPCS | status::L4CS),
            (examples::tcp6(b"abc", 1, 0x10), status::L4CS),
        ] {
            assert_eq!(verify(&frame, &Headers::parse(&frame)), bits);
            let mut padded = frame.clone();
            padded.resize(90, 0xaa);
            assert_eq!(verify(&padded, &Headers::parse(&padded)), bits);
        }
    }

    #[test]
    fn wrong_sums_are_errors() {
        let mut frame = examples::tcp4(b"abc", 1, 0x10);
        frame[55] ^= 1;
        let bits = verify(&frame, &Headers::parse(&frame));
        assert_eq!(bits, status::IPCS | status::L4CS | status::TCPE);
        let mut frame = examples::tcp4(b"abc", 1, 0x10);
        frame[22] ^= 1;
        assert_ne!(verify(&frame, &Headers::parse(&frame)) & status::IPE, 0);
    }

    #[test]
    fn udp_without_a_checksum_is_not_verified() {
        let mut frame = examples::udp4(60);
        frame[40..42].fill(0);
        assert_eq!(verify(&frame, &Headers::parse(&frame)), status::IPCS);
    }

    /// The stack leaves the complement of nothing: the plain sum of the pseudo header with the length.
    #[test]
    fn inserted_sums_verify() {
        for good in [
            examples::tcp4(b"hello", 9, 0x18),
            examples::tcp6(b"hello", 9, 0x18),
        ] {
            let mut frame = good.clone();
            let headers = Headers::parse(&frame);
            let left = !fold(pseudo(&frame, &headers));
            let field = headers.transport_at + 16;
            frame[field..field + 2].copy_from_slice(&left.to_be_bytes());
            assert!(insert_transport(
                &mut frame,
                headers.transport_at,
                Transport::Tcp
            ));
            assert_eq!(frame, good);
        }
        let mut frame = examples::udp4(60);
        let good = frame.clone();
        frame[24..26].copy_from_slice(&[0xab, 0xcd]);
        insert_ipv4(&mut frame, 14, 34);
        assert_eq!(frame, good);
    }

    #[test]
    fn a_field_outside_of_the_frame_is_refused() {
        let mut frame = vec![0; 30];
        assert!(!insert_transport(&mut frame, 20, Transport::Tcp));
        assert_eq!(frame, vec![0; 30]);
    }

    #[test]
    fn sctp_has_a_crc() {
        // RFC 3720, B.4: 32 octets of zeroes.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        let mut frame = examples::udp4(80);
        frame[23] = 132;
        assert!(insert_transport(&mut frame, 34, Transport::Sctp));
        insert_ipv4(&mut frame, 14, 34);
        assert_eq!(
            verify(&frame, &Headers::parse(&frame)),
            status::IPCS | status::L4CS
        );
        frame[60] ^= 4;
        assert_ne!(verify(&frame, &Headers::parse(&frame)) & status::TCPE, 0);
    }
}
