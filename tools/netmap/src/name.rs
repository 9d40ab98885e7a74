// SPDX-License-Identifier: BSD-2-Clause
//! The grammar of port names, as `libnetmap.h` describes it: the one of that library and of [`PortSpec`](crate::PortSpec).
//!
//! Texts are octets here, since those of C programs need not be UTF-8.

use crate::abi;
use crate::name_options::OptionError;

/// Why a text is no name of a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// None of the prefixes.
    #[error("it begins with none of netmap:, vale and stack:")]
    Prefix,
    /// A switch without a port.
    #[error("no ':' after vale")]
    NoColon,
    /// Something else than letters, digits and underscores between `vale` and the colon.
    #[error("the switch {0:?} is not made of letters, digits and '_'")]
    Switch(String),
    /// Nothing before what follows a name.
    #[error("no name before {0:?}")]
    Empty(String),
    /// More octets than a request holds.
    #[error("the name is longer than {} bytes", abi::NETMAP_REQ_IFNAMSIZ - 1)]
    TooLong,
    /// A character other than letters, digits and `_.-+`.
    #[error("a name has no {0:?}")]
    Character(char),
    /// A pipe without an identifier, or with one that is not letters, digits and underscores.
    #[error("the pipe {0:?} is not made of letters, digits and '_'")]
    Pipe(String),
    /// Something else where rings, flags or a region can stand.
    #[error("{0:?} where -N, ^, ^N, *, /flags or @ was expected")]
    Unexpected(String),
    /// No number after the dash.
    #[error("{0:?} where a number was expected")]
    NoNumber(String),
    /// A ring above the last possible one.
    #[error("ring {0} is not below {max}", max = abi::NETMAP_RING_MASK)]
    Ring(String),
    /// A slash and no flags.
    #[error("no flags after '/'")]
    NoFlags,
    /// A letter that is no flag.
    #[error("unknown flag {0:?}: there are x, R, T, r, t and z")]
    Flag(char),
    /// A region that cannot be.
    #[error("region {0} is not in 1..=65535")]
    Region(String),
    /// A second region.
    #[error("region {wanted}, but it is {set} already")]
    OtherRegion {
        /// The second one.
        wanted: u16,
        /// The first one.
        set: u16,
    },
    /// An `@` at the end.
    #[error("nothing after '@'")]
    NoRegion,
    /// Options that are not well formed.
    #[error(transparent)]
    Malformed(OptionError),
    /// An option that there is not; libnetmap has some more.
    #[error("there is no option {0} here: there is @conf:, before which a region, @ID, is named (@share:, @extmem: and @offset: are libnetmap's alone)")]
    UnknownOption(String),
    /// `@conf` without a colon and keys.
    #[error("option conf: ':' and keys are missing")]
    NoConfKey,
    /// A key that `@conf:` does not have.
    #[error("option conf: there is no key {0}; there are rings, host-rings and slots, also with tx- and rx-")]
    ConfKey(String),
    /// A key that is there twice.
    #[error("option conf: key {0} is there twice")]
    ConfKeyTwice(String),
    /// Something else than a number of rings or slots, or more than a request can ask for.
    #[error("option conf: {key}={value} is not a number up to {most}")]
    ConfNumber {
        /// The key.
        key: String,
        /// What it is set to.
        value: String,
        /// The largest number.
        most: u32,
    },
}

/// A port's name, and what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<'t> {
    /// What the kernel wants to see before `name`: nothing, a switch and a colon, or `stack:`.
    pub scope: &'t [u8],
    /// The name, which leaves room for the scope and a final zero in a request.
    pub name: &'t [u8],
    /// All else.
    pub rest: &'t [u8],
}

/// Which rings, how, and in which region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode<'t> {
    /// `NR_REG_*`.
    pub mode: u32,
    /// Ring number.
    pub ring: u16,
    /// `NR_*`.
    pub flags: u64,
    /// Region; 0 for none.
    pub mem_id: u16,
    /// Options.
    pub rest: &'t [u8],
}

/// The prefix of stack ports.
pub(crate) const STACK: &[u8] = b"stack:";

/// The letters of flags.
pub(crate) const FLAGS: [(u8, u64); 6] = [
    (b'x', abi::NR_EXCLUSIVE),
    (b'z', abi::NR_ZCOPY_MON),
    (b't', abi::NR_MONITOR_TX),
    (b'r', abi::NR_MONITOR_RX),
    (b'R', abi::NR_RX_RINGS_ONLY),
    (b'T', abi::NR_TX_RINGS_ONLY),
];

/// Takes a port's name from the start of a text.
///
/// # Errors
///
/// Those of [`SpecError`] up to [`SpecError::Pipe`].
pub fn name(text: &[u8]) -> Result<Name<'_>, SpecError> {
    let (scope, text) = if let Some(rest) = text.strip_prefix(b"netmap:") {
        (&[][..], rest)
    } else if let Some(rest) = text.strip_prefix(STACK) {
        (STACK, without_number(rest))
    } else if let Some(rest) = text.strip_prefix(b"vale") {
        let colon = rest.iter().position(|octet| *octet == b':');
        let colon = colon.ok_or(SpecError::NoColon)?;
        if !rest[..colon].iter().all(is_identifier) {
            return Err(SpecError::Switch(shown(&rest[..colon])));
        }
        text.split_at("vale".len() + colon + 1)
    } else {
        return Err(SpecError::Prefix);
    };
    let end = (0..text.len()).find(|&at| is_suffix(&text[at..]));
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    check(name, rest)?;
    if scope.len() + name.len() >= abi::NETMAP_REQ_IFNAMSIZ {
        return Err(SpecError::TooLong);
    }
    Ok(Name { scope, name, rest })
}

