// SPDX-License-Identifier: BSD-2-Clause
//! Stack ports: the payload of the kernel's own TCP connections in slots.

use crate::abi;
use crate::binding::{Interest, Ready};
use crate::control::control;
use crate::port::{OpenError, Options, Port};
use crate::ring::RawRing;
use crate::spec::PortSpec;
use core::ptr::{addr_of, addr_of_mut};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where a descriptor, an offset and an error are in the `ptr` of a slot.
const OFFSET_SHIFT: u32 = 32;
const ERROR_SHIFT: u32 = 48;

/// A connection of a stack port: what [`StackPort::register`] has said of a socket.
///
/// The port has the socket. No connection is equal to one that was closed, although its descriptor may have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    fd: RawFd,
    /// Never used again.
    number: u64,
}

/// What a receive slot says of its connection.
#[derive(Debug)]
pub enum Event<'r> {
    /// Octets that came, in the order of the stream.
    Data(&'r [u8]),
    /// The peer sends no more. The connection can still send; the program closes it.
    End,
    /// The connection has ended, or its descriptor could not be registered, or what was to be sent on it is dropped:
    /// `stackmap(4)` says which error means what.
    Error(io::Error),
}

/// A stack port of an interface: the program makes connections with sockets, and their data is in the slots of this port.
///
/// Echo, for one connection:
///
/// ```no_run
/// use netmap::{Event, Interest, Options, StackPort};
/// use std::net::TcpListener;
///
/// let mut port = StackPort::open(&"stack:eth0".parse()?, &Options::default())?;
/// let (socket, _) = TcpListener::bind("0.0.0.0:7")?.accept()?;
/// let echoed = port.register(socket)?;
/// let mut open = true;
/// while open {
///     port.poll(Interest::Rx, None)?;
///     port.receive(|connection, event, tx| match event {
///         _ if connection != echoed => {}
///         Event::Data(octets) => {
///             // A program that means it keeps what finds no slot.
///             tx.send(connection, octets);
///         }
///         Event::End | Event::Error(_) => open = false,
///     });
///     port.sync_tx()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StackPort {
    // Closed before the sockets.
    port: Port,
    sockets: Sockets,
    /// The connection of each transmit slot that was queued, by position.
    queued: Vec<Option<Connection>>,
}

