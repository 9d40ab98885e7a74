// SPDX-License-Identifier: BSD-2-Clause
//! Port names as users write them.

use crate::abi;
use core::fmt;
use core::str::FromStr;

/// Which rings of a port a binding asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rings {
    /// All rings of the NIC: `eth0`.
    Nic,
    /// The host rings: `eth0^`.
    Host,
    /// Both: `eth0*`.
    NicAndHost,
    /// One ring pair of the NIC: `eth0-2`.
    OneNic(u16),
    /// One host ring pair: `eth0^1`.
    OneHost(u16),
}

impl Rings {
    /// `nr_mode` and `nr_ringid` of the request.
    pub fn mode(self) -> (u32, u16) {
        match self {
            Rings::Nic => (abi::NR_REG_ALL_NIC, 0),
            Rings::Host => (abi::NR_REG_SW, 0),
            Rings::NicAndHost => (abi::NR_REG_NIC_SW, 0),
            Rings::OneNic(ring) => (abi::NR_REG_ONE_NIC, ring),
            Rings::OneHost(ring) => (abi::NR_REG_ONE_SW, ring),
        }
    }
}

/// One of the two ends of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipeEnd {
    /// `eth0{3`.
    Master,
    /// `eth0}3`.
    Slave,
}

/// A parsed port name.
///
/// The form is `[netmap:]NAME[RINGS][/FLAGS][@ID]`, where
///
/// - `NAME` is an interface (`eth0`), a switch port (`vale0:p1`, kept with its prefix), or one end of a pipe
///   (`eth0{3`, `eth0}3`);
/// - `RINGS` is `-N` (ring pair N of the NIC), `^` (host rings), `^N` (host ring pair N) or `*` (NIC and host);
/// - `FLAGS` are `x` (exclusive), `R` (receive rings only), `T` (transmit rings only), and, for monitors, `r`
///   (received packets), `t` (sent packets), `z` (zero copy);
/// - `ID` is the number of the memory region to use.
///
/// `stack:NAME` is the stack port of an interface, and so is `stack:N+NAME` with any number.
///
/// A dash that no number follows belongs to the name, so that `br-lan` needs no quoting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    name: String,
    rings: Rings,
    flags: u64,
    mem_id: u16,
}

/// Why a port name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Nothing before the suffix.
    #[error("port name is empty")]
    Empty,
    /// More octets than a request holds.
    #[error("port name is longer than {} octets", abi::NETMAP_REQ_IFNAMSIZ - 1)]
    TooLong,
    /// An octet that no port name has: white space, a slash at the start, a control character.
    #[error("port name holds the character {0:?}")]
    BadCharacter(char),
    /// Text before the first colon that is neither `netmap` nor `vale` with an identifier.
    #[error("prefix {0:?} is unknown: use netmap:NAME, stack:NAME or valeID:NAME")]
    BadPrefix(String),
    /// A pipe without an identifier, or with one that is not letters, digits and underscores.
    #[error("pipe identifier {0:?} is not made of letters, digits and underscores")]
    BadPipe(String),
    /// Something else where ring selection, flags or region number can stand.
    #[error("{0:?} after the name: -N, ^, ^N, *, /FLAGS or @ID can stand there")]
    BadSuffix(String),
    /// A flag letter that does not exist, or none after the slash.
    #[error("flags {0:?}: the letters are x, R, T, r, t, z")]
    BadFlags(String),
    /// A ring number above the last possible one.
    #[error("ring number {0} is above {max}", max = abi::NETMAP_RING_MASK - 1)]
    BadRing(String),
    /// A region number that is not in 1..=65535.
    #[error("region number {0:?} is not in 1..=65535")]
    BadMemId(String),
}

impl PortSpec {
    /// Name to give to the kernel: without `netmap:`, without suffixes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rings asked for.
    pub fn rings(&self) -> Rings {
        self.rings
    }

