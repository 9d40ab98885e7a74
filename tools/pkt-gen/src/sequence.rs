// SPDX-License-Identifier: BSD-2-Clause
//! Slots that are numbered, each at the start of its payload: the side that sends them, and the side that looks for gaps.

use crate::receiver;
use crate::report::SequenceReport;
use crate::sender;
use crate::worker::{Failure, Outcome, Worker};
use cli::{Queued, Watch};
use netmap::abi::{NS_MOREFRAG, NS_REPORT};
use netmap::{Binding, Interest, Port, RxSlot, TxRing};
use std::time::{Duration, Instant};

/// Octets of a number.
const NUMBER: usize = 4;

/// How many lines a second are said of what is not as expected.
const LINES: u32 = 2;

/// Sends slots with numbers from 0 on, by the first ring; with `-F` several make a packet.
///
/// # Errors
///
/// As for [`sender::run`].
pub fn send(port: &mut Port, worker: &Worker, outcome: &mut Outcome) -> Result<(), Failure> {
    let (binding, tx, _) = port.split();
    let Some(ring) = tx.first_mut() else {
        return Err(Failure::no_transmit_ring());
    };
    let args = &worker.args;
    let packet = crate::source::packet(worker, args.length())?;
    let (len, buffer) = (packet.len(), ring.buf_size() as usize);
    if args.length() < worker.udp.headers() + NUMBER || len > buffer {
        return Err(Failure::Unfit(format!(
            "packets of {len} octets have no room for a number, or do not fit buffers of {buffer}"
        )));
    }
    let fragments = u32::from(args.fragments);
    if fragments >= ring.num_slots() {
        return Err(Failure::Unfit(format!(
            "a packet of {fragments} slots does not fit a ring of {}",
            ring.num_slots()
        )));
    }
    let start = Instant::now();
    let mut queued = Queued::new(ring.num_slots());
    let result = send_slots(binding, ring, packet, worker, &mut queued);
    sender::finish(binding, &[(ring, &queued)], worker, result, outcome)?;
    outcome.span = Some((start, Instant::now()));
    Ok(())
}

/// Sends `packet` in each slot, with numbers and addresses that move.
fn send_slots(
    binding: &Binding,
    ring: &mut TxRing,
    mut packet: Vec<u8>,
    worker: &Worker,
    queued: &mut Queued,
) -> Result<(), Failure> {
    let args = &worker.args;
    let (len, fragments) = (packet.len(), u32::from(args.fragments));
    let varies = args.varies(&worker.ends.0, &worker.ends.1);
    let mut pace = worker.pace();
    let mut walk = args.walk(&worker.ends);
    let mut watch = Watch::default();
    let (mut sequence, mut left) = (0u32, worker.quota);
    while left >= u64::from(fragments) && !worker.is_stopped() {
        let burst = pace.as_mut().map_or(u32::MAX, |pace| pace.wait(worker));
        worker.wait(binding, Interest::Tx, None)?;
        let most = burst.min(args.batch()).max(fragments);
        // The minimum of 32 and 64 bits has 32.
        let most = u64::from(most).min(left) as u32;
        // Only whole packets.
        let count = most.min(ring.space()) / fragments * fragments;
        let mut done = 0;
        ring.fill(count, |slot| {
            done += 1;
            frame::number(&mut packet[worker.virtio_header..], sequence);
            sequence = sequence.wrapping_add(1);
            slot.buf_mut()[..len].copy_from_slice(&packet);
            if args.dump {
                crate::dump::print(&packet, &worker.stop);
            }
            let ends = done % fragments == 0;
            let report = if done == count { NS_REPORT } else { 0 };
            // No longer than the buffer.
            slot.set(len as u16, if ends { report } else { NS_MOREFRAG });
            if ends && varies {
                walk.step();
                walk.write(&mut packet[worker.virtio_header..]);
            }
        });
        if count == 0 {
            sender::no_room(&[(ring, queued)], &mut watch)?;
            continue;
        }
        watch.reset();
        queued.push(count, 1, len as u64);
        let octets = u64::from(count) * len as u64;
        worker.counters.add(u64::from(count), octets);
        left -= u64::from(count);
    }
    Ok(())
}

