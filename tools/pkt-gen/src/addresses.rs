// SPDX-License-Identifier: BSD-2-Clause
//! Ranges of addresses and ports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;
use fastrand::Rng;

/// Port where none is given.
const DEFAULT_PORT: u16 = 1234;

/// Groups of 16 bits in an IPv6 address.
const GROUPS: u8 = 8;

/// All addresses from one to another, each with all ports from one to another.
///
/// Addresses of IPv6 differ in one group of 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    first: IpAddr,
    /// The group that moves, if it is one of IPv6.
    group: u8,
    /// The part that moves, of the first address and of the last one.
    part: (u32, u32),
    port: (u16, u16),
}

impl Range {
    /// The first address and port.
    pub fn first(&self) -> SocketAddr {
        SocketAddr::new(self.first, self.port.0)
    }

    /// True if there is one address and port alone.
    pub fn is_single(&self) -> bool {
        self.part.0 == self.part.1 && self.port.0 == self.port.1
    }

    /// What follows `at`: ports first, then addresses, then the first again. The second value is true then.
    #[inline]
    pub fn next(&self, at: SocketAddr) -> (SocketAddr, bool) {
        let part = part(at.ip(), self.group);
        if at.port() < self.port.1 {
            (SocketAddr::new(at.ip(), at.port() + 1), false)
        } else if part < self.part.1 {
            (self.at(part + 1, self.port.0), false)
        } else {
            (self.first(), true)
        }
    }

    /// An address and port at random: with IPv6 another group, with IPv4 the whole address.
    #[inline]
    pub fn random(&self, rng: &mut Rng) -> SocketAddr {
        let bits = rng.u64(..);
        // The lower part, and another one.
        self.at(bits as u32, (bits >> 32) as u16)
    }

    /// The address that has `part` where they move.
    #[inline]
    fn at(&self, part: u32, port: u16) -> SocketAddr {
        let address = match self.first {
            IpAddr::V4(_) => Ipv4Addr::from(part).into(),
            IpAddr::V6(first) => {
                let mut groups = first.segments();
                // The lower half of a random part.
                groups[usize::from(self.group)] = part as u16;
                Ipv6Addr::from(groups).into()
            }
        };
        SocketAddr::new(address, port)
    }
}

/// What moves of an address.
fn part(address: IpAddr, group: u8) -> u32 {
    match address {
        IpAddr::V4(address) => u32::from(address),
        IpAddr::V6(address) => u32::from(address.segments()[usize::from(group)]),
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start: End = text.split('-').next().unwrap_or_default().parse()?;
        let end = match text.split_once('-') {
            Some((_, end)) => end.parse()?,
            None => start,
        };
        if start.address.is_ipv4() != end.address.is_ipv4() {
            return Err(format!("{text:?} is from one kind of address to another"));
        }
        let group = start.group.or(end.group).unwrap_or(GROUPS - 1);
        let (a, b) = (part(start.address, group), part(end.address, group));
        let start_port = start.port.unwrap_or(DEFAULT_PORT);
        let end_port = end.port.unwrap_or(start_port);
        let range = Range {
            first: start.address,
            group,
            part: (a.min(b), a.max(b)),
            port: (start_port.min(end_port), start_port.max(end_port)),
        };
        if range.at(b, 0).ip() != end.address {
            return Err(format!(
                "{text:?}: the addresses differ in more than group {group}, counted from 0"
            ));
        }
        Ok(Range {
            first: range.at(range.part.0, 0).ip(),
            ..range
        })
    }
}

/// One end of a range.
#[derive(Clone, Copy)]
struct End {
    address: IpAddr,
    port: Option<u16>,
    group: Option<u8>,
}

impl FromStr for End {
    type Err = String;

