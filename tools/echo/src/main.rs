// SPDX-License-Identifier: BSD-2-Clause
//! `nm-echo`: a host of its own on a port, with smoltcp's TCP/IP, that sends back what it is sent.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use netmap::{Interest, Options, Port, PortSpec, SmoltcpDevice};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;

/// Octets on their way in each direction.
const WINDOW: usize = 65536;
/// Octets of the longest IP packet.
const MTU: usize = 1500;

/// Is a host on PORT, and sends back what comes over a TCP connection, one after the other.
#[derive(Debug, Parser)]
#[command(name = "nm-echo", version)]
struct Args {
    /// Such as vale0:echo.
    port: PortSpec,
    /// The host's address, and how long the network's is: 192.0.2.7/24.
    #[arg(value_parser = parse::<IpCidr>)]
    address: IpCidr,
    /// TCP port.
    number: u16,
    /// The address of its Ethernet.
    #[arg(long, default_value = "02-00-00-00-00-07", value_parser = parse::<EthernetAddress>)]
    mac: EthernetAddress,
}

/// An address, of which smoltcp does not say what is wrong.
fn parse<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "no such address")
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::tell(format_args!("nm-echo: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let port = Port::open(&args.port, &Options::default())?;
    let mut device = SmoltcpDevice::new(port, MTU);
    let mut interface = Interface::new(Config::new(args.mac.into()), &mut device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        // There is room for one.
        let _ = addresses.push(args.address);
    });
    let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW]);
    let mut sockets = SocketSet::new(vec![]);
    let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
    cli::print(&format!("{} port {}\n", args.address, args.number))?;
    loop {
        interface.poll(Instant::now(), &mut device, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        if !socket.is_open() {
            socket.listen(args.number)?;
        }
        if echo(socket)? {
            // It is to be sent at once.
            continue;
        }
        let delay = interface.poll_delay(Instant::now(), &sockets);
        // Sends what was queued, too.
        device.port().poll(Interest::Rx, delay.map(Into::into))?;
    }
}

/// Has what has come be sent, as far as there is room for it; whether there was something. Ends what the other end has ended.
fn echo(socket: &mut tcp::Socket<'_>) -> Result<bool, Box<dyn Error>> {
    let room = socket.send_capacity() - socket.send_queue();
    let mut any = false;
    if room != 0 && socket.can_recv() && socket.can_send() {
        let octets = socket.recv(|octets| {
            let count = octets.len().min(room);
            (count, octets[..count].to_vec())
        })?;
        any = socket.send_slice(&octets)? != 0;
    }
    if !any && !socket.may_recv() && !socket.can_recv() && socket.may_send() {
        let is_connected = !matches!(
            socket.state(),
            tcp::State::Listen | tcp::State::SynReceived | tcp::State::SynSent
        );
        if is_connected {
            socket.close();
            any = true;
        }
    }
    Ok(any)
}
