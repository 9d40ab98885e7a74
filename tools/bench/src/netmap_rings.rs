// SPDX-License-Identifier: BSD-2-Clause
//! netmap, through the crate of this workspace.

use crate::clock;
use crate::payload::{put, take, Sink, Source};
use crate::run::{Receiver, Sender};
use netmap::abi::NS_REPORT;
use netmap::{Interest, Options, Port, PortSpec, TxRing};
use std::io;
use std::time::Duration;

/// How long frames may take to leave, in nanoseconds.
const DRAIN_LIMIT: u64 = 5_000_000_000;

/// A port; frames go through the first ring of each direction.
pub struct Rings(Port);

impl Rings {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// See [`netmap::OpenError`]; `ENXIO` if a direction that is needed has no ring.
    pub fn open(name: &str, needs_tx: bool, needs_rx: bool) -> io::Result<Rings> {
        let spec: PortSpec = name.parse().map_err(io::Error::other)?;
        let mut port = Port::open(&spec, &Options::default()).map_err(io::Error::other)?;
        if (needs_tx && port.tx_mut().is_empty()) || (needs_rx && port.rx_mut().is_empty()) {
            return Err(io::Error::from_raw_os_error(libc::ENXIO));
        }
        Ok(Rings(port))
    }
}

fn lost() -> io::Error {
    io::Error::other("port lost")
}

/// Queues up to `count` frames; the caller has checked that the ring's buffers hold one.
#[inline(always)]
fn fill<const LEN: usize>(
    ring: &mut TxRing,
    source: &mut Source<LEN>,
    count: u32,
    flags: u16,
) -> u32 {
    let (frame, len) = (source.frame(), source.len());
    let mut next = source.next;
    let sent = ring.fill(count, |slot| {
        // SAFETY: `frame` has `len` octets and the buffer room for them.
        unsafe { put::<LEN>(frame, slot.buf_ptr(), len, next) };
        next += 1;
        // Below `MAX_LEN`.
        slot.set(len as u16, flags);
    });
    source.next = next;
    sent
}

impl Sender for Rings {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        let (binding, tx, _) = self.0.split();
        let ring = &mut tx[0];
        if source.len() > ring.buf_size() as usize {
            return Err(io::Error::other(
                "the frame does not fit the port's buffers",
            ));
        }
        while ring.is_empty() {
            if binding.poll(Interest::Tx, None)?.lost {
                return Err(lost());
            }
        }
        // The very last frame asks for a report, or the kernel may be slow to say that it has left.
        let is_last = source.total - source.next <= u64::from(count);
        let mut sent = fill(ring, source, count - u32::from(is_last), 0);
        if is_last && sent == count - 1 {
            sent += fill(ring, source, 1, NS_REPORT);
        }
        binding.sync_tx()?;
        Ok(sent)
    }

    fn finish(&mut self) -> io::Result<()> {
        let (binding, tx, _) = self.0.split();
        let start = clock::now();
        while tx[0].pending() != 0 {
            if clock::now() - start > DRAIN_LIMIT {
                return Err(io::Error::other(
                    "frames do not leave the ring: is the link up?",
                ));
            }
            binding.sync_tx()?;
        }
        Ok(())
    }
}

impl Receiver for Rings {
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        let (binding, _, rx) = self.0.split();
        let ring = &mut rx[0];
        binding.sync_rx()?;
        if ring.is_empty() {
            let Some(patience) = patience else {
                return Ok(0);
            };
            if binding.poll(Interest::Rx, Some(patience))?.lost {
                return Err(lost());
            }
        }
        if (ring.buf_size() as usize) < LEN {
            return Err(io::Error::other(
                "the port's buffers are smaller than a frame",
            ));
        }
        let room = sink.room();
        let mut expected = sink.expected;
        let taken = ring.drain(count, |slot| {
            let len = if LEN == 0 { slot.packet().len() } else { LEN };
            // SAFETY: the buffer holds `len` octets: as checked above, or as `packet` has cut it.
            let sequence = unsafe { take::<LEN>(slot.buf_ptr(), room, len) };
            let due = expected;
            expected = due + 1;
            if sequence != due {
                expected = sink.unexpected(due);
            }
        });
        sink.expected = expected;
        sink.frames += u64::from(taken);
        Ok(taken)
    }
}
