// SPDX-License-Identifier: GPL-2.0

//! The legacy control interface: `NIOCREGIF` and `NIOCGINFO` with `struct nmreq`, `NIOCCONFIG` with `struct nm_ifreq`.

use super::{control::to_error, user, OpenFile};
use crate::{
    abi,
    logic::request::{decode_legacy_info, decode_legacy_register, RequestFault},
    port::requests,
    prelude::*, //
};

/// Serves `NIOCREGIF`.
pub(super) fn register(file: &OpenFile, argument: usize) -> Result {
    let mut body: abi::LegacyRequest = user::read(argument as u64)?;
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
    let request = decode_legacy_info(&body).or_else(|fault| refuse(argument, &mut body, fault))?;
    requests::port_info(&request)?
        .to_legacy_info(&mut body)
        .map_err(to_error)?;
    user::write(argument as u64, &body)
}

/// Programs try versions until one is taken, or read the right one from a refused request.
fn refuse<T>(argument: usize, body: &mut abi::LegacyRequest, fault: RequestFault) -> Result<T> {
    if let RequestFault::Version(version) = fault {
        body.nr_version = version.want.into();
        user::write(argument as u64, body)?;
    }
    Err(to_error(fault))
}
