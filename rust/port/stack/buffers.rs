// SPDX-License-Identifier: GPL-2.0

//! Buffers of a stack port that are in no slot of the program's: those that wait for data to arrive, and those for which transmit
//! slots are exchanged while TCP has theirs.
//!
//! A buffer has one of these holders at a time: a slot that is the program's, one that is the kernel's, the lists of
//! [`crate::logic::arrivals`], or the [`Pool`], whose half is TCP's. A program that hands over a slot with a buffer that is no slot's
//! of its own is told so as of any other impossible buffer; so is one that names a buffer in two slots.

use crate::{
    atomic::{AtomicU32, Ordering},
    mem::{Group, Region, Reserve},
    prelude::*,
    ring::queue::Inner,
    sys::socket::Pool, //
};

/// Which buffers are the kernel's.
pub(super) struct Holders {
    words: KVVec<AtomicU32>,
}

impl Holders {
    fn new(region: &Region) -> Result<Self> {
        let count = region.buf_total().div_ceil(u32::BITS) as usize;
        let mut words = KVVec::with_capacity(count, GFP_CHARGED)?;
        for _ in 0..count {
            words.push(AtomicU32::new(0), GFP_CHARGED)?;
        }
        Ok(Self { words })
    }

    fn word(&self, buffer: u32) -> Option<(&AtomicU32, u32)> {
        let word = self.words.get((buffer / u32::BITS) as usize)?;
        Some((word, 1 << (buffer % u32::BITS)))
    }

    /// The buffer is the kernel's from now on. False if it is already, or does not exist.
    #[inline]
    pub(super) fn take(&self, buffer: u32) -> bool {
        self.word(buffer)
            .is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// The buffer is that of a slot of the program's from now on.
    #[inline]
    pub(super) fn give(&self, buffer: u32) {
        if let Some((word, bit)) = self.word(buffer) {
            word.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// The program has handed over the slot `index` with this buffer. False, with nothing noted, if it is none that it has.
    #[inline]
    pub(super) fn accept(&self, held: &mut Inner, index: u32, buffer: u32) -> bool {
        if !self.take(buffer) {
            return false;
        }
        let is_known = held.shadow.get(index as usize) == Some(&buffer);
        if !is_known && !held.accept(index, buffer) {
            self.give(buffer);
            return false;
        }
        true
    }
}

/// Buffers of a region, until they are dropped.
struct Kept {
    region: Arc<Region>,
    reserve: Option<Reserve>,
}

impl Kept {
    fn new(region: &Arc<Region>, count: u32, group: &Arc<Group>) -> Result<Self> {
        Ok(Self {
            region: region.clone(),
            reserve: Some(region.new_reserve(count, group)?),
        })
    }

    fn buffers(&self) -> &[u32] {
        self.reserve
            .as_ref()
            .map_or(&[], |reserve| &reserve.buffers)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(reserve) = self.reserve.take() {
            self.region.free_reserve(reserve);
        }
    }
}

/// The buffers of a port.
pub(super) struct Buffers {
    pub(super) holders: Holders,
    /// Those of transmission.
    pub(super) pool: Pool,
    arrivals: Kept,
}

impl Buffers {
    /// `arrivals` for what arrives and `sent` for what is sent, as members of `group`. `ENOMEM`.
    pub(super) fn new(
        region: &Arc<Region>,
        group: &Arc<Group>,
        arrivals: u32,
        sent: u32,
    ) -> Result<Self> {
        let holders = Holders::new(region)?;
        let arrivals = Kept::new(region, arrivals, group)?;
        let sent = KBox::new(Kept::new(region, sent, group)?, GFP_CHARGED)?;
        let list = Iterator::chain(arrivals.buffers().iter(), sent.buffers().iter());
        list.for_each(|buffer| {
            holders.take(*buffer);
        });
        let mut own = KVVec::new();
        own.extend_from_slice(sent.buffers(), GFP_CHARGED)?;
        Ok(Self {
            holders,
            pool: Pool::new(&own, sent)?,
            arrivals,
        })
    }

    /// Those for what arrives.
    pub(super) fn for_arrivals(&self) -> &[u32] {
        self.arrivals.buffers()
    }
}
