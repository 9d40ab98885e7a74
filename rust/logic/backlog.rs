// SPDX-License-Identifier: GPL-2.0

//! How long to wait for frames that were handed over to leave by a link.

/// How long a link may stand still, in milliseconds: then it is paused by its other end, or dead.
const STILL_MS: u32 = 200;
/// What is waited for in any case: a NIC takes a moment, too.
const LEAST_MS: u64 = 20;
/// What is waited for at most. It is what a ring of 4096 frames of 1514 bytes takes at 10 Mbit/s.
const MOST_MS: u64 = 6000;
/// Bytes that a frame takes on the wire besides its own: preamble, check sequence, gap.
const OVERHEAD: u64 = 24;
/// The speed that is assumed of a link whose speed is not known, in Mbit/s: the slowest.
const SLOWEST: u32 = 10;
/// How many times as long as at the link's speed it may take: other queues share the link, and its other end may pause it.
const SHARE: u64 = 100;

/// A wait for frames that are on their way out, told now and then how many are left.
#[derive(Clone, Debug)]
pub struct Backlog {
    slots: u32,
    limit_ms: u32,
    /// When the last one was seen to leave.
    moved_ms: u32,
}

impl Backlog {
    /// For `slots` slots of up to `size` bytes each, on a link of `speed` Mbit/s, or 0 if that is not known.
    pub fn new(slots: u32, size: u32, speed: u32) -> Self {
        let speed = if speed == 0 { SLOWEST } else { speed };
        let bits = u64::from(slots)
            .saturating_mul(u64::from(size).saturating_add(OVERHEAD))
            .saturating_mul(8);
        // Kilobits per second are bits per millisecond.
        let ms = bits
            .saturating_mul(SHARE)
            .checked_div(u64::from(speed).saturating_mul(1000))
            .unwrap_or(MOST_MS);
        let limit = ms.saturating_add(LEAST_MS).min(MOST_MS);
        Self {
            slots,
            limit_ms: u32::try_from(limit).unwrap_or(u32::MAX),
            moved_ms: 0,
        }
    }

    /// `slots` slots are left at `now_ms` milliseconds from the beginning, by the clock: looks and sleeps may take longer than
    /// they should. Says whether to go on waiting.
    pub fn goes_on(&mut self, now_ms: u32, slots: u32) -> bool {
        if slots < self.slots {
            self.moved_ms = now_ms;
        }
        self.slots = slots;
        let still_ms = now_ms.saturating_sub(self.moved_ms);
        slots != 0 && now_ms < self.limit_ms && still_ms < STILL_MS
    }
}
