// SPDX-License-Identifier: BSD-2-Clause
//! Packets from the port to the pipes.

use crate::flow::Flow;
use crate::overflow::{Fragment, Overflow};
use crate::statistics::{Counts, PipeCounts};
use netmap::abi::{NETMAP_MAX_FRAGS, NS_BUF_CHANGED, NS_MOREFRAG};
use netmap::{ExtraBuf, Port, RxRing};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::io;

/// The port, its pipes, and what waits between them.
pub struct Balancer {
    input: Port,
    pipes: Vec<Pipe>,
    /// Positions in `pipes` of each group's.
    groups: Vec<core::ops::Range<usize>>,
    overflow: Overflow<ExtraBuf>,
    batch: u32,
    /// Octets of the virtio-net header before each packet of the port.
    header: usize,
    counts: Counts,
    /// The receive rings, by number, at whose head is the rest of a packet without an end.
    in_endless: Vec<bool>,
}

struct Pipe {
    port: Port,
    counts: PipeCounts,
    /// Something was queued that no sync has told the kernel of.
    filled: bool,
}

impl Balancer {
    /// From `input` to the pipes of `groups`, each of which has a transmit ring and buffers that it can exchange with `input`'s.
    pub fn new(mut input: Port, groups: Vec<Vec<Port>>, batch: u32) -> Balancer {
        let extra = core::mem::take(input.extra_bufs_mut());
        let mut ranges = Vec::new();
        let mut pipes = Vec::new();
        for group in groups {
            let first = pipes.len();
            pipes.extend(group.into_iter().map(|port| Pipe {
                port,
                counts: PipeCounts::default(),
                filled: false,
            }));
            ranges.push(first..pipes.len());
        }
        Balancer {
            overflow: Overflow::new(extra, pipes.len()),
            in_endless: vec![false; input.rx_mut().len()],
            input,
            pipes,
            groups: ranges,
            batch,
            header: 0,
            counts: Counts::default(),
        }
    }

    /// Frames are behind so many octets of each packet.
    pub fn set_header(&mut self, octets: usize) {
        self.header = octets;
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let pipes = self.pipes.iter().enumerate();
        Counts {
            free: self.overflow.free(),
            pipes: pipes
                .map(|(number, pipe)| PipeCounts {
                    waiting: self.overflow.len(number),
                    ..pipe.counts
                })
                .collect(),
            ..self.counts.clone()
        }
    }

    /// Sleeps until there are packets, or room for those that wait, `limit` at most.
    ///
    /// # Errors
    ///
    /// `poll`'s; a sync's, if the port or a pipe is gone.
    pub fn wait(&self, limit: Timespec) -> io::Result<()> {
        let waits = |number: &usize| !self.overflow.is_empty(*number);
        let waiting = (0..self.pipes.len())
            .filter(waits)
            .map(|number| PollFd::new(&self.pipes[number].port, PollFlags::OUT));
        let mut files: Vec<PollFd<'_>> = core::iter::once(PollFd::new(&self.input, PollFlags::IN))
            .chain(waiting)
            .collect();
        match poll(&mut files, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let failed = files
            .iter()
            .any(|file| file.revents().contains(PollFlags::ERR));
        // A ring that was set back is no reason to end; that an interface is gone is, and a sync tells.
        if failed {
            self.input.sync_rx()?;
            for pipe in &self.pipes {
                pipe.port.sync_tx()?;
            }
        }
        Ok(())
    }

    /// Carries what has come, and what there is room for now.
    ///
    /// # Errors
    ///
    /// A sync's.
    pub fn carry(&mut self) -> io::Result<()> {
        for pipe in &mut self.pipes {
            pipe.collect()?;
        }
        self.send_waiting();
        let mut done = 0;
        for number in 0..self.input.rx_mut().len() {
            // No more than there are now: with a sender that is never late there would be no end, and no look at signals.
            for _ in 0..self.input.rx_mut()[number].space() {
                if !self.carry_packet(number) {
                    break;
                }
                done += 1;
                if done >= self.batch {
                    self.flush()?;
                    self.input.sync_rx()?;
                    done = 0;
                }
            }
        }
        // What was received is released by the next wait.
        self.flush()
    }

    /// Drops what waits, and gives all extra buffers back to the port; what was counted.
    pub fn close(mut self) -> Counts {
        let pipes = &mut self.pipes;
        self.overflow
            .clear(|gone| pipes[gone.queue].counts.drop(gone.octets));
        let counts = self.counts();
        // What was received last is given back, for who opens the port next, if it is the end of a pipe, would get it again. Of a port
        // that is gone there is nothing to give back, and nothing to send by a pipe that is.
        let _ = self.flush();
        let _ = self.input.sync_rx();
        self.input
            .extra_bufs_mut()
            .extend(self.overflow.into_buffers());
        counts
    }

    /// Tells the kernel what was queued.
    fn flush(&mut self) -> io::Result<()> {
        for pipe in self.pipes.iter_mut().filter(|pipe| pipe.filled) {
            pipe.port.sync_tx()?;
            pipe.filled = false;
        }
        Ok(())
    }

    /// Gives those that wait the room that there is.
    fn send_waiting(&mut self) {
        for (number, pipe) in self.pipes.iter_mut().enumerate() {
            let Some(ring) = pipe.port.tx_mut().first_mut() else {
                continue;
            };
            let (mut room, mut octets) = (ring.space(), 0);
            let mut send = |mut fragment: Fragment<ExtraBuf>| {
                ring.fill(1, |slot| {
                    // The pipe shares the region of the port, whose buffer this is.
                    if slot.swap_extra(&mut fragment.buffer).is_ok() {
                        slot.set(fragment.len, fragment.flags | NS_BUF_CHANGED);
                    }
                });
                octets += u64::from(fragment.len);
                fragment.buffer
            };
            while let Some(fragments) = self.overflow.pop(number, room, &mut send) {
                room -= fragments;
                pipe.counts.packets += 1;
                pipe.filled = true;
            }
            pipe.counts.octets += octets;
        }
    }

    /// Takes a packet from a receive ring and gives it to each group; false if there is none.
    fn carry_packet(&mut self, number: usize) -> bool {
        let ring = &mut self.input.rx_mut()[number];
        let in_endless = &mut self.in_endless[number];
        if *in_endless {
            *in_endless = drop_rest(ring);
        }
        let Some(fragments) = ring.first_packet() else {
            if !*in_endless && drop_endless(ring) {
                self.counts.endless += 1;
                *in_endless = true;
            }
            return false;
        };
        let mut octets = 0;
        for i in 0..fragments {
            octets += ring.slot(i).map_or(0, |slot| u64::from(slot.len()));
        }
        let Some(flow) = flow(ring, fragments, self.header) else {
            return false;
        };
        self.counts.packets += 1;
        self.counts.octets += octets;
        self.counts.non_ip += u64::from(!flow.ip);
        for (group, range) in self.groups.iter().enumerate() {
            // The last one gets the buffers, the others copies.
            let moves = group + 1 == self.groups.len();
            let target = range.start + flow.pick(range.len());
            // Those that wait go first.
            if self.overflow.is_empty(target) && self.pipes[target].send(ring, fragments, moves) {
                self.pipes[target].counts.packets += 1;
                self.pipes[target].counts.octets += octets;
                continue;
            }
            let mut ahead = 0;
            let keep = |buffer| {
                ahead += 1;
                keep(ring, ahead - 1, buffer, moves)
            };
            let pipes = &mut self.pipes;
            let kept = self.overflow.push(target, fragments, keep, |gone| {
                pipes[gone.queue].counts.drop(gone.octets);
            });
            if !kept {
                pipes[target].counts.drop(octets);
            }
        }
        ring.drain(fragments, |_| {});
        true
    }
}

impl Pipe {
    /// Has the kernel say what the other end has released, if that may be needed.
    fn collect(&mut self) -> io::Result<()> {
        let Some(ring) = self.port.tx_mut().first_mut() else {
            return Ok(());
        };
        if ring.space() < ring.num_slots() / 2 {
            self.port.sync_tx()?;
        }
        Ok(())
    }

