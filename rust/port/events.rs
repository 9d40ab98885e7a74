// SPDX-License-Identifier: GPL-2.0

//! What happens to the device of a port in netmap mode.

use super::{
    nic::{each, LossReasons, NicPort},
    registry, //
};
use crate::{
    abi,
    nic::driver::events::{LossReason, PortEvents, Vector},
    prelude::*,
    ring::kring::Kring,
    sys::{netdev::NetDev, rtnl::Rtnl, skb::SentSkb, wait}, //
};

impl PortEvents for NicPort {
    fn transmit(&self, skb: SentSkb, queue: u16) {
        if let Some(host) = self.host_rx.get(self.host_ring_of(queue)) {
            host.push(skb);
        }
    }

    fn interrupt(&self, vector: &Vector<'_>) {
        // What the NIC wrote before the interrupt is seen by a sleeper that we do not see.
        wait::published();
        for kring in self.nic_krings() {
            if vector.serves(kring.direction, kring.index) {
                kring.interrupt();
            }
        }
    }

    fn release(&self, rtnl: &Rtnl, why: LossReason) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.lost.insert(why.into());
        let list = self.used(state);
        self.give_back(state, list, rtnl);
        self.start(list);
    }

    fn retake(&self, rtnl: &Rtnl, why: LossReason) {
        // Only an interface that comes up has just been opened.
        self.regain(rtnl, why.into(), why != LossReason::Down);
    }

    fn carrier(&self, rtnl: &Rtnl, up: bool) {
        if up {
            self.regain(rtnl, LossReasons::NO_CARRIER, true);
        }
        let guard = self.state.lock();
        if let Some(live) = &guard.live {
            if let Some(hooks) = &live.hooks {
                live.adapter.carrier(up, hooks, rtnl);
            }
        }
        self.settle(&guard, rtnl);
        drop(guard);
        for kring in self.nic_krings() {
            kring.wake();
        }
    }

    fn renamed(&self, _rtnl: &Rtnl, name: &[u8; abi::IFNAMSIZ]) {
        self.state.lock().name = *name;
    }

    fn gone(&self, rtnl: &Rtnl) {
        let mut registry = registry::lock();
        self.end(false, rtnl);
        registry.remove(self);
    }
}

impl NicPort {
    /// Drops what the stack has sent and no program has taken, and waits for programs that are at it. Nobody has the host rings
    /// bound any more, or they are dead.
    pub(super) fn purge_host_rings(&self, dev: &NetDev) {
        for (kring, host) in self.rx.iter().filter(|kring| kring.host).zip(&self.host_rx) {
            let held = kring.stop();
            host.purge(dev);
            drop(held);
        }
    }

    /// The krings of the hardware queues.
    #[inline]
    fn nic_krings(&self) -> impl Iterator<Item = &Arc<Kring>> {
        Iterator::chain(
            self.rx.iter().take(usize::from(self.counts.rx)),
            self.tx.iter().take(usize::from(self.counts.tx)),
        )
    }

    /// A reason why queues are not ours is gone: takes those that are not, if it was the last one.
    ///
    /// Without a carrier some may be taken already, and others wait. `running` is as for [`Self::take`].
    fn regain(&self, rtnl: &Rtnl, why: LossReasons, running: bool) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.lost.remove(why) || state.live.is_none() {
            return;
        }
        let list = self.waiting(state);
        for (direction, ring) in each(list) {
            if let Some(kring) = self.krings(direction).get(ring as usize) {
                drop(kring.stop());
            }
        }
        let result = self.take(state, list, running, rtnl);
        self.start(list);
        if let Err(error) = result {
            pr_err!(
                "a port lost queues and could not take them again ({:?}): they are dead\n",
                error
            );
            if !state.any_taken() {
                self.kill();
            }
            for (direction, ring) in each(list) {
                if let Some(kring) = self.krings(direction).get(ring as usize) {
                    kring.kill();
                }
            }
        }
        self.settle(state, rtnl);
    }
}
