// SPDX-License-Identifier: GPL-2.0

//! Taking rings of a network device into service and out of it again.

use super::{
    nic::{dma_device, each, refused, LossReasons, NicPort, State}, //
};
use crate::{
    logic::{ring::Cursors, ringset::RingSet},
    mem::Group,
    nic::{driver::intercept::Installed, QueueId, Refusal, TakeoverPolicy, Wanted},
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Attached, Direction, Inner, Queue},
    },
    sys::{rtnl::Rtnl, trace}, //
};

impl NicPort {
    /// Makes rings that had no user ready: memory, as members of `group`, hooks, hardware.
    pub(super) fn prepare(
        &self,
        this: &Arc<Self>,
        state: &mut State,
        fresh: RingSet,
        group: &Arc<Group>,
        rtnl: &Rtnl,
    ) -> Result {
        let live = state.live.as_mut().ok_or(ENXIO)?;
        // Before anything is touched: what cannot be must cost nobody his link.
        if self.has_nic_ring(fresh) {
            let receives = self.nic_rings(fresh).any(|of| of == Direction::Rx);
            let hot = live.adapter.no_hot_takeover();
            let hot = hot.filter(|_| TakeoverPolicy::current() == TakeoverPolicy::Hot);
            hot.map_or(Ok(()), |reason| Err(Refusal::new(EOPNOTSUPP, reason)))
                .and_then(|()| {
                    let size = self.region.buf_size();
                    live.adapter.admits(receives, size, rtnl)
                })
                .map_err(|refusal| refused(&live.dev, refusal, rtnl))?;
        }
        if live.dma.is_none() {
            // Before memory is taken, which has to suit the device.
            // SAFETY: The device of a NIC that its driver has set up.
            live.dma = Some(unsafe { self.region.attach(dma_device(&live.dev)) }?);
        }
        for (direction, ring) in each(fresh) {
            let slots = match direction {
                Direction::Tx => self.slots.0,
                Direction::Rx => self.slots.1,
            };
            let kring = self.krings(direction).get(ring as usize).ok_or(EINVAL)?;
            let queue: Arc<dyn Queue> = match (kring.host, direction) {
                (false, _) => self.idle.queue(direction),
                (true, Direction::Tx) => self.host_tx.clone(),
                (true, Direction::Rx) => {
                    let host = self.host_rx.get(usize::from(kring.index)).ok_or(EINVAL)?;
                    // A packet that was on its way in as the last user went.
                    host.purge(&state.live.as_ref().ok_or(ENXIO)?.dev);
                    host.clone()
                }
            };
            let mut memory = self.region.new_ring(slots, group)?;
            let cursors = match direction {
                Direction::Tx => Cursors::transmit(slots),
                Direction::Rx => Cursors::receive(slots),
            };
            let cursors = cursors.ok_or(EINVAL)?;
            let inner = Inner {
                cursors,
                ring: memory.ring,
                region: self.region.clone(),
                shadow: core::mem::take(&mut memory.shadow),
                group: group.clone(),
                buf_size: self.region.buf_size(),
                announced: cursors.hwtail(),
            };
            publish(&inner, kring, ring);
            kring.stop().replace(Some(Attached { inner, base: queue }));
            // Whoever had the ring when it died has closed it.
            kring.revive();
            state.ring(direction, ring)?.memory = Some(memory);
            if kring.host {
                kring.start();
            }
        }
        let live = state.live.as_mut().ok_or(ENXIO)?;
        if live.hooks.is_none() {
            let policy = live.adapter.restrictions(self.region.buf_size());
            live.hooks = Some(Installed::new(rtnl, &live.dev, this.clone(), policy)?);
        }
        if let Some(hooks) = live.hooks.as_ref().filter(|_| self.has_nic_ring(fresh)) {
            hooks.set_bound(true, rtnl);
        }
        if state.lost == LossReasons::NONE {
            self.take(state, fresh, true, rtnl)?;
        }
        self.start(fresh);
        Ok(())
    }

