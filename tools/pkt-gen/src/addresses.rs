// SPDX-License-Identifier: BSD-2-Clause
//! Ranges of addresses and ports, and the walk of a sender through them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;
use fastrand::Rng;
use frame::{AddressFields, Moving, Udp};

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

    /// The address that has `part` where they move.
    fn at(&self, part: u32, port: u16) -> SocketAddr {
        let address = match self.first {
            IpAddr::V4(_) => Ipv4Addr::from(part).into(),
            IpAddr::V6(first) => {
                let mut groups = first.segments();
                // One that moves has no more than 16 bits.
                groups[usize::from(self.group)] = part as u16;
                Ipv6Addr::from(groups).into()
            }
        };
        SocketAddr::new(address, port)
    }
}

/// The addresses and ports of one end, one after the other.
#[derive(Debug, Clone, Copy)]
struct Steps {
    range: Range,
    part: u32,
    port: u16,
    /// The bits of a part that is drawn at random, if they are.
    random: Option<u32>,
}

impl Steps {
    fn new(range: Range, is_random: bool) -> Steps {
        let bits = match range.first {
            IpAddr::V4(_) => u32::MAX,
            IpAddr::V6(_) => u32::from(u16::MAX),
        };
        Steps {
            range,
            part: range.part.0,
            port: range.port.0,
            random: is_random.then_some(bits),
        }
    }

    /// Goes to what follows: ports first, then addresses, then the first again, and then returns true.
    #[inline]
    fn step(&mut self) -> bool {
        if self.port < self.range.port.1 {
            self.port += 1;
            return false;
        }
        self.port = self.range.port.0;
        let is_over = self.part >= self.range.part.1;
        self.part = if is_over {
            self.range.part.0
        } else {
            self.part + 1
        };
        is_over
    }

    /// Draws an address and port, if they are to be random: with IPv6 another group, with IPv4 the whole address.
    #[inline]
    fn draw(&mut self, rng: &mut Rng) {
        if let Some(bits) = self.random {
            let drawn = rng.u64(..);
            // The lower part, and another one.
            (self.part, self.port) = (drawn as u32 & bits, (drawn >> 32) as u16);
        }
    }

    fn at(&self) -> SocketAddr {
        self.range.at(self.part, self.port)
    }
}

/// A sender's walk through the addresses of its packets.
#[derive(Debug, Clone)]
pub struct Walk {
    source: Steps,
    destination: Steps,
    fields: AddressFields,
    rng: Rng,
}

impl Walk {
    /// From the first source and destination on, which are of one family; `random` says which are random after these.
    pub fn new(ends: &(Range, Range), random: (bool, bool)) -> Walk {
        let (source, destination) = ends;
        let fields = match source.first {
            IpAddr::V4(_) => AddressFields::IPV4,
            IpAddr::V6(_) => AddressFields::ipv6(source.group, destination.group),
        };
        Walk {
            source: Steps::new(*source, random.0),
            destination: Steps::new(*destination, random.1),
            fields,
            rng: Rng::new(),
        }
    }

    /// Moves the source on, and the destination whenever the source starts over, or always if the source is drawn.
    #[inline]
    pub fn step(&mut self) {
        if self.source.random.is_some() || self.source.step() {
            self.destination.step();
        }
        self.source.draw(&mut self.rng);
        self.destination.draw(&mut self.rng);
    }

    /// Writes the addresses into a frame that was made for others of these.
    ///
    /// # Panics
    ///
    /// If the frame is shorter than its headers.
    #[inline]
    pub fn write(&self, frame: &mut [u8]) {
        let moving = Moving {
            src: self.source.part,
            dst: self.destination.part,
            src_port: self.source.port,
            dst_port: self.destination.port,
        };
        self.fields.write(frame, &moving);
    }

    /// The same addresses for a frame that is to be made.
    pub fn address(&self, udp: &Udp) -> Udp {
        Udp {
            src: self.source.at(),
            dst: self.destination.at(),
            ..*udp
        }
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
        let mut steps = Steps::new(range, false);
        let mut all = vec![steps.at().to_string()];
        while !steps.step() {
            all.push(steps.at().to_string());
        }
        assert_eq!(steps.at(), range.first());
        all
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
    fn a_frame_takes_the_addresses_of_each_step() {
        let first = Udp {
            src_mac: frame::Mac([2, 0, 0, 0, 0, 1]),
            dst_mac: frame::Mac::BROADCAST,
            src: "10.0.0.1:1".parse().unwrap(),
            dst: "10.0.0.1:1".parse().unwrap(),
        };
        for ends in [
            ["10.0.0.254:8-10.0.1.1:9", "10.1.0.1-10.1.0.2"],
            ["2@fd00::1:8-fd00:0:1::1:8", "fd00::1-fd00::2"],
            ["[fd00::1]:8-[fd00::2]:9", "1@fd00:1::-fd00:2::"],
        ] {
            let ends = (ends[0].parse().unwrap(), ends[1].parse().unwrap());
            for random in [(false, false), (true, false), (false, true)] {
                let mut walk = Walk::new(&ends, random);
                let mut frame = walk.address(&first).frame(100, b"walk").unwrap();
                for _ in 0..20 {
                    walk.step();
                    walk.write(&mut frame);
                    assert_eq!(frame, walk.address(&first).frame(100, b"walk").unwrap());
                }
            }
        }
    }

    #[test]
    fn with_a_random_source_the_destination_moves_each_time() {
        let ends = ["10.0.0.1", "10.1.0.1-10.1.0.3"].map(|text| text.parse().unwrap());
        let mut walk = Walk::new(&ends.into(), (true, false));
        let destinations = [(); 5].map(|()| {
            walk.step();
            walk.destination.at().to_string()
        });
        let expected = [2, 3, 1, 2, 3].map(|last| format!("10.1.0.{last}:1234"));
        assert_eq!(destinations, expected);
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
        let mut steps = Steps::new(range, true);
        for _ in 0..100 {
            steps.draw(&mut Rng::new());
            let IpAddr::V6(address) = steps.at().ip() else {
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
