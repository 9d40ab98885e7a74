// SPDX-License-Identifier: GPL-2.0

//! The other end of the wire of a persistent port: a port of its own, with host rings alone, which the thread of the interface has
//! bound while it is on a switch.
//!
//! What the host or the emulated port sends by the interface comes by a receive ring, and what is put into a transmit ring is received
//! by the interface.

use super::interface::Interface;
use crate::{
    logic::{name::Text, ringset::RingSet, selection::RingCounts},
    port::{
        host::HostRings,
        kind::{DeviceSteps, Kind, Steps},
        port::{device_name, Port, RingUses}, //
    },
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{netdev::NetDev, rtnl::Rtnl, skb::SentSkb},
};
use core::fmt;
use kernel::sync::{new_mutex, Mutex};

/// The end of a wire.
#[pin_data]
pub(super) struct Wire {
    port: Arc<Port>,
    host: HostRings,
    /// [`None`] once the device is gone.
    #[pin]
    dev: Mutex<Option<NetDev>>,
}

/// A wire as one of its kind.
struct WireKind(Arc<Wire>);

/// The wire of an interface of the module's, which has as many rings as that, the other way round. `EBUSY` if it is attached; `EINVAL` if
/// it is no such interface; `ENOMEM`.
pub(super) fn open(dev: &NetDev, rtnl: &Rtnl) -> Result<Arc<Wire>> {
    let interface = Interface::of(dev).ok_or(EINVAL)?;
    if interface.is_connected(rtnl) {
        return Err(EBUSY);
    }
    let counts = RingCounts {
        tx: 0,
        rx: 0,
        host_tx: dev.rx_queues(),
        host_rx: dev.tx_queues(),
    };
    let name: Text = device_name(&dev.name(rtnl));
    let port = Port::new(name, counts, interface.slots(), interface.region().clone())?;
    let host = HostRings::of_wire(&port, dev)?;
    Arc::pin_init(
        pin_init!(Wire {
            port,
            host,
            dev <- new_mutex!(Some(dev.clone()), "netmap_wire"),
        }),
        GFP_CHARGED,
    )
}

/// The end of a wire as a port that can be bound. `ENOMEM`.
pub(super) fn kind_of(wire: Arc<Wire>) -> Result<Arc<dyn Kind>> {
    Ok(Arc::new(WireKind(wire), GFP_CHARGED)?)
}

impl Wire {
    pub(super) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    /// Takes what the interface sends; false if it is lost.
    pub(super) fn push(&self, skb: SentSkb) -> bool {
        let queue = skb.queue();
        self.host.push(skb, queue)
    }

    /// The interface at its other end, unless that is gone.
    pub(super) fn device(&self) -> Option<NetDev> {
        self.dev.lock().clone()
    }

    /// Nothing is sent to it any more.
    fn disconnect(&self, rtnl: &Rtnl) -> Option<NetDev> {
        let dev = self.device();
        if let Some(interface) = dev.as_ref().and_then(Interface::of) {
            interface.disconnect(rtnl);
        }
        dev
    }

    fn close(&self, rtnl: &Rtnl) {
        let Some(dev) = self.disconnect(rtnl) else {
            return;
        };
        self.host.end(&self.port, &dev);
        let last = self.dev.lock().take();
        drop(last);
    }

    /// Ends it. The thread that has it bound sees that, and lets go of it.
    pub(super) fn end(&self, rtnl: &Rtnl) {
        self.port.kill();
        self.close(rtnl);
    }
}

impl Kind for WireKind {
    fn port(&self) -> &Arc<Port> {
        &self.0.port
    }

    fn steps(&self) -> Steps<'_> {
        Steps::Device(self)
    }

    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>> {
        let dev = self.0.device().ok_or(ENXIO)?;
        self.0.host.queue(kring, &dev)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wire")
    }
}

impl DeviceSteps for WireKind {
    fn admit(&self, _fresh: RingSet, _rtnl: &Rtnl) -> Result {
        Ok(())
    }

    fn prepare(&self, fresh: RingSet, rtnl: &Rtnl) -> Result {
        let dev = self.0.device().ok_or(ENXIO)?;
        let interface = Interface::of(&dev).ok_or(ENXIO)?;
        self.0.port.start(fresh);
        interface.connect(&self.0, rtnl);
        Ok(())
    }

    fn retire(&self, _uses: &RingUses, rings: RingSet, rtnl: &Rtnl) {
        let dev = self.0.disconnect(rtnl);
        for kring in self.0.port.krings_of(rings) {
            let held = kring.stop();
            if let (Some(dev), Direction::Rx) = (&dev, kring.direction) {
                self.0.host.retire(kring, dev);
            }
            drop(held);
        }
    }

    fn close(&self, rtnl: &Rtnl) {
        self.0.close(rtnl);
    }

    fn end(&self, rtnl: &Rtnl) {
        self.0.end(rtnl);
    }
}
