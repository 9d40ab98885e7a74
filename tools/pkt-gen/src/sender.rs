// SPDX-License-Identifier: BSD-2-Clause
//! Sending.

use crate::source::{Lane, Source};
use crate::worker::{Failure, Outcome, Worker};
use cli::{Queued, Watch};
use netmap::{Binding, Interest, Port, TxRing};
use std::time::{Duration, Instant};

/// How long to wait where there is room, but not enough for the next packet, which nobody tells.
const PAUSE: Duration = Duration::from_millis(1);

/// A transmit ring, and what was queued in it.
pub type Sent<'r> = (&'r TxRing, &'r Queued);

/// Sends until the quota is used up or the program is stopped, then waits until all has left.
///
/// # Errors
///
/// [`Failure::Unfit`] if the port has no transmit ring or too small buffers, [`Failure::Stuck`] if packets do not
/// leave, [`Failure::Lost`].
pub fn run(port: &mut Port, worker: &Worker, outcome: &mut Outcome) -> Result<(), Failure> {
    let (binding, rings, _) = port.split();
    let mut source = Source::new(worker)?;
    let lanes: Result<Vec<_>, _> = rings.iter_mut().map(|ring| source.lane(ring)).collect();
    let mut lanes = lanes?;
    if lanes.is_empty() {
        return Err(Failure::no_transmit_ring());
    }
    let start = Instant::now();
    let result = send(binding, &mut source, &mut lanes, worker);
    let sent: Vec<Sent> = lanes.iter().map(Lane::sent).collect();
    finish(binding, &sent, worker, result, outcome)?;
    outcome.span = Some((start, Instant::now()));
    Ok(())
}

fn send(
    binding: &Binding,
    source: &mut Source<'_>,
    lanes: &mut [Lane<'_>],
    worker: &Worker,
) -> Result<(), Failure> {
    let batch = worker.args.batch();
    let mut pace = worker.pace();
    let mut watch = Watch::default();
    let mut left = worker.quota;
    while left != 0 && !worker.is_stopped() {
        let mut burst = pace.as_mut().map_or(u32::MAX, |pace| pace.wait(worker));
        while burst != 0 && left != 0 && !worker.is_stopped() {
            worker.wait(binding, Interest::Tx, None)?;
            let mut is_any = false;
            for lane in &mut *lanes {
                let limit = u64::from(burst.min(batch)).min(left) as u32;
                let (sent, octets) = source.fill(lane, limit);
                if sent != 0 {
                    is_any = true;
                    worker.counters.add(u64::from(sent), octets);
                    left = left.saturating_sub(u64::from(sent));
                    burst = burst.saturating_sub(sent);
                }
            }
            if is_any {
                watch.reset();
            } else {
                let sent: Vec<Sent> = lanes.iter().map(Lane::sent).collect();
                no_room(&sent, &mut watch)?;
            }
            if pace.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// What to do where rings have had no room for a packet.
///
/// # Errors
///
/// [`Failure::Stuck`] if that has been so for longer than any link needs.
pub fn no_room(rings: &[Sent<'_>], watch: &mut Watch) -> Result<(), Failure> {
    if watch.is_stuck(rings.iter().map(|(ring, _)| ring.pending()).sum()) {
        return Err(Failure::Stuck(cli::unsent(rings.iter().copied())));
    }
    // A wait does not sleep where there is a slot.
    if rings.iter().any(|(ring, _)| !ring.is_empty()) {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Waits until all has left, if nothing was wrong until now, and notes what has not.
///
/// # Errors
///
/// That of before; [`Failure::Stuck`] if packets do not leave, [`Failure::Lost`].
pub fn finish(
    binding: &Binding,
    rings: &[Sent<'_>],
    worker: &Worker,
    result: Result<(), Failure>,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let only: Vec<&TxRing> = rings.iter().map(|(ring, _)| *ring).collect();
    let drained = match result {
        Ok(()) => cli::drain(binding, &only, &worker.stop).map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    outcome.unsent = cli::unsent(rings.iter().copied());
    match drained? {
        true => Ok(()),
        false => Err(Failure::Stuck(outcome.unsent)),
    }
}
