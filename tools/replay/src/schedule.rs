// SPDX-License-Identifier: BSD-2-Clause
//! Which packet leaves when.

use capture::{Capture, Frame};
use fastrand::Rng;
use std::time::Duration;

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// What the times of departure follow from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// The times of capture, with distances divided by this.
    Captured(f64),
    /// So many packets per second.
    Packets(f64),
    /// So many bits per second, where a packet counts as so many octets more than it has.
    Bits {
        /// Bits per second.
        rate: f64,
        /// Octets.
        framing: u32,
    },
    /// Nothing: each leaves at once.
    Unlimited,
}

/// A delay of each packet, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// The same for all.
    Constant(f64),
    /// From the first to the second.
    Uniform(f64, f64),
    /// The first at least, the second on average.
    Exponential(f64, f64),
}

/// Which packets are left out, at random.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// So many of all packets.
    Packets(f64),
    /// Those of which a bit is wrong, as so many of all bits are.
    Bits(f64),
}

/// A packet and when it leaves, counted from the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Departure<'c> {
    /// The packet.
    pub frame: Frame<'c>,
    /// When it leaves.
    pub at: Duration,
}

/// All packets in order, round after round.
pub struct Schedule<'c> {
    capture: &'c Capture,
    pace: Pace,
    delay: Option<Delay>,
    loss: Option<Loss>,
    random: Rng,
    /// Rounds that are left, this one included; `None` for no end.
    rounds: Option<u64>,
    next: usize,
    /// When the next packet would leave without a delay, in nanoseconds.
    due: f64,
    /// When the last one left.
    last: f64,
    /// How many were left out.
    pub lost: u64,
}

impl<'c> Schedule<'c> {
    /// Sends what is captured `rounds` times, or without end if that is 0.
    pub fn new(
        capture: &'c Capture,
        pace: Pace,
        rounds: u64,
        delay: Option<Delay>,
        loss: Option<Loss>,
        random: Rng,
    ) -> Self {
        Schedule {
            capture,
            pace,
            delay,
            loss,
            random,
            rounds: (rounds != 0).then_some(rounds),
            next: 0,
            due: 0.0,
            last: 0.0,
            lost: 0,
        }
    }

    /// From a packet to what follows it, in nanoseconds.
    fn distance(&self, number: usize, frame: &Frame<'_>) -> f64 {
        match self.pace {
            Pace::Unlimited => 0.0,
            Pace::Packets(rate) => SECOND / rate,
            Pace::Bits { rate, framing } => {
                (frame.octets.len() as f64 + f64::from(framing)) * 8.0 * SECOND / rate
            }
            Pace::Captured(factor) => {
                let distance = match self.capture.frame(number + 1) {
                    // Times may go back, as in files that were put together.
                    Some(next) => next.time.saturating_sub(frame.time) as f64,
                    None => self.mean_distance(),
                };
                distance / factor
            }
        }
    }

    /// What is between the last packet of a round and the first of the next one: no time of capture tells. One packet alone
    /// is sent once a second.
    fn mean_distance(&self) -> f64 {
        let end = self.capture.len().saturating_sub(1);
        match (self.capture.frame(0), self.capture.frame(end)) {
            (Some(first), Some(last)) if end != 0 => {
                last.time.saturating_sub(first.time) as f64 / end as f64
            }
            _ => SECOND,
        }
    }

    fn is_lost(&mut self, frame: &Frame<'_>) -> bool {
        let probability = match self.loss {
            None => return false,
            Some(Loss::Packets(rate)) => rate,
            Some(Loss::Bits(rate)) => 1.0 - (1.0 - rate).powf(frame.octets.len() as f64 * 8.0),
        };
        self.random.f64() < probability
    }

    fn delay(&mut self) -> f64 {
        match self.delay {
            None => 0.0,
            Some(Delay::Constant(delay)) => delay,
            Some(Delay::Uniform(least, most)) => least + self.random.f64() * (most - least),
            // Of 1 - x, which is above 0 as x is below 1.
            Some(Delay::Exponential(least, mean)) => {
                least - (mean - least) * (1.0 - self.random.f64()).ln()
            }
        }
    }
}

impl<'c> Iterator for Schedule<'c> {
    type Item = Departure<'c>;

    fn next(&mut self) -> Option<Departure<'c>> {
        loop {
            if self.rounds == Some(0) {
                return None;
            }
            let number = self.next;
            let frame = self.capture.frame(number)?;
            let due = self.due;
            self.due += self.distance(number, &frame);
            self.next += 1;
            if self.next == self.capture.len() {
                self.next = 0;
                self.rounds = self.rounds.map(|rounds| rounds - 1);
            }
            if self.is_lost(&frame) {
                self.lost += 1;
                // All of them may be, for ever: whoever asks can do something else in between.
                if self.rounds.is_none() && self.next == 0 {
                    let frame = Frame {
                        octets: &[],
                        ..frame
                    };
                    return Some(Departure {
                        frame,
                        at: nanoseconds(due),
                    });
                }
                continue;
            }
            self.last = self.last.max(due + self.delay());
            return Some(Departure {
                frame,
                at: nanoseconds(self.last),
            });
        }
    }
}

