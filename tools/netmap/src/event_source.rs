// SPDX-License-Identifier: BSD-2-Clause
//! Ports in a `mio::Poll`.

use crate::port::Port;
use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::AsRawFd;

/// An event comes when rings become ready, and is a sync: what it says is in the rings then. A program takes all of that, or syncs
/// and looks again, before it waits for the next one.
///
/// ```no_run
/// use mio::{Events, Interest, Poll, Token};
/// use netmap::{Options, Port};
///
/// let mut port = Port::open(&"netmap:eth0".parse()?, &Options::default())?;
/// let mut poll = Poll::new()?;
/// poll.registry().register(&mut port, Token(0), Interest::READABLE)?;
/// let mut events = Events::with_capacity(1);
/// loop {
///     poll.poll(&mut events, None)?;
///     port.sync_rx()?;
///     for ring in port.rx_mut() {
///         ring.drain(u32::MAX, |slot| println!("{} octets", slot.len()));
///     }
/// }
/// # #[allow(unreachable_code)] // The loop has no end.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Source for Port {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).register(registry, token, interest)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.as_raw_fd()).deregister(registry)
    }
}
