// SPDX-License-Identifier: GPL-2.0

//! Descriptors of Intel's 1 and 10 Gbit/s controllers: encode and decode.
//!
//! All are two little-endian 64-bit words. The formats, from the public data sheets:
//!
//! - [`Legacy`] (8254x and later): transmit and receive;
//! - [`Extended`] (82571 and later): receive, with legacy transmit;
//! - [`Advanced`] (82575 and later, 82599 and later): transmit and receive.
//!
//! Command bits of a transmit descriptor stand at the same place in all of them, and so does the bit by which the NIC
//! says that it is done. Extended and advanced receive descriptors come back alike, but for the error bits of the
//! 10 Gbit/s controllers ([`Extended10G`]).

/// The second word of a transmit descriptor; the first one is the address of the data.
pub trait Transmit {
    /// What every data descriptor has.
    const DATA: u64;
    /// Where the length of the whole frame goes in the frame's first descriptor, if it is wanted there.
    const TOTAL_SHIFT: Option<u32>;
    /// Both words of a descriptor that sends nothing: a context that no data refers to.
    const NOTHING: [u64; 2];
    /// The longest frame that the hardware sends, without FCS, in bytes.
    const MAX_FRAME: u32;

    /// A descriptor that is a frame of its own, of `len` bytes.
    #[inline]
    fn whole(len: u16) -> u64 {
        Self::with_total(Self::DATA | TX_END | u64::from(len), u32::from(len))
    }

    /// A descriptor with `len` bytes of a frame, its last ones if `end`.
    #[inline]
    fn part(len: u16, end: bool) -> u64 {
        let end = if end { TX_END } else { 0 };
        Self::DATA | end | u64::from(len)
    }

    /// Completes the first descriptor of a frame by the length of the whole frame.
    #[inline]
    fn with_total(word: u64, total: u32) -> u64 {
        match Self::TOTAL_SHIFT {
            Some(shift) => word | (u64::from(total) << shift),
            None => word,
        }
    }
}

/// End of packet.
pub const TX_END: u64 = 1 << 24;
/// Insert the FCS.
const TX_FCS: u64 = 1 << 25;
/// Report: write the descriptor back when it is done, and interrupt.
pub const TX_REPORT: u64 = 1 << 27;
/// The descriptor is not a legacy one.
const TX_EXTENSION: u64 = 1 << 29;
/// Written by the NIC: the descriptor is done.
pub const TX_DONE: u64 = 1 << 32;

/// Bytes of an Ethernet header, without which there is no frame.
pub const TX_LEAST: u16 = 14;

/// Fewest bytes of a frame that the hardware pads to the Ethernet minimum by itself.
pub const TX_MIN_FRAME: u16 = 17;

/// What came back in the second word of a receive descriptor.
pub trait Receive {
    /// The descriptor holds data.
    const DONE: u64;
    /// It holds the last bytes of a frame.
    const END: u64;
    /// A VLAN tag was taken out of the frame.
    const TAG: u64;
    /// The frame is damaged: CRC, symbol, sequence, carrier extension or data error.
    const ERRORS: u64;
    /// Position of the length.
    const LENGTH_SHIFT: u32;
    /// A frame with an error that every driver drops without looking into it: what we write to move a driver on.
    const DAMAGED: u64;

    /// The bits to look at for [`Self::is_plain`], with buffers of `size` bytes, a power of two.
    fn checked(size: u32) -> u64 {
        let too_long = u64::from(!size.wrapping_sub(1) & 0xffff) << Self::LENGTH_SHIFT;
        Self::DONE | Self::END | Self::TAG | Self::ERRORS | too_long
    }

    /// Whether the word is that of a frame of one descriptor, shorter than its buffer, with nothing special about it.
    #[inline]
    fn is_plain(word: u64, checked: u64) -> bool {
        word & checked == Self::DONE | Self::END
    }

    /// Whether the NIC is done with the descriptor.
    #[inline]
    fn is_done(word: u64) -> bool {
        word & Self::DONE != 0
    }

    /// Bytes of data, FCS included unless the NIC strips it.
    #[inline]
    fn length(word: u64) -> u16 {
        low16(word >> Self::LENGTH_SHIFT)
    }

    /// The VLAN tag that was taken out: priority, drop eligibility, identifier.
    #[inline]
    fn tag(word: u64) -> u16 {
        low16(word >> 48)
    }
}

