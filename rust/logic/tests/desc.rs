// SPDX-License-Identifier: GPL-2.0

//! Descriptors, against words composed by hand from the data sheets.

use netmap_logic::logic::desc::{
    share_of_slot, Advanced, Extended, Extended10G, Legacy, Offset, Receive, Transmit, TX_DONE,
    TX_END, TX_REPORT,
};
use proptest::prelude::*;

#[test]
fn transmit_words() {
    // Command byte 0x0b: end of packet, FCS, report.
    assert_eq!(Legacy::whole(60) | TX_REPORT, 0x0000_0000_0b00_003c);
    assert_eq!(Legacy::part(2048, false), 0x0000_0000_0200_0800);
    // Type 3, command byte 0x2b: extension, report, FCS, end of packet; 60 << 46 in the upper word.
    assert_eq!(Advanced::whole(60) | TX_REPORT, 0x000f_0000_2b30_003c);
    assert_eq!(Advanced::part(2048, false), 0x0000_0000_2230_0800);
    assert_eq!(
        Advanced::with_total(Advanced::part(2048, false), 3000),
        (3000 << 46) | 0x2230_0800
    );
    assert_eq!(
        Legacy::with_total(Legacy::part(2048, false), 3000),
        Legacy::part(2048, false)
    );
    // A context, no end, no report: the hardware passes over it and reports nothing.
    for word in [Legacy::NOTHING[1], Advanced::NOTHING[1]] {
        assert_eq!(word & (TX_END | TX_REPORT | TX_DONE), 0);
        assert_eq!(word & 0xffff, 0);
    }
    assert_eq!(Legacy::NOTHING[1], 0x2000_0000);
    assert_eq!(Advanced::NOTHING[1], 0x2020_0000);
}

#[test]
fn receive_words() {
    // Length 64, status done and end.
    let plain = 0x0000_0003_0000_0040;
    assert!(Legacy::is_plain(plain, Legacy::checked(2048)));
    assert_eq!(Legacy::length(plain), 64);
    assert!(!Legacy::is_plain(plain & !(1 << 32), Legacy::checked(2048)));
    assert!(!Legacy::is_plain(plain & !(1 << 33), Legacy::checked(2048)));
    // A tag, and its value in the top 16 bits.
    let tagged = plain | (1 << 35) | (0x2064 << 48);
    assert!(!Legacy::is_plain(tagged, Legacy::checked(2048)));
    assert_eq!(Legacy::tag(tagged), 0x2064);
    // Checksum errors are not errors of the frame.
    assert!(Legacy::is_plain(
        plain | (0x60 << 40),
        Legacy::checked(2048)
    ));
    for error in [0x01, 0x02, 0x04, 0x10, 0x80] {
        assert!(!Legacy::is_plain(
            plain | (error << 40),
            Legacy::checked(2048)
        ));
        assert!(!Extended::is_plain(
            0x0000_003c_0000_0003 | (error << 24),
            Extended::checked(2048)
        ));
    }
    let plain = 0x0000_003c_0000_0003;
    // The 82599's: a bad IP checksum stands where others say that reception failed.
    assert!(Extended10G::is_plain(
        plain | (0xc0 << 24),
        Extended10G::checked(2048)
    ));
    for error in [0x01, 0x02, 0x08, 0x10, 0x20] {
        assert!(!Extended10G::is_plain(
            plain | (error << 24),
            Extended10G::checked(2048)
        ));
    }
    assert!(Extended::is_plain(plain, Extended::checked(2048)));
    assert!(Extended::is_plain(
        plain | (0x60 << 24),
        Extended::checked(2048)
    ));
    assert_eq!(Extended::length(plain), 60);
}

#[test]
fn damaged_frames_are_complete_and_bad() {
    fn check<R: Receive>() {
        assert!(R::is_done(R::DAMAGED) && !R::is_plain(R::DAMAGED, R::checked(2048)));
        assert_ne!(R::DAMAGED & R::END, 0);
        assert_ne!(R::DAMAGED & R::ERRORS, 0);
        assert_eq!(R::DAMAGED & R::TAG, 0);
        assert!(R::length(R::DAMAGED) >= 60);
    }
    check::<Legacy>();
    check::<Extended>();
    check::<Extended10G>();
}

proptest! {
    #[test]
    fn lengths(len: u16, total in 0u32..16384) {
        prop_assert_eq!(Legacy::whole(len) & 0xffff, u64::from(len));
        prop_assert_eq!(Advanced::whole(len) & 0xffff, u64::from(len));
        prop_assert_eq!(Advanced::whole(len) >> 46, u64::from(len));
        prop_assert_eq!(Advanced::with_total(Advanced::part(len, true), total) >> 46, u64::from(total));
        prop_assert_eq!(Legacy::length(u64::from(len)), len);
        prop_assert_eq!(Extended::length(u64::from(len) << 32), len);
    }

    #[test]
    fn offsets((size, origin, slot) in (2u32..5000).prop_flat_map(|n| (Just(n), 0..n, 0..n))) {
        let offset = Offset::new(origin, size).unwrap();
        prop_assert_eq!(offset.descriptor(origin), 0);
        prop_assert!(offset.descriptor(slot) < size);
        prop_assert_eq!(offset.slot(offset.descriptor(slot)), slot);
        prop_assert_eq!((offset.descriptor(slot) + 1) % size, offset.descriptor((slot + 1) % size));
        prop_assert_eq!(Offset::new(size, size), None);
    }

    #[test]
    fn runs_do_not_wrap(
        (size, origin, slot) in (2u32..5000).prop_flat_map(|n| (Just(n), 0..n, 0..n)),
        count in 0u32..5000,
    ) {
        let offset = Offset::new(origin, size).unwrap();
        let run = offset.run(slot, count);
        prop_assert!(run <= count);
        prop_assert!(slot + run <= size);
        prop_assert!(offset.descriptor(slot) + run <= size);
        // It is as long as it can be.
        prop_assert!(run == count || slot + run == size || offset.descriptor(slot) + run == size);
    }
}

#[test]
fn what_no_buffer_holds_is_not_plain() {
    fn plain<R: Receive>(length: u64, size: u32) -> bool {
        let word = R::DONE | R::END | (length << R::LENGTH_SHIFT);
        R::is_plain(word, R::checked(size))
    }
    for is_plain in [plain::<Legacy>, plain::<Extended>, plain::<Extended10G>] {
        assert!(is_plain(60, 2048) && is_plain(2047, 2048));
        assert!(!is_plain(2048, 2048) && !is_plain(0xffff, 2048));
        assert!(is_plain(0xffff, 65536) && !is_plain(1024, 1024));
    }
}

/// Whatever the hardware writes into the descriptors of a frame between two looks at them.
#[test]
fn a_slot_gets_no_more_than_its_buffer() {
    assert_eq!(share_of_slot(5000, 2048, 2048), 2048);
    assert_eq!(share_of_slot(5000, 0xffff, 2048), 2048);
    assert_eq!(share_of_slot(100, 0xffff, 2048), 100);
    assert_eq!(share_of_slot(100, 60, 2048), 60);
    assert_eq!(share_of_slot(0, 60, 2048), 0);
    assert_eq!(share_of_slot(1 << 20, 0xffff, 65536), 0xffff);
}
