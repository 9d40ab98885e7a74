// SPDX-License-Identifier: GPL-2.0

//! Which ports and regions there are.
//!
//! The registry's mutex is held while ports come and go, and while anything is bound or unbound. Outside of it is the
//! RTNL mutex, see the lock order in the crate's description.

use super::{binding::Binding, nic::NicPort};
use crate::{
    abi,
    bindings,
    logic::{
        name::{Base, PortName},
        pools::Parameters,
        request::{BindRequest, InfoRequest, PoolsRequest, Reply, RingSelect}, //
    },
    mem::Region,
    nic::Awake,
    prelude::*,
    sys::{netdev::NetDev, rtnl::Rtnl, wait::WaitQueue}, //
};
use kernel::sync::{global_lock, GlobalGuard};

/// The identifier of the global region.
pub(crate) const GLOBAL: u16 = 1;

/// The ports in netmap mode and the global region.
pub(crate) struct Registry {
    pub(super) ports: KVec<Arc<NicPort>>,
    global: Option<Arc<Region>>,
    /// Bindings in the global region.
    users: usize,
}

global_lock! {
    // SAFETY: Initialised in `init` before anything else runs.
    pub(crate) unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry {
        ports: KVec::new(),
        global: None,
        users: 0,
    };
}

/// # Safety
///
/// To be called once, when the module is loaded.
pub(crate) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe { REGISTRY.init() };
}

/// The parameters of the module as they are now.
fn parameters() -> Parameters {
    // SAFETY: Plain integers; a store through sysfs at this moment makes us see the old or the new value.
    unsafe {
        Parameters {
            if_size: (&raw const bindings::netmap_if_size).read_volatile(),
            if_num: (&raw const bindings::netmap_if_num).read_volatile(),
            ring_size: (&raw const bindings::netmap_ring_size).read_volatile(),
            ring_num: (&raw const bindings::netmap_ring_num).read_volatile(),
            buf_size: (&raw const bindings::netmap_buf_size).read_volatile(),
            buf_num: (&raw const bindings::netmap_buf_num).read_volatile(),
        }
    }
}

/// `EINVAL` if there is no region of this identifier; 0 stands for the port's own.
///
/// All requests ask this before they look for the port, as those of C netmap do: whether it exists, and whether it is bound,
/// is no matter of the answer.
fn check_region(id: u16) -> Result {
    if id > GLOBAL {
        return Err(EINVAL);
    }
    Ok(())
}

impl Registry {
    /// The global region, the only one, which is made if nobody uses it now.
    fn region(&mut self) -> Result<Arc<Region>> {
        if let Some(region) = &self.global {
            return Ok(region.clone());
        }
        let region = Region::new(GLOBAL, &parameters())?;
        self.global = Some(region.clone());
        Ok(region)
    }

    /// Lets go of the global region if nobody uses it.
    fn trim(&mut self) {
        if self.users == 0 && self.ports.is_empty() {
            self.global = None;
        }
    }

    /// The port of a device, made if there is none.
    fn port(&mut self, dev: &NetDev, request: &BindRequest, rtnl: &Rtnl) -> Result<Arc<NicPort>> {
        if let Some(port) = self.ports.iter().find(|port| port.is_of(dev)).cloned() {
            if !port.is_dead() {
                return Ok(port);
            }
            // Its users know, and have it until they close it; the device is free for a new one.
            port.end(true, rtnl);
            self.remove(&port);
        }
        self.ports.reserve(1, GFP_CHARGED)?;
        let region = self.region()?;
        let port =
            NicPort::new(dev, &request.geometry, region, rtnl).inspect_err(|_| self.trim())?;
        self.ports.push(port.clone(), GFP_CHARGED)?;
        Ok(port)
    }

    /// Forgets a port that has no bindings left or whose device is gone.
    pub(super) fn remove(&mut self, port: &NicPort) {
        self.ports.retain(|other| !core::ptr::eq(&**other, port));
        self.trim();
    }
}

