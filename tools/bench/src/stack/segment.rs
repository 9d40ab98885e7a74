// SPDX-License-Identifier: BSD-2-Clause
//! TCP segments in Ethernet frames: what the client and the server without a stack read and write.

use frame::Mac;
use std::net::Ipv4Addr;

/// Offset of the IP header in a frame.
const IP: usize = 14;
/// Offset of the TCP header.
const TCP: usize = IP + 20;
/// Offset of the payload where the only option is the timestamps.
pub const PAYLOAD: usize = TCP + 20 + 12;
/// Octets of payload in a full segment.
pub const FULL: usize = 1500 - (PAYLOAD - IP);

/// Flag: a connection begins.
pub const SYN: u8 = 0x02;
/// Flag: there is no such connection.
pub const RST: u8 = 0x04;
/// Flag: the receiver may not wait for more.
pub const PSH: u8 = 0x08;
/// Flag: the acknowledgement number counts.
pub const ACK: u8 = 0x10;

/// Options of a first segment: segment size 1460, selective acknowledgements, timestamps, windows in units of 128 octets.
const SYN_OPTIONS: [u8; 20] = [
    2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7,
];
/// Offset of the timestamps in the options of all other segments.
const STAMPS: usize = 4;

/// Addresses of a sender and of whom it sends to.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    /// Sender on the link.
    pub src_mac: Mac,
    /// Receiver on the link.
    pub dst_mac: Mac,
    /// Sender.
    pub src: Ipv4Addr,
    /// Receiver.
    pub dst: Ipv4Addr,
}

/// What is different in each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// Port of the sender.
    pub src_port: u16,
    /// Port of the receiver.
    pub dst_port: u16,
    /// Number of the first octet.
    pub seq: u32,
    /// Number of the octet that the sender waits for.
    pub ack: u32,
    /// [`SYN`] and others.
    pub flags: u8,
    /// The sender's clock.
    pub stamp: u32,
    /// The receiver's clock, as its last segment told it.
    pub echo: u32,
}

