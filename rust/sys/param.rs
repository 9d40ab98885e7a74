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

/// Most slots that a port of a switch sends at once.
pub(crate) const MOST_AT_ONCE: u32 = 1024;

/// Slots that a port of a switch sends at once.
#[inline]
pub(crate) fn bridge_batch() -> usize {
    // SAFETY: As above.
    let slots = unsafe { (&raw const bindings::netmap_bridge_batch).read_volatile() };
    slots.clamp(1, MOST_AT_ONCE) as usize
}

/// Most switches of a network namespace.
pub(crate) fn max_bridges() -> u32 {
    // SAFETY: As above.
    unsafe { (&raw const bindings::netmap_max_bridges).read_volatile() }
}

/// Addresses that a new switch remembers; any number.
pub(crate) fn bridge_addresses() -> u32 {
    // SAFETY: As above.
    unsafe { (&raw const bindings::netmap_bridge_addresses).read_volatile() }
}

/// Seconds after which a new switch forgets an address; 0 for never.
pub(crate) fn bridge_ageing() -> u32 {
    // SAFETY: As above.
    unsafe { (&raw const bindings::netmap_bridge_ageing).read_volatile() }
}
