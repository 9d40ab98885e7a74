// SPDX-License-Identifier: GPL-2.0

//! Control requests: decoded into one set of types, those of the legacy ABI by [`super::legacy`], and answers encoded back.
//!
//! The caller copies the structures from user space once and gives the copies to the functions
//! here. Nothing is looked up: that a port, ring or region exists is checked later.

use super::errno;
use super::name::{NameFault, PortName, Text};
use crate::abi;
use crate::abi::{mode, register_flags, request_type};
use core::fmt;

/// Which rings of a port a binding wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingSelect {
    /// All rings of the NIC.
    AllNic,
    /// All host rings.
    Sw,
    /// All rings of the NIC and all host rings.
    NicSw,
    /// One ring of the NIC in each direction.
    OneNic(u16),
    /// One host ring in each direction.
    OneSw(u16),
    /// All rings of a port of its own that no packet passes.
    Null,
}

impl RingSelect {
    /// What a mode says, of a ring of this number if it is of one.
    pub(super) fn from_mode(mode: u32, ring: u16) -> Result<Self, RequestFault> {
        match mode {
            mode::NR_REG_ALL_NIC => Ok(RingSelect::AllNic),
            mode::NR_REG_SW => Ok(RingSelect::Sw),
            mode::NR_REG_NIC_SW => Ok(RingSelect::NicSw),
            mode::NR_REG_ONE_NIC => Ok(RingSelect::OneNic(ring)),
            mode::NR_REG_ONE_SW => Ok(RingSelect::OneSw(ring)),
            mode::NR_REG_NULL => Ok(RingSelect::Null),
            _ => Err(RequestFault::Mode(mode)),
        }
    }
}

/// Flags of a binding, as a set of `NR_*` bits; unknown bits are dropped, as C netmap does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindFlags(u64);

impl BindFlags {
    const KNOWN: u64 = register_flags::NR_MONITOR_TX
        | register_flags::NR_MONITOR_RX
        | register_flags::NR_ZCOPY_MON
        | register_flags::NR_EXCLUSIVE
        | register_flags::NR_RX_RINGS_ONLY
        | register_flags::NR_TX_RINGS_ONLY
        | register_flags::NR_ACCEPT_VNET_HDR
        | register_flags::NR_DO_RX_POLL
        | register_flags::NR_NO_TX_POLL
        | register_flags::NR_STACK;

    /// The known bits among `bits`.
    pub const fn new(bits: u64) -> Self {
        BindFlags(bits & Self::KNOWN)
    }

    /// The bits, see `crate::abi::register_flags`.
    pub const fn bits(self) -> u64 {
        self.0
    }

    const fn has(self, mask: u64) -> bool {
        self.0 & mask != 0
    }

    /// Bind transmit rings alone.
    pub const fn tx_only(self) -> bool {
        self.has(register_flags::NR_TX_RINGS_ONLY)
    }

    /// Bind receive rings alone.
    pub const fn rx_only(self) -> bool {
        self.has(register_flags::NR_RX_RINGS_ONLY)
    }

    /// No other file may bind these rings.
    pub const fn exclusive(self) -> bool {
        self.has(register_flags::NR_EXCLUSIVE)
    }

    /// `poll` syncs transmit rings only if output is waited for.
    pub const fn no_tx_poll(self) -> bool {
        self.has(register_flags::NR_NO_TX_POLL)
    }

    /// `poll` syncs receive rings even if only output is waited for.
    pub const fn do_rx_poll(self) -> bool {
        self.has(register_flags::NR_DO_RX_POLL)
    }

    /// The binding is a monitor of some kind.
    pub const fn monitor(self) -> bool {
        self.has(
            register_flags::NR_MONITOR_TX
                | register_flags::NR_MONITOR_RX
                | register_flags::NR_ZCOPY_MON,
        )
    }

    /// The stack port of the interface is wanted.
    pub const fn stack(self) -> bool {
        self.has(register_flags::NR_STACK)
    }

    /// The program understands a virtio-net header before each packet.
    pub const fn accepts_vnet_header(self) -> bool {
        self.has(register_flags::NR_ACCEPT_VNET_HDR)
    }
}

