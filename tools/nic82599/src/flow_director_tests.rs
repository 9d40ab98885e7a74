// SPDX-License-Identifier: BSD-2-Clause

use super::register::*;
use super::*;
use crate::packet::examples;

const KEY: u32 = 0x3dad_14e2;
const OTHER_KEY: u32 = 0x174d_3614;

// What the driver computes for these filters.
const UDP_9000_BUCKET: u32 = 0x035d;
const TCP_EXACT_BUCKET: u32 = 0x180a;
const IP_SOURCE_BUCKET: u32 = 0x1b3f;
const SIGNATURE: u32 = 0x18c7_1c78;
const TAGGED_SIGNATURE: u32 = 0x5761_6c1f;

/// As the driver starts it, with 64 KiB of filters.
fn started(perfect: bool) -> FlowDirector {
    let mut director = FlowDirector::default();
    director.write(HASH_KEY, KEY);
    director.write(SIGNATURE_KEY, OTHER_KEY);
    let mode = if perfect { 0x7f10 } else { 0 };
    director.write(CTRL, 0x4a06_0001 | mode);
    assert_ne!(director.read(CTRL) & bits::INIT_DONE, 0);
    director
}

/// The masks of a filter that compares the protocol and, of the rest, the destination port.
fn mask_all_but_destination_port(director: &mut FlowDirector) {
    director.write(MASK, 0x37);
    for register in [TCP_MASK, UDP_MASK] {
        director.write(register, 0x0000_ffff);
    }
    director.write(SOURCE_MASK, u32::MAX);
    director.write(DESTINATION_MASK, u32::MAX);
}

/// A filter as ixgbe_fdir_write_perfect_filter_82599 writes it.
fn add(director: &mut FlowDirector, port: u32, hash: u32, index: u32, command: u32) {
    director.write(SOURCE, 0);
    director.write(DESTINATION, 0);
    director.write(PORT, port);
    director.write(VLAN, 0);
    director.write(HASH, (index << 16) | hash);
    director.write(COMMAND, 0x8809 | command);
    assert_eq!(director.read(COMMAND) & bits::COMMAND, 0);
}

fn find(director: &mut FlowDirector, frame: &[u8]) -> Option<Match> {
    director.find(frame, &Headers::parse(frame))
}

/// `ethtool -N eth0 flow-type udp4 dst-port 9000 action 3`
fn with_udp_9000_to_3() -> FlowDirector {
    let mut director = started(true);
    mask_all_but_destination_port(&mut director);
    add(
        &mut director,
        9000 << 16,
        UDP_9000_BUCKET,
        2045,
        (1 << 5) | (3 << 16),
    );
    director
}

#[test]
fn a_udp_port_is_steered() {
    let mut director = with_udp_9000_to_3();
    let expected = Match {
        queue: Some(3),
        index: 2045,
        report: false,
    };
    assert_eq!(find(&mut director, &examples::udp4(60)), Some(expected));
    let tagged = examples::tagged(&examples::udp4(60), 0x0123);
    assert_eq!(find(&mut director, &tagged), Some(expected));
    let mut other_port = examples::udp4(60);
    other_port[37] += 1;
    assert_eq!(find(&mut director, &other_port), None);
    let mut tcp = examples::tcp4(b"", 1, 0x10);
    tcp[36..38].copy_from_slice(&9000u16.to_be_bytes());
    assert_eq!(find(&mut director, &tcp), None);
    assert_eq!((director.read(MATCH), director.read(MISS)), (2, 2));
    assert_eq!((director.read(MATCH), director.read(MISS)), (0, 0));
}

#[test]
fn a_removed_filter_no_longer_steers() {
    let mut director = with_udp_9000_to_3();
    let hash = (2045 << 16) | UDP_9000_BUCKET;
    director.write(HASH, hash);
    director.write(COMMAND, 3);
    assert_eq!(director.read(COMMAND), bits::VALID);
    director.write(HASH, hash);
    director.write(COMMAND, 2);
    assert_eq!(find(&mut director, &examples::udp4(60)), None);
    director.write(COMMAND, 3);
    assert_eq!(director.read(COMMAND), 0);
    assert_eq!(director.read(USE_STATISTICS), 0x0001_0001);
    director.write(COMMAND, 2);
    assert_eq!(director.read(FAIL_STATISTICS), 0x100);
}

#[test]
fn a_wrong_bucket_is_never_found() {
    let mut director = started(true);
    mask_all_but_destination_port(&mut director);
    add(
        &mut director,
        9000 << 16,
        UDP_9000_BUCKET ^ 1,
        1,
        (1 << 5) | (3 << 16),
    );
    assert_eq!(find(&mut director, &examples::udp4(60)), None);
}

