// SPDX-License-Identifier: GPL-2.0

//! Port names as requests carry them.
//!
//! ```text
//!   port   = base [ ( "{" | "}" ) id ]
//!   base   = nic | "vale" *word ":" *char | "stack:" [ 1*digit "+" ] nic
//!   nic    = what Linux takes as the name of a network device
//!   word   = letter, digit or "_"
//! ```
//!
//! The suffixes that user libraries understand (`-0`, `^`, `*`, `/x`, `@1`) never reach the kernel:
//! they become fields of the request.

use super::errno;
use crate::abi;
use core::ffi::CStr;
use core::fmt;

/// Bytes of the longest name, the terminating NUL included.
const CAPACITY: usize = abi::NETMAP_REQ_IFNAMSIZ;

/// What every switch's name begins with.
const SWITCH_PREFIX: &[u8] = b"vale";

/// What the name of the stack port of a network device begins with.
const STACK_PREFIX: &[u8] = b"stack:";

/// What the names of null ports begin with.
const NULL_PREFIX: &[u8] = b"null:";

/// A bounded piece of text.
///
/// # Invariants
///
/// The last byte is NUL, and all bytes after the first NUL are NUL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text([u8; CAPACITY]);

impl Text {
    /// The empty text.
    pub const EMPTY: Text = Text([0; CAPACITY]);

    /// Takes the bytes before the first NUL of `field`, which has one within its bounds.
    pub fn from_field(field: &[u8]) -> Result<Self, NameFault> {
        let mut parts = field.splitn(2, |&byte| byte == 0);
        match (parts.next(), parts.next()) {
            (Some(text), Some(_)) => Self::from_bytes(text),
            _ => Err(NameFault::Unterminated),
        }
    }

    /// Takes `bytes`, of which none is NUL and which leave room for one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NameFault> {
        Self::EMPTY.with(bytes)
    }

    /// The text followed by `bytes`.
    pub fn with(mut self, bytes: &[u8]) -> Result<Self, NameFault> {
        let used = self.as_bytes().len();
        let room = match self.0.get_mut(used..) {
            Some([room @ .., _]) => room,
            _ => return Err(NameFault::TooLong),
        };
        if bytes.len() > room.len() {
            return Err(NameFault::TooLong);
        }
        if bytes.contains(&0) {
            return Err(NameFault::Character);
        }
        // INVARIANT: The bytes replace NULs from the first one on, without the last; none is NUL.
        for (to, &from) in room.iter_mut().zip(bytes) {
            *to = from;
        }
        Ok(self)
    }

    /// The bytes of a request's field, NULs behind the text included.
    pub const fn to_field(&self) -> [u8; CAPACITY] {
        self.0
    }

    /// The name of the null port of a file: "null:", and as much of what the request has for a name as there is room for.
    pub fn of_null_port(label: &Text) -> Self {
        let mut text = Self::EMPTY;
        let bytes = NULL_PREFIX.iter().chain(label.as_bytes());
        // INVARIANT: None of the bytes is NUL, and the last one of the text is left.
        for (to, from) in text.0.iter_mut().take(CAPACITY - 1).zip(bytes) {
            *to = *from;
        }
        text
    }

    /// The text without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_cstr().to_bytes()
    }

    /// The text with its NUL.
    pub fn as_cstr(&self) -> &CStr {
        // The invariant makes the default unreachable.
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self)
    }
}

/// The two ends of a pipe. What the master sends the slave receives, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEnd {
    /// `{`.
    Master,
    /// `}`.
    Slave,
}

impl PipeEnd {
    /// The brace between base and pipe identifier.
    pub const fn brace(self) -> u8 {
        match self {
            PipeEnd::Master => b'{',
            PipeEnd::Slave => b'}',
        }
    }
}

/// A pipe on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Which end.
    pub end: PipeEnd,
    /// Identifier among the pipes of the port; not empty.
    pub id: Text,
}

/// What the base of a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A network device of the opener's network namespace.
    Nic,
    /// A port of a switch.
    Vale {
        /// Number of bytes of the base before the `:`, the switch's name.
        switch_len: usize,
    },
    /// The stack port of a network device of the opener's network namespace.
    Stack,
}

/// A port name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortName {
    /// What the base is.
    pub kind: Base,
    /// The name without the pipe; that of a stack port is its device's.
    pub base: Text,
    /// The pipe on that base, if any.
    pub pipe: Option<Pipe>,
}

impl PortName {
    /// Parses the name in a request's field.
    pub fn from_field(field: &[u8]) -> Result<Self, NameFault> {
        Self::parse(Text::from_field(field)?.as_bytes())
    }

    /// Parses a name.
    pub fn parse(name: &[u8]) -> Result<Self, NameFault> {
        // As C netmap: a "{" anywhere goes before any "}".
        let brace = name
            .iter()
            .rposition(|&byte| byte == b'{')
            .map(|at| (at, PipeEnd::Master))
            .or_else(|| {
                let at = name.iter().rposition(|&byte| byte == b'}')?;
                Some((at, PipeEnd::Slave))
            });
        let (base, pipe) = match brace {
            None => (name, None),
            Some((at, end)) => {
                let (base, rest) = name.split_at_checked(at).ok_or(NameFault::Pipe)?;
                let (_, id) = rest.split_first().ok_or(NameFault::Pipe)?;
                // Nothing can be a pipe on a pipe.
                let nested = base.iter().any(|byte| matches!(byte, b'{' | b'}'));
                if base.is_empty() || id.is_empty() || nested {
                    return Err(NameFault::Pipe);
                }
                if !id.iter().all(|&byte| is_printable(byte)) {
                    return Err(NameFault::Character);
                }
                let id = Text::from_bytes(id)?;
                (base, Some(Pipe { end, id }))
            }
        };
        let (kind, base) = match base.strip_prefix(STACK_PREFIX) {
            Some(name) => (Base::Stack, device_of(name)?),
            None => (base_kind(base)?, base),
        };
        if kind == Base::Stack && pipe.is_some() {
            return Err(NameFault::Pipe);
        }
        Ok(PortName {
            kind,
            base: Text::from_bytes(base)?,
            pipe,
        })
    }