/// The sum of the 32-bit words of `octets`, in the machine's byte order: sums of ones' complements do not depend on it.
/// What is missing of the last word counts as zero.
pub fn sum(octets: &[u8]) -> u64 {
    let mut words = octets.chunks_exact(4);
    let mut total = 0;
    for word in &mut words {
        total += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total + u64::from(u32::from_ne_bytes(last))
}

/// The checksum of what adds up to `total`, as the octets of the header's field.
fn fold(mut total: u64) -> [u8; 2] {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    // The loop leaves no more than 16 bits.
    (!(total as u16)).to_ne_bytes()
}

fn word(octets: [u8; 4]) -> u64 {
    u64::from(u32::from_ne_bytes(octets))
}

/// The headers of a path, with their sums.
pub struct Headers {
    frame: [u8; PAYLOAD],
    ip_sum: u64,
    tcp_sum: u64,
}

impl Headers {
    /// The headers of all segments of `path`.
    pub fn new(path: &Path) -> Headers {
        let mut frame = [0; PAYLOAD];
        frame[..6].copy_from_slice(&path.dst_mac.0);
        frame[6..12].copy_from_slice(&path.src_mac.0);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        // Version 4, five words; not to be fragmented; 64 hops; TCP.
        frame[IP] = 0x45;
        frame[IP + 6] = 0x40;
        frame[IP + 8..IP + 10].copy_from_slice(&[64, 6]);
        frame[IP + 12..IP + 16].copy_from_slice(&path.src.octets());
        frame[IP + 16..TCP].copy_from_slice(&path.dst.octets());
        // Eight words; a window of 8 MiB; two octets of nothing, timestamps of 10 octets.
        frame[TCP + 12] = 8 << 4;
        frame[TCP + 14..TCP + 16].fill(0xff);
        frame[TCP + 20..TCP + 24].copy_from_slice(&[1, 1, 8, 10]);
        let pseudo = word(path.src.octets()) + word(path.dst.octets()) + word([0, 6, 0, 0]);
        Headers {
            ip_sum: sum(&frame[IP..TCP]),
            tcp_sum: pseudo + sum(&frame[TCP..]),
            frame,
        }
    }

    /// Writes the headers in front of a payload of `len` octets that add up to `payload`. Returns the frame's length.
    ///
    /// # Panics
    ///
    /// If `to` is shorter than [`PAYLOAD`], or the payload longer than [`FULL`].
    #[inline]
    pub fn write(&self, to: &mut [u8], fields: &Fields, len: usize, payload: u64) -> usize {
        assert!(len <= FULL);
        // At most a packet of 1500 octets.
        let ip_len = ((PAYLOAD - IP + len) as u16).to_be_bytes();
        let tcp_len = ((PAYLOAD - TCP + len) as u16).to_be_bytes();
        let to = &mut to[..PAYLOAD];
        to.copy_from_slice(&self.frame);
        to[IP + 2..IP + 4].copy_from_slice(&ip_len);
        let check = fold(self.ip_sum + word([0, 0, ip_len[0], ip_len[1]]));
        to[IP + 10..IP + 12].copy_from_slice(&check);
        let ([a, b], [c, d]) = (fields.src_port.to_be_bytes(), fields.dst_port.to_be_bytes());
        let words = [
            (TCP, [a, b, c, d]),
            (TCP + 4, fields.seq.to_be_bytes()),
            (TCP + 8, fields.ack.to_be_bytes()),
            (TCP + 24, fields.stamp.to_be_bytes()),
            (TCP + 28, fields.echo.to_be_bytes()),
        ];
        let mut total = self.tcp_sum
            + payload
            + word([tcp_len[0], tcp_len[1], 0, 0])
            + word([0, fields.flags, 0, 0]);
        for (at, octets) in words {
            to[at..at + 4].copy_from_slice(&octets);
            total += word(octets);
        }
        to[TCP + 13] = fields.flags;
        to[TCP + 16..TCP + 18].copy_from_slice(&fold(total));
        PAYLOAD + len
    }

    /// The frame of a first segment, which has more options.
    pub fn first(&self, fields: &Fields) -> Vec<u8> {
        let mut frame = vec![0; PAYLOAD];
        self.write(&mut frame, fields, 0, 0);
        frame.truncate(TCP + 20);
        frame.extend_from_slice(&SYN_OPTIONS);
        frame[TCP + 28..TCP + 32].copy_from_slice(&fields.stamp.to_be_bytes());
        frame[TCP + 32..TCP + 36].copy_from_slice(&fields.echo.to_be_bytes());
        frame[TCP + 12] = 10 << 4;
        let ip_len = ((frame.len() - IP) as u16).to_be_bytes();
        frame[IP + 2..IP + 4].copy_from_slice(&ip_len);
        frame[IP + 10..IP + 12].fill(0);
        let check = fold(sum(&frame[IP..TCP]));
        frame[IP + 10..IP + 12].copy_from_slice(&check);
        frame[TCP + 16..TCP + 18].fill(0);
        let tcp_len = ((frame.len() - TCP) as u16).to_be_bytes();
        let check = fold(
            sum(&frame[IP + 12..TCP]) + word([0, 6, tcp_len[0], tcp_len[1]]) + sum(&frame[TCP..]),
        );
        frame[TCP + 16..TCP + 18].copy_from_slice(&check);
        frame
    }
}

/// A segment that was received.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'f> {
    /// What its header says.
    pub fields: Fields,
    /// What it carries.
    pub payload: &'f [u8],
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]))
}

fn be32(octets: &[u8], at: usize) -> Option<u32> {
    let octets = octets.get(at..at + 4)?;
    Some(u32::from_be_bytes([
        octets[0], octets[1], octets[2], octets[3],
    ]))
}

