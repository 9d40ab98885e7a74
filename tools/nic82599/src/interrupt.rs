// SPDX-License-Identifier: BSD-2-Clause
//! Interrupts: causes, masks, vectors, moderation, and how the guest is told.
//!
//! Source: ixgbe_type.h, "Interrupt Registers"; how the driver relies on each: ixgbe_main.c, ixgbe_setup_gpie,
//! ixgbe_configure_msix, ixgbe_msix_other, ixgbe_intr.

use crate::registers::{cause, gpie};
use std::fs::File;
use std::io::Write;

/// MSI-X vectors.
pub const VECTORS: usize = 64;
/// A vector register's entry is valid.
const VALID: u32 = 0x80;
/// EITR: the interval, in units of 2 us from bit 3 on at 10 Gbit/s (ixgbe_main.c, ixgbe_write_eitr).
const INTERVAL: u32 = 0xff8;
/// EITR: the counter is not written along.
const COUNTER_KEPT: u32 = 1 << 31;

/// Which way a queue goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Receive.
    Rx,
    /// Transmit.
    Tx,
}

/// The wires to the guest: one event per MSI-X vector, one for the interrupt line; and what was sent through them.
#[derive(Default)]
pub struct Lines {
    messages: Vec<Option<File>>,
    line: Option<File>,
    /// Messages sent, per vector.
    pub sent: Vec<u64>,
    /// How often the line was raised.
    pub raised: u64,
    /// Messages that the card forgets to send, a fault to be injected: their causes stay, and a new one sends them.
    pub lose: u64,
}

impl Lines {
    /// Sets the events of the vectors from `first` on.
    pub fn set_messages(&mut self, first: usize, events: Vec<Option<File>>) {
        let end = first + events.len();
        if self.messages.len() < end {
            self.messages.resize_with(end, || None);
        }
        for (place, event) in self.messages[first..end].iter_mut().zip(events) {
            *place = event;
        }
    }

    /// Takes all vectors' events away.
    pub fn clear_messages(&mut self) {
        self.messages.clear();
    }

    /// Sets, or takes away, the line's event.
    pub fn set_line(&mut self, event: Option<File>) {
        self.line = event;
    }

    /// Tells the guest once of each vector, and by the line, although there is no cause: a fault to be injected.
    pub fn spurious(&mut self) {
        for vector in 0..self.messages.len() {
            self.message(vector);
        }
        self.raise();
    }

    /// Whether a message that is about to be sent is to be lost; it counts.
    fn loses(&mut self) -> bool {
        let lost = self.lose > 0;
        self.lose = self.lose.saturating_sub(1);
        lost
    }

    fn message(&mut self, vector: usize) {
        if self.sent.len() <= vector {
            self.sent.resize(vector + 1, 0);
        }
        self.sent[vector] += 1;
        signal(self.messages.get_mut(vector).and_then(Option::as_mut));
    }

    fn raise(&mut self) {
        self.raised += 1;
        signal(self.line.as_mut());
    }
}

fn signal(event: Option<&mut File>) {
    if let Some(event) = event {
        // An event counter that is full has told already; one that is closed has nobody to tell.
        let _ = event.write_all(&1u64.to_ne_bytes());
    }
}

/// The interrupt block of a port.
///
/// Bits 0 to 15 of EICR and its kin are the low bits of 64 vector bits (`_EX` registers); bits 16 to 30 are the other
/// causes.
pub struct Interrupts {
    /// The wires.
    pub lines: Lines,
    pending: u64,
    other: u32,
    mask: u64,
    other_mask: u32,
    /// Vectors whose pending bit still has to be told: each assertion is told once.
    armed: u64,
    other_armed: bool,
    auto_clear: u32,
    auto_mask: u64,
    auto_mask_other: u32,
    gpie: u32,
    ivar: [u32; 64],
    ivar_misc: u32,
    eitr: [u32; VECTORS],
    /// When each vector may send again, in nanoseconds.
    open_at: [u64; VECTORS],
    /// Messages are possible: the guest has enabled MSI-X.
    msix: bool,
    line_allowed: bool,
    line_up: bool,
}

