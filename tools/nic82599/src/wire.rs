// SPDX-License-Identifier: BSD-2-Clause
//! A wire: what lies between the transmitter of one port and the receiver of another.

use std::collections::VecDeque;
use std::io::{self, Write};

/// Octets that a frame takes on the wire besides itself: preamble, check sequence, gap.
pub const OVERHEAD: u64 = 24;

/// The properties of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties {
    /// Bits per second; 0 is as fast as the model runs.
    pub rate: u64,
    /// Nanoseconds from the end of sending to receiving.
    pub delay: u64,
    /// Every how manieth frame is lost; 0 loses none.
    pub lose: u64,
    /// In every how manieth frame one bit is turned over, which the receiver's check sequence finds; 0 in none.
    pub damage: u64,
}

/// A frame at the receiving end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The frame, without its check sequence.
    pub frame: Vec<u8>,
    /// Whether its check sequence is right.
    pub good: bool,
}

/// What went over a wire in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Frames that the sender gave.
    pub frames: u64,
    /// Their octets, with check sequences.
    pub octets: u64,
    /// Frames lost on purpose.
    pub lost: u64,
    /// Frames damaged on purpose.
    pub damaged: u64,
}

/// One direction of a wire. Times are nanoseconds of any clock that does not go back.
#[derive(Debug, Default)]
pub struct Lane {
    /// Its properties, which can change at any time.
    pub properties: Properties,
    free_at: u64,
    flying: VecDeque<(u64, Arrival)>,
    carried: Carried,
}

impl Lane {
    /// A lane with nothing on it.
    pub fn new(properties: Properties) -> Self {
        Lane {
            properties,
            ..Lane::default()
        }
    }

    /// When the sender may give the next frame.
    pub fn free_at(&self) -> u64 {
        self.free_at
    }

    /// Takes a frame at time `now`.
    pub fn send(&mut self, mut frame: Vec<u8>, now: u64) {
        let octets = frame.len() as u64 + OVERHEAD;
        let time = (octets * 8 * 1_000_000_000)
            .checked_div(self.properties.rate)
            .unwrap_or(0);
        self.free_at = self.free_at.max(now) + time;
        self.carried.frames += 1;
        self.carried.octets += frame.len() as u64 + 4;
        let is_due = |every: u64| every != 0 && self.carried.frames % every == 0;
        if is_due(self.properties.lose) {
            self.carried.lost += 1;
            return;
        }
        let good = !is_due(self.properties.damage);
        if !good {
            self.carried.damaged += 1;
            let at = self.carried.frames as usize % frame.len().max(1);
            if let Some(octet) = frame.get_mut(at) {
                *octet ^= 1;
            }
        }
        // A delay that is made shorter must not let a frame overtake another.
        let earliest = self.flying.back().map_or(0, |(due, _)| *due);
        let due = (self.free_at + self.properties.delay).max(earliest);
        self.flying.push_back((due, Arrival { frame, good }));
    }

    /// The next frame that has arrived by time `now`.
    pub fn receive(&mut self, now: u64) -> Option<Arrival> {
        let due = self.next_arrival()?;
        if due > now {
            return None;
        }
        self.flying.pop_front().map(|(_, arrival)| arrival)
    }

    /// When the next frame arrives.
    pub fn next_arrival(&self) -> Option<u64> {
        self.flying.front().map(|(due, _)| *due)
    }

    /// Loses what is on the wire: the cable was pulled.
    pub fn cut(&mut self) {
        self.carried.lost += self.flying.len() as u64;
        self.flying.clear();
        self.free_at = 0;
    }

    /// What went over so far.
    pub fn carried(&self) -> Carried {
        self.carried
    }
}

/// Writes frames to a file that tcpdump and others read.
#[derive(Debug)]
pub struct Tap<W: Write> {
    to: W,
}

/// Frames of the tap are not cut at any length that the card can send.
const SNAP_LENGTH: u32 = 0x4_0000;

