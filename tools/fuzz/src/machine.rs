// SPDX-License-Identifier: BSD-2-Clause
//! What a running program has: files, mappings, memory for requests, and the thread that writes into all of it.

use crate::arena::Arena;
use crate::layout::Layout;
use crate::scribbler::Scribbler;
use crate::sockets::CONNECTIONS;
use crate::tables::{Name, Place, PORTS};
use crate::world::World;
use crate::{domain, oracle};
use libc::{c_int, c_ulong, c_void};
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Files of a program.
pub const FILES: usize = 4;
/// Mappings of a program.
pub const MAPS: usize = 4;

thread_local! {
    /// Which of the two threads this is.
    static THREAD: Cell<usize> = const { Cell::new(0) };
}

/// Says that this is the second thread.
pub fn be_second() {
    THREAD.set(1);
}

/// A mapping of a region, or of a part of it.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Where it is.
    pub address: u64,
    /// Its size in bytes.
    pub length: u64,
    /// Where it begins in the region.
    pub offset: u64,
    /// What is in the region, if the file was bound.
    pub layout: Option<Arc<Layout>>,
}

/// Bytes that are written behind what [`Mapping::at`] tells, at most.
const AT_ONCE: u64 = 512;

impl Mapping {
    /// Where something of the region is in memory. What a ring says of itself may be nonsense that was written there:
    /// what is outside of the mapping is at address 0, where nothing is, and never in memory of the fuzzer's own.
    pub fn at(&self, offset: u64) -> u64 {
        let distance = offset.wrapping_sub(self.offset);
        if distance < self.length.saturating_sub(AT_ONCE) {
            self.address + distance
        } else {
            0
        }
    }
}

/// The state of a program.
pub struct Machine<'a> {
    /// The machine around it.
    pub world: &'a World,
    files: [AtomicI32; FILES],
    layouts: [Mutex<Option<Arc<Layout>>>; FILES],
    maps: [Mutex<Option<Mapping>>; MAPS],
    sockets: [[AtomicI32; 2]; CONNECTIONS],
    arenas: [Arena; 2],
    /// This process's memory: what cannot be read or written is an error there, and no signal.
    memory: File,
    /// The thread that writes into shared memory.
    pub scribbler: Scribbler,
}

/// What a mutex holds, whatever happened to who held it before.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The errno of the last call that failed.
pub fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The errno of a call that returned this, 0 if it succeeded.
pub fn result(returned: c_int) -> c_int {
    if returned < 0 {
        errno()
    } else {
        0
    }
}

impl<'a> Machine<'a> {
    /// A machine with nothing open.
    pub fn new(world: &'a World) -> std::io::Result<Self> {
        let memory = File::options()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        let arenas = [Arena::new()?, Arena::new()?];
        let scribbler = Scribbler::new(&arenas);
        Ok(Machine {
            world,
            files: [const { AtomicI32::new(-1) }; FILES],
            layouts: [const { Mutex::new(None) }; FILES],
            maps: [const { Mutex::new(None) }; MAPS],
            sockets: [const { [const { AtomicI32::new(-1) }; 2] }; CONNECTIONS],
            arenas,
            memory,
            scribbler,
        })
    }

    /// The memory for requests of this thread.
    pub fn arena(&self) -> &Arena {
        &self.arenas[THREAD.get()]
    }

