// SPDX-License-Identifier: BSD-2-Clause
//! Receive side scaling: the hash over a packet's addresses, and the queue that it selects.

use crate::packet::{Headers, Network, Transport};

/// MRQC bits 3:0: receive side scaling without traffic classes or pools.
const RSS_ONLY: u32 = 1;

/// The fields that a hash was taken over, as an advanced receive descriptor reports them.
///
/// Source: ixgbe_type.h: `IXGBE_RXDADV_RSSTYPE_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RssType {
    /// TCP over IPv4: addresses and ports.
    Ipv4Tcp = 1,
    /// IPv4: addresses.
    Ipv4 = 2,
    /// TCP over IPv6.
    Ipv6Tcp = 3,
    /// IPv6: addresses.
    Ipv6 = 5,
    /// UDP over IPv4.
    Ipv4Udp = 7,
    /// UDP over IPv6.
    Ipv6Udp = 8,
}

impl RssType {
    /// The bit of MRQC that enables this hash, and whether ports are part of it.
    ///
    /// Source: ixgbe_type.h: `IXGBE_MRQC_RSS_FIELD_*`.
    const fn field(self) -> (u32, bool) {
        match self {
            RssType::Ipv4Tcp => (1 << 16, true),
            RssType::Ipv4 => (1 << 17, false),
            RssType::Ipv6 => (1 << 20, false),
            RssType::Ipv6Tcp => (1 << 21, true),
            RssType::Ipv4Udp => (1 << 22, true),
            RssType::Ipv6Udp => (1 << 23, true),
        }
    }
}

/// The registers that decide: MRQC, RSSRK (10 words) and RETA (32 words).
#[derive(Debug, Clone, Copy)]
pub struct Rss<'a> {
    /// MRQC.
    pub mrqc: u32,
    /// RSSRK, the first octet of the key in the lowest bits of the first word.
    pub key: &'a [u32],
    /// RETA, the entry of the lowest hash in the lowest octet of the first word.
    pub table: &'a [u32],
    /// ERETA, with which the X550 has 512 entries; empty on the others.
    pub extension: &'a [u32],
}

