// SPDX-License-Identifier: BSD-2-Clause
//! Sockets of TCP for stack ports. Their connections go over a pair of interfaces that is made for it, to a network namespace of
//! their own: between two addresses of one namespace they would take the loopback.

use crate::domain::line;
use crate::machine::{errno, result, Machine};
use crate::rings::{advance, ring_towards, HEAD};
use crate::tables::{Act, Kind, ACTS, KINDS, REGISTRATIONS};
use libc::{c_int, c_void, sockaddr, sockaddr_in};
use netmap::abi::{ReqPstFdReg, NETMAP_API, NIOCCTRL};
use std::fs::File;
use std::io::{Error, Result};
use std::mem::{size_of, zeroed};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};

/// Connections of a program.
pub const CONNECTIONS: usize = 6;
/// The interface that connections leave by.
pub const NEAR: &str = "nmfuzz0";
const FAR: &str = "nmfuzz1";
const NAMESPACE: &str = "nmfuzz";
const NEAR_ADDRESS: [u8; 4] = [198, 51, 100, 1];
const FAR_ADDRESS: [u8; 4] = [198, 51, 100, 2];
/// Where somebody listens.
const PORT: u16 = 9;
/// Octets that are sent at once, at most.
const AT_ONCE: usize = 65_536;

/// The two ends of the pair.
#[derive(Debug)]
pub struct Wire {
    home: File,
    away: File,
    /// A listening socket of the other namespace.
    listener: c_int,
}

fn ip(arguments: &str) -> Result<()> {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::other(format!("ip {arguments}")))
    }
}

fn address(octets: [u8; 4], port: u16) -> sockaddr_in {
    // SAFETY: All zeros is an address.
    let mut address: sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(octets);
    address
}

/// A socket that does not block.
fn socket(kind: c_int) -> c_int {
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: The arguments are numbers.
    unsafe { libc::socket(libc::AF_INET, kind, 0) }
}

fn close(fd: c_int) {
    // SAFETY: The descriptor was ours alone.
    unsafe { libc::close(fd) };
}

/// Binds or connects.
fn with_address(
    call: unsafe extern "C" fn(c_int, *const sockaddr, u32) -> c_int,
    fd: c_int,
    to: &sockaddr_in,
) -> c_int {
    // SAFETY: The structure is as long as is said.
    result(unsafe { call(fd, (&raw const *to).cast(), size_of::<sockaddr_in>() as u32) })
}

/// The port that a socket has, or that its peer has.
fn port_of(
    call: unsafe extern "C" fn(c_int, *mut sockaddr, *mut u32) -> c_int,
    fd: c_int,
) -> Option<u16> {
    let mut address = address([0; 4], 0);
    let mut length = size_of::<sockaddr_in>() as u32;
    // SAFETY: The structure is as long as is said.
    let errno = result(unsafe { call(fd, (&raw mut address).cast(), &mut length) });
    (errno == 0).then_some(address.sin_port)
}

fn wait(fd: c_int, events: i16, ms: c_int) -> bool {
    let mut waiting = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: One structure is given.
    unsafe { libc::poll(&mut waiting, 1, ms) == 1 }
}

impl Wire {
    /// Makes the pair and the namespace.
    pub fn new() -> Result<Self> {
        // What a run before has left.
        let _ = ip(&format!("link del {NEAR}"));
        let _ = ip(&format!("netns del {NAMESPACE}"));
        ip(&format!("netns add {NAMESPACE}"))?;
        ip(&format!(
            "link add {NEAR} address 02:00:00:00:01:01 type veth peer name {FAR} netns {NAMESPACE} address 02:00:00:00:01:02"
        ))?;
        let [near, far] = [NEAR_ADDRESS, FAR_ADDRESS].map(std::net::Ipv4Addr::from);
        for arguments in [
            format!("addr add {near}/24 dev {NEAR}"),
            format!("link set {NEAR} up"),
            // Nobody needs to ask, where a port has the interface.
            format!("neigh replace {far} lladdr 02:00:00:00:01:02 dev {NEAR}"),
            format!("-n {NAMESPACE} addr add {far}/24 dev {FAR}"),
            format!("-n {NAMESPACE} link set {FAR} up"),
            format!("-n {NAMESPACE} neigh replace {near} lladdr 02:00:00:00:01:01 dev {FAR}"),
        ] {
            ip(&arguments)?;
        }
        let mut wire = Wire {
            home: File::open("/proc/self/ns/net")?,
            away: File::open(format!("/run/netns/{NAMESPACE}"))?,
            listener: -1,
        };
        wire.listener = wire.visit(|| {
            let fd = socket(libc::SOCK_STREAM);
            if with_address(libc::bind, fd, &address(FAR_ADDRESS, PORT)) != 0 {
                return Err(Error::last_os_error());
            }
            // SAFETY: The arguments are numbers.
            match unsafe { libc::listen(fd, 64) } {
                0 => Ok(fd),
                _ => Err(Error::last_os_error()),
            }
        })?;
        Ok(wire)
    }

