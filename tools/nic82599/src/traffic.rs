// SPDX-License-Identifier: BSD-2-Clause
//! A source and a sink at the far end of a wire: frames with sequence numbers, and what became of them.

use clap::Args;
use frame::{Counts, Mac, Tracker, Udp, Verdict};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddrV4;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Plan {
    /// Frames to send; 0 sends until it is stopped
    #[arg(long, default_value_t = 0)]
    pub count: u64,
    /// Octets of a frame, without its check sequence
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(frame::STAMPED_MIN as i64..=9710))]
    pub length: u16,
    /// Frames a second; 0 is as fast as the wire
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Source ports, one after the other, so that receive side scaling spreads the frames
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub flows: u16,
    /// Stream number in the frames
    #[arg(long, default_value_t = 1)]
    pub stream: u16,
    /// Destination on the link; of the port itself, if none is given
    #[arg(long)]
    pub to_mac: Option<Mac>,
    /// Source on the link
    #[arg(long, default_value = "02:00:00:00:00:99")]
    pub from_mac: Mac,
    /// Source address, and the first source port
    #[arg(long, default_value = "10.99.0.1:10000")]
    pub from: SocketAddrV4,
    /// Destination address and port
    #[arg(long, default_value = "10.99.0.2:9000")]
    pub to: SocketAddrV4,
}

/// A source of frames.
#[derive(Debug)]
pub struct Generator {
    plan: Plan,
    /// The addresses of each flow.
    flows: Vec<Udp>,
    /// Octets of a frame.
    length: usize,
    sent: u64,
    started: u64,
}

impl Generator {
    /// A source that follows `plan` from time `now` (ns) on, for a port with the address `station`. Frames that are too short for a
    /// stamp are longer.
    pub fn new(plan: Plan, station: [u8; 6], now: u64) -> Self {
        let flow = |flow: u16| {
            let mut from = plan.from;
            from.set_port(from.port().wrapping_add(flow));
            Udp {
                src_mac: plan.from_mac,
                dst_mac: plan.to_mac.unwrap_or(Mac(station)),
                src: from.into(),
                dst: plan.to.into(),
            }
        };
        Generator {
            flows: (0..plan.flows.max(1)).map(flow).collect(),
            length: usize::from(plan.length).max(frame::STAMPED_MIN),
            plan,
            sent: 0,
            started: now,
        }
    }

    /// When the next frame is to be sent; `None` if all were.
    pub fn due(&self) -> Option<u64> {
        if self.plan.count != 0 && self.sent >= self.plan.count {
            return None;
        }
        let offset =
            (u128::from(self.sent) * 1_000_000_000).checked_div(u128::from(self.plan.rate));
        // A time that does not fit is some 500 years away.
        Some(self.started.saturating_add(offset.unwrap_or(0) as u64))
    }

    /// The next frame, if it is due by `now`.
    pub fn next(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.due()? > now {
            return None;
        }
        let flow = self.sent % self.flows.len() as u64;
        let mut frame = vec![0; self.length];
        self.flows[flow as usize].stamp(&mut frame, self.plan.stream, self.sent);
        self.sent += 1;
        Some(frame)
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// What came of one stream.
#[derive(Debug, Default)]
struct Stream {
    tracker: Tracker,
    octets: u64,
}

/// A sink that checks what it gets.
#[derive(Debug, Default)]
pub struct Checker {
    streams: BTreeMap<u16, Stream>,
    corrupt: u64,
    foreign: u64,
}

impl Checker {
    /// A sink that has got nothing.
    pub fn new() -> Self {
        Checker::default()
    }

    /// Takes a frame from the wire.
    pub fn take(&mut self, frame: &[u8]) {
        match frame::check(frame) {
            Verdict::Foreign => self.foreign += 1,
            Verdict::Corrupt => self.corrupt += 1,
            Verdict::Whole { stream, sequence } => {
                let stream = self.streams.entry(stream).or_default();
                stream.tracker.note(sequence);
                stream.octets += frame.len() as u64;
            }
        }
    }

    /// Stamped frames whose headers, checksums or pattern were wrong.
    pub fn corrupt(&self) -> u64 {
        self.corrupt
    }

    /// What came of a stream.
    pub fn counts(&self, stream: u16) -> Counts {
        self.streams
            .get(&stream)
            .map_or_else(Counts::default, |stream| stream.tracker.counts())
    }
}

impl fmt::Display for Checker {
    /// A line for each stream, of names and numbers, and one for the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, stream) in &self.streams {
            let counts = stream.tracker.counts();
            let (first, last) = stream.tracker.range().unwrap_or((0, 0));
            writeln!(
                f,
                "stream {number} unique {} lost {} duplicate {} reordered {} first {first} last {last} octets {}",
                counts.unique, counts.lost, counts.duplicate, counts.reordered, stream.octets
            )?;
        }
        writeln!(f, "corrupt {} foreign {}", self.corrupt, self.foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        plan: Plan,
    }

    fn plan(line: &str) -> Plan {
        Line::parse_from(std::iter::once("plan").chain(line.split_whitespace())).plan
    }

    #[test]
    fn what_is_sent_checks() {
        let mut generator = Generator::new(plan("--count 100 --length 300 --flows 4"), [2; 6], 0);
        let mut checker = Checker::new();
        let mut ports = Vec::new();
        while let Some(frame) = generator.next(0) {
            assert_eq!(frame.len(), 300);
            assert_eq!(frame[..6], [2; 6]);
            ports.push(u16::from_be_bytes([frame[34], frame[35]]));
            checker.take(&frame);
        }
        assert_eq!(ports[..5], [10000, 10001, 10002, 10003, 10000]);
        let expected =
            "stream 1 unique 100 lost 0 duplicate 0 reordered 0 first 0 last 99 octets 30000\n\
                        corrupt 0 foreign 0\n";
        assert_eq!(checker.to_string(), expected);
    }

    #[test]
    fn loss_and_damage_are_noticed() {
        let mut generator = Generator::new(plan("--count 10"), [2; 6], 0);
        let mut checker = Checker::new();
        for i in 0..10 {
            let mut frame = generator.next(0).unwrap();
            match i {
                3 => continue,
                4 => frame[59] ^= 1,
                _ => {}
            }
            checker.take(&frame);
        }
        checker.take(&[0; 60]);
        assert_eq!(
            (checker.counts(1).lost, checker.corrupt(), checker.foreign),
            (2, 1, 1)
        );
        assert_eq!(checker.counts(2), Counts::default());
    }

    #[test]
    fn rate_is_kept_from_the_start() {
        let mut generator = Generator::new(plan("--rate 1000"), [2; 6], 5);
        assert!(generator.next(5).is_some());
        assert_eq!(generator.due(), Some(1_000_005));
        assert!(generator.next(1_000_004).is_none());
        let burst = std::iter::from_fn(|| generator.next(10_000_005)).count();
        assert_eq!((burst, generator.sent()), (10, 11));
    }

    #[test]
    fn impossible_plans_are_refused() {
        for line in [
            "--length 20",
            "--length 10000",
            "--flows 0",
            "--to-mac x",
            "--to 1.2.3.4",
        ] {
            let words = std::iter::once("plan").chain(line.split_whitespace());
            assert!(Line::try_parse_from(words).is_err(), "{line}");
        }
    }
}
