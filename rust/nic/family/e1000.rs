// SPDX-License-Identifier: GPL-2.0

//! 8254x, the stock driver `e1000`: one queue each way, legacy descriptors.

use super::{
    enable::Unit,
    register::{Block, Hardware, Reg, Setting, Settings, RCTL_SECRC}, //
    Family,
};
use crate::{
    bindings,
    logic::desc::Legacy,
    prelude::*, //
};

/// 82540, 82545, 82546 and 82541. Not the 82542 to 82544, and not the 82547 with its FIFO workaround.
pub struct E1000;

/// Receive control: buffer size in bytes, 16 times as large with [`BSEX`].
const BSIZE: [(u32, u32); 7] = [
    (16384, BSEX | (1 << 16)),
    (8192, BSEX | (2 << 16)),
    (4096, BSEX | (3 << 16)),
    (2048, 0),
    (1024, 1 << 16),
    (512, 2 << 16),
    (256, 3 << 16),
];
const BSEX: u32 = 1 << 25;

/// The bits of the receive control register that we change: buffer size, and that the FCS is stripped. The driver strips it
/// in software; with the FCS in a descriptor of its own, a frame of ours would end with an empty slot.
const RCTL_MASK: u32 = BSEX | (3 << 16) | RCTL_SECRC;

/// The setting for buffers of `size` bytes, and as how large the hardware then takes them.
pub(in crate::nic) fn rctl(size: u32) -> Option<(Setting, u32)> {
    let (taken, bits) = BSIZE.into_iter().find(|&(taken, _)| taken <= size)?;
    Some((Setting::new(Reg::RCTL, RCTL_MASK, RCTL_SECRC | bits), taken))
}

impl Family for E1000 {
    const NAME: &'static CStr = c"e1000";
    const DEVICES: &'static [u16] = &[
        0x100e, 0x100f, 0x1010, 0x1011, 0x1012, 0x1013, 0x1014, 0x1015, 0x1016, 0x1017, 0x1018,
        0x101d, 0x101e, 0x1026, 0x1027, 0x1028, 0x1076, 0x1077, 0x1078, 0x1079, 0x107a, 0x107b,
        0x107c, 0x108a, 0x1099, 0x10b5,
    ];
    const MAX_QUEUES: u16 = 1;
    const FREE_TAGS: bool = true;

    fn no_hot_takeover() -> Option<&'static CStr> {
        // These prefetch up to 64 receive descriptors, and no data sheet says that a receiver that is switched off forgets them.
        // After a restart they would be those of buffers that the driver still has, and not of any that it has freed.
        // SAFETY: The first is callable from any context, the second a word that is written through sysfs.
        let allowed = unsafe {
            bindings::netmap_in_guest()
                || (&raw const bindings::netmap_e1000_takeover).read_volatile()
        };
        (!allowed).then_some(
            c"stopping the receiver of a running 8254x is not known to be safe; e1000_takeover=1 allows it",
        )
    }

    type Enable = Unit;
    type Tx = Legacy;
    type Rx = Legacy;

    fn rx_block(_queue: u16) -> Block {
        const { Block::new(0x2800) }
    }

    fn tx_block(_queue: u16) -> Block {
        const { Block::new(0x3800) }
    }

    fn rx_buffer(size: u32) -> Option<u32> {
        rctl(size).map(|(_, taken)| taken)
    }

    fn rx_settings(_block: Block, size: u32) -> Settings {
        [rctl(size).map(|(setting, _)| setting), None, None]
    }

    fn tx_settings(_block: Block) -> Settings {
        [None; 3]
    }

    fn stores_fcs(_hw: &Hardware) -> bool {
        false
    }

    fn unfilled(gap: u32) -> Option<u32> {
        // The tail is the last descriptor that is filled, and one more stays empty.
        (gap == 2).then_some(0)
    }

    fn full_tail(count: u32) -> u32 {
        count - 2
    }
}
