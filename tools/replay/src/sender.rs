// SPDX-License-Identifier: BSD-2-Clause
//! Sending what a schedule says.

use crate::args::Args;
use crate::schedule::{Departure, Schedule};
use capture::{Capture, Frame};
use cli::{Amount, Queued, Watch};
use core::sync::atomic::{AtomicBool, Ordering};
use netmap::abi::{NETMAP_MAX_FRAGS, NS_MOREFRAG, NS_REPORT};
use netmap::{Binding, Interest, Port, TxRing};
use std::time::{Duration, Instant};

/// How long a wait lasts at most, so that a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets; at the end without those that are still in the ring.
    pub packets: u64,
    /// Their octets.
    pub bytes: u64,
    /// From the start to the last packet.
    pub span: Duration,
    /// Packets that are still in the ring.
    pub unsent: u64,
}

/// A port that packets leave by, all through one ring, so that they stay in order.
pub struct Sender<'p> {
    binding: &'p Binding,
    ring: &'p mut TxRing,
    batch: u32,
    /// Octets of the virtio-net header, of zeros, before each packet.
    header: usize,
    most: u64,
    verbose: bool,
    stop: &'p AtomicBool,
    counts: Counts,
    queued: Queued,
    watch: Watch,
}

impl<'p> Sender<'p> {
    /// Checks that the packets fit.
    ///
    /// # Errors
    ///
    /// In words, if the port has no transmit ring, or a packet is too long for it.
    pub fn new(
        port: &'p mut Port,
        capture: &Capture,
        args: &Args,
        stop: &'p AtomicBool,
    ) -> Result<Self, String> {
        let name = &args.interface;
        let header = cli::virtio_header(name)?;
        let (binding, rings, _) = port.split();
        let ring = rings
            .first_mut()
            .ok_or_else(|| format!("{name}: the port has no transmit ring; leave out /R"))?;
        let slots = NETMAP_MAX_FRAGS.min(ring.num_slots() - 1) as usize;
        let most = (slots * ring.buf_size() as usize).saturating_sub(header);
        if let Some((number, frame)) = (1..)
            .zip(capture.frames())
            .find(|(_, frame)| frame.octets.len() > most)
        {
            return Err(format!(
                "{name}: packet {number} has {} octets, and the port takes {most} at most: leave it out of the file, or use larger buffers",
                frame.octets.len()
            ));
        }
        Ok(Sender {
            queued: Queued::new(ring.num_slots()),
            binding,
            ring,
            batch: args.batch,
            header,
            most: if args.count == 0 {
                u64::MAX
            } else {
                args.count
            },
            verbose: args.verbose > 0,
            stop,
            counts: Counts::default(),
            watch: Watch::default(),
        })
    }

    /// What was sent until now.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends all, or until a signal comes; how many were left out, and why it ended if that was too early.
    pub fn run(&mut self, mut schedule: Schedule<'_>) -> (u64, Option<String>) {
        let result = self.send_all(&mut schedule).and_then(|()| self.drain());
        let unsent = self.unsent();
        self.counts.unsent = unsent.packets;
        self.counts.packets -= unsent.packets;
        self.counts.bytes -= unsent.octets;
        (schedule.lost, result.err())
    }

    fn send_all(&mut self, schedule: &mut Schedule<'_>) -> Result<(), String> {
        let start = Instant::now();
        let mut report = start + Duration::from_secs(1);
        let mut reported = 0;
        let mut next = schedule.next();
        let mut queued = 0;
        while !self.stop.load(Ordering::Relaxed) && self.counts.packets < self.most {
            let Some(departure) = next else { break };
            let now = start.elapsed();
            if self.verbose && start + now >= report {
                cli::tell(format_args!(
                    "{} packets, {} in the last second",
                    self.counts.packets,
                    self.counts.packets - reported
                ));
                reported = self.counts.packets;
                report = start + now + Duration::from_secs(1);
            }
            if let Some(early) = departure
                .at
                .checked_sub(now)
                .filter(|early| !early.is_zero())
            {
                self.sync(&mut queued)?;
                std::thread::sleep(early.min(PATIENCE));
                continue;
            }
            if self.slots(&departure.frame) > self.ring.space() {
                self.wait()?;
                if self.watch.is_stuck(self.ring.pending()) {
                    return Err(cli::stuck(self.unsent()));
                }
                queued = 0;
                continue;
            }
            self.watch.reset();
            next = schedule.next();
            let follows = next.is_some_and(|next| next.at <= now)
                && queued + 1 < self.batch
                && self.counts.packets + 1 < self.most;
            self.put(&departure, !follows);
            self.counts.span = start.elapsed();
            queued += 1;
            if !follows {
                self.sync(&mut queued)?;
            }
        }
        self.sync(&mut queued)
    }

    /// How many slots a packet takes; none if it is empty.
    fn slots(&self, frame: &Frame<'_>) -> u32 {
        let length = match frame.octets.len() {
            0 => 0,
            length => self.header + length,
        };
        // Checked at the start: not more than the ring has.
        length.div_ceil(self.ring.buf_size() as usize) as u32
    }

    /// Writes a packet into the slots that it takes, which there are. Of the last one of a batch is said when it was sent, so that a
    /// ring that nobody fills again drains.
    fn put(&mut self, departure: &Departure<'_>, is_last: bool) {
        let slots = self.slots(&departure.frame);
        if slots == 0 {
            return;
        }
        let mut rest = departure.frame.octets;
        // Buffers are longer than the header.
        let mut header = self.header;
        self.ring.fill(slots, |slot| {
            let buffer = slot.buf_mut();
            let (zeros, room) = buffer.split_at_mut(header);
            zeros.fill(0);
            let (piece, after) = rest.split_at(rest.len().min(room.len()));
            room[..piece.len()].copy_from_slice(piece);
            let length = header + piece.len();
            (header, rest) = (0, after);
            let flags = match (rest.is_empty(), is_last) {
                (false, _) => NS_MOREFRAG,
                (true, true) => NS_REPORT,
                (true, false) => 0,
            };
            // A buffer is no longer than what 16 bits hold, as far as a slot can tell.
            slot.set(length as u16, flags);
        });
        self.counts.packets += 1;
        let octets = departure.frame.octets.len() as u64;
        self.counts.bytes += octets;
        self.queued.push(1, slots, octets);
    }

    /// Sends what is queued.
    fn sync(&self, queued: &mut u32) -> Result<(), String> {
        if *queued != 0 {
            *queued = 0;
            self.binding.sync_tx().map_err(|error| cli::lost(&error))?;
        }
        Ok(())
    }

    /// Waits for room, and sends what is queued on the way.
    fn wait(&self) -> Result<(), String> {
        let ready = self
            .binding
            .poll(Interest::Tx, Some(PATIENCE))
            .map_err(|error| cli::lost(&error))?;
        match ready.error {
            // That the interface is gone a sync says; a ring that was set back may go on.
            true => self.binding.sync_tx().map_err(|error| cli::lost(&error)),
            false => Ok(()),
        }
    }

    /// Waits until all has left. After a signal what stays is no error.
    fn drain(&mut self) -> Result<(), String> {
        match cli::drain(self.binding, &[&*self.ring], self.stop) {
            Ok(true) => Ok(()),
            Ok(false) => Err(cli::stuck(self.unsent())),
            Err(error) => Err(cli::lost(&error)),
        }
    }

    /// What is in the ring.
    fn unsent(&self) -> Amount {
        cli::unsent([(&*self.ring, &self.queued)])
    }
}
