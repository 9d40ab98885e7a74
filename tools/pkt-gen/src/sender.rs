// SPDX-License-Identifier: BSD-2-Clause
//! Sending.

use crate::args::Args;
use crate::worker::{Failure, Outcome, Worker};
use capture::Capture;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::ops::Range;
use core::sync::atomic::AtomicBool;
use frame::Udp;
use netmap::abi::{NS_BUF_CHANGED, NS_REPORT};
use netmap::{Binding, Interest, Port, TxRing};
use std::time::{Duration, Instant};

/// What fills the payload.
const PAYLOAD: &[u8] = b"netmap: packets at the speed of the link. ";

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
    let mut lanes: Vec<Lane<'_>> = rings.iter_mut().map(Lane::new).collect();
    for lane in &lanes {
        source.check_fit(lane.ring)?;
    }
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

/// A ring and how many of its buffers have never been written.
struct Lane<'r> {
    ring: &'r mut TxRing,
    blank: u32,
}

impl<'r> Lane<'r> {
    fn new(ring: &'r mut TxRing) -> Self {
        let blank = ring.num_slots();
        Lane { ring, blank }
    }
}

/// What packets are.
enum Content<'w> {
    /// The same, but for addresses.
    Same(Vec<u8>),
    /// Of one of these lengths at random, and made anew for each: all of them together may be gigabytes.
    Random(Range<usize>),
    /// Those of a file in turn, of which this is the next.
    File(&'w Capture, usize),
}

/// Makes the packets.
struct Source<'w> {
    args: &'w Args,
    stop: &'w AtomicBool,
    stream: u16,
    sequence: u64,
    udp: Udp,
    varies: bool,
    content: Content<'w>,
}

impl<'w> Source<'w> {
    fn new(worker: &'w Worker) -> Result<Self, Failure> {
        let args = &worker.args;
        let lengths = args.random_lengths().map_err(Failure::Unfit)?;
        let least = lengths
            .as_ref()
            .map_or(args.length(), |lengths| lengths.start);
        if args.check && least < frame::STAMPED_MIN {
            let reason = format!(
                "--check needs packets of {} octets or more",
                frame::STAMPED_MIN
            );
            return Err(Failure::Unfit(reason));
        }
        let frame = |length| {
            let frame = worker.udp.frame(length, PAYLOAD);
            frame.map_err(|error| Failure::Unfit(error.to_string()))
        };
        Ok(Source {
            args,
            stop: &worker.stop,
            stream: worker.index,
            sequence: 0,
            udp: worker.udp,
            varies: args.random_source
                || args.random_destination
                || !(args.source.is_single() && args.destination.is_single()),
            content: match (worker.file.as_deref(), lengths) {
                (Some(file), _) => Content::File(file, 0),
                (None, Some(lengths)) => {
                    // If the shortest and the longest can be, all can.
                    frame(lengths.start)?;
                    frame(lengths.end - 1)?;
                    Content::Random(lengths)
                }
                (None, None) => Content::Same(frame(args.length())?),
            },
        })
    }

    fn check_fit(&self, ring: &TxRing) -> Result<(), Failure> {
        let longest = match &self.content {
            Content::Same(frame) => frame.len(),
            Content::Random(lengths) => lengths.end - 1,
            Content::File(file, _) => file
                .frames()
                .map(|frame| frame.octets.len())
                .max()
                .unwrap_or(0),
        };
        if longest > ring.buf_size() as usize {
            let reason = format!(
                "packets of {longest} octets do not fit buffers of {}",
                ring.buf_size()
            );
            return Err(Failure::Unfit(reason));
        }
        Ok(())
    }

    /// Moves the source address on, and the destination address whenever the source starts over.
    fn next_addresses(&mut self) {
        let (src, wrapped) = self.args.source.next(self.udp.src);
        self.udp.src = src;
        if wrapped {
            self.udp.dst = self.args.destination.next(self.udp.dst).0;
        }
        if self.args.random_source {
            self.udp.src = random_address();
        }
        if self.args.random_destination {
            self.udp.dst = random_address();
        }
    }

    /// Fills up to `limit` slots; returns how many, and the octets in them.
    fn fill(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        match &self.content {
            Content::Same(_) => self.fill_same(lane, limit),
            Content::Random(_) | Content::File(..) => self.fill_others(lane, limit),
        }
    }

    /// [`Self::fill`] with packets each of which is another one.
    fn fill_others(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        let count = limit.min(lane.ring.space());
        let (mut left, mut octets) = (count, 0);
        lane.ring.fill(count, |slot| {
            left -= 1;
            let len = self.put_next(slot.buf_mut());
            if self.args.dump {
                crate::dump::print(&slot.buf_mut()[..len], self.stop);
            }
            octets += len as u64;
            // As in `fill_same`.
            slot.set(len as u16, if left == 0 { NS_REPORT } else { 0 });
        });
        (count, octets)
    }

    /// Writes the next packet into a buffer that is long enough; how many octets.
    fn put_next(&mut self, buffer: &mut [u8]) -> usize {
        let made;
        let packet = match &mut self.content {
            Content::Same(frame) => &frame[..],
            Content::Random(lengths) => {
                let length = fastrand::usize(lengths.clone());
                // That it can be was checked at the start.
                made = self.udp.frame(length, PAYLOAD).unwrap_or_default();
                &made[..]
            }
            Content::File(file, next) => {
                let frame = file.frame(*next);
                *next = (*next + 1) % file.len();
                frame.map_or(&[][..], |frame| frame.octets)
            }
        };
        let packet_len = packet.len();
        buffer[..packet_len].copy_from_slice(packet);
        if self.varies {
            self.next_addresses();
        }
        if self.args.check {
            frame::stamp(&mut buffer[..packet_len], self.stream, self.sequence);
            self.sequence += 1;
        }
        packet_len
    }

    /// [`Self::fill`] with packets that are the same, but for addresses and numbers.
    fn fill_same(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        let Content::Same(frame) = &mut self.content else {
            return (0, 0);
        };
        // It is put back below: what makes the next addresses borrows all of this.
        let mut frame = core::mem::take(frame);
        // Its buffers keep their contents from one turn of the ring to the next: they are written once, unless
        // every packet is another one.
        let always = self.args.copy || self.varies;
        let len = frame.len();
        let count = limit.min(lane.ring.space());
        let mut left = count;
        let blank = &mut lane.blank;
        lane.ring.fill(count, |slot| {
            left -= 1;
            if self.varies {
                self.udp.readdress(&mut frame);
                self.next_addresses();
            }
            if always || *blank != 0 || slot.flags() & NS_BUF_CHANGED != 0 {
                *blank = blank.saturating_sub(1);
                slot.buf_mut()[..len].copy_from_slice(&frame);
            }
            if self.args.check {
                frame::stamp(&mut slot.buf_mut()[..len], self.stream, self.sequence);
                self.sequence += 1;
            }
            if self.args.dump {
                crate::dump::print(&slot.buf_mut()[..len], self.stop);
            }
            // Lengths are bounded by the buffer's. The last slot of a batch is reported, so that a ring that
            // nobody fills again drains.
            slot.set(len as u16, if left == 0 { NS_REPORT } else { 0 });
        });
        self.content = Content::Same(frame);
        (count, u64::from(count) * len as u64)
    }
}

/// Any address and port.
fn random_address() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(fastrand::u32(..)), fastrand::u16(..))
}
