// SPDX-License-Identifier: GPL-2.0

//! An open file bound to a subset of a port's rings.

use super::{
    host::HostTx,
    kind::{Kind, LockedSteps},
    port::{each, Port, RingUses}, //
};
use crate::{
    abi::{self, interface_flags::NI_PRIV_MEM},
    logic::{
        name::Text,
        request::{BindFlags, BindRequest, Reply},
        selection::{RingCounts, Selection}, //
    },
    mem::{Group, InterfaceMemory, Region},
    prelude::*,
    ring::{
        kring::Kring,
        listeners::{Listeners, Subscription},
        queue::Direction, //
    },
    sys::{
        log::{self, Displayed},
        wait::WaitQueue, //
    }, //
};
use core::fmt;
use kernel::{str::CString, sync::UniqueArc};

/// What a successful register made. It does not change; [`unbind`] undoes it.
pub(crate) struct Binding {
    /// The name in the request.
    pub(crate) label: Text,
    /// Where its memory is.
    pub(crate) region: Arc<Region>,
    /// What was answered to the request.
    pub(crate) reply: Reply,
    /// The flags of the request.
    pub(crate) flags: BindFlags,
    /// The transmit rings bound, host rings last.
    pub(crate) tx: KVec<Arc<Kring>>,
    /// The receive rings bound, in the same order.
    pub(crate) rx: KVec<Arc<Kring>>,
    /// The way up to the stack of the port's device, if it has one.
    pub(super) host: Option<Arc<HostTx>>,
    port: Arc<Port>,
    kind: Arc<dyn Kind>,
    selection: Selection,
    interface: InterfaceMemory,
    /// How many extra buffers it was given.
    extra: u32,
    /// The owner of its extra buffers, and of those of the rings that it made.
    group: Arc<Group>,
    /// Begun when the binding is made, and ended when it is undone.
    subscription: Subscription,
}

impl Binding {
    /// Whether the port is gone for good.
    pub(crate) fn is_dead(&self) -> bool {
        self.port.is_dead()
    }

    /// What the file is bound to.
    pub(crate) fn kind(&self) -> &Arc<dyn Kind> {
        &self.kind
    }

    /// Who is woken for each ring.
    fn listeners(&self) -> impl Iterator<Item = &Listeners> {
        Iterator::chain(self.tx.iter(), self.rx.iter()).map(|kring| &kring.listeners)
    }
}

/// Binds the rings that the request selects; see [`super::requests::bind`] for the errors. The registry's mutex is held.
pub(super) fn bind(
    kind: &Arc<dyn Kind>,
    request: &BindRequest,
    file: &Arc<WaitQueue>,
    steps: LockedSteps<'_>,
) -> Result<Arc<Binding>> {
    let port = kind.port();
    let selection = Selection::new(request.select, request.flags, port.counts())
        .map_err(|fault| Error::from_errno(-fault.errno()))?;
    let mut guard = port.uses();
    let uses = &mut *guard;
    let exclusive = request.flags.exclusive();
    let fresh = port.fresh(uses, &selection, exclusive)?;
    let group = port.region().new_group()?;
    let made = steps
        .admit(fresh)
        .and_then(|()| {
            for (direction, ring) in each(fresh) {
                kind.attach(uses, (direction, ring), &group)?;
            }
            steps.prepare(fresh)
        })
        .and_then(|()| finish(kind, uses, request, &selection, file, &group));
    match made {
        Ok(binding) => {
            uses.join(&selection, exclusive);
            kind.uses_changed(uses);
            Ok(binding)
        }
        Err(error) => {
            steps.retire(uses, fresh);
            kind.detach(uses, fresh);
            port.region().leave(&group, 0);
            Err(error)
        }
    }
}

