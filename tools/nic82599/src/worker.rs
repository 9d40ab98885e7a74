// SPDX-License-Identifier: BSD-2-Clause
//! A port in operation: the device, and the thread that moves its packets while the driver goes on.
//!
//! One port's lock is never taken under another's: between the ports lies the cable.

use crate::cable::{Cable, End};
use crate::clock::Clock;
use crate::device::{Device, Next};
use crate::far_end::FarEnd;
use crate::wire::{Arrival, Tap};
use std::fs::File;
use std::io::BufWriter;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Frames that one step takes from the cable, and gives to it.
const BURST: usize = 64;

/// Most steps that one access of a driver waits for.
const TURNS: u32 = 10_000;

/// How often the worker lets others run that wait for the device.
const YIELDS: u32 = 100;

/// Octets that one step takes from the source at the far end.
const GENERATED: usize = 8 * 1024;

/// A file that both ports write their frames to, in the order of sending.
pub type SharedTap = Arc<Mutex<Tap<BufWriter<File>>>>;

/// A port, and what belongs to running it.
pub struct Port {
    device: Mutex<Device>,
    /// Threads that wait for the device: the worker lets them in.
    waiting: AtomicU32,
    /// Held for a step: frames leave in the order of steps.
    stepping: Mutex<()>,
    rung: Mutex<bool>,
    bell: Condvar,
    stopped: AtomicBool,
    cable: Arc<Cable>,
    end: End,
    far: Mutex<Weak<Port>>,
    far_end: Mutex<FarEnd>,
    tap: Option<SharedTap>,
    clock: Arc<Clock>,
    failure: OnceLock<String>,
}

impl Port {
    /// A port at an end of a cable, with the clock that all ports have.
    pub fn new(
        device: Device,
        cable: Arc<Cable>,
        end: End,
        tap: Option<SharedTap>,
        clock: Arc<Clock>,
    ) -> Arc<Self> {
        Arc::new(Port {
            device: Mutex::new(device),
            waiting: AtomicU32::new(0),
            stepping: Mutex::new(()),
            rung: Mutex::new(false),
            bell: Condvar::new(),
            stopped: AtomicBool::new(false),
            cable,
            end,
            far: Mutex::new(Weak::new()),
            far_end: Mutex::new(FarEnd::new()),
            tap,
            clock,
            failure: OnceLock::new(),
        })
    }

    /// Says who is at the other end of the cable.
    pub fn join(&self, far: &Arc<Port>) {
        *lock(&self.far) = Arc::downgrade(far);
    }

    /// The cable.
    pub fn cable(&self) -> &Cable {
        &self.cable
    }

    /// The cable, for the port at its other end.
    pub fn shared_cable(&self) -> Arc<Cable> {
        Arc::clone(&self.cable)
    }

    /// The end of the cable that the port is at.
    pub fn end(&self) -> End {
        self.end
    }

    /// Does something with what a test has put at the far end.
    pub fn with_far_end<R>(&self, act: impl FnOnce(&mut FarEnd, u64) -> R) -> R {
        act(&mut lock(&self.far_end), self.now())
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Does something with the device, from outside of the worker.
    pub fn with<R>(&self, act: impl FnOnce(&mut Device, u64) -> R) -> R {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut device = lock(&self.device);
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        act(&mut device, self.now())
    }

    /// The same for the driver's access of a register, which takes its time.
    pub fn access<R>(&self, act: impl FnOnce(&mut Device, u64) -> R) -> R {
        self.clock.accessed();
        self.with(act)
    }

    /// The port cannot go on, for this reason.
    pub fn fail(&self, reason: String) {
        // The first reason is the one to tell.
        let _ = self.failure.set(reason);
    }

    /// Why the port cannot go on, if it cannot.
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Wakes the worker.
    pub fn ring(&self) {
        let mut rung = lock(&self.rung);
        if !*rung {
            *rung = true;
            self.bell.notify_one();
        }
    }

    /// Wakes the other end's worker.
    pub fn ring_far(&self) {
        let far = lock(&self.far).upgrade();
        if let Some(far) = far {
            far.ring();
        }
    }

    /// Ends [`Self::work`].
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.ring();
    }

    /// Moves packets until it is stopped.
    pub fn work(&self) {
        while !self.stopped.load(Ordering::Acquire) {
            let next = self.turn();
            self.wait(next);
        }
    }

    /// Does what is to be done now, here and at the other end of the cable, before it returns.
    pub fn settle(&self) {
        let far = lock(&self.far).upgrade();
        let ends = [Some(self), far.as_deref()];
        let mut idle = 0;
        for port in ends.iter().flatten().cycle().take(TURNS as usize) {
            let busy = match port.turn() {
                Next::Now => true,
                Next::At(at) => at <= port.now(),
                Next::Idle => false,
            };
            idle = if busy { 0 } else { idle + 1 };
            if idle == ends.len() {
                break;
            }
        }
        // What is due later is the workers'.
        self.ring();
        self.ring_far();
    }

