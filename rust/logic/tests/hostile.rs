// SPDX-License-Identifier: GPL-2.0

//! What a program or a device may write, any bytes at all: nothing panics, what is accepted is within its limits, what is
//! refused has an errno that is documented.

use netmap_logic::abi::{self, NETMAP_REQ_MAXSIZE};
use netmap_logic::logic::desc::{Advanced, Extended, Extended10G, Legacy, Receive, Transmit};
use netmap_logic::logic::legacy::{decode_legacy_info, decode_legacy_register};
use netmap_logic::logic::options::{OptionFault, OptionWalk, MAX_OPTIONS};
use netmap_logic::logic::request::*;
use netmap_logic::logic::{errno, name::PortName};
use proptest::prelude::*;
use std::collections::HashMap;

/// A structure that is all integers, without padding.
trait Plain: Copy {}
impl Plain for abi::Header {}
impl Plain for abi::Register {}
impl Plain for abi::PortInfo {}
impl Plain for abi::PoolsInfo {}
impl Plain for abi::LegacyRequest {}

/// The first bytes as a structure.
fn structure<T: Plain>(bytes: &[u8]) -> T {
    assert!(bytes.len() >= size_of::<T>());
    // SAFETY: There are as many bytes, and every pattern of bits is a value of the type.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

const BYTES: usize = 128;

/// Any bytes, zeros among them, so that names end and reserved fields are as they should be now and then.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        2 => Just(0u8),
        1 => any::<u8>(),
        1 => prop::sample::select(&b"eth01vale:{}-_."[..]),
    ];
    prop::collection::vec(byte, BYTES)
}

/// The name of a request, which most of the time is one.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "(eth|vale)[0-9]{1,2}(:p[0-9]{1,3})?([{}][0-9a-z]{0,4})?".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

const DOCUMENTED: [i32; 5] = [
    errno::EINVAL,
    errno::ENXIO,
    errno::EMSGSIZE,
    errno::EOPNOTSUPP,
    errno::EOVERFLOW,
];

fn refused(fault: RequestFault) -> Result<(), TestCaseError> {
    prop_assert!(DOCUMENTED.contains(&fault.errno()));
    prop_assert!(!fault.to_string().is_empty());
    Ok(())
}

