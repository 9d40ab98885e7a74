// SPDX-License-Identifier: GPL-2.0

//! The grammar of port names.

use netmap_logic::logic::errno;
use netmap_logic::logic::name::{Base, NameFault, PipeEnd, PortName, Text};
use proptest::prelude::*;

fn parse(name: &str) -> Result<PortName, NameFault> {
    PortName::parse(name.as_bytes())
}

#[test]
fn nics() {
    for name in [
        "eth0",
        "enp0s3f1np0",
        "a",
        "fifteen_letters",
        "wan.10",
        "é",
        "val",
        "vale0",
    ] {
        let port = parse(name).unwrap();
        assert_eq!(port.kind, Base::Nic, "{name}");
        assert_eq!(port.base.as_bytes(), name.as_bytes());
        assert_eq!((port.pipe, port.switch()), (None, None));
    }
    for (name, fault) in [
        ("", NameFault::Empty),
        (".", NameFault::Character),
        ("..", NameFault::Character),
        ("a b", NameFault::Character),
        ("a\tb", NameFault::Character),
        ("a/b", NameFault::Character),
        ("a:b", NameFault::Character),
        ("a\x7f", NameFault::Character),
        ("sixteen_letters_", NameFault::TooLong),
    ] {
        assert_eq!(parse(name), Err(fault), "{name}");
        assert_eq!(fault.errno(), errno::ENXIO);
    }
    assert_eq!(PortName::parse(b"a\xa0"), Err(NameFault::Character));
    assert_eq!(PortName::parse(b"a\0b"), Err(NameFault::Character));
}

#[test]
fn switch_ports() {
    let port = parse("vale_X9:port-1").unwrap();
    assert_eq!(port.kind, Base::Vale { switch_len: 7 });
    assert_eq!(port.switch(), Some(&b"vale_X9"[..]));
    assert_eq!(
        parse("vale:fifteen_letters").unwrap().switch(),
        Some(&b"vale"[..])
    );
    assert_eq!(parse("vale:sixteen_letters_"), Err(NameFault::TooLong));
    assert_eq!(parse("vale-1:p"), Err(NameFault::Character));
    assert_eq!(parse("vale1:p p"), Err(NameFault::Character));
}

#[test]
fn pipes() {
    for (name, base, end, id) in [
        ("eth0{1", "eth0", PipeEnd::Master, "1"),
        ("eth0}1", "eth0", PipeEnd::Slave, "1"),
        ("vale0:p}left", "vale0:p", PipeEnd::Slave, "left"),
        ("eth0{a}b", "eth0", PipeEnd::Master, "a}b"),
    ] {
        let port = parse(name).unwrap();
        assert_eq!(port.base.as_bytes(), base.as_bytes());
        let pipe = port.pipe.unwrap();
        assert_eq!((pipe.end, pipe.id.as_bytes()), (end, id.as_bytes()));
        assert_eq!(port.to_string(), name);
        assert_eq!(port.text().unwrap().as_bytes(), name.as_bytes());
    }
    for name in [
        "eth0{", "eth0}", "{1", "}1", "{", "eth0{1{2", "eth0}1}2", "eth0}1{2",
    ] {
        assert_eq!(parse(name), Err(NameFault::Pipe), "{name}");
    }
    assert_eq!(NameFault::Pipe.errno(), errno::EINVAL);
    assert_eq!(parse("eth0{ "), Err(NameFault::Character));
}

#[test]
fn fields_must_be_terminated() {
    assert_eq!(PortName::from_field(b"eth0"), Err(NameFault::Unterminated));
    assert_eq!(PortName::from_field(b""), Err(NameFault::Unterminated));
    assert_eq!(NameFault::Unterminated.errno(), errno::EINVAL);
    let port = PortName::from_field(b"eth0\0garbage").unwrap();
    assert_eq!(port.base.as_bytes(), b"eth0");
    assert_eq!(port.base.as_cstr(), c"eth0");
}

#[test]
fn text_is_bounded() {
    assert!(Text::from_bytes(&[b'x'; 63]).is_ok());
    assert_eq!(Text::from_bytes(&[b'x'; 64]), Err(NameFault::TooLong));
    let long = Text::from_bytes(&[b'x'; 60]).unwrap();
    assert_eq!(
        PortName::parse_pipe(&long, PipeEnd::Slave, 100),
        Err(NameFault::TooLong)
    );
    assert_eq!(
        Text::from_bytes(b"a\n\xff").unwrap().to_string(),
        "a\\n\\xff"
    );
}

