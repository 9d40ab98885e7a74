// SPDX-License-Identifier: GPL-2.0

//! The connections of a stack port.
//!
//! A connection is registered by its descriptor, which from then on is a number that stands for it: nothing looks the descriptor
//! up again for each slot. The port has a reference to the socket and not to its file, so that a program's `close()` closes. When
//! nobody has the socket open any more, whoever is about to use it sees that with the socket locked; when TCP is done with it, it
//! says so, and the reference goes at once.
//!
//! # Locks
//!
//! The mutex of [`Stack::sockets`] is taken with a kring held, or none, and the lock of a socket nests inside of it. What arrives
//! comes with the socket locked, often in a softirq, and takes the spin lock of [`Stack::arrivals`] alone.

use super::buffers::Buffers;
use crate::{
    atomic::{AtomicBool, AtomicU32, Ordering},
    logic::{
        arrivals::{Arrivals, Node, Room, Source},
        numbers, //
    },
    mem::{Group, Region},
    prelude::*,
    ring::kring::Kring,
    sys::{
        netdev::NetDev,
        socket::{Arrived, Locked, News, Socket, Stream, Tapped},
        softirq::Softirq, //
    },
};
use core::ptr::NonNull;
use kernel::sync::{new_mutex, new_spinlock, Mutex, SpinLock, SpinLockGuard};

/// What has arrived on the connections of a port.
pub(super) type PortArrivals = Arrivals<KVVec<Node>, KVVec<Source>>;

/// The connections of a port, and their data.
#[pin_data]
pub(crate) struct Stack {
    pub(super) region: Arc<Region>,
    pub(super) buffers: Buffers,
    /// Bytes of a buffer before the payload.
    pub(super) room: u16,
    tx: Arc<Kring>,
    rx: Arc<Kring>,
    #[pin]
    arrivals: SpinLock<PortArrivals>,
    #[pin]
    sockets: Mutex<Sockets>,
    /// What the program is to be told of descriptors that are no connections, in receive slots: an errno for each.
    #[pin]
    notices: Mutex<KVec<(i32, u16)>>,
    has_notices: AtomicBool,
}

/// The connections, by number.
pub(super) struct Sockets {
    /// [`None`] when the port has ended.
    dev: Option<NetDev>,
    /// The number of a connection, by descriptor.
    numbers: KVVec<u32>,
    connections: KVVec<Option<Arc<Connection>>>,
    /// Numbers of connections that are free.
    free: KVVec<u32>,
    /// The identity of the last one that was registered.
    last: u32,
}

/// A connection as its socket knows it.
pub(super) type Connection = Tapped<Registered>;

/// A registered connection.
pub(super) struct Registered {
    stack: Arc<Stack>,
    /// Its number.
    pub(super) id: u32,
    pub(super) fd: i32,
    /// Its identity: no other connection of the port has it.
    pub(super) serial: u32,
    /// Whether TCP has taken nothing when it was last tried, and has not said since that it would.
    stalled: AtomicBool,
    /// The transmit sync in which TCP has refused something: what follows is refused, too. Of who holds the transmit kring.
    pub(super) refused: AtomicU32,
}

impl Stream for Registered {
    fn store(&self, arrived: &Arrived<'_>, softirqs: &Softirq) -> u32 {
        let stack = &*self.stack;
        let size = stack.region.buf_size();
        let mut done = 0;
        let mut wake = false;
        while done < arrived.len() {
            let mut arrivals = stack.arrivals(softirqs);
            let Some(room) = arrivals.room(self.id) else {
                break;
            };
            let begin = u32::from(stack.room) + u32::from(room.used);
            let part = (arrived.len() - done).min(size.saturating_sub(begin));
            let Some(buffer) = stack.region.buf_ptr(room.buffer) else {
                break;
            };
            // SAFETY: A buffer of `size` bytes, and `begin + part` is not more. `done + part` is no more than what has arrived.
            let stored = unsafe { arrived.copy(done, buffer.add(begin as usize), part) };
            if !stored {
                break;
            }
            wake |= arrivals.stored(self.id, room, part as u16);
            done += part;
        }
        if wake {
            stack.rx.wake();
        }
        done
    }

