// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use proptest::prelude::*;

/// What the kernel gets, and what is left.
fn parts(text: &str) -> Result<(String, String), SpecError> {
    let found = name(text.as_bytes())?;
    Ok((
        shown(&[found.scope, found.name].concat()),
        shown(found.rest),
    ))
}

fn whole(name: &str) -> Result<(String, String), SpecError> {
    Ok((name.to_owned(), String::new()))
}

#[test]
fn prefixes() {
    assert_eq!(parts("netmap:eth0"), whole("eth0"));
    assert_eq!(parts("netmap:14"), whole("14"));
    assert_eq!(parts("vale0:0"), whole("vale0:0"));
    assert_eq!(parts("vale:0"), whole("vale:0"));
    assert_eq!(parts("valeX_X:eth0.7"), whole("valeX_X:eth0.7"));
    assert_eq!(parts("stack:eth0"), whole("stack:eth0"));
    assert_eq!(parts("stack:3+eth0"), whole("stack:eth0"));
    assert_eq!(parts("stack:3"), whole("stack:3"));
    for text in ["", "eth0", "netmap", "netmapX:eth0", "Netmap:eth0", "stack"] {
        assert_eq!(parts(text), Err(SpecError::Prefix), "{text}");
    }
    assert_eq!(parts("vale0"), Err(SpecError::NoColon));
    assert_eq!(parts("vale-:0"), Err(SpecError::Switch("-".into())));
}

#[test]
fn pipes() {
    assert_eq!(parts("netmap:pipe{0"), whole("pipe{0"));
    assert_eq!(parts("vale0:0}in_2"), whole("vale0:0}in_2"));
    assert_eq!(parts("netmap:a.b-c{1"), whole("a.b-c{1"));
    for (text, id) in [
        ("netmap:pipe{", ""),
        ("netmap:pipe{1}2", "1}2"),
        ("netmap:pipe{a.b", "a.b"),
        ("netmap:pipe{-1", ""),
        ("vale0:0}/x", ""),
    ] {
        assert_eq!(parts(text), Err(SpecError::Pipe(id.into())), "{text}");
    }
}

#[test]
fn names_end_where_a_suffix_begins() {
    let rest = |text: &str| parts(text).unwrap().1;
    for suffix in [
        "-1",
        "-",
        "*",
        "^",
        "^1",
        "/x",
        "@2",
        "@conf:rings=1",
        "-2/Tx@3",
        "-1@x",
        "-1^",
    ] {
        assert_eq!(
            parts(&format!("netmap:eth0{suffix}")),
            Ok(("eth0".into(), suffix.into()))
        );
    }
    assert_eq!(parts("netmap:br-lan"), whole("br-lan"));
    assert_eq!(parts("netmap:br-1f2e"), whole("br-1f2e"));
    assert_eq!(rest("netmap:br-lan-2"), "-2");
    assert_eq!(rest("vale0:p{in-7"), "-7");
}

#[test]
fn what_is_no_name() {
    assert_eq!(parts("netmap:"), Err(SpecError::Empty("".into())));
    assert_eq!(parts("netmap:^"), Err(SpecError::Empty("^".into())));
    assert_eq!(parts("netmap:{0"), Err(SpecError::Empty("{0".into())));
    assert_eq!(parts("stack:0+"), Err(SpecError::Empty("".into())));
    assert_eq!(parts("netmap:-1"), Err(SpecError::Empty("-1".into())));
    assert_eq!(parts("netmap:vale0:0"), Err(SpecError::Character(':')));
    assert_eq!(parts("vale0:a:b"), Err(SpecError::Character(':')));
    assert_eq!(parts("netmap:eth0&"), Err(SpecError::Character('&')));
    assert_eq!(parts("netmap:eth 0"), Err(SpecError::Character(' ')));
    assert_eq!(parts("netmap:äth0"), Err(SpecError::Character('ä')));
    let most = abi::NETMAP_REQ_IFNAMSIZ - 1;
    let long = "x".repeat(most);
    assert_eq!(parts(&format!("netmap:{long}")), whole(&long));
    assert_eq!(parts(&format!("netmap:{long}x")), Err(SpecError::TooLong));
    assert_eq!(parts(&format!("vale:{long}")), Err(SpecError::TooLong));
    assert_eq!(
        parts(&format!("stack:{}", &long[..most - 5])),
        Err(SpecError::TooLong)
    );
}

fn mode_of(text: &str) -> Result<(u32, u16, u64, u16, String), SpecError> {
    let found = mode(text.as_bytes(), 0)?;
    let rest = shown(found.rest);
    Ok((found.mode, found.ring, found.flags, found.mem_id, rest))
}

