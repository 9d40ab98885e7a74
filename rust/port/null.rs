// SPDX-License-Identifier: GPL-2.0

//! Null ports: rings of a region whose packets go nowhere, for programs that want its memory. Each bind makes one of its own, which
//! nobody else can bind.

use super::{
    kind::{BareSteps, Kind, Steps},
    port::{Port, RingUses}, //
};
use crate::{
    logic::{
        name::Text,
        pools::round_slots,
        request::BindRequest,
        ringset::{RingSet, MAX_RINGS},
        selection::RingCounts, //
    },
    mem::Region,
    prelude::*,
    ring::{idle::Idle, kring::Kring, queue::Queue}, //
};
use core::fmt;

/// Slots of a ring, if the request does not say.
const SLOTS: u32 = 1024;

/// A null port.
struct NullPort {
    port: Arc<Port>,
    idle: Idle,
}

/// A port with rings in `region` as the request asks for them, of which none is in use. `EINVAL` for too many; `ENOMEM`.
pub(super) fn open(request: &BindRequest, region: Arc<Region>) -> Result<Arc<dyn Kind>> {
    let wish = &request.geometry;
    if u32::from(wish.tx_rings.max(wish.rx_rings)) > MAX_RINGS {
        return Err(EINVAL);
    }
    let counts = RingCounts {
        tx: wish.tx_rings,
        rx: wish.rx_rings,
        host_tx: 0,
        host_rx: 0,
    };
    let slots = (
        round_slots(wish.tx_slots, SLOTS, 1),
        round_slots(wish.rx_slots, SLOTS, 1),
    );
    let null = NullPort {
        port: Port::new(Text::of_null_port(&request.label), counts, slots, region)?,
        idle: Idle::new()?,
    };
    Ok(Arc::new(null, GFP_CHARGED)?)
}

impl Kind for NullPort {
    fn port(&self) -> &Arc<Port> {
        &self.port
    }

    fn steps(&self) -> Steps<'_> {
        Steps::Bare(self)
    }

    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>> {
        Ok(self.idle.queue(kring.direction))
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null")
    }
}

impl BareSteps for NullPort {
    fn prepare(&self, fresh: RingSet) -> Result {
        self.port.start(fresh);
        Ok(())
    }

    fn retire(&self, _uses: &RingUses, rings: RingSet) {
        for kring in self.port.krings_of(rings) {
            drop(kring.stop());
        }
    }
}
