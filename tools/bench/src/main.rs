// SPDX-License-Identifier: BSD-2-Clause
//! `nm-bench`: sends and receives packets through netmap and through the kernel's own interfaces.
//!
//! One run is one interface, one direction, one batch size. The same loops and the same copy of the payload serve
//! all interfaces, so that only the interface differs.

mod bpf;
mod mapping;
mod netmap_rings;
mod nothing;
mod packet;
mod packet_ring;
mod payload;
mod run;
mod xdp;

use bench::{clock, link};
use clap::{Parser, ValueEnum};
use frame::Mac;
use netmap_rings::{Everyone, Rings};
use packet::{Several, Single};
use packet_ring::{RxRing, TxRing};
use payload::{Sink, Source};
use run::{Plan, Receiver, Sender, Times};
use serde::Serialize;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use xdp::Socket;

/// An interface to send and receive through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Api {
    /// netmap.
    Netmap,
    /// AF_PACKET, sendto and recv.
    Packet,
    /// The same, sending past the queueing discipline.
    PacketBypass,
    /// AF_PACKET, sendmmsg and recvmmsg.
    Mmsg,
    /// PACKET_MMAP, TX_RING and TPACKET_V3.
    PacketRing,
    /// AF_XDP, with copies.
    XdpCopy,
    /// AF_XDP, without copies.
    XdpZerocopy,
    /// Nothing: frames are copied to memory and back.
    Program,
    /// The same with one system call per batch, which does nothing.
    Syscall,
}

/// What to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Direction {
    /// Sending, until all frames have left.
    Tx,
    /// Receiving, from the first frame to the last.
    Rx,
    /// Sending on one NIC and receiving on another, by turns.
    Pair,
}

/// Sends or receives frames through one interface of the kernel and prints the time it took, as one JSON object.
#[derive(Debug, Parser)]
#[command(name = "nm-bench", version, max_term_width = 100)]
struct Args {
    /// Interface to use.
    #[arg(long, value_enum)]
    api: Api,

    /// NIC; for netmap, a port name: eth0, eth0-1, eth0/T ...
    #[arg(long = "if", value_name = "NAME")]
    interface: String,

    /// NIC to receive on (pair). For netmap there may be several: all frames are to come to each of them.
    #[arg(long, value_name = "NAME", required_if_eq("dir", "pair"))]
    peer: Vec<String>,

    /// Port that is open meanwhile, and does nothing; any number of them (netmap).
    #[arg(long, value_name = "NAME")]
    bystander: Vec<String>,

    /// Have the receiver, and each bystander, send a frame before it all begins, so that a switch learns where the
    /// destination is: that of frames, and other addresses for bystanders (netmap).
    #[arg(long)]
    announce: bool,

    /// Have every other frame come from another source, whose last bit is not that of the first (netmap).
    #[arg(long)]
    alternate: bool,

    /// What to time.
    #[arg(long, value_enum)]
    dir: Direction,

    /// Frames per system call, where the interface can.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1024))]
    batch: u32,

    /// Frames.
    #[arg(short = 'n', long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// Octets per frame, the frame check sequence not counted.
    #[arg(short, long, default_value_t = 60)]
    len: usize,

    /// Queue of the NIC (AF_XDP).
    #[arg(long, default_value_t = 0)]
    queue: u32,

    /// Queues to use in turn, each as a port of its own, a batch and its system call in each (netmap). Those of a
    /// receiver hold the frames whose UDP port is 9000 and the queue's number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    queues: u32,

    /// Frames that may be under way (pair) [default: 127, or less than a batch; 256 where frames come in blocks].
    #[arg(long)]
    window: Option<u64>,

    /// Milliseconds without a frame after which the missing ones are lost.
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    patience: u64,

    /// Milliseconds to wait for the links, before interfaces are opened and, as that can reset a NIC, after.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    wait_link: u64,

    /// Milliseconds to wait after that.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    settle: u64,

    /// Source on the link.
    #[arg(short = 'S', long, default_value = "02:00:00:00:00:01")]
    source_mac: Mac,

    /// Destination on the link. One that nobody has, and a receiver in promiscuous mode, spare the network stack
    /// of the receiver the work on these frames, which is no part of what is timed.
    #[arg(short = 'D', long, default_value_t = Mac::BROADCAST)]
    destination_mac: Mac,
}

/// The result, as it is printed.
#[derive(Debug, Serialize)]
struct Report {
    api: Api,
    dir: Direction,
    batch: u32,
    len: usize,
    /// Frames sent (tx) or received (rx, pair).
    packets: u64,
    /// Frames that were lost, or came late or twice.
    errors: u64,
    /// Frames of somebody else, received besides.
    foreign: u64,
    /// Clock before the first frame was sent, or after the first was received, in nanoseconds.
    start_ns: u64,
    /// Clock after the last frame.
    end_ns: u64,
    /// Their difference.
    ns: u64,
    /// Part of it in which CPUs were idle, in steps of 10 ms.
    idle_ns: u64,
    /// AF_XDP: whether frames pass through the driver's own hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    native: Option<bool>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let report = match args.len {
        60 => run::<60>(&args),
        _ => run::<0>(&args),
    };
    let printed = report.and_then(|report| {
        let failed = report.errors != 0;
        println!("{}", serde_json::to_string(&report)?);
        Ok(failed)
    });
    match printed {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(3),
        Err(error) => {
            eprintln!("nm-bench: {}: {error}", args.interface);
            ExitCode::FAILURE
        }
    }
}