    fn news(&self, news: News, error: u16) {
        if news.writable() && self.stalled.swap(false, Ordering::Relaxed) {
            self.stack.tx.wake();
        }
        if news.left() || news.ended() || news.gone() || error != 0 {
            self.note(news, error);
        }
    }
}

impl Registered {
    /// Has the next receive sync look at what is new.
    pub(super) fn note(&self, news: News, error: u16) {
        let wake = {
            let softirqs = Softirq::off();
            let mut arrivals = self.stack.arrivals(&softirqs);
            arrivals.note(self.id, news.left(), news.ended(), news.gone(), error)
        };
        if wake {
            self.stack.rx.wake();
        }
    }

    /// TCP takes nothing now. With the socket locked, so that it does not say meanwhile that it would.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// Whether TCP has not said since [`Self::stall`] that it would take something.
    #[inline]
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }
}

/// Data of a connection in a buffer: the address and the length.
pub(super) type Chunk = (NonNull<u8>, u32);

impl Stack {
    /// For a port of `dev` with these rings, of `slots` slots, whose buffers are those of `group`. `ENOMEM`.
    pub(super) fn new(
        dev: NetDev,
        region: &Arc<Region>,
        group: &Arc<Group>,
        (tx, rx): (Arc<Kring>, Arc<Kring>),
        slots: (u32, u32),
        room: u16,
    ) -> Result<Arc<Self>> {
        // Twice the transmit ring: what was sent in a round trip comes back in the next one.
        let buffers = Buffers::new(region, group, slots.1, slots.0.saturating_mul(2))?;
        let own = buffers.for_arrivals();
        let mut nodes = KVVec::with_capacity(own.len(), GFP_CHARGED)?;
        for (index, buffer) in (0u32..).zip(own) {
            let last = index as usize + 1 == own.len();
            nodes.push(Node::free(index, *buffer, last), GFP_CHARGED)?;
        }
        let payload = region.buf_size().saturating_sub(u32::from(room));
        let arrivals = Arrivals::new(
            nodes,
            KVVec::new(),
            u16::try_from(payload).unwrap_or(u16::MAX),
            slots.1.div_ceil(4),
        );
        let sockets = Sockets {
            dev: Some(dev),
            numbers: KVVec::new(),
            connections: KVVec::new(),
            free: KVVec::new(),
            last: 0,
        };
        let notices = KVec::with_capacity(slots.1 as usize, GFP_CHARGED)?;
        Arc::pin_init(
            pin_init!(Self {
                region: region.clone(),
                buffers,
                room,
                tx,
                rx,
                arrivals <- new_spinlock!(arrivals, "netmap_arrivals"),
                sockets <- new_mutex!(sockets, "netmap_sockets"),
                notices <- new_mutex!(notices, "netmap_notices"),
                has_notices: AtomicBool::new(false),
            }),
            GFP_CHARGED,
        )
    }

    /// What has arrived, locked.
    #[inline]
    pub(super) fn arrivals<'a>(&'a self, _softirq: &'a Softirq) -> SpinLockGuard<'a, PortArrivals> {
        self.arrivals.lock()
    }

