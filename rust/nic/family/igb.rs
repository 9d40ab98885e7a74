// SPDX-License-Identifier: GPL-2.0

//! 82575 and its successors, the stock driver `igb`: several queues, advanced descriptors.

use super::{
    enable::PerQueue,
    register::{Block, Hardware, Reg, Setting, Settings, RCTL_DTYP, RCTL_SECRC}, //
    Family,
};
use crate::{
    logic::desc::{Advanced, Extended},
    prelude::*, //
};

/// 82576, 82580, I350, I354, I210, I211.
///
/// Not the 82575: its heads can be written and are kept over a stop, and no takeover of it was ever tested.
pub struct Igb;

/// In [`SRRCTL`]: buffer size in KiB.
const BSIZEPKT: u32 = 0x7f;
/// In it: a time stamp before the packet; from the 82580 on.
const TIMESTAMP: u32 = 1 << 30;
/// In it: packets without a free descriptor are dropped; otherwise the other queues wait, too.
const DROP_EN: u32 = 1 << 31;

/// In [`Reg::MRQC`]: the mode; up to [`RSS`] it is one set of queues, with or without a hash.
const MODE: u32 = 7;
const RSS: u32 = 2;

/// Split and replication control, in a receive queue's block.
const SRRCTL: u32 = 0x0c;

/// Write back each descriptor at once, not 4 or 16 together.
const fn each(block: Block) -> Setting {
    Setting::new(block.control(), 0x1f << 16, 1 << 16)
}

/// The first four queues also stand where the older controllers have them, and there the driver uses them.
fn block(queue: u16, old: u32, new: u32) -> Block {
    let queue = u32::from(queue);
    Block::new(if queue < 4 {
        old + 0x100 * queue
    } else {
        new + 0x40 * queue
    })
}

impl Family for Igb {
    const NAME: &'static CStr = c"igb";
    const DEVICES: &'static [u16] = &[
        0x10c9, 0x10e6, 0x10e7, 0x10e8, 0x1526, 0x150a, 0x1518, 0x150d, 0x150e, 0x150f, 0x1510,
        0x1511, 0x1516, 0x1527, 0x0438, 0x043a, 0x043c, 0x0440, 0x1521, 0x1522, 0x1523, 0x1524,
        0x1533, 0x1536, 0x1537, 0x1538, 0x157b, 0x157c, 0x1539, 0x1f40, 0x1f41, 0x1f45,
    ];
    const MAX_QUEUES: u16 = 16;
    const FREE_TAGS: bool = true;

    type Enable = PerQueue<0>;
    type Tx = Advanced;
    type Rx = Extended;

    fn rx_block(queue: u16) -> Block {
        block(queue, 0x2800, 0xc000)
    }

    fn tx_block(queue: u16) -> Block {
        block(queue, 0x3800, 0xe000)
    }

    fn rx_buffer(size: u32) -> Option<u32> {
        // More than 16 KiB is more than any frame.
        let kib = (size / 1024).min(16);
        (kib != 0).then_some(kib * 1024)
    }

    fn rx_settings(block: Block, size: u32) -> Settings {
        let mode = |size| {
            let mask = DROP_EN | TIMESTAMP | BSIZEPKT;
            Setting::new(block.reg(SRRCTL), mask, DROP_EN | size / 1024)
        };
        [Self::rx_buffer(size).map(mode), Some(each(block)), None]
    }

    fn tx_settings(block: Block) -> Settings {
        [Some(each(block)), None, None]
    }

    fn stores_fcs(hw: &Hardware) -> bool {
        hw.read(Reg::RCTL) & RCTL_SECRC == 0
    }

    fn unfilled(gap: u32) -> Option<u32> {
        (gap == 1).then_some(0)
    }

    fn oddity(hw: &Hardware) -> Option<&'static CStr> {
        // The driver makes room for virtual functions before the core says that there are some: from then on its own queues have
        // other numbers.
        if hw.read(Reg::MRQC) & MODE > RSS {
            Some(c"the queues are divided among functions (SR-IOV)")
        } else {
            (hw.read(Reg::RCTL) & RCTL_DTYP != 0).then_some(c"the driver splits packets")
        }
    }

    fn full_tail(count: u32) -> u32 {
        count - 1
    }
}
