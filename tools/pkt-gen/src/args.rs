// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use crate::addresses::Range as Addresses;
use clap::{Parser, ValueEnum};
use core::ops::Range;
use frame::Mac;
use netmap::{Options, PortSpec};
use std::path::PathBuf;
use std::time::Duration;

/// How long pkt-gen waits for the link of an interface, if it is not told.
const CLASSIC_WAIT: Duration = Duration::from_secs(2);

/// What to do with the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Function {
    /// Send packets.
    Tx,
    /// Receive and count packets.
    Rx,
    /// Send packets to a pong and time their return.
    Ping,
    /// Send what arrives back to where it came from.
    Pong,
}

impl Function {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Function::Tx => "tx",
            Function::Rx => "rx",
            Function::Ping => "ping",
            Function::Pong => "pong",
        }
    }
}

/// Sends, receives and echoes packets through netmap ports.
///
/// Rates go to standard error once in a report interval, a summary to standard output at the end. The exit status
/// is 0 if all went well, 1 if the port could not be opened or was lost, 2 if the command line is wrong, 3 if
/// --check found a corrupt or a repeated packet.
#[derive(Debug, Clone, Parser)]
#[command(name = "nm-pkt-gen", version, max_term_width = 100)]
pub struct Args {
    /// Port: eth0, netmap:eth0-2 (ring pair 2), netmap:eth0^ (host rings), vale0:p1, netmap:eth0{1 (pipe) ...
    #[arg(short, long = "interface", value_name = "PORT")]
    pub interface: PortSpec,

    /// What to do.
    #[arg(short, long, value_enum, default_value = "rx")]
    pub function: Function,

    /// Packets to send or receive, or round trips to make; 0 means no end.
    #[arg(short = 'n', long, default_value_t = 0)]
    pub count: u64,

    /// Octets per packet, the frame check sequence (4) not counted. Given twice: at random, less than the first and no less than the
    /// second (tx).
    #[arg(short, long, value_name = "OCTETS", default_value = "60")]
    pub length: Vec<usize>,

    /// Packets sent or received between two system calls, at most [default: 512, ping: 1].
    #[arg(short, long, value_name = "PACKETS")]
    pub batch: Option<u32>,

    /// Packets per second to send; unlimited if not given.
    #[arg(short = 'R', long, value_name = "PPS", value_parser = rate)]
    pub rate: Option<u64>,

    /// Source address, or a range to walk through with every packet.
    #[arg(
        short,
        long,
        value_name = "IP[:PORT][-IP[:PORT]]",
        default_value = "10.0.0.1"
    )]
    pub source: Addresses,

    /// Destination address, or a range to walk through with every packet.
    #[arg(
        short,
        long,
        value_name = "IP[:PORT][-IP[:PORT]]",
        default_value = "10.1.0.1"
    )]
    pub destination: Addresses,

    /// Source on the link [default: the interface's address].
    #[arg(short = 'S', long, value_name = "MAC")]
    pub source_mac: Option<Mac>,

    /// Destination on the link.
    #[arg(short = 'D', long, value_name = "MAC", default_value_t = Mac::BROADCAST)]
    pub destination_mac: Mac,

    /// Threads; more than one take a ring each (of ring pairs 0, 1, 2 ...).
    #[arg(short = 'p', long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..4095))]
    pub threads: u16,

    /// CPUs that pinned threads may be spread over; 0 means all.
    #[arg(short, long, default_value_t = 0)]
    pub cpus: usize,

    /// CPU of the first thread; the others follow on the next ones.
    #[arg(short, long, value_name = "CPU")]
    pub affinity: Option<usize>,

    /// Slots and rings to ask for, where the port can choose (pipes, switch ports).
    #[arg(short = 'C', long, value_name = "TXSLOTS[,RXSLOTS[,TXRINGS[,RXRINGS]]]", value_parser = config)]
    pub config: Option<Options>,

    /// Seconds to wait before the start, for links that take time to come up [default: 0, as pkt-gen: 2, but for switch ports].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub wait_link: Option<Duration>,

    /// tx: send the packets of this capture file (pcap or pcapng) in turn, whatever their times; nm-replay keeps these.
    #[arg(short = 'P', long, value_name = "FILE", conflicts_with_all = ["check", "random_source", "random_destination"])]
    pub packet_file: Option<PathBuf>,

    /// Random source addresses and ports.
    #[arg(short = 'z', long)]
    pub random_source: bool,

    /// Random destination addresses and ports.
    #[arg(short = 'Z', long)]
    pub random_destination: bool,

    /// IPv4, as always.
    #[arg(short = '4', hide = true)]
    pub ipv4: bool,

    /// Raw bandwidth includes what is between packets on the wire, as always.
    #[arg(short = 'B', hide = true)]
    pub framing: bool,

    /// Milliseconds between reports.
    #[arg(short = 'T', long, value_name = "MS", default_value = "1000", value_parser = milliseconds)]
    pub report: Duration,

    /// End when nothing has arrived for so many milliseconds; counted from the first packet on (rx, pong).
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub idle_exit: Option<Duration>,

    /// End when nothing has arrived for a second: --idle-exit 1000.
    #[arg(short = 'W', conflicts_with = "idle_exit")]
    pub exit_when_idle: bool,

    /// tx: number every packet and derive its payload from the number; rx: verify that. Packets of 54 octets or more.
    #[arg(long)]
    pub check: bool,

    /// tx: copy the packet to the buffer each time, as a program with new contents would; pong: copy instead of
    /// exchanging buffers.
    #[arg(long)]
    pub copy: bool,

    /// Print every packet in hexadecimal.
    #[arg(short = 'X', long)]
    pub dump: bool,

    /// Print one JSON object to standard output at the end; the summary goes to standard error then.
    #[arg(long)]
    pub json: bool,

    /// Print plain numbers instead of K, M and G.
    #[arg(short = 'N', long)]
    pub plain: bool,

    /// Say more; can be given more than once.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Args {
    /// Octets per packet, or more than any has.
    pub fn length(&self) -> usize {
        self.length.first().copied().unwrap_or(0)
    }

    /// The lengths that packets have at random.
    ///
    /// # Errors
    ///
    /// In words, if they make no sense.
    pub fn random_lengths(&self) -> Result<Option<Range<usize>>, String> {
        match self.length[..] {
            [] | [_] => Ok(None),
            [end, start] if start < end && end <= usize::from(u16::MAX) => Ok(Some(start..end)),
            _ => Err(
                "-l given twice is the end, and then the start, of a range of lengths".to_owned(),
            ),
        }
    }

    /// Largest batch.
    pub fn batch(&self) -> u32 {
        let default = if self.function == Function::Ping {
            1
        } else {
            512
        };
        self.batch.unwrap_or(default).max(1)
    }

    /// How long to wait before the start.
    pub fn wait_link(&self) -> Duration {
        let has_link = !self.interface.name().starts_with("vale");
        let classic = (cli::is_called("pkt-gen") && has_link).then_some(CLASSIC_WAIT);
        self.wait_link.or(classic).unwrap_or_default()
    }

    /// How long silence may last before the end.
    pub fn idle(&self) -> Option<Duration> {
        let classic = self.exit_when_idle.then_some(Duration::from_secs(1));
        self.idle_exit.or(classic)
    }
}