#[test]
fn numbered_pipes() {
    let base = Text::from_bytes(b"eth0").unwrap();
    for id in [0, 7, 10, 999, 1000, 4095, u16::MAX] {
        let port = PortName::parse_pipe(&base, PipeEnd::Master, id).unwrap();
        assert_eq!(port.to_string(), format!("eth0{{{id}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_kept(name in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(port) = PortName::parse(&name) {
            let text = port.text().unwrap();
            prop_assert_eq!(text.as_bytes(), &name[..]);
        }
    }

    #[test]
    fn good_names_are_taken(
        base in prop_oneof!["[a-z][a-zA-Z0-9_.-]{0,14}", "vale[a-zA-Z0-9_]{0,10}:[a-z0-9]{1,15}"],
        pipe in prop::option::of("[{}][a-z0-9]{1,10}"),
    ) {
        let name = format!("{base}{}", pipe.as_deref().unwrap_or(""));
        let port = parse(&name).unwrap();
        prop_assert_eq!(port.base.as_bytes(), base.as_bytes());
        prop_assert_eq!(port.pipe.is_some(), pipe.is_some());
        prop_assert_eq!(port.switch().is_some(), base.contains(':'));
        prop_assert_eq!(port.to_string(), name);
    }
}

#[test]
fn stack_ports() {
    let device = |name: &[u8]| {
        let port = PortName::parse(name)?;
        assert_eq!(port.kind, Base::Stack);
        Ok::<_, NameFault>(String::from_utf8(port.base.as_bytes().to_vec()).unwrap())
    };
    assert_eq!(device(b"stack:eth0").unwrap(), "eth0");
    assert_eq!(device(b"stack:0+eth0").unwrap(), "eth0");
    assert_eq!(device(b"stack:17+enp193s0f0np0").unwrap(), "enp193s0f0np0");
    assert_eq!(device(b"stack:7").unwrap(), "7");
    assert_eq!(device(b"stack:+x").unwrap(), "+x");
    assert_eq!(device(b"stack:").unwrap_err(), NameFault::Empty);
    assert_eq!(device(b"stack:0+").unwrap_err(), NameFault::Empty);
    assert_eq!(device(b"stack:vale0:a").unwrap_err(), NameFault::Character);
    assert_eq!(device(b"stack:eth0{1").unwrap_err(), NameFault::Pipe);
    assert_eq!(
        device(b"stack:1234567890123456").unwrap_err(),
        NameFault::TooLong
    );
    let port = PortName::parse(b"eth0").unwrap().to_stack().unwrap();
    assert_eq!(port, PortName::parse(b"stack:eth0").unwrap());
    assert_eq!(port.text().unwrap().as_bytes(), b"stack:eth0");
    assert_eq!(format!("{port}"), "stack:eth0");
    // A device of such a name is found behind a number alone.
    let port = PortName::parse(b"1+x").unwrap().to_stack().unwrap();
    assert_eq!(port, PortName::parse(b"stack:0+1+x").unwrap());
    assert_eq!(port.text().unwrap().as_bytes(), b"stack:0+1+x");
    assert_eq!(format!("{port}"), "stack:0+1+x");
    assert!(PortName::parse(b"vale0:a").unwrap().to_stack().is_err());
    assert!(PortName::parse(b"eth0}1").unwrap().to_stack().is_err());
}

proptest! {
    #[test]
    fn texts_of_stack_ports_are_names_of_them(device in "[0-9+a.]{1,6}") {
        if let Ok(port) = PortName::parse(device.as_bytes()) {
            let port = port.to_stack().unwrap();
            prop_assert_eq!(PortName::parse(port.text().unwrap().as_bytes()), Ok(port));
        }
    }
}

#[test]
fn null_ports_have_what_fits_of_the_given_name() {
    let text = |bytes: &[u8]| Text::of_null_port(&Text::from_bytes(bytes).unwrap());
    assert_eq!(text(b"").as_bytes(), b"null:");
    assert_eq!(text(b"eth0 {x").as_bytes(), b"null:eth0 {x");
    let long = text(&[b'x'; 63]);
    assert_eq!(long.as_bytes().len(), 63);
    assert_eq!(long.as_bytes().get(..6), Some(&b"null:x"[..]));
}