    /// The stack port of the device of this name. Its own is its own.
    pub fn to_stack(self) -> Result<Self, NameFault> {
        match self.kind {
            Base::Nic | Base::Stack if self.pipe.is_none() => Ok(Self {
                kind: Base::Stack,
                ..self
            }),
            Base::Nic | Base::Stack => Err(NameFault::Pipe),
            Base::Vale { .. } => Err(NameFault::Character),
        }
    }

    /// Parses `base` and the pipe `id` on it, which a legacy request carries apart.
    pub fn parse_pipe(base: &Text, end: PipeEnd, id: u16) -> Result<Self, NameFault> {
        let mut digits = [0u8; 5];
        let mut first = digits.len();
        let mut left = id;
        for digit in digits.iter_mut().rev() {
            let [low, _] = (left % 10).to_le_bytes();
            *digit = low.wrapping_add(b'0');
            first = first.saturating_sub(1);
            left /= 10;
            if left == 0 {
                break;
            }
        }
        let text = base
            .with(&[end.brace()])?
            .with(digits.get(first..).unwrap_or(&[]))?;
        Self::parse(text.as_bytes())
    }

    /// The whole name.
    pub fn text(&self) -> Result<Text, NameFault> {
        match &self.pipe {
            None if self.kind == Base::Stack => Text::from_bytes(STACK_PREFIX)?
                .with(number_before(self.base.as_bytes()))?
                .with(self.base.as_bytes()),
            None => Ok(self.base),
            Some(pipe) => self
                .base
                .with(&[pipe.end.brace()])?
                .with(pipe.id.as_bytes()),
        }
    }

    /// The name of the switch, if the base is a port of one.
    pub fn switch(&self) -> Option<&[u8]> {
        match self.kind {
            Base::Vale { switch_len } => self.base.as_bytes().get(..switch_len),
            Base::Nic | Base::Stack => None,
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Base::Stack {
            f.write_str("stack:")?;
            if !number_before(self.base.as_bytes()).is_empty() {
                f.write_str("0+")?;
            }
        }
        self.base.fmt(f)?;
        match &self.pipe {
            None => Ok(()),
            Some(pipe) => write!(f, "{}{}", char::from(pipe.end.brace()), pipe.id),
        }
    }
}

/// The device in what follows the prefix of a stack port: all of it, or what follows a number and a "+", as the paper writes
/// the names of StackMap.
fn device_of(name: &[u8]) -> Result<&[u8], NameFault> {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let device = match name.split_at_checked(digits) {
        Some((number, rest)) if !number.is_empty() => rest.strip_prefix(b"+").unwrap_or(name),
        _ => name,
    };
    match base_kind(device)? {
        Base::Nic => Ok(device),
        _ => Err(NameFault::Character),
    }
}

/// What has to be before the name of a device for [`device_of`] to find that: nothing, or a number if it looks as if it had one.
fn number_before(device: &[u8]) -> &'static [u8] {
    match device_of(device) {
        Ok(found) if found == device => b"",
        _ => b"0+",
    }
}

fn base_kind(base: &[u8]) -> Result<Base, NameFault> {
    if base.is_empty() {
        return Err(NameFault::Empty);
    }
    if base.starts_with(SWITCH_PREFIX) {
        if let Some(switch_len) = base.iter().position(|&byte| byte == b':') {
            let (switch, rest) = base
                .split_at_checked(switch_len)
                .ok_or(NameFault::Character)?;
            // `rest` begins with the colon, which stands for the NUL in this comparison.
            if rest.len() > abi::IFNAMSIZ {
                return Err(NameFault::TooLong);
            }
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            if !switch.iter().all(word) || rest.iter().any(|&byte| !is_printable(byte)) {
                return Err(NameFault::Character);
            }
            return Ok(Base::Vale { switch_len });
        }
    }
    if base.len() >= abi::IFNAMSIZ {
        return Err(NameFault::TooLong);
    }
    // The rules of `dev_valid_name()`, and no control characters.
    let illegal = |byte: &u8| matches!(byte, b'/' | b':' | 0xa0) || !is_printable(*byte);
    if matches!(base, b"." | b"..") || base.iter().any(illegal) {
        return Err(NameFault::Character);
    }
    Ok(Base::Nic)
}

/// Neither white space nor a control character. Bytes above ASCII are taken: Linux does.
const fn is_printable(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// No NUL within the field.
    Unterminated,
    /// No name.
    Empty,
    /// Longer than any name of that kind.
    TooLong,
    /// A character that no name of that kind has.
    Character,
    /// A brace without port before it or without identifier after it, or a pipe on a pipe.
    Pipe,
}

impl NameFault {
    /// `EINVAL` for a malformed request, `ENXIO` for a name that no port can have.
    pub const fn errno(self) -> i32 {
        match self {
            NameFault::Unterminated | NameFault::Pipe => errno::EINVAL,
            NameFault::Empty | NameFault::TooLong | NameFault::Character => errno::ENXIO,
        }
    }
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameFault::Unterminated => "port name is not terminated",
            NameFault::Empty => "port name is empty",
            NameFault::TooLong => "port name is too long",
            NameFault::Character => "port name has an illegal character",
            NameFault::Pipe => {
                "pipe needs a port, not a pipe, before the brace and a name after it"
            }
        })
    }
}
