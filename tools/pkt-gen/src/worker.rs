// SPDX-License-Identifier: BSD-2-Clause
//! What the functions have in common: a port, a share of the work, a way to stop.

use crate::addresses::Range;
use crate::args::Args;
use crate::receiver::Check;
use crate::report::{Counters, PingReport, SequenceReport};
use capture::Capture;
use cli::Amount;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use frame::Udp;
use netmap::{Binding, Interest, Ready};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a wait lasts at most, so that a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why a worker gave up.
#[derive(Debug)]
pub enum Failure {
    /// The kernel has given up the port.
    Lost,
    /// A system call failed.
    Io(io::Error),
    /// The port cannot do what was asked for.
    Unfit(String),
    /// Packets stay in the ring, for longer than any link needs.
    Stuck(Amount),
}

impl Failure {
    /// The port was opened for receiving alone.
    pub fn no_transmit_ring() -> Failure {
        Failure::Unfit("the port has no transmit ring; leave out /R".to_owned())
    }

    /// The port was opened for sending alone.
    pub fn no_receive_ring() -> Failure {
        Failure::Unfit("the port has no receive ring; leave out /T".to_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Lost => f.write_str("the interface is gone"),
            Failure::Io(error) => write!(f, "{error}"),
            Failure::Unfit(reason) => f.write_str(reason),
            Failure::Stuck(unsent) => f.write_str(&cli::stuck(*unsent)),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            // What a sync answers when the NIC is gone.
            Some(6) => Failure::Lost,
            _ => Failure::Io(error),
        }
    }
}

/// What a worker reports at its end, whatever ends it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// From the first packet to the last.
    pub span: Option<(Instant, Instant)>,
    /// What was counted as sent, and has not left.
    pub unsent: Amount,
    /// What a ping found.
    pub ping: Option<PingReport>,
    /// What was found of numbered slots.
    pub sequence: Option<SequenceReport>,
}

/// One worker's share.
pub struct Worker {
    /// The command line.
    pub args: Arc<Args>,
    /// Number of this worker, from 0.
    pub index: u16,
    /// Packets this worker is to handle; `u64::MAX` for no end.
    pub quota: u64,
    /// Addresses of the first packet.
    pub udp: Udp,
    /// Source and destination addresses.
    pub ends: (Range, Range),
    /// Octets before the Ethernet header of each packet.
    pub virtio_header: usize,
    /// Set when the program is to end.
    pub stop: Arc<AtomicBool>,
    /// This worker's counters.
    pub counters: Arc<Counters>,
    /// What is to be sent in place of packets of this program's.
    pub file: Option<Arc<Capture>>,
    /// What `--check` knows, shared by all workers.
    pub check: Arc<Mutex<Check>>,
}

impl Worker {
    /// True if the program is to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for the port, up to `limit` and no longer than a request to stop may wait.
    ///
    /// # Errors
    ///
    /// [`Failure::Lost`] and the wait's own.
    pub fn wait(
        &self,
        binding: &Binding,
        interest: Interest,
        limit: Option<Duration>,
    ) -> Result<Ready, Failure> {
        let timeout = limit.map_or(PATIENCE, |limit| limit.min(PATIENCE));
        let ready = binding.poll(interest, Some(timeout))?;
        if ready.error {
            // That the interface is gone a sync says; a ring that was set back may go on.
            match interest {
                Interest::Tx => binding.sync_tx()?,
                Interest::Rx | Interest::Both => binding.sync_rx()?,
            }
        }
        Ok(ready)
    }

    /// Packets per second of this worker, and how many it sends at once.
    pub fn pace(&self) -> Option<Pace> {
        let threads = u64::from(self.args.threads);
        let rate = self.args.rate?;
        // Bursts of a millisecond's worth at most, so that a low rate is even.
        let burst = (rate / threads / 1000).clamp(1, u64::from(self.args.batch()));
        Some(Pace {
            // No more than the batch, which is 32 bits.
            burst: burst as u32,
            period: Duration::from_nanos(1_000_000_000 * burst * threads / rate),
            due: Instant::now(),
        })
    }
}

/// Bursts at even distances.
pub struct Pace {
    burst: u32,
    period: Duration,
    due: Instant,
}

impl Pace {
    /// Sleeps until the next burst is due, or a request to stop may wait no longer; returns the size of the burst.
    pub fn wait(&mut self, worker: &Worker) -> u32 {
        loop {
            let now = Instant::now();
            let Some(early) = self
                .due
                .checked_duration_since(now)
                .filter(|d| !d.is_zero())
            else {
                break;
            };
            if worker.is_stopped() {
                return 0;
            }
            std::thread::sleep(early.min(PATIENCE));
        }
        self.due += self.period;
        self.burst
    }
}