    /// Does something in the other namespace.
    fn visit<T>(&self, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let enter = |namespace: &File| {
            // SAFETY: The descriptor is open. Only this thread goes there.
            match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
                0 => Ok(()),
                _ => Err(Error::last_os_error()),
            }
        };
        enter(&self.away)?;
        let done = what();
        enter(&self.home)?;
        done
    }

    /// The other end of a connection that was made to the listener.
    fn accept(&self, near: c_int) -> c_int {
        let port = port_of(libc::getsockname, near);
        while wait(self.listener, libc::POLLIN, 20) {
            // SAFETY: No address is asked for.
            let far = unsafe {
                libc::accept4(
                    self.listener,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                )
            };
            if far >= 0 && port_of(libc::getpeername, far) == port {
                return far;
            }
            // One of a program before this one, or of the other thread.
            close(far);
        }
        -1
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        close(self.listener);
        let _ = ip(&format!("link del {NEAR}"));
        let _ = ip(&format!("netns del {NAMESPACE}"));
    }
}

/// Makes a socket, and the other end of what it is connected to.
pub fn connect(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [connection, kind] = *args else {
        return None;
    };
    let kind = *line(&KINDS, kind);
    let near = socket(if kind == Kind::Datagrams {
        libc::SOCK_DGRAM
    } else {
        libc::SOCK_STREAM
    });
    let mut far = -1;
    let errno = match kind {
        Kind::Connected | Kind::Datagrams => {
            let errno = with_address(libc::connect, near, &address(FAR_ADDRESS, PORT));
            if kind == Kind::Connected {
                far = machine.world.wire.accept(near);
            }
            errno
        }
        // Nobody is there.
        Kind::Connecting => with_address(libc::connect, near, &address([198, 51, 100, 3], PORT)),
        Kind::Listening => {
            with_address(libc::bind, near, &address(NEAR_ADDRESS, 0));
            // SAFETY: The arguments are numbers.
            result(unsafe { libc::listen(near, 4) })
        }
        // To itself, by the loopback.
        Kind::Local => {
            with_address(libc::bind, near, &address(NEAR_ADDRESS, 0));
            let port = port_of(libc::getsockname, near).map_or(0, u16::from_be);
            with_address(libc::connect, near, &address(NEAR_ADDRESS, port))
        }
        Kind::Bare => 0,
    };
    machine.set_sockets(connection, [near, far]);
    Some(errno)
}

/// Registers a socket with the port of a file, or ends that.
pub fn stack(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, connection, how] = *args else {
        return None;
    };
    let fd = machine.open_file(file)?;
    let socket = machine.socket(connection, 0);
    let reqtype = *line(&REGISTRATIONS, how);
    machine.arena().reset();
    let body = ReqPstFdReg { fd: socket };
    if reqtype == 0 {
        // NIOCCONFIG.
        let mut request = [0; 272];
        request[16..20].copy_from_slice(&body.fd.to_ne_bytes());
        let at = machine.put(&request);
        return Some(Machine::ioctl(fd, crate::tables::LEGACY[2].value, at));
    }
    let mut header = Vec::new();
    header.extend(NETMAP_API.to_ne_bytes());
    header.extend(reqtype.to_ne_bytes());
    header.extend([0; 4 + 64 + 8]);
    header.extend(machine.put(&body.fd.to_ne_bytes()).to_ne_bytes());
    let at = machine.put(&header);
    Some(Machine::ioctl(fd, NIOCCTRL, at))
}

