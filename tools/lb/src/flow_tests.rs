// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use proptest::prelude::*;

/// An IPv4 header with a payload.
fn v4(protocol: u8, ends: [[u8; 4]; 2], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend(ends.concat());
    packet.extend(payload);
    packet
}

fn v6(protocol: u8, ends: [[u8; 16]; 2], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
    packet.extend(ends.concat());
    packet.extend(payload);
    packet
}

fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    let mut header = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    header.extend([0; 16]);
    header
}

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 1, 0, 1];

fn udp(source: u16, destination: u16) -> Vec<u8> {
    v4(PROTOCOL_UDP, [A, B], &ports(source, destination))
}

fn of(packet: &[u8]) -> u32 {
    let flow = Flow::of(&frame(ETHERTYPE_IPV4, packet));
    assert!(flow.ip);
    flow.hash
}

#[test]
fn ports_and_protocol_tell_flows_apart() {
    let base = of(&udp(1, 2));
    assert_ne!(base, of(&udp(1, 3)));
    assert_ne!(base, of(&udp(2, 2)));
    assert_ne!(base, of(&v4(PROTOCOL_TCP, [A, B], &ports(1, 2))));
    assert_ne!(base, of(&v4(PROTOCOL_UDP, [A, A], &ports(1, 2))));
    // Ports belong to their address.
    assert_ne!(base, of(&v4(PROTOCOL_UDP, [B, A], &ports(1, 2))));
    assert_eq!(base, of(&v4(PROTOCOL_UDP, [B, A], &ports(2, 1))));
}

#[test]
fn what_has_no_ports_goes_by_addresses() {
    let icmp = |payload: &[u8]| of(&v4(1, [A, B], payload));
    assert_eq!(icmp(&[8, 0, 1, 2]), icmp(&[0, 0, 3, 4]));
    assert_eq!(icmp(&[]), icmp(&[1]));
    // The end of the packet comes before its ports.
    assert_eq!(
        of(&v4(PROTOCOL_UDP, [A, B], &[1, 2])),
        of(&v4(PROTOCOL_UDP, [B, A], &[]))
    );
}

#[test]
fn fragments_of_a_datagram_stay_together() {
    let fragment = |protocol, field: u16, payload: &[u8]| {
        let mut packet = v4(protocol, [A, B], payload);
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        of(&packet)
    };
    let first = fragment(PROTOCOL_UDP, 0x2000, &ports(1, 2));
    assert_eq!(first, fragment(PROTOCOL_UDP, 0x20b9, &ports(7, 8)));
    assert_eq!(first, fragment(PROTOCOL_UDP, 0x00b9, &[]));
    // That it must not be cut does not make it a fragment.
    assert_eq!(fragment(PROTOCOL_UDP, 0x4000, &ports(1, 2)), of(&udp(1, 2)));

    let ends = [[0xfd; 16], [0xfe; 16]];
    let v6_fragment = |field: u16, payload: &[u8]| {
        let mut extension = vec![PROTOCOL_UDP, 0];
        extension.extend(field.to_be_bytes());
        extension.extend([0; 4]);
        extension.extend(payload);
        Flow::of(&frame(
            ETHERTYPE_IPV6,
            &v6(PROTOCOL_FRAGMENT, ends, &extension),
        ))
    };
    assert_eq!(
        v6_fragment(1, &ports(1, 2)),
        v6_fragment(0xb8, &ports(3, 4))
    );
    // A datagram in one fragment has its ports.
    assert_ne!(v6_fragment(0, &ports(1, 2)), v6_fragment(0, &ports(3, 4)));
}

#[test]
fn extension_headers_are_walked_over() {
    let ends = [[0xfd; 16], [0xfe; 16]];
    let of = |protocol, payload: &[u8]| {
        Flow::of(&frame(ETHERTYPE_IPV6, &v6(protocol, ends, payload))).hash
    };
    let mut hops = vec![PROTOCOL_UDP, 1];
    hops.extend([0; 14]);
    hops.extend(ports(1, 2));
    assert_eq!(
        of(PROTOCOL_HOP_BY_HOP, &hops),
        of(PROTOCOL_UDP, &ports(1, 2))
    );
    // One that leads out of the packet, and headers without an end.
    hops[1] = 255;
    of(PROTOCOL_HOP_BY_HOP, &hops);
    of(PROTOCOL_HOP_BY_HOP, &[PROTOCOL_HOP_BY_HOP; 4096]);
}