/// Ring and slot counts that a request asks for; 0 leaves the choice to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Slots per transmit ring.
    pub tx_slots: u32,
    /// Slots per receive ring.
    pub rx_slots: u32,
    /// Transmit rings.
    pub tx_rings: u16,
    /// Receive rings.
    pub rx_rings: u16,
    /// Host transmit rings.
    pub host_tx_rings: u16,
    /// Host receive rings.
    pub host_rx_rings: u16,
}

/// Bind the open file to rings of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindRequest {
    /// The port. For [`RingSelect::Null`] any text, kept as it is in `label`, and this is [`None`].
    pub port: Option<PortName>,
    /// The name as it was given.
    pub label: Text,
    /// The rings.
    pub select: RingSelect,
    /// Flags.
    pub flags: BindFlags,
    /// Wanted counts.
    pub geometry: Geometry,
    /// Wanted memory region; 0 leaves the choice to the kernel.
    pub mem_id: u16,
    /// Wanted number of extra buffers.
    pub extra_bufs: u32,
}

/// Describe a port, or a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoRequest {
    /// The port; [`None`] asks for the region alone.
    pub port: Option<PortName>,
    /// Wanted counts, as far as the port can still choose.
    pub geometry: Geometry,
    /// The region; 0 is the port's own or, without port, the global one.
    pub mem_id: u16,
}

/// Describe the pools of a port's region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolsRequest {
    /// The port.
    pub port: PortName,
    /// The region; 0 is the port's own.
    pub mem_id: u16,
}

/// What is answered to a [`BindRequest`] or an [`InfoRequest`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Offset of the binding's `netmap_if` in the region; binding only.
    pub offset: u64,
    /// Size of the region in bytes.
    pub memsize: u64,
    /// Counts of the port.
    pub geometry: Geometry,
    /// The region.
    pub mem_id: u16,
    /// Number of extra buffers; binding only.
    pub extra_bufs: u32,
}

impl Reply {
    /// Writes the answer to a bind into its body.
    pub fn to_register(&self, body: &mut abi::Register) {
        body.nr_offset = self.offset;
        body.nr_memsize = self.memsize;
        body.nr_tx_slots = self.geometry.tx_slots;
        body.nr_rx_slots = self.geometry.rx_slots;
        body.nr_tx_rings = self.geometry.tx_rings;
        body.nr_rx_rings = self.geometry.rx_rings;
        body.nr_host_tx_rings = self.geometry.host_tx_rings;
        body.nr_host_rx_rings = self.geometry.host_rx_rings;
        body.nr_mem_id = self.mem_id;
        body.nr_extra_bufs = self.extra_bufs;
    }

    /// Writes the answer about a port or region into its body.
    pub fn to_port_info(&self, body: &mut abi::PortInfo) {
        body.nr_memsize = self.memsize;
        body.nr_tx_slots = self.geometry.tx_slots;
        body.nr_rx_slots = self.geometry.rx_slots;
        body.nr_tx_rings = self.geometry.tx_rings;
        body.nr_rx_rings = self.geometry.rx_rings;
        body.nr_host_tx_rings = self.geometry.host_tx_rings;
        body.nr_host_rx_rings = self.geometry.host_rx_rings;
        body.nr_mem_id = self.mem_id;
    }

    /// Writes the answer to a legacy `NIOCREGIF` into its structure.
    ///
    /// Fails, and writes nothing, if the region is too large for the structure's 32-bit fields.
    pub fn to_legacy_register(&self, body: &mut abi::LegacyRequest) -> Result<(), RequestFault> {
        let offset =
            u32::try_from(self.offset).map_err(|_| RequestFault::TooLargeForLegacy(self.offset))?;
        self.to_legacy_info(body)?;
        body.nr_offset = offset;
        body.nr_arg3 = self.extra_bufs;
        Ok(())
    }

    /// Writes the answer to a legacy `NIOCGINFO` into its structure.
    ///
    /// Fails, and writes nothing, if the region is too large for the structure's 32-bit fields.
    pub fn to_legacy_info(&self, body: &mut abi::LegacyRequest) -> Result<(), RequestFault> {
        body.nr_memsize = u32::try_from(self.memsize)
            .map_err(|_| RequestFault::TooLargeForLegacy(self.memsize))?;
        body.nr_tx_slots = self.geometry.tx_slots;
        body.nr_rx_slots = self.geometry.rx_slots;
        body.nr_tx_rings = self.geometry.tx_rings;
        body.nr_rx_rings = self.geometry.rx_rings;
        body.nr_arg2 = self.mem_id;
        Ok(())
    }
}

