// SPDX-License-Identifier: BSD-2-Clause
//! What is around a program: interfaces, sockets on them, the module's parameters, other processes.

use crate::domain::line;
use crate::machine::{errno, result, Machine};
use crate::sockets::{Wire, NEAR};
use crate::tables::{Child, CHILDREN, FILES_TO_READ, PARAMETERS};
use libc::{c_int, c_void};
use netmap::abi::{NIOCRXSYNC, NIOCTXSYNC};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The EtherType of frames that mean nothing.
const NOISE: u16 = 0x88b5;
/// The EtherType of frames that must arrive.
pub const PROBE: u16 = 0x88b6;

/// Where the module's parameters are.
const PARAMETERS_AT: &str = "/sys/module/netmap/parameters";

/// An interface, and how to reach it through the host's stack.
#[derive(Debug)]
pub struct Nic {
    /// Its name.
    pub name: String,
    /// A packet socket, which receives [`PROBE`]s.
    pub socket: c_int,
    /// A packet socket whose packets begin with a virtio-net header.
    with_header: c_int,
}

/// The machine that programs run on.
#[derive(Debug)]
pub struct World {
    /// Pairs of interfaces that are joined by a wire, and the one that connections leave by.
    pub nics: Vec<Nic>,
    /// That.
    pub wire: Wire,
    parameters: Vec<(PathBuf, String)>,
}

fn socket(name: &str, protocol: u16, header: bool) -> std::io::Result<c_int> {
    let failed = |value: c_int| {
        if value < 0 {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(value)
        }
    };
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let protocol = protocol.to_be();
    let c_name = std::ffi::CString::new(name)?;
    // SAFETY: The name ends with a NUL, and the structures are as long as is said.
    unsafe {
        let fd = failed(libc::socket(libc::AF_PACKET, kind, 0))?;
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = libc::if_nametoindex(c_name.as_ptr()) as c_int;
        let one: c_int = 1;
        if header {
            failed(libc::setsockopt(
                fd,
                libc::SOL_PACKET,
                15, // PACKET_VNET_HDR
                (&raw const one).cast::<c_void>(),
                size_of::<c_int>() as u32,
            ))?;
        }
        failed(libc::bind(
            fd,
            (&raw const address).cast::<libc::sockaddr>(),
            size_of::<libc::sockaddr_ll>() as u32,
        ))?;
        Ok(fd)
    }
}

impl World {
    /// Opens what is needed of these interfaces.
    pub fn new(names: &[String]) -> std::io::Result<Self> {
        let wire = Wire::new()?;
        let near = NEAR.to_owned();
        let nics = names
            .iter()
            .chain([&near])
            .map(|name| {
                Ok(Nic {
                    name: name.clone(),
                    socket: socket(name, PROBE, false)?,
                    with_header: socket(name, 0, true)?,
                })
            })
            .collect::<std::io::Result<_>>()?;
        let mut parameters = Vec::new();
        for entry in fs::read_dir(PARAMETERS_AT)? {
            let path = entry?.path();
            let value = fs::read_to_string(&path)?;
            parameters.push((path, value));
        }
        Ok(World {
            nics,
            wire,
            parameters,
        })
    }

    /// The name of an interface.
    pub fn nic(&self, nic: u64) -> &str {
        let index = usize::try_from(nic).unwrap_or(0) % self.nics.len().max(1);
        self.nics.get(index).map_or("", |nic| &nic.name)
    }

    /// Sets the module's parameters back to what they were at first.
    pub fn restore(&self) -> std::io::Result<()> {
        for (path, value) in &self.parameters {
            if fs::read_to_string(path)? != *value {
                fs::write(path, value.trim_end())?;
            }
        }
        Ok(())
    }
}

/// An Ethernet frame to everybody.
pub fn frame(ethertype: u16, length: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(ethertype.to_be_bytes());
    frame.resize(length.max(14), 0x5a);
    frame
}

