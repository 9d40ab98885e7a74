// SPDX-License-Identifier: GPL-2.0

//! What virtio-net headers ask for, against a receiver that takes packets apart and puts them together by the book.

use netmap_logic::logic::checksum::Sum;
use netmap_logic::logic::offload::{plan, BadHeader, Work, FRAME, FRONT, MOST};
use proptest::prelude::*;

/// The checksum by the book: big-endian words, one after the other.
fn book(parts: &[&[u8]]) -> u16 {
    let all: Vec<u8> = parts.concat();
    let mut sum = 0u32;
    for word in all.chunks(2) {
        sum += (u32::from(word[0]) << 8) | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[derive(Clone, Debug)]
struct Sent {
    v6: bool,
    tcp: bool,
    tags: usize,
    options: usize,
    gso_size: u16,
    data: Vec<u8>,
    flags: u8,
}

fn header(flags: u8, gso: u8, size: u16, start: u16, offset: u16) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[0] = flags;
    bytes[1] = gso;
    bytes[4..6].copy_from_slice(&size.to_le_bytes());
    bytes[6..8].copy_from_slice(&start.to_le_bytes());
    bytes[8..10].copy_from_slice(&offset.to_le_bytes());
    bytes
}

impl Sent {
    fn ip(&self) -> usize {
        14 + 4 * self.tags
    }

    fn ip_header(&self) -> usize {
        if self.v6 {
            40
        } else {
            20 + if self.tcp {
                0
            } else {
                4 * self.options.min(10)
            }
        }
    }

    fn transport_header(&self) -> usize {
        if self.tcp {
            20 + 4 * self.options.min(10)
        } else {
            8
        }
    }

    fn gso(&self) -> [u8; 10] {
        let kind = match (self.tcp, self.v6) {
            (true, false) => 1,
            (true, true) => 4 | 0x80,
            (false, _) => 3,
        };
        header(1, kind, self.gso_size, 0, 0)
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        for tag in 0..self.tags {
            frame.extend([0x81, 0, 0, tag as u8]);
        }
        let protocol = if self.tcp { 6 } else { 17 };
        if self.v6 {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, protocol, 64]);
            frame.extend((0..32).map(|byte| byte * 7));
        } else {
            let words = (self.ip_header() / 4) as u8;
            frame.extend([
                8,
                0,
                0x40 | words,
                0,
                0,
                0,
                0xff,
                0xfe,
                0,
                0,
                64,
                protocol,
                9,
                9,
            ]);
            frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            frame.extend(std::iter::repeat_n(1, self.ip_header() - 20));
        }
        if self.tcp {
            let words = (self.transport_header() / 4) as u8;
            frame.extend([0, 80, 1, 2, 0xff, 0xff, 0xff, 0, 1, 1, 1, 1]);
            frame.extend([words << 4, self.flags, 1, 0, 7, 7, 0, 0]);
            frame.extend(std::iter::repeat_n(1, self.transport_header() - 20));
        } else {
            frame.extend([0, 53, 1, 2, 8, 8, 7, 7]);
        }
        frame.extend(&self.data);
        frame
    }

    /// The frames that it is cut into.
    fn segments(&self) -> Result<Vec<Vec<u8>>, BadHeader> {
        let frame = self.frame();
        let front = &frame[..frame.len().min(FRONT)];
        let Work::Segments(segments) = plan(&self.gso(), front, frame.len() as u32)? else {
            panic!("it is to be cut");
        };
        let mut list = Vec::new();
        for index in 0..segments.count() {
            let mut out = [0xee; MOST];
            let sum = |from: u32, len: u32| {
                // In two pieces, of which the second may begin at an odd byte.
                let bytes = &frame[from as usize..][..len as usize];
                let (a, b) = bytes.split_at(bytes.len() / 3);
                Sum::of(a).with_block(Sum::of(b), a.len() as u32)
            };
            let (end, from, len) = segments.front(front, index, 0x0102_0304, sum, &mut out)?;
            let mut segment = out[..end].to_vec();
            segment.extend(&frame[from as usize..][..len as usize]);
            assert_eq!(segments.frame_len(index) as usize, segment.len());
            list.push(segment);
        }
        Ok(list)
    }

    fn pseudo(&self, packet: &[u8], bytes: usize) -> Vec<u8> {
        let addresses = if self.v6 { 8..40 } else { 12..20 };
        let mut pseudo = packet[addresses].to_vec();
        pseudo.extend((bytes as u32).to_be_bytes());
        pseudo.extend([0, 0, 0, if self.tcp { 6 } else { 17 }]);
        pseudo
    }

    /// Checks what is in an IP header; returns what follows it.
    fn check_ip<'a>(&self, segment: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        assert_eq!(segment[..self.ip()], self.frame()[..self.ip()]);
        assert!(segment.len() <= FRAME as usize + 4 * self.tags);
        let packet = &segment[self.ip()..];
        let rest = &packet[self.ip_header()..];
        let length = |at: usize| (usize::from(packet[at]) << 8) | usize::from(packet[at + 1]);
        if self.v6 {
            assert_eq!(length(4), rest.len());
        } else {
            assert_eq!(length(2), packet.len());
            assert_eq!(book(&[&packet[..self.ip_header()]]), 0);
        }
        (packet, rest)
    }

    fn check_tcp(&self) {
        let segments = self.segments().unwrap();
        let mut data: Vec<u8> = Vec::new();
        let last = segments.len() - 1;
        for (index, segment) in segments.iter().enumerate() {
            let (packet, tcp) = self.check_ip(segment);
            assert_eq!(book(&[&self.pseudo(packet, tcp.len()), tcp]), 0);
            let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
            assert_eq!(sequence, 0xffff_ff00u32.wrapping_add(data.len() as u32));
            let mut flags = self.flags;
            if index != last {
                flags &= !9;
            }
            if index != 0 {
                flags &= !0x80;
            }
            assert_eq!(tcp[13], flags);
            if !self.v6 {
                let id = u16::from_be_bytes(packet[4..6].try_into().unwrap());
                assert_eq!(id, 0xfffeu16.wrapping_add(index as u16));
            }
            let bytes = &tcp[self.transport_header()..];
            let size = usize::from(self.gso_size);
            assert!(index == last || size == 0 || bytes.len() <= size);
            assert!(
                index == last || bytes.len() == segments[0].len() - segment.len() + bytes.len()
            );
            data.extend(bytes);
        }
        assert_eq!(data, self.data);
    }

    fn check_udp(&self) {
        let segments = self.segments().unwrap();
        let mut datagram: Vec<u8> = Vec::new();
        let last = segments.len() - 1;
        let mut first = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let (packet, mut part) = self.check_ip(segment);
            let (mut place, mut more) = (0, false);
            if self.v6 && last > 0 {
                assert_eq!((packet[6], part[0], part[1]), (44, 17, 0));
                assert_eq!(part[4..8], [1, 2, 3, 4]);
                let word = (usize::from(part[2]) << 8) | usize::from(part[3]);
                (place, more) = (word & !7, word & 1 != 0);
                part = &part[8..];
            } else if !self.v6 {
                let word = (usize::from(packet[6]) << 8) | usize::from(packet[7]);
                (place, more) = ((word & 0x1fff) * 8, word & 0x2000 != 0);
                assert_eq!(packet[4..6], [0xff, 0xfe]);
            }
            assert_eq!((place, more), (datagram.len(), index != last));
            assert!(index == last || part.len() % 8 == 0);
            datagram.extend(part);
            if index == 0 {
                first = packet.to_vec();
            }
        }
        let length = (usize::from(datagram[4]) << 8) | usize::from(datagram[5]);
        assert_eq!(length, datagram.len());
        assert_eq!(book(&[&self.pseudo(&first, length), &datagram]), 0);
        assert_ne!(datagram[6..8], [0, 0]);
        assert_eq!(datagram[8..], self.data);
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    (
        any::<(bool, bool, u8)>(),
        0usize..3,
        0usize..11,
        prop_oneof![Just(0u16), 500..2000u16, 48..100u16],
        prop::collection::vec(any::<u8>(), 0..9000),
    )
        .prop_map(|((v6, tcp, flags), tags, options, gso_size, data)| Sent {
            v6,
            tcp,
            tags,
            options,
            gso_size,
            data,
            flags,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is cut is what was sent, and every header and checksum is right.
    #[test]
    fn segments_are_put_together_again(sent in sent()) {
        if sent.tcp {
            sent.check_tcp();
        } else {
            sent.check_udp();
        }
    }

    /// A checksum of pieces is that of the whole.
    #[test]
    fn sums_of_pieces(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        let sum = Sum::of(a).with_block(Sum::of(b), a.len() as u32);
        let expected = book(&[&bytes]);
        let found = u16::from_be_bytes(sum.to_field());
        // Two numbers are zero.
        prop_assert!(found == expected || (found.wrapping_add(1) <= 1 && expected.wrapping_add(1) <= 1));
    }

    /// Any bytes are taken apart without harm, and what is said of them is within them.
    #[test]
    fn hostile(
        header in any::<[u8; 10]>(),
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0usize..4,
        longer in 0u32..140_000,
    ) {
        let types: [&[u8]; 4] = [&[8, 0, 0x45], &[0x86, 0xdd, 0x60], &[0x81, 0], &[]];
        for (to, from) in bytes.iter_mut().skip(12).zip(types[kind]) {
            *to = *from;
        }
        for gso in [header[1], 0, 1, 3, 4] {
            let mut header = header;
            header[0] &= 3;
            header[1] = gso;
            let front = &bytes[..bytes.len().min(FRONT)];
            let len = bytes.len() as u32 + if bytes.len() < FRONT { 0 } else { longer };
            match plan(&header, front, len) {
                Ok(Work::Checksum { start, at }) => prop_assert!(start <= at && at + 2 <= len),
                Ok(Work::Segments(segments)) => {
                    // What a sender has done by one packet is bounded.
                    prop_assert!((1..=65535 / 48 + 1).contains(&segments.count()));
                    for index in [0, segments.count() / 2, segments.count() - 1, segments.count()] {
                        let mut out = [0; MOST];
                        let sum = |from: u32, bytes: u32| {
                            assert!(from + bytes <= len);
                            Sum::default()
                        };
                        let (end, from, bytes) = segments.front(front, index, 0, sum, &mut out).unwrap();
                        prop_assert!(end <= MOST && from + bytes <= len);
                        prop_assert!(end as u32 + bytes <= FRAME + 8);
                        prop_assert_eq!(end as u32 + bytes, segments.frame_len(index));
                    }
                }
                Ok(Work::None) | Err(BadHeader) => (),
            }
        }
    }
}

#[test]
fn checksums() {
    let frame = [7u8; 60];
    assert_eq!(plan(&header(0, 0, 0, 9, 9), &frame, 60), Ok(Work::None));
    assert_eq!(plan(&header(2, 0, 0, 9, 9), &frame, 60), Ok(Work::None));
    assert_eq!(
        plan(&header(1, 0, 0, 34, 16), &frame, 60),
        Ok(Work::Checksum { start: 34, at: 50 })
    );
    assert_eq!(
        plan(&header(1, 0, 0, 34, 24), &frame, 60),
        Ok(Work::Checksum { start: 34, at: 58 })
    );
    for bad in [
        header(1, 0, 0, 34, 25),
        header(1, 0, 0, u16::MAX, u16::MAX),
        header(4, 0, 0, 0, 0),
        header(0, 2, 0, 0, 0),
        header(0, 5, 0, 0, 0),
    ] {
        assert_eq!(plan(&bad, &frame, 60), Err(BadHeader));
    }
}
