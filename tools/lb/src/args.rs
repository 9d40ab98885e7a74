// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use clap::Parser;
use core::str::FromStr;
use core::time::Duration;
use netmap::abi::{NR_EXCLUSIVE, NR_TX_RINGS_ONLY};
use netmap::{PipeEnd, PortSpec, Rings, SpecError};

/// Pipes of a group that does not say how many.
const DEFAULT_PIPES: u32 = 2;

/// Spreads the packets that a port receives over pipes: all packets of a flow, in both directions, go to the same pipe.
///
/// A program takes its share from the other end of a pipe: netmap:eth0}0, netmap:eth0}1 ... Packets for which a pipe has no room
/// wait in extra buffers; when there are no more, the longest queue loses its oldest ones.
#[derive(Debug, Clone, Parser)]
#[command(name = "nm-lb", version, max_term_width = 100)]
pub struct Args {
    /// Port to receive from: eth0, netmap:eth0-1 (ring pair 1), vale0:p1 ...
    #[arg(short, long, value_name = "PORT", value_parser = cli::packet_port)]
    pub interface: PortSpec,

    /// A group of pipes [default: 2, on the port itself]; each group receives all packets. Groups of one NAME count on.
    #[arg(short, long = "pipes", value_name = "[NAME:]COUNT")]
    pub pipes: Vec<Group>,

    /// Extra buffers for packets that wait.
    #[arg(short = 'B', long, value_name = "BUFFERS", default_value_t = 0)]
    pub extra_bufs: u32,

    /// Packets after which those that were received are released.
    #[arg(short, long, value_name = "PACKETS", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,

    /// Seconds to wait before the start, for links that take time to come up.
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub wait_link: Duration,

    /// Never sleep: look for packets all the time.
    #[arg(short = 'W', long)]
    pub busy_wait: bool,

    /// Seconds between statistics on standard output, as lines of JSON; 0 for none.
    #[arg(short = 'o', long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub stdout_interval: Duration,

    /// Print what was forwarded and dropped as one JSON object at the end.
    #[arg(long)]
    pub json: bool,

    /// Seconds between statistics to syslog, facility local1; 0 for none.
    #[arg(short, long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub syslog_interval: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|error| error.to_string())
}

/// `NAME:COUNT`, either of which may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    name: Option<PortSpec>,
    count: u32,
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, count) = match text.rsplit_once(':') {
            Some(("", _)) => return Err("a name is missing before the colon".to_owned()),
            Some((name, count)) => (Some(plain_name(name)?), count),
            None => (None, text),
        };
        let count = match count {
            "" => DEFAULT_PIPES,
            count => count
                .parse()
                .ok()
                .filter(|count| (1..=u32::from(u16::MAX)).contains(count))
                .ok_or_else(|| format!("{count:?} is no number of pipes: 1 to {}", u16::MAX))?,
        };
        Ok(Group { name, count })
    }
}

/// A name that pipes can be on.
fn plain_name(text: &str) -> Result<PortSpec, String> {
    let spec: PortSpec = text.parse().map_err(|error: SpecError| error.to_string())?;
    if spec.rings() != Rings::Nic
        || spec.flags() != 0
        || spec.mem_id() != 0
        || *spec.conf() != netmap::Options::default()
    {
        return Err(format!("{text:?}: pipes are on a name alone"));
    }
    Ok(spec)
}

impl Args {
    /// The names of the pipes, by group, in the region `mem_id`: master ends, for this program alone, and to send only.
    ///
    /// # Errors
    ///
    /// If a name is too long, or is the end of a pipe itself.
    pub fn pipe_names(&self, mem_id: u16) -> Result<Vec<Vec<PortSpec>>, SpecError> {
        let default = [Group {
            name: None,
            count: DEFAULT_PIPES,
        }];
        let groups = if self.pipes.is_empty() {
            &default
        } else {
            &self.pipes[..]
        };
        let base = |group: &Group| group.name.clone().unwrap_or_else(|| self.interface.clone());
        let pipe = |base: &PortSpec, id: u32| {
            let end = base
                .with_mem_id(mem_id)
                .pipe(PipeEnd::Master, &id.to_string())?;
            Ok(end.with_flags(NR_EXCLUSIVE | NR_TX_RINGS_ONLY))
        };
        let mut names = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let base_of_group = base(group);
            let earlier = groups[..number].iter();
            let same = earlier.filter(|other| base(other).name() == base_of_group.name());
            let first: u32 = same.map(|other| other.count).sum();
            let ids = first..first + group.count;
            names.push(
                ids.map(|id| pipe(&base_of_group, id))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("nm-lb").chain(line.split_whitespace()))
    }

    fn names(line: &str) -> Vec<Vec<String>> {
        let names = parse(line).unwrap().pipe_names(5).unwrap();
        let text = |group: Vec<PortSpec>| group.iter().map(PortSpec::to_string).collect();
        names.into_iter().map(text).collect()
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_flags_that_users_know() {
        let args = parse("-i netmap:eth0 -p 3 -p x:1 -B 1000 -b 64 -w 0 -W -o 1 -s 2").unwrap();
        assert_eq!(
            (args.extra_bufs, args.batch, args.busy_wait),
            (1000, 64, true)
        );
        assert_eq!(args.wait_link, Duration::ZERO);
        assert_eq!(args.stdout_interval, Duration::from_secs(1));
        assert_eq!(args.syslog_interval, Duration::from_secs(2));
        let args = parse("-i eth0").unwrap();
        assert_eq!(
            (args.extra_bufs, args.batch, args.busy_wait),
            (0, 2048, false)
        );
        assert_eq!(args.wait_link, Duration::from_secs(2));
    }

    #[test]
    fn pipes_are_on_the_port_unless_named() {
        assert_eq!(
            names("-i eth0-1/R"),
            [["netmap:eth0{0/xT@5", "netmap:eth0{1/xT@5"]]
        );
        assert_eq!(names("-i vale0:a -p 1"), [["vale0:a{0/xT@5"]]);
        assert_eq!(
            names("-i eth0 -p netmap:snort:1"),
            [["netmap:snort{0/xT@5"]]
        );
        assert_eq!(names("-i eth0 -p vale1:b:1"), [["vale1:b{0/xT@5"]]);
        assert_eq!(names("-i eth0 -p x:")[0].len(), 2);
    }

    #[test]
    fn groups_of_one_name_count_on() {
        assert_eq!(
            names("-i eth0 -p 1 -p x:1 -p eth0:2 -p x:1"),
            [
                vec!["netmap:eth0{0/xT@5"],
                vec!["netmap:x{0/xT@5"],
                vec!["netmap:eth0{1/xT@5", "netmap:eth0{2/xT@5"],
                vec!["netmap:x{1/xT@5"],
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "-i eth0 -p 0",
            "-i eth0 -p :2",
            "-i eth0 -p x:0",
            "-i eth0 -p x:y",
            "-i eth0 -p 65536",
            "-i eth0 -p -1",
            "-i eth0 -p x-1:2",
            "-i eth0 -p x/R:2",
            "-i eth0 -b 0",
            "-i eth0 -w x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        let nested = parse("-i eth0}1").unwrap().pipe_names(1);
        assert_eq!(nested, Err(SpecError::Pipe("1{0".into())));
    }
}
