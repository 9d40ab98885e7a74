// SPDX-License-Identifier: GPL-2.0

//! Requests of both ABIs, valid and not.

use netmap_logic::abi::{self, legacy, mode, register_flags};
use netmap_logic::logic::errno;
use netmap_logic::logic::legacy::{decode_legacy_info, decode_legacy_register};
use netmap_logic::logic::name::PipeEnd;
use netmap_logic::logic::request::*;
use proptest::prelude::*;

fn field<const N: usize>(name: &str) -> [u8; N] {
    let mut field = [0; N];
    field[..name.len()].copy_from_slice(name.as_bytes());
    field
}

fn header(name: &str) -> abi::Header {
    abi::Header {
        nr_version: abi::NETMAP_API,
        nr_reqtype: 1,
        nr_reserved: 0,
        nr_name: field(name),
        nr_options: 0,
        nr_body: 0x1000,
    }
}

fn register(mode: u32) -> abi::Register {
    abi::Register {
        nr_mode: mode,
        ..Default::default()
    }
}

fn legacy(name: &str) -> abi::LegacyRequest {
    abi::LegacyRequest {
        nr_name: field(name),
        nr_version: 14,
        ..Default::default()
    }
}

fn name_of(request: &BindRequest) -> String {
    request.port.unwrap().to_string()
}

prop_compose! {
    fn any_name()(text in prop_oneof![
        "[a-z]{0,15}",
        "(eth|vale)[0-9]{0,2}(:p[0-9]{1,3})?([{}][0-9a-z]{0,4})?",
        "[ -~]{0,16}",
    ], fill in prop::option::of(any::<u8>())) -> [u8; 16] {
        let mut name = [fill.unwrap_or(0); 16];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    }
}

prop_compose! {
    fn any_legacy()(
        nr_name in any_name(),
        nr_version in prop_oneof![9u32..17, any::<u32>()],
        numbers: [u32; 6],
        shorts: [u16; 5],
        nr_cmd in prop_oneof![3 => Just(0u16), 1 => any::<u16>(), 1 => 0u16..15],
    ) -> abi::LegacyRequest {
        abi::LegacyRequest {
            nr_name,
            nr_version,
            nr_offset: 0,
            nr_memsize: numbers[0],
            nr_tx_slots: numbers[1],
            nr_rx_slots: numbers[2],
            nr_tx_rings: shorts[0],
            nr_rx_rings: shorts[1],
            nr_ringid: shorts[2],
            nr_cmd,
            nr_arg1: shorts[3],
            nr_arg2: shorts[4],
            nr_arg3: numbers[3],
            nr_flags: numbers[4],
            spare2: numbers[5],
        }
    }
}

