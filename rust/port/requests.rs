// SPDX-License-Identifier: GPL-2.0

//! What a request about a name does: the port is found or made, and the mutexes are taken that its root needs.

use super::{
    binding::{self, Binding},
    emulated,
    kind::{Kind, LockedSteps, Steps},
    nic,
    null,
    pipe::{self, Parent},
    port::device_name,
    registry::{self, Registry},
    stack,
    vale, //
};
use crate::{
    abi,
    logic::{
        name::{Base, PortName, Text},
        pools::GLOBAL_REGION,
        request::{
            BindFlags,
            BindRequest,
            Geometry,
            InfoRequest,
            PoolsRequest,
            Reply,
            RingSelect, //
        },
    },
    mem::Region,
    nic::Awake,
    prelude::*,
    sys::{
        log,
        net_ns::NetNs,
        netdev::NetDev,
        param::{self, Admode},
        rtnl::{Rtnl, RtnlGuard},
        wait::WaitQueue, //
    }, //
};

/// What is at the root of a name.
enum Root {
    /// A network device.
    Device(NetDev),
    /// Nothing outside of netmap.
    Bare,
}

/// `EINVAL` if there is no region of this identifier in the network namespace of the caller; 0 stands for the port's own.
///
/// All requests check this before they look for the port, as those of C netmap do: the answer does not depend on whether the
/// port exists or is bound.
fn check_region(id: u16, net: NetNs) -> Result {
    if !registry::lock().regions.knows(id, net) {
        return Err(EINVAL);
    }
    Ok(())
}

/// A region that a request names is one in which others have memory: `EPERM` if the caller may not have that, when no device is there of
/// which the same is asked.
fn check_sharing(id: u16) -> Result {
    if id == 0 {
        return Ok(());
    }
    NetNs::check_admin()
}

/// The port of a device, or the end of a pipe on it, made if there is none; of a stack port always another one. With `tell`, the log says
/// why a port is not native.
fn port_of(
    registry: &mut Registry,
    dev: &NetDev,
    request: &BindRequest,
    net: NetNs,
    tell: bool,
    rtnl: &Rtnl,
) -> Result<Arc<dyn Kind>> {
    registry.reserve()?;
    let kind = match request.port {
        Some(port) if port.kind == Base::Stack => {
            let region = region_of(registry, request.mem_id, net)?;
            stack::open(dev, &request.geometry, region, rtnl)
        }
        Some(PortName {
            pipe: Some(name), ..
        }) => {
            let parent = Parent::device(dev);
            check_base(registry.find(dev))?;
            if let Some(kind) = registry.find_end(parent, &name)? {
                return Ok(kind);
            }
            let base = pipe_base(registry, dev, request, net, rtnl);
            base.and_then(|base| pipe::open(base, &name, &request.geometry))
        }
        _ => {
            if let Some(kind) = registry.find(dev) {
                if !kind.port().is_dead() {
                    return Ok(kind);
                }
                // Its users have been told, and keep it until they close it; the device is free for a new port.
                kind.steps().with(rtnl).end();
                registry.remove(kind.port());
            }
            let region = device_region(registry, dev, request.mem_id, net)?;
            open(dev, &request.geometry, region, tell, rtnl)
        }
    };
    let kind = kind.inspect_err(|_| registry.trim())?;
    registry.insert(kind.clone())?;
    Ok(kind)
}

/// The region that a request names, or the global one.
fn region_of(registry: &mut Registry, id: u16, net: NetNs) -> Result<Arc<Region>> {
    match registry.regions.named(id, net)? {
        Some(region) => Ok(region),
        None => registry.regions.global(),
    }
}

/// The region for the port of a device: the one that a request names or, so that buffers can be exchanged, that of pipes on the device;
/// that which a persistent port has; or the global one.
fn device_region(
    registry: &mut Registry,
    dev: &NetDev,
    id: u16,
    net: NetNs,
) -> Result<Arc<Region>> {
    let of_pipes = registry.pipes_region(Parent::device(dev));
    match (registry.regions.named(id, net)?, of_pipes) {
        (Some(region), _) | (None, Some(region)) => Ok(region),
        (None, None) => match vale::Interface::of(dev) {
            Some(interface) => Ok(interface.region().clone()),
            None => registry.regions.global(),
        },
    }
}

