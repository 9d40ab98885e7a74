// SPDX-License-Identifier: BSD-2-Clause
//! Frames that prove, to whoever receives them, which one they are and that they are whole.
//!
//! The payload is: the magic number (4 octets), stream number (2) and sequence number (6), big-endian, then a
//! pattern derived from the two.

use crate::checksum::fold;
use crate::udp::{Layout, Udp, HEADERS};

/// "nmPG".
const MAGIC: [u8; 4] = *b"nmPG";

/// Octets of the payload before the pattern.
const NUMBERED: usize = MAGIC.len() + 8;

/// Shortest frame that can be stamped, in octets, with IPv4.
pub const STAMPED_MIN: usize = HEADERS + NUMBERED;

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

impl Udp {
    /// Shortest frame of these addresses that can be stamped, in octets.
    pub fn stamped_min(&self) -> usize {
        self.headers() + NUMBERED
    }

    /// Makes the whole of `frame` one of these addresses with numbers and pattern. What was there before does not matter: a buffer
    /// may have been written to by another program that shares its region.
    ///
    /// # Panics
    ///
    /// If the frame is shorter than [`Self::stamped_min`], or longer than 65535 octets.
    pub fn stamp(&self, frame: &mut [u8], stream: u16, sequence: u64) {
        let layout = self.layout();
        self.write_headers(frame);
        let numbers = (u64::from(stream) << 48) | (sequence & MAX_SEQUENCE);
        let (head, rest) = frame[layout.payload()..].split_at_mut(NUMBERED);
        head[..MAGIC.len()].copy_from_slice(&MAGIC);
        head[MAGIC.len()..].copy_from_slice(&numbers.to_be_bytes());
        let mut pattern = Pattern(numbers);
        for piece in rest.chunks_mut(8) {
            piece.copy_from_slice(&pattern.next()[..piece.len()]);
        }
        layout.seal(frame);
    }
}

/// Verifies a received frame. Octets after the IP packet, as short frames are padded with, do not matter.
pub fn check(frame: &[u8]) -> Verdict {
    let stamped = |layout: &Layout| {
        let payload = frame.get(layout.payload()..layout.payload() + NUMBERED);
        payload.is_some_and(|payload| payload.starts_with(&MAGIC))
    };
    // By the payload, so that a wrong type in the Ethernet header is seen, too.
    let Some(layout) = [Layout::IPV4, Layout::IPV6].into_iter().find(stamped) else {
        return Verdict::Foreign;
    };
    let whole = Layout::of(frame).filter(|found| *found == layout);
    let end = whole.and_then(|layout| layout.end(frame));
    let Some(frame) = end.map(|end| &frame[..end]) else {
        return Verdict::Corrupt;
    };
    if frame.len() < layout.payload() + NUMBERED || fold(layout.udp_sum(frame)) != 0 {
        return Verdict::Corrupt;
    }
    let (head, rest) = frame[layout.payload()..].split_at(NUMBERED);
    let mut octets = [0; 8];
    octets.copy_from_slice(&head[MAGIC.len()..]);
    let numbers = u64::from_be_bytes(octets);
    let mut pattern = Pattern(numbers);
    for piece in rest.chunks(8) {
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

    fn udp(is_ipv6: bool) -> Udp {
        let ends = if is_ipv6 {
            ["[fd00::1]:1234", "[fd00:1::1]:1234"]
        } else {
            ["10.0.0.1:1234", "10.1.0.1:1234"]
        };
        Udp {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: ends[0].parse().unwrap(),
            dst: ends[1].parse().unwrap(),
        }
    }

    fn stamped_by(udp: &Udp, len: usize, stream: u16, sequence: u64) -> Vec<u8> {
        // Whatever is there.
        let mut frame = vec![0xa5; len];
        udp.stamp(&mut frame, stream, sequence);
        frame
    }

    fn stamped(len: usize, stream: u16, sequence: u64) -> Vec<u8> {
        stamped_by(&udp(false), len, stream, sequence)
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
            more in 0..1400usize, stream: u16, sequence in 0..=MAX_SEQUENCE, padding in 0..10usize, is_ipv6: bool,
        ) {
            let udp = udp(is_ipv6);
            let len = udp.stamped_min() + more;
            let mut frame = stamped_by(&udp, len, stream, sequence);
            frame.resize(len + padding, 0xee);
            prop_assert_eq!(check(&frame), Verdict::Whole { stream, sequence });
        }

        #[test]
        fn a_changed_octet_is_noticed(
            more in 0..150usize, sequence in 0..=MAX_SEQUENCE, at in 12..200usize, bits in 1..=255u8, is_ipv6: bool,
        ) {
            let udp = udp(is_ipv6);
            let len = udp.stamped_min() + more;
            let mut frame = stamped_by(&udp, len, 7, sequence);
            let at = 12 + (at - 12) % (len - 12);
            // No checksum is over the class, the flow and the hops of IPv6.
            prop_assume!(!is_ipv6 || !(15..18).contains(&at) && at != 21);
            prop_assume!(!is_ipv6 || at != 14 || bits & 0xf0 != 0);
            frame[at] ^= bits;
            let magic = udp.headers()..udp.headers() + MAGIC.len();
            let expected = if magic.contains(&at) { Verdict::Foreign } else { Verdict::Corrupt };
            prop_assert_eq!(check(&frame), expected);
        }

        #[test]
        fn any_octets_are_judged_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut frame = octets;
            if frame.len() >= STAMPED_MIN {
                frame[HEADERS..HEADERS + MAGIC.len()].copy_from_slice(&MAGIC);
            }
            let whole = matches!(check(&frame), Verdict::Whole { .. });
            prop_assert!(!whole);
        }
    }
}
