// SPDX-License-Identifier: BSD-2-Clause
//! The way of a received frame from the wire to its queue: filters, flow director, receive side scaling, checksums.

use crate::checksum;
use crate::filters::Filters;
use crate::flow_director::FlowDirector;
use crate::packet::{Headers, Transport};
use crate::rss::Rss;

/// Status bit of a flow director match (FLM).
const FLM: u32 = 1 << 2;

/// A frame that is for this port, and what its descriptor will say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Received {
    /// The frame, without its check sequence.
    pub frame: Vec<u8>,
    /// The queue it goes to.
    pub queue: u8,
    /// RSS type and packet type: the low word of the write-back, but for the coalesced packets' count.
    pub info: u32,
    /// The hash, or the flow director's software index: the second word of the write-back.
    pub hash: u32,
    /// Status and errors without DD, EOP and the next descriptor: the third word of the write-back.
    pub status: u32,
    /// The stripped VLAN tag.
    pub vlan: Option<u16>,
    /// Where each coalesced packet's payload starts; empty if nothing was coalesced.
    pub starts: Vec<usize>,
}

impl Received {
    /// The RSCCNT field of the descriptor that holds octets `from..to`: 0 if nothing was coalesced, else one more than
    /// the number of packets that start there.
    ///
    /// Source: ixgbe_main.c: ixgbe_is_non_eop (`rsc_cnt - 1`).
    pub fn coalesced_count(&self, from: usize, to: usize) -> u32 {
        if self.starts.is_empty() {
            return 0;
        }
        let starting = self
            .starts
            .iter()
            .filter(|start| (from..to).contains(*start));
        // The field has four bits.
        (starting.count() as u32 + 1).min(15)
    }
}

/// Why a frame went no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The filters did not let it pass.
    Filtered,
    /// The flow director dropped it.
    Dropped,
}

/// Decides the queue of `frame`, and what its descriptor will say.
///
/// The flow director comes before receive side scaling.
/// Source: datasheet section 7.1.2; ixgbe_main.c: ixgbe_process_skb_fields.
pub fn classify(
    frame: Vec<u8>,
    filters: &Filters<'_>,
    director: &mut FlowDirector,
    rss: &Rss<'_>,
) -> Result<Received, Refused> {
    if !filters.accept(&frame) {
        return Err(Refused::Filtered);
    }
    let headers = Headers::parse(&frame);
    let hashed = rss.hash(&frame, &headers);
    let mut received = Received {
        queue: rss.queue(hashed.map(|(hash, _)| hash)),
        info: headers.packet_type(),
        status: checksum::verify(&frame, &headers),
        ..Received::default()
    };
    if let Some((hash, kind)) = hashed {
        received.hash = hash;
        received.info |= kind as u32;
    }
    if let Some(found) = director.find(&frame, &headers) {
        received.queue = found.queue.ok_or(Refused::Dropped)?;
        if found.report {
            received.status |= FLM;
            received.hash = u32::from(found.index) << 16;
            received.info &= !0xf;
        }
    }
    received.frame = frame;
    Ok(received)
}

/// Whether the frame is TCP over IPv4 that may be coalesced at all, by its descriptor's words.
pub(crate) fn is_good_tcp4(received: &Received, headers: &Headers) -> bool {
    use checksum::status::{IPCS, IPE, L4CS, TCPE};
    received.info & 0x1f0 == 0x110
        && headers.transport == Some(Transport::Tcp)
        && received.status & (IPCS | L4CS | IPE | TCPE) == IPCS | L4CS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow_director::register;
    use crate::packet::examples;

    const TABLE: [u32; 32] = [0x0101_0101; 32];
    const KEY: [u32; 10] = [0x1234_5678; 10];

    fn classify_with(
        frame: Vec<u8>,
        director: &mut FlowDirector,
        fctrl: u32,
    ) -> Result<Received, Refused> {
        let filters = Filters {
            fctrl,
            mcstctrl: 0,
            vlnctrl: 0,
            addresses: &[],
            multicast: &[],
            vlans: &[],
        };
        let rss = Rss {
            mrqc: 0x0033_0001,
            key: &KEY,
            table: &TABLE,
            extension: &[],
        };
        classify(frame, &filters, director, &rss)
    }

    const PROMISCUOUS: u32 = 1 << 9;

    #[test]
    fn hashed_packets_follow_the_table() {
        let mut director = FlowDirector::default();
        let frame = examples::tcp4(b"abc", 1, 0x10);
        let received = classify_with(frame.clone(), &mut director, PROMISCUOUS).unwrap();
        assert_eq!((received.queue, received.info), (1, 0x111));
        assert_eq!(received.frame, frame);
        let mut arp = examples::udp4(60);
        arp[12..14].copy_from_slice(&[8, 6]);
        let received = classify_with(arp, &mut director, PROMISCUOUS).unwrap();
        assert_eq!((received.queue, received.info, received.status), (0, 0, 0));
    }

    #[test]
    fn the_flow_director_comes_first() {
        let mut director = FlowDirector::default();
        director.write(register::HASH_KEY, 0x3dad_14e2);
        director.write(register::CTRL, 0x0006_0011);
        director.write(register::MASK, 0x37);
        for mask in [register::SOURCE_MASK, register::DESTINATION_MASK] {
            director.write(mask, u32::MAX);
        }
        director.write(register::UDP_MASK, 0xffff);
        director.write(register::PORT, 9000 << 16);
        director.write(register::HASH, 0x035d);
        director.write(register::COMMAND, 0x8829 | (3 << 16));
        let received = classify_with(examples::udp4(60), &mut director, PROMISCUOUS).unwrap();
        assert_eq!((received.queue, received.status & FLM), (3, 0));
        director.write(register::COMMAND, 0x8a29 | (127 << 16));
        let refused = classify_with(examples::udp4(60), &mut director, PROMISCUOUS);
        assert_eq!(refused, Err(Refused::Dropped));
        let refused = classify_with(examples::udp4(60), &mut director, 0);
        assert_eq!(refused, Err(Refused::Filtered));
    }
}
