// SPDX-License-Identifier: BSD-2-Clause
//! Round trips: the side that measures and the side that answers.

use crate::report::{PingReport, RttReport};
use crate::sender;
use crate::worker::{Failure, Outcome, Worker};
use cli::{Queued, Watch};
use frame::Verdict;
use hdrhistogram::Histogram;
use netmap::abi::{NETMAP_MAX_FRAGS, NS_MOREFRAG, NS_REPORT};
use netmap::{Binding, Interest, Port, RxRing, RxSlot, TxRing};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer may take before it counts as lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Longest round trip that is told from longer ones, in nanoseconds: none is waited for as long.
const LONGEST: u64 = 10_000_000_000;

/// Stream number of ping packets.
const STREAM: u16 = 0xffff;

/// Sends a batch, waits until all of it is back or late, and so on.
///
/// # Errors
///
/// [`Failure::Unfit`] if the port lacks a ring of either direction, [`Failure::Stuck`] if packets do not leave,
/// [`Failure::Lost`].
pub fn ping(port: &mut Port, worker: &Worker, outcome: &mut Outcome) -> Result<(), Failure> {
    let (binding, tx, rx) = port.split();
    let Some(tx) = tx.first_mut() else {
        return Err(Failure::no_transmit_ring());
    };
    if rx.is_empty() {
        return Err(Failure::no_receive_ring());
    }
    let template =
        crate::source::packet(worker, worker.args.length().max(worker.udp.stamped_min()))?;
    let length = template.len();
    if length > tx.buf_size() as usize {
        return Err(Failure::Unfit(format!(
            "packets of {length} octets do not fit the port's buffers"
        )));
    }
    let start = Instant::now();
    let mut times = Times::default();
    let mut queued = Queued::new(tx.num_slots());
    let result = round_trips(
        binding,
        (tx, rx),
        &template,
        worker,
        &mut times,
        &mut queued,
    );
    // What was found until then is known, whatever has ended it.
    outcome.ping = Some(times.report());
    let result = sender::finish(binding, &[(tx, &queued)], worker, result, outcome);
    give_back(binding);
    result?;
    outcome.span = Some((start, Instant::now()));
    Ok(())
}

/// The slots that were read last are given back, for who opens the end of a pipe next would get them again. Of a port that is gone by
/// now there is nothing to give back.
fn give_back(binding: &Binding) {
    let _ = binding.sync_rx();
}

fn round_trips(
    binding: &Binding,
    (tx, rx): (&mut TxRing, &mut [RxRing]),
    template: &[u8],
    worker: &Worker,
    times: &mut Times,
    queued: &mut Queued,
) -> Result<(), Failure> {
    let length = template.len();
    let mut pace = worker.pace();
    let mut watch = Watch::default();
    let mut sequence = 0;
    let mut left = worker.quota;
    while left != 0 && !worker.is_stopped() {
        let burst = pace.as_mut().map_or(u32::MAX, |pace| pace.wait(worker));
        let limit = u64::from(burst.min(worker.args.batch())).min(left) as u32;
        let mut last = limit.min(tx.space());
        let sent = tx.fill(limit, |slot| {
            last -= 1;
            let buffer = &mut slot.buf_mut()[..length];
            buffer.copy_from_slice(template);
            let frame = &mut buffer[worker.virtio_header..];
            worker.udp.stamp(frame, STREAM, sequence);
            times.sent(sequence);
            sequence += 1;
            // The buffer, and with it the length, is below 64 KiB.
            slot.set(length as u16, if last == 0 { NS_REPORT } else { 0 });
        });
        if sent == 0 {
            worker.wait(binding, Interest::Tx, None)?;
            sender::no_room(&[(tx, queued)], &mut watch)?;
            continue;
        }
        watch.reset();
        queued.push(sent, 1, length as u64);
        worker
            .counters
            .add(u64::from(sent), u64::from(sent) * length as u64);
        left -= u64::from(sent).min(left);
        let deadline = Instant::now() + ANSWER_LIMIT;
        while !times.all_back() && !worker.is_stopped() && Instant::now() < deadline {
            let rest = deadline.saturating_duration_since(Instant::now());
            worker.wait(binding, Interest::Rx, Some(rest))?;
            let now = Instant::now();
            for ring in rx.iter_mut() {
                ring.drain(u32::MAX, |slot| {
                    if let Verdict::Whole {
                        stream: STREAM,
                        sequence,
                    } = frame::check(frame_of(slot, worker))
                    {
                        times.back(sequence, now);
                    }
                });
            }
        }
        // What is under way when the program is told to end is neither back nor lost.
        if Instant::now() >= deadline {
            times.give_up();
        }
    }
    Ok(())
}

