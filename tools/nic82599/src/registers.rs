// SPDX-License-Identifier: BSD-2-Clause
//! The names of the registers: offsets, what is at an offset, and their bits.
//!
//! Source of all offsets and bits: ixgbe_type.h, names as there (without `IXGBE_`).

/// The size of the register file in octets; what lies behind in BAR 0 is the flash of a real card, and reads as 0.
pub const FILE_SIZE: u32 = 0x20000;

/// Receive queues, and transmit queues, of a port.
pub const QUEUES: usize = 128;

/// Registers of a receive queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RxRegister {
    /// RDBAL: the ring's address, low.
    BaseLow,
    /// RDBAH: the ring's address, high.
    BaseHigh,
    /// RDLEN: the ring's length in octets.
    Length,
    /// DCA_RXCTRL.
    Dca,
    /// RDH: the next descriptor that the card completes.
    Head,
    /// SRRCTL: buffer size, descriptor type.
    Split,
    /// RDT: the first descriptor that is not the card's.
    Tail,
    /// RXDCTL.
    Control,
    /// RSCCTL.
    Coalescing,
}

/// Registers of a transmit queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TxRegister {
    /// TDBAL: the ring's address, low.
    BaseLow,
    /// TDBAH: the ring's address, high.
    BaseHigh,
    /// TDLEN: the ring's length in octets.
    Length,
    /// DCA_TXCTRL.
    Dca,
    /// TDH: the next descriptor that the card processes.
    Head,
    /// TDT: the first descriptor that is not the card's.
    Tail,
    /// TXDCTL.
    Control,
    /// TDWBAL: where the head is written back, low, and whether.
    WritebackLow,
    /// TDWBAH: where the head is written back, high.
    WritebackHigh,
}

/// What is at an offset. Registers that only hold what was written, for other parts of the model to read, are
/// [`Register::Storage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are the data sheet's, and each variant's meaning is where it is handled"
)]
pub enum Register {
    Ctrl,
    Status,
    Esdp,
    I2cctl,
    Frtimer,
    Eec,
    Eerd,
    Swsm,
    Fwsm,
    Eicr,
    Eics,
    Eims,
    Eimc,
    Eiac,
    Eiam,
    Gpie,
    EicsEx(usize),
    EimsEx(usize),
    EimcEx(usize),
    EiamEx(usize),
    Eitr(usize),
    Ivar(usize),
    IvarMisc,
    Links,
    Anlp1,
    Msca,
    Msrwd,
    Autoc,
    Rdrxctl,
    Rxctrl,
    Dmatxctl,
    Secrxstat,
    Sectxstat,
    FlowDirector(u32),
    Hicr,
    Shared(u32),
    BlockedRx(usize),
    BlockedTx(usize),
    Rx(usize, RxRegister),
    Tx(usize, TxRegister),
    Statistic(u32),
    Storage(u32),
}

