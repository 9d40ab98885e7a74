// SPDX-License-Identifier: GPL-2.0

//! The layout of a memory region: three areas, for `netmap_if`s, rings and buffers.
//!
//! Each area is an array of objects of one size. Offsets are in bytes from the start of the region,
//! which is where a program's mapping begins.

use super::ring::{MAX_SLOTS, MIN_SLOTS};
use super::slot::RESERVED_BUFFERS;
use crate::abi;
use core::fmt;

/// Alignment of the buffer area in bytes: that of the largest page that maps it.
pub const BUFFER_AREA_ALIGN: u64 = 2 << 20;

/// Smallest and largest buffer in bytes.
pub const BUF_SIZE: (u32, u32) = (64, 1 << 16);
/// Smallest and largest `netmap_if` in bytes.
pub const IF_SIZE: (u32, u32) = (64, 1 << 16);
/// Fewest and most `netmap_if`s.
pub const IF_NUM: (u32, u32) = (1, 1 << 16);
/// Fewest and most rings.
pub const RING_NUM: (u32, u32) = (2, 1 << 16);
/// Fewest and most buffers, the reserved ones included.
pub const BUF_NUM: (u32, u32) = (4, 1 << 26);

/// Bytes of a ring with `slots` slots; [`None`] if a ring cannot have as many.
pub const fn ring_bytes(slots: u32) -> Option<u32> {
    if slots < MIN_SLOTS || slots > MAX_SLOTS {
        return None;
    }
    RING_HEADER.checked_add(slots.wrapping_mul(SLOT_BYTES))
}

/// Bytes of a `netmap_if` that lists `rings` rings.
pub const fn if_bytes(rings: u32) -> u32 {
    IF_HEADER.saturating_add(rings.saturating_mul(RING_OFFSET_BYTES))
}

/// The slot count that a ring gets for a wish: `default` for 0, else the wish within the limits of a
/// ring and rounded up to a multiple of `multiple` slots.
pub fn round_slots(wish: u32, default: u32, multiple: u32) -> u32 {
    let wish = if wish == 0 { default } else { wish };
    let multiple = multiple.clamp(1, MAX_SLOTS);
    let most = MAX_SLOTS.wrapping_sub(MAX_SLOTS.checked_rem(multiple).unwrap_or(0));
    // Not `clamp`: the compiler does not see that its panic is unreachable.
    let bounded = wish.max(MIN_SLOTS).min(most);
    bounded.checked_next_multiple_of(multiple).unwrap_or(most)
}

const RING_HEADER: u32 = 256;
const SLOT_BYTES: u32 = 16;
const IF_HEADER: u32 = 56;
const RING_OFFSET_BYTES: u32 = 8;

const _: () = {
    assert!(size_of::<abi::Ring>() == RING_HEADER as usize);
    assert!(size_of::<abi::Slot>() == SLOT_BYTES as usize);
    assert!(size_of::<abi::Interface>() == IF_HEADER as usize);
    assert!(size_of::<i64>() == RING_OFFSET_BYTES as usize);
};

/// The identifier of the global region.
pub const GLOBAL_REGION: u16 = 1;

/// Most buffers that a request can have made in a region of its own.
pub const PRIVATE_BUFFERS: u32 = 1_000_000;

/// The identifier of the next private region: the first one that is not taken after `last`, which was given to the one before, so
/// that a program that knows an old one does not meet another region soon. [`None`] if all are taken.
pub fn next_region(last: u16, is_taken: impl Fn(u16) -> bool) -> Option<u16> {
    let mut id = last;
    loop {
        id = id.wrapping_add(1);
        // 0 stands for no wish in requests.
        if id != 0 && id != GLOBAL_REGION && !is_taken(id) {
            return Some(id);
        }
        if id == last {
            return None;
        }
    }
}

/// The module parameters that size a region. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Size of a `netmap_if`.
    pub if_size: u32,
    /// Number of `netmap_if`s, that is of bindings.
    pub if_num: u32,
    /// Size of a ring.
    pub ring_size: u32,
    /// Number of rings.
    pub ring_num: u32,
    /// Size of a buffer.
    pub buf_size: u32,
    /// Number of buffers, the reserved ones included.
    pub buf_num: u32,
}

impl Parameters {
    /// C netmap's values for the global region.
    pub const DEFAULT: Parameters = Parameters {
        if_size: 1024,
        if_num: 100,
        ring_size: 9 * 4096,
        ring_num: 200,
        buf_size: 2048,
        buf_num: 163_840,
    };

    /// The same, with each value that `demand` exceeds raised to it.
    pub fn covering(&self, demand: &Demand) -> Self {
        Parameters {
            if_size: self.if_size.max(if_bytes(demand.rings)),
            if_num: self.if_num.max(1),
            ring_size: self.ring_size.max(ring_bytes(demand.slots).unwrap_or(0)),
            ring_num: self.ring_num.max(demand.rings),
            buf_size: self.buf_size.max(demand.buf_size),
            buf_num: self.buf_num.max(demand.buffers),
        }
    }

