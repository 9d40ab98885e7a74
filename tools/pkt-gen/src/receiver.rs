// SPDX-License-Identifier: BSD-2-Clause
//! Receiving.

use crate::report::CheckReport;
use crate::worker::{Failure, Outcome, Worker};
use frame::{Tracker, Verdict};
use netmap::abi::NS_MOREFRAG;
use netmap::{Binding, Interest, Port, RxRing};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// What `--check` knows.
#[derive(Debug, Default)]
pub struct Check {
    streams: BTreeMap<u16, Tracker>,
    corrupt: u64,
    foreign: u64,
}

impl Check {
    fn note(&mut self, packet: &[u8]) {
        match frame::check(packet) {
            Verdict::Foreign => self.foreign += 1,
            Verdict::Corrupt => self.corrupt += 1,
            Verdict::Whole { stream, sequence } => {
                self.streams.entry(stream).or_default().note(sequence)
            }
        }
    }

    /// The counts over all streams.
    pub fn report(&self) -> CheckReport {
        let mut report = CheckReport {
            corrupt: self.corrupt,
            foreign: self.foreign,
            ..CheckReport::default()
        };
        for (&stream, tracker) in &self.streams {
            if let Some(range) = tracker.range() {
                report.add(stream, range, tracker.counts());
            }
        }
        report
    }
}

/// Receives and counts packets until the quota is reached, the program is stopped, or silence has lasted long enough.
///
/// # Errors
///
/// [`Failure::Unfit`] if the port has no receive ring, [`Failure::Lost`].
pub fn run(port: &mut Port, worker: &Worker, outcome: &mut Outcome) -> Result<(), Failure> {
    // The packet of each ring whose fragments are arriving.
    let mut partial: Vec<Vec<u8>> = Vec::new();
    receive(port, worker, outcome, |at, ring, limit| {
        partial.resize_with(partial.len().max(at + 1), Vec::new);
        take(ring, &mut partial[at], worker, limit)
    })
}

/// Calls `take` with the number of a ring, the ring, and how many slots it may take of it, until the quota is reached, the program is
/// stopped, or silence has lasted long enough. It returns the packets that it has received, and the octets.
///
/// # Errors
///
/// As for [`run`].
pub fn receive(
    port: &mut Port,
    worker: &Worker,
    outcome: &mut Outcome,
    take: impl FnMut(usize, &mut RxRing, u32) -> (u64, u64),
) -> Result<(), Failure> {
    let (binding, _, rings) = port.split();
    if rings.is_empty() {
        return Err(Failure::no_receive_ring());
    }
    let result = receive_all(binding, rings, worker, take);
    // The slots that were read last are given back: the sender of a pipe waits for that, and who opens its end next would get them
    // again. Of a port that is gone by now there is nothing to give back.
    let _ = binding.sync_rx();
    outcome.span = worker.counters.span();
    result
}

fn receive_all(
    binding: &Binding,
    rings: &mut [RxRing],
    worker: &Worker,
    mut take: impl FnMut(usize, &mut RxRing, u32) -> (u64, u64),
) -> Result<(), Failure> {
    let idle = worker.args.idle();
    let batch = worker.args.batch();
    let mut left = worker.quota;
    while left != 0 && !worker.is_stopped() {
        let ready = worker.wait(binding, Interest::Rx, idle)?;
        if !ready.rx {
            let silence = worker.counters.span().map(|(_, last)| last.elapsed());
            if silence
                .zip(idle)
                .is_some_and(|(silence, idle)| silence >= idle)
            {
                break;
            }
            continue;
        }
        for (at, ring) in rings.iter_mut().enumerate() {
            let limit = u64::from(batch).min(left) as u32;
            let (packets, octets) = take(at, ring, limit);
            // The octets of slots in which no packet ends count, too.
            if packets != 0 || octets != 0 {
                worker.counters.add(packets, octets);
                left = left.saturating_sub(packets);
            }
        }
    }
    Ok(())
}

/// Takes up to `limit` slots; returns the packets that ended in them, and the octets.
fn take(ring: &mut RxRing, partial: &mut Vec<u8>, worker: &Worker, limit: u32) -> (u64, u64) {
    let (mut packets, mut octets) = (0, 0);
    if !worker.args.check && !worker.args.dump {
        ring.drain(limit, |slot| {
            octets += u64::from(slot.len());
            packets += u64::from(slot.flags() & NS_MOREFRAG == 0);
        });
        return (packets, octets);
    }
    let mut check = worker.check.lock().unwrap_or_else(PoisonError::into_inner);
    ring.drain(limit, |slot| {
        octets += u64::from(slot.len());
        let ends = slot.flags() & NS_MOREFRAG == 0;
        if !ends || !partial.is_empty() {
            partial.extend_from_slice(slot.packet());
        }
        if !ends {
            return;
        }
        packets += 1;
        let packet = if partial.is_empty() {
            slot.packet()
        } else {
            &partial[..]
        };
        if worker.args.check {
            check.note(packet.get(worker.virtio_header..).unwrap_or_default());
        }
        if worker.args.dump {
            crate::dump::print(packet, &worker.stop);
        }
        partial.clear();
    });
    (packets, octets)
}