    /// The connections, locked.
    pub(super) fn sockets(&self) -> kernel::sync::MutexGuard<'_, Sockets> {
        self.sockets.lock()
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        let sockets = self.sockets.lock();
        sockets.connections.len().saturating_sub(sockets.free.len())
    }

    /// Has the program told of an error of a descriptor that is no connection, in a receive slot. If it does not look at those for
    /// long, it is not.
    pub(super) fn notify(&self, fd: i32, error: Error) {
        let error = u16::try_from(error.to_errno().unsigned_abs()).unwrap_or(0);
        let mut notices = self.notices.lock();
        let _ = notices.push_within_capacity((fd, error));
        drop(notices);
        self.has_notices.store(true, Ordering::Relaxed);
        self.rx.wake();
    }

    /// Has the program try again to send what nobody will say that it can be sent.
    pub(super) fn retry(&self) {
        self.tx.wake();
    }

    /// The next of what [`Self::notify`] was told.
    pub(super) fn notice(&self) -> Option<(i32, u16)> {
        if !self.has_notices.load(Ordering::Relaxed) {
            return None;
        }
        let mut notices = self.notices.lock();
        let first = (!notices.is_empty())
            .then(|| notices.remove(0).ok())
            .flatten();
        if notices.is_empty() {
            self.has_notices.store(false, Ordering::Relaxed);
        }
        first
    }

    /// Registers a connection of the calling task. Errors: those of `netmap_stack.h`.
    pub(super) fn register(self: &Arc<Self>, fd: i32) -> Result {
        self.sockets.lock().register(self, fd).map(|_| ())
    }

    /// Makes a registered connection an ordinary socket. `ENOENT` if it is not.
    pub(super) fn unregister(&self, fd: i32) -> Result {
        let mut sockets = self.sockets.lock();
        if sockets.dev.is_none() {
            return Err(ENXIO);
        }
        let connection = sockets.find(fd).cloned().ok_or(ENOENT)?;
        sockets.end(self, &connection, &mut KVec::new());
        Ok(())
    }

    /// The connection of this number, if it is still that of this identity.
    pub(super) fn connection(&self, id: u32, serial: u32) -> Option<Arc<Connection>> {
        let sockets = self.sockets.lock();
        sockets.get(id, serial).cloned()
    }

    /// Forgets a connection that TCP is done with, or that has ended with an error.
    pub(super) fn forget(&self, id: u32, serial: u32) {
        let mut sockets = self.sockets.lock();
        if let Some(connection) = sockets.get(id, serial).cloned() {
            sockets.end(self, &connection, &mut KVec::new());
        }
    }

    /// Makes all connections ordinary sockets, with the data that `unread` says of each, those in slots, and those in no slot. No
    /// others are registered any more.
    pub(super) fn disband(&self, unread: impl Fn(&Registered, &mut KVec<Chunk>)) {
        let mut sockets = self.sockets.lock();
        sockets.dev = None;
        for id in 0..sockets.connections.len() {
            let Some(connection) = sockets.connections.get(id).cloned().flatten() else {
                continue;
            };
            let mut chunks = KVec::new();
            unread(&connection, &mut chunks);
            sockets.end(self, &connection, &mut chunks);
        }
    }
}

impl Sockets {
    /// The connection of a descriptor.
    #[inline]
    pub(super) fn find(&self, fd: i32) -> Option<&Arc<Connection>> {
        let id = numbers::get(&self.numbers, fd)?;
        self.connections.get(id as usize)?.as_ref()
    }

    /// The connection of this number, if it is still that of this identity.
    pub(super) fn get(&self, id: u32, serial: u32) -> Option<&Arc<Connection>> {
        let connection = self.connections.get(id as usize)?.as_ref()?;
        (connection.serial == serial).then_some(connection)
    }

    /// Room for one more connection, with this descriptor.
    fn reserve(&mut self, stack: &Stack, fd: i32) -> Result {
        let words = numbers::words_for(fd, self.numbers.len()).ok_or(ENOSPC)?;
        if words > self.numbers.len() {
            let more = words - self.numbers.len();
            self.numbers.extend_with(more, numbers::NONE, GFP_CHARGED)?;
        }
        if self.free.is_empty() {
            let have = self.connections.len();
            let want = (have * 2).clamp(64, numbers::MOST_CONNECTIONS as usize);
            if want <= have {
                return Err(ENOSPC);
            }
            let sources = KVVec::from_elem(Source::NOBODY, want, GFP_CHARGED)?;
            self.free.reserve(want, GFP_CHARGED)?;
            self.connections.reserve(want - have, GFP_CHARGED)?;
            let old = {
                let softirqs = Softirq::off();
                let mut arrivals = stack.arrivals(&softirqs);
                arrivals.grow(sources)
            };
            drop(old);
            for id in (have..want).rev() {
                // There is room for both.
                let _ = self.connections.push_within_capacity(None);
                let _ = self.free.push_within_capacity(id as u32);
            }
        }
        Ok(())
    }

