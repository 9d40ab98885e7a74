// SPDX-License-Identifier: BSD-2-Clause
//! The command line.

use clap::{Parser, Subcommand};
use nic82599::device::Model;
use std::path::PathBuf;
use std::str::FromStr;

/// A model of the Intel 82599 network card, for QEMU's vfio-user-pci.
#[derive(Debug, Parser)]
#[command(name = "nic82599", version, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve ports until all clients have gone. The exit status is 3 if a driver broke a rule.
    Serve(Serve),
    /// Move packets between two models in one thread, with no guest, and print packets per second.
    Bench(Bench),
    /// Give a serving model a command by its control socket, and print the answer.
    Ask(Ask),
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Bench {
    /// Packets to move with each length and batch.
    #[arg(short = 'n', long, value_name = "PACKETS", default_value_t = 2_000_000)]
    pub count: u64,
}

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// A port, repeatable: SOCKET[,mac=MAC][,link=NAME][,model=82599|x540|x550]. Two ports with the same link are joined by a cable. A port whose
    /// link has no other has a light at the far end, and what it sends is lost.
    #[arg(short, long = "port", value_name = "PORT", required = true)]
    pub ports: Vec<PortSpec>,

    /// Forgive what other models forgive; only DMA faults are counted.
    #[arg(long)]
    pub lenient: bool,

    /// Detect malicious drivers, as X550 does: block queues whose descriptors or tails cannot be.
    #[arg(long)]
    pub detect: bool,

    /// Nanoseconds from a tail's write to the first read of a descriptor.
    #[arg(long, value_name = "NS", default_value_t = 1_000)]
    pub fetch_delay: u64,

    /// Nanoseconds until reports that wait for company are written.
    #[arg(long, value_name = "NS", default_value_t = 3_000)]
    pub writeback_delay: u64,

    /// Finish what a register's write asks for before answering it, with no delays: for guests that count
    /// instructions (QEMU's -icount), with QEMU's x-no-posted-writes=on.
    #[arg(long)]
    pub lockstep: bool,

    /// Bits per second of cables; 0 is as fast as the model runs.
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub rate: u64,

    /// Write what broke a rule to this file.
    #[arg(long, value_name = "FILE")]
    pub violations: Option<PathBuf>,

    /// Listen for commands at this socket; `ask` gives them.
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,

    /// Write what is sent to this file, for tcpdump.
    #[arg(long, value_name = "FILE")]
    pub tap: Option<PathBuf>,
}

/// Arguments of `ask`.
#[derive(Debug, clap::Args)]
pub struct Ask {
    /// The control socket.
    pub socket: PathBuf,
    /// The command; `help` tells them all.
    #[arg(required = true)]
    pub request: Vec<String>,
}

/// A port to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    /// Where to listen.
    pub socket: PathBuf,
    /// Its address; made up if there is none.
    pub mac: Option<[u8; 6]>,
    /// Its cable.
    pub link: Option<String>,
    /// Which card it is of.
    pub model: Model,
}

impl FromStr for PortSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let socket = parts.next().filter(|path| !path.is_empty());
        let mut spec = PortSpec {
            socket: socket.ok_or("a port has a socket")?.into(),
            mac: None,
            link: None,
            model: Model::default(),
        };
        for part in parts {
            match part.split_once('=') {
                Some(("mac", mac)) => spec.mac = Some(parse_mac(mac)?),
                Some(("model", "82599")) => spec.model = Model::I82599,
                Some(("model", "x540")) => spec.model = Model::X540,
                Some(("model", "x550")) => spec.model = Model::X550,
                Some(("link", link)) => spec.link = Some(link.to_owned()),
                _ => return Err(format!("a port has no property '{part}'")),
            }
        }
        Ok(spec)
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let octets: Result<Vec<u8>, _> = text.split(':').map(|o| u8::from_str_radix(o, 16)).collect();
    octets
        .ok()
        .and_then(|octets| <[u8; 6]>::try_from(octets).ok())
        .ok_or_else(|| format!("'{text}' is no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_described_by_its_socket_and_properties() {
        let spec: PortSpec = "/tmp/a,mac=52:54:00:6e:6d:01,link=x,model=x540"
            .parse()
            .unwrap();
        assert_eq!(spec.socket, PathBuf::from("/tmp/a"));
        assert_eq!(spec.mac, Some([0x52, 0x54, 0, 0x6e, 0x6d, 1]));
        assert_eq!((spec.link.as_deref(), spec.model), (Some("x"), Model::X540));
        assert!("a,mac=1:2".parse::<PortSpec>().is_err());
        assert!(",link=x".parse::<PortSpec>().is_err());
        assert!("a,speed=1".parse::<PortSpec>().is_err());
    }
}