impl Register {
    /// What is at `offset`, which is a multiple of 4.
    pub fn at(offset: u32) -> Register {
        match offset {
            offset::CTRL | 0x4 => Register::Ctrl,
            offset::STATUS => Register::Status,
            offset::ESDP => Register::Esdp,
            offset::I2CCTL | offset::I2CCTL_X550 => Register::I2cctl,
            offset::FRTIMER => Register::Frtimer,
            0x800 => Register::Eicr,
            0x808 => Register::Eics,
            0x810 => Register::Eiac,
            0x820..=0x87c => Register::Eitr(index(offset, 0x820)),
            0x880 => Register::Eims,
            0x888 => Register::Eimc,
            0x890 => Register::Eiam,
            0x898 => Register::Gpie,
            0x900..=0x9fc => Register::Ivar(index(offset, 0x900)),
            0xa00 => Register::IvarMisc,
            0xa90 | 0xa94 => Register::EicsEx(index(offset, 0xa90)),
            0xaa0 | 0xaa4 => Register::EimsEx(index(offset, 0xaa0)),
            0xab0 | 0xab4 => Register::EimcEx(index(offset, 0xab0)),
            0xad0 | 0xad4 => Register::EiamEx(index(offset, 0xad0)),
            0x1000..=0x1fff => Self::rx(0, offset - 0x1000),
            0xd000..=0xdfff => Self::rx(64, offset - 0xd000),
            // The first 16 queues' copies of two registers, at the place that they had on older cards.
            0x2100..=0x213c => Register::Rx(index(offset, 0x2100), RxRegister::Split),
            0x2200..=0x223c => Register::Rx(index(offset, 0x2200), RxRegister::Dca),
            offset::RDRXCTL => Register::Rdrxctl,
            offset::RXCTRL => Register::Rxctrl,
            0x3f00..=0x41c4 | 0x8700..=0x877c => Register::Statistic(offset),
            offset::MSCA => Register::Msca,
            offset::MSRWD => Register::Msrwd,
            offset::AUTOC => Register::Autoc,
            offset::LINKS => Register::Links,
            offset::ANLP1 => Register::Anlp1,
            offset::DMATXCTL => Register::Dmatxctl,
            // The first 16 receive addresses' copies.
            0x5400..=0x547c => Register::Storage(offset - 0x5400 + offset::RAL0),
            0x6000..=0x7fff => Self::tx(offset - 0x6000),
            offset::SECTXSTAT => Register::Sectxstat,
            offset::SECRXSTAT => Register::Secrxstat,
            0x2fb0..=0x2fbc => Register::BlockedRx(index(offset, 0x2fb0)),
            0x8130..=0x813c => Register::BlockedTx(index(offset, 0x8130)),
            0x15800..=0x15efc => Register::Shared(offset - 0x15800),
            0x15f00 => Register::Hicr,
            0xee00..=0xee7c => Register::FlowDirector(offset),
            offset::EEC => Register::Eec,
            offset::EERD => Register::Eerd,
            offset::SWSM => Register::Swsm,
            offset::FWSM => Register::Fwsm,
            0x12300..=0x1239c => Register::Eitr(24 + index(offset, 0x12300)),
            _ => Register::Storage(offset),
        }
    }

    fn rx(first: usize, offset: u32) -> Register {
        let queue = first + (offset / 0x40) as usize;
        let register = match offset % 0x40 {
            0x00 => RxRegister::BaseLow,
            0x04 => RxRegister::BaseHigh,
            0x08 => RxRegister::Length,
            0x0c => RxRegister::Dca,
            0x10 => RxRegister::Head,
            0x14 => RxRegister::Split,
            0x18 => RxRegister::Tail,
            0x28 => RxRegister::Control,
            0x2c => RxRegister::Coalescing,
            0x30 | 0x34 | 0x38 => {
                return Register::Statistic(offset + if first == 0 { 0x1000 } else { 0xd000 })
            }
            _ => return Register::Storage(offset + if first == 0 { 0x1000 } else { 0xd000 }),
        };
        Register::Rx(queue, register)
    }

    fn tx(offset: u32) -> Register {
        let register = match offset % 0x40 {
            0x00 => TxRegister::BaseLow,
            0x04 => TxRegister::BaseHigh,
            0x08 => TxRegister::Length,
            0x0c => TxRegister::Dca,
            0x10 => TxRegister::Head,
            0x18 => TxRegister::Tail,
            0x28 => TxRegister::Control,
            0x30 => return Register::Statistic(offset + 0x6000),
            0x38 => TxRegister::WritebackLow,
            0x3c => TxRegister::WritebackHigh,
            _ => return Register::Storage(offset + 0x6000),
        };
        Register::Tx((offset / 0x40) as usize, register)
    }
}

fn index(offset: u32, first: u32) -> usize {
    ((offset - first) / 4) as usize
}

