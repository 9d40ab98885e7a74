// SPDX-License-Identifier: BSD-2-Clause
//! Port names as users write them.

use crate::abi;
use crate::conf;
use crate::name::{self, shown, SpecError, FLAGS};
use crate::port::Options;
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
/// The form is `[netmap:]NAME[RINGS][/FLAGS][@ID][@conf:KEY=N,...]`, flags and region in any order, where
///
/// - `NAME` is an interface (`eth0`), a switch port (`vale0:p1`, kept with its prefix), or one end of a pipe
///   (`eth0{3`, `eth0}3`), of letters, digits and `_.-+`;
/// - `RINGS` is `-N` (ring pair N of the NIC), `^` (host rings), `^N` (host ring pair N) or `*` (NIC and host);
/// - `FLAGS` are `x` (exclusive), `R` (receive rings only), `T` (transmit rings only), and, for monitors, `r`
///   (received packets), `t` (sent packets), `z` (zero copy);
/// - `ID` is the number of the memory region to use;
/// - `KEY` is `rings`, `host-rings`, `slots`, or one of these for a direction alone (`tx-rings`, `host-rx-rings`): how many are asked
///   for, before what [`crate::Options`] say.
///
/// The options that libnetmap takes besides are none here ([`SpecError::UnknownOption`]).
///
/// `stack:NAME` is the stack port of an interface, and so is `stack:N+NAME` with any number.
///
/// A dash that something else than a number follows belongs to the name, so that `br-lan` needs no quoting. An interface whose name
/// begins with `vale` needs the prefix `netmap:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec {
    name: String,
    rings: Rings,
    flags: u64,
    mem_id: u16,
    conf: Options,
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

    /// Rings and slots asked for by `@conf:`; all else is 0.
    pub fn conf(&self) -> &Options {
        &self.conf
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

    /// An end of the pipe `id` on this port, with neither the ring selection nor the flags nor the options of the port.
    ///
    /// # Errors
    ///
    /// [`SpecError::Pipe`], also if this is the end of a pipe; [`SpecError::TooLong`].
    pub fn pipe(&self, end: PipeEnd, id: &str) -> Result<Self, SpecError> {
        let separator = match end {
            PipeEnd::Master => '{',
            PipeEnd::Slave => '}',
        };
        let name = format!("{}{separator}{id}", self.name);
        let port = name.split_once(':').map_or(&name[..], |(_, port)| port);
        name::check(port.as_bytes(), b"")?;
        if name.len() >= abi::NETMAP_REQ_IFNAMSIZ {
            return Err(SpecError::TooLong);
        }
        Ok(PortSpec {
            name,
            rings: Rings::Nic,
            flags: 0,
            mem_id: self.mem_id,
            conf: Options::default(),
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
            // A name that looks as if it had a number is one behind a number.
            if name::without_number(self.name.as_bytes()) != self.name.as_bytes() {
                f.write_str("0+")?;
            }
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
                    write!(f, "{}", char::from(letter))?;
                }
            }
        }
        if self.mem_id != 0 {
            write!(f, "@{}", self.mem_id)?;
        }
        f.write_str(&conf::text(&self.conf))
    }
}

impl FromStr for PortSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let whole;
        // Without a prefix it is the name of an interface, unless it has one that does not exist.
        let text = match name::name(text.as_bytes()) {
            Err(SpecError::Prefix)
                if !text
                    .split('@')
                    .next()
                    .is_some_and(|port| port.contains(':')) =>
            {
                whole = format!("netmap:{text}");
                &whole
            }
            _ => text,
        };
        let found = name::name(text.as_bytes())?;
        let mode = name::mode(found.rest, 0)?;
        let conf = conf::conf(mode.rest)?;
        let (scope, stack) = match found.scope {
            name::STACK => (&b""[..], abi::NR_STACK),
            scope => (scope, 0),
        };
        Ok(PortSpec {
            // Both are ASCII.
            name: shown(scope) + &shown(found.name),
            rings: match mode.mode {
                abi::NR_REG_SW => Rings::Host,
                abi::NR_REG_NIC_SW => Rings::NicAndHost,
                abi::NR_REG_ONE_NIC => Rings::OneNic(mode.ring),
                abi::NR_REG_ONE_SW => Rings::OneHost(mode.ring),
                _ => Rings::Nic,
            },
            flags: mode.flags | stack,
            mem_id: mode.mem_id,
            conf,
        })
    }
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
