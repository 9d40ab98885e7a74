// SPDX-License-Identifier: GPL-2.0

//! The option list of `NIOCCTRL`: a linked list in user memory, walked with limits.

use super::errno;
use crate::abi;
use crate::abi::option_type;

const HEADER: usize = size_of::<abi::OptionHeader>();
const TYPES: usize = option_type::NETMAP_REQ_OPT_MAX as usize;

/// The limit that ends a walk round a circular list, in the same place as that of C netmap: it copies body and options into
/// a buffer of [`abi::NETMAP_REQ_MAXSIZE`] bytes and a pointer for each type of option, where each option has a pointer in
/// front of it.
const ROOM: usize = abi::NETMAP_REQ_MAXSIZE + TYPES * POINTER;
const POINTER: usize = size_of::<u64>();

/// Most options of one request.
pub const MAX_OPTIONS: usize = ROOM / (HEADER + POINTER);

/// The known options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionType {
    /// A region made of the caller's memory; [`abi::ExternalMemory`].
    ExternalMemory,
    /// Event file descriptors of the sync loop; [`abi::SyncLoopEventfds`] and its entries.
    SyncLoopEventfds,
    /// Communication blocks; [`abi::Csb`].
    Csb,
    /// Mode of the sync loop; [`abi::SyncLoopMode`].
    SyncLoopMode,
    /// Packets that begin inside the buffer; [`abi::Offsets`].
    Offsets,
}

impl OptionType {
    /// The type of an option's `nro_reqtype`.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            option_type::NETMAP_REQ_OPT_EXTMEM => OptionType::ExternalMemory,
            option_type::NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS => OptionType::SyncLoopEventfds,
            option_type::NETMAP_REQ_OPT_CSB => OptionType::Csb,
            option_type::NETMAP_REQ_OPT_SYNC_KLOOP_MODE => OptionType::SyncLoopMode,
            option_type::NETMAP_REQ_OPT_OFFSETS => OptionType::Offsets,
            _ => return None,
        })
    }

    /// Bytes of the option, its header included; `nro_size` counts where the type has no fixed size.
    const fn size(self, nro_size: u64) -> u64 {
        let fixed = match self {
            OptionType::ExternalMemory => size_of::<abi::ExternalMemory>(),
            OptionType::Csb => size_of::<abi::Csb>(),
            OptionType::SyncLoopMode => size_of::<abi::SyncLoopMode>(),
            OptionType::Offsets => size_of::<abi::Offsets>(),
            OptionType::SyncLoopEventfds if nro_size > HEADER as u64 => return nro_size,
            OptionType::SyncLoopEventfds => HEADER,
        };
        fixed as u64
    }
}

/// A walk along one request's options.
#[derive(Clone, Debug)]
pub struct OptionWalk {
    /// Bytes of the request's body and of the options so far.
    bytes: u64,
    /// The same with a pointer for each option.
    room: u64,
    /// Options so far.
    count: u8,
    /// The option of each type.
    seen: [Option<u8>; TYPES],
}

/// An option of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionFound {
    /// Its place in the list.
    pub index: u8,
    /// Its type; an unknown one gets `EOPNOTSUPP` as its status and the walk goes on.
    pub kind: Option<OptionType>,
    /// Bytes that follow its header and belong to it.
    pub body_size: u32,
}

/// What is wrong with an option. The walk ends, the request fails. The status of the options before it is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionFault {
    /// Type 0. The option's status is `EINVAL`.
    Type,
    /// A second option of its type. The status of both is `EINVAL`.
    Duplicate {
        /// Place of the first one in the list.
        first: u8,
    },
    /// Body and options are more than a request may have. The option's status is 0.
    TooLarge,
    /// There is no room for another option, as in a circular list: no option gets a status.
    TooMany,
}

impl OptionFault {
    /// The error number for the caller, positive.
    pub const fn errno(self) -> i32 {
        match self {
            OptionFault::Type | OptionFault::Duplicate { .. } => errno::EINVAL,
            OptionFault::TooLarge | OptionFault::TooMany => errno::EMSGSIZE,
        }
    }
}

impl OptionWalk {
    /// Begins a walk for a request with a body of `body_size` bytes.
    pub const fn new(body_size: usize) -> Self {
        OptionWalk {
            bytes: body_size as u64,
            room: body_size as u64,
            count: 0,
            seen: [None; TYPES],
        }
    }

    /// Makes room for another option, before its header is copied from user memory.
    pub fn admit(&mut self) -> Result<(), OptionFault> {
        self.room = self.room.saturating_add((HEADER + POINTER) as u64);
        if self.room > ROOM as u64 {
            return Err(OptionFault::TooMany);
        }
        Ok(())
    }

    /// Takes the header of an option that was [admitted](Self::admit), as copied from user memory.
    ///
    /// As in C netmap the size of all counts only where a known type is: an unknown one has but a header.
    pub fn step(&mut self, header: &abi::OptionHeader) -> Result<OptionFound, OptionFault> {
        let index = self.count;
        self.count = index.saturating_add(1);
        if header.nro_reqtype == 0 {
            return Err(OptionFault::Type);
        }
        self.bytes = self.bytes.saturating_add(HEADER as u64);
        let Some(kind) = OptionType::from_raw(header.nro_reqtype) else {
            return Ok(OptionFound {
                index,
                kind: None,
                body_size: 0,
            });
        };
        let place = usize::try_from(header.nro_reqtype).unwrap_or(usize::MAX);
        let seen = self.seen.get_mut(place).ok_or(OptionFault::Type)?;
        if let Some(first) = *seen {
            return Err(OptionFault::Duplicate { first });
        }
        *seen = Some(index);
        if header.nro_size > abi::NETMAP_REQ_MAXSIZE as u64 {
            return Err(OptionFault::TooLarge);
        }
        let body_size = kind.size(header.nro_size).saturating_sub(HEADER as u64);
        self.bytes = self.bytes.saturating_add(body_size);
        self.room = self.room.saturating_add(body_size);
        if self.bytes > abi::NETMAP_REQ_MAXSIZE as u64 || self.room > ROOM as u64 {
            return Err(OptionFault::TooLarge);
        }
        let body_size = u32::try_from(body_size).map_err(|_| OptionFault::TooLarge)?;
        Ok(OptionFound {
            index,
            kind: Some(kind),
            body_size,
        })
    }

    /// The number of options so far.
    pub const fn count(&self) -> u8 {
        self.count
    }
}
