// SPDX-License-Identifier: GPL-2.0

//! Softirqs of this CPU, as a token that functions ask for.

use crate::bindings;
use core::{marker::PhantomData, ops::Deref};

/// Proof that no softirq interrupts the caller: it is one, or has turned them off on its CPU. What a softirq takes a spin lock for,
/// others take that lock for with one of these.
///
/// # Invariants
///
/// A reference to it exists only while softirqs of this CPU are off or one runs. It is neither `Send` nor `Sync`.
pub(crate) struct Softirq {
    _not_send: PhantomData<*mut ()>,
}

impl Softirq {
    /// Turns softirqs off on this CPU. In process context.
    pub(crate) fn off() -> SoftirqsOff {
        // SAFETY: Callable in process context; undone when the guard is dropped.
        unsafe { bindings::netmap_bh_disable() };
        // INVARIANT: Off until the guard is dropped.
        SoftirqsOff {
            token: Softirq {
                _not_send: PhantomData,
            },
        }
    }

    /// The token for a function that was called with softirqs off, or is one.
    ///
    /// # Safety
    ///
    /// That must be so as long as the reference is used.
    #[inline]
    pub(crate) unsafe fn assume<'a>() -> &'a Softirq {
        // INVARIANT: By the function's requirement.
        &Softirq {
            _not_send: PhantomData,
        }
    }
}

/// Softirqs are off until this is dropped.
pub(crate) struct SoftirqsOff {
    token: Softirq,
}

impl Deref for SoftirqsOff {
    type Target = Softirq;

    fn deref(&self) -> &Softirq {
        &self.token
    }
}

impl Drop for SoftirqsOff {
    fn drop(&mut self) {
        // SAFETY: Turned off by `Softirq::off` on this CPU: the guard is not `Send`, and no task changes its CPU meanwhile.
        unsafe { bindings::netmap_bh_enable() };
    }
}
