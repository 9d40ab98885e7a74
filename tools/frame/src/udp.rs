// SPDX-License-Identifier: BSD-2-Clause
//! UDP over IPv4 over Ethernet.

use crate::checksum::{fold, sum};
use core::fmt;
use core::net::SocketAddrV4;
use core::str::FromStr;

/// Octets of the three headers: where the payload starts.
pub const HEADERS: usize = ETHERNET + IPV4 + UDP;

pub(crate) const ETHERNET: usize = 14;
pub(crate) const IPV4: usize = 20;
pub(crate) const UDP: usize = 8;
pub(crate) const PROTOCOL_UDP: u8 = 17;

/// Where the UDP checksum is in a frame.
const UDP_CHECKSUM: usize = ETHERNET + IPV4 + 6;

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
            "a frame needs {HEADERS} octets for its headers and can have 65535"
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
    pub src: SocketAddrV4,
    /// Destination address and port.
    pub dst: SocketAddrV4,
}

impl Udp {
    /// A frame of `len` octets, frame check sequence not included, with `payload` repeated to its end.
    ///
    /// # Errors
    ///
    /// [`TooShort`] if `len` is not in `HEADERS..=65535`.
    pub fn frame(&self, len: usize, payload: &[u8]) -> Result<Vec<u8>, TooShort> {
        if len < HEADERS || len > usize::from(u16::MAX) {
            return Err(TooShort);
        }
        // The check above bounds all three.
        let ip_len = (len - ETHERNET) as u16;
        let udp_len = (len - ETHERNET - IPV4) as u16;
        let mut frame = Vec::with_capacity(len);
        frame.extend_from_slice(&self.dst_mac.0);
        frame.extend_from_slice(&self.src_mac.0);
        frame.extend_from_slice(&[0x08, 0x00]);
        // Version 4, five words; low delay; no identification; do not fragment; 64 hops.
        frame.extend_from_slice(&[0x45, 0x10]);
        frame.extend_from_slice(&ip_len.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0]);
        frame.extend_from_slice(&self.src.ip().octets());
        frame.extend_from_slice(&self.dst.ip().octets());
        frame.extend_from_slice(&self.src.port().to_be_bytes());
        frame.extend_from_slice(&self.dst.port().to_be_bytes());
        frame.extend_from_slice(&udp_len.to_be_bytes());
        frame.extend_from_slice(&[0, 0]);
        frame.extend(
            payload
                .iter()
                .copied()
                .chain(payload.is_empty().then_some(0))
                .cycle()
                .take(len - HEADERS),
        );
        seal(&mut frame);
        Ok(frame)
    }

    /// Rewrites the addresses of `frame`, which [`Udp::frame`] has made, and its checksums.
    ///
    /// # Panics
    ///
    /// If `frame` is shorter than the headers.
    pub fn readdress(&self, frame: &mut [u8]) {
        frame[26..30].copy_from_slice(&self.src.ip().octets());
        frame[30..34].copy_from_slice(&self.dst.ip().octets());
        frame[34..36].copy_from_slice(&self.src.port().to_be_bytes());
        frame[36..38].copy_from_slice(&self.dst.port().to_be_bytes());
        seal(frame);
    }
}

/// Computes both checksums of a frame whose other octets are final.
fn seal(frame: &mut [u8]) {
    let header = ETHERNET..ETHERNET + IPV4;
    frame[ETHERNET + 10..ETHERNET + 12].fill(0);
    let check = fold(sum(&frame[header], 0));
    frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&check.to_be_bytes());
    seal_udp(frame);
}

/// Computes the UDP checksum.
pub(crate) fn seal_udp(frame: &mut [u8]) {
    frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].fill(0);
    let check = match fold(udp_sum(frame)) {
        // Zero on the wire means that there is no checksum (RFC 768).
        0 => 0xffff,
        check => check,
    };
    frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].copy_from_slice(&check.to_be_bytes());
}

/// Sum of pseudo header, UDP header and payload; `frame` ends with the payload.
pub(crate) fn udp_sum(frame: &[u8]) -> u64 {
    let udp_len = (frame.len() - ETHERNET - IPV4) as u64;
    let addresses = &frame[ETHERNET + 12..ETHERNET + IPV4];
    let pseudo = sum(addresses, udp_len + u64::from(PROTOCOL_UDP));
    sum(&frame[ETHERNET + IPV4..], pseudo)
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
    fn checksums_verify() {
        for len in [42, 43, 60, 61, 1514] {
            let mut frame = udp().frame(len, b"netmap").unwrap();
            assert_eq!(fold(sum(&frame[14..34], 0)), 0, "length {len}");
            assert_eq!(fold(udp_sum(&frame)), 0, "length {len}");
            let other = Udp {
                src: "192.168.7.9:9".parse().unwrap(),
                ..udp()
            };
            other.readdress(&mut frame);
            assert_eq!(frame, other.frame(len, b"netmap").unwrap());
        }
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
