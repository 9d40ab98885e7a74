// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use crate::addresses::{Range as Addresses, Walk};
use crate::contradictions;
use clap::{Parser, ValueEnum};
use core::ops::Range;
use frame::Mac;
use netmap::{Options, PortSpec};
use std::path::PathBuf;
use std::time::Duration;

/// How long pkt-gen waits for the link of an interface, if it is not told.
const CLASSIC_WAIT: Duration = Duration::from_secs(2);

/// Octets per packet, where nothing is said.
pub const DEFAULT_LENGTH: usize = 60;

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
    /// Send numbered packets.
    Txseq,
    /// Receive numbered packets, and tell which are missing.
    Rxseq,
}

impl Function {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Function::Tx => "tx",
            Function::Rx => "rx",
            Function::Ping => "ping",
            Function::Pong => "pong",
            Function::Txseq => "txseq",
            Function::Rxseq => "rxseq",
        }
    }
}

/// Sends, receives and echoes packets through netmap ports.
///
/// Rates go to standard error once in a report interval, a summary to standard output at the end. The exit status
/// is 0 if all went well; 1 if not: the port could not be opened or was lost, packets do not fit it or do not leave it, a file could
/// not be read, or what there is to print could not be written; 2 if the command line is wrong; 3 if --check found a corrupt or a
/// repeated packet.
#[derive(Debug, Clone, Parser)]
#[command(name = "nm-pkt-gen", version, max_term_width = 100)]
pub struct Args {
    /// Port: eth0, netmap:eth0-2 (ring pair 2), netmap:eth0^ (host rings), vale0:p1, netmap:eth0{1 (pipe) ...
    #[arg(short, long = "interface", value_name = "PORT", value_parser = cli::packet_port)]
    pub interface: PortSpec,

    /// What to do.
    #[arg(short, long, value_enum, default_value = "rx")]
    pub function: Function,

    /// Packets to send or receive, or round trips to make; 0 means no end.
    #[arg(short = 'n', long, default_value_t = 0)]
    pub count: u64,

    /// Octets per packet, the frame check sequence (4) not counted. Given twice: at random, less than the first and no less than the
    /// second (tx).
    #[arg(short, long, value_name = "OCTETS", default_values_t = [DEFAULT_LENGTH])]
    pub length: Vec<usize>,

    /// Packets sent or received between two system calls, at most [default: 512, ping: 1].
    #[arg(short, long, value_name = "PACKETS")]
    pub batch: Option<u32>,

    /// Packets per second to send, such as 5000, 10k or 2M; unlimited if not given.
    #[arg(short = 'R', long, value_name = "PPS", value_parser = rate)]
    pub rate: Option<u64>,

    /// Source address, or a range to walk through with every packet; with IPv6 [GROUP@]ADDRESS or [GROUP@][ADDRESS]:PORT, where GROUP
    /// says which 16 bits of the address move, from 0 to 7, the last [default: 10.0.0.1, fd00::1].
    #[arg(short, long, value_name = "IP[:PORT][-IP[:PORT]]")]
    pub source: Option<Addresses>,

    /// Destination address, or a range to walk through whenever the source starts over, with -z each time [default: 10.1.0.1, fd00:1::1].
    #[arg(short, long, value_name = "IP[:PORT][-IP[:PORT]]")]
    pub destination: Option<Addresses>,

    /// Source on the link [default: the interface's address; on a switch 02:00:00:00:00:01, for each that is there].
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
    #[arg(short = 'P', long, value_name = "FILE")]
    pub packet_file: Option<PathBuf>,

    /// Random source addresses and ports.
    #[arg(short = 'z', long)]
    pub random_source: bool,

    /// Random destination addresses and ports.
    #[arg(short = 'Z', long)]
    pub random_destination: bool,

    /// IPv4, as always where no address is of IPv6.
    #[arg(short = '4', hide = true, overrides_with = "ipv6")]
    pub ipv4: bool,