/// Opens what the interface needs and runs.
fn run<const LEN: usize>(args: &Args) -> io::Result<Report> {
    wait_for_links(args)?;
    let (sends, receives) = (args.dir != Direction::Rx, args.dir != Direction::Tx);
    let near = &args.interface;
    let far = args.peer.first().map_or(near.as_str(), String::as_str);
    if args.api != Api::Netmap
        && (args.peer.len() > 1 || !args.bystander.is_empty() || args.announce || args.alternate)
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "that is for netmap only",
        ));
    }
    let tx_if = sends.then_some(near.as_str());
    let rx_if = receives.then_some(far);
    let mut native = None;
    let mut report = match args.api {
        Api::Netmap => run_netmap::<LEN>(args, tx_if, rx_if),
        Api::Packet | Api::PacketBypass => go::<LEN, _, _>(
            args,
            open(tx_if, |name| {
                Single::open(name, false, args.api == Api::PacketBypass)
            })?,
            open(rx_if, |name| Single::open(name, true, false))?,
        ),
        Api::Mmsg => go::<LEN, _, _>(
            args,
            open(tx_if, |name| Several::open(name, false))?,
            open(rx_if, |name| Several::open(name, true))?,
        ),
        Api::PacketRing => {
            go::<LEN, _, _>(args, open(tx_if, TxRing::open)?, open(rx_if, RxRing::open)?)
        }
        Api::XdpCopy | Api::XdpZerocopy => {
            let socket = |name: &str| Socket::open(name, args.queue, args.api == Api::XdpCopy);
            let (tx, rx) = (open(tx_if, socket)?, open(rx_if, socket)?);
            native = tx.as_ref().or(rx.as_ref()).map(Socket::is_native);
            go::<LEN, _, _>(args, tx, rx)
        }
        Api::Program | Api::Syscall => {
            let (tx, rx) = nothing::ends(args.api == Api::Syscall)?;
            go::<LEN, _, _>(args, sends.then_some(tx), receives.then_some(rx))
        }
    }?;
    report.native = native;
    Ok(report)
}

/// Opens the ports, makes the switch know them if that is wanted, and runs.
fn run_netmap<const LEN: usize>(
    args: &Args,
    tx_if: Option<&str>,
    rx_if: Option<&str>,
) -> io::Result<Report> {
    let open_rings = |name: &str, rings| Rings::open(name, rings, args.queues, args.batch);
    let mut bystanders = Vec::new();
    for (number, name) in (1u16..).zip(&args.bystander) {
        let mut bystander = open_rings(name, (true, false))?;
        if args.announce {
            let [high, low] = number.to_be_bytes();
            bystander.announce(Mac([2, 0, 0, 1, high, low]))?;
        }
        // Open to the end.
        bystanders.push(bystander);
    }
    let tx = open(tx_if, |name| open_rings(name, (true, false)))?;
    let mut rx = open(rx_if, |name| open_rings(name, (args.announce, true)))?;
    if let (Some(rx), true) = (&mut rx, args.announce) {
        rx.announce(args.destination_mac)?;
    }
    match rx {
        Some(first) if args.peer.len() > 1 => {
            let mut all = vec![first];
            for name in &args.peer[1..] {
                all.push(open_rings(name, (false, true))?);
            }
            go::<LEN, _, _>(args, tx, Some(Everyone::new(all)))
        }
        rx => go::<LEN, _, _>(args, tx, rx),
    }
}

/// Waits for the link of each NIC: an interface that has just been brought up cannot be used yet.
fn wait_for_links(args: &Args) -> io::Result<()> {
    let limit = Duration::from_millis(args.wait_link);
    link::wait(&args.interface, limit)?;
    args.peer
        .iter()
        .try_for_each(|peer| link::wait(peer, limit))
}

fn open<T>(name: Option<&str>, open: impl Fn(&str) -> io::Result<T>) -> io::Result<Option<T>> {
    name.map(open).transpose()
}

/// Runs the loop that the direction names.
fn go<const LEN: usize, S: Sender, R: Receiver>(
    args: &Args,
    mut sender: Option<S>,
    mut receiver: Option<R>,
) -> io::Result<Report> {
    let window = match args.api {
        Api::PacketRing => 256,
        _ => 127.max(u64::from(args.batch) - 1),
    };
    let plan = Plan {
        count: args.count,
        batch: args.batch,
        window: args.window.unwrap_or(window),
        patience: Duration::from_millis(args.patience),
    };
    let mut source =
        Source::<LEN>::new(args.source_mac, args.destination_mac, args.len, plan.count)
            .map_err(io::Error::other)?;
    if args.alternate {
        let mut other = args.source_mac;
        other.0[5] ^= 1;
        source.alternate(other);
    }
    let mut sink = Sink::<LEN>::default();
    wait_for_links(args)?;
    std::thread::sleep(Duration::from_millis(args.settle));
    let idle = clock::idle()?;
    let times: Times = match (&mut sender, &mut receiver) {
        (Some(sender), None) => run::tx(sender, &mut source, &plan)?,
        (None, Some(receiver)) => run::rx(receiver, &mut sink, &plan)?,
        (Some(sender), Some(receiver)) => {
            run::pair(sender, receiver, &mut source, &mut sink, &plan)?
        }
        (None, None) => return Err(io::Error::other("nothing to do")),
    };
    // Before the interfaces are closed: a driver may take its time over that.
    let idle = clock::idle()? - idle;
    let received = args.dir != Direction::Tx;
    Ok(Report {
        api: args.api,
        dir: args.dir,
        batch: args.batch,
        len: args.len,
        packets: if received {
            sink.packets()
        } else {
            source.next
        },
        errors: if received {
            sink.lost + sink.late + (plan.count - sink.expected.min(plan.count))
        } else {
            0
        },
        foreign: sink.foreign,
        start_ns: times.start,
        end_ns: times.end,
        ns: times.end - times.start,
        idle_ns: idle,
        native: None,
    })
}
