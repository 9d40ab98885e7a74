// SPDX-License-Identifier: GPL-2.0

//! The legacy control interface: `NIOCREGIF` and `NIOCGINFO` with `struct nmreq`, `NIOCCONFIG` with `struct nm_ifreq`.

use super::{control::to_error, user, OpenFile};
use crate::{
    abi,
    logic::{
        legacy::{
            check_legacy_version,
            decode_legacy_info,
            decode_legacy_register, //
        },
        name::Text,
        request::RequestFault,
        switching::SwitchBody, //
    },
    port::{requests, vale::requests as switches},
    prelude::*, //
};

/// Serves `NIOCREGIF`.
pub(super) fn register(file: &OpenFile, argument: usize) -> Result {
    let mut body: abi::LegacyRequest = user::read(argument as u64)?;
    if let Some(wanted) = SwitchBody::from_legacy(&body, false) {
        return switch(argument, &mut body, &wanted);
    }
    let request =
        decode_legacy_register(&body).or_else(|fault| refuse(argument, &mut body, fault))?;
    let pending = file.bind(&request)?;
    pending
        .reply()
        .to_legacy_register(&mut body)
        .map_err(to_error)?;
    user::write(argument as u64, &body)?;
    pending.publish();
    Ok(())
}

/// Serves `NIOCCONFIG`, which registers a connection.
pub(super) fn config(file: &OpenFile, argument: usize) -> Result {
    let body: abi::SwitchConfig = user::read(argument as u64)?;
    let [a, b, c, d, ..] = body.data;
    file.connection(i32::from_ne_bytes([a, b, c, d]), true)
}

/// Serves `NIOCGINFO`.
pub(super) fn info(_file: &OpenFile, argument: usize) -> Result {
    let mut body: abi::LegacyRequest = user::read(argument as u64)?;
    if let Some(wanted) = SwitchBody::from_legacy(&body, true) {
        return switch(argument, &mut body, &wanted);
    }
    let request = decode_legacy_info(&body).or_else(|fault| refuse(argument, &mut body, fault))?;
    requests::port_info(&request)?
        .to_legacy_info(&mut body)
        .map_err(to_error)?;
    user::write(argument as u64, &body)
}

/// Serves what is about VALE switches.
fn switch(argument: usize, body: &mut abi::LegacyRequest, wanted: &SwitchBody) -> Result {
    check_legacy_version(body).or_else(|fault| refuse(argument, body, fault))?;
    let name = Text::from_field(&body.nr_name).map_err(|fault| to_error(fault.into()))?;
    // As for the current interface: it can be written to.
    user::write(argument as u64, body)?;
    switches::serve(&wanted.decode(&name).map_err(to_error)?, |reply| {
        reply
            .to_legacy(body)
            .map_err(|errno| Error::from_errno(-errno))?;
        user::write(argument as u64, body)
    })
}

/// Programs try versions until one is taken, or read the right one from a refused request.
fn refuse<T>(argument: usize, body: &mut abi::LegacyRequest, fault: RequestFault) -> Result<T> {
    if let RequestFault::Version(version) = fault {
        body.nr_version = version.want.into();
        user::write(argument as u64, body)?;
    }
    Err(to_error(fault))
}
