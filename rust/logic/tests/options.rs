// SPDX-License-Identifier: GPL-2.0

//! Option lists.

use netmap_logic::abi::{OptionHeader, NETMAP_REQ_MAXSIZE};
use netmap_logic::logic::errno;
use netmap_logic::logic::options::{OptionFault, OptionFound, OptionType, OptionWalk, MAX_OPTIONS};
use proptest::prelude::*;

/// Takes the next option of a list.
fn take(walk: &mut OptionWalk, header: &OptionHeader) -> Result<OptionFound, OptionFault> {
    walk.admit()?;
    walk.step(header)
}

fn option(reqtype: u32, size: u64) -> OptionHeader {
    OptionHeader {
        nro_reqtype: reqtype,
        nro_size: size,
        ..Default::default()
    }
}

#[test]
fn known_options_have_their_sizes() {
    let mut walk = OptionWalk::new(56);
    for (index, (reqtype, size, kind, body)) in [
        (1, 0, OptionType::ExternalMemory, 72),
        (2, 24 + 4 * 8, OptionType::SyncLoopEventfds, 32),
        (3, 0, OptionType::Csb, 16),
        (4, 4096, OptionType::SyncLoopMode, 8),
        (5, 0, OptionType::Offsets, 32),
    ]
    .into_iter()
    .enumerate()
    {
        let found = take(&mut walk, &option(reqtype, size)).unwrap();
        assert_eq!(usize::from(found.index), index);
        assert_eq!((found.kind, found.body_size), (Some(kind), body));
    }
    assert_eq!(walk.count(), 5);
    // Sizes smaller than the header count as the header.
    let mut walk = OptionWalk::new(0);
    assert_eq!(take(&mut walk, &option(2, 0)).unwrap().body_size, 0);
}

#[test]
fn unknown_options_do_not_end_the_walk() {
    let mut walk = OptionWalk::new(0);
    for reqtype in [6, 6, u32::MAX] {
        let found = take(&mut walk, &option(reqtype, u64::MAX)).unwrap();
        assert_eq!((found.kind, found.body_size), (None, 0));
    }
}

#[test]
fn bad_options_end_it() {
    let mut walk = OptionWalk::new(0);
    assert_eq!(take(&mut walk, &option(0, 0)), Err(OptionFault::Type));
    take(&mut walk, &option(3, 0)).unwrap();
    let fault = take(&mut walk, &option(3, 0)).unwrap_err();
    assert_eq!(fault, OptionFault::Duplicate { first: 1 });
    assert_eq!(fault.errno(), errno::EINVAL);
    for size in [4097, u64::MAX] {
        let fault = take(&mut OptionWalk::new(0), &option(2, size)).unwrap_err();
        assert_eq!(fault, OptionFault::TooLarge);
        assert_eq!(fault.errno(), errno::EMSGSIZE);
    }
    assert!(take(&mut OptionWalk::new(0), &option(2, 4096)).is_ok());
    let got = take(&mut OptionWalk::new(1), &option(2, 4096));
    assert_eq!(got, Err(OptionFault::TooLarge));
}

#[test]
fn a_circular_list_ends() {
    let mut walk = OptionWalk::new(0);
    let same = option(77, 0);
    let steps = (0..10_000)
        .take_while(|_| take(&mut walk, &same).is_ok())
        .count();
    assert_eq!(steps, MAX_OPTIONS);
    assert_eq!(take(&mut walk, &same), Err(OptionFault::TooMany));
    assert_eq!(OptionFault::TooMany.errno(), errno::EMSGSIZE);
}

/// As many as C netmap takes, which the sizes alone do not say: each option needs room for a pointer too.
#[test]
fn many_options_end_where_those_of_c_netmap_do() {
    let body = 56;
    let count = |last| {
        let mut walk = OptionWalk::new(body);
        let unknown = option(1234, 0);
        let some = (0..99).all(|_| take(&mut walk, &unknown).is_ok());
        (some, take(&mut walk, &last).map(|found| found.index))
    };
    // 99 unknown ones and one of 1000 bytes: less than 4096 together.
    assert!(body + 99 * 24 + 1000 < NETMAP_REQ_MAXSIZE);
    assert_eq!(count(option(2, 1000)), (true, Err(OptionFault::TooLarge)));
    // What is left: 4096 + 6 * 8 - 56 - 100 * 32, and the option's own header.
    assert_eq!(count(option(2, 888 + 24)), (true, Ok(99)));
    assert_eq!(
        count(option(2, 889 + 24)),
        (true, Err(OptionFault::TooLarge))
    );
    // The size of an unknown one is not looked at.
    assert_eq!(count(option(1234, 1000)), (true, Ok(99)));
    // Nor the sum of all, but where a known one is.
    let after = |last| {
        let mut walk = OptionWalk::new(body);
        let most = (NETMAP_REQ_MAXSIZE - body) as u64;
        let full = take(&mut walk, &option(2, most)).is_ok();
        (full, take(&mut walk, &last).map(|found| found.index))
    };
    assert_eq!(after(option(1234, 1000)), (true, Ok(1)));
    assert_eq!(after(option(3, 0)), (true, Err(OptionFault::TooLarge)));
    assert_eq!(MAX_OPTIONS, 129);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_never_exceed_the_limit(
        body in 0usize..128,
        list in prop::collection::vec((0u32..9, prop_oneof![0u64..5000, any::<u64>()]), 0..12),
    ) {
        let mut walk = OptionWalk::new(body);
        let mut total = body;
        for (reqtype, size) in list {
            match take(&mut walk, &option(reqtype, size)) {
                Ok(found) => {
                    total += 24 + found.body_size as usize;
                    prop_assert!(found.kind.is_none() || total <= NETMAP_REQ_MAXSIZE);
                    prop_assert!(total <= NETMAP_REQ_MAXSIZE + 6 * 8);
                    prop_assert_eq!(found.kind.is_some(), (1..6).contains(&reqtype));
                }
                Err(_) => break,
            }
        }
    }
}