#[test]
fn rings() {
    let of = |text: &str| mode_of(text).map(|found| (found.0, found.1));
    assert_eq!(of(""), Ok((abi::NR_REG_ALL_NIC, 0)));
    assert_eq!(of("*"), Ok((abi::NR_REG_NIC_SW, 0)));
    assert_eq!(of("^"), Ok((abi::NR_REG_SW, 0)));
    assert_eq!(of("^3"), Ok((abi::NR_REG_ONE_SW, 3)));
    assert_eq!(of("-4094"), Ok((abi::NR_REG_ONE_NIC, 4094)));
    assert_eq!(of("-4095"), Err(SpecError::Ring("4095".into())));
    assert_eq!(
        of("^99999999999"),
        Err(SpecError::Ring("99999999999".into()))
    );
    assert_eq!(of("-"), Err(SpecError::NoNumber("".into())));
    assert_eq!(of("-/x"), Err(SpecError::NoNumber("/x".into())));
    assert_eq!(of("^*"), Err(SpecError::Unexpected("*".into())));
    assert_eq!(of("*1"), Err(SpecError::Unexpected("1".into())));
    assert_eq!(of("x"), Err(SpecError::Unexpected("x".into())));
    assert_eq!(of("-1^"), Err(SpecError::Unexpected("^".into())));
}

#[test]
fn flags_and_regions_in_any_order() {
    let of = |text: &str| mode_of(text).map(|found| (found.2, found.3, found.4));
    let left = |rest: &str| rest.to_owned();
    let all = [
        ('x', abi::NR_EXCLUSIVE),
        ('z', abi::NR_ZCOPY_MON),
        ('t', abi::NR_MONITOR_TX),
        ('r', abi::NR_MONITOR_RX),
        ('T', abi::NR_TX_RINGS_ONLY),
        ('R', abi::NR_RX_RINGS_ONLY),
    ];
    for (letter, flag) in all {
        assert_eq!(of(&format!("/{letter}")), Ok((flag, 0, left(""))));
    }
    let both = abi::NR_TX_RINGS_ONLY | abi::NR_EXCLUSIVE;
    assert_eq!(of("-2/Tx"), Ok((both, 0, left(""))));
    assert_eq!(of("@2/R"), Ok((abi::NR_RX_RINGS_ONLY, 2, left(""))));
    assert_eq!(of("@2/R@2"), Ok((abi::NR_RX_RINGS_ONLY, 2, left(""))));
    assert_eq!(of("/T@7/x"), Ok((both, 7, left(""))));
    assert_eq!(of("/R@xxx"), Ok((abi::NR_RX_RINGS_ONLY, 0, left("@xxx"))));
    assert_eq!(of("@3@conf:rings=1"), Ok((0, 3, left("@conf:rings=1"))));
    assert_eq!(of("@netmap:lo/R"), Ok((0, 0, left("@netmap:lo/R"))));
    let other = SpecError::OtherRegion { wanted: 3, set: 2 };
    assert_eq!(of("@2/R@3"), Err(other));
    assert_eq!(of("@"), Err(SpecError::NoRegion));
    assert_eq!(of("@0"), Err(SpecError::Region("0".into())));
    assert_eq!(of("@65536"), Err(SpecError::Region("65536".into())));
    assert_eq!(of("@2x"), Err(SpecError::Unexpected("x".into())));
    assert_eq!(of("/"), Err(SpecError::NoFlags));
    assert_eq!(of("/@2"), Err(SpecError::NoFlags));
    assert_eq!(of("/xq"), Err(SpecError::Flag('q')));
}

#[test]
fn a_region_that_is_set_stays() {
    assert_eq!(mode(b"@5", 5).unwrap().mem_id, 5);
    assert_eq!(mode(b"", 5).unwrap().mem_id, 5);
    let other = SpecError::OtherRegion { wanted: 5, set: 4 };
    assert_eq!(mode(b"@5", 4), Err(other));
}

proptest! {
    #[test]
    fn any_text_is_judged(text: Vec<u8>) {
        let _ = (name(&text), mode(&text, 0));
    }

    #[test]
    fn what_is_taken_and_what_is_left_are_the_text(text in "(netmap:|vale1:)[a-z0-9{}@/^*&.-]{0,12}") {
        if let Ok(found) = name(text.as_bytes()) {
            let prefix = if text.starts_with("netmap:") { "netmap:" } else { "" };
            let all = [prefix.as_bytes(), found.scope, found.name, found.rest].concat();
            prop_assert_eq!(shown(&all), text);
        }
    }
}