/// The segment in a frame, unless the frame holds something else.
#[inline]
pub fn parse(frame: &[u8]) -> Option<Segment<'_>> {
    if be16(frame, 12)? != 0x0800 || *frame.get(IP)? != 0x45 || *frame.get(IP + 9)? != 6 {
        return None;
    }
    let end = IP + usize::from(be16(frame, IP + 2)?);
    let payload = TCP + usize::from(*frame.get(TCP + 12)? >> 4) * 4;
    let flags = *frame.get(TCP + 13)?;
    // A first segment has them in an order of its sender's, a refusal may have none.
    let stamps = match be32(frame, TCP + 20) {
        Some(0x0101_080a) => Some(STAMPS),
        _ => find_stamps(frame.get(TCP + 20..payload)?),
    };
    let stamp = |skip: usize| match stamps {
        Some(at) => be32(frame, TCP + 20 + at + skip),
        None => Some(0),
    };
    Some(Segment {
        fields: Fields {
            src_port: be16(frame, TCP)?,
            dst_port: be16(frame, TCP + 2)?,
            seq: be32(frame, TCP + 4)?,
            ack: be32(frame, TCP + 8)?,
            flags,
            stamp: stamp(0)?,
            echo: stamp(4)?,
        },
        payload: frame.get(payload..end)?,
    })
}

/// Where the two timestamps are among `options`.
fn find_stamps(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            0 => return None,
            1 => at += 1,
            8 => return Some(at + 2),
            _ => at += usize::from(*options.get(at + 1)?).max(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        Path {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: Ipv4Addr::new(10, 9, 0, 2),
            dst: Ipv4Addr::new(10, 9, 0, 1),
        }
    }

    fn fields(flags: u8) -> Fields {
        Fields {
            src_port: 10_000,
            dst_port: 9000,
            seq: 0xfedc_ba98,
            ack: 0x1234_5678,
            flags,
            stamp: 0xdead_beef,
            echo: 77,
        }
    }

    /// Whether both checksums of a frame hold, by other means than those it was made with.
    fn holds(octets: &[u8]) -> bool {
        let end = IP + usize::from(u16::from_be_bytes([octets[IP + 2], octets[IP + 3]]));
        let pseudo = frame::sum(&octets[IP + 12..TCP], 6 + (end - TCP) as u64);
        frame::fold(frame::sum(&octets[IP..TCP], 0)) == 0
            && frame::fold(frame::sum(&octets[TCP..end], pseudo)) == 0
    }

    #[test]
    fn what_is_written_is_parsed_and_its_checksums_hold() {
        let headers = Headers::new(&path());
        for len in [0, 1, 2, 3, 64, 1447, FULL] {
            let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let mut frame = vec![0xaa; PAYLOAD];
            frame.extend_from_slice(&payload);
            let written = headers.write(&mut frame, &fields(ACK | PSH), len, sum(&payload));
            assert_eq!(written, frame.len());
            assert!(holds(&frame), "{len}");
            let segment = parse(&frame).unwrap();
            assert_eq!(segment.fields, fields(ACK | PSH));
            assert_eq!(segment.payload, payload);
        }
    }

    #[test]
    fn first_segments_have_their_options() {
        let frame = Headers::new(&path()).first(&fields(SYN));
        assert!(holds(&frame));
        let segment = parse(&frame).unwrap();
        assert_eq!(segment.fields, fields(SYN));
        assert!(segment.payload.is_empty());
    }

    #[test]
    fn padding_is_no_payload_and_what_is_cut_is_no_segment() {
        let mut frame = vec![0; PAYLOAD];
        Headers::new(&path()).write(&mut frame, &fields(ACK), 0, 0);
        for len in 0..frame.len() {
            assert!(parse(&frame[..len]).is_none());
        }
        frame.extend_from_slice(&[0x55; 20]);
        assert!(parse(&frame).unwrap().payload.is_empty());
    }
}