impl<W: Write> Tap<W> {
    /// Starts a file of Ethernet frames with times in nanoseconds.
    ///
    /// # Errors
    ///
    /// Those of `to`.
    ///
    /// Source: draft-ietf-opsawg-pcap.
    pub fn new(mut to: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
        header.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header.extend_from_slice(&SNAP_LENGTH.to_le_bytes());
        header.extend_from_slice(&1u32.to_le_bytes());
        to.write_all(&header)?;
        to.flush()?;
        Ok(Tap { to })
    }

    /// Writes a frame, with a time in nanoseconds. What was written is in the file when this returns.
    ///
    /// # Errors
    ///
    /// Those of the file.
    pub fn write(&mut self, frame: &[u8], now: u64) -> io::Result<()> {
        // Seconds have 32 bits in this format, and no frame has 4 GiB.
        let len = (frame.len() as u32).to_le_bytes();
        let mut record = Vec::with_capacity(16 + frame.len());
        record.extend_from_slice(&((now / 1_000_000_000) as u32).to_le_bytes());
        record.extend_from_slice(&((now % 1_000_000_000) as u32).to_le_bytes());
        record.extend_from_slice(&len);
        record.extend_from_slice(&len);
        record.extend_from_slice(frame);
        self.to.write_all(&record)?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties() -> Properties {
        Properties::default()
    }

    #[test]
    fn without_properties_at_once_and_in_order() {
        let mut lane = Lane::new(properties());
        lane.send(vec![1; 60], 5);
        lane.send(vec![2; 60], 5);
        assert_eq!(lane.receive(5).unwrap().frame, [1; 60]);
        assert_eq!(lane.receive(5).unwrap().frame, [2; 60]);
        assert_eq!(lane.receive(5), None);
        assert_eq!((lane.carried().frames, lane.carried().octets), (2, 128));
    }

    /// 14.88 million of the shortest frames a second.
    #[test]
    fn rate_is_that_of_the_wire() {
        let mut lane = Lane::new(Properties {
            rate: 10_000_000_000,
            ..properties()
        });
        for _ in 0..1000 {
            lane.send(vec![0; 60], 0);
        }
        assert_eq!(lane.free_at(), 67_000);
        assert_eq!(lane.next_arrival(), Some(67));
        assert_eq!(lane.receive(66), None);
        assert!(lane.receive(67).is_some());
    }

    #[test]
    fn delay_keeps_the_order() {
        let mut lane = Lane::new(Properties {
            delay: 1000,
            ..properties()
        });
        lane.send(vec![1; 60], 0);
        lane.properties.delay = 0;
        lane.send(vec![2; 60], 0);
        assert_eq!(lane.receive(999), None);
        assert_eq!(lane.receive(1000).unwrap().frame, [1; 60]);
        assert_eq!(lane.receive(1000).unwrap().frame, [2; 60]);
    }

    #[test]
    fn loss_and_damage() {
        let mut lane = Lane::new(Properties {
            lose: 3,
            damage: 2,
            ..properties()
        });
        for _ in 0..6 {
            lane.send(vec![0; 60], 0);
        }
        let good: Vec<_> = std::iter::from_fn(|| lane.receive(0))
            .map(|arrival| arrival.good)
            .collect();
        assert_eq!(good, [true, false, false, true]);
        assert_eq!((lane.carried().lost, lane.carried().damaged), (2, 2));
    }

    #[test]
    fn a_cut_loses_what_is_on_the_way() {
        let mut lane = Lane::new(Properties {
            delay: 9,
            ..properties()
        });
        lane.send(vec![0; 60], 0);
        lane.cut();
        assert_eq!((lane.receive(100), lane.carried().lost), (None, 1));
    }

    #[test]
    fn the_tap_writes_a_capture_file() {
        let mut file = Vec::new();
        let mut tap = Tap::new(&mut file).unwrap();
        tap.write(&[0xaa; 60], 3_000_000_007).unwrap();
        assert_eq!(file.len(), 24 + 16 + 60);
        assert_eq!(file[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
        assert_eq!(file[24..32], [3, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(file[32], 60);
    }
}
