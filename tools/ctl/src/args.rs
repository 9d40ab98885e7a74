// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use crate::rates::Key;
use clap::{Parser, Subcommand};
use std::time::Duration;

/// Shows netmap's ports, and says what is in a port's way.
///
/// The exit status is 0 if all went well, 1 if something could not be read, or if doctor found what prevents a bind, and 2 if the
/// command line is wrong. Counters of ports are for root alone to see.
#[derive(Debug, Parser)]
#[command(name = "nmctl", version, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List interfaces and what a port of each is, pipes, switches with their ports, memory regions, and the module's parameters.
    List {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show rings, slots, memory region and counters of a port.
    Show {
        /// Port: eth0, vale0:p1, netmap:eth0{1 (pipe) ...
        port: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say what is missing or hurts, why a port is emulated, and what would do about it, a line each.
    Doctor {
        /// Port; all Ethernet interfaces of the network namespace if not given.
        port: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Watch the rates of all rings: q ends, s sorts by the next column, space pauses, a shows idle rings too.
    Top {
        /// Milliseconds between two looks.
        #[arg(short, long, value_name = "MS", default_value = "1000", value_parser = interval)]
        interval: Duration,
        /// The column to sort by at first.
        #[arg(short, long, value_enum, default_value = "packets")]
        sort: Key,
    },
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(ms @ 50..=3_600_000) => Ok(Duration::from_millis(ms)),
        Ok(_) => Err("at least 50 and at most 3600000 are needed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nmctl").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn subcommands() {
        assert!(matches!(
            parse("list").unwrap().command,
            Command::List { json: false }
        ));
        assert!(matches!(
            parse("show vale0:a --json").unwrap().command,
            Command::Show { json: true, .. }
        ));
        assert!(matches!(
            parse("doctor").unwrap().command,
            Command::Doctor { port: None, .. }
        ));
        let Command::Top { interval, sort } = parse("top -i 200 -s drops").unwrap().command else {
            panic!("not top");
        };
        assert_eq!((interval, sort), (Duration::from_millis(200), Key::Drops));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "show",
            "top -i 0",
            "top -i x",
            "top --sort colour",
            "list eth0",
            "top --json",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