    /// Takes the hardware queues of those rings of the list that are NIC rings, all or none. Their krings are stopped.
    ///
    /// Without a carrier the driver may have its queues off: then they are taken when the carrier comes. `running` says that the
    /// driver may have opened the device long ago.
    pub(super) fn take(
        &self,
        state: &mut State,
        list: RingSet,
        running: bool,
        rtnl: &Rtnl,
    ) -> Result {
        let live = state.live.as_ref().ok_or(ENXIO)?;
        let (Some(hooks), Some(dma)) = (&live.hooks, &live.dma) else {
            return Err(ENXIO);
        };
        let mut wanted = KVec::new();
        for (direction, ring) in each(list) {
            let kring = self.krings(direction).get(ring as usize).ok_or(EINVAL)?;
            if !kring.host {
                let id = QueueId {
                    direction,
                    index: kring.index,
                };
                let (kring, dma, region) = (kring.clone(), dma.clone(), self.region.clone());
                wanted.push(
                    Wanted {
                        id,
                        kring,
                        dma,
                        region,
                    },
                    GFP_CHARGED,
                )?;
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let carrier = live.dev.carrier();
        let policy = if (running || carrier) && live.adapter.no_hot_takeover().is_some() {
            TakeoverPolicy::Restart
        } else if carrier {
            TakeoverPolicy::current()
        } else {
            // A restart brings no carrier.
            TakeoverPolicy::Hot
        };
        let queues = match live.adapter.take(&wanted, policy, hooks, rtnl) {
            Ok(queues) => queues,
            Err(refusal) => {
                let wait = !carrier && refusal.errno == EAGAIN;
                return if wait {
                    state.lost.insert(LossReasons::NO_CARRIER);
                    Ok(())
                } else {
                    Err(refused(&live.dev, refusal, rtnl))
                };
            }
        };
        for (wanted, queue) in wanted.iter().zip(queues) {
            if let Some(attached) = wanted.kring.stop().attached() {
                attached.base = queue;
            }
            trace::takeover(
                &state.name,
                wanted.id.direction == Direction::Tx,
                wanted.id.index,
            );
            state
                .ring(wanted.id.direction, u32::from(wanted.id.index))?
                .taken = true;
        }
        Ok(())
    }

    /// The directions of those of the rings that are the NIC's, and not host rings.
    fn nic_rings(&self, list: RingSet) -> impl Iterator<Item = Direction> + '_ {
        each(list)
            .filter_map(|(direction, ring)| self.krings(direction).get(ring as usize))
            .filter(|kring| !kring.host)
            .map(|kring| kring.direction)
    }

    fn has_nic_ring(&self, list: RingSet) -> bool {
        self.nic_rings(list).next().is_some()
    }

    pub(super) fn start(&self, list: RingSet) {
        for (direction, ring) in each(list) {
            if let Some(kring) = self.krings(direction).get(ring as usize) {
                kring.start();
            }
        }
    }

    /// Gives hardware queues of those rings of the list that have one back. Their krings are stopped afterwards.
    pub(super) fn give_back(&self, state: &mut State, list: RingSet, rtnl: &Rtnl) {
        let mut ids = core::mem::take(&mut state.ids);
        ids.clear();
        for (direction, ring) in each(list) {
            let Some(kring) = self.krings(direction).get(ring as usize) else {
                continue;
            };
            let mut held = kring.stop();
            let Ok(ring_use) = state.ring(direction, ring) else {
                continue;
            };
            if !core::mem::replace(&mut ring_use.taken, false) {
                continue;
            }
            if let Some(attached) = held.attached() {
                attached.base = self.idle.queue(direction);
            }
            // There is room for all queues of the NIC.
            let _ = ids.push_within_capacity(QueueId {
                direction,
                index: kring.index,
            });
        }
        if let Some(live) = &state.live {
            if let Some(hooks) = live.hooks.as_ref().filter(|_| !ids.is_empty()) {
                live.adapter.release(&ids, hooks, rtnl);
                for id in ids.iter() {
                    trace::release(&state.name, id.direction == Direction::Tx, id.index);
                }
            }
        }
        state.ids = ids;
    }

    /// Lets the driver do what it wants to if no ring of the NIC has a user any more who may still use it: those that are lost
    /// are nobody's business but of who has them open.
    pub(super) fn settle(&self, state: &State, rtnl: &Rtnl) {
        let Some(live) = &state.live else { return };
        let Some(hooks) = &live.hooks else { return };
        // A driver that has stopped or detached its device is asked for nothing.
        if self.usable(state).is_empty() && !hooks.is_stopped() && live.dev.is_attached() {
            hooks.set_bound(false, rtnl);
        }
    }

    /// Takes rings that have no user out of service.
    pub(super) fn retire(&self, state: &mut State, list: RingSet, rtnl: &Rtnl) {
        self.give_back(state, list, rtnl);
        self.settle(state, rtnl);
        for (direction, ring) in each(list) {
            let Some(kring) = self.krings(direction).get(ring as usize) else {
                continue;
            };
            drop(kring.stop().replace(None));
            let Some(memory) = state
                .ring(direction, ring)
                .ok()
                .and_then(|ring_use| ring_use.memory.take())
            else {
                continue;
            };
            self.region.free_ring(memory);
            if let Some(host) = self
                .host_rx
                .get(usize::from(kring.index))
                .filter(|_| kring.host)
            {
                // Without a device nothing has come since the rings were emptied.
                if let (Direction::Rx, Some(live)) = (direction, &state.live) {
                    host.purge(&live.dev);
                }
            }
        }
    }
}

/// Writes what a program finds in a new ring, the host rings counted after the NIC's.
fn publish(inner: &Inner, kring: &Kring, ring: u32) {
    let header = inner.ring.header();
    let cursors = &inner.cursors;
    // SAFETY: The header is mapped, and the accesses are volatile.
    unsafe {
        (&raw mut (*header).ringid).write_volatile(ring as u16);
        let dir = match kring.direction {
            Direction::Tx => 0,
            Direction::Rx => 1,
        };
        (&raw mut (*header).dir).write_volatile(dir);
        (&raw mut (*header).head).write_volatile(cursors.rhead());
        (&raw mut (*header).cur).write_volatile(cursors.rcur());
        (&raw mut (*header).tail).write_volatile(cursors.rtail());
    }
}
