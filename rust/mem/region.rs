// SPDX-License-Identifier: GPL-2.0

//! A region: what one mmap shows.

use super::{
    area::{PageArea, PageRun, PageTableView},
    buffers::{self, BufferMap, BufferPool, BufferTable, Devices},
    dma::{DmaMap, Mapping},
    page::{Cluster, PAGE_SIZE}, //
};
use crate::{
    abi,
    atomic::Ordering,
    bindings,
    logic::pools::{Layout, Parameters},
    port::kring::SharedRing,
    prelude::*, //
};
use core::ptr::NonNull;
use kernel::sync::{new_mutex, Mutex};

/// A memory region.
///
/// Its offsets are the same for every program that maps it. It lives as long as somebody has it bound or mapped.
#[pin_data]
pub(crate) struct Region {
    id: u16,
    layout: Layout,
    interfaces: PageTableView,
    rings: PageTableView,
    buffers: BufferMap,
    #[pin]
    state: Mutex<State>,
}

/// What the region's mutex protects.
struct State {
    interfaces: PageArea,
    rings: PageArea,
    buffers: BufferPool,
    maps: KVec<Arc<DmaMap>>,
    /// The rings in use and the extra buffers given out: who holds buffers.
    live: KVec<SharedRing>,
    extra: u32,
    /// Buffers of dead programs that were not where they should have been.
    missing: u32,
}

/// The devices of a region, whose mutex is held.
struct Maps<'a>(&'a [Arc<DmaMap>]);

impl Devices for Maps<'_> {
    type Mapped = KVec<Mapping>;

    fn map(&self, cluster: &Cluster, before: usize) -> Result<KVec<Mapping>> {
        let mut mappings = KVec::with_capacity(self.0.len(), GFP_CHARGED)?;
        for map in self.0 {
            // SAFETY: The mutex is held; who drops the cluster drops the mappings first.
            let mapping = unsafe { map.map(cluster, before) }?;
            mappings.push(mapping, GFP_CHARGED)?;
        }
        Ok(mappings)
    }

    fn publish(&self, mappings: KVec<Mapping>, first: u32) {
        for (map, mapping) in self.0.iter().zip(mappings) {
            // SAFETY: The mutex has been held since, and the region, which owns the clusters, drops its maps first.
            unsafe { map.publish(mapping, first) };
        }
    }
}

/// How much of a region is in use.
pub(crate) struct Usage {
    /// Pages of the interface pool: used, all.
    pub(crate) interfaces: (u32, u32),
    /// Pages of the ring pool: used, all.
    pub(crate) rings: (u32, u32),
    /// Buffers: used, all (the reserved ones in neither).
    pub(crate) buffers: (u32, u32),
    /// Clusters of buffers: all, those of 2 MiB.
    pub(crate) clusters: (usize, usize),
    /// Pages taken from the system for interfaces and rings.
    pub(crate) pages: usize,
    /// Devices that have the buffers mapped.
    pub(crate) devices: usize,
    /// Buffers not found at their program's death, which will come back when the holders of extra buffers are gone.
    pub(crate) missing: u32,
}