impl Rss<'_> {
    /// The hash of a packet and its type, if receive side scaling is on and covers the packet.
    ///
    /// The most specific enabled type wins; a fragment, or a transport whose type is off, is hashed by its addresses.
    /// Source: datasheet section 7.1.2.8; ixgbe_main.c: ixgbe_setup_mrqc.
    pub fn hash(&self, frame: &[u8], headers: &Headers) -> Option<(u32, RssType)> {
        if self.mrqc & 0xf != RSS_ONLY {
            return None;
        }
        let (specific, general) = match (headers.network?, headers.transport) {
            (Network::Ipv4 { .. }, Some(Transport::Tcp)) => (RssType::Ipv4Tcp, RssType::Ipv4),
            (Network::Ipv4 { .. }, Some(Transport::Udp)) => (RssType::Ipv4Udp, RssType::Ipv4),
            (Network::Ipv4 { .. }, _) => (RssType::Ipv4, RssType::Ipv4),
            (Network::Ipv6 { .. }, Some(Transport::Tcp)) => (RssType::Ipv6Tcp, RssType::Ipv6),
            (Network::Ipv6 { .. }, Some(Transport::Udp)) => (RssType::Ipv6Udp, RssType::Ipv6),
            (Network::Ipv6 { .. }, _) => (RssType::Ipv6, RssType::Ipv6),
        };
        let kind = [specific, general]
            .into_iter()
            .find(|kind| self.mrqc & kind.field().0 != 0)?;
        let (source, destination) = headers.addresses(frame)?;
        let mut input = [0; 36];
        let mut len = source.len();
        input[..len].copy_from_slice(source);
        input[len..2 * len].copy_from_slice(destination);
        len *= 2;
        if kind.field().1 {
            let ports = &frame[headers.transport_at..headers.transport_at + 4];
            input[len..len + 4].copy_from_slice(ports);
            len += 4;
        }
        Some((self.toeplitz(&input[..len]), kind))
    }

    /// The queue of a packet: the entry of the table that the hash's low bits select, and queue 0 without a hash.
    ///
    /// Source: datasheet section 7.1.2.8 (queue 0 without a hash); an entry has 4 bits on the 82599 and 6 on the X550.
    pub fn queue(&self, hash: Option<u32>) -> u8 {
        let Some(hash) = hash else {
            return 0;
        };
        let words = self.table.len() + self.extension.len();
        let entry = hash as usize % (words * 4).max(1);
        let word = self.table.iter().chain(self.extension).nth(entry / 4);
        word.map_or(0, |word| (word >> (entry % 4 * 8)) as u8 & 0x3f)
    }

    /// The Toeplitz hash: the exclusive or of the key's 32-bit window at each set bit of the input.
    fn toeplitz(&self, input: &[u8]) -> u32 {
        let octet = |i: usize| (self.key[i / 4] >> (i % 4 * 8)) as u8;
        let mut window = u32::from_be_bytes([octet(0), octet(1), octet(2), octet(3)]);
        let mut hash = 0;
        for (i, &value) in input.iter().enumerate() {
            let next = octet(i + 4);
            for bit in (0..8).rev() {
                if (value >> bit) & 1 != 0 {
                    hash ^= window;
                }
                window = (window << 1) | u32::from((next >> bit) & 1);
            }
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::examples;

    /// The key of Microsoft's "Verifying the RSS Hash Calculation".
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn key() -> Vec<u32> {
        KEY.chunks(4)
            .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
            .collect()
    }

    /// A table whose entry i is i mod 16.
    fn table() -> Vec<u32> {
        (0..32u32)
            .map(|word| (0..4).map(|i| ((word * 4 + i) % 16) << (8 * i)).sum())
            .collect()
    }

    const ALL: u32 = 0x00f3_0001;

    fn frame(tcp: bool) -> Vec<u8> {
        let mut frame = if tcp {
            examples::tcp4(b"x", 0, 0x10)
        } else {
            examples::udp4(60)
        };
        // 66.9.149.187:2794 to 161.142.100.80:1766, the document's first example.
        frame[26..34].copy_from_slice(&[66, 9, 149, 187, 161, 142, 100, 80]);
        frame[34..38].copy_from_slice(&[0x0a, 0xea, 0x06, 0xe6]);
        frame
    }

    /// One that covers all kinds of packets.
    fn of_all<'a>(key: &'a [u32], table: &'a [u32]) -> Rss<'a> {
        Rss {
            mrqc: ALL,
            key,
            table,
            extension: &[],
        }
    }

    #[test]
    fn published_examples() {
        let (key, table) = (key(), table());
        let rss = of_all(&key, &table);
        let tcp = frame(true);
        let hash = rss.hash(&tcp, &Headers::parse(&tcp));
        assert_eq!(hash, Some((0x51cc_c178, RssType::Ipv4Tcp)));
        assert_eq!(rss.queue(Some(0x51cc_c178)), 8);
        let only_addresses = Rss {
            mrqc: 0x0002_0001,
            ..rss
        };
        let hash = only_addresses.hash(&tcp, &Headers::parse(&tcp));
        assert_eq!(hash, Some((0x323e_8fc2, RssType::Ipv4)));
    }

    #[test]
    fn published_example_of_ipv6() {
        let (key, table) = (key(), table());
        let rss = of_all(&key, &table);
        let mut frame = examples::tcp6(b"", 0, 0x10);
        let source: std::net::Ipv6Addr = "3ffe:2501:200:1fff::7".parse().unwrap();
        let destination: std::net::Ipv6Addr = "3ffe:2501:200:3::1".parse().unwrap();
        frame[22..38].copy_from_slice(&source.octets());
        frame[38..54].copy_from_slice(&destination.octets());
        frame[54..58].copy_from_slice(&[0x0a, 0xea, 0x06, 0xe6]);
        let hash = rss.hash(&frame, &Headers::parse(&frame));
        assert_eq!(hash, Some((0x4020_7d3d, RssType::Ipv6Tcp)));
    }

    #[test]
    fn udp_falls_back_to_addresses() {
        let (key, table) = (key(), table());
        // What the driver programs by default.
        let rss = Rss {
            mrqc: 0x0033_0001,
            key: &key,
            table: &table,
            extension: &[],
        };
        let frame = frame(false);
        let hash = rss.hash(&frame, &Headers::parse(&frame));
        assert_eq!(hash, Some((0x323e_8fc2, RssType::Ipv4)));
    }

    #[test]
    fn off_or_not_ip_is_queue_0() {
        let (key, table) = (key(), table());
        let mut rss = Rss {
            mrqc: ALL,
            key: &key,
            table: &table,
            extension: &[],
        };
        let mut frame = frame(true);
        frame[13] = 6;
        assert_eq!(rss.hash(&frame, &Headers::parse(&frame)), None);
        frame[13] = 0;
        rss.mrqc = 0x00f3_0000;
        assert_eq!(rss.hash(&frame, &Headers::parse(&frame)), None);
        assert_eq!(rss.queue(None), 0);
    }
}