/// A TCP segment of any length for the stack to cut, with a virtio-net header that says so.
fn large_segment(length: usize) -> Vec<u8> {
    let mut packet = vec![1, 1, 54, 0, 0xf4, 1, 34, 0, 16, 0];
    packet.extend([0xff; 6]);
    packet.extend([2, 0, 0, 0, 0, 1, 8, 0]);
    let total = length.clamp(40, 65_000) as u16;
    packet.extend([0x45, 0]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend([
        0, 80, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    packet.resize(10 + 14 + usize::from(total), 0x33);
    packet
}

/// The host sends frames on an interface.
pub fn frames(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [nic, count, length, kind] = *args else {
        return None;
    };
    let nics = &machine.world.nics;
    let nic = nics.get(usize::try_from(nic).ok()?.checked_rem(nics.len())?)?;
    let length = length as usize;
    let (socket, packet) = match kind {
        0 => (nic.socket, frame(NOISE, length)),
        1 => (nic.socket, frame(0x0800, length)),
        2 => {
            let mut packet = frame(0x8100, length.max(18));
            packet[14..18].copy_from_slice(&[0, 5, 8, 0]);
            (nic.socket, packet)
        }
        _ => (nic.with_header, large_segment(length)),
    };
    for _ in 0..=count {
        // What does not fit the queue or the interface is refused, which is not what is tested.
        // SAFETY: The buffer is as long as is said.
        unsafe {
            libc::send(
                socket,
                packet.as_ptr().cast::<c_void>(),
                packet.len(),
                libc::MSG_DONTWAIT,
            )
        };
    }
    Some(0)
}

/// A child uses what it inherited. It makes system calls only, as another thread may have held any lock.
pub fn fork_child(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, map, child, wait] = *args else {
        return None;
    };
    let fd = machine.file(file).unwrap_or(-1);
    let (address, length, ring) = machine.map(map).map_or((0, 0, 0), |mapping| {
        let first = mapping.layout.as_ref().and_then(|it| it.rings.first());
        let ring = first.map_or(0, |ring| mapping.at(ring.offset));
        (mapping.address, mapping.length, ring)
    });
    let what = *line(&CHILDREN, child);
    // SAFETY: The child makes system calls and ends; addresses that are not there end it by a signal.
    unsafe {
        let pid = libc::fork();
        if pid < 0 {
            return Some(errno());
        }
        if pid > 0 {
            if wait != 0 && what != Child::Linger {
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
            return Some(0);
        }
        let mut waiting = libc::pollfd {
            fd,
            events: libc::POLLIN | libc::POLLOUT,
            revents: 0,
        };
        match what {
            Child::Exit => {}
            Child::Close => drop(libc::close(fd)),
            Child::Transmit => drop(libc::ioctl(fd, NIOCTXSYNC, 0)),
            Child::Receive => drop(libc::ioctl(fd, NIOCRXSYNC, 0)),
            Child::Poll => drop(libc::poll(&mut waiting, 1, 5)),
            Child::Read => {
                let mut page = 0;
                while address != 0 && page < length.min(8 << 20) {
                    ((address + page) as *const u8).read_volatile();
                    page += 4096;
                }
            }
            Child::Write => {
                if ring != 0 {
                    for word in 5..64 {
                        ((ring + 4 * word) as *mut u32).write_volatile(7);
                    }
                    libc::ioctl(fd, NIOCTXSYNC, 0);
                }
            }
            Child::Unmap => drop(libc::munmap(address as *mut c_void, length as usize)),
            Child::Linger => loop {
                libc::ioctl(fd, NIOCTXSYNC, 0);
                libc::ioctl(fd, NIOCRXSYNC, 0);
                libc::poll(&mut waiting, 1, 1);
            },
            Child::Exec => {
                let path = c"/bin/true";
                let arguments = [path.as_ptr(), std::ptr::null()];
                libc::execv(path.as_ptr(), arguments.as_ptr());
            }
        }
        libc::_exit(0)
    }
}

/// Reads what the module says about itself.
pub fn read(machine: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [file, what] = *args else { return None };
    let path = match *line(&FILES_TO_READ, what) {
        "" => format!("/proc/self/fdinfo/{}", machine.file(file)?),
        path => path.to_owned(),
    };
    Some(match fs::read(path) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(0),
    })
}

/// Sets a parameter of the module.
pub fn parameter(_: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [value] = *args else { return None };
    let (name, value) = line(&PARAMETERS, value).split_once('=')?;
    let path = format!("{PARAMETERS_AT}/{name}");
    Some(match fs::write(path, value) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(0),
    })
}

/// Gives the others time.
pub fn nap(_: &Machine<'_>, args: &[u64]) -> Option<c_int> {
    let [ms] = *args else { return None };
    std::thread::sleep(Duration::from_millis(ms));
    Some(0)
}

/// Ends the program at once, with all that it has.
pub fn die(_: &Machine<'_>, _: &[u64]) -> Option<c_int> {
    // SAFETY: A process may always kill itself.
    Some(result(unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }))
}
