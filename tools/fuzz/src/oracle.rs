// SPDX-License-Identifier: BSD-2-Clause
//! What must hold, whatever a program did.

use crate::operations::OPERATIONS;
use crate::program::Step;
use crate::world::{self, World};
use libc::{c_int, c_void};
use netmap::Control;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicU32, AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Errors are smaller.
const ERRORS: usize = 256;
/// Operations are fewer.
const MOST: usize = 64;
/// How long what a program had may take to go away once it is dead, and a frame to arrive: far more than either takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a program gets whose second thread has closed the file meanwhile, and perhaps opened another one in its place.
const CLOSED: [c_int; 2] = [libc::EBADF, libc::ENOTTY];

/// What programs tell those who run them, in memory that they share.
pub struct Record {
    counts: [[AtomicU32; ERRORS]; MOST],
    /// The text of a finding, ended by a zero.
    finding: [AtomicU8; 256],
}

impl Record {
    /// New memory, shared with all processes that come from this one.
    pub fn new() -> io::Result<&'static Self> {
        // SAFETY: A new mapping, at an address of the kernel's choice.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Self>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: The mapping is large enough, aligned to pages, and never removed; zeros are a value of the type.
        Ok(unsafe { &*memory.cast::<Self>() })
    }

    /// Counts what an operation returned, and judges it.
    pub fn count(&self, step: &Step, errno: c_int) {
        let index = usize::try_from(errno).map_or(0, |errno| errno % ERRORS);
        self.counts[step.operation][index].fetch_add(1, Ordering::Relaxed);
        let operation = step.operation();
        let documented = operation.errors.contains(&errno) || CLOSED.contains(&errno);
        if errno != 0 && !operation.errors.is_empty() && !documented {
            self.report(&format!("errno {errno} is not documented: {step}"));
        }
    }

    /// Leaves a finding; the first one counts.
    pub fn report(&self, text: &str) {
        if self.finding[0].load(Ordering::Relaxed) == 0 {
            // The first byte last, and the final zero stays.
            for (to, from) in self.finding[..255].iter().zip(text.bytes()).rev() {
                to.store(from, Ordering::Release);
            }
        }
    }

    /// The finding that was left, if any.
    pub fn finding(&self) -> Option<String> {
        let bytes: Vec<u8> = self
            .finding
            .iter()
            .map(|byte| byte.load(Ordering::Acquire))
            .take_while(|&byte| byte != 0)
            .collect();
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How often each operation returned what: name, errno, times.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize, u32)> + '_ {
        let rows = OPERATIONS.iter().zip(&self.counts);
        rows.flat_map(|(operation, row)| {
            row.iter().enumerate().filter_map(|(errno, count)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then_some((operation.name, errno, count))
            })
        })
    }
}

const _: () = assert!(OPERATIONS.len() <= MOST);

/// An interface that a program has attached to a switch stays there without the program, and goes on being polled, and so does an
/// interface that a program has made: that ends here. What cannot be detached is seen to be left behind.
fn detach_all() -> io::Result<()> {
    let control = Control::open()?;
    let ports: Vec<_> = control.ports().collect::<Result<_, _>>()?;
    for port in ports {
        let _ = control.stop_polling(&port.name);
        let _ = control.detach(&port.name);
    }
    for interface in fs::read_dir("/sys/class/net")? {
        // Those that are a driver's are refused.
        let _ = control.remove(&interface?.file_name().to_string_lossy());
    }
    Ok(())
}

/// Nothing is left of any program: no port, no buffer, no memory of the region.
pub fn nothing_left() -> Result<(), String> {
    detach_all().map_err(|error| format!("ports of switches: {error}"))?;
    let end = Instant::now() + PATIENCE;
    loop {
        let mut left = String::new();
        for file in ["ports", "regions"] {
            let path = format!("/sys/kernel/debug/netmap/{file}");
            left += &fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        }
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= end {
            let text: Vec<_> = left.lines().map(str::trim).collect();
            return Err(format!("left behind: {}", text.join(" | ")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn receive(socket: c_int) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 2048];
    // SAFETY: The buffer is as long as is said.
    let length = unsafe {
        libc::recv(
            socket,
            buffer.as_mut_ptr().cast::<c_void>(),
            buffer.len(),
            libc::MSG_DONTWAIT,
        )
    };
    buffer.truncate(usize::try_from(length).ok()?);
    Some(buffer)
}

/// The host's frames pass on every wire, both ways.
pub fn host_traffic(world: &World) -> Result<(), String> {
    for pair in world.nics.chunks_exact(2) {
        for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let end = Instant::now() + PATIENCE;
            while receive(to.socket).is_some() {}
            let probe = world::frame(world::PROBE, 64);
            loop {
                // SAFETY: The buffer is as long as is said.
                unsafe {
                    libc::send(
                        from.socket,
                        probe.as_ptr().cast::<c_void>(),
                        probe.len(),
                        libc::MSG_DONTWAIT,
                    )
                };
                std::thread::sleep(Duration::from_millis(1));
                if receive(to.socket).is_some_and(|frame| frame.starts_with(&probe)) {
                    break;
                }
                if Instant::now() >= end {
                    return Err(format!(
                        "no frame of the host's comes from {} to {}",
                        from.name, to.name
                    ));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    Ok(())
}

/// What the kernel says while programs run.
pub struct KernelLog(File);

impl KernelLog {
    /// From now on.
    pub fn new() -> io::Result<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(KernelLog(file))
    }

    /// The first complaint since the last call. What ends the machine needs nobody to look for it, and the whole log
    /// is looked through at the end: this is to know which program it was.
    pub fn complaint(&mut self) -> Option<String> {
        const COMPLAINTS: &[&str] = &[
            "BUG: ",
            "WARNING: ",
            "INFO: task",
            "INFO: rcu",
            "INFO: possible",
            "INFO: trying",
            "possible circular",
            "possible recursive",
            "possible irq",
            "inconsistent lock state",
            "suspicious RCU",
            "KASAN",
            "UBSAN",
            "DMA-API: ",
            "ODEBUG: ",
            "refcount_t: ",
            "soft lockup",
            "rust_kernel: panicked",
            "NETDEV WATCHDOG",
            "Tx Unit Hang",
        ];
        let mut found = None;
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&record[..length]);
                    let line = text.lines().next().unwrap_or_default();
                    let text = line.split_once(';').map_or(line, |(_, text)| text);
                    if found.is_none() && COMPLAINTS.iter().any(|what| text.contains(what)) {
                        found = Some(text.to_owned());
                    }
                }
                // Records were lost: the rest is there.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(_) => return found,
            }
        }
    }
}
