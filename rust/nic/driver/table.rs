// SPDX-License-Identifier: GPL-2.0

//! From a `net_device` to its hooks, without a lock.
//!
//! A table and not `container_of` on the ops copy: what the network core calls says nothing safe about which copy it
//! was called through (it may be restored by now, or another module's copy of ours), and NAPI polls and notifiers come
//! through no ops at all.
//!
//! Readers are in an RCU read side or hold the RTNL mutex; writers hold the RTNL mutex.

use super::intercept::Hooks;
use crate::{
    atomic::{AtomicPtr, Ordering},
    bindings,
    prelude::*,
    sys::rtnl::Rtnl, //
};
use core::ptr::{null_mut, NonNull};
use kernel::sync::rcu;

const BUCKETS: usize = 64;

/// Heads of singly linked lists through [`Hooks::next`].
static TABLE: [AtomicPtr<Hooks>; BUCKETS] = [const { AtomicPtr::new(null_mut()) }; BUCKETS];

fn bucket(dev: *const bindings::net_device) -> &'static AtomicPtr<Hooks> {
    // Devices are allocated in whole pages.
    let page = dev.addr() / 4096;
    &TABLE[(page ^ (page / BUCKETS)) % BUCKETS]
}

/// The hooks of `dev`, if it has any.
///
/// # Safety
///
/// The hooks in the table must stay valid for `'a`: the caller is in an RCU read side or holds the RTNL mutex that long.
unsafe fn search<'a>(dev: *const bindings::net_device) -> Option<&'a Hooks> {
    let mut link = bucket(dev).load(Ordering::Acquire);
    loop {
        // SAFETY: What is linked is valid, and stays so after it is unlinked until readers are done: see `remove`.
        let hooks: &'a Hooks = unsafe { NonNull::new(link)?.as_ref() };
        if hooks.device().as_ptr().cast_const() == dev {
            return Some(hooks);
        }
        link = hooks.next.load(Ordering::Acquire);
    }
}

/// The hooks of `dev`, if it has any, as seen under RCU.
#[inline]
pub(in crate::nic) fn find<'a>(
    dev: *const bindings::net_device,
    _rcu: &'a rcu::Guard,
) -> Option<&'a Hooks> {
    // SAFETY: The guard lives for `'a`.
    unsafe { search(dev) }
}

/// The hooks of `dev`, if it has any, as seen under the RTNL mutex.
pub(in crate::nic) fn find_locked<'a>(
    dev: *const bindings::net_device,
    _rtnl: &'a Rtnl,
) -> Option<&'a Hooks> {
    // SAFETY: The mutex is held for `'a`.
    unsafe { search(dev) }
}

/// Calls `f` with the hooks of every device that has some; `f` must not add nor remove any.
pub(in crate::nic) fn for_each(rtnl: &Rtnl, mut f: impl FnMut(&Hooks, &Rtnl)) {
    for head in &TABLE {
        let mut link = head.load(Ordering::Acquire);
        // SAFETY: What is linked is valid, and stays linked while the RTNL mutex is held and `f` removes none.
        while let Some(hooks) = unsafe { link.as_ref() } {
            f(hooks, rtnl);
            link = hooks.next.load(Ordering::Acquire);
        }
    }
}

/// Adds hooks; `EBUSY` if their device has some.
///
/// # Safety
///
/// `hooks` must stay valid until [`remove`] was called with it and an RCU grace period has passed.
pub(in crate::nic) unsafe fn insert(hooks: &Hooks, rtnl: &Rtnl) -> Result {
    let dev = hooks.device().as_ptr();
    if find_locked(dev, rtnl).is_some() {
        return Err(EBUSY);
    }
    let head = bucket(dev);
    hooks
        .next
        .store(head.load(Ordering::Relaxed), Ordering::Relaxed);
    // Publishes the hooks with all that is in them.
    head.store(core::ptr::from_ref(hooks).cast_mut(), Ordering::Release);
    Ok(())
}

/// Takes hooks out. Readers may see them until a grace period has passed.
pub(in crate::nic) fn remove(hooks: &Hooks, _rtnl: &Rtnl) {
    let target = core::ptr::from_ref(hooks).cast_mut();
    let mut link = bucket(hooks.device().as_ptr());
    loop {
        let seen = link.load(Ordering::Relaxed);
        if seen == target {
            // A reader that has reached `hooks` still finds the rest of the list: the link in `hooks` stays.
            link.store(hooks.next.load(Ordering::Relaxed), Ordering::Release);
            return;
        }
        // SAFETY: What is linked is valid, and the RTNL mutex keeps others from changing the list.
        match unsafe { seen.as_ref() } {
            Some(other) => link = &other.next,
            None => return,
        }
    }
}
