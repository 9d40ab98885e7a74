// SPDX-License-Identifier: BSD-2-Clause
//! `nm-stack-bench`: what it takes a server to answer requests over TCP, by one interface of the kernel or another.
//!
//! Server and client are one program. The server's sockets are of the host, on one end of a wire; the client is TCP over
//! netmap at the other. They take turns in one thread. This is for virtual machines whose clock counts instructions: the
//! server's share is what remains when the client's is taken off, which is known from a run with a server without a stack.

mod bare;
mod client;
mod epoll;
mod idle;
mod segment;
mod server;
mod soft;
mod turns;
mod uring;
mod zerocopy;

use bench::link;
use clap::{Parser, ValueEnum};
use client::Client;
use frame::Mac;
use segment::Path;
use serde::Serialize;
use server::{Listener, Server};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;
use turns::{How, Taken};

/// How a server gets and sends data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Api {
    /// A stack port.
    StackSoft,
    /// epoll, read and write.
    Epoll,
    /// epoll, read and send with MSG_ZEROCOPY.
    EpollZerocopy,
    /// io_uring: multishot receives, and zero-copy sends from registered buffers.
    #[value(name = "io_uring")]
    #[serde(rename = "io_uring")]
    IoUring,
    /// Without a stack: a netmap program at either end.
    Bare,
}

/// Answers requests over TCP and prints the time it took, as one JSON object.
#[derive(Debug, Parser)]
#[command(name = "nm-stack-bench", version, max_term_width = 100)]
struct Args {
    /// Interface of the kernel that the server uses.
    #[arg(long, value_enum)]
    api: Api,

    /// The server's NIC.
    #[arg(long = "if", value_name = "NAME")]
    interface: String,

    /// The server's address, which that NIC has.
    #[arg(long, value_name = "ADDRESS", default_value = "10.9.0.1")]
    address: Ipv4Addr,

    /// The client's NIC, at the other end of the wire.
    #[arg(long, value_name = "NAME")]
    peer: String,

    /// The client's address, which the host must know to be that NIC's.
    #[arg(long, value_name = "ADDRESS", default_value = "10.9.0.2")]
    peer_address: Ipv4Addr,

    /// The server's port.
    #[arg(long, default_value_t = 9000)]
    port: u16,

    /// Octets of a response.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(64..=65536))]
    response: u32,

    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,

    /// Requests that are counted.
    #[arg(short = 'n', long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// Requests before those.
    #[arg(long, default_value_t = 1000)]
    warm: u64,

    /// Go on with turns where there is nothing to do, rather than wait for it.
    #[arg(long)]
    spin: bool,
}

/// The result, as it is printed.
#[derive(Debug, Serialize)]
struct Report {
    api: Api,
    response: u32,
    connections: u32,
    requests: u64,
    /// Segments that were not due, or responses to something else.
    errors: u64,
    /// How often all had to be said again.
    repeated: u64,
    /// Sends that were to be without a copy, and had one.
    copied: u64,
    ns: u64,
    idle_ns: u64,
    /// The client's part of `ns`; known only with a server without a stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ns: Option<u64>,
    turns: u64,
    waits: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let printed = run(&args).and_then(|report| {
        println!("{}", serde_json::to_string(&report)?);
        Ok(())
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nm-stack-bench: {}: {error}", args.interface);
            ExitCode::FAILURE
        }
    }
}

/// The address of a NIC on the link.
fn mac_of(interface: &str) -> io::Result<Mac> {
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address"))?;
    text.trim().parse().map_err(io::Error::other)
}

fn run(args: &Args) -> io::Result<Report> {
    let limit = Duration::from_secs(10);
    link::wait(&args.interface, limit)?;
    link::wait(&args.peer, limit)?;
    let path = Path {
        src_mac: mac_of(&args.peer)?,
        dst_mac: mac_of(&args.interface)?,
        src: args.peer_address,
        dst: args.address,
    };
    // No more than the argument's range, of 32 bits.
    let (connections, response) = (args.connections as usize, args.response as usize);
    let mut client = Client::open(&args.peer, &path, args.port, connections, response)?;
    link::wait(&args.peer, limit)?;
    idle::start()?;
    let mut server: Box<dyn Server> = if args.api == Api::Bare {
        let back = Path {
            src_mac: path.dst_mac,
            dst_mac: path.src_mac,
            src: path.dst,
            dst: path.src,
        };
        let mut bare = bare::Bare::open(&args.interface, &back, response)?;
        link::wait(&args.interface, limit)?;
        turns::connect_without_sockets(&mut client, &mut bare)?;
        Box::new(bare)
    } else {
        let listener = Listener::open(args.address, args.port)?;
        let mut sockets = Vec::new();
        turns::connect(&mut client, &listener, &mut sockets, connections)?;
        serve(args, sockets)?
    };
    let how = How {
        spin: args.spin,
        time_client: args.api == Api::Bare,
    };
    turns::run(&mut client, server.as_mut(), args.warm, how)?;
    let (errors, repeated, copied) = (client.errors(), client.repeated(), server.copied());
    let taken: Taken = turns::run(&mut client, server.as_mut(), args.count, how)?;
    Ok(Report {
        api: args.api,
        response: args.response,
        connections: args.connections,
        requests: args.count,
        errors: client.errors() - errors,
        repeated: client.repeated() - repeated,
        copied: server.copied() - copied,
        ns: taken.ns,
        idle_ns: taken.idle_ns,
        client_ns: how.time_client.then_some(taken.client_ns),
        turns: taken.turns,
        waits: taken.waits,
    })
}

/// The server for connections that are there.
fn serve(args: &Args, sockets: Vec<TcpStream>) -> io::Result<Box<dyn Server>> {
    let response = args.response as usize;
    Ok(match args.api {
        Api::StackSoft => Box::new(soft::Soft::open(&args.interface, sockets, response)?),
        Api::Epoll => Box::new(epoll::Epoll::new(sockets, response)?),
        Api::EpollZerocopy => Box::new(zerocopy::Zerocopy::new(sockets, response)?),
        Api::IoUring => Box::new(uring::Uring::new(sockets, response)?),
        Api::Bare => return Err(io::Error::other("a server without a stack has no sockets")),
    })
}