    /// `1.2.3.4`, `1.2.3.4:PORT`; `[fd00::1]`, `[fd00::1]:PORT`, `fd00::1`, and each of these behind `GROUP@`.
    fn from_str(text: &str) -> Result<Self, String> {
        let no_address = || format!("{text:?} is neither an IPv4 nor an IPv6 address");
        let (group, rest) = match text.split_once('@') {
            Some((group, rest)) => (Some(group), rest),
            None => (None, text),
        };
        let (address, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or_else(no_address)?;
                match port.strip_prefix(':') {
                    None if !port.is_empty() => return Err(no_address()),
                    port => (address, port),
                }
            }
            None if rest.parse::<Ipv6Addr>().is_ok() => (rest, None),
            None => match rest.split_once(':') {
                Some((address, port)) => (address, Some(port)),
                None => (rest, None),
            },
        };
        let address: IpAddr = address.parse().map_err(|_| no_address())?;
        if address.is_ipv4() && (group.is_some() || rest.starts_with('[')) {
            return Err(no_address());
        }
        let port = port.map(|port| {
            port.parse()
                .map_err(|_| format!("{port:?} is not a port number"))
        });
        let group = group.map(|group| match group.parse() {
            Ok(group) if group < GROUPS => Ok(group),
            _ => Err(format!("{group:?} is not a group from 0 to {}", GROUPS - 1)),
        });
        Ok(End {
            address,
            port: port.transpose()?,
            group: group.transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(text: &str) -> Vec<String> {
        let range: Range = text.parse().unwrap();
        let mut at = range.first();
        let mut all = vec![at.to_string()];
        loop {
            let (next, wrapped) = range.next(at);
            if wrapped {
                assert_eq!(next, range.first());
                return all;
            }
            at = next;
            all.push(at.to_string());
        }
    }

    #[test]
    fn single_addresses() {
        assert_eq!(walk("10.0.0.1"), ["10.0.0.1:1234"]);
        assert_eq!(walk("10.0.0.1:7"), ["10.0.0.1:7"]);
        assert!("10.0.0.1-10.0.0.1".parse::<Range>().unwrap().is_single());
        assert_eq!(walk("fd00::1"), ["[fd00::1]:1234"]);
        assert_eq!(walk("[fd00::1]"), ["[fd00::1]:1234"]);
        assert_eq!(walk("3@[fd00::1]:7"), ["[fd00::1]:7"]);
    }

    #[test]
    fn ranges_walk_ports_then_addresses() {
        let expected = ["10.0.0.255:8", "10.0.0.255:9", "10.0.1.0:8", "10.0.1.0:9"];
        assert_eq!(walk("10.0.0.255:8-10.0.1.0:9"), expected);
        assert_eq!(walk("10.0.1.0:9-10.0.0.255:8"), expected);
        assert_eq!(walk("10.0.0.1:7-10.0.0.2"), ["10.0.0.1:7", "10.0.0.2:7"]);
        let expected = ["[fd00::1]:8", "[fd00::1]:9", "[fd00::2]:8", "[fd00::2]:9"];
        assert_eq!(walk("[fd00::1]:8-[fd00::2]:9"), expected);
        assert_eq!(walk("[fd00::2]:9-[fd00::1]:8"), expected);
        let expected = ["[fd00:1::9]:1234", "[fd00:2::9]:1234"];
        assert_eq!(walk("1@fd00:1::9-fd00:2::9"), expected);
    }

    #[test]
    fn the_last_address_does_not_overflow() {
        let last = "255.255.255.255:65535";
        assert_eq!(walk(last), [last]);
        let last = "[fd00::ffff]:65535";
        assert_eq!(walk(last), [last]);
    }

    #[test]
    fn random_addresses_of_ipv6_keep_their_network() {
        let range: Range = "fd00::1".parse().unwrap();
        for _ in 0..100 {
            let IpAddr::V6(address) = range.random(&mut Rng::new()).ip() else {
                panic!("of another kind");
            };
            assert_eq!(address.segments()[..7], [0xfd00, 0, 0, 0, 0, 0, 0]);
        }
    }

    #[test]
    fn bad_input_is_named() {
        for bad in [
            "",
            "10.0.0",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "10.0.0.1-",
            "10.0.0.1-10.0.0.2-3",
            "[10.0.0.1]:5",
            "7@10.0.0.1",
            "10.0.0.1-fd00::1",
            "fd00::1-fd00:1::2",
            "8@fd00::1",
            "[fd00::1",
            "[fd00::1]7",
            "[fd00::1]:",
            "fd00::1:2:3:4:5:6:7:8",
        ] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }
}
