// SPDX-License-Identifier: GPL-2.0

//! 82574 and 82583, the stock driver `e1000e`: one queue each way, extended receive descriptors.

use super::{
    e1000,
    enable::Unit,
    register::{Block, Hardware, Reg, Setting, Settings}, //
    Family,
};
use crate::{
    bindings,
    logic::desc::{Extended, Legacy},
    prelude::*, //
};

/// For virtual machines only: on silicon, Intel's driver never stops the receiver of these two controllers, as it does that
/// of others, so nothing shows that it can be stopped safely.
pub struct E1000e;

/// In a delay timer: write back at once.
const FLUSH: u32 = 1 << 31;

/// In the register of interrupts: one at every write-back of transmit descriptors.
const EVERY_WRITE_BACK: u32 = 1 << 31;

fn condition() -> Option<&'static CStr> {
    // SAFETY: A word that is written through sysfs.
    let allowed = unsafe { (&raw const bindings::netmap_e1000e_takeover).read_volatile() };
    (!allowed).then_some(c"stopping the receiver of an 82574 is not known to be safe; in a VM, set e1000e_takeover=1")
}

/// Write back each descriptor, not four at once.
const fn each(block: Block) -> Setting {
    Setting::new(block.control(), 0x3f << 16, 1 << 16)
}

impl Family for E1000e {
    const NAME: &'static CStr = c"e1000e";
    const DEVICES: &'static [u16] = &[0x10d3, 0x10f6, 0x150c];
    const CONDITION: Option<fn() -> Option<&'static CStr>> = Some(condition);
    const MAX_QUEUES: u16 = 1;
    const FREE_TAGS: bool = false;

    type Enable = Unit;
    type Tx = Legacy;
    type Rx = Extended;

    fn rx_block(queue: u16) -> Block {
        e1000::E1000::rx_block(queue)
    }

    fn tx_block(queue: u16) -> Block {
        e1000::E1000::tx_block(queue)
    }

    fn rx_buffer(size: u32) -> Option<u32> {
        e1000::E1000::rx_buffer(size)
    }

    fn rx_settings(block: Block, size: u32) -> Settings {
        let [rctl, ..] = e1000::E1000::rx_settings(block, size);
        [rctl, Some(each(block)), None]
    }

    fn tx_settings(block: Block) -> Settings {
        [Some(each(block)), None, None]
    }

    fn stores_fcs(_hw: &Hardware) -> bool {
        false
    }

    fn unfilled(gap: u32) -> Option<u32> {
        // All are filled, and the tail is written at multiples of 16 only.
        (1..=17).contains(&gap).then_some(0)
    }

    fn full_tail(count: u32) -> u32 {
        (count - 1) & !15
    }

    fn no_write_back() -> Settings {
        // With MSI-X the driver has an interrupt at every write-back, and the emulated 82574 then writes back every
        // descriptor. The driver's interrupt handler looks for completed descriptors at an index that is left over from the
        // lap before. If it finds that one done while others are not done yet, or not any more, it gets out of step with its
        // ring.
        let setting = Setting::new(Reg::IVAR, EVERY_WRITE_BACK, 0);
        [Some(setting), None, None]
    }

    fn write_back(hw: &Hardware) {
        for timer in [Reg::RDTR, Reg::TIDV] {
            hw.write(timer, hw.read(timer) | FLUSH);
        }
        hw.flush();
    }
}
