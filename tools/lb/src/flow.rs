// SPDX-License-Identifier: BSD-2-Clause
//! Which flow a packet is of.
//!
//! Both directions of a connection are one flow. What tells flows apart is the 5-tuple of the innermost IP header that is
//! found: addresses, protocol, and ports of TCP, UDP, SCTP. Packets without ports, and all fragments of a datagram, of which
//! only the first has ports, go by their addresses alone; what is not IP goes by its link-layer addresses.

/// Tunnels within tunnels that are looked into.
const DEPTH: u32 = 4;

/// Extension headers of IPv6 that are walked over.
const EXTENSIONS: u32 = 8;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
const ETHERTYPE_BRIDGING: u16 = 0x6558;

const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_IPIP: u8 = 4;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_IPV6: u8 = 41;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_FRAGMENT: u8 = 44;
const PROTOCOL_GRE: u8 = 47;
const PROTOCOL_DESTINATION: u8 = 60;
const PROTOCOL_SCTP: u8 = 132;

/// The flow of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The same for all packets of the flow, in both directions.
    pub hash: u32,
    /// Whether an IP header was found.
    pub ip: bool,
}

impl Flow {
    /// The flow of an Ethernet frame, or of the first part of one.
    pub fn of(frame: &[u8]) -> Flow {
        ethernet(frame, DEPTH)
    }

    /// Which one of `count` pipes the flow goes to.
    pub fn pick(self, count: usize) -> usize {
        // Below `count`.
        ((u64::from(self.hash) * count as u64) >> 32) as usize
    }
}

fn ethernet(frame: &[u8], depth: u32) -> Flow {
    let mut at = 12;
    let mut kind = half(frame, at);
    while let Some(ETHERTYPE_VLAN | ETHERTYPE_QINQ) = kind {
        at += 4;
        kind = half(frame, at);
    }
    let payload = frame.get(at + 2..).unwrap_or_default();
    let inner = match kind {
        Some(kind) => network(kind, payload, depth),
        None => None,
    };
    inner.unwrap_or_else(|| {
        let end = |at: usize| mix(frame.get(at..at + 6).unwrap_or_default());
        Flow {
            hash: combine(end(0), end(6), 0),
            ip: false,
        }
    })
}

/// The flow of what follows a header that says `kind`; none if that is no IP.
fn network(kind: u16, packet: &[u8], depth: u32) -> Option<Flow> {
    match kind {
        ETHERTYPE_IPV4 => ipv4(packet, depth),
        ETHERTYPE_IPV6 => ipv6(packet, depth),
        _ => None,
    }
}

fn ipv4(packet: &[u8], depth: u32) -> Option<Flow> {
    let first = *packet.first()?;
    let header = usize::from(first & 0xf) * 4;
    let addresses = [packet.get(12..16)?, packet.get(16..20)?];
    if first >> 4 != 4 || header < 20 {
        return None;
    }
    // More fragments, or an offset.
    let fragment = half(packet, 6)? & 0x3fff != 0;
    let payload = packet.get(header..).unwrap_or_default();
    Some(transport(addresses, packet[9], payload, fragment, depth))
}

fn ipv6(packet: &[u8], depth: u32) -> Option<Flow> {
    let addresses = [packet.get(8..24)?, packet.get(24..40)?];
    if packet[0] >> 4 != 6 {
        return None;
    }
    let mut protocol = packet[6];
    let mut payload = packet.get(40..).unwrap_or_default();
    let mut fragment = false;
    for _ in 0..EXTENSIONS {
        let length = match protocol {
            PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_DESTINATION => {
                payload.get(1).map(|units| (usize::from(*units) + 1) * 8)
            }
            PROTOCOL_FRAGMENT => {
                // An offset, or more fragments.
                fragment |= half(payload, 2).is_none_or(|field| field & 0xfff9 != 0);
                Some(8)
            }
            _ => break,
        };
        // A header that goes on elsewhere leaves nothing to look at.
        let rest = length.and_then(|length| payload.get(length..));
        protocol = payload.first().copied().unwrap_or_default();
        payload = rest.unwrap_or_default();
    }
    Some(transport(addresses, protocol, payload, fragment, depth))
}

fn transport(
    addresses: [&[u8]; 2],
    protocol: u8,
    payload: &[u8],
    fragment: bool,
    depth: u32,
) -> Flow {
    let inner = match protocol {
        _ if fragment || depth == 0 => None,
        PROTOCOL_IPIP => ipv4(payload, depth - 1),
        PROTOCOL_IPV6 => ipv6(payload, depth - 1),
        PROTOCOL_GRE => gre(payload, depth - 1),
        _ => None,
    };
    inner.unwrap_or_else(|| {
        let ports = match protocol {
            PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP if !fragment => payload.get(..4),
            _ => None,
        };
        let end = |i: usize| {
            let port = ports.map_or(&[][..], |ports| &ports[2 * i..2 * i + 2]);
            mix(addresses[i]).wrapping_add(mix(port).rotate_left(32))
        };
        let protocol = if fragment { 0 } else { protocol };
        Flow {
            hash: combine(end(0), end(1), protocol),
            ip: true,
        }
    })
}

/// What is in a tunnel of GRE (RFC 2784, 2890); none if it is neither IP nor Ethernet with IP.
fn gre(packet: &[u8], depth: u32) -> Option<Flow> {
    let flags = half(packet, 0)?;
    // Checksum, key, sequence number; versions other than 0 and the routing of RFC 1701 look different.
    if flags & 0x4007 != 0 {
        return None;
    }
    let fields = (flags & 0xb000).count_ones() as usize;
    let inner = packet.get(4 + 4 * fields..)?;
    match half(packet, 2)? {
        ETHERTYPE_BRIDGING => Some(ethernet(inner, depth)).filter(|flow| flow.ip),
        kind => network(kind, inner, depth),
    }
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    let both = octets.get(at..at + 2)?;
    Some(u16::from_be_bytes([both[0], both[1]]))
}

/// Octets as a number that changes much when they change a little.
fn mix(octets: &[u8]) -> u64 {
    octets.chunks(4).fold(octets.len() as u64, |sum, chunk| {
        let word = chunk
            .iter()
            .fold(0, |word: u64, octet| (word << 8) | u64::from(*octet));
        stir(sum ^ word)
    })
}

/// The last steps of MurmurHash3, each of which can be undone: what differs stays different.
fn stir(mut n: u64) -> u64 {
    n ^= n >> 33;
    n = n.wrapping_mul(0xff51_afd7_ed55_8ccd);
    n ^= n >> 33;
    n = n.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ (n >> 33)
}

/// One hash of two ends, whichever of the two comes first.
fn combine(one: u64, other: u64, protocol: u8) -> u32 {
    let both = stir(one).wrapping_add(stir(other));
    // The upper half.
    (stir(both ^ u64::from(protocol)) >> 32) as u32
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