impl Region {
    /// A region laid out by `parameters`, without memory yet.
    pub(crate) fn new(id: u16, parameters: &Parameters) -> Result<Arc<Self>> {
        // An interface has a page of its own, so that bindings share none.
        let page = PAGE_SIZE as u32;
        let parameters = Parameters {
            if_size: parameters
                .if_size
                .checked_next_multiple_of(page)
                .ok_or(EINVAL)?,
            ..*parameters
        };
        let layout = Layout::new(&parameters, page).map_err(|fault| {
            pr_err!("{}\n", core::format_args!("{fault}"));
            EINVAL
        })?;
        let pages = |bytes: u64| u32::try_from(bytes / PAGE_SIZE as u64).map_err(|_| EINVAL);
        let interfaces = PageArea::new(pages(layout.interfaces().bytes())?)?;
        let rings = PageArea::new(pages(layout.rings().bytes())?)?;
        let (pool, map) = buffers::new(layout.buffers().objects(), layout.buffers().object_size())?;
        let views = (interfaces.view(), rings.view());
        let state = State {
            interfaces,
            rings,
            buffers: pool,
            maps: KVec::new(),
            live: KVec::new(),
            extra: 0,
            missing: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                id,
                layout,
                interfaces: views.0,
                rings: views.1,
                buffers: map,
                state <- new_mutex!(state, "netmap_region"),
            }),
            GFP_CHARGED,
        )
    }

    /// The identifier that programs use; 1 is the global region.
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    /// Bytes that can be mapped.
    pub(crate) fn size(&self) -> u64 {
        self.layout.memsize()
    }

    /// Where the pools are.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the kernel sees the buffers.
    #[inline]
    pub(crate) fn buffers(&self) -> &BufferTable {
        &self.buffers.table
    }

    /// The kernel's address of a buffer; [`None`] for an index without a buffer or of a reserved one.
    #[inline]
    pub(crate) fn buf_ptr(&self, index: u32) -> Option<NonNull<u8>> {
        if index < buffers::RESERVED {
            return None;
        }
        self.buffers.table.get(index)
    }

    /// Bytes of a buffer.
    #[inline]
    pub(crate) fn buf_size(&self) -> u32 {
        self.buffers.table.buf_size()
    }

    /// The page at `offset` of the region, for a page fault; it stays as long as the region.
    pub(crate) fn page_at(&self, offset: u64) -> Option<NonNull<bindings::page>> {
        let (interfaces, rings, pool) = (
            self.layout.interfaces(),
            self.layout.rings(),
            self.layout.buffers(),
        );
        let number = |from: u64| (offset - from) as usize / PAGE_SIZE;
        if offset >= pool.offset() {
            self.buffers.table.page_at(offset - pool.offset())
        } else if offset >= rings.offset() {
            // SAFETY: The area lives as long as the region.
            unsafe { self.rings.get(number(rings.offset())) }
        } else {
            // SAFETY: As above.
            unsafe { self.interfaces.get(number(interfaces.offset())) }
        }
    }

    /// The head page of the 2 MiB page that backs the whole 2 MiB of the region at `offset`, if there is one.
    pub(crate) fn huge_at(&self, offset: u64) -> Option<NonNull<bindings::page>> {
        self.buffers
            .huge_at(offset.checked_sub(self.layout.buffers().offset())?)
    }

    /// How much is in use.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.state.lock();
        let used = |area: &PageArea| (area.capacity() - area.free_count(), area.capacity());
        let buffers = state.buffers.used_count();
        Usage {
            interfaces: used(&state.interfaces),
            rings: used(&state.rings),
            buffers: (buffers, buffers + state.buffers.free_count(&self.buffers)),
            clusters: state.buffers.clusters(),
            pages: state.interfaces.backed() + state.rings.backed(),
            devices: state.maps.len(),
            missing: state.missing,
        }
    }

    /// The map of the buffers for `device`, made at its first use. To be given back by [`Self::detach`].
    ///
    /// # Safety
    ///
    /// `device` must be a valid device that is set up for DMA.
    pub(crate) unsafe fn attach(&self, device: *mut bindings::device) -> Result<Arc<DmaMap>> {
        let mut state = self.state.lock();
        if let Some(map) = state.maps.iter().find(|map| map.is_for(device)) {
            map.users.fetch_add(1, Ordering::Relaxed);
            return Ok(map.clone());
        }
        let total = self.buffers.table.total() as usize;
        // SAFETY: By this function's requirement.
        let map = unsafe { DmaMap::new(device, total, self.buf_size() as usize) }?;
        let map = Arc::new(map, GFP_CHARGED)?;
        for (cluster, first) in state.buffers.each_cluster() {
            // SAFETY: The mutex is held, and the region, which owns the clusters, drops its maps first.
            unsafe {
                let mapping = map.map(cluster, 0)?;
                map.publish(mapping, first);
            }
        }
        state.maps.push(map.clone(), GFP_CHARGED)?;
        map.users.store(1, Ordering::Relaxed);
        Ok(map)
    }

    /// Gives a map back; the last one undoes it, once nobody holds a reference.
    pub(crate) fn detach(&self, map: &Arc<DmaMap>) {
        let mut state = self.state.lock();
        if map.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            state.maps.retain(|other| !Arc::ptr_eq(other, map));
        }
    }

    /// Hands out `count` buffers, all or none, and tells `take` their indices.
    fn take_buffers(&self, state: &mut State, count: u32, take: impl FnMut(u32)) -> Result {
        let State { buffers, maps, .. } = state;
        let largest = maps
            .iter()
            .map(|map| map.largest())
            .min()
            .unwrap_or(usize::MAX);
        buffers
            .alloc(&self.buffers, count, largest, &Maps(maps), take)
            .inspect_err(|error| {
                if *error == ENOSPC {
                    let need = buffers.used_count() + count + buffers::RESERVED;
                    pr_err!(
                        "buf_num={} is too small, {} would do\n",
                        self.buffers.table.total(),
                        need
                    );
                }
            })
    }

    /// Makes a ring of `slots` slots with a buffer in each.
    ///
    /// `EINVAL` for a number of slots that no ring can have; `ENOMEM` if the pools or the system have not enough, with
    /// a line in the log that names the parameter.
    pub(crate) fn new_ring(&self, slots: u32) -> Result<RingMemory> {
        let bytes = crate::logic::pools::ring_bytes(slots).ok_or(EINVAL)?;
        let pages = bytes.div_ceil(PAGE_SIZE as u32);
        let mut shadow = KVVec::<u32>::with_capacity(slots as usize, GFP_CHARGED)?;
        let mut state = self.state.lock();
        state.live.reserve(1, GFP_CHARGED)?;
        let run = state.rings.alloc(pages).map_err(|error| {
            if error == ENOSPC {
                let (have, size) = (
                    self.layout.rings().objects(),
                    self.layout.rings().object_size(),
                );
                let per_ring = bytes
                    .saturating_sub(1)
                    .checked_div(size)
                    .unwrap_or(0)
                    .saturating_add(1);
                pr_err!(
                    "ring_num={} is too small, {} would do\n",
                    have,
                    have.saturating_add(per_ring)
                );
            }
            ENOMEM
        })?;
        let mut full = false;
        let taken = self.take_buffers(&mut state, slots, |index| {
            full |= shadow.push_within_capacity(index).is_err();
        });
        if taken.is_err() || full {
            for index in shadow.iter() {
                state.buffers.free(&self.buffers, *index);
            }
            state.rings.free(&run);
            return Err(ENOMEM);
        }
        let base = run.address().cast::<abi::Ring>();
        // SAFETY: The run is zeroed, mapped and long enough for a ring of `slots` slots; it lives in the result.
        let ring = unsafe { SharedRing::new(base, slots) };
        let offset = self.layout.rings().offset() + run.offset() as u64;
        let distance = self.layout.buffers().offset() - offset;
        // SAFETY: Nobody else sees the ring yet, and the pointer is to a whole one.
        unsafe {
            let header = ring.header();
            (&raw mut (*header).buf_ofs).write(distance as i64);
            (&raw mut (*header).num_slots).write(slots);
            (&raw mut (*header).nr_buf_size).write(self.buf_size());
        }
        for (slot, index) in shadow.iter().enumerate() {
            // SAFETY: There is one index per slot.
            unsafe { ring.write(slot as u32, u64::from(*index)) };
        }
        state.live.push(ring, GFP_CHARGED)?;
        Ok(RingMemory {
            ring,
            offset,
            run,
            shadow,
        })
    }

    /// Takes a ring back with the buffers that its slots hold now. `shadow` is what the kernel last saw in them.
    pub(crate) fn free_ring(&self, memory: RingMemory, shadow: &[u32]) {
        let mut state = self.state.lock();
        let ring = memory.ring;
        state.live.retain(|other| other.header() != ring.header());
        for slot in 0..ring.num_slots() {
            // SAFETY: The slot is below the number of slots.
            let index = unsafe { ring.read(slot) } as u32;
            let last = shadow.get(slot as usize).copied().unwrap_or(0);
            if !state.buffers.free(&self.buffers, index) && !state.buffers.free(&self.buffers, last)
            {
                state.missing += 1;
            }
        }
        state.rings.free(&memory.run);
        self.sweep(&mut state);
    }

    /// Makes an interface for `rings` rings, zeroed.
    pub(crate) fn new_interface(&self, rings: u32) -> Result<InterfaceMemory> {
        let bytes = crate::logic::pools::if_bytes(rings);
        let mut state = self.state.lock();
        let run = state
            .interfaces
            .alloc(bytes.div_ceil(PAGE_SIZE as u32))
            .map_err(|error| {
                if error == ENOSPC {
                    let have = self.layout.interfaces().objects();
                    pr_err!(
                        "if_num={} is too small, {} would do\n",
                        have,
                        have.saturating_add(1)
                    );
                }
                ENOMEM
            })?;
        let offset = self.layout.interfaces().offset() + run.offset() as u64;
        Ok(InterfaceMemory { run, offset })
    }

    /// Takes an interface back.
    pub(crate) fn free_interface(&self, memory: &InterfaceMemory) {
        self.state.lock().interfaces.free(&memory.run);
    }

    /// Hands out `count` extra buffers as a list, each beginning with the index of the next; returns the first.
    ///
    /// As C netmap does: if the pool has not as many, as many as it has, which is what the second value says. `ENOMEM` if
    /// the system has no memory for those.
    pub(crate) fn new_extra(&self, count: u32) -> Result<(u32, u32)> {
        let mut state = self.state.lock();
        let count = count.min(state.buffers.free_count(&self.buffers));
        let (mut head, mut given) = (0, 0);
        self.take_buffers(&mut state, count, |index| {
            if let Some(buffer) = self.buffers.table.get(index) {
                // SAFETY: A buffer is at least 64 bytes, aligned to as many, and was free.
                unsafe { buffer.as_ptr().cast::<u32>().write_volatile(head) };
            }
            head = index;
            given += 1;
        })
        .map_err(|_| ENOMEM)?;
        state.extra += given;
        Ok((head, given))
    }

    /// Takes back `given` extra buffers from the list that starts at `head`, which a program may have written.
    pub(crate) fn free_extra(&self, head: u32, given: u32) {
        let mut state = self.state.lock();
        let mut index = head;
        let mut found = 0;
        while found < given {
            let Some(buffer) = self.buffers.table.get(index) else {
                break;
            };
            // SAFETY: A buffer is at least 64 bytes and aligned to as many.
            let next = unsafe { buffer.as_ptr().cast::<u32>().read_volatile() };
            if !state.buffers.free(&self.buffers, index) {
                // Free already, or reserved: the list is broken or runs in a circle.
                break;
            }
            found += 1;
            index = next;
        }
        state.extra -= given;
        state.missing += given - found;
        self.sweep(&mut state);
    }

    /// Finds the missing buffers: handed out, but in no slot of a live ring.
    ///
    /// While somebody holds extra buffers there is no telling those from the missing ones, so that this waits.
    fn sweep(&self, state: &mut State) {
        if state.missing == 0 || state.extra != 0 {
            return;
        }
        let Ok(mut seen) = KVVec::from_elem(false, state.buffers.backed() as usize, GFP_CHARGED)
        else {
            return;
        };
        for ring in state.live.iter() {
            for slot in 0..ring.num_slots() {
                // SAFETY: The slot is below the number of slots.
                let index = unsafe { ring.read(slot) } as u32;
                if let Some(entry) = seen.get_mut(index as usize) {
                    *entry = true;
                }
            }
        }
        for (index, seen) in seen.iter().enumerate() {
            if state.missing == 0 {
                break;
            }
            let index = index as u32;
            if !seen && state.buffers.is_used(index) && state.buffers.free(&self.buffers, index) {
                state.missing -= 1;
            }
        }
    }
}

/// The memory of a ring.
pub(crate) struct RingMemory {
    /// The ring as the kernel accesses it.
    pub(crate) ring: SharedRing,
    /// Offset in the region in bytes.
    pub(crate) offset: u64,
    /// The buffers that were put in the slots.
    pub(crate) shadow: KVVec<u32>,
    run: PageRun,
}

/// The memory of an interface.
pub(crate) struct InterfaceMemory {
    run: PageRun,
    /// Offset in the region in bytes.
    pub(crate) offset: u64,
}

impl InterfaceMemory {
    /// The interface; zeroed, and one offset per ring has room behind it.
    pub(crate) fn header(&self) -> NonNull<abi::Interface> {
        self.run.address().cast()
    }
}