/// A request of another version of the ABI. The answer is `EINVAL` and this version written back
/// into the structure's `nr_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionFault {
    /// The version that was asked for.
    pub have: u32,
    /// The version to write back.
    pub want: u16,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// Another version of the ABI.
    Version(VersionFault),
    /// `nr_reserved` is not zero.
    Reserved,
    /// No such request.
    Type(u16),
    /// No such legacy command.
    Command(u16),
    /// A request that exists, and that this module does not serve.
    NotServed,
    /// A body is missing, or there is one where none belongs.
    Body,
    /// No such register mode.
    Mode(u32),
    /// Receive rings alone and transmit rings alone: no ring is left.
    NoRings,
    /// A host ring, or a port of its own, asked for on a pipe.
    PipeMode,
    /// The name.
    Name(NameFault),
    /// The name is not one of a port of a switch.
    NotOfSwitch,
    /// No switch can have this name.
    NoSuchSwitch,
    /// No interface can be made, or removed, of this name.
    NotAnInterface,
    /// No header before packets has this length.
    HeaderLength(u32),
    /// No such mode of polling, or not with so many processors.
    Polling,
    /// An interface is not attached by these rings.
    NotAttached {
        /// The mode.
        mode: u32,
        /// The ring.
        ring: u16,
    },
    /// A value does not fit into the legacy structure.
    TooLargeForLegacy(u64),
}

impl RequestFault {
    /// The error number for the caller, positive.
    pub const fn errno(self) -> i32 {
        match self {
            RequestFault::Version(_)
            | RequestFault::Reserved
            | RequestFault::Type(_)
            | RequestFault::Command(_)
            | RequestFault::Body
            | RequestFault::Mode(_)
            | RequestFault::NoRings
            | RequestFault::PipeMode
            | RequestFault::NotOfSwitch
            | RequestFault::NotAnInterface
            | RequestFault::HeaderLength(_)
            | RequestFault::Polling
            | RequestFault::NotAttached { .. } => errno::EINVAL,
            RequestFault::NoSuchSwitch => errno::ENOENT,
            RequestFault::NotServed => errno::EOPNOTSUPP,
            RequestFault::Name(fault) => fault.errno(),
            RequestFault::TooLargeForLegacy(_) => errno::EOVERFLOW,
        }
    }
}

impl From<NameFault> for RequestFault {
    fn from(fault: NameFault) -> Self {
        RequestFault::Name(fault)
    }
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestFault::Version(v) => write!(f, "ABI version {}, want {}", v.have, v.want),
            RequestFault::Reserved => f.write_str("nr_reserved is not zero"),
            RequestFault::Type(reqtype) => write!(f, "no request type {}", reqtype),
            RequestFault::Command(command) => write!(f, "no command {}", command),
            RequestFault::NotServed => f.write_str("request is not supported"),
            RequestFault::Body => f.write_str("request body is missing or not wanted"),
            RequestFault::Mode(mode) => write!(f, "no register mode {}", mode),
            RequestFault::NoRings => f.write_str("both rx rings only and tx rings only"),
            RequestFault::PipeMode => f.write_str("a pipe has NIC rings only"),
            RequestFault::Name(fault) => fault.fmt(f),
            RequestFault::NotOfSwitch => f.write_str("not the name of a port of a switch"),
            RequestFault::NoSuchSwitch => f.write_str("no switch can have this name"),
            RequestFault::NotAnInterface => f.write_str("no such interface can be made"),
            RequestFault::HeaderLength(len) => write!(f, "no header has {} bytes", len),
            RequestFault::Polling => f.write_str("no such mode of polling"),
            RequestFault::NotAttached { mode, ring } => {
                write!(
                    f,
                    "no interface is attached in mode {}, ring {}",
                    mode, ring
                )
            }
            RequestFault::TooLargeForLegacy(value) => {
                write!(f, "{} does not fit into 32 bits of struct nmreq", value)
            }
        }
    }
}

