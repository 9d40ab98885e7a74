// SPDX-License-Identifier: BSD-2-Clause
//! Counters, rates and summaries.

use core::sync::atomic::{AtomicU64, Ordering};
use frame::Counts;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Octets that a frame takes on the wire besides what a slot counts: check sequence, preamble, gap.
const FRAMING: u64 = 4 + 8 + 12;

/// What one worker has done so far; written by the worker, read by the reporter.
#[derive(Debug, Default)]
pub struct Counters {
    packets: AtomicU64,
    octets: AtomicU64,
    batches: AtomicU64,
    drops: AtomicU64,
    /// When the first batch was added, and the last.
    span: Mutex<Option<(Instant, Instant)>>,
}

impl Counters {
    /// Adds packets that were dropped.
    pub fn add_drops(&self, packets: u64) {
        self.drops.fetch_add(packets, Ordering::Relaxed);
    }

    /// Packets that were dropped.
    pub fn drops(&self) -> u64 {
        self.drops.load(Ordering::Relaxed)
    }

    /// When the first batch was added, and the last: for a worker that cannot say more.
    pub fn span(&self) -> Option<(Instant, Instant)> {
        *self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one batch; octets alone are of a packet that has not ended.
    pub fn add(&self, packets: u64, octets: u64) {
        let now = Instant::now();
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        *span = Some((span.map_or(now, |(first, _)| first), now));
        drop(span);
        // Each worker has its own counters: nobody else writes, so that load and store make no lost update.
        let add = |counter: &AtomicU64, n| {
            counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        };
        add(&self.packets, packets);
        add(&self.octets, octets);
        add(&self.batches, u64::from(packets != 0));
    }

    fn read(&self) -> Totals {
        Totals {
            packets: self.packets.load(Ordering::Relaxed),
            octets: self.octets.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
        }
    }
}

/// Counts at one moment, over all workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
    /// Batches that held at least one packet.
    pub batches: u64,
}

impl Totals {
    /// Reads the counters of all workers.
    pub fn of<'c>(counters: impl IntoIterator<Item = &'c Counters>) -> Totals {
        counters
            .into_iter()
            .map(Counters::read)
            .fold(Totals::default(), |a, b| Totals {
                packets: a.packets + b.packets,
                octets: a.octets + b.octets,
                batches: a.batches + b.batches,
            })
    }

    fn since(self, before: Totals) -> Totals {
        Totals {
            packets: self.packets - before.packets,
            octets: self.octets - before.octets,
            batches: self.batches - before.batches,
        }
    }

    fn average_batch(self) -> f64 {
        self.packets as f64 / self.batches.max(1) as f64
    }
}

/// Rates that a mean is of.
const WINDOW: usize = 15;

/// Prints rates since the last time it was asked to.
pub struct Rates {
    last: Instant,
    totals: Totals,
    plain: bool,
    count: u64,
    /// The last rates, if their mean is wanted.
    window: Option<VecDeque<f64>>,
}

impl Rates {
    /// Starts now. `plain` prints no unit prefixes; `count` packets are all that there will be, or 0 if there is no end; `average`
    /// tells the mean of the last rates as well.
    pub fn new(plain: bool, count: u64, average: bool) -> Rates {
        Rates {
            last: Instant::now(),
            totals: Totals::default(),
            plain,
            count,
            window: average.then(VecDeque::new),
        }
    }

    /// One line on what has happened since the last call, and how much of all that is.
    pub fn line(&mut self, totals: Totals) -> String {
        let elapsed = self.last.elapsed();
        self.last += elapsed;
        let new = totals.since(self.totals);
        self.totals = totals;
        let seconds = elapsed.as_secs_f64().max(1e-6);
        let average = self.window.as_mut().map_or(String::new(), |window| {
            if window.len() == WINDOW {
                window.pop_front();
            }
            window.push_back(new.packets as f64 / seconds);
            average(window, self.plain)
        });
        rate_line(new, elapsed, &average, self.plain) + &progress(totals.packets, self.count)
    }
}

