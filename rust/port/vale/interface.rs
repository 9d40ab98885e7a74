// SPDX-License-Identifier: GPL-2.0

//! Persistent ports: network devices of the module's own (`interface.c`), which the host uses as any other.
//!
//! A program binds one by its name, and then it is the emulated port of a device, whose rings have the numbers and the region that were
//! asked for when the interface was made. The other end of its wire is on a switch while it is attached to one ([`super::wire`]); else
//! what is sent is lost. It goes by request, with its network namespace, with the module, or as any device that an administrator
//! removes.

use super::{wire::Wire, Serial, Size, MOST_SLOTS};
use crate::{
    atomic::{AtomicPtr, Ordering},
    bindings,
    logic::{
        name::Text,
        pools::{round_slots, PortDemand},
        request::Geometry, //
    },
    mem::Region,
    port::{registry, requests::device, stack},
    prelude::*,
    sys::{
        net_ns::NetNs,
        netdev::NetDev,
        rtnl::Rtnl,
        skb::SentSkb, //
    },
};
use core::ptr::{null_mut, NonNull};
use kernel::{
    error::to_result,
    ffi::c_void,
    sync::ArcBorrow, //
};

/// Fewest slots of a ring, as of any port that is emulated.
const MIN_SLOTS: u32 = 32;
/// Slots of a ring, if the request does not say.
const SLOTS: u32 = 1024;

/// What the module has of a network device of its own, as long as that is there.
///
/// # Invariants
///
/// `wire` is null or owns a reference. It is written with the RTNL mutex held. Who reads it without has softirqs off, and a reference
/// that was taken out is dropped a grace period later.
pub(crate) struct Interface {
    serial: Serial,
    slots: (u32, u32),
    region: Arc<Region>,
    wire: AtomicPtr<Wire>,
}

impl Interface {
    /// That of a device, if it is one of the module's.
    pub(crate) fn of(dev: &NetDev) -> Option<&Self> {
        // SAFETY: The device is valid.
        let owner = unsafe { bindings::netmap_interface_owner(dev.as_ptr()) };
        // SAFETY: Null, or what `create` gave to the device, which is there until nobody has a reference to the device.
        unsafe { owner.cast::<Self>().as_ref() }
    }

    /// Slots of a transmit and of a receive ring.
    pub(crate) fn slots(&self) -> (u32, u32) {
        self.slots
    }

    /// Where its rings are, if a bind names no other region.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Whether it is attached to a switch.
    pub(super) fn is_connected(&self, _rtnl: &Rtnl) -> bool {
        !self.wire.load(Ordering::Relaxed).is_null()
    }

    /// What the host sends goes to this wire from now on. It goes to none so far.
    pub(super) fn connect(&self, wire: &Arc<Wire>, _rtnl: &Rtnl) {
        let raw = Arc::into_raw(wire.clone()).cast_mut();
        // INVARIANT: The reference is given to it.
        self.wire.store(raw, Ordering::Release);
    }

    /// It goes nowhere from now on. When this returns, nobody is about to give the wire something.
    pub(super) fn disconnect(&self, _rtnl: &Rtnl) {
        // INVARIANT: Null.
        let raw = self.wire.swap(null_mut(), Ordering::Relaxed);
        if let Some(raw) = NonNull::new(raw) {
            // SAFETY: Callable with the RTNL mutex and others held.
            unsafe { bindings::synchronize_net() };
            // SAFETY: By the type's invariant the reference was ours.
            drop(unsafe { Arc::from_raw(raw.as_ptr()) });
        }
    }

    /// Takes a packet that the device sends; false if it is lost, which the device has counted then.
    ///
    /// # Safety
    ///
    /// Softirqs are off.
    unsafe fn send(&self, skb: SentSkb) -> bool {
        // SAFETY: By the type's invariant; no grace period ends while softirqs are off.
        match unsafe { self.wire.load(Ordering::Acquire).as_ref() } {
            Some(wire) => wire.push(skb),
            None => {
                skb.lose();
                false
            }
        }
    }

    /// The device is unregistered: what is at the other end of the wire goes.
    fn gone(&self, rtnl: &Rtnl) {
        let Some(raw) = NonNull::new(self.wire.load(Ordering::Relaxed)) else {
            return;
        };
        // SAFETY: By the type's invariant; it is written with the RTNL mutex held alone, which the caller has.
        let wire: Arc<Wire> = unsafe { ArcBorrow::from_raw(raw.as_ptr()) }.into();
        let mut registry = registry::lock();
        wire.end(rtnl);
        registry.remove(wire.port());
    }
}

/// How many slots a request gets.
fn slots_of(wish: u32) -> u32 {
    let wish = if wish == 0 { SLOTS } else { wish };
    round_slots(wish.clamp(MIN_SLOTS, MOST_SLOTS), SLOTS, 1)
}

