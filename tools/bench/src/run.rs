// SPDX-License-Identifier: BSD-2-Clause
//! The loops that are timed, the same for all interfaces.

use crate::payload::{Sink, Source};
use bench::clock;
use std::io;
use std::time::{Duration, Instant};

/// The sending side of an interface.
pub trait Sender {
    /// Queues up to `count` frames and makes the system call that sends them; returns how many were queued.
    ///
    /// Blocks if there is no room at all.
    ///
    /// # Errors
    ///
    /// The system call's.
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32>;

    /// Waits until all frames have left.
    ///
    /// # Errors
    ///
    /// The system call's.
    fn finish(&mut self) -> io::Result<()>;
}

/// The receiving side of an interface.
pub trait Receiver {
    /// Takes up to `count` frames with one system call; returns how many came.
    ///
    /// If there is none, waits for `patience` at most.
    ///
    /// # Errors
    ///
    /// The system call's.
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32>;
}

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Frames.
    pub count: u64,
    /// Frames per system call, where the interface can.
    pub batch: u32,
    /// Frames that may be under way from sender to receiver, if one program does both.
    pub window: u64,
    /// How long a receiver waits for the next frame.
    pub patience: Duration,
}

/// Times of a run, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Before the first frame (sending), after the first (receiving).
    pub start: u64,
    /// After the last.
    pub end: u64,
}

/// Sends all frames.
///
/// # Errors
///
/// The sender's.
pub fn tx<const LEN: usize>(
    sender: &mut impl Sender,
    source: &mut Source<LEN>,
    plan: &Plan,
) -> io::Result<Times> {
    let start = clock::now();
    let mut left = plan.count;
    while left != 0 {
        left -= u64::from(sender.send(source, batch(plan, left))?);
    }
    sender.finish()?;
    Ok(Times {
        start,
        end: clock::now(),
    })
}

/// Receives until all frames have come, or none for as long as patience lasts.
///
/// # Errors
///
/// The receiver's. The first frame is waited for without limit.
pub fn rx<const LEN: usize>(
    receiver: &mut impl Receiver,
    sink: &mut Sink<LEN>,
    plan: &Plan,
) -> io::Result<Times> {
    while sink.packets() == 0 {
        receiver.receive(sink, batch(plan, plan.count), Some(plan.patience))?;
    }
    let start = clock::now();
    let mut end = start;
    while sink.expected < plan.count {
        if receiver.receive(sink, plan.batch, Some(plan.patience))? == 0 {
            break;
        }
        end = clock::now();
    }
    Ok(Times { start, end })
}

/// Sends and receives by turns, so that the two never run at the same time nor wait for a scheduler.
///
/// # Errors
///
/// The sender's and the receiver's.
pub fn pair<const LEN: usize>(
    sender: &mut impl Sender,
    receiver: &mut impl Receiver,
    source: &mut Source<LEN>,
    sink: &mut Sink<LEN>,
    plan: &Plan,
) -> io::Result<Times> {
    let start = clock::now();
    let mut left = plan.count;
    while left != 0 {
        left -= u64::from(sender.send(source, batch(plan, left))?);
        receiver.receive(sink, plan.batch, None)?;
        while source.next - sink.expected > plan.window {
            if receiver.receive(sink, plan.batch, Some(plan.patience))? == 0 {
                // What has not come by now is lost.
                sink.lost += source.next - sink.expected;
                sink.expected = source.next;
            }
        }
    }
    sender.finish()?;
    let mut end = clock::now();
    let asked = Instant::now();
    while sink.expected < source.next && asked.elapsed() < plan.patience * 2 {
        if receiver.receive(sink, plan.batch, Some(plan.patience))? == 0 {
            break;
        }
        end = clock::now();
    }
    Ok(Times { start, end })
}

/// Frames for the next system call.
fn batch(plan: &Plan, left: u64) -> u32 {
    // No more than the batch, which is 32 bits.
    left.min(u64::from(plan.batch)) as u32
}
