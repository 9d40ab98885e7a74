// SPDX-License-Identifier: GPL-2.0

//! Requests about switches, by both interfaces.

use netmap_logic::abi::{self, mode};
use netmap_logic::logic::errno;
use netmap_logic::logic::name::{PortName, Text};
use netmap_logic::logic::request::{Geometry, RequestType};
use netmap_logic::logic::switching::{Pollers, SwitchBody, SwitchReply, SwitchRequest, NO_PORT};

fn text(name: &str) -> Text {
    Text::from_bytes(name.as_bytes()).unwrap()
}

fn port(name: &str) -> PortName {
    PortName::parse(name.as_bytes()).unwrap()
}

fn errno_of(body: SwitchBody, name: &str) -> i32 {
    body.decode(&text(name))
        .map_or_else(|fault| fault.errno(), |_| 0)
}

fn attach(mode: u32, ring: u16) -> abi::ValeAttach {
    abi::ValeAttach {
        reg: abi::Register {
            nr_mode: mode,
            nr_ringid: ring,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// All rings of an interface, or also those of its host.
#[test]
fn what_is_attached() {
    let host = |mode, ring| match SwitchBody::Attach(attach(mode, ring)).decode(&text("vale0:a")) {
        Ok(SwitchRequest::Attach { host, .. }) => Some(host),
        other => {
            assert_eq!(other.map_err(|fault| fault.errno()), Err(errno::EINVAL));
            None
        }
    };
    for any in 0..20 {
        for ring in [0, 1, 7, u16::MAX] {
            let wanted = match (any, ring) {
                (mode::NR_REG_ALL_NIC, 0) => Some(false),
                (mode::NR_REG_NIC_SW, 0) => Some(true),
                _ => None,
            };
            assert_eq!(host(any, ring), wanted);
        }
    }
}

#[test]
fn names_of_ports() {
    for body in [
        SwitchBody::Attach(attach(mode::NR_REG_ALL_NIC, 0)),
        SwitchBody::Detach(Default::default()),
        SwitchBody::StopPolling(Default::default()),
    ] {
        assert_eq!(errno_of(body, "vale0:eth0"), 0);
        assert_eq!(errno_of(body, "eth0"), errno::EINVAL);
        assert_eq!(errno_of(body, "stack:eth0"), errno::EINVAL);
        assert_eq!(errno_of(body, "vale0:eth0{1"), errno::EINVAL);
        assert_eq!(errno_of(body, "vale-0:eth0"), errno::ENXIO);
        assert_eq!(errno_of(body, ""), errno::ENXIO);
    }
}

#[test]
fn lists() {
    let body = SwitchBody::List(abi::ValeList {
        nr_bridge_idx: 3,
        nr_port_idx: 7,
        ..Default::default()
    });
    assert_eq!(
        body.decode(&Text::EMPTY),
        Ok(SwitchRequest::Next { switch: 3, port: 7 })
    );
    assert_eq!(
        body.decode(&text("vale0:a")),
        Ok(SwitchRequest::Find(port("vale0:a")))
    );
    assert_eq!(errno_of(body, "eth0"), errno::EINVAL);
    for none in ["vale", "vale0", "vale-1:a"] {
        assert_eq!(errno_of(body, none), errno::ENOENT);
    }
}

#[test]
fn headers() {
    let set = |len| {
        SwitchBody::SetHeader(abi::PortHeader {
            nr_hdr_len: len,
            ..Default::default()
        })
    };
    for len in [0, 10, 12] {
        assert_eq!(
            set(len).decode(&text("vale0:a")),
            Ok(SwitchRequest::SetHeader(port("vale0:a"), len))
        );
        assert_eq!(errno_of(set(len), "eth0"), errno::ENXIO);
    }
    for len in [1, 9, 11, 13, u32::MAX] {
        assert_eq!(errno_of(set(len), "vale0:a"), errno::EINVAL);
    }
}

#[test]
fn interfaces_to_be() {
    let new = SwitchBody::NewInterface(Default::default());
    assert_eq!(errno_of(new, "v0"), 0);
    for bad in [
        "vale0",
        "vale0:a",
        "",
        "sixteen_letters_",
        "a/b",
        "stack:a",
        "v%d",
    ] {
        assert_eq!(errno_of(new, bad), errno::EINVAL, "{bad}");
    }
    assert_eq!(errno_of(new, "v0{1"), errno::EINVAL);
}

#[test]
fn polling() {
    let start = |mode, first, count| {
        SwitchBody::StartPolling(abi::ValePolling {
            nr_mode: mode,
            nr_first_cpu_id: first,
            nr_num_polling_cpus: count,
            ..Default::default()
        })
    };
    for (mode, first, count, pollers) in [
        (1, 3, 1, Some(Pollers::One(3))),
        (1, 3, 2, None),
        (1, 3, 0, None),
        (2, 1, 2, Some(Pollers::Each(1, 2))),
        (2, 1, 0, None),
        (0, 1, 1, None),
        (3, 1, 1, None),
    ] {
        let wanted = pollers.map(|it| SwitchRequest::StartPolling(port("vale0:a"), it));
        let found = start(mode, first, count).decode(&text("vale0:a"));
        assert_eq!(found.ok(), wanted);
    }
}

/// Each command of the legacy interface is a request of the other one, and its answer gets back.
#[test]
fn legacy() {
    let with = |command, arg1, arg2| abi::LegacyRequest {
        nr_cmd: command,
        nr_arg1: arg1,
        nr_arg2: arg2,
        ..Default::default()
    };
    let decode = |request: &abi::LegacyRequest, info| {
        SwitchBody::from_legacy(request, info).map(|body| body.decode(&text("vale0:a")).unwrap())
    };
    let name = port("vale0:a");
    assert_eq!(
        decode(&with(1, 1, 5), false),
        Some(SwitchRequest::Attach {
            name,
            host: true,
            mem_id: 5
        })
    );
    assert_eq!(
        decode(&with(2, 0, 0), false),
        Some(SwitchRequest::Detach(name))
    );
    assert_eq!(
        decode(&with(5, 10, 0), false),
        Some(SwitchRequest::SetHeader(name, 10))
    );
    assert_eq!(
        decode(&with(12, 0, 0), false),
        Some(SwitchRequest::GetHeader(name))
    );
    assert_eq!(
        decode(&with(4, 0, 0), true),
        Some(SwitchRequest::Find(name))
    );
    for command in [0, 3, 8, 9, 13] {
        assert_eq!(SwitchBody::from_legacy(&with(command, 0, 0), false), None);
    }
    assert_eq!(SwitchBody::from_legacy(&with(0, 0, 0), true), None);

    let mut body = abi::LegacyRequest::default();
    let place = SwitchReply::Place {
        switch: 2,
        port: NO_PORT,
        name: Some(text("vale2:fifteen")),
    };
    assert_eq!(place.to_legacy(&mut body), Ok(()));
    assert_eq!((body.nr_arg1, body.nr_arg2), (2, 255));
    assert_eq!(&body.nr_name[..14], b"vale2:fifteen\0");
    let long = SwitchReply::Place {
        switch: 2,
        port: 0,
        name: Some(text("vale2:fifteen_letters")),
    };
    let before = body;
    assert_eq!(long.to_legacy(&mut body), Err(errno::EOVERFLOW));
    assert_eq!(body.nr_name, before.nr_name);
}

#[test]
fn answers() {
    let geometry = Geometry {
        tx_slots: 1,
        rx_slots: 2,
        tx_rings: 3,
        rx_rings: 4,
        host_tx_rings: 0,
        host_rx_rings: 0,
    };
    let mut body = SwitchBody::empty(RequestType::ValeNewInterface).unwrap();
    body.answer(&SwitchReply::Interface(geometry, 9));
    let SwitchBody::NewInterface(body) = body else {
        panic!("it is another body");
    };
    assert_eq!(
        (
            body.nr_tx_slots,
            body.nr_rx_slots,
            body.nr_tx_rings,
            body.nr_rx_rings,
            body.nr_mem_id
        ),
        (1, 2, 3, 4, 9)
    );
    assert!(SwitchBody::empty(RequestType::Register).is_none());
}
