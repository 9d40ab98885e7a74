// SPDX-License-Identifier: BSD-2-Clause
//! The control socket: tests tell the model what to do, and ask what it saw.
//!
//! A request is a line: the number of a port, and a command. The answer is any number of lines, each with a space in
//! front, and then a line `ok` or `failed`. Any number of clients can be connected, and each can send any number of
//! requests.

use crate::faults::{Fault, Switch};
use crate::traffic::Plan;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Longest request; what is longer is no request of a test.
const LONGEST: u64 = 4096;

/// What to do with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LinkState {
    /// The cable is plugged in.
    Up,
    /// It is pulled.
    Down,
}

/// What to do with the SFP+ module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Module {
    /// It is pulled out.
    Out,
    /// It is plugged in.
    In,
    /// It is replaced by one of another kind.
    Swap,
}

/// How the wire that a port sends to is to be. What is not given stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct WireChange {
    /// Bits a second; 0 is as fast as the model runs
    #[arg(long)]
    pub rate: Option<u64>,
    /// Nanoseconds from one end to the other
    #[arg(long)]
    pub delay: Option<u64>,
    /// Every how manieth frame is lost; 0 loses none
    #[arg(long)]
    pub lose: Option<u64>,
    /// Every how manieth frame is damaged; 0 damages none
    #[arg(long)]
    pub damage: Option<u64>,
}

/// What to do with the generator.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Generate {
    /// Send frames to the port
    Start(Plan),
    /// Stop sending
    Stop,
    /// Wait until all frames were sent and stored, at most so many milliseconds
    Wait {
        /// Milliseconds
        limit: u64,
    },
    /// How many frames were sent
    Report,
}

/// What to do with the checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Check {
    /// Check what the port sends, from now on
    Start,
    /// Check no more
    Stop,
    /// What was found
    Report,
}

/// What can be asked of a port.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Plug the cable in or pull it
    Link {
        /// Which of the two
        state: LinkState,
    },
    /// Plug the SFP+ module in, pull it, or put in another
    Sfp {
        /// Which of these
        action: Module,
    },
    /// Break something
    #[command(subcommand)]
    Fault(Fault),
    /// Change the wire that the port sends to
    Wire(WireChange),
    /// The traffic source at the other end of the wire
    #[command(subcommand)]
    Generate(Generate),
    /// The traffic sink at the other end of the wire
    #[command(subcommand)]
    Check(Check),
    /// What went over the wire, and what the queues did
    Stats,
    /// Broken rules, how often
    Violations {
        /// Forget them afterwards
        #[arg(long)]
        clear: bool,
    },
    /// Keep all rules, or only those on memory
    Strict {
        /// Whether all
        switch: Switch,
    },
}

/// A line of the control socket.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(no_binary_name = true, disable_version_flag = true, name = "ctl")]
pub struct Request {
    /// Number of the port, from 0
    pub port: usize,
    /// What it is asked
    #[command(subcommand)]
    pub command: Command,
}

/// Who can answer.
pub trait Target: Send + Sync {
    /// Carries out a request. The answer is lines, or none; so is the reason why it failed.
    ///
    /// # Errors
    ///
    /// What is wrong, for the reader.
    fn execute(&self, request: Request) -> Result<String, String>;
}

/// Answers requests at a new socket `path`, in threads of its own, until the process ends.
///
/// # Errors
///
/// The socket cannot be made.
pub fn serve(path: &Path, target: Arc<dyn Target>) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                let target = Arc::clone(&target);
                // A client that cannot be served has its connection closed, and sees that.
                let _ = thread::Builder::new()
                    .name("client".into())
                    .spawn(move || converse(stream, &*target));
            }
        })?;
    Ok(())
}

