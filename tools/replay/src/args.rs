// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use crate::schedule::{Delay, Loss, Pace};
use clap::Parser;
use cli::{positive, with_prefix};
use netmap::PortSpec;
use std::path::PathBuf;
use std::time::Duration;

/// Sends the packets of a capture file (pcap or pcapng) through a netmap port.
///
/// They leave at the distances at which they were captured, unless -B, -R, -s or -t says otherwise. The whole file is read before the
/// first one is sent. A summary goes to standard output at the end, rates to standard error with -v. The exit status is 0 if all
/// went well, 1 if the file cannot be read or has no packets, if these do not fit the port or do not leave it, if that could not be opened
/// or was lost, or if the result could not be written, and 2 if the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "nm-replay", version, max_term_width = 100)]
pub struct Args {
    /// Port: eth0, netmap:eth0-2 (ring pair 2), netmap:eth0^ (to the host), vale0:p1, netmap:eth0{1 (pipe) ...
    #[arg(short, long = "interface", value_name = "PORT", value_parser = cli::packet_port)]
    pub interface: PortSpec,

    /// Capture file; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,

    /// Bits per second [k, M, G]: BPS or constant,BPS of the packets, ether,BPS on the wire, real[,FACTOR] as captured.
    #[arg(short = 'B', long, value_name = "BANDWIDTH", value_parser = bandwidth, group = "pace")]
    pub bandwidth: Option<Pace>,

    /// Packets per second.
    #[arg(short = 'R', long, value_name = "PPS", value_parser = rate, group = "pace")]
    pub rate: Option<Pace>,

    /// How many times as fast as captured: 2 halves the distances.
    #[arg(short, long, value_name = "FACTOR", value_parser = speed, group = "pace")]
    pub speed: Option<Pace>,

    /// As fast as the port takes them.
    #[arg(short, long, group = "pace")]
    pub top_speed: bool,

    /// Send the file so many times; without a number, or with 0, again and again [default: 1, as nmreplay: 0].
    #[arg(short = 'l', long = "loop", value_name = "COUNT", num_args = 0..=1, default_missing_value = "0")]
    pub repeat: Option<u64>,

    /// Packets to send, at most; 0 means no end.
    #[arg(short = 'n', long, default_value_t = 0)]
    pub count: u64,

    /// Packets sent between two system calls, at most.
    #[arg(short, long, value_name = "PACKETS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,

    /// Seconds to wait before the start, for links that take time to come up [default: 0, as nmreplay: 2].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub wait_link: Option<Duration>,

    /// Delay packets, which stay in order: [constant,]T, uniform,MIN,MAX or exp,MIN,MEAN, with s, m, u or n (seconds, milli, micro, nano).
    #[arg(short = 'D', long, value_name = "DELAY", value_parser = delay)]
    pub delay: Option<Delay>,

    /// Leave packets out at random: [plr,]RATE of packets, ber,RATE of bits; from 0 to 1.
    #[arg(short = 'L', long, value_name = "LOSS", value_parser = loss)]
    pub loss: Option<Loss>,

    /// CPU to run on; of several, the last.
    #[arg(short = 'C', long, value_name = "CPU[,CPU]", value_parser = cpu)]
    pub cpu: Option<usize>,

    /// Print one JSON object to standard output at the end; the summary goes to standard error then.
    #[arg(long)]
    pub json: bool,

    /// Report rates once a second.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Args {
    /// How often to send the file; 0 means no end.
    pub fn repeat(&self) -> u64 {
        self.repeat
            .unwrap_or(u64::from(!cli::is_called("nmreplay")))
    }

    /// The pace that was asked for.
    pub fn pace(&self) -> Pace {
        let given = self.bandwidth.or(self.rate).or(self.speed);
        match self.top_speed {
            true => Pace::Unlimited,
            false => given.unwrap_or(Pace::Captured(1.0)),
        }
    }
}

/// A number above 0.
fn speed(text: &str) -> Result<Pace, String> {
    positive(text).map(Pace::Captured)
}

fn rate(text: &str) -> Result<Pace, String> {
    with_prefix(text).map(Pace::Packets)
}