impl Default for Interrupts {
    fn default() -> Self {
        Interrupts {
            lines: Lines::default(),
            pending: 0,
            other: 0,
            mask: 0,
            other_mask: 0,
            armed: 0,
            other_armed: false,
            auto_clear: 0,
            auto_mask: 0,
            auto_mask_other: 0,
            gpie: 0,
            ivar: [0; 64],
            ivar_misc: 0,
            eitr: [0; VECTORS],
            open_at: [0; VECTORS],
            msix: false,
            line_allowed: true,
            line_up: false,
        }
    }
}

impl Interrupts {
    /// What a device reset does; the wires stay.
    pub fn reset(&mut self) {
        *self = Interrupts {
            lines: std::mem::take(&mut self.lines),
            msix: self.msix,
            line_allowed: self.line_allowed,
            ..Interrupts::default()
        };
    }

    /// What configuration space says: whether messages are on, and whether the line may be pulled.
    pub fn configure(&mut self, msix: bool, line_allowed: bool) {
        self.msix = msix;
        self.line_allowed = line_allowed;
        if !line_allowed {
            self.line_up = false;
        }
    }

    fn by_message(&self) -> bool {
        self.gpie & gpie::MSIX_MODE != 0
    }

    /// The vector of a queue, if it has one: IVAR has a byte per queue and direction.
    pub fn vector(&self, queue: usize, direction: Direction) -> Option<usize> {
        let byte = (queue & 1) * 2 + usize::from(direction == Direction::Tx);
        let entry = self.ivar[queue / 2] >> (8 * byte);
        (entry & VALID != 0).then_some((entry & 0x3f) as usize)
    }

    fn other_vector(&self) -> Option<usize> {
        let entry = self.ivar_misc >> 8;
        (entry & VALID != 0).then_some((entry & 0x3f) as usize)
    }

    /// A queue has something to tell.
    pub fn queue_event(&mut self, queue: usize, direction: Direction) {
        if let Some(vector) = self.vector(queue, direction) {
            self.assert_vectors(1 << vector);
        }
    }

    /// Something else has happened: bits of EICR above 15.
    pub fn other_event(&mut self, causes: u32) {
        self.other |= causes & !cause::QUEUES;
        self.other_armed = true;
    }

    fn assert_vectors(&mut self, vectors: u64) {
        self.pending |= vectors;
        self.armed |= vectors;
    }

    /// Tells the guest what may be told at `now`; returns when there will be more, if moderation holds something back.
    pub fn settle(&mut self, now: u64) -> Option<u64> {
        if !self.by_message() {
            self.settle_line();
            return None;
        }
        if !self.msix {
            return None;
        }
        let mut next = None;
        let mut ready = self.armed & self.pending & self.mask;
        while ready != 0 {
            let vector = ready.trailing_zeros() as usize;
            ready &= ready - 1;
            if self.open_at[vector] > now {
                next = earlier(next, self.open_at[vector]);
                continue;
            }
            let bit = 1u64 << vector;
            self.armed &= !bit;
            if self.lines.loses() {
                continue;
            }
            self.send(vector, now);
            // Vectors above 15 have no bit in EIAC: nobody but the card could clear them.
            if vector >= 16 || self.auto_clear & (1 << vector) != 0 {
                self.pending &= !bit;
            }
        }
        if self.other_armed && self.other & self.other_mask != 0 {
            if let Some(vector) = self.other_vector() {
                if self.open_at[vector] > now {
                    next = earlier(next, self.open_at[vector]);
                } else {
                    self.other_armed = false;
                    if self.lines.loses() {
                        return next;
                    }
                    self.send(vector, now);
                    self.other_mask &= !self.masked_by_message(self.auto_mask_other);
                }
            }
        }
        next
    }

    fn masked_by_message(&self, mask: u32) -> u32 {
        if self.gpie & gpie::EIAME != 0 {
            mask
        } else {
            0
        }
    }