/// Offsets of registers.
#[allow(missing_docs, reason = "the names are the data sheet's")]
pub mod offset {
    pub const CTRL: u32 = 0x0;
    pub const STATUS: u32 = 0x8;
    pub const CTRL_EXT: u32 = 0x18;
    pub const ESDP: u32 = 0x20;
    pub const I2CCTL: u32 = 0x28;
    pub const FRTIMER: u32 = 0x48;
    pub const RDRXCTL: u32 = 0x2f00;
    pub const RXCTRL: u32 = 0x3000;
    pub const FCTTV0: u32 = 0x3200;
    pub const FCRTL0: u32 = 0x3220;
    pub const FCRTH0: u32 = 0x3260;
    pub const FCRTV: u32 = 0x32a0;
    pub const RXPBSIZE0: u32 = 0x3c00;
    pub const FCCFG: u32 = 0x3d00;
    pub const HLREG0: u32 = 0x4240;
    pub const MSCA: u32 = 0x425c;
    pub const MSRWD: u32 = 0x4260;
    pub const MAXFRS: u32 = 0x4268;
    pub const MFLCN: u32 = 0x4294;
    pub const AUTOC: u32 = 0x42a0;
    pub const LINKS: u32 = 0x42a4;
    pub const AUTOC2: u32 = 0x42a8;
    pub const ANLP1: u32 = 0x42b0;
    pub const DMATXCTL: u32 = 0x4a80;
    pub const RXCSUM: u32 = 0x5000;
    pub const FCTRL: u32 = 0x5080;
    pub const VLNCTRL: u32 = 0x5088;
    pub const MCSTCTRL: u32 = 0x5090;
    pub const MTA0: u32 = 0x5200;
    pub const MRQC: u32 = 0x5818;
    pub const RETA0: u32 = 0x5c00;
    pub const RSSRK0: u32 = 0x5c80;
    pub const SECTXSTAT: u32 = 0x8804;
    pub const SECRXSTAT: u32 = 0x8d04;
    pub const VFTA0: u32 = 0xa000;
    pub const RAL0: u32 = 0xa200;
    pub const RAH0: u32 = 0xa204;
    pub const MPSAR0: u32 = 0xa600;
    pub const TXPBSIZE0: u32 = 0xcc00;
    pub const ERETA0: u32 = 0xee80;
    pub const EEC: u32 = 0x10010;
    pub const EERD: u32 = 0x10014;
    pub const SWSM: u32 = 0x10140;
    pub const FWSM: u32 = 0x10148;
    pub const FACTPS: u32 = 0x10150;
    pub const GSSR: u32 = 0x10160;
    pub const I2CCTL_X550: u32 = 0x15f5c;
}

/// Bits of CTRL.
pub mod ctrl {
    /// GIO master disable.
    pub const GIO_DIS: u32 = 1 << 2;
    /// Link reset.
    pub const LNK_RST: u32 = 1 << 3;
    /// Device reset.
    pub const RST: u32 = 1 << 26;
}

/// Bits of STATUS.
pub mod status {
    /// Where the port's number is.
    pub const LAN_ID_SHIFT: u32 = 2;
    /// Link is up.
    pub const LINK_UP: u32 = 1 << 7;
    /// GIO master is enabled: requests may be outstanding.
    pub const GIO: u32 = 1 << 19;
}

/// Bits of ESDP, the pins that the port and its optical module share.
pub mod esdp {
    /// Pin 2: a module is present.
    pub const SDP2: u32 = 1 << 2;
    /// Pin 3: the laser is off.
    pub const SDP3: u32 = 1 << 3;
}

/// Bits of RXDCTL.
pub mod rxdctl {
    /// X540: the largest frame in octets.
    pub const RLPML: u32 = 0x3fff;
    /// X540: RLPML is heeded.
    pub const RLPML_EN: u32 = 1 << 15;
    /// The queue is enabled.
    pub const ENABLE: u32 = 1 << 25;
    /// Write back what is complete, self-clearing.
    pub const SWFLSH: u32 = 1 << 26;
    /// VLAN tags are stripped.
    pub const VME: u32 = 1 << 30;
}

