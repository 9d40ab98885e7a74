// SPDX-License-Identifier: GPL-2.0

//! What a request about a name does: the port is found or made, and the mutexes are taken that its root needs.

use super::{
    binding::{self, Binding},
    emulated,
    kind::Kind,
    nic,
    registry::{self, Registry},
    stack, //
};
use crate::{
    abi,
    logic::{
        name::{Base, PortName},
        request::{BindRequest, Geometry, InfoRequest, PoolsRequest, Reply, RingSelect}, //
    },
    mem::{is_region, Region},
    nic::Awake,
    prelude::*,
    sys::{
        log,
        netdev::NetDev,
        param::{self, Admode},
        rtnl::{Rtnl, RtnlGuard},
        wait::WaitQueue, //
    }, //
};

/// `EINVAL` if there is no region of this identifier; 0 stands for the port's own.
///
/// All requests check this before they look for the port, as those of C netmap do: the answer does not depend on whether the
/// port exists or is bound.
fn check_region(id: u16) -> Result {
    if id != 0 && !is_region(id) {
        return Err(EINVAL);
    }
    Ok(())
}

/// The port of a device, made if there is none; of a stack port always another one.
fn port_of(
    registry: &mut Registry,
    dev: &NetDev,
    request: &BindRequest,
    rtnl: &Rtnl,
) -> Result<Arc<dyn Kind>> {
    if request.port.is_some_and(|port| port.kind == Base::Stack) {
        registry.reserve()?;
        let region = registry.regions.global()?;
        let kind =
            stack::open(dev, &request.geometry, region, rtnl).inspect_err(|_| registry.trim())?;
        registry.insert(kind.clone())?;
        return Ok(kind);
    }
    if let Some(kind) = registry.find(dev) {
        if !kind.port().is_dead() {
            return Ok(kind);
        }
        // Its users have been told, and keep it until they close it; the device is free for a new port.
        kind.end(rtnl);
        registry.remove(kind.port());
    }
    registry.reserve()?;
    let region = registry.regions.global()?;
    let kind = open(dev, &request.geometry, region, true, rtnl).inspect_err(|_| registry.trim())?;
    registry.insert(kind.clone())?;
    Ok(kind)
}

/// A port of a device that has none, with no ring in use: of the kind that the parameter `admode` says. If it is emulated because
/// it cannot be native, the log says why if `tell`.
fn open(
    dev: &NetDev,
    wish: &Geometry,
    region: Arc<Region>,
    tell: bool,
    rtnl: &Rtnl,
) -> Result<Arc<dyn Kind>> {
    let mode = param::admode();
    if mode != Admode::Emulated {
        match nic::open(dev, wish, region.clone(), rtnl) {
            Ok(kind) => return Ok(kind),
            Err(refusal) if refusal.errno != EOPNOTSUPP || mode == Admode::Native => {
                return Err(nic::refused(dev, refusal, rtnl));
            }
            Err(refusal) if tell && log::refusal_allowed() => {
                pr_info!("{}: {}\n", dev.label(rtnl), refusal.reason);
            }
            Err(_) => (),
        }
    }
    emulated::open(dev, wish, region, rtnl)
}

/// The device of a name, in the network namespace of the caller; ports of other kinds are not supported yet.
fn device(port: &PortName) -> Result<NetDev> {
    if !matches!(port.kind, Base::Nic | Base::Stack) || port.pipe.is_some() {
        return Err(EOPNOTSUPP);
    }
    let bytes = port.base.as_bytes();
    let mut name = [0; abi::IFNAMSIZ];
    // The name must leave room for the terminating NUL.
    let field = name
        .get_mut(..bytes.len())
        .filter(|_| bytes.len() < abi::IFNAMSIZ)
        .ok_or(ENXIO)?;
    field.copy_from_slice(bytes);
    NetDev::by_name(CStr::from_bytes_until_nul(&name).map_err(|_| ENXIO)?)
}

/// Keeps a device from falling asleep, before the RTNL mutex is held for longer: see [`Awake::settle`]. `EPERM` as [`bind`].
fn keep_awake(dev: &NetDev) -> Result<Option<Awake>> {
    let awake = {
        let rtnl = Rtnl::lock();
        dev.check_admin(&rtnl)?;
        Awake::hold(dev, &rtnl)
    };
    if let Some(awake) = &awake {
        awake.settle();
    }
    Ok(awake)
}

