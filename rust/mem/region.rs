// SPDX-License-Identifier: GPL-2.0

//! A region: what one mmap shows.

use super::{
    area::{PageArea, PageRun, PageTableView},
    buffers::{self, BufferMap, BufferPool, Buffers, Devices},
    dma::{DmaMap, Mapping},
    group::{Group, Groups, Owners},
    page::{Cluster, PAGE_SIZE},
    shared_ring::SharedRing,
    tenants::Tenants, //
};
use crate::{
    abi,
    atomic::{AtomicU32, Ordering},
    bindings,
    logic::{
        groups::NOBODY,
        pools::{Layout, Parameters, GLOBAL_REGION},
        slot::RESERVED_BUFFERS, //
    },
    prelude::*,
    sys::log::{self, Displayed}, //
};
use core::ptr::NonNull;
use kernel::sync::{new_mutex, Mutex};

/// A memory region.
///
/// Its offsets are the same for every program that maps it. It lives as long as it is bound or mapped.
#[pin_data]
pub(crate) struct Region {
    id: u16,
    layout: Layout,
    interfaces: PageTableView,
    rings: PageTableView,
    buffers: BufferMap,
    owners: Owners,
    /// What programs see between the areas, where nothing is.
    gap: Cluster,
    tenants: Tenants,
    #[pin]
    state: Mutex<RegionState>,
}

/// What the region's mutex protects.
struct RegionState {
    interfaces: PageArea,
    rings: PageArea,
    /// Before the buffers, whose memory they map: fields are dropped in this order.
    maps: KVec<Arc<DmaMap>>,
    buffers: BufferPool,
    groups: Groups,
    /// Buffers that the slots of rings in use and the lists of extra buffers of open files were given.
    held: u32,
}

/// The devices of a region, whose mutex is held.
struct Maps<'a>(&'a [Arc<DmaMap>]);

impl Devices for Maps<'_> {
    type Mapped = KVec<Mapping>;

    fn map(&self, cluster: &Cluster, before: usize) -> Result<KVec<Mapping>> {
        let mut mappings = KVec::with_capacity(self.0.len(), GFP_CHARGED)?;
        for map in self.0 {
            // SAFETY: The mutex is held. A cluster that is not taken is dropped after its mappings (`buffers::Fresh`), one
            // that is taken after the maps (`RegionState`).
            let mapping = unsafe { map.map(cluster, before) }?;
            mappings.push(mapping, GFP_CHARGED)?;
        }
        Ok(mappings)
    }

    fn publish(&self, mappings: KVec<Mapping>, first: u32) {
        for (map, mapping) in self.0.iter().zip(mappings) {
            // SAFETY: The mutex has been held since, and the clusters are dropped after the maps (`RegionState`).
            unsafe { map.publish(mapping, first) };
        }
    }
}

/// The largest piece of memory that all devices can have mapped.
fn largest(maps: &[Arc<DmaMap>]) -> usize {
    maps.iter()
        .map(|map| map.largest())
        .min()
        .unwrap_or(usize::MAX)
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
    /// Buffers of files that are closed, which come back when the files with which they have exchanged buffers are closed
    /// too.
    pub(crate) lost: u32,
}