/// Removes the number and the plus sign of `N+NAME`.
pub(crate) fn without_number(text: &[u8]) -> &[u8] {
    match digits(text) {
        ([], _) => text,
        (_, rest) => rest.strip_prefix(b"+").unwrap_or(text),
    }
}

/// Whether a name ends before `text`, which is not empty. A dash ends it unless something else than a number follows.
fn is_suffix(text: &[u8]) -> bool {
    match text[0] {
        b'*' | b'^' | b'/' | b'@' => true,
        b'-' => {
            let (_, rest) = digits(&text[1..]);
            matches!(rest.first(), None | Some(b'/' | b'@' | b'*' | b'^'))
        }
        _ => false,
    }
}

/// A port's name, or that of a pipe on it, which `rest` follows.
pub(crate) fn check(name: &[u8], rest: &[u8]) -> Result<(), SpecError> {
    let is_brace = |octet: &u8| matches!(octet, b'{' | b'}');
    let (port, pipe) = match name.iter().position(is_brace) {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    };
    if port.is_empty() {
        return Err(SpecError::Empty(shown(
            &[&name[port.len()..], rest].concat(),
        )));
    }
    let is_part = |octet: &u8| is_identifier(octet) || matches!(octet, b'.' | b'-' | b'+');
    if let Some(at) = port.iter().position(|octet| !is_part(octet)) {
        let other = shown(&port[at..]).chars().next();
        return Err(SpecError::Character(other.unwrap_or_default()));
    }
    match pipe {
        Some(id) if id.is_empty() || !id.iter().all(is_identifier) => {
            Err(SpecError::Pipe(shown(id)))
        }
        _ => Ok(()),
    }
}

/// Takes rings, flags and region from what is behind a name, where `mem_id` may be the region already. An option that follows is
/// left.
///
/// # Errors
///
/// Those of [`SpecError`] from [`SpecError::Unexpected`] to [`SpecError::NoRegion`].
pub fn mode(text: &[u8], mem_id: u16) -> Result<Mode<'_>, SpecError> {
    let mut found = Mode {
        mode: abi::NR_REG_ALL_NIC,
        ring: 0,
        flags: 0,
        mem_id,
        rest: text,
    };
    match text.first() {
        Some(b'*') => {
            found.mode = abi::NR_REG_NIC_SW;
            found.rest = &text[1..];
        }
        Some(b'-') => {
            found.mode = abi::NR_REG_ONE_NIC;
            (found.ring, found.rest) = ring(&text[1..])?;
        }
        Some(b'^') if text.get(1).is_some_and(u8::is_ascii_digit) => {
            found.mode = abi::NR_REG_ONE_SW;
            (found.ring, found.rest) = ring(&text[1..])?;
        }
        Some(b'^') => {
            found.mode = abi::NR_REG_SW;
            found.rest = &text[1..];
        }
        _ => {}
    }
    loop {
        found.rest = match found.rest.split_first() {
            None => return Ok(found),
            Some((b'/', rest)) => flags(rest, &mut found.flags)?,
            Some((b'@', [])) => return Err(SpecError::NoRegion),
            Some((b'@', rest)) if rest[0].is_ascii_digit() => region(rest, &mut found.mem_id)?,
            Some((b'@', _)) => return Ok(found),
            Some(_) => return Err(SpecError::Unexpected(shown(found.rest))),
        };
    }
}

fn ring(text: &[u8]) -> Result<(u16, &[u8]), SpecError> {
    let (number, rest) = digits(text);
    if number.is_empty() {
        return Err(SpecError::NoNumber(shown(rest)));
    }
    let ring = value(number).filter(|ring| *ring < abi::NETMAP_RING_MASK);
    let ring = ring.ok_or_else(|| SpecError::Ring(shown(number)))?;
    Ok((ring, rest))
}

fn flags<'t>(text: &'t [u8], flags: &mut u64) -> Result<&'t [u8], SpecError> {
    let end = text.iter().position(|octet| matches!(octet, b'@' | b'/'));
    let (letters, rest) = text.split_at(end.unwrap_or(text.len()));
    if letters.is_empty() {
        return Err(SpecError::NoFlags);
    }
    for letter in letters {
        let (_, flag) = FLAGS
            .iter()
            .find(|(known, _)| known == letter)
            .ok_or(SpecError::Flag(char::from(*letter)))?;
        *flags |= flag;
    }
    Ok(rest)
}

fn region<'t>(text: &'t [u8], mem_id: &mut u16) -> Result<&'t [u8], SpecError> {
    let (number, rest) = digits(text);
    let wanted = value(number).filter(|wanted| *wanted != 0);
    let wanted = wanted.ok_or_else(|| SpecError::Region(shown(number)))?;
    match *mem_id {
        0 => *mem_id = wanted,
        set if set == wanted => {}
        set => return Err(SpecError::OtherRegion { wanted, set }),
    }
    Ok(rest)
}

fn is_identifier(octet: &u8) -> bool {
    octet.is_ascii_alphanumeric() || *octet == b'_'
}

/// Splits off the digits at the start.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|octet| !octet.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// The number that digits say, if it fits.
fn value(digits: &[u8]) -> Option<u16> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

/// A part of a name as messages have it.
pub(crate) fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