/// The device of a name, in the network namespace of the caller; ports of other kinds are not supported yet.
fn device(port: &PortName) -> Result<NetDev> {
    if port.kind != Base::Nic || port.pipe.is_some() {
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

/// Binds rings of a port for a file with this wait queue, which is woken from now on.
///
/// Errors: `ENXIO` for a device that does not exist; `EPERM` without `CAP_NET_ADMIN` in its namespace; `EBUSY` if a ring
/// is bound exclusively, or this binding wants to be exclusive and is not the first, or a ring is lost and one who has it
/// has not closed it yet; `EINVAL` for rings or a region that
/// do not exist; `ENOMEM` if the pools are used up; `EAGAIN` if a queue of the device could not be frozen; `EOPNOTSUPP`
/// for ports and devices that are not supported, with the reason in the log.
pub(crate) fn bind(request: &BindRequest, file: &Arc<WaitQueue>) -> Result<Arc<Binding>> {
    check_region(request.mem_id)?;
    if request.select == RingSelect::Null || request.flags.monitor() {
        return Err(EOPNOTSUPP);
    }
    let dev = device(request.port.as_ref().ok_or(EOPNOTSUPP)?)?;
    let _awake = keep_awake(&dev)?;
    let rtnl = Rtnl::lock();
    dev.check_admin(&rtnl)?;
    let mut registry = REGISTRY.lock();
    let port = registry.port(&dev, request, &rtnl)?;
    let result = port.bind(&port, request, file, &rtnl);
    match &result {
        Ok(_) => registry.users += 1,
        Err(_) if port.is_unused() => {
            port.close(&rtnl);
            registry.remove(&port);
        }
        Err(_) => (),
    }
    result
}

/// Undoes a binding, when its file is released.
pub(crate) fn unbind(binding: &Binding) {
    let rtnl = Rtnl::lock();
    let mut registry = REGISTRY.lock();
    let port = &binding.port;
    port.unbind(binding, &rtnl);
    registry.users = registry.users.saturating_sub(1);
    if port.is_unused() {
        port.close(&rtnl);
        registry.remove(port);
    }
}

/// Describes a port or, without a port, a region. Errors as [`bind`]: the NIC is looked at for it.
pub(crate) fn port_info(request: &InfoRequest) -> Result<Reply> {
    check_region(request.mem_id)?;
    let Some(port) = &request.port else {
        let mut registry = REGISTRY.lock();
        let region = registry.region()?;
        registry.trim();
        return Ok(Reply {
            memsize: region.size(),
            mem_id: region.id(),
            ..Reply::default()
        });
    };
    let dev = device(port)?;
    let _awake = keep_awake(&dev)?;
    let rtnl = Rtnl::lock();
    dev.check_admin(&rtnl)?;
    let mut registry = REGISTRY.lock();
    let live = |port: &&Arc<NicPort>| port.is_of(&dev) && !port.is_dead();
    if let Some(port) = registry.ports.iter().find(live) {
        return Ok(port.reply());
    }
    let region = registry.region()?;
    let port = NicPort::new(&dev, &request.geometry, region, &rtnl);
    let reply = port.map(|port| {
        port.close(&rtnl);
        port.reply()
    });
    registry.trim();
    reply
}

/// Describes the pools of a port's region. Errors as [`bind`].
pub(crate) fn pools_info(request: &PoolsRequest) -> Result<abi::PoolsInfo> {
    check_region(request.mem_id)?;
    device(&request.port)?.check_admin(&Rtnl::lock())?;
    let mut registry = REGISTRY.lock();
    let region = registry.region()?;
    let info = region.layout().to_pools_info(region.id());
    registry.trim();
    Ok(info)
}

/// The registry, locked, for those who list it.
pub(crate) fn lock() -> RegistryGuard {
    REGISTRY.lock()
}

/// See [`lock`].
pub(crate) type RegistryGuard = GlobalGuard<REGISTRY>;

impl Registry {
    /// The ports in netmap mode.
    pub(crate) fn ports(&self) -> &[Arc<NicPort>] {
        &self.ports
    }

    /// The global region, if it is in use.
    pub(crate) fn global(&self) -> Option<&Arc<Region>> {
        self.global.as_ref()
    }
}
