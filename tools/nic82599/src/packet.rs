// SPDX-License-Identifier: BSD-2-Clause
//! What the packet parser of the receive path finds in a frame.
//!
//! Frames are without their frame check sequence throughout the model.

/// EtherType of a VLAN tag.
pub const VLAN: u16 = 0x8100;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Octets of an Ethernet header without a tag.
pub const ETHERNET: usize = 14;

/// The kind of network header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// IPv4.
    Ipv4 {
        /// Whether the header is longer than 20 octets.
        options: bool,
        /// Whether the packet is a fragment.
        fragment: bool,
    },
    /// IPv6.
    Ipv6 {
        /// Whether extension headers follow.
        extensions: bool,
    },
}

/// The kind of transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Where the headers of a frame are. Only what is whole is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Tag control information of the VLAN tag.
    pub vlan: Option<u16>,
    /// The EtherType, behind the tag if there is one.
    pub ethertype: u16,
    /// The network header.
    pub network: Option<Network>,
    /// Where the network header starts.
    pub network_at: usize,
    /// The transport header; `None` in a fragment.
    pub transport: Option<Transport>,
    /// Where the transport header starts, if there is one.
    pub transport_at: usize,
    /// Where the IP packet ends: what follows is padding.
    pub end: usize,
}

impl Headers {
    /// Parses `frame`.
    pub fn parse(frame: &[u8]) -> Headers {
        let mut headers = Headers {
            vlan: None,
            ethertype: 0,
            network: None,
            network_at: ETHERNET,
            transport: None,
            transport_at: frame.len(),
            end: frame.len(),
        };
        let Some(mut ethertype) = word(frame, 12) else {
            return headers;
        };
        if ethertype == VLAN {
            headers.vlan = word(frame, 14);
            headers.network_at += 4;
            ethertype = word(frame, 16).unwrap_or(0);
        }
        headers.ethertype = ethertype;
        match ethertype {
            IPV4 => headers.parse_ipv4(frame),
            IPV6 => headers.parse_ipv6(frame),
            _ => {}
        }
        headers
    }

    fn parse_ipv4(&mut self, frame: &[u8]) {
        let at = self.network_at;
        let Some(header) = frame.get(at..at + 20) else {
            return;
        };
        let header_len = usize::from(header[0] & 15) * 4;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[0] >> 4 != 4 || header_len < 20 || total < header_len || at + total > frame.len()
        {
            return;
        }
        // More fragments, or an offset.
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        self.network = Some(Network::Ipv4 {
            options: header_len > 20,
            fragment,
        });
        self.end = at + total;
        if !fragment {
            self.set_transport(header[9], at + header_len);
        }
    }

    fn parse_ipv6(&mut self, frame: &[u8]) {
        let at = self.network_at;
        let Some(header) = frame.get(at..at + 40) else {
            return;
        };
        let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if header[0] >> 4 != 6 || at + 40 + payload > frame.len() {
            return;
        }
        self.end = at + 40 + payload;
        let (mut next, mut place) = (header[6], at + 40);
        let mut extensions = false;
        // Hop-by-hop options, routing, destination options; the parser stops at any other header.
        while matches!(next, 0 | 43 | 60) && place + 8 <= self.end {
            extensions = true;
            next = frame[place];
            place += (usize::from(frame[place + 1]) + 1) * 8;
        }
        if next == 44 {
            extensions = true;
        }
        self.network = Some(Network::Ipv6 { extensions });
        self.set_transport(next, place);
    }

    fn set_transport(&mut self, protocol: u8, at: usize) {
        let (transport, least) = match protocol {
            6 => (Transport::Tcp, 20),
            17 => (Transport::Udp, 8),
            132 => (Transport::Sctp, 12),
            _ => return,
        };
        if at + least <= self.end {
            self.transport = Some(transport);
            self.transport_at = at;
        }
    }

    /// Source and destination address of the network header: 4 or 16 octets each.
    pub fn addresses<'a>(&self, frame: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = self.network_at;
        Some(match self.network? {
            Network::Ipv4 { .. } => (&frame[at + 12..at + 16], &frame[at + 16..at + 20]),
            Network::Ipv6 { .. } => (&frame[at + 8..at + 24], &frame[at + 24..at + 40]),
        })
    }

    /// Source and destination port.
    pub fn ports(&self, frame: &[u8]) -> Option<(u16, u16)> {
        self.transport?;
        Some((
            word(frame, self.transport_at)?,
            word(frame, self.transport_at + 2)?,
        ))
    }

    /// The packet type of an advanced receive descriptor's write-back, in place (bits 4 to 16).
    ///
    /// Source: ixgbe_type.h: `IXGBE_RXDADV_PKTTYPE_*`.
    pub fn packet_type(&self) -> u32 {
        let network = match self.network {
            None => 0,
            Some(Network::Ipv4 { options: false, .. }) => 0x10,
            Some(Network::Ipv4 { options: true, .. }) => 0x30,
            Some(Network::Ipv6 { extensions: false }) => 0x40,
            Some(Network::Ipv6 { extensions: true }) => 0xc0,
        };
        let transport = match self.transport {
            None => 0,
            Some(Transport::Tcp) => 0x100,
            Some(Transport::Udp) => 0x200,
            Some(Transport::Sctp) => 0x400,
        };
        network | transport
    }
}

/// The big-endian word at `at`.
fn word(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}

