// SPDX-License-Identifier: GPL-2.0

//! Requests about VALE switches: both ABIs decoded into one set of types, and answers encoded back.

use super::{
    errno,
    forwarding::check_header,
    name::{Base, NameFault, PortName, Text},
    request::{Geometry, RequestFault, RequestType},
};
use crate::abi::{self, legacy, mode, polling};

/// The number of a port where there is none.
pub const NO_PORT: u32 = 255;

/// What a program wants of switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchRequest {
    /// Which is the first port from there on, by number of the switch and of the port.
    Next {
        /// The switch.
        switch: u16,
        /// The port.
        port: u32,
    },
    /// Where the switch, and the port, of this name are.
    Find(PortName),
    /// Attach an interface to a switch.
    Attach {
        /// Switch and interface.
        name: PortName,
        /// The host stack as another port of the switch, too.
        host: bool,
        /// The region; 0 leaves the choice to the kernel.
        mem_id: u16,
    },
    /// Detach it.
    Detach(PortName),
    /// Set the length of the header before the packets of a port.
    SetHeader(PortName, u32),
    /// Get it.
    GetHeader(PortName),
    /// Make a persistent port.
    NewInterface {
        /// Its name.
        name: Text,
        /// Wanted counts.
        geometry: Geometry,
        /// The region; 0 leaves the choice to the kernel.
        mem_id: u16,
    },
    /// Remove it.
    DeleteInterface(Text),
    /// Poll the rings of an attached interface.
    StartPolling(PortName, Pollers),
    /// Stop that.
    StopPolling(PortName),
}

/// Who polls which rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pollers {
    /// All rings, from this processor.
    One(u32),
    /// As many rings from this one on, each from the processor of its number.
    Each(u32, u32),
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchReply {
    /// It is done.
    Done,
    /// Where a port is, and its name if that was asked for.
    Place {
        /// The number of the switch.
        switch: u16,
        /// The number of the port, or [`NO_PORT`].
        port: u32,
        /// The name.
        name: Option<Text>,
    },
    /// Bytes of the header.
    Header(u32),
    /// The persistent port.
    Interface(Geometry, u16),
}

/// The name of a switch and a port on it, without a pipe.
fn member(name: &Text) -> Result<PortName, RequestFault> {
    let port = PortName::parse(name.as_bytes())?;
    match port.kind {
        Base::Vale { .. } if port.pipe.is_none() => Ok(port),
        _ => Err(RequestFault::NotOfSwitch),
    }
}

/// The name of an interface that is to be, or to go.
fn interface(name: &Text) -> Result<Text, RequestFault> {
    let refused = |fault: NameFault| match fault {
        NameFault::Pipe => RequestFault::Name(fault),
        _ => RequestFault::NotAnInterface,
    };
    match PortName::parse(name.as_bytes()).map_err(refused)? {
        // Whatever begins as a switch does is kept for those, and the kernel would put a number in the place of a percent sign.
        PortName {
            kind: Base::Nic,
            pipe: None,
            base,
        } if !base.as_bytes().starts_with(b"vale") && !base.as_bytes().contains(&b'%') => Ok(base),
        _ => Err(RequestFault::NotAnInterface),
    }
}

fn list(name: &Text, switch: u16, port: u32) -> Result<SwitchRequest, RequestFault> {
    if name.is_empty() {
        return Ok(SwitchRequest::Next { switch, port });
    }
    if !name.as_bytes().starts_with(b"vale") {
        return Err(RequestFault::NotOfSwitch);
    }
    // No switch has a name that cannot be.
    Ok(SwitchRequest::Find(
        member(name).map_err(|_| RequestFault::NoSuchSwitch)?,
    ))
}

fn header(name: &Text, len: u32) -> Result<SwitchRequest, RequestFault> {
    let len = check_header(len).map_err(|_| RequestFault::HeaderLength(len))?;
    // What is no port of a switch has no such header, as if it was not there.
    let name = member(name).map_err(|_| RequestFault::Name(NameFault::Character))?;
    Ok(SwitchRequest::SetHeader(name, len))
}

/// Whether an interface is attached with its host, or alone: nothing else can be, and all rings are.
fn with_host(mode: u32, ring: u16) -> Result<bool, RequestFault> {
    match (mode, ring) {
        (mode::NR_REG_NIC_SW, 0) => Ok(true),
        (mode::NR_REG_ALL_NIC, 0) => Ok(false),
        _ => Err(RequestFault::NotAttached { mode, ring }),
    }
}