    fn send(&mut self, vector: usize, now: u64) {
        self.lines.message(vector);
        self.open_at[vector] = now + interval(self.eitr[vector]);
        if self.gpie & gpie::EIAME != 0 {
            self.mask &= !((1 << vector) & self.auto_mask);
        }
    }

    fn settle_line(&mut self) {
        let active = self.pending as u32 & cause::QUEUES & self.mask as u32 != 0
            || self.other & self.other_mask != 0;
        if active && self.line_allowed {
            if !self.line_up {
                self.line_up = true;
                self.lines.raise();
            }
        } else {
            self.line_up = false;
        }
    }

    /// The guest has served the line; if a cause is still there, it is raised again.
    pub fn line_served(&mut self) {
        self.line_up = false;
        if !self.by_message() {
            self.settle_line();
        }
    }

    /// EICR, read: all causes; clears them, but with GPIE.OCD only those that are no queue's. Without MSI-X, EIAM's bits
    /// are masked along.
    pub fn read_causes(&mut self) -> u32 {
        let value = self.causes();
        self.other = 0;
        if self.gpie & gpie::OCD == 0 {
            self.pending &= !u64::from(cause::QUEUES);
        }
        if !self.by_message() {
            self.mask &= !self.auto_mask;
            self.other_mask &= !self.auto_mask_other;
        }
        value
    }

    /// EICS, read: all causes, and clears nothing (ixgbe_msix_other relies on it).
    pub fn causes(&self) -> u32 {
        (self.pending as u32 & cause::QUEUES) | self.other
    }

    /// EICR, written: clears causes.
    pub fn clear_causes(&mut self, bits: u32) {
        self.pending &= !u64::from(bits & cause::QUEUES);
        self.other &= !(bits & !cause::QUEUES);
    }

    /// EICS, written: software sets causes.
    pub fn set_causes(&mut self, bits: u32) {
        self.assert_vectors(u64::from(bits & cause::QUEUES));
        if bits & !cause::QUEUES != 0 {
            self.other_event(bits & 0x7fff_0000);
        }
    }

    /// EIMS, read.
    pub fn enabled(&self) -> u32 {
        (self.mask as u32 & cause::QUEUES) | self.other_mask
    }

    /// EIMS, written: what is pending among these is told.
    pub fn enable(&mut self, bits: u32) {
        self.enable_vectors(u64::from(bits & cause::QUEUES));
        self.other_mask |= bits & 0x7fff_0000;
        self.other_armed |= self.other & bits & !cause::QUEUES != 0;
    }

    /// EIMC, written.
    pub fn disable(&mut self, bits: u32) {
        self.mask &= !u64::from(bits & cause::QUEUES);
        self.other_mask &= !bits;
    }

    fn enable_vectors(&mut self, bits: u64) {
        self.mask |= bits;
        self.armed |= self.pending & bits;
    }

    /// EICS_EX, EIMS_EX, EIMC_EX, written: 32 of the 64 vectors.
    pub fn write_extended(&mut self, kind: Extended, half: usize, value: u32) {
        let bits = u64::from(value) << (32 * half);
        match kind {
            Extended::Set => self.assert_vectors(bits),
            Extended::Enable => self.enable_vectors(bits),
            Extended::Disable => self.mask &= !bits,
            Extended::AutoMask => {
                let keep = !(0xffff_ffff << (32 * half));
                self.auto_mask = (self.auto_mask & keep) | bits;
            }
        }
    }

    /// EICS_EX, EIMS_EX, EIMC_EX, EIAM_EX, read.
    pub fn read_extended(&self, kind: Extended, half: usize) -> u32 {
        let all = match kind {
            Extended::Set => self.pending,
            Extended::Enable | Extended::Disable => self.mask,
            Extended::AutoMask => self.auto_mask,
        };
        (all >> (32 * half)) as u32
    }

    /// EIAC.
    pub fn auto_clear(&self) -> u32 {
        self.auto_clear
    }

    /// EIAC, written.
    pub fn set_auto_clear(&mut self, value: u32) {
        self.auto_clear = value & 0x4000_ffff;
    }

