// SPDX-License-Identifier: GPL-2.0

//! Stack ports: the payload of TCP connections in the slots of two rings.
//!
//! A program has its connections from `connect()` and `accept()`, and this port moves their data. The kernel's TCP does what it
//! does for any socket, and the device and its driver are not touched: so a stack port works on any Ethernet device, and beside
//! ports of other kinds of the same device. Each bind makes a port of its own, for descriptors are numbers of one process. The
//! design is described in `Documentation/stackmap.md`.

mod buffers;
pub(crate) mod events;
mod receive;
mod sockets;
mod transmit;

use super::{
    kind::{DeviceSteps, Kind, Steps},
    nic::refused,
    port::{device_name, Port, RingUses}, //
};
use crate::{
    logic::{
        payload::Pointer,
        pools::round_slots,
        request::Geometry,
        ring::MAX_SLOTS,
        ringset::RingSet,
        selection::RingCounts, //
    },
    mem::Region,
    nic::Refusal,
    prelude::*,
    ring::{
        kring::Kring,
        queue::{Direction, Queue}, //
    },
    sys::{
        netdev::NetDev,
        rtnl::Rtnl,
        socket::Place,
        work::{Job, Work}, //
    }, //
};
use core::fmt;
use kernel::sync::{new_mutex, Mutex};
use receive::RxQueue;
use sockets::Stack;
use transmit::TxQueue;

/// Slots of a ring, if the request does not say.
const SLOTS: u32 = 1024;
/// Fewest slots of a ring.
const MIN_SLOTS: u32 = 32;
/// Bytes of a buffer that are left to the headers of Ethernet, IPv4 and TCP with time stamps and selective acknowledgements, for
/// ports that write them there.
const ROOM: u32 = 80;

/// A stack port.
pub(crate) struct StackPort {
    port: Arc<Port>,
    rings: Arc<Rings>,
    /// What is left to be done when the device is gone.
    disband: Arc<Work<Disband>>,
    /// Bytes of a buffer before the payload.
    room: u16,
}

/// The rings of a stack port, and what moves their data.
#[pin_data]
struct Rings {
    port: Arc<Port>,
    tx: Arc<TxQueue>,
    rx: Arc<RxQueue>,
    /// Its lock is taken with any other held, and not held for long.
    #[pin]
    state: Mutex<State>,
}

struct State {
    /// [`None`] once the device is gone.
    dev: Option<NetDev>,
    /// There while the rings are in use.
    stack: Option<Arc<Stack>>,
}

/// Makes the connections of a port whose device is gone ordinary sockets. That waits for the locks of sockets, which may be held by
/// someone who waits for the RTNL mutex.
struct Disband(Arc<Rings>);

impl Job for Disband {
    fn run(&self) {
        self.0.disband();
    }
}

/// A port of a device, with no ring in use. `EOPNOTSUPP` with the reason in the log if it is no Ethernet device; `ENOMEM`.
pub(super) fn open(
    dev: &NetDev,
    wish: &Geometry,
    region: Arc<Region>,
    rtnl: &Rtnl,
) -> Result<Arc<dyn Kind>> {
    if let Some(reason) = dev.not_ethernet(rtnl) {
        return Err(refused(dev, Refusal::new(EOPNOTSUPP, reason), rtnl));
    }
    let counts = RingCounts {
        tx: 1,
        rx: 1,
        host_tx: 0,
        host_rx: 0,
    };
    let slots = |wish: u32| {
        let wish = if wish == 0 { SLOTS } else { wish };
        round_slots(wish.clamp(MIN_SLOTS, MAX_SLOTS), SLOTS, 1)
    };
    let slots = (slots(wish.tx_slots), slots(wish.rx_slots));
    let room = ROOM.min(region.buf_size() / 4) as u16;
    let port = Port::new(device_name(&dev.name(rtnl)), counts, slots, region)?;
    let state = State {
        dev: Some(dev.clone()),
        stack: None,
    };
    let shared = port.clone();
    let rings = Arc::pin_init(
        pin_init!(Rings {
            port: shared,
            tx: TxQueue::new()?,
            rx: RxQueue::new()?,
            state <- new_mutex!(state, "netmap_stack"),
        }? Error),
        GFP_CHARGED,
    )?;
    let stack = StackPort {
        port,
        disband: Work::new(Disband(rings.clone()))?,
        rings,
        room,
    };
    Ok(Arc::new(
        StackKind(Arc::new(stack, GFP_CHARGED)?),
        GFP_CHARGED,
    )?)
}

/// A stack port as one of its kind.
struct StackKind(Arc<StackPort>);

impl Rings {
    /// The two rings.
    fn krings(&self) -> Result<(&Arc<Kring>, &Arc<Kring>)> {
        let ring = |direction| self.port.kring(direction, 0).ok_or(EINVAL);
        Ok((ring(Direction::Tx)?, ring(Direction::Rx)?))
    }

    fn stack(&self) -> Result<Arc<Stack>> {
        let state = self.state.lock();
        state.stack.clone().ok_or(ENXIO)
    }

    /// Makes all connections ordinary sockets again. Whoever does it is the only one to stop the rings meanwhile. Without any mutex held:
    /// it waits for syncs, and for the locks of sockets.
    fn disband(&self) {
        let Some(stack) = self.state.lock().stack.take() else {
            return;
        };
        let Ok((tx, rx)) = self.krings() else { return };
        drop(tx.stop());
        let mut held = rx.stop();
        let inner = held.attached().map(|attached| &attached.inner);
        stack.disband(&|connection, put_back| {
            if let Some(inner) = inner {
                // SAFETY: The kring is held.
                unsafe { self.rx.unread(inner, connection, put_back) };
            }
        });
    }
}