    /// Registers the connection that the descriptor of the calling task is.
    pub(super) fn register(&mut self, stack: &Arc<Stack>, fd: i32) -> Result<Arc<Connection>> {
        let socket = Socket::find(fd, self.dev.as_ref().ok_or(ENXIO)?)?;
        // The descriptor is another one's now.
        if let Some(former) = self.find(fd).cloned() {
            self.end(stack, &former, &mut KVec::new());
        }
        self.reserve(stack, fd)?;
        let id = self.free.last().copied().ok_or(ENOSPC)?;
        let serial = self.last.wrapping_add(1).max(1);
        let connection = Arc::new(
            Tapped::new(Registered {
                stack: stack.clone(),
                id,
                fd,
                serial,
                stalled: AtomicBool::new(false),
                refused: AtomicU32::new(0),
            }),
            GFP_CHARGED,
        )?;
        {
            let softirqs = Softirq::off();
            stack.arrivals(&softirqs).open(id, fd, serial);
        }
        // SAFETY: It is new, and in the list until it is untapped or settled, see `end`.
        if let Err(error) = unsafe { connection.tap(socket) } {
            let softirqs = Softirq::off();
            stack.arrivals(&softirqs).close(id);
            return Err(error);
        }
        self.last = serial;
        let _ = self.free.pop();
        numbers::set(&mut self.numbers, fd, id);
        if let Some(entry) = self.connections.get_mut(id as usize) {
            *entry = Some(connection.clone());
        }
        Ok(connection)
    }

    /// Makes a connection an ordinary socket and forgets it. The data of `chunks`, and what is in no slot, can be read from it then.
    pub(super) fn end(
        &mut self,
        stack: &Stack,
        connection: &Arc<Connection>,
        chunks: &mut KVec<Chunk>,
    ) {
        let id = connection.id;
        match connection.lock() {
            Some(mut locked) => {
                locked.untap();
                if !locked.is_dead() {
                    give_back(stack, &mut locked, id, chunks);
                }
            }
            None => connection.settle(),
        }
        {
            let softirqs = Softirq::off();
            stack.arrivals(&softirqs).close(id);
        }
        numbers::clear(&mut self.numbers, connection.fd, id);
        if let Some(entry) = self.connections.get_mut(id as usize) {
            *entry = None;
            let _ = self.free.push_within_capacity(id);
        }
    }
}

/// Puts data back into a socket that is not tapped any more: `chunks`, and then what is in no slot.
fn give_back(
    stack: &Stack,
    locked: &mut Locked<'_, Registered>,
    id: u32,
    chunks: &mut KVec<Chunk>,
) {
    let add = |chunks: &mut KVec<Chunk>, room: Room| {
        if let Some(data) = stack.payload(room.buffer, stack.room) {
            let _ = chunks.push_within_capacity((data, u32::from(room.used)));
        }
    };
    let most = {
        let softirqs = Softirq::off();
        let mut arrivals = stack.arrivals(&softirqs);
        // Nothing is added any more, and from now on nothing is taken.
        arrivals.park(id);
        let mut count = 0;
        arrivals.each(id, |_, _| count += 1);
        count
    };
    if chunks.reserve(most, GFP_KERNEL).is_err() {
        pr_err!("no memory to give a socket its unread data back\n");
        return;
    }
    {
        let softirqs = Softirq::off();
        let arrivals = stack.arrivals(&softirqs);
        arrivals.each(id, |buffer, used| add(chunks, Room { buffer, used }));
    }
    let mut last = true;
    for (data, len) in chunks.iter().rev().filter(|(_, len)| *len != 0) {
        // SAFETY: Data of a buffer, which is the port's as long as its connections.
        unsafe { locked.unread(*data, *len, last) };
        last = false;
    }
    locked.announce();
}

impl Stack {
    /// The address of a buffer's byte `offset`, which is within it.
    #[inline]
    pub(super) fn payload(&self, buffer: u32, offset: u16) -> Option<NonNull<u8>> {
        if u32::from(offset) > self.region.buf_size() {
            return None;
        }
        // SAFETY: It lies within the buffer, or right behind it.
        Some(unsafe { self.region.buf_ptr(buffer)?.add(usize::from(offset)) })
    }
}
