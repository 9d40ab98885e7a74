// SPDX-License-Identifier: GPL-2.0

//! Requests of the legacy ABI, which become those of the current one.

use super::{
    name::{PipeEnd, PortName, Text},
    request::{
        optional_port,
        BindFlags,
        BindRequest,
        Geometry,
        InfoRequest,
        RequestFault,
        RingSelect,
        VersionFault, //
    },
};
use crate::abi::{self, legacy, mode, register_flags};

/// Decodes the legacy `NIOCREGIF`.
pub fn decode_legacy_register(request: &abi::LegacyRequest) -> Result<BindRequest, RequestFault> {
    check_legacy_version(request)?;
    match request.nr_cmd {
        0 => {}
        legacy::NETMAP_BDG_ATTACH..=legacy::NETMAP_VNET_HDR_GET => {
            return Err(RequestFault::NotServed)
        }
        command => return Err(RequestFault::Command(command)),
    }
    let label = Text::from_field(&request.nr_name)?;
    let ring = request.nr_ringid & legacy::NETMAP_RING_MASK;
    let mut flags = u64::from(request.nr_flags & !mode::NR_REG_MASK);
    if request.nr_ringid & legacy::NETMAP_NO_TX_POLL != 0 {
        flags |= register_flags::NR_NO_TX_POLL;
    }
    if request.nr_ringid & legacy::NETMAP_DO_RX_POLL != 0 {
        flags |= register_flags::NR_DO_RX_POLL;
    }
    let (select, port) = match request.nr_flags & mode::NR_REG_MASK {
        mode::NR_REG_DEFAULT => {
            let select = if request.nr_ringid & legacy::NETMAP_SW_RING != 0 {
                RingSelect::Sw
            } else if request.nr_ringid & legacy::NETMAP_HW_RING != 0 {
                RingSelect::OneNic(ring)
            } else {
                RingSelect::AllNic
            };
            (select, Some(PortName::parse(label.as_bytes())?))
        }
        mode::NR_REG_PIPE_MASTER => {
            let port = PortName::parse_pipe(&label, PipeEnd::Master, ring)?;
            (RingSelect::AllNic, Some(port))
        }
        mode::NR_REG_PIPE_SLAVE => {
            let port = PortName::parse_pipe(&label, PipeEnd::Slave, ring)?;
            (RingSelect::AllNic, Some(port))
        }
        mode => match RingSelect::from_mode(mode, ring)? {
            RingSelect::Null => (RingSelect::Null, None),
            select => (select, Some(PortName::parse(label.as_bytes())?)),
        },
    };
    // The end of a pipe is not named by the text alone.
    let label = match &port {
        Some(port) if port.pipe.is_some() => port.text()?,
        _ => label,
    };
    BindRequest {
        port,
        label,
        select,
        flags: BindFlags::new(flags),
        geometry: legacy_geometry(request),
        mem_id: request.nr_arg2,
        extra_bufs: request.nr_arg3,
    }
    .checked()
}

/// Decodes the legacy `NIOCGINFO`.
pub fn decode_legacy_info(request: &abi::LegacyRequest) -> Result<InfoRequest, RequestFault> {
    check_legacy_version(request)?;
    if request.nr_cmd == legacy::NETMAP_BDG_LIST {
        return Err(RequestFault::NotServed);
    }
    Ok(InfoRequest {
        port: optional_port(Text::from_field(&request.nr_name)?)?,
        geometry: legacy_geometry(request),
        mem_id: request.nr_arg2,
    })
}

fn legacy_geometry(request: &abi::LegacyRequest) -> Geometry {
    Geometry {
        tx_slots: request.nr_tx_slots,
        rx_slots: request.nr_rx_slots,
        tx_rings: request.nr_tx_rings,
        rx_rings: request.nr_rx_rings,
        host_tx_rings: 0,
        host_rx_rings: 0,
    }
}

/// Versions beyond our own are served as our own, as C netmap does: the structure has not changed since the first.
pub fn check_legacy_version(request: &abi::LegacyRequest) -> Result<(), RequestFault> {
    if request.nr_version >= abi::LEGACY_MIN_API {
        return Ok(());
    }
    Err(RequestFault::Version(VersionFault {
        have: request.nr_version,
        want: abi::NETMAP_API,
    }))
}
