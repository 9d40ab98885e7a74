// SPDX-License-Identifier: GPL-2.0

//! The transmit side of emulated ports.

use crate::{
    logic::ring::Span,
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Inner, Queue, SyncError}, //
    },
    sys::netdev::NetDev, //
};
use kernel::sync::{new_spinlock, SpinLock};

/// What is behind a transmit ring.
#[pin_data]
pub(super) struct Transmit {
    _kring: Arc<Kring>,
    /// Taken out when the device goes, even if the ring still has a reference to this.
    #[pin]
    dev: SpinLock<Option<NetDev>>,
}

impl Transmit {
    /// For the ring of `kring`, to send through `dev`.
    pub(super) fn new(kring: Arc<Kring>, dev: &NetDev) -> Result<Arc<Self>> {
        let dev = dev.clone();
        Arc::pin_init(
            pin_init!(Self {
                _kring: kring,
                dev <- new_spinlock!(Some(dev), "netmap_transmit"),
            }),
            GFP_CHARGED,
        )
    }

    /// Drops the reference to the device, which is going away.
    pub(super) fn forget(&self) {
        let dev = self.dev.lock().take();
        drop(dev);
    }
}

impl Queue for Transmit {
    fn sync(&self, held: &mut Inner, _: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        held.accept_span(span, true)
            .map_err(|at| SyncError::BadRing { at: Some(at) })
    }

    fn has_news(&self, _: &Inner) -> bool {
        false
    }
}
