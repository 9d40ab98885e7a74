// SPDX-License-Identifier: BSD-2-Clause
//! What is sent: packets, and how they lie in slots.

use crate::addresses::Walk;
use crate::args::Args;
use crate::sender::Sent;
use crate::worker::{Failure, Worker};
use capture::Capture;
use cli::Queued;
use core::ops::Range;
use core::sync::atomic::AtomicBool;
use fastrand::Rng;
use frame::{TooShort, Udp};
use netmap::abi::{NETMAP_MAX_FRAGS, NS_BUF_CHANGED, NS_MOREFRAG, NS_REPORT};
use netmap::TxRing;

/// What fills the payload.
const PAYLOAD: &[u8] = b"netmap: packets at the speed of the link. ";

/// A packet made of the command line: `length` octets behind a virtio-net header of zeros.
///
/// # Errors
///
/// [`Failure::Unfit`] for a length that none has.
pub fn packet(worker: &Worker, length: usize) -> Result<Vec<u8>, Failure> {
    packet_of(&worker.udp, worker.virtio_header, length)
        .map_err(|error| Failure::Unfit(error.to_string()))
}

/// The same, of these addresses.
fn packet_of(udp: &Udp, virtio_header: usize, length: usize) -> Result<Vec<u8>, TooShort> {
    let mut packet = vec![0; virtio_header];
    packet.extend(udp.frame(length, PAYLOAD)?);
    Ok(packet)
}

/// A ring, how packets lie in its slots, and which of its buffers have never been written.
pub struct Lane<'r> {
    ring: &'r mut TxRing,
    queued: Queued,
    cut: Cut,
    /// Slots of the longest packet.
    most: u32,
    blank: Blank,
}

impl Lane<'_> {
    /// The ring, and what was queued in it.
    pub fn sent(&self) -> Sent<'_> {
        (self.ring, &self.queued)
    }
}

/// The slots whose buffers have never been written.
struct Blank {
    is_blank: Vec<bool>,
    count: u32,
}

impl Blank {
    /// All of so many.
    fn new(num_slots: u32) -> Self {
        Blank {
            is_blank: vec![true; num_slots as usize],
            count: num_slots,
        }
    }

    /// [`Self::take`] for the slot that is so many behind another one.
    fn take_after(&mut self, slot: u32, behind: u32) -> bool {
        let at = slot as usize + behind as usize;
        let num_slots = self.is_blank.len();
        self.take(if at < num_slots { at } else { at - num_slots })
    }

    /// Whether a slot was one of them, which it is no more.
    fn take(&mut self, slot: usize) -> bool {
        // A slot that the ring has not is none: another program has written to the ring's indices.
        let is_blank = self.is_blank.get_mut(slot).is_some_and(core::mem::take);
        self.count -= u32::from(is_blank);
        is_blank
    }
}

/// How a packet is cut into the slots that it is sent in.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Slots of a packet, if they have room for it.
    slots: usize,
    /// Most octets in a slot.
    room: usize,
}

