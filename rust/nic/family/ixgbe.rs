// SPDX-License-Identifier: GPL-2.0

//! 82599 and its successors, the stock driver `ixgbe`: many queues, advanced descriptors, 10 Gbit/s.

use super::{
    enable::PerQueue,
    register::{Block, Hardware, Reg, Setting, Settings},
    Family,
    Interposition, //
};
use crate::{
    logic::desc::{Advanced, Extended10G},
    prelude::*, //
};

/// 82599, X540 and X550. Not the 82598, whose queues are not stopped without a link, and not the E610, on which no takeover
/// was ever tested.
pub struct Ixgbe;

/// In a queue's control: drop what was fetched. The driver sets it to stop a queue.
const FLUSH: u32 = 1 << 26;
/// In a receive queue's control: take VLAN tags out of packets.
const VME: u32 = 1 << 30;
/// In it: limit packets to the length in the same register; from the X540 on.
const RLPML_EN: u32 = 1 << 15;
/// In a transmit queue's control: how many descriptors are written back together. Of ours few ask for it, and the program
/// waits for each of these.
const WTHRESH: u32 = 0x7f << 16;

/// Split and replication control, in a receive queue's block; the first 16 also stand elsewhere.
const SRRCTL: u32 = 0x14;
/// In it: buffer size in KiB.
const BSIZEPKT: u32 = 0x1f;
/// In it: the descriptors' type, and the one that we know, with one buffer.
const DESCTYPE: u32 = 7 << 25;
const ONE_BUFFER: u32 = 1 << 25;
/// In it: packets without a free descriptor are dropped; otherwise the other queues wait, too.
const DROP_EN: u32 = 1 << 28;

/// Control of receive side coalescing, in a receive queue's block.
const RSCCTL: u32 = 0x2c;
/// In it: on.
const RSCEN: u32 = 1;

/// In [`Reg::RXCTRL`]: the receiver is on.
const RXEN: u32 = 1;

/// In [`Reg::HLREG0`]: the FCS is not stored.
const RXCRCSTRP: u32 = 1 << 1;
/// In [`Reg::MRQC`]: the mode; up to 1 it is one set of queues, with or without a hash.
const MRQE: u32 = 0xf;
/// In [`Reg::MTQC`]: queues are divided among traffic classes or virtual machines.
const DIVIDED: u32 = 3;

/// The detection of malicious drivers in [`Reg::RDRXCTL`] and [`Reg::DMATXCTL`], and its interrupt.
const RX_DETECTION: u32 = 3 << 28;
const TX_DETECTION: u32 = 3 << 5;
/// The controllers that have it.
const X550: &[u16] = &[
    0x1563, 0x15d1, 0x15aa, 0x15ab, 0x15ac, 0x15ad, 0x15ae, 0x15b0, 0x15c2, 0x15c3, 0x15c4, 0x15c6,
    0x15c7, 0x15c8, 0x15ce, 0x15e4, 0x15e5,
];

fn drops(block: Block) -> Setting {
    Setting::new(block.reg(SRRCTL), DROP_EN, DROP_EN)
}

impl Family for Ixgbe {
    const NAME: &'static CStr = c"ixgbe";
    const DEVICES: &'static [u16] = &[
        0x10f7, 0x10f8, 0x10f9, 0x10fb, 0x10fc, 0x1507, 0x1514, 0x1517, 0x151c, 0x1529, 0x152a,
        0x154a, 0x154d, 0x154f, 0x1557, 0x1558, 0x1528, 0x1560, 0x1563, 0x15d1, 0x15aa, 0x15ab,
        0x15ac, 0x15ad, 0x15ae, 0x15b0, 0x15c2, 0x15c3, 0x15c4, 0x15c6, 0x15c7, 0x15c8, 0x15ce,
        0x15e4, 0x15e5,
    ];
    const MAX_QUEUES: u16 = 128;

    type Enable = PerQueue<FLUSH>;
    type Tx = Advanced;
    type Rx = Extended10G;

    // The driver knows its devices by the address of their operations (`netif_is_ixgbe`). With another table in its place,
    // it takes what it receives for packets of a macvlan device, and updates counters in memory that holds none.
    const INTERPOSITION: Interposition = Interposition::Functions;
    const FREE_TAGS: bool = true;
    const QUEUE_LRO: bool = true;
    const COALESCING_RESTARTS: bool = true;

    fn rx_block(queue: u16) -> Block {
        let queue = u32::from(queue);
        Block::new(if queue < 64 {
            0x1000 + 0x40 * queue
        } else {
            0xd000 + 0x40 * (queue - 64)
        })
    }

    fn tx_block(queue: u16) -> Block {
        Block::new(0x6000 + 0x40 * u32::from(queue))
    }

    fn rx_buffer(size: u32) -> Option<u32> {
        let kib = (size / 1024).min(16);
        (kib != 0).then_some(kib * 1024)
    }

    fn rx_settings(block: Block, size: u32) -> Settings {
        let mode = |size| {
            let mask = DROP_EN | DESCTYPE | BSIZEPKT;
            Setting::new(block.reg(SRRCTL), mask, DROP_EN | ONE_BUFFER | size / 1024)
        };
        [
            Self::rx_buffer(size).map(mode),
            // The driver's address filters may turn tags on again for all queues, but not while the feature is off.
            Some(Setting::new(block.control(), VME | RLPML_EN, 0)),
            Some(Setting::new(block.reg(RSCCTL), RSCEN, 0)),
        ]
    }

    fn tx_settings(block: Block) -> Settings {
        [Some(Setting::new(block.control(), WTHRESH, 0)), None, None]
    }

    fn is_on(hw: &Hardware) -> bool {
        hw.read(Reg::RXCTRL) & RXEN != 0
    }

    fn stores_fcs(hw: &Hardware) -> bool {
        hw.read(Reg::HLREG0) & RXCRCSTRP == 0
    }

    const REFILL: u32 = 16;

    fn unfilled(gap: u32) -> Option<u32> {
        // The driver leaves fewer than 16 descriptors unfilled.
        gap.checked_sub(1)
            .filter(|&unfilled| unfilled < Self::REFILL)
    }

    fn full_tail(count: u32) -> u32 {
        count - 1
    }

    fn may_hold_part(hw: &Hardware, block: Block) -> bool {
        hw.read(block.reg(RSCCTL)) & RSCEN != 0
    }

    fn oddity(hw: &Hardware) -> Option<&'static CStr> {
        let divided = hw.read(Reg::MRQC) & MRQE > 1 || hw.read(Reg::MTQC) & DIVIDED != 0;
        divided.then_some(c"the queues are divided among traffic classes or functions")
    }

    fn detection(hw: &Hardware) -> Settings {
        if !X550.contains(&hw.device_id()) {
            return [None; 3];
        }
        [
            Some(Setting::new(Reg::DMATXCTL, TX_DETECTION, 0)),
            Some(Setting::new(Reg::RDRXCTL, RX_DETECTION, 0)),
            None,
        ]
    }

    fn keep(hw: &Hardware, block: Block) {
        // The driver decides anew for all queues when the link comes up.
        let want = drops(block);
        if want.found(hw).bits & want.mask != want.bits {
            hw.put(&want);
        }
    }
}