/// Makes the interface and the rest of a binding, once its rings are ready.
fn finish(
    kind: &Arc<dyn Kind>,
    uses: &RingUses,
    request: &BindRequest,
    selection: &Selection,
    file: &Arc<WaitQueue>,
    group: &Arc<Group>,
) -> Result<Arc<Binding>> {
    let port = kind.port();
    let region = port.region();
    // Allocated first: a failure after the region has given its buffers below would lose them.
    let place = UniqueArc::new_uninit(GFP_CHARGED)?;
    let mut tx = KVec::new();
    let mut rx = KVec::new();
    for (direction, range, to) in [
        (Direction::Tx, selection.tx(), &mut tx),
        (Direction::Rx, selection.rx(), &mut rx),
    ] {
        for ring in range {
            to.push(
                port.kring(direction, ring).ok_or(EINVAL)?.clone(),
                GFP_CHARGED,
            )?;
        }
    }
    let subscription = Subscription::new(file, tx.len() + rx.len())?;
    let interface = new_interface(region, uses, &port.name(), port.counts(), selection)?;
    let (head, extra) = match request.extra_bufs {
        0 => (0, 0),
        count => region
            .new_extra(count, group)
            .inspect_err(|_| region.free_interface(&interface))?,
    };
    let header = interface.header().as_ptr();
    // SAFETY: The interface is mapped and nobody else sees it yet.
    unsafe { (&raw mut (*header).ni_bufs_head).write(head) };
    let reply = Reply {
        offset: interface.offset,
        extra_bufs: extra,
        ..port.reply()
    };
    let binding = Binding {
        label: request.label,
        region: region.clone(),
        reply,
        flags: request.flags,
        tx,
        rx,
        host: kind.host(),
        port: port.clone(),
        kind: kind.clone(),
        selection: selection.clone(),
        interface,
        extra,
        group: group.clone(),
        subscription,
    };
    let binding: Arc<Binding> = place.write(binding).into();
    // SAFETY: The registry's mutex is held, and `unbind` ends it.
    unsafe { binding.subscription.begin(binding.listeners()) };
    if uses.bindings() == 0 && log::bind_allowed() {
        // A kind takes its lock to describe itself, and the arguments of a message are formatted with interrupts off.
        let description = CString::try_from_fmt(fmt!("{}", Displayed(Described(&**kind))));
        pr_info!(
            "{}: {}, {} tx + {} rx queues, {} slots, buffers of {}{}\n",
            Displayed(port.name()),
            description.as_deref().unwrap_or(c"?"),
            port.counts().tx,
            port.counts().rx,
            Displayed(Slots(port.slots())),
            region.buf_size(),
            Displayed(Where(region))
        );
    }
    Ok(binding)
}

/// Undoes a binding. The registry's mutex is held.
pub(super) fn unbind(binding: &Binding, steps: LockedSteps<'_>) {
    let (port, kind) = (&binding.port, &binding.kind);
    let mut guard = port.uses();
    let uses = &mut *guard;
    let last = uses.leave(&binding.selection);
    // Before the rings go: from now on no packet of the stack is steered to a transmit queue whose host ring only this file
    // has.
    kind.uses_changed(uses);
    steps.settle();
    binding.subscription.end(binding.listeners());
    steps.retire(uses, last);
    kind.detach(uses, last);
    port.region().leave(&binding.group, binding.extra);
    port.region().free_interface(&binding.interface);
}

/// What a port is, to print.
struct Described<'a>(&'a dyn Kind);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)
    }
}

/// The sizes of transmit and receive rings, to print: one number if they are the same.
struct Slots((u32, u32));

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (tx, rx) if tx == rx => write!(f, "{tx}"),
            (tx, rx) => write!(f, "{tx} + {rx}"),
        }
    }
}

/// Which region it is, to print, if it is not the global one.
struct Where<'a>(&'a Region);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_private() {
            write!(f, ", region {}", self.0.id())?;
        }
        Ok(())
    }
}

/// The interface of a binding, filled in.
fn new_interface(
    region: &Region,
    uses: &RingUses,
    name: &Text,
    counts: &RingCounts,
    selection: &Selection,
) -> Result<InterfaceMemory> {
    let tx = u32::from(counts.tx) + u32::from(counts.host_tx);
    let rx = u32::from(counts.rx) + u32::from(counts.host_rx);
    let interface = region.new_interface(tx + rx)?;
    let header = interface.header().as_ptr();
    // SAFETY: The interface is zeroed, mapped, has room for an offset per ring, and nobody else sees it yet.
    unsafe {
        let to = (&raw mut (*header).ni_name).cast::<u8>();
        // A longer name is cut, as C netmap does.
        let name = name.as_bytes();
        let len = name.len().min(abi::IFNAMSIZ - 1);
        core::ptr::copy_nonoverlapping(name.as_ptr(), to, len);
        if region.is_private() {
            (&raw mut (*header).ni_flags).write(NI_PRIV_MEM);
        }
        (&raw mut (*header).ni_version).write(u32::from(abi::NETMAP_API));
        (&raw mut (*header).ni_tx_rings).write(u32::from(counts.tx));
        (&raw mut (*header).ni_rx_rings).write(u32::from(counts.rx));
        (&raw mut (*header).ni_host_tx_rings).write(u32::from(counts.host_tx));
        (&raw mut (*header).ni_host_rx_rings).write(u32::from(counts.host_rx));
        let offsets = (&raw mut (*header).ring_ofs).cast::<i64>();
        for (direction, first, range) in [
            (Direction::Tx, 0, selection.tx()),
            (Direction::Rx, tx, selection.rx()),
        ] {
            for ring in range {
                if let Some(offset) = uses.offset(direction, ring) {
                    let distance = offset.wrapping_sub(interface.offset) as i64;
                    offsets.add((first + ring) as usize).write(distance);
                }
            }
        }
    }
    Ok(interface)
}
