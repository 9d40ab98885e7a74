// SPDX-License-Identifier: GPL-2.0

//! The gate before every tail write of a sync.
//!
//! A driver may re-initialise its device without telling anybody: after an error on the bus, for its own watchdog, for an
//! SR-IOV change. From then on the queue runs the driver's ring, and a tail written by us would send garbage, or give the
//! NIC memory that is not for it. Whatever the reason, the driver first turns the carrier off, which the core counts at
//! once, and milliseconds pass before it programs a base. So a tail may be written if the device is there, the carrier is
//! on, and it has neither been lost nor found since the rings were last known to be ours. Interrupts are off during this, so
//! that hardly any time passes between test and write.
//!
//! But a virtual processor may be descheduled for that long between the two, and firmware may stop a real one. So the gate
//! is looked at again after the write. If it has closed, the tail may have been written to the driver's ring: whoever then
//! finds that the queue is the driver's restarts the driver, see [`Passed::Late`].

use crate::{
    atomic::{AtomicU32, Ordering},
    bindings,
    logic::gate::{self, Passed},
    sys::netdev::NetDev, //
};

/// The gate of a device.
pub struct Gate {
    dev: NetDev,
    /// [`Self::changes`] when the rings were last known to be ours.
    known: AtomicU32,
}

impl Gate {
    /// A gate that is open if the carrier is on now. The caller knows that the rings are ours, or will before the first
    /// write.
    pub fn new(dev: &NetDev) -> Self {
        let gate = Self {
            dev: dev.clone(),
            known: AtomicU32::new(0),
        };
        gate.renew();
        gate
    }

    /// How often the carrier was found or lost. As either count only grows, their sum is the same only if both are, whatever
    /// happens between the two reads.
    #[inline]
    fn changes(&self) -> u32 {
        let dev = self.dev.as_ptr();
        // SAFETY: The device is valid; the counters are words that others change at any time.
        let (ups, downs) = unsafe {
            (
                (&raw const (*dev).carrier_up_count.counter).read_volatile(),
                (&raw const (*dev).carrier_down_count.counter).read_volatile(),
            )
        };
        ups.wrapping_add(downs) as u32
    }

    /// Opens the gate for rings that are known to be ours. To be called with the RTNL mutex held, and before the hardware is
    /// asked whose they are: a later change of the carrier then closes the gate again.
    pub fn renew(&self) {
        self.known.store(self.changes(), Ordering::Relaxed);
    }

    /// Whether a write would go through at this moment.
    #[inline]
    pub fn is_open(&self) -> bool {
        const THERE: usize = 1 << bindings::netdev_state_t___LINK_STATE_PRESENT;
        const NO_CARRIER: usize = 1 << bindings::netdev_state_t___LINK_STATE_NOCARRIER;
        // SAFETY: The device is valid; the state is a word that others change at any time.
        let state = unsafe { (&raw const (*self.dev.as_ptr()).state).read_volatile() };
        state & (THERE | NO_CARRIER) == THERE
            && self.changes() == self.known.load(Ordering::Relaxed)
    }

    /// Runs `write`, a short one, if the gate is open, and looks whether it still is then.
    #[inline]
    pub fn pass(&self, write: impl FnOnce()) -> Passed {
        // SAFETY: Enabled again below, as they were.
        let flags = unsafe { bindings::netmap_irq_save() };
        let passed = gate::pass(|| self.is_open(), write);
        // SAFETY: The flags are those from above.
        unsafe { bindings::netmap_irq_restore(flags) };
        passed
    }
}
