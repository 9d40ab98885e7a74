// SPDX-License-Identifier: GPL-2.0

//! What has arrived on the connections of a stack port and is in no slot yet: a list of buffers for each connection, and a queue
//! of the connections that have something to tell.
//!
//! A connection is in the queue once, and all that its list holds goes to the ring before the next one's: so slots are grouped by
//! connection. Its list is filled where its data arrive, in a softirq, and emptied by whoever syncs the ring; the caller has a
//! lock around each call.
//!
//! There are as many nodes as buffers. A node without data is free, and still has its buffer: one that goes to a slot is
//! exchanged for the slot's.

use core::ops::DerefMut;

/// No node, or no connection.
const NONE: u32 = u32::MAX;

/// A buffer, and how much is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its index in the region.
    pub buffer: u32,
    len: u16,
    next: u32,
}

impl Node {
    /// One of an array of free nodes: that of `index`, with its buffer. The last one is followed by none.
    pub fn free(index: u32, buffer: u32, last: bool) -> Self {
        Self {
            buffer,
            len: 0,
            next: if last { NONE } else { index.wrapping_add(1) },
        }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    fd: i32,
    /// Which one it is of all that there were; 0 if there is none.
    serial: u32,
    first: u32,
    last: u32,
    count: u32,
    /// Whether it is in the queue, and its neighbours there.
    queued: bool,
    before: u32,
    next: u32,
    /// Something may be left in the socket.
    left: bool,
    /// All that there will ever be has been stored.
    ended: bool,
    /// The program has been told so.
    end_told: bool,
    /// TCP is done with it.
    gone: bool,
    error: u16,
    /// The program has been told of the error.
    error_told: bool,
}

impl Source {
    /// None.
    pub const NOBODY: Self = Self {
        fd: -1,
        serial: 0,
        first: NONE,
        last: NONE,
        count: 0,
        queued: false,
        before: NONE,
        next: NONE,
        left: false,
        ended: false,
        end_told: false,
        gone: false,
        error: 0,
        error_told: false,
    };
}

/// Where the next bytes of a connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The buffer.
    pub buffer: u32,
    /// Bytes that are in it.
    pub used: u16,
}

/// Data that goes to the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The descriptor and the identity of its connection.
    pub fd: i32,
    /// See above.
    pub serial: u32,
    /// The buffer.
    pub buffer: u32,
    /// Bytes in it.
    pub len: u16,
}

/// What is to be done for the next connection of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has data, see [`Arrivals::take_data`].
    Data,
    /// The program is told that no more follows.
    End,
    /// The program is told of an error, with which the connection ends.
    Error(u16),
    /// Nothing more is to be told of it now. It is out of the queue.
    Nothing {
        /// Something may be left in the socket.
        left: bool,
        /// TCP is done with it, or it has ended with an error.
        gone: bool,
    },
}

/// The connections, and the buffers.
pub struct Arrivals<N, S> {
    nodes: N,
    sources: S,
    /// The first free node.
    free: u32,
    free_count: u32,
    /// First and last in the queue.
    first: u32,
    last: u32,
    /// Bytes of a buffer that may be used, from where payload begins.
    room: u16,
    /// Most buffers that one connection may have here.
    most: u32,
    /// Whether somebody is to be told when there is something in the queue.
    curious: bool,
}

impl<N: DerefMut<Target = [Node]>, S: DerefMut<Target = [Source]>> Arrivals<N, S> {
    /// Of free nodes, in the order in which they follow each other. Each buffer takes `room` bytes, and a connection gets `most`
    /// buffers at most.
    pub fn new(nodes: N, sources: S, room: u16, most: u32) -> Self {
        let free_count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        Self {
            free: if free_count == 0 { NONE } else { 0 },
            free_count,
            nodes,
            sources,
            first: NONE,
            last: NONE,
            room,
            most,
            curious: true,
        }
    }

    /// How many buffers are free.
    pub fn free_count(&self) -> u32 {
        self.free_count
    }

    /// Puts other words in place of those of the connections, with what is in these; returns these.
    pub fn grow(&mut self, mut sources: S) -> S {
        for (to, from) in sources.iter_mut().zip(self.sources.iter()) {
            *to = *from;
        }
        core::mem::replace(&mut self.sources, sources)
    }

