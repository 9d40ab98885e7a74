// SPDX-License-Identifier: BSD-2-Clause
//! UDP over IPv4 or IPv6 over Ethernet.

use crate::checksum::{change, fold, sum};
use core::fmt;
use core::net::SocketAddr;
use core::ops::Range;
use core::str::FromStr;

/// Octets of the three headers, with IPv4.
pub const HEADERS: usize = Layout::IPV4.payload();

const ETHERNET: usize = 14;
const UDP: usize = 8;
const PROTOCOL_UDP: u8 = 17;
/// Where the checksum is in an IPv4 header.
const IPV4_CHECKSUM: usize = ETHERNET + 10;

/// Where the parts of a frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The type in the Ethernet header.
    ethertype: [u8; 2],
    /// Octets of an address; the source is followed by the destination, and that by the UDP header.
    address: usize,
    /// Where the UDP header is.
    udp: usize,
}

impl Layout {
    pub(crate) const IPV4: Layout = Layout {
        ethertype: [0x08, 0x00],
        address: 4,
        udp: ETHERNET + 20,
    };

    pub(crate) const IPV6: Layout = Layout {
        ethertype: [0x86, 0xdd],
        address: 16,
        udp: ETHERNET + 40,
    };

    fn with(address: SocketAddr) -> Layout {
        match address {
            SocketAddr::V4(_) => Layout::IPV4,
            SocketAddr::V6(_) => Layout::IPV6,
        }
    }

    /// That of a frame which has its headers.
    pub(crate) fn of(frame: &[u8]) -> Option<Layout> {
        [Layout::IPV4, Layout::IPV6].into_iter().find(|layout| {
            frame.len() >= layout.payload() && frame[12..ETHERNET] == layout.ethertype
        })
    }

    pub(crate) const fn payload(self) -> usize {
        self.udp + UDP
    }

    const fn addresses(self) -> Range<usize> {
        self.udp - 2 * self.address..self.udp
    }

    const fn ports(self) -> Range<usize> {
        self.udp..self.udp + 4
    }

    const fn checksum(self) -> Range<usize> {
        self.udp + 6..self.udp + 8
    }

    /// Sum of pseudo header, UDP header and payload; `frame` ends with the payload.
    pub(crate) fn udp_sum(self, frame: &[u8]) -> u64 {
        let udp_len = (frame.len() - self.udp) as u64;
        let pseudo = sum(&frame[self.addresses()], udp_len + u64::from(PROTOCOL_UDP));
        sum(&frame[self.udp..], pseudo)
    }

    /// Octets of the frame up to the end of the IP packet, if its headers are those that [`Udp::frame`] makes.
    pub(crate) fn end(self, frame: &[u8]) -> Option<usize> {
        let word = |at: usize| usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
        let udp_len = word(self.udp + 4);
        let agree = match self {
            Layout::IPV4 => {
                frame[ETHERNET] == 0x45
                    && frame[ETHERNET + 9] == PROTOCOL_UDP
                    && word(ETHERNET + 2) == udp_len + 20
                    && fold(sum(&frame[ETHERNET..self.udp], 0)) == 0
            }
            _ => {
                frame[ETHERNET] >> 4 == 6
                    && frame[ETHERNET + 6] == PROTOCOL_UDP
                    && word(ETHERNET + 4) == udp_len
            }
        };
        let end = self.udp + udp_len;
        (agree && udp_len >= UDP && end <= frame.len()).then_some(end)
    }

    /// Computes the UDP checksum.
    pub(crate) fn seal(self, frame: &mut [u8]) {
        frame[self.checksum()].fill(0);
        let check = fold(self.udp_sum(frame));
        frame[self.checksum()].copy_from_slice(&on_the_wire(check));
    }
}

