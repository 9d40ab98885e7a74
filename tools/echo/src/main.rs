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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Octets on their way in each direction.
const WINDOW: usize = 65536;
/// Octets of the longest IP packet.
const MTU: usize = 1500;
/// How long a wait lasts at most: a signal may come just before it.
const LOOK: Duration = Duration::from_millis(200);

/// Is a host on PORT, and sends back what comes over a TCP connection, one after the other, until SIGINT or SIGTERM.
///
/// The exit status is 0 if all went well, 1 if the port could not be opened or was lost, and 2 if the command line is wrong.
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
    match run(&cli::parse::<Args>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            cli::tell(format_args!("nm-echo: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Sends back until a signal comes, and gives back what it has.
fn run(args: &Args) -> Result<(), String> {
    let stop = cli::stop_on_signals()?;
    let port =
        Port::open(&args.port, &Options::default()).map_err(|error| cli::open_failure(&error))?;
    let mut device = SmoltcpDevice::new(port, MTU);
    let served = serve(args, &mut device, &stop);
    // What was queued last leaves, and the slots that were read last are given back; a port that is gone has told so.
    let _ = device.port().sync_tx();
    let _ = device.port().sync_rx();
    served.map_err(|error| match error.downcast::<std::io::Error>() {
        Ok(error) => format!("{}: {}", args.port, cli::lost(&error)),
        Err(error) => error.to_string(),
    })
}

fn serve(args: &Args, device: &mut SmoltcpDevice, stop: &AtomicBool) -> Result<(), Box<dyn Error>> {
    let mut interface = Interface::new(Config::new(args.mac.into()), device, Instant::now());
    interface.update_ip_addrs(|addresses| {
        // There is room for one.
        let _ = addresses.push(args.address);
    });
    let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW]);
    let mut sockets = SocketSet::new(vec![]);
    let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
    cli::print(&format!("{} port {}\n", args.address, args.number))?;
    while !stop.load(Ordering::Relaxed) {
        interface.poll(Instant::now(), device, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        if !socket.is_open() {
            socket.listen(args.number)?;
        }
        if echo(socket)? {
            // It is to be sent at once.
            continue;
        }
        let delay = interface.poll_delay(Instant::now(), &sockets);
        let delay = delay.map_or(LOOK, |delay| LOOK.min(delay.into()));
        // Sends what was queued, too.
        let ready = device.port().poll(Interest::Rx, Some(delay))?;
        if ready.error {
            // That the interface is gone a sync says; a ring that was set back may go on.
            device.port().sync_rx()?;
        }
    }
    Ok(())
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
