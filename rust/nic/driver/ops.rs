// SPDX-License-Identifier: GPL-2.0

//! What stands in for a driver's `net_device_ops`.

use super::{
    events::ReleaseReason,
    intercept::Hooks,
    table, //
};
use crate::{
    bindings::{
        self,
        net_device,
        net_device_ops,
        netdev_features_t,
        netdev_tx_t,
        netlink_ext_ack,
        sk_buff, //
    },
    prelude::*,
    sys::{rtnl::Rtnl, skb::SentSkb}, //
};
use core::{
    ops::Deref,
    ptr::{null_mut, NonNull}, //
};
use kernel::{
    ffi::{c_int, c_uint, c_void},
    sync::rcu, //
};

/// The table of the operations that stand in, which is never written.
pub(in crate::nic) struct StandIns(net_device_ops);

// SAFETY: Shared to be read only; the functions that its pointers lead to may be called from anywhere.
unsafe impl Sync for StandIns {}

impl Deref for StandIns {
    type Target = net_device_ops;

    fn deref(&self) -> &net_device_ops {
        &self.0
    }
}

/// The operations that stand in for a driver's.
pub(in crate::nic) static STAND_INS: StandIns = StandIns(net_device_ops {
    ndo_start_xmit: Some(start_xmit),
    ndo_select_queue: Some(select_queue),
    ndo_fix_features: Some(fix_features),
    ndo_open: Some(open),
    ndo_stop: Some(stop),
    ndo_tx_timeout: Some(tx_timeout),
    ndo_change_mtu: Some(change_mtu),
    ndo_set_features: Some(set_features),
    ndo_bpf: Some(bpf),
    ndo_setup_tc: Some(setup_tc),
    ndo_xdp_xmit: Some(xdp_xmit),
    ndo_xsk_wakeup: Some(xsk_wakeup),
    // SAFETY: A table of functions, where null is none.
    ..unsafe { core::mem::zeroed() }
});

/// A copy of a driver's operations in which ours stand in.
pub(in crate::nic) fn stand_in(original: &net_device_ops) -> net_device_ops {
    let mut ops = *original;
    ops.ndo_start_xmit = STAND_INS.ndo_start_xmit;
    // Without these two the core does what it does by default, which does not spare the queues that are taken.
    ops.ndo_select_queue = STAND_INS.ndo_select_queue;
    ops.ndo_fix_features = STAND_INS.ndo_fix_features;
    // The others stand in only for operations that the driver has: whether some are there tells the core what it can ask
    // for.
    ops.ndo_open = ops.ndo_open.and(STAND_INS.ndo_open);
    ops.ndo_stop = ops.ndo_stop.and(STAND_INS.ndo_stop);
    ops.ndo_tx_timeout = ops.ndo_tx_timeout.and(STAND_INS.ndo_tx_timeout);
    ops.ndo_change_mtu = ops.ndo_change_mtu.and(STAND_INS.ndo_change_mtu);
    ops.ndo_set_features = ops.ndo_set_features.and(STAND_INS.ndo_set_features);
    ops.ndo_bpf = ops.ndo_bpf.and(STAND_INS.ndo_bpf);
    ops.ndo_setup_tc = ops.ndo_setup_tc.and(STAND_INS.ndo_setup_tc);
    ops.ndo_xdp_xmit = ops.ndo_xdp_xmit.and(STAND_INS.ndo_xdp_xmit);
    ops.ndo_xsk_wakeup = ops.ndo_xsk_wakeup.and(STAND_INS.ndo_xsk_wakeup);
    ops
}

/// The hooks of a device whose operation the core has called with the RTNL mutex held.
///
/// # Safety
///
/// The calling thread must hold the RTNL mutex for `'a`.
pub(in crate::nic) unsafe fn under_rtnl<'a>(
    dev: *const net_device,
) -> Option<(&'a Hooks, &'a Rtnl)> {
    // SAFETY: By the function's requirement.
    let rtnl = unsafe { Rtnl::assume() };
    Some((table::find_locked(dev, rtnl)?, rtnl))
}

/// Refuses a request while rings of the NIC are bound, and tells the user why; [`None`] if the request may go on.
pub(in crate::nic) fn refuse(
    hooks: &Hooks,
    extack: *mut netlink_ext_ack,
    reason: &CStr,
) -> Option<c_int> {
    hooks.is_bound().then(|| {
        // SAFETY: The core's, or null; the reason is copied.
        unsafe { bindings::netmap_refuse(hooks.device().as_ptr(), extack, reason.as_char_ptr()) };
        EBUSY.to_errno()
    })
}

/// Runs `request`, by which the driver re-programs its rings, with queues that are taken given back before and taken after.
pub(in crate::nic) fn around(hooks: &Hooks, rtnl: &Rtnl, request: impl FnOnce() -> c_int) -> c_int {
    if !hooks.is_bound() {
        return request();
    }
    hooks.events().release(rtnl, ReleaseReason::Reinit);
    let result = request();
    hooks.hook_napi(rtnl);
    hooks.events().retake(rtnl, ReleaseReason::Reinit);
    result
}