/// Serves one client until it leaves.
fn converse(stream: UnixStream, target: &dyn Target) {
    let Ok(mut to) = stream.try_clone() else {
        return;
    };
    let mut from = BufReader::new(stream);
    loop {
        let mut line = String::new();
        match io::Read::take(&mut from, LONGEST).read_line(&mut line) {
            Ok(len) if len > 0 && line.ends_with('\n') => {}
            _ => return,
        }
        if line.trim().is_empty() {
            continue;
        }
        if to.write_all(answer(&line, target).as_bytes()).is_err() {
            return;
        }
    }
}

/// The answer to a line.
pub fn answer(line: &str, target: &dyn Target) -> String {
    let result = match Request::try_parse_from(line.split_whitespace()) {
        Ok(request) => target.execute(request),
        Err(error) if error.use_stderr() => Err(error.render().to_string()),
        // Help that was asked for.
        Err(error) => Ok(error.render().to_string()),
    };
    let (text, verdict) = match &result {
        Ok(text) => (text, "ok"),
        Err(text) => (text, "failed"),
    };
    let mut answer = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        answer.push(' ');
        answer.push_str(line);
        answer.push('\n');
    }
    answer.push_str(verdict);
    answer.push('\n');
    answer
}

/// Sends a request to the socket `path` and returns the answer.
///
/// # Errors
///
/// The socket's; the answer, if the request failed.
pub fn ask(path: &Path, request: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    writeln!(stream, "{}", request.replace('\n', " "))?;
    let mut text = String::new();
    for line in BufReader::new(stream).lines() {
        match line?.as_str() {
            "ok" => return Ok(text),
            "failed" => return Err(io::Error::other(text)),
            line => {
                text.push_str(line.strip_prefix(' ').unwrap_or(line));
                text.push('\n');
            }
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<Request>>);

    impl Target for Recorder {
        fn execute(&self, request: Request) -> Result<String, String> {
            self.0.lock().unwrap().push(request.clone());
            match request.command {
                Command::Stats => Ok("frames 3\noctets 192".into()),
                Command::Sfp { .. } => Err("no cage".into()),
                _ => Ok(String::new()),
            }
        }
    }

    fn parsed(line: &str) -> Option<Command> {
        let request = Request::try_parse_from(line.split_whitespace()).ok()?;
        Some(request.command)
    }

    #[test]
    fn commands() {
        let link = Command::Link {
            state: LinkState::Down,
        };
        assert_eq!(parsed("0 link down"), Some(link));
        let fault = Command::Fault(Fault::Late { nanoseconds: 9 });
        assert_eq!(parsed("1 fault late 9"), Some(fault));
        let Some(Command::Generate(Generate::Start(plan))) =
            parsed("0 generate start --count 5 --flows 2")
        else {
            panic!("no plan");
        };
        assert_eq!((plan.count, plan.flows), (5, 2));
        assert_eq!(
            parsed("0 violations --clear"),
            Some(Command::Violations { clear: true })
        );
        for line in ["", "0", "x stats", "0 link sideways", "0 stats now"] {
            assert_eq!(parsed(line), None, "{line:?}");
        }
    }

    #[test]
    fn answers_end_with_a_verdict() {
        let target = Recorder::default();
        assert_eq!(answer("0 stats\n", &target), " frames 3\n octets 192\nok\n");
        assert_eq!(answer("0 sfp out\n", &target), " no cage\nfailed\n");
        assert!(answer("0 nonsense\n", &target).ends_with("\nfailed\n"));
        assert!(answer("0 help\n", &target).ends_with("\nok\n"));
        assert_eq!(target.0.lock().unwrap().len(), 2);
    }

    #[test]
    fn over_a_socket() {
        let name = format!("nic82599-control-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let target = Arc::new(Recorder::default());
        serve(&path, target).unwrap();
        assert_eq!(ask(&path, "0 stats").unwrap(), "frames 3\noctets 192\n");
        assert_eq!(ask(&path, "0 sfp in").unwrap_err().to_string(), "no cage\n");
        assert_eq!(ask(&path, "1 link\nup").unwrap(), "");
        std::fs::remove_file(&path).unwrap();
    }
}
