// SPDX-License-Identifier: BSD-2-Clause
//! `nm-pkt-gen`: sends, receives and echoes packets through netmap ports.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod addresses;
mod args;
mod contradictions;
mod dump;
mod ping;
mod receiver;
mod report;
mod sender;
mod sequence;
mod source;
mod worker;

use args::{Args, Function};
use capture::Capture;
use cli::Amount;
use core::sync::atomic::AtomicBool;
use frame::{Mac, Udp};
use netmap::{abi, Control, Port, PortSpec, Rings};
use receiver::Check;
use report::{Counters, Rates, SequenceReport, Summary, Totals};
use std::fs::File;
use std::process::ExitCode;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use worker::{Failure, Outcome, Worker};

/// Exit status if `--check` found a corrupt or a repeated packet.
const CHECK_FAILED: u8 = 3;

/// Exit status if the command line is wrong.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = match cli::parse::<Args>().complete() {
        Ok(args) => Arc::new(args),
        Err(reason) => {
            cli::tell(format_args!(
                "nm-pkt-gen: {reason}; nm-pkt-gen --help tells more"
            ));
            return ExitCode::from(USAGE);
        }
    };
    match run(&args) {
        Ok(summary) => finish(&args, &summary),
        Err(reason) => {
            cli::tell(format_args!("nm-pkt-gen: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Opens the ports, runs the workers and reports until the last one has ended.
fn run(args: &Arc<Args>) -> Result<Summary, String> {
    let ends = args.ends()?;
    let file = read_file(args)?;
    let stop = cli::stop_on_signals()?;
    let ports = open_ports(args)?;
    let virtio_header = virtio_header(args)?;
    let udp = Udp {
        src_mac: args
            .source_mac
            .unwrap_or_else(|| own_mac(args.interface.name())),
        dst_mac: args.destination_mac,
        src: ends.0.first(),
        dst: ends.1.first(),
    };
    cli::wait_for_link(args.wait_link(), &stop);
    let check = Arc::new(Mutex::new(Check::default()));
    let counters: Vec<Arc<Counters>> = ports.iter().map(|_| Arc::default()).collect();
    let (ended, endings) = channel();
    for (index, port) in (0..).zip(ports) {
        let worker = Worker {
            args: Arc::clone(args),
            index,
            quota: quota(args, index),
            udp,
            ends,
            virtio_header,
            stop: Arc::clone(&stop),
            counters: Arc::clone(&counters[usize::from(index)]),
            file: file.clone(),
            check: Arc::clone(&check),
        };
        let ended = ended.clone();
        std::thread::spawn(move || {
            // The reporter outlives the workers.
            let _ = ended.send((index, work(port, &worker)));
        });
    }
    drop(ended);
    let endings = report_until_done(args, &counters, &endings, &stop);
    let check = check.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(summarize(args, &counters, endings, &check))
}

/// The packets of `-P`, of which there must be some.
fn read_file(args: &Args) -> Result<Option<Arc<Capture>>, String> {
    let Some(path) = &args.packet_file else {
        return Ok(None);
    };
    let name = path.display();
    let file = File::open(path).map_err(|error| format!("{name}: {error}"))?;
    let capture = Capture::read(file).map_err(|error| format!("{name}: {error}"))?;
    if capture.is_empty() {
        return Err(format!("{name}: there are no packets in the file"));
    }
    Ok(Some(Arc::new(capture)))
}

/// One port for a single worker, one ring pair each for several.
fn open_ports(args: &Args) -> Result<Vec<Port>, String> {
    let specs: Vec<PortSpec> = match args.threads {
        1 => vec![args.interface.clone()],
        threads if args.interface.rings() == Rings::Nic => (0..threads)
            .map(|ring| args.interface.with_rings(Rings::OneNic(ring)))
            .collect(),
        _ => return Err("several threads need a port name without ring selection".to_owned()),
    };
    let mut options = args.config.unwrap_or_default();
    options.flags |= abi::NR_ACCEPT_VNET_HDR;
    let mut ports = Vec::new();
    for spec in specs {
        let mut port = Port::open(&spec, &options).map_err(|error| cli::open_failure(&error))?;
        if args.verbose > 0 {
            let info = *port.info();
            let (tx, rx) = (port.tx_mut().len(), port.rx_mut().len());
            cli::tell(format_args!(
                "{spec}: bound {tx} tx and {rx} rx rings; {} tx slots, {} rx slots, region {} of {} KiB",
                info.tx_slots,
                info.rx_slots,
                info.mem_id,
                info.mem_size / 1024
            ));
        }
        ports.push(port);
    }
    Ok(ports)
}

/// Octets of the virtio-net header that packets of the port have, after it was set as the command line says.
fn virtio_header(args: &Args) -> Result<usize, String> {
    let Some(octets) = args.virtio_header.filter(|octets| *octets != 0) else {
        return cli::virtio_header(&args.interface);
    };
    let control = Control::open().map_err(|error| format!("/dev/netmap: {error}"))?;
    let set = control.set_header(args.interface.name(), octets);
    set.map_err(|error| {
        format!(
            "{}: a virtio-net header: {error}; ports of switches can have one",
            args.interface
        )
    })?;
    Ok(octets as usize)
}

/// The interface's own address; for a port that is no interface, one that no NIC has.
fn own_mac(name: &str) -> Mac {
    let interface = name.split(['{', '}']).next().unwrap_or(name);
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address"));
    text.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(Mac([2, 0, 0, 0, 0, 1]))
}

/// A worker's share of the count: the first ones take what an even division leaves over.
fn quota(args: &Args, index: u16) -> u64 {
    let threads = u64::from(args.threads);
    match args.count {
        0 => u64::MAX,
        count => count / threads + u64::from(u64::from(index) < count % threads),
    }
}

/// Does a worker's share; what came of it, and why it ended if that was too early.
fn work(mut port: Port, worker: &Worker) -> (Outcome, Result<(), Failure>) {
    let mut outcome = Outcome::default();
    let result = pin_worker(worker).and_then(|()| {
        let run = match worker.args.function {
            Function::Tx => sender::run,
            Function::Rx => receiver::run,
            Function::Ping => ping::ping,
            Function::Pong => ping::pong,
            Function::Txseq => sequence::send,
            Function::Rxseq => sequence::receive,
        };
        run(&mut port, worker, &mut outcome)
    });
    // Where it failed, that is until the last packet.
    outcome.span = outcome.span.or(worker.counters.span());
    (outcome, result)
}

/// Binds a worker to its CPU, if it has one.
fn pin_worker(worker: &Worker) -> Result<(), Failure> {
    match worker.args.affinity {
        Some(first) => pin(first, usize::from(worker.index), worker.args.cpus),
        None => Ok(()),
    }
}

/// Binds the calling thread to CPU `first + index`, counted around after `cpus` of them.
fn pin(first: usize, index: usize, cpus: usize) -> Result<(), Failure> {
    let online = std::thread::available_parallelism()?.get();
    let cpus = if cpus == 0 { online } else { cpus.min(online) };
    let mut set = rustix::thread::CpuSet::new();
    let cpu = if index == 0 {
        first
    } else {
        (first + index) % cpus
    };
    if cpu >= rustix::thread::CpuSet::MAX_CPU {
        return Err(Failure::Unfit(format!("there is no CPU {cpu}")));
    }
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| Failure::Unfit(format!("cannot run on CPU {cpu}: {error}")))
}

type Ending = (u16, (Outcome, Result<(), Failure>));

/// Prints rates until every worker has ended; a worker that fails ends the others.
fn report_until_done(
    args: &Args,
    counters: &[Arc<Counters>],
    endings: &Receiver<Ending>,
    stop: &AtomicBool,
) -> Vec<Ending> {
    let mut done = Vec::new();
    let mut rates = Rates::new(args.plain, args.count, args.average);
    let mut due = Instant::now() + args.report;
    loop {
        match endings.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(ending) => {
                if let (index, (_, Err(failure))) = &ending {
                    cli::tell(format_args!("nm-pkt-gen: thread {index}: {failure}"));
                    stop.store(true, core::sync::atomic::Ordering::Relaxed);
                }
                done.push(ending);
            }
            Err(RecvTimeoutError::Timeout) => {
                cli::tell(format_args!(
                    "{}",
                    rates.line(Totals::of(counters.iter().map(Arc::as_ref)))
                ));
                due += args.report;
            }
            Err(RecvTimeoutError::Disconnected) => return done,
        }
    }
}

fn summarize(
    args: &Args,
    counters: &[Arc<Counters>],
    endings: Vec<Ending>,
    check: &Check,
) -> Summary {
    let totals = Totals::of(counters.iter().map(Arc::as_ref));
    let errors = endings
        .iter()
        .filter(|(_, (_, result))| result.is_err())
        .count() as u64;
    // A worker that is gone without a word has panicked.
    let errors = errors + (counters.len() - endings.len()) as u64;
    let outcomes: Vec<Outcome> = endings
        .into_iter()
        .map(|(_, (outcome, _))| outcome)
        .collect();
    let unsent = |amount: fn(&Amount) -> u64| -> u64 {
        outcomes.iter().map(|outcome| amount(&outcome.unsent)).sum()
    };
    // They are no more than what was counted as sent.
    let unsent_packets = unsent(|amount| amount.packets);
    let packets = totals.packets.saturating_sub(unsent_packets);
    let bytes = totals.octets.saturating_sub(unsent(|amount| amount.octets));
    let spans = outcomes.iter().filter_map(|outcome| outcome.span);
    let span = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
    let seconds = span.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    Summary {
        function: args.function.name(),
        port: args.interface.to_string(),
        threads: args.threads,
        packets,
        bytes,
        batches: totals.batches,
        unsent: unsent_packets,
        drops: counters.iter().map(|counters| counters.drops()).sum(),
        errors,
        seconds,
        pps: if seconds > 0.0 {
            packets as f64 / seconds
        } else {
            0.0
        },
        sequence: outcomes
            .iter()
            .filter_map(|outcome| outcome.sequence)
            .reduce(SequenceReport::and),
        check: (args.check && args.function == Function::Rx).then(|| check.report()),
        ping: outcomes.into_iter().find_map(|outcome| outcome.ping),
    }
}

fn finish(args: &Args, summary: &Summary) -> ExitCode {
    let text = summary.text(args.plain);
    let printed = match args.json {
        true => {
            cli::tell(format_args!("{text}"));
            let json = serde_json::to_string(summary).map_err(|error| error.to_string());
            json.and_then(|json| cli::print(&format!("{json}\n")))
        }
        false => cli::print(&format!("{text}\n")),
    };
    if let Err(reason) = printed {
        cli::tell(format_args!("nm-pkt-gen: {reason}"));
        return ExitCode::FAILURE;
    }
    if summary.errors != 0 || dump::has_failed() {
        return ExitCode::FAILURE;
    }
    match &summary.check {
        Some(check) if check.is_failure() => ExitCode::from(CHECK_FAILED),
        _ => ExitCode::SUCCESS,
    }
}