#[test]
fn tags_and_tunnels_are_looked_into() {
    let plain = of(&udp(1, 2));
    let mut tagged = vec![0, 7, 0x81, 0, 0, 8, 8, 0];
    tagged.extend(udp(1, 2));
    assert_eq!(Flow::of(&frame(ETHERTYPE_QINQ, &tagged)).hash, plain);

    let outer = |protocol, payload: &[u8]| of(&v4(protocol, [[1; 4], [2; 4]], payload));
    assert_eq!(outer(PROTOCOL_IPIP, &udp(1, 2)), plain);
    let gre = |flags: u16, kind: u16, fields: usize, payload: &[u8]| {
        let mut header = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        header.extend(vec![0x55; 4 * fields]);
        header.extend(payload);
        outer(PROTOCOL_GRE, &header)
    };
    assert_eq!(gre(0, ETHERTYPE_IPV4, 0, &udp(1, 2)), plain);
    assert_eq!(gre(0xb000, ETHERTYPE_IPV4, 3, &udp(1, 2)), plain);
    let bridged = frame(ETHERTYPE_IPV4, &udp(1, 2));
    assert_eq!(gre(0x2000, ETHERTYPE_BRIDGING, 1, &bridged), plain);
    // Not looked into: the tunnel is the flow.
    assert_eq!(gre(1, 0x880b, 0, &udp(1, 2)), outer(PROTOCOL_GRE, &[]));

    // Deeper than it is worth: the tunnel that is met last.
    let nested = |ports: &[u8]| {
        let innermost = v4(PROTOCOL_UDP, [A, B], ports);
        let packet = (0..DEPTH + 1).fold(innermost, |inner, _| v4(PROTOCOL_IPIP, [A, B], &inner));
        of(&packet)
    };
    assert_eq!(nested(&ports(1, 2)), nested(&ports(3, 4)));
}

#[test]
fn other_protocols_go_by_their_link() {
    let arp = frame(0x0806, &[0; 28]);
    let flow = Flow::of(&arp);
    assert!(!flow.ip);
    let mut back = arp.clone();
    back[..12].rotate_left(6);
    assert_eq!(Flow::of(&back), flow);
    let mut other = arp;
    other[0] ^= 4;
    assert_ne!(Flow::of(&other), flow);
}

proptest! {
    #[test]
    fn no_frame_is_too_strange(frame: Vec<u8>, count in 1..1000usize) {
        prop_assert!(Flow::of(&frame).pick(count) < count);
    }

    #[test]
    fn strange_packets_within_headers(kind in prop_oneof![
        Just(ETHERTYPE_IPV4), Just(ETHERTYPE_IPV6), Just(ETHERTYPE_VLAN)
    ], mut packet: Vec<u8>, version in prop_oneof![Just(0x45u8), Just(0x60u8)], protocol in 0..64u8) {
        if let Some(first) = packet.first_mut() {
            *first = version;
        }
        let at = if version == 0x45 { 9 } else { 6 };
        if let Some(octet) = packet.get_mut(at) {
            *octet = protocol;
        }
        Flow::of(&frame(kind, &packet));
    }

    #[test]
    fn both_directions_are_one_flow(ends: [[u8; 4]; 2], long: [[u8; 16]; 2], source: u16, destination: u16,
            protocol in prop_oneof![Just(PROTOCOL_TCP), Just(PROTOCOL_UDP), Just(1u8)]) {
        let (there, back) = (ports(source, destination), ports(destination, source));
        prop_assert_eq!(
            of(&v4(protocol, ends, &there)),
            of(&v4(protocol, [ends[1], ends[0]], &back))
        );
        let of6 = |ends, ports: &[u8]| Flow::of(&frame(ETHERTYPE_IPV6, &v6(protocol, ends, ports))).hash;
        prop_assert_eq!(of6(long, &there), of6([long[1], long[0]], &back));
    }
}

#[test]
fn flows_spread_evenly() {
    let mut counts = [0u32; 8];
    for source in 0..8000 {
        let flow = Flow::of(&frame(ETHERTYPE_IPV4, &udp(source, 53)));
        counts[flow.pick(counts.len())] += 1;
    }
    // A thousand each, within six deviations.
    assert!(
        counts.iter().all(|count| (820..1180).contains(count)),
        "{counts:?}"
    );
}
