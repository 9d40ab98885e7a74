// SPDX-License-Identifier: GPL-2.0

//! The table of addresses of a switch, against one that forgets nothing by itself.

use netmap_logic::logic::forwarding::{
    check_header, decide_named, table_size, Addresses, Entry, ForwardingTable, Route, Verdict,
    MAX_ADDRESSES, MIN_ADDRESSES,
};
use proptest::prelude::*;
use std::collections::HashMap;

fn table(ageing: u32) -> ForwardingTable<Vec<Entry>> {
    let entries = (0..MIN_ADDRESSES).map(|_| Entry::new()).collect();
    ForwardingTable::new(entries, ageing).unwrap()
}

fn addresses(to: u64, from: u64) -> Addresses {
    let mut bytes = [0; 12];
    bytes[..6].copy_from_slice(&to.to_le_bytes()[..6]);
    bytes[6..].copy_from_slice(&from.to_le_bytes()[..6]);
    Addresses::from_bytes(bytes)
}

#[test]
fn sizes() {
    for (wish, size) in [
        (0, MIN_ADDRESSES),
        (1024, 1024),
        (1025, 2048),
        (u32::MAX, MAX_ADDRESSES),
    ] {
        assert_eq!(table_size(wish), size);
    }
    assert!(ForwardingTable::new(Vec::<Entry>::new(), 0).is_none());
    let odd: Vec<Entry> = (0..1500).map(|_| Entry::new()).collect();
    assert!(ForwardingTable::new(odd, 0).is_none());
}

#[test]
fn headers() {
    for len in 0..100 {
        let good = matches!(len, 0 | 10 | 12);
        assert_eq!(check_header(len).is_ok(), good);
    }
}

#[test]
fn addresses_are_those_of_the_wire() {
    let seen = Addresses::from_bytes([2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(seen.destination(), 0x0504_0302_0102);
    assert_eq!(seen.source(), 0x0b0a_0908_0706);
}

#[test]
fn verdicts() {
    let table = table(0);
    let (a, b, group) = (2, 4, 3);
    // Unknown, to a group, and from a group, which is never learnt.
    assert_eq!(table.decide(addresses(b, a), 1, 0, true), Verdict::Flood);
    assert_eq!(
        table.decide(addresses(group, a), 1, 0, true),
        Verdict::Flood
    );
    assert_eq!(
        table.decide(addresses(a, group), 9, 0, true),
        Verdict::Port(1)
    );
    assert_eq!(table.find(group, 0), None);
    // Known, and on the port that it came from.
    assert_eq!(table.decide(addresses(a, b), 7, 0, true), Verdict::Port(1));
    assert_eq!(table.decide(addresses(b, a), 7, 0, true), Verdict::Drop);
    // It has moved, unless it says that this is not to be learnt.
    assert_eq!(table.find(a, 0), Some(7));
    table.decide(addresses(b, a), 200, 0, false);
    assert_eq!(table.find(a, 0), Some(7));
    assert_eq!(decide_named(3, 3), Verdict::Drop);
    assert_eq!(decide_named(3, 4), Verdict::Port(3));
    // An address of zeros is one.
    assert_eq!(table.find(0, 0), None);
    table.learn(0, 0, 0);
    assert_eq!(table.find(0, 0), Some(0));
}

#[test]
fn ageing() {
    let table = table(300);
    table.learn(2, 1, u32::MAX - 100);
    assert_eq!(table.find(2, 199), Some(1));
    assert_eq!(table.find(2, 200), None);
    table.learn(2, 1, 200);
    assert_eq!(table.find(2, 500), Some(1));
    let forever = self::table(0);
    forever.learn(2, 1, 0);
    assert_eq!(forever.find(2, u32::MAX), Some(1));
}

/// As many addresses as a switch has ports are remembered, whatever they are: none pushes another one out.
#[test]
fn collisions_are_rare() {
    let table = table(300);
    let address = |number: u64| ((number * number * 0x1234_5677) << 1) & 0xffff_ffff_fffe;
    for number in 1..=254 {
        table.learn(address(number), number as u8, 0);
    }
    let lost = (1..=254).filter(|&number| table.find(address(number), 0) != Some(number as u8));
    assert!(lost.count() <= 2);
}

#[test]
fn ports_are_forgotten() {
    let table = table(0);
    for number in 0..200u64 {
        table.learn(number << 1, (number % 3) as u8, 0);
    }
    table.forget(1);
    for number in 0..200u64 {
        let port = table.find(number << 1, 0);
        assert_ne!(port, Some(1));
        assert!(number % 3 == 1 || port == Some((number % 3) as u8) || port.is_none());
    }
}

proptest! {
    /// What a route remembers is what the table would say, for whatever frames a port sends one after the other.
    #[test]
    fn a_route_says_what_the_table_says(
        frames in proptest::collection::vec((0..6u64, 0..6u64, 0..8u8), 1..200), port in 0..3u8, ageing in 0..3u32,
    ) {
        let (table, same) = (table(ageing), table(ageing));
        let mut now = 0;
        let mut route = Route::new(&table, port, now);
        for (to, from, what) in frames {
            let frame = addresses(to, from);
            match what {
                // Another port sends, and time passes between two syncs.
                0 => {
                    let other = (port + 1) % 3;
                    prop_assert_eq!(table.decide(frame, other, now, true), same.decide(frame, other, now, true));
                    now += 1;
                    route = Route::new(&table, port, now);
                }
                1 => prop_assert_eq!(route.find_once(frame, false), same.decide(frame, port, now, false)),
                2 => {
                    let before = route.find(frame);
                    prop_assert_eq!(before, same.decide(frame, port, now, true));
                    let next = addresses(from, to);
                    let verdict = same.decide(next, port, now, true);
                    prop_assert_eq!(route.is_like_last(next), verdict == before);
                    prop_assert_eq!(route.find(next), verdict);
                }
                _ => prop_assert_eq!(route.find(frame), same.decide(frame, port, now, true)),
            }
        }
    }

    /// What is found is what was learnt last, and not too old. What was just learnt is found.
    #[test]
    fn finds_what_was_learnt(
        steps in prop::collection::vec((0u64..4000, any::<u8>(), 0u32..400), 1..400),
    ) {
        let table = table(300);
        let mut model = HashMap::new();
        let mut now = 0u32;
        for (address, port, passed) in steps {
            now += passed;
            let address = address << 1;
            table.learn(address, port, now);
            model.insert(address, (port, now));
            prop_assert_eq!(table.find(address, now), Some(port));
            for (&address, &(port, seen)) in &model {
                // It may have been pushed out.
                if let Some(found) = table.find(address, now) {
                    prop_assert!(found == port && now - seen <= 300);
                }
            }
        }
    }
}
