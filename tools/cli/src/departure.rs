// SPDX-License-Identifier: BSD-2-Clause
//! Packets that have been queued in transmit rings: whether they leave, and which have not.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use netmap::{Binding, TxRing};
use std::collections::VecDeque;
use std::io;
use std::time::Instant;

/// How long queued packets may stay where they are before the link is taken for dead.
const STUCK_LIMIT: Duration = Duration::from_secs(5);

/// The same after a signal: for what has left, and is only not reported yet.
const STOP_LIMIT: Duration = Duration::from_millis(100);

/// Looks at rings that have not changed, besides either limit: time alone may pass while nobody has a processor to change them.
const LOOKS: u32 = 20;

/// Distance between two looks at rings that drain; no event tells that they are empty.
const DRAIN_STEP: Duration = Duration::from_micros(50);

/// Packets, and their octets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Octets of all of them.
    pub octets: u64,
}

/// Equal packets that were queued one after the other.
#[derive(Debug, Clone, Copy)]
struct Run {
    packets: u32,
    /// Slots of each.
    slots: u32,
    /// Octets of each.
    octets: u64,
}

impl Run {
    fn all_slots(self) -> u64 {
        u64::from(self.packets) * u64::from(self.slots)
    }
}

/// The last packets that were queued in a ring, as many as it may hold.
#[derive(Debug)]
pub struct Queued {
    runs: VecDeque<Run>,
    /// Slots of them all.
    slots: u64,
    num_slots: u32,
}

impl Queued {
    /// Of a ring of `num_slots`, with nothing in it.
    pub fn new(num_slots: u32) -> Self {
        Queued {
            runs: VecDeque::new(),
            slots: 0,
            num_slots,
        }
    }

    /// `packets` more, each of so many slots and octets. Those that can be in the ring no more are forgotten.
    #[inline]
    pub fn push(&mut self, packets: u32, slots: u32, octets: u64) {
        let run = Run {
            packets,
            slots,
            octets,
        };
        if run.all_slots() == 0 {
            return;
        }
        self.slots += run.all_slots();
        match self.runs.back_mut() {
            // No longer than the ring, so that it can be forgotten.
            Some(last)
                if (last.slots, last.octets) == (slots, octets)
                    && last.all_slots() < u64::from(self.num_slots) =>
            {
                last.packets += packets;
            }
            _ => self.runs.push_back(run),
        }
        while let Some(oldest) = self.runs.front() {
            if self.slots - oldest.all_slots() < u64::from(self.num_slots) {
                return;
            }
            self.slots -= oldest.all_slots();
            self.runs.pop_front();
        }
    }

    /// The packets that are in the last `pending` slots. One of whose slots some have left has not.
    pub fn last(&self, pending: u32) -> Amount {
        let mut left = u64::from(pending);
        let mut last = Amount::default();
        for run in self.runs.iter().rev() {
            let packets = left
                .div_ceil(u64::from(run.slots))
                .min(u64::from(run.packets));
            last.packets += packets;
            last.octets += packets * run.octets;
            left = left.saturating_sub(run.all_slots());
        }
        last
    }
}

/// The packets of these rings that have not left.
pub fn unsent<'r>(rings: impl IntoIterator<Item = (&'r TxRing, &'r Queued)>) -> Amount {
    rings
        .into_iter()
        .map(|(ring, queued)| queued.last(ring.pending()))
        .fold(Amount::default(), |all, one| Amount {
            packets: all.packets + one.packets,
            octets: all.octets + one.octets,
        })
}

/// What to say of packets that stay in the ring for longer than any link needs.
pub fn stuck(unsent: Amount) -> String {
    format!(
        "{} packets do not leave the ring: is the link up?",
        unsent.packets
    )
}

/// Looks whether the slots of rings get less.
#[derive(Debug, Default)]
pub struct Watch {
    /// How many slots were pending when that had changed last, when, and how often that was seen since.
    moved: Option<(u32, Instant, u32)>,
}

impl Watch {
    /// There was room: the next look is the first.
    #[inline]
    pub fn reset(&mut self) {
        self.moved = None;
    }

