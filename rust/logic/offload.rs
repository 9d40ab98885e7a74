// SPDX-License-Identifier: GPL-2.0

//! What a virtio-net header asks for, done for a port that has no such headers: checksums, and packets cut into frames.
//!
//! Nothing is copied here. The caller has the first bytes of the frame, and gives for each segment the bytes that stand in their
//! place; the rest of a segment is a part of the frame as it is.

use super::checksum::Sum;

/// Bytes of the header; with mergeable buffers two more follow, which say nothing here.
pub const HEADER: usize = 10;
/// How many bytes of a frame are looked at: as many as all headers together can have.
pub const FRONT: usize = ETHERNET + 2 * TAG + 60 + 60;
/// Most bytes that stand before the payload of a segment.
pub const MOST: usize = FRONT + FRAGMENT;
/// Fewest bytes of data that a sender may ask for in each segment: what TCP takes as the least of a path (`TCP_MIN_SND_MSS`).
const LEAST_SEGMENT: u32 = 48;

/// Bytes of the longest frame that packets are cut into, VLAN tags not counted.
pub const FRAME: u32 = 1514;

/// Bytes of an Ethernet header, of a VLAN tag, of the header of an IPv6 fragment, and of those of IPv6, TCP and UDP.
const ETHERNET: usize = 14;
const TAG: usize = 4;
const FRAGMENT: usize = 8;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_FRAGMENT: u8 = 44;

/// Flags and types of the header.
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_UDP: u8 = 3;
const GSO_TCPV6: u8 = 4;
const GSO_ECN: u8 = 0x80;

/// The header, or the packet behind it, is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader;

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    None,
    /// Bytes from `start` to the end are summed up, and the checksum put at `at`.
    Checksum {
        /// The first byte that counts.
        start: u32,
        /// Where the two bytes of the checksum are.
        at: u32,
    },
    /// It is cut.
    Segments(Segments),
}

/// How a frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Where the IP header begins.
    ip: usize,
    /// Where the TCP or UDP header begins.
    transport: usize,
    /// Where that is cut begins: the data of TCP, or the payload of IP, which begins with the UDP header.
    body: usize,
    /// Bytes of the frame.
    len: u32,
    /// Bytes of the body in each segment but the last.
    each: u32,
    is_v4: bool,
    is_tcp: bool,
}

/// Decides by the header what is to be done with a frame of `len` bytes, of which `front` are the first ones: all, or [`FRONT`].
pub fn plan(header: &[u8; HEADER], front: &[u8], len: u32) -> Result<Work, BadHeader> {
    let [flags, gso, _, _, size_low, size_high, start_low, start_high, at_low, at_high] = *header;
    let gso_size = u16::from_le_bytes([size_low, size_high]);
    if flags & !(NEEDS_CSUM | DATA_VALID) != 0 {
        return Err(BadHeader);
    }
    match gso & !GSO_ECN {
        GSO_NONE => {}
        kind @ (GSO_TCPV4 | GSO_TCPV6 | GSO_UDP) => {
            return Segments::new(kind, u32::from(gso_size), front, len).map(Work::Segments);
        }
        _ => return Err(BadHeader),
    }
    if flags & NEEDS_CSUM == 0 {
        return Ok(Work::None);
    }
    let start = u32::from(u16::from_le_bytes([start_low, start_high]));
    let at = start.saturating_add(u32::from(u16::from_le_bytes([at_low, at_high])));
    if at.saturating_add(2) > len {
        return Err(BadHeader);
    }
    Ok(Work::Checksum { start, at })
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, BadHeader> {
    bytes.get(at).copied().ok_or(BadHeader)
}

fn pair(bytes: &[u8], at: usize) -> Result<u16, BadHeader> {
    match bytes.get(at..at.saturating_add(2)) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(BadHeader),
    }
}