impl Cut {
    /// Octets in each slot but the last, and how many slots there are.
    fn of(self, len: usize) -> (usize, usize) {
        let slots = self.slots.clamp(1, len.max(1));
        let each = len / slots;
        if len - each * (slots - 1) <= self.room {
            (each, slots)
        } else {
            (self.room, len.div_ceil(self.room))
        }
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
pub struct Source<'w> {
    args: &'w Args,
    stop: &'w AtomicBool,
    stream: u16,
    sequence: u64,
    udp: Udp,
    walk: Walk,
    virtio_header: usize,
    varies: bool,
    rng: Rng,
    content: Content<'w>,
    /// A packet before it is cut.
    whole: Vec<u8>,
    /// It has been there.
    is_whole: bool,
}

impl<'w> Source<'w> {
    /// What the command line asks for.
    ///
    /// # Errors
    ///
    /// [`Failure::Unfit`] if packets cannot be as it says.
    pub fn new(worker: &'w Worker) -> Result<Self, Failure> {
        let args = &worker.args;
        let lengths = args.random_lengths().map_err(Failure::Unfit)?;
        let least = lengths
            .as_ref()
            .map_or(args.length(), |lengths| lengths.start);
        if args.check && least < worker.udp.stamped_min() {
            let reason = format!(
                "--check needs packets of {} octets or more",
                worker.udp.stamped_min()
            );
            return Err(Failure::Unfit(reason));
        }
        let content = match (worker.file.as_deref(), lengths) {
            (Some(file), _) => Content::File(file, 0),
            (None, Some(lengths)) => {
                // If the shortest and the longest can be, all can.
                packet(worker, lengths.start)?;
                packet(worker, lengths.end - 1)?;
                Content::Random(lengths)
            }
            (None, None) => Content::Same(packet(worker, args.length())?),
        };
        let mut source = Source {
            args,
            stop: &worker.stop,
            stream: worker.index,
            sequence: 0,
            udp: worker.udp,
            walk: args.walk(&worker.ends),
            virtio_header: worker.virtio_header,
            varies: args.varies(&worker.ends.0, &worker.ends.1),
            rng: Rng::new(),
            content,
            whole: Vec::new(),
            is_whole: false,
        };
        source.whole = vec![0; source.longest()];
        Ok(source)
    }

    /// Octets of the longest packet.
    fn longest(&self) -> usize {
        match &self.content {
            Content::Same(packet) => packet.len(),
            Content::Random(lengths) => self.virtio_header + lengths.end - 1,
            Content::File(file, _) => {
                let lengths = file.frames().map(|frame| frame.octets.len());
                self.virtio_header + lengths.max().unwrap_or(0)
            }
        }
    }