fn bandwidth(text: &str) -> Result<Pace, String> {
    let (kind, value) = text
        .split_once(',')
        .map_or((None, text), |(kind, value)| (Some(kind), value));
    match kind {
        None if value == "real" => Ok(Pace::Captured(1.0)),
        Some("real") => positive(value).map(Pace::Captured),
        None | Some("constant") => Ok(Pace::Bits {
            rate: with_prefix(value)?,
            framing: 0,
        }),
        // The check sequence, and what is between two frames on the wire.
        Some("ether") => Ok(Pace::Bits {
            rate: with_prefix(value)?,
            framing: 4 + 20,
        }),
        Some(other) => Err(format!("{other:?}: there are constant, ether and real")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|error| error.to_string())
}

/// A time with a unit; in nanoseconds.
fn time(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.chars().last() {
        Some('s') => (&text[..text.len() - 1], 1e9),
        Some('m') => (&text[..text.len() - 1], 1e6),
        Some('u') => (&text[..text.len() - 1], 1e3),
        Some('n') => (&text[..text.len() - 1], 1.0),
        _ => (text, 1e9),
    };
    match number.parse::<f64>() {
        // No more than a day.
        Ok(value) if (0.0..=86_400e9).contains(&(value * factor)) => Ok(value * factor),
        _ => Err(format!(
            "{text:?} is no time of a day at most, such as 20m (milliseconds)"
        )),
    }
}

fn delay(text: &str) -> Result<Delay, String> {
    let words: Vec<&str> = text.split(',').collect();
    let delay = match words[..] {
        [constant] | ["constant", constant] => Delay::Constant(time(constant)?),
        ["uniform", least, most] => Delay::Uniform(time(least)?, time(most)?),
        ["exp", least, mean] => Delay::Exponential(time(least)?, time(mean)?),
        _ => return Err("there are [constant,]T, uniform,MIN,MAX and exp,MIN,MEAN".to_owned()),
    };
    match delay {
        Delay::Uniform(least, most) | Delay::Exponential(least, most) if least > most => {
            Err("the least delay is above the other one".to_owned())
        }
        delay => Ok(delay),
    }
}

fn loss(text: &str) -> Result<Loss, String> {
    let probability = |text: &str| match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("{text:?} is no number from 0 to 1")),
    };
    match text.split_once(',') {
        None => probability(text).map(Loss::Packets),
        Some(("plr", value)) => probability(value).map(Loss::Packets),
        Some(("ber", value)) => probability(value).map(Loss::Bits),
        Some((other, _)) => Err(format!("{other:?}: there are plr and ber")),
    }
}

fn cpu(text: &str) -> Result<usize, String> {
    let last = text.rsplit(',').next().unwrap_or_default();
    match last.parse() {
        Ok(cpu) if cpu < rustix::thread::CpuSet::MAX_CPU => Ok(cpu),
        _ => Err(format!("{last:?} is no number of a CPU")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nm-replay").chain(line.split_whitespace()))
    }

    fn pace(flags: &str) -> Pace {
        parse(&format!("-i vale0:a -f x {flags}")).unwrap().pace()
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn paces() {
        assert_eq!(pace(""), Pace::Captured(1.0));
        assert_eq!(pace("-s 2.5"), Pace::Captured(2.5));
        assert_eq!(pace("-t"), Pace::Unlimited);
        assert_eq!(pace("-R 1000"), Pace::Packets(1000.0));
        assert_eq!(
            pace("-B 10k"),
            Pace::Bits {
                rate: 10_000.0,
                framing: 0
            }
        );
        assert_eq!(
            pace("-B constant,2M"),
            Pace::Bits {
                rate: 2e6,
                framing: 0
            }
        );
        assert_eq!(
            pace("-B ether,1.5G"),
            Pace::Bits {
                rate: 1.5e9,
                framing: 24
            }
        );
        assert_eq!(pace("-B real"), Pace::Captured(1.0));
        assert_eq!(pace("-B real,10"), Pace::Captured(10.0));
    }

    #[test]
    fn loops() {
        let repeat = |flags: &str| parse(&format!("-i eth0 -f x {flags}")).unwrap().repeat();
        assert_eq!(
            (
                repeat(""),
                repeat("--loop"),
                repeat("--loop 3"),
                repeat("-l 0")
            ),
            (1, 0, 3, 0)
        );
    }

    #[test]
    fn delays_and_losses() {
        assert_eq!(delay("20m"), Ok(Delay::Constant(20e6)));
        assert_eq!(delay("constant,1"), Ok(Delay::Constant(1e9)));
        assert_eq!(delay("uniform,1u,3u"), Ok(Delay::Uniform(1e3, 3e3)));
        assert_eq!(delay("exp,5n,1s"), Ok(Delay::Exponential(5.0, 1e9)));
        assert_eq!(
            (loss("0.5"), loss("plr,0"), loss("ber,1e-6")),
            (
                Ok(Loss::Packets(0.5)),
                Ok(Loss::Packets(0.0)),
                Ok(Loss::Bits(1e-6))
            )
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "-i eth0",
            "-f x",
            "-i eth0/Q -f x",
            "-i eth0 -f x -s 0",
            "-i eth0 -f x -s -1",
            "-i eth0 -f x -s inf",
            "-i eth0 -f x -R 0",
            "-i eth0 -f x -R 5 -t",
            "-i eth0 -f x -s 2 -B 1M",
            "-i eth0 -f x -B fast,1",
            "-i eth0 -f x -B k",
            "-i eth0 -f x -b 0",
            "-i eth0 -f x -D uniform,2,1",
            "-i eth0 -f x -D 1x",
            "-i eth0 -f x -L 2",
            "-i eth0 -f x -L some,0.1",
            "-i eth0 -f x -C a",
            "-i eth0 -f x --loop y",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