/// The mean and the standard deviation of the rates that are not 0.
fn average(rates: &VecDeque<f64>, plain: bool) -> String {
    let rates = || rates.iter().copied().filter(|rate| *rate > 0.0);
    let count = rates().count().max(1) as f64;
    // The sum of no floats is -0.
    let mean = rates().fold(0.0, |sum, rate| sum + rate) / count;
    let variance = rates().fold(0.0, |sum, rate| sum + (rate - mean).powi(2)) / count;
    format!(
        "[avg/std {}/{}pps]",
        scaled(mean, plain),
        scaled(variance.sqrt(), plain)
    )
}

fn rate_line(new: Totals, elapsed: Duration, average: &str, plain: bool) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-6);
    let wire_bits = (new.octets + new.packets * FRAMING) as f64 * 8.0;
    format!(
        "{}pps {average}({}pkts {}bps in {} usec) {:.2} avg_batch",
        scaled(new.packets as f64 / seconds, plain),
        scaled(new.packets as f64, plain),
        scaled(wire_bits / seconds, plain),
        elapsed.as_micros(),
        new.average_batch(),
    )
}

/// How much of all has been done, if there is an end.
fn progress(done: u64, count: u64) -> String {
    match count {
        0 => String::new(),
        // Rounded down: all of it is only all.
        _ => format!(
            ", {}% of {count}",
            u128::from(done) * 100 / u128::from(count)
        ),
    }
}

/// A number with three decimals and a unit prefix.
fn scaled(value: f64, plain: bool) -> String {
    if plain {
        return format!("{value:.0} ");
    }
    let mut scaled = value;
    let mut prefixes = ["", "K", "M", "G", "T"].iter();
    let mut prefix = prefixes.next();
    while scaled >= 1000.0 {
        let Some(next) = prefixes.next() else { break };
        scaled /= 1000.0;
        prefix = Some(next);
    }
    format!("{scaled:.3} {}", prefix.unwrap_or(&""))
}

/// What `--check` found in one stream.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// Stream number: the sender's thread.
    pub stream: u16,
    /// Lowest sequence number received.
    pub first: u64,
    /// Highest sequence number received.
    pub last: u64,
    /// Different packets received.
    pub ok: u64,
    /// Missing between the lowest and the highest.
    pub lost: u64,
    /// Received again.
    pub duplicate: u64,
    /// Received after a later one.
    pub reordered: u64,
}

/// What `--check` found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// Different packets received, over all streams.
    pub ok: u64,
    /// Missing.
    pub lost: u64,
    /// Received again.
    pub duplicate: u64,
    /// Received after a later one.
    pub reordered: u64,
    /// Numbered packets with wrong headers, checksums or payload.
    pub corrupt: u64,
    /// Packets that no sender with --check has sent.
    pub foreign: u64,
    /// Per stream.
    pub streams: Vec<StreamReport>,
}

impl CheckReport {
    /// Adds one stream.
    pub fn add(&mut self, stream: u16, (first, last): (u64, u64), counts: Counts) {
        self.ok += counts.unique;
        self.lost += counts.lost;
        self.duplicate += counts.duplicate;
        self.reordered += counts.reordered;
        self.streams.push(StreamReport {
            stream,
            first,
            last,
            ok: counts.unique,
            lost: counts.lost,
            duplicate: counts.duplicate,
            reordered: counts.reordered,
        });
    }

    /// True if something arrived that was never sent so.
    pub fn is_failure(&self) -> bool {
        self.corrupt != 0 || self.duplicate != 0
    }

    fn text(&self) -> String {
        format!(
            "Checked: {} ok, {} lost, {} duplicate, {} reordered, {} corrupt, {} foreign.",
            self.ok, self.lost, self.duplicate, self.reordered, self.corrupt, self.foreign
        )
    }
}

/// What was found of numbered slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SequenceReport {
    /// How often numbers were missing.
    pub gaps: u64,
    /// How many there were in all gaps.
    pub missing: u64,
    /// How often a number was lower than expected.
    pub out_of_order: u64,
    /// Slots that have no number.
    pub unnumbered: u64,
    /// How often a packet had another number of slots than the one before.
    pub cut_otherwise: u64,
    /// Slots of the last packet.
    pub slots_per_packet: u32,
}

impl SequenceReport {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        SequenceReport {
            gaps: self.gaps + other.gaps,
            missing: self.missing + other.missing,
            out_of_order: self.out_of_order + other.out_of_order,
            unnumbered: self.unnumbered + other.unnumbered,
            cut_otherwise: self.cut_otherwise + other.cut_otherwise,
            slots_per_packet: self.slots_per_packet.max(other.slots_per_packet),
        }
    }

    fn text(&self) -> String {
        format!(
            "Sequence: {} gaps with {} missing, {} out of order, {} without a number.",
            self.gaps, self.missing, self.out_of_order, self.unnumbered
        )
    }
}

