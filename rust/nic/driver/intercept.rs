// SPDX-License-Identifier: GPL-2.0

//! The interposition between the network core and a driver.
//!
//! While a port has a device in netmap mode, the device's operation tables are copies in which [`super::ops`] stands
//! in for what concerns us, and its NAPI instances call us before the driver. No driver's private data is touched, and
//! no NAPI instance is remembered: drivers free them at will, so the device's list is walked each time, and the
//! driver's poll function is the same one in all of them.
//!
//! Where the driver knows its device by the address of its operations, the driver's functions are redirected instead,
//! see [`super::redirect`].
//!
//! # Installing and removing
//!
//! [`Installed`] enters the hooks in the table before anything points to them, and its removal puts everything back,
//! waits until no call that came through them is under way, and only then takes them out of the table. Calls come in
//! an RCU read side (transmit, NAPI poll, select queue) or under the RTNL mutex (all others), which installing and
//! removing holds.
//!
//! # Protection
//!
//! While a ring of the NIC is bound and not lost ([`Hooks::set_bound`]), the driver is not asked for anything that would
//! make it program its rings anew. It does not matter whether its queues are taken at that moment: they may have been given
//! back for a while, for instance because the interface is down, and the program has to get them back as they were.

use super::{
    ethtool,
    events::{PortEvents, ReleaseReason, Vector},
    napi::{self, Poll},
    ops,
    redirect::Redirected,
    table, //
};
use crate::{
    abi::IFNAMSIZ,
    atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
    bindings,
    nic::family::Interposition,
    prelude::*,
    sys::{log, netdev::NetDev, rtnl::Rtnl, skb::SentSkb}, //
};
use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::{null_mut, NonNull}, //
};

/// An operation that chooses a TX queue.
type SelectQueue = Option<
    unsafe extern "C" fn(
        *mut bindings::net_device,
        *mut bindings::sk_buff,
        *mut bindings::net_device,
    ) -> u16,
>;

/// The number of TX queues for which [`Hooks`] has a bit; queues beyond these cannot be taken.
pub const MAX_TX_QUEUES: u16 = 128;

/// What brings the network core's calls into the driver to us: a copy of its table, or the redirection of its functions.
enum Interposed {
    Table(KBox<bindings::net_device_ops>),
    Functions(Redirected),
}

/// What a driver of a family must not be asked for while rings of its NIC are bound.
#[derive(Clone, Copy)]
pub struct Restrictions {
    /// How such a request is brought to us.
    pub interposition: Interposition,
    /// Features (`NETIF_F_*`) that are off while rings are bound.
    pub masked: u64,
    /// Features whose change makes the driver re-program its rings: not changed while rings are bound.
    pub frozen: u64,
    /// Whether interrupt coalescing parameters re-program rings.
    pub coalesce: bool,
    /// The largest MTU while rings are bound.
    pub max_mtu: u32,
}

/// The hooks of one device.
pub struct Hooks {
    /// The reference is held until [`Self::orphan`] puts it.
    dev: ManuallyDrop<NetDev>,
    /// Taken out when the hooks are removed, after the last reader has left.
    events: UnsafeCell<Option<Arc<dyn PortEvents>>>,
    restrictions: Restrictions,
    /// The driver's tables. They live as long as the driver, which lives as long as the device.
    original_ops: NonNull<bindings::net_device_ops>,
    original_ethtool: NonNull<bindings::ethtool_ops>,
    original_poll: Poll,
    standing: Interposed,
    /// Our copy.
    ethtool: KBox<bindings::ethtool_ops>,
    /// Whether [`Hooks::ask`] is under way.
    asking: AtomicBool,
    /// Whether the driver has stopped the device already, although the core has not asked it to yet.
    stopped: AtomicBool,
    /// Whether the core is about to ask the driver to stop.
    closing: AtomicBool,
    /// A bit per TX queue: the driver must not get to see packets.
    diverted: [AtomicU64; MAX_TX_QUEUES as usize / 64],
    bound: AtomicBool,
    /// Whether the hooks cannot be removed, and there is no port any more.
    orphan: AtomicBool,
    masking: AtomicBool,
    /// A bit per TX queue: the host ring that its packets go to while it is diverted is bound.
    hosted: [AtomicU64; MAX_TX_QUEUES as usize / 64],
    /// The next hooks in their bucket of [`super::table`].
    pub(in crate::nic) next: AtomicPtr<Hooks>,
}

