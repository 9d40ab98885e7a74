// SPDX-License-Identifier: GPL-2.0

//! The RTNL mutex, as a token that functions ask for.

use crate::bindings;
use core::{marker::PhantomData, ops::Deref};

/// Proof that the calling thread holds the RTNL mutex.
///
/// # Invariants
///
/// A reference to it exists only while the thread that has it holds the mutex. It is neither `Send` nor `Sync`.
pub struct Rtnl {
    _not_send: PhantomData<*mut ()>,
}

impl Rtnl {
    /// Takes the mutex. May sleep.
    pub fn lock() -> RtnlGuard {
        // SAFETY: Process context, by the module's lock order with no mutex held.
        unsafe { bindings::rtnl_lock() };
        // INVARIANT: Locked above, unlocked when the guard is dropped.
        RtnlGuard {
            token: Rtnl {
                _not_send: PhantomData,
            },
        }
    }

    /// The token for a function that the network core called with the mutex held.
    ///
    /// # Safety
    ///
    /// The calling thread must hold the mutex, and go on to as long as the reference is used.
    pub unsafe fn assume<'a>() -> &'a Rtnl {
        // INVARIANT: By the function's requirement.
        &Rtnl {
            _not_send: PhantomData,
        }
    }
}

/// The RTNL mutex, held until dropped.
pub struct RtnlGuard {
    token: Rtnl,
}

impl Deref for RtnlGuard {
    type Target = Rtnl;

    fn deref(&self) -> &Rtnl {
        &self.token
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: Taken in `Rtnl::lock` by this thread: the guard is not `Send`.
        unsafe { bindings::rtnl_unlock() };
    }
}
