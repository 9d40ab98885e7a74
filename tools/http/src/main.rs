// SPDX-License-Identifier: BSD-2-Clause
//! `nm-http`: an HTTP/1.1 server that answers each GET with the same page.
//!
//! Its connections are made by sockets; their data goes through the stack port of an interface, a system call for all that
//! has come and one for all that leaves.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use netmap::{Connection, Event, Options, PortSpec, StackPort, StackTx};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv6Addr, TcpListener};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Octets that a request may have.
const LONGEST: usize = 2048;
/// How long to wait where something leaves by itself and nobody says when it has.
const MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// How long a wait lasts at most: a signal may come just before it.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Answers each GET with LENGTH octets, through the stack port of INTERFACE, until SIGINT or SIGTERM, and says how many there were.
///
/// The exit status is 0 if all went well, 1 if the port could not be opened or was lost, and 2 if the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "nm-http", version)]
struct Args {
    /// Interface through which clients come.
    interface: String,
    /// TCP port.
    port: u16,
    /// Octets of the page.
    length: usize,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// A connection.
#[derive(Default)]
struct Client {
    /// The beginning of a request.
    head: Vec<u8>,
    /// Requests that are not answered.
    requests: usize,
    /// Octets of the answer under way that are in slots.
    sent: usize,
    /// No request follows.
    last: bool,
}

impl Client {
    /// Takes a piece of the stream: requests end with an empty line. What is no GET ends the connection.
    fn take(&mut self, octets: &[u8]) {
        for &octet in octets {
            if self.last {
                return;
            }
            self.head.push(octet);
            if self.head.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
                let gets = head.starts_with("get ");
                self.requests += usize::from(gets);
                self.last = !gets
                    || head.contains(" http/1.0\r\n")
                    || head.contains("\r\nconnection: close\r\n");
                self.head.clear();
            } else if self.head.len() == LONGEST {
                self.last = true;
            }
        }
    }

    /// Puts answers into slots, as long as there are any. Not for a client that does not take what it has been sent: its slots stay in the
    /// ring, and would fill it.
    ///
    /// How many are whole now.
    fn answer(&mut self, to: Connection, response: &[u8], tx: &mut StackTx<'_>) -> u64 {
        let mut whole = 0;
        while self.requests != 0 && tx.space() != 0 {
            self.sent += tx.send(to, &response[self.sent..]);
            if self.sent == response.len() {
                self.sent = 0;
                self.requests -= 1;
                whole += 1;
            }
        }
        whole
    }
}

/// The server.
struct Server {
    port: StackPort,
    listener: TcpListener,
    response: Vec<u8>,
    connections: HashMap<Connection, Client>,
    /// Connections with requests to be answered, or to be closed.
    busy: Vec<Connection>,
    /// Connections with slots that TCP has not accepted.
    unsent: HashSet<Connection>,
    /// Requests that were answered.
    answered: u64,
}

impl Server {
    fn open(args: &Args) -> Result<Server, String> {
        let spec: PortSpec = format!("stack:{}", args.interface)
            .parse()
            .map_err(|error| format!("{}: {error}", args.interface))?;
        let port = StackPort::open(&spec, &Options::default())
            .map_err(|error| cli::open_failure(&error))?;
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, args.port));
        let listener = listener
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| format!("port {}: {error}", args.port))?;
        let length = args.length;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
        );
        let mut response = head.into_bytes();
        response.resize(response.len() + length, b'.');
        Ok(Server {
            port,
            listener,
            response,
            connections: HashMap::new(),
            busy: Vec::new(),
            unsent: HashSet::new(),
            answered: 0,
        })
    }

    /// Accepts what waits. False if it ends although connections may wait still, as without free descriptors: poll() would not sleep
    /// for the listener then.
    fn accept(&mut self) -> io::Result<bool> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // This connection has ended before it was accepted; others may wait.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(_) => return Ok(false),
            };
            // Of no matter to the port: what a program might do with the socket besides.
            socket.set_nonblocking(true)?;
            let connection = match self.port.register(socket) {
                Ok(connection) => connection,
                Err(error) => {
                    cli::tell(format_args!("nm-http: a connection: {error}"));
                    continue;
                }
            };
            self.connections.insert(connection, Client::default());
        }
    }

    /// Takes what has come and puts answers into slots.
    fn receive(&mut self) {
        let Server {
            port,
            response,
            connections,
            busy,
            unsent,
            answered,
            ..
        } = self;
        port.receive(|fd, event, tx| {
            let Some(connection) = connections.get_mut(&fd) else {
                return;
            };
            match event {
                Event::Data(octets) => connection.take(octets),
                Event::End => connection.last = true,
                Event::Error(_) => {
                    connection.last = true;
                    connection.requests = 0;
                }
            }
            if !unsent.contains(&fd) {
                *answered += connection.answer(fd, response, tx);
            }
            if (connection.requests != 0 || connection.last) && !busy.contains(&fd) {
                busy.push(fd);
            }
        });
    }

    /// Has all leave that can, and closes what is to be closed once TCP has accepted all of it.
    fn send(&mut self) -> io::Result<()> {
        let mut tx = self.port.tx();
        for fd in self.busy.iter().filter(|fd| !self.unsent.contains(fd)) {
            if let Some(connection) = self.connections.get_mut(fd) {
                self.answered += connection.answer(*fd, &self.response, &mut tx);
            }
        }
        self.port.sync_tx()?;
        self.unsent = self.port.tx().unsent().into_iter().collect();
        let unsent = &self.unsent;
        let (port, connections) = (&mut self.port, &mut self.connections);
        self.busy.retain(|fd| {
            let stays = connections.get(fd).is_some_and(|connection| {
                connection.requests != 0 || (connection.last && unsent.contains(fd))
            });
            if !stays
                && connections
                    .get(fd)
                    .is_some_and(|connection| connection.last)
            {
                connections.remove(fd);
                port.close(*fd);
            }
            stays
        });
        Ok(())
    }

    fn serve(&mut self, stop: &AtomicBool) -> io::Result<()> {
        let mut all = true;
        while !stop.load(Ordering::Relaxed) {
            // An answer that is left to be put into slots waits for room.
            let connections = &self.connections;
            let waits = self
                .busy
                .iter()
                .filter(|fd| !self.unsent.contains(fd))
                .any(|fd| connections.get(fd).is_some_and(|c| c.requests != 0));
            let out = if waits {
                PollFlags::OUT
            } else {
                PollFlags::empty()
            };
            let mut fds = [
                PollFd::new(
                    &self.listener,
                    if all {
                        PollFlags::IN
                    } else {
                        PollFlags::empty()
                    },
                ),
                PollFd::new(&self.port, PollFlags::IN | out),
            ];
            let wait = match self.busy.is_empty() && all {
                true => &LOOK,
                false => &MOMENT,
            };
            match poll(&mut fds, Some(wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if fds[1].revents().contains(PollFlags::ERR) {
                // That the interface is gone a sync says; a ring that was set back may go on.
                self.port.sync_rx()?;
            }
            self.receive();
            all = self.accept()?;
            self.send()?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            cli::tell(format_args!("nm-http: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes, or the port is lost, and says how many requests were answered.
fn run(args: &Args) -> Result<(), String> {
    let stop = cli::stop_on_signals()?;
    let mut server = Server::open(args)?;
    let served = server.serve(&stop);
    let answered = server.answered;
    let printed = cli::print(&match args.json {
        true => format!("{{\"answered\":{answered}}}\n"),
        false => format!("{answered} requests answered\n"),
    });
    served.map_err(|error| format!("{}: {}", args.interface, cli::lost(&error)))?;
    printed
}