// SAFETY: What the pointers lead to is shared and never written through them; a port is `Send` and `Sync`, and `events` is
// changed only by `Installed::remove`, which says why it may.
unsafe impl Send for Hooks {}
// SAFETY: As above.
unsafe impl Sync for Hooks {}

impl Drop for Hooks {
    fn drop(&mut self) {
        // SAFETY: Not used afterwards. These are no orphan's, so that the reference is still there.
        unsafe { ManuallyDrop::drop(&mut self.dev) };
    }
}

impl Hooks {
    /// The device.
    #[inline]
    pub fn device(&self) -> &NetDev {
        &self.dev
    }

    /// The driver's operations. If its functions are redirected, a call of one is brought to us or not as
    /// [`super::redirect`] describes.
    #[inline]
    pub(in crate::nic) fn original_ops(&self) -> &bindings::net_device_ops {
        // SAFETY: Constant data of the driver's module, which stays as long as the device.
        unsafe { self.original_ops.as_ref() }
    }

    /// Calls the driver for what is done under the RTNL mutex: what `request` calls is not brought to us.
    pub fn ask<T>(&self, _rtnl: &Rtnl, request: impl FnOnce(&bindings::net_device_ops) -> T) -> T {
        let outer = self.asking.swap(true, Ordering::Relaxed);
        let result = request(self.original_ops());
        self.asking.store(outer, Ordering::Relaxed);
        result
    }

    /// Whether [`Self::ask`] is under way. The caller holds the RTNL mutex.
    pub(in crate::nic) fn is_asking(&self) -> bool {
        self.asking.load(Ordering::Relaxed)
    }

    /// Has the core take down a device whose driver has stopped already. The driver is not asked to stop again, because some
    /// drivers would wait for ever for what they have disabled, and the port gets no event.
    ///
    /// A device that the core is already closing is left alone: it is on the core's list of devices to close, and cannot be
    /// on a second one. A device that is being opened is not up yet; its open fails instead, see [`ops`].
    pub fn take_down(&self, _rtnl: &Rtnl) {
        self.stopped.store(true, Ordering::Relaxed);
        if !self.is_closing() {
            // SAFETY: The device is valid and the RTNL mutex held. The core is not closing the device.
            unsafe { bindings::netmap_dev_close(self.dev.as_ptr()) };
        }
    }

    /// Whether the driver has stopped although the core has not asked it to yet. The caller holds the RTNL mutex.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Clears what [`Self::is_stopped`] tells, and returns it: from now on the core's calls go to the driver again.
    pub(in crate::nic) fn end_stopped(&self, _rtnl: &Rtnl) -> bool {
        self.stopped.swap(false, Ordering::Relaxed)
    }

    /// Has `port` give all queues back before the core, which is closing the device, asks the driver to stop.
    pub(in crate::nic) fn release_to_close(&self, port: &dyn PortEvents, rtnl: &Rtnl) {
        self.closing.store(true, Ordering::Relaxed);
        port.release(rtnl, ReleaseReason::Down);
        self.closing.store(false, Ordering::Relaxed);
    }

    /// Whether [`Self::release_to_close`] is under way. The caller holds the RTNL mutex. A driver that would have to be
    /// restarted is only stopped then, on behalf of the core, and not opened again.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The driver's own choice of a queue, if it has one that can be called. (That of a driver whose functions are
    /// redirected would call us again; it is for protocols and offloads that go with no queue taken.)
    #[inline]
    pub(in crate::nic) fn original_select_queue(&self) -> SelectQueue {
        match self.standing {
            Interposed::Table(_) => self.original_ops().ndo_select_queue,
            Interposed::Functions(_) => None,
        }
    }

    /// The driver's ethtool operations.
    #[inline]
    pub(in crate::nic) fn original_ethtool(&self) -> &bindings::ethtool_ops {
        // SAFETY: As above.
        unsafe { self.original_ethtool.as_ref() }
    }

    #[inline]
    pub(in crate::nic) fn original_poll(&self) -> Poll {
        self.original_poll
    }

    /// The port. The caller has found the hooks in the table.
    #[inline]
    pub(in crate::nic) fn events(&self) -> &dyn PortEvents {
        if self.orphan.load(Ordering::Relaxed) {
            return &NoPort;
        }
        // SAFETY: `Installed::remove` changes it only after all have left that found the hooks before they were out of the
        // table or an orphan.
        match unsafe { &*self.events.get() } {
            Some(events) => &**events,
            None => &NoPort,
        }
    }

