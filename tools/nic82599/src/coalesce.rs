// SPDX-License-Identifier: BSD-2-Clause
//! Receive side coalescing (RSC): packets of a TCP connection that follow each other become one.
//!
//! The silicon writes a coalesced packet to memory as its parts arrive. The model holds it and writes it at its end,
//! so that its descriptors follow each other.

use crate::checksum;
use crate::packet::Headers;
use crate::receive::{is_good_tcp4, Received};

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// Connections that can be coalesced at a time.
///
/// Source: datasheet section 7.11.
pub const CONNECTIONS: usize = 32;

/// Longest coalesced packet: an IP packet of 64 KiB, with its Ethernet header.
const LONGEST: usize = 65535 + 14;

/// A packet that may grow.
#[derive(Debug)]
struct Open {
    received: Received,
    /// Where the TCP header is, and how long it is.
    at: usize,
    tcp_len: usize,
    next: u32,
}

/// The coalescing of one queue.
#[derive(Debug, Default)]
pub struct Coalescer {
    open: Vec<Open>,
}

impl Coalescer {
    /// A queue without open packets.
    pub fn new() -> Self {
        Coalescer::default()
    }

    /// Takes a packet whose tag is stripped, and gives `done` what is finished, in order within each connection.
    ///
    /// `limit` is how many octets a packet's descriptors hold (RSCCTL.MAXDESC times the buffer size). Coalesced is TCP
    /// over IPv4 with good checksums, no IP options or fragments, no TCP option but the time stamp, with data,
    /// and with no flags but ACK and PSH; PSH ends a packet, and so does what comes out of sequence.
    /// Source: datasheet sections 7.11.2 to 7.11.4; ixgbe_main.c: ixgbe_setup_rdrxctl (no coalescing of bare ACKs).
    pub fn push(&mut self, received: Received, limit: usize, mut done: impl FnMut(Received)) {
        let headers = Headers::parse(&received.frame);
        if !is_good_tcp4(&received, &headers) {
            done(received);
            return;
        }
        let at = headers.transport_at;
        let tcp_len = usize::from(received.frame[at + 12] >> 4) * 4;
        let place = self
            .open
            .iter()
            .position(|open| open.is_same(&received, at));
        let data = match headers.end.checked_sub(at + tcp_len) {
            Some(len) if len > 0 && tcp_len >= 20 => len,
            _ => {
                // A bare ACK or a broken header: order within the connection is kept.
                self.close(place, &mut done);
                done(received);
                return;
            }
        };
        let flags = received.frame[at + 13];
        let options_allowed =
            tcp_len == 20 || tcp_len == 32 && received.frame[at + 20..at + 24] == [1, 1, 8, 10];
        if flags & !PSH != ACK || !options_allowed {
            self.close(place, &mut done);
            done(received);
            return;
        }
        let sequence = number(&received.frame, at + 4);
        if let Some(place) = place {
            let open = &mut self.open[place];
            let fits = open.received.frame.len() + data <= limit.min(LONGEST);
            if open.next == sequence && open.tcp_len == tcp_len && fits {
                open.append(&received, at, data);
                if flags & PSH != 0 {
                    self.close(Some(place), &mut done);
                }
                return;
            }
            self.close(Some(place), &mut done);
        }
        if flags & PSH != 0 || headers.end > limit {
            done(received);
            return;
        }
        if self.open.len() == CONNECTIONS {
            self.close(Some(0), &mut done);
        }
        let mut received = received;
        received.frame.truncate(headers.end);
        received.starts.push(0);
        self.open.push(Open {
            received,
            at,
            tcp_len,
            // Bounded by the frame's length.
            next: sequence.wrapping_add(data as u32),
        });
    }

    /// Finishes all open packets: the interrupt is about to be raised, or the queue stops.
    ///
    /// Source: datasheet section 7.11.4 (ITR expiry).
    pub fn flush(&mut self, mut done: impl FnMut(Received)) {
        while !self.open.is_empty() {
            self.close(Some(0), &mut done);
        }
    }

    /// Whether no packet is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn close(&mut self, place: Option<usize>, done: &mut impl FnMut(Received)) {
        if let Some(place) = place {
            done(self.open.remove(place).finish());
        }
    }
}

impl Open {
    /// Whether the packet is of this connection.
    fn is_same(&self, received: &Received, at: usize) -> bool {
        let of = |frame: &[u8], at: usize| -> Option<[u8; 12]> {
            frame.get(at - 8..at + 4)?.try_into().ok()
        };
        self.at == at
            && self.received.vlan == received.vlan
            && self.received.frame[..12] == received.frame[..12]
            && of(&self.received.frame, self.at) == of(&received.frame, at)
    }

    /// The acknowledgement, window and time stamp are the last packet's.
    fn append(&mut self, received: &Received, at: usize, data: usize) {
        let from = &received.frame;
        let to = &mut self.received.frame;
        to[at + 8..at + 16].copy_from_slice(&from[at + 8..at + 16]);
        to[at + 20..at + self.tcp_len].copy_from_slice(&from[at + 20..at + self.tcp_len]);
        self.received.starts.push(to.len());
        let payload = at + self.tcp_len;
        to.extend_from_slice(&from[payload..payload + data]);
        // Bounded by the frame's length.
        self.next = self.next.wrapping_add(data as u32);
    }