/// The 4 octets at a place, as two words of a sum.
#[inline(always)]
fn pair(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

/// Writes 4 octets; what to add to the sums that they are in.
#[inline(always)]
fn replace(frame: &mut [u8], at: usize, new: u32) -> u64 {
    let delta = change(pair(frame, at), new);
    frame[at..at + 4].copy_from_slice(&new.to_be_bytes());
    delta
}

/// Writes 2 octets; what to add to the sums that they are in.
#[inline(always)]
fn replace_word(frame: &mut [u8], at: usize, new: u16) -> u64 {
    let old = u16::from_be_bytes([frame[at], frame[at + 1]]);
    frame[at..at + 2].copy_from_slice(&new.to_be_bytes());
    u64::from(!old) + u64::from(new)
}

/// Adds to the sum that a checksum is of; what the checksum is then.
#[inline(always)]
fn changed(frame: &[u8], at: usize, delta: u64) -> u16 {
    let before = u16::from_be_bytes([frame[at], frame[at + 1]]);
    fold(u64::from(!before) + delta)
}

/// A UDP checksum: zero on the wire means that there is none (RFC 768).
fn on_the_wire(check: u16) -> [u8; 2] {
    let check = if check == 0 { 0xffff } else { check };
    check.to_be_bytes()
}

/// Writes a number over the first four octets of the payload of a frame made by [`Udp::frame`], and changes its UDP checksum.
///
/// # Panics
///
/// If the frame is none of these, or has no such payload.
pub fn number(frame: &mut [u8], sequence: u32) {
    let layout = Layout::of(frame).expect("a UDP frame");
    let delta = replace(frame, layout.payload(), sequence);
    let check = changed(frame, layout.checksum().start, delta);
    frame[layout.checksum()].copy_from_slice(&on_the_wire(check));
}

/// What [`number`] has written, if the frame is UDP and has the octets.
pub fn numbered(frame: &[u8]) -> Option<u32> {
    let layout = Layout::of(frame)?;
    let octets = frame.get(layout.payload()..layout.payload() + 4)?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of all stations.
    pub const BROADCAST: Mac = Mac([0xff; 6]);
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is not an Ethernet address such as 02:00:00:00:00:01");
        let mut mac = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut mac {
            let part = parts.next().ok_or_else(error)?;
            let digits = matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_hexdigit());
            *octet = digits
                .then(|| u8::from_str_radix(part, 16).ok())
                .flatten()
                .ok_or_else(error)?;
        }
        match parts.next() {
            None => Ok(Mac(mac)),
            Some(_) => Err(error()),
        }
    }
}

/// The error of a frame length that has no room for the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooShort;

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a frame needs {HEADERS} octets for its headers, {} with IPv6, and can have 65535",
            Layout::IPV6.payload()
        )
    }
}

impl core::error::Error for TooShort {}

/// Addresses of a UDP frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp {
    /// Source on the link.
    pub src_mac: Mac,
    /// Destination on the link.
    pub dst_mac: Mac,
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port, of the same family.
    pub dst: SocketAddr,
}

impl Udp {
    /// A frame of `len` octets, frame check sequence not included, with `payload` repeated to its end.
    ///
    /// # Errors
    ///
    /// [`TooShort`] if `len` is not from the octets of the headers to 65535.
    ///
    /// # Panics
    ///
    /// If the addresses are of different families.
    pub fn frame(&self, len: usize, payload: &[u8]) -> Result<Vec<u8>, TooShort> {
        let layout = self.layout();
        if len < layout.payload() || len > usize::from(u16::MAX) {
            return Err(TooShort);
        }
        let mut frame = Vec::with_capacity(len);
        frame.resize(layout.payload(), 0);
        frame.extend(
            payload
                .iter()
                .copied()
                .chain(payload.is_empty().then_some(0))
                .cycle()
                .take(len - layout.payload()),
        );
        self.write_headers(&mut frame);
        layout.seal(&mut frame);
        Ok(frame)
    }

    /// Writes all headers, whatever was there before, but for the UDP checksum.
    ///
    /// # Panics
    ///
    /// If the frame is shorter than they are, or longer than 65535 octets.
    pub(crate) fn write_headers(&self, frame: &mut [u8]) {
        let layout = self.layout();
        assert!(frame.len() <= usize::from(u16::MAX), "a frame's length");
        // The assertion bounds both.
        let ip_len = ((frame.len() - ETHERNET) as u16).to_be_bytes();
        let udp_len = ((frame.len() - layout.udp) as u16).to_be_bytes();
        frame[..6].copy_from_slice(&self.dst_mac.0);
        frame[6..12].copy_from_slice(&self.src_mac.0);
        frame[12..ETHERNET].copy_from_slice(&layout.ethertype);
        let (addresses, ports) = self.ends(layout);
        frame[layout.addresses()].copy_from_slice(&addresses[..2 * layout.address]);
        frame[layout.ports()].copy_from_slice(&ports);
        frame[layout.udp + 4..layout.udp + 6].copy_from_slice(&udp_len);
        let ip = &mut frame[ETHERNET..layout.udp];
        if layout == Layout::IPV4 {
            // Version 4, five words; low delay; no identification; do not fragment; 64 hops.
            ip[..2].copy_from_slice(&[0x45, 0x10]);
            ip[2..4].copy_from_slice(&ip_len);
            ip[4..12].copy_from_slice(&[0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0]);
            let check = fold(sum(ip, 0));
            ip[10..12].copy_from_slice(&check.to_be_bytes());
        } else {
            // Version 6, no class, no flow; 64 hops.
            ip[..4].copy_from_slice(&[0x60, 0, 0, 0]);
            ip[4..6].copy_from_slice(&udp_len);
            ip[6..8].copy_from_slice(&[PROTOCOL_UDP, 64]);
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::with(self.src)
    }

    /// Both addresses, one behind the other, and both ports.
    fn ends(&self, layout: Layout) -> ([u8; 32], [u8; 4]) {
        let mut addresses = [0; 32];
        let both = addresses[..2 * layout.address].split_at_mut(layout.address);
        for (octets, end) in [(both.0, self.src), (both.1, self.dst)] {
            match end {
                SocketAddr::V4(end) => octets.copy_from_slice(&end.ip().octets()),
                SocketAddr::V6(end) => octets.copy_from_slice(&end.ip().octets()),
            }
        }
        let mut ports = [0; 4];
        ports[..2].copy_from_slice(&self.src.port().to_be_bytes());
        ports[2..].copy_from_slice(&self.dst.port().to_be_bytes());
        (addresses, ports)
    }

    /// Octets of the headers.
    pub fn headers(&self) -> usize {
        self.layout().payload()
    }
}

/// What differs between frames whose addresses are of two ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moving {
    /// The source address with IPv4; the group of 16 bits of it that moves with IPv6.
    pub src: u32,
    /// The same of the destination.
    pub dst: u32,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
}

