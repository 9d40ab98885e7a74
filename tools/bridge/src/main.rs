// SPDX-License-Identifier: BSD-2-Clause
//! `nm-bridge`: carries frames between two netmap ports, both ways, such as an interface and its own host stack.
//!
//! Ports that share a memory region, as those of one machine do if nobody says otherwise, exchange buffers, and no frame is
//! copied.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;

use args::{Args, Ends};
use core::sync::atomic::{AtomicBool, Ordering};
use netmap::abi::NS_MOREFRAG;
use netmap::{Options, Port, PortSpec, RxRing, TxRing};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A signal may come just before `poll`: how long it sleeps at most.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Time between two reports.
const REPORT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            cli::tell(format_args!("nm-bridge: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Carries frames until a signal comes, or a port is lost, and says how many slots went either way.
fn run(args: &Args) -> Result<(), String> {
    let ends = args.ends()?;
    let stop = cli::stop_on_signals()?;
    let mut bridge = match &ends {
        Ends::Two(one, other) => Bridge::new(args, vec![open(one)?, open(other)?])?,
        Ends::Loop(port) => Bridge::new(args, vec![open(port)?])?,
    };
    cli::wait_for_link(args.wait_link(), &stop);
    let result = bridge.run(&stop);
    let [forth, back] = bridge.carried;
    cli::tell(format_args!("nm-bridge: {forth} slots forth, {back} back"));
    if args.json {
        let names: Vec<_> = bridge
            .ports
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        let json = serde_json::json!({ "ports": names, "slots_forth": forth, "slots_back": back });
        cli::print(&format!("{json}\n"))?;
    }
    result
}

fn open(spec: &PortSpec) -> Result<(PortSpec, Port), String> {
    let port = Port::open(spec, &Options::default()).map_err(|error| cli::open_failure(&error))?;
    Ok((spec.clone(), port))
}

/// What is joined.
struct Bridge {
    /// One port, with itself, or two.
    ports: Vec<(PortSpec, Port)>,
    burst: u32,
    copy: bool,
    verbose: bool,
    /// Slots carried from the first port on, and back.
    carried: [u64; 2],
}

impl Bridge {
    /// Checks that frames fit.
    fn new(args: &Args, mut ports: Vec<(PortSpec, Port)>) -> Result<Bridge, String> {
        if let [(first, one), (second, other)] = &mut ports[..] {
            check_fit(second, one, other)?;
            check_fit(first, other, one)?;
        }
        Ok(Bridge {
            ports,
            burst: args.burst.unwrap_or(u32::MAX),
            copy: args.copy,
            verbose: args.verbose > 0,
            carried: [0; 2],
        })
    }

    fn run(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let (mut before, mut due) = (self.carried, Instant::now() + REPORT);
        while !stop.load(Ordering::Relaxed) {
            self.wait()?;
            self.carry();
            if self.verbose && Instant::now() >= due {
                let [forth, back] = [0, 1].map(|way: usize| self.carried[way] - before[way]);
                cli::tell(format_args!(
                    "{forth} slots forth, {back} back in the last second"
                ));
                (before, due) = (self.carried, Instant::now() + REPORT);
            }
        }
        // What was handed over last leaves with this.
        for (name, port) in &self.ports {
            port.sync_tx().map_err(|error| lost(name, &error))?;
        }
        Ok(())
    }

    /// Sleeps until there is something to carry, and room for it; what was handed over is sent on the way.
    fn wait(&mut self) -> Result<(), String> {
        let count = self.ports.len();
        // Who still has frames waits for the other's room, and not for more of them.
        let has_frames =
            |(_, port): &mut (PortSpec, Port)| port.rx_mut().iter().any(|ring| !ring.is_empty());
        let waiting: Vec<bool> = self.ports.iter_mut().map(has_frames).collect();
        let events = |at: usize| {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, !waiting[at]);
            events.set(PollFlags::OUT, waiting[count - 1 - at]);
            events
        };
        let mut files: Vec<_> = (0..)
            .zip(&self.ports)
            .map(|(at, (_, port))| PollFd::new(port, events(at)))
            .collect();
        match poll(&mut files, Some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(format!("poll: {error}")),
        }
        let failed = files
            .iter()
            .any(|file| file.revents().contains(PollFlags::ERR));
        // A ring that was set back is no reason to end; that an interface is gone is, and a sync tells.
        for (name, port) in self.ports.iter().filter(|_| failed) {
            port.sync_rx().map_err(|error| lost(name, &error))?;
        }
        Ok(())
    }

    /// Carries what there is room for, both ways.
    fn carry(&mut self) {
        let (burst, copy) = (self.burst, self.copy);
        match &mut self.ports[..] {
            [(_, one), (_, other)] => {
                self.carried[0] += carry(one.rx_mut(), other.tx_mut(), burst, copy);
                self.carried[1] += carry(other.rx_mut(), one.tx_mut(), burst, copy);
            }
            [(_, port)] => {
                let (_, outputs, inputs) = port.split();
                self.carried[0] += carry(inputs, outputs, burst, copy);
            }
            // There are no more.
            _ => {}
        }
    }
}

/// What an error of a sync means.
fn lost(name: &PortSpec, error: &std::io::Error) -> String {
    format!("{name}: {}", cli::lost(error))
}

/// Frames that must be copied have to fit.
fn check_fit(name: &PortSpec, from: &mut Port, to: &mut Port) -> Result<(), String> {
    let (inputs, outputs) = (from.rx_mut(), to.tx_mut());
    let fits = |input| outputs.iter().all(|output| output.takes_from(input));
    match inputs.iter().find(|input| !fits(input)) {
        Some(input) => Err(format!(
            "{name}: its buffers are smaller than {} octets, which those of the other port have",
            input.buf_size()
        )),
        None => Ok(()),
    }
}

/// Carries what there is room for, `burst` slots of a ring at most; how many slots.
///
/// All frames of a receive ring go into the same transmit ring: they stay in order, and one in several slots in one piece.
fn carry(inputs: &mut [RxRing], outputs: &mut [TxRing], burst: u32, copy: bool) -> u64 {
    let mut carried = 0;
    if outputs.is_empty() {
        return 0;
    }
    for (number, input) in inputs.iter_mut().enumerate() {
        let output = &mut outputs[number % outputs.len()];
        carried += u64::from(match copy {
            true => copy_slots(input, output, burst),
            false => output.forward(input, burst),
        });
    }
    carried
}

/// As [`TxRing::forward`], but the buffers stay where they are.
fn copy_slots(input: &mut RxRing, output: &mut TxRing, burst: u32) -> u32 {
    let count = burst.min(input.space()).min(output.space());
    output.fill(count, |slot| {
        input.drain(1, |received| {
            let packet = received.packet();
            slot.write(packet);
            // No longer than the buffer, whose length 16 bits hold as far as a slot can tell.
            slot.set(packet.len() as u16, received.flags() & NS_MOREFRAG);
        });
    })
}