/// Round-trip times, in nanoseconds.
#[derive(Debug, Clone, Serialize)]
pub struct RttReport {
    /// Shortest.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90 of 100 are no longer.
    pub p90: u64,
    /// 99 of 100 are no longer.
    pub p99: u64,
    /// 999 of 1000 are no longer.
    pub p999: u64,
    /// Longest.
    pub max: u64,
}

/// What a ping found.
#[derive(Debug, Clone, Serialize)]
pub struct PingReport {
    /// Packets that came back in time.
    pub replies: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Their times; absent if none came back.
    pub rtt_ns: Option<RttReport>,
}

impl PingReport {
    fn text(&self) -> String {
        let head = format!("Replies: {}, lost: {}.", self.replies, self.lost);
        match &self.rtt_ns {
            None => head,
            Some(rtt) => format!(
                "{head}\nRTT ns: min {} mean {:.0} p50 {} p90 {} p99 {} p99.9 {} max {}",
                rtt.min, rtt.mean, rtt.p50, rtt.p90, rtt.p99, rtt.p999, rtt.max
            ),
        }
    }
}

/// The result of a run, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// `tx`, `rx`, `ping`, `pong`, `txseq` or `rxseq`.
    pub function: &'static str,
    /// The port's name.
    pub port: String,
    /// Threads.
    pub threads: u16,
    /// Packets sent (tx, ping, pong) or received (rx); slots (txseq, rxseq).
    pub packets: u64,
    /// Their octets, frame check sequence not included.
    pub bytes: u64,
    /// Batches that held at least one packet.
    pub batches: u64,
    /// Packets that were still in the ring at the end, and are not counted as sent.
    pub unsent: u64,
    /// Packets that could not be sent on (pong: no free slot).
    pub drops: u64,
    /// Threads that ended with an error.
    pub errors: u64,
    /// From the first packet to the last.
    pub seconds: f64,
    /// Packets per second.
    pub pps: f64,
    /// What --check found (rx).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckReport>,
    /// What a ping found.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    pub ping: Option<PingReport>,
    /// What was found of numbered slots (rxseq).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<SequenceReport>,
}

impl Summary {
    /// The lines that end a run.
    pub fn text(&self, plain: bool) -> String {
        let verb = match self.function {
            "rx" | "rxseq" => "Received",
            _ => "Sent",
        };
        let mut lines = Vec::new();
        if self.packets == 0 {
            lines.push(format!("{verb} nothing."));
        } else {
            lines.push(format!(
                "{verb} {} packets {} bytes {} events {} bytes each in {:.2} seconds.",
                self.packets,
                self.bytes,
                self.batches,
                self.bytes / self.packets,
                self.seconds
            ));
        }
        // One batch alone has no duration, and so no speed.
        if self.seconds > 0.0 {
            let wire = self.bytes + self.packets * FRAMING;
            lines.push(format!(
                "Speed: {}pps Bandwidth: {}bps (raw {}bps). Average batch: {:.2} pkts",
                scaled(self.pps, plain),
                scaled(self.bytes as f64 * 8.0 / self.seconds, plain),
                scaled(wire as f64 * 8.0 / self.seconds, plain),
                self.packets as f64 / self.batches.max(1) as f64,
            ));
        }
        if self.unsent != 0 {
            lines.push(format!("{} packets did not leave.", self.unsent));
        }
        if self.drops != 0 {
            lines.push(format!(
                "Dropped {} packets for want of a free slot.",
                self.drops
            ));
        }
        lines.extend(self.check.as_ref().map(CheckReport::text));
        lines.extend(self.ping.as_ref().map(PingReport::text));
        lines.extend(self.sequence.as_ref().map(SequenceReport::text));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        assert_eq!(scaled(0.0, false), "0.000 ");
        assert_eq!(scaled(999.0, false), "999.000 ");
        assert_eq!(scaled(1_234_000.0, false), "1.234 M");
        assert_eq!(scaled(5e16, false), "50000.000 T");
        assert_eq!(scaled(1_234_000.0, true), "1234000 ");
    }