/// `EBUSY` if a port has been attached to a switch: no pipe is made on it then, nor bound.
fn check_base(kind: Option<Arc<dyn Kind>>) -> Result {
    match kind {
        Some(kind) if kind.port().is_on_switch() => Err(EBUSY),
        _ => Ok(()),
    }
}

/// What a new pipe on a device takes from its port: the region, and the slots of its rings. If it has none, the latter are those that one
/// would have; of a device that can have none, those of pipes on nothing.
fn pipe_base(
    registry: &mut Registry,
    dev: &NetDev,
    request: &BindRequest,
    net: NetNs,
    rtnl: &Rtnl,
) -> Result<pipe::Base> {
    let bound = registry.find(dev).filter(|kind| !kind.port().is_dead());
    let (slots, region) = match bound {
        Some(kind) => (kind.port().slots(), kind.port().region().clone()),
        None => {
            let region = device_region(registry, dev, request.mem_id, net)?;
            match open(dev, &Geometry::default(), region.clone(), false, rtnl) {
                Ok(kind) => {
                    kind.steps().with(rtnl).close();
                    (kind.port().slots(), region)
                }
                Err(EOPNOTSUPP) => (pipe::usual_slots(), region),
                Err(error) => return Err(error),
            }
        }
    };
    Ok(pipe::Base {
        parent: Parent::device(dev),
        name: device_name(&dev.name(rtnl)),
        slots,
        region: registry.pipes_region(Parent::device(dev)).unwrap_or(region),
    })
}

