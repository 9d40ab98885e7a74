// SPDX-License-Identifier: GPL-2.0

//! 82574 and 82583, the stock driver `e1000e`: one queue each way, extended receive descriptors.

use super::{
    e1000,
    family::Family,
    register::{Block, Hardware, Reg},
    switch::Unit, //
};
use crate::{
    bindings,
    logic::desc::{Extended, Legacy},
    prelude::*, //
};

/// For virtual machines only: on silicon Intel's driver never stops the receiver of these two, as others of the driver's
/// controllers, and so there is no proof that it may be.
pub struct E1000e;

/// In a delay timer: write back at once.
const FLUSH: u32 = 1 << 31;

fn condition() -> Option<&'static CStr> {
    // SAFETY: A word that is written through sysfs.
    let allowed = unsafe { (&raw const bindings::netmap_e1000e_takeover).read_volatile() };
    (!allowed).then_some(c"stopping the receiver of an 82574 is not known to be safe; in a VM, set e1000e_takeover=1")
}

impl Family for E1000e {
    const NAME: &'static CStr = c"e1000e";
    const DEVICES: &'static [u16] = &[0x10d3, 0x10f6, 0x150c];
    const CONDITION: Option<fn() -> Option<&'static CStr>> = Some(condition);
    const MAX_QUEUES: u16 = 1;
    const FREE_TAGS: bool = false;

    type Switch = Unit;
    type Tx = Legacy;
    type Rx = Extended;

    fn rx_block(queue: u16) -> Block {
        e1000::E1000::rx_block(queue)
    }

    fn tx_block(queue: u16) -> Block {
        e1000::E1000::tx_block(queue)
    }

    fn rx_mode(_block: Block) -> Reg {
        Reg::RCTL
    }

    const RX_MODE_MASK: u32 = e1000::RCTL_MASK;
    const STRIPS_FCS: bool = true;

    fn rx_mode_bits(size: u32) -> Option<(u32, u32)> {
        e1000::rctl_bits(size)
    }

    // Write back each descriptor, not four at once.
    const CONTROL: (u32, u32) = (0x3f << 16, 1 << 16);

    fn is_full(gap: u32) -> bool {
        // The tail is written at multiples of 16 only.
        (1..=17).contains(&gap)
    }

    fn full_tail(count: u32) -> u32 {
        (count - 1) & !15
    }

    fn write_back(hw: &Hardware) {
        for timer in [Reg::RDTR, Reg::TIDV] {
            hw.write(timer, hw.read(timer) | FLUSH);
        }
        hw.flush();
    }
}
