// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use clap::{ArgGroup, Parser};
use netmap::{Options, Polling};

/// Makes and shows VALE switches: with no request, lists the ports of all of them.
///
/// A port is named SWITCH:NAME, such as vale0:eth0. A switch is there as long as it has ports.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "nm-vale",
    version,
    max_term_width = 100,
    disable_help_flag = true
)]
#[command(group = ArgGroup::new("request").args(
    ["info", "detach", "attach", "attach_host", "new", "remove", "list", "poll", "no_poll", "header"]))]
pub struct Args {
    /// Show rings, slots and memory region of a port.
    #[arg(short = 'g', long, value_name = "PORT")]
    pub info: Option<String>,

    /// Detach an interface from its switch.
    #[arg(short, long, value_name = "PORT")]
    pub detach: Option<String>,

    /// Attach an interface to a switch; the host is cut off from it, unless it is a persistent port.
    #[arg(short, long, value_name = "PORT")]
    pub attach: Option<String>,

    /// Attach an interface, and the host behind it as a port of its own.
    #[arg(short = 'h', long, value_name = "PORT")]
    pub attach_host: Option<String>,

    /// Make a persistent port: an interface that can be attached to switches.
    #[arg(short, long, value_name = "NAME")]
    pub new: Option<String>,

    /// Remove such an interface.
    #[arg(short, long, value_name = "NAME")]
    pub remove: Option<String>,

    /// Show the numbers of a port and its switch.
    #[arg(short, long, value_name = "PORT")]
    pub list: Option<String>,

    /// Have kernel threads poll an interface that is attached; -C says which CPUs.
    #[arg(short, long, value_name = "PORT", requires = "config")]
    pub poll: Option<String>,

    /// End that; needed before -d.
    #[arg(short = 'P', long, value_name = "PORT")]
    pub no_poll: Option<String>,

    /// Show the length of the virtio-net header of a port, or set it.
    #[arg(long, value_name = "PORT")]
    pub header: Option<String>,

    /// The length to set: 0, 10 or 12.
    #[arg(long, value_name = "OCTETS", requires = "header")]
    pub header_length: Option<u32>,

    /// With -n, -a, -h: TXSLOTS[,RXSLOTS[,TXRINGS[,RXRINGS]]]. With -p: 0[,CPU] for one CPU; 1[,FIRST[,COUNT]] for COUNT rings from FIRST on, each on the CPU of its number.
    #[arg(short = 'C', long, value_name = "NUMBERS", value_parser = numbers)]
    pub config: Option<Numbers>,

    /// Memory region of a port that is made or attached: its number, or the name of a port that uses it.
    #[arg(short, long = "memory", value_name = "NUMBER|PORT")]
    pub memory: Option<String>,

    /// Print what there is to print as one JSON object.
    #[arg(long)]
    pub json: bool,

    /// Say what was made; more of it say no more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Print help.
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
}

/// Numbers that commas separate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(Vec<u32>);

fn numbers(text: &str) -> Result<Numbers, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    match numbers {
        Ok(numbers) if numbers.len() <= 4 => Ok(Numbers(numbers)),
        Ok(_) => Err("there are four numbers at most".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

impl Args {
    /// Slots and rings; one number of slots stands for both directions, one number of rings too.
    ///
    /// # Errors
    ///
    /// If there are more rings than a port can have.
    pub fn options(&self) -> Result<Options, String> {
        let numbers = self.config.as_ref().map_or(&[][..], |numbers| &numbers.0);
        let number = |at: usize| numbers.get(at).copied().unwrap_or_default();
        let ring = |n: u32| u16::try_from(n).map_err(|_| format!("{n} rings are too many"));
        let or = |at: usize, other: usize| match numbers.get(at) {
            Some(number) => *number,
            None => number(other),
        };
        Ok(Options {
            tx_slots: number(0),
            rx_slots: or(1, 0),
            tx_rings: ring(number(2))?,
            rx_rings: ring(or(3, 2))?,
            ..Options::default()
        })
    }

    /// Which CPUs poll.
    ///
    /// # Errors
    ///
    /// If the numbers say nothing of the kind.
    pub fn polling(&self) -> Result<Polling, String> {
        let numbers = self.config.as_ref().map_or(&[][..], |numbers| &numbers.0);
        match *numbers {
            [0] => Ok(Polling::OneCpu(0)),
            [0, cpu] => Ok(Polling::OneCpu(cpu)),
            [1] => Ok(Polling::CpuPerRing { first: 0, count: 1 }),
            [1, first] => Ok(Polling::CpuPerRing { first, count: 1 }),
            [1, first, count] => Ok(Polling::CpuPerRing { first, count }),
            _ => Err("-C of -p is 0[,CPU] or 1[,CPU[,COUNT]]".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nm-vale").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_flags_that_users_know() {
        assert!(parse("").unwrap().info.is_none());
        assert_eq!(parse("-g eth0").unwrap().info.unwrap(), "eth0");
        assert_eq!(
            parse("-a vale0:eth0").unwrap().attach.unwrap(),
            "vale0:eth0"
        );
        assert_eq!(
            parse("-h vale0:eth0").unwrap().attach_host.unwrap(),
            "vale0:eth0"
        );
        assert_eq!(
            parse("-d vale0:eth0").unwrap().detach.unwrap(),
            "vale0:eth0"
        );
        assert_eq!(parse("-r v0").unwrap().remove.unwrap(), "v0");
        assert_eq!(parse("-l vale0:v0").unwrap().list.unwrap(), "vale0:v0");
        assert_eq!(parse("-P vale0:v0").unwrap().no_poll.unwrap(), "vale0:v0");
        let args = parse("-v -v --json -n v0 -C 512,256,2,1 -m netmap:eth0").unwrap();
        assert_eq!((args.new.as_deref(), args.verbose), (Some("v0"), 2));
        assert_eq!(args.memory.as_deref(), Some("netmap:eth0"));
    }

    #[test]
    fn a_number_stands_for_both_directions() {
        let of = |text: &str| {
            let options = parse(&format!("-n v0 -C {text}")).unwrap().options()?;
            let slots = (options.tx_slots, options.rx_slots);
            Ok::<_, String>((slots, (options.tx_rings, options.rx_rings)))
        };
        assert_eq!(of("512"), Ok(((512, 512), (0, 0))));
        assert_eq!(of("512,256"), Ok(((512, 256), (0, 0))));
        assert_eq!(of("512,256,3"), Ok(((512, 256), (3, 3))));
        assert_eq!(of("512,256,3,2"), Ok(((512, 256), (3, 2))));
        assert!(of("512,256,70000").is_err());
        assert!(parse("-n v0").unwrap().options().is_ok());
    }

    #[test]
    fn polling_modes() {
        let of = |text: &str| {
            parse(&format!("-p vale0:eth0 -C {text}"))
                .unwrap()
                .polling()
        };
        assert_eq!(of("0,3"), Ok(Polling::OneCpu(3)));
        assert_eq!(of("1,2,4"), Ok(Polling::CpuPerRing { first: 2, count: 4 }));
        assert_eq!(of("1"), Ok(Polling::CpuPerRing { first: 0, count: 1 }));
        for wrong in ["0,1,2", "2", "1,2,3,4"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "-a vale0:x -d vale0:x",
            "-p vale0:x",
            "-n v0 -C 1,2,3,4,5",
            "-n v0 -C x",
            "--header-length 12",
            "vale0:x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