impl StackPort {
    /// Opens the stack port of the interface that `spec` names, whether it says `stack:` or not.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(spec: &PortSpec, options: &Options) -> Result<StackPort, OpenError> {
        let spec = spec.with_flags(abi::NR_STACK);
        let mut port = Port::open(&spec, options)?;
        let whole = port.tx_mut().len() == 1
            && port.rx_mut().len() == 1
            && runs(&port.rx_mut()[0].0).is_some()
            && room(&port.tx_mut()[0].0) != 0;
        if !whole {
            return Err(OpenError::Malformed {
                port: spec.to_string(),
            });
        }
        let slots = port.tx_mut()[0].num_slots() as usize;
        Ok(StackPort {
            port,
            sockets: Sockets::default(),
            queued: vec![None; slots],
        })
    }

    /// Has the data of a connection go through this port from now on, and takes its socket.
    ///
    /// # Errors
    ///
    /// `ENOTSOCK`, `EPROTOTYPE`, `ENOTCONN`, `EBUSY`, `EXDEV` and others, see `stackmap(4)`. The socket is closed then.
    pub fn register(&mut self, socket: impl Into<OwnedFd>) -> io::Result<Connection> {
        let socket = socket.into();
        self.request(abi::NETMAP_REQ_PST_FD_REG, socket.as_fd())?;
        Ok(self.adopt(socket))
    }

    fn adopt(&mut self, socket: OwnedFd) -> Connection {
        // What these slots tell of this descriptor is of one that was closed.
        let (_, before) = self.port.rx_mut()[0].0.window();
        self.sockets.insert(socket, before)
    }

    /// Makes a connection an ordinary socket again.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it has ended. The port keeps the socket then.
    ///
    /// # Panics
    ///
    /// If the connection is not one of this port, or not any more.
    pub fn unregister(&mut self, connection: Connection) -> io::Result<OwnedFd> {
        let socket = self.sockets.get(connection);
        self.request(abi::NETMAP_REQ_PST_FD_UNREG, socket)?;
        Ok(self.sockets.remove(connection))
    }

    /// Closes a connection. What is in slots of it that TCP has not accepted is lost: [`StackTx::unsent`] tells.
    ///
    /// What has come of it and was not received yet is not told any more.
    ///
    /// # Panics
    ///
    /// As [`Self::unregister`].
    pub fn close(&mut self, connection: Connection) {
        drop(self.sockets.remove(connection));
    }

    /// The socket of a connection, for its options and addresses.
    ///
    /// # Panics
    ///
    /// As [`Self::unregister`].
    pub fn socket(&self, connection: Connection) -> BorrowedFd<'_> {
        self.sockets.get(connection)
    }

    fn request(&self, request: u16, socket: BorrowedFd<'_>) -> io::Result<()> {
        let mut body = abi::ReqPstFdReg {
            fd: socket.as_raw_fd(),
        };
        // SAFETY: this is the body of both requests.
        unsafe { control(self.port.as_fd(), request, "", addr_of_mut!(body).cast())? };
        Ok(())
    }

    /// The side that sends.
    #[inline]
    pub fn tx(&mut self) -> StackTx<'_> {
        StackTx::new(
            &mut self.port.tx_mut()[0].0,
            &self.sockets,
            &mut self.queued,
        )
    }

    /// Calls `f` with each slot that was received, by connection and in the order of its stream, and then releases them;
    /// returns how many.
    ///
    /// `f` may send. What it sends leaves at the next sync or poll. Slots of connections that were closed are released without.
    #[inline]
    pub fn receive(&mut self, mut f: impl FnMut(Connection, Event<'_>, &mut StackTx<'_>)) -> u32 {
        let (_, tx, rx) = self.port.split();
        let ring = &mut rx[0].0;
        let sockets = &self.sockets;
        let mut tx = StackTx::new(&mut tx[0].0, sockets, &mut self.queued);
        let (head, available) = ring.window();
        if available == 0 {
            return 0;
        }
        let slots = ring.num_slots();
        let (list, count) = match runs(ring) {
            Some((list, max)) => {
                // SAFETY: `runs` has found the head of the list, and `max` runs behind it, inside of the region.
                let count = unsafe { addr_of!((*list).count).read_volatile() };
                (list, count.min(max))
            }
            None => return 0,
        };
        for number in 0..count {
            // SAFETY: as above; `count` is no more than `max`.
            let run = unsafe {
                list.add(1)
                    .cast::<abi::StackRun>()
                    .add(number as usize)
                    .read_volatile()
            };
            for i in 0..run.count.min(slots) {
                // Below the number of slots.
                let at = ((u64::from(run.first) + u64::from(i)) % u64::from(slots)) as u32;
                let ahead = (at + slots - head) % slots;
                let Some(connection) = sockets.find(run.fd, ahead) else {
                    continue;
                };
                match event(ring, at) {
                    // Of a socket that was closed, whose number this one has now.
                    Event::Error(error) if error.raw_os_error() == Some(libc::ESTALE) => {}
                    event => f(connection, event, &mut tx),
                }
            }
        }
        ring.advance(head, available);
        self.sockets.turn += 1;
        available
    }

    /// See [`Port::sync_tx`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn sync_tx(&self) -> io::Result<()> {
        self.port.sync_tx()
    }

    /// See [`Port::sync_rx`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn sync_rx(&self) -> io::Result<()> {
        self.port.sync_rx()
    }

    /// See [`Port::poll`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn poll(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Ready> {
        self.port.poll(interest, timeout)
    }
}

impl AsFd for StackPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}

/// Connections are numbered across ports.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A socket that is registered.
struct Socket {
    fd: OwnedFd,
    number: u64,
    /// The turn in which it was registered, and how many received slots, then, are not of it.
    turn: u64,
    before: u32,
}