/// A request type of `NIOCCTRL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestType {
    /// Bind the open file to a port; body [`abi::Register`].
    Register,
    /// Describe a port or a region; body [`abi::PortInfo`].
    PortInfoGet,
    /// Attach a port to a switch; body [`abi::ValeAttach`].
    ValeAttach,
    /// Detach a port from its switch; body [`abi::ValeDetach`].
    ValeDetach,
    /// List the ports of the switches; body [`abi::ValeList`].
    ValeList,
    /// Set the length of the virtio-net header; body [`abi::PortHeader`].
    PortHeaderSet,
    /// Get the length of the virtio-net header; body [`abi::PortHeader`].
    PortHeaderGet,
    /// Create a persistent switch port; body [`abi::ValeNewInterface`].
    ValeNewInterface,
    /// Delete a persistent switch port; no body.
    ValeDeleteInterface,
    /// Poll an attached NIC from kernel threads; body [`abi::ValePolling`].
    ValePollingEnable,
    /// Stop that; body [`abi::ValePolling`].
    ValePollingDisable,
    /// Describe the pools of a region; body [`abi::PoolsInfo`].
    PoolsInfoGet,
    /// Sync in a loop; body [`abi::SyncLoopStart`].
    SyncLoopStart,
    /// Stop that loop; no body.
    SyncLoopStop,
    /// Use communication blocks; no body.
    CsbEnable,
    /// Register a connection with a stack port; body [`abi::StackSocket`].
    StackRegister,
    /// The opposite; body [`abi::StackSocket`].
    StackUnregister,
}

impl RequestType {
    /// The type of a header's `nr_reqtype`.
    pub const fn from_raw(raw: u16) -> Option<Self> {
        Some(match raw {
            request_type::NETMAP_REQ_REGISTER => RequestType::Register,
            request_type::NETMAP_REQ_PORT_INFO_GET => RequestType::PortInfoGet,
            request_type::NETMAP_REQ_VALE_ATTACH => RequestType::ValeAttach,
            request_type::NETMAP_REQ_VALE_DETACH => RequestType::ValeDetach,
            request_type::NETMAP_REQ_VALE_LIST => RequestType::ValeList,
            request_type::NETMAP_REQ_PORT_HDR_SET => RequestType::PortHeaderSet,
            request_type::NETMAP_REQ_PORT_HDR_GET => RequestType::PortHeaderGet,
            request_type::NETMAP_REQ_VALE_NEWIF => RequestType::ValeNewInterface,
            request_type::NETMAP_REQ_VALE_DELIF => RequestType::ValeDeleteInterface,
            request_type::NETMAP_REQ_VALE_POLLING_ENABLE => RequestType::ValePollingEnable,
            request_type::NETMAP_REQ_VALE_POLLING_DISABLE => RequestType::ValePollingDisable,
            request_type::NETMAP_REQ_POOLS_INFO_GET => RequestType::PoolsInfoGet,
            request_type::NETMAP_REQ_SYNC_KLOOP_START => RequestType::SyncLoopStart,
            request_type::NETMAP_REQ_SYNC_KLOOP_STOP => RequestType::SyncLoopStop,
            request_type::NETMAP_REQ_CSB_ENABLE => RequestType::CsbEnable,
            request_type::NETMAP_REQ_PST_FD_REG => RequestType::StackRegister,
            request_type::NETMAP_REQ_PST_FD_UNREG => RequestType::StackUnregister,
            _ => return None,
        })
    }

    /// Size of the body in bytes; 0 if there is none.
    pub const fn body_size(self) -> usize {
        match self {
            RequestType::Register => size_of::<abi::Register>(),
            RequestType::PortInfoGet => size_of::<abi::PortInfo>(),
            RequestType::ValeAttach => size_of::<abi::ValeAttach>(),
            RequestType::ValeDetach => size_of::<abi::ValeDetach>(),
            RequestType::ValeList => size_of::<abi::ValeList>(),
            RequestType::PortHeaderSet | RequestType::PortHeaderGet => size_of::<abi::PortHeader>(),
            RequestType::ValeNewInterface => size_of::<abi::ValeNewInterface>(),
            RequestType::ValePollingEnable | RequestType::ValePollingDisable => {
                size_of::<abi::ValePolling>()
            }
            RequestType::PoolsInfoGet => size_of::<abi::PoolsInfo>(),
            RequestType::SyncLoopStart => size_of::<abi::SyncLoopStart>(),
            RequestType::StackRegister | RequestType::StackUnregister => {
                size_of::<abi::StackSocket>()
            }
            RequestType::ValeDeleteInterface
            | RequestType::SyncLoopStop
            | RequestType::CsbEnable => 0,
        }
    }
}