    /// The same, with each value raised to what a port needs, as C netmap does for ports that have a region of their own: its rings
    /// and one host ring in each direction, and as many again for each end of its pipes.
    pub fn of_port(&self, port: &PortDemand) -> Self {
        let count = |rings: u16| u32::from(rings).saturating_add(1);
        let (tx, rx) = (count(port.tx_rings), count(port.rx_rings));
        let pipes = port.pipes.saturating_mul(4);
        let buffers = |rings: u32, slots: u32| pipes.saturating_add(rings).saturating_mul(slots);
        let rings = tx.saturating_add(rx);
        let demand = Demand {
            rings,
            slots: port.tx_slots.max(port.rx_slots),
            buffers: buffers(tx, port.tx_slots)
                .saturating_add(buffers(rx, port.rx_slots))
                .saturating_add(RESERVED_BUFFERS)
                .saturating_add(port.extra_buffers),
            buf_size: 0,
        };
        let covering = self.covering(&demand);
        Parameters {
            if_num: covering.if_num.max(pipes.saturating_add(2)),
            ring_num: covering
                .ring_num
                .max(pipes.saturating_mul(2).saturating_add(rings)),
            // What a request asks for has the limit that it has in C netmap, and the administrator's parameter may be above that.
            buf_num: covering.buf_num.min(PRIVATE_BUFFERS.max(self.buf_num)),
            ..covering
        }
    }
}

/// What a port with a region of its own will need of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortDemand {
    /// Transmit rings.
    pub tx_rings: u16,
    /// Receive rings.
    pub rx_rings: u16,
    /// Slots of each transmit ring.
    pub tx_slots: u32,
    /// Slots of each receive ring.
    pub rx_slots: u32,
    /// Buffers that are in no slot.
    pub extra_buffers: u32,
    /// Pipes on it, with rings as its own.
    pub pipes: u32,
}

/// What a binding takes from a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Rings to create.
    pub rings: u32,
    /// Slots of the largest one.
    pub slots: u32,
    /// Buffers for their slots and extra ones.
    pub buffers: u32,
    /// Least size of a buffer in bytes.
    pub buf_size: u32,
}

/// Objects of a region that are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `netmap_if`s.
    pub interfaces: u32,
    /// Rings.
    pub rings: u32,
    /// Buffers, the reserved ones included.
    pub buffers: u32,
}

/// An array of objects in a region.
///
/// # Invariants
///
/// `offset + objects * object_size` does not overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    offset: u64,
    object_size: u32,
    objects: u32,
}

impl Area {
    fn new(offset: u64, object_size: u32, objects: u32) -> Option<Self> {
        let bytes = u64::from(object_size).checked_mul(u64::from(objects))?;
        offset.checked_add(bytes)?;
        // INVARIANT: Both steps were checked.
        Some(Area {
            offset,
            object_size,
            objects,
        })
    }

    /// Where the area begins.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Size of an object in bytes.
    pub const fn object_size(&self) -> u32 {
        self.object_size
    }

    /// Number of objects.
    pub const fn objects(&self) -> u32 {
        self.objects
    }

    /// Bytes of the area.
    pub fn bytes(&self) -> u64 {
        // The invariant makes wrapping impossible.
        u64::from(self.object_size).wrapping_mul(u64::from(self.objects))
    }

    /// Where the area ends.
    pub fn end(&self) -> u64 {
        self.offset.wrapping_add(self.bytes())
    }

    /// Where object `index` begins; [`None`] if there is none.
    pub fn object(&self, index: u32) -> Option<u64> {
        if index >= self.objects {
            return None;
        }
        let bytes = u64::from(self.object_size).wrapping_mul(u64::from(index));
        Some(self.offset.wrapping_add(bytes))
    }
}

/// The layout of a region.
///
/// # Invariants
///
/// The areas follow one another without overlap in the order of the fields. Every object of the
/// ring area begins at a page, the buffer area at a multiple of [`BUFFER_AREA_ALIGN`]. The size of a
/// buffer is a power of two. `memsize` is a multiple of the page size, and no area goes beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    interfaces: Area,
    rings: Area,
    buffers: Area,
    memsize: u64,
}

