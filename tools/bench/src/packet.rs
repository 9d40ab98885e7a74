// SPDX-License-Identifier: BSD-2-Clause
//! AF_PACKET: one frame per call, or several with `sendmmsg` and `recvmmsg`.

use crate::payload::{Sink, Source, MAX_LEN};
use crate::run::{Receiver, Sender};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Frames that one call of the plural kind can carry.
const MOST: usize = 1024;

/// Octets that may wait in a socket, the kernel's own bookkeeping included.
const RECEIVE_BUFFER: i32 = 16 << 20;

/// The result of a system call, or its error.
pub fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The number of an interface.
///
/// # Errors
///
/// `ENODEV`, if there is none of this name.
pub fn ifindex(name: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(name).map_err(io::Error::other)?;
    // SAFETY: the argument is a string that ends with a zero.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Sets an option that is a plain value.
///
/// # Errors
///
/// `setsockopt`'s.
pub fn set_option<T>(fd: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    let value = core::ptr::from_ref(value).cast();
    // SAFETY: `value` leads to `len` octets that live through the call.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, len) };
    check(result as isize).map(drop)
}

/// Opens a raw socket and binds it to an interface; a socket that is not to receive takes part in no protocol.
///
/// # Errors
///
/// `EPERM` without `CAP_NET_RAW`, `ENODEV` if there is no such interface.
pub fn open(interface: &str, receives: bool) -> io::Result<OwnedFd> {
    let index = ifindex(interface)?;
    let fd = socket(index)?;
    if receives {
        bind(&fd, index, (libc::ETH_P_ALL as u16).to_be())?;
        let own = 1i32;
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &own)?;
        set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER)?;
    }
    Ok(fd)
}

/// A raw socket, bound to an interface but to no protocol.
fn socket(index: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    check(fd as isize)?;
    // SAFETY: a new descriptor, owned by nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    bind(&fd, index, 0)?;
    Ok(fd)
}

fn bind(fd: &OwnedFd, index: u32, protocol: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol,
        sll_ifindex: index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is `len` octets and lives through the call.
    let result = unsafe { libc::bind(fd.as_raw_fd(), core::ptr::from_ref(&address).cast(), len) };
    check(result as isize).map(drop)
}

/// Waits until `fd` can be read; false if patience ran out first.
///
/// # Errors
///
/// `poll`'s.
pub fn readable(fd: &OwnedFd, patience: Duration) -> io::Result<bool> {
    wait(fd, libc::POLLIN, patience)
}

/// Waits for `events` on `fd`.
///
/// # Errors
///
/// `poll`'s.
pub fn wait(fd: &OwnedFd, events: i16, patience: Duration) -> io::Result<bool> {
    let mut pollfd = libc::pollfd {
        fd: fd.as_raw_fd(),
        events,
        revents: 0,
    };
    let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one element, as stated, that lives through the call.
    check(unsafe { libc::poll(&mut pollfd, 1, timeout) } as isize).map(|found| found != 0)
}

/// A frame's room in the program.
#[repr(C, align(64))]
#[derive(Clone)]
struct Room([u8; MAX_LEN]);

/// `sendto` and `recv`: one frame per call whatever the batch.
pub struct Single {
    fd: OwnedFd,
    room: Box<Room>,
}

impl Single {
    /// Opens a socket; `bypass` sends past the queueing discipline.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(interface: &str, receives: bool, bypass: bool) -> io::Result<Single> {
        let fd = open(interface, receives)?;
        if bypass {
            set_option(&fd, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1i32)?;
        }
        Ok(Single {
            fd,
            room: Box::new(Room([0; MAX_LEN])),
        })
    }
}

