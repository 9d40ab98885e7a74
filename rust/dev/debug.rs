// SPDX-License-Identifier: GPL-2.0

//! What an administrator can see: the `fdinfo` of an open file, and `/sys/kernel/debug/netmap`.

use super::{open_file, OpenFile};
use crate::{
    atomic::{AtomicU64, Ordering},
    mem::Region,
    port::registry,
    prelude::*,
    ring::{kring::Kring, queue::Direction},
    sys::log::Displayed, //
};
use core::fmt;
use kernel::{
    bindings,
    debugfs,
    seq_file::SeqFile,
    seq_print, //
};

/// The files in debugfs, there as long as this value lives.
#[pin_data]
pub(super) struct Files {
    #[pin]
    ports: debugfs::File<()>,
    #[pin]
    regions: debugfs::File<()>,
    // Last, because it can be removed only when it is empty.
    directory: debugfs::Dir,
}

impl Files {
    pub(super) fn new() -> impl PinInit<Self, Error> {
        let directory = debugfs::Dir::new(c"netmap");
        try_pin_init!(Self {
            ports <- directory.read_callback_file(c"ports", (), &|(), f| describe_ports(f)),
            regions <- directory.read_callback_file(c"regions", (), &|(), f| describe_regions(f)),
            directory: directory.clone(),
        })
    }
}

/// Writes all ports in netmap mode: a line for the port, and one for each ring.
fn describe_ports(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let registry = registry::lock();
    for kind in registry.ports() {
        let port = kind.port();
        write!(f, "{}: ", port.name())?;
        kind.describe(f)?;
        f.write_str(if port.is_dead() { " dead\n" } else { "\n" })?;
        for direction in [Direction::Tx, Direction::Rx] {
            for (ring, kring) in (0..).zip(port.krings(direction)) {
                f.write_str("  ")?;
                describe_ring(kring, f)?;
                describe_cursors(kring, f)?;
                let taken = kind.is_taken(direction == Direction::Tx, ring);
                f.write_str(if taken { " taken\n" } else { "\n" })?;
            }
        }
    }
    Ok(())
}

/// Writes where a ring stands, or why that cannot be said now.
fn describe_cursors(kring: &Kring, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let cursors = match kring.try_hold_after_look() {
        Ok(mut held) => held.attached().map(|attached| attached.inner.cursors),
        Err(why) => return write!(f, " {why:?}"),
    };
    let Some(cursors) = cursors else {
        return f.write_str(" unused");
    };
    write!(
        f,
        " slots {} hwcur {} hwtail {} head {} cur {} tail {}",
        cursors.num_slots(),
        cursors.hwcur(),
        cursors.hwtail(),
        cursors.rhead(),
        cursors.rcur(),
        cursors.rtail(),
    )
}

/// Writes how much of each region is in use.
fn describe_regions(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let registry = registry::lock();
    for region in registry.regions() {
        describe_region(region, f)?;
    }
    Ok(())
}

fn describe_region(region: &Region, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let usage = region.usage();
    writeln!(f, "region {}: {} bytes", region.id(), region.size())?;
    for (pool, (used, total)) in [
        ("interface pages", usage.interfaces),
        ("ring pages", usage.rings),
        ("buffers", usage.buffers),
    ] {
        let free = total.saturating_sub(used);
        writeln!(f, "  {pool}: used {used} free {free} total {total}")?;
    }
    let (clusters, huge) = usage.clusters;
    writeln!(f, "  clusters: {clusters} huge {huge}")?;
    writeln!(f, "  pages of interfaces and rings: {}", usage.pages)?;
    writeln!(f, "  devices: {}", usage.devices)?;
    writeln!(f, "  lost buffers: {}", usage.lost)
}

/// Writes the counters of a ring, without an end of line.
fn describe_ring(kring: &Kring, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let counters = &kring.counters;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    write!(
        f,
        "{}{} {}: packets {} bytes {} syncs {} wakeups {} drops {} errors {} reinits {}",
        if kring.host { "host-" } else { "" },
        kring.direction,
        kring.index,
        read(&counters.packets),
        read(&counters.bytes),
        read(&counters.syncs),
        read(&counters.wakeups),
        read(&counters.drops),
        read(&counters.errors),
        read(&counters.reinits),
    )
}

/// The lines of an open file in `/proc/PID/fdinfo/FD`.
struct Description<'a>(&'a OpenFile);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(binding) = self.0.binding() else {
            return f.write_str("netmap-port:\t(not bound)\n");
        };
        writeln!(f, "netmap-port:\t{}", binding.label)?;
        f.write_str("netmap-kind:\t")?;
        binding.kind().describe(f)?;
        f.write_str("\n")?;
        writeln!(
            f,
            "netmap-faults:\t{} huge {}",
            self.0.faults.load(Ordering::Relaxed),
            self.0.huge_faults.load(Ordering::Relaxed)
        )?;
        for kring in Iterator::chain(binding.tx.iter(), binding.rx.iter()) {
            f.write_str("netmap-ring:\t")?;
            describe_ring(kring, f)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// Writes the lines of an open file in `/proc/PID/fdinfo/FD`.
///
/// # Safety
///
/// For the kernel to call, as this operation of an open `/dev/netmap`.
pub(super) unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
    // SAFETY: This is an operation on an open file.
    let open = unsafe { open_file(file) };
    // SAFETY: The caller lets us write to it.
    let m = unsafe { SeqFile::from_raw(m) };
    seq_print!(m, "{}", Displayed(Description(open)));
}
