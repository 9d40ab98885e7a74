// SPDX-License-Identifier: BSD-2-Clause
//! `nm-dump`: writes what a netmap port receives to a capture file.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod drops;
mod receiver;

use args::Args;
use capture::{Format, Writer};
use netmap::abi::{NR_RX_RINGS_ONLY, NR_TX_RINGS_ONLY};
use netmap::{Options, Port};
use receiver::Failure;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

/// Octets that are gathered before they are written.
const BUFFER: usize = 1 << 18;

/// The result of a run, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Summary {
    /// The port's name.
    port: String,
    /// Packets written.
    packets: u64,
    /// Their octets, those included that `--snaplen` left out.
    bytes: u64,
    /// Packets of which something was left out.
    shortened: u64,
    /// Packets that the port dropped meanwhile, for want of room in its rings.
    dropped: u64,
}

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            cli::tell(format_args!("nm-dump: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let spec = &args.interface;
    if args.is_standard_output() && io::stdout().is_terminal() {
        return Err(
            "packets are no text for a terminal: -w FILE, or a pipe, such as | tcpdump -r -"
                .to_owned(),
        );
    }
    if spec.flags() & NR_TX_RINGS_ONLY != 0 {
        return Err(format!(
            "{spec}: the port has no receive ring; leave out /T"
        ));
    }
    let stop = cli::stop_on_signals()?;
    // The port first: a file of before stays if it cannot be opened. What the host sends is left to it.
    let mut port = Port::open(&spec.with_flags(NR_RX_RINGS_ONLY), &Options::default())
        .map_err(|error| cli::open_failure(&error))?;
    let format = if args.pcap {
        Format::Pcap
    } else {
        Format::PcapNg
    };
    let file = args.write.display();
    let failed = |error: io::Error| format!("{file}: {error}");
    let out: Box<dyn Write> = match args.is_standard_output() {
        true => Box::new(io::stdout().lock()),
        false => Box::new(File::create(&args.write).map_err(failed)?),
    };
    let before = drops::of(&port);
    let buffered = BufWriter::with_capacity(BUFFER, out);
    let mut writer = Writer::new(buffered, format, args.snaplen, spec.name()).map_err(failed)?;
    let (counts, result) = receiver::run(&mut port, args, &mut writer, &stop);
    let dropped = drops::of(&port).saturating_sub(before);
    // The file is whole also if the port was lost.
    let finished = match &result {
        Err(Failure::Write(_)) => Ok(()),
        _ => writer.finish(receiver::now(), counts.packets + dropped, dropped),
    };
    let summary = Summary {
        port: spec.to_string(),
        packets: counts.packets,
        bytes: counts.bytes,
        shortened: counts.shortened,
        dropped,
    };
    print(args, &summary)?;
    match result.and(finished.map_err(Failure::Write)) {
        Ok(()) => Ok(()),
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            cli::tell(format_args!("nm-dump: {file}: nobody reads it any more"));
            Ok(())
        }
        Err(Failure::Write(error)) => Err(failed(error)),
        Err(Failure::Port(reason)) => Err(format!("{spec}: {reason}")),
        Err(Failure::Unknown(reason)) => Err(reason),
    }
}

/// Says how many packets there were.
fn print(args: &Args, summary: &Summary) -> Result<(), String> {
    cli::tell(format_args!(
        "{} packets of {} octets written, {} of them shortened; {} dropped by the port",
        summary.packets, summary.bytes, summary.shortened, summary.dropped
    ));
    if args.json {
        let json = serde_json::to_string(summary).map_err(|error| error.to_string())?;
        match args.is_standard_output() {
            true => cli::tell(format_args!("{json}")),
            false => cli::print(&format!("{json}\n"))?,
        }
    }
    Ok(())
}