/// The sockets of a port, by their descriptors. As the port has them, no other file has one of these numbers.
#[derive(Default)]
struct Sockets {
    by_fd: Vec<Option<Socket>>,
    /// How often slots were received.
    turn: u64,
}

impl Sockets {
    /// A socket, when as many slots have been received that are not of it.
    fn insert(&mut self, fd: OwnedFd, before: u32) -> Connection {
        let connection = Connection {
            fd: fd.as_raw_fd(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        };
        // Descriptors are not negative.
        let at = connection.fd as usize;
        if self.by_fd.len() <= at {
            self.by_fd.resize_with(at + 1, || None);
        }
        self.by_fd[at] = Some(Socket {
            fd,
            number: connection.number,
            turn: self.turn,
            before,
        });
        connection
    }

    /// The connection that a descriptor stands for, as a received slot with so many before it says.
    #[inline]
    fn find(&self, fd: RawFd, ahead: u32) -> Option<Connection> {
        let at = usize::try_from(fd).ok()?;
        let socket = self.by_fd.get(at)?.as_ref()?;
        if socket.turn == self.turn && ahead < socket.before {
            return None;
        }
        Some(Connection {
            fd,
            number: socket.number,
        })
    }

    /// # Panics
    ///
    /// If there is no such connection.
    #[inline]
    fn get(&self, connection: Connection) -> BorrowedFd<'_> {
        let socket = self.by_fd.get(connection.fd as usize);
        match socket.and_then(Option::as_ref) {
            Some(socket) if socket.number == connection.number => socket.fd.as_fd(),
            _ => no_such_connection(),
        }
    }

    /// # Panics
    ///
    /// If there is no such connection.
    fn remove(&mut self, connection: Connection) -> OwnedFd {
        self.get(connection);
        match self.by_fd[connection.fd as usize].take() {
            Some(socket) => socket.fd,
            None => no_such_connection(),
        }
    }
}

#[cold]
#[inline(never)]
fn no_such_connection() -> ! {
    panic!("the connection is closed, or another port's")
}

/// The side of a stack port that sends.
pub struct StackTx<'p> {
    ring: &'p mut RawRing,
    sockets: &'p Sockets,
    /// One for each slot.
    queued: &'p mut [Option<Connection>],
    /// Octets of a buffer that are not for payload, no more than it has.
    room: u32,
}