fn pollers(mode: u32, first: u32, count: u32) -> Result<Pollers, RequestFault> {
    match (mode, count) {
        (polling::NETMAP_POLLING_MODE_SINGLE_CPU, 1) => Ok(Pollers::One(first)),
        (polling::NETMAP_POLLING_MODE_MULTI_CPU, 1..) => Ok(Pollers::Each(first, count)),
        _ => Err(RequestFault::Polling),
    }
}

/// The bodies of requests about switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchBody {
    /// Of `NETMAP_REQ_VALE_ATTACH`.
    Attach(abi::ValeAttach),
    /// Of `NETMAP_REQ_VALE_DETACH`.
    Detach(abi::ValeDetach),
    /// Of `NETMAP_REQ_VALE_LIST`.
    List(abi::ValeList),
    /// Of `NETMAP_REQ_PORT_HDR_SET`.
    SetHeader(abi::PortHeader),
    /// Of `NETMAP_REQ_PORT_HDR_GET`.
    GetHeader(abi::PortHeader),
    /// Of `NETMAP_REQ_VALE_NEWIF`.
    NewInterface(abi::ValeNewInterface),
    /// Of `NETMAP_REQ_VALE_DELIF`, which has none.
    DeleteInterface,
    /// Of `NETMAP_REQ_VALE_POLLING_ENABLE`.
    StartPolling(abi::ValePolling),
    /// Of `NETMAP_REQ_VALE_POLLING_DISABLE`.
    StopPolling(abi::ValePolling),
}

impl SwitchBody {
    /// Decodes the request for a name.
    pub fn decode(&self, name: &Text) -> Result<SwitchRequest, RequestFault> {
        Ok(match self {
            Self::Attach(body) => SwitchRequest::Attach {
                name: member(name)?,
                host: with_host(body.reg.nr_mode, body.reg.nr_ringid)?,
                mem_id: body.reg.nr_mem_id,
            },
            Self::Detach(_) => SwitchRequest::Detach(member(name)?),
            Self::List(body) => list(name, body.nr_bridge_idx, body.nr_port_idx)?,
            Self::SetHeader(body) => header(name, body.nr_hdr_len)?,
            Self::GetHeader(_) => SwitchRequest::GetHeader(PortName::parse(name.as_bytes())?),
            Self::NewInterface(body) => SwitchRequest::NewInterface {
                name: interface(name)?,
                geometry: Geometry {
                    tx_slots: body.nr_tx_slots,
                    rx_slots: body.nr_rx_slots,
                    tx_rings: body.nr_tx_rings,
                    rx_rings: body.nr_rx_rings,
                    host_tx_rings: 0,
                    host_rx_rings: 0,
                },
                mem_id: body.nr_mem_id,
            },
            Self::DeleteInterface => SwitchRequest::DeleteInterface(*name),
            Self::StartPolling(body) => SwitchRequest::StartPolling(
                member(name)?,
                pollers(body.nr_mode, body.nr_first_cpu_id, body.nr_num_polling_cpus)?,
            ),
            Self::StopPolling(_) => SwitchRequest::StopPolling(member(name)?),
        })
    }

    /// Writes the answer into it.
    pub fn answer(&mut self, reply: &SwitchReply) {
        match (self, reply) {
            (Self::Attach(body), SwitchReply::Place { port, .. }) => body.port_index = *port,
            (Self::Detach(body), SwitchReply::Place { port, .. }) => body.port_index = *port,
            (Self::List(body), SwitchReply::Place { switch, port, .. }) => {
                body.nr_bridge_idx = *switch;
                body.nr_port_idx = *port;
            }
            (Self::SetHeader(body) | Self::GetHeader(body), SwitchReply::Header(len)) => {
                body.nr_hdr_len = *len;
            }
            (Self::NewInterface(body), SwitchReply::Interface(geometry, mem_id)) => {
                body.nr_tx_slots = geometry.tx_slots;
                body.nr_rx_slots = geometry.rx_slots;
                body.nr_tx_rings = geometry.tx_rings;
                body.nr_rx_rings = geometry.rx_rings;
                body.nr_mem_id = *mem_id;
            }
            _ => {}
        }
    }

