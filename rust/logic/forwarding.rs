// SPDX-License-Identifier: GPL-2.0

//! Where a switch sends a frame: the table of addresses that it has learnt, and what follows from it.
//!
//! Senders on all processors learn and look up at the same time, without a lock. An entry is one word, so that an address never
//! comes with the port of another one; when it was last seen is a word of its own, and if a sender gets that of another address, it
//! takes an entry for too old that is not, or the other way round, once: the frame is flooded, or goes where the address was.

use super::{
    atomic::{AtomicU32, AtomicU64, Ordering},
    errno, //
};
use core::ops::Deref;

/// Bytes of the two addresses, with which a frame begins.
pub const ADDRESSES: u32 = 12;
/// Bytes of an Ethernet header: what is shorter is no frame.
pub const SHORTEST: u32 = 14;
/// Most ports of a switch, as C netmap has it.
pub const MAX_PORTS: u32 = 254;
/// Fewest addresses that a switch remembers.
pub const MIN_ADDRESSES: u32 = 1024;
/// Most addresses that a switch remembers.
pub const MAX_ADDRESSES: u32 = 1 << 20;

/// How many entries an address can be in.
const WAYS: usize = 4;
/// Of an address as a number, whose lowest byte is the first on the wire: set for a group.
const GROUP: u64 = 1;
/// The bits of an address.
const ADDRESS: u64 = 0xffff_ffff_ffff;
/// Bits of a word below its address: the port, one more than its number.
const PORT_BITS: u32 = 16;

/// Seconds since something was seen. None if that was later: another processor's clock is read at another moment.
#[inline]
const fn silence(seen: u32, now: u32) -> u32 {
    let age = now.wrapping_sub(seen);
    if age > u32::MAX / 2 {
        0
    } else {
        age
    }
}

/// The two addresses of a frame, as the wire has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Bytes 0 to 7.
    pub first: u64,
    /// Bytes 8 to 11.
    pub rest: u32,
}

impl Addresses {
    /// Those with which a frame begins.
    pub const fn from_bytes(bytes: [u8; ADDRESSES as usize]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            first: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            rest: u32::from_le_bytes([i, j, k, l]),
        }
    }

    /// Whom the frame is for.
    #[inline]
    pub const fn destination(self) -> u64 {
        self.first & ADDRESS
    }

    /// Who has sent it.
    #[inline]
    pub const fn source(self) -> u64 {
        // Widening, which `From` cannot do in a const fn.
        (self.first >> 48) | ((self.rest as u64) << 16)
    }
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nowhere.
    Drop,
    /// To the port of this number, if there is one.
    Port(u8),
    /// To all ports but the one that it came from.
    Flood,
}

/// An entry of a [`ForwardingTable`].
#[derive(Debug, Default)]
pub struct Entry {
    /// Address and port, or 0.
    word: AtomicU64,
    /// When the address was last seen.
    seen: AtomicU32,
}

impl Entry {
    /// One without an address.
    pub const fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            seen: AtomicU32::new(0),
        }
    }
}

/// The addresses that a switch has learnt, in as many entries as `E` has.
///
/// # Invariants
///
/// `E` has `WAYS << bits` entries.
pub struct ForwardingTable<E> {
    entries: E,
    bits: u32,
    /// Seconds after which an address is forgotten that has sent nothing; 0 for never.
    ageing: u32,
}

/// How many entries a table for this many addresses has.
pub const fn table_size(addresses: u32) -> u32 {
    let clamped = if addresses < MIN_ADDRESSES {
        MIN_ADDRESSES
    } else if addresses > MAX_ADDRESSES {
        MAX_ADDRESSES
    } else {
        addresses
    };
    // It is far below the largest power of two.
    clamped.next_power_of_two()
}

