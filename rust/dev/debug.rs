// SPDX-License-Identifier: GPL-2.0

//! What an administrator can see: the `fdinfo` of an open file, and `/sys/kernel/debug/netmap`.

use super::{open_file, OpenFile};
use crate::{
    mem,
    port::{kring::Kring, registry},
    prelude::*,
    sys::log::Shown, //
};
use core::{fmt, sync::atomic::Ordering};
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
            ports <- directory.read_callback_file(c"ports", (), &|(), f| registry::describe(f)),
            regions <- directory.read_callback_file(c"regions", (), &|(), f| mem::describe(f)),
            directory: directory.clone(),
        })
    }
}

/// Writes the counters of a ring as a line.
pub(crate) fn describe_ring(kring: &Kring, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let counters = &kring.counters;
    let read = |counter: &core::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    writeln!(
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
        writeln!(
            f,
            "netmap-faults:\t{} huge {}",
            self.0.faults.load(Ordering::Relaxed),
            self.0.huge_faults.load(Ordering::Relaxed)
        )?;
        for kring in Iterator::chain(binding.tx.iter(), binding.rx.iter()) {
            f.write_str("netmap-ring:\t")?;
            describe_ring(kring, f)?;
        }
        Ok(())
    }
}

pub(super) unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
    // SAFETY: This is an operation on an open file.
    let open = unsafe { open_file(file) };
    // SAFETY: The caller lets us write to it.
    let m = unsafe { SeqFile::from_raw(m) };
    seq_print!(m, "{}", Shown(Description(open)));
}
