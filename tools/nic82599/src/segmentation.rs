// SPDX-License-Identifier: BSD-2-Clause
//! Transmit offload: the frames that a packet of the driver becomes on the wire.

use crate::checksum;
use crate::packet::Transport;
use crate::vlan;
use thiserror::Error;

/// Shortest frame on the wire, without its check sequence.
pub const SHORTEST: usize = 60;

/// TCP flags that only the last segment has: FIN and PSH.
const LAST_ONLY: u8 = 0x09;
/// The TCP flag that only the first segment has: CWR.
const FIRST_ONLY: u8 = 0x80;

/// What a transmit context descriptor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Which of the two context slots of the queue it sets.
    pub index: u8,
    /// The VLAN tag to insert.
    pub vlan: u16,
    /// Octets of the Ethernet header, with a tag that is in the packet itself.
    pub mac_len: usize,
    /// Octets from the network header to the transport header.
    pub ip_len: usize,
    /// Octets of the transport header.
    pub transport_len: usize,
    /// Payload octets of a full segment.
    pub segment: usize,
    /// Whether the network header is IPv4.
    pub ipv4: bool,
    /// The transport header.
    pub transport: Option<Transport>,
}

impl Context {
    /// Decodes the four words of a descriptor.
    ///
    /// Source: ixgbe_lib.c: ixgbe_tx_ctxtdesc; ixgbe_type.h: `IXGBE_ADVTXD_*_SHIFT` and `IXGBE_ADVTXD_TUCMD_*`.
    pub fn decode(words: [u32; 4]) -> Context {
        let field = |word: usize, shift: u32, bits: u32| {
            ((words[word] >> shift) & ((1 << bits) - 1)) as usize
        };
        Context {
            index: field(3, 4, 1) as u8,
            vlan: field(0, 16, 16) as u16,
            mac_len: field(0, 9, 7),
            ip_len: field(0, 0, 9),
            transport_len: field(3, 8, 8),
            segment: field(3, 16, 16),
            ipv4: field(2, 10, 1) != 0,
            transport: match field(2, 11, 2) {
                0 => Some(Transport::Udp),
                1 => Some(Transport::Tcp),
                2 => Some(Transport::Sctp),
                _ => None,
            },
        }
    }

    /// Octets of all headers.
    pub fn header_len(&self) -> usize {
        self.mac_len + self.ip_len + self.transport_len
    }
}

/// What the data descriptors of a packet ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offload {
    /// Insert the IPv4 checksum (POPTS.IXSM).
    pub ipv4_checksum: bool,
    /// Insert the transport checksum (POPTS.TXSM).
    pub transport_checksum: bool,
    /// Cut into segments (DCMD.TSE); `payload` is PAYLEN, the octets behind the headers.
    pub segment: Option<usize>,
    /// Insert this VLAN tag (DCMD.VLE).
    pub vlan: Option<u16>,
    /// Pad short frames (HLREG0.TXPADEN).
    pub pad: bool,
}

/// What a driver can ask wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Misuse {
    /// Offload without a context descriptor.
    #[error("offload is asked for, but no context descriptor was given")]
    NoContext,
    /// The context's headers are longer than the packet.
    #[error("the context's headers have {headers} octets, the packet {packet}")]
    Headers {
        /// Octets of the headers.
        headers: usize,
        /// Octets of the packet.
        packet: usize,
    },
    /// The maximum segment size is 0.
    #[error("segmentation with segments of 0 octets")]
    NoSegmentSize,
    /// PAYLEN is not what the descriptors hold.
    #[error("PAYLEN is {said}, the packet has {found} octets")]
    PayloadLength {
        /// PAYLEN.
        said: usize,
        /// What it should be.
        found: usize,
    },
    /// Segmentation of a transport that cannot be cut.
    #[error("segmentation of a packet that is neither TCP nor UDP")]
    Transport,
    /// The frame is longer than the card can send.
    #[error("a frame of {0} octets")]
    TooLong(usize),
}

/// Longest frame that the card can send, without its check sequence: 15.5 KiB.
///
/// Source: datasheet section 7.2.1.1.
pub const LONGEST: usize = 15872 - 4;

