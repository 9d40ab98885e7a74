// SPDX-License-Identifier: BSD-2-Clause
//! A cable between two ports: a wire each way, and whether light shines into it.

use crate::wire::{Arrival, Carried, Lane, Properties};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Octets that may be on the cable in one direction. A sender that is faster than the receiver waits: so much is lost at
/// most between an overflow and the sender's being told, and the driver's marks leave room for more (ixgbe_main.c,
/// ixgbe_hpbthresh).
const CAPACITY: usize = 16 * 1024;

/// An end of a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// One.
    A,
    /// The other.
    B,
}

impl End {
    fn index(self) -> usize {
        self as usize
    }

    /// The end at the far side.
    pub fn far(self) -> End {
        match self {
            End::A => End::B,
            End::B => End::A,
        }
    }
}

#[derive(Default)]
struct Inner {
    /// By the end that sends.
    lanes: [Lane; 2],
    flying: [usize; 2],
    light: [bool; 2],
    broken: bool,
}

/// A cable.
#[derive(Default)]
pub struct Cable {
    inner: Mutex<Inner>,
}

impl Cable {
    /// A cable whose directions have these properties.
    pub fn new(properties: Properties) -> Self {
        let cable = Cable::default();
        cable.set_properties(properties);
        cable
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that is done under this lock leaves it half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The properties of both directions.
    pub fn properties(&self) -> Properties {
        self.inner().lanes[0].properties
    }

    /// Changes the properties of both directions.
    pub fn set_properties(&self, properties: Properties) {
        for lane in &mut self.inner().lanes {
            lane.properties = properties;
        }
    }

    /// Changes the properties of the direction in which `end` sends.
    pub fn change(&self, end: End, change: impl FnOnce(&mut Properties)) {
        change(&mut self.inner().lanes[end.index()].properties);
    }

    /// How many octets `end` may send now, and when it may send more if that is 0 for the sake of the wire's rate.
    pub fn room(&self, end: End, now: u64) -> (usize, Option<u64>) {
        let inner = self.inner();
        let free_at = inner.lanes[end.index()].free_at();
        if free_at > now {
            return (0, Some(free_at));
        }
        (CAPACITY.saturating_sub(inner.flying[end.index()]), None)
    }

    /// `end` sends frames.
    pub fn send(&self, end: End, frames: Vec<Vec<u8>>, now: u64) {
        let mut inner = self.inner();
        if inner.broken {
            return;
        }
        let lane = end.index();
        for frame in frames {
            let octets = frame.len();
            let lost = inner.lanes[lane].carried().lost;
            inner.lanes[lane].send(frame, now);
            if inner.lanes[lane].carried().lost == lost {
                inner.flying[lane] += octets;
            }
        }
    }

    /// Takes up to `limit` frames that have arrived at `end`; and says when the next will arrive.
    pub fn receive(&self, end: End, now: u64, limit: usize) -> (Vec<Arrival>, Option<u64>) {
        let mut inner = self.inner();
        let lane = end.far().index();
        let mut frames = Vec::new();
        while frames.len() < limit {
            let Some(arrival) = inner.lanes[lane].receive(now) else {
                break;
            };
            inner.flying[lane] -= arrival.frame.len();
            frames.push(arrival);
        }
        (frames, inner.lanes[lane].next_arrival())
    }

    /// `end` shines, or does not. Returns whether that changed.
    pub fn shine(&self, end: End, light: bool) -> bool {
        let mut inner = self.inner();
        let changed = inner.light[end.index()] != light;
        inner.light[end.index()] = light;
        changed
    }

    /// Whether light comes out at `end`.
    pub fn lit(&self, end: End) -> bool {
        let inner = self.inner();
        inner.light[end.far().index()] && !inner.broken
    }

    /// Pulls the cable out, or plugs it in. What was on it is lost.
    pub fn set_broken(&self, broken: bool) {
        let mut inner = self.inner();
        inner.broken = broken;
        if broken {
            for lane in &mut inner.lanes {
                lane.cut();
            }
            inner.flying = [0; 2];
        }
    }

    /// What `end` has sent.
    pub fn carried(&self, end: End) -> Carried {
        self.inner().lanes[end.index()].carried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_waits_for_a_slow_receiver() {
        let cable = Cable::default();
        assert_eq!(cable.room(End::A, 0), (CAPACITY, None));
        cable.send(End::A, vec![vec![0; 1024]; 16], 0);
        assert_eq!(cable.room(End::A, 0), (0, None));
        let (frames, next) = cable.receive(End::B, 0, 1);
        assert_eq!((frames.len(), next), (1, Some(0)));
        assert_eq!(cable.room(End::A, 0), (1024, None));
    }

    #[test]
    fn light_goes_through_a_whole_cable() {
        let cable = Cable::default();
        assert!(!cable.lit(End::B));
        assert!(cable.shine(End::A, true));
        assert!(!cable.shine(End::A, true));
        assert!(cable.lit(End::B) && !cable.lit(End::A));
        cable.set_broken(true);
        assert!(!cable.lit(End::B));
    }

    #[test]
    fn a_broken_cable_loses_what_is_on_it() {
        let cable = Cable::default();
        cable.send(End::A, vec![vec![0; 60]], 0);
        cable.set_broken(true);
        cable.set_broken(false);
        assert_eq!(cable.receive(End::B, 0, 9).0, []);
        assert_eq!(cable.room(End::A, 0), (CAPACITY, None));
    }
}
