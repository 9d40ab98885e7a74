// SPDX-License-Identifier: BSD-2-Clause
//! `nm-lb`: spreads the packets that a port receives over pipes, by flow.
//!
//! The port and its pipes share a memory region, so that packets go to the last group of pipes without a copy. What goes to
//! several groups is copied for the others: a pipe gives the buffer away.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod balancer;
mod flow;
mod overflow;
mod statistics;

use args::Args;
use balancer::Balancer;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use netmap::abi::NR_NO_TX_POLL;
use netmap::{Options, Port, PortSpec};
use rustix::event::Timespec;
use statistics::{Counts, Names, Reporter, Syslog};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

/// A signal may come just before a sleep: how long that lasts at most.
const LOOK: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok((counts, failure)) => {
            let all = counts.all_pipes();
            let total = all.packets + all.dropped;
            let text = match args.json {
                true => format!(
                    "{}\n",
                    serde_json::json!({ "forwarded": all.packets, "dropped": all.dropped, "total": total })
                ),
                false => format!(
                    "{} packets forwarded.  {} packets dropped. Total {total}\n",
                    all.packets, all.dropped
                ),
            };
            if let Err(reason) = cli::print(&text) {
                cli::tell(format_args!("nm-lb: {reason}"));
                return ExitCode::FAILURE;
            }
            if counts.endless != 0 {
                cli::tell(format_args!(
                    "nm-lb: {} packets without an end",
                    counts.endless
                ));
            }
            match failure {
                None => ExitCode::SUCCESS,
                Some(reason) => {
                    cli::tell(format_args!("nm-lb: {reason}"));
                    ExitCode::FAILURE
                }
            }
        }
        Err(reason) => {
            cli::tell(format_args!("nm-lb: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Carries packets until a signal comes; what was counted, and why it ended if that was not to be.
fn run(args: &Args) -> Result<(Counts, Option<String>), String> {
    let stop = cli::stop_on_signals()?;
    let (mut balancer, names) = open(args)?;
    let mut reports = reports(args, &names)?;
    let start = Instant::now();
    cli::wait_for_link(args.wait_link, &stop);
    balancer.set_header(cli::virtio_header(&args.interface)?);
    let carried = carry(args, &stop, start, &mut balancer, &mut reports);
    Ok((balancer.close(), carried.err()))
}

/// Carries packets until a signal comes.
fn carry(
    args: &Args,
    stop: &AtomicBool,
    start: Instant,
    balancer: &mut Balancer,
    reports: &mut [Report],
) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        let elapsed = start.elapsed();
        let due = reports.iter().map(|report| report.reporter.due_in(elapsed));
        let limit = match args.busy_wait {
            true => Duration::ZERO,
            false => due.fold(LOOK, Duration::min),
        };
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: limit.subsec_nanos().into(),
        };
        balancer.wait(limit).map_err(|error| lost(args, &error))?;
        balancer.carry().map_err(|error| lost(args, &error))?;
        for report in &mut *reports {
            report.tell(start.elapsed(), balancer)?;
        }
    }
    Ok(())
}

fn lost(args: &Args, error: &std::io::Error) -> String {
    format!("{}: {}", args.interface, cli::lost(error))
}

/// Opens the port and its pipes.
fn open(args: &Args) -> Result<(Balancer, Names), String> {
    let open = |spec: &PortSpec, options: &Options| {
        Port::open(spec, options).map_err(|error| cli::open_failure(&error))
    };
    let options = Options {
        extra_bufs: args.extra_bufs,
        flags: NR_NO_TX_POLL,
        ..Options::default()
    };
    let mut input = open(&args.interface, &options)?;
    if input.rx_mut().is_empty() {
        return Err(format!(
            "{}: the port has no receive ring; leave out /T",
            args.interface
        ));
    }
    let granted = input.extra_bufs_mut().len();
    if granted < args.extra_bufs as usize {
        cli::tell(format_args!(
            "nm-lb: {granted} extra buffers of {}",
            args.extra_bufs
        ));
    }
    let names = args
        .pipe_names(input.info().mem_id)
        .map_err(|error| error.to_string())?;
    let mut groups = Vec::new();
    for group in &names {
        let mut pipes = Vec::new();
        for name in group {
            let mut pipe = open(name, &Options::default())?;
            if pipe.tx_mut().is_empty() || !pipe.shares_region(&input) {
                return Err(format!(
                    "{name}: the pipe is there already, in another memory region: end the programs that use it"
                ));
            }
            pipes.push(pipe);
        }
        groups.push(pipes);
    }
    let names = Names {
        port: args.interface.to_string(),
        pipes: names.iter().flatten().map(PortSpec::to_string).collect(),
    };
    Ok((Balancer::new(input, groups, args.batch), names))
}

/// Statistics that go somewhere.
struct Report {
    reporter: Reporter,
    /// Standard output if none.
    syslog: Option<Syslog>,
}

fn reports(args: &Args, names: &Names) -> Result<Vec<Report>, String> {
    let report = |interval: Duration, syslog| Report {
        reporter: Reporter::new(names.clone(), interval),
        syslog,
    };
    let mut reports = Vec::new();
    if !args.stdout_interval.is_zero() {
        reports.push(report(args.stdout_interval, None));
    }
    if !args.syslog_interval.is_zero() {
        let syslog = Syslog::open().map_err(|error| format!("/dev/log: {error}"))?;
        reports.push(report(args.syslog_interval, Some(syslog)));
    }
    Ok(reports)
}

impl Report {
    /// Tells what was counted, if it is time.
    fn tell(&mut self, elapsed: Duration, balancer: &Balancer) -> Result<(), String> {
        if !self.reporter.due_in(elapsed).is_zero() {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs_f64();
        for line in self.reporter.lines(now, elapsed, &balancer.counts()) {
            match &self.syslog {
                Some(syslog) => syslog.say(&line),
                None => cli::print(&format!("{line}\n"))?,
            }
        }
        Ok(())
    }
}