    fn node(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index as usize)
    }

    fn source(&mut self, id: u32) -> Option<&mut Source> {
        self.sources.get_mut(id as usize)
    }

    /// The connection `id` is another one from now on.
    pub fn open(&mut self, id: u32, fd: i32, serial: u32) {
        self.close(id);
        if let Some(source) = self.source(id) {
            *source = Source {
                fd,
                serial,
                ..Source::NOBODY
            };
        }
    }

    /// There is no such connection any more; its buffers are free.
    pub fn close(&mut self, id: u32) {
        while self.take(id).is_some() {}
        self.unqueue(id);
        if let Some(source) = self.source(id) {
            *source = Source::NOBODY;
        }
    }

    fn unqueue(&mut self, id: u32) {
        let Some(source) = self.source(id).filter(|source| source.queued) else {
            return;
        };
        source.queued = false;
        let (before, next) = (source.before, source.next);
        match self.source(before) {
            Some(source) => source.next = next,
            None => self.first = next,
        }
        match self.source(next) {
            Some(source) => source.before = before,
            None => self.last = before,
        }
    }

    fn enqueue(&mut self, id: u32) {
        let last = self.last;
        let Some(source) = self.source(id) else {
            return;
        };
        if source.queued || source.serial == 0 {
            return;
        }
        source.queued = true;
        source.before = last;
        source.next = NONE;
        match self.source(last) {
            Some(before) => before.next = id,
            None => self.first = id,
        }
        self.last = id;
    }

    /// Where the next bytes of a connection go. [`None`] if it has no room now: what comes stays where it is, and
    /// [`Self::note`] says so.
    #[inline]
    pub fn room(&mut self, id: u32) -> Option<Room> {
        let (room, most, free) = (self.room, self.most, self.free);
        let source = *self.source(id)?;
        if source.serial == 0 {
            return None;
        }
        if let Some(node) = self.node(source.last) {
            if node.len < room {
                return Some(Room {
                    buffer: node.buffer,
                    used: node.len,
                });
            }
        }
        if source.count >= most {
            return None;
        }
        // It is taken when something is in it.
        self.node(free).map(|node| Room {
            buffer: node.buffer,
            used: 0,
        })
    }

    /// So many more bytes are where [`Self::room`] has said. True if somebody is to be told.
    #[inline]
    pub fn stored(&mut self, id: u32, room: Room, count: u16) -> bool {
        let Some(source) = self.sources.get_mut(id as usize) else {
            return false;
        };
        if room.used == 0 {
            let index = self.free;
            let Some(node) = self.nodes.get_mut(index as usize) else {
                return false;
            };
            node.len = count;
            self.free = core::mem::replace(&mut node.next, NONE);
            self.free_count = self.free_count.wrapping_sub(1);
            source.count = source.count.wrapping_add(1);
            let before = core::mem::replace(&mut source.last, index);
            if before == NONE {
                source.first = index;
            } else if let Some(before) = self.nodes.get_mut(before as usize) {
                before.next = index;
            }
        } else if let Some(node) = self.nodes.get_mut(source.last as usize) {
            node.len = node.len.saturating_add(count);
        }
        if source.queued {
            return core::mem::take(&mut self.curious);
        }
        self.enqueue(id);
        core::mem::take(&mut self.curious)
    }

    /// What is known of a connection. True if somebody is to be told.
    pub fn note(&mut self, id: u32, left: bool, ended: bool, gone: bool, error: u16) -> bool {
        let Some(source) = self.source(id).filter(|source| source.serial != 0) else {
            return false;
        };
        source.left |= left;
        source.ended |= ended;
        source.gone |= gone;
        if source.error == 0 {
            source.error = error;
        }
        self.enqueue(id);
        core::mem::take(&mut self.curious)
    }

    /// Whether there is nothing to be told of any connection. If so, somebody wants to know when there is.
    pub fn look(&mut self) -> bool {
        self.curious = true;
        self.first == NONE
    }

    /// The connection whose turn it is: number, descriptor and identity.
    #[inline]
    pub fn head(&self) -> Option<(u32, i32, u32)> {
        let source = self.sources.get(self.first as usize)?;
        Some((self.first, source.fd, source.serial))
    }

    /// Takes the first buffer of the connection whose turn it is, if it has data; `buffer` is free instead. If there is nothing else
    /// to be told of it, it is out of the queue then.
    #[inline]
    pub fn take_data(&mut self, buffer: u32) -> Option<Taken> {
        let source = self.sources.get_mut(self.first as usize)?;
        let index = source.first;
        let node = self.nodes.get_mut(index as usize)?;
        let taken = Taken {
            fd: source.fd,
            serial: source.serial,
            buffer: node.buffer,
            len: node.len,
        };
        source.first = node.next;
        source.count = source.count.wrapping_sub(1);
        *node = Node {
            buffer,
            len: 0,
            next: self.free,
        };
        self.free = index;
        self.free_count = self.free_count.wrapping_add(1);
        if source.first == NONE {
            source.last = NONE;
            if !source.left && !source.ended && !source.gone && source.error == 0 {
                let id = self.first;
                self.unqueue(id);
            }
        }
        Some(taken)
    }

    /// What is to be done for it.
    #[inline]
    pub fn due(&mut self) -> Next {
        let id = self.first;
        let nothing = Next::Nothing {
            left: false,
            gone: false,
        };
        let Some(source) = self.source(id).copied() else {
            return nothing;
        };
        if source.first != NONE {
            return Next::Data;
        }
        let leave = |this: &mut Self, left, gone| {
            this.skip();
            Next::Nothing { left, gone }
        };
        // What is left in the socket goes before its end.
        if source.left && !source.gone {
            return leave(self, true, false);
        }
        if source.error != 0 {
            if source.error_told {
                return leave(self, false, true);
            }
            return Next::Error(source.error);
        }
        if source.ended && !source.end_told && !source.gone {
            return Next::End;
        }
        leave(self, false, source.gone)
    }

    /// Nothing is to be told of the connection whose turn it is, whatever there is of it. It is out of the queue.
    pub fn skip(&mut self) {
        let id = self.first;
        self.unqueue(id);
        if let Some(source) = self.source(id) {
            source.left = false;
        }
    }

    /// The program has been told of the end of the connection whose turn it is.
    pub fn end_told(&mut self) {
        let id = self.first;
        if let Some(source) = self.source(id) {
            source.end_told = true;
        }
    }

    /// The program has been told of the error of the connection whose turn it is.
    pub fn error_told(&mut self) {
        let id = self.first;
        if let Some(source) = self.source(id) {
            source.error_told = true;
        }
    }

    /// Frees the first node of a connection's list.
    fn take(&mut self, id: u32) -> Option<u32> {
        let free = self.free;
        let index = self.source(id)?.first;
        let node = self.node(index)?;
        node.len = 0;
        let next = core::mem::replace(&mut node.next, free);
        self.free = index;
        self.free_count = self.free_count.saturating_add(1);
        let source = self.source(id)?;
        source.first = next;
        if next == NONE {
            source.last = NONE;
        }
        source.count = source.count.saturating_sub(1);
        Some(index)
    }

    /// Nothing more comes to a connection's list, and nothing of it goes to the ring. The list is turned around: what is put back
    /// into a stream is put back from its end on.
    pub fn park(&mut self, id: u32) {
        if self.source(id).is_some_and(|source| source.queued) {
            self.unqueue(id);
        }
        let Some(source) = self.source(id) else {
            return;
        };
        source.queued = false;
        source.serial = 0;
        let mut at = core::mem::replace(&mut source.first, source.last);
        source.last = at;
        let mut before = NONE;
        while let Some(node) = self.node(at) {
            let next = core::mem::replace(&mut node.next, before);
            before = at;
            at = next;
        }
    }

    /// A buffer of a connection's list: the first one, or the one behind the node `at`. Its node, itself, and how much is in it.
    pub fn behind(&self, id: u32, at: Option<u32>) -> Option<(u32, u32, u16)> {
        let index = match at {
            Some(at) => self.nodes.get(at as usize)?.next,
            None => self.sources.get(id as usize)?.first,
        };
        let node = self.nodes.get(index as usize)?;
        Some((index, node.buffer, node.len))
    }
}
