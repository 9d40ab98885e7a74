// SPDX-License-Identifier: BSD-2-Clause
//! A server by io_uring, the way that costs it least: one multishot receive per connection, into buffers that the kernel
//! picks from a ring; zero-copy sends from registered memory; registered files; and one system call for all that a turn
//! has to submit and to collect.

use crate::client::REQUEST;
use crate::server::{all, number, page, whole, Server};
use io_uring::types::{BufRingEntry, Fixed};
use io_uring::{cqueue, opcode, squeue, IoUring};
use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// Entries of the submission queue, and buffers for requests.
const ENTRIES: u16 = 2048;
/// Octets of a buffer for requests.
const ROOM: usize = 2 * REQUEST;
/// Responses of a connection that may be under way: the kernel may take its time to give one back. And octets of all.
const RESPONSES: core::ops::RangeInclusive<usize> = 4..=64;
const MEMORY: usize = 64 << 20;
/// Of the flags of `io_uring_enter`: collect what has completed.
const GETEVENTS: u32 = 1;
/// Of a send: the result of its notification says whether the kernel had to copy, by its highest bit.
const REPORT_USAGE: u16 = 1 << 3;

/// A completion's tag: which response of all, or which connection.
fn tag(number: usize, send: bool) -> u64 {
    (number << 1) as u64 | u64::from(send)
}

/// Buffers that the kernel picks from.
///
/// # Invariants
///
/// `ring` points to `ENTRIES` entries that live as long as the program, `rooms` has as many rooms.
struct Rooms {
    ring: NonNull<BufRingEntry>,
    rooms: Vec<[u8; ROOM]>,
    tail: u16,
}

impl Rooms {
    fn new(uring: &IoUring) -> io::Result<Rooms> {
        let layout = Layout::array::<BufRingEntry>(ENTRIES.into()).and_then(|l| l.align_to(4096));
        let layout = layout.map_err(io::Error::other)?;
        // SAFETY: the layout is not of zero size. The memory is never freed, as the kernel has it until the ring is gone.
        let ring = unsafe { alloc_zeroed(layout) };
        let Some(ring) = NonNull::new(ring) else {
            handle_alloc_error(layout)
        };
        let ring = ring.cast::<BufRingEntry>();
        // SAFETY: by the allocation above, which has as many entries and stays.
        unsafe {
            let address = ring.as_ptr().expose_provenance() as u64;
            uring
                .submitter()
                .register_buf_ring_with_flags(address, ENTRIES, 0, 0)?;
        }
        // INVARIANT: as just allocated.
        let mut rooms = Rooms {
            ring,
            rooms: vec![[0; ROOM]; ENTRIES.into()],
            tail: 0,
        };
        for room in 0..ENTRIES {
            rooms.give(room);
        }
        rooms.publish();
        Ok(rooms)
    }

