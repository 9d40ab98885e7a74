// SPDX-License-Identifier: GPL-2.0

//! From a request's ring selection to the rings of a port.

use super::errno;
use super::request::{BindFlags, RingSelect};
use core::fmt;
use core::ops::Range;

/// How many rings a port has. In each direction the host rings come after the NIC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingCounts {
    /// Transmit rings of the NIC.
    pub tx: u16,
    /// Receive rings of the NIC.
    pub rx: u16,
    /// Host transmit rings.
    pub host_tx: u16,
    /// Host receive rings.
    pub host_rx: u16,
}

/// The rings of a binding, by index among all rings of the port in that direction.
///
/// # Invariants
///
/// Each range is ordered and ends at most at the number of rings, NIC and host, of its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    tx: Range<u32>,
    rx: Range<u32>,
}

impl Selection {
    /// Finds the rings. Where a single ring exists in one direction only, the other direction gets
    /// its first one, as C netmap does.
    pub fn new(
        select: RingSelect,
        flags: BindFlags,
        counts: &RingCounts,
    ) -> Result<Self, SelectionFault> {
        let host = matches!(
            select,
            RingSelect::Sw | RingSelect::NicSw | RingSelect::OneSw(_)
        );
        if host && counts.host_tx == 0 && counts.host_rx == 0 {
            return Err(SelectionFault::NoHostRings);
        }
        let (ring, most) = match select {
            RingSelect::OneNic(ring) => (ring, counts.tx.max(counts.rx)),
            RingSelect::OneSw(ring) => (ring, counts.host_tx.max(counts.host_rx)),
            _ => (0, 1),
        };
        if ring >= most {
            return Err(SelectionFault::Ring { ring, rings: most });
        }
        let pick = |excluded, nic, host| {
            if excluded {
                0..0
            } else {
                one_direction(select, nic, host)
            }
        };
        // INVARIANT: `one_direction` yields such ranges, and the empty one is such.
        Ok(Selection {
            tx: pick(flags.rx_only(), counts.tx, counts.host_tx),
            rx: pick(flags.tx_only(), counts.rx, counts.host_rx),
        })
    }

    /// The transmit rings.
    pub fn tx(&self) -> Range<u32> {
        self.tx.clone()
    }

    /// The receive rings.
    pub fn rx(&self) -> Range<u32> {
        self.rx.clone()
    }
}

/// A range within `0..nic + host`.
fn one_direction(select: RingSelect, nic: u16, host: u16) -> Range<u32> {
    let nic_end = u32::from(nic);
    let all_end = nic_end.saturating_add(u32::from(host));
    // One ring: that one if it exists, else the first one, else none.
    let one = |first: u32, ring: u16, rings: u16| {
        let ring = if ring < rings { ring } else { 0 };
        let begin = first.saturating_add(u32::from(ring));
        begin..begin.saturating_add(u32::from(rings.min(1)))
    };
    match select {
        RingSelect::AllNic | RingSelect::Null => 0..nic_end,
        RingSelect::Sw => nic_end..all_end,
        RingSelect::NicSw => 0..all_end,
        RingSelect::OneNic(ring) => one(0, ring, nic),
        RingSelect::OneSw(ring) => one(nic_end, ring, host),
    }
}

/// The port has no such rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectionFault {
    /// The port has no host rings.
    NoHostRings,
    /// The port has no such ring in either direction.
    Ring {
        /// The wanted ring.
        ring: u16,
        /// How many there are.
        rings: u16,
    },
}

impl SelectionFault {
    /// The error number for the caller, positive.
    pub const fn errno(self) -> i32 {
        errno::EINVAL
    }
}

impl fmt::Display for SelectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectionFault::NoHostRings => f.write_str("port has no host rings"),
            SelectionFault::Ring { ring, rings } => {
                write!(f, "no ring {}, there are {}", ring, rings)
            }
        }
    }
}