    /// A reference to the port, for a caller that may cause the hooks to be removed.
    pub(in crate::nic) fn share_events(&self, _rtnl: &Rtnl) -> Option<Arc<dyn PortEvents>> {
        // SAFETY: Changed only under the RTNL mutex.
        unsafe { (*self.events.get()).clone() }
    }

    #[inline]
    pub(in crate::nic) fn restrictions(&self) -> &Restrictions {
        &self.restrictions
    }

    /// Closes TX queue `queue` to the driver. When it returns, no transmit of the driver runs on that queue, nor will.
    ///
    /// Packets of the stack go to [`PortEvents::transmit`] then; unless the queue has a host ring that is bound, flows
    /// are steered to queues still open. The queue stays started, so that the watchdog sees nothing wrong. `queue` is
    /// below [`MAX_TX_QUEUES`].
    pub fn divert(&self, queue: u16) {
        self.set_diverted(queue, |word, bit| word.fetch_or(bit, Ordering::Relaxed));
    }

    /// Opens TX queue `queue` to the driver again.
    pub fn admit(&self, queue: u16) {
        self.set_diverted(queue, |word, bit| word.fetch_and(!bit, Ordering::Relaxed));
    }

    fn set_diverted(&self, queue: u16, change: impl FnOnce(&AtomicU64, u64) -> u64) {
        let Some(word) = self.diverted.get(usize::from(queue / 64)) else {
            return;
        };
        // SAFETY: The device is valid, and the shim checks the index.
        let queue_lock = unsafe { bindings::netmap_tx_lock(self.dev.as_ptr(), u32::from(queue)) };
        change(word, 1 << (queue % 64));
        // SAFETY: As it was locked above.
        unsafe { bindings::netmap_tx_unlock(queue_lock) };
    }

    /// Whether TX queue `queue` is diverted from the driver.
    #[inline]
    pub fn is_diverted(&self, queue: u16) -> bool {
        has_bit(&self.diverted, queue)
    }

    /// Sets whether any ring of the NIC is bound: while one is, the driver is kept from re-programming its rings.
    ///
    /// To be set before the first queue is taken, and cleared after the last was given back. Applies the masked
    /// features.
    pub fn set_bound(&self, bound: bool, rtnl: &Rtnl) {
        if self.is_bound() == bound {
            return;
        }
        // Frozen features can change only while nothing is bound. At this moment the masked features change, and those for
        // which the user has asked in the meantime.
        self.bound.store(false, Ordering::Relaxed);
        self.masking.store(bound, Ordering::Relaxed);
        self.dev.update_features(rtnl);
        self.bound.store(bound, Ordering::Relaxed);
    }

    /// Whether the masked features are to be off.
    pub(in crate::nic) fn is_masking(&self) -> bool {
        self.masking.load(Ordering::Relaxed)
    }

    /// Whether any ring of the NIC is bound.
    #[inline]
    pub fn is_bound(&self) -> bool {
        self.bound.load(Ordering::Relaxed)
    }

    /// Sets which TX queues have a host ring that is bound: what the stack sends on such a queue stays there when the queue
    /// is diverted.
    pub fn set_hosted(&self, is_hosted: impl Fn(u16) -> bool) {
        for (first, word) in (0..MAX_TX_QUEUES).step_by(64).zip(&self.hosted) {
            let bits = (0..64)
                .filter(|bit| is_hosted(first + bit))
                .fold(0, |bits, bit| bits | (1 << bit));
            word.store(bits, Ordering::Relaxed);
        }
    }

    /// The queue to use in place of `queue` among the device's `count`, which may be `queue` itself: an open one, unless
    /// the packet is for a host ring.
    #[inline]
    pub(in crate::nic) fn steer(&self, queue: u16, count: u16) -> u16 {
        if !self.is_diverted(queue) || has_bit(&self.hosted, queue) {
            return queue;
        }
        let open = (0..count).filter(|&q| !self.is_diverted(q)).count();
        match usize::from(queue).checked_rem(open) {
            Some(nth) => (0..count)
                .filter(|&q| !self.is_diverted(q))
                .nth(nth)
                .unwrap_or(queue),
            None => queue,
        }
    }

    /// Hooks the NAPI instances that the driver has now. To be called when the driver may have made new ones.
    pub fn hook_napi(&self, _rtnl: &Rtnl) {
        napi::replace_poll(&self.dev, self.original_poll, napi::POLL);
    }

