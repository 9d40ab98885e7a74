// SPDX-License-Identifier: BSD-2-Clause
//! Client and server take turns in one thread: neither waits for a scheduler, and each finds whole what the other has sent.

use crate::client::Client;
use crate::idle;
use crate::server::{checked, Listener, Server};
use bench::clock;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Milliseconds after which what has not come is lost: less than a server's stack waits before it retransmits.
const SILENCE: libc::c_int = 150;
/// Turns without anything after which the same is true where turns go on without a wait.
const EMPTY_TURNS: u64 = 200_000;

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// Nanoseconds.
    pub ns: u64,
    /// Nanoseconds of them in which nobody had anything to do.
    pub idle_ns: u64,
    /// Nanoseconds of the client's turns, where they were timed.
    pub client_ns: u64,
    /// Turns of either.
    pub turns: u64,
    /// How often both had to wait.
    pub waits: u64,
}

/// How to run.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Go on with turns where there is nothing to do, rather than wait for it.
    pub spin: bool,
    /// Time the client's turns, which costs something.
    pub time_client: bool,
}

/// Waits until a server has something to do, or the client where something may come to it by itself.
fn wait(client: &mut Client, server: RawFd) -> io::Result<()> {
    let mut fds = [server, client.as_fd().as_raw_fd()].map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    let count = if client.expects() { 2 } else { 1 };
    // SAFETY: there are at least that many elements, which live through the call.
    let found = checked(unsafe { libc::poll(fds.as_mut_ptr(), count, SILENCE) })?;
    if found == 0 {
        client.repeat()?;
    }
    Ok(())
}

/// Opens the client's connections; `sockets` gets the server's ends of them.
///
/// # Errors
///
/// Those of either.
pub fn connect(
    client: &mut Client,
    listener: &Listener,
    sockets: &mut Vec<TcpStream>,
    count: usize,
) -> io::Result<()> {
    while !client.connect() || sockets.len() < count {
        let busy = client.turn()?;
        if !listener.accept(sockets)? && !busy {
            wait(client, listener.as_fd().as_raw_fd())?;
        }
    }
    Ok(())
}

/// The same with a server that has no sockets.
///
/// # Errors
///
/// Those of either.
pub fn connect_without_sockets(client: &mut Client, server: &mut dyn Server) -> io::Result<()> {
    while !client.connect() {
        let busy = client.turn()?;
        if !server.turn()? && !busy {
            wait(client, server.fd())?;
        }
    }
    Ok(())
}

/// What it takes to look at the clock.
fn clock_cost() -> u64 {
    const LOOKS: u64 = 1000;
    let start = clock::now();
    for _ in 1..LOOKS {
        core::hint::black_box(clock::now());
    }
    (clock::now() - start) / LOOKS
}

/// Has `count` requests made and served.
///
/// # Errors
///
/// Those of either.
pub fn run(
    client: &mut Client,
    server: &mut dyn Server,
    count: u64,
    how: How,
) -> io::Result<Taken> {
    let mut taken = Taken::default();
    let cost = clock_cost();
    let mut empty = 0;
    client.start(count);
    let (start, idle) = (clock::now(), idle::instructions());
    loop {
        let busy = if how.time_client {
            let before = clock::now();
            let busy = client.turn()?;
            taken.client_ns += (clock::now() - before).saturating_sub(cost);
            busy
        } else {
            client.turn()?
        };
        taken.turns += 1;
        if client.is_done() {
            break;
        }
        if server.turn()? || busy {
            empty = 0;
        } else if how.spin {
            empty += 1;
            if empty == EMPTY_TURNS {
                client.repeat()?;
                empty = 0;
            }
        } else {
            taken.waits += 1;
            wait(client, server.fd())?;
        }
    }
    taken.ns = clock::now() - start;
    taken.idle_ns = idle::instructions() - idle;
    Ok(taken)
}
