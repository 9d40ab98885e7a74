// SPDX-License-Identifier: GPL-2.0

//! Packets between ports of a switch that differ: in the header that they have before a packet, or in the size of their buffers.
//!
//! A port without headers gets what its sender's header asks for done: the checksum is put in, and a packet that is longer than a frame
//! is cut. Two headers have their first 10 bytes in common. A port whose packets have a header gets one of zeros from a port that has
//! none: nothing is left to be done for such a packet.

use crate::{
    bindings,
    logic::{
        checksum::Sum,
        forwarding::{Addresses, ADDRESSES, SHORTEST},
        offload::{plan, Segments, Work, FRONT, HEADER, MOST}, //
    },
    ring::inbox::{Fragment, Inbox, NotDelivered},
    sys::{copy::copy_frame, softirq::Softirq}, //
};
use core::ptr::NonNull;

/// The fragments of a packet.
#[derive(Clone, Copy)]
struct Packet<'a>(&'a [Fragment]);

impl Packet<'_> {
    fn len(&self) -> u32 {
        self.0.iter().map(|it| u32::from(it.len())).sum()
    }

    /// Calls `visit` for each piece of `len` bytes from byte `offset` on: where it is, and how long; false if there are not as many.
    fn visit(&self, offset: u32, len: u32, mut visit: impl FnMut(NonNull<u8>, u32)) -> bool {
        let (mut skip, mut left) = (offset, len);
        for fragment in self.0 {
            if left == 0 {
                break;
            }
            let here = u32::from(fragment.len());
            if skip >= here {
                skip -= here;
                continue;
            }
            let piece = (here - skip).min(left);
            // SAFETY: It lies within the fragment.
            visit(unsafe { fragment.from().add(skip as usize) }, piece);
            left -= piece;
            skip = 0;
        }
        left == 0
    }

    /// Copies `len` bytes from byte `offset` on to `to`; false if there are not as many.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes.
    unsafe fn copy(&self, offset: u32, to: NonNull<u8>, len: u32) -> bool {
        let mut at = to;
        self.visit(offset, len, |from, len| {
            // SAFETY: Fragments can be read, and all pieces together have `len` bytes.
            unsafe {
                copy_frame(from.as_ptr(), at.as_ptr(), len as usize);
                at = at.add(len as usize);
            }
        })
    }

    /// The first bytes of it from `offset` on: as many as there is room for, or as there are. Returns how many.
    fn read(&self, offset: u32, to: &mut [u8]) -> usize {
        let len = (to.len() as u32).min(self.len().saturating_sub(offset));
        let Some(place) = NonNull::new(to.as_mut_ptr()) else {
            return 0;
        };
        // SAFETY: It is as long.
        if unsafe { self.copy(offset, place, len) } {
            len as usize
        } else {
            0
        }
    }

    /// The sum of `len` bytes from byte `offset` on.
    fn sum(&self, offset: u32, len: u32) -> Sum {
        let (mut sum, mut at) = (Sum::default(), 0);
        self.visit(offset, len, |from, len| {
            // SAFETY: Fragments can be read; a length fits.
            let raw = unsafe { bindings::netmap_checksum(from.as_ptr().cast(), len) };
            sum = sum.with_block(Sum::from_raw(raw), at);
            at += len;
        });
        sum
    }
}

/// The addresses of a packet with such a header; [`None`] if it is no frame. As in C netmap, header and addresses are in the first
/// fragment, or the header is all of that and the addresses are in the second.
pub(super) fn addresses(packet: &[Fragment], header: u32) -> Option<Addresses> {
    let first = packet.first()?;
    let offset = if u32::from(first.len()) > header {
        header
    } else {
        0
    };
    let holder = if offset == header {
        first
    } else {
        packet.get(1).filter(|_| u32::from(first.len()) == header)?
    };
    if u32::from(holder.len()).checked_sub(offset)? < SHORTEST {
        return None;
    }
    let mut bytes = [0; ADDRESSES as usize];
    Packet(core::slice::from_ref(holder)).read(offset, &mut bytes);
    Some(Addresses::from_bytes(bytes))
}

/// Delivers a packet with the header of `headers.1` in place of that of `headers.0`. If it has a bad header it is counted as an error of
/// the receiving ring. True if its sleepers are to be woken.
#[inline(never)]
pub(super) fn deliver(
    inbox: &Inbox,
    packet: &[Fragment],
    headers: (u32, u32),
    softirq: &Softirq,
) -> bool {
    match deliver_packet(inbox, Packet(packet), headers, softirq) {
        Ok(wake) => return wake,
        Err(Refused::Closed) => inbox.lost(1),
        Err(Refused::Bad) => inbox.damaged(),
    }
    false
}

/// Why a packet was not delivered.
enum Refused {
    Closed,
    Bad,
}

impl From<NotDelivered> for Refused {
    fn from(_: NotDelivered) -> Self {
        // It is put in as many slots as it needs.
        Self::Closed
    }
}

