// SPDX-License-Identifier: BSD-2-Clause
//! Frames that prove, to whoever receives them, which one they are and that they are whole.
//!
//! The payload is: the magic number (4 octets), stream number (2) and sequence number (6), big-endian, then a
//! pattern derived from the two.

use crate::checksum::{fold, sum};
use crate::udp::{seal_udp, udp_sum, ETHERNET, HEADERS, IPV4, PROTOCOL_UDP, UDP};

/// "nmPG".
const MAGIC: [u8; 4] = *b"nmPG";

/// Where the stream and sequence numbers are.
const NUMBERS: usize = HEADERS + MAGIC.len();

/// Where the pattern starts.
const PATTERN: usize = NUMBERS + 8;

/// Shortest frame that can be stamped, in octets.
pub const STAMPED_MIN: usize = PATTERN;

/// Largest sequence number.
pub const MAX_SEQUENCE: u64 = (1 << 48) - 1;

/// What [`check`] says of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not a stamped frame.
    Foreign,
    /// A stamped frame whose headers, checksums or pattern are wrong.
    Corrupt,
    /// A stamped frame, whole.
    Whole {
        /// Stream number.
        stream: u16,
        /// Sequence number.
        sequence: u64,
    },
}

/// Writes numbers and pattern over the payload of a frame made by [`crate::Udp::frame`], and its UDP checksum.
///
/// # Panics
///
/// If the frame is shorter than [`STAMPED_MIN`].
pub fn stamp(frame: &mut [u8], stream: u16, sequence: u64) {
    let numbers = (u64::from(stream) << 48) | (sequence & MAX_SEQUENCE);
    frame[HEADERS..NUMBERS].copy_from_slice(&MAGIC);
    frame[NUMBERS..PATTERN].copy_from_slice(&numbers.to_be_bytes());
    let mut pattern = Pattern(numbers);
    for piece in frame[PATTERN..].chunks_mut(8) {
        piece.copy_from_slice(&pattern.next()[..piece.len()]);
    }
    seal_udp(frame);
}

/// Verifies a received frame. Octets after the IP packet, as short frames are padded with, do not matter.
pub fn check(frame: &[u8]) -> Verdict {
    if frame.len() < STAMPED_MIN || frame[HEADERS..NUMBERS] != MAGIC {
        return Verdict::Foreign;
    }
    let ip_len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let udp_len = usize::from(u16::from_be_bytes([frame[38], frame[39]]));
    let headers_agree = frame[12..15] == [0x08, 0x00, 0x45]
        && frame[ETHERNET + 9] == PROTOCOL_UDP
        && ip_len >= STAMPED_MIN - ETHERNET
        && ip_len <= frame.len() - ETHERNET
        && udp_len == ip_len - IPV4
        && udp_len >= UDP;
    if !headers_agree {
        return Verdict::Corrupt;
    }
    let frame = &frame[..ETHERNET + ip_len];
    let ip_sum = sum(&frame[ETHERNET..ETHERNET + IPV4], 0);
    if fold(ip_sum) != 0 || fold(udp_sum(frame)) != 0 {
        return Verdict::Corrupt;
    }
    let mut octets = [0; 8];
    octets.copy_from_slice(&frame[NUMBERS..PATTERN]);
    let numbers = u64::from_be_bytes(octets);
    let mut pattern = Pattern(numbers);
    for piece in frame[PATTERN..].chunks(8) {
        if *piece != pattern.next()[..piece.len()] {
            return Verdict::Corrupt;
        }
    }
    Verdict::Whole {
        // The upper 16 bits.
        stream: (numbers >> 48) as u16,
        sequence: numbers & MAX_SEQUENCE,
    }
}

/// The octets of SplitMix64, seeded by the numbers.
struct Pattern(u64);

impl Pattern {
    #[inline]
    fn next(&mut self) -> [u8; 8] {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mac, Udp};
    use proptest::prelude::*;

    fn stamped(len: usize, stream: u16, sequence: u64) -> Vec<u8> {
        let udp = Udp {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: "10.0.0.1:1234".parse().unwrap(),
            dst: "10.1.0.1:1234".parse().unwrap(),
        };
        let mut frame = udp.frame(len, b"").unwrap();
        stamp(&mut frame, stream, sequence);
        frame
    }

    #[test]
    fn other_frames_are_foreign() {
        assert_eq!(check(&[]), Verdict::Foreign);
        assert_eq!(check(&[0; 1514]), Verdict::Foreign);
        assert_eq!(check(&stamped(60, 0, 0)[..53]), Verdict::Foreign);
    }

    #[test]
    fn a_cut_frame_is_corrupt() {
        assert_eq!(check(&stamped(60, 0, 0)[..59]), Verdict::Corrupt);
    }

    proptest! {
        #[test]
        fn stamped_frames_verify(
            len in STAMPED_MIN..1515usize, stream: u16, sequence in 0..=MAX_SEQUENCE, padding in 0..10usize,
        ) {
            let mut frame = stamped(len, stream, sequence);
            frame.resize(len + padding, 0xee);
            prop_assert_eq!(check(&frame), Verdict::Whole { stream, sequence });
        }

        #[test]
        fn a_changed_octet_is_noticed(
            len in STAMPED_MIN..200usize, sequence in 0..=MAX_SEQUENCE, at in 12..200usize, bits in 1..=255u8,
        ) {
            let mut frame = stamped(len, 7, sequence);
            let at = 12 + (at - 12) % (len - 12);
            frame[at] ^= bits;
            let expected = match at {
                HEADERS..NUMBERS => Verdict::Foreign,
                _ => Verdict::Corrupt,
            };
            prop_assert_eq!(check(&frame), expected);
        }

        #[test]
        fn any_octets_are_judged_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut frame = octets;
            if frame.len() >= NUMBERS {
                frame[HEADERS..NUMBERS].copy_from_slice(&MAGIC);
            }
            let whole = matches!(check(&frame), Verdict::Whole { .. });
            prop_assert!(!whole);
        }
    }
}