    #[test]
    fn a_rate_line() {
        let new = Totals {
            packets: 1_000_000,
            octets: 60_000_000,
            batches: 2000,
        };
        let line = rate_line(new, Duration::from_secs(1), "", false);
        assert_eq!(
            line,
            "1.000 Mpps (1.000 Mpkts 672.000 Mbps in 1000000 usec) 500.00 avg_batch"
        );
    }

    #[test]
    fn a_mean_of_rates() {
        let text = |rates: &[f64]| average(&rates.iter().copied().collect(), true);
        assert_eq!(text(&[]), "[avg/std 0 /0 pps]");
        assert_eq!(text(&[100.0, 0.0, 300.0]), "[avg/std 200 /100 pps]");
        let mut rates = Rates::new(true, 0, true);
        for _ in 0..2 * WINDOW {
            assert!(rates
                .line(Totals::default())
                .contains("pps [avg/std 0 /0 pps]("));
        }
        assert_eq!(rates.window.unwrap().len(), WINDOW);
    }

    #[test]
    fn counters_know_how_long_it_took() {
        let counters = Counters::default();
        assert_eq!(counters.span(), None);
        counters.add(1, 60);
        let (first, last) = counters.span().unwrap();
        assert_eq!(first, last);
        counters.add(1, 60);
        counters.add_drops(3);
        // A piece of a packet that has not ended.
        counters.add(0, 30);
        let totals = Totals {
            packets: 2,
            octets: 150,
            batches: 2,
        };
        assert_eq!(counters.read(), totals);
        assert!(counters.span().unwrap().1 >= last && counters.span().unwrap().0 == first);
        assert_eq!(counters.drops(), 3);
    }

    #[test]
    fn progress_has_an_end_or_is_not_told() {
        assert_eq!(progress(5, 0), "");
        assert_eq!(
            (progress(999, 1000), progress(1000, 1000)),
            (", 99% of 1000".to_owned(), ", 100% of 1000".to_owned())
        );
        assert_eq!(
            progress(u64::MAX, u64::MAX),
            format!(", 100% of {}", u64::MAX)
        );
    }

    fn summary() -> Summary {
        Summary {
            function: "tx",
            port: "netmap:eth0".to_owned(),
            threads: 1,
            packets: 1000,
            bytes: 60_000,
            batches: 10,
            unsent: 0,
            drops: 0,
            errors: 0,
            seconds: 2.0,
            pps: 500.0,
            check: None,
            ping: None,
            sequence: None,
        }
    }

    #[test]
    fn a_summary_as_text() {
        assert_eq!(
            summary().text(false),
            "Sent 1000 packets 60000 bytes 10 events 60 bytes each in 2.00 seconds.\n\
             Speed: 500.000 pps Bandwidth: 240.000 Kbps (raw 336.000 Kbps). Average batch: 100.00 pkts"
        );
        let nothing = Summary {
            packets: 0,
            seconds: 0.0,
            function: "rx",
            ..summary()
        };
        assert_eq!(nothing.text(false), "Received nothing.");
        let stuck = Summary {
            packets: 0,
            unsent: 1000,
            seconds: 0.0,
            ..summary()
        };
        assert_eq!(
            stuck.text(false),
            "Sent nothing.\n1000 packets did not leave."
        );
    }

    #[test]
    fn a_summary_as_json() {
        let ping = PingReport {
            replies: 3,
            lost: 1,
            rtt_ns: None,
        };
        let json = serde_json::to_value(Summary {
            ping: Some(ping),
            ..summary()
        })
        .unwrap();
        assert_eq!(json["packets"], 1000);
        assert_eq!(json["replies"], 3);
        assert!(json.get("check").is_none());
    }

    #[test]
    fn loss_is_no_failure_but_a_duplicate_is() {
        let mut report = CheckReport::default();
        report.add(
            0,
            (0, 9),
            Counts {
                unique: 8,
                lost: 2,
                ..Counts::default()
            },
        );
        assert!(!report.is_failure());
        report.add(
            1,
            (0, 9),
            Counts {
                unique: 10,
                duplicate: 1,
                ..Counts::default()
            },
        );
        assert!(report.is_failure());
        assert_eq!((report.ok, report.lost, report.streams.len()), (18, 2, 2));
    }
}