    /// The body that a legacy request stands for; [`None`] if it is about something else. `info` says whether it came by `NIOCGINFO`.
    pub fn from_legacy(request: &abi::LegacyRequest, info: bool) -> Option<Self> {
        if info {
            return (request.nr_cmd == legacy::NETMAP_BDG_LIST).then(|| {
                Self::List(abi::ValeList {
                    nr_bridge_idx: request.nr_arg1,
                    nr_port_idx: u32::from(request.nr_arg2),
                    ..Default::default()
                })
            });
        }
        let header = abi::PortHeader {
            nr_hdr_len: u32::from(request.nr_arg1),
            ..Default::default()
        };
        let polling = abi::ValePolling {
            nr_mode: match request.nr_flags & mode::NR_REG_MASK {
                mode::NR_REG_ONE_NIC => polling::NETMAP_POLLING_MODE_MULTI_CPU,
                mode::NR_REG_ALL_NIC => polling::NETMAP_POLLING_MODE_SINGLE_CPU,
                _ => 0,
            },
            nr_first_cpu_id: u32::from(request.nr_ringid & legacy::NETMAP_RING_MASK),
            nr_num_polling_cpus: u32::from(request.nr_arg1),
            ..Default::default()
        };
        Some(match request.nr_cmd {
            legacy::NETMAP_BDG_ATTACH => Self::Attach(abi::ValeAttach {
                reg: abi::Register {
                    nr_mode: if request.nr_arg1 & legacy::NETMAP_BDG_HOST != 0 {
                        mode::NR_REG_NIC_SW
                    } else {
                        mode::NR_REG_ALL_NIC
                    },
                    nr_ringid: request.nr_ringid & legacy::NETMAP_RING_MASK,
                    nr_mem_id: request.nr_arg2,
                    ..Default::default()
                },
                ..Default::default()
            }),
            legacy::NETMAP_BDG_DETACH => Self::Detach(Default::default()),
            legacy::NETMAP_BDG_VNET_HDR => Self::SetHeader(header),
            legacy::NETMAP_VNET_HDR_GET => Self::GetHeader(header),
            legacy::NETMAP_BDG_NEWIF => Self::NewInterface(abi::ValeNewInterface {
                nr_tx_slots: request.nr_tx_slots,
                nr_rx_slots: request.nr_rx_slots,
                nr_tx_rings: request.nr_tx_rings,
                nr_rx_rings: request.nr_rx_rings,
                nr_mem_id: request.nr_arg2,
                ..Default::default()
            }),
            legacy::NETMAP_BDG_DELIF => Self::DeleteInterface,
            legacy::NETMAP_BDG_POLLING_ON => Self::StartPolling(polling),
            legacy::NETMAP_BDG_POLLING_OFF => Self::StopPolling(polling),
            _ => return None,
        })
    }

    /// The body of a request of this type, as [`Self::from_legacy`] has them, empty; [`None`] if it is about something else.
    pub fn empty(request: RequestType) -> Option<Self> {
        Some(match request {
            RequestType::ValeAttach => Self::Attach(Default::default()),
            RequestType::ValeDetach => Self::Detach(Default::default()),
            RequestType::ValeList => Self::List(Default::default()),
            RequestType::PortHeaderSet => Self::SetHeader(Default::default()),
            RequestType::PortHeaderGet => Self::GetHeader(Default::default()),
            RequestType::ValeNewInterface => Self::NewInterface(Default::default()),
            RequestType::ValeDeleteInterface => Self::DeleteInterface,
            RequestType::ValePollingEnable => Self::StartPolling(Default::default()),
            RequestType::ValePollingDisable => Self::StopPolling(Default::default()),
            _ => return None,
        })
    }
}

impl SwitchReply {
    /// Writes the answer into a legacy structure. `EOVERFLOW`, and nothing is written, if the name does not fit.
    pub fn to_legacy(&self, body: &mut abi::LegacyRequest) -> Result<(), i32> {
        match self {
            Self::Done => {}
            Self::Place { switch, port, name } => {
                if let Some(name) = name {
                    let bytes = name.as_bytes();
                    let (to, rest) = body
                        .nr_name
                        .split_at_mut_checked(bytes.len())
                        .filter(|(_, rest)| !rest.is_empty())
                        .ok_or(errno::EOVERFLOW)?;
                    to.copy_from_slice(bytes);
                    rest.fill(0);
                }
                body.nr_arg1 = *switch;
                // At most `NO_PORT`.
                body.nr_arg2 = u16::try_from(*port).unwrap_or(u16::MAX);
            }
            Self::Header(len) => body.nr_arg1 = u16::try_from(*len).unwrap_or(u16::MAX),
            Self::Interface(geometry, mem_id) => {
                body.nr_tx_slots = geometry.tx_slots;
                body.nr_rx_slots = geometry.rx_slots;
                body.nr_tx_rings = geometry.tx_rings;
                body.nr_rx_rings = geometry.rx_rings;
                body.nr_arg2 = *mem_id;
            }
        }
        Ok(())
    }
}
