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
    host::HostTx,
    kind::Kind,
    nic::refused,
    port::{Port, RingUses}, //
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
    sys::{netdev::NetDev, rtnl::Rtnl}, //
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
#[pin_data]
pub(crate) struct StackPort {
    port: Arc<Port>,
    tx: Arc<TxQueue>,
    rx: Arc<RxQueue>,
    /// Bytes of a buffer before the payload.
    room: u16,
    /// Its lock is taken with that of the port held, or without; what is inside takes krings and sockets.
    #[pin]
    state: Mutex<State>,
}

struct State {
    /// [`None`] once the device is gone.
    dev: Option<NetDev>,
    /// There while the rings are in use.
    stack: Option<Arc<Stack>>,
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
    let port = Port::new(dev.name(rtnl), counts, slots, region)?;
    let state = State {
        dev: Some(dev.clone()),
        stack: None,
    };
    let stack = Arc::pin_init(
        pin_init!(StackPort {
            port,
            tx: TxQueue::new()?,
            rx: RxQueue::new()?,
            room,
            state <- new_mutex!(state, "netmap_stack"),
        }? Error),
        GFP_CHARGED,
    )?;
    Ok(Arc::new(StackKind(stack), GFP_CHARGED)?)
}

/// A stack port as one of its kind.
struct StackKind(Arc<StackPort>);

impl StackPort {
    /// The two rings.
    fn rings(&self) -> Result<(&Arc<Kring>, &Arc<Kring>)> {
        let ring = |direction| self.port.kring(direction, 0).ok_or(EINVAL);
        Ok((ring(Direction::Tx)?, ring(Direction::Rx)?))
    }

    fn stack(&self) -> Result<Arc<Stack>> {
        let state = self.state.lock();
        state.stack.clone().ok_or(ENXIO)
    }

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
        let (tx, rx) = this.rings()?;
        this.prepare_ring(tx)?;
        this.prepare_ring(rx)?;
        let slots = this.port.slots();
        let mut state = this.state.lock();
        let dev = state.dev.clone().ok_or(ENXIO)?;
        let group = {
            let mut held = rx.stop();
            held.attached().ok_or(EINVAL)?.inner.group.clone()
        };
        let rings = (tx.clone(), rx.clone());
        let stack = Stack::new(
            dev.clone(),
            this.port.region(),
            &group,
            rings,
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
        unsafe { this.tx.open(stack.clone(), slots.0)? };
        drop(held);
        let held = rx.stop();
        // SAFETY: As above.
        unsafe { this.rx.open(stack.clone(), slots.1)? };
        drop(held);
        state.stack = Some(stack);
        drop(state);
        tx.start();
        rx.start();
        Ok(())
    }

    /// Makes all connections ordinary sockets again. No sync is in the rings after that.
    fn disband(&self) {
        let mut state = self.state.lock();
        let (Some(stack), Ok((tx, rx))) = (state.stack.take(), self.rings()) else {
            return;
        };
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

    /// Closes the rings' queues.
    fn retire(&self) {
        self.disband();
        let Ok((tx, rx)) = self.rings() else { return };
        let held = tx.stop();
        // SAFETY: It is stopped, and held.
        unsafe { self.tx.close() };
        drop(held);
        let held = rx.stop();
        // SAFETY: As above.
        unsafe { self.rx.close() };
        drop(held);
    }

    /// Ends the port. Its user has the dead port until it closes it.
    fn end(&self, rtnl: &Rtnl) {
        self.port.kill();
        self.close(rtnl);
    }

    /// Lets go of the device.
    fn close(&self, rtnl: &Rtnl) {
        events::leave(self, rtnl);
        self.retire();
        let dev = self.state.lock().dev.take();
        drop(dev);
    }
}

impl Kind for StackKind {
    fn port(&self) -> &Arc<Port> {
        &self.0.port
    }

    fn device(&self) -> Option<NetDev> {
        None
    }

    fn admit(&self, fresh: RingSet, _rtnl: &Rtnl) -> Result {
        // What a connection receives goes to one ring, what it sends comes from the other.
        if fresh.iter().count() != 2 {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn behind(&self, kring: &Kring) -> u32 {
        match kring.direction {
            Direction::Tx => 0,
            Direction::Rx => receive::behind(self.0.port.slots().1),
        }
    }

    fn queue(&self, kring: &Kring) -> Result<Arc<dyn Queue>> {
        Ok(match kring.direction {
            Direction::Tx => self.0.tx.clone(),
            Direction::Rx => self.0.rx.clone(),
        })
    }

    fn prepare(&self, _fresh: RingSet, rtnl: &Rtnl) -> Result {
        StackPort::prepare(&self.0, rtnl)
    }

    fn retire(&self, _uses: &RingUses, _rings: RingSet, _rtnl: &Rtnl) {
        self.0.retire();
    }

    fn uses_changed(&self, _uses: &RingUses) {}

    fn leaving(&self) {
        self.0.disband();
    }

    fn register(&self, fd: i32) -> Result {
        self.0.stack()?.register(fd)
    }

    fn unregister(&self, fd: i32) -> Result {
        self.0.stack()?.unregister(fd)
    }

    fn close(&self, rtnl: &Rtnl) {
        self.0.close(rtnl);
    }

    fn end(&self, rtnl: &Rtnl) {
        self.0.end(rtnl);
    }

    fn host(&self) -> Option<Arc<HostTx>> {
        None
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        match (&state.dev, &state.stack) {
            (None, _) => f.write_str("gone"),
            (_, None) => f.write_str("stack"),
            (_, Some(stack)) => write!(
                f,
                "stack (soft), {} connections, {} buffers in TCP",
                stack.count(),
                stack.buffers.pool.held()
            ),
        }
    }

    fn is_taken(&self, _transmit: bool, _ring: u32) -> bool {
        // The driver has its queues.
        false
    }
}
