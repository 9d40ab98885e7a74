// SPDX-License-Identifier: BSD-2-Clause
//! What all servers have in common: they answer requests of one length with responses of one length.

use crate::client::{NUMBER, REQUEST};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Octets that a socket may have under way: more than a response, so that a server never has to wait for room.
const SEND_BUFFER: libc::c_int = 1 << 20;

/// A server, for the side of its sockets that carries data.
pub trait Server {
    /// Does all that can be done now, without waiting. True if there was anything.
    ///
    /// # Errors
    ///
    /// The system calls', and a request or a response that is not whole.
    fn turn(&mut self) -> io::Result<bool>;

    /// What is readable once there is something to do.
    fn fd(&self) -> RawFd;

    /// How many sends were to be without a copy, and had one.
    fn copied(&self) -> u64 {
        0
    }
}

/// The content of a response; the number of its request goes over the first octets.
pub fn page(response: usize) -> Vec<u8> {
    // A pattern of octets.
    (0..response).map(|at| (at % 251) as u8).collect()
}

/// Writes the number of the request to the start of a response.
///
/// # Panics
///
/// If either is shorter than that.
pub fn number(response: &mut [u8], request: &[u8]) {
    response[..NUMBER].copy_from_slice(&request[..NUMBER]);
}

/// The error of a request that has not come as a whole.
///
/// # Errors
///
/// If `len` is not the length of a request.
pub fn whole(len: usize) -> io::Result<()> {
    match len {
        REQUEST => Ok(()),
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        len => Err(io::Error::other(format!("a request of {len} octets"))),
    }
}

/// The error of a response that a socket took in part.
///
/// # Errors
///
/// If `sent` is not `response`.
pub fn all(sent: usize, response: usize) -> io::Result<()> {
    if sent == response {
        return Ok(());
    }
    let said = format!("{sent} of {response} octets were taken");
    Err(io::Error::other(said))
}

/// What a system call returned, or its error.
///
/// # Errors
///
/// The system call's.
pub fn checked(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(returned)
}

/// Sets an integer option of a socket.
///
/// # Errors
///
/// The system call's.
pub fn set_option(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: `value` lives through the call and has the length that is given.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            core::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// What accepts connections.
pub struct Listener(TcpListener);

impl Listener {
    /// Listens on the address.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn open(address: Ipv4Addr, port: u16) -> io::Result<Listener> {
        let listener = TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        Ok(Listener(listener))
    }

    /// Accepts what is there. True if there was anything.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn accept(&self, sockets: &mut Vec<TcpStream>) -> io::Result<bool> {
        let before = sockets.len();
        loop {
            match self.0.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER)?;
                    sockets.push(socket);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(sockets.len() != before)
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