    /// IPv6, as always where an address is of IPv6.
    #[arg(short = '6', long, overrides_with = "ipv4")]
    pub ipv6: bool,

    /// Slots of each packet (tx, txseq). A packet that its slots have no room for has more of them in any case (tx).
    #[arg(short = 'F', long, value_name = "SLOTS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..64))]
    pub fragments: u16,

    /// Most octets of a packet in one slot (tx) [default: what a buffer holds].
    #[arg(short = 'M', long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(1..))]
    pub fragment_size: Option<u16>,

    /// Octets of the virtio-net header before each packet, 0, 10 or 12; the switch port is set to it, unless it is 0 [default: what the
    /// port has].
    #[arg(short = 'H', long, value_name = "OCTETS", value_parser = virtio_header)]
    pub virtio_header: Option<u32>,

    /// Packets lie in the program's memory, from where the switch takes them (tx, switch ports).
    #[arg(short = 'I', long)]
    pub indirect: bool,

    /// Send whatever the buffers have in them (tx).
    #[arg(short = 'r', long)]
    pub rubbish: bool,

    /// Tell the mean of the last 15 rates, too, and their standard deviation.
    #[arg(short = 'A', long)]
    pub average: bool,

    /// pkt-gen's numbers of options, of which several are added: 4 or 8 for --copy, 32 for -I, 64 for -X, 256 for -r, 512 for -z, 1024
    /// for -Z, 2048 for -A; 1, 2, 16 and 4096 ask for nothing that is not done anyway.
    #[arg(short, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..8192))]
    pub options: Vec<u16>,

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
    #[arg(short = 'W')]
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
    /// The same, with what `-o` says.
    ///
    /// # Errors
    ///
    /// In words, if they make no sense together.
    pub fn complete(mut self) -> Result<Self, String> {
        let options = self.options.iter().fold(0, |all, option| all | option);
        self.copy |= options & (4 | 8) != 0;
        self.indirect |= options & 32 != 0;
        self.dump |= options & 64 != 0;
        self.rubbish |= options & 256 != 0;
        self.random_source |= options & 512 != 0;
        self.random_destination |= options & 1024 != 0;
        self.average |= options & 2048 != 0;
        if options & 128 != 0 {
            return Err("-o: there is no option 128".to_owned());
        }
        self.ends()?;
        contradictions::find(&self)?;
        self.random_lengths()?;
        Ok(self)
    }

    /// Source and destination addresses, both of one kind.
    ///
    /// # Errors
    ///
    /// In words, if they are not, or of another one than `-4` or `-6` says.
    pub fn ends(&self) -> Result<(Addresses, Addresses), String> {
        let wants_ipv6 = if self.ipv4 || self.ipv6 {
            self.ipv6
        } else {
            [self.source, self.destination]
                .iter()
                .flatten()
                .any(|range| range.first().is_ipv6())
        };
        let defaults = if wants_ipv6 {
            ["fd00::1", "fd00:1::1"]
        } else {
            ["10.0.0.1", "10.1.0.1"]
        };
        let end = |given: Option<Addresses>, default: &str| {
            let range = given.map_or_else(|| default.parse(), Ok)?;
            let first = range.first();
            if first.is_ipv6() == wants_ipv6 {
                return Ok(range);
            }
            Err(format!(
                "{} is no {} address",
                first.ip(),
                if wants_ipv6 { "IPv6" } else { "IPv4" }
            ))
        };
        Ok((
            end(self.source, defaults[0])?,
            end(self.destination, defaults[1])?,
        ))
    }

    /// Whether the addresses of packets change, if they are from these.
    pub fn varies(&self, source: &Addresses, destination: &Addresses) -> bool {
        self.random_source
            || self.random_destination
            || !(source.is_single() && destination.is_single())
    }

    /// A walk through these addresses.
    pub fn walk(&self, ends: &(Addresses, Addresses)) -> Walk {
        Walk::new(ends, (self.random_source, self.random_destination))
    }

