// SPDX-License-Identifier: GPL-2.0

//! Slots: encoding and limits.

use netmap_logic::abi;
use netmap_logic::logic::slot::{Limits, Slot, SlotFault};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_round_trip(word: u64) {
        prop_assert_eq!(Slot::from_raw(word).to_raw(), word);
    }

    #[test]
    fn flags_are_above_any_length(word: u64) {
        let slot = Slot::from_raw(word);
        let both = slot.len_and_flags();
        prop_assert_eq!(both & 0xffff, u32::from(slot.len));
        prop_assert_eq!(both >> 16, u32::from(slot.flags));
    }

    #[test]
    fn limits_hold(word: u64, index in 0u32..20, total in 0u32..20, buf_size in 0u32..=65536) {
        let slot = Slot { buf_idx: index, ..Slot::from_raw(word) };
        let limits = Limits::new(total, buf_size);
        match slot.check(&limits) {
            Ok(checked) => {
                prop_assert!((2..total).contains(&checked.index().get()));
                prop_assert!(u32::from(checked.len()) <= buf_size);
                prop_assert_eq!(checked.index().get(), slot.buf_idx);
                prop_assert_eq!(checked.len(), slot.len);
                prop_assert_eq!(checked.is_empty(), slot.len == 0);
                prop_assert_eq!(checked.flags(), slot.flags);
            }
            Err(SlotFault::Index { buf_idx, .. }) => {
                prop_assert_eq!(buf_idx, index);
                prop_assert!(!(2..total).contains(&index));
            }
            Err(SlotFault::Length { len, .. }) => {
                prop_assert!((2..total).contains(&index));
                prop_assert!(u32::from(len) > buf_size);
            }
        }
    }

    #[test]
    fn huge_indices_are_refused(index: u32) {
        prop_assume!(!(2..1000).contains(&index));
        prop_assert!(Limits::new(1000, 2048).index(index).is_err());
    }
}

#[test]
fn word_has_the_layout_of_the_c_structure() {
    let slot = Slot {
        buf_idx: 0x0403_0201,
        len: 0x0605,
        flags: 0x0807,
    };
    assert_eq!(
        slot.to_raw().to_ne_bytes()[..4],
        0x0403_0201u32.to_ne_bytes()
    );
    assert_eq!(slot.to_raw().to_ne_bytes()[4..6], 0x0605u16.to_ne_bytes());
    assert_eq!(slot.to_raw().to_ne_bytes()[6..], 0x0807u16.to_ne_bytes());
    assert!(slot.has(abi::slot_flags::NS_REPORT));
    assert!(!slot.has(abi::slot_flags::NS_MOREFRAG));
}

#[test]
fn a_full_buffer_is_legal() {
    let slot = Slot {
        buf_idx: 2,
        len: 2048,
        flags: 0,
    };
    assert_eq!(slot.check(&Limits::new(3, 2048)).unwrap().len(), 2048);
    assert!(slot.check(&Limits::new(3, 2047)).is_err());
    let largest = Slot {
        len: u16::MAX,
        ..slot
    };
    assert!(largest.check(&Limits::new(3, 1 << 16)).is_ok());
}

#[test]
fn faults_say_what_is_wrong() {
    let limits = Limits::new(100, 64);
    let slot = Slot {
        buf_idx: 1,
        len: 60,
        flags: 0,
    };
    let fault = slot.check(&limits).unwrap_err();
    assert_eq!(fault.to_string(), "buffer index 1 is not within 2..100");
    let slot = Slot {
        buf_idx: 2,
        len: 65,
        flags: 0,
    };
    let fault = slot.check(&limits).unwrap_err();
    assert_eq!(fault.to_string(), "length 65 is above the buffer size 64");
}