    /// Opens `/dev/netmap`; the descriptor, or an errno.
    pub fn open_device() -> Result<c_int, c_int> {
        // SAFETY: The path ends with a NUL.
        let fd = unsafe { libc::open(c"/dev/netmap".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
        if fd < 0 {
            Err(errno())
        } else {
            Ok(fd)
        }
    }

    fn slot(file: u64) -> usize {
        usize::try_from(file).unwrap_or(0) % FILES
    }

    /// The descriptor of a file, if it is open.
    pub fn file(&self, file: u64) -> Option<c_int> {
        let fd = self.files[Self::slot(file)].load(Ordering::Relaxed);
        (fd >= 0).then_some(fd)
    }

    /// The descriptor of a file, which is opened if it is not.
    pub fn open_file(&self, file: u64) -> Option<c_int> {
        self.file(file).or_else(|| {
            let fd = Self::open_device().ok()?;
            self.set_file(file, fd, None);
            Some(fd)
        })
    }

    /// Puts a descriptor in place; what was there is closed.
    pub fn set_file(&self, file: u64, fd: c_int, layout: Option<Arc<Layout>>) -> c_int {
        let slot = Self::slot(file);
        *locked(&self.layouts[slot]) = layout;
        let old = self.files[slot].swap(fd, Ordering::Relaxed);
        if old < 0 {
            return 0;
        }
        // SAFETY: The descriptor was ours alone, and is forgotten.
        result(unsafe { libc::close(old) })
    }

    /// What is in the region of a file, if it is bound.
    pub fn layout(&self, file: u64) -> Option<Arc<Layout>> {
        locked(&self.layouts[Self::slot(file)]).clone()
    }

    /// Notes that a file is bound.
    pub fn set_layout(&self, file: u64, layout: Layout) {
        *locked(&self.layouts[Self::slot(file)]) = Some(Arc::new(layout));
    }

    fn end(&self, connection: u64, end: u64) -> &AtomicI32 {
        let connection = usize::try_from(connection).unwrap_or(0) % CONNECTIONS;
        &self.sockets[connection][usize::from(end % 2 != 0)]
    }

    /// The descriptor of a socket, -1 if there is none.
    pub fn socket(&self, connection: u64, end: u64) -> c_int {
        self.end(connection, end).load(Ordering::Relaxed)
    }

    /// Puts a socket in place; what was there is closed.
    pub fn set_socket(&self, connection: u64, end: u64, fd: c_int) -> c_int {
        let old = self.end(connection, end).swap(fd, Ordering::Relaxed);
        if old < 0 {
            return 0;
        }
        // SAFETY: The descriptor was ours alone, and is forgotten.
        result(unsafe { libc::close(old) })
    }

    /// Puts both ends of a connection in place.
    pub fn set_sockets(&self, connection: u64, fds: [c_int; 2]) {
        for (end, fd) in (0..).zip(fds) {
            self.set_socket(connection, end, fd);
        }
    }

    /// Puts a structure in memory for requests; its address.
    pub fn put(&self, bytes: &[u8]) -> u64 {
        let (address, _) = self.arena().place(Place::Normal, bytes.len());
        self.poke(address, bytes);
        address
    }

    /// `ioctl` of a file with an address.
    pub fn ioctl(fd: c_int, number: c_ulong, address: u64) -> c_int {
        // SAFETY: The address is what the kernel is to be tested with; it may write only where this program keeps
        // memory for that, or into pages that are shared with it anyway.
        result(unsafe { libc::ioctl(fd, number, address as *mut c_void) })
    }

    /// A mapping, if there is one.
    pub fn map(&self, map: u64) -> Option<Mapping> {
        locked(&self.maps[usize::try_from(map).unwrap_or(0) % MAPS]).clone()
    }

    /// Changes what a mapping is known as.
    pub fn with_map<T>(&self, map: u64, change: impl FnOnce(&mut Option<Mapping>) -> T) -> T {
        change(&mut locked(
            &self.maps[usize::try_from(map).unwrap_or(0) % MAPS],
        ))
    }

    /// Reads memory of this process; false if it is not there.
    pub fn peek(&self, address: u64, to: &mut [u8]) -> bool {
        self.memory.read_exact_at(to, address).is_ok()
    }

    /// Writes memory of this process; false if it is not there, or must not be written.
    pub fn poke(&self, address: u64, from: &[u8]) -> bool {
        self.memory.write_all_at(from, address).is_ok()
    }

    /// Reads a number from memory, 0 if it is not there.
    pub fn peek_u32(&self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.peek(address, &mut bytes);
        u32::from_ne_bytes(bytes)
    }

    /// The bytes of a port's name.
    pub fn port_name<const N: usize>(&self, port: u64, nic: u64) -> [u8; N] {
        match *domain::line(&PORTS, port) {
            Name::Full(byte) => [byte; N],
            Name::Text(pattern) => {
                let mut field = [0; N];
                let text = pattern.replace('%', self.world.nic(nic));
                for (to, from) in field.iter_mut().zip(text.bytes()) {
                    *to = from;
                }
                field
            }
        }
    }

    /// Does the operations of one thread; `after` is called behind each.
    pub fn run<'p>(
        &self,
        steps: impl Iterator<Item = &'p crate::program::Step>,
        record: &oracle::Record,
        after: impl Fn(),
    ) {
        for step in steps {
            let errno = (step.operation().run)(self, &step.args);
            after();
            if let Some(errno) = errno {
                record.count(step, errno);
            }
        }
    }

    /// Closes and unmaps everything.
    pub fn close_all(&self) {
        self.scribbler.stop();
        for file in 0..FILES as u64 {
            self.set_file(file, -1, None);
        }
        for map in 0..MAPS as u64 {
            self.unmap(map);
        }
        for connection in 0..CONNECTIONS as u64 {
            self.set_sockets(connection, [-1; 2]);
        }
    }

    /// Removes a mapping.
    pub fn unmap(&self, map: u64) -> Option<c_int> {
        let mapping = self.with_map(map, Option::take)?;
        let length = usize::try_from(mapping.length).ok()?;
        // SAFETY: The mapping is ours, and nothing in this process refers to it any more but by address.
        Some(result(unsafe {
            libc::munmap(mapping.address as *mut c_void, length)
        }))
    }
}