    /// `NR_*` flags asked for.
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// Region asked for; 0 if none was named.
    pub fn mem_id(&self) -> u16 {
        self.mem_id
    }

    /// The same port with other rings.
    pub fn with_rings(&self, rings: Rings) -> Self {
        PortSpec {
            rings,
            ..self.clone()
        }
    }

    /// The same port in the region `mem_id`; 0 leaves the choice to the kernel.
    pub fn with_mem_id(&self, mem_id: u16) -> Self {
        PortSpec {
            mem_id,
            ..self.clone()
        }
    }

    /// An end of the pipe `id` on this port, with neither the ring selection nor the flags of the port.
    ///
    /// # Errors
    ///
    /// [`SpecError::BadPipe`], also if this is the end of a pipe; [`SpecError::TooLong`].
    pub fn pipe(&self, end: PipeEnd, id: &str) -> Result<Self, SpecError> {
        let separator = match end {
            PipeEnd::Master => '{',
            PipeEnd::Slave => '}',
        };
        let name = format!("{}{separator}{id}", self.name);
        check_name(&name)?;
        Ok(PortSpec {
            name,
            rings: Rings::Nic,
            flags: 0,
            mem_id: self.mem_id,
        })
    }

    /// The same port with `flags` set as well.
    pub fn with_flags(&self, flags: u64) -> Self {
        PortSpec {
            flags: self.flags | flags,
            ..self.clone()
        }
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.flags & abi::NR_STACK != 0 {
            f.write_str("stack:")?;
        } else if !self.name.starts_with("vale") || !self.name.contains(':') {
            f.write_str("netmap:")?;
        }
        f.write_str(&self.name)?;
        match self.rings {
            Rings::Nic => {}
            Rings::Host => f.write_str("^")?,
            Rings::NicAndHost => f.write_str("*")?,
            Rings::OneNic(ring) => write!(f, "-{ring}")?,
            Rings::OneHost(ring) => write!(f, "^{ring}")?,
        }
        if self.flags & !abi::NR_STACK != 0 {
            f.write_str("/")?;
            for (letter, bit) in FLAGS {
                if self.flags & bit != 0 {
                    write!(f, "{letter}")?;
                }
            }
        }
        if self.mem_id != 0 {
            write!(f, "@{}", self.mem_id)?;
        }
        Ok(())
    }
}

const FLAGS: [(char, u64); 6] = [
    ('x', abi::NR_EXCLUSIVE),
    ('z', abi::NR_ZCOPY_MON),
    ('t', abi::NR_MONITOR_TX),
    ('r', abi::NR_MONITOR_RX),
    ('R', abi::NR_RX_RINGS_ONLY),
    ('T', abi::NR_TX_RINGS_ONLY),
];

impl FromStr for PortSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (flags, (scoped, text)) = match text.strip_prefix("stack:") {
            Some(rest) => (abi::NR_STACK, (0, without_number(rest))),
            None => (0, split_prefix(text)?),
        };
        let (name, suffix) = split_name(text, scoped);
        check_name(name)?;
        let mut spec = PortSpec {
            name: name.to_owned(),
            rings: Rings::Nic,
            flags,
            mem_id: 0,
        };
        let rest = spec.take_rings(suffix)?;
        let rest = spec.take_flags(rest)?;
        spec.take_mem_id(rest)?;
        Ok(spec)
    }
}

/// Removes the number and the plus sign of `N+NAME`.
fn without_number(text: &str) -> &str {
    match split_digits(text) {
        ("", _) => text,
        (_, rest) => rest.strip_prefix('+').unwrap_or(text),
    }
}

/// Removes `netmap:`; says how many octets of what is left are a `valeID:` that the kernel wants to see.
fn split_prefix(text: &str) -> Result<(usize, &str), SpecError> {
    let text = text.strip_prefix("netmap:").unwrap_or(text);
    let Some((prefix, _)) = text.split_once(':') else {
        return Ok((0, text));
    };
    match prefix.strip_prefix("vale") {
        Some(id) if is_identifier(id) => Ok((prefix.len() + 1, text)),
        _ => Err(SpecError::BadPrefix(prefix.to_owned())),
    }
}

