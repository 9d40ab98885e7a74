// SPDX-License-Identifier: GPL-2.0

//! The module's atomics: those of `core`, and in a build for tests (`NETMAP_DELAYS=1`, see `Kbuild`) ones with a moment of
//! random length before and after each operation.
//!
//! What threads and interrupts agree on without a lock, they agree on here. The time between two steps, in which another
//! may act, is some cycles, and no test would meet it.
//!
//! They are not those of `kernel::sync::atomic`, for two reasons. `logic/` is also compiled without the kernel, where a model
//! checker's atomics take the place of these. And each operation of the kernel crate is a call of a C function, also where
//! the processor has one instruction for it: in a loop in user space on an EPYC a load took 1.6 ns so, or 7.4 ns where the
//! function returned by a thunk against speculation, and 0.3 ns inline. A sync of one ring does several.

pub(crate) use core::sync::atomic::Ordering;
#[cfg(not(netmap_delays))]
pub(crate) use core::sync::atomic::{
    fence, AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
};
#[cfg(netmap_delays)]
pub(crate) use delayed::*;

#[cfg(netmap_delays)]
mod delayed {
    #![allow(
        // As with those of `core`, some operations are not used.
        dead_code
    )]

    use crate::bindings;
    use core::sync::atomic::{self as plain, Ordering};

    fn moment() {
        // SAFETY: Callable from any context.
        unsafe { bindings::netmap_moment() }
    }

    pub(crate) fn fence(order: Ordering) {
        moment();
        plain::fence(order);
        moment();
    }

    macro_rules! operations {
        ($($name:ident($($arg:ident: $of:ty),*) -> $result:ty;)*) => {
            $(
                pub(crate) fn $name(&self, $($arg: $of),*) -> $result {
                    moment();
                    let result = self.0.$name($($arg),*);
                    moment();
                    result
                }
            )*
        };
    }

    /// What all of them have.
    macro_rules! atomic {
        ($atomic:ident $(<$pointee:ident>)?, $value:ty) => {
            pub struct $atomic $(<$pointee>)? (plain::$atomic $(<$pointee>)?);

            impl $(<$pointee>)? $atomic $(<$pointee>)? {
                pub(crate) const fn new(value: $value) -> Self {
                    Self(plain::$atomic::new(value))
                }

                pub(crate) fn get_mut(&mut self) -> &mut $value {
                    self.0.get_mut()
                }

                operations! {
                    load(order: Ordering) -> $value;
                    store(value: $value, order: Ordering) -> ();
                    swap(value: $value, order: Ordering) -> $value;
                    compare_exchange(from: $value, to: $value, success: Ordering, failure: Ordering) -> Result<$value, $value>;
                }
            }
        };
    }

    /// What numbers have besides.
    macro_rules! number {
        ($atomic:ident, $value:ty) => {
            atomic!($atomic, $value);

            impl $atomic {
                operations! {
                    fetch_add(value: $value, order: Ordering) -> $value;
                    fetch_sub(value: $value, order: Ordering) -> $value;
                    fetch_and(value: $value, order: Ordering) -> $value;
                    fetch_or(value: $value, order: Ordering) -> $value;
                }
            }

            impl Default for $atomic {
                fn default() -> Self {
                    Self::new(0)
                }
            }
        };
    }

    atomic!(AtomicBool, bool);
    atomic!(AtomicPtr<T>, *mut T);
    number!(AtomicU32, u32);
    number!(AtomicU64, u64);
    number!(AtomicUsize, usize);
}