/// More than a `u64` has is the end of time.
fn nanoseconds(time: f64) -> Duration {
    Duration::from_nanos(time as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capture::{Format, Writer};

    /// Packets of 100 octets at these microseconds.
    fn capture(times: &[u64]) -> Capture {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, Format::PcapNg, 1000, "x").unwrap();
        for (number, time) in (0..).zip(times) {
            writer
                .write(Duration::from_micros(*time), 100, &[number; 100])
                .unwrap();
        }
        writer.finish(Duration::ZERO, 0, 0).unwrap();
        Capture::read(&octets[..]).unwrap()
    }

    fn micros(capture: &Capture, pace: Pace, rounds: u64, delay: Option<Delay>) -> Vec<u128> {
        let schedule = Schedule::new(capture, pace, rounds, delay, None, Rng::with_seed(1));
        schedule.map(|departure| departure.at.as_micros()).collect()
    }

    #[test]
    fn as_captured_and_faster() {
        let three = capture(&[1000, 1010, 1040]);
        assert_eq!(micros(&three, Pace::Captured(1.0), 1, None), [0, 10, 40]);
        assert_eq!(micros(&three, Pace::Captured(2.0), 1, None), [0, 5, 20]);
        assert_eq!(micros(&three, Pace::Captured(0.5), 1, None), [0, 20, 80]);
    }

    #[test]
    fn rounds_follow_at_the_mean_distance() {
        let three = capture(&[1000, 1010, 1040]);
        assert_eq!(
            micros(&three, Pace::Captured(1.0), 2, None),
            [0, 10, 40, 60, 70, 100]
        );
        assert_eq!(
            micros(&capture(&[7]), Pace::Captured(1.0), 2, None),
            [0, 1_000_000]
        );
    }

    #[test]
    fn times_that_go_back_are_no_distance() {
        assert_eq!(
            micros(&capture(&[50, 20, 30]), Pace::Captured(1.0), 1, None),
            [0, 0, 10]
        );
    }

    #[test]
    fn rates() {
        let two = capture(&[0, 0]);
        assert_eq!(
            micros(&two, Pace::Packets(1000.0), 2, None),
            [0, 1000, 2000, 3000]
        );
        assert_eq!(
            micros(
                &two,
                Pace::Bits {
                    rate: 8e5,
                    framing: 0
                },
                1,
                None
            ),
            [0, 1000]
        );
        assert_eq!(
            micros(
                &two,
                Pace::Bits {
                    rate: 8e5,
                    framing: 24
                },
                1,
                None
            ),
            [0, 1240]
        );
        assert_eq!(micros(&two, Pace::Unlimited, 1, None), [0, 0]);
    }

    #[test]
    fn delays_keep_the_order() {
        let many = capture(&(0..200).collect::<Vec<_>>());
        assert_eq!(
            micros(
                &capture(&[0, 5]),
                Pace::Captured(1.0),
                1,
                Some(Delay::Constant(3e3))
            ),
            [3, 8]
        );
        for delay in [Delay::Uniform(1e3, 50e3), Delay::Exponential(1e3, 50e3)] {
            let times = micros(&many, Pace::Captured(1.0), 1, Some(delay));
            assert!(
                times.windows(2).all(|pair| pair[0] <= pair[1]) && times[0] >= 1,
                "{times:?}"
            );
            assert!(times.last() > Some(&199), "{times:?}");
        }
    }

    #[test]
    fn losses() {
        let many = capture(&(0..200).collect::<Vec<_>>());
        let run = |loss| {
            let mut schedule = Schedule::new(
                &many,
                Pace::Unlimited,
                1,
                None,
                Some(loss),
                Rng::with_seed(1),
            );
            let sent = schedule.by_ref().count() as u64;
            assert_eq!(sent + schedule.lost, 200);
            sent
        };
        assert_eq!(
            (
                run(Loss::Packets(0.0)),
                run(Loss::Packets(1.0)),
                run(Loss::Bits(1.0))
            ),
            (200, 0, 0)
        );
        assert!((50..150).contains(&run(Loss::Packets(0.5))));
        // A packet of 800 bits has a wrong one with probability 1/2.
        assert!((50..150).contains(&run(Loss::Bits(0.000_866))));
    }

    #[test]
    fn losing_all_without_end_gives_turns() {
        let two = capture(&[0, 1]);
        let mut schedule = Schedule::new(
            &two,
            Pace::Unlimited,
            0,
            None,
            Some(Loss::Packets(1.0)),
            Rng::with_seed(1),
        );
        assert!(schedule.next().unwrap().frame.octets.is_empty());
        assert_eq!(schedule.lost, 2);
    }
}