/// Where the addresses of a frame that [`Udp::frame`] has made are, as far as they move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressFields {
    /// Where the groups of the source and of the destination are that move; none with IPv4.
    groups: Option<(usize, usize)>,
}

impl AddressFields {
    /// Those of IPv4.
    pub const IPV4: AddressFields = AddressFields { groups: None };

    /// Those of IPv6, with these groups of source and destination, of 8.
    ///
    /// # Panics
    ///
    /// If an address has no such groups.
    pub fn ipv6(src: u8, dst: u8) -> AddressFields {
        assert!(src < 8 && dst < 8, "an address has 8 groups");
        let at = Layout::IPV6.addresses().start;
        AddressFields {
            groups: Some((at + 2 * usize::from(src), at + 16 + 2 * usize::from(dst))),
        }
    }

    /// Rewrites them, both ports and the checksums, whatever the payload is. What was there decides of nothing but the checksums:
    /// where a frame was right, the new one is.
    ///
    /// # Panics
    ///
    /// If `frame` is shorter than the headers.
    #[inline]
    pub fn write(&self, frame: &mut [u8], new: &Moving) {
        let ports = (u32::from(new.src_port) << 16) | u32::from(new.dst_port);
        if let Some((src, dst)) = self.groups {
            let frame = &mut frame[..Layout::IPV6.payload()];
            let mut delta = replace(frame, Layout::IPV6.ports().start, ports);
            for (at, group) in [(src, new.src), (dst, new.dst)] {
                // The lower half alone moves.
                delta += replace_word(frame, at, group as u16);
            }
            let check = changed(frame, Layout::IPV6.checksum().start, delta);
            frame[Layout::IPV6.checksum()].copy_from_slice(&on_the_wire(check));
        } else {
            const AT: usize = Layout::IPV4.addresses().start;
            const CHECKSUM: Range<usize> = Layout::IPV4.checksum();
            let frame = &mut frame[..HEADERS];
            let delta = replace(frame, AT, new.src) + replace(frame, AT + 4, new.dst);
            let check = changed(frame, IPV4_CHECKSUM, delta);
            frame[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].copy_from_slice(&check.to_be_bytes());
            let delta = delta + replace(frame, AT + 8, ports);
            let check = changed(frame, CHECKSUM.start, delta);
            frame[CHECKSUM].copy_from_slice(&on_the_wire(check));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp() -> Udp {
        Udp {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac::BROADCAST,
            src: "10.0.0.1:1234".parse().unwrap(),
            dst: "10.1.0.1:4321".parse().unwrap(),
        }
    }

    #[test]
    fn headers_are_where_they_belong() {
        let frame = udp().frame(60, b"x").unwrap();
        assert_eq!(frame.len(), 60);
        assert_eq!(
            &frame[..14],
            &[255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0]
        );
        assert_eq!(&frame[16..18], &[0, 46]);
        assert_eq!(&frame[26..38], &[10, 0, 0, 1, 10, 1, 0, 1, 4, 210, 16, 225]);
        assert_eq!(&frame[38..40], &[0, 26]);
        assert_eq!(&frame[42..], &[b'x'; 18]);
    }

    #[test]
    fn headers_of_ipv6() {
        let udp = Udp {
            src: "[fd00::1]:1234".parse().unwrap(),
            dst: "[fd00::2]:4321".parse().unwrap(),
            ..udp()
        };
        let frame = udp.frame(70, b"x").unwrap();
        assert_eq!(&frame[12..22], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 17, 64]);
        assert_eq!(
            &frame[22..38],
            &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        );
        assert_eq!(&frame[52..60], &[0, 2, 4, 210, 16, 225, 0, 16]);
        assert_eq!(&frame[62..], &[b'x'; 8]);
        assert_eq!(udp.headers(), 62);
        assert_eq!(udp.frame(61, b""), Err(TooShort));
    }

    /// Summed by hand.
    #[test]
    fn the_pseudo_header_of_ipv6() {
        let udp = Udp {
            src: "[fe80::1]:1".parse().unwrap(),
            dst: "[fe80::2]:2".parse().unwrap(),
            ..udp()
        };
        // 2 * fe80 + 1 + 2 + length 10 + protocol 17 + ports 1, 2 + length 10 + "hi"
        let words = 2 * 0xfe80 + 1 + 2 + 10 + 17 + 1 + 2 + 10 + 0x6869;
        let frame = udp.frame(64, b"hi").unwrap();
        assert_eq!(frame[60..62], fold(words).to_be_bytes());
    }

    #[test]
    fn checksums_verify() {
        for [src, dst] in [
            ["10.0.0.1:1234", "10.1.0.1:4321"],
            ["[fd00::1]:1234", "[fd00:1::1]:4321"],
        ] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            let udp = Udp { src, dst, ..udp() };
            let layout = Layout::with(src);
            for len in [0, 1, 18, 19, 1472].map(|more| layout.payload() + more) {
                let frame = udp.frame(len, b"netmap").unwrap();
                assert_eq!(Layout::of(&frame), Some(layout));
                assert_eq!(layout.end(&frame), Some(len));
                assert_eq!(fold(layout.udp_sum(&frame)), 0, "length {len}");
            }
        }
    }