    /// EIAM.
    pub fn auto_mask(&self) -> u32 {
        (self.auto_mask as u32 & cause::QUEUES) | self.auto_mask_other
    }

    /// EIAM, written.
    pub fn set_auto_mask(&mut self, value: u32) {
        self.auto_mask = (self.auto_mask & !0xffff) | u64::from(value & cause::QUEUES);
        self.auto_mask_other = value & 0x7fff_0000;
    }

    /// GPIE.
    pub fn general(&self) -> u32 {
        self.gpie
    }

    /// GPIE, written.
    pub fn set_general(&mut self, value: u32) {
        self.gpie = value;
    }

    /// IVAR and IVAR_MISC (the last index).
    pub fn ivar(&self, index: usize) -> u32 {
        self.ivar.get(index).copied().unwrap_or(self.ivar_misc)
    }

    /// IVAR and IVAR_MISC (the last index), written.
    pub fn set_ivar(&mut self, index: usize, value: u32) {
        *self.ivar.get_mut(index).unwrap_or(&mut self.ivar_misc) = value;
    }

    /// EITR.
    pub fn moderation(&self, vector: usize) -> u32 {
        self.eitr.get(vector).copied().unwrap_or(0)
    }

    /// EITR, written: the interval from now on; unless it says to keep the counter, the vector may send at once.
    pub fn set_moderation(&mut self, vector: usize, value: u32, now: u64) {
        let Some(place) = self.eitr.get_mut(vector) else {
            return;
        };
        *place = value & !COUNTER_KEPT;
        if value & COUNTER_KEPT == 0 {
            self.open_at[vector] = now;
        }
    }
}

/// The registers of 64 vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// EICS_EX.
    Set,
    /// EIMS_EX.
    Enable,
    /// EIMC_EX.
    Disable,
    /// EIAM_EX.
    AutoMask,
}

