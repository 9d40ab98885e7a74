// SPDX-License-Identifier: BSD-2-Clause
//! What only rtnetlink says of an interface.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The length of `struct ifinfomsg`.
const INFO: usize = 16;
/// Largest answer: an interface with hundreds of virtual functions takes tens of kilobytes.
const ANSWER: usize = 1 << 18;

// Attributes that the crate `libc` does not have.
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;

/// How an XDP program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// The driver runs it.
    Driver,
    /// The stack runs it.
    Generic,
    /// The NIC runs it.
    Hardware,
}

/// What rtnetlink says of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// What kind of virtual device it is: `veth`, `bridge` ...
    pub kind: Option<String>,
    /// The queueing discipline at its root.
    pub qdisc: Option<String>,
    /// Its XDP program, and that one's number.
    pub xdp: Option<(XdpMode, u32)>,
}

impl Link {
    /// Asks the kernel about the interface of this index.
    ///
    /// # Errors
    ///
    /// The kernel's: `ENODEV` if there is none.
    pub fn of(index: u32) -> io::Result<Link> {
        // SAFETY: the call takes integers alone.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_ROUTE,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the file was opened above, and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let request = request(index);
        // SAFETY: the octets are `request`'s, of which there are as many.
        let sent = unsafe {
            libc::send(
                socket.as_raw_fd(),
                request.as_ptr().cast(),
                request.len(),
                0,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = vec![0u8; ANSWER];
        // SAFETY: there is room for as many octets as the call may write.
        let received = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                answer.as_mut_ptr().cast(),
                answer.len(),
                0,
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        parse(&answer[..received.min(ANSWER)])
    }
}

/// The message `RTM_GETLINK` about one interface.
fn request(index: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + INFO);
    message.extend(((HEADER + INFO) as u32).to_ne_bytes());
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Sequence number and sender, which need not be told.
    message.extend([0; 8]);
    // struct ifinfomsg: family, padding and type are 0.
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend([0; 8]);
    message
}

/// Reads the answer to it.
fn parse(answer: &[u8]) -> io::Result<Link> {
    let malformed = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel's answer is malformed",
        )
    };
    let kind = answer.get(4..6).and_then(number16).ok_or_else(malformed)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let error = answer
            .get(HEADER..HEADER + 4)
            .and_then(number32)
            .ok_or_else(malformed)?;
        return Err(io::Error::from_raw_os_error((error as i32).wrapping_neg()));
    }
    let attributes = answer.get(HEADER + INFO..).ok_or_else(malformed)?;
    let mut link = Link::default();
    for (kind, value) in Attributes(attributes) {
        match kind {
            libc::IFLA_QDISC => link.qdisc = Some(text(value)),
            libc::IFLA_LINKINFO => {
                link.kind = Attributes(value)
                    .find(|(kind, _)| *kind == libc::IFLA_INFO_KIND)
                    .map(|(_, value)| text(value));
            }
            IFLA_XDP => link.xdp = parse_xdp(value),
            _ => {}
        }
    }
    Ok(link)
}

/// The program of the driver, if there are several.
fn parse_xdp(value: &[u8]) -> Option<(XdpMode, u32)> {
    let find = |wanted| {
        Attributes(value)
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    let mode = match find(IFLA_XDP_ATTACHED)?.first()? {
        0 => return None,
        2 => XdpMode::Generic,
        3 => XdpMode::Hardware,
        // 4 is several, of which one is the driver's.
        _ => XdpMode::Driver,
    };
    Some((mode, find(IFLA_XDP_PROG_ID).and_then(number32).unwrap_or(0)))
}

/// The attributes in a message; what is malformed ends them.
struct Attributes<'m>(&'m [u8]);

impl<'m> Iterator for Attributes<'m> {
    type Item = (u16, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(self.0.get(..2).and_then(number16)?);
        // The two highest bits are flags.
        let kind = self.0.get(2..4).and_then(number16)? & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn number16(octets: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(octets.get(..2)?.try_into().ok()?))
}

fn number32(octets: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.get(..4)?.try_into().ok()?))
}

/// A string that ends with a zero.
fn text(value: &[u8]) -> String {
    let end = value
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        octets.extend((4 + value.len() as u16).to_ne_bytes());
        octets.extend(kind.to_ne_bytes());
        octets.extend(value);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn answer(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = vec![0; HEADER + INFO];
        octets[4..6].copy_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
        octets.extend(attributes.concat());
        octets
    }

    #[test]
    fn kind_discipline_and_program() {
        let xdp = [
            attribute(IFLA_XDP_ATTACHED, &[1]),
            attribute(IFLA_XDP_PROG_ID, &7u32.to_ne_bytes()),
        ];
        let link = parse(&answer(&[
            attribute(3, b"eth0\0"),
            attribute(libc::IFLA_QDISC, b"mqprio\0"),
            attribute(
                libc::IFLA_LINKINFO | 0x8000,
                &attribute(libc::IFLA_INFO_KIND, b"veth\0"),
            ),
            attribute(IFLA_XDP, &xdp.concat()),
        ]));
        let link = link.unwrap();
        assert_eq!(link.kind.as_deref(), Some("veth"));
        assert_eq!(link.qdisc.as_deref(), Some("mqprio"));
        assert_eq!(link.xdp, Some((XdpMode::Driver, 7)));
    }

    #[test]
    fn without_a_program() {
        let none = attribute(IFLA_XDP, &attribute(IFLA_XDP_ATTACHED, &[0]));
        assert_eq!(parse(&answer(&[none])).unwrap(), Link::default());
    }

    #[test]
    fn an_error_is_the_kernels() {
        let mut octets = vec![0; HEADER + 4];
        octets[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        octets[HEADER..].copy_from_slice(&(-libc::ENODEV).to_ne_bytes());
        assert_eq!(
            parse(&octets).unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let mut octets = answer(&[attribute(libc::IFLA_QDISC, b"noqueue\0")]);
        octets.truncate(octets.len() - 4);
        assert_eq!(parse(&octets).unwrap(), Link::default());
        for length in 0..HEADER + INFO {
            assert!(parse(&octets[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_loopback_interface_is_there() {
        // It is the first one of every network namespace.
        let link = Link::of(1).unwrap();
        assert_eq!((link.kind, link.xdp), (None, None));
        assert_eq!(
            Link::of(u32::MAX >> 1).unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
    }
}
