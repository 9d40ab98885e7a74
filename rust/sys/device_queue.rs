// SPDX-License-Identifier: GPL-2.0

//! A transmit queue of a network device, as its driver offers it to the stack.

use super::netdev::NetDev;
use crate::bindings;

/// What a queue does with a packet now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueState {
    /// It takes it.
    Open,
    /// It takes none, and no event tells when it does again.
    Full,
    /// It takes none until the interface is up and has a carrier, which is an event of the device.
    Closed,
}

/// A transmit queue of a device.
#[derive(Clone)]
pub struct DeviceQueue {
    dev: NetDev,
    index: u16,
}

impl DeviceQueue {
    /// The queue of this number, which the device may not have at the moment.
    pub fn new(dev: NetDev, index: u16) -> Self {
        Self { dev, index }
    }

    /// What it does with a packet now.
    #[inline]
    pub fn state(&self) -> QueueState {
        // SAFETY: The device is valid; there need not be such a queue.
        match unsafe { bindings::netmap_tx_state(self.dev.as_ptr(), self.index) } {
            bindings::netmap_tx_state_NETMAP_TX_OPEN => QueueState::Open,
            bindings::netmap_tx_state_NETMAP_TX_CLOSED => QueueState::Closed,
            _ => QueueState::Full,
        }
    }

    /// Hands packets to the driver as far as it takes them; how many it took is returned. In process context.
    ///
    /// # Safety
    ///
    /// Each packet is a complete one for this queue, with a reference that is given away with those that are taken. There is one
    /// more, which the caller keeps, only if the device lets others share its packets. Or it is to be made of a page with a
    /// reference that is given away likewise, in which the frame begins behind `headroom` bytes, which nobody else reads, with room for
    /// at least 60 and for what the kernel has at the end of a packet; then there may be a packet in place of the page afterwards.
    /// Either all are packets or all are pages.
    #[inline]
    pub unsafe fn send(&self, packets: &mut [bindings::netmap_packet], headroom: u32) -> usize {
        if packets.is_empty() {
            return 0;
        }
        let count = packets.len() as u32;
        // SAFETY: By the requirement, of as many packets.
        let taken = unsafe {
            let (dev, packets) = (self.dev.as_ptr(), packets.as_mut_ptr());
            bindings::netmap_tx_send(dev, self.index, packets, count, headroom)
        };
        taken as usize
    }

    /// Makes a packet for this queue complete, whose frame of `len` bytes is at its data.
    ///
    /// # Safety
    ///
    /// The packet is the caller's alone, linear and not cloned. Behind its data there is room for `len` bytes, at least the
    /// 14 of a header, and for 60.
    #[inline]
    pub unsafe fn finish(&self, skb: *mut bindings::sk_buff, len: u32) {
        // SAFETY: By the requirement; the device is valid.
        unsafe { bindings::netmap_tx_finish(skb, self.dev.as_ptr(), self.index, len) };
    }

    /// Copies whole frames to what is kept as long as that is not in use, and makes them complete for this queue, as `netmap_tx_reuse`
    /// and [`Self::finish`] do, or `netmap_tx_page_data` and `netmap_get_page`; how many.
    ///
    /// # Safety
    ///
    /// The caller has a reference to each entry of `kept`, of which there are as many as its mask says; from the first one on they are
    /// packets or pages, as the caller said. It has room for `bytes` bytes of each packet behind the headroom, at least 60. Both
    /// that room and the memory at `from` of each packet are aligned to a cache line, and go on to the end of one.
    #[inline]
    pub unsafe fn copy(
        &self,
        kept: &mut bindings::netmap_kept,
        packets: &mut [bindings::netmap_packet],
    ) -> usize {
        let (count, packets) = (packets.len() as u32, packets.as_mut_ptr());
        // SAFETY: By the requirement, for as many packets; the device is valid.
        let copied = unsafe {
            bindings::netmap_tx_copy(self.dev.as_ptr(), self.index, kept, packets, count)
        };
        copied as usize
    }

    /// The longest frame of the device.
    #[inline]
    pub fn longest(&self) -> u32 {
        self.dev.longest_frame()
    }

    /// How many bytes the device wants free before a frame; a multiple of a cache line.
    #[inline]
    pub fn headroom(&self) -> u32 {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_tx_headroom(self.dev.as_ptr()) }
    }

    /// How many bytes the device wants free behind a frame.
    pub fn tailroom(&self) -> u32 {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_tx_tailroom(self.dev.as_ptr()) }
    }

    /// Whether whoever hands it a packet may keep a reference to it, and leave it as it is until the driver has let go of its
    /// own.
    pub fn may_share(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::netmap_tx_may_share(self.dev.as_ptr()) }
    }

    /// How many packets its driver has room for, as far as that is known.
    pub fn ring_size(&self, _rtnl: &super::rtnl::Rtnl) -> Option<u32> {
        let (mut tx, mut rx) = (0, 0);
        // SAFETY: The device is valid, and the RTNL mutex is held.
        let error =
            unsafe { bindings::netmap_ring_sizes(self.dev.as_ptr(), &raw mut tx, &raw mut rx) };
        (error == 0).then_some(tx)
    }
}
