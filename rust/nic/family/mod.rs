// SPDX-License-Identifier: GPL-2.0

//! What differs between families of controllers.

pub(in crate::nic) mod e1000;
pub(in crate::nic) mod e1000e;
pub(in crate::nic) mod enable;
pub(in crate::nic) mod igb;
pub(in crate::nic) mod ixgbe;
pub(in crate::nic) mod register;

use self::{
    enable::Enable,
    register::{Block, Hardware, Reg, Settings, RCTL_DTYP, RCTL_EN}, //
};
use crate::{
    logic::desc::{Receive, Transmit},
    prelude::*, //
};

/// How the network core's calls into a driver are brought to us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interposition {
    /// The device has copies of its operation tables.
    Tables,
    /// The driver's functions are redirected. Of its tables, only that for ethtool is a copy.
    Functions,
}

/// A family of controllers with the same registers and descriptors, and the rules of its stock driver's rings.
pub trait Family: Send + Sync + Sized + 'static {
    /// The stock driver's name.
    const NAME: &'static CStr;
    /// PCI device identifiers of Intel's.
    const DEVICES: &'static [u16];
    /// Why the family is off, unless the parameter that turns it on is set.
    const CONDITION: Option<fn() -> Option<&'static CStr>> = None;
    /// Most queues of a direction.
    const MAX_QUEUES: u16;

    /// Why queues must not be taken from the running driver nor given back to it, if that is so: both then take a restart of
    /// the driver.
    fn no_hot_takeover() -> Option<&'static CStr> {
        None
    }

    /// How a queue is stopped.
    type Enable: Enable;
    /// The transmit descriptors.
    type Tx: Transmit;
    /// The receive descriptors.
    type Rx: Receive;

    /// How calls of the network core into the driver are brought to us.
    const INTERPOSITION: Interposition = Interposition::Tables;
    /// Whether the driver turns its treatment of VLAN tags on and off without a restart. Then it is off while queues are
    /// taken, and the NIC leaves tags where they are.
    const FREE_TAGS: bool;
    /// Whether the joining of received packets (LRO) is a setting of each queue. If not, it is off while queues are
    /// taken.
    const QUEUE_LRO: bool = false;
    /// Whether interrupt coalescing parameters re-program rings.
    const COALESCING_RESTARTS: bool = false;

    /// The registers of a receive queue.
    fn rx_block(queue: u16) -> Block;
    /// The registers of a transmit queue.
    fn tx_block(queue: u16) -> Block;

    /// How large the hardware takes buffers of `size` bytes to be: at most `size`. [`None`] if there is no such setting.
    fn rx_buffer(size: u32) -> Option<u32>;
    /// What a receive queue is set to while it is ours, with buffers of `size` bytes, for which there is a setting.
    fn rx_settings(block: Block, size: u32) -> Settings;
    /// What a transmit queue is set to while it is ours.
    fn tx_settings(block: Block) -> Settings;
    /// Whether the receiver is on. A reset turns it off, and the driver turns it on again when its rings are in place. (The
    /// enable bits of queues do not tell as much: a reset may leave that of the first queue set.)
    fn is_on(hw: &Hardware) -> bool {
        hw.read(Reg::RCTL) & RCTL_EN != 0
    }

    /// Whether the NIC stores the FCS of what our receive queues get.
    fn stores_fcs(hw: &Hardware) -> bool;

    /// By how many descriptors at least the driver refills a receive ring.
    const REFILL: u32 = 1;
    /// How many descriptors the driver has left unfilled in a stopped receive ring whose head is `gap` before its tail;
    /// [`None`] if it has yet to fill some of them.
    ///
    /// This follows from the driver's rule for writing the tail: a poll that finds no more unfilled descriptors than these
    /// does not write it.
    fn unfilled(gap: u32) -> Option<u32>;
    /// What the driver has written as tail of a ring of `count` descriptors that it filled from 0 on.
    fn full_tail(count: u32) -> u32;

    /// Whether the driver may hold the first part of a packet although, by the MTU, every packet fits in one buffer.
    fn may_hold_part(_hw: &Hardware, _block: Block) -> bool {
        false
    }

    /// What in the driver's use of the hardware is not known here, if there is anything.
    fn oddity(hw: &Hardware) -> Option<&'static CStr> {
        (hw.read(Reg::RCTL) & RCTL_DTYP != 0).then_some(c"the driver splits packets")
    }

    /// The settings that turn off the NIC's detection of malicious drivers, which reacts to a stop and start of queues.
    fn detection(_hw: &Hardware) -> Settings {
        [None; 3]
    }

    /// Puts back what the driver changes of a running receive queue of ours when the link comes up.
    fn keep(_hw: &Hardware, _block: Block) {}

    /// The settings with which the hardware does not write back a transmit descriptor that does not ask for it.
    fn no_write_back() -> Settings {
        [None; 3]
    }

    /// Makes the hardware write back the descriptors that it has completed.
    fn write_back(_hw: &Hardware) {}
}
