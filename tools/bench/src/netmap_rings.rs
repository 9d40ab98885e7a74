// SPDX-License-Identifier: BSD-2-Clause
//! netmap, through the crate of this workspace.

use crate::payload::{put, take, Sink, Source};
use crate::run::{Receiver, Sender};
use bench::clock;
use frame::Mac;
use netmap::abi::NS_REPORT;
use netmap::{Interest, Options, Port, PortSpec, TxRing};
use std::io;
use std::time::Duration;

/// How long frames may take to leave, in nanoseconds.
const DRAIN_LIMIT: u64 = 5_000_000_000;

/// Queues of a NIC, each a port of its own as that of a thread that has this queue alone. They are taken in turn: a batch,
/// which is one system call, goes through one queue, the next batch through the next. Frames of each queue are a flow of
/// their own, which the receiving NIC is to put into the queue of the same number; so a receiver that takes the queues in
/// the same turn finds frames in order.
pub struct Rings {
    ports: Vec<Port>,
    turns: Turns,
    /// Whether a frame that was synced has left though its slot is not free: the other end of a pipe has it.
    leaves_at_once: bool,
}

/// Whose turn it is.
#[derive(Clone, Copy)]
struct Turns {
    queues: u64,
    batch: u64,
}

impl Turns {
    /// The queue for frame number `sequence`, and how many frames are left of its batch.
    #[inline(always)]
    fn at(self, sequence: u64) -> (usize, u32) {
        let left = self.batch - sequence % self.batch;
        // Below the number of queues, and no more than a batch.
        ((sequence / self.batch % self.queues) as usize, left as u32)
    }
}

impl Rings {
    /// Opens the port, for batches of `batch` frames; or, if `queues` is more than one, so many ports of one queue
    /// each, from the first queue on.
    ///
    /// # Errors
    ///
    /// See [`netmap::OpenError`]; `ENXIO` if a port has no ring of the direction that is needed.
    pub fn open(name: &str, (tx, rx): (bool, bool), queues: u32, batch: u32) -> io::Result<Rings> {
        let open = |name: &str| {
            let spec: PortSpec = name.parse().map_err(io::Error::other)?;
            let mut port = Port::open(&spec, &Options::default()).map_err(io::Error::other)?;
            if (tx && port.tx_mut().is_empty()) || (rx && port.rx_mut().is_empty()) {
                return Err(io::Error::from_raw_os_error(libc::ENXIO));
            }
            Ok(port)
        };
        let ports = if queues == 1 {
            vec![open(name)?]
        } else {
            let open_queue = |queue| open(&format!("{name}-{queue}"));
            (0..queues).map(open_queue).collect::<io::Result<_>>()?
        };
        let turns = Turns {
            queues: queues.into(),
            batch: batch.into(),
        };
        Ok(Rings {
            ports,
            turns,
            leaves_at_once: name.contains(['{', '}']),
        })
    }

    /// Sends one frame from a link address to everybody, by which a switch learns where that address is.
    ///
    /// # Errors
    ///
    /// Those of a sender.
    pub fn announce(&mut self, address: Mac) -> io::Result<()> {
        let mut source =
            Source::<60>::new(address, Mac::BROADCAST, 60, 1).map_err(io::Error::other)?;
        self.send(&mut source, 1)?;
        self.finish()
    }
}

fn lost() -> io::Error {
    io::Error::other("the interface is gone")
}

/// Queues up to `count` frames; the caller has checked that the ring's buffers hold one.
#[inline(always)]
fn fill<const LEN: usize>(
    ring: &mut TxRing,
    source: &mut Source<LEN>,
    count: u32,
    flags: u16,
) -> u32 {
    let frame = source.frame();
    match source.alternating() {
        None => fill_from(ring, source, count, flags, |_| frame),
        Some(frames) => fill_from(ring, source, count, flags, |next| {
            frames[(next & 1) as usize]
        }),
    }
}

/// [`fill`], with the frame that `pick` returns for each sequence number.
#[inline(always)]
fn fill_from<const LEN: usize>(
    ring: &mut TxRing,
    source: &mut Source<LEN>,
    count: u32,
    flags: u16,
    pick: impl Fn(u64) -> *const u8,
) -> u32 {
    let len = source.len();
    let mut next = source.next;
    let sent = ring.fill(count, |slot| {
        // SAFETY: Each frame has `len` octets and the buffer room for them.
        unsafe { put::<LEN>(pick(next), slot.buf_ptr(), len, next) };
        next += 1;
        // Below `MAX_LEN`.
        slot.set(len as u16, flags);
    });
    source.next = next;
    sent
}

impl Sender for Rings {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        let (at, left) = self.turns.at(source.next);
        if self.turns.queues > 1 {
            source.set_flow(at as u16);
        }
        let count = count.min(left);
        let (binding, tx, _) = self.ports[at].split();
        let ring = &mut tx[0];
        if source.len() > ring.buf_size() as usize {
            return Err(io::Error::other(
                "the frame does not fit the port's buffers",
            ));
        }
        while ring.is_empty() {
            if binding.poll(Interest::Tx, None)?.error {
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
        if self.leaves_at_once {
            return Ok(());
        }
        let start = clock::now();
        for port in &mut self.ports {
            let (binding, tx, _) = port.split();
            while tx.iter_mut().any(|ring| ring.pending() != 0) {
                if clock::now() - start > DRAIN_LIMIT {
                    return Err(io::Error::other(
                        "frames do not leave the ring: is the link up?",
                    ));
                }
                binding.sync_tx()?;
            }
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
        let (at, left) = self.turns.at(sink.expected);
        let count = count.min(left);
        let (binding, _, rx) = self.ports[at].split();
        let ring = &mut rx[0];
        binding.sync_rx()?;
        if ring.is_empty() {
            let Some(patience) = patience else {
                return Ok(0);
            };
            if binding.poll(Interest::Rx, Some(patience))?.error {
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

/// Several receivers, each of which gets all frames.
pub struct Everyone {
    /// Each with the sequence number that is due to it.
    receivers: Vec<(Rings, u64)>,
}

impl Everyone {
    /// Of these, one at least.
    pub fn new(receivers: Vec<Rings>) -> Everyone {
        Everyone {
            receivers: receivers.into_iter().map(|it| (it, 0)).collect(),
        }
    }
}

impl Receiver for Everyone {
    /// Counts the frames that have come to all.
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        let (before, frames) = (sink.expected, sink.frames);
        let mut slowest = u64::MAX;
        for (rings, expected) in &mut self.receivers {
            // What was taken for lost meanwhile is not waited for.
            sink.expected = before.max(*expected);
            rings.receive(sink, count, patience)?;
            *expected = sink.expected;
            slowest = slowest.min(*expected);
        }
        sink.expected = slowest;
        sink.frames = frames + (slowest - before);
        // No more than the least of what each has taken.
        Ok((slowest - before) as u32)
    }
}
