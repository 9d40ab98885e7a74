// SPDX-License-Identifier: GPL-2.0

//! Whose a hardware queue is that was taken, as far as its state shows.
//!
//! A driver can close and open its device, or reset it, without telling anybody: for a change of SR-IOV, after an error on
//! the bus, for its own watchdog. What was read of its queue before that is void then: where its ring is, and where it
//! stands in it. The ring may have been freed. Four facts, of the stock drivers and their NICs, make the hardware tell:
//!
//! - A reset turns the receiver off and, where they have a bit of their own, the queues; and nobody but the driver turns the
//!   receiver on again, after it has put the addresses of its own rings in place.
//! - A driver resets the device before it frees a ring or begins anew in it. If the bus is cut off, so that it cannot, it
//!   has detached the device from the network core before.
//! - It frees rings, and programs queues, with the RTNL mutex held or with the device detached.
//! - It has no carrier while it has the device stopped.

/// The state of a taken queue and of its device, as read with the RTNL mutex held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// The device answers.
    pub answers: bool,
    /// The driver has not detached the device from the network core.
    pub attached: bool,
    /// There is a carrier.
    pub carrier: bool,
    /// The queue has the address of our ring.
    pub has_ours: bool,
    /// What a reset turns off is on: the receiver, and the queue, if queues are turned on one by one. (A transmitter that all
    /// queues share does not count: drivers turn it on when there is a link.)
    pub is_on: bool,
}

/// Whose the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Ours, and the driver's ring is as it was when the queue was taken.
    Netmap,
    /// The driver's, or it will be: nothing of it may be written.
    Driver,
    /// The driver's, which works on the device. But the queue may still run our ring: it must be stopped, and no more.
    Stopping,
    /// Without an owner: the device was reset, and its driver does not know.
    Nobody,
    /// Nobody's any more: the device does not answer.
    Gone,
}

impl QueueState {
    /// Whose the queue is.
    pub fn owner(&self) -> Owner {
        if !self.answers {
            return Owner::Gone;
        }
        if !self.attached {
            return if self.has_ours && self.is_on {
                Owner::Stopping
            } else {
                Owner::Driver
            };
        }
        match (self.has_ours, self.is_on) {
            (true, true) => Owner::Netmap,
            (false, true) => Owner::Driver,
            // Without a carrier the driver may have stopped the device, and may not be restarted.
            (_, false) if self.carrier => Owner::Nobody,
            (_, false) => Owner::Driver,
        }
    }
}
