// SPDX-License-Identifier: BSD-2-Clause
//! A server by `epoll`, `read` and `write`.

use crate::client::REQUEST;
use crate::server::{all, checked, number, page, whole, Server};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Sockets that one call of `epoll_wait` may tell.
const EVENTS: usize = 1024;

/// Sockets that are waited for, by their position.
pub struct Poller {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// Watches `sockets` for what can be read.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn new(sockets: &[TcpStream]) -> io::Result<Poller> {
        // SAFETY: creates a file, which is owned from here on.
        let fd =
            unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        for (index, socket) in sockets.iter().enumerate() {
            let mut event = libc::epoll_event {
                events: libc::EPOLLIN as u32,
                u64: index as u64,
            };
            let (poller, socket) = (fd.as_raw_fd(), socket.as_raw_fd());
            // SAFETY: `event` lives through the call.
            checked(unsafe { libc::epoll_ctl(poller, libc::EPOLL_CTL_ADD, socket, &mut event) })?;
        }
        let none = libc::epoll_event { events: 0, u64: 0 };
        Ok(Poller {
            fd,
            events: vec![none; EVENTS],
        })
    }

    /// What is ready, without waiting: positions and `EPOLL*`.
    ///
    /// # Errors
    ///
    /// The system call's.
    pub fn ready(&mut self) -> io::Result<&[libc::epoll_event]> {
        // SAFETY: the array has as many elements as it says.
        let count = checked(unsafe {
            let events = self.events.as_mut_ptr();
            libc::epoll_wait(self.fd.as_raw_fd(), events, EVENTS as libc::c_int, 0)
        })?;
        // Not negative, as checked, and no more than was asked for.
        Ok(&self.events[..count as usize])
    }

    /// The poller's own file.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// The server.
pub struct Epoll {
    sockets: Vec<TcpStream>,
    poller: Poller,
    page: Vec<u8>,
}

impl Epoll {
    /// Serves on `sockets`.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn new(sockets: Vec<TcpStream>, response: usize) -> io::Result<Epoll> {
        Ok(Epoll {
            poller: Poller::new(&sockets)?,
            sockets,
            page: page(response),
        })
    }
}

impl Server for Epoll {
    fn turn(&mut self) -> io::Result<bool> {
        let ready = self.poller.ready()?;
        for event in ready {
            let mut socket = &self.sockets[event.u64 as usize];
            let mut request = [0; 2 * REQUEST];
            whole(socket.read(&mut request)?)?;
            number(&mut self.page, &request);
            all(socket.write(&self.page)?, self.page.len())?;
        }
        Ok(!ready.is_empty())
    }

    fn fd(&self) -> RawFd {
        self.poller.fd()
    }
}