/// The port of a name without a device, made if there is none.
fn bare_port_of(
    registry: &mut Registry,
    request: &BindRequest,
    net: NetNs,
) -> Result<Arc<dyn Kind>> {
    registry.reserve()?;
    let kind = match &request.port {
        None => {
            // A null port is in a region that there is already.
            let region = registry.regions.named(request.mem_id, net)?;
            null::open(request, region.ok_or(EINVAL)?)
        }
        Some(PortName {
            kind: Base::Nic | Base::Vale { .. },
            base,
            pipe: Some(name),
        }) => {
            let parent = Parent::Named(net, *base);
            let port = registry.find_named(base, net);
            check_base(port.clone())?;
            if let Some(kind) = registry.find_end(parent, name)? {
                return Ok(kind);
            }
            // On a port of a switch it is as on that of a device.
            let port = port.as_ref().map(|kind| kind.port());
            let of_port = port.map(|port| port.region().clone());
            let region = match registry.pipes_region(parent).or(of_port) {
                Some(region) => Ok(region),
                None => match registry.regions.named(request.mem_id, net)? {
                    Some(region) => Ok(region),
                    None => {
                        let demand = pipe::demand(&request.geometry, request.extra_bufs);
                        registry.regions.private(&demand, net)
                    }
                },
            };
            let base = region.map(|region| pipe::Base {
                parent,
                name: *base,
                slots: port.map_or(pipe::usual_slots(), |port| port.slots()),
                region,
            });
            base.and_then(|base| pipe::open(base, name, &request.geometry))
        }
        Some(port) => {
            let name = port.text().map_err(|_| ENXIO)?;
            if let Some(kind) = registry.find_named(&name, net) {
                return Ok(kind);
            }
            if port.switch().is_none() {
                return Err(EOPNOTSUPP);
            }
            let region = match registry.regions.named(request.mem_id, net)? {
                Some(region) => Ok(region),
                // As on a device, buffers can be exchanged with the pipes on it.
                None => match registry.pipes_region(Parent::Named(net, name)) {
                    Some(region) => Ok(region),
                    None => registry.regions.private(&vale::demand(request), net),
                },
            };
            region.and_then(|region| vale::open(port, &request.geometry, region, net))
        }
    };
    let kind = kind.inspect_err(|_| registry.trim())?;
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

/// The root of a name, in the network namespace of the caller. `ENXIO` if it is to be a device that does not exist; pipes need none. A
/// persistent port that is on a switch has a name there, too.
fn root_of(port: Option<&PortName>, net: NetNs) -> Result<Root> {
    let Some(port) = port else {
        return Ok(Root::Bare);
    };
    if port.switch().is_some() {
        let interface = vale::interface_of(port, net);
        return Ok(interface.map_or(Root::Bare, Root::Device));
    }
    match device(&port.base) {
        Ok(dev) => Ok(Root::Device(dev)),
        Err(_) if port.pipe.is_some() => Ok(Root::Bare),
        Err(error) => Err(error),
    }
}

/// The device of this name, in the network namespace of the caller.
pub(super) fn device(base: &Text) -> Result<NetDev> {
    let bytes = base.as_bytes();
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
    let net = NetNs::current();
    check_region(request.mem_id, net)?;
    if request.flags.monitor() {
        return Err(EOPNOTSUPP);
    }
    match root_of(request.port.as_ref(), net)? {
        Root::Device(dev) => {
            let _awake = keep_awake(&dev)?;
            let rtnl = lock_for(&dev)?;
            let mut registry = registry::lock();
            let kind = port_of(&mut registry, &dev, request, net, true, &rtnl)?;
            bind_rings(
                &mut registry,
                &kind,
                kind.steps().with(&rtnl),
                request,
                file,
            )
        }
        Root::Bare => {
            let mut registry = registry::lock();
            let kind = permitted_bare_port(&mut registry, request, net)?;
            bind_rings(&mut registry, &kind, kind.steps().bare()?, request, file)
        }
    }
}

/// Binds rings of a port that depends on a device, and is not the device's own, which `open` makes. Errors as [`bind`].
pub(super) fn bind_beside(
    dev: &NetDev,
    open: impl FnOnce(&NetDev, &Rtnl) -> Result<Arc<dyn Kind>>,
    request: &BindRequest,
    file: &Arc<WaitQueue>,
) -> Result<Arc<Binding>> {
    let rtnl = lock_for(dev)?;
    let mut registry = registry::lock();
    registry.reserve()?;
    let kind = open(dev, &rtnl)?;
    registry.insert(kind.clone())?;
    bind_rings(
        &mut registry,
        &kind,
        kind.steps().with(&rtnl),
        request,
        file,
    )
}

/// Binds rings of a port without a device that does not exist, and which `open` makes.
pub(super) fn bind_new(
    open: impl FnOnce() -> Result<Arc<dyn Kind>>,
    request: &BindRequest,
    file: &Arc<WaitQueue>,
) -> Result<Arc<Binding>> {
    let mut registry = registry::lock();
    registry.reserve()?;
    let kind = open()?;
    registry.insert(kind.clone())?;
    bind_rings(&mut registry, &kind, kind.steps().bare()?, request, file)
}

/// Binds rings of a port that was found or made. One that stays without a binding goes.
fn bind_rings(
    registry: &mut Registry,
    kind: &Arc<dyn Kind>,
    steps: LockedSteps<'_>,
    request: &BindRequest,
    file: &Arc<WaitQueue>,
) -> Result<Arc<Binding>> {
    let result = binding::bind(kind, request, file, steps);
    match &result {
        Ok(binding) => registry.regions.join(&binding.region),
        Err(_) if kind.port().is_unused() => {
            steps.close();
            registry.remove(kind.port());
        }
        Err(_) => (),
    }
    result
}

/// Undoes a binding, when its file is released.
pub(crate) fn unbind(binding: &Binding) {
    let kind = binding.kind();
    kind.leaving();
    match kind.steps() {
        Steps::Device(steps) => {
            unbind_locked(binding, LockedSteps::Device(steps, &Rtnl::lock()));
        }
        Steps::Bare(steps) => unbind_locked(binding, LockedSteps::Bare(steps)),
    }
    // What could not be undone under the mutexes: the caller finds the device as it was.
    emulated::settle();
}

/// [`unbind`], as far as it takes the registry's mutex.
fn unbind_locked(binding: &Binding, steps: LockedSteps<'_>) {
    let mut registry = registry::lock();
    let kind = binding.kind();
    binding::unbind(binding, steps);
    registry.regions.leave(&binding.region);
    if kind.port().is_unused() {
        steps.close();
        registry.remove(kind.port());
    }
}

/// What is answered about a region alone.
fn describe(region: &Region) -> Reply {
    Reply {
        memsize: region.size(),
        mem_id: region.id(),
        ..Reply::default()
    }
}

/// Describes a port or, without a port, a region. Errors as [`bind`]: the NIC is looked at for it.
pub(crate) fn port_info(request: &InfoRequest) -> Result<Reply> {
    let net = NetNs::current();
    check_region(request.mem_id, net)?;
    let Some(port) = &request.port else {
        let mut registry = registry::lock();
        let region = region_of(&mut registry, request.mem_id, net)?;
        registry.trim();
        return Ok(describe(&region));
    };
    Ok(look(&bind_request(port, request.geometry, request.mem_id), net)?.0)
}

/// Describes the pools of a port's region. Errors as [`bind`].
pub(crate) fn pools_info(request: &PoolsRequest) -> Result<abi::PoolsInfo> {
    let net = NetNs::current();
    check_region(request.mem_id, net)?;
    let request = bind_request(&request.port, Geometry::default(), request.mem_id);
    let (_, region) = look(&request, net)?;
    Ok(region.layout().to_pools_info(region.id()))
}

/// A bind that is not made, but would find or make the port that is to be described.
fn bind_request(port: &PortName, geometry: Geometry, mem_id: u16) -> BindRequest {
    BindRequest {
        port: Some(*port),
        label: port.text().unwrap_or(Text::EMPTY),
        select: RingSelect::AllNic,
        flags: BindFlags::default(),
        geometry,
        mem_id,
        extra_bufs: 0,
    }
}

/// Looks at the port that a bind would get, which is made for it if there is none.
fn look(request: &BindRequest, net: NetNs) -> Result<(Reply, Arc<Region>)> {
    match root_of(request.port.as_ref(), net)? {
        Root::Device(dev) => {
            let _awake = keep_awake(&dev)?;
            let rtnl = lock_for(&dev)?;
            let mut registry = registry::lock();
            let kind = port_of(&mut registry, &dev, request, net, false, &rtnl)?;
            Ok(see(&mut registry, &kind, kind.steps().with(&rtnl)))
        }
        Root::Bare => {
            let mut registry = registry::lock();
            let kind = permitted_bare_port(&mut registry, request, net)?;
            Ok(see(&mut registry, &kind, kind.steps().bare()?))
        }
    }
}

/// [`bare_port_of`] for a caller who may have it: `EPERM` of [`check_sharing`] and [`check_memory`].
fn permitted_bare_port(
    registry: &mut Registry,
    request: &BindRequest,
    net: NetNs,
) -> Result<Arc<dyn Kind>> {
    check_sharing(request.mem_id)?;
    let kind = bare_port_of(registry, request, net)?;
    check_memory(registry, &kind)?;
    Ok(kind)
}

/// `EPERM` if ports of network devices have memory in the region of a port without one, as in the global region, or had, and the caller
/// may not have that: whatever the request names, it is the port, its pipes or its base that decide where it is. The port goes if nothing
/// is bound.
fn check_memory(registry: &mut Registry, kind: &Arc<dyn Kind>) -> Result {
    let region = kind.port().region();
    if region.id() != GLOBAL_REGION && !region.tenants().has_devices() {
        return Ok(());
    }
    let allowed = NetNs::check_admin();
    if allowed.is_err() {
        see(registry, kind, kind.steps().bare()?);
    }
    allowed
}

/// What there is to say of a port, which goes if nothing is bound.
fn see(
    registry: &mut Registry,
    kind: &Arc<dyn Kind>,
    steps: LockedSteps<'_>,
) -> (Reply, Arc<Region>) {
    let port = kind.port();
    let found = (port.reply(), port.region().clone());
    if port.is_unused() {
        steps.close();
        registry.remove(port);
    }
    found
}