impl<'p> StackTx<'p> {
    #[inline]
    fn new(
        ring: &'p mut RawRing,
        sockets: &'p Sockets,
        queued: &'p mut [Option<Connection>],
    ) -> StackTx<'p> {
        StackTx {
            room: room(ring),
            ring,
            sockets,
            queued,
        }
    }

    /// Octets that a slot holds.
    #[inline]
    pub fn slot_len(&self) -> usize {
        (self.ring.buffers().size() - self.room) as usize
    }

    /// Slots that are free.
    #[inline]
    pub fn space(&self) -> u32 {
        self.ring.window().1
    }

    /// The connections of slots that TCP has not accepted, as of the last sync: one for each such slot, in the order of the
    /// ring, connections that were closed included. Who closes one of these loses what is in its slots.
    pub fn unsent(&self) -> Vec<Connection> {
        let (head, available) = self.ring.window();
        let slots = self.ring.num_slots();
        let count = slots - 1 - available;
        (0..count)
            .filter_map(|i| self.queued[((head + slots - count + i) % slots) as usize])
            .collect()
    }

    /// Queues what `fill` writes to the room of one slot: it returns how many octets. False if no slot is free.
    ///
    /// # Panics
    ///
    /// If `fill` returns more than the room's length; if the connection is not one of this port, or not any more.
    #[inline]
    pub fn send_with(
        &mut self,
        connection: Connection,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let fd = self.sockets.get(connection).as_raw_fd();
        let (head, available) = self.ring.window();
        if available == 0 {
            return false;
        }
        let (skip, size) = (self.room, self.slot_len());
        let slot = self.ring.slot(head);
        // SAFETY: `head` is a slot of the ring, and the program's; `at` checks its buffer, of which the first `skip` octets are
        // left out. The buffer is in no other slot of this process, and the ring is borrowed.
        let payload = unsafe {
            let buffer = self
                .ring
                .buffers()
                .at(addr_of!((*slot).buf_idx).read_volatile());
            core::slice::from_raw_parts_mut(buffer.add(skip as usize), size)
        };
        let len = fill(payload);
        assert!(len <= size, "a slot has room for {size} octets");
        // SAFETY: the slot is the program's, as above.
        unsafe {
            // A buffer is no longer than 16 bits count.
            addr_of_mut!((*slot).len).write_volatile(len as u16);
            addr_of_mut!((*slot).flags).write_volatile(0);
            let ptr = u64::from(fd as u32) | (u64::from(skip) << OFFSET_SHIFT);
            addr_of_mut!((*slot).ptr).write_volatile(ptr);
        }
        self.queued[head as usize] = Some(connection);
        self.ring.advance(head, 1);
        true
    }

    /// Queues `octets`, in as many slots as they need; returns how many octets found room.
    ///
    /// Slots are taken also for a connection that has some which TCP has not accepted ([`Self::unsent`]): a program that
    /// goes on to send to a peer that does not read fills the ring.
    ///
    /// # Panics
    ///
    /// If the connection is not one of this port, or not any more, unless there are no octets.
    #[inline]
    pub fn send(&mut self, connection: Connection, octets: &[u8]) -> usize {
        let most = self.slot_len();
        let mut sent = 0;
        for part in octets.chunks(most) {
            let fits = self.send_with(connection, |room| {
                room[..part.len()].copy_from_slice(part);
                part.len()
            });
            if !fits {
                break;
            }
            sent += part.len();
        }
        sent
    }
}

/// Octets at the start of each buffer that are not for payload; 0 where the kernel has written nonsense.
#[inline]
fn room(ring: &RawRing) -> u32 {
    // SAFETY: the field is inside of the ring's head; it is read by raw pointer.
    let room = unsafe { addr_of!((*ring.head_ptr()).stack_room).read_volatile() };
    if room < ring.buffers().size() {
        room
    } else {
        0
    }
}

/// The list of runs of a receive ring, and how many it has room for.
#[inline]
fn runs(ring: &RawRing) -> Option<(*mut abi::StackRuns, u32)> {
    // SAFETY: the field is inside of the ring's head; it is read by raw pointer.
    let offset = unsafe { addr_of!((*ring.head_ptr()).stack_ofs).read_volatile() };
    // A ring has no more runs than slots.
    let len = size_of::<abi::StackRuns>() + ring.num_slots() as usize * size_of::<abi::StackRun>();
    if offset == 0 {
        return None;
    }
    let list = ring.beside(offset, len, align_of::<abi::StackRuns>())?;
    Some((list.as_ptr().cast(), ring.num_slots()))
}

/// What the slot `at`, which is one of the ring, says.
#[inline]
fn event(ring: &RawRing, at: u32) -> Event<'_> {
    // SAFETY: the slot is one of the ring's; each field is read once.
    let slot = unsafe { ring.slot(at).read_volatile() };
    if slot.flags & abi::NS_STACK_ERROR != 0 {
        // 16 bits.
        return Event::Error(io::Error::from_raw_os_error(
            (slot.ptr >> ERROR_SHIFT) as i32,
        ));
    }
    if slot.flags & abi::NS_STACK_END != 0 {
        return Event::End;
    }
    let size = ring.buffers().size() as usize;
    let start = usize::from((slot.ptr >> OFFSET_SHIFT) as u16).min(size);
    let len = usize::from(slot.len).min(size - start);
    // SAFETY: `at` checks the buffer, of which `start + len` octets are asked for at most; it is in no other slot of this process,
    // and the ring is borrowed.
    Event::Data(unsafe {
        core::slice::from_raw_parts(ring.buffers().at(slot.buf_idx).add(start), len)
    })
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
