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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Where a descriptor, an offset and an error are in the `ptr` of a slot.
const OFFSET_SHIFT: u32 = 32;
const ERROR_SHIFT: u32 = 48;

/// A connection of a stack port: what [`StackPort::register`] has said of a socket, or [`StackPort::receive`] of what has come.
///
/// It stands for the socket's descriptor, in this process, and keeps nothing open. The kernel looks that up when a slot is handed
/// over: a program closes the socket when no slot of it is unsent ([`StackTx::unsent`]), and forgets the connection then, as the
/// number may be another socket's afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection(RawFd);

impl Connection {
    /// Whether it is that of a socket.
    pub fn is(self, socket: &impl AsFd) -> bool {
        self.0 == socket.as_fd().as_raw_fd()
    }
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
/// let echoed = port.register(&socket)?;
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
    port: Port,
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
        Ok(StackPort { port })
    }

    /// Has the data of a connection go through this port from now on: its descriptor stands for it until it is closed.
    ///
    /// The first slot with a descriptor does the same; this tells an error at once.
    ///
    /// # Errors
    ///
    /// `ENOTSOCK`, `EPROTOTYPE`, `ENOTCONN`, `EBUSY`, `EXDEV` and others, see `stackmap(4)`.
    pub fn register(&self, connection: &impl AsFd) -> io::Result<Connection> {
        self.connection(abi::NETMAP_REQ_PST_FD_REG, connection)?;
        Ok(Connection(connection.as_fd().as_raw_fd()))
    }

    /// Makes a connection an ordinary socket again.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it is not registered here.
    pub fn unregister(&self, connection: &impl AsFd) -> io::Result<()> {
        self.connection(abi::NETMAP_REQ_PST_FD_UNREG, connection)
    }

    fn connection(&self, request: u16, connection: &impl AsFd) -> io::Result<()> {
        let mut body = abi::ReqPstFdReg {
            fd: connection.as_fd().as_raw_fd(),
        };
        // SAFETY: this is the body of both requests.
        unsafe { control(self.port.as_fd(), request, "", addr_of_mut!(body).cast())? };
        Ok(())
    }

    /// The side that sends.
    #[inline]
    pub fn tx(&mut self) -> StackTx<'_> {
        StackTx::new(&mut self.port.tx_mut()[0].0)
    }

    /// Calls `f` with each slot that was received, by connection and in the order of its stream, and then releases them;
    /// returns how many.
    ///
    /// `f` may send. What it sends leaves at the next sync or poll.
    ///
    /// A program calls this before it accepts connections: a slot may be of a descriptor that it has closed, whose number
    /// `accept()` returns again.
    #[inline]
    pub fn receive(&mut self, mut f: impl FnMut(Connection, Event<'_>, &mut StackTx<'_>)) -> u32 {
        let (_, tx, rx) = self.port.split();
        let ring = &mut rx[0].0;
        let mut tx = StackTx::new(&mut tx[0].0);
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
                let at = (u64::from(run.first) + u64::from(i)) % u64::from(slots);
                // Below the number of slots.
                f(Connection(run.fd), event(ring, at as u32), &mut tx);
            }
        }
        ring.advance(head, available);
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

/// The side of a stack port that sends.
pub struct StackTx<'p> {
    ring: &'p mut RawRing,
    /// Octets of a buffer that are not for payload, no more than it has.
    room: u32,
}

impl<'p> StackTx<'p> {
    #[inline]
    fn new(ring: &'p mut RawRing) -> StackTx<'p> {
        StackTx {
            room: room(ring),
            ring,
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
    /// ring. Who closes one of these loses what is in its slots.
    pub fn unsent(&self) -> Vec<Connection> {
        let (head, available) = self.ring.window();
        let slots = self.ring.num_slots();
        let count = slots - 1 - available;
        (0..count)
            .map(|i| {
                let at = (head + slots - count + i) % slots;
                // SAFETY: one of the ring's slots.
                let ptr = unsafe { addr_of!((*self.ring.slot(at)).ptr).read_volatile() };
                // The lowest 32 bits.
                Connection(ptr as RawFd)
            })
            .collect()
    }

    /// Queues what `fill` writes to the room of one slot: it returns how many octets. False if no slot is free.
    ///
    /// # Panics
    ///
    /// If `fill` returns more than the room's length.
    #[inline]
    pub fn send_with(
        &mut self,
        connection: Connection,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
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
            let ptr = u64::from(connection.0 as u32) | (u64::from(skip) << OFFSET_SHIFT);
            addr_of_mut!((*slot).ptr).write_volatile(ptr);
        }
        self.ring.advance(head, 1);
        true
    }

    /// Queues `octets`, in as many slots as they need; returns how many octets found room.
    ///
    /// Slots are taken also for a connection that has some which TCP has not accepted ([`Self::unsent`]): a program that
    /// goes on to send to a peer that does not read fills the ring.
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
