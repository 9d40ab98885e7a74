// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use clap::Parser;
use netmap::PortSpec;
use std::path::PathBuf;
use std::time::Duration;

/// Writes what a netmap port receives to a capture file.
///
/// The host does not get what the port receives meanwhile, nor does it lose what it sends. It ends with SIGINT (Ctrl-C) or SIGTERM, after
/// COUNT packets, or when nobody reads the file any more, says how many packets there were, and gives the device back. The exit
/// status is 0 if all went well, 1 if the port could not be opened or was lost, or if the file could not be written, and 2 if the
/// command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "nm-dump", version, max_term_width = 100)]
pub struct Args {
    /// Port: eth0, netmap:eth0-2 (ring pair 2), netmap:eth0^ (what the host sends), vale0:p1, netmap:eth0{1 (pipe) ...
    #[arg(short, long = "interface", value_name = "PORT", value_parser = cli::packet_port)]
    pub interface: PortSpec,

    /// File to write; - is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub write: PathBuf,

    /// Write a pcap file, of microseconds, instead of a pcapng file, of nanoseconds, with the port's name and counters.
    #[arg(long)]
    pub pcap: bool,

    /// Packets to write; 0 means no end.
    #[arg(short, long, default_value_t = 0)]
    pub count: u64,

    /// Octets of each packet to write, at most.
    #[arg(short, long, value_name = "OCTETS", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..))]
    pub snaplen: u32,

    /// End when nothing has arrived for so many milliseconds, counted from the first packet on.
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub idle_exit: Option<Duration>,

    /// Print the counters as one JSON object, to standard output, or to standard error if the packets go there.
    #[arg(long)]
    pub json: bool,

    /// Report rates once a second.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Args {
    /// Whether packets go to standard output.
    pub fn is_standard_output(&self) -> bool {
        self.write.as_os_str() == "-"
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nm-dump").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags() {
        let args = parse("-i netmap:eth0 -w x.pcap --pcap -c 10 -s 96 --json").unwrap();
        assert!(args.pcap && args.json && !args.is_standard_output());
        assert_eq!((args.count, args.snaplen), (10, 96));
        assert!(parse("-i eth0").unwrap().is_standard_output());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "-i eth0/Q",
            "-i eth0 -s 0",
            "-i eth0 -c -1",
            "-i eth0 --idle-exit 0",
            "-i eth0 more",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
