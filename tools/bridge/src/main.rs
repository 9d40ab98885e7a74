// SPDX-License-Identifier: BSD-2-Clause
//! `nm-bridge`: carries frames between two netmap ports, both ways, such as an interface and its own host stack.
//!
//! Ports that share a memory region, as those of one machine do if nobody says otherwise, exchange buffers, and no frame is
//! copied.

use clap::Parser;
use core::sync::atomic::{AtomicBool, Ordering};
use netmap::{Options, Port, PortSpec};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::process::ExitCode;
use std::sync::Arc;

/// A signal may come just before `poll`: how long it sleeps at most.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Carries frames between two netmap ports, both ways, until SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "nm-bridge", version)]
struct Args {
    /// A port, such as netmap:eth0
    one: PortSpec,
    /// The other; netmap:eth0^ is the host's side of eth0
    other: PortSpec,
}

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok([forth, back]) => {
            eprintln!("nm-bridge: {forth} slots forth, {back} back");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("nm-bridge: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Carries frames until a signal comes; how many slots went either way.
fn run(args: &Args) -> Result<[u64; 2], String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&stop));
        registered.map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
    }
    let open = |spec: &PortSpec| {
        Port::open(spec, &Options::default()).map_err(|error| format!("{}: {error}", spec.name()))
    };
    let mut ports = [open(&args.one)?, open(&args.other)?];
    let [one, other] = &mut ports;
    check_fit(&args.other, one, other)?;
    check_fit(&args.one, other, one)?;
    let mut carried = [0; 2];
    while !stop.load(Ordering::Relaxed) {
        wait(&mut ports)?;
        let [one, other] = &mut ports;
        carried[0] += carry(one, other);
        carried[1] += carry(other, one);
    }
    // What was handed over last leaves with this.
    for port in &ports {
        port.sync_tx().map_err(|error| format!("sync: {error}"))?;
    }
    Ok(carried)
}

/// Frames that must be copied have to fit.
fn check_fit(name: &PortSpec, from: &mut Port, to: &mut Port) -> Result<(), String> {
    let (inputs, outputs) = (from.rx_mut(), to.tx_mut());
    let fits = |input| outputs.iter().all(|output| output.takes_from(input));
    match inputs.iter().find(|input| !fits(input)) {
        Some(input) => Err(format!(
            "{}: its buffers are smaller than {} octets, which those of the other port have",
            name.name(),
            input.buf_size()
        )),
        None => Ok(()),
    }
}

/// Sleeps until there is something to carry, and room for it; what was handed over is sent on the way.
fn wait(ports: &mut [Port; 2]) -> Result<(), String> {
    // Who still has frames waits for the other's room, and not for more of them.
    let waiting = [0, 1].map(|i: usize| ports[i].rx_mut().iter().any(|ring| !ring.is_empty()));
    let events = |i: usize| {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, !waiting[i]);
        events.set(PollFlags::OUT, waiting[1 - i]);
        events
    };
    let mut files = [0, 1].map(|i| PollFd::new(&ports[i], events(i)));
    match poll(&mut files, Some(&LOOK)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(format!("poll: {error}")),
    }
    let failed = files
        .iter()
        .any(|file| file.revents().contains(PollFlags::ERR));
    // A ring that was set back is no reason to end; that an interface is gone is, and a sync tells.
    for port in ports.iter().filter(|_| failed) {
        port.sync_rx().map_err(|error| format!("sync: {error}"))?;
    }
    Ok(())
}

/// Carries what there is room for; how many slots.
///
/// All frames of a receive ring go into the same transmit ring: they stay in order, and one in several slots in one piece.
fn carry(from: &mut Port, to: &mut Port) -> u64 {
    let mut carried = 0;
    let outputs = to.tx_mut();
    if outputs.is_empty() {
        return 0;
    }
    for (number, input) in from.rx_mut().iter_mut().enumerate() {
        let output = &mut outputs[number % outputs.len()];
        carried += u64::from(output.forward(input, u32::MAX));
    }
    carried
}