    /// The IP header is made whole; the TCP checksum stays the first packet's.
    fn finish(self) -> Received {
        let Open {
            mut received, at, ..
        } = self;
        if received.starts.len() == 1 {
            received.starts.clear();
            return received;
        }
        let ip = at - 20;
        let total = (received.frame.len() - ip) as u16;
        received.frame[ip + 2..ip + 4].copy_from_slice(&total.to_be_bytes());
        checksum::insert_ipv4(&mut received.frame, ip, at);
        received
    }
}

fn number(frame: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::examples;

    fn received(frame: Vec<u8>) -> Received {
        let headers = Headers::parse(&frame);
        Received {
            info: headers.packet_type() | 1,
            status: checksum::verify(&frame, &headers),
            frame,
            ..Received::default()
        }
    }

    struct Bench {
        coalescer: Coalescer,
        out: Vec<Received>,
    }

    impl Bench {
        fn new() -> Self {
            Bench {
                coalescer: Coalescer::new(),
                out: Vec::new(),
            }
        }

        fn push(&mut self, frame: Vec<u8>) {
            self.coalescer
                .push(received(frame), 32768, |done| self.out.push(done));
        }

        fn flush(&mut self) {
            self.coalescer.flush(|done| self.out.push(done));
        }
    }

    fn segment(number: u32, flags: u8) -> Vec<u8> {
        examples::tcp4(&[number as u8; 100], 1000 + number * 100, flags)
    }

    #[test]
    fn packets_in_sequence_become_one() {
        let mut bench = Bench::new();
        for i in 0..3 {
            bench.push(segment(i, ACK));
        }
        assert!(bench.out.is_empty());
        bench.flush();
        let [whole] = &bench.out[..] else {
            panic!("{} packets", bench.out.len())
        };
        assert_eq!(whole.starts, [0, 154, 254]);
        assert_eq!(whole.frame.len(), 354);
        let headers = Headers::parse(&whole.frame);
        assert_eq!(headers.end, 354);
        assert_eq!(
            checksum::verify(&whole.frame, &headers) & checksum::status::IPE,
            0
        );
        assert_eq!(
            (
                whole.frame[54],
                whole.frame[153],
                whole.frame[154],
                whole.frame[353]
            ),
            (0, 0, 1, 2)
        );
        assert_eq!(whole.coalesced_count(0, 2048), 4);
        assert_eq!(whole.coalesced_count(0, 200), 3);
        assert_eq!(whole.coalesced_count(260, 354), 1);
        assert!(bench.coalescer.is_empty());
    }

    #[test]
    fn push_ends_a_packet() {
        let mut bench = Bench::new();
        bench.push(segment(0, ACK));
        bench.push(segment(1, ACK | PSH));
        assert_eq!(bench.out.len(), 1);
        bench.push(segment(2, ACK | PSH));
        assert_eq!(bench.out[1], received(segment(2, ACK | PSH)));
    }

    #[test]
    fn a_single_packet_is_as_it_came() {
        let mut bench = Bench::new();
        bench.push(segment(0, ACK));
        bench.flush();
        assert_eq!(bench.out, [received(segment(0, ACK))]);
        assert_eq!(bench.out[0].coalesced_count(0, 2048), 0);
    }

    #[test]
    fn what_ends_a_packet_comes_after_it() {
        let bare_ack = examples::tcp4(b"", 1100, ACK);
        let fin = segment(1, ACK | 1);
        let mut options = examples::tcp4(&[7; 100], 1100, ACK);
        options[46] = 0x60;
        examples::seal4(&mut options);
        for breaker in [bare_ack, fin, options] {
            let mut bench = Bench::new();
            bench.push(segment(0, ACK));
            bench.push(breaker.clone());
            assert_eq!(bench.out.len(), 2);
            assert_eq!(bench.out[1].frame, breaker);
        }
        let mut bench = Bench::new();
        bench.push(segment(0, ACK));
        bench.push(segment(5, ACK));
        bench.flush();
        assert_eq!(bench.out[1].frame, segment(5, ACK));
    }

    #[test]
    fn connections_are_apart() {
        let mut bench = Bench::new();
        for i in 0..2 {
            for port in 0..2 {
                let mut frame = segment(i, ACK);
                frame[35] = port;
                examples::seal4(&mut frame);
                bench.push(frame);
            }
        }
        bench.flush();
        assert_eq!(bench.out.len(), 2);
        assert!(bench.out.iter().all(|packet| packet.starts.len() == 2));
    }

    #[test]
    fn no_more_than_the_descriptors_hold() {
        let mut coalescer = Coalescer::new();
        let mut out = Vec::new();
        for i in 0..4 {
            coalescer.push(received(segment(i, ACK)), 300, |done| out.push(done));
        }
        coalescer.flush(|done| out.push(done));
        assert!(out.iter().all(|packet| packet.frame.len() == 254));
    }

    #[test]
    fn other_packets_pass() {
        let mut bad = segment(1, ACK);
        bad[60] ^= 1;
        for frame in [examples::udp4(80), examples::tcp6(&[1; 9], 5, ACK), bad] {
            let mut bench = Bench::new();
            bench.push(frame.clone());
            assert_eq!(bench.out[0].frame, frame);
        }
    }
}
