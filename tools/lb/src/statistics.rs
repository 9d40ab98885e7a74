// SPDX-License-Identifier: BSD-2-Clause
//! Counters, and the lines of JSON that tell them.

use core::time::Duration;
use serde::Serialize;
use std::io;
use std::os::unix::net::UnixDatagram;

/// What was counted for a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipeCounts {
    /// Packets that were put into its ring.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
    /// Packets that were meant for it, and dropped.
    pub dropped: u64,
    /// Their octets.
    pub dropped_octets: u64,
    /// Buffers in its queue.
    pub waiting: usize,
}

impl PipeCounts {
    /// Counts a packet that was dropped.
    pub fn drop(&mut self, octets: u64) {
        self.dropped += 1;
        self.dropped_octets += octets;
    }

    fn add(self, other: Self) -> Self {
        PipeCounts {
            packets: self.packets + other.packets,
            octets: self.octets + other.octets,
            dropped: self.dropped + other.dropped,
            dropped_octets: self.dropped_octets + other.dropped_octets,
            waiting: self.waiting + other.waiting,
        }
    }
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets received.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
    /// Packets that were not IP.
    pub non_ip: u64,
    /// Packets without an end.
    pub endless: u64,
    /// Free extra buffers.
    pub free: usize,
    /// Of each pipe.
    pub pipes: Vec<PipeCounts>,
}

impl Counts {
    /// The sum over all pipes.
    pub fn all_pipes(&self) -> PipeCounts {
        let pipes = self.pipes.iter().copied();
        pipes.fold(PipeCounts::default(), PipeCounts::add)
    }
}

/// How fast things went, in the units that `lb` tells.
#[derive(Debug, Serialize)]
struct Rates {
    #[serde(rename = "data_forward_rate_Mbps")]
    forward_mbps: f64,
    #[serde(rename = "data_drop_rate_Mbps")]
    drop_mbps: f64,
    #[serde(rename = "packet_forward_rate_kpps")]
    forward_kpps: f64,
    #[serde(rename = "packet_drop_rate_kpps")]
    drop_kpps: f64,
}

impl Rates {
    fn between(before: PipeCounts, now: PipeCounts, time: Duration) -> Rates {
        let seconds = time.as_secs_f64();
        let rate = |before: u64, now: u64, unit: f64| {
            if seconds > 0.0 {
                now.saturating_sub(before) as f64 / unit / seconds
            } else {
                0.0
            }
        };
        const MEGABIT: f64 = 1_000_000.0 / 8.0;
        Rates {
            forward_mbps: rate(before.octets, now.octets, MEGABIT),
            drop_mbps: rate(before.dropped_octets, now.dropped_octets, MEGABIT),
            forward_kpps: rate(before.packets, now.packets, 1000.0),
            drop_kpps: rate(before.dropped, now.dropped, 1000.0),
        }
    }
}

/// The line of a pipe.
#[derive(Serialize)]
struct PipeLine<'a> {
    ts: f64,
    interface: &'a str,
    output_ring: usize,
    packets_forwarded: u64,
    packets_dropped: u64,
    #[serde(flatten)]
    rates: Rates,
    overflow_queue_size: usize,
}

/// The line of the port.
#[derive(Serialize)]
struct PortLine<'a> {
    ts: f64,
    interface: &'a str,
    output_ring: Option<usize>,
    packets_received: u64,
    packets_forwarded: u64,
    packets_dropped: u64,
    non_ip_packets: u64,
    #[serde(flatten)]
    rates: Rates,
    free_buffer_slots: usize,
}

/// Tells counters every so often.
pub struct Reporter {
    names: Names,
    interval: Duration,
    due: Duration,
    before: (Duration, Counts),
}

/// What the port and its pipes are called.
#[derive(Debug, Clone)]
pub struct Names {
    /// The port.
    pub port: String,
    /// Each pipe.
    pub pipes: Vec<String>,
}

impl Reporter {
    /// The first report is due after `interval`.
    pub fn new(names: Names, interval: Duration) -> Reporter {
        let pipes = vec![PipeCounts::default(); names.pipes.len()];
        let none = Counts {
            pipes,
            ..Counts::default()
        };
        Reporter {
            names,
            interval,
            due: interval,
            before: (Duration::ZERO, none),
        }
    }

    /// How long until the next report; `elapsed` is the time since the start.
    pub fn due_in(&self, elapsed: Duration) -> Duration {
        self.due.saturating_sub(elapsed)
    }

