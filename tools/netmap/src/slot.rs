// SPDX-License-Identifier: BSD-2-Clause
//! Slots that the program owns.

use crate::abi;
use crate::group::Label;
use crate::ring::Buffers;
use crate::ExtraBuf;
use core::ptr::{addr_of, addr_of_mut};

/// The error of an exchange of buffers between rings that do not share a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rings do not share a memory region")]
pub struct DifferentRegion;

/// A slot that the program owns.
///
/// # Invariants
///
/// `slot` is a slot of a ring whose view is borrowed for `'r`; no other value refers to it.
struct SlotView<'r> {
    slot: *mut abi::Slot,
    buffers: Buffers,
    label: &'r Label,
}

impl<'r> SlotView<'r> {
    /// # Safety
    ///
    /// The invariant of the type, for as long as `'r` lasts.
    #[inline(always)]
    unsafe fn new(slot: *mut abi::Slot, buffers: Buffers, label: &'r Label) -> Self {
        // INVARIANT: the caller's promise.
        SlotView {
            slot,
            buffers,
            label,
        }
    }

    #[inline(always)]
    fn buf_idx(&self) -> u32 {
        // SAFETY: by the invariant.
        unsafe { addr_of!((*self.slot).buf_idx).read_volatile() }
    }

    #[inline(always)]
    fn set_buf_idx(&mut self, idx: u32) {
        // SAFETY: by the invariant.
        unsafe {
            addr_of_mut!((*self.slot).buf_idx).write_volatile(idx);
            let flags = addr_of_mut!((*self.slot).flags);
            flags.write_volatile(flags.read_volatile() | abi::NS_BUF_CHANGED);
        }
    }

    #[inline(always)]
    fn len(&self) -> u16 {
        // SAFETY: by the invariant.
        unsafe { addr_of!((*self.slot).len).read_volatile() }
    }

    #[inline(always)]
    fn flags(&self) -> u16 {
        // SAFETY: by the invariant.
        unsafe { addr_of!((*self.slot).flags).read_volatile() }
    }

    #[inline(always)]
    fn set_flags(&mut self, flags: u16) {
        // SAFETY: by the invariant.
        unsafe { addr_of_mut!((*self.slot).flags).write_volatile(flags) }
    }

    /// Writes length and flags with one store.
    #[inline(always)]
    fn set(&mut self, len: u16, flags: u16) {
        let both = u32::from(len) | (u32::from(flags) << 16);
        let both = if cfg!(target_endian = "little") {
            both
        } else {
            both.rotate_left(16)
        };
        // SAFETY: by the invariant; the two fields are adjacent and, at offset 4 of a slot, aligned for `u32`.
        unsafe {
            addr_of_mut!((*self.slot).len)
                .cast::<u32>()
                .write_volatile(both)
        }
    }

    #[inline(always)]
    fn buf_ptr(&self) -> *mut u8 {
        self.buffers.at(self.buf_idx())
    }

    fn swap(&mut self, other: &mut SlotView<'_>) -> Result<(), DifferentRegion> {
        if !self.buffers.same_as(other.buffers) {
            return Err(DifferentRegion);
        }
        self.label.meet(other.label);
        let (mine, theirs) = (self.buf_idx(), other.buf_idx());
        self.set_buf_idx(theirs);
        other.set_buf_idx(mine);
        Ok(())
    }

    #[inline(always)]
    fn exchange(&mut self, extra: &mut ExtraBuf) -> Result<(), DifferentRegion> {
        if !self.buffers.same_as(extra.buffers()) {
            return Err(DifferentRegion);
        }
        self.label.meet(extra.label());
        let idx = extra.idx_mut();
        let mine = self.buf_idx();
        self.set_buf_idx(*idx);
        *idx = mine;
        Ok(())
    }
}

macro_rules! slot_methods {
    ($slot:ident) => {
        impl $slot<'_> {
            /// Length of the packet or fragment, as the slot states it, in octets.
            #[inline(always)]
            pub fn len(&self) -> u16 {
                self.0.len()
            }

            /// True if the slot states a length of 0.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// `NS_*` flags.
            #[inline(always)]
            pub fn flags(&self) -> u16 {
                self.0.flags()
            }

            /// Index of the slot's buffer.
            #[inline(always)]
            pub fn buf_idx(&self) -> u32 {
                self.0.buf_idx()
            }

            /// Address of the slot's buffer; valid for as many octets as the ring's `buf_size`.
            ///
            /// # Panics
            ///
            /// If another program has put a buffer index into the slot that is not in the region.
            #[inline(always)]
            pub fn buf_ptr(&self) -> *mut u8 {
                self.0.buf_ptr()
            }

            /// The whole buffer.
            ///
            /// # Panics
            ///
            /// As [`Self::buf_ptr`].
            #[inline(always)]
            pub fn buf_mut(&mut self) -> &mut [u8] {
                let size = self.0.buffers.size() as usize;
                // SAFETY: `buf_ptr` is valid for `size` octets. The slot is the program's, and its buffer is in no
                // other slot of this process: indices only ever move by exchange, and the kernel gives the buffer to no
                // other ring, for the group of the view's member has the files open that it belongs to. What the crate's
                // documentation assumes of other programs is that they have put no other index here, and that the ring, if
                // they had it in use before it was bound here, was left to them in order. And `self` is borrowed.
                unsafe { core::slice::from_raw_parts_mut(self.0.buf_ptr(), size) }
            }

            /// Exchanges the slot's buffer for an extra one.
            ///
            /// # Errors
            ///
            /// [`DifferentRegion`]; nothing has changed then.
            pub fn swap_extra(&mut self, extra: &mut ExtraBuf) -> Result<(), DifferentRegion> {
                self.0.exchange(extra)
            }
        }
    };
}