fn deliver_packet(
    inbox: &Inbox,
    packet: Packet<'_>,
    (from, to): (u32, u32),
    softirq: &Softirq,
) -> Result<bool, Refused> {
    let len = packet.len().checked_sub(from).ok_or(Refused::Bad)?;
    let mut head = Head::new();
    if from == to {
        return Ok(head.deliver(inbox, packet, 0, packet.len(), softirq)?);
    }
    if from == 0 || to != 0 {
        if let (Some(header), true) = (head.bytes.get_mut(..HEADER), from != 0) {
            packet.read(0, header);
        }
        // It was checked when it was set.
        head.len = to as usize;
        return Ok(head.deliver(inbox, packet, from, len, softirq)?);
    }
    let mut header = [0; HEADER];
    packet.read(0, &mut header);
    let mut bytes = [0; FRONT];
    let front = packet.read(from, &mut bytes);
    let front = bytes.get(..front).unwrap_or(&[]);
    match plan(&header, front, len).map_err(|_| Refused::Bad)? {
        Work::None => Ok(head.deliver(inbox, packet, from, len, softirq)?),
        Work::Checksum { start, at } => {
            let sum = packet.sum(from + start, len - start);
            // As the stack does it for UDP, where 0 is no checksum; to TCP both are the same.
            head.patch = Some((at, sum.to_udp_field()));
            Ok(head.deliver(inbox, packet, from, len, softirq)?)
        }
        Work::Segments(segments) => Ok(deliver_segments(
            inbox, packet, from, front, &segments, softirq,
        )?),
    }
}

/// Delivers all segments, if there is room for them: a receiver has no use for a part of them, and a sender that is not slowed down by
/// a full ring has no end.
fn deliver_segments(
    inbox: &Inbox,
    packet: Packet<'_>,
    offset: u32,
    front: &[u8],
    segments: &Segments,
    softirq: &Softirq,
) -> Result<bool, NotDelivered> {
    // SAFETY: Callable from any context.
    let id = unsafe { bindings::get_random_u32() };
    let mut head = Head::new();
    let mut body = 0;
    inbox.deliver_together(
        softirq,
        segments.count(),
        &|index| segments.frame_len(index),
        &mut |index, at, to, len| {
            if at == 0 {
                let sum = |from, len| packet.sum(offset + from, len);
                let Ok((end, from, _)) = segments.front(front, index, id, sum, &mut head.bytes)
                else {
                    return false;
                };
                head.len = end;
                body = offset + from;
            }
            // SAFETY: The inbox asks for bytes at an address that is valid for writes.
            unsafe { head.copy(packet, body, at, to, len) }
        },
    )
}

/// What stands before a part of a packet.
struct Head {
    bytes: [u8; MOST],
    len: usize,
    /// Two bytes of the part that are others: where, and which.
    patch: Option<(u32, [u8; 2])>,
}

impl Head {
    /// Nothing.
    fn new() -> Self {
        Self {
            bytes: [0; MOST],
            len: 0,
            patch: None,
        }
    }

    /// Delivers it with `len` bytes of the packet from byte `from` on behind it. True if sleepers are to be woken.
    fn deliver(
        &self,
        inbox: &Inbox,
        packet: Packet<'_>,
        from: u32,
        len: u32,
        softirq: &Softirq,
    ) -> Result<bool, NotDelivered> {
        // `MOST` at most.
        let before = self.len as u32;
        inbox.deliver_counted(softirq, before + len, &mut |offset, to, len| {
            // SAFETY: The inbox asks for bytes at an address that is valid for writes.
            unsafe { self.copy(packet, from, offset, to, len) }
        })
    }

    /// Copies `len` bytes from byte `offset` on, of what it and the packet from byte `from` on are together.
    ///
    /// # Safety
    ///
    /// `to` must be valid for writes of `len` bytes.
    unsafe fn copy(
        &self,
        packet: Packet<'_>,
        from: u32,
        offset: u32,
        to: NonNull<u8>,
        len: u32,
    ) -> bool {
        let rest = self
            .bytes
            .get(..self.len)
            .and_then(|head| head.get(offset as usize..))
            .unwrap_or(&[]);
        let own = rest.len().min(len as usize);
        // SAFETY: By the function's requirement; `own` is not more than there are here, nor than `len`.
        let copied = unsafe {
            to.as_ptr().copy_from_nonoverlapping(rest.as_ptr(), own);
            // What lies in front may fill the buffer, or more than one.
            let behind = (offset as usize + own).saturating_sub(self.len) as u32;
            own == len as usize || packet.copy(from + behind, to.add(own), len - own as u32)
        };
        if let Some((at, bytes)) = self.patch {
            for (place, byte) in (at..).zip(bytes) {
                let place = u64::from(place) + self.len as u64;
                if let Some(place) = place.checked_sub(offset.into()) {
                    if place < u64::from(len) {
                        // SAFETY: By the function's requirement.
                        unsafe { to.add(place as usize).write(byte) };
                    }
                }
            }
        }
        copied
    }
}