/// What must be true of a request to bind that was accepted.
fn sound(request: &BindRequest) -> Result<(), TestCaseError> {
    prop_assert!(!(request.flags.tx_only() && request.flags.rx_only()));
    prop_assert_eq!(BindFlags::new(request.flags.bits()), request.flags);
    prop_assert_eq!(request.port.is_none(), request.select == RingSelect::Null);
    prop_assert!(request.label.as_bytes().len() < abi::NETMAP_REQ_IFNAMSIZ);
    if let Some(port) = request.port {
        // A port's name is a name.
        let text = port.text().map_err(|_| TestCaseError::fail("no text"))?;
        prop_assert_eq!(PortName::parse(text.as_bytes()), Ok(port));
        if port.pipe.is_some() {
            prop_assert!(matches!(
                request.select,
                RingSelect::AllNic | RingSelect::OneNic(_)
            ));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_any_bytes(
        mut header_bytes in bytes(),
        body in bytes(),
        name in name(),
        valid: bool,
        mode in prop::option::of(0u32..10),
    ) {
        if valid {
            header_bytes[8..72].fill(0);
            header_bytes[8..8 + name.len().min(64)].copy_from_slice(&name[..name.len().min(64)]);
        }
        let header: abi::Header = structure(&header_bytes);
        match decode_header(&header) {
            Ok(kind) => {
                prop_assert_eq!(header.nr_reserved, 0);
                prop_assert_eq!(kind.body_size() != 0, header.nr_body != 0);
                prop_assert!(kind.body_size() <= NETMAP_REQ_MAXSIZE);
            }
            Err(fault) => refused(fault)?,
        }
        let mut register: abi::Register = structure(&body);
        if let Some(mode) = mode {
            register.nr_mode = mode;
        }
        match decode_register(&header, &register) {
            Ok(request) => {
                sound(&request)?;
                prop_assert_eq!(request.extra_bufs, register.nr_extra_bufs);
            }
            Err(fault) => refused(fault)?,
        }
        match decode_port_info(&header, &structure(&body)) {
            Ok(request) => prop_assert_eq!(request.port.is_none(), header.nr_name[0] == 0),
            Err(fault) => refused(fault)?,
        }
        if let Err(fault) = decode_pools_info(&header, &structure(&body)) {
            refused(fault)?;
        }
    }

    #[test]
    fn legacy_requests_of_any_bytes(
        mut old in bytes(),
        name in name(),
        valid: bool,
        numbers: [u64; 4],
    ) {
        if valid {
            old[..16].fill(0);
            old[..name.len().min(16)].copy_from_slice(&name[..name.len().min(16)]);
            old[16..20].copy_from_slice(&14u32.to_ne_bytes());
            old[42..44].fill(0);
        }
        let request: abi::LegacyRequest = structure(&old);
        match decode_legacy_register(&request) {
            Ok(bind) => {
                sound(&bind)?;
                if let RingSelect::OneNic(ring) | RingSelect::OneSw(ring) = bind.select {
                    prop_assert!(ring <= abi::legacy::NETMAP_RING_MASK);
                }
            }
            Err(fault) => refused(fault)?,
        }
        if let Err(fault) = decode_legacy_info(&request) {
            refused(fault)?;
        }
        // An answer fits whole or is not given.
        let reply = Reply { offset: numbers[0], memsize: numbers[1] >> (numbers[2] % 64), ..Reply::default() };
        let mut answer = request;
        match reply.to_legacy_register(&mut answer) {
            Ok(()) => {
                prop_assert_eq!(u64::from(answer.nr_offset), reply.offset);
                prop_assert_eq!(u64::from(answer.nr_memsize), reply.memsize);
            }
            Err(fault) => {
                refused(fault)?;
                prop_assert_eq!(answer, request);
            }
        }
    }

    #[test]
    fn option_lists_end(
        body in 0usize..200,
        list in prop::collection::vec((0u32..8, prop_oneof![0u64..100, 0u64..5000, any::<u64>()]), 1..40),
    ) {
        // Again and again, as in a circular list.
        let mut walk = OptionWalk::new(body);
        let mut seen = HashMap::new();
        let mut bytes = body;
        let mut steps = 0;
        for &(nro_reqtype, nro_size) in list.iter().cycle() {
            let header = abi::OptionHeader { nro_reqtype, nro_size, ..Default::default() };
            let step = walk.admit().and_then(|()| walk.step(&header));
            steps += 1;
            prop_assert!(steps <= MAX_OPTIONS + 1);
            match step {
                Ok(found) => {
                    prop_assert_eq!(usize::from(found.index), steps - 1);
                    bytes += size_of::<abi::OptionHeader>() + found.body_size as usize;
                    prop_assert!(bytes <= NETMAP_REQ_MAXSIZE + 6 * 8);
                    if found.kind.is_some() {
                        prop_assert!(bytes <= NETMAP_REQ_MAXSIZE);
                        prop_assert_eq!(seen.insert(nro_reqtype, found.index), None);
                    }
                }
                Err(fault) => {
                    prop_assert!(DOCUMENTED.contains(&fault.errno()));
                    if let OptionFault::Duplicate { first } = fault {
                        prop_assert_eq!(seen.get(&nro_reqtype), Some(&first));
                    }
                    break;
                }
            }
        }
    }

    #[test]
    fn descriptors_of_any_bits(word: u64, near in any::<u16>(), shift in 6u32..=16) {
        fn check<R: Receive>(word: u64, size: u32) -> Result<(), TestCaseError> {
            if R::is_plain(word, R::checked(size)) {
                prop_assert!(R::is_done(word));
                prop_assert!(u32::from(R::length(word)) < size);
                prop_assert_eq!(word & (R::ERRORS | R::TAG), 0);
            }
            // The damaged frame that moves a driver on is never taken for a packet.
            prop_assert!(!R::is_plain(R::DAMAGED, R::checked(size)));
            Ok(())
        }
        let size = 1 << shift;
        for word in [word, u64::from(near) | (3 << 32), (u64::from(near) << 32) | 3, word & 0xffff_0000_ffff] {
            check::<Legacy>(word, size)?;
            check::<Extended>(word, size)?;
            check::<Extended10G>(word, size)?;
        }
        // A length cannot reach the command bits.
        for whole in [Legacy::whole(near), Advanced::whole(near)] {
            prop_assert_eq!(whole & 0xffff, u64::from(near));
        }
        prop_assert_eq!(Legacy::whole(near) >> 16, Legacy::whole(0) >> 16);
        prop_assert_eq!(Legacy::part(near, false) >> 16, Legacy::part(0, false) >> 16);
        prop_assert_eq!(Advanced::part(near, true) >> 16, Advanced::part(0, true) >> 16);
    }
}
