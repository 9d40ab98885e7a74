// SPDX-License-Identifier: GPL-2.0

//! The events of a network device, passed on to the port that has it in netmap mode.

use super::{
    intercept,
    redirect,
    table, //
};
use crate::{
    abi::IFNAMSIZ,
    atomic::{AtomicBool, Ordering},
    bindings,
    prelude::*,
    ring::queue::Direction,
    sys::{
        notifier::{NetdevEvent, NetdevNotifier, PmEvent, PmNotifier},
        rtnl::Rtnl,
        skb::SentSkb, //
    }, //
};
use core::marker::PhantomData;

/// Why queues are given back to the driver for a while: it is about to lose or to re-program its rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReleaseReason {
    /// The interface is being set down. It may come up again.
    Down,
    /// The driver re-initialises its rings for an ethtool or MTU request, and is done when the request is.
    Reinit,
    /// The system is about to sleep.
    Suspend,
}

/// The NAPI instance of an interrupt that was raised.
pub struct Vector<'a> {
    napi: *mut bindings::napi_struct,
    _valid: PhantomData<&'a ()>,
}

impl Vector<'_> {
    /// # Safety
    ///
    /// The instance is valid during the value's life, and so is its device.
    pub(in crate::nic) unsafe fn new(napi: *mut bindings::napi_struct) -> Self {
        Self {
            napi,
            _valid: PhantomData,
        }
    }

    /// Whether the interrupt may be for that queue. Not every driver tells the core which queues a NAPI instance serves; an
    /// instance of one that does not may serve any.
    #[inline]
    pub fn serves(&self, direction: Direction, queue: u16) -> bool {
        let transmit = direction == Direction::Tx;
        // SAFETY: By the requirement of `new`; the shim checks the index.
        let of = unsafe { bindings::netmap_queue_napi((*self.napi).dev, transmit, queue) };
        of.is_null() || of == self.napi
    }
}

/// A port that has a network device in netmap mode.
///
/// The hooks of the device ([`super::intercept::Hooks`]) hold a reference to the port, which is freed only after it has
/// dropped them. Functions that get an [`Rtnl`] run in process context with the RTNL mutex held, and may take the registry's
/// mutex and the port's own. A port that has the driver restarted or the device taken down does so with these mutexes held,
/// and gets no event for it. No function may drop the hooks, except [`PortEvents::gone`], which must.
pub trait PortEvents: Send + Sync {
    /// Takes a packet that the stack sends through TX queue `queue`, whose gate is closed: the queue is taken, or is being taken
    /// or given back at this moment.
    ///
    /// Runs under the queue's TX lock in an RCU read side, mostly in softirq, for netpoll with interrupts disabled.
    fn transmit(&self, skb: SentSkb, queue: u16);

    /// One of the device's interrupts was raised: wakes the sleepers of the rings that it is for.
    ///
    /// Runs in an RCU read side in softirq, for netpoll with interrupts disabled, before the driver's own poll.
    fn interrupt(&self, vector: &Vector<'_>);

    /// The driver is about to lose its rings: gives all queues back. When it returns, no queue is taken.
    ///
    /// It may be called more than once before [`PortEvents::retake`], and does nothing if no queue is taken.
    fn release(&self, rtnl: &Rtnl, why: ReleaseReason);

    /// What was announced by [`PortEvents::release`] is over, and the device works again: takes the queues back.
    ///
    /// It may be called twice, and without a release before it; it does nothing if no queue has to be taken. The NAPI
    /// instances are hooked already. After [`ReleaseReason::Down`] the carrier is usually not up yet.
    fn retake(&self, rtnl: &Rtnl, why: ReleaseReason);

    /// The carrier changed, or the device's flags did. May be late by a second and may miss short changes.
    fn carrier(&self, rtnl: &Rtnl, up: bool);

    /// The device has another name, NUL terminated.
    fn renamed(&self, rtnl: &Rtnl, name: &[u8; IFNAMSIZ]);

    /// The device leaves its namespace: it is unregistered, or moved to another one. It is down already.
    ///
    /// Kills the krings, so that sleepers get `POLLERR`, touches no register any more, and drops the device's hooks and
    /// its reference to the device before it returns.
    fn gone(&self, rtnl: &Rtnl);
}

/// The notifiers of the module, in place until dropped.
pub struct Notifiers {
    _netdev: NetdevNotifier,
    _pm: PmNotifier,
}

impl Notifiers {
    /// Registers them.
    pub fn register() -> Result<Self> {
        Ok(Self {
            _netdev: NetdevNotifier::register(on_netdev)?,
            _pm: PmNotifier::register(on_pm)?,
        })
    }
}

impl Drop for Notifiers {
    fn drop(&mut self) {
        redirect::end();
    }
}

/// What happens to any device of any namespace.
///
/// The registration of the notifier replays the arrival of every device, and its end the departure. Neither does anything
/// here, because no device has hooks then.
fn on_netdev(event: NetdevEvent, dev: *mut bindings::net_device, rtnl: &Rtnl) {
    tell_port(event, dev, rtnl);
    if event == NetdevEvent::Unregister {
        intercept::forget(dev, rtnl);
        redirect::leaves(dev, rtnl);
    }
}

fn tell_port(event: NetdevEvent, dev: *mut bindings::net_device, rtnl: &Rtnl) {
    let Some(hooks) = table::find_locked(dev, rtnl) else {
        return;
    };
    // A reference of its own, because the port may drop its hooks, which may have the last other one.
    let Some(port) = hooks.share_events(rtnl) else {
        return;
    };
    match event {
        NetdevEvent::GoingDown => {
            // Not for a device that we have taken down ourselves.
            if !hooks.is_asking() && !hooks.is_stopped() {
                hooks.release_to_close(&*port, rtnl);
            }
        }
        NetdevEvent::Up => {
            // Usually they were hooked when the driver's open returned.
            hooks.hook_napi(rtnl);
            port.retake(rtnl, ReleaseReason::Down);
        }
        NetdevEvent::Change => port.carrier(rtnl, hooks.device().carrier()),
        NetdevEvent::ChangeName => port.renamed(rtnl, &hooks.device().name(rtnl)),
        NetdevEvent::Unregister => port.gone(rtnl),
        NetdevEvent::Features => (),
    }
}

/// Whether the system is about to sleep: drivers may stop their devices at any time, until it has woken up. Changed under the
/// RTNL mutex.
static SLEEPING: AtomicBool = AtomicBool::new(false);

/// Whether the system is about to sleep, or asleep. No queue may be taken then: [`PortEvents::retake`] follows.
pub fn is_sleeping(_rtnl: &Rtnl) -> bool {
    SLEEPING.load(Ordering::Relaxed)
}

/// The system goes to sleep or has woken up.
fn on_pm(event: PmEvent) {
    let rtnl = Rtnl::lock();
    SLEEPING.store(event == PmEvent::Prepare, Ordering::Relaxed);
    table::for_each(&rtnl, |hooks, rtnl| match event {
        PmEvent::Prepare => hooks.events().release(rtnl, ReleaseReason::Suspend),
        PmEvent::Post => {
            // Some drivers free their vectors when they go to sleep.
            hooks.hook_napi(rtnl);
            hooks.events().retake(rtnl, ReleaseReason::Suspend);
        }
    });
}
