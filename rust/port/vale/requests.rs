// SPDX-License-Identifier: GPL-2.0

//! What requests about switches do.

use super::{behind_colon, interface, relay, switch, Serial};
use crate::{
    logic::{
        name::{Base, PortName},
        switching::{SwitchReply, SwitchRequest, NO_PORT}, //
    },
    port::{pipe::Parent, registry, requests::device},
    prelude::*,
    sys::net_ns::NetNs, //
};

/// Does what a request wants, in the network namespace of the caller, and has `tell` write the answer. What was attached, made or
/// started is taken back if the answer does not reach the program, which would not know of it, unless others use it by then.
///
/// Errors: `ENOENT` if there is no such switch, or no port from there on, in a list; `ENXIO` if there is no such port; `EOPNOTSUPP`;
/// those of `tell`.
pub(crate) fn serve(request: &SwitchRequest, tell: impl FnOnce(&SwitchReply) -> Result) -> Result {
    let (reply, made) = act(request)?;
    tell(&reply).inspect_err(|_| {
        if let Some(made) = made {
            take_back(request, made);
        }
    })
}

/// Undoes what a request has made. While the answer was written, which takes as long as the program's memory likes, others may have
/// undone it, and made something of the same name: that is not `made`.
fn take_back(request: &SwitchRequest, made: Serial) {
    let _ = match request {
        SwitchRequest::Attach { name, .. } => relay::detach(name, Some(made)).map(drop),
        SwitchRequest::NewInterface { name, .. } => interface::destroy(name, Some(made)),
        SwitchRequest::StartPolling(name, _) => relay::stop_polling(name, Some(made)),
        _ => Ok(()),
    };
}

/// Does what a request wants. Returns what is to be answered, and the number of what was made.
fn act(request: &SwitchRequest) -> Result<(SwitchReply, Option<Serial>)> {
    let net = NetNs::current();
    let mut made = None;
    let reply = match request {
        SwitchRequest::Next { switch, port } => {
            let from = (u32::from(*switch), *port);
            let ((switch, port), name) = switch::next_from(from, net).ok_or(ENOENT)?;
            SwitchReply::Place {
                switch: switch as u16,
                port,
                name: Some(name),
            }
        }
        SwitchRequest::Find(name) => {
            let switch_len = name.switch().ok_or(EINVAL)?.len();
            let (switch, port) = switch::find(&name.base, switch_len, net).ok_or(ENOENT)?;
            SwitchReply::Place {
                switch: switch as u16,
                port: port.unwrap_or(NO_PORT),
                name: None,
            }
        }
        SwitchRequest::SetHeader(name, len) => {
            switch::with_member(name, net, |member| member.set_header(*len)).ok_or(ENXIO)??;
            SwitchReply::Header(*len)
        }
        SwitchRequest::GetHeader(name) => SwitchReply::Header(header_of(name, net)?),
        SwitchRequest::Attach { name, host, mem_id } => {
            let interface = behind_colon(name)?;
            let (port, serial) = relay::attach(name, &interface, *host, *mem_id)?;
            made = Some(serial);
            place(port)
        }
        SwitchRequest::Detach(name) => {
            check_attached(name, net)?;
            place(relay::detach(name, None)?)
        }
        SwitchRequest::StartPolling(name, pollers) => {
            check_attached(name, net)?;
            NetNs::check_host_admin()?;
            made = Some(relay::start_polling(name, *pollers)?);
            SwitchReply::Done
        }
        SwitchRequest::StopPolling(name) => {
            check_attached(name, net)?;
            relay::stop_polling(name, None)?;
            SwitchReply::Done
        }
        SwitchRequest::NewInterface {
            name,
            geometry,
            mem_id,
        } => {
            let (geometry, region, serial) = interface::create(name, geometry, *mem_id)?;
            made = Some(serial);
            SwitchReply::Interface(geometry, region)
        }
        SwitchRequest::DeleteInterface(name) => {
            interface::destroy(name, None)?;
            SwitchReply::Done
        }
    };
    Ok((reply, made))
}

fn place(port: u32) -> SwitchReply {
    SwitchReply::Place {
        switch: 0,
        port,
        name: None,
    }
}

/// What is done with an attached interface is for those who may attach it, which takes what a bind of the interface takes: `EPERM`. `ENXIO`
/// if there is no such port of a switch.
fn check_attached(name: &PortName, net: NetNs) -> Result {
    NetNs::check_admin()?;
    switch::with_member(name, net, |_| ()).ok_or(ENXIO)
}

/// Bytes of the header before the packets of a port of any kind: only those of switches have some.
fn header_of(name: &PortName, net: NetNs) -> Result<u32> {
    match name.kind {
        Base::Vale { .. } if name.pipe.is_none() => {
            switch::with_member(name, net, |member| member.header()).ok_or(ENXIO)
        }
        Base::Nic if name.pipe.is_none() => {
            device(&name.base)?;
            Ok(0)
        }
        Base::Nic | Base::Vale { .. } => {
            let pipe = name.pipe.as_ref().ok_or(ENXIO)?;
            let dev = match name.kind {
                Base::Nic => device(&name.base).ok(),
                _ => relay::interface_of(name, net),
            };
            let parent = match &dev {
                Some(dev) => Parent::device(dev),
                None => Parent::Named(net, name.base),
            };
            if registry::lock().has_pipe(parent, &pipe.id) {
                Ok(0)
            } else {
                Err(ENXIO)
            }
        }
        Base::Stack => Err(ENXIO),
    }
}