impl Layout {
    /// Lays out a region for pages of `page` bytes, a power of two.
    pub fn new(parameters: &Parameters, page: u32) -> Result<Self, PoolFault> {
        let p = parameters;
        within("if_size", p.if_size, IF_SIZE)?;
        within("if_num", p.if_num, IF_NUM)?;
        let least_ring = ring_bytes(MIN_SLOTS).unwrap_or(RING_HEADER);
        let largest_ring = ring_bytes(MAX_SLOTS).unwrap_or(RING_HEADER);
        let ring_size = round_up(p.ring_size, page).unwrap_or(u32::MAX);
        let most = round_up(largest_ring, page).unwrap_or(largest_ring);
        within("ring_size", p.ring_size, (least_ring, most))?;
        within("ring_num", p.ring_num, RING_NUM)?;
        within("buf_size", p.buf_size, BUF_SIZE)?;
        within("buf_num", p.buf_num, BUF_NUM)?;
        let if_size = round_up(p.if_size, 64).unwrap_or(p.if_size);
        let buf_size = p.buf_size.checked_next_power_of_two().unwrap_or(BUF_SIZE.1);
        // INVARIANT: Each area begins at or after the end of the one before it, rounded up to the
        // alignment; a ring is a multiple of the page, and a power of two up to 64 KiB divides
        // `BUFFER_AREA_ALIGN`.
        let build = || {
            let page = u64::from(page);
            let interfaces = Area::new(0, if_size, p.if_num)?;
            let at = interfaces.end().checked_next_multiple_of(page)?;
            let rings = Area::new(at, ring_size, p.ring_num)?;
            let at = rings.end().checked_next_multiple_of(BUFFER_AREA_ALIGN)?;
            let buffers = Area::new(at, buf_size, p.buf_num)?;
            let memsize = buffers.end().checked_next_multiple_of(page)?;
            Some(Layout {
                interfaces,
                rings,
                buffers,
                memsize,
            })
        };
        // With all values within their limits the sums stay far below 64 bits.
        build().ok_or(PoolFault {
            parameter: "buf_num",
            have: p.buf_num,
            need: Need::AtMost(Parameters::DEFAULT.buf_num),
        })
    }

    /// The area of `netmap_if`s.
    pub const fn interfaces(&self) -> &Area {
        &self.interfaces
    }

    /// The area of rings.
    pub const fn rings(&self) -> &Area {
        &self.rings
    }

    /// The area of buffers.
    pub const fn buffers(&self) -> &Area {
        &self.buffers
    }

    /// Bytes of the region.
    pub const fn memsize(&self) -> u64 {
        self.memsize
    }

    /// Whether the region can serve `demand` besides what is taken; if not, the first parameter in
    /// the way and the value that would do.
    pub fn admit(&self, demand: &Demand, usage: &Usage) -> Result<(), PoolFault> {
        let ring = ring_bytes(demand.slots).unwrap_or(u32::MAX);
        let checks = [
            (
                "if_size",
                self.interfaces.object_size,
                if_bytes(demand.rings),
            ),
            (
                "if_num",
                self.interfaces.objects,
                usage.interfaces.saturating_add(1),
            ),
            (
                "ring_size",
                self.rings.object_size,
                if demand.rings == 0 { 0 } else { ring },
            ),
            (
                "ring_num",
                self.rings.objects,
                usage.rings.saturating_add(demand.rings),
            ),
            ("buf_size", self.buffers.object_size, demand.buf_size),
            (
                "buf_num",
                self.buffers.objects,
                usage.buffers.saturating_add(demand.buffers),
            ),
        ];
        for (parameter, have, need) in checks {
            if have < need {
                return Err(PoolFault {
                    parameter,
                    have,
                    need: Need::AtLeast(need),
                });
            }
        }
        Ok(())
    }

    /// The layout as `NETMAP_REQ_POOLS_INFO_GET` reports it.
    pub fn to_pools_info(&self, mem_id: u16) -> abi::PoolsInfo {
        abi::PoolsInfo {
            nr_memsize: self.memsize,
            nr_mem_id: mem_id,
            pad1: [0; 3],
            nr_if_pool_offset: self.interfaces.offset,
            nr_if_pool_objtotal: self.interfaces.objects,
            nr_if_pool_objsize: self.interfaces.object_size,
            nr_ring_pool_offset: self.rings.offset,
            nr_ring_pool_objtotal: self.rings.objects,
            nr_ring_pool_objsize: self.rings.object_size,
            nr_buf_pool_offset: self.buffers.offset,
            nr_buf_pool_objtotal: self.buffers.objects,
            nr_buf_pool_objsize: self.buffers.object_size,
        }
    }
}

/// What value of a parameter would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This or more.
    AtLeast(u32),
    /// This or less.
    AtMost(u32),
}

/// A module parameter is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFault {
    /// Name of the parameter.
    pub parameter: &'static str,
    /// Its value.
    pub have: u32,
    /// A value that would do.
    pub need: Need,
}

impl fmt::Display for PoolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, need) = match self.need {
            Need::AtLeast(need) => ("small", need),
            Need::AtMost(need) => ("large", need),
        };
        write!(
            f,
            "{}={} is too {}, {} would do",
            self.parameter, self.have, what, need
        )
    }
}

fn within(parameter: &'static str, have: u32, (least, most): (u32, u32)) -> Result<(), PoolFault> {
    let need = if have < least {
        Need::AtLeast(least)
    } else if have > most {
        Need::AtMost(most)
    } else {
        return Ok(());
    };
    Err(PoolFault {
        parameter,
        have,
        need,
    })
}

fn round_up(value: u32, multiple: u32) -> Option<u32> {
    value.checked_next_multiple_of(multiple)
}
