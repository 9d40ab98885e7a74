// SPDX-License-Identifier: GPL-2.0

//! Region layouts.

use netmap_logic::logic::pools::*;
use netmap_logic::logic::ring::{MAX_SLOTS, MIN_SLOTS};
use proptest::prelude::*;

const PAGE: u32 = 4096;

fn parameters() -> impl Strategy<Value = Parameters> {
    (
        64u32..5000,
        1u32..300,
        288u32..=262_400,
        2u32..2000,
        64u32..=65536,
        4u32..=1 << 26,
    )
        .prop_map(
            |(if_size, if_num, ring_size, ring_num, buf_size, buf_num)| Parameters {
                if_size,
                if_num,
                ring_size,
                ring_num,
                buf_size,
                buf_num,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn areas_are_aligned_and_apart(p in parameters(), page_shift in 12u32..17) {
        let page = 1 << page_shift;
        let layout = Layout::new(&p, page).unwrap();
        let (ifs, rings, bufs) = (layout.interfaces(), layout.rings(), layout.buffers());
        prop_assert_eq!(ifs.offset(), 0);
        prop_assert!(ifs.end() <= rings.offset() && rings.end() <= bufs.offset());
        prop_assert!(bufs.end() <= layout.memsize());
        prop_assert!(layout.memsize() - bufs.end() < u64::from(page));
        prop_assert_eq!(rings.offset() % u64::from(page), 0);
        prop_assert_eq!(rings.object_size() % page, 0);
        prop_assert_eq!(bufs.offset() % BUFFER_AREA_ALIGN, 0);
        prop_assert!(bufs.object_size().is_power_of_two());
        prop_assert_eq!(layout.memsize() % u64::from(page), 0);
        prop_assert!((p.buf_size..p.buf_size * 2).contains(&bufs.object_size()));
        prop_assert!((p.ring_size..p.ring_size + page).contains(&rings.object_size()));
        prop_assert!((p.if_size..p.if_size + 64).contains(&ifs.object_size()));
        for (area, count) in [(ifs, p.if_num), (rings, p.ring_num), (bufs, p.buf_num)] {
            prop_assert_eq!(area.objects(), count);
            let last = area.object(count - 1).unwrap();
            prop_assert_eq!(last + u64::from(area.object_size()), area.end());
            prop_assert_eq!(area.object(count), None);
            prop_assert_eq!(area.object(0), Some(area.offset()));
        }
    }

    #[test]
    fn any_parameters_are_laid_out_or_named(values: [u32; 6], page: u32) {
        let [if_size, if_num, ring_size, ring_num, buf_size, buf_num] = values;
        let p = Parameters { if_size, if_num, ring_size, ring_num, buf_size, buf_num };
        let _ = Layout::new(&p, page);
    }

    #[test]
    fn what_would_do_does(
        p in parameters(),
        rings in 0u32..300,
        slots in MIN_SLOTS..=MAX_SLOTS,
        buffers in 0u32..1 << 25,
        buf_size in 0u32..=65536,
        taken: [u16; 3],
    ) {
        let demand = Demand { rings, slots, buffers, buf_size };
        let usage = Usage {
            interfaces: u32::from(taken[0]) % 100,
            rings: u32::from(taken[1]) % 100,
            buffers: u32::from(taken[2]),
        };
        let mut p = p;
        let mut named = Vec::new();
        while let Err(fault) = Layout::new(&p, PAGE).unwrap().admit(&demand, &usage) {
            prop_assert!(!named.contains(&fault.parameter), "{} did not do", fault);
            named.push(fault.parameter);
            let Need::AtLeast(need) = fault.need else { panic!("{fault}") };
            prop_assert!(fault.have < need);
            match fault.parameter {
                "if_size" => p.if_size = need,
                "if_num" => p.if_num = need,
                "ring_size" => p.ring_size = need,
                "ring_num" => p.ring_num = need,
                "buf_size" => p.buf_size = need,
                "buf_num" => p.buf_num = need,
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn covering_serves_the_first_binding(
        rings in 0u32..300,
        slots in MIN_SLOTS..=MAX_SLOTS,
        buffers in 4u32..1 << 25,
        buf_size in 0u32..=65536,
    ) {
        let demand = Demand { rings, slots, buffers, buf_size };
        let p = Parameters::DEFAULT.covering(&demand);
        let layout = Layout::new(&p, PAGE).unwrap();
        prop_assert_eq!(layout.admit(&demand, &Usage::default()), Ok(()));
        prop_assert_eq!(p.covering(&demand), p);
    }

    #[test]
    fn rounded_slots_are_possible(wish: u32, default: u32, multiple in 0u32..5000) {
        let slots = round_slots(wish, default, multiple);
        prop_assert!(ring_bytes(slots).is_some());
        if multiple > 1 {
            prop_assert_eq!(slots % multiple, 0);
        }
        let wanted = if wish == 0 { default } else { wish };
        let most = MAX_SLOTS - multiple.max(1);
        prop_assert!(slots >= wanted.min(most));
        prop_assert!(slots < wanted.max(MIN_SLOTS).saturating_add(multiple.max(1)));
    }
}

#[test]
fn defaults_are_those_of_c_netmap() {
    let layout = Layout::new(&Parameters::DEFAULT, PAGE).unwrap();
    assert_eq!(layout.rings().offset(), 25 * 4096);
    assert_eq!(layout.rings().object_size(), 9 * 4096);
    assert_eq!(layout.buffers().offset(), 8 << 20);
    assert_eq!(layout.memsize(), (8 << 20) + 163_840 * 2048);
    let info = layout.to_pools_info(1);
    assert_eq!((info.nr_memsize, info.nr_mem_id), (layout.memsize(), 1));
    assert_eq!((info.nr_if_pool_offset, info.nr_if_pool_objtotal), (0, 100));
    assert_eq!(info.nr_if_pool_objsize, 1024);
    assert_eq!(
        (info.nr_ring_pool_offset, info.nr_ring_pool_objtotal),
        (102_400, 200)
    );
    assert_eq!(info.nr_ring_pool_objsize, 36_864);
    assert_eq!(
        (info.nr_buf_pool_offset, info.nr_buf_pool_objtotal),
        (8 << 20, 163_840)
    );
    assert_eq!(info.nr_buf_pool_objsize, 2048);
}

#[test]
fn sizes_of_objects() {
    assert_eq!(ring_bytes(2048), Some(256 + 16 * 2048));
    assert_eq!(ring_bytes(MIN_SLOTS - 1), None);
    assert_eq!(ring_bytes(MAX_SLOTS + 1), None);
    assert_eq!(ring_bytes(u32::MAX), None);
    assert_eq!(if_bytes(6), 56 + 48);
    assert_eq!(if_bytes(u32::MAX), u32::MAX);
}

#[test]
fn faults_name_the_parameter_and_a_value() {
    let fault = |p: Parameters| Layout::new(&p, PAGE).unwrap_err().to_string();
    let d = Parameters::DEFAULT;
    assert_eq!(
        fault(Parameters { buf_size: 63, ..d }),
        "buf_size=63 is too small, 64 would do"
    );
    assert_eq!(
        fault(Parameters {
            buf_size: 65537,
            ..d
        }),
        "buf_size=65537 is too large, 65536 would do"
    );
    assert_eq!(
        fault(Parameters {
            ring_size: 287,
            ..d
        }),
        "ring_size=287 is too small, 288 would do"
    );
    assert_eq!(
        fault(Parameters {
            ring_size: u32::MAX,
            ..d
        }),
        "ring_size=4294967295 is too large, 266240 would do"
    );
    for (p, name) in [
        (Parameters { if_size: 0, ..d }, "if_size"),
        (Parameters { if_num: 0, ..d }, "if_num"),
        (Parameters { ring_num: 0, ..d }, "ring_num"),
        (Parameters { buf_num: 3, ..d }, "buf_num"),
    ] {
        assert_eq!(Layout::new(&p, PAGE).unwrap_err().parameter, name);
    }
    let layout = Layout::new(&d, PAGE).unwrap();
    let demand = Demand {
        rings: 100,
        slots: 256,
        buffers: 0,
        buf_size: 0,
    };
    let usage = Usage {
        rings: 200,
        ..Usage::default()
    };
    assert_eq!(
        layout.admit(&demand, &usage).unwrap_err().to_string(),
        "ring_num=200 is too small, 300 would do"
    );
}

#[test]
fn what_is_taken_counts() {
    let layout = Layout::new(&Parameters::DEFAULT, PAGE).unwrap();
    let demand = Demand {
        rings: 2,
        slots: 256,
        buffers: 512,
        buf_size: 2048,
    };
    let full = Usage {
        interfaces: 99,
        rings: 198,
        buffers: 163_840 - 512,
    };
    assert_eq!(layout.admit(&demand, &full), Ok(()));
    for (usage, parameter, need) in [
        (
            Usage {
                interfaces: 100,
                ..full
            },
            "if_num",
            101,
        ),
        (Usage { rings: 199, ..full }, "ring_num", 201),
        (
            Usage {
                buffers: 163_329,
                ..full
            },
            "buf_num",
            163_841,
        ),
    ] {
        let fault = layout.admit(&demand, &usage).unwrap_err();
        assert_eq!(
            (fault.parameter, fault.need),
            (parameter, Need::AtLeast(need))
        );
    }
}

proptest! {
    #[test]
    fn a_private_region_serves_its_port_and_its_pipes(
        rings in (1u16..=256, 1u16..=256),
        slots in (2u32..=1024, 2u32..=1024),
        extra in 0u32..1000,
        pipes in 0u32..8,
    ) {
        let least = Parameters { if_num: 2, ring_size: 5 * 4096, ring_num: 4, buf_num: 4098, ..Parameters::DEFAULT };
        let p = least.of_port(&PortDemand {
            tx_rings: rings.0,
            rx_rings: rings.1,
            tx_slots: slots.0,
            rx_slots: slots.1,
            extra_buffers: extra,
            pipes,
        });
        let layout = Layout::new(&p, 4096).unwrap();
        // The port, and a file for each end of each pipe.
        prop_assert!(p.if_num > 2 * pipes);
        let (tx, rx) = (u32::from(rings.0), u32::from(rings.1));
        let own = Demand { rings: tx + rx, slots: slots.0.max(slots.1), buffers: tx * slots.0 + rx * slots.1 + extra, buf_size: 0 };
        let reserved = Usage { buffers: 2, ..Usage::default() };
        prop_assert_eq!(layout.admit(&own, &reserved), Ok(()));
        // Each end of a pipe of one ring in each direction.
        let ends = 2 * pipes;
        let all = Demand { rings: tx + rx + 2 * ends, buffers: own.buffers + ends * (slots.0 + slots.1), ..own };
        prop_assert!(p.ring_num >= all.rings);
        prop_assert!(p.buf_num >= all.buffers + 2);
    }

    #[test]
    fn a_request_has_a_limit(extra in any::<u32>(), wanted in BUF_NUM.0..=BUF_NUM.1) {
        let least = Parameters { buf_num: wanted, ..Parameters::DEFAULT };
        let port = PortDemand { tx_rings: 1, rx_rings: 1, tx_slots: 1024, rx_slots: 1024, extra_buffers: extra, pipes: 0 };
        prop_assert!(least.of_port(&port).buf_num <= PRIVATE_BUFFERS.max(wanted));
    }

    #[test]
    fn identifiers_of_regions_go_up_and_around(last in any::<u16>(), taken in prop::collection::hash_set(any::<u16>(), 0..64)) {
        let id = next_region(last, |id| taken.contains(&id)).unwrap();
        prop_assert!(id > GLOBAL_REGION && !taken.contains(&id));
        let passed = id.wrapping_sub(last).wrapping_sub(1);
        for back in 1..=passed {
            let skipped = id.wrapping_sub(back);
            prop_assert!(skipped <= GLOBAL_REGION || taken.contains(&skipped));
        }
    }
}

#[test]
fn there_may_be_no_identifier_left() {
    assert_eq!(None, next_region(7, |_| true));
    assert_eq!(Some(7), next_region(7, |id| id != 7));
}