    #[test]
    fn moved_frames_are_as_new_ones() {
        let ends = [
            ("10.0.0.1:1234", "10.1.0.1:4321", AddressFields::IPV4),
            ("192.168.7.9:9", "255.255.255.255:0", AddressFields::IPV4),
            ("0.0.0.0:65535", "10.1.0.1:1", AddressFields::IPV4),
            (
                "[fd00::1]:1234",
                "[fd00:1::1]:4321",
                AddressFields::ipv6(7, 1),
            ),
            ("[fd00::ffff]:9", "[fd00:2::1]:0", AddressFields::ipv6(7, 1)),
            ("[fd00::]:65535", "[fd00::1]:1", AddressFields::ipv6(7, 1)),
        ];
        let part = |end: SocketAddr, group: usize| match end {
            SocketAddr::V4(end) => u32::from(*end.ip()),
            SocketAddr::V6(end) => u32::from(end.ip().segments()[group]),
        };
        let all = ends.map(|(src, dst, fields)| {
            let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            let moving = Moving {
                src: part(src, 7),
                dst: part(dst, 1),
                src_port: src.port(),
                dst_port: dst.port(),
            };
            (Udp { src, dst, ..udp() }, fields, moving)
        });
        for (from, fields, _) in all {
            for (to, _, moving) in all.iter().filter(|(_, same, _)| *same == fields) {
                for len in [from.headers(), from.headers() + 1, 60 + 40, 1514] {
                    let mut frame = from.frame(len, b"netmap").unwrap();
                    fields.write(&mut frame, moving);
                    assert_eq!(frame, to.frame(len, b"netmap").unwrap());
                }
            }
        }
    }

    #[test]
    fn numbers_are_in_the_checksum() {
        for src in ["10.0.0.1:1", "[fd00::1]:1"] {
            let src: SocketAddr = src.parse().unwrap();
            let udp = Udp {
                src,
                dst: src,
                ..udp()
            };
            let mut frame = udp.frame(udp.headers() + 5, b"").unwrap();
            for sequence in [0, 1, 0xffff, 0x1_0000, u32::MAX] {
                number(&mut frame, sequence);
                assert_eq!(numbered(&frame), Some(sequence));
                assert_eq!(fold(Layout::with(src).udp_sum(&frame)), 0);
            }
            assert_eq!(numbered(&frame[..udp.headers() + 3]), None);
        }
        assert_eq!(numbered(&[0; 100]), None);
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert_eq!(udp().frame(41, b""), Err(TooShort));
        assert_eq!(udp().frame(65536, b""), Err(TooShort));
        assert_eq!(udp().frame(42, b"").unwrap().len(), 42);
    }

    #[test]
    fn macs_parse_and_print() {
        let mac: Mac = "2:0:a:bC:0:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:0a:bc:00:ff");
        for bad in [
            "",
            "1:2:3:4:5",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:+6",
            "1:2:3:4:5:100",
            "1:2:3:4:5:",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