/// What is behind the virtio-net header of a packet.
fn frame_of<'s>(slot: &'s RxSlot<'_>, worker: &Worker) -> &'s [u8] {
    slot.packet()
        .get(worker.virtio_header..)
        .unwrap_or_default()
}

/// Times of packets under way, and of those that came back.
struct Times {
    under_way: HashMap<u64, Instant>,
    lost: u64,
    histogram: Histogram<u64>,
}

impl Default for Times {
    fn default() -> Self {
        // The arguments are in the range that the histogram takes.
        let histogram = Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds in order");
        Times {
            under_way: HashMap::new(),
            lost: 0,
            histogram,
        }
    }
}

impl Times {
    fn sent(&mut self, sequence: u64) {
        self.under_way.insert(sequence, Instant::now());
    }

    /// Answers that were given up, or come twice, do not count.
    fn back(&mut self, sequence: u64, now: Instant) {
        if let Some(sent) = self.under_way.remove(&sequence) {
            let nanoseconds =
                u64::try_from(now.duration_since(sent).as_nanos()).unwrap_or(u64::MAX);
            self.histogram.saturating_record(nanoseconds);
        }
    }

    fn all_back(&self) -> bool {
        self.under_way.is_empty()
    }

    fn give_up(&mut self) {
        self.lost += self.under_way.len() as u64;
        self.under_way.clear();
    }

    fn report(&self) -> PingReport {
        let times = &self.histogram;
        PingReport {
            replies: times.len(),
            lost: self.lost,
            rtt_ns: (!times.is_empty()).then(|| RttReport {
                min: times.min(),
                mean: times.mean(),
                p50: times.value_at_quantile(0.5),
                p90: times.value_at_quantile(0.9),
                p99: times.value_at_quantile(0.99),
                p999: times.value_at_quantile(0.999),
                max: times.max(),
            }),
        }
    }
}

/// Sends what arrives back to where it came from, without a copy if the rings share a region.
///
/// # Errors
///
/// As [`ping`].
pub fn pong(port: &mut Port, worker: &Worker, outcome: &mut Outcome) -> Result<(), Failure> {
    let (binding, tx, rx) = port.split();
    let Some(tx) = tx.first_mut() else {
        return Err(Failure::no_transmit_ring());
    };
    if rx.is_empty() {
        return Err(Failure::no_receive_ring());
    }
    let mut queued = Queued::new(tx.num_slots());
    let result = answer_all(binding, (tx, rx), worker, &mut queued);
    let result = sender::finish(binding, &[(tx, &queued)], worker, result, outcome);
    give_back(binding);
    result
}

fn answer_all(
    binding: &Binding,
    (tx, rx): (&mut TxRing, &mut [RxRing]),
    worker: &Worker,
    queued: &mut Queued,
) -> Result<(), Failure> {
    let idle = worker.args.idle();
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
        for ring in rx.iter_mut() {
            let limit = u64::from(worker.args.batch()).min(left) as u32;
            let (mut taken, mut sent, mut octets, mut slots) = (0, 0, 0, 0);
            // Whole packets: their addresses are in the first slot, and what is behind it is to follow it.
            while let Some(count) = next_packet(ring).filter(|_| slots < limit) {
                let fits = tx.space() >= count;
                let (mut is_first, mut length) = (true, 0);
                ring.drain(count, |slot| {
                    if fits {
                        length += answer(tx, slot, worker, is_first);
                    }
                    is_first = false;
                });
                taken += 1;
                slots += count;
                if fits {
                    sent += 1;
                    octets += length;
                    queued.push(1, count, length);
                }
            }
            if taken != 0 {
                worker.counters.add_drops(taken - sent);
                worker.counters.add(sent, octets);
                left = left.saturating_sub(sent);
            }
        }
    }
    Ok(())
}