    /// One step: what has arrived, what the device does, what it sends.
    fn turn(&self) -> Next {
        let _step = lock(&self.stepping);
        let now = self.now();
        let limit = lock(&self.device).arrivals().min(BURST);
        let (arrivals, next_arrival) = self.cable.receive(self.end, now, limit);
        // Without room for it, it is no reason to wake up: the driver's next tail is.
        let next_arrival = next_arrival.filter(|_| limit > 0);
        let (room, free_at) = self.cable.room(self.end, now);
        let took = !arrivals.is_empty();
        let light = self.cable.lit(self.end);
        let mut device = lock(&self.device);
        device.set_light(light);
        for arrival in arrivals {
            device.receive(arrival, now);
        }
        let next_generated = self.generate(&mut device, now);
        let next = device.step(now);
        let sent = device.take_sent(room);
        let waiting = device.waiting_frames();
        let shines = device.shines();
        drop(device);
        let gave = !sent.is_empty();
        if gave {
            self.record(&sent, now);
            self.clock.sent(sent.len(), sent.iter().map(Vec::len).sum());
            let mut far_end = lock(&self.far_end);
            for frame in &sent {
                far_end.take(frame, now);
            }
            drop(far_end);
            self.cable.send(self.end, sent, now);
        }
        if lock(&self.far).upgrade().is_none() {
            self.cable.receive(self.end.far(), now, usize::MAX);
        }
        let changed = self.cable.shine(self.end, shines);
        if took || gave || changed {
            self.ring_far();
        }
        // If the cable is full, whoever takes frames off it rings. What was given makes place for more.
        let next = match (next, free_at) {
            _ if gave => Next::Now,
            (next, _) if !waiting => next,
            (_, None) if room > 0 => Next::Now,
            (Next::At(one), Some(other)) => Next::At(one.min(other)),
            (Next::Idle, Some(at)) => Next::At(at),
            (next, _) => next,
        };
        let next_arrival = match (next_arrival, next_generated) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        match (next, next_arrival) {
            (Next::Now, _) => Next::Now,
            (_, Some(at)) if at <= now => Next::Now,
            (Next::At(one), Some(other)) => Next::At(one.min(other)),
            (Next::Idle, Some(at)) => Next::At(at),
            (next, None) => next,
        }
    }

    /// Gives the device what the source at the far end has for it. Returns when it has the next frame.
    fn generate(&self, device: &mut Device, now: u64) -> Option<u64> {
        let mut far_end = lock(&self.far_end);
        // No more than what may be on its way when a PAUSE frame is sent: the source has not seen that yet.
        let mut octets = 0;
        while octets < GENERATED {
            if device.arrivals() == 0 {
                return None;
            }
            let Some(frame) = far_end.next(now) else {
                break;
            };
            octets += frame.len();
            device.receive(Arrival { frame, good: true }, now);
        }
        far_end.next_due()
    }

    fn record(&self, frames: &[Vec<u8>], now: u64) {
        let Some(tap) = &self.tap else {
            return;
        };
        let mut tap = lock(tap);
        for frame in frames {
            // Without the file, the wire goes on.
            let _ = tap.write(frame, now);
        }
    }

    fn wait(&self, next: Next) {
        // A lock is not handed over: whoever waits has it before the next step, if it is scheduled at all.
        for _ in 0..YIELDS {
            if self.waiting.load(Ordering::Acquire) == 0 {
                break;
            }
            std::thread::yield_now();
        }
        let rung = lock(&self.rung);
        let mut rung = match next {
            Next::Now => rung,
            Next::Idle => self
                .bell
                .wait_while(rung, |rung| !*rung)
                .unwrap_or_else(PoisonError::into_inner),
            Next::At(at) => {
                self.bell
                    .wait_timeout_while(rung, self.clock.until(at), |rung| !*rung)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        *rung = false;
    }
}

/// Takes a lock. A thread that died with it has said so; the others report what they can.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{frame, Driver, EOP_RS_DATA, SLOTS};
    use crate::wire::Properties;
    use std::time::{Duration, Instant};

    /// Good packets received, a counter that is cleared by a read.
    const GPRC: u32 = 0x4074;

    #[test]
    fn what_was_sent_has_arrived_once_it_is_settled() {
        let mut sender = Driver::quiet();
        sender.start_tx(0, 0);
        sender.put(0, 0, &frame(60), EOP_RS_DATA);
        sender.set_tx_tail(0, 1);
        let mut receiver = Driver::quiet();
        receiver.start_rx(0, SLOTS - 1);

        let cable = Arc::new(Cable::new(Properties::default()));
        for end in [End::A, End::B] {
            cable.shine(end, true);
        }
        // Later than all that the drivers have waited for.
        let clock = Clock::since(Instant::now() - Duration::from_secs(1));
        let near = Port::new(sender.device, cable.clone(), End::A, None, clock.clone());
        let far = Port::new(receiver.device, cable, End::B, None, clock);
        near.join(&far);
        far.join(&near);
        near.settle();
        assert_eq!(far.with(|device, now| device.read(GPRC, now)), 1);
    }
}