/// Fills slots of a transmit ring with payload for a socket, and gives them to the kernel.
pub fn post(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [map, ring, connection, count, length, offset] = *args else {
        return None;
    };
    let (mapping, ring) = ring_towards(machine, map, ring, true)?;
    let socket = machine.socket(connection, 0);
    let head = machine.peek_u32(mapping.at(ring.offset + HEAD));
    for i in 0..count.min(ring.slots.into()) {
        let at = mapping.at(ring.slot(u64::from(head) + i));
        machine.poke(at + 4, &(length as u16).to_ne_bytes());
        machine.poke(at + 8, &socket.to_ne_bytes());
        machine.poke(at + 12, &(offset as u16).to_ne_bytes());
    }
    advance(machine, &mapping, &ring, count)
}

/// Does something with a socket as an ordinary one.
pub fn act(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [connection, end, act, count] = *args else {
        return None;
    };
    let fd = machine.socket(connection, end);
    if fd < 0 {
        return None;
    }
    let mut buffer = vec![0x5a; (count as usize).clamp(1, AT_ONCE)];
    let (data, length) = (buffer.as_mut_ptr().cast::<c_void>(), buffer.len());
    let option = |level, name, value: *const c_void, length: usize| {
        // SAFETY: The value is as long as is said.
        result(unsafe { libc::setsockopt(fd, level, name, value, length as u32) })
    };
    let number = |level, name, value: c_int| {
        option(level, name, (&raw const value).cast(), size_of::<c_int>())
    };
    let answer = |moved: isize| if moved < 0 { errno() } else { 0 };
    // SAFETY: The buffer is as long as is said, and the other arguments are numbers.
    Some(unsafe {
        match *line(&ACTS, act) {
            Act::Send => answer(libc::send(fd, data, length, libc::MSG_NOSIGNAL)),
            Act::SendUrgent => answer(libc::send(
                fd,
                data,
                length.min(16),
                libc::MSG_NOSIGNAL | libc::MSG_OOB,
            )),
            Act::Receive => answer(libc::recv(fd, data, length, 0)),
            Act::Peek => answer(libc::recv(fd, data, length, libc::MSG_PEEK)),
            Act::Splice => splice(fd, length),
            Act::ShutWrite => result(libc::shutdown(fd, libc::SHUT_WR)),
            Act::ShutRead => result(libc::shutdown(fd, libc::SHUT_RD)),
            Act::Reset => {
                let now = libc::linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                option(
                    libc::SOL_SOCKET,
                    libc::SO_LINGER,
                    (&raw const now).cast(),
                    size_of::<libc::linger>(),
                );
                machine.set_socket(connection, end, -1)
            }
            Act::Close => machine.set_socket(connection, end, -1),
            // The number is another file's.
            Act::Replace => result(libc::dup2(machine.socket(connection + 1, 0), fd)),
            Act::Disconnect => {
                let mut to = address([0; 4], 0);
                to.sin_family = libc::AF_UNSPEC as u16;
                with_address(libc::connect, fd, &to)
            }
            Act::Tls => option(libc::SOL_TCP, libc::TCP_ULP, c"tls".as_ptr().cast(), 3),
            Act::SmallSend => number(libc::SOL_SOCKET, libc::SO_SNDBUF, 1),
            Act::SmallReceive => number(libc::SOL_SOCKET, libc::SO_RCVBUF, 1),
            Act::Cork => number(libc::SOL_TCP, libc::TCP_CORK, 1),
            Act::Uncork => number(libc::SOL_TCP, libc::TCP_CORK, 0),
            Act::Settle => {
                wait(fd, libc::POLLIN | libc::POLLRDHUP, count.min(20) as c_int);
                0
            }
        }
    })
}

fn splice(fd: c_int, length: usize) -> c_int {
    let mut pipe = [0; 2];
    // SAFETY: There is room for two descriptors, which are ours then.
    unsafe {
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) != 0 {
            return errno();
        }
        let moved = libc::splice(
            fd,
            std::ptr::null_mut(),
            pipe[1],
            std::ptr::null_mut(),
            length,
            libc::SPLICE_F_NONBLOCK,
        );
        let answer = if moved < 0 { errno() } else { 0 };
        close(pipe[0]);
        close(pipe[1]);
        answer
    }
}