/// What the names of the parameters for a region begin with.
fn prefix_of(id: u16) -> &'static str {
    if id == GLOBAL_REGION {
        ""
    } else {
        "priv_"
    }
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
            if log::refusal_allowed() {
                pr_err!("{}{}\n", prefix_of(id), Displayed(fault));
            }
            EINVAL
        })?;
        let pages = |bytes: u64| u32::try_from(bytes / PAGE_SIZE as u64).map_err(|_| EINVAL);
        let interfaces = PageArea::new(pages(layout.interfaces().bytes())?)?;
        let rings = PageArea::new(pages(layout.rings().bytes())?)?;
        let (pool, map) = buffers::new(layout.buffers().objects(), layout.buffers().object_size())?;
        let mut labels = KVVec::with_capacity(map.table.total() as usize, GFP_CHARGED)?;
        for _ in 0..map.table.total() {
            labels.push(AtomicU32::new(NOBODY), GFP_CHARGED)?;
        }
        let views = (interfaces.view(), rings.view());
        let gap = Cluster::new(0)?;
        let state = RegionState {
            interfaces,
            rings,
            maps: KVec::new(),
            buffers: pool,
            groups: Groups::new(),
            held: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                id,
                layout,
                interfaces: views.0,
                rings: views.1,
                buffers: map,
                owners: Owners::new(labels),
                gap,
                tenants: Tenants::new(),
                state <- new_mutex!(state, "netmap_region"),
            }),
            GFP_CHARGED,
        )
    }

    /// The identifier that programs use; 1 is the global region.
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    /// Whose ports are in it.
    pub(crate) fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// Whether it is that of one port and its pipes, and not the global one.
    pub(crate) fn is_private(&self) -> bool {
        self.id != GLOBAL_REGION
    }

    fn prefix(&self) -> &'static str {
        prefix_of(self.id)
    }

    /// Bytes that can be mapped.
    pub(crate) fn size(&self) -> u64 {
        self.layout.memsize()
    }

    /// Where the pools are.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The kernel's address of a buffer; [`None`] for an index without a buffer or of a reserved one.
    #[inline]
    pub(crate) fn buf_ptr(&self, index: u32) -> Option<NonNull<u8>> {
        self.addresses().get(index)
    }

    /// [`Self::buf_ptr`] of many buffers.
    #[inline]
    pub(crate) fn addresses(&self) -> Buffers<'_> {
        self.buffers.table.buffers()
    }

    /// One more than the largest index that a buffer can have.
    pub(crate) fn buf_total(&self) -> u32 {
        self.buffers.table.total()
    }

    /// Bytes of a buffer.
    #[inline]
    pub(crate) fn buf_size(&self) -> u32 {
        self.buffers.table.buf_size()
    }

    /// Takes memory for the page at `offset` of the region, if there is none yet: programs may touch, lock or pin all that
    /// they have mapped, used or not. To a program that touches a buffer, all buffers before it are charged too.
    ///
    /// `ENOMEM` if the system or the control group has no memory, `EINTR` if the task is killed. What was taken until then
    /// stays.
    pub(crate) fn fill(&self, offset: u64) -> Result {
        if self.page_at(offset).is_some() {
            return Ok(());
        }
        let (rings, pool) = (self.layout.rings().offset(), self.layout.buffers().offset());
        if let Some(at) = offset.checked_sub(pool) {
            let index = at / u64::from(self.buf_size());
            return self.fill_up_to(u32::try_from(index).map_err(|_| EINVAL)?);
        }
        let state = &mut *self.state.lock();
        if let Some(at) = offset.checked_sub(rings) {
            state.rings.fill(at as usize / PAGE_SIZE).map(|_| ())
        } else {
            state
                .interfaces
                .fill(offset as usize / PAGE_SIZE)
                .map(|_| ())
        }
    }

    /// Takes memory for the buffer `index` and for all before it. The mutex is held for one cluster at a time, so that a
    /// bind, which waits for it with the RTNL mutex held, gets it in between.
    fn fill_up_to(&self, index: u32) -> Result {
        loop {
            let RegionState { buffers, maps, .. } = &mut *self.state.lock();
            if buffers.approach(&self.buffers, index, largest(maps), &Maps(maps))? {
                return Ok(());
            }
        }
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
        } else {
            let (view, number) = if offset >= rings.offset() {
                (&self.rings, number(rings.offset()))
            } else {
                (&self.interfaces, number(interfaces.offset()))
            };
            if view.ends_before(number) {
                return NonNull::new(self.gap.page());
            }
            // SAFETY: The area lives as long as the region.
            unsafe { view.get(number) }
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
            lost: state.lost(),
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
            // SAFETY: The mutex is held, and the clusters are dropped after the maps (`RegionState`).
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

    /// Hands out `count` buffers to the group `label`, all or none, and tells `take` their indices.
    fn take_buffers(
        &self,
        state: &mut RegionState,
        label: u32,
        count: u32,
        mut take: impl FnMut(u32),
    ) -> Result {
        let lost = state.lost();
        let RegionState { buffers, maps, .. } = state;
        buffers
            .alloc(&self.buffers, count, largest(maps), &Maps(maps), |index| {
                self.owners.set(index, label);
                take(index);
            })
            .inspect_err(|error| {
                if *error == ENOSPC && log::refusal_allowed() {
                    let need = buffers.used_count() + count + RESERVED_BUFFERS;
                    pr_err!(
                        "{}buf_num={} is too small, {} would do\n",
                        self.prefix(),
                        self.buffers.table.total(),
                        need
                    );
                    if lost != 0 {
                        pr_err!(
                            "{} buffers are lost until the programs that exchanged them with closed ones are closed\n",
                            lost
                        );
                    }
                }
            })
    }

    /// A group for a bind, with the file as its member, which is to [`Self::leave`] it.
    pub(crate) fn new_group(&self) -> Result<Arc<Group>> {
        self.state.lock().groups.open()
    }

    /// The owners of the buffers, to look up many of them.
    #[inline]
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    /// Whether this buffer has an owner.
    pub(crate) fn is_held(&self, index: u32) -> bool {
        self.owners.owner(index) != NOBODY
    }

    /// A ring of `group` was handed the buffer `index`. If it is another group's, the two are one from now on.
    ///
    /// False if this buffer has no owner, or there is none.
    #[inline]
    pub(crate) fn exchange(&self, group: &Group, index: u32) -> bool {
        self.owners.owner(index) == group.label() || self.exchange_slow(group, index)
    }

    #[cold]
    fn exchange_slow(&self, group: &Group, index: u32) -> bool {
        self.state
            .lock()
            .groups
            .exchange(group, &self.owners, index)
    }

    /// A ring or a file is gone from its group: with the last one of it, all buffers of the group are free.
    ///
    /// No device may write to them any more.
    fn leave_group(&self, state: &mut RegionState, group: &Arc<Group>) {
        if let Some((label, count)) = state.groups.leave(group) {
            let buffers = &mut state.buffers;
            self.owners.move_all(label, NOBODY, count, |index| {
                buffers.free(&self.buffers, index);
            });
        }
    }

    /// Makes a ring of `slots` slots with a buffer in each, a member of `group`, and `behind` more bytes of memory behind its slots.
    ///
    /// `EINVAL` for a number of slots that no ring can have; `ENOMEM` if the pools or the system have not enough, with
    /// a line in the log that names the parameter.
    pub(crate) fn new_ring(
        &self,
        slots: u32,
        behind: u32,
        group: &Arc<Group>,
    ) -> Result<RingMemory> {
        let bytes = crate::logic::pools::ring_bytes(slots)
            .and_then(|bytes| bytes.checked_add(behind))
            .ok_or(EINVAL)?;
        let pages = bytes.div_ceil(PAGE_SIZE as u32);
        let mut shadow = KVVec::<u32>::with_capacity(slots as usize, GFP_CHARGED)?;
        let mut state = self.state.lock();
        let run = state.rings.alloc(pages).map_err(|error| {
            if error == ENOSPC && log::refusal_allowed() {
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
                    "{}ring_num={} is too small, {} would do\n",
                    self.prefix(),
                    have,
                    have.saturating_add(per_ring)
                );
            }
            ENOMEM
        })?;
        let taken = self.take_buffers(&mut state, group.label(), slots, |index| {
            // There is room for as many as there are slots.
            let _ = shadow.push_within_capacity(index);
        });
        if taken.is_err() {
            state.rings.free(&run);
            return Err(ENOMEM);
        }
        if let Some(account) = state.groups.account(group) {
            account.join(slots);
        }
        state.held += slots;
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
        Ok(RingMemory {
            ring,
            offset,
            shadow,
            group: group.clone(),
            run,
        })
    }

    /// Takes a ring back. Its buffers are free when its group has no other member.
    pub(crate) fn free_ring(&self, memory: RingMemory) {
        let mut state = self.state.lock();
        state.held -= memory.ring.num_slots();
        state.rings.free(&memory.run);
        self.leave_group(&mut state, &memory.group);
    }

    /// Takes `count` buffers that are in no slot, for a member of `group` of their own. `ENOMEM` as for a ring.
    pub(crate) fn new_reserve(&self, count: u32, group: &Arc<Group>) -> Result<Reserve> {
        let mut buffers = KVVec::<u32>::with_capacity(count as usize, GFP_CHARGED)?;
        let mut state = self.state.lock();
        self.take_buffers(&mut state, group.label(), count, |index| {
            // There is room for as many.
            let _ = buffers.push_within_capacity(index);
        })
        .map_err(|_| ENOMEM)?;
        if let Some(account) = state.groups.account(group) {
            account.join(count);
        }
        state.held += count;
        Ok(Reserve {
            buffers,
            group: group.clone(),
        })
    }

    /// Takes the buffers of a reserve back, or those that were exchanged for them. They are free when its group has no other
    /// member.
    pub(crate) fn free_reserve(&self, reserve: Reserve) {
        let mut state = self.state.lock();
        state.held -= reserve.buffers.len() as u32;
        self.leave_group(&mut state, &reserve.group);
    }

    /// Makes an interface for `rings` rings, zeroed.
    pub(crate) fn new_interface(&self, rings: u32) -> Result<InterfaceMemory> {
        let bytes = crate::logic::pools::if_bytes(rings);
        let mut state = self.state.lock();
        let run = state
            .interfaces
            .alloc(bytes.div_ceil(PAGE_SIZE as u32))
            .map_err(|error| {
                if error == ENOSPC && log::refusal_allowed() {
                    let have = self.layout.interfaces().objects();
                    pr_err!(
                        "{}if_num={} is too small, {} would do\n",
                        self.prefix(),
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

    /// Hands out `count` extra buffers to `group` as a list, each beginning with the index of the next; returns the first.
    ///
    /// As C netmap does: if the pool has not as many, as many as it has, which is what the second value says. `ENOMEM` if
    /// the system has no memory for those.
    pub(crate) fn new_extra(&self, count: u32, group: &Arc<Group>) -> Result<(u32, u32)> {
        let mut state = self.state.lock();
        let count = count.min(state.buffers.free_count(&self.buffers));
        let (mut head, mut given) = (0, 0);
        self.take_buffers(&mut state, group.label(), count, |index| {
            if let Some(buffer) = self.buffers.table.get(index) {
                // SAFETY: A buffer is at least 64 bytes, aligned to as many, and was free.
                unsafe { buffer.as_ptr().cast::<u32>().write_volatile(head) };
            }
            head = index;
            given += 1;
        })
        .map_err(|_| ENOMEM)?;
        if let Some(account) = state.groups.account(group) {
            account.charge(given);
        }
        state.held += given;
        Ok((head, given))
    }

    /// A file leaves its group, with `extra` extra buffers that it was given, wherever they are. They are free when the group
    /// has no other member.
    pub(crate) fn leave(&self, group: &Arc<Group>, extra: u32) {
        let mut state = self.state.lock();
        state.held -= extra;
        self.leave_group(&mut state, group);
    }
}

impl RegionState {
    /// Buffers in use that were given to rings and files that are gone.
    fn lost(&self) -> u32 {
        self.buffers.used_count().saturating_sub(self.held)
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
    /// The group that the ring is a member of.
    pub(crate) group: Arc<Group>,
    run: PageRun,
}

/// Buffers that a port has beside those in slots.
pub(crate) struct Reserve {
    /// The buffers that it was given.
    pub(crate) buffers: KVVec<u32>,
    group: Arc<Group>,
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
