// SPDX-License-Identifier: BSD-2-Clause
//! The packets: where they are copied from when sending, and to when receiving.
//!
//! Every interface under test copies each packet with the functions here, so that this cost is the same for all.
//! The frame length is a compile-time constant where it is 60, and 0 stands for one that is known at run time.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::ptr;
use frame::{Mac, TooShort, Udp};

/// Largest frame, and the room that a copy of one may need.
pub const MAX_LEN: usize = 2048;

/// Smallest frame: the sequence number ends there.
pub const MIN_LEN: usize = SEQUENCE + 8;

/// Where the sequence number is: eight octets, aligned if the frame is.
const SEQUENCE: usize = 48;

/// Where the UDP destination port is, and the one that the first flow has.
const PORT: usize = 36;
const FIRST_PORT: u16 = 9000;

/// What marks our frames, at the start of the payload.
const MAGIC: [u8; 6] = *b"nmbnch";

/// A frame's room, aligned as rings align theirs.
#[repr(C, align(64))]
struct Room([u8; MAX_LEN]);

/// Copies a frame: four overlapping moves of 16 octets for 60, `len` octets otherwise.
///
/// Reads are volatile, or the compiler would keep a constant frame in registers and copy nothing.
///
/// # Safety
///
/// `from` must be valid for reads and `to` for writes of `max(LEN, len)` octets; they must not overlap.
#[inline(always)]
pub unsafe fn copy<const LEN: usize>(from: *const u8, to: *mut u8, len: usize) {
    if LEN == 60 {
        for at in [0, 16, 32, 44] {
            // SAFETY: `at + 16 <= 60`; the caller's promise.
            unsafe { move16(from.add(at), to.add(at)) };
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
    }
}

/// # Safety
///
/// As [`copy`], for 16 octets.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn move16(from: *const u8, to: *mut u8) {
    use core::arch::x86_64::{__m128i, _mm_storeu_si128};

    /// For reads at any address.
    #[derive(Clone, Copy)]
    #[repr(C, packed)]
    struct Unaligned(__m128i);

    // SAFETY: the caller's promise; neither access needs alignment.
    unsafe {
        let octets = from.cast::<Unaligned>().read_volatile();
        _mm_storeu_si128(to.cast(), octets.0);
    }
}

/// # Safety
///
/// As [`copy`], for 16 octets.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn move16(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        to.cast::<u128>()
            .write_unaligned(from.cast::<u128>().read_unaligned())
    };
}

/// Where frames come from.
pub struct Source<const LEN: usize> {
    frame: Box<Room>,
    /// What every other frame is copied from, if not from the same.
    other: Option<Box<Room>>,
    len: usize,
    /// Sequence number of the next frame.
    pub next: u64,
    /// Frames that there will be.
    pub total: u64,
}

impl<const LEN: usize> Source<LEN> {
    /// `total` frames of `len` octets between two link addresses.
    ///
    /// # Errors
    ///
    /// [`TooShort`] if `len` is not in `MIN_LEN..=MAX_LEN`.
    ///
    /// # Panics
    ///
    /// If `LEN` is neither 0 nor `len`.
    pub fn new(src_mac: Mac, dst_mac: Mac, len: usize, total: u64) -> Result<Self, TooShort> {
        assert!(LEN == 0 || LEN == len);
        if !(MIN_LEN..=MAX_LEN).contains(&len) {
            return Err(TooShort);
        }
        let udp = Udp {
            src_mac,
            dst_mac,
            src: "10.99.0.1:9000".parse().expect("an address"),
            dst: SocketAddrV4::new(Ipv4Addr::new(10, 99, 0, 2), FIRST_PORT).into(),
        };
        let mut made = udp.frame(len, b"benchmark ")?;
        made[42..48].copy_from_slice(&MAGIC);
        // No UDP checksum: the sequence number changes in every frame.
        made[40..42].fill(0);
        let mut frame = Box::new(Room([0; MAX_LEN]));
        frame.0[..len].copy_from_slice(&made);
        Ok(Source {
            frame,
            other: None,
            len,
            next: 0,
            total,
        })
    }

    /// Makes the next frames those of flow number `flow`: another UDP port each.
    #[inline(always)]
    pub fn set_flow(&mut self, flow: u16) {
        self.frame.0[PORT..PORT + 2].copy_from_slice(&(FIRST_PORT + flow).to_be_bytes());
    }

    /// Has every other frame come from another link address, `src_mac`.
    pub fn alternate(&mut self, src_mac: Mac) {
        let mut other = Box::new(Room(self.frame.0));
        other.0[6..12].copy_from_slice(&src_mac.0);
        self.other = Some(other);
    }

    /// Octets per frame.
    #[inline(always)]
    pub fn len(&self) -> usize {
        if LEN == 0 {
            self.len
        } else {
            LEN
        }
    }

    /// The frame to copy from: [`Self::len`] octets.
    #[inline(always)]
    pub fn frame(&self) -> *const u8 {
        self.frame.0.as_ptr()
    }

    /// The frames to copy from in turn, if they alternate: what [`Self::frame`] returns, and another one as long.
    #[inline(always)]
    pub fn alternating(&self) -> Option<[*const u8; 2]> {
        let other = self.other.as_ref()?;
        Some([self.frame(), other.0.as_ptr()])
    }

    /// Writes the next frame.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `self.len()` octets.
    #[inline(always)]
    pub unsafe fn put(&mut self, to: *mut u8) {
        // SAFETY: the room holds `len` octets; the caller's promise.
        unsafe { put::<LEN>(self.frame(), to, self.len, self.next) };
        self.next += 1;
    }
}