/// # Safety
///
/// As `ndo_start_xmit`: under the queue's lock, in an RCU read side; `skb` is given away.
unsafe extern "C" fn start_xmit(skb: *mut sk_buff, dev: *mut net_device) -> netdev_tx_t {
    let rcu = rcu::read_lock();
    // SAFETY: The core passes a packet whose device is set, and gives its reference away.
    let packet = match NonNull::new(skb) {
        // SAFETY: As above.
        Some(skb) => unsafe { SentSkb::from_raw(skb) },
        None => return bindings::netdev_tx_NETDEV_TX_OK,
    };
    if let Some(hooks) = table::find(dev, &rcu) {
        let queue = packet.queue();
        if hooks.is_diverted(queue) {
            hooks.events().transmit(packet, queue);
        } else if let Some(original) = hooks.original_ops().ndo_start_xmit {
            // SAFETY: The driver's own function with what the core gave us.
            return unsafe { original(packet.into_raw(), dev) };
        }
    }
    bindings::netdev_tx_NETDEV_TX_OK
}

/// # Safety
///
/// As `ndo_select_queue`: in an RCU read side.
unsafe extern "C" fn select_queue(
    dev: *mut net_device,
    skb: *mut sk_buff,
    sb_dev: *mut net_device,
) -> u16 {
    let rcu = rcu::read_lock();
    let hooks = table::find(dev, &rcu);
    // SAFETY: With what the core gave us.
    let queue = unsafe {
        match hooks.and_then(Hooks::original_select_queue) {
            Some(original) => original(dev, skb, sb_dev),
            None => bindings::netdev_pick_tx(dev, skb, sb_dev),
        }
    };
    match hooks {
        // SAFETY: The device is valid.
        Some(hooks) => hooks.steer(queue, unsafe { bindings::netmap_tx_queues(dev) }),
        None => queue,
    }
}

/// # Safety
///
/// As `ndo_open`: with the RTNL mutex held.
unsafe extern "C" fn open(dev: *mut net_device) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    // A stop on account of an earlier close does not count any more.
    hooks.end_stopped(rtnl);
    let result = hooks.ask(rtnl, |ops| match ops.ndo_open {
        // SAFETY: The driver's own function with what the core gave us.
        Some(original) => unsafe { original(dev) },
        None => 0,
    });
    if result == 0 {
        hooks.hook_napi(rtnl);
        hooks.events().retake(rtnl, ReleaseReason::Down);
        // To take the queues the driver was restarted, and did not open again: to the core the device is not up yet.
        if hooks.end_stopped(rtnl) {
            return EIO.to_errno();
        }
    }
    result
}

/// # Safety
///
/// As `ndo_stop`: with the RTNL mutex held.
unsafe extern "C" fn stop(dev: *mut net_device) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    // The driver has stopped already: a queue could not be given back before, or the driver did not open again.
    if hooks.end_stopped(rtnl) {
        return 0;
    }
    if !hooks.is_asking() {
        hooks.release_to_close(hooks.events(), rtnl);
        if hooks.end_stopped(rtnl) {
            return 0;
        }
    }
    hooks.ask(rtnl, |ops| match ops.ndo_stop {
        // SAFETY: The driver's own function with what the core gave us.
        Some(original) => unsafe { original(dev) },
        None => 0,
    })
}

/// # Safety
///
/// As `ndo_tx_timeout`: in softirq.
unsafe extern "C" fn tx_timeout(dev: *mut net_device, queue: c_uint) {
    let rcu = rcu::read_lock();
    let Some(hooks) = table::find(dev, &rcu) else {
        return;
    };
    // A queue that is diverted from the driver does not hang.
    if u16::try_from(queue).is_ok_and(|queue| hooks.is_diverted(queue)) {
        return;
    }
    if let Some(original) = hooks.original_ops().ndo_tx_timeout {
        // SAFETY: The driver's own function with what the core gave us.
        unsafe { original(dev, queue) };
    }
}

/// # Safety
///
/// As `ndo_change_mtu`: with the RTNL mutex held.
unsafe extern "C" fn change_mtu(dev: *mut net_device, mtu: c_int) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    if i64::from(mtu) > i64::from(hooks.restrictions().max_mtu) {
        let reason = c"netmap: a packet of this MTU does not fit the buffers";
        if let Some(refusal) = refuse(hooks, null_mut(), reason) {
            return refusal;
        }
    }
    around(hooks, rtnl, || {
        hooks.ask(rtnl, |ops| match ops.ndo_change_mtu {
            // SAFETY: The driver's own function with what the core gave us.
            Some(original) => unsafe { original(dev, mtu) },
            None => 0,
        })
    })
}

