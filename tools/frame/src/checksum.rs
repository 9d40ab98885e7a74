// SPDX-License-Identifier: BSD-2-Clause
//! The Internet checksum (RFC 1071).

/// Adds the big-endian 16-bit words of `octets` to `start`; an odd octet at the end counts as if a zero followed.
///
/// The result is not folded: it can be the `start` of the next piece, if all pieces but the last are even.
pub fn sum(octets: &[u8], start: u64) -> u64 {
    let mut words = octets.chunks_exact(2);
    let mut total = start;
    for word in &mut words {
        total += u64::from(u16::from_be_bytes([word[0], word[1]]));
    }
    if let [last] = words.remainder() {
        total += u64::from(*last) << 8;
    }
    total
}

/// Folds a sum to its complemented 16 bits: what a header carries, and 0 for data that includes its checksum.
#[inline]
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The loop leaves no more than 16 bits.
    !(sum as u16)
}

/// What to add to a sum when two words of it become others (RFC 1624). A pair counts as its two words do, since the carry of a
/// sum is added to it again.
#[inline(always)]
pub(crate) fn change(old: u32, new: u32) -> u64 {
    u64::from(!old) + u64::from(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071, section 3.
    #[test]
    fn rfc_example() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&octets, 0), 0x2ddf0);
        assert_eq!(fold(0x2ddf0), 0x220d);
    }

    #[test]
    fn a_change_is_as_a_new_sum() {
        let mut octets = [0x45, 0, 0, 46, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff];
        let before = sum(&octets, 0);
        octets[8..].copy_from_slice(&[0, 1, 0xfe, 2]);
        let changed = before + change(0xffff_ffff, 0x0001_fe02);
        assert_eq!(fold(changed), fold(sum(&octets, 0)));
    }

    #[test]
    fn odd_length_counts_a_zero() {
        assert_eq!(sum(&[1, 2, 3], 0), sum(&[1, 2, 3, 0], 0));
    }

    #[test]
    fn whole_with_checksum_folds_to_zero() {
        let mut octets = [
            0x45, 0, 0, 46, 1, 2, 3, 4, 64, 17, 0, 0, 10, 0, 0, 1, 10, 1, 0, 1,
        ];
        let check = fold(sum(&octets, 0));
        octets[10..12].copy_from_slice(&check.to_be_bytes());
        assert_eq!(fold(sum(&octets, 0)), 0);
    }
}