/// Copies a frame and writes its sequence number.
///
/// # Safety
///
/// As [`copy`], and `len` at least [`MIN_LEN`].
#[inline(always)]
pub unsafe fn put<const LEN: usize>(from: *const u8, to: *mut u8, len: usize, sequence: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        copy::<LEN>(from, to, len);
        to.add(SEQUENCE).cast::<u64>().write_unaligned(sequence);
    }
}

/// Where frames go to, and what they turned out to be.
pub struct Sink<const LEN: usize> {
    room: Box<Room>,
    /// Sequence number that is due.
    pub expected: u64,
    /// Frames received.
    pub frames: u64,
    /// Sequence numbers left out.
    pub lost: u64,
    /// Frames with a number below the one that was due.
    pub late: u64,
    /// Frames of somebody else.
    pub foreign: u64,
}

impl<const LEN: usize> Default for Sink<LEN> {
    fn default() -> Self {
        Sink {
            room: Box::new(Room([0; MAX_LEN])),
            expected: 0,
            frames: 0,
            lost: 0,
            late: 0,
            foreign: 0,
        }
    }
}

impl<const LEN: usize> Sink<LEN> {
    /// The room to copy to: [`MAX_LEN`] octets.
    #[inline(always)]
    pub fn room(&mut self) -> *mut u8 {
        self.room.0.as_mut_ptr()
    }

    /// Takes a received frame of `len` octets.
    ///
    /// # Safety
    ///
    /// `from` must be valid for reads of `max(len, 60)` octets.
    #[inline(always)]
    pub unsafe fn take(&mut self, from: *const u8, len: usize) {
        let to = self.room();
        // SAFETY: the caller's promise; the room holds `MAX_LEN` octets.
        let sequence = unsafe { take::<LEN>(from, to, len) };
        self.frames += 1;
        let due = self.expected;
        self.expected = due + 1;
        if sequence != due {
            self.expected = self.unexpected(due);
        }
    }

    /// Frames of ours received.
    pub fn packets(&self) -> u64 {
        self.frames - self.foreign
    }

    /// Looks into a frame, already in the room, that has not the number `due`; returns the one due next.
    #[cold]
    #[inline(never)]
    pub fn unexpected(&mut self, due: u64) -> u64 {
        let frame = &self.room.0;
        if frame[42..48] != MAGIC {
            self.foreign += 1;
            return due;
        }
        let mut octets = [0; 8];
        octets.copy_from_slice(&frame[SEQUENCE..SEQUENCE + 8]);
        let sequence = u64::from_le_bytes(octets);
        if sequence < due {
            self.late += 1;
            return due;
        }
        self.lost += sequence - due;
        sequence + 1
    }
}

/// Copies a frame to the room `to` and returns its sequence number.
///
/// # Safety
///
/// `from` must be valid for reads of `max(len, 60)` octets, `to` for writes of [`MAX_LEN`].
#[inline(always)]
pub unsafe fn take<const LEN: usize>(from: *const u8, to: *mut u8, len: usize) -> u64 {
    // SAFETY: the caller's promise; longer frames are cut.
    unsafe {
        copy::<LEN>(from, to, len.min(MAX_LEN));
        to.add(SEQUENCE).cast::<u64>().read_volatile()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source<const LEN: usize>(len: usize) -> Source<LEN> {
        Source::new(Mac([2; 6]), Mac::BROADCAST, len, 9)
            .ok()
            .unwrap()
    }

    fn exchange<const LEN: usize>(len: usize) {
        let mut source = source::<LEN>(len);
        let mut sink = Sink::<LEN>::default();
        let mut wire = [0u8; MAX_LEN];
        for _ in 0..3 {
            // SAFETY: `wire` is as long as any frame.
            unsafe {
                source.put(wire.as_mut_ptr());
                sink.take(wire.as_ptr(), source.len());
            }
        }
        assert_eq!(
            (sink.packets(), sink.expected, sink.lost, sink.foreign),
            (3, 3, 0, 0)
        );
        assert_eq!(sink.room.0[..len], wire[..len]);
        assert_eq!(sink.room.0[..42], source.frame.0[..42]);
        assert_eq!(wire[len..], [0; MAX_LEN][len..]);
    }

    #[test]
    fn what_is_put_is_taken() {
        exchange::<60>(60);
        exchange::<0>(60);
        exchange::<0>(1514);
    }

    #[test]
    fn gaps_repeats_and_strangers_are_told_apart() {
        let mut source = source::<60>(60);
        let mut sink = Sink::<60>::default();
        let mut wire = [0u8; MAX_LEN];
        for sequence in [0, 3, 1, 4] {
            source.next = sequence;
            // SAFETY: `wire` is as long as any frame.
            unsafe {
                source.put(wire.as_mut_ptr());
                sink.take(wire.as_ptr(), 60);
            }
        }
        // SAFETY: as above.
        unsafe { sink.take([0xaa; MAX_LEN].as_ptr(), 60) };
        assert_eq!(
            (sink.packets(), sink.lost, sink.late, sink.foreign),
            (4, 2, 1, 1)
        );
        assert_eq!(sink.expected, 5);
    }

    #[test]
    fn alternating_frames_differ_in_their_source() {
        let mut source = source::<60>(60);
        assert!(source.alternating().is_none());
        source.alternate(Mac([4; 6]));
        let [one, other] = source.alternating().unwrap().map(|frame| {
            // SAFETY: Each has as many octets.
            unsafe { core::slice::from_raw_parts(frame, 60) }
        });
        assert_eq!((&one[..6], &one[12..]), (&other[..6], &other[12..]));
        assert_eq!((&one[6..12], &other[6..12]), (&[2; 6][..], &[4; 6][..]));
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for len in [0, MIN_LEN - 1, MAX_LEN + 1] {
            assert!(Source::<0>::new(Mac([2; 6]), Mac::BROADCAST, len, 9).is_err());
        }
    }
}