    /// Queues the first packet of a receive ring, if there is room for its fragments: its buffers if it `moves`, else copies.
    fn send(&mut self, from: &mut RxRing, fragments: u32, moves: bool) -> bool {
        let Some(ring) = self.port.tx_mut().first_mut() else {
            return false;
        };
        if ring.space() < fragments {
            return false;
        }
        let mut ahead = 0;
        ring.fill(fragments, |slot| {
            if let Some(mut received) = from.slot(ahead) {
                if moves {
                    slot.forward(&mut received);
                } else {
                    let packet = received.packet();
                    slot.write(packet);
                    // A buffer's length at most, as that of a slot.
                    slot.set(packet.len() as u16, received.flags() & NS_MOREFRAG);
                }
            }
            ahead += 1;
        });
        self.filled = true;
        true
    }
}

/// The flow of the first packet, of so many slots. As switches have it, the header is before the frame, or is all of the first slot.
fn flow(ring: &mut RxRing, fragments: u32, header: usize) -> Option<Flow> {
    let first = usize::from(ring.slot(0)?.len());
    let (slot, skipped) = match header {
        0 => (0, 0),
        _ if header == first && fragments > 1 => (1, 0),
        _ => (0, header),
    };
    let slot = ring.slot(slot)?;
    Some(Flow::of(slot.packet().get(skipped..).unwrap_or_default()))
}

/// Puts the received slot that `ahead` others are before into an extra buffer: exchanges buffers if it `moves`, else copies.
fn keep(from: &mut RxRing, ahead: u32, mut buffer: ExtraBuf, moves: bool) -> Fragment<ExtraBuf> {
    let (mut len, mut flags) = (0, 0);
    if let Some(mut received) = from.slot(ahead) {
        flags = received.flags() & NS_MOREFRAG;
        let packet = received.packet();
        // A buffer's length at most, as that of a slot.
        len = packet.len() as u16;
        // The extra buffers are the port's own.
        if !moves || received.swap_extra(&mut buffer).is_err() {
            let packet = received.packet();
            buffer.as_mut_slice()[..packet.len()].copy_from_slice(packet);
        }
    }
    Fragment { buffer, len, flags }
}

/// Drops the start of a packet that has more slots than packets have, or fills the ring; whether there was one.
fn drop_endless(ring: &mut RxRing) -> bool {
    let most = NETMAP_MAX_FRAGS.min(ring.num_slots() - 1).max(1);
    let endless = ring.space() >= most;
    if endless {
        ring.drain(most, |_| {});
    }
    endless
}

/// Drops the rest of such a packet, as far as it has come; whether there is more of it.
fn drop_rest(ring: &mut RxRing) -> bool {
    let mut goes_on = true;
    while goes_on && !ring.is_empty() {
        ring.drain(1, |slot| goes_on = slot.flags() & NS_MOREFRAG != 0);
    }
    goes_on
}