/// The earlier of two times, if there are any.
pub fn earlier(one: Option<u64>, other: u64) -> Option<u64> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// Nanoseconds between two messages.
fn interval(eitr: u32) -> u64 {
    u64::from((eitr & INTERVAL) >> 3) * 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the driver sets it up: queue 0 on vector 0, other causes on vector 1.
    fn by_message() -> Interrupts {
        let mut interrupts = Interrupts::default();
        interrupts.configure(true, false);
        interrupts.set_general(gpie::MSIX_MODE | gpie::OCD | gpie::EIAME);
        interrupts.set_ivar(0, 0x8080);
        interrupts.set_ivar(64, 0x8100);
        interrupts.set_auto_clear(cause::QUEUES);
        interrupts.write_extended(Extended::AutoMask, 0, !0);
        interrupts.enable(1 | cause::LSC);
        interrupts
    }

    fn sent(interrupts: &Interrupts, vector: usize) -> u64 {
        interrupts.lines.sent.get(vector).copied().unwrap_or(0)
    }

    /// Source: ixgbe_main.c, ixgbe_setup_gpie: "use EIAM to auto-mask when MSI-X interrupt is asserted".
    #[test]
    fn a_message_masks_its_vector_and_clears_its_cause() {
        let mut interrupts = by_message();
        interrupts.queue_event(0, Direction::Rx);
        interrupts.settle(0);
        interrupts.queue_event(0, Direction::Tx);
        interrupts.settle(1);
        assert_eq!(sent(&interrupts, 0), 1);
        assert_eq!(interrupts.enabled() & 1, 0);
        assert_eq!(interrupts.causes(), 1);
        interrupts.write_extended(Extended::Enable, 0, 1);
        interrupts.settle(2);
        assert_eq!(sent(&interrupts, 0), 2);
        assert_eq!(interrupts.causes(), 0);
    }

    /// The driver sets all causes every two seconds, so that what was lost is made up for.
    ///
    /// Source: ixgbe_main.c, ixgbe_check_hang_subtask ("cause software interrupt to ensure rings are cleaned").
    #[test]
    fn a_lost_message_is_sent_when_its_cause_is_set_again() {
        let mut interrupts = by_message();
        interrupts.lines.lose = 1;
        interrupts.queue_event(0, Direction::Rx);
        interrupts.settle(0);
        interrupts.settle(1);
        assert_eq!((sent(&interrupts, 0), interrupts.causes()), (0, 1));
        interrupts.set_causes(1);
        interrupts.settle(2);
        assert_eq!((sent(&interrupts, 0), interrupts.causes()), (1, 0));
    }

    /// Source: ixgbe_main.c, ixgbe_write_eitr: an interval in bits 3 to 11.
    #[test]
    fn moderation_holds_a_message_back() {
        let mut interrupts = by_message();
        interrupts.write_extended(Extended::AutoMask, 0, 0);
        interrupts.set_moderation(0, 10 << 3, 0);
        interrupts.queue_event(0, Direction::Rx);
        assert_eq!(interrupts.settle(0), None);
        interrupts.queue_event(0, Direction::Rx);
        assert_eq!(interrupts.settle(1), Some(20_000));
        assert_eq!(sent(&interrupts, 0), 1);
        assert_eq!(interrupts.settle(20_000), None);
        assert_eq!(sent(&interrupts, 0), 2);
    }

    /// Source: ixgbe_main.c, ixgbe_msix_other: reads EICS, and writes EICR to clear.
    #[test]
    fn other_causes_are_read_without_clearing() {
        let mut interrupts = by_message();
        interrupts.other_event(cause::LSC);
        interrupts.settle(0);
        assert_eq!(sent(&interrupts, 1), 1);
        assert_eq!(interrupts.causes(), cause::LSC);
        interrupts.clear_causes(cause::LSC);
        assert_eq!(interrupts.causes(), 0);
    }

    /// Source: ixgbe_type.h, `IXGBE_GPIE_OCD` (other clear disable).
    #[test]
    fn reading_eicr_leaves_the_queues_with_ocd() {
        let mut interrupts = by_message();
        interrupts.set_causes(1 | cause::LSC);
        assert_eq!(interrupts.read_causes(), 1 | cause::LSC);
        assert_eq!(interrupts.causes(), 1);
    }

    /// Source: ixgbe_main.c, ixgbe_irq_enable: what came while masked is told then.
    #[test]
    fn enabling_tells_what_is_pending() {
        let mut interrupts = by_message();
        interrupts.disable(!0);
        interrupts.queue_event(0, Direction::Rx);
        interrupts.settle(0);
        assert_eq!(sent(&interrupts, 0), 0);
        interrupts.enable(1);
        interrupts.settle(0);
        assert_eq!(sent(&interrupts, 0), 1);
    }

    #[test]
    fn vectors_above_15_have_their_own_bits() {
        let mut interrupts = by_message();
        interrupts.set_ivar(20, 0x00a8);
        interrupts.write_extended(Extended::AutoMask, 1, !0);
        interrupts.write_extended(Extended::Enable, 1, 1 << 8);
        interrupts.queue_event(40, Direction::Rx);
        interrupts.settle(0);
        assert_eq!(sent(&interrupts, 40), 1);
        assert_eq!(interrupts.enabled(), 1 | cause::LSC);
        assert_eq!(interrupts.read_extended(Extended::Enable, 1), 0);
    }

    /// Source: ixgbe_main.c, ixgbe_intr: EICR's read clears the causes and, by EIAM, masks them.
    #[test]
    fn the_line_stays_until_the_causes_are_read() {
        let mut interrupts = Interrupts::default();
        interrupts.configure(false, true);
        interrupts.set_ivar(0, 0x80);
        interrupts.set_auto_mask(cause::QUEUES);
        interrupts.enable(1);
        interrupts.queue_event(0, Direction::Rx);
        interrupts.settle(0);
        assert_eq!(interrupts.lines.raised, 1);
        interrupts.line_served();
        assert_eq!(interrupts.lines.raised, 2);
        assert_eq!(interrupts.read_causes(), 1);
        assert_eq!(interrupts.enabled(), 0);
        interrupts.line_served();
        assert_eq!(interrupts.lines.raised, 2);
    }
}
