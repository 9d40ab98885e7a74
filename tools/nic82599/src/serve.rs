// SPDX-License-Identifier: BSD-2-Clause
//! `nic82599 serve`: ports, cables and threads.

use crate::args::{PortSpec, Serve};
use nic82599::cable::{Cable, End};
use nic82599::clock::Clock;
use nic82599::control;
use nic82599::device::{Device, Settings};
use nic82599::operator::Operator;
use nic82599::ring::Delays;
use nic82599::rules::{Mode, Rules};
use nic82599::server;
use nic82599::wire::{Properties, Tap};
use nic82599::worker::{Port, SharedTap};
use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Exit status if a driver broke a rule.
const BROKEN: u8 = 3;
/// How often a signal to end is looked for.
const POLL: Duration = Duration::from_millis(100);

/// Serves until all clients have gone, or a signal asks to end.
pub fn run(args: &Serve) -> Result<ExitCode, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
    }
    let ports = make_ports(args)?;
    if let Some(path) = &args.control {
        let operator = Arc::new(Operator::new(ports.clone()));
        control::serve(path, operator)
            .map_err(|error| format!("cannot listen at {}: {error}", path.display()))?;
    }
    let (ended, endings) = channel();
    // All listen before the first says so: QEMU connects to each as it starts.
    let mut servers = Vec::new();
    for spec in &args.ports {
        let server = server::listen(&spec.socket)
            .map_err(|error| format!("cannot listen at {}: {error}", spec.socket.display()))?;
        servers.push(server);
    }
    let lockstep = args.lockstep;
    for (port, server) in ports.iter().zip(servers) {
        let worker = Arc::clone(port);
        std::thread::spawn(move || worker.work());
        let (port, ended) = (Arc::clone(port), ended.clone());
        std::thread::spawn(move || {
            let served = server::serve(&server, &port, lockstep);
            // The receiver waits for all of these.
            let _ = ended.send(served.err().map(|error| error.to_string()));
        });
    }
    println!("ready");
    drop(ended);
    let mut left = ports.len();
    let failure = || ports.iter().find_map(|port| port.failure());
    while left > 0 && failure().is_none() && !stop.load(Ordering::Relaxed) {
        match endings.recv_timeout(POLL) {
            Ok(error) => {
                left -= 1;
                if let Some(error) = error {
                    eprintln!("nic82599: a client's connection failed: {error}");
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for spec in &args.ports {
        // It is gone already if its client is.
        let _ = std::fs::remove_file(&spec.socket);
    }
    if let Some(path) = &args.control {
        let _ = std::fs::remove_file(path);
    }
    if let Some(reason) = failure() {
        return Err(reason.to_owned());
    }
    Ok(report(&ports))
}

/// Prints what each port's driver broke.
fn report(ports: &[Arc<Port>]) -> ExitCode {
    let mut total = 0;
    for (number, port) in ports.iter().enumerate() {
        port.stop();
        port.with(|device, _| {
            for (rule, count) in device.rules.report() {
                println!("port {number}: {rule:?} {count}");
            }
            total += device.rules.total();
        });
    }
    println!("violations {total}");
    if total == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BROKEN)
    }
}

fn make_ports(args: &Serve) -> Result<Vec<Arc<Port>>, String> {
    let violations = args.violations.as_deref().map(create).transpose()?;
    let tap = args.tap.as_deref().map(make_tap).transpose()?;
    let clock = if args.lockstep {
        Clock::lockstep()
    } else {
        Clock::host()
    };
    let mut ports: Vec<Arc<Port>> = Vec::new();
    for (number, spec) in args.ports.iter().enumerate() {
        let log = violations.as_ref().map(File::try_clone).transpose();
        let log = log.map_err(|error| format!("cannot write the violations' file: {error}"))?;
        let device = Device::new(settings(args, spec, number, log));
        let near: Vec<usize> = (0..number)
            .filter(|&n| spec.link.is_some() && args.ports[n].link == spec.link)
            .collect();
        let port = match near[..] {
            [] => {
                let cable = Cable::new(Properties {
                    rate: args.rate,
                    ..Properties::default()
                });
                cable.shine(End::B, true);
                Port::new(device, Arc::new(cable), End::A, tap.clone(), clock.clone())
            }
            [peer] => {
                let peer = &ports[peer];
                let port = Port::new(
                    device,
                    peer.shared_cable(),
                    End::B,
                    tap.clone(),
                    clock.clone(),
                );
                port.join(peer);
                peer.join(&port);
                port
            }
            _ => return Err("a cable has two ends".into()),
        };
        ports.push(port);
    }
    Ok(ports)
}

/// [`Delays::patience`] of cards that a machine drives, in nanoseconds.
const PATIENCE: u64 = 50_000_000;

fn settings(args: &Serve, spec: &PortSpec, number: usize, log: Option<File>) -> Settings {
    let mode = if args.lenient {
        Mode::Lenient
    } else {
        Mode::Strict
    };
    let mut rules = Rules::new(mode, &format!("port {number}"), log);
    rules.detect(args.detect);
    let delays = if args.lockstep {
        Delays::NONE
    } else {
        Delays {
            fetch: args.fetch_delay,
            writeback: args.writeback_delay,
            patience: PATIENCE,
            ..Delays::SILICON
        }
    };
    Settings {
        model: spec.model,
        port: (number % 2) as u8,
        mac: spec
            .mac
            .unwrap_or([0x02, 0x82, 0x59, 0x90, 0, number as u8]),
        delays,
        rules,
    }
}

fn create(path: &Path) -> Result<File, String> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn make_tap(path: &Path) -> Result<SharedTap, String> {
    let file = File::create(path).and_then(|file| Tap::new(BufWriter::new(file)));
    let tap = file.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(Arc::new(Mutex::new(tap)))
}
