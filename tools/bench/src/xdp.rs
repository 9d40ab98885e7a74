// SPDX-License-Identifier: BSD-2-Clause
//! AF_XDP, with copies or without.

use crate::bpf::Redirect;
use crate::mapping::Mapping;
use crate::packet::{check, ifindex, set_option, wait};
use crate::payload::{Sink, Source, MAX_LEN};
use crate::run::{Receiver, Sender};
use bench::clock;
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Octets per buffer.
const CHUNK: usize = 2 * MAX_LEN;
/// Entries of each ring, and buffers of each direction.
const ENTRIES: u32 = 1024;
/// How long a queue may stay busy after its last user has gone.
const BIND_LIMIT: Duration = Duration::from_secs(3);
/// Distance between two attempts to bind it.
const BIND_STEP: Duration = Duration::from_millis(5);
/// How long frames may take to leave, in nanoseconds.
const DRAIN_LIMIT: u64 = 5_000_000_000;

/// One of the four rings of a socket.
///
/// # Invariants
///
/// The pointers lead into `_memory`; `entries` has `ENTRIES` elements of `T`.
struct Ring<T> {
    _memory: Mapping,
    producer: *mut u32,
    consumer: *mut u32,
    flags: *mut u32,
    entries: *mut T,
    /// Our own index: the next entry to produce or to consume.
    own: u32,
}

impl<T: Copy> Ring<T> {
    fn map(fd: &OwnedFd, at: i64, offsets: &libc::xdp_ring_offset) -> io::Result<Ring<T>> {
        let len = offsets.desc as usize + ENTRIES as usize * size_of::<T>();
        let memory = Mapping::of(fd, len, at)?;
        let word = |offset: u64| memory.at(offset as usize).cast();
        Ok(Ring {
            producer: word(offsets.producer),
            consumer: word(offsets.consumer),
            flags: word(offsets.flags),
            entries: memory.at(offsets.desc as usize).cast(),
            own: 0,
            _memory: memory,
        })
    }

    fn load(word: *mut u32) -> u32 {
        // SAFETY: by the invariant; such words are shared with the kernel and accessed atomically.
        unsafe { AtomicU32::from_ptr(word).load(Ordering::Acquire) }
    }

    /// Entries that the kernel has produced and we have not consumed.
    fn filled(&self) -> u32 {
        Self::load(self.producer).wrapping_sub(self.own)
    }

    /// Entries that we have produced and the kernel has not consumed.
    fn queued(&self) -> u32 {
        self.own.wrapping_sub(Self::load(self.consumer))
    }

    fn needs_wakeup(&self) -> bool {
        Self::load(self.flags) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn push(&mut self, entry: T) {
        // SAFETY: the index is below `ENTRIES`; callers have asked for room, so that the entry is ours.
        unsafe { self.entries.add((self.own % ENTRIES) as usize).write(entry) };
        self.own = self.own.wrapping_add(1);
    }

    fn pop(&mut self) -> T {
        // SAFETY: as for `push`; callers have asked for filled entries.
        let entry = unsafe { self.entries.add((self.own % ENTRIES) as usize).read() };
        self.own = self.own.wrapping_add(1);
        entry
    }

    /// Tells the kernel what has been pushed.
    fn submit(&self) {
        // SAFETY: as for `load`.
        unsafe { AtomicU32::from_ptr(self.producer).store(self.own, Ordering::Release) };
    }

    /// Tells the kernel what has been popped.
    fn release(&self) {
        // SAFETY: as for `load`.
        unsafe { AtomicU32::from_ptr(self.consumer).store(self.own, Ordering::Release) };
    }
}

/// A socket on one queue, with the program that feeds it.
pub struct Socket {
    fill: Ring<u64>,
    completion: Ring<u64>,
    rx: Ring<libc::xdp_desc>,
    tx: Ring<libc::xdp_desc>,
    free: Vec<u64>,
    memory: Mapping,
    copies: bool,
    redirect: Redirect,
    fd: OwnedFd,
}

impl Socket {
    /// Opens a socket for both directions of `queue`.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the driver has no zero-copy mode, and what attaching a program can fail with.
    pub fn open(interface: &str, queue: u32, copies: bool) -> io::Result<Socket> {
        let index = ifindex(interface)?;
        let redirect = Redirect::attach(index)?;
        // SAFETY: takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        check(fd as isize)?;
        // SAFETY: a new descriptor, owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let len = 2 * ENTRIES as usize * CHUNK;
        let memory = Mapping::anonymous(len)?;
        let registration = libc::xdp_umem_reg {
            addr: memory.base().expose_provenance() as u64,
            len: len as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        set_option(&fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)?;
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            set_option(&fd, libc::SOL_XDP, ring, &ENTRIES)?;
        }
        let offsets = offsets(&fd)?;
        let mut fill = Ring::map(&fd, libc::XDP_UMEM_PGOFF_FILL_RING as i64, &offsets.fr)?;
        let completion = Ring::map(
            &fd,
            libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64,
            &offsets.cr,
        )?;
        let rx = Ring::map(&fd, libc::XDP_PGOFF_RX_RING, &offsets.rx)?;
        let tx = Ring::map(&fd, libc::XDP_PGOFF_TX_RING, &offsets.tx)?;
        let chunks =
            |first: u32| (first..first + ENTRIES).map(|chunk| u64::from(chunk) * CHUNK as u64);
        chunks(ENTRIES).for_each(|chunk| fill.push(chunk));
        fill.submit();
        let mode = if copies {
            libc::XDP_COPY
        } else {
            libc::XDP_ZEROCOPY
        };
        bind(&fd, index, queue, mode | libc::XDP_USE_NEED_WAKEUP)?;
        redirect.steer(queue, &fd)?;
        Ok(Socket {
            fill,
            completion,
            rx,
            tx,
            free: chunks(0).collect(),
            memory,
            copies,
            redirect,
            fd,
        })
    }

