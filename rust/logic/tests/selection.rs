// SPDX-License-Identifier: GPL-2.0

//! Ring selections.

use netmap_logic::abi::register_flags::{NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY};
use netmap_logic::logic::errno;
use netmap_logic::logic::request::{BindFlags, RingSelect};
use netmap_logic::logic::selection::{RingCounts, Selection, SelectionFault};
use proptest::prelude::*;

const COUNTS: RingCounts = RingCounts {
    tx: 4,
    rx: 2,
    host_tx: 1,
    host_rx: 2,
};

fn select(select: RingSelect, flags: u64) -> Result<(Vec<u32>, Vec<u32>), SelectionFault> {
    Selection::new(select, BindFlags::new(flags), &COUNTS)
        .map(|found| (found.tx().collect(), found.rx().collect()))
}

#[test]
fn each_mode() {
    let all = |tx: &[u32], rx: &[u32]| Ok((tx.to_vec(), rx.to_vec()));
    assert_eq!(select(RingSelect::AllNic, 0), all(&[0, 1, 2, 3], &[0, 1]));
    assert_eq!(select(RingSelect::Null, 0), all(&[0, 1, 2, 3], &[0, 1]));
    assert_eq!(select(RingSelect::Sw, 0), all(&[4], &[2, 3]));
    assert_eq!(
        select(RingSelect::NicSw, 0),
        all(&[0, 1, 2, 3, 4], &[0, 1, 2, 3])
    );
    assert_eq!(select(RingSelect::OneNic(1), 0), all(&[1], &[1]));
    assert_eq!(select(RingSelect::OneNic(3), 0), all(&[3], &[0]));
    assert_eq!(select(RingSelect::OneSw(1), 0), all(&[4], &[3]));
    assert_eq!(
        select(RingSelect::AllNic, NR_TX_RINGS_ONLY),
        all(&[0, 1, 2, 3], &[])
    );
    assert_eq!(
        select(RingSelect::OneNic(0), NR_RX_RINGS_ONLY),
        all(&[], &[0])
    );
}

#[test]
fn rings_that_are_not_there() {
    let fault = select(RingSelect::OneNic(4), 0).unwrap_err();
    assert_eq!(fault, SelectionFault::Ring { ring: 4, rings: 4 });
    assert_eq!(fault.to_string(), "no ring 4, there are 4");
    assert_eq!(fault.errno(), errno::EINVAL);
    assert!(select(RingSelect::OneSw(2), 0).is_err());
    let no_host = RingCounts {
        host_tx: 0,
        host_rx: 0,
        ..COUNTS
    };
    for mode in [RingSelect::Sw, RingSelect::NicSw, RingSelect::OneSw(0)] {
        assert_eq!(
            Selection::new(mode, BindFlags::default(), &no_host),
            Err(SelectionFault::NoHostRings)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ranges_stay_within_the_port(
        counts: [u16; 4],
        ring: u16,
        mode in 0usize..6,
        flags: u64,
    ) {
        let counts = RingCounts {
            tx: counts[0],
            rx: counts[1],
            host_tx: counts[2],
            host_rx: counts[3],
        };
        let select = [
            RingSelect::AllNic,
            RingSelect::Sw,
            RingSelect::NicSw,
            RingSelect::OneNic(ring),
            RingSelect::OneSw(ring),
            RingSelect::Null,
        ][mode];
        if let Ok(found) = Selection::new(select, BindFlags::new(flags), &counts) {
            let (tx, rx) = (found.tx(), found.rx());
            prop_assert!(tx.start <= tx.end && rx.start <= rx.end);
            prop_assert!(tx.end <= u32::from(counts.tx) + u32::from(counts.host_tx));
            prop_assert!(rx.end <= u32::from(counts.rx) + u32::from(counts.host_rx));
        }
    }
}
