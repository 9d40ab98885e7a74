// SPDX-License-Identifier: GPL-2.0

//! What stands in for a driver's `ethtool_ops`: requests by which it would re-program its rings.
//!
//! All are called with the RTNL mutex held: the core calls these operations without it only on devices that opt in to
//! a lock of their own (`netdev_need_ops_lock()`), and such devices are refused ([`crate::nic::device::conflict`]).

use super::ops::{around, refuse, under_rtnl};
use crate::{
    bindings::{
        self,
        ethtool_channels,
        ethtool_coalesce,
        ethtool_keee,
        ethtool_link_ksettings,
        ethtool_pauseparam,
        ethtool_ringparam,
        ethtool_test,
        kernel_ethtool_coalesce,
        kernel_ethtool_ringparam,
        net_device,
        netlink_ext_ack, //
    },
    prelude::*, //
};
use core::ptr::null_mut;
use kernel::ffi::c_int;

/// A copy of a driver's operations in which ours stand in, for what is there.
pub(in crate::nic) fn stand_in(original: &bindings::ethtool_ops) -> bindings::ethtool_ops {
    let mut ops = *original;
    ops.set_ringparam = ops.set_ringparam.and(Some(set_ringparam));
    ops.set_channels = ops.set_channels.and(Some(set_channels));
    ops.set_pauseparam = ops.set_pauseparam.and(Some(set_pauseparam));
    ops.set_link_ksettings = ops.set_link_ksettings.and(Some(set_link_ksettings));
    ops.set_priv_flags = ops.set_priv_flags.and(Some(set_priv_flags));
    ops.set_eee = ops.set_eee.and(Some(set_eee));
    ops.set_coalesce = ops.set_coalesce.and(Some(set_coalesce));
    ops.reset = ops.reset.and(Some(reset));
    ops.self_test = ops.self_test.and(Some(self_test));
    ops.nway_reset = ops.nway_reset.and(Some(nway_reset));
    ops
}

/// Defines operations that are refused with `EBUSY` while rings of the NIC are bound.
macro_rules! refused {
    ($($op:ident($($arg:ident: $type:ty),*), $extack:expr, $reason:literal;)*) => {$(
        /// # Safety
        ///
        /// As the operation of this name: with the RTNL mutex held.
        unsafe extern "C" fn $op(dev: *mut net_device, $($arg: $type),*) -> c_int {
            // SAFETY: As documented above.
            let Some((hooks, _)) = (unsafe { under_rtnl(dev) }) else {
                return ENODEV.to_errno();
            };
            if let Some(refusal) = refuse(hooks, $extack, $reason) {
                return refusal;
            }
            match hooks.original_ethtool().$op {
                // SAFETY: The driver's own function with what the core gave us.
                Some(original) => unsafe { original(dev, $($arg),*) },
                None => EOPNOTSUPP.to_errno(),
            }
        }
    )*};
}

refused! {
    set_ringparam(
        ring: *mut ethtool_ringparam, more: *mut kernel_ethtool_ringparam, extack: *mut netlink_ext_ack
    ), extack, c"netmap: ring sizes cannot change while its rings are bound";
    set_channels(channels: *mut ethtool_channels), null_mut(),
        c"netmap: channels cannot change while its rings are bound";
    set_pauseparam(pause: *mut ethtool_pauseparam), null_mut(),
        c"netmap: pause parameters cannot change while its rings are bound";
    set_link_ksettings(settings: *const ethtool_link_ksettings), null_mut(),
        c"netmap: link settings cannot change while its rings are bound";
    set_priv_flags(flags: u32), null_mut(),
        c"netmap: private flags cannot change while its rings are bound";
    set_eee(eee: *mut ethtool_keee), null_mut(),
        c"netmap: EEE cannot change while its rings are bound";
    reset(flags: *mut u32), null_mut(),
        c"netmap: no reset while its rings are bound";
}

/// # Safety
///
/// As the operation of this name: with the RTNL mutex held.
unsafe extern "C" fn set_coalesce(
    dev: *mut net_device,
    coalesce: *mut ethtool_coalesce,
    more: *mut kernel_ethtool_coalesce,
    extack: *mut netlink_ext_ack,
) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, _)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    if hooks.restrictions().coalesce {
        let reason = c"netmap: interrupt coalescing cannot change while its rings are bound";
        if let Some(refusal) = refuse(hooks, extack, reason) {
            return refusal;
        }
    }
    match hooks.original_ethtool().set_coalesce {
        // SAFETY: The driver's own function with what the core gave us.
        Some(original) => unsafe { original(dev, coalesce, more, extack) },
        None => EOPNOTSUPP.to_errno(),
    }
}

/// # Safety
///
/// As the operation of this name: with the RTNL mutex held. The core has allocated and zeroed `data`.
unsafe extern "C" fn self_test(dev: *mut net_device, test: *mut ethtool_test, data: *mut u64) {
    // SAFETY: As documented above.
    let Some((hooks, _)) = (unsafe { under_rtnl(dev) }) else {
        return;
    };
    if refuse(
        hooks,
        null_mut(),
        c"netmap: no self-test while its rings are bound",
    )
    .is_some()
    {
        // SAFETY: The core passes a valid request.
        unsafe { (*test).flags |= bindings::ethtool_test_flags_ETH_TEST_FL_FAILED };
        return;
    }
    if let Some(original) = hooks.original_ethtool().self_test {
        // SAFETY: The driver's own function with what the core gave us.
        unsafe { original(dev, test, data) };
    }
}

/// # Safety
///
/// As the operation of this name: with the RTNL mutex held.
unsafe extern "C" fn nway_reset(dev: *mut net_device) -> c_int {
    // SAFETY: As documented above.
    let Some((hooks, rtnl)) = (unsafe { under_rtnl(dev) }) else {
        return ENODEV.to_errno();
    };
    let Some(original) = hooks.original_ethtool().nway_reset else {
        return EOPNOTSUPP.to_errno();
    };
    // SAFETY: The driver's own function with what the core gave us.
    around(hooks, rtnl, || unsafe { original(dev) })
}
