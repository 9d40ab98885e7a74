// SPDX-License-Identifier: BSD-2-Clause
//! A server on a stack port: requests are found in slots, by connection, and responses leave from slots.

use crate::client::{NUMBER, REQUEST};
use crate::server::{page, whole, Server};
use netmap::{Event, Options, PortSpec, StackPort};
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Slots that are asked for.
const SLOTS: u32 = 2048;

/// A response, or what is left of it: its connection, where it goes on, and the number of its request.
struct Response {
    connection: netmap::Connection,
    sent: usize,
    number: [u8; NUMBER],
}

/// The server.
pub struct Soft {
    port: StackPort,
    page: Vec<u8>,
    /// What has found no slot yet.
    waiting: VecDeque<Response>,
}

impl Soft {
    /// Serves on `sockets`, by the stack port of the interface.
    ///
    /// # Errors
    ///
    /// See [`netmap::OpenError`] and [`StackPort::register`].
    pub fn open(interface: &str, sockets: Vec<TcpStream>, response: usize) -> io::Result<Soft> {
        let spec: PortSpec = format!("stack:{interface}")
            .parse()
            .map_err(io::Error::other)?;
        let options = Options {
            tx_slots: SLOTS,
            rx_slots: SLOTS,
            ..Options::default()
        };
        let mut port = StackPort::open(&spec, &options).map_err(io::Error::other)?;
        for socket in sockets {
            port.register(socket)?;
        }
        Ok(Soft {
            port,
            page: page(response),
            waiting: VecDeque::new(),
        })
    }
}

impl Response {
    /// Puts as much of it into slots as there are. True if that was all.
    #[inline]
    fn send(&mut self, page: &[u8], tx: &mut netmap::StackTx<'_>) -> bool {
        if self.sent == 0 {
            let most = tx.slot_len().min(page.len());
            let first = tx.send_with(self.connection, |room| {
                room[..most].copy_from_slice(&page[..most]);
                room[..NUMBER].copy_from_slice(&self.number);
                most
            });
            if !first {
                return false;
            }
            self.sent = most;
        }
        if self.sent == page.len() {
            return true;
        }
        self.sent += tx.send(self.connection, &page[self.sent..]);
        self.sent == page.len()
    }
}

impl Server for Soft {
    fn turn(&mut self) -> io::Result<bool> {
        let Soft {
            port,
            page,
            waiting,
            ..
        } = self;
        port.sync_rx()?;
        let mut failed = None;
        let mut taken = port.receive(|connection, event, tx| {
            let request = match event {
                Event::Data(octets) if octets.len() == REQUEST => octets,
                Event::Data(octets) => {
                    failed = whole(octets.len()).err();
                    return;
                }
                Event::End => {
                    failed = whole(0).err();
                    return;
                }
                Event::Error(error) => {
                    failed = Some(error);
                    return;
                }
            };
            let mut response = Response {
                connection,
                sent: 0,
                number: [0; NUMBER],
            };
            response.number.copy_from_slice(&request[..NUMBER]);
            if !waiting.is_empty() || !response.send(page, tx) {
                waiting.push_back(response);
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        while taken != 0 || !waiting.is_empty() {
            port.sync_tx()?;
            let mut tx = port.tx();
            if waiting.is_empty() || tx.space() == 0 {
                break;
            }
            taken = 1;
            while let Some(response) = waiting.front_mut() {
                if !response.send(page, &mut tx) {
                    break;
                }
                waiting.pop_front();
            }
        }
        Ok(taken != 0)
    }

    fn fd(&self) -> RawFd {
        self.port.as_fd().as_raw_fd()
    }
}