impl StackPort {
    /// Writes what programs find in a ring of a stack port, and in its slots at first.
    fn prepare_ring(&self, kring: &Kring) -> Result {
        let mut held = kring.stop();
        let inner = &mut held.attached().ok_or(EINVAL)?.inner;
        let ring = inner.ring;
        let header = ring.header();
        // SAFETY: The header is mapped, and the accesses are volatile.
        unsafe {
            (&raw mut (*header).stack_room).write_volatile(u32::from(self.room));
            if kring.direction == Direction::Rx {
                let runs = ring.at(ring.num_slots()).cast::<crate::abi::StackRuns>();
                let distance = (runs as usize).wrapping_sub(header as usize);
                (&raw mut (*header).stack_ofs).write_volatile(distance as i64);
                (&raw mut (*runs).max).write_volatile(ring.num_slots());
            }
        }
        for index in 0..ring.num_slots() {
            // SAFETY: The index is below the number of slots.
            unsafe { ring.write_pointer(index, Pointer::unnamed(self.room).to_raw()) };
        }
        Ok(())
    }

    /// Makes the rings ready.
    fn prepare(this: &Arc<Self>, rtnl: &Rtnl) -> Result {
        let rings = &*this.rings;
        let (tx, rx) = rings.krings()?;
        this.prepare_ring(tx)?;
        this.prepare_ring(rx)?;
        let slots = this.port.slots();
        let dev = rings.state.lock().dev.clone().ok_or(ENXIO)?;
        let group = {
            let mut held = rx.stop();
            held.attached().ok_or(EINVAL)?.inner.group.clone()
        };
        let stack = Stack::new(
            Place::of(&dev),
            this.port.region(),
            &group,
            (tx.clone(), rx.clone()),
            slots,
            this.room,
        )?;
        // All slots of the receive ring are the kernel's at first.
        if let Some(attached) = rx.stop().attached() {
            for buffer in attached.inner.shadow.iter() {
                stack.buffers.holders.take(*buffer);
            }
        }
        events::enter(&dev, this, rtnl)?;
        let held = tx.stop();
        // SAFETY: It is stopped, and held.
        unsafe { rings.tx.open(stack.clone(), slots.0)? };
        drop(held);
        let held = rx.stop();
        // SAFETY: As above.
        unsafe { rings.rx.open(stack.clone(), slots.1)? };
        drop(held);
        rings.state.lock().stack = Some(stack);
        tx.start();
        rx.start();
        Ok(())
    }

    /// Closes the rings' queues.
    /// Nobody syncs them any more, and no connection is registered: what took long was done in [`Kind::leaving`].
    fn retire(&self) {
        self.rings.disband();
        let Ok((tx, rx)) = self.rings.krings() else {
            return;
        };
        let held = tx.stop();
        // SAFETY: It is stopped, and held.
        unsafe { self.rings.tx.close() };
        drop(held);
        let held = rx.stop();
        // SAFETY: As above.
        unsafe { self.rings.rx.close() };
        drop(held);
    }

    /// Ends the port, and lets go of the device at once. Its user has the dead port until it closes it.
    fn end(&self, rtnl: &Rtnl) {
        events::leave(self, rtnl);
        let (dev, stack) = {
            let mut state = self.rings.state.lock();
            (state.dev.take(), state.stack.clone())
        };
        if let Some(stack) = stack {
            stack.finish();
        }
        self.port.kill();
        self.disband.ask();
        drop(dev);
    }

    /// Lets go of the device. Nothing is bound.
    fn close(&self, rtnl: &Rtnl) {
        events::leave(self, rtnl);
        self.retire();
        let dev = self.rings.state.lock().dev.take();
        drop(dev);
    }
}

impl Kind for StackKind {
    fn port(&self) -> &Arc<Port> {
        &self.0.port
    }

    fn steps(&self) -> Steps<'_> {
        Steps::Device(self)
    }

    fn behind(&self, kring: &Kring) -> u32 {
        match kring.direction {
            Direction::Tx => 0,
            Direction::Rx => receive::behind(self.0.port.slots().1),
        }
    }

    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>> {
        Ok(match kring.direction {
            Direction::Tx => self.0.rings.tx.clone(),
            Direction::Rx => self.0.rings.rx.clone(),
        })
    }

    fn leaving(&self) {
        // The device may have gone at this moment, and somebody else be at it.
        self.0.disband.cancel();
        self.0.rings.disband();
    }

    fn register(&self, fd: i32) -> Result {
        self.0.rings.stack()?.register(fd)
    }

    fn unregister(&self, fd: i32) -> Result {
        self.0.rings.stack()?.unregister(fd)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_gone, stack) = {
            let state = self.0.rings.state.lock();
            (state.dev.is_none(), state.stack.clone())
        };
        match stack {
            _ if is_gone => f.write_str("gone"),
            None => f.write_str("stack"),
            Some(stack) => write!(
                f,
                "stack (soft), {} connections, {} buffers in TCP",
                stack.count(),
                stack.buffers.pool.held()
            ),
        }
    }
}

impl DeviceSteps for StackKind {
    fn admit(&self, fresh: RingSet, _rtnl: &Rtnl) -> Result {
        // What a connection receives goes to one ring, what it sends comes from the other.
        if fresh.iter().count() != 2 {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn prepare(&self, _fresh: RingSet, rtnl: &Rtnl) -> Result {
        StackPort::prepare(&self.0, rtnl)
    }

    fn retire(&self, _uses: &RingUses, _rings: RingSet, _rtnl: &Rtnl) {
        self.0.retire();
    }

    fn close(&self, rtnl: &Rtnl) {
        self.0.close(rtnl);
    }

    fn end(&self, rtnl: &Rtnl) {
        self.0.end(rtnl);
    }
}