/// As many bytes of a frame as a length in memory.
fn to_u32(len: usize) -> u32 {
    // Sums of lengths of headers.
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Segments {
    fn new(kind: u8, gso_size: u32, front: &[u8], len: u32) -> Result<Self, BadHeader> {
        let mut ip = ETHERNET;
        let is_v4 = loop {
            match pair(front, ip.saturating_sub(2))? {
                0x8100 | 0x88a8 if ip < ETHERNET.saturating_add(2 * TAG) => {
                    ip = ip.saturating_add(TAG);
                }
                0x0800 => break true,
                0x86dd => break false,
                _ => return Err(BadHeader),
            }
        };
        let is_tcp = kind != GSO_UDP;
        let fits = match kind {
            GSO_TCPV4 => is_v4,
            GSO_TCPV6 => !is_v4,
            _ => true,
        };
        let first = byte(front, ip)?;
        let (version, protocol, header) = if is_v4 {
            let words = usize::from(first & 0xf);
            (
                4,
                byte(front, ip.saturating_add(9))?,
                words.saturating_mul(4),
            )
        } else {
            (6, byte(front, ip.saturating_add(6))?, IPV6)
        };
        let wanted = if is_tcp { PROTOCOL_TCP } else { PROTOCOL_UDP };
        if !fits || first >> 4 != version || header < 20 || protocol != wanted {
            return Err(BadHeader);
        }
        let transport = ip.saturating_add(header);
        let body = if is_tcp {
            let words = byte(front, transport.saturating_add(12))? >> 4;
            let bytes = usize::from(words).saturating_mul(4);
            if bytes < TCP {
                return Err(BadHeader);
            }
            transport.saturating_add(bytes)
        } else {
            transport
        };
        let least = if is_tcp {
            body
        } else {
            body.saturating_add(UDP)
        };
        // An IP packet has at most as many bytes.
        let packet = len.saturating_sub(to_u32(ip));
        if least > front.len() || packet > 65535 {
            return Err(BadHeader);
        }
        let tags = ip.saturating_sub(ETHERNET);
        let extra = if is_tcp || is_v4 { 0 } else { FRAGMENT };
        let before = body.saturating_add(extra).saturating_sub(tags);
        let most = FRAME.saturating_sub(to_u32(before));
        let wish = match gso_size {
            0 => most,
            // No stack asks for less, and there is work for each segment.
            size if size < LEAST_SEGMENT => return Err(BadHeader),
            size => size.min(most),
        };
        let each = if is_tcp {
            wish.max(1)
        } else {
            // Fragments but the last have a multiple of 8 bytes.
            (wish & !7).max(8)
        };
        Ok(Self {
            ip,
            transport,
            body,
            len,
            each,
            is_v4,
            is_tcp,
        })
    }

    /// Bytes that are cut.
    fn body_len(&self) -> u32 {
        self.len.saturating_sub(to_u32(self.body))
    }

    /// How many segments there are: one at least.
    pub fn count(&self) -> u32 {
        self.body_len().div_ceil(self.each.max(1)).max(1)
    }

    /// Where the body of a segment begins in that of the frame, and how many bytes it has.
    fn part(&self, index: u32) -> (u32, u32) {
        let from = index.saturating_mul(self.each).min(self.body_len());
        (from, self.each.min(self.body_len().saturating_sub(from)))
    }

    /// Bytes of the frame that segment `index` becomes.
    pub fn frame_len(&self, index: u32) -> u32 {
        let is_fragment = !self.is_tcp && !self.is_v4 && self.count() > 1;
        let extra = if is_fragment { FRAGMENT } else { 0 };
        let before = to_u32(self.body.saturating_add(extra));
        before.saturating_add(self.part(index).1)
    }

    fn is_last(&self, index: u32) -> bool {
        index.saturating_add(1) >= self.count()
    }

    /// Writes the bytes before the payload of segment `index`, for the `front` of the frame. Returns how many they are, and which
    /// bytes of the frame follow them: the first, and how many.
    ///
    /// `sum` adds up bytes of the frame, from the first one on, so many; `id` tells the fragments of an IPv6 packet from those of others.
    pub fn front(
        &self,
        front: &[u8],
        index: u32,
        id: u32,
        sum: impl FnMut(u32, u32) -> Sum,
        out: &mut [u8; MOST],
    ) -> Result<(usize, u32, u32), BadHeader> {
        if self.is_tcp {
            self.tcp_front(front, index, sum, out)
        } else {
            self.udp_front(front, index, id, sum, out)
        }
    }

    fn tcp_front(
        &self,
        front: &[u8],
        index: u32,
        mut sum: impl FnMut(u32, u32) -> Sum,
        out: &mut [u8; MOST],
    ) -> Result<(usize, u32, u32), BadHeader> {
        let (from, len) = self.part(index);
        let start = to_u32(self.body).saturating_add(from);
        put(out, 0, front.get(..self.body).ok_or(BadHeader)?)?;
        let header = self.body.saturating_sub(self.transport);
        let bytes = to_u32(header).saturating_add(len);
        self.ip_header(out, bytes, |number| {
            // Identifications count up, as a stack's do.
            number.wrapping_add((index & 0xffff) as u16)
        })?;
        let at = |offset: usize| self.transport.saturating_add(offset);
        let sequence = match out.get(at(4)..at(8)) {
            Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
            _ => return Err(BadHeader),
        };
        put(out, at(4), &sequence.wrapping_add(from).to_be_bytes())?;
        let mut flags = byte(out, at(13))?;
        if !self.is_last(index) {
            // FIN and PSH.
            flags &= !0x09;
        }
        if index > 0 {
            // CWR.
            flags &= !0x80;
        }
        put(out, at(13), &[flags])?;
        put(out, at(16), &[0, 0])?;
        let total = self
            .pseudo_header(out, PROTOCOL_TCP, bytes)?
            .plus(Sum::of(
                out.get(self.transport..self.body).ok_or(BadHeader)?,
            ))
            .plus(sum(start, len));
        put(out, at(16), &total.to_field())?;
        Ok((self.body, start, len))
    }

    fn udp_front(
        &self,
        front: &[u8],
        index: u32,
        id: u32,
        mut sum: impl FnMut(u32, u32) -> Sum,
        out: &mut [u8; MOST],
    ) -> Result<(usize, u32, u32), BadHeader> {
        let (from, len) = self.part(index);
        put(out, 0, front.get(..self.body).ok_or(BadHeader)?)?;
        let is_cut = self.count() > 1;
        let more = u16::from(!self.is_last(index));
        // A packet has at most 65535 bytes.
        let place = (from & 0xfff8) as u16;
        let mut end = self.body;
        if self.is_v4 {
            if is_cut {
                let word = (place >> 3) | (more << 13);
                put(out, self.ip.saturating_add(6), &word.to_be_bytes())?;
            }
            self.ip_header(out, len, |number| number)?;
        } else if is_cut {
            let [place_high, place_low] = (place | more).to_be_bytes();
            let [a, b, c, d] = id.to_be_bytes();
            put(out, self.ip.saturating_add(6), &[PROTOCOL_FRAGMENT])?;
            put(
                out,
                end,
                &[PROTOCOL_UDP, 0, place_high, place_low, a, b, c, d],
            )?;
            end = end.saturating_add(FRAGMENT);
            self.ip_header(out, len.saturating_add(to_u32(FRAGMENT)), |number| number)?;
        } else {
            self.ip_header(out, len, |number| number)?;
        }
        let start = to_u32(self.body).saturating_add(from);
        if index > 0 {
            return Ok((end, start, len));
        }
        // The first one has the UDP header, with the length and the checksum of the whole packet.
        let ports = self.transport..self.transport.saturating_add(4);
        put(out, end, front.get(ports).ok_or(BadHeader)?)?;
        let whole = self.body_len();
        let [_, _, high, low] = whole.to_be_bytes();
        put(out, end.saturating_add(4), &[high, low, 0, 0])?;
        let header = end..end.saturating_add(UDP);
        let data = to_u32(self.transport.saturating_add(UDP));
        let total = self
            .pseudo_header(out, PROTOCOL_UDP, whole)?
            .plus(Sum::of(out.get(header).ok_or(BadHeader)?))
            .plus(sum(data, self.len.saturating_sub(data)));
        put(out, end.saturating_add(6), &total.to_udp_field())?;
        let begin = to_u32(UDP).min(len);
        Ok((
            end.saturating_add(UDP),
            start.saturating_add(begin),
            len.saturating_sub(begin),
        ))
    }

    /// Sets what the IP header says of a payload of `bytes` bytes, and its identification.
    fn ip_header(
        &self,
        out: &mut [u8; MOST],
        bytes: u32,
        identify: impl Fn(u16) -> u16,
    ) -> Result<(), BadHeader> {
        let at = |offset: usize| self.ip.saturating_add(offset);
        if !self.is_v4 {
            let [_, _, high, low] = bytes.to_be_bytes();
            return put(out, at(4), &[high, low]);
        }
        let header = to_u32(self.transport.saturating_sub(self.ip));
        let [_, _, high, low] = bytes.saturating_add(header).to_be_bytes();
        put(out, at(2), &[high, low])?;
        let id = identify(pair(out, at(4))?);
        put(out, at(4), &id.to_be_bytes())?;
        put(out, at(10), &[0, 0])?;
        let sum = Sum::of(out.get(self.ip..self.transport).ok_or(BadHeader)?);
        put(out, at(10), &sum.to_field())
    }

    /// The sum of what TCP and UDP count beside their own header and data.
    fn pseudo_header(&self, out: &[u8; MOST], protocol: u8, bytes: u32) -> Result<Sum, BadHeader> {
        let (from, to) = if self.is_v4 { (12, 20) } else { (8, 40) };
        let addresses = out
            .get(self.ip.saturating_add(from)..self.ip.saturating_add(to))
            .ok_or(BadHeader)?;
        let [a, b, c, d] = bytes.to_be_bytes();
        Ok(Sum::of(addresses)
            .plus(Sum::of(&[a, b, c, d]))
            .plus(Sum::of(&[0, protocol])))
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), BadHeader> {
    let room = out
        .get_mut(at..at.saturating_add(bytes.len()))
        .ok_or(BadHeader)?;
    room.copy_from_slice(bytes);
    Ok(())
}
