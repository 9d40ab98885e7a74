// SPDX-License-Identifier: BSD-2-Clause
//! Time, as the guest counts it.

use std::io;

/// Nanoseconds of the monotonic clock. Under QEMU's `-icount shift=0` one of them is one instruction.
pub fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a timespec that lives through the call; this clock exists always, so that it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    // The monotonic clock is not negative.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds that all CPUs have been idle; the kernel tells them in units of 10 ms.
///
/// # Errors
///
/// If `/proc/stat` cannot be read.
pub fn idle() -> io::Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<&str> = stat.split_whitespace().collect();
    // "cpu user nice system idle iowait ..."
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    match (ticks(4), ticks(5)) {
        (Some(idle), Some(wait)) => Ok((idle + wait) * 10_000_000),
        _ => Err(io::Error::other(
            "/proc/stat does not start with the times of all CPUs",
        )),
    }
}