    /// True if frames pass through the driver's own hook.
    pub fn is_native(&self) -> bool {
        self.redirect.native
    }

    /// Collects the buffers of frames that have been sent.
    fn reclaim(&mut self) {
        let done = self.completion.filled();
        if done != 0 {
            for _ in 0..done {
                self.free.push(self.completion.pop());
            }
            self.completion.release();
        }
    }

    /// Tells the kernel to send. With copies, it sends a part of the queue per call.
    fn kick(&self) -> io::Result<()> {
        while self.tx.queued() != 0 && (self.copies || self.tx.needs_wakeup()) {
            // SAFETY: no octets and no address are given.
            let sent = unsafe {
                let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_DONTWAIT);
                libc::sendto(fd, core::ptr::null(), 0, flags, core::ptr::null(), 0)
            };
            match check(sent) {
                Ok(_) if !self.copies => return Ok(()),
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) if self.copies => {}
                    // The device is at work, or out of buffers for now.
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS) => return Ok(()),
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

fn offsets(fd: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: the structure is made of integers.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { core::mem::zeroed() };
    let mut len = size_of_val(&offsets) as libc::socklen_t;
    let value = core::ptr::from_mut(&mut offsets).cast();
    let option = libc::XDP_MMAP_OFFSETS;
    // SAFETY: `value` leads to `len` octets; both live through the call.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, value, &mut len) };
    check(result as isize)?;
    Ok(offsets)
}

fn bind(fd: &OwnedFd, index: u32, queue: u32, flags: u16) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: flags,
        sxdp_ifindex: index,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let len = size_of_val(&address) as libc::socklen_t;
    let start = Instant::now();
    loop {
        // SAFETY: `address` is `len` octets and lives through the call.
        let result =
            unsafe { libc::bind(fd.as_raw_fd(), core::ptr::from_ref(&address).cast(), len) };
        match check(result as isize) {
            // The kernel frees the queue of a socket that is closed a little later, without an event for it.
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && start.elapsed() < BIND_LIMIT =>
            {
                std::thread::sleep(BIND_STEP);
            }
            result => return result.map(drop),
        }
    }
}

impl Sender for Socket {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        self.reclaim();
        let room = (ENTRIES - self.tx.queued()).min(self.free.len() as u32);
        let count = count.min(room);
        for addr in self.free.drain(self.free.len() - count as usize..) {
            // SAFETY: a free buffer is ours and as long as any frame.
            unsafe { source.put(self.memory.at(addr as usize)) };
            self.tx.push(libc::xdp_desc {
                addr,
                len: source.len() as u32,
                options: 0,
            });
        }
        self.tx.submit();
        self.kick()?;
        Ok(count)
    }

    fn finish(&mut self) -> io::Result<()> {
        let start = clock::now();
        while self.free.len() < ENTRIES as usize {
            if clock::now() - start > DRAIN_LIMIT {
                return Err(io::Error::other(
                    "frames do not leave the ring: is the link up?",
                ));
            }
            self.kick()?;
            self.reclaim();
        }
        Ok(())
    }
}

impl Receiver for Socket {
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        if self.rx.filled() == 0 {
            let ready = wait(&self.fd, libc::POLLIN, patience.unwrap_or_default())?;
            if !ready {
                return Ok(0);
            }
        }
        let count = count.min(self.rx.filled());
        for _ in 0..count {
            let frame = self.rx.pop();
            // SAFETY: the kernel has put a frame of this length there; `at` checks that it is in the memory, and a
            // buffer's end is followed by another or by the mapping's spare octets.
            unsafe { sink.take(self.memory.at(frame.addr as usize), frame.len as usize) };
            self.fill.push(frame.addr & !(CHUNK as u64 - 1));
        }
        self.rx.release();
        self.fill.submit();
        if self.fill.needs_wakeup() {
            wait(&self.fd, libc::POLLIN, Duration::ZERO)?;
        }
        Ok(count)
    }
}