#[test]
fn the_drop_queue_drops() {
    let mut director = started(true);
    mask_all_but_destination_port(&mut director);
    add(
        &mut director,
        9000 << 16,
        UDP_9000_BUCKET,
        1,
        bits::DROP | (1 << 5) | (127 << 16),
    );
    assert_eq!(
        find(&mut director, &examples::udp4(60)).unwrap().queue,
        None
    );
}

/// `ethtool -N eth0 flow-type tcp4 src-ip 10.0.0.1 dst-ip 10.0.0.2 src-port 5000 dst-port 8080 action 1`
#[test]
fn all_fields_are_compared() {
    let mut director = started(true);
    director.write(MASK, 0x37);
    for register in [TCP_MASK, UDP_MASK, SOURCE_MASK, DESTINATION_MASK] {
        director.write(register, 0);
    }
    director.write(SOURCE, u32::from_le_bytes([10, 0, 0, 1]));
    director.write(DESTINATION, u32::from_le_bytes([10, 0, 0, 2]));
    director.write(PORT, (8080 << 16) | 5000);
    director.write(HASH, (7 << 16) | TCP_EXACT_BUCKET);
    director.write(COMMAND, 0x8809 | (2 << 5) | (1 << 16));
    let frame = examples::tcp4(b"abc", 1, 0x10);
    assert_eq!(find(&mut director, &frame).unwrap().queue, Some(1));
    for at in [29, 33, 35, 37] {
        let mut frame = frame.clone();
        frame[at] ^= 1;
        assert_eq!(find(&mut director, &frame), None, "octet {at}");
    }
}

/// `ethtool -N eth0 flow-type ip4 src-ip 10.0.0.1 action 2`
#[test]
fn any_protocol() {
    let mut director = started(true);
    director.write(MASK, 0x3f);
    for register in [TCP_MASK, UDP_MASK, DESTINATION_MASK] {
        director.write(register, u32::MAX);
    }
    director.write(SOURCE_MASK, 0);
    director.write(SOURCE, u32::from_le_bytes([10, 0, 0, 1]));
    director.write(HASH, (9 << 16) | IP_SOURCE_BUCKET);
    director.write(COMMAND, 0x8809 | (2 << 16));
    for frame in [examples::udp4(60), examples::tcp4(b"", 1, 2)] {
        assert_eq!(find(&mut director, &frame).unwrap().queue, Some(2));
    }
}

#[test]
fn signatures_of_the_transmit_path_steer_its_answers() {
    let mut director = started(false);
    for (frame, hash, queue) in [
        (examples::tcp4(b"", 1, 0x10), SIGNATURE, 5),
        (
            examples::tagged(&examples::tcp4(b"", 1, 0x10), 0x2005),
            TAGGED_SIGNATURE,
            6,
        ),
    ] {
        assert_eq!(find(&mut director, &frame), None);
        director.write(HASH, hash);
        director.write(COMMAND, 0x8809 | (2 << 5) | (queue << 16));
        let found = find(&mut director, &frame).unwrap();
        assert_eq!(found.queue, Some(queue as u8));
    }
    assert_eq!(find(&mut director, &examples::udp4(60)), None);
}

#[test]
fn initialization_empties_the_table() {
    let mut director = with_udp_9000_to_3();
    assert_eq!(director.len(), 1);
    director.write(CTRL, 0x4a06_0001);
    assert!(director.is_empty());
    let mut director = with_udp_9000_to_3();
    director.write(COMMAND, bits::CLEAR);
    assert!(director.is_empty());
}

#[test]
fn a_full_table_refuses() {
    let mut director = started(true);
    mask_all_but_destination_port(&mut director);
    for index in 0..2046 {
        add(&mut director, 9000 << 16, 0, index, 1 << 5);
    }
    assert_eq!(director.read(FREE), 0);
    add(&mut director, 9000 << 16, 0, 2046, 1 << 5);
    assert_eq!((director.len(), director.read(FAIL_STATISTICS)), (2046, 1));
    // One that is there already is replaced.
    add(&mut director, 9000 << 16, 0, 3, (1 << 5) | (1 << 16));
    assert_eq!((director.len(), director.read(FAIL_STATISTICS)), (2046, 0));
}

#[test]
fn without_memory_nothing_matches() {
    let mut director = FlowDirector::default();
    add(&mut director, 9000 << 16, 0, 1, 1 << 5);
    assert!(director.is_empty());
    assert_eq!(find(&mut director, &examples::udp4(60)), None);
    assert_eq!(director.read(MISS), 0);
}