/// Gives `emit` each frame that `packet` becomes, finished but for its check sequence.
///
/// # Errors
///
/// The packet asks for what the card does not do; nothing is emitted.
pub fn frames(
    mut packet: Vec<u8>,
    context: Option<&Context>,
    offload: Offload,
    mut emit: impl FnMut(Vec<u8>),
) -> Result<(), Misuse> {
    let mut finish = |mut frame: Vec<u8>| {
        if let Some(tci) = offload.vlan {
            vlan::insert(&mut frame, tci);
        }
        if offload.pad && frame.len() < SHORTEST {
            frame.resize(SHORTEST, 0);
        }
        emit(frame);
    };
    if let Some(payload) = offload.segment {
        let context = context.ok_or(Misuse::NoContext)?;
        let cutter = Cutter::new(&packet, context, payload)?;
        for number in 0..cutter.count() {
            finish(cutter.cut(number, offload));
        }
        return Ok(());
    }
    if packet.len() > LONGEST {
        return Err(Misuse::TooLong(packet.len()));
    }
    if offload.ipv4_checksum || offload.transport_checksum {
        let context = context.ok_or(Misuse::NoContext)?;
        let start = context.mac_len + context.ip_len;
        if start > packet.len() {
            return Err(Misuse::Headers {
                headers: start,
                packet: packet.len(),
            });
        }
        if offload.ipv4_checksum {
            checksum::insert_ipv4(&mut packet, context.mac_len, start);
        }
        if offload.transport_checksum {
            let transport = context.transport.ok_or(Misuse::Transport)?;
            if !checksum::insert_transport(&mut packet, start, transport) {
                return Err(Misuse::Headers {
                    headers: start + 2,
                    packet: packet.len(),
                });
            }
        }
    }
    finish(packet);
    Ok(())
}

/// A packet that is cut into segments.
struct Cutter<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    context: &'a Context,
    transport: Transport,
}

impl<'a> Cutter<'a> {
    fn new(packet: &'a [u8], context: &'a Context, payload: usize) -> Result<Self, Misuse> {
        let headers = context.header_len();
        let least = context.mac_len + if context.ipv4 { 20 } else { 40 };
        if headers > packet.len()
            || context.mac_len < 14
            || context.mac_len + context.ip_len < least
        {
            return Err(Misuse::Headers {
                headers,
                packet: packet.len(),
            });
        }
        let transport = match context.transport {
            Some(Transport::Tcp) if context.transport_len >= 20 => Transport::Tcp,
            Some(Transport::Udp) if context.transport_len == 8 => Transport::Udp,
            _ => return Err(Misuse::Transport),
        };
        if context.segment == 0 {
            return Err(Misuse::NoSegmentSize);
        }
        let (header, rest) = packet.split_at(headers);
        if rest.len() != payload {
            return Err(Misuse::PayloadLength {
                said: payload,
                found: rest.len(),
            });
        }
        let longest = headers + context.segment.min(payload);
        if longest > LONGEST {
            return Err(Misuse::TooLong(longest));
        }
        Ok(Cutter {
            header,
            payload: rest,
            context,
            transport,
        })
    }

    fn count(&self) -> usize {
        self.payload.len().div_ceil(self.context.segment).max(1)
    }

