// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use clap::Parser;
use netmap::{PortSpec, Rings};
use std::time::Duration;

/// How long `bridge` waits for the link, if it is not told.
const CLASSIC_WAIT: Duration = Duration::from_secs(4);

/// Carries frames between two netmap ports, both ways, until SIGINT or SIGTERM.
///
/// Ports that share a memory region exchange buffers, and no frame is copied. With one port alone, the other is its host: what comes
/// goes to the host, and what the host sends leaves. The exit status is 0 if all went well, 1 if a port could not be opened or was
/// lost, if its frames do not fit the other, or if the result could not be written, and 2 if the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "nm-bridge", version, max_term_width = 100)]
pub struct Args {
    /// Two ports, such as netmap:eth0 netmap:eth1, or one; netmap:eth0^ is the host's side of eth0.
    #[arg(value_name = "PORT", num_args = 0..=2, value_parser = cli::packet_port)]
    pub ports: Vec<PortSpec>,

    /// A port; given twice, both.
    #[arg(
        short,
        long = "interface",
        value_name = "PORT",
        value_parser = cli::packet_port,
        conflicts_with = "ports"
    )]
    pub interfaces: Vec<PortSpec>,

    /// Slots carried at a time, at most: 1 to 8192 [default: all that there are].
    #[arg(short, long, value_name = "SLOTS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub burst: Option<u32>,

    /// Seconds to wait before the start, for links that take time to come up [default: 0, as bridge: 4].
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub wait_link: Option<Duration>,

    /// Copy frames, and exchange no buffers.
    #[arg(short, long)]
    pub copy: bool,

    /// With one port: send what it receives back by itself, in place of to its host.
    #[arg(short = 'L', long)]
    pub loopback: bool,

    /// Print one JSON object to standard output at the end.
    #[arg(long)]
    pub json: bool,

    /// Report rates once a second.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What is to be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ends {
    /// Two ports.
    Two(PortSpec, PortSpec),
    /// One with itself.
    Loop(PortSpec),
}

impl Args {
    /// The ports that are named.
    ///
    /// # Errors
    ///
    /// In words, if there are none or too many, or if what is asked for with one port makes no sense.
    pub fn ends(&self) -> Result<Ends, String> {
        let names = match self.ports.is_empty() {
            true => &self.interfaces,
            false => &self.ports,
        };
        let (one, other) = match &names[..] {
            [] => return Err("a port is missing: nm-bridge netmap:eth0 netmap:eth1".to_owned()),
            [one] => (one, one),
            [one, other] => (one, other),
            _ => return Err("more than two ports are named".to_owned()),
        };
        if one != other {
            return match self.loopback {
                true => Err("-L is for one port alone".to_owned()),
                false => Ok(Ends::Two(one.clone(), other.clone())),
            };
        }
        if self.loopback {
            return Ok(Ends::Loop(one.clone()));
        }
        if one.rings() != Rings::Nic {
            return Err(format!(
                "{one}: its host is the other end only of a whole interface; name two ports"
            ));
        }
        Ok(Ends::Two(one.with_rings(Rings::Host), one.clone()))
    }

    /// How long to wait before the start.
    pub fn wait_link(&self) -> Duration {
        let classic = cli::is_called("bridge").then_some(CLASSIC_WAIT);
        self.wait_link.or(classic).unwrap_or_default()
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nm-bridge").chain(line.split_whitespace()))
    }

    fn ends(line: &str) -> Result<Ends, String> {
        parse(line).unwrap().ends()
    }

    fn port(name: &str) -> PortSpec {
        name.parse().unwrap()
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn two_ports_either_way() {
        let two = Ok(Ends::Two(port("eth0"), port("vale0:a")));
        assert_eq!(ends("netmap:eth0 vale0:a"), two);
        assert_eq!(ends("-i netmap:eth0 -i vale0:a"), two);
    }

    #[test]
    fn one_port_has_its_host() {
        let host = Ok(Ends::Two(port("eth0^"), port("eth0")));
        assert_eq!(ends("netmap:eth0"), host);
        assert_eq!(ends("-i eth0 -i netmap:eth0"), host);
        assert_eq!(ends("-L -i eth0"), Ok(Ends::Loop(port("eth0"))));
        assert!(ends("eth0-1").is_err());
    }

    #[test]
    fn the_flags_that_users_know() {
        let args = parse("-v -c -b 256 -w 1 -i eth0 -i eth1").unwrap();
        assert_eq!((args.verbose, args.copy, args.burst), (1, true, Some(256)));
        assert_eq!(args.wait_link(), Duration::from_secs(1));
        assert_eq!(parse("eth0 eth1").unwrap().wait_link(), Duration::ZERO);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "a b c",
            "-b 0 a b",
            "-b 8193 a b",
            "-w x a",
            "-i a b",
            "eth0/Q",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in ["", "-i a -i b -i c", "-L a b"] {
            assert!(ends(line).is_err(), "{line}");
        }
    }
}