    /// A ring to send the packets by.
    ///
    /// # Errors
    ///
    /// [`Failure::Unfit`] if not all of them can be.
    pub fn lane<'r>(&self, ring: &'r mut TxRing) -> Result<Lane<'r>, Failure> {
        let buffer = ring.buf_size() as usize;
        let room = self.args.fragment_size.map_or(buffer, usize::from);
        // A packet that is not in buffers has one slot.
        let slots = if self.args.indirect {
            1
        } else {
            usize::from(self.args.fragments)
        };
        let cut = Cut {
            slots,
            room: room.min(buffer),
        };
        let (longest, (_, most)) = (self.longest(), cut.of(self.longest()));
        if longest > buffer && self.args.indirect {
            return Err(Failure::Unfit(format!(
                "packets of {longest} octets are longer than the buffers of {buffer} that they are to be received in"
            )));
        }
        // One slot of a ring is always the kernel's.
        let available = (ring.num_slots() - 1).min(NETMAP_MAX_FRAGS);
        // A packet has no more slots than octets, which are 16 bits.
        let most = most as u32;
        if most > available {
            return Err(Failure::Unfit(format!(
                "packets of {longest} octets need {most} slots of {} octets, and can have {available}",
                cut.room
            )));
        }
        let num_slots = ring.num_slots();
        Ok(Lane {
            ring,
            queued: Queued::new(num_slots),
            cut,
            most,
            blank: Blank::new(num_slots),
        })
    }

    /// Fills slots with up to `limit` packets; returns how many, and the octets in them.
    pub fn fill(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        match &self.content {
            _ if lane.most > 1 => self.fill_cut(lane, limit),
            Content::Same(packet) if self.args.indirect || self.args.rubbish => {
                fill_unwritten(lane, limit, packet, self.args.indirect)
            }
            Content::Same(_) => self.fill_same(lane, limit),
            Content::Random(_) | Content::File(..) => self.fill_others(lane, limit),
        }
    }

    /// [`Self::fill`] with packets each of which is another one.
    fn fill_others(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        let count = limit.min(lane.ring.space());
        let (mut left, mut octets) = (count, 0);
        let queued = &mut lane.queued;
        lane.ring.fill(count, |slot| {
            left -= 1;
            let len = self.put_next(slot.buf_mut());
            if self.args.dump {
                crate::dump::print(&slot.buf_mut()[..len], self.stop);
            }
            octets += len as u64;
            queued.push(1, 1, len as u64);
            // As in `fill_same`.
            slot.set(len as u16, if left == 0 { NS_REPORT } else { 0 });
        });
        (count, octets)
    }

    /// [`Self::fill`] with packets of several slots.
    fn fill_cut(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        let (mut packets, mut octets) = (0, 0);
        // Packets that are alike, one after the other, the slots of each and its octets.
        let mut run = (0, 0, 0);
        let mut whole = core::mem::take(&mut self.whole);
        let is_same = matches!(self.content, Content::Same(_)) && !self.varies && !self.args.check;
        while packets < limit && lane.ring.space() >= lane.most {
            // Where all are the same it is there since the first one, and has all of the room.
            let len = if is_same && self.is_whole {
                whole.len()
            } else {
                self.put_next(&mut whole)
            };
            self.is_whole = true;
            if self.args.dump {
                crate::dump::print(&whole[..len], self.stop);
            }
            let (each, slots) = lane.cut.of(len);
            packets += 1;
            octets += len as u64;
            if (run.1, run.2) != (slots, len) {
                lane.queued.push(run.0, run.1 as u32, run.2 as u64);
                run = (0, slots, len);
            }
            run.0 += 1;
            let is_last = packets == limit || lane.ring.space() < slots as u32 + lane.most;
            let mut rest = &whole[..len];
            let mut left = slots;
            // There are no more slots than octets.
            lane.ring.fill(slots as u32, |slot| {
                left -= 1;
                let (part, more) = rest.split_at(if left == 0 { rest.len() } else { each });
                rest = more;
                if !self.args.rubbish {
                    slot.buf_mut()[..part.len()].copy_from_slice(part);
                }
                let flags = match (left, is_last) {
                    (0, false) => 0,
                    (0, true) => NS_REPORT,
                    _ => NS_MOREFRAG,
                };
                // No longer than the buffer, whose length a slot can tell.
                slot.set(part.len() as u16, flags);
            });
        }
        lane.queued.push(run.0, run.1 as u32, run.2 as u64);
        self.whole = whole;
        (packets, octets)
    }

    /// Writes the next packet into a buffer that is long enough; how many octets.
    fn put_next(&mut self, buffer: &mut [u8]) -> usize {
        let made;
        let packet = match &mut self.content {
            Content::Same(packet) => {
                if self.varies {
                    self.walk.write(&mut packet[self.virtio_header..]);
                }
                &packet[..]
            }
            Content::Random(lengths) => {
                let length = self.rng.usize(lengths.clone());
                let udp = self.walk.address(&self.udp);
                // That it can be was checked at the start.
                made = packet_of(&udp, self.virtio_header, length).unwrap_or_default();
                &made[..]
            }
            Content::File(file, next) => {
                let frame = file.frame(*next);
                *next = (*next + 1) % file.len();
                let octets = frame.map_or(&[][..], |frame| frame.octets);
                let len = self.virtio_header + octets.len();
                let (header, rest) = buffer[..len].split_at_mut(self.virtio_header);
                header.fill(0);
                rest.copy_from_slice(octets);
                return len;
            }
        };
        let packet_len = packet.len();
        buffer[..packet_len].copy_from_slice(packet);
        if self.args.check {
            self.stamp(&mut buffer[self.virtio_header..packet_len]);
        }
        if self.varies {
            self.walk.step();
        }
        packet_len
    }

    /// Writes a frame of the addresses of now, with the next number.
    fn stamp(&mut self, frame: &mut [u8]) {
        let udp = self.walk.address(&self.udp);
        udp.stamp(frame, self.stream, self.sequence);
        self.sequence += 1;
    }

    /// [`Self::fill`] with packets that are the same, but for addresses and numbers.
    fn fill_same(&mut self, lane: &mut Lane<'_>, limit: u32) -> (u32, u64) {
        let Content::Same(packet) = &mut self.content else {
            return (0, 0);
        };
        // It is put back below: what makes the next addresses borrows all of this.
        let packet = core::mem::take(packet);
        let len = packet.len();
        let count = limit.min(lane.ring.space());
        let mut left = count;
        let blank = &mut lane.blank;
        let head = lane.ring.state().head;
        lane.ring.fill(count, |slot| {
            left -= 1;
            // A buffer keeps its contents from one turn of the ring to the next: the packet is written into it once, and after
            // that what differs alone.
            let is_blank = blank.count != 0 && blank.take_after(head, count - 1 - left);
            if self.args.copy || is_blank || slot.flags() & NS_BUF_CHANGED != 0 {
                slot.buf_mut()[..len].copy_from_slice(&packet);
            }
            if self.args.check {
                self.stamp(&mut slot.buf_mut()[self.virtio_header..len]);
            } else if self.varies {
                self.walk
                    .write(&mut slot.buf_mut()[self.virtio_header..len]);
            }
            if self.varies {
                self.walk.step();
            }
            if self.args.dump {
                crate::dump::print(&slot.buf_mut()[..len], self.stop);
            }
            // Lengths are bounded by the buffer's. The last slot of a batch is reported, so that a ring that
            // nobody fills again drains.
            slot.set(len as u16, if left == 0 { NS_REPORT } else { 0 });
        });
        self.content = Content::Same(packet);
        lane.queued.push(count, 1, len as u64);
        (count, u64::from(count) * len as u64)
    }
}

