// SPDX-License-Identifier: BSD-2-Clause
//! The model's time, the same for all its ports.

use crate::device::LINK_RATE;
use crate::wire::OVERHEAD;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an access of a register takes in lockstep: about what one takes over PCI Express, in nanoseconds.
const ACCESS: u64 = 1_000;

/// For how long the driver leaves the card alone before the host's time counts in lockstep: longer than what a guest
/// that counts instructions needs for a batch of packets.
const QUIET: Duration = Duration::from_millis(5);

/// Nanoseconds since the start.
///
/// The host's; or, in lockstep, those of what the driver does: an access of a register takes [`ACCESS`], a frame what it
/// takes at the link's rate. So what is due at some time, as an interrupt that moderation has held back, comes after as
/// many accesses and frames, however fast the guest is translated. While the driver leaves the card alone for
/// longer than [`QUIET`], as it waits for that interrupt, the host's time counts.
pub struct Clock {
    started: Instant,
    lockstep: Option<Mutex<Lockstep>>,
}

struct Lockstep {
    /// The time at the last step.
    time: u64,
    /// When that was.
    stepped: Instant,
}

impl Lockstep {
    fn now(&self, host: Instant) -> u64 {
        let alone = host.saturating_duration_since(self.stepped);
        self.time + nanoseconds(alone.saturating_sub(QUIET))
    }

    /// When it is `time` on the host, if the driver does nothing until then.
    fn due(&self, time: u64) -> Instant {
        self.stepped + QUIET + Duration::from_nanos(time.saturating_sub(self.time))
    }

    fn step(&mut self, host: Instant, time: u64) {
        self.time = self.now(host) + time;
        self.stepped = host;
    }
}

impl Clock {
    /// The host's time, from now on.
    pub fn host() -> Arc<Self> {
        Clock::since(Instant::now())
    }

    /// The host's time since `started`.
    pub fn since(started: Instant) -> Arc<Self> {
        Arc::new(Clock {
            started,
            lockstep: None,
        })
    }

    /// The time of a driver in lockstep.
    pub fn lockstep() -> Arc<Self> {
        let started = Instant::now();
        Arc::new(Clock {
            started,
            lockstep: Some(Mutex::new(Lockstep {
                time: 0,
                stepped: started,
            })),
        })
    }

    /// Nanoseconds since the start; they never go back.
    pub fn now(&self) -> u64 {
        self.with_lockstep(|lockstep| lockstep.now(Instant::now()))
            .unwrap_or_else(|| nanoseconds(self.started.elapsed()))
    }

    /// The driver has read or written a register.
    pub fn accessed(&self) {
        self.step(ACCESS);
    }

    /// Frames were sent, of so many octets without check sequences.
    pub fn sent(&self, frames: usize, octets: usize) {
        let on_wire = octets as u64 + frames as u64 * OVERHEAD;
        self.step(on_wire * 8 * 1_000_000_000 / LINK_RATE);
    }

    /// How long to wait on the host for `time` to come, if the driver does nothing.
    pub fn until(&self, time: u64) -> Duration {
        self.with_lockstep(|lockstep| lockstep.due(time).saturating_duration_since(Instant::now()))
            .unwrap_or_else(|| Duration::from_nanos(time.saturating_sub(self.now())))
    }

    fn step(&self, time: u64) {
        self.with_lockstep(|lockstep| lockstep.step(Instant::now(), time));
    }

    fn with_lockstep<R>(&self, act: impl FnOnce(&mut Lockstep) -> R) -> Option<R> {
        let lockstep = self.lockstep.as_ref()?;
        Some(act(&mut lockstep
            .lock()
            .unwrap_or_else(PoisonError::into_inner)))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_lockstep_time_is_what_the_driver_does() {
        let start = Instant::now();
        let mut lockstep = Lockstep {
            time: 0,
            stepped: start,
        };
        let later = start + QUIET;
        assert_eq!(lockstep.now(later), 0);
        lockstep.step(later, ACCESS);
        assert_eq!(lockstep.now(later + QUIET), ACCESS);
        // Once it does nothing, time passes all the same, and does not go back when it goes on.
        let quiet = later + QUIET + Duration::from_nanos(70);
        assert_eq!(lockstep.now(quiet), ACCESS + 70);
        assert_eq!(lockstep.due(ACCESS + 70), quiet);
        lockstep.step(quiet, 0);
        assert_eq!(lockstep.now(quiet), ACCESS + 70);
    }

    #[test]
    fn frames_take_their_time_at_the_rate_of_the_link() {
        let clock = Clock::lockstep();
        clock.sent(1000, 60_000);
        let now = clock.now();
        assert!(now >= 67_200, "{now}");
    }

    #[test]
    fn the_host_s_time_passes_by_itself() {
        let clock = Clock::since(Instant::now() - Duration::from_secs(1));
        clock.accessed();
        assert!(clock.now() >= 1_000_000_000);
        assert_eq!(clock.until(0), Duration::ZERO);
    }
}