    /// Gives a room to the kernel, once it is published.
    fn give(&mut self, room: u16) {
        let address = self.rooms[usize::from(room)].as_mut_ptr();
        // SAFETY: by the invariant; the kernel does not read an entry beyond the tail.
        let entry = unsafe { &mut *self.ring.as_ptr().add(usize::from(self.tail % ENTRIES)) };
        entry.set_addr(address.expose_provenance() as u64);
        entry.set_len(ROOM as u32);
        entry.set_bid(room);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the tail lies in the first entry, aligned; the kernel only reads it.
        let tail =
            unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.ring.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// The server.
pub struct Uring {
    // Closed before the memory that it was given goes away.
    uring: IoUring,
    sockets: Vec<TcpStream>,
    rooms: Rooms,
    /// As many for each connection.
    responses: Vec<u8>,
    each: usize,
    busy: Vec<bool>,
    response: usize,
    copied: u64,
    /// What a turn has collected.
    completions: Vec<cqueue::Entry>,
    waiting: Vec<squeue::Entry>,
}

impl Uring {
    /// Serves on `sockets`.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn new(sockets: Vec<TcpStream>, response: usize) -> io::Result<Uring> {
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(4 * u32::from(ENTRIES))
            .build(ENTRIES.into())?;
        let rooms = Rooms::new(&uring)?;
        let fds: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        uring.submitter().register_files(&fds)?;
        let page = page(response);
        let each = MEMORY / (response * sockets.len());
        let each = each.clamp(*RESPONSES.start(), *RESPONSES.end());
        let mut responses = Vec::with_capacity(response * each * sockets.len());
        for _ in 0..each * sockets.len() {
            responses.extend_from_slice(&page);
        }
        let memory = libc::iovec {
            iov_base: responses.as_mut_ptr().cast(),
            iov_len: responses.len(),
        };
        // SAFETY: the memory is this server's, which closes the ring before it frees it.
        unsafe { uring.submitter().register_buffers(&[memory])? };
        let mut server = Uring {
            uring,
            busy: vec![false; each * sockets.len()],
            sockets,
            rooms,
            responses,
            each,
            response,
            copied: 0,
            completions: Vec::new(),
            waiting: Vec::new(),
        };
        for connection in 0..server.sockets.len() {
            server.receive(connection);
        }
        server.submit()?;
        Ok(server)
    }

    fn receive(&mut self, connection: usize) {
        // Fewer connections than 32 bits count.
        let receive = opcode::RecvMulti::new(Fixed(connection as u32), 0).build();
        self.waiting.push(receive.user_data(tag(connection, false)));
    }

    /// Submits what waits, and has the kernel do what it has to in this thread.
    fn submit(&mut self) -> io::Result<()> {
        let mut at = 0;
        loop {
            let mut queue = self.uring.submission();
            while let Some(entry) = self.waiting.get(at) {
                // SAFETY: what an entry points to are the rooms and the responses, which live as long as the ring.
                if unsafe { queue.push(entry) }.is_err() {
                    break;
                }
                at += 1;
            }
            queue.sync();
            // No longer than the queue.
            let count = queue.len() as u32;
            drop(queue);
            // SAFETY: no argument is passed.
            unsafe {
                self.uring
                    .submitter()
                    .enter::<()>(count, 0, GETEVENTS, None)?
            };
            if at == self.waiting.len() {
                self.waiting.clear();
                return Ok(());
            }
        }
    }

    /// Whether there is something that a system call would bring, or that is there without one.
    fn has_work(&mut self) -> bool {
        self.uring.submission().taskrun() || !self.uring.completion().is_empty()
    }

    fn complete(&mut self, entry: &cqueue::Entry) -> io::Result<()> {
        let (number, send) = (
            (entry.user_data() >> 1) as usize,
            entry.user_data() & 1 != 0,
        );
        let flags = entry.flags();
        if cqueue::notif(flags) {
            self.busy[number] = false;
            self.copied += u64::from(entry.result() < 0);
            return Ok(());
        }
        if entry.result() < 0 {
            return Err(io::Error::from_raw_os_error(-entry.result()));
        }
        // Not negative, as just checked.
        let len = entry.result() as usize;
        if send {
            self.busy[number] &= cqueue::more(flags);
            return all(len, self.response);
        }
        whole(len)?;
        let room = cqueue::buffer_select(flags)
            .ok_or_else(|| io::Error::other("a request without a buffer"))?;
        self.respond(number, usize::from(room))?;
        self.rooms.give(room);
        if !cqueue::more(flags) {
            self.receive(number);
        }
        Ok(())
    }

    fn respond(&mut self, connection: usize, room: usize) -> io::Result<()> {
        let first = connection * self.each;
        let free = self.busy[first..first + self.each]
            .iter()
            .position(|busy| !busy);
        let index = free.ok_or_else(|| io::Error::other("no response comes back"))?;
        self.busy[first + index] = true;
        let start = (first + index) * self.response;
        let response = &mut self.responses[start..start + self.response];
        number(response, &self.rooms.rooms[room]);
        // Fewer connections than 32 bits count, and shorter responses.
        let send = opcode::SendZc::new(
            Fixed(connection as u32),
            response.as_ptr(),
            self.response as u32,
        );
        let send = send.buf_index(Some(0)).zc_flags(REPORT_USAGE).build();
        self.waiting.push(send.user_data(tag(first + index, true)));
        Ok(())
    }
}

impl Server for Uring {
    fn turn(&mut self) -> io::Result<bool> {
        if !self.has_work() {
            return Ok(false);
        }
        if self.uring.completion().is_empty() {
            self.submit()?;
        }
        loop {
            let mut completions = core::mem::take(&mut self.completions);
            completions.extend(self.uring.completion());
            for entry in &completions {
                self.complete(entry)?;
            }
            completions.clear();
            self.completions = completions;
            self.rooms.publish();
            if self.waiting.is_empty() {
                return Ok(true);
            }
            self.submit()?;
        }
    }

    fn fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    fn copied(&self) -> u64 {
        self.copied
    }
}
