// SPDX-License-Identifier: GPL-2.0

//! The threads of an interface on a switch: one that moves what there is between all of its rings and the switch when it is woken, or all
//! the time; or others that do so for one ring each.

use super::{
    link::{Link, Moved},
    relay::Reaper, //
};
use crate::{
    atomic::{AtomicBool, Ordering},
    logic::{name::Text, switching::Pollers},
    prelude::*,
    sys::{
        thread::{Pass, Thread},
        wait::WaitQueue,
        work::Work, //
    },
};

/// What the threads work on.
pub(super) struct Pump {
    links: KVec<Link>,
    /// Whether a port is gone for good.
    is_over: AtomicBool,
    reaper: Arc<Work<Reaper>>,
}

/// The links of a ring, which another thread polls.
struct Poller {
    pump: Arc<Pump>,
    ring: u32,
}

/// The threads.
pub(super) struct Threads {
    wait: Arc<WaitQueue>,
    name: Text,
    /// If each polls one ring.
    pollers: KVec<Thread<Poller>>,
    mover: Thread<Pump>,
    pump: Arc<Pump>,
    polls: bool,
}

impl Pump {
    /// Of these links; the reaper is asked to work when a port is gone.
    pub(super) fn new(links: KVec<Link>, reaper: Arc<Work<Reaper>>) -> Result<Arc<Self>> {
        let pump = Self {
            links,
            is_over: AtomicBool::new(false),
            reaper,
        };
        Ok(Arc::new(pump, GFP_CHARGED)?)
    }

    /// How many receive rings of the interface's own can be polled by a thread each.
    fn rings(&self) -> u32 {
        let rings = self.links.iter().filter_map(|link| link.ring());
        rings.max().map_or(0, |last| last + 1)
    }

    /// Has these links move what there is; whether there may be more.
    fn step<'a>(&self, links: impl Iterator<Item = &'a Link>) -> bool {
        let mut any = false;
        for link in links {
            match link.step() {
                Moved::Nothing => {}
                Moved::Some => any = true,
                Moved::Gone => {
                    if !self.is_over.swap(true, Ordering::Relaxed) {
                        self.reaper.ask();
                    }
                    return false;
                }
            }
        }
        any
    }
}

impl Pass for Pump {
    fn pass(&self) -> bool {
        self.step(self.links.iter())
    }
}

impl Pass for Poller {
    fn pass(&self) -> bool {
        let is_ours = |link: &&Link| link.ring() == Some(self.ring);
        self.pump.step(self.pump.links.iter().filter(is_ours))
    }
}

impl Threads {
    /// Starts one, which is woken by `wait`.
    pub(super) fn start(wait: &Arc<WaitQueue>, pump: Arc<Pump>, name: Text) -> Result<Self> {
        Ok(Self {
            wait: wait.clone(),
            name,
            pollers: KVec::new(),
            mover: Thread::start(wait, pump.clone(), name.as_cstr())?,
            pump,
            polls: false,
        })
    }

    /// Whether a port is gone for good.
    pub(super) fn is_over(&self) -> bool {
        self.pump.is_over.load(Ordering::Relaxed)
    }

    /// Whether they poll.
    pub(super) fn polls(&self) -> bool {
        self.polls
    }

    /// Has the thread poll, or others for some of the rings. `EBUSY` if they do; `EINVAL` for a processor or ring that is not there, or
    /// if none is left for all else.
    pub(super) fn start_polling(&mut self, pollers: Pollers) -> Result {
        if self.polls {
            return Err(EBUSY);
        }
        match pollers {
            Pollers::One(cpu) => self.mover.spin(cpu, 1)?,
            Pollers::Each(first, count) => {
                let end = first.checked_add(count).ok_or(EINVAL)?;
                if end > self.pump.rings() {
                    return Err(EINVAL);
                }
                let started = (first..end).try_for_each(|ring| self.add_poller(ring, count));
                if started.is_err() {
                    self.drop_pollers();
                }
                started?;
            }
        }
        self.polls = true;
        Ok(())
    }

    /// The opposite. `EINVAL` if they do not poll.
    pub(super) fn stop_polling(&mut self) -> Result {
        if !self.polls {
            return Err(EINVAL);
        }
        self.mover.rest();
        self.drop_pollers();
        self.polls = false;
        Ok(())
    }

    /// Has a thread of its own poll a ring, one of `count`.
    fn add_poller(&mut self, ring: u32, count: u32) -> Result {
        let pump = self.pump.clone();
        let poller = Arc::new(Poller { pump, ring }, GFP_CHARGED)?;
        let thread = Thread::start(&self.wait, poller, self.name.as_cstr())?;
        thread.spin(ring, count)?;
        Ok(self.pollers.push(thread, GFP_CHARGED)?)
    }

    fn drop_pollers(&mut self) {
        drop(core::mem::take(&mut self.pollers));
        // The thread that moves all else has left to them what has come since they looked for the last time.
        self.wait.wake();
    }
}
