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
//! The mutex of [`Stack::sockets`] is taken with a kring held, or none, and the lock of a socket nests inside of it. A socket's lock
//! may be held by a task for as long as that likes, one that sends from memory that is not there for example, or that has a module
//! loaded for it: so neither the RTNL mutex nor the registry's may be held by whoever waits for this mutex, or for a ring whose sync
//! may.
//!
//! What arrives comes with the socket locked, often in a softirq, and takes the spin lock of [`Stack::arrivals`] alone.

use super::buffers::Buffers;
use crate::{
    atomic::{AtomicBool, AtomicU32, Ordering},
    logic::{
        arrivals::{Arrivals, Node, Source},
        numbers, //
    },
    mem::{Group, Region},
    prelude::*,
    ring::kring::Kring,
    sys::{
        sched,
        socket::{Arrived, News, Ordinary, Place, Socket, Stream, Tapped},
        softirq::Softirq,
        work::{Job, Work}, //
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
    notices: Mutex<Notices>,
    has_notices: AtomicBool,
    /// Where packets of its connections leave.
    place: Place,
    /// No connection is registered any more: the port has ended.
    is_over: AtomicBool,
    retry: Arc<Work<Retry>>,
    /// How many connections there are.
    count: AtomicU32,
}

/// Has the program try again to send, after a while.
struct Retry {
    tx: Arc<Kring>,
}

impl Job for Retry {
    fn run(&self) {
        // Memory is missing, and whoever looks for it all the time does not help.
        for _ in 0..10 {
            sched::rest();
        }
        self.tx.wake();
    }
}

/// An error of a descriptor.
struct Notice {
    fd: i32,
    /// The connection that the descriptor was; 0 if it could not be registered.
    serial: u32,
    error: u16,
}

/// What the program is to be told of, in the order in which it happened.
struct Notices {
    list: KVVec<Notice>,
    /// How many at the begin of the list were told.
    told: usize,
}

impl Notices {
    fn next(&mut self) -> Option<&Notice> {
        if self.told == self.list.len() {
            self.list.clear();
            self.told = 0;
            return None;
        }
        self.told += 1;
        self.list.get(self.told - 1)
    }
}

/// The connections, by number.
pub(super) struct Sockets {
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
    /// TCP has taken something back for good: what follows is dropped, so that the stream has no hole. Of the same.
    pub(super) ended: AtomicBool,
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

/// Puts data of a connection back into its socket: the address, in a buffer, and the length.
pub(super) type PutBack<'a> = dyn FnMut(NonNull<u8>, u32) + 'a;
/// What there is to put back of a connection that is in slots, from the last one on.
pub(super) type InSlots<'a> = dyn Fn(&Registered, &mut PutBack<'_>) + 'a;
/// What is in slots stays there.
pub(super) const NOTHING: &InSlots<'static> = &|_, _| {};

impl Stack {
    /// For connections whose packets leave at `place`, with these rings, of `slots` slots, whose buffers are those of `group`. `ENOMEM`.
    pub(super) fn new(
        place: Place,
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
            numbers: KVVec::new(),
            connections: KVVec::new(),
            free: KVVec::new(),
            last: 0,
        };
        let notices = Notices {
            list: KVVec::with_capacity(slots.1 as usize, GFP_CHARGED)?,
            told: 0,
        };
        let retry = Work::new(Retry { tx: tx.clone() })?;
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
                place,
                is_over: AtomicBool::new(false),
                retry,
                count: AtomicU32::new(0),
            }),
            GFP_CHARGED,
        )
    }

    /// What has arrived, locked.
    #[inline]
    pub(super) fn arrivals<'a>(&'a self, _softirq: &'a Softirq) -> SpinLockGuard<'a, PortArrivals> {
        self.arrivals.lock()
    }

    /// Whether nothing has arrived that is in no slot. What arrives from now on wakes who sleeps.
    pub(super) fn is_quiet(&self) -> bool {
        let softirqs = Softirq::off();
        let mut arrivals = self.arrivals(&softirqs);
        arrivals.look()
    }

    /// The connections, locked.
    pub(super) fn sockets(&self) -> kernel::sync::MutexGuard<'_, Sockets> {
        self.sockets.lock()
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Has the program told of an error of a descriptor, in a receive slot: `serial` is the connection that it was, 0 if it could not be
    /// registered. If the program does not look at those for long, it is not told.
    pub(super) fn notify(&self, fd: i32, serial: u32, error: Error) {
        let error = u16::try_from(error.to_errno().unsigned_abs()).unwrap_or(0);
        let mut notices = self.notices.lock();
        let _ = notices
            .list
            .push_within_capacity(Notice { fd, serial, error });
        drop(notices);
        self.has_notices.store(true, Ordering::Relaxed);
        self.rx.wake();
    }

    /// Has the program try again to send what nobody will say that it can be sent.
    pub(super) fn retry(&self) {
        self.retry.ask();
    }

    /// The port has ended: nothing is registered any more. Connections that are stay so until [`Self::disband`].
    pub(super) fn finish(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether there is something that [`Self::notify`] was told.
    pub(super) fn has_notices(&self) -> bool {
        self.has_notices.load(Ordering::Relaxed)
    }

    /// The next of what [`Self::notify`] was told, but for what does not concern the connection that the number stands for now.
    pub(super) fn notice(&self, sockets: &Sockets) -> Option<(i32, u16)> {
        let mut notices = self.notices.lock();
        while let Some(notice) = notices.next() {
            let is_current = sockets.find(notice.fd).is_none_or(|connection| {
                connection.serial == notice.serial && !connection.is_closed()
            });
            if is_current {
                return Some((notice.fd, notice.error));
            }
        }
        self.has_notices.store(false, Ordering::Relaxed);
        None
    }

    /// Registers a connection of the calling task. Errors: those of `netmap_stack.h`.
    pub(super) fn register(self: &Arc<Self>, fd: i32) -> Result {
        self.sockets.lock().register(self, fd).map(|_| ())
    }

    /// Makes a registered connection an ordinary socket. `ENOENT` if it is not.
    pub(super) fn unregister(&self, fd: i32) -> Result {
        let mut sockets = self.sockets.lock();
        if self.is_over.load(Ordering::Relaxed) {
            return Err(ENXIO);
        }
        let connection = sockets.find(fd).cloned().ok_or(ENOENT)?;
        sockets.end(self, &connection, NOTHING);
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
            sockets.end(self, &connection, NOTHING);
        }
    }

    /// Makes all connections ordinary sockets, with the data of each that are in slots, and those in no slot. No others are
    /// registered any more.
    pub(super) fn disband(&self, in_slots: &InSlots<'_>) {
        self.finish();
        let mut sockets = self.sockets.lock();
        for id in 0..sockets.connections.len() {
            let Some(connection) = sockets.connections.get(id).cloned().flatten() else {
                continue;
            };
            sockets.end(self, &connection, in_slots);
        }
    }
}