/// Bytes that a slot gets of the `rest` of a frame, where its descriptor says that `stored` are in its buffer of `size` bytes.
///
/// The hardware may write a descriptor again after it was looked at: no program is told of more than a buffer holds.
pub fn share_of_slot(rest: u32, stored: u16, size: u32) -> u16 {
    u16::try_from(rest.min(size))
        .unwrap_or(u16::MAX)
        .min(stored)
}

#[inline]
const fn low16(word: u64) -> u16 {
    let [low, high, ..] = word.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Frame errors among the error bits: all but those of the TCP and IP checksums.
const FRAME_ERRORS: u64 = 0x97;

/// The format of the 8254x.
pub struct Legacy;

impl Transmit for Legacy {
    const DATA: u64 = TX_FCS;
    const TOTAL_SHIFT: Option<u32> = None;
    const NOTHING: [u64; 2] = [0, TX_EXTENSION];
    const MAX_FRAME: u32 = 0x3f00;
}

impl Receive for Legacy {
    const DONE: u64 = 1 << 32;
    const END: u64 = 1 << 33;
    const TAG: u64 = 1 << 35;
    const ERRORS: u64 = FRAME_ERRORS << 40;
    const LENGTH_SHIFT: u32 = 0;
    const DAMAGED: u64 = Self::DONE | Self::END | (0x80 << 40) | 64;
}

/// The receive format of the 82571 to 82583, and what comes back in [`Advanced`].
pub struct Extended;

impl Receive for Extended {
    const DONE: u64 = 1;
    const END: u64 = 1 << 1;
    const TAG: u64 = 1 << 3;
    const ERRORS: u64 = FRAME_ERRORS << 24;
    const LENGTH_SHIFT: u32 = 32;
    const DAMAGED: u64 = Self::DONE | Self::END | (0x01 << 24) | (60 << 32);
}

/// What comes back in [`Advanced`] from the 82599 and its successors.
pub struct Extended10G;

impl Receive for Extended10G {
    const DONE: u64 = Extended::DONE;
    const END: u64 = Extended::END;
    const TAG: u64 = Extended::TAG;
    // CRC, length, packet, oversize, undersize. The two above them are those of checksums.
    const ERRORS: u64 = 0x3b << 24;
    const LENGTH_SHIFT: u32 = Extended::LENGTH_SHIFT;
    const DAMAGED: u64 = Extended::DAMAGED;
}

/// The format of the 82575 and the 82599 and their successors.
pub struct Advanced;

impl Transmit for Advanced {
    const DATA: u64 = TX_FCS | TX_EXTENSION | (3 << 20);
    const TOTAL_SHIFT: Option<u32> = Some(46);
    const NOTHING: [u64; 2] = [0, TX_EXTENSION | (2 << 20)];
    const MAX_FRAME: u32 = 0x2600;
}

/// Slots of a ring and descriptors of a hardware ring of equal size that started at some slot.
///
/// # Invariants
///
/// `origin < size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    origin: u32,
    size: u32,
}

impl Offset {
    /// Descriptor 0 is slot `origin` of a ring of `size` slots; [`None`] unless there is such a slot.
    pub const fn new(origin: u32, size: u32) -> Option<Self> {
        if origin < size {
            // INVARIANT: Checked.
            Some(Self { origin, size })
        } else {
            None
        }
    }

    /// The descriptor of slot `slot`; below the ring's size if `slot` is.
    #[inline]
    pub const fn descriptor(self, slot: u32) -> u32 {
        super::ring::distance(self.origin, slot, self.size)
    }

    /// The slot of descriptor `descriptor`; below the ring's size if `descriptor` is.
    #[inline]
    pub const fn slot(self, descriptor: u32) -> u32 {
        super::ring::add(self.origin, descriptor, self.size)
    }

    /// How many slots from `slot` on can be walked without a wrap of either ring, at most `count`.
    #[inline]
    pub const fn run(self, slot: u32, count: u32) -> u32 {
        let to_end = self.size.wrapping_sub(slot);
        let to_origin = self.size.wrapping_sub(self.descriptor(slot));
        let run = if count < to_end { count } else { to_end };
        if run < to_origin {
            run
        } else {
            to_origin
        }
    }
}