/// Receives what [`send`] sends, and tells on standard error what is not as it was sent.
///
/// # Errors
///
/// As for [`receiver::run`].
pub fn receive(port: &mut Port, worker: &Worker, outcome: &mut Outcome) -> Result<(), Failure> {
    let mut rings: Vec<Numbers> = Vec::new();
    let mut lines = Lines::new();
    let mut found = SequenceReport::default();
    let result = receiver::receive(port, worker, outcome, |at, ring, limit| {
        rings.resize_with(rings.len().max(at + 1), Numbers::default);
        let numbers = &mut rings[at];
        let mut octets = 0;
        let slots = ring.drain(limit, |slot| {
            octets += u64::from(slot.len());
            if worker.args.dump {
                crate::dump::print(slot.packet(), &worker.stop);
            }
            for line in numbers.take(slot, worker.virtio_header, &mut found) {
                lines.say(&line);
            }
        });
        (u64::from(slots), octets)
    });
    found.slots_per_packet = rings
        .iter()
        .filter_map(|numbers| numbers.slots_per_packet)
        .max()
        .unwrap_or(0);
    outcome.sequence = Some(found);
    result
}

/// What is expected of a ring.
#[derive(Debug, Default)]
struct Numbers {
    next: Option<u32>,
    /// Slots of the packet that is being received.
    slots: u32,
    slots_per_packet: Option<u32>,
}

impl Numbers {
    /// Compares a slot with what was expected; what to say about it.
    fn take(
        &mut self,
        slot: &RxSlot<'_>,
        virtio_header: usize,
        found: &mut SequenceReport,
    ) -> Vec<String> {
        let ends = slot.flags() & NS_MOREFRAG == 0;
        let frame = slot.packet().get(virtio_header..).unwrap_or_default();
        let cut = self.note_end(ends, found);
        let number = self.note_number(frame::numbered(frame), frame.len(), found);
        cut.into_iter().chain(number).collect()
    }

    fn note_end(&mut self, ends: bool, found: &mut SequenceReport) -> Option<String> {
        self.slots += 1;
        if !ends {
            return None;
        }
        let slots = core::mem::take(&mut self.slots);
        let expected = self.slots_per_packet.replace(slots)?;
        (slots != expected).then(|| {
            found.cut_otherwise += 1;
            format!("Received packets with {slots} frags, expected {expected}")
        })
    }

    fn note_number(
        &mut self,
        number: Option<u32>,
        len: usize,
        found: &mut SequenceReport,
    ) -> Option<String> {
        let Some(number) = number else {
            found.unnumbered += 1;
            return Some(format!("packet without a number ({len} octets)"));
        };
        // The first one of a ring is what it is.
        let expected = self.next.replace(number.wrapping_add(1))?;
        let ahead = number.wrapping_sub(expected);
        if ahead == 0 {
            return None;
        }
        if ahead < u32::MAX / 2 {
            found.gaps += 1;
            found.missing += u64::from(ahead);
            Some(format!("Sequence GAP: exp {expected} found {number}"))
        } else {
            found.out_of_order += 1;
            Some(format!(
                "Sequence OUT OF ORDER: exp {expected} found {number}"
            ))
        }
    }
}

/// Lines on standard error, so many a second and no more.
struct Lines {
    since: Instant,
    said: u32,
}

impl Lines {
    fn new() -> Self {
        Lines {
            since: Instant::now(),
            said: 0,
        }
    }

    fn say(&mut self, line: &str) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Lines::new();
        }
        self.said += 1;
        if self.said <= LINES {
            cli::tell(format_args!("nm-pkt-gen: {line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_from_what_is_late() {
        let (mut numbers, mut found) = (Numbers::default(), SequenceReport::default());
        let mut note = |number| numbers.note_number(Some(number), 60, &mut found);
        assert_eq!((note(7), note(8), note(9)), (None, None, None));
        assert_eq!(note(12).unwrap(), "Sequence GAP: exp 10 found 12");
        assert_eq!(note(10).unwrap(), "Sequence OUT OF ORDER: exp 13 found 10");
        assert_eq!(note(11), None);
        assert!(numbers.note_number(None, 60, &mut found).is_some());
        assert_eq!(
            (
                found.gaps,
                found.missing,
                found.out_of_order,
                found.unnumbered
            ),
            (1, 2, 1, 1)
        );
    }

    #[test]
    fn numbers_start_over_after_the_last_one() {
        let (mut numbers, mut found) = (Numbers::default(), SequenceReport::default());
        for number in [u32::MAX - 1, u32::MAX, 0, 1] {
            assert_eq!(numbers.note_number(Some(number), 60, &mut found), None);
        }
    }

    #[test]
    fn packets_cut_in_another_way_are_told() {
        let (mut numbers, mut found) = (Numbers::default(), SequenceReport::default());
        let mut note = |ends: &[bool]| {
            let lines = ends.iter().map(|&ends| numbers.note_end(ends, &mut found));
            lines.flatten().collect::<Vec<_>>()
        };
        assert!(note(&[false, false, true, false, false, true]).is_empty());
        assert_eq!(
            note(&[false, true]),
            ["Received packets with 2 frags, expected 3"]
        );
        assert!(note(&[false, true]).is_empty());
        assert_eq!(found.cut_otherwise, 1);
    }
}
