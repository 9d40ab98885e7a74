// SPDX-License-Identifier: GPL-2.0

//! Clocks.

use crate::{abi, bindings as ours};
use kernel::bindings;

/// The time of day, to the microsecond.
#[inline]
pub(crate) fn wall_clock() -> abi::Timeval {
    let mut now = bindings::timespec64::default();
    // SAFETY: The function fills in what it is given.
    unsafe { bindings::ktime_get_real_ts64(&raw mut now) };
    abi::Timeval {
        tv_sec: now.tv_sec,
        // The compiler turns this division by a constant into a multiplication. The result is below 1000000.
        tv_usec: (now.tv_nsec as i64) / 1000,
    }
}

/// Seconds since the machine was booted, without those in which it was suspended.
#[inline]
pub(crate) fn seconds() -> u32 {
    // SAFETY: Callable from any context. It is the low half that counts: one begins after 136 years.
    unsafe { ours::ktime_get_seconds() as u32 }
}
