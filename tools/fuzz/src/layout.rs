// SPDX-License-Identifier: BSD-2-Clause
//! Where the interface, the rings and the buffers of a binding are, as they were when it was made.

use crate::machine::Machine;
use libc::{c_int, c_void};
use netmap::abi::{If, Ring, Slot};

/// Rings that are looked for at most, in either direction.
const MOST: u32 = 64;

/// A ring of a binding.
#[derive(Debug, Clone, Copy)]
pub struct RingAt {
    /// Offset in the region.
    pub offset: u64,
    /// Number of slots.
    pub slots: u32,
    /// Whether it transmits.
    pub transmit: bool,
    /// Offset of buffer 0 in the region.
    pub buffers: u64,
    /// Bytes of a buffer.
    pub buf_size: u32,
    /// The buffer of the first slot.
    pub first: u32,
}

impl RingAt {
    /// Offset of a slot in the region.
    pub fn slot(&self, index: u64) -> u64 {
        let index = index % u64::from(self.slots.max(1));
        self.offset + (size_of::<Ring>() + size_of::<Slot>() * index as usize) as u64
    }

    /// Offset of a buffer in the region.
    pub fn buffer(&self, index: u32) -> u64 {
        self.buffers
            .wrapping_add(u64::from(index) * u64::from(self.buf_size))
    }
}

/// What a bound file has in its region.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Bytes of the region.
    pub memsize: u64,
    /// Offset of the interface.
    pub interface: u64,
    /// The rings.
    pub rings: Vec<RingAt>,
}

impl Layout {
    /// Looks at a file that has just been bound. [`None`] if what the request said is no description of a region.
    pub fn of(machine: &Machine<'_>, fd: c_int, interface: u64, memsize: u64) -> Option<Self> {
        let length = usize::try_from(memsize).ok().filter(|&n| n < 1 << 36)?;
        // SAFETY: A new mapping, at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return None;
        }
        let layout = Self::read(machine, base as u64, interface, memsize);
        // SAFETY: It is the mapping from above.
        unsafe { libc::munmap(base.cast::<c_void>(), length) };
        layout
    }

    fn read(machine: &Machine<'_>, base: u64, interface: u64, memsize: u64) -> Option<Self> {
        let inside = |offset: u64, length: u64| {
            offset
                .checked_add(length)
                .is_some_and(|end| end <= memsize)
                .then_some(())
        };
        inside(interface, size_of::<If>() as u64)?;
        let count = |field: usize| machine.peek_u32(base + interface + field as u64).min(MOST);
        let tx = count(core::mem::offset_of!(If, ni_tx_rings))
            + count(core::mem::offset_of!(If, ni_host_tx_rings));
        let rx = count(core::mem::offset_of!(If, ni_rx_rings))
            + count(core::mem::offset_of!(If, ni_host_rx_rings));
        let mut rings = Vec::new();
        for ring in 0..tx + rx {
            let at = interface + size_of::<If>() as u64 + 8 * u64::from(ring);
            let mut bytes = [0; 8];
            if inside(at, 8).is_none() || !machine.peek(base + at, &mut bytes) {
                break;
            }
            let distance = u64::from_ne_bytes(bytes);
            let offset = interface.wrapping_add(distance);
            if distance == 0 || inside(offset, size_of::<Ring>() as u64).is_none() {
                continue;
            }
            let mut bytes = [0; 8];
            machine.peek(base + offset, &mut bytes);
            let number = |field: usize| machine.peek_u32(base + offset + field as u64);
            let found = RingAt {
                offset,
                slots: number(core::mem::offset_of!(Ring, num_slots)),
                transmit: ring < tx,
                buffers: offset.wrapping_add(u64::from_ne_bytes(bytes)),
                buf_size: number(core::mem::offset_of!(Ring, nr_buf_size)),
                first: number(size_of::<Ring>()),
            };
            let length = size_of::<Ring>() as u64 + 16 * u64::from(found.slots);
            if found.slots > 0 && inside(offset, length).is_some() {
                rings.push(found);
            }
        }
        Some(Layout {
            memsize,
            interface,
            rings,
        })
    }
}
