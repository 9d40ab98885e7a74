// SPDX-License-Identifier: BSD-2-Clause
//! A port below smoltcp's TCP/IP.

use crate::port::Port;
use crate::ring::{RxRing, TxRing};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;

/// A port as a device of smoltcp.
///
/// The device moves packets between smoltcp and the rings; the program syncs:
///
/// ```no_run
/// use netmap::{Interest, Options, Port, SmoltcpDevice};
/// use smoltcp::iface::{Config, Interface, SocketSet};
/// use smoltcp::time::Instant;
/// use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
///
/// let port = Port::open(&"netmap:eth0".parse()?, &Options::default())?;
/// let mut device = SmoltcpDevice::new(port, 1500);
/// let address = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let mut interface = Interface::new(Config::new(address.into()), &mut device, Instant::now());
/// interface.update_ip_addrs(|addresses| {
///     addresses.push(IpCidr::new(IpAddress::v4(192, 0, 2, 1), 24)).ok();
/// });
/// let mut sockets = SocketSet::new(vec![]);
/// loop {
///     interface.poll(Instant::now(), &mut device, &mut sockets);
///     let delay = interface.poll_delay(Instant::now(), &sockets);
///     // Sends what was queued, too.
///     device.port().poll(Interest::Rx, delay.map(Into::into))?;
/// }
/// # #[allow(unreachable_code)] // The loop has no end.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SmoltcpDevice {
    port: Port,
    mtu: usize,
}

impl SmoltcpDevice {
    /// A port, and the longest IP packet that smoltcp is to make, in octets; it is less if a buffer is shorter.
    pub fn new(mut port: Port, mtu: usize) -> SmoltcpDevice {
        let buffers = port.tx_mut().iter().map(|ring| ring.buf_size() as usize);
        let frame = buffers.fold(mtu + ETHERNET, usize::min);
        SmoltcpDevice {
            port,
            mtu: frame - ETHERNET.min(frame),
        }
    }

    /// The port, to sync and to wait.
    pub fn port(&mut self) -> &mut Port {
        &mut self.port
    }

    /// The port, no longer a device.
    pub fn into_port(self) -> Port {
        self.port
    }
}

impl Device for SmoltcpDevice {
    type RxToken<'d> = DeviceRx<'d>;
    type TxToken<'d> = DeviceTx<'d>;

    fn receive(&mut self, _: Instant) -> Option<(DeviceRx<'_>, DeviceTx<'_>)> {
        let (_, tx, rx) = self.port.split();
        let (received, slots) = rx
            .iter_mut()
            .find_map(|ring| ring.first_packet().map(|slots| (ring, slots)))?;
        // What is received may have to be answered.
        let free = tx.iter_mut().find(|ring| !ring.is_empty())?;
        Some((DeviceRx(received, slots), DeviceTx(free)))
    }

    fn transmit(&mut self, _: Instant) -> Option<DeviceTx<'_>> {
        let free = self
            .port
            .tx_mut()
            .iter_mut()
            .find(|ring| !ring.is_empty())?;
        Some(DeviceTx(free))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + ETHERNET;
        capabilities
    }
}

/// A packet that was received: its ring, and in how many slots it is.
pub struct DeviceRx<'d>(pub(crate) &'d mut RxRing, pub(crate) u32);

impl RxToken for DeviceRx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let DeviceRx(ring, slots) = self;
        let result = match ring.slot(0) {
            Some(slot) if slots == 1 => f(slot.packet()),
            _ => {
                let mut packet = Vec::new();
                for ahead in 0..slots {
                    if let Some(slot) = ring.slot(ahead) {
                        packet.extend_from_slice(slot.packet());
                    }
                }
                f(&packet)
            }
        };
        ring.drain(slots, |_| {});
        result
    }
}

/// A ring with room for a packet.
pub struct DeviceTx<'d>(pub(crate) &'d mut TxRing);

impl TxToken for DeviceTx<'_> {
    /// # Panics
    ///
    /// If the packet is longer than the device says that it may be.
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let (mut f, mut result) = (Some(f), None);
        self.0.fill(1, |slot| {
            // A buffer is no longer than a slot's length can tell.
            slot.set(len as u16, 0);
            let packet = &mut slot.buf_mut()[..len];
            result = f.take().map(|f| f(packet));
        });
        match (result, f) {
            (Some(result), _) => result,
            // Another process has taken the room away: the packet is lost.
            (None, Some(f)) => f(&mut vec![0; len]),
            (None, None) => unreachable!("a slot is filled once"),
        }
    }
}
