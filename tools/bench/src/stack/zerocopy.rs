// SPDX-License-Identifier: BSD-2-Clause
//! A server by `epoll`, `read` and `send` with `MSG_ZEROCOPY`, which reads from the sockets' error queues when the
//! kernel is done with a response.

use crate::client::REQUEST;
use crate::epoll::Poller;
use crate::server::{all, checked, number, page, set_option, whole, Server};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

/// Where a notification says that it is one, and that the kernel had to copy (`linux/errqueue.h`).
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;

/// A connection.
struct Connection {
    socket: TcpStream,
    /// Responses that the kernel may still read, the oldest first.
    sent: VecDeque<Vec<u8>>,
    free: Vec<Vec<u8>>,
    /// Number, as the kernel counts sends, of the oldest one of `sent`.
    oldest: u32,
}

/// The server.
pub struct Zerocopy {
    connections: Vec<Connection>,
    poller: Poller,
    page: Vec<u8>,
    copied: u64,
}

impl Zerocopy {
    /// Serves on `sockets`.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn new(sockets: Vec<TcpStream>, response: usize) -> io::Result<Zerocopy> {
        for socket in &sockets {
            set_option(socket, libc::SOL_SOCKET, libc::SO_ZEROCOPY, 1)?;
        }
        let poller = Poller::new(&sockets)?;
        let connection = |socket| Connection {
            socket,
            sent: VecDeque::new(),
            free: Vec::new(),
            oldest: 0,
        };
        Ok(Zerocopy {
            connections: sockets.into_iter().map(connection).collect(),
            poller,
            page: page(response),
            copied: 0,
        })
    }
}

impl Connection {
    /// Takes back what the kernel is done with; returns how many sends it had to copy.
    fn collect(&mut self) -> io::Result<u64> {
        let mut copied = 0;
        while let Some(told) = self.notification()? {
            let last = told.ee_data;
            while !self.sent.is_empty() && last.wrapping_sub(self.oldest) < 1 << 31 {
                self.free.extend(self.sent.pop_front());
                self.oldest = self.oldest.wrapping_add(1);
            }
            if told.ee_code & SO_EE_CODE_ZEROCOPY_COPIED != 0 {
                copied += u64::from(last.wrapping_sub(told.ee_info)) + 1;
            }
        }
        Ok(copied)
    }

    /// The next notification in the error queue: sends `ee_info` to `ee_data` are done.
    fn notification(&self) -> io::Result<Option<libc::sock_extended_err>> {
        let mut control = [0_u64; 16];
        // SAFETY: a message header of zeros is one without name and data.
        let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the header and the room it points to live through the call.
        let received =
            unsafe { libc::recvmsg(self.socket.as_raw_fd(), &mut message, libc::MSG_ERRQUEUE) };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: the kernel has filled the header in.
        let head = unsafe { libc::CMSG_FIRSTHDR(&message) };
        if head.is_null() {
            return Err(io::Error::other(
                "a message of the error queue says nothing",
            ));
        }
        // SAFETY: an error queue of an IPv4 socket has such a structure in each of its messages.
        let told = unsafe {
            libc::CMSG_DATA(head)
                .cast::<libc::sock_extended_err>()
                .read_unaligned()
        };
        if told.ee_origin != SO_EE_ORIGIN_ZEROCOPY || told.ee_errno != 0 {
            return Err(io::Error::other("the error queue tells of something else"));
        }
        Ok(Some(told))
    }

    /// Reads the request and sends the response.
    fn serve(&mut self, page: &[u8]) -> io::Result<()> {
        let mut request = [0; 2 * REQUEST];
        whole((&self.socket).read(&mut request)?)?;
        let mut response = self.free.pop().unwrap_or_else(|| page.to_vec());
        number(&mut response, &request);
        let flags = libc::MSG_ZEROCOPY | libc::MSG_NOSIGNAL;
        // SAFETY: the response lives, and is left alone, until the kernel says that it is done with it.
        let sent = unsafe {
            let fd = self.socket.as_raw_fd();
            libc::send(fd, response.as_ptr().cast(), response.len(), flags)
        };
        // A response is no longer than a socket's buffer, whose size an integer holds.
        let sent = checked(sent as libc::c_int)?;
        all(sent as usize, response.len())?;
        self.sent.push_back(response);
        Ok(())
    }
}

impl Server for Zerocopy {
    fn turn(&mut self) -> io::Result<bool> {
        let ready = self.poller.ready()?;
        for event in ready {
            let connection = &mut self.connections[event.u64 as usize];
            if event.events & libc::EPOLLERR as u32 != 0 {
                self.copied += connection.collect()?;
            }
            if event.events & libc::EPOLLIN as u32 != 0 {
                connection.serve(&self.page)?;
            }
        }
        Ok(!ready.is_empty())
    }

    fn fd(&self) -> RawFd {
        self.poller.fd()
    }

    fn copied(&self) -> u64 {
        self.copied
    }
}
