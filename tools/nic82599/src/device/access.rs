// SPDX-License-Identifier: BSD-2-Clause
//! The driver's reads and writes of registers.

use super::{Accesses, Device};
use crate::faults::Side;
use crate::firmware::Firmware;
use crate::interrupt::Extended;
use crate::registers::{
    cause, ctrl, dmatxctl, esdp, offset, rxctrl, rxdctl, status, txdctl, Register, RxRegister,
    TxRegister, FILE_SIZE,
};

/// What all registers of a card read as that is not there.
const GONE: u32 = !0;
/// SWSM: the semaphore among drivers, which reading takes.
const SMBI: u32 = 1;
/// FWSM: firmware is valid, and in no special mode.
const FIRMWARE_VALID: u32 = 1 << 15;
/// RDRXCTL: the DMA unit is initialized.
const DMA_INITIALIZED: u32 = 1 << 3;
/// SECTXSTAT and SECRXSTAT: ready, and no IPsec in this card.
const SECURITY_READY_NONE: u32 = 3;
/// ANLP1: negotiation has ended, so that nobody waits for it.
const NEGOTIATED: u32 = 1 << 16;
/// AUTOC: restart of negotiation, self-clearing.
const RESTART: u32 = 1 << 12;

impl Device {
    /// How often the driver has read and written registers.
    pub fn accesses(&self) -> Accesses {
        self.accesses
    }

    /// The driver reads the register at `at` in BAR 0.
    pub fn read(&mut self, at: u32, now: u64) -> u32 {
        self.now = now;
        self.accesses.reads += 1;
        if self.faults.dead() || !self.config.answers() {
            return GONE;
        }
        if at >= FILE_SIZE {
            return 0;
        }
        let register = Register::at(at);
        let waits = matches!(
            register,
            Register::Rx(_, RxRegister::Control) | Register::Tx(_, TxRegister::Control)
        );
        if waits && self.config.masters() {
            // The driver waits so many milliseconds for ENABLE: those of the card, not of this process's threads.
            self.advance_queues(now);
            self.flush(now);
            self.advance_queues(now);
        }
        let value = self.read_register(register);
        self.interrupts.settle(now);
        value
    }

    fn read_register(&mut self, register: Register) -> u32 {
        match register {
            Register::Status => self.status(),
            Register::Esdp => self.pins(),
            Register::I2cctl => self.sfp.wires(),
            // In units of 2 us (datasheet section 8.2.3.1.7).
            Register::Frtimer => (self.now / 2000) as u32,
            Register::Eec => self.eeprom.control(),
            Register::Eerd => self.eeprom.answer(),
            Register::Swsm => {
                let value = self.registers.get(offset::SWSM);
                self.registers.set(offset::SWSM, value | SMBI);
                value
            }
            Register::Fwsm => FIRMWARE_VALID,
            Register::Eicr => self.interrupts.read_causes(),
            Register::Eics => self.interrupts.causes(),
            Register::Eims | Register::Eimc => self.interrupts.enabled(),
            Register::Eiac => self.interrupts.auto_clear(),
            Register::Eiam => self.interrupts.auto_mask(),
            Register::Gpie => self.interrupts.general(),
            Register::EicsEx(half) => self.interrupts.read_extended(Extended::Set, half),
            Register::EimsEx(half) => self.interrupts.read_extended(Extended::Enable, half),
            Register::EimcEx(half) => self.interrupts.read_extended(Extended::Disable, half),
            Register::EiamEx(half) => self.interrupts.read_extended(Extended::AutoMask, half),
            Register::Eitr(vector) => self.interrupts.moderation(vector),
            Register::Ivar(index) => self.interrupts.ivar(index),
            Register::IvarMisc => self.interrupts.ivar(usize::MAX),
            Register::Links => self.link.status(),
            Register::Anlp1 => NEGOTIATED,
            Register::Msca => self.bus.state(),
            Register::Msrwd => self.bus.data(),
            Register::Rdrxctl => self.registers.get(offset::RDRXCTL) | DMA_INITIALIZED,
            Register::Secrxstat | Register::Sectxstat => SECURITY_READY_NONE,
            Register::Rx(queue, register) => self.rx[queue].read(register),
            Register::Tx(queue, register) => self.tx[queue].read(register),
            Register::FlowDirector(at) => self.director.read(at),
            Register::Hicr => self.firmware.as_ref().map_or(0, Firmware::status),
            Register::Shared(at) => self.firmware.as_ref().map_or(0, |f| f.load(at)),
            Register::BlockedRx(word) => {
                bits(self.rx.iter().skip(32 * word).map(|q| q.ring().blocked()))
            }
            Register::BlockedTx(word) => {
                bits(self.tx.iter().skip(32 * word).map(|q| q.ring().blocked()))
            }
            Register::Ctrl => self.registers.get(offset::CTRL),
            Register::Autoc => self.registers.get(offset::AUTOC),
            Register::Rxctrl => self.registers.get(offset::RXCTRL),
            Register::Dmatxctl => self.registers.get(offset::DMATXCTL),
            Register::Statistic(at) => self.statistics.read(at).unwrap_or(0),
            Register::Storage(at) => self.registers.get(at),
        }
    }