    /// Segment `number`, with its headers.
    ///
    /// The driver leaves the pseudo header's sum without the length in the transport checksum, and zero in the lengths.
    /// The IPv4 identification counts up. FIN and PSH are in the last segment only, CWR in the first only.
    /// Source: datasheet sections 7.2.4.6 and 7.2.4.7; ixgbe_main.c: ixgbe_tso.
    fn cut(&self, number: usize, offload: Offload) -> Vec<u8> {
        let Context {
            mac_len,
            ip_len,
            transport_len,
            segment,
            ..
        } = *self.context;
        let from = number * segment;
        let payload = &self.payload[from..self.payload.len().min(from + segment)];
        let mut frame = Vec::with_capacity(self.header.len() + payload.len() + 4);
        frame.extend_from_slice(self.header);
        frame.extend_from_slice(payload);
        let start = mac_len + ip_len;
        let put = |frame: &mut [u8], at: usize, value: usize| {
            // Lengths are bounded by `LONGEST`, and the identification wraps.
            frame[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
        };
        if self.context.ipv4 {
            let id = u16::from_be_bytes([frame[mac_len + 4], frame[mac_len + 5]]);
            let len = frame.len() - mac_len;
            put(&mut frame, mac_len + 2, len);
            put(&mut frame, mac_len + 4, usize::from(id) + number);
            if offload.ipv4_checksum {
                checksum::insert_ipv4(&mut frame, mac_len, start);
            }
        } else {
            let len = frame.len() - mac_len - 40;
            put(&mut frame, mac_len + 4, len);
        }
        let length = transport_len + payload.len();
        if self.transport == Transport::Tcp {
            let at = start + 4;
            let sequence =
                u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
            // The packet has at most 64 KiB or, by PAYLEN's width, 256 KiB.
            let sequence = sequence.wrapping_add(from as u32);
            frame[at..at + 4].copy_from_slice(&sequence.to_be_bytes());
            if number + 1 < self.count() {
                frame[start + 13] &= !LAST_ONLY;
            }
            if number > 0 {
                frame[start + 13] &= !FIRST_ONLY;
            }
        } else {
            put(&mut frame, start + 4, length);
        }
        if offload.transport_checksum {
            let field = start
                + if self.transport == Transport::Tcp {
                    16
                } else {
                    6
                };
            let pseudo =
                u32::from(u16::from_be_bytes([frame[field], frame[field + 1]])) + length as u32;
            let folded = (pseudo & 0xffff) + (pseudo >> 16);
            put(&mut frame, field, folded as usize);
            checksum::insert_transport(&mut frame, start, self.transport);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{status, verify};
    use crate::packet::{examples, Headers};
    use frame::{fold, sum};
    use proptest::prelude::*;

    /// The four words as ixgbe_tso writes them.
    fn words(ip_len: u32, transport_len: u32, mss: u32, ipv4: bool, l4t: u32) -> [u32; 4] {
        [
            (0x2005 << 16) | (14 << 9) | ip_len,
            0,
            0x2020_0000 | (u32::from(ipv4) << 10) | (l4t << 11),
            (mss << 16) | (transport_len << 8),
        ]
    }

    fn tso() -> Offload {
        Offload {
            ipv4_checksum: true,
            transport_checksum: true,
            pad: true,
            ..Offload::default()
        }
    }

    /// A TCP packet as the stack hands it down: sums without lengths.
    fn unfinished(mut frame: Vec<u8>, start: usize, field: usize, protocol: u64) -> Vec<u8> {
        let addresses = if start == 34 { 26..34 } else { 22..54 };
        let pseudo = !fold(sum(&frame[addresses], protocol));
        frame[field..field + 2].copy_from_slice(&pseudo.to_be_bytes());
        if start == 34 {
            frame[16..18].fill(0);
            frame[24..26].fill(0);
        } else {
            frame[18..20].fill(0);
        }
        frame
    }

    fn collect(
        packet: Vec<u8>,
        context: &Context,
        offload: Offload,
    ) -> Result<Vec<Vec<u8>>, Misuse> {
        let mut all = Vec::new();
        frames(packet, Some(context), offload, |frame| all.push(frame))?;
        Ok(all)
    }

    #[test]
    fn context_fields() {
        let context = Context::decode(words(20, 32, 1448, true, 1));
        assert_eq!(
            (context.mac_len, context.ip_len, context.transport_len),
            (14, 20, 32)
        );
        assert_eq!(
            (context.segment, context.vlan, context.index),
            (1448, 0x2005, 0)
        );
        assert_eq!(
            (context.ipv4, context.transport),
            (true, Some(Transport::Tcp))
        );
        assert_eq!(
            Context::decode(words(40, 8, 9, false, 0)).transport,
            Some(Transport::Udp)
        );
    }

    proptest! {
        #[test]
        fn tcp_segments_are_whole(six: bool, len in 1usize..9000, mss in 1usize..2000, sequence: u32) {
            let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let (packet, start) = if six {
                (examples::tcp6(&payload, sequence, 0x99), 54)
            } else {
                (examples::tcp4(&payload, sequence, 0x99), 34)
            };
            let packet = unfinished(packet, start, start + 16, 6);
            let context = Context::decode(words(start as u32 - 14, 20, mss as u32, !six, 1));
            let offload = Offload { segment: Some(len), ..tso() };
            let all = collect(packet, &context, offload).unwrap();
            prop_assert_eq!(all.len(), len.div_ceil(mss));
            let mut seen = Vec::new();
            for (i, frame) in all.iter().enumerate() {
                let headers = Headers::parse(frame);
                let bits = verify(frame, &headers);
                prop_assert_eq!(bits & (status::L4CS | status::TCPE | status::IPE), status::L4CS);
                let at = headers.transport_at;
                let number = u32::from_be_bytes(frame[at + 4..at + 8].try_into().unwrap());
                prop_assert_eq!(number, sequence.wrapping_add(seen.len() as u32));
                let flags = frame[at + 13];
                prop_assert_eq!(flags & 0x09 != 0, i + 1 == all.len());
                prop_assert_eq!(flags & 0x80 != 0, i == 0);
                seen.extend_from_slice(&frame[at + 20..headers.end]);
            }
            prop_assert_eq!(seen, payload);
        }

        #[test]
        fn udp_segments_are_whole(len in 1usize..9000, mss in 1usize..2000) {
            let packet = unfinished(examples::udp4(42 + len), 34, 40, 17);
            let payload = packet[42..].to_vec();
            let context = Context::decode(words(20, 8, mss as u32, true, 0));
            let all = collect(packet, &context, Offload { segment: Some(len), ..tso() }).unwrap();
            let mut seen = Vec::new();
            for frame in &all {
                let headers = Headers::parse(frame);
                let bits = verify(frame, &headers);
                prop_assert_eq!(bits & (status::L4CS | status::TCPE | status::IPE), status::L4CS);
                seen.extend_from_slice(&frame[42..headers.end]);
            }
            prop_assert_eq!(seen, payload);
        }
    }

    #[test]
    fn identifications_count_up() {
        let mut packet = unfinished(examples::tcp4(&[0; 3000], 0, 0x10), 34, 50, 6);
        packet[18..20].fill(0xff);
        let context = Context::decode(words(20, 20, 1460, true, 1));
        let all = collect(
            packet,
            &context,
            Offload {
                segment: Some(3000),
                ..tso()
            },
        )
        .unwrap();
        let ids: Vec<_> = all.iter().map(|frame| [frame[18], frame[19]]).collect();
        assert_eq!(ids, [[255, 255], [0, 0], [0, 1]]);
    }

    #[test]
    fn checksum_without_segmentation_then_tag_and_padding() {
        let good = examples::tcp4(b"", 5, 0x10);
        let mut packet = good.clone();
        let pseudo = !fold(sum(&packet[26..34], 6 + 20));
        packet[50..52].copy_from_slice(&pseudo.to_be_bytes());
        let context = Context::decode(words(20, 0, 0, true, 1));
        let offload = Offload {
            transport_checksum: true,
            vlan: Some(context.vlan),
            pad: true,
            ..Offload::default()
        };
        let all = collect(packet, &context, offload).unwrap();
        let mut expected = examples::tagged(&good, 0x2005);
        expected.resize(60, 0);
        assert_eq!(all, [expected]);
    }

    #[test]
    fn misuse_is_named() {
        let packet = examples::tcp4(&[0; 100], 0, 0x10);
        let context = Context::decode(words(20, 20, 50, true, 1));
        let ask = |context: &Context, payload| {
            collect(
                packet.clone(),
                context,
                Offload {
                    segment: Some(payload),
                    ..tso()
                },
            )
            .unwrap_err()
        };
        assert_eq!(
            ask(&context, 99),
            Misuse::PayloadLength {
                said: 99,
                found: 100
            }
        );
        assert_eq!(
            ask(
                &Context {
                    segment: 0,
                    ..context
                },
                100
            ),
            Misuse::NoSegmentSize
        );
        let long = Context {
            transport_len: 200,
            ..context
        };
        assert_eq!(
            ask(&long, 100),
            Misuse::Headers {
                headers: 234,
                packet: 154
            }
        );
        let sctp = Context {
            transport: Some(Transport::Sctp),
            ..context
        };
        assert_eq!(ask(&sctp, 100), Misuse::Transport);
        let checksum = Offload {
            transport_checksum: true,
            ..Offload::default()
        };
        assert_eq!(
            frames(packet.clone(), None, checksum, |_| ()),
            Err(Misuse::NoContext)
        );
        assert_eq!(
            frames(vec![0; 16000], None, Offload::default(), |_| ()),
            Err(Misuse::TooLong(16000))
        );
    }
}