/// The RTNL mutex, under which the device of a name stays what it is. `EPERM` as [`bind`]; `ENXIO` if the device has been
/// unregistered since it was found: nobody would tell its port so.
fn lock_for(dev: &NetDev) -> Result<RtnlGuard> {
    let rtnl = Rtnl::lock();
    dev.check_admin(&rtnl)?;
    if dev.is_leaving(&rtnl) {
        return Err(ENXIO);
    }
    Ok(rtnl)
}

/// Binds rings of a port for a file with this wait queue, which is woken from now on.
///
/// Errors: `ENXIO` for a device that does not exist; `EPERM` without `CAP_NET_ADMIN` in its namespace; `EBUSY` if a ring is
/// bound exclusively, this binding wants to be exclusive and is not the first, or a ring is lost and not yet closed by all
/// that have it bound; `EINVAL` for rings or a region that do not exist; `ENOMEM` if the pools are used up; `EAGAIN` if a
/// queue of the device could not be frozen; `EOPNOTSUPP` for ports and devices that are not supported, with the reason in
/// the log.
pub(crate) fn bind(request: &BindRequest, file: &Arc<WaitQueue>) -> Result<Arc<Binding>> {
    // What an earlier port of the device has left to be done would change what this one finds.
    emulated::settle();
    let binding = bind_locked(request, file)?;
    binding.kind().bound();
    Ok(binding)
}

/// [`bind`], as far as it takes the mutexes.
fn bind_locked(request: &BindRequest, file: &Arc<WaitQueue>) -> Result<Arc<Binding>> {
    check_region(request.mem_id)?;
    if request.select == RingSelect::Null || request.flags.monitor() {
        return Err(EOPNOTSUPP);
    }
    let dev = device(request.port.as_ref().ok_or(EOPNOTSUPP)?)?;
    let _awake = keep_awake(&dev)?;
    let rtnl = lock_for(&dev)?;
    let mut registry = registry::lock();
    let kind = port_of(&mut registry, &dev, request, &rtnl)?;
    let result = binding::bind(&kind, request, file, &rtnl);
    match &result {
        Ok(binding) => registry.regions.join(&binding.region),
        Err(_) if kind.port().is_unused() => {
            kind.close(&rtnl);
            registry.remove(kind.port());
        }
        Err(_) => (),
    }
    result
}

/// Undoes a binding, when its file is released.
pub(crate) fn unbind(binding: &Binding) {
    binding.kind().leaving();
    unbind_locked(binding);
    // What could not be undone under the mutexes: the caller finds the device as it was.
    emulated::settle();
}

/// [`unbind`], as far as it takes the mutexes.
fn unbind_locked(binding: &Binding) {
    let rtnl = Rtnl::lock();
    let mut registry = registry::lock();
    let kind = binding.kind();
    binding::unbind(binding, &rtnl);
    registry.regions.leave(&binding.region);
    if kind.port().is_unused() {
        kind.close(&rtnl);
        registry.remove(kind.port());
    }
}

/// Describes a port or, without a port, a region. Errors as [`bind`]: the NIC is looked at for it.
pub(crate) fn port_info(request: &InfoRequest) -> Result<Reply> {
    check_region(request.mem_id)?;
    let Some(port) = &request.port else {
        let mut registry = registry::lock();
        let region = registry.regions.global()?;
        registry.trim();
        return Ok(Reply {
            memsize: region.size(),
            mem_id: region.id(),
            ..Reply::default()
        });
    };
    let dev = device(port)?;
    let _awake = keep_awake(&dev)?;
    let rtnl = lock_for(&dev)?;
    let mut registry = registry::lock();
    let stack = port.kind == Base::Stack;
    if let Some(kind) = registry
        .find(&dev)
        .filter(|kind| !stack && !kind.port().is_dead())
    {
        return Ok(kind.port().reply());
    }
    let region = registry.regions.global()?;
    let opened = if stack {
        stack::open(&dev, &request.geometry, region, &rtnl)
    } else {
        open(&dev, &request.geometry, region, false, &rtnl)
    };
    let reply = opened.map(|kind| {
        kind.close(&rtnl);
        kind.port().reply()
    });
    registry.trim();
    reply
}

/// Describes the pools of a port's region. Errors as [`bind`].
pub(crate) fn pools_info(request: &PoolsRequest) -> Result<abi::PoolsInfo> {
    check_region(request.mem_id)?;
    device(&request.port)?.check_admin(&Rtnl::lock())?;
    let mut registry = registry::lock();
    let region = registry.regions.global()?;
    let info = region.layout().to_pools_info(region.id());
    registry.trim();
    Ok(info)
}
