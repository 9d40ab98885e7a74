// SPDX-License-Identifier: BSD-2-Clause
//! Ports in tokio's event loop.

use crate::binding::Binding;
use crate::port::Port;
use crate::ring::{RxRing, TxRing};
use std::io;
use tokio::io::unix::AsyncFd;

/// A port whose rings are awaited.
///
/// ```no_run
/// # async fn receive() -> Result<(), Box<dyn std::error::Error>> {
/// use netmap::{AsyncPort, Options, Port};
///
/// let port = Port::open(&"netmap:eth0".parse()?, &Options::default())?;
/// let mut port = AsyncPort::new(port)?;
/// loop {
///     for ring in port.received().await? {
///         ring.drain(u32::MAX, |slot| println!("{} octets", slot.len()));
///     }
/// }
/// # }
/// ```
pub struct AsyncPort(AsyncFd<Port>);

impl AsyncPort {
    /// Puts a port into the event loop of the runtime.
    ///
    /// # Errors
    ///
    /// Those of the registration.
    ///
    /// # Panics
    ///
    /// Outside of a runtime with I/O.
    pub fn new(port: Port) -> io::Result<AsyncPort> {
        // SAFETY: a port keeps its file open, and the same one, as long as it lives; here it is lent in parts only, so that
        // nobody puts another one into its place.
        Ok(AsyncPort(unsafe { AsyncFd::register(port)? }))
    }

    /// The receive rings, once one has packets.
    ///
    /// # Errors
    ///
    /// A sync's: `ENXIO` if the port is gone.
    pub async fn received(&mut self) -> io::Result<&mut [RxRing]> {
        loop {
            // An event comes once. What is there is found by a sync, and only what comes after it is awaited.
            let mut ready = self.0.readable_mut().await?;
            let port = ready.get_inner_mut();
            port.sync_rx()?;
            if port.rx_mut().iter().any(|ring| !ring.is_empty()) {
                break;
            }
            ready.clear_ready();
        }
        Ok(self.0.get_mut().rx_mut())
    }

    /// The transmit rings, once one has room; what is queued is sent meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Self::received`].
    pub async fn writable(&mut self) -> io::Result<&mut [TxRing]> {
        loop {
            // As in `received`.
            let mut ready = self.0.writable_mut().await?;
            let port = ready.get_inner_mut();
            port.sync_tx()?;
            if port.tx_mut().iter().any(|ring| !ring.is_empty()) {
                break;
            }
            ready.clear_ready();
        }
        Ok(self.0.get_mut().tx_mut())
    }

    /// See [`Port::split`].
    pub fn split(&mut self) -> (&Binding, &mut [TxRing], &mut [RxRing]) {
        self.0.get_mut().split()
    }

    /// The port, out of the event loop.
    pub fn into_inner(self) -> Port {
        self.0.into_inner()
    }
}
