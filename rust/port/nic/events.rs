// SPDX-License-Identifier: GPL-2.0

//! What happens to the device of a port in netmap mode.

use super::{
    super::{port::each, registry},
    LossReasons,
    Nic, //
};
use crate::{
    abi,
    nic::driver::events::{LossReason, PortEvents, Vector},
    prelude::*,
    sys::{rtnl::Rtnl, skb::SentSkb, wait}, //
};

impl PortEvents for Nic {
    fn transmit(&self, skb: SentSkb, queue: u16) {
        if let Some(host) = self.host_rx.get(self.host_ring_of(queue)) {
            host.push(skb);
        }
    }

    fn interrupt(&self, vector: &Vector<'_>) {
        // What the NIC wrote before the interrupt is seen by a sleeper that we do not see.
        wait::published();
        for kring in self.port.own_krings() {
            if vector.serves(kring.direction, kring.index) {
                kring.interrupt();
            }
        }
    }

    fn release(&self, rtnl: &Rtnl, why: LossReason) {
        let uses = self.port.uses();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.lost.insert(why.into());
        let list = self.port.used_where(&uses, |_| true);
        self.give_back(&uses, state, list, rtnl);
        self.port.start(list);
    }

    fn retake(&self, rtnl: &Rtnl, why: LossReason) {
        // Only an interface that comes up has just been opened.
        self.regain(rtnl, why.into(), why != LossReason::Down);
    }

    fn carrier(&self, rtnl: &Rtnl, up: bool) {
        if up {
            self.regain(rtnl, LossReasons::NO_CARRIER, true);
        }
        let uses = self.port.uses();
        let guard = self.state.lock();
        if let Some(opened) = &guard.opened {
            if let Some(hooks) = &opened.hooks {
                opened.adapter.carrier(up, hooks, rtnl);
            }
        }
        self.settle(&uses, &guard, rtnl);
        drop((guard, uses));
        for kring in self.port.own_krings() {
            kring.wake();
        }
    }

    fn renamed(&self, _rtnl: &Rtnl, name: &[u8; abi::IFNAMSIZ]) {
        self.port.uses().rename(name);
    }

    fn gone(&self, rtnl: &Rtnl) {
        let mut registry = registry::lock();
        self.end(false, rtnl);
        registry.remove(&self.port);
    }
}

impl Nic {
    /// A reason why queues are not ours is gone: takes those that are not, if it was the last one.
    ///
    /// Without a carrier some may be taken already, and others wait. `running` is as for [`Self::take`].
    fn regain(&self, rtnl: &Rtnl, why: LossReasons, running: bool) {
        let uses = self.port.uses();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.lost.remove(why) || state.opened.is_none() {
            return;
        }
        let list = self.waiting(&uses, state);
        for (direction, ring) in each(list) {
            if let Some(kring) = self.port.kring(direction, ring) {
                drop(kring.stop());
            }
        }
        let result = self.take(&uses, state, list, running, rtnl);
        self.port.start(list);
        if let Err(error) = result {
            pr_err!(
                "a port lost queues and could not take them again ({:?}): they are dead\n",
                error
            );
            if state.taken.is_empty() {
                self.port.kill();
            }
            for (direction, ring) in each(list) {
                if let Some(kring) = self.port.kring(direction, ring) {
                    kring.kill();
                }
            }
        }
        self.settle(&uses, state, rtnl);
    }
}
