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

/// Slots of a ring of an emulated port, if the request does not say; any number.
pub(crate) fn generic_ringsize() -> u32 {
    // SAFETY: As above.
    unsafe { (&raw const bindings::netmap_generic_ringsize).read_volatile() }
}

/// What kind of port a network device has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admode {
    /// A native one if its queues can be taken, else an emulated one.
    Best,
    /// A native one or none.
    Native,
    /// An emulated one.
    Emulated,
}

/// What kind of port a network device has from now on.
pub(crate) fn admode() -> Admode {
    // SAFETY: As above.
    match unsafe { (&raw const bindings::netmap_admode).read_volatile() } {
        1 => Admode::Native,
        2 => Admode::Emulated,
        _ => Admode::Best,
    }
}
