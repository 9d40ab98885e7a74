// SPDX-License-Identifier: GPL-2.0

//! Stretches of damaged frames against a driver that refills its ring by so many descriptors.

use netmap_logic::logic::rewind::{Rewind, Stretch, MAX_COUNT};
use proptest::prelude::*;

/// What a descriptor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Descriptor {
    Empty,
    /// A buffer for a frame.
    Filled,
    /// A frame that the driver has not seen.
    Frame,
}

/// A driver and its ring: it looks at `clean` next, and puts the next buffer at `fill`.
#[derive(Debug)]
struct Driver {
    ring: Vec<Descriptor>,
    refill: usize,
    clean: usize,
    fill: usize,
}

impl Driver {
    fn new(count: u32, refill: u32, at: u32, unfilled: u32) -> Self {
        let (count, at, unfilled) = (count as usize, at as usize, unfilled as usize);
        let mut driver = Driver {
            ring: vec![Descriptor::Filled; count],
            refill: refill as usize,
            clean: at,
            fill: (at + count - 1 - unfilled) % count,
        };
        for i in 0..=unfilled {
            driver.ring[(driver.fill + i) % count] = Descriptor::Empty;
        }
        driver
    }

    fn unfilled(&self) -> usize {
        let count = self.ring.len();
        (self.clean + count - self.fill - 1) % count
    }

    /// Refills if it is time for that, and takes one frame; whether it has done anything.
    fn step(&mut self) -> bool {
        let count = self.ring.len();
        let unfilled = self.unfilled();
        if unfilled >= self.refill {
            for _ in 0..unfilled {
                assert_eq!(self.ring[self.fill], Descriptor::Empty);
                self.ring[self.fill] = Descriptor::Filled;
                self.fill = (self.fill + 1) % count;
            }
            return true;
        }
        if self.ring[self.clean] != Descriptor::Frame {
            return false;
        }
        self.ring[self.clean] = Descriptor::Empty;
        self.clean = (self.clean + 1) % count;
        true
    }

    /// Puts frames in place, and has it work until all before the stretch's end have buffers.
    fn feed(&mut self, stretch: Stretch) {
        let count = self.ring.len();
        let places: Vec<usize> = (0..stretch.len)
            .map(|i| (stretch.from + i) as usize % count)
            .collect();
        assert_eq!(self.clean, places[0]);
        for &i in &places {
            assert_eq!(self.ring[i], Descriptor::Filled, "descriptor {i}");
            self.ring[i] = Descriptor::Frame;
        }
        let refilled = |ring: &[Descriptor]| {
            places
                .iter()
                .all(|&i| ring[(i + count - 1) % count] == Descriptor::Filled)
        };
        while !refilled(&self.ring) {
            assert!(self.step(), "it never shows that the driver is done");
        }
        assert!(!self.step(), "it shows before the driver is done");
    }
}

/// As the drivers' rings are: in multiples of 8.
fn rings() -> impl Strategy<Value = (u32, u32, u32, u32)> {
    (8u32..=512, prop_oneof![Just(1u32), Just(16)]).prop_flat_map(|(eighths, refill)| {
        let count = 8 * eighths;
        (Just(count), Just(refill), 0..count, 0..refill)
    })
}

proptest! {
    #[test]
    fn the_driver_comes_to_the_start((count, refill, at, unfilled) in rings(), lap: bool) {
        let fill = at + count - 1 - unfilled;
        let reached = (0..count).any(|refills| (fill + refills * refill + 1) % count == 0);
        let rewind = Rewind::new(count, refill, at, unfilled, lap);
        prop_assert_eq!(rewind.is_some(), reached);
        if let Some(rewind) = rewind {
            let mut driver = Driver::new(count, refill, at, unfilled);
            let mut fed = 0;
            for stretch in rewind {
                driver.feed(stretch);
                fed += stretch.len;
            }
            prop_assert_eq!((driver.clean, driver.unfilled()), (0, 0));
            prop_assert!(fed != 0 || !lap);
            prop_assert!(fed <= 3 * count);
        }
    }

    #[test]
    fn impossible_numbers_give_nothing(count: u32, refill: u32, at: u32, unfilled: u32, lap: bool) {
        if let Some(rewind) = Rewind::new(count, refill, at, unfilled, lap) {
            prop_assert!(at < count && unfilled < refill);
            prop_assert!(rewind.take(1000).all(|stretch| stretch.len < count));
        }
    }
}

#[test]
fn a_usual_ring_takes_one_stretch() {
    let stretches = |at, unfilled| Rewind::new(512, 16, at, unfilled, false).map(Vec::from_iter);
    assert_eq!(
        stretches(100, 4),
        Some(vec![Stretch {
            from: 100,
            len: 412
        }])
    );
    assert_eq!(stretches(0, 0), Some(vec![]));
    assert_eq!(stretches(100, 5), None, "its refills never end at 511");
}

#[test]
fn a_ring_of_88_may_take_two_laps() {
    let fed = |at, unfilled| {
        let rewind = Rewind::new(88, 16, at, unfilled, false)?;
        Some(rewind.map(|stretch| stretch.len).sum::<u32>())
    };
    assert_eq!(
        fed(10, 2),
        Some(88 - 10),
        "refilled up to 7: by 16 it is at 87 when it is at the end"
    );
    assert_eq!(
        fed(20, 4),
        Some(2 * 88 - 20),
        "refilled up to 15: 79 on this lap, 87 on the next"
    );
}

#[test]
fn the_largest_ring_takes_several_stretches() {
    for (at, unfilled) in [(0, 0), (1, 1), (4096, 0), (MAX_COUNT - 16, 0)] {
        let rewind = Rewind::new(MAX_COUNT, 16, at, unfilled, true).expect("such a ring exists");
        let mut driver = Driver::new(MAX_COUNT, 16, at, unfilled);
        let mut fed = 0;
        for stretch in rewind {
            assert!(stretch.len <= 4096, "{stretch:?}");
            driver.feed(stretch);
            fed += stretch.len;
        }
        assert_eq!((driver.clean, driver.unfilled()), (0, 0));
        assert_eq!(fed, MAX_COUNT - at);
    }
    assert!(Rewind::new(MAX_COUNT + 8, 16, 0, 0, false).is_none());
}
