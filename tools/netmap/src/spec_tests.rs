// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<PortSpec, SpecError> {
    text.parse()
}

/// Name, rings, flags and region of a name that parses.
#[track_caller]
fn parts(text: &str) -> (String, Rings, u64, u16) {
    let spec = parse(text).unwrap();
    (spec.name, spec.rings, spec.flags, spec.mem_id)
}

fn plain(name: &str) -> (String, Rings, u64, u16) {
    (name.to_owned(), Rings::Nic, 0, 0)
}

#[test]
fn stack_ports() {
    let stack = |name: &str| (name.to_owned(), Rings::Nic, abi::NR_STACK, 0);
    assert_eq!(parts("stack:eth0"), stack("eth0"));
    assert_eq!(parts("stack:0+eth0"), stack("eth0"));
    assert_eq!(parts("stack:12+eth0"), stack("eth0"));
    assert_eq!(parts("stack:+eth0"), stack("+eth0"));
    assert_eq!(parts("stack:12"), stack("12"));
    assert_eq!(parse("stack:eth0@3").unwrap().mem_id, 3);
    assert_eq!(parse("stack:4+eth0/x").unwrap().to_string(), "stack:eth0/x");
    assert_eq!(parse("stack:eth0").unwrap().to_string(), "stack:eth0");
    assert_eq!(
        parse("stack:1+2+eth0").unwrap().to_string(),
        "stack:0+2+eth0"
    );
    assert_eq!(parts("stack:0+2+eth0"), stack("2+eth0"));
    assert_eq!(parse("stack:"), Err(SpecError::Empty("".into())));
    assert_eq!(parse("stack:0+"), Err(SpecError::Empty("".into())));
}

#[test]
fn names() {
    assert_eq!(parts("netmap:eth0"), plain("eth0"));
    assert_eq!(parts("eth0"), plain("eth0"));
    assert_eq!(parts("vale0:p1"), plain("vale0:p1"));
    assert_eq!(parts("vale:p1"), plain("vale:p1"));
    assert_eq!(parts("valeAb_9:eth0.7"), plain("valeAb_9:eth0.7"));
    assert_eq!(parts("netmap:vale0"), plain("vale0"));
    assert_eq!(parts("netmap:eth0{1"), plain("eth0{1"));
    assert_eq!(parts("vale0:p1}x_2"), plain("vale0:p1}x_2"));
}

#[test]
fn ring_selection() {
    let of = |text: &str| parse(text).unwrap().rings();
    assert_eq!(of("netmap:eth0^"), Rings::Host);
    assert_eq!(of("netmap:eth0*"), Rings::NicAndHost);
    assert_eq!(of("netmap:eth0-0"), Rings::OneNic(0));
    assert_eq!(of("eth0-4094"), Rings::OneNic(4094));
    assert_eq!(of("eth0^3"), Rings::OneHost(3));
    assert_eq!(
        parts("vale0:p1-1"),
        ("vale0:p1".into(), Rings::OneNic(1), 0, 0)
    );
    assert_eq!(Rings::OneHost(3).mode(), (abi::NR_REG_ONE_SW, 3));
}

#[test]
fn flags_and_region() {
    let all = abi::NR_EXCLUSIVE
        | abi::NR_RX_RINGS_ONLY
        | abi::NR_TX_RINGS_ONLY
        | abi::NR_MONITOR_RX
        | abi::NR_MONITOR_TX
        | abi::NR_ZCOPY_MON;
    assert_eq!(parse("eth0/xRTrtz").unwrap().flags(), all);
    assert_eq!(
        parts("netmap:eth0-2/R@7"),
        ("eth0".into(), Rings::OneNic(2), abi::NR_RX_RINGS_ONLY, 7)
    );
    assert_eq!(parts("eth0@7/R"), parts("netmap:eth0/R@7"));
    assert_eq!(parse("eth0@65535").unwrap().mem_id(), 65535);
    assert_eq!(parse("eth0^@1").unwrap().mem_id(), 1);
}

#[test]
fn dashes_within_names() {
    assert_eq!(parts("br-lan"), plain("br-lan"));
    assert_eq!(parts("br-1f2e"), plain("br-1f2e"));
    assert_eq!(parts("br-lan-2").1, Rings::OneNic(2));
}