/// The translation of a legacy request to the current ABI, written as a table of bits.
fn translate(old: &abi::LegacyRequest) -> (abi::Header, abi::Register) {
    let ring = old.nr_ringid & 0xfff;
    let mut new = abi::Register {
        nr_tx_slots: old.nr_tx_slots,
        nr_rx_slots: old.nr_rx_slots,
        nr_tx_rings: old.nr_tx_rings,
        nr_rx_rings: old.nr_rx_rings,
        nr_mem_id: old.nr_arg2,
        nr_ringid: ring,
        nr_mode: old.nr_flags & 0xf,
        nr_extra_bufs: old.nr_arg3,
        nr_flags: u64::from(old.nr_flags & !0xf),
        ..Default::default()
    };
    let mut name: Vec<u8> = old
        .nr_name
        .iter()
        .copied()
        .take_while(|&b| b != 0)
        .collect();
    match (new.nr_mode, old.nr_ringid & 0x6000) {
        (0, 0x2000 | 0x6000) => new.nr_mode = 2,
        (0, 0x4000) => new.nr_mode = 4,
        (0, _) => new.nr_mode = 1,
        (5, _) => {
            name.extend(format!("{{{ring}").bytes());
            new.nr_mode = 1;
        }
        (6, _) => {
            name.extend(format!("}}{ring}").bytes());
            new.nr_mode = 1;
        }
        _ => {}
    }
    if old.nr_ringid & 0x1000 != 0 {
        new.nr_flags |= 0x20000;
    }
    if old.nr_ringid & 0x8000 != 0 {
        new.nr_flags |= 0x10000;
    }
    let mut header = header("");
    header.nr_name[..name.len()].copy_from_slice(&name);
    (header, new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn legacy_register_equals_its_translation(old in any_legacy()) {
        let got = decode_legacy_register(&old);
        if old.nr_version < 11 {
            let want = VersionFault { have: old.nr_version, want: 14 };
            prop_assert_eq!(got, Err(RequestFault::Version(want)));
        } else if old.nr_cmd > 12 {
            prop_assert_eq!(got, Err(RequestFault::Command(old.nr_cmd)));
        } else if old.nr_cmd > 0 {
            prop_assert_eq!(got, Err(RequestFault::NotServed));
        } else if !old.nr_name.contains(&0) {
            prop_assert_eq!(got.unwrap_err().errno(), errno::EINVAL);
        } else {
            let (header, new) = translate(&old);
            match (got, decode_register(&header, &new)) {
                (Ok(got), Ok(want)) => {
                    let got = BindRequest { label: want.label, ..got };
                    prop_assert_eq!(got, want);
                }
                (Err(got), Err(want)) => prop_assert_eq!(got.errno(), want.errno()),
                (got, want) => prop_assert!(false, "{:?} is not {:?}", got, want),
            }
        }
    }

    #[test]
    fn register_never_invents(name in any::<[u8; 64]>(), words: [u64; 4], shorts: [u16; 6]) {
        let mut header = header("");
        header.nr_name = name;
        let body = abi::Register {
            nr_tx_slots: words[0] as u32,
            nr_rx_slots: words[1] as u32,
            nr_tx_rings: shorts[0],
            nr_rx_rings: shorts[1],
            nr_host_tx_rings: shorts[2],
            nr_host_rx_rings: shorts[3],
            nr_mem_id: shorts[4],
            nr_ringid: shorts[5],
            nr_mode: (words[2] % 10) as u32,
            nr_flags: words[3],
            ..Default::default()
        };
        if let Ok(request) = decode_register(&header, &body) {
            prop_assert_eq!(request.geometry.host_rx_rings, shorts[3]);
            prop_assert_eq!(request.flags.bits() & !words[3], 0);
            prop_assert_eq!(request.mem_id, shorts[4]);
            let end = name.iter().position(|&b| b == 0).unwrap();
            // NR_STACK stands for a prefix, which the field of a legacy request has no room for.
            let name = &name[..end];
            let is_name = |text: &[u8]| {
                let rest = text.strip_prefix(b"stack:");
                text == name || words[3] & 0x40000 != 0 && rest == Some(name)
            };
            let label = request.label.as_bytes();
            prop_assert!(is_name(label) || name.strip_prefix(b"stack:") == Some(label));
            if let Some(port) = request.port {
                let text = port.text().unwrap();
                prop_assert!(is_name(text.as_bytes()));
            } else {
                prop_assert_eq!(body.nr_mode, mode::NR_REG_NULL);
            }
        }
    }

    #[test]
    fn headers_never_panic(version: u16, reqtype in 0u16..20, reserved: bool, body: bool) {
        let header = abi::Header {
            nr_version: version % 20,
            nr_reqtype: reqtype,
            nr_reserved: u32::from(reserved),
            nr_body: u64::from(body),
            ..header("eth0")
        };
        match decode_header(&header) {
            Ok(found) => {
                prop_assert!((14..=15).contains(&header.nr_version) && !reserved);
                prop_assert_eq!(RequestType::from_raw(reqtype), Some(found));
                prop_assert_eq!(found.body_size() != 0, body);
            }
            Err(fault) => prop_assert_eq!(fault.errno(), errno::EINVAL),
        }
    }
}

#[test]
fn modes_of_the_current_abi() {
    let select = |mode, ring| {
        let mut body = register(mode);
        body.nr_ringid = ring;
        decode_register(&header("eth0"), &body).map(|request| request.select)
    };
    assert_eq!(select(mode::NR_REG_ALL_NIC, 0), Ok(RingSelect::AllNic));
    assert_eq!(select(mode::NR_REG_SW, 0), Ok(RingSelect::Sw));
    assert_eq!(select(mode::NR_REG_NIC_SW, 0), Ok(RingSelect::NicSw));
    assert_eq!(select(mode::NR_REG_ONE_NIC, 3), Ok(RingSelect::OneNic(3)));
    assert_eq!(select(mode::NR_REG_ONE_SW, 1), Ok(RingSelect::OneSw(1)));
    assert_eq!(select(mode::NR_REG_NULL, 0), Ok(RingSelect::Null));
    for bad in [
        mode::NR_REG_DEFAULT,
        mode::NR_REG_PIPE_MASTER,
        mode::NR_REG_PIPE_SLAVE,
        9,
        0x10001,
    ] {
        assert_eq!(select(bad, 0), Err(RequestFault::Mode(bad)));
    }
}

#[test]
fn pipes_have_nic_rings_only() {
    for (mode, want) in [
        (mode::NR_REG_ALL_NIC, None),
        (mode::NR_REG_ONE_NIC, None),
        (mode::NR_REG_SW, Some(RequestFault::PipeMode)),
        (mode::NR_REG_NIC_SW, Some(RequestFault::PipeMode)),
        (mode::NR_REG_ONE_SW, Some(RequestFault::PipeMode)),
    ] {
        let got = decode_register(&header("eth0{1"), &register(mode));
        assert_eq!(got.err(), want);
    }
}

#[test]
fn legacy_pipes_become_names() {
    let mut request = legacy("eth0");
    request.nr_flags = mode::NR_REG_PIPE_SLAVE;
    request.nr_ringid = 4095;
    let bind = decode_legacy_register(&request).unwrap();
    assert_eq!(name_of(&bind), "eth0}4095");
    assert_eq!(bind.label.as_bytes(), b"eth0}4095");
    assert_eq!(bind.select, RingSelect::AllNic);
    let pipe = bind.port.unwrap().pipe.unwrap();
    assert_eq!(
        (pipe.end, pipe.id.as_bytes()),
        (PipeEnd::Slave, &b"4095"[..])
    );
    request.nr_flags = mode::NR_REG_PIPE_MASTER;
    request.nr_ringid = 0;
    assert_eq!(
        name_of(&decode_legacy_register(&request).unwrap()),
        "eth0{0"
    );
}

#[test]
fn legacy_ring_bits_count_only_in_the_default_mode() {
    let mut request = legacy("eth0");
    request.nr_ringid = legacy::NETMAP_HW_RING | legacy::NETMAP_NO_TX_POLL | 2;
    let bind = decode_legacy_register(&request).unwrap();
    assert_eq!(bind.select, RingSelect::OneNic(2));
    assert!(bind.flags.no_tx_poll() && !bind.flags.do_rx_poll());
    request.nr_flags = mode::NR_REG_NIC_SW | register_flags::NR_EXCLUSIVE as u32;
    let bind = decode_legacy_register(&request).unwrap();
    assert_eq!(bind.select, RingSelect::NicSw);
    assert!(bind.flags.exclusive() && bind.flags.no_tx_poll());
}

#[test]
fn both_directions_only_is_none() {
    let mut body = register(mode::NR_REG_ALL_NIC);
    body.nr_flags = register_flags::NR_RX_RINGS_ONLY | register_flags::NR_TX_RINGS_ONLY;
    let got = decode_register(&header("eth0"), &body);
    assert_eq!(got, Err(RequestFault::NoRings));
}

#[test]
fn info_without_name_asks_for_the_region() {
    let info = decode_legacy_info(&legacy("")).unwrap();
    assert_eq!(info.port, None);
    let info = decode_port_info(&header(""), &Default::default()).unwrap();
    assert_eq!(info.port, None);
    let fault = decode_pools_info(&header(""), &Default::default()).unwrap_err();
    assert_eq!(fault.errno(), errno::ENXIO);
    let mut list = legacy("");
    list.nr_cmd = legacy::NETMAP_BDG_LIST;
    let fault = decode_legacy_info(&list).unwrap_err();
    assert_eq!(fault.errno(), errno::EOPNOTSUPP);
}

#[test]
fn null_ports_take_any_name() {
    let bind = decode_register(&header("a b/c"), &register(mode::NR_REG_NULL)).unwrap();
    assert_eq!((bind.port, bind.label.as_bytes()), (None, &b"a b/c"[..]));
    assert_eq!(
        decode_register(&header("a b/c"), &register(mode::NR_REG_ALL_NIC))
            .unwrap_err()
            .errno(),
        errno::ENXIO
    );
}

#[test]
fn bodies_have_the_size_of_their_type() {
    let sizes: Vec<usize> = (1..=15)
        .map(|raw| RequestType::from_raw(raw).unwrap().body_size())
        .collect();
    assert_eq!(sizes, [56, 32, 64, 8, 8, 8, 8, 16, 0, 16, 16, 64, 8, 0, 0]);
    assert_eq!(RequestType::from_raw(0), None);
    assert_eq!(RequestType::from_raw(16), None);
}

#[test]
fn replies_fill_their_structures() {
    let reply = Reply {
        offset: 0x40,
        memsize: 0x1234_5000,
        geometry: Geometry {
            tx_slots: 1,
            rx_slots: 2,
            tx_rings: 3,
            rx_rings: 4,
            host_tx_rings: 5,
            host_rx_rings: 6,
        },
        mem_id: 7,
        extra_bufs: 8,
    };
    let mut body = register(mode::NR_REG_SW);
    reply.to_register(&mut body);
    assert_eq!(
        body,
        abi::Register {
            nr_offset: 0x40,
            nr_memsize: 0x1234_5000,
            nr_tx_slots: 1,
            nr_rx_slots: 2,
            nr_tx_rings: 3,
            nr_rx_rings: 4,
            nr_host_tx_rings: 5,
            nr_host_rx_rings: 6,
            nr_mem_id: 7,
            nr_extra_bufs: 8,
            ..register(mode::NR_REG_SW)
        }
    );
    let mut info = abi::PortInfo::default();
    reply.to_port_info(&mut info);
    assert_eq!((info.nr_memsize, info.nr_mem_id), (0x1234_5000, 7));
    assert_eq!((info.nr_host_tx_rings, info.nr_host_rx_rings), (5, 6));

    let mut old = legacy("eth0");
    reply.to_legacy_register(&mut old).unwrap();
    assert_eq!(
        old,
        abi::LegacyRequest {
            nr_offset: 0x40,
            nr_memsize: 0x1234_5000,
            nr_tx_slots: 1,
            nr_rx_slots: 2,
            nr_tx_rings: 3,
            nr_rx_rings: 4,
            nr_arg2: 7,
            nr_arg3: 8,
            ..legacy("eth0")
        }
    );
    let large = Reply {
        memsize: 1 << 32,
        ..reply
    };
    let mut old = legacy("eth0");
    let fault = large.to_legacy_register(&mut old).unwrap_err();
    assert_eq!(fault.errno(), errno::EOVERFLOW);
    assert_eq!(old, legacy("eth0"));
}
