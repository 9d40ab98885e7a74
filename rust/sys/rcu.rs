// SPDX-License-Identifier: GPL-2.0

//! References that are dropped when nobody can be at the value under RCU any more.

use super::rtnl::Rtnl;
use crate::{bindings, prelude::*};
use kernel::types::Opaque;

/// What a value of the type [`Found`] has for [`drop_later`].
pub(crate) struct Head(Opaque<bindings::callback_head>);

// SAFETY: Only the kernel uses it, from whatever thread.
unsafe impl Send for Head {}
// SAFETY: As above.
unsafe impl Sync for Head {}

impl Head {
    /// One that is not used yet.
    pub(crate) const fn new() -> Self {
        Self(Opaque::uninit())
    }
}

/// A type whose values are found under RCU. They may be dropped in a softirq.
///
/// # Safety
///
/// `HEAD` must be the offset of a [`Head`] in the type.
pub(crate) unsafe trait Found: Send + Sync {
    /// Where the head is.
    const HEAD: usize;
}

/// Drops a reference after a grace period: when all who are in an RCU read side now have left it. Callable from any context.
///
/// # Safety
///
/// It must not have been called for this value before.
pub(crate) unsafe fn drop_later<T: Found>(reference: Arc<T>) {
    let value = Arc::into_raw(reference).cast_mut();
    // SAFETY: By the trait's requirement there is a head, which by the function's is not in use. It stays where it is, as the reference
    // keeps the value.
    unsafe {
        let head = &*value.byte_add(T::HEAD).cast::<Head>();
        bindings::call_rcu(head.0.get(), Some(dropped::<T>));
    }
}

/// # Safety
///
/// For the kernel to call, with the head that [`drop_later`] has passed of a `T`.
unsafe extern "C" fn dropped<T: Found>(head: *mut bindings::callback_head) {
    // SAFETY: By the requirement it is in a value of this type, and the reference is that of `drop_later`.
    drop(unsafe { Arc::from_raw(head.byte_sub(T::HEAD).cast::<T>()) });
}

/// Waits for all who are in an RCU read side now, or in the network core as if they were. It is quick, as it is with the RTNL mutex held.
pub(crate) fn synchronize(_rtnl: &Rtnl) {
    // SAFETY: Process context, callable with mutexes held.
    unsafe { bindings::synchronize_net() };
}

/// There as long as the module: dropping it waits for all that [`drop_later`] has still to drop.
pub(crate) struct Barrier;

impl Drop for Barrier {
    fn drop(&mut self) {
        // SAFETY: Process context, without any lock.
        unsafe { bindings::rcu_barrier() };
    }
}
