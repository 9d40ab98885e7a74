// SPDX-License-Identifier: GPL-2.0

//! What requests about switches do.

use super::{behind_colon, interface, relay, switch};
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
/// started is taken back if the answer does not reach the program, which would not know of it.
///
/// Errors: `ENOENT` if there is no such switch, or no port from there on, in a list; `ENXIO` if there is no such port; `EOPNOTSUPP`;
/// those of `tell`.
pub(crate) fn serve(request: &SwitchRequest, tell: impl FnOnce(&SwitchReply) -> Result) -> Result {
    let reply = act(request)?;
    tell(&reply).inspect_err(|_| take_back(request))
}

/// Undoes what a request has just made. Where others have undone it meanwhile there is nothing to do.
fn take_back(request: &SwitchRequest) {
    let _ = match request {
        SwitchRequest::Attach { name, .. } => relay::detach(name).map(drop),
        SwitchRequest::NewInterface { name, .. } => interface::destroy(name),
        SwitchRequest::StartPolling(name, _) => relay::stop_polling(name),
        _ => Ok(()),
    };
}

fn act(request: &SwitchRequest) -> Result<SwitchReply> {
    let net = NetNs::current();
    match request {
        SwitchRequest::Next { switch, port } => {
            let from = (u32::from(*switch), *port);
            let ((switch, port), name) = switch::next_from(from, net).ok_or(ENOENT)?;
            Ok(SwitchReply::Place {
                switch: switch as u16,
                port,
                name: Some(name),
            })
        }
        SwitchRequest::Find(name) => {
            let switch_len = name.switch().ok_or(EINVAL)?.len();
            let (switch, port) = switch::find(&name.base, switch_len, net).ok_or(ENOENT)?;
            Ok(SwitchReply::Place {
                switch: switch as u16,
                port: port.unwrap_or(NO_PORT),
                name: None,
            })
        }
        SwitchRequest::SetHeader(name, len) => {
            switch::with_member(name, net, |member| member.set_header(*len)).ok_or(ENXIO)??;
            Ok(SwitchReply::Header(*len))
        }
        SwitchRequest::GetHeader(name) => header_of(name, net).map(SwitchReply::Header),
        SwitchRequest::Attach { name, host, mem_id } => {
            let interface = behind_colon(name)?;
            relay::attach(name, &interface, *host, *mem_id).map(place)
        }
        SwitchRequest::Detach(name) => {
            check_attached(name, net)?;
            relay::detach(name).map(place)
        }
        SwitchRequest::StartPolling(name, pollers) => {
            check_attached(name, net)?;
            NetNs::check_host_admin()?;
            relay::start_polling(name, *pollers).map(|()| SwitchReply::Done)
        }
        SwitchRequest::StopPolling(name) => {
            check_attached(name, net)?;
            relay::stop_polling(name).map(|()| SwitchReply::Done)
        }
        SwitchRequest::NewInterface {
            name,
            geometry,
            mem_id,
        } => {
            let (made, region) = interface::create(name, geometry, *mem_id)?;
            Ok(SwitchReply::Interface(made, region))
        }
        SwitchRequest::DeleteInterface(name) => {
            interface::destroy(name)?;
            Ok(SwitchReply::Done)
        }
    }
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
