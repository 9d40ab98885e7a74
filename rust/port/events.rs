// SPDX-License-Identifier: GPL-2.0

//! What happens to the device of a port in netmap mode.

use super::{
    kring::Kring,
    nic::{each, reason, NicPort, NO_CARRIER},
    registry, //
};
use crate::{
    abi,
    nic::events::{Loss, PortEvents, Vector},
    prelude::*,
    sys::{rtnl::Rtnl, skb::SentSkb, wait}, //
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

    fn release(&self, rtnl: &Rtnl, why: Loss) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.lost |= reason(why);
        let list = self.used(state);
        self.give_back(state, list, rtnl);
        self.start(list);
    }

    fn retake(&self, rtnl: &Rtnl, why: Loss) {
        self.regain(rtnl, reason(why));
    }

    fn carrier(&self, rtnl: &Rtnl, up: bool) {
        if up {
            self.regain(rtnl, NO_CARRIER);
        }
        let guard = self.state.lock();
        if let Some(live) = &guard.live {
            if let Some(hooks) = &live.hooks {
                live.adapter.carrier(up, hooks, rtnl);
            }
        }
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
        self.kill();
        let live = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let list = self.used(state);
            if let Some(live) = &state.live {
                live.adapter.forget();
            }
            self.give_back(state, list, rtnl);
            self.purge_host_rings();
            state.live.take()
        };
        if let Some(live) = live {
            self.drop_live(live, rtnl);
        }
        registry.remove(self);
    }
}

impl NicPort {
    /// Drops what the stack has sent and no program has taken, and waits for programs that are at it: these packets name
    /// the device, which is about to be freed, without holding it. The krings are dead.
    fn purge_host_rings(&self) {
        for (kring, host) in self.rx.iter().filter(|kring| kring.host).zip(&self.host_rx) {
            let held = kring.stop();
            host.purge();
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

    /// A reason why the queues are not ours is gone: takes them, if it was the last one.
    fn regain(&self, rtnl: &Rtnl, bit: u32) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.lost & bit == 0 {
            return;
        }
        state.lost &= !bit;
        if state.lost != 0 || state.any_taken() || state.live.is_none() {
            return;
        }
        let list = self.used(state);
        for (direction, ring) in each(list) {
            if let Some(kring) = self.krings(direction).get(ring as usize) {
                drop(kring.stop());
            }
        }
        let result = self.take(state, list, rtnl);
        self.start(list);
        if let Err(error) = result {
            pr_err!(
                "a port lost its queues and could not take them again ({:?}): it is dead\n",
                error
            );
            self.kill();
        }
    }
}