impl<E: Deref<Target = [Entry]>> ForwardingTable<E> {
    /// An empty table. [`None`] if the number of entries is not one of [`table_size`].
    pub fn new(entries: E, ageing: u32) -> Option<Self> {
        let count = entries.len();
        if !count.is_power_of_two() || count < MIN_ADDRESSES as usize {
            return None;
        }
        let bits = (count / WAYS).checked_ilog2()?;
        // INVARIANT: It is a power of two.
        Some(Self {
            entries,
            bits,
            ageing,
        })
    }

    /// The entries in which an address can be.
    #[inline]
    fn set(&self, address: u64) -> &[Entry] {
        let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The high half is the better one.
        let [.., a, b, c, d] = hash.to_le_bytes();
        let high = u32::from_le_bytes([a, b, c, d]);
        let number = high.wrapping_shr(u32::BITS.wrapping_sub(self.bits));
        let first = (number as usize).wrapping_mul(WAYS);
        // By the type's invariant they are there.
        self.entries
            .get(first..first.wrapping_add(WAYS))
            .unwrap_or(&[])
    }

    /// Whether what was seen at `seen` is too old at `now`.
    #[inline]
    fn is_old(&self, seen: u32, now: u32) -> bool {
        self.ageing != 0 && silence(seen, now) > self.ageing
    }

    /// The port at which an address was last seen.
    #[inline]
    pub fn find(&self, address: u64, now: u32) -> Option<u8> {
        for entry in self.set(address) {
            let word = entry.word.load(Ordering::Relaxed);
            if word.wrapping_shr(PORT_BITS) != address {
                continue;
            }
            let Some(port) = port_of(word) else { continue };
            return (!self.is_old(entry.seen.load(Ordering::Relaxed), now)).then_some(port);
        }
        None
    }

    /// Notes that an address was seen at a port. Most frames are of an address that has been seen there a moment ago: then nothing is
    /// written. Says whether it is found there only now.
    #[inline]
    pub fn learn(&self, address: u64, port: u8, now: u32) -> bool {
        let wanted = word_of(address, port);
        for entry in self.set(address) {
            let word = entry.word.load(Ordering::Relaxed);
            let is_known = word == wanted;
            if is_known || word.wrapping_shr(PORT_BITS) == address && port_of(word).is_some() {
                if !is_known {
                    entry.word.store(wanted, Ordering::Relaxed);
                }
                let seen = entry.seen.load(Ordering::Relaxed);
                if seen == now {
                    return !is_known;
                }
                entry.seen.store(now, Ordering::Relaxed);
                return !is_known || self.is_old(seen, now);
            }
        }
        self.replace(address, wanted, now);
        true
    }

    /// Puts a new address in the place of none, or of the one that has been silent for longest.
    #[cold]
    fn replace(&self, address: u64, wanted: u64, now: u32) {
        let silence = |entry: &Entry| match entry.word.load(Ordering::Relaxed) {
            0 => u64::from(u32::MAX).wrapping_add(1),
            _ => u64::from(silence(entry.seen.load(Ordering::Relaxed), now)),
        };
        // The first of those that are equal.
        if let Some(entry) = self
            .set(address)
            .iter()
            .rev()
            .max_by_key(|entry| silence(entry))
        {
            entry.seen.store(now, Ordering::Relaxed);
            entry.word.store(wanted, Ordering::Relaxed);
        }
    }