    /// Whether as many slots as now have been pending for so long that the link is taken for dead.
    pub fn is_stuck(&mut self, pending: u32) -> bool {
        self.stays(pending, STUCK_LIMIT)
    }

    fn stays(&mut self, pending: u32, limit: Duration) -> bool {
        match self.moved {
            Some((before, since, looks)) if before == pending => {
                self.moved = Some((before, since, looks.saturating_add(1)));
                since.elapsed() > limit && looks >= LOOKS
            }
            _ => {
                self.moved = Some((pending, Instant::now(), 0));
                false
            }
        }
    }
}

/// Waits until all that is queued in the rings of a binding has left; false if it does not. After a signal what stays is no
/// failure, and is waited for no longer than what has left needs to be reported.
///
/// # Errors
///
/// A sync's.
pub fn drain(binding: &Binding, rings: &[&TxRing], stop: &AtomicBool) -> io::Result<bool> {
    let pending = || rings.iter().map(|ring| ring.pending()).sum::<u32>();
    let mut watch = Watch::default();
    binding.sync_tx()?;
    loop {
        let now = pending();
        if now == 0 {
            return Ok(true);
        }
        if stop.load(Ordering::Relaxed) {
            if watch.stays(now, STOP_LIMIT) {
                return Ok(true);
            }
        } else if watch.is_stuck(now) {
            return Ok(false);
        }
        std::thread::sleep(DRAIN_STEP);
        binding.sync_tx()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(packets: u64, octets: u64) -> Amount {
        Amount { packets, octets }
    }

    #[test]
    fn what_is_in_the_ring_is_told_in_packets() {
        let mut queued = Queued::new(8);
        assert_eq!(queued.last(0), amount(0, 0));
        for (slots, octets) in [(1, 60), (3, 5000), (1, 70)] {
            queued.push(1, slots, octets);
        }
        assert_eq!(queued.last(0), amount(0, 0));
        assert_eq!(queued.last(1), amount(1, 70));
        // The first of its slots has left, all of it has not.
        assert_eq!(queued.last(3), amount(2, 5070));
        assert_eq!(queued.last(5), amount(3, 5130));
    }

    #[test]
    fn a_run_is_told_in_part() {
        let mut queued = Queued::new(32);
        queued.push(4, 2, 100);
        queued.push(0, 1, 60);
        queued.push(5, 1, 60);
        assert_eq!(queued.last(3), amount(3, 180));
        assert_eq!(queued.last(5), amount(5, 300));
        assert_eq!(queued.last(8), amount(7, 500));
        assert_eq!(queued.last(13), amount(9, 700));
        // More than was queued: what another program had there is none of its packets.
        assert_eq!(queued.last(31), amount(9, 700));
    }

    #[test]
    fn what_has_left_is_forgotten() {
        let mut queued = Queued::new(8);
        for _ in 0..100 {
            queued.push(1, 2, 10);
        }
        assert!(queued.runs.len() <= 5, "{queued:?}");
        assert_eq!(queued.last(7), amount(4, 40));
        assert_eq!(
            queued.slots,
            queued.runs.iter().map(|run| run.all_slots()).sum()
        );
        queued.push(100, 1, 60);
        assert_eq!(queued.runs.len(), 1);
        assert_eq!(queued.last(7), amount(7, 420));
    }

    #[test]
    fn what_moves_is_not_stuck() {
        let mut watch = Watch::default();
        assert!(!watch.stays(3, Duration::ZERO));
        std::thread::sleep(Duration::from_millis(1));
        for _ in 0..LOOKS {
            assert!(!watch.stays(3, Duration::ZERO));
        }
        assert!(watch.stays(3, Duration::ZERO));
        assert!(!watch.stays(2, Duration::ZERO));
        for _ in 0..=LOOKS {
            assert!(!watch.is_stuck(2));
        }
        std::thread::sleep(Duration::from_millis(1));
        assert!(watch.stays(2, Duration::ZERO));
        watch.reset();
        assert!(!watch.stays(2, Duration::ZERO));
    }
}