    /// The lines of a report, at the time `now`, in seconds since 1970; `elapsed` is the time since the start.
    pub fn lines(&mut self, now: f64, elapsed: Duration, counts: &Counts) -> Vec<String> {
        // Reports that were missed are not made up for.
        while self.due <= elapsed {
            self.due += self.interval;
        }
        let (last, before) = &self.before;
        let time = elapsed.saturating_sub(*last);
        let mut lines = Vec::new();
        let each = self
            .names
            .pipes
            .iter()
            .zip(&before.pipes)
            .zip(&counts.pipes);
        for (output_ring, ((interface, before), counts)) in each.enumerate() {
            lines.extend(serde_json::to_string(&PipeLine {
                ts: now,
                interface,
                output_ring,
                packets_forwarded: counts.packets,
                packets_dropped: counts.dropped,
                rates: Rates::between(*before, *counts, time),
                overflow_queue_size: counts.waiting,
            }));
        }
        let all = counts.all_pipes();
        lines.extend(serde_json::to_string(&PortLine {
            ts: now,
            interface: &self.names.port,
            output_ring: None,
            packets_received: counts.packets,
            packets_forwarded: all.packets,
            packets_dropped: all.dropped,
            non_ip_packets: counts.non_ip,
            rates: Rates::between(before.all_pipes(), all, time),
            free_buffer_slots: counts.free,
        }));
        self.before = (elapsed, counts.clone());
        lines
    }
}

/// The system's log.
pub struct Syslog(UnixDatagram);

impl Syslog {
    /// Connects to it.
    ///
    /// # Errors
    ///
    /// That of the socket, if nobody listens.
    pub fn open() -> io::Result<Syslog> {
        let socket = UnixDatagram::unbound()?;
        socket.connect("/dev/log")?;
        Ok(Syslog(socket))
    }

    /// Says something, as information of the facility local1.
    pub fn say(&self, line: &str) {
        const LOCAL1: u32 = 17 << 3;
        const INFO: u32 = 6;
        let message = format!("<{}>lb[{}]: {line}", LOCAL1 | INFO, std::process::id());
        // A log that does not listen any more is no reason to stop carrying packets.
        let _ = self.0.send(message.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn reporter() -> Reporter {
        let names = Names {
            port: "netmap:eth0".to_owned(),
            pipes: vec![
                "netmap:eth0{0/xT@1".to_owned(),
                "netmap:eth0{1/xT@1".to_owned(),
            ],
        };
        Reporter::new(names, Duration::from_secs(10))
    }

    fn counts(packets: u64) -> Counts {
        let pipe = PipeCounts {
            packets,
            octets: 125 * packets,
            dropped: 10,
            dropped_octets: 1250,
            waiting: 3,
        };
        Counts {
            packets: 2 * packets + 20,
            non_ip: 1,
            free: 94,
            pipes: vec![pipe, pipe],
            ..Counts::default()
        }
    }

    #[test]
    fn lines_have_the_keys_that_scripts_read() {
        let lines = reporter().lines(1.5, Duration::from_secs(10), &counts(10_000));
        let lines: Vec<Value> = lines
            .iter()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        let pipe = serde_json::json!({
            "ts": 1.5, "interface": "netmap:eth0{1/xT@1", "output_ring": 1, "packets_forwarded": 10_000,
            "packets_dropped": 10, "data_forward_rate_Mbps": 1.0, "data_drop_rate_Mbps": 0.001,
            "packet_forward_rate_kpps": 1.0, "packet_drop_rate_kpps": 0.001, "overflow_queue_size": 3,
        });
        assert_eq!(lines[1], pipe);
        let port = serde_json::json!({
            "ts": 1.5, "interface": "netmap:eth0", "output_ring": null, "packets_received": 20_020,
            "packets_forwarded": 20_000, "packets_dropped": 20, "non_ip_packets": 1,
            "data_forward_rate_Mbps": 2.0, "data_drop_rate_Mbps": 0.002, "packet_forward_rate_kpps": 2.0,
            "packet_drop_rate_kpps": 0.002, "free_buffer_slots": 94,
        });
        assert_eq!(lines[2], port);
    }

    #[test]
    fn rates_are_of_the_time_since_the_last_report() {
        let mut reporter = reporter();
        let rate = |lines: Vec<String>| {
            let line: Value = serde_json::from_str(&lines[0]).unwrap();
            line["packet_forward_rate_kpps"].as_f64().unwrap()
        };
        let seconds = Duration::from_secs;
        assert_eq!(rate(reporter.lines(0.0, seconds(10), &counts(10_000))), 1.0);
        assert_eq!(rate(reporter.lines(0.0, seconds(30), &counts(50_000))), 2.0);
        assert_eq!(rate(reporter.lines(0.0, seconds(30), &counts(50_000))), 0.0);
    }

    #[test]
    fn missed_reports_are_not_made_up_for() {
        let mut reporter = reporter();
        let seconds = Duration::from_secs;
        assert_eq!(reporter.due_in(seconds(4)), seconds(6));
        assert_eq!(reporter.due_in(seconds(11)), Duration::ZERO);
        reporter.lines(0.0, seconds(35), &counts(1));
        assert_eq!(reporter.due_in(seconds(35)), seconds(5));
    }
}