#[test]
fn refusals_name_the_culprit() {
    let long = "x".repeat(abi::NETMAP_REQ_IFNAMSIZ);
    let cases = [
        ("", SpecError::Empty("".into())),
        ("netmap:", SpecError::Empty("".into())),
        ("vale0:", SpecError::Empty("".into())),
        ("vale0", SpecError::NoColon),
        ("^", SpecError::Empty("^".into())),
        ("{1", SpecError::Empty("{1".into())),
        (&long, SpecError::TooLong),
        ("eth 0", SpecError::Character(' ')),
        ("eth0&", SpecError::Character('&')),
        ("eth0\0", SpecError::Character('\0')),
        ("vale0:a:b", SpecError::Character(':')),
        ("netmap:a:b", SpecError::Character(':')),
        ("netmap:vale0:p1", SpecError::Character(':')),
        ("foo:eth0", SpecError::Prefix),
        ("netmap0:eth0", SpecError::Prefix),
        ("vale-1:eth0", SpecError::Switch("-1".into())),
        ("eth0{", SpecError::Pipe("".into())),
        ("eth0}a.b", SpecError::Pipe("a.b".into())),
        ("eth0-", SpecError::NoNumber("".into())),
        ("eth0^x", SpecError::Unexpected("x".into())),
        ("eth0*1", SpecError::Unexpected("1".into())),
        ("eth0-1^", SpecError::Unexpected("^".into())),
        ("eth0/", SpecError::NoFlags),
        ("eth0/q", SpecError::Flag('q')),
        ("eth0-4095", SpecError::Ring("4095".into())),
        ("eth0^99999999999", SpecError::Ring("99999999999".into())),
        ("eth0@", SpecError::NoRegion),
        ("eth0@0", SpecError::Region("0".into())),
        ("eth0@65536", SpecError::Region("65536".into())),
        ("eth0@1@2", SpecError::OtherRegion { wanted: 2, set: 1 }),
        ("eth0@+1", SpecError::UnknownOption("+1".into())),
        ("eth0@share:eth1", SpecError::UnknownOption("share".into())),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn the_longest_name_fits() {
    let name = "x".repeat(abi::NETMAP_REQ_IFNAMSIZ - 1);
    assert_eq!(parse(&name).unwrap().name(), name);
}

fn rings() -> impl Strategy<Value = Rings> {
    prop_oneof![
        Just(Rings::Nic),
        Just(Rings::Host),
        Just(Rings::NicAndHost),
        (0..4095u16).prop_map(Rings::OneNic),
        (0..4095u16).prop_map(Rings::OneHost),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let port = proptest::collection::vec(
        prop_oneof![Just('a'), Just('Z'), Just('0'), Just('.')],
        1..12,
    );
    let port = port.prop_map(String::from_iter);
    let pipe = prop_oneof![Just(""), Just("{1"), Just("}a_b")];
    let scope = prop_oneof![Just(""), Just("vale:"), Just("vale7:")];
    (scope, port, pipe).prop_map(|(scope, port, pipe)| format!("{scope}{port}{pipe}"))
}

proptest! {
    #[test]
    fn what_is_printed_parses_back(
        name in name(), rings in rings(), letters in 0..64usize, mem_id: u16, rx_rings: u16, tx_slots: u32,
    ) {
        let chosen = FLAGS.iter().enumerate().filter(|(bit, _)| (letters >> bit) & 1 != 0);
        let flags = chosen.fold(0, |flags, (_, (_, flag))| flags | flag);
        let conf = Options { tx_rings: rx_rings, rx_rings, tx_slots, ..Options::default() };
        let spec = PortSpec { name, rings, flags, mem_id, conf };
        prop_assert_eq!(spec.to_string().parse::<PortSpec>(), Ok(spec));
    }

    #[test]
    fn any_text_is_judged_without_panic(text in any::<String>()) {
        if let Ok(spec) = text.parse::<PortSpec>() {
            prop_assert!(!spec.name().is_empty());
            prop_assert!(spec.name().len() < abi::NETMAP_REQ_IFNAMSIZ);
        }
    }

    #[test]
    fn texts_of_significant_characters(
        text in proptest::collection::vec(
            proptest::sample::select("ae0149:{}-^*/@xRTq ".chars().collect::<Vec<_>>()), 0..20,
        ).prop_map(String::from_iter)
    ) {
        if let Ok(spec) = text.parse::<PortSpec>() {
            prop_assert_eq!(spec.to_string().parse::<PortSpec>(), Ok(spec));
        }
    }
}

#[test]
fn ends_of_pipes() {
    let port = parse("eth0-1/x@4").unwrap();
    let master = port.pipe(PipeEnd::Master, "3").unwrap();
    assert_eq!(master.to_string(), "netmap:eth0{3@4");
    assert_eq!(parse("netmap:eth0{3@4").unwrap(), master);
    let slave = parse("vale0:a")
        .unwrap()
        .pipe(PipeEnd::Slave, "in")
        .unwrap();
    assert_eq!(slave.with_mem_id(7).to_string(), "vale0:a}in@7");
    assert_eq!(
        port.pipe(PipeEnd::Master, ""),
        Err(SpecError::Pipe("".into()))
    );
    assert_eq!(
        port.pipe(PipeEnd::Master, "a-b"),
        Err(SpecError::Pipe("a-b".into()))
    );
    assert_eq!(
        master.pipe(PipeEnd::Slave, "1"),
        Err(SpecError::Pipe("3}1".into()))
    );
    let long = "x".repeat(abi::NETMAP_REQ_IFNAMSIZ - 1);
    assert_eq!(port.pipe(PipeEnd::Master, &long), Err(SpecError::TooLong));
}
