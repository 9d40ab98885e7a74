// SPDX-License-Identifier: BSD-2-Clause
//! Receiving packets, and writing them.

use crate::args::Args;
use capture::Writer;
use core::sync::atomic::{AtomicBool, Ordering};
use netmap::abi::NETMAP_MAX_FRAGS;
use netmap::{Interest, Port, RxRing};
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a wait lasts at most, so that a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// Their octets, without virtio-net headers.
    pub bytes: u64,
    /// Packets of which something was left out.
    pub shortened: u64,
}

/// Why it ended too early.
#[derive(Debug)]
pub enum Failure {
    /// The file cannot be written.
    Write(io::Error),
    /// The port is lost; in words.
    Port(String),
    /// It is not known what its packets are; in words.
    Unknown(String),
}

/// The time since 1970.
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Receives until a signal comes, the count is reached, or silence has lasted long enough.
pub fn run<W: Write>(
    port: &mut Port,
    args: &Args,
    writer: &mut Writer<W>,
    stop: &AtomicBool,
) -> (Counts, Result<(), Failure>) {
    let mut counts = Counts::default();
    let result = receive(port, args, writer, stop, &mut counts);
    (counts, result)
}

fn receive<W: Write>(
    port: &mut Port,
    args: &Args,
    writer: &mut Writer<W>,
    stop: &AtomicBool,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let (binding, _, rings) = port.split();
    if rings.is_empty() {
        return Err(Failure::Port(
            "the port has no receive ring; leave out /T".to_owned(),
        ));
    }
    let most = if args.count == 0 {
        u64::MAX
    } else {
        args.count
    };
    let lost = |error: io::Error| Failure::Port(cli::lost(&error));
    let header = cli::virtio_header(&args.interface).map_err(Failure::Unknown)?;
    let mut packet = Vec::new();
    let mut heard: Option<Instant> = None;
    let (mut reported, mut report) = (0, Instant::now() + Duration::from_secs(1));
    // What is at the start of the file is seen at once.
    writer.flush().map_err(Failure::Write)?;
    while counts.packets < most && !stop.load(Ordering::Relaxed) {
        let ready = binding.poll(Interest::Rx, Some(PATIENCE)).map_err(lost)?;
        if ready.error {
            // That the interface is gone a sync says; a ring that was set back may go on.
            binding.sync_rx().map_err(lost)?;
        }
        if args.verbose > 0 && Instant::now() >= report {
            cli::tell(format_args!(
                "{} packets, {} in the last second",
                counts.packets,
                counts.packets - reported
            ));
            (reported, report) = (counts.packets, Instant::now() + Duration::from_secs(1));
        }
        if !ready.rx {
            let silence = heard.map(|heard| heard.elapsed());
            if silence
                .zip(args.idle_exit)
                .is_some_and(|(silence, limit)| silence >= limit)
            {
                break;
            }
            continue;
        }
        heard = Some(Instant::now());
        let time = now();
        for ring in rings.iter_mut() {
            while counts.packets < most && take(ring, &mut packet) {
                // A file of Ethernet frames has no place for it.
                let Some(frame) = packet.get(header..) else {
                    continue;
                };
                // No longer than a few dozen buffers.
                let length = frame.len() as u32;
                writer.write(time, length, frame).map_err(Failure::Write)?;
                counts.packets += 1;
                counts.bytes += u64::from(length);
                counts.shortened += u64::from(length > args.snaplen);
            }
        }
        // Who reads a pipe sees packets as they come.
        writer.flush().map_err(Failure::Write)?;
    }
    // The slots that were read last are given back: the sender of a pipe waits for that, and who opens its end next would get them
    // again. Of a port that is gone by now there is nothing to give back.
    let _ = binding.sync_rx();
    Ok(())
}

/// Takes the first packet out of a ring, if all of it is there.
fn take(ring: &mut RxRing, packet: &mut Vec<u8>) -> bool {
    let slots = match ring.first_packet() {
        Some(slots) => slots,
        // More pieces than a packet may have, or than the ring has room for: no end will come.
        None if ring.space() >= NETMAP_MAX_FRAGS.min(ring.num_slots() - 1) => ring.space(),
        None => return false,
    };
    packet.clear();
    ring.drain(slots, |slot| packet.extend_from_slice(slot.packet()));
    true
}
