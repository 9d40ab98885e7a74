// SPDX-License-Identifier: BSD-2-Clause
//! Sending.

use crate::source::Source;
use crate::worker::{Failure, Outcome, Worker};
use netmap::{Binding, Interest, Port, TxRing};
use std::time::{Duration, Instant};

/// How long queued packets may stay where they are before the link is taken for dead.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Distance between two looks at a ring that drains; no event tells that it is empty.
const DRAIN_STEP: Duration = Duration::from_micros(50);

/// Sends until the quota is used up or the program is stopped, then waits until all has left.
///
/// # Errors
///
/// [`Failure::Unfit`] if the port has no transmit ring or too small buffers, [`Failure::Stuck`] if packets do not
/// leave, [`Failure::Lost`].
pub fn run(port: &mut Port, worker: &Worker) -> Result<Outcome, Failure> {
    let (binding, rings, _) = port.split();
    let mut source = Source::new(worker)?;
    let lanes: Result<Vec<_>, _> = rings.iter_mut().map(|ring| source.lane(ring)).collect();
    let mut lanes = lanes?;
    if lanes.is_empty() {
        return Err(Failure::Unfit("the port has no transmit ring".to_owned()));
    }
    let batch = worker.args.batch();
    let start = Instant::now();
    let mut pace = worker.pace();
    let mut left = worker.quota;
    while left != 0 && !worker.is_stopped() {
        let mut burst = pace.as_mut().map_or(u32::MAX, |pace| pace.wait(worker));
        while burst != 0 && left != 0 && !worker.is_stopped() {
            worker.wait(binding, Interest::Tx, None)?;
            for lane in &mut lanes {
                let limit = u64::from(burst.min(batch)).min(left) as u32;
                let (sent, octets) = source.fill(lane, limit);
                if sent != 0 {
                    worker.counters.add(u64::from(sent), octets);
                    left = left.saturating_sub(u64::from(sent));
                    burst = burst.saturating_sub(sent);
                }
            }
            if pace.is_none() {
                break;
            }
        }
    }
    let rings: Vec<&TxRing> = lanes.iter().map(|lane| &*lane.ring).collect();
    drain(binding, &rings)?;
    Ok(Outcome {
        span: Some((start, Instant::now())),
        ..Outcome::default()
    })
}

/// Waits until the rings are empty.
pub fn drain(binding: &Binding, rings: &[&TxRing]) -> Result<(), Failure> {
    let pending = || rings.iter().map(|ring| ring.pending()).sum::<u32>();
    let mut moved = Instant::now();
    binding.sync_tx()?;
    let mut before = pending();
    while before != 0 {
        std::thread::sleep(DRAIN_STEP);
        binding.sync_tx()?;
        let now = pending();
        if now != before {
            before = now;
            moved = Instant::now();
        } else if moved.elapsed() > DRAIN_LIMIT {
            return Err(Failure::Stuck(now));
        }
    }
    Ok(())
}
