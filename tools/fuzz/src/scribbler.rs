// SPDX-License-Identifier: BSD-2-Clause
//! A thread that writes into rings, slots, buffers and requests while the kernel uses them.
//!
//! It has mappings of its own, so that nothing the program does takes memory away under it.

use crate::arena::Arena;
use crate::layout::{Layout, RingAt};
use crate::machine::{errno, Mapping};
use crate::tables::{target, SLOT_FLAGS};
use fastrand::Rng;
use libc::{c_int, c_void};
use netmap::abi::{If, Ring};
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Writes between two looks at what there is to write to.
const ROUND: u32 = 64;

/// What is written to.
#[derive(Clone)]
struct Target {
    /// The whole of a region, if there is one.
    region: Option<Mapping>,
    what: u64,
}

struct Shared {
    targets: Mutex<Vec<Target>>,
    stop: AtomicBool,
    arenas: [Arena; 2],
}

/// The thread, once it is needed.
pub struct Scribbler {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Scribbler {
    /// One that has nothing to write to yet.
    pub fn new(arenas: &[Arena; 2]) -> Self {
        Scribbler {
            shared: Arc::new(Shared {
                targets: Mutex::new(Vec::new()),
                stop: AtomicBool::new(false),
                arenas: arenas.clone(),
            }),
            thread: Mutex::new(None),
        }
    }

    /// Gives it something to write to, and lets it begin.
    pub fn share(
        &self,
        bound: Option<(c_int, Arc<Layout>)>,
        what: u64,
        seed: u64,
    ) -> Option<c_int> {
        let mut new = Target { region: None, what };
        if let Some((fd, layout)) = bound {
            // SAFETY: A new mapping, at an address of the kernel's choice.
            let base = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    usize::try_from(layout.memsize).ok()?,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    fd,
                    0,
                )
            };
            if base == libc::MAP_FAILED {
                return Some(errno());
            }
            new.region = Some(Mapping {
                address: base as u64,
                length: layout.memsize,
                offset: 0,
                layout: Some(layout),
            });
        } else if what & target::REQUESTS == 0 {
            return None;
        }
        let mut targets = self
            .shared
            .targets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        targets.push(new);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            *thread = Some(std::thread::spawn(move || shared.scribble(seed)));
        }
        Some(0)
    }

    /// Ends it, and lets go of its mappings.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        let mut targets = self
            .shared
            .targets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for target in targets.drain(..) {
            if let Some(region) = target.region {
                // SAFETY: The mapping is that of `share`, and the thread that used it has ended.
                unsafe { libc::munmap(region.address as *mut c_void, region.length as usize) };
            }
        }
    }
}

impl Shared {
    fn scribble(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let targets = self
                .targets
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            for _ in 0..ROUND {
                if let Some(target) = rng.choice(&targets) {
                    self.write(target, &mut rng);
                }
            }
            // Some quiet, or no packet would ever pass.
            match rng.u8(..4) {
                0 => std::thread::sleep(Duration::from_micros(rng.u64(..2000))),
                _ => std::thread::yield_now(),
            }
        }
    }

    fn write(&self, target: &Target, rng: &mut Rng) {
        let wanted: Vec<u64> = (0..6)
            .map(|bit| 1 << bit)
            .filter(|bit| target.what & bit != 0)
            .collect();
        let Some(&what) = rng.choice(&wanted) else {
            return;
        };
        if what == target::REQUESTS {
            self.write_request(rng);
        }
        let Some(region) = &target.region else {
            return;
        };
        let Some(layout) = &region.layout else {
            return;
        };
        if what == target::INTERFACE {
            let head = layout.interface + offset_of!(If, ni_bufs_head) as u64;
            let first = layout.rings.first().map_or(0, |ring| ring.first);
            store32(region.at(head), near(rng, first, 1 << 18));
            return;
        }
        let Some(ring) = rng.choice(&layout.rings) else {
            return;
        };
        write_ring(region, ring, what, rng);
    }

    /// Changes a word of what is being copied by the kernel: a number, or an address of a neighbour.
    fn write_request(&self, rng: &mut Rng) {
        let (base, used) = self.arenas[rng.usize(..2)].in_use();
        if used < 8 {
            return;
        }
        let at = base + (rng.usize(..used / 4) * 4) as u64;
        match rng.u8(..4) {
            0 => store32(at & !7, (base as u32).wrapping_add(rng.u32(..64) * 8)),
            1 => store32(at, rng.u32(..16)),
            2 => store16(at + 2 * rng.u64(..2), rng.u16(..20)),
            _ => store32(at, rng.u32(..) >> rng.u32(..32)),
        }
    }
}

/// A number: small, near a limit, or any.
fn near(rng: &mut Rng, known: u32, limit: u32) -> u32 {
    match rng.u8(..8) {
        0 => rng.u32(..),
        1 => [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX][rng.usize(..7)],
        2 => limit.wrapping_add(rng.u32(..3)).wrapping_sub(1),
        3 => known.wrapping_add(rng.u32(..4)),
        _ => rng.u32(..limit.max(1)),
    }
}

fn write_ring(region: &Mapping, ring: &RingAt, what: u64, rng: &mut Rng) {
    match what {
        target::CURSORS => {
            let field = [
                offset_of!(Ring, head),
                offset_of!(Ring, cur),
                offset_of!(Ring, tail),
                offset_of!(Ring, flags),
            ][rng.usize(..4)];
            let value = near(rng, ring.slots, ring.slots);
            store32(region.at(ring.offset + field as u64), value);
        }
        target::HEADERS => {
            let value = near(rng, ring.slots, ring.slots);
            store32(region.at(ring.offset + 4 * rng.u64(..64)), value);
        }
        target::SLOTS => {
            let slot = ring.slot(rng.u64(..u64::from(ring.slots)));
            match rng.u8(..4) {
                0 => store32(
                    region.at(slot),
                    near(rng, ring.first, ring.first.wrapping_add(ring.slots)),
                ),
                1 => store16(region.at(slot + 4), near(rng, 60, ring.buf_size) as u16),
                2 => {
                    let flags = rng.choice(SLOT_FLAGS).map_or(0, |row| row.value);
                    store16(region.at(slot + 6), flags as u16);
                }
                _ => store32(region.at(slot + 8), rng.u32(..)),
            }
        }
        // The buffers that the ring had at first exist.
        _ => {
            let buffer = ring.first.wrapping_add(rng.u32(..ring.slots));
            let value = near(rng, buffer, 1 << 18);
            let at = ring.buffer(buffer).wrapping_add(4 * rng.u64(..16));
            store32(region.at(at), value);
        }
    }
}

/// Stores where memory is shared with the kernel, if the address is aligned and not that of what is nowhere.
fn store32(address: u64, value: u32) {
    let to = address as *mut u32;
    if !to.is_null() && to.is_aligned() {
        // SAFETY: The address is in a mapping of the scribbler's own, or in an arena, to which no reference leads.
        unsafe { to.write_volatile(value) };
    }
}

fn store16(address: u64, value: u16) {
    let to = address as *mut u16;
    if !to.is_null() && to.is_aligned() {
        // SAFETY: As above.
        unsafe { to.write_volatile(value) };
    }
}