    /// The tables that the device has while the hooks are in place: our copies, but the driver's own operations if its
    /// functions are redirected.
    fn tables(
        &self,
    ) -> (
        *const bindings::net_device_ops,
        *const bindings::ethtool_ops,
    ) {
        let ops = match &self.standing {
            Interposed::Table(ops) => &raw const **ops,
            Interposed::Functions(_) => self.original_ops.as_ptr(),
        };
        (ops, &raw const *self.ethtool)
    }

    /// Puts the driver's tables back in place of ours. False if somebody else has replaced one of ours by a copy of it:
    /// calls come to us through that copy as long as it is in place.
    fn restore_tables(&self, _rtnl: &Rtnl) -> bool {
        let raw = self.dev.as_ptr();
        // SAFETY: The device is valid, and its tables change only under the RTNL mutex.
        let (mut ops, mut ethtool) = unsafe { ((*raw).netdev_ops, (*raw).ethtool_ops) };
        let ours = self.tables();
        let free = (ops, ethtool) == ours;
        if ops == ours.0 {
            ops = self.original_ops();
        }
        if ethtool == ours.1 {
            ethtool = self.original_ethtool();
        }
        self.set_tables((ops, ethtool));
        free
    }

    /// Hooks to which another copy of a table leads cannot be removed: they stay for good, and so does the module. But they
    /// have no port any more, keep nothing from the driver, and hold no reference to the device.
    fn orphan(&self) {
        pr_warn!("another module has put its own operations in place of ours: netmap cannot be unloaded any more\n");
        // SAFETY: We run in a module that has a reference, the caller's.
        unsafe { bindings::netmap_pin_module() };
        self.set_hosted(|_| false);
        self.bound.store(false, Ordering::Relaxed);
        self.masking.store(false, Ordering::Relaxed);
        self.orphan.store(true, Ordering::Relaxed);
        if let Interposed::Functions(redirected) = &self.standing {
            // So that the driver's module can be unloaded.
            redirected.put();
        }
        // SAFETY: The reference is ours, and not put again: an orphan is not dropped. It is found by the device's address as
        // long as the device is registered, and not used otherwise, see `forget`.
        unsafe { bindings::netmap_dev_put(self.dev.as_ptr()) };
    }

    fn set_tables(
        &self,
        (ops, ethtool): (
            *const bindings::net_device_ops,
            *const bindings::ethtool_ops,
        ),
    ) {
        let raw = self.dev.as_ptr();
        // SAFETY: The device is valid and changed under the RTNL mutex, which our callers hold; others read either
        // value, each whole.
        unsafe {
            (&raw mut (*raw).netdev_ops).write_volatile(ops);
            (&raw mut (*raw).ethtool_ops).write_volatile(ethtool);
        }
    }
}

/// Whether the bit of a TX queue is set.
#[inline]
fn has_bit(words: &[AtomicU64; MAX_TX_QUEUES as usize / 64], queue: u16) -> bool {
    words
        .get(usize::from(queue / 64))
        .is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (queue % 64)) != 0)
}

/// The port of hooks that are not installed.
struct NoPort;

