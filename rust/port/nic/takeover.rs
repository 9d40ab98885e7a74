// SPDX-License-Identifier: GPL-2.0

//! Taking rings of a network device into service and out of it again.

use super::{
    super::port::{each, RingUses},
    dma_device,
    refused,
    Nic,
    NicState, //
    ReleaseReasons,
};
use crate::{
    logic::ringset::RingSet,
    nic::{driver::intercept::Installed, QueueId, Refusal, TakeoverPolicy, Wanted},
    prelude::*,
    ring::queue::Direction,
    sys::{rtnl::Rtnl, trace}, //
};

impl Nic {
    /// See [`DeviceSteps::admit`](crate::port::kind::DeviceSteps::admit).
    pub(super) fn admit(&self, state: &mut NicState, fresh: RingSet, rtnl: &Rtnl) -> Result {
        let opened = state.opened.as_mut().ok_or(ENXIO)?;
        // Before anything is touched: a bind that is impossible must not cost anybody the link.
        if self.has_nic_ring(fresh) {
            let receives = self.nic_rings(fresh).any(|of| of == Direction::Rx);
            let hot = opened.adapter.no_hot_takeover();
            let hot = hot.filter(|_| TakeoverPolicy::current() == TakeoverPolicy::Hot);
            hot.map_or(Ok(()), |reason| Err(Refusal::new(EOPNOTSUPP, reason)))
                .and_then(|()| {
                    let size = self.port.region().buf_size();
                    opened.adapter.admits(receives, size, rtnl)
                })
                .map_err(|refusal| refused(&opened.dev, refusal, rtnl))?;
        }
        if opened.dma.is_none() {
            // Before memory is taken, which has to suit the device.
            // SAFETY: The device of a NIC that its driver has set up.
            opened.dma = Some(unsafe { self.port.region().attach(dma_device(&opened.dev)) }?);
        }
        Ok(())
    }

    /// Makes rings ready that have memory: hooks, hardware.
    pub(super) fn prepare(&self, this: &Arc<Self>, fresh: RingSet, rtnl: &Rtnl) -> Result {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for kring in self.port.krings_of(fresh).filter(|kring| kring.host) {
            kring.start();
        }
        let opened = state.opened.as_mut().ok_or(ENXIO)?;
        if opened.hooks.is_none() {
            let policy = opened.adapter.restrictions(self.port.region().buf_size());
            opened.hooks = Some(Installed::new(rtnl, &opened.dev, this.clone(), policy)?);
        }
        if let Some(hooks) = opened.hooks.as_ref().filter(|_| self.has_nic_ring(fresh)) {
            hooks.set_bound(true, rtnl);
        }
        if state.released_for == ReleaseReasons::NONE {
            self.take(state, fresh, true, rtnl)?;
        }
        self.port.start(fresh);
        Ok(())
    }

    /// Takes the hardware queues of those rings of the list that are NIC rings, all or none. The caller has stopped their krings.
    ///
    /// Without a carrier the driver may have its queues off: then they are taken when the carrier comes. `running` is false only
    /// if the driver has opened the device just now, so that a restart is not needed where hot takeover is impossible.
    pub(super) fn take(
        &self,
        state: &mut NicState,
        list: RingSet,
        running: bool,
        rtnl: &Rtnl,
    ) -> Result {
        let opened = state.opened.as_ref().ok_or(ENXIO)?;
        let (Some(hooks), Some(dma)) = (&opened.hooks, &opened.dma) else {
            return Err(ENXIO);
        };
        let mut wanted = KVec::new();
        for (direction, ring) in each(list) {
            let kring = self.port.kring(direction, ring).ok_or(EINVAL)?;
            if !kring.host {
                let id = QueueId {
                    direction,
                    index: kring.index,
                };
                let (kring, dma, region) = (kring.clone(), dma.clone(), self.port.region().clone());
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
        let carrier = opened.dev.carrier();
        let policy = if (running || carrier) && opened.adapter.no_hot_takeover().is_some() {
            TakeoverPolicy::Restart
        } else if carrier {
            TakeoverPolicy::current()
        } else {
            // A restart would not bring a carrier.
            TakeoverPolicy::Hot
        };
        let queues = match opened.adapter.take(&wanted, policy, hooks, rtnl) {
            Ok(queues) => queues,
            Err(refusal) => {
                let wait = !carrier && refusal.errno == EAGAIN;
                return if wait {
                    state.released_for.insert(ReleaseReasons::NO_CARRIER);
                    Ok(())
                } else {
                    Err(refused(&opened.dev, refusal, rtnl))
                };
            }
        };
        for (wanted, queue) in wanted.iter().zip(queues) {
            if let Some(attached) = wanted.kring.stop().attached() {
                attached.base = queue;
            }
            trace::takeover(
                &self.port.name(),
                wanted.id.direction == Direction::Tx,
                wanted.id.index,
            );
            let transmit = wanted.id.direction == Direction::Tx;
            state.taken.insert(transmit, u32::from(wanted.id.index));
        }
        Ok(())
    }

    /// The direction of each ring of the list that is a NIC ring, and not a host ring.
    fn nic_rings(&self, list: RingSet) -> impl Iterator<Item = Direction> + '_ {
        self.port
            .krings_of(list)
            .filter(|kring| !kring.host)
            .map(|kring| kring.direction)
    }

    fn has_nic_ring(&self, list: RingSet) -> bool {
        self.nic_rings(list).next().is_some()
    }

    /// Gives hardware queues of those rings of the list that have one back. Their krings are stopped afterwards.
    pub(super) fn give_back(&self, state: &mut NicState, list: RingSet, rtnl: &Rtnl) {
        let mut ids = core::mem::take(&mut state.ids);
        ids.clear();
        for (direction, ring) in each(list) {
            let Some(kring) = self.port.kring(direction, ring) else {
                continue;
            };
            let mut held = kring.stop();
            if !state.taken.remove(direction == Direction::Tx, ring) {
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
        if let Some(opened) = &state.opened {
            if let Some(hooks) = opened.hooks.as_ref().filter(|_| !ids.is_empty()) {
                opened.adapter.release(&ids, hooks, rtnl);
                for id in ids.iter() {
                    trace::release(&self.port.name(), id.direction == Direction::Tx, id.index);
                }
            }
        }
        state.ids = ids;
    }

    /// Ends the protection of the driver's rings when no ring of the NIC is in use any more. Rings that are lost do not count:
    /// they concern only the files that still have them open.
    pub(super) fn settle(&self, uses: &RingUses, state: &NicState, rtnl: &Rtnl) {
        let Some(opened) = &state.opened else { return };
        let Some(hooks) = &opened.hooks else { return };
        // A driver that has stopped or detached its device is asked for nothing.
        if self.usable(uses).is_empty() && !hooks.is_stopped() && opened.dev.is_attached() {
            hooks.set_bound(false, rtnl);
        }
    }

    /// Takes rings that have no user out of service.
    pub(super) fn retire(&self, uses: &RingUses, list: RingSet, rtnl: &Rtnl) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        self.give_back(state, list, rtnl);
        self.settle(uses, state, rtnl);
        // If the device is gone, nothing has come in since the host rings were emptied.
        let Some(opened) = &state.opened else { return };
        let host_krings = self.port.krings_of(list).filter(|kring| kring.host);
        for kring in host_krings.filter(|kring| kring.direction == Direction::Rx) {
            self.host.retire(kring, &opened.dev);
        }
    }
}