/// Splits at the first octet after `scoped` that starts a suffix.
fn split_name(text: &str, scoped: usize) -> (&str, &str) {
    let starts_suffix = |(at, octet): (usize, &u8)| match octet {
        b'*' | b'^' | b'/' | b'@' => true,
        b'-' => {
            let after = text[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
            after.len() < text.len() - at - 1
                && (after.is_empty() || after.starts_with(['/', '@', '*', '^']))
        }
        _ => false,
    };
    let at = text
        .as_bytes()
        .iter()
        .enumerate()
        .skip(scoped)
        .find(|&found| starts_suffix(found))
        .map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

fn check_name(name: &str) -> Result<(), SpecError> {
    let port = name.split_once(':').map_or(name, |(_, port)| port);
    if port.is_empty() {
        return Err(SpecError::Empty);
    }
    if name.len() >= abi::NETMAP_REQ_IFNAMSIZ {
        return Err(SpecError::TooLong);
    }
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == ':';
    if let Some(c) = port.chars().find(|&c| bad(c)) {
        return Err(SpecError::BadCharacter(c));
    }
    if let Some((base, id)) = port.split_once(['{', '}']) {
        if base.is_empty() {
            return Err(SpecError::Empty);
        }
        if id.is_empty() || !is_identifier(id) {
            return Err(SpecError::BadPipe(id.to_owned()));
        }
    }
    Ok(())
}

fn is_identifier(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Splits off the digits at the start.
fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn ring_number(digits: &str) -> Result<u16, SpecError> {
    digits
        .parse()
        .ok()
        .filter(|&ring| ring < abi::NETMAP_RING_MASK)
        .ok_or_else(|| SpecError::BadRing(digits.to_owned()))
}

impl PortSpec {
    fn take_rings<'t>(&mut self, text: &'t str) -> Result<&'t str, SpecError> {
        if let Some(rest) = text.strip_prefix('*') {
            self.rings = Rings::NicAndHost;
            return Ok(rest);
        }
        if let Some(rest) = text.strip_prefix('-') {
            let (digits, rest) = split_digits(rest);
            self.rings = Rings::OneNic(ring_number(digits)?);
            return Ok(rest);
        }
        if let Some(rest) = text.strip_prefix('^') {
            let (digits, rest) = split_digits(rest);
            self.rings = match digits {
                "" => Rings::Host,
                digits => Rings::OneHost(ring_number(digits)?),
            };
            return Ok(rest);
        }
        Ok(text)
    }

    fn take_flags<'t>(&mut self, text: &'t str) -> Result<&'t str, SpecError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Ok(text);
        };
        let end = rest.find('@').unwrap_or(rest.len());
        let (letters, rest) = rest.split_at(end);
        if letters.is_empty() {
            return Err(SpecError::BadFlags(letters.to_owned()));
        }
        for letter in letters.chars() {
            let (_, bit) = FLAGS
                .iter()
                .find(|(known, _)| *known == letter)
                .ok_or_else(|| SpecError::BadFlags(letters.to_owned()))?;
            self.flags |= bit;
        }
        Ok(rest)
    }

    fn take_mem_id(&mut self, text: &str) -> Result<(), SpecError> {
        if text.is_empty() {
            return Ok(());
        }
        let Some(id) = text.strip_prefix('@') else {
            return Err(SpecError::BadSuffix(text.to_owned()));
        };
        let digits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        self.mem_id = digits
            .then(|| id.parse().ok())
            .flatten()
            .filter(|&id: &u16| id != 0)
            .ok_or_else(|| SpecError::BadMemId(id.to_owned()))?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
