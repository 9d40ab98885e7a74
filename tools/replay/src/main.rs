// SPDX-License-Identifier: BSD-2-Clause
//! `nm-replay`: sends the packets of a capture file through a netmap port.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod schedule;
mod sender;

use args::Args;
use capture::Capture;
use fastrand::Rng;
use netmap::abi::{NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY};
use netmap::{Options, Port};
use schedule::Schedule;
use sender::Sender;
use serde::Serialize;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How long nmreplay waits for the link, if it is not told.
const CLASSIC_WAIT: Duration = Duration::from_secs(2);

/// The result of a run, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Summary {
    /// The port's name.
    port: String,
    /// Packets sent.
    packets: u64,
    /// Their octets.
    bytes: u64,
    /// Packets left out by `-L`.
    lost: u64,
    /// Packets of the file that are shorter there than they were on the wire.
    shortened: u64,
    /// From the first packet to the last.
    seconds: f64,
    /// Packets that were still in the ring at the end.
    unsent: u64,
}

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok(status) => status,
        Err(reason) => {
            cli::tell(format_args!("nm-replay: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<ExitCode, String> {
    let capture = read(&args.file)?;
    let stop = cli::stop_on_signals()?;
    if let Some(cpu) = args.cpu {
        run_on(cpu)?;
    }
    let spec = &args.interface;
    if spec.flags() & NR_RX_RINGS_ONLY != 0 {
        return Err(format!(
            "{spec}: the port has no transmit ring; leave out /R"
        ));
    }
    // What the port receives is left to whoever has it.
    let mut port = Port::open(&spec.with_flags(NR_TX_RINGS_ONLY), &Options::default())
        .map_err(|error| cli::open_failure(&error))?;
    let classic = cli::is_called("nmreplay").then_some(CLASSIC_WAIT);
    cli::wait_for_link(args.wait_link.or(classic).unwrap_or_default(), &stop);
    let schedule = Schedule::new(
        &capture,
        args.pace(),
        args.repeat(),
        args.delay,
        args.loss,
        Rng::new(),
    );
    let mut sender = Sender::new(&mut port, &capture, args, &stop)?;
    let (lost, failure) = sender.run(schedule);
    let counts = sender.counts();
    let summary = Summary {
        port: spec.to_string(),
        packets: counts.packets,
        bytes: counts.bytes,
        lost,
        shortened: capture.shortened,
        seconds: counts.span.as_secs_f64(),
        unsent: counts.unsent,
    };
    let text = format!(
        "Sent {} packets {} bytes in {:.2} seconds.{}{}\n",
        summary.packets,
        summary.bytes,
        summary.seconds,
        if lost == 0 {
            String::new()
        } else {
            format!(" Left out {lost}.")
        },
        match summary.unsent {
            0 => String::new(),
            unsent => format!(" {unsent} did not leave."),
        }
    );
    if args.json {
        cli::tell(text.trim_end());
        let json = serde_json::to_string(&summary).map_err(|error| error.to_string())?;
        cli::print(&format!("{json}\n"))?;
    } else {
        cli::print(&text)?;
    }
    match failure {
        Some(reason) => Err(format!("{spec}: {reason}")),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Reads the file, of which something must be to send.
fn read(path: &Path) -> Result<Capture, String> {
    let name = path.display();
    let read = match path.as_os_str() == "-" {
        true => Capture::read(io::stdin().lock()),
        false => Capture::read(File::open(path).map_err(|error| format!("{name}: {error}"))?),
    };
    let capture = read.map_err(|error| format!("{name}: {error}"))?;
    if capture.is_empty() {
        return Err(format!("{name}: there are no packets in the file"));
    }
    if capture.shortened != 0 {
        cli::tell(format_args!(
            "nm-replay: {name}: {} packets are shorter in the file than they were (capture with a larger snaplen); they are sent so",
            capture.shortened
        ));
    }
    Ok(capture)
}

/// Has this thread run on a CPU.
fn run_on(cpu: usize) -> Result<(), String> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| format!("cannot run on CPU {cpu}: {error}"))
}
