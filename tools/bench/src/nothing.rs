// SPDX-License-Identifier: BSD-2-Clause
//! No interface at all: what the program itself costs, and what the system call of a sync costs that finds no ring to sync.

use crate::payload::{Sink, Source, MAX_LEN};
use crate::run::{Receiver, Sender};
use core::cell::{Cell, UnsafeCell};
use netmap::abi::NIOCTXSYNC;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

/// Rooms for frames: at least twice the largest batch, so that none is written before it has been read.
const ROOMS: usize = 2048;

/// A frame's room and its length, as a slot would have it.
#[repr(C, align(64))]
struct Room {
    frame: UnsafeCell<[u8; MAX_LEN]>,
    len: Cell<u16>,
}

/// Where frames pass from one half to the other.
struct Wire {
    rooms: Box<[Room]>,
    sent: Cell<usize>,
}

/// Either end.
pub struct End {
    wire: Rc<Wire>,
    /// A file that has no ring, if system calls are made.
    file: Option<File>,
    taken: usize,
}

/// Two ends; with `calls`, each batch makes one system call: that of a sync, which passes the kernel's file layer and its
/// security modules, and ends with `ENOTTY` where netmap would begin.
///
/// # Errors
///
/// Those of opening `/dev/null`.
pub fn ends(calls: bool) -> io::Result<(End, End)> {
    let room = || Room {
        frame: UnsafeCell::new([0; MAX_LEN]),
        len: Cell::new(0),
    };
    let wire = Rc::new(Wire {
        rooms: (0..ROOMS).map(|_| room()).collect(),
        sent: Cell::new(0),
    });
    let end = |wire| -> io::Result<End> {
        Ok(End {
            wire,
            file: calls.then(|| File::open("/dev/null")).transpose()?,
            taken: 0,
        })
    };
    Ok((end(wire.clone())?, end(wire)?))
}

impl End {
    #[inline(always)]
    fn call(&self) {
        if let Some(file) = &self.file {
            // SAFETY: the request takes no argument, and the file does not know it.
            unsafe { libc::ioctl(file.as_raw_fd(), NIOCTXSYNC) };
        }
    }
}

impl Sender for End {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        let first = self.wire.sent.get();
        for i in 0..count as usize {
            let room = &self.wire.rooms[(first + i) % ROOMS];
            // SAFETY: the room is as long as any frame, and nobody else has a reference to it now.
            unsafe { source.put(room.frame.get().cast()) };
            // Below `MAX_LEN`.
            room.len.set(source.len() as u16);
        }
        self.wire.sent.set(first + count as usize);
        self.call();
        Ok(count)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Receiver for End {
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        self.call();
        let count = (self.wire.sent.get() - self.taken).min(count as usize);
        if count == 0 && patience.is_some() {
            return Err(io::Error::other("there is nothing to wait for"));
        }
        for i in 0..count {
            let room = &self.wire.rooms[(self.taken + i) % ROOMS];
            // SAFETY: the room is longer than any frame and than 60 octets, and nobody writes to it now.
            unsafe { sink.take(room.frame.get().cast(), usize::from(room.len.get())) };
        }
        self.taken += count;
        // At most the batch, which is 32 bits.
        Ok(count as u32)
    }
}
