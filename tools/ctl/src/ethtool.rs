// SPDX-License-Identifier: BSD-2-Clause
//! What ethtool's requests say of an interface.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

// The crate `libc` does not have them. Numbers and structures are those of <linux/ethtool.h>.
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const GET_DRIVER: u32 = 0x03;
const GET_STRINGS: u32 = 0x1b;
const GET_STRING_COUNTS: u32 = 0x37;
const GET_FEATURES: u32 = 0x3a;
/// The set of strings that names the features.
const FEATURES: u32 = 4;
/// The length of a string.
const STRING: usize = 32;
/// More features than any kernel has.
const MOST_FEATURES: usize = 1024;

/// A socket, by which these requests are made.
pub struct Ethtool(OwnedFd);

impl Ethtool {
    /// # Errors
    ///
    /// `socket`'s.
    pub fn open() -> io::Result<Ethtool> {
        // SAFETY: the call takes integers alone.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the file was opened above, and nobody else has it.
        Ok(Ethtool(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The name of the driver.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn driver(&self, interface: &str) -> io::Result<String> {
        // struct ethtool_drvinfo: the request, the driver's name, and more.
        let mut buffer = vec![0u32; 49];
        buffer[0] = GET_DRIVER;
        self.request(interface, &mut buffer)?;
        Ok(text(&octets(&buffer)[4..4 + STRING]))
    }

    /// The names of the features that are on.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn features(&self, interface: &str) -> io::Result<Vec<String>> {
        // struct ethtool_sset_info: the request, a reserved word, a mask of sets, their sizes.
        let mut counts = [GET_STRING_COUNTS, 0, 1 << FEATURES, 0, 0];
        self.request(interface, &mut counts)?;
        let count = (counts[4] as usize).min(MOST_FEATURES);
        // struct ethtool_gstrings: the request, the set, how many, the strings.
        let mut strings = vec![0; 3 + count * STRING / 4];
        strings[..3].copy_from_slice(&[GET_STRINGS, FEATURES, count as u32]);
        self.request(interface, &mut strings)?;
        // struct ethtool_gfeatures: the request, how many blocks, and of each 32 features what is available, requested, active,
        // never changed.
        let blocks = count.div_ceil(32);
        let mut features = vec![0; 2 + 4 * blocks];
        features[..2].copy_from_slice(&[GET_FEATURES, blocks as u32]);
        self.request(interface, &mut features)?;
        let is_on = |number: usize| features[2 + 4 * (number / 32) + 2] & (1 << (number % 32)) != 0;
        let names = octets(&strings[3..]);
        Ok((0..count)
            .filter(|number| is_on(*number))
            .map(|number| text(&names[number * STRING..(number + 1) * STRING]))
            .collect())
    }

    /// Makes the request in the first word of `buffer`, which must have room for the answer.
    fn request(&self, interface: &str, buffer: &mut [u32]) -> io::Result<()> {
        // SAFETY: all of its fields may be zero.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        if interface.len() >= request.ifr_name.len() {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = buffer.as_mut_ptr().cast();
        // SAFETY: the request and its buffer outlive the call, and the callers have made the buffer as long as the answer.
        let failed = unsafe { libc::ioctl(self.0.as_raw_fd(), SIOCETHTOOL, &mut request) } < 0;
        if failed {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

fn octets(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A string that ends with a zero.
fn text(octets: &[u8]) -> String {
    let end = octets
        .iter()
        .position(|octet| *octet == 0)
        .unwrap_or(octets.len());
    String::from_utf8_lossy(&octets[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_features() {
        let features = Ethtool::open().unwrap().features("lo").unwrap();
        assert!(
            features.iter().any(|name| name == "loopback"),
            "{features:?}"
        );
    }

    #[test]
    fn an_interface_that_does_not_exist() {
        let ethtool = Ethtool::open().unwrap();
        for name in ["nosuchif", "longer-than-any-interface"] {
            assert_eq!(
                ethtool.driver(name).unwrap_err().raw_os_error(),
                Some(libc::ENODEV),
                "{name}"
            );
        }
    }

    #[test]
    fn strings_end_at_their_zero() {
        assert_eq!(text(&octets(&[u32::from_ne_bytes(*b"rx\0x")])), "rx");
        assert_eq!(text(b"whole"), "whole");
    }
}