/// Makes an interface of this name in the network namespace of the caller, which is up unless something of the
/// host's forbids that. Returns what it has, its region, and its number.
///
/// Errors: `EPERM` without `CAP_NET_ADMIN` there; `EEXIST` if there is an interface of that name; `EINVAL` for a name that none can have,
/// or a region that is not there; `ENOMEM`.
pub(super) fn create(name: &Text, wish: &Geometry, mem_id: u16) -> Result<(Geometry, u16, Serial)> {
    NetNs::check_admin()?;
    if device(name).is_ok() {
        return Err(EEXIST);
    }
    let net = NetNs::current();
    let counts = Size::of(wish).counts;
    let slots = (slots_of(wish.tx_slots), slots_of(wish.rx_slots));
    let region = {
        let mut registry = registry::lock();
        let region = match registry.regions.named(mem_id, net)? {
            Some(region) => region,
            None => {
                // The rings of the emulated port, on the wire as many the other way round, and on each of two switches as many as on either
                // side of that, with one more in each direction for the host.
                let rings = 2 * (counts.tx + counts.rx) + 1;
                let demand = PortDemand {
                    tx_rings: rings,
                    rx_rings: rings,
                    tx_slots: slots.0,
                    rx_slots: slots.1,
                    extra_buffers: 0,
                    pipes: super::PIPES,
                };
                registry.regions.private(&demand, net)?
            }
        };
        registry.regions.join(&region);
        region.tenants().add_device();
        region
    };
    // INVARIANT: Null.
    let serial = Serial::next();
    let interface = Interface {
        serial,
        slots,
        region: region.clone(),
        wire: AtomicPtr::new(null_mut()),
    };
    let made = register(name, (counts.tx, counts.rx), slots.1, interface);
    if let Err(error) = made {
        leave(&region);
        return Err(error);
    }
    let geometry = Geometry {
        tx_slots: slots.0,
        rx_slots: slots.1,
        tx_rings: counts.tx,
        rx_rings: counts.rx,
        ..Geometry::default()
    };
    Ok((geometry, region.id(), serial))
}

/// Makes the device, at the other end of whose wire rings have so many slots.
fn register(name: &Text, (tx, rx): (u16, u16), slots: u32, interface: Interface) -> Result {
    // Two such packets find room.
    let most_segments = u16::try_from(slots / 2).unwrap_or(u16::MAX);
    let owner = KBox::new(interface, GFP_CHARGED)?;
    let owner = KBox::into_raw(owner);
    // SAFETY: The name ends with a NUL. The owner is valid until `netmap_interface_free`; if this fails, nobody has it any more.
    let result = to_result(unsafe {
        bindings::netmap_interface_make(
            name.as_cstr().as_char_ptr(),
            tx,
            rx,
            most_segments,
            owner.cast(),
        )
    });
    if result.is_err() {
        // SAFETY: It was just made of a box, which nobody else has.
        drop(unsafe { KBox::from_raw(owner) });
    }
    result
}

/// An interface in this region is gone.
fn leave(region: &Arc<Region>) {
    let mut registry = registry::lock();
    registry.regions.leave(region);
    registry.trim();
}

/// Removes an interface that [`create`] has made, `only` if it is the one of that number.
///
/// Errors: `ENXIO` if there is no interface of that name in the network namespace of the caller; `EPERM` without `CAP_NET_ADMIN` there;
/// `EINVAL` if it is another one; `EBUSY` while a program has it bound, or it is attached to a switch.
pub(super) fn destroy(name: &Text, only: Option<Serial>) -> Result {
    let dev = device(name)?;
    let rtnl = Rtnl::lock();
    dev.check_admin(&rtnl)?;
    let interface = Interface::of(&dev).ok_or(EINVAL)?;
    if dev.is_leaving(&rtnl) || only.is_some_and(|it| it != interface.serial) {
        return Err(ENXIO);
    }
    let is_used = registry::lock().is_used(&dev) || stack::events::has(&dev, &rtnl);
    if is_used || interface.is_connected(&rtnl) {
        return Err(EBUSY);
    }
    // SAFETY: It is registered, and the RTNL mutex is held.
    unsafe { bindings::netmap_interface_remove(dev.as_ptr()) };
    // Whoever lets go of the mutex waits for our reference.
    drop(dev);
    drop(rtnl);
    Ok(())
}

/// What the devices are known to the host by, as long as this value lives; dropping it removes all.
pub(super) struct Interfaces(());

impl Interfaces {
    pub(super) fn register() -> Result<Self> {
        // SAFETY: Called once, and undone when the value is dropped.
        to_result(unsafe { bindings::netmap_interfaces_init() })?;
        Ok(Self(()))
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        // SAFETY: They were registered.
        unsafe { bindings::netmap_interfaces_exit() };
    }
}

/// # Safety
///
/// For `interface.c` alone, with the owner of a device that sends the packet, which is given away. Softirqs are off.
#[no_mangle]
unsafe extern "C" fn netmap_interface_sent(
    owner: *const c_void,
    skb: *mut bindings::sk_buff,
) -> bool {
    let Some(skb) = NonNull::new(skb) else {
        return false;
    };
    // SAFETY: By the function's requirement.
    unsafe { (*owner.cast::<Interface>()).send(SentSkb::from_raw(skb)) }
}

/// # Safety
///
/// For `interface.c` alone, with the owner of a device that is unregistered. The RTNL mutex is held.
#[no_mangle]
unsafe extern "C" fn netmap_interface_gone(owner: *const c_void) {
    // SAFETY: By the function's requirement.
    unsafe { (*owner.cast::<Interface>()).gone(Rtnl::assume()) };
}

/// # Safety
///
/// For `interface.c` alone, with the owner of a device that nobody has any more. No lock is held but that of the network namespaces.
#[no_mangle]
unsafe extern "C" fn netmap_interface_free(owner: *const c_void) {
    // SAFETY: It was made of a box, and this is the last use.
    let interface = unsafe { KBox::from_raw(owner.cast::<Interface>().cast_mut()) };
    leave(&interface.region);
}