    fn status(&self) -> u32 {
        let mut value = u32::from(self.settings.port) << status::LAN_ID_SHIFT;
        if self.link.up() {
            value |= status::LINK_UP;
        }
        if !self.primary_disabled() {
            value |= status::GIO;
        }
        value
    }

    fn pins(&self) -> u32 {
        let value = self.registers.get(offset::ESDP) & !esdp::SDP2;
        if self.sfp.present() {
            value | esdp::SDP2
        } else {
            value
        }
    }

    /// The driver writes the register at `at` in BAR 0.
    pub fn write(&mut self, at: u32, value: u32, now: u64) {
        self.now = now;
        self.accesses.writes += 1;
        if self.faults.dead() || !self.config.answers() || at >= FILE_SIZE {
            return;
        }
        self.write_register(Register::at(at), value);
        self.interrupts.settle(now);
    }

    fn write_register(&mut self, register: Register, value: u32) {
        let (now, delays) = (self.now, self.delays());
        match register {
            Register::Ctrl => {
                // What else is in the word is reset, too: the driver writes GIO_DIS along (ixgbe_reset_hw_82599).
                if value & (ctrl::RST | ctrl::LNK_RST) != 0 {
                    self.reset();
                } else {
                    self.registers.set(offset::CTRL, value);
                }
            }
            Register::Esdp => self.registers.set(offset::ESDP, value & !esdp::SDP2),
            Register::I2cctl => self.sfp.drive(value),
            Register::Eerd => self.eeprom.ask(value),
            Register::Swsm => self.registers.set(offset::SWSM, value & 0x7),
            Register::Eicr => self.interrupts.clear_causes(value),
            Register::Eics => self.interrupts.set_causes(value),
            Register::Eims => self.interrupts.enable(value),
            Register::Eimc => self.interrupts.disable(value),
            Register::Eiac => self.interrupts.set_auto_clear(value),
            Register::Eiam => self.interrupts.set_auto_mask(value),
            Register::Gpie => self.interrupts.set_general(value),
            Register::EicsEx(half) => {
                self.interrupts.write_extended(Extended::Set, half, value);
            }
            Register::EimsEx(half) => {
                self.interrupts
                    .write_extended(Extended::Enable, half, value);
            }
            Register::EimcEx(half) => {
                self.interrupts
                    .write_extended(Extended::Disable, half, value);
            }
            Register::EiamEx(half) => {
                self.interrupts
                    .write_extended(Extended::AutoMask, half, value);
            }
            Register::Eitr(vector) => self.interrupts.set_moderation(vector, value, now),
            Register::Ivar(index) => self.interrupts.set_ivar(index, value),
            Register::IvarMisc => self.interrupts.set_ivar(usize::MAX, value),
            Register::Msca => self.bus.command(value),
            Register::Msrwd => self.bus.set_data(value),
            Register::Autoc => self.registers.set(offset::AUTOC, value & !RESTART),
            Register::Rx(queue, register) => {
                self.rx_used = self.rx_used.max(queue + 1);
                let value = match register {
                    RxRegister::Control if self.faults.sticks(Side::Rx, queue) => {
                        let enabled = self.rx[queue].read(register) & rxdctl::ENABLE;
                        (value & !rxdctl::ENABLE) | enabled
                    }
                    // The driver is not to blame: it has waited for ENABLE for as long as it does.
                    RxRegister::Tail
                        if self.faults.sticks(Side::Rx, queue) && !self.rx[queue].ring().live() =>
                    {
                        return
                    }
                    _ => value,
                };
                let on = self.receiving();
                let mut delays = delays;
                if !on {
                    // There is nothing to be in step with: the driver's own test gives a tail right behind ENABLE
                    // (ixgbe_ethtool.c, reg_test_82599).
                    delays.enable = 0;
                }
                let queue = &mut self.rx[queue];
                queue.write(register, value, now, &delays, &mut self.rules);
                if register == RxRegister::Control && !on {
                    queue.advance(now, on, &self.memory, &mut self.rules);
                }
            }
            Register::Tx(queue, register) => {
                self.tx_used = self.tx_used.max(queue + 1);
                let value = match register {
                    TxRegister::Control if self.faults.sticks(Side::Tx, queue) => {
                        let enabled = self.tx[queue].read(register) & txdctl::ENABLE;
                        (value & !txdctl::ENABLE) | enabled
                    }
                    TxRegister::Tail
                        if self.faults.sticks(Side::Tx, queue) && !self.tx[queue].ring().live() =>
                    {
                        return
                    }
                    _ => value,
                };
                self.tx[queue].write(register, value, now, &delays, &mut self.rules);
            }
            Register::FlowDirector(at) => self.director.write(at, value),
            Register::Hicr => {
                if let Some(firmware) = &mut self.firmware {
                    firmware.command(value, &self.eeprom);
                }
            }
            Register::Shared(at) => {
                if let Some(firmware) = &mut self.firmware {
                    firmware.store(at, value);
                }
            }
            Register::BlockedRx(word) => {
                for bit in (0..32).filter(|bit| (value >> bit) & 1 == 1) {
                    self.rx[32 * word + bit].unblock();
                }
            }
            Register::BlockedTx(word) => {
                for bit in (0..32).filter(|bit| (value >> bit) & 1 == 1) {
                    self.tx[32 * word + bit].unblock();
                }
            }
            Register::Rdrxctl => self.registers.set(offset::RDRXCTL, value),
            Register::Rxctrl => self.registers.set(offset::RXCTRL, value & rxctrl::RXEN),
            Register::Dmatxctl => self.registers.set(offset::DMATXCTL, value),
            Register::Storage(at) => self.registers.write(at, value),
            Register::Status
            | Register::Frtimer
            | Register::Eec
            | Register::Fwsm
            | Register::Links
            | Register::Anlp1
            | Register::Secrxstat
            | Register::Sectxstat
            | Register::Statistic(_) => {}
        }
    }

    /// Whether the receiver is on.
    pub(super) fn receiving(&self) -> bool {
        self.registers.get(offset::RXCTRL) & rxctrl::RXEN != 0
    }

    /// Whether the transmitter is on.
    pub(super) fn transmitting(&self) -> bool {
        self.registers.get(offset::DMATXCTL) & dmatxctl::TE != 0
    }

    /// A frame was lost for lack of packet buffer.
    pub(super) fn missed(&mut self) {
        self.statistics.count(crate::statistics::Counter::Missed);
        self.interrupts.other_event(cause::RX_MISS);
    }
}

/// A word whose bits are the first 32 of `all`.
fn bits(all: impl Iterator<Item = bool>) -> u32 {
    (0..32)
        .zip(all)
        .fold(0, |word, (bit, set)| word | (u32::from(set) << bit))
}
