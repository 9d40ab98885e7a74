// SPDX-License-Identifier: BSD-2-Clause
//! The load: a TCP client of many connections over netmap, with one request under way on each.
//!
//! It is as cheap as it can be, for its share is taken off what is measured. It opens connections, sends requests, and
//! counts the octets of the responses; the first eight of each must be those of its request. A request acknowledges the
//! response before it: there are segments without payload only to complete a handshake and for a response that has come in
//! part. It retransmits only when nothing has happened for long, and closes nothing.

use crate::segment::{parse, sum, Fields, Headers, Path, Segment, ACK, PAYLOAD, PSH, RST, SYN};
use bench::clock;
use netmap::{Binding, Interest, Options, Port, PortSpec, TxRing, TxSlot};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Octets of a request.
pub const REQUEST: usize = 64;
/// Octets at the start of a request, and of its response, that tell it from others.
pub const NUMBER: usize = 8;
/// Port of the first connection; each has one of its own.
const FIRST_PORT: u16 = 10_000;
/// Connections that may be in their handshake at once: fewer than a listener holds.
const OPENING: usize = 64;
/// How often all may be said again.
const REPEATS: u64 = 20;
/// How long a ring may stay full.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Opening,
    Idle,
    /// A request is under way.
    Asking,
}

/// One connection.
struct Connection {
    state: State,
    /// Number of the next octet to send, the request under way counted.
    seq: u32,
    /// Number of the next octet to receive.
    ack: u32,
    /// The server's clock.
    echo: u32,
    /// Octets of the response that have come.
    got: usize,
    /// It is in the table's `pieces`.
    listed: bool,
    /// Number of the request under way.
    number: u64,
}

/// What is to be sent on a connection.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Open,
    Acknowledge,
    Ask,
}

/// Connections, and what is to be sent on them.
struct Table {
    connections: Vec<Connection>,
    queue: Vec<(usize, Kind)>,
    /// Connections of which a piece of a response has come in this turn, and perhaps the rest of it.
    pieces: Vec<usize>,
    server_port: u16,
    response: usize,
    /// Requests that may still be begun.
    quota: u64,
    asking: usize,
    opening: usize,
    opened: usize,
    /// Connections with a part of a response.
    partial: usize,
    next_number: u64,
    errors: u64,
}

/// The client.
pub struct Client {
    port: Port,
    table: Table,
    headers: Headers,
    request: [u8; REQUEST],
    /// Of the request without its number.
    request_sum: u64,
    repeated: u64,
}

