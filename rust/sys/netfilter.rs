// SPDX-License-Identifier: GPL-2.0

//! Netfilter's hooks of one network device: where its packets come from the driver, and where the stack sends them.

use super::{netdev::NetDev, rtnl::Rtnl, softirq::Softirq};
use crate::{bindings, prelude::*};
use core::{marker::PhantomData, ptr::NonNull};
use kernel::ffi::{c_uint, c_void};

/// Where a hook is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// What the device has received, before the stack and all devices above it see it.
    Ingress,
    /// What is sent through the device, before a queue is chosen for it.
    Egress,
}

/// Who looks at packets.
///
/// # Safety
///
/// [`Self::CALLED`] takes a reference to a `Self` as its private data, and does with a packet what [`Self::take`] may do.
pub(crate) unsafe trait Inspector: Send + Sync + Sized {
    /// What netfilter calls.
    const CALLED: bindings::nf_hookfn = Some(called::<Self>);

    /// Looks at a packet, of which the caller has one reference. True if it is taken: the reference is ours then. If not, the packet
    /// goes on, and nothing of it may have changed that others see.
    ///
    /// Runs in an RCU read side with softirqs off, on any CPU.
    ///
    /// # Safety
    ///
    /// `skb` is what netfilter called the hook with.
    unsafe fn take(&self, skb: NonNull<bindings::sk_buff>, softirq: &Softirq) -> bool;
}

/// A hook in place, the one next to the driver, until it is removed or dropped.
///
/// # Invariants
///
/// `ops` is registered, with a reference to a `T` as its private data.
pub(crate) struct Hook<T: Inspector> {
    ops: NonNull<bindings::nf_hook_ops>,
    _inspector: PhantomData<Arc<T>>,
}

// SAFETY: The hook belongs to no thread, and what looks at packets can be used by any.
unsafe impl<T: Inspector> Send for Hook<T> {}
// SAFETY: Nothing can be done with a reference to it.
unsafe impl<T: Inspector> Sync for Hook<T> {}

impl<T: Inspector> Hook<T> {
    /// Has `inspector` look at the packets of `dev`. `ENOMEM`.
    pub(crate) fn new(dev: &NetDev, place: Place, inspector: Arc<T>, _rtnl: &Rtnl) -> Result<Self> {
        let inspector = inspector.into_raw().cast_mut().cast();
        // SAFETY: The device is valid, and in its namespace while the RTNL mutex is held. The function is for this kind of private
        // data, which stays until the hook is removed and its last call is over.
        let ops = unsafe {
            bindings::netmap_hook_add(dev.as_ptr(), place == Place::Egress, T::CALLED, inspector)
        };
        let error = kernel::error::from_err_ptr(ops);
        match error {
            // INVARIANT: Just registered with that data.
            Ok(ops) => Ok(Self {
                ops: NonNull::new(ops).ok_or(ENOMEM)?,
                _inspector: PhantomData,
            }),
            Err(error) => {
                // SAFETY: From `into_raw` above, and nobody else has it.
                drop(unsafe { Arc::<T>::from_raw(inspector.cast()) });
                Err(error)
            }
        }
    }
}

/// # Safety
///
/// For netfilter alone, with what [`Hook::new`] has registered.
unsafe extern "C" fn called<T: Inspector>(
    inspector: *mut c_void,
    skb: *mut bindings::sk_buff,
    _state: *const bindings::nf_hook_state,
) -> c_uint {
    // SAFETY: The private data of the hook, which stays while calls are under way; see `drop`. Hooks of devices are called with
    // softirqs off.
    let (inspector, softirq) = unsafe { (&*inspector.cast::<T>(), Softirq::assume()) };
    let taken = match NonNull::new(skb) {
        // SAFETY: This is that call.
        Some(skb) => unsafe { inspector.take(skb, softirq) },
        None => false,
    };
    if taken {
        bindings::NF_STOLEN
    } else {
        bindings::NF_ACCEPT
    }
}

impl<T: Inspector> Drop for Hook<T> {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant. When the function returns, no call is under way any more, so that the reference is nobody
        // else's.
        unsafe {
            let inspector = bindings::netmap_hook_remove(self.ops.as_ptr());
            drop(Arc::<T>::from_raw(inspector.cast()));
        }
    }
}
