// SPDX-License-Identifier: BSD-2-Clause
//! The optical link: light out, light in, and what LINKS and STATUS say of it.
//!
//! Source: ixgbe_82599.c, ixgbe_disable_tx_laser_multispeed_fiber (pin 3 is the laser), ixgbe_check_mac_link_generic.

use crate::registers::links;

/// From light to a link, in nanoseconds.
const TRAINING: u64 = 5_000_000;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The link is up.
    Up,
    /// The link is down.
    Down,
}

/// The state of the link of one port.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link {
    up: bool,
    /// It was down since LINKS was last read.
    was_down: bool,
    trained_at: Option<u64>,
}

impl Link {
    /// What a device reset does: the link trains anew.
    pub fn reset(&mut self) {
        *self = Link::default();
    }

    /// Whether it is up.
    pub fn up(&self) -> bool {
        self.up
    }

    /// LINKS: up or not, and the speed. A link that was lost reads as down once, even if it is up again.
    ///
    /// Source: ixgbe_common.c, ixgbe_check_mac_link_generic ("clear the old state").
    pub fn status(&mut self) -> u32 {
        if self.up && !std::mem::take(&mut self.was_down) {
            links::UP | links::SPEED_10G
        } else {
            0
        }
    }

    /// `light` says that light comes in and goes out. Tells what changed at `now`, and when to ask again.
    pub fn update(&mut self, light: bool, now: u64) -> (Change, Option<u64>) {
        match (self.up, light) {
            (true, false) => {
                self.up = false;
                self.was_down = true;
                self.trained_at = None;
                (Change::Down, None)
            }
            (false, true) => {
                let at = *self.trained_at.get_or_insert(now + TRAINING);
                if now < at {
                    return (Change::None, Some(at));
                }
                self.up = true;
                (Change::Up, None)
            }
            (false, false) => {
                self.trained_at = None;
                (Change::None, None)
            }
            (true, true) => (Change::None, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_needs_light_for_a_while_and_falls_at_once() {
        let mut link = Link::default();
        assert_eq!(link.update(true, 0), (Change::None, Some(TRAINING)));
        assert_eq!(link.update(false, 1), (Change::None, None));
        assert_eq!(link.update(true, 2), (Change::None, Some(TRAINING + 2)));
        assert_eq!(link.update(true, TRAINING + 2), (Change::Up, None));
        assert_eq!(link.status(), links::UP | links::SPEED_10G);
        assert_eq!(link.update(false, TRAINING + 3), (Change::Down, None));
        assert_eq!(link.status(), 0);
    }

    #[test]
    fn a_link_that_was_lost_reads_as_down_once() {
        let mut link = Link::default();
        for light in [true, true, false, true, true] {
            link.update(light, TRAINING);
            link.update(light, 2 * TRAINING);
        }
        assert!(link.up());
        assert_eq!(link.status(), 0);
        assert_eq!(link.status(), links::UP | links::SPEED_10G);
    }
}