impl Sender for Single {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        for _ in 0..count {
            let room = self.room.0.as_mut_ptr();
            // SAFETY: the room is as long as any frame.
            unsafe { source.put(room) };
            loop {
                // SAFETY: the room holds `len` octets.
                let sent = unsafe {
                    let (fd, room) = (self.fd.as_raw_fd(), room.cast());
                    libc::sendto(fd, room, source.len(), 0, core::ptr::null(), 0)
                };
                match check(sent) {
                    Ok(_) => break,
                    // The queue of the device is full; the kernel has no event for when it is not.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        std::thread::yield_now()
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(count)
    }

    /// What has been accepted is with the kernel, and leaves without any further call.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Receiver for Single {
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        let mut taken = 0;
        while taken < count {
            let room = self.room.0.as_mut_ptr();
            // SAFETY: the room is `MAX_LEN` octets long.
            let received = unsafe {
                let fd = self.fd.as_raw_fd();
                libc::recv(fd, room.cast(), MAX_LEN, libc::MSG_DONTWAIT)
            };
            match check(received) {
                // SAFETY: the room is longer than any frame and than 60 octets.
                Ok(len) => unsafe { sink.take(room, len) },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match patience {
                    Some(patience) if taken == 0 => {
                        if !readable(&self.fd, patience)? {
                            return Ok(0);
                        }
                        continue;
                    }
                    _ => break,
                },
                Err(error) => return Err(error),
            }
            taken += 1;
        }
        Ok(taken)
    }
}

/// `sendmmsg` and `recvmmsg`.
pub struct Several {
    fd: OwnedFd,
    rooms: Vec<Room>,
    // Point into `rooms`, which is never resized.
    vectors: Vec<libc::iovec>,
    // Point into `vectors`, as above.
    headers: Vec<libc::mmsghdr>,
}

impl Several {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(interface: &str, receives: bool) -> io::Result<Several> {
        let mut rooms = vec![Room([0; MAX_LEN]); MOST];
        let mut vectors: Vec<libc::iovec> = rooms
            .iter_mut()
            .map(|room| libc::iovec {
                iov_base: room.0.as_mut_ptr().cast(),
                iov_len: MAX_LEN,
            })
            .collect();
        let headers = vectors
            .iter_mut()
            .map(|vector| {
                // SAFETY: all-zero is a valid header: no name, no control data.
                let mut header: libc::mmsghdr = unsafe { core::mem::zeroed() };
                header.msg_hdr.msg_iov = vector;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Ok(Several {
            fd: open(interface, receives)?,
            rooms,
            vectors,
            headers,
        })
    }

    fn set_len(&mut self, len: usize) {
        self.vectors
            .iter_mut()
            .for_each(|vector| vector.iov_len = len);
    }
}

impl Sender for Several {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        if source.next == 0 {
            self.set_len(source.len());
        }
        let count = (count as usize).min(MOST);
        for room in &mut self.rooms[..count] {
            // SAFETY: the room is as long as any frame.
            unsafe { source.put(room.0.as_mut_ptr()) };
        }
        let mut done = 0;
        while done < count {
            let headers = self.headers[done..].as_mut_ptr();
            // SAFETY: `count - done` headers follow, whose vectors lead to rooms of this value.
            let sent =
                unsafe { libc::sendmmsg(self.fd.as_raw_fd(), headers, (count - done) as u32, 0) };
            match check(sent as isize) {
                Ok(sent) => done += sent,
                // As for a single frame.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    std::thread::yield_now()
                }
                Err(error) => return Err(error),
            }
        }
        Ok(count as u32)
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Receiver for Several {
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        let count = count.min(MOST as u32);
        loop {
            // SAFETY: `count` headers are there, whose vectors lead to rooms of this value.
            let received = unsafe {
                let (fd, headers) = (self.fd.as_raw_fd(), self.headers.as_mut_ptr());
                libc::recvmmsg(
                    fd,
                    headers,
                    count,
                    libc::MSG_DONTWAIT,
                    core::ptr::null_mut(),
                )
            };
            match check(received as isize) {
                Ok(taken) => {
                    for (room, header) in self.rooms.iter().zip(&self.headers).take(taken) {
                        // SAFETY: the room is longer than any frame and than 60 octets.
                        unsafe { sink.take(room.0.as_ptr(), header.msg_len as usize) };
                    }
                    return Ok(taken as u32);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match patience {
                    Some(patience) if readable(&self.fd, patience)? => {}
                    _ => return Ok(0),
                },
                Err(error) => return Err(error),
            }
        }
    }
}
