// SPDX-License-Identifier: GPL-2.0

//! The current control interface: `NIOCCTRL` with `struct nmreq_header`, a body and a list of options.

use super::{user, OpenFile};
use crate::{
    abi,
    logic::{
        options::{OptionFault, OptionWalk},
        request::{
            decode_header,
            decode_pools_info,
            decode_port_info,
            decode_register,
            RequestFault,
            RequestType, //
        }, //
    },
    port::registry,
    prelude::*, //
};

/// Serves `NIOCCTRL`.
pub(super) fn serve(file: &OpenFile, argument: usize) -> Result {
    let mut header: abi::Header = user::read(argument as u64)?;
    let request = match decode_header(&header) {
        Ok(request) => request,
        Err(fault) => {
            if let RequestFault::Version(version) = fault {
                header.nr_version = version.want;
                user::write(argument as u64, &header)?;
            }
            return Err(to_error(fault));
        }
    };
    match request {
        RequestType::Register => {
            let mut body: abi::Register = user::read(header.nr_body)?;
            refuse_options(&header, request)?;
            let wanted = decode_register(&header, &body).map_err(to_error)?;
            let pending = file.bind(&wanted)?;
            pending.reply().to_register(&mut body);
            user::write(header.nr_body, &body)?;
            pending.publish();
            Ok(())
        }
        RequestType::PortInfoGet => {
            let mut body: abi::PortInfo = user::read(header.nr_body)?;
            refuse_options(&header, request)?;
            let wanted = decode_port_info(&header, &body).map_err(to_error)?;
            registry::port_info(&wanted)?.to_port_info(&mut body);
            user::write(header.nr_body, &body)
        }
        RequestType::PoolsInfoGet => {
            let body: abi::PoolsInfo = user::read(header.nr_body)?;
            refuse_options(&header, request)?;
            let wanted = decode_pools_info(&header, &body).map_err(to_error)?;
            user::write(header.nr_body, &registry::pools_info(&wanted)?)
        }
        _ => Err(EOPNOTSUPP),
    }
}

/// The errno of a fault.
pub(super) fn to_error(fault: RequestFault) -> Error {
    Error::from_errno(-fault.errno())
}

/// An option of a request: where the program has it, and its header.
struct RequestOption {
    address: u64,
    header: abi::OptionHeader,
}

/// Walks the list of options, of which none is served yet, and tells each one so.
///
/// `EMSGSIZE` if the list is too long, as a circular one is, and then no status is written; `EINVAL`
/// if an option has type 0 or a known type comes twice; `EOPNOTSUPP` if there is any other option.
fn refuse_options(header: &abi::Header, request: RequestType) -> Result {
    let invalid = EINVAL.to_errno().unsigned_abs();
    let mut walk = OptionWalk::new(request.body_size());
    let mut options: KVec<RequestOption> = KVec::new();
    let mut address = header.nr_options;
    let mut result = Ok(());
    while address != 0 {
        let mut option = RequestOption {
            address,
            header: user::read(address)?,
        };
        let step = walk.step(&option.header);
        let (status, next) = match step {
            Ok(_) => (EOPNOTSUPP, option.header.nro_next),
            Err(OptionFault::Type | OptionFault::Duplicate { .. }) => (EINVAL, 0),
            Err(fault) => return Err(Error::from_errno(-fault.errno())),
        };
        if let Err(OptionFault::Duplicate { first }) = step {
            if let Some(first) = options.get_mut(usize::from(first)) {
                first.header.nro_status = invalid;
            }
        }
        option.header.nro_status = status.to_errno().unsigned_abs();
        options.push(option, GFP_CHARGED)?;
        result = Err(status);
        address = next;
    }
    for option in &options {
        user::write(option.address, &option.header)?;
    }
    result
}
