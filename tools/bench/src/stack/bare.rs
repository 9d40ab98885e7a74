// SPDX-License-Identifier: BSD-2-Clause
//! A server without a stack: a netmap program that turns each request into its response, whatever connection it is of.
//!
//! What it costs is the least that any server can cost; and with it, the client's turns can be timed by themselves, for no
//! interrupt of a server's NIC falls into them.

use crate::client::{send_all, NUMBER, REQUEST};
use crate::segment::{parse, sum, Fields, Headers, Path, ACK, FULL, PAYLOAD, PSH, SYN};
use crate::server::{page, Server};
use netmap::{Options, Port, PortSpec};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// A segment to send: headers, and which part of the response.
struct Answer {
    fields: Fields,
    offset: usize,
    len: usize,
    number: [u8; NUMBER],
}

/// The server.
pub struct Bare {
    port: Port,
    headers: Headers,
    page: Vec<u8>,
    /// Of each segment's part of the page.
    sums: Vec<u64>,
    answers: Vec<Answer>,
}

impl Bare {
    /// Serves on the port `interface`; `path` is that of its answers.
    ///
    /// # Errors
    ///
    /// See [`netmap::OpenError`].
    pub fn open(interface: &str, path: &Path, response: usize) -> io::Result<Bare> {
        let spec: PortSpec = interface.parse().map_err(io::Error::other)?;
        let port = Port::open(&spec, &Options::default()).map_err(io::Error::other)?;
        let mut page = page(response);
        page[..NUMBER].fill(0);
        Ok(Bare {
            port,
            headers: Headers::new(path),
            sums: page.chunks(FULL).map(sum).collect(),
            page,
            answers: Vec::new(),
        })
    }
}

/// Queues what answers the segment in `frame`.
fn answer(frame: &[u8], response: usize, answers: &mut Vec<Answer>) {
    let Some(segment) = parse(frame) else { return };
    let got = segment.fields;
    let opens = got.flags & SYN != 0;
    if !opens && segment.payload.len() != REQUEST {
        return;
    }
    let mut number = [0; NUMBER];
    if !opens {
        number.copy_from_slice(&segment.payload[..NUMBER]);
    }
    // A frame is no longer than 16 bits count.
    let taken = segment.payload.len() as u32 + u32::from(opens);
    let mut fields = Fields {
        src_port: got.dst_port,
        dst_port: got.src_port,
        seq: if opens { 1 } else { got.ack },
        ack: got.seq.wrapping_add(taken),
        flags: if opens { SYN | ACK } else { ACK },
        stamp: got.echo,
        echo: got.stamp,
    };
    let mut offset = 0;
    loop {
        let len = if opens {
            0
        } else {
            FULL.min(response - offset)
        };
        if !opens && offset + len == response {
            fields.flags |= PSH;
        }
        answers.push(Answer {
            fields,
            offset,
            len,
            number,
        });
        offset += len;
        fields.seq = fields.seq.wrapping_add(len as u32);
        if opens || offset == response {
            return;
        }
    }
}

impl Server for Bare {
    fn turn(&mut self) -> io::Result<bool> {
        let (binding, tx, rx) = self.port.split();
        binding.sync_rx()?;
        let mut taken = 0;
        for ring in rx {
            taken += ring.drain(u32::MAX, |slot| {
                answer(slot.packet(), self.page.len(), &mut self.answers);
            });
        }
        if self.answers.is_empty() {
            return Ok(taken != 0);
        }
        send_all(binding, &mut tx[0], &mut self.answers, |slot, answer| {
            let buffer = slot.buf_mut();
            let fields = &answer.fields;
            let written = if answer.len == 0 {
                let frame = self.headers.first(fields);
                buffer[..frame.len()].copy_from_slice(&frame);
                frame.len()
            } else {
                let part = &self.page[answer.offset..answer.offset + answer.len];
                buffer[PAYLOAD..PAYLOAD + answer.len].copy_from_slice(part);
                let mut total = self.sums[answer.offset / FULL];
                if answer.offset == 0 {
                    buffer[PAYLOAD..PAYLOAD + NUMBER].copy_from_slice(&answer.number);
                    total += sum(&answer.number);
                }
                self.headers.write(buffer, fields, answer.len, total)
            };
            // No longer than a frame.
            slot.set(written as u16, 0);
        })?;
        Ok(true)
    }

    fn fd(&self) -> RawFd {
        self.port.as_fd().as_raw_fd()
    }
}