impl Sockets {
    /// The number of the connection of a descriptor.
    #[inline]
    pub(super) fn number(&self, fd: i32) -> Option<u32> {
        numbers::get(&self.numbers, fd)
    }

    /// The connection of this number.
    #[inline]
    pub(super) fn at(&self, id: u32) -> Option<&Arc<Connection>> {
        self.connections.get(id as usize)?.as_ref()
    }

    /// The connection of a descriptor.
    #[inline]
    pub(super) fn find(&self, fd: i32) -> Option<&Arc<Connection>> {
        self.at(self.number(fd)?)
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
        // One that was disconnected may be registered with its new connection.
        if let Some(former) = self.find(fd).filter(|it| !it.is_open()).cloned() {
            self.end(stack, &former, NOTHING);
        }
        if stack.is_over.load(Ordering::Relaxed) {
            return Err(ENXIO);
        }
        let socket = Socket::find(fd, &stack.place)?;
        // The descriptor is another one's now.
        if let Some(former) = self.find(fd).cloned() {
            self.end(stack, &former, NOTHING);
        }
        self.reserve(stack, fd)?;
        let id = self.free.last().copied().ok_or(ENOSPC)?;
        let serial = self.last.wrapping_add(1).max(1);
        let connection = Arc::pin_init(
            Tapped::new(Registered {
                stack: stack.clone(),
                id,
                fd,
                serial,
                stalled: AtomicBool::new(false),
                refused: AtomicU32::new(0),
                ended: AtomicBool::new(false),
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
        stack.count.fetch_add(1, Ordering::Relaxed);
        let _ = self.free.pop();
        numbers::set(&mut self.numbers, fd, id);
        if let Some(entry) = self.connections.get_mut(id as usize) {
            *entry = Some(connection.clone());
        }
        Ok(connection)
    }

    /// Makes a connection an ordinary socket and forgets it. Its data that are `in_slots`, and those in no slot, can be read from it
    /// then.
    pub(super) fn end(
        &mut self,
        stack: &Stack,
        connection: &Arc<Connection>,
        in_slots: &InSlots<'_>,
    ) {
        let id = connection.id;
        match connection.lock() {
            Some(locked) => {
                let is_dead = locked.is_dead();
                let ordinary = locked.untap();
                if !is_dead {
                    give_back(stack, ordinary, connection, in_slots);
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
            stack.count.fetch_sub(1, Ordering::Relaxed);
            let _ = self.free.push_within_capacity(id);
        }
    }
}

/// Puts data back into a socket that is not tapped any more: what is in no slot, and what is in slots, which is before that. None of
/// it may be lost, so it asks for no memory that it may not get.
fn give_back(
    stack: &Stack,
    mut ordinary: Ordinary,
    connection: &Registered,
    in_slots: &InSlots<'_>,
) {
    let id = connection.id;
    let mut last = true;
    let mut put_back = |data, len| {
        if len != 0 {
            // SAFETY: Data of a buffer, which is the port's as long as its connections.
            unsafe { ordinary.unread(data, len, last) };
            last = false;
        }
    };
    // Nothing is added any more, and from now on nothing is taken.
    {
        let softirqs = Softirq::off();
        stack.arrivals(&softirqs).park(id);
    }
    let next = |at| {
        let softirqs = Softirq::off();
        let arrivals = stack.arrivals(&softirqs);
        arrivals.behind(id, at)
    };
    let mut at = None;
    while let Some((node, buffer, len)) = next(at) {
        if let Some(data) = stack.payload(buffer, stack.room) {
            put_back(data, u32::from(len));
        }
        at = Some(node);
    }
    in_slots(connection, &mut put_back);
    ordinary.announce();
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