/// A free slot of a transmit ring.
pub struct TxSlot<'r>(SlotView<'r>);

/// A slot of a receive ring that holds a packet.
pub struct RxSlot<'r>(SlotView<'r>);

slot_methods!(TxSlot);
slot_methods!(RxSlot);

impl<'r> TxSlot<'r> {
    /// # Safety
    ///
    /// `slot` must be a slot of a ring with these buffers, of a member with this label, which the program owns, and which nothing
    /// else refers to while the value lives.
    #[inline(always)]
    pub(crate) unsafe fn new(slot: *mut abi::Slot, buffers: Buffers, label: &'r Label) -> Self {
        // SAFETY: as the caller promises.
        TxSlot(unsafe { SlotView::new(slot, buffers, label) })
    }
}

impl TxSlot<'_> {
    /// Sets the packet's length, in octets, and the slot's flags.
    #[inline(always)]
    pub fn set(&mut self, len: u16, flags: u16) {
        self.0.set(len, flags);
    }

    /// Copies `packet` to the buffer and sets the slot's length; flags become 0.
    ///
    /// # Panics
    ///
    /// If the packet is longer than the buffer, and as [`Self::buf_ptr`].
    #[inline(always)]
    pub fn write(&mut self, packet: &[u8]) {
        self.buf_mut()[..packet.len()].copy_from_slice(packet);
        // A buffer is no longer than 65535 octets, as far as a slot's length can tell.
        self.set(packet.len() as u16, 0);
    }

    /// Has a switch take the packet from the program's memory ([`abi::NS_INDIRECT`]) in place of the buffer, when the slot is passed
    /// on; flags are set as well. Other ports send what the buffer has in it.
    ///
    /// # Safety
    ///
    /// `packet` must be valid for reads of `len` octets, and they must not change, until the kernel has taken the slot: until
    /// [`crate::TxRing::pending`] does not count it any more.
    #[inline(always)]
    pub unsafe fn set_indirect(&mut self, packet: *const u8, len: u16, flags: u16) {
        // SAFETY: by the invariant.
        unsafe {
            addr_of_mut!((*self.0.slot).ptr).write_volatile(packet.expose_provenance() as u64);
        }
        self.set(len, flags | abi::NS_INDIRECT);
    }

    /// Exchanges buffers with a received slot: the packet goes out without a copy, its length as received.
    ///
    /// # Errors
    ///
    /// [`DifferentRegion`]; nothing has changed then.
    #[inline(always)]
    pub fn swap(&mut self, received: &mut RxSlot<'_>) -> Result<(), DifferentRegion> {
        self.0.swap(&mut received.0)?;
        self.set(received.len(), abi::NS_BUF_CHANGED);
        Ok(())
    }

    /// Passes a received slot on, with its length and its [`abi::NS_MOREFRAG`]: the two exchange buffers if their rings
    /// share a region, else the packet is copied. Returns whether it went without a copy.
    ///
    /// # Panics
    ///
    /// If the packet must be copied and is longer than the buffer, see [`crate::TxRing::takes_from`]; and as
    /// [`Self::buf_ptr`].
    #[inline(always)]
    pub fn forward(&mut self, received: &mut RxSlot<'_>) -> bool {
        let more = received.flags() & abi::NS_MOREFRAG;
        if self.0.swap(&mut received.0).is_ok() {
            self.set(received.len(), more | abi::NS_BUF_CHANGED);
            return true;
        }
        let packet = received.packet();
        self.write(packet);
        // No longer than the buffer, whose length 16 bits hold as far as a slot can tell.
        self.set(packet.len() as u16, more);
        false
    }
}

impl<'r> RxSlot<'r> {
    /// # Safety
    ///
    /// As for [`TxSlot::new`].
    #[inline(always)]
    pub(crate) unsafe fn new(slot: *mut abi::Slot, buffers: Buffers, label: &'r Label) -> Self {
        // SAFETY: as the caller promises.
        RxSlot(unsafe { SlotView::new(slot, buffers, label) })
    }
}

impl RxSlot<'_> {
    /// The packet, or a fragment of it if [`abi::NS_MOREFRAG`] is set.
    ///
    /// # Panics
    ///
    /// As [`Self::buf_ptr`].
    #[inline(always)]
    pub fn packet(&self) -> &[u8] {
        let len = u32::from(self.len()).min(self.0.buffers.size());
        // SAFETY: `buf_ptr` is valid for the buffer's size, which `len` does not exceed; see `buf_mut` for aliases.
        unsafe { core::slice::from_raw_parts(self.0.buf_ptr(), len as usize) }
    }

    /// Asks to pass the packet on to the other side (NIC or host) when the slot is given back.
    ///
    /// The ring needs [`abi::NR_FORWARD`].
    pub fn forward(&mut self) {
        let flags = self.0.flags() | abi::NS_FORWARD;
        self.0.set_flags(flags);
    }
}
