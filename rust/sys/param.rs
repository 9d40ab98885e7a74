// SPDX-License-Identifier: GPL-2.0

//! Module parameters that may change while the module runs.

use crate::bindings;

/// Whether rings are stamped at the request of their program alone.
#[inline]
pub(crate) fn no_timestamp() -> u32 {
    // SAFETY: The parameter is an integer that its writer stores at once.
    unsafe { (&raw const bindings::netmap_no_timestamp).read_volatile() }
}

/// Whether everything that a program releases is forwarded between NIC and host stack, marked or not.
#[inline]
pub(crate) fn forward_all() -> bool {
    // SAFETY: As above.
    unsafe { (&raw const bindings::netmap_fwd).read_volatile() != 0 }
}