/// Bits of SRRCTL.
pub mod srrctl {
    /// Buffer size in KiB.
    pub const BSIZEPACKET: u32 = 0x1f;
    /// Type of descriptor.
    pub const DESCTYPE: u32 = 7 << 25;
    /// Advanced, one buffer.
    pub const ADV_ONEBUF: u32 = 1 << 25;
    /// Frames that find no descriptor are dropped.
    pub const DROP_EN: u32 = 1 << 28;
}

/// Bits of TXDCTL.
pub mod txdctl {
    /// The queue is enabled.
    pub const ENABLE: u32 = 1 << 25;
    /// Write back what is complete, self-clearing.
    pub const SWFLSH: u32 = 1 << 26;
}

/// Bits of RXCTRL.
pub mod rxctrl {
    /// The receiver is on.
    pub const RXEN: u32 = 1;
}

/// Bits of DMATXCTL.
pub mod dmatxctl {
    /// The transmitter is on.
    pub const TE: u32 = 1;
}

/// Bits of HLREG0.
pub mod hlreg0 {
    /// The frame check sequence is stripped.
    pub const RXCRCSTRP: u32 = 1 << 1;
    /// Frames up to MAXFRS.
    pub const JUMBOEN: u32 = 1 << 2;
    /// Short frames are padded.
    pub const TXPADEN: u32 = 1 << 10;
    /// What is sent is received, and the wire is ignored.
    pub const LPBK: u32 = 1 << 15;
}

/// Bits of GPIE.
pub mod gpie {
    /// MSI-X.
    pub const MSIX_MODE: u32 = 1 << 4;
    /// Reading EICR clears only the causes that are no queue's.
    pub const OCD: u32 = 1 << 5;
    /// EIAM is heeded when a message is sent.
    pub const EIAME: u32 = 1 << 30;
}

/// Causes of interrupts that are no queue's: bits of EICR.
pub mod cause {
    /// What belongs to the queues.
    pub const QUEUES: u32 = 0xffff;
    /// A frame was lost for lack of packet buffer.
    pub const RX_MISS: u32 = 1 << 17;
    /// The link has changed.
    pub const LSC: u32 = 1 << 20;
    /// Pin 2 has changed: a module went in or out.
    pub const SDP2: u32 = 1 << 26;
    /// An error in the card's own memory: the driver resets the card.
    pub const ECC: u32 = 1 << 28;
}

/// Bits of LINKS.
pub mod links {
    /// The link is up.
    pub const UP: u32 = 1 << 30;
    /// The speed: 10 Gbit/s.
    pub const SPEED_10G: u32 = 3 << 28;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_registers_are_found_in_both_blocks() {
        assert_eq!(Register::at(0x1018), Register::Rx(0, RxRegister::Tail));
        assert_eq!(
            Register::at(0x1000 + 63 * 0x40),
            Register::Rx(63, RxRegister::BaseLow)
        );
        assert_eq!(Register::at(0xd028), Register::Rx(64, RxRegister::Control));
        assert_eq!(
            Register::at(0x6018 + 127 * 0x40),
            Register::Tx(127, TxRegister::Tail)
        );
    }

    /// Source: ixgbe_type.h: `IXGBE_SRRCTL`, `IXGBE_DCA_RXCTRL`, `IXGBE_RAL`.
    #[test]
    fn registers_of_older_cards_are_aliases() {
        assert_eq!(Register::at(0x2104), Register::Rx(1, RxRegister::Split));
        assert_eq!(Register::at(0x1054), Register::Rx(1, RxRegister::Split));
        assert_eq!(Register::at(0x220c), Register::Rx(3, RxRegister::Dca));
        assert_eq!(Register::at(0x5408), Register::Storage(0xa208));
    }

    /// Source: ixgbe_type.h: `IXGBE_EITR`.
    #[test]
    fn moderation_registers_are_in_two_blocks() {
        assert_eq!(Register::at(0x820 + 23 * 4), Register::Eitr(23));
        assert_eq!(Register::at(0x12300), Register::Eitr(24));
    }
}
