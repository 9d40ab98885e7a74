// SPDX-License-Identifier: GPL-2.0

//! An open file bound to a subset of a port's rings.

use super::nic::NicPort;
use crate::{
    abi,
    logic::{
        name::Text,
        request::{BindFlags, Reply},
        selection::{RingCounts, Selection}, //
    },
    mem::{Group, InterfaceMemory, Region},
    prelude::*,
    ring::{
        kring::Kring,
        listeners::{Listeners, Subscription},
    }, //
};

/// What a successful register made. It does not change; [`super::registry::unbind`] undoes it.
pub(crate) struct Binding {
    /// The name in the request.
    pub(crate) label: Text,
    /// Where its memory is.
    pub(crate) region: Arc<Region>,
    /// What was answered to the request.
    pub(crate) reply: Reply,
    /// The flags of the request.
    pub(crate) flags: BindFlags,
    /// The transmit rings bound, NIC rings first, then host rings.
    pub(crate) tx: KVec<Arc<Kring>>,
    /// The receive rings bound, in the same order.
    pub(crate) rx: KVec<Arc<Kring>>,
    pub(super) port: Arc<NicPort>,
    pub(super) selection: Selection,
    pub(super) interface: InterfaceMemory,
    /// How many extra buffers it was given.
    pub(super) extra: u32,
    /// The owner of its extra buffers, and of those of the rings that it made.
    pub(super) group: Arc<Group>,
    /// Begun, until the binding is undone.
    pub(super) subscription: Subscription,
}

impl Binding {
    /// Whether the port is gone for good.
    pub(crate) fn is_dead(&self) -> bool {
        self.port.is_dead()
    }

    /// All rings bound.
    fn rings(&self) -> impl Iterator<Item = &Arc<Kring>> {
        Iterator::chain(self.tx.iter(), self.rx.iter())
    }

    /// Who is woken for each of them.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Listeners> {
        self.rings().map(|kring| &kring.listeners)
    }
}

/// The interface of a binding, filled in.
pub(super) fn new_interface(
    region: &Region,
    name: &[u8],
    counts: &RingCounts,
    selection: &Selection,
    offset_of: impl Fn(bool, u32) -> Option<u64>,
) -> Result<InterfaceMemory> {
    let tx = u32::from(counts.tx) + u32::from(counts.host_tx);
    let rx = u32::from(counts.rx) + u32::from(counts.host_rx);
    let interface = region.new_interface(tx + rx)?;
    let header = interface.header().as_ptr();
    // SAFETY: The interface is zeroed, mapped, has room for an offset per ring, and nobody else sees it yet.
    unsafe {
        let to = (&raw mut (*header).ni_name).cast::<u8>();
        let len = name.len().min(abi::IFNAMSIZ - 1);
        core::ptr::copy_nonoverlapping(name.as_ptr(), to, len);
        (&raw mut (*header).ni_version).write(u32::from(abi::NETMAP_API));
        (&raw mut (*header).ni_tx_rings).write(u32::from(counts.tx));
        (&raw mut (*header).ni_rx_rings).write(u32::from(counts.rx));
        (&raw mut (*header).ni_host_tx_rings).write(u32::from(counts.host_tx));
        (&raw mut (*header).ni_host_rx_rings).write(u32::from(counts.host_rx));
        let offsets = (&raw mut (*header).ring_ofs).cast::<i64>();
        for (is_tx, first, range) in [(true, 0, selection.tx()), (false, tx, selection.rx())] {
            for ring in range {
                if let Some(offset) = offset_of(is_tx, ring) {
                    let distance = offset.wrapping_sub(interface.offset) as i64;
                    offsets.add((first + ring) as usize).write(distance);
                }
            }
        }
    }
    Ok(interface)
}
