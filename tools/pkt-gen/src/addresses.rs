// SPDX-License-Identifier: BSD-2-Clause
//! Ranges of addresses and ports.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::str::FromStr;

/// Port where none is given.
const DEFAULT_PORT: u16 = 1234;

/// All addresses from one to another, each with all ports from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    address: (u32, u32),
    port: (u16, u16),
}

impl Range {
    /// The first address and port.
    pub fn first(&self) -> SocketAddrV4 {
        socket(self.address.0, self.port.0)
    }

    /// True if there is one address and port alone.
    pub fn is_single(&self) -> bool {
        self.address.0 == self.address.1 && self.port.0 == self.port.1
    }

    /// What follows `at`: ports first, then addresses, then the first again. The second value is true then.
    pub fn next(&self, at: SocketAddrV4) -> (SocketAddrV4, bool) {
        let address = u32::from(*at.ip());
        if at.port() < self.port.1 {
            (socket(address, at.port() + 1), false)
        } else if address < self.address.1 {
            (socket(address + 1, self.port.0), false)
        } else {
            (self.first(), true)
        }
    }
}

fn socket(address: u32, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(address), port)
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (start, end) = match text.split_once('-') {
            Some((start, end)) => (one(start)?, Some(one(end)?)),
            None => (one(text)?, None),
        };
        let start_port = start.1.unwrap_or(DEFAULT_PORT);
        let (end_address, end_port) = match end {
            Some((address, port)) => (address, port.unwrap_or(start_port)),
            None => (start.0, start_port),
        };
        Ok(Range {
            address: (start.0.min(end_address), start.0.max(end_address)),
            port: (start_port.min(end_port), start_port.max(end_port)),
        })
    }
}

fn one(text: &str) -> Result<(u32, Option<u16>), String> {
    let (address, port) = match text.split_once(':') {
        Some((address, port)) => (address, Some(port)),
        None => (text, None),
    };
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| format!("{address:?} is not an IPv4 address"))?;
    let port = port
        .map(|port| {
            port.parse()
                .map_err(|_| format!("{port:?} is not a port number"))
        })
        .transpose()?;
    Ok((u32::from(address), port))
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
    }

    #[test]
    fn ranges_walk_ports_then_addresses() {
        let expected = ["10.0.0.255:8", "10.0.0.255:9", "10.0.1.0:8", "10.0.1.0:9"];
        assert_eq!(walk("10.0.0.255:8-10.0.1.0:9"), expected);
        assert_eq!(walk("10.0.1.0:9-10.0.0.255:8"), expected);
        assert_eq!(walk("10.0.0.1:7-10.0.0.2"), ["10.0.0.1:7", "10.0.0.2:7"]);
    }

    #[test]
    fn the_last_address_does_not_overflow() {
        let last = "255.255.255.255:65535";
        assert_eq!(walk(last), [last]);
    }

    #[test]
    fn bad_input_is_named() {
        for bad in [
            "",
            "10.0.0",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "10.0.0.1-",
            "::1",
            "10.0.0.1-10.0.0.2-3",
        ] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }
}