/// Frames that the tests of other modules use.
#[cfg(test)]
pub(crate) mod examples {
    use frame::{fold, sum, Mac, Udp};

    /// UDP over IPv4, from 10.0.0.1:1234 to 10.0.0.2:9000, of `len` octets.
    pub(crate) fn udp4(len: usize) -> Vec<u8> {
        let udp = Udp {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: "10.0.0.1:1234".parse().unwrap(),
            dst: "10.0.0.2:9000".parse().unwrap(),
        };
        udp.frame(len, b"payload ").unwrap()
    }

    /// TCP over IPv4 with `payload`, sequence number and flags given, and correct checksums.
    pub(crate) fn tcp4(payload: &[u8], sequence: u32, flags: u8) -> Vec<u8> {
        let mut frame = udp4(54 + payload.len().max(8));
        frame.truncate(54);
        frame.extend_from_slice(payload);
        let total = (40 + payload.len()) as u16;
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        frame[23] = 6;
        frame[34..38].copy_from_slice(&[0x13, 0x88, 0x1f, 0x90]);
        frame[38..42].copy_from_slice(&sequence.to_be_bytes());
        frame[42..46].copy_from_slice(&7u32.to_be_bytes());
        frame[46..54].copy_from_slice(&[0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        seal4(&mut frame);
        frame
    }

    /// Both checksums of a TCP packet over IPv4 without options.
    pub(crate) fn seal4(frame: &mut [u8]) {
        frame[24..26].fill(0);
        let check = fold(sum(&frame[14..34], 0));
        frame[24..26].copy_from_slice(&check.to_be_bytes());
        frame[50..52].fill(0);
        let pseudo = sum(&frame[26..34], (frame.len() - 34) as u64 + 6);
        let check = fold(sum(&frame[34..], pseudo));
        frame[50..52].copy_from_slice(&check.to_be_bytes());
    }

    /// TCP over IPv6 with `payload` and correct checksum.
    pub(crate) fn tcp6(payload: &[u8], sequence: u32, flags: u8) -> Vec<u8> {
        let four = tcp4(payload, sequence, flags);
        let mut frame = four[..12].to_vec();
        frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend_from_slice(&((20 + payload.len()) as u16).to_be_bytes());
        frame.extend_from_slice(&[6, 64]);
        frame.extend_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        frame.extend_from_slice(&four[34..]);
        frame[70..72].fill(0);
        let pseudo = sum(&frame[22..54], (frame.len() - 54) as u64 + 6);
        let check = fold(sum(&frame[54..], pseudo));
        frame[70..72].copy_from_slice(&check.to_be_bytes());
        frame
    }

    /// The frame with a VLAN tag in it.
    pub(crate) fn tagged(frame: &[u8], tci: u16) -> Vec<u8> {
        let mut tagged = frame[..12].to_vec();
        tagged.extend_from_slice(&[0x81, 0]);
        tagged.extend_from_slice(&tci.to_be_bytes());
        tagged.extend_from_slice(&frame[12..]);
        tagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn udp_over_ipv4() {
        let frame = examples::udp4(60);
        let headers = Headers::parse(&frame);
        assert_eq!(headers.packet_type(), 0x210);
        assert_eq!(headers.ports(&frame), Some((1234, 9000)));
        let (source, destination) = headers.addresses(&frame).unwrap();
        assert_eq!(
            (source, destination),
            (&[10, 0, 0, 1][..], &[10, 0, 0, 2][..])
        );
    }

    #[test]
    fn tcp_over_ipv6_behind_a_tag() {
        let frame = examples::tagged(&examples::tcp6(b"x", 1, 0x10), 0x2005);
        let headers = Headers::parse(&frame);
        assert_eq!(headers.vlan, Some(0x2005));
        assert_eq!(headers.packet_type(), 0x140);
        assert_eq!(headers.transport_at, 58);
        assert_eq!(headers.end, frame.len());
    }

    #[test]
    fn padding_is_behind_the_end() {
        let mut frame = examples::tcp4(b"", 1, 0x10);
        frame.resize(60, 0);
        assert_eq!(Headers::parse(&frame).end, 54);
    }

    #[test]
    fn a_fragment_has_no_transport_header() {
        let mut frame = examples::udp4(100);
        frame[20] = 0x20;
        let headers = Headers::parse(&frame);
        assert_eq!(headers.packet_type(), 0x10);
        assert_eq!(headers.ports(&frame), None);
    }

    #[test]
    fn extension_headers_are_passed() {
        let mut frame = examples::tcp6(b"", 1, 0x10);
        let transport = frame.split_off(54);
        frame[20] = 0;
        frame[18..20].copy_from_slice(&28u16.to_be_bytes());
        frame.extend_from_slice(&[6, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend_from_slice(&transport);
        let headers = Headers::parse(&frame);
        assert_eq!(headers.packet_type(), 0x1c0);
        assert_eq!(headers.transport_at, 62);
    }

    proptest! {
        #[test]
        fn any_octets_are_parsed_without_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..120), kind in 0..3) {
            if octets.len() > 15 {
                match kind {
                    0 => octets[12..15].copy_from_slice(&[8, 0, 0x45]),
                    1 => octets[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]),
                    _ => octets[12..14].copy_from_slice(&[0x81, 0]),
                }
            }
            let headers = Headers::parse(&octets);
            headers.addresses(&octets);
            headers.ports(&octets);
            prop_assert!(headers.end <= octets.len());
        }
    }
}
