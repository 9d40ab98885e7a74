// SPDX-License-Identifier: GPL-2.0

//! The events of a port's device.

use super::{
    super::{port::device_name, registry},
    Nic,
    ReleaseReasons, //
};
use crate::{
    abi,
    nic::driver::events::{PortEvents, ReleaseReason, Vector},
    prelude::*,
    ring::kring::Kring,
    sys::{log::Displayed, rtnl::Rtnl, skb::SentSkb, wait}, //
};

impl PortEvents for Nic {
    fn transmit(&self, skb: SentSkb, queue: u16) {
        self.host.push(skb, queue);
    }

    fn interrupt(&self, vector: &Vector<'_>) {
        // A sleeper that is not seen below sees what the NIC wrote before the interrupt.
        wait::published();
        for kring in self.port.own_krings() {
            if vector.serves(kring.direction, kring.index) {
                kring.interrupt();
            }
        }
    }

    fn release(&self, rtnl: &Rtnl, why: ReleaseReason) {
        let uses = self.port.uses();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.released_for.insert(why.into());
        let list = self.port.used_where(&uses, |_| true);
        self.give_back(state, list, rtnl);
        self.port.start(list);
    }

    fn retake(&self, rtnl: &Rtnl, why: ReleaseReason) {
        // After a re-initialisation or a suspend the driver may have opened the device long ago.
        self.regain(rtnl, why.into(), why != ReleaseReason::Down);
    }

    fn carrier(&self, rtnl: &Rtnl, up: bool) {
        if up {
            self.regain(rtnl, ReleaseReasons::NO_CARRIER, true);
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
        self.port.rename(device_name(name));
    }

    fn gone(&self, rtnl: &Rtnl) {
        let mut registry = registry::lock();
        self.end(false, rtnl);
        registry.remove(&self.port);
    }
}

impl Nic {
    /// A reason for which queues were given back is gone. If it was the last one, takes those that are missing.
    ///
    /// Without a carrier, some may be taken already while others wait for it. `running` is as for [`Self::take`].
    fn regain(&self, rtnl: &Rtnl, why: ReleaseReasons, running: bool) {
        let uses = self.port.uses();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.released_for.remove(why) || state.opened.is_none() {
            return;
        }
        let list = self.waiting(&uses, state);
        for kring in self.port.krings_of(list) {
            drop(kring.stop());
        }
        let result = self.take(state, list, running, rtnl);
        self.port.start(list);
        if let Err(error) = result {
            pr_err!(
                "{}: queues were lost and could not be taken again ({:?}): they are dead\n",
                Displayed(self.port.name()),
                error
            );
            if state.taken.is_empty() {
                self.port.kill();
            }
            Kring::kill(self.port.krings_of(list));
        }
        self.settle(&uses, state, rtnl);
    }
}
