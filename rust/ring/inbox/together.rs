// SPDX-License-Identifier: GPL-2.0

//! Packets that are parts of one: the receiver gets all of them, or none.

use super::{Inbox, NotDelivered};
use crate::{ring::counters::Counters, sys::softirq::Softirq};
use core::ptr::NonNull;

impl Inbox {
    /// Delivers `count` packets, whose lengths `len_of` tells by their numbers, if there is room for all; if there is none they count as
    /// one drop of the ring, and if there never will be, or one of them cannot be had, as one error.
    ///
    /// `copy` is called as by [`Self::deliver_counted`], with the number of the packet before the rest. True if [`Self::wake`] is to be
    /// called afterwards.
    pub(crate) fn deliver_together(
        &self,
        softirq: &Softirq,
        count: u32,
        len_of: &dyn Fn(u32) -> u32,
        copy: &mut dyn FnMut(u32, u32, NonNull<u8>, u32) -> bool,
    ) -> Result<bool, NotDelivered> {
        let mut producer = self.lock(softirq);
        let Some(opened) = &mut *producer else {
            return Err(NotDelivered::Closed);
        };
        let size = opened.longest;
        let slots: u32 = (0..count)
            .map(|number| len_of(number).div_ceil(size).max(1))
            .sum();
        if slots > opened.half.most() {
            return Ok(self.impossible());
        }
        if !opened.half.has_room(&self.halves, slots) {
            return Ok(self.full());
        }
        let (mut packets, mut bytes) = (0, 0);
        for number in 0..count {
            let len = len_of(number);
            let mut copy = |offset, to, len| copy(number, offset, to, len);
            if !self.put_in_parts(opened, len, true, &mut copy) {
                break;
            }
            packets += 1;
            bytes += u64::from(len);
        }
        Counters::add(&self.kring.counters.packets, packets);
        Counters::add(&self.kring.counters.bytes, bytes);
        Ok(packets != 0 && opened.half.publish(&self.halves))
    }
}