/// Sends a frame for each item, all in as few system calls as the ring has room for.
///
/// # Errors
///
/// The system call's; `TimedOut` if the ring stays full.
pub fn send_all<T>(
    binding: &Binding,
    ring: &mut TxRing,
    items: &mut Vec<T>,
    mut write: impl FnMut(&mut TxSlot<'_>, &T),
) -> io::Result<()> {
    let mut at = 0;
    while at < items.len() {
        // A ring has fewer slots than 32 bits count.
        let max = (items.len() - at).min(u32::MAX as usize) as u32;
        let sent = ring.fill(max, |slot| {
            write(slot, &items[at]);
            at += 1;
        });
        if sent == 0 && !binding.poll(Interest::Tx, Some(PATIENCE))?.tx {
            return Err(io::ErrorKind::TimedOut.into());
        }
        binding.sync_tx()?;
    }
    items.clear();
    Ok(())
}

impl Table {
    /// Takes a frame that has come.
    #[inline]
    fn take(&mut self, frame: &[u8]) {
        let Some(segment) = parse(frame) else { return };
        let index = usize::from(segment.fields.dst_port.wrapping_sub(FIRST_PORT));
        if segment.fields.src_port != self.server_port || index >= self.connections.len() {
            return;
        }
        if segment.fields.flags & (SYN | RST) != 0 {
            self.answered(index, &segment);
        } else if !segment.payload.is_empty() {
            self.receive(index, &segment);
        }
    }

    /// The handshake's second segment, or a refusal.
    fn answered(&mut self, index: usize, segment: &Segment<'_>) {
        let connection = &mut self.connections[index];
        let fields = &segment.fields;
        if fields.flags & RST != 0 {
            self.errors += 1;
            return;
        }
        if connection.state == State::Opening && fields.ack == connection.seq {
            connection.state = State::Idle;
            connection.ack = fields.seq.wrapping_add(1);
            connection.echo = fields.stamp;
            self.opening -= 1;
            self.opened += 1;
        }
        self.queue.push((index, Kind::Acknowledge));
    }

    /// Octets of a response.
    #[inline]
    fn receive(&mut self, index: usize, segment: &Segment<'_>) {
        let connection = &mut self.connections[index];
        let len = segment.payload.len();
        let due = segment.fields.seq == connection.ack && connection.state == State::Asking;
        if !due || connection.got + len > self.response {
            self.errors += 1;
            self.queue.push((index, Kind::Acknowledge));
            return;
        }
        if connection.got == 0 {
            let number = segment.payload.get(..NUMBER);
            if number != Some(&connection.number.to_le_bytes()[..]) {
                self.errors += 1;
            }
            self.partial += 1;
        }
        connection.echo = segment.fields.stamp;
        // No longer than a frame.
        connection.ack = connection.ack.wrapping_add(len as u32);
        connection.got += len;
        if connection.got == self.response {
            connection.got = 0;
            connection.state = State::Idle;
            self.partial -= 1;
            self.asking -= 1;
            self.ask(index);
        } else if !connection.listed {
            connection.listed = true;
            self.pieces.push(index);
        }
    }

    /// Acknowledges what has come of responses that are not yet whole: without that, a server may not send the rest.
    fn acknowledge_pieces(&mut self) {
        for index in self.pieces.drain(..) {
            let connection = &mut self.connections[index];
            connection.listed = false;
            if connection.got != 0 {
                self.queue.push((index, Kind::Acknowledge));
            }
        }
    }

    /// The next request of an idle connection, if there is to be one.
    #[inline]
    fn ask(&mut self, index: usize) {
        if self.quota == 0 {
            return;
        }
        self.quota -= 1;
        self.asking += 1;
        let connection = &mut self.connections[index];
        connection.state = State::Asking;
        connection.number = self.next_number;
        connection.seq = connection.seq.wrapping_add(REQUEST as u32);
        self.next_number += 1;
        self.queue.push((index, Kind::Ask));
    }

    /// What must be said again after a long silence.
    fn again(&mut self) {
        for (index, connection) in self.connections.iter().enumerate() {
            match connection.state {
                State::Opening => self.queue.push((index, Kind::Open)),
                State::Asking if connection.got == 0 => self.queue.push((index, Kind::Ask)),
                State::Idle | State::Asking => self.queue.push((index, Kind::Acknowledge)),
                State::Closed => {}
            }
        }
    }
}

impl Client {
    /// A client on the port `interface`, from `path.src` to `path.dst`, of connections that get `response` octets for each
    /// request.
    ///
    /// # Errors
    ///
    /// See [`netmap::OpenError`].
    pub fn open(
        interface: &str,
        path: &Path,
        server_port: u16,
        connections: usize,
        response: usize,
    ) -> io::Result<Client> {
        let spec: PortSpec = interface.parse().map_err(io::Error::other)?;
        let port = Port::open(&spec, &Options::default()).map_err(io::Error::other)?;
        let mut request = [b'.'; REQUEST];
        request[..NUMBER].fill(0);
        let connection = |index: usize| Connection {
            state: State::Closed,
            // Whatever: far apart, so that a segment of another connection would be noticed.
            seq: (index as u32).wrapping_mul(0x0101_0101),
            ack: 0,
            echo: 0,
            got: 0,
            listed: false,
            number: 0,
        };
        Ok(Client {
            port,
            table: Table {
                connections: (0..connections).map(connection).collect(),
                queue: Vec::new(),
                pieces: Vec::new(),
                server_port,
                response,
                quota: 0,
                asking: 0,
                opening: 0,
                opened: 0,
                partial: 0,
                next_number: 1,
                errors: 0,
            },
            headers: Headers::new(path),
            request_sum: sum(&request),
            request,
            repeated: 0,
        })
    }

    /// Begins handshakes, as many as may be under way. True once all connections are open.
    pub fn connect(&mut self) -> bool {
        let table = &mut self.table;
        let begun = table.opened + table.opening;
        let end = table
            .connections
            .len()
            .min(begun + OPENING.saturating_sub(table.opening));
        for index in begun..end {
            let connection = &mut table.connections[index];
            connection.state = State::Opening;
            connection.seq = connection.seq.wrapping_add(1);
            table.opening += 1;
            table.queue.push((index, Kind::Open));
        }
        table.opened == table.connections.len() && table.queue.is_empty()
    }

    /// Has `count` requests made, which the connections share as they come to it.
    pub fn start(&mut self, count: u64) {
        self.table.quota = count;
        for index in 0..self.table.connections.len() {
            self.table.ask(index);
        }
    }

    /// All requests have their responses.
    pub fn is_done(&self) -> bool {
        self.table.quota == 0 && self.table.asking == 0
    }

    /// Something may come without a turn of the server: the rest of a handshake, or of a response.
    pub fn expects(&self) -> bool {
        self.table.opening != 0 || self.table.partial != 0
    }

    /// What came that was not due, or not what was asked for.
    pub fn errors(&self) -> u64 {
        self.table.errors
    }

    /// How often all was said again, because nothing came.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Takes what has come and sends what follows from it. True if there was anything.
    ///
    /// # Errors
    ///
    /// The system calls'.
    pub fn turn(&mut self) -> io::Result<bool> {
        let (binding, tx, rx) = self.port.split();
        binding.sync_rx()?;
        let mut taken = 0;
        for ring in rx {
            taken += ring.drain(u32::MAX, |slot| self.table.take(slot.packet()));
        }
        self.table.acknowledge_pieces();
        if self.table.queue.is_empty() {
            return Ok(taken != 0);
        }
        // Milliseconds, of which a timestamp has 32 bits.
        let stamp = (clock::now() / 1_000_000) as u32;
        let Table {
            connections,
            queue,
            server_port,
            ..
        } = &mut self.table;
        send_all(binding, &mut tx[0], queue, |slot, &(index, kind)| {
            let connection = &connections[index];
            let mut fields = Fields {
                // Fewer connections than ports.
                src_port: FIRST_PORT + index as u16,
                dst_port: *server_port,
                seq: connection.seq,
                ack: connection.ack,
                flags: ACK,
                stamp,
                echo: connection.echo,
            };
            let buffer = slot.buf_mut();
            let len = match kind {
                Kind::Open => {
                    fields.flags = SYN;
                    fields.seq = connection.seq.wrapping_sub(1);
                    let frame = self.headers.first(&fields);
                    buffer[..frame.len()].copy_from_slice(&frame);
                    frame.len()
                }
                Kind::Acknowledge => self.headers.write(buffer, &fields, 0, 0),
                Kind::Ask => {
                    let number = connection.number.to_le_bytes();
                    let payload = &mut buffer[PAYLOAD..PAYLOAD + REQUEST];
                    payload.copy_from_slice(&self.request);
                    payload[..NUMBER].copy_from_slice(&number);
                    fields.seq = connection.seq.wrapping_sub(REQUEST as u32);
                    fields.flags = ACK | PSH;
                    let total = self.request_sum + sum(&number);
                    self.headers.write(buffer, &fields, REQUEST, total)
                }
            };
            // No longer than a frame.
            slot.set(len as u16, 0);
        })?;
        Ok(true)
    }

    /// Says all again that has had no answer.
    ///
    /// # Errors
    ///
    /// `TimedOut` if that was to no avail, with what is missing.
    pub fn repeat(&mut self) -> io::Result<()> {
        let table = &mut self.table;
        self.repeated += 1;
        if self.repeated > REPEATS {
            let said = format!(
                "no answer: {} of {} connections open, {} with a request under way, {} of these with a part of the response, \
                 {} errors",
                table.opened,
                table.connections.len(),
                table.asking,
                table.partial,
                table.errors
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, said));
        }
        table.again();
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}
