// SPDX-License-Identifier: GPL-2.0

//! Packets of handed-over slots: where a program is set back to if one cannot be sent.

use netmap_logic::abi::slot_flags::NS_MOREFRAG;
use netmap_logic::logic::{
    packets::{first_packet, Found, Packets},
    ring::{Cursors, Untaken},
    slot::Slot,
};

/// Walks slots of a ring of 8 from `first` on: lengths, and whether the packet goes on.
fn walk(first: u32, slots: &[(u16, bool)]) -> Result<Packets, Untaken> {
    let mut packets = Packets::new(first, 8);
    for (at, &(len, more)) in (first..).zip(slots) {
        packets.add(at % 8, len, more)?;
    }
    Ok(packets)
}

#[test]
fn a_fault_is_of_the_packet_that_began_last() {
    let packets = walk(6, &[(60, false), (100, true), (40, true)]).unwrap();
    // Slot 6 is a packet, 7 and 0 are the beginning of the next.
    assert_eq!(packets.untaken(1), Untaken { slot: 1, packet: 7 });
    let packets = walk(6, &[(60, false), (100, true), (40, false)]).unwrap();
    assert_eq!(packets.untaken(1), Untaken::alone(1));
}

#[test]
fn a_packet_has_a_header_or_nothing() {
    let empty = [(0, false), (0, true), (0, false)];
    assert!(walk(0, &empty).is_ok());
    assert!(walk(0, &[(14, false), (13, true), (1, false)]).is_ok());
    let short = walk(0, &[(60, false), (13, false)]);
    assert_eq!(short, Err(Untaken { slot: 1, packet: 1 }));
    let short = walk(0, &[(60, false), (6, true), (0, true), (7, false)]);
    assert_eq!(short, Err(Untaken { slot: 3, packet: 1 }));
}

#[test]
fn a_packet_ends_in_the_ring() {
    assert!(walk(3, &[(9, true); 6]).is_ok());
    assert_eq!(walk(3, &[(9, true); 7]), Err(Untaken::alone(3)));
    let mut whole = [(9, true); 7];
    whole[6].1 = false;
    assert!(walk(3, &whole).is_ok());
}

#[test]
fn what_was_handed_over_before_stays_so() {
    // A queue that takes nothing for now: three slots of an earlier sync, and four of this one.
    let mut tx = Cursors::transmit(8).unwrap();
    tx.tx_prologue(3, 3, 7).unwrap();
    tx.tx_prologue(7, 7, 7).unwrap();
    let back = tx.reinit_untaken(Untaken { slot: 5, packet: 4 });
    assert_eq!((back.head, back.cur, back.tail), (4, 4, 7));
    assert_eq!((tx.hwcur(), tx.given_back().len()), (0, 4));
    // And again, from there on.
    assert_eq!(tx.tx_prologue(6, 6, 7).unwrap().span.len(), 6);
    // What is not given back cannot be taken back.
    assert_eq!(tx.reinit_untaken(Untaken::alone(7)).head, 6);
    assert_eq!(tx.reinit_untaken(Untaken::alone(u32::MAX)).head, 6);
}

/// What slots of these lengths begin with, of a packet that goes on or not.
fn found(slots: &[(u16, bool)], most: u32) -> Found {
    let slots = slots.iter().map(|&(len, more)| Slot {
        buf_idx: 2,
        len,
        flags: if more { NS_MOREFRAG } else { 0 },
    });
    first_packet(slots, most)
}

#[test]
fn the_first_packet_is_summed_up() {
    let packet = |slots, bytes| Found::Packet { slots, bytes };
    assert_eq!(found(&[(60, false), (70, false)], 4), packet(1, 60));
    assert_eq!(
        found(&[(60, true), (0, true), (7, false), (1, false)], 4),
        packet(3, 67)
    );
    assert_eq!(found(&[(0, false)], 4), packet(1, 0));
    assert_eq!(
        found(&[(65535, true), (65535, false)], 2),
        packet(2, 131_070)
    );
}

#[test]
fn a_packet_without_an_end_is_waited_for_or_none() {
    assert_eq!(found(&[], 4), Found::Unfinished);
    assert_eq!(found(&[(60, true); 4], 4), Found::Unfinished);
    assert_eq!(found(&[(60, true); 5], 4), Found::Endless { slots: 5 });
    let mut late = [(60, true); 7];
    late[5].1 = false;
    assert_eq!(found(&late, 4), Found::Endless { slots: 6 });
}