/// In how many slots the first packet is. One that has more than packets have, or than the ring, ends there.
fn next_packet(ring: &mut RxRing) -> Option<u32> {
    let most = NETMAP_MAX_FRAGS.min(ring.num_slots() - 1);
    ring.first_packet()
        .or_else(|| (ring.space() >= most).then_some(most))
}

/// Queues a slot, for which there is room: the first of a packet with its addresses exchanged. How many octets it has.
fn answer(tx: &mut TxRing, received: &mut RxSlot<'_>, worker: &Worker, is_first: bool) -> u64 {
    let more = received.flags() & NS_MOREFRAG;
    let mut octets = 0;
    tx.fill(1, |slot| {
        let length = if worker.args.copy || slot.swap(received).is_err() {
            // Its length is read once: another program may write to the slot meanwhile.
            let packet = received.packet();
            let packet = &packet[..packet.len().min(slot.buf_mut().len())];
            slot.write(packet);
            packet.len()
        } else {
            usize::from(slot.len()).min(slot.buf_mut().len())
        };
        let frame = slot.buf_mut()[..length].get_mut(worker.virtio_header..);
        if let Some(frame) = frame.filter(|_| is_first) {
            exchange_addresses(frame);
        }
        let flags = slot.flags();
        // No longer than the buffer, whose length 16 bits hold as far as a slot can tell.
        slot.set(length as u16, flags | more | NS_REPORT);
        octets = length as u64;
    });
    octets
}

/// Exchanges source and destination, on the link and, for IP, on the network: no checksum changes by that.
fn exchange_addresses(packet: &mut [u8]) {
    if packet.len() >= 14 {
        let (destination, source) = packet[..12].split_at_mut(6);
        destination.swap_with_slice(source);
    }
    if packet.len() >= 34 && packet[12..14] == [0x08, 0x00] {
        let (source, destination) = packet[26..34].split_at_mut(4);
        source.swap_with_slice(destination);
    }
    if packet.len() >= 54 && packet[12..14] == [0x86, 0xdd] {
        let (source, destination) = packet[22..54].split_at_mut(16);
        source.swap_with_slice(destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frame::{Mac, Udp};

    #[test]
    fn an_answered_packet_is_still_whole() {
        let udp = Udp {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: "10.0.0.1:1".parse().unwrap(),
            dst: "10.1.0.1:1".parse().unwrap(),
        };
        let mut frame = [0; 60];
        udp.stamp(&mut frame, STREAM, 9);
        exchange_addresses(&mut frame);
        assert_eq!(frame[..12], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        assert_eq!(frame[26..34], [10, 1, 0, 1, 10, 0, 0, 1]);
        assert_eq!(
            frame::check(&frame),
            Verdict::Whole {
                stream: STREAM,
                sequence: 9
            }
        );
    }

    #[test]
    fn an_answer_over_ipv6_is_whole_too() {
        let udp = Udp {
            src_mac: Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: Mac([2, 0, 0, 0, 0, 2]),
            src: "[fd00::1]:1".parse().unwrap(),
            dst: "[fd00::2]:2".parse().unwrap(),
        };
        let mut frame = [0; 80];
        udp.stamp(&mut frame, STREAM, 9);
        exchange_addresses(&mut frame);
        assert_eq!((frame[37], frame[53]), (2, 1));
        let whole = Verdict::Whole {
            stream: STREAM,
            sequence: 9,
        };
        assert_eq!(frame::check(&frame), whole);
    }

    #[test]
    fn short_packets_are_left_alone() {
        let mut short = [1; 13];
        exchange_addresses(&mut short);
        assert_eq!(short, [1; 13]);
    }

    #[test]
    fn a_late_answer_is_lost_and_counts_once() {
        let mut times = Times::default();
        times.sent(0);
        times.sent(1);
        let late = Instant::now() + Duration::from_millis(7);
        times.back(0, late);
        times.back(0, late);
        assert!(!times.all_back());
        times.give_up();
        times.back(1, Instant::now());
        let report = times.report();
        assert_eq!((report.replies, report.lost), (1, 1));
        let rtt = report.rtt_ns.unwrap();
        assert!((7_000_000..LONGEST).contains(&rtt.min));
        assert!(rtt.p50 >= rtt.min && rtt.max >= rtt.p999);
        assert!(Times::default().report().rtt_ns.is_none());
    }
}
