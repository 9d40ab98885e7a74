// SPDX-License-Identifier: GPL-2.0

//! The current control interface: `NIOCCTRL` with `struct nmreq_header`, a body and a list of options.

use super::{user, OpenFile};
use crate::{
    abi,
    logic::{
        name::Text,
        options::{OptionFault, OptionWalk},
        request::{
            decode_header,
            decode_pools_info,
            decode_port_info,
            decode_register,
            RequestFault,
            RequestType, //
        },
        switching::{SwitchBody, SwitchReply}, //
    },
    port::{requests, vale::requests as switches},
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
            let options = refuse_options(&header, request)?;
            let wanted = decode_register(&header, &body).map_err(to_error)?;
            if options {
                return Err(EOPNOTSUPP);
            }
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
            requests::port_info(&wanted)?.to_port_info(&mut body);
            user::write(header.nr_body, &body)
        }
        RequestType::PoolsInfoGet => {
            let body: abi::PoolsInfo = user::read(header.nr_body)?;
            refuse_options(&header, request)?;
            let wanted = decode_pools_info(&header, &body).map_err(to_error)?;
            user::write(header.nr_body, &requests::pools_info(&wanted)?)
        }
        RequestType::StackRegister | RequestType::StackUnregister => {
            let body: abi::StackSocket = user::read(header.nr_body)?;
            if refuse_options(&header, request)? {
                return Err(EOPNOTSUPP);
            }
            file.connection(body.fd, request == RequestType::StackRegister)
        }
        _ => serve_switch(&header, request, argument),
    }
}

/// Serves what is about VALE switches; `EOPNOTSUPP` for all else.
fn serve_switch(header: &abi::Header, request: RequestType, argument: usize) -> Result {
    let mut body = SwitchBody::empty(request).ok_or(EOPNOTSUPP)?;
    let at = header.nr_body;
    match &mut body {
        SwitchBody::Attach(body) => *body = user::read(at)?,
        SwitchBody::Detach(body) => *body = user::read(at)?,
        SwitchBody::List(body) => *body = user::read(at)?,
        SwitchBody::SetHeader(body) | SwitchBody::GetHeader(body) => *body = user::read(at)?,
        SwitchBody::NewInterface(body) => *body = user::read(at)?,
        SwitchBody::StartPolling(body) | SwitchBody::StopPolling(body) => *body = user::read(at)?,
        SwitchBody::DeleteInterface => {}
    }
    refuse_options(header, request)?;
    let name = Text::from_field(&header.nr_name).map_err(|fault| to_error(fault.into()))?;
    let wanted = body.decode(&name).map_err(to_error)?;
    // It can be written to: what is done by requests that make nothing, such as a detachment, cannot be taken back.
    write_switch(at, &body)?;
    switches::serve(&wanted, |reply| {
        body.answer(reply);
        write_switch(at, &body)?;
        if let SwitchReply::Place {
            name: Some(name), ..
        } = reply
        {
            let header = abi::Header {
                nr_name: name.to_field(),
                ..*header
            };
            user::write(argument as u64, &header)?;
        }
        Ok(())
    })
}

/// Writes the body of a request about switches back; `EFAULT`.
fn write_switch(at: u64, body: &SwitchBody) -> Result {
    match body {
        SwitchBody::Attach(body) => user::write(at, body),
        SwitchBody::Detach(body) => user::write(at, body),
        SwitchBody::List(body) => user::write(at, body),
        SwitchBody::SetHeader(body) | SwitchBody::GetHeader(body) => user::write(at, body),
        SwitchBody::NewInterface(body) => user::write(at, body),
        SwitchBody::StartPolling(body) | SwitchBody::StopPolling(body) => user::write(at, body),
        SwitchBody::DeleteInterface => Ok(()),
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

/// Walks the list of options, of which none is served yet, and tells each one so by its status. True if there is any.
///
/// A list that is at fault has the request fail: `EINVAL` if an option has type 0 or a known type comes twice, which is then the
/// status of these, too; `EMSGSIZE` if options are too large or too many; `EFAULT` if one cannot be read. The status of the
/// others up to there is 0, but if they are too many: the list may be circular, and no status is written.
fn refuse_options(header: &abi::Header, request: RequestType) -> Result<bool> {
    let status = |error: Error| error.to_errno().unsigned_abs();
    let mut options: KVec<RequestOption> = KVec::new();
    let result = read_options(header, request, &mut options);
    match &result {
        Ok(()) => {
            for option in &mut options {
                option.header.nro_status = status(EOPNOTSUPP);
            }
        }
        Err(ListFault::Option(OptionFault::TooMany)) => options.clear(),
        Err(ListFault::Option(OptionFault::Duplicate { first })) => {
            if let Some(first) = options.get_mut(usize::from(*first)) {
                first.header.nro_status = status(EINVAL);
            }
            if let Some(last) = options.last_mut() {
                last.header.nro_status = status(EINVAL);
            }
        }
        Err(ListFault::Option(OptionFault::Type)) => {
            if let Some(last) = options.last_mut() {
                last.header.nro_status = status(EINVAL);
            }
        }
        Err(ListFault::Option(OptionFault::TooLarge) | ListFault::Other(_)) => (),
    }
    for option in &options {
        user::write(option.address, &option.header)?;
    }
    match result {
        Ok(()) => Ok(!options.is_empty()),
        Err(ListFault::Option(fault)) => Err(Error::from_errno(-fault.errno())),
        Err(ListFault::Other(error)) => Err(error),
    }
}

/// Why a list of options was not read to its end.
enum ListFault {
    /// The last option that was read, or the list.
    Option(OptionFault),
    /// An option cannot be read, or there is no memory.
    Other(Error),
}

impl From<OptionFault> for ListFault {
    fn from(fault: OptionFault) -> Self {
        Self::Option(fault)
    }
}

impl From<Error> for ListFault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Reads the headers of the list, with status 0, up to the one at fault. What follows a header is not read.
fn read_options(
    header: &abi::Header,
    request: RequestType,
    options: &mut KVec<RequestOption>,
) -> Result<(), ListFault> {
    let mut walk = OptionWalk::new(request.body_size());
    let mut address = header.nr_options;
    while address != 0 {
        walk.admit()?;
        let mut header: abi::OptionHeader = user::read(address)?;
        header.nro_status = 0;
        options
            .push(RequestOption { address, header }, GFP_CHARGED)
            .map_err(Error::from)?;
        walk.step(&header)?;
        address = header.nro_next;
    }
    Ok(())
}