/// Fills up to `limit` slots whose buffers are not written: the packet is elsewhere if it is indirect, else it is what is there.
fn fill_unwritten(lane: &mut Lane<'_>, limit: u32, packet: &[u8], is_indirect: bool) -> (u32, u64) {
    let count = limit.min(lane.ring.space());
    let mut left = count;
    // No longer than a buffer.
    let len = packet.len() as u16;
    lane.ring.fill(count, |slot| {
        left -= 1;
        let flags = if left == 0 { NS_REPORT } else { 0 };
        if is_indirect {
            // SAFETY: the packet is not changed, and lives until all has been sent; or until the sender gives up, and then nothing
            // syncs the ring any more.
            unsafe { slot.set_indirect(packet.as_ptr(), len, flags) };
        } else {
            slot.set(len, flags);
        }
    });
    lane.queued.push(count, 1, u64::from(len));
    (count, u64::from(count) * u64::from(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_as_the_classic_program() {
        let cut = |slots, room, len| Cut { slots, room }.of(len);
        assert_eq!(cut(1, 2048, 60), (60, 1));
        assert_eq!(cut(1, 2048, 5000), (2048, 3));
        assert_eq!(cut(3, 2048, 900), (300, 3));
        assert_eq!(cut(2, 500, 1200), (500, 3));
        assert_eq!(cut(8, 64, 600), (64, 10));
        assert_eq!(cut(63, 2048, 42), (1, 42));
        assert_eq!(cut(3, 2048, 6145), (2048, 4));
    }

    #[test]
    fn a_slot_is_blank_once() {
        let mut blank = Blank::new(3);
        // The ring was set back in its first turn.
        let taken: Vec<bool> = [0, 1, 0, 1, 2, 3].map(|slot| blank.take(slot)).into();
        assert_eq!(taken, [true, true, false, false, true, false]);
        assert_eq!(blank.count, 0);
    }

    proptest! {
        #[test]
        fn slots_hold_the_packet(slots in 1..64usize, room in 1..4096usize, len in 1..65536usize) {
            let (each, count) = Cut { slots, room }.of(len);
            let last = len - each * (count - 1);
            prop_assert!(each <= room && (1..=room).contains(&last));
        }
    }
}