/// # Safety
///
/// As `ndo_fix_features`: with the RTNL mutex held.
unsafe extern "C" fn fix_features(
    dev: *mut net_device,
    wanted: netdev_features_t,
) -> netdev_features_t {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return wanted;
    };
    let restrictions = hooks.restrictions();
    let off = if hooks.is_masking() {
        restrictions.masked
    } else {
        0
    };
    // The driver may derive other features from those that are off.
    let mut features = hooks.ask(rtnl, |ops| match ops.ndo_fix_features {
        // SAFETY: The driver's own function, with a set of features that the core might give it.
        Some(original) => unsafe { original(dev, wanted & !off) },
        None => wanted,
    });
    features &= !off;
    if hooks.is_bound() {
        // Frozen features stay as they are until the queues are given back: the core remembers what is wanted.
        // SAFETY: The device is valid; its features change under the RTNL mutex.
        let now = unsafe { bindings::netmap_features(dev) };
        features = (features & !restrictions.frozen) | (now & restrictions.frozen);
    }
    features
}

/// # Safety
///
/// As `ndo_set_features`: with the RTNL mutex held.
unsafe extern "C" fn set_features(dev: *mut net_device, features: netdev_features_t) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    // SAFETY: The device is valid; its features change under the RTNL mutex.
    let changed = features ^ unsafe { bindings::netmap_features(dev) };
    if changed & hooks.restrictions().frozen != 0 {
        // The core changed more than `fix_features` allowed.
        if let Some(refusal) = refuse(
            hooks,
            null_mut(),
            c"netmap: these features cannot change while its rings are bound",
        ) {
            return refusal;
        }
    }
    hooks.ask(rtnl, |ops| match ops.ndo_set_features {
        // SAFETY: The driver's own function with what the core gave us.
        Some(original) => unsafe { original(dev, features) },
        None => 0,
    })
}

/// # Safety
///
/// As `ndo_bpf`: with the RTNL mutex held.
unsafe extern "C" fn bpf(dev: *mut net_device, request: *mut bindings::netdev_bpf) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    // SAFETY: The core passes a valid request.
    let extack = unsafe { bindings::netmap_bpf_extack(request) };
    if let Some(refusal) = refuse(hooks, extack, c"netmap: no XDP while its rings are bound") {
        return refusal;
    }
    hooks.ask(rtnl, |ops| match ops.ndo_bpf {
        // SAFETY: The driver's own function with what the core gave us.
        Some(original) => unsafe { original(dev, request) },
        None => EOPNOTSUPP.to_errno(),
    })
}

/// # Safety
///
/// As `ndo_setup_tc`: with the RTNL mutex held.
unsafe extern "C" fn setup_tc(
    dev: *mut net_device,
    kind: bindings::tc_setup_type,
    data: *mut c_void,
) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    // Queries and classifiers may pass, as they change no ring; queueing disciplines in hardware may not.
    let harmless = matches!(
        kind,
        bindings::tc_setup_type_TC_QUERY_CAPS
            | bindings::tc_setup_type_TC_SETUP_BLOCK
            | bindings::tc_setup_type_TC_SETUP_FT
            | bindings::tc_setup_type_TC_SETUP_CLSFLOWER
            | bindings::tc_setup_type_TC_SETUP_CLSMATCHALL
            | bindings::tc_setup_type_TC_SETUP_CLSU32
            | bindings::tc_setup_type_TC_SETUP_CLSBPF
            | bindings::tc_setup_type_TC_SETUP_ACT
    );
    if !harmless {
        let reason = c"netmap: no queueing discipline in hardware while its rings are bound";
        if let Some(refusal) = refuse(hooks, null_mut(), reason) {
            return refusal;
        }
    }
    hooks.ask(rtnl, |ops| match ops.ndo_setup_tc {
        // SAFETY: The driver's own function with what the core gave us.
        Some(original) => unsafe { original(dev, kind, data) },
        None => EOPNOTSUPP.to_errno(),
    })
}

/// # Safety
///
/// As `ndo_xdp_xmit`: in softirq.
unsafe extern "C" fn xdp_xmit(
    dev: *mut net_device,
    count: c_int,
    frames: *mut *mut bindings::xdp_frame,
    flags: u32,
) -> c_int {
    let rcu = rcu::read_lock();
    match table::find(dev, &rcu) {
        Some(hooks) if !hooks.is_bound() => {
            match hooks.original_ops().ndo_xdp_xmit {
                // SAFETY: The driver's own function with what the core gave us.
                Some(original) => unsafe { original(dev, count, frames, flags) },
                None => EOPNOTSUPP.to_errno(),
            }
        }
        // The driver's function would send on queues that are taken. The caller frees and counts the frames.
        _ => EBUSY.to_errno(),
    }
}

/// # Safety
///
/// As `ndo_xsk_wakeup`: in an RCU read side.
unsafe extern "C" fn xsk_wakeup(dev: *mut net_device, queue: u32, flags: u32) -> c_int {
    let rcu = rcu::read_lock();
    match table::find(dev, &rcu) {
        Some(hooks) if !hooks.is_bound() => {
            match hooks.original_ops().ndo_xsk_wakeup {
                // SAFETY: The driver's own function with what the core gave us.
                Some(original) => unsafe { original(dev, queue, flags) },
                None => EOPNOTSUPP.to_errno(),
            }
        }
        _ => EBUSY.to_errno(),
    }
}