/// Checks the header of a `NIOCCTRL` request, its name and options excepted.
pub fn decode_header(header: &abi::Header) -> Result<RequestType, RequestFault> {
    if !(abi::NETMAP_MIN_API..=abi::NETMAP_MAX_API).contains(&header.nr_version) {
        return Err(RequestFault::Version(VersionFault {
            have: u32::from(header.nr_version),
            want: abi::NETMAP_API,
        }));
    }
    if header.nr_reserved != 0 {
        return Err(RequestFault::Reserved);
    }
    let reqtype =
        RequestType::from_raw(header.nr_reqtype).ok_or(RequestFault::Type(header.nr_reqtype))?;
    if (header.nr_body != 0) != (reqtype.body_size() != 0) {
        return Err(RequestFault::Body);
    }
    Ok(reqtype)
}

/// Decodes `NETMAP_REQ_REGISTER`.
pub fn decode_register(
    header: &abi::Header,
    body: &abi::Register,
) -> Result<BindRequest, RequestFault> {
    let select = RingSelect::from_mode(body.nr_mode, body.nr_ringid)?;
    let label = Text::from_field(&header.nr_name)?;
    let port = match select {
        RingSelect::Null => None,
        _ => Some(PortName::parse(label.as_bytes())?),
    };
    BindRequest {
        port,
        label,
        select,
        flags: BindFlags::new(body.nr_flags),
        geometry: Geometry {
            tx_slots: body.nr_tx_slots,
            rx_slots: body.nr_rx_slots,
            tx_rings: body.nr_tx_rings,
            rx_rings: body.nr_rx_rings,
            host_tx_rings: body.nr_host_tx_rings,
            host_rx_rings: body.nr_host_rx_rings,
        },
        mem_id: body.nr_mem_id,
        extra_bufs: body.nr_extra_bufs,
    }
    .checked()
}

/// Decodes `NETMAP_REQ_PORT_INFO_GET`.
pub fn decode_port_info(
    header: &abi::Header,
    body: &abi::PortInfo,
) -> Result<InfoRequest, RequestFault> {
    Ok(InfoRequest {
        port: optional_port(Text::from_field(&header.nr_name)?)?,
        geometry: Geometry {
            tx_slots: body.nr_tx_slots,
            rx_slots: body.nr_rx_slots,
            tx_rings: body.nr_tx_rings,
            rx_rings: body.nr_rx_rings,
            host_tx_rings: body.nr_host_tx_rings,
            host_rx_rings: body.nr_host_rx_rings,
        },
        mem_id: body.nr_mem_id,
    })
}

/// Decodes `NETMAP_REQ_POOLS_INFO_GET`.
pub fn decode_pools_info(
    header: &abi::Header,
    body: &abi::PoolsInfo,
) -> Result<PoolsRequest, RequestFault> {
    Ok(PoolsRequest {
        port: PortName::from_field(&header.nr_name)?,
        mem_id: body.nr_mem_id,
    })
}

impl BindRequest {
    /// Checks what concerns several fields.
    pub(super) fn checked(mut self) -> Result<Self, RequestFault> {
        if self.flags.tx_only() && self.flags.rx_only() {
            return Err(RequestFault::NoRings);
        }
        let pipe = self.port.is_some_and(|port| port.pipe.is_some());
        if pipe && !matches!(self.select, RingSelect::AllNic | RingSelect::OneNic(_)) {
            return Err(RequestFault::PipeMode);
        }
        match &mut self.port {
            Some(port) if self.flags.stack() => *port = port.to_stack()?,
            _ => (),
        }
        Ok(self)
    }
}

/// The port of a name, or none.
pub(super) fn optional_port(label: Text) -> Result<Option<PortName>, RequestFault> {
    if label.is_empty() {
        return Ok(None);
    }
    Ok(Some(PortName::parse(label.as_bytes())?))
}