    /// Whether the port is one of a switch.
    pub fn is_switched(&self) -> bool {
        self.interface.name().starts_with("vale")
    }

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
        let classic = (cli::is_called("pkt-gen") && !self.is_switched()).then_some(CLASSIC_WAIT);
        self.wait_link.or(classic).unwrap_or_default()
    }

    /// How long silence may last before the end.
    pub fn idle(&self) -> Option<Duration> {
        let classic = self.exit_when_idle.then_some(Duration::from_secs(1));
        self.idle_exit.or(classic)
    }
}

fn rate(text: &str) -> Result<u64, String> {
    match cli::with_prefix(text) {
        // Above, it is as many as there can be.
        Ok(rate) if rate >= 1.0 => Ok(rate as u64),
        _ => Err(
            "a rate is a number of packets per second, from 1 on, also with k, M or G behind it"
                .to_owned(),
        ),
    }
}

fn virtio_header(text: &str) -> Result<u32, String> {
    match text {
        "0" => Ok(0),
        "10" => Ok(10),
        "12" => Ok(12),
        _ => Err("a virtio-net header has 0, 10 or 12 octets".to_owned()),
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
    fn rates() {
        assert_eq!(rate("5000"), Ok(5000));
        assert_eq!(rate("1.5M"), Ok(1_500_000));
        for text in ["", "0", "0.5", "x", "-1"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    /// What is said of a line that clap takes.
    fn complete(line: &str) -> Result<Args, String> {
        parse(line).unwrap().complete()
    }

    #[test]
    fn the_other_flags_of_pkt_gen() {
        let args = complete("-i vale0:a -f tx -F 3 -M 500 -H 12 -A -6").unwrap();
        assert_eq!((args.fragments, args.fragment_size), (3, Some(500)));
        assert_eq!((args.virtio_header, args.average), (Some(12), true));
        assert!(args.ends().unwrap().0.first().is_ipv6());
        let args = complete("-i vale0:a -f tx -o 4 -o 8 -o 3648").unwrap();
        assert!(args.copy && args.dump && args.random_source && args.random_destination);
        assert!(args.average && !args.rubbish && !args.indirect);
        assert!(complete("-i vale0:a -f tx -o 32").unwrap().indirect);
        assert!(complete("-i eth0 -f tx -o 4375").is_err());
        assert!(complete("-i eth0 -f tx -o 256").unwrap().rubbish);
        for function in ["txseq", "rxseq"] {
            let args = complete(&format!("-i eth0 -f {function}")).unwrap();
            assert_eq!((args.function.name(), args.batch()), (function, 512));
        }
    }

    #[test]
    fn addresses_are_of_one_kind() {
        let kinds = |flags: &str| {
            complete(&format!("-i eth0 -f tx {flags}")).map(|args| {
                let (source, destination) = args.ends().unwrap();
                [source, destination].map(|range| range.first().is_ipv6())
            })
        };
        for ipv4 in ["", "-4", "-6 -4", "-s 10.0.0.1"] {
            assert_eq!(kinds(ipv4), Ok([false, false]), "{ipv4}");
        }
        for ipv6 in ["-6", "-4 -6", "-d fd00::7", "-6 -s 7@fd00::1-fd00::9"] {
            assert_eq!(kinds(ipv6), Ok([true, true]), "{ipv6}");
        }
        for wrong in ["-6 -s 10.0.0.1", "-4 -d fd00::1", "-s fd00::1 -d 10.0.0.1"] {
            assert!(kinds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_from_more_to_less_are_refused() {
        assert!(complete("-i eth0 -f tx -l 60 -l 1500").is_err());
        assert!(complete("-i eth0 -f tx -o 128").is_err());
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
            "-i eth0 -F 0",
            "-i eth0 -F 64",
            "-i eth0 -M 0",
            "-i eth0 -H 11",
            "-i eth0 -o 8192",
            "-i eth0 -s fd00::1-fe00::2",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