    /// Forgets what was seen at a port. Nobody sends from it any more.
    pub fn forget(&self, port: u8) {
        for entry in self.entries.iter() {
            let word = entry.word.load(Ordering::Relaxed);
            if port_of(word) == Some(port) {
                // It may have been learnt at another port meanwhile.
                let _ = entry
                    .word
                    .compare_exchange(word, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Learns who sends a frame from port `from`. Says whether the address is found there only now.
    #[inline]
    fn learn_source(&self, addresses: Addresses, from: u8, now: u32) -> bool {
        let source = addresses.source();
        source & GROUP == 0 && self.learn(source, from, now)
    }

    /// Where a frame from port `from` goes, and who sends from there is learnt, if it `may_learn`.
    #[inline]
    pub fn decide(&self, addresses: Addresses, from: u8, now: u32, may_learn: bool) -> Verdict {
        if may_learn {
            self.learn_source(addresses, from, now);
        }
        let destination = addresses.destination();
        if destination & GROUP != 0 {
            return Verdict::Flood;
        }
        match self.find(destination, now) {
            Some(port) if port == from => Verdict::Drop,
            Some(port) => Verdict::Port(port),
            None => Verdict::Flood,
        }
    }
}

/// Where the frames of a port go, one after the other: as long as they have the same addresses nothing is looked up.
pub struct Route<'a, E> {
    table: &'a ForwardingTable<E>,
    /// Where they come from.
    from: u8,
    now: u32,
    /// The addresses of the frame that was the last.
    last: Addresses,
    /// What became of it; [`None`] if there was none.
    verdict: Option<Verdict>,
}

impl<'a, E: Deref<Target = [Entry]>> Route<'a, E> {
    /// Of the frames of port `from`.
    pub const fn new(table: &'a ForwardingTable<E>, from: u8, now: u32) -> Self {
        Self {
            table,
            from,
            now,
            last: Addresses { first: 0, rest: 0 },
            verdict: None,
        }
    }

    /// Where a frame goes, and who sends it is learnt.
    #[inline(always)]
    pub fn find(&mut self, addresses: Addresses) -> Verdict {
        let before = self.verdict;
        match before {
            Some(verdict) if addresses == self.last || self.is_unmoved(addresses) => verdict,
            _ => self.look_up(addresses),
        }
    }

    /// Whether a frame goes where the one before it went, of which there is one.
    #[inline(always)]
    pub fn is_like_last(&mut self, addresses: Addresses) -> bool {
        addresses == self.last || self.leads_there(addresses)
    }

    #[inline(never)]
    fn leads_there(&mut self, addresses: Addresses) -> bool {
        if self.is_unmoved(addresses) {
            return true;
        }
        let before = self.verdict;
        Some(self.look_up(addresses)) == before
    }

    /// Whether another one sends to the address that the last frame was for: nothing but what is learnt from that changes where it is.
    #[inline]
    fn is_unmoved(&mut self, addresses: Addresses) -> bool {
        let is_unmoved = addresses.destination() == self.last.destination()
            && !self.table.learn_source(addresses, self.from, self.now);
        if is_unmoved {
            self.last = addresses;
        }
        is_unmoved
    }

    #[inline]
    fn look_up(&mut self, addresses: Addresses) -> Verdict {
        let verdict = self.table.decide(addresses, self.from, self.now, true);
        self.last = addresses;
        self.verdict = Some(verdict);
        verdict
    }

    /// Where a frame goes that is to be looked up, and whose sender is learnt if that is wanted.
    pub fn find_once(&mut self, addresses: Addresses, may_learn: bool) -> Verdict {
        self.verdict = None;
        self.table.decide(addresses, self.from, self.now, may_learn)
    }
}

/// Where a frame from port `from` goes whose slot names a port, which is not 0.
pub const fn decide_named(port: u8, from: u8) -> Verdict {
    if port == from {
        Verdict::Drop
    } else {
        Verdict::Port(port)
    }
}

#[inline]
const fn word_of(address: u64, port: u8) -> u64 {
    // Widening, which `From` cannot do in a const fn; 255 at most becomes 256.
    (address << PORT_BITS) | (port as u64).wrapping_add(1)
}

#[inline]
const fn port_of(word: u64) -> Option<u8> {
    let [low, high, ..] = word.to_le_bytes();
    match u16::from_le_bytes([low, high]).checked_sub(1) {
        // It was a `u8` when it was put there.
        Some(port) => Some(port.to_le_bytes()[0]),
        None => None,
    }
}

/// Checks the length of the header before a port's packets: none, that of virtio-net, or that of virtio-net with mergeable buffers.
pub const fn check_header(len: u32) -> Result<u32, i32> {
    match len {
        0 | 10 | 12 => Ok(len),
        _ => Err(errno::EINVAL),
    }
}