fn rate(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a rate is a number of packets per second, from 1 on".to_owned()),
        Ok(rate) => Ok(rate),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|e| e.to_string())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(error) => Err(error.to_string()),
    }
}

/// One number of slots stands for both directions, one number of rings too.
fn config(text: &str) -> Result<Options, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    let numbers = numbers.map_err(|error| error.to_string())?;
    let ring = |n: u32| u16::try_from(n).map_err(|_| format!("{n} rings are too many"));
    let (slots, rings) = match numbers[..] {
        [slots] => ((slots, slots), (0, 0)),
        [tx, rx] => ((tx, rx), (0, 0)),
        [tx, rx, rings] => ((tx, rx), (rings, rings)),
        [tx, rx, tx_rings, rx_rings] => ((tx, rx), (tx_rings, rx_rings)),
        _ => return Err("one to four numbers are needed".to_owned()),
    };
    Ok(Options {
        tx_slots: slots.0,
        rx_slots: slots.1,
        tx_rings: ring(rings.0)?,
        rx_rings: ring(rings.1)?,
        ..Options::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nm-pkt-gen").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_flags_that_users_know() {
        let args = parse("-i netmap:eth0-1 -f tx -n 1000 -l 128 -b 16 -R 5000 -s 10.0.0.1:1-10.0.0.9:9 -d 10.1.0.1 \
             -S 2:0:0:0:0:1 -D 2:0:0:0:0:2 -c 2 -p 2 -a 1 -w 3 -T 500 -C 512,256 -vv -X -N --json --check --copy -4 -B -z -Z")
        .unwrap();
        assert_eq!(args.function, Function::Tx);
        assert_eq!((args.count, args.length(), args.batch()), (1000, 128, 16));
        assert_eq!(
            (args.rate, args.threads, args.affinity),
            (Some(5000), 2, Some(1))
        );
        assert_eq!(args.wait_link(), Duration::from_secs(3));
        assert_eq!(args.config.unwrap().rx_slots, 256);
        assert_eq!(args.verbose, 2);
    }

    #[test]
    fn defaults_depend_on_the_function() {
        assert_eq!(parse("-i eth0").unwrap().batch(), 512);
        assert_eq!(parse("-i eth0 -f ping").unwrap().batch(), 1);
        assert_eq!(
            parse("-i eth0 -W").unwrap().idle(),
            Some(Duration::from_secs(1))
        );
        assert_eq!(parse("-i eth0").unwrap().idle(), None);
    }

    #[test]
    fn lengths_at_random() {
        let lengths = |flags: &str| parse(&format!("-i eth0 {flags}")).unwrap().random_lengths();
        assert_eq!((lengths(""), lengths("-l 100")), (Ok(None), Ok(None)));
        assert_eq!(lengths("-l 1500 -l 60"), Ok(Some(60..1500)));
        for wrong in [
            "-l 60 -l 60",
            "-l 60 -l 1500",
            "-l 70000 -l 60",
            "-l 9 -l 8 -l 7",
        ] {
            assert!(lengths(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "-i eth0/Q",
            "-i eth0 -f fly",
            "-i eth0 -R 0",
            "-i eth0 -T 0",
            "-i eth0 -p 0",
            "-i eth0 -C 1,2,3,4,5",
            "-i eth0 -C 1,2,70000",
            "-i eth0 -d 10.0.0",
            "-i eth0 -D 1:2:3",
            "-i eth0 -W --idle-exit 5",
            "-i eth0 -f tx -P x --check",
            "-i eth0 -f tx -P x -z",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
