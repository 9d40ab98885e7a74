// SPDX-License-Identifier: GPL-2.0

//! What differs between families of controllers.

use super::{
    register::{Block, Hardware, Reg},
    switch::Switch, //
};
use crate::{
    logic::desc::{Receive, Transmit},
    prelude::*, //
};

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

    /// How a queue is stopped.
    type Switch: Switch;
    /// The transmit descriptors.
    type Tx: Transmit;
    /// The receive descriptors.
    type Rx: Receive;

    /// Whether the driver turns its treatment of VLAN tags on and off without a restart. Then it is off while queues are
    /// taken, and the NIC leaves tags where they are.
    const FREE_TAGS: bool;

    /// The registers of a receive queue.
    fn rx_block(queue: u16) -> Block;
    /// The registers of a transmit queue.
    fn tx_block(queue: u16) -> Block;

    /// The register that says how large a receive buffer is.
    fn rx_mode(block: Block) -> Reg;
    /// The bits of it that we change.
    const RX_MODE_MASK: u32;
    /// Whether these bits have the NIC store no FCS. If not, the driver decides for all queues.
    const STRIPS_FCS: bool;
    /// What these bits are for buffers of `size` bytes, and as how large the hardware then takes them: at most `size`.
    /// [`None`] if there is no such setting.
    fn rx_mode_bits(size: u32) -> Option<(u32, u32)>;
    /// The bits of a queue's control register that we change, and what to.
    const CONTROL: (u32, u32);

    /// Whether a stopped receive ring whose head is `gap` before its tail has nothing for the driver to refill.
    ///
    /// By the driver's rule for writing the tail: so the driver's poll will not write it.
    fn is_full(gap: u32) -> bool;
    /// What the driver has written as tail of a ring of `count` descriptors that it filled from 0 on.
    fn full_tail(count: u32) -> u32;

    /// Makes the hardware write back what it is done with.
    fn write_back(_hw: &Hardware) {}
}