impl PortEvents for NoPort {
    fn transmit(&self, _skb: SentSkb, _queue: u16) {}
    fn interrupt(&self, _vector: &Vector<'_>) {}
    fn release(&self, _rtnl: &Rtnl, _why: ReleaseReason) {}
    fn retake(&self, _rtnl: &Rtnl, _why: ReleaseReason) {}
    fn carrier(&self, _rtnl: &Rtnl, _up: bool) {}
    fn renamed(&self, _rtnl: &Rtnl, _name: &[u8; IFNAMSIZ]) {}
    fn gone(&self, _rtnl: &Rtnl) {}
}

/// Hooks in place; they keep their port alive.
///
/// To be ended by [`Installed::remove`]: if it is dropped instead, the hooks stay where they are for good.
pub struct Installed {
    hooks: ManuallyDrop<Arc<Hooks>>,
}

impl Installed {
    /// Puts hooks on `dev` for `events`. `EBUSY` if it has some; `EOPNOTSUPP` if its NAPI instances cannot be hooked, so
    /// that no program would be woken, or if its driver's functions cannot be redirected.
    pub fn new(
        rtnl: &Rtnl,
        dev: &NetDev,
        events: Arc<dyn PortEvents>,
        restrictions: Restrictions,
    ) -> Result<Self> {
        // SAFETY: The device is valid, and its tables change only under the RTNL mutex.
        let (original_ops, original_ethtool) = unsafe {
            let raw = dev.as_ptr();
            ((*raw).netdev_ops, (*raw).ethtool_ops)
        };
        let original_ops = NonNull::new(original_ops.cast_mut()).ok_or(EOPNOTSUPP)?;
        let original_ethtool = NonNull::new(original_ethtool.cast_mut()).ok_or(EOPNOTSUPP)?;
        let Some(original_poll) = napi::common_poll(dev) else {
            if log::refusal_allowed() {
                pr_err!(
                    "{}: no interrupt of the driver's could wake a program: its NAPI instances are none, or of several kinds\n",
                    dev.label(rtnl)
                );
            }
            return Err(EOPNOTSUPP);
        };
        // SAFETY: The driver's constant tables.
        let (theirs, ethtool) = unsafe { (original_ops.as_ref(), original_ethtool.as_ref()) };
        let ethtool = KBox::new(ethtool::stand_in(ethtool), GFP_CHARGED)?;
        let standing = match restrictions.interposition {
            Interposition::Tables => Interposed::Table(KBox::new(ops::stand_in(theirs), GFP_CHARGED)?),
            Interposition::Functions => Interposed::Functions(Redirected::new(theirs, rtnl).inspect_err(
                |_| {
                    if log::refusal_allowed() {
                        pr_err!(
                            "{}: the driver's functions cannot be redirected (function tracer off, or a live patch)\n",
                            dev.label(rtnl)
                        );
                    }
                },
            )?),
        };
        let hooks = Arc::new(
            Hooks {
                dev: ManuallyDrop::new(dev.clone()),
                events: UnsafeCell::new(Some(events)),
                restrictions,
                original_ops,
                original_ethtool,
                original_poll,
                standing,
                ethtool,
                asking: AtomicBool::new(false),
                stopped: AtomicBool::new(false),
                closing: AtomicBool::new(false),
                diverted: [const { AtomicU64::new(0) }; MAX_TX_QUEUES as usize / 64],
                bound: AtomicBool::new(false),
                orphan: AtomicBool::new(false),
                masking: AtomicBool::new(false),
                hosted: [const { AtomicU64::new(0) }; MAX_TX_QUEUES as usize / 64],
                next: AtomicPtr::new(null_mut()),
            },
            GFP_CHARGED,
        )?;
        // SAFETY: `remove` takes the hooks out of the table and waits for a grace period before it drops them.
        unsafe { table::insert(&hooks, rtnl)? };
        hooks.set_tables(hooks.tables());
        hooks.hook_napi(rtnl);
        Ok(Self {
            hooks: ManuallyDrop::new(hooks),
        })
    }

    /// Takes the hooks away. Not to be called in a call that came through them.
    pub fn remove(self, rtnl: &Rtnl) {
        let hooks = ManuallyDrop::into_inner(self.hooks);
        napi::replace_poll(&hooks.dev, napi::POLL, hooks.original_poll);
        let free = hooks.restore_tables(rtnl);
        if !free {
            hooks.orphan();
        }
        // Calls that came through the copies are in an RCU read side: transmit and select-queue, and NAPI polls, which
        // run with softirqs off (a busy poll keeps the poll function that it saw no longer than its read side).
        // SAFETY: Process context, callable with the RTNL mutex held.
        unsafe { bindings::synchronize_net() };
        if free {
            table::remove(&hooks, rtnl);
            // Another grace period, for those that found the hooks in the table without a call through the copies.
            //
            // SAFETY: As above.
            unsafe { bindings::synchronize_net() };
        }
        // SAFETY: The hooks are not found any more, or only as an orphan; the grace periods have waited for those that found
        // them before; and the RTNL mutex keeps out others that would change it.
        let port = unsafe { (*hooks.events.get()).take() };
        drop(port);
        if free {
            drop(hooks);
        } else {
            // Calls that come through the other copy still find them.
            core::mem::forget(hooks);
        }
    }
}

/// A device is unregistered or leaves its namespace. If it is gone for good, its hooks that could not be removed are taken
/// out of the table: its driver has stopped, so no call comes through them that would need them.
pub(in crate::nic) fn forget(dev: *const bindings::net_device, rtnl: &Rtnl) {
    let Some(hooks) = table::find_locked(dev, rtnl) else {
        return;
    };
    // SAFETY: The device is valid: it is what the notifier was called for.
    if hooks.orphan.load(Ordering::Relaxed) && unsafe { bindings::netmap_is_leaving(dev) } {
        table::remove(hooks, rtnl);
    }
}

impl Deref for Installed {
    type Target = Hooks;

    fn deref(&self) -> &Hooks {
        &self.hooks
    }
}
