// SPDX-License-Identifier: BSD-2-Clause
//! What is told while programs run, a line each; `scripts/fuzz-report` reads it.
//!
//! | line | |
//! |---|---|
//! | `section NAME ADDRESS` | where the module's code is |
//! | `start N PROGRAM` | program N is about to run |
//! | `new N ADDRESS...` | it reached code that none before it had reached |
//! | `count OPERATION ERRNO N` | what operations returned up to now, in a block |
//! | `state PROGRAMS SECONDS CORPUS` | ends such a block |
//! | `finding TEXT` | what must hold does not, after the last program |

use crate::oracle::Record;
use crate::program::Program;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// Where the kernel says where the module is.
const SECTIONS: &str = "/sys/module/netmap/sections";

/// The journal.
pub struct Journal {
    file: File,
}

/// The last program of a journal, if this is one.
pub fn last_program(text: &str) -> Option<&str> {
    let line = text.lines().rev().find_map(|l| l.strip_prefix("start "))?;
    line.split_once(' ').map(|(_, program)| program)
}

impl Journal {
    /// In this file, or on standard output.
    pub fn new(path: Option<&Path>) -> io::Result<Self> {
        let path = path.unwrap_or(Path::new("/proc/self/fd/1"));
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Journal { file })
    }

    /// Writes a line, and waits until it has left the machine if it goes to a serial line.
    fn line(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(format!("{text}\n").as_bytes())?;
        // SAFETY: The file is open; one that is no serial line answers with an error.
        unsafe { libc::tcdrain(self.file.as_raw_fd()) };
        Ok(())
    }

    /// Where the module's code is.
    pub fn sections(&mut self) -> io::Result<()> {
        for entry in fs::read_dir(SECTIONS)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".text") || name.ends_with(".text") {
                let address = fs::read_to_string(entry.path())?;
                self.line(&format!("section {name} {}", address.trim()))?;
            }
        }
        Ok(())
    }

    /// A program is about to run.
    pub fn start(&mut self, number: u64, program: &Program) -> io::Result<()> {
        self.line(&format!("start {number} {program}"))
    }

    /// It reached new code.
    pub fn new_code(&mut self, number: u64, addresses: &[u64]) -> io::Result<()> {
        let mut text = format!("new {number}");
        for address in addresses {
            let _ = write!(text, " {address:x}");
        }
        self.line(&text)
    }

    /// What operations returned.
    pub fn counts(&mut self, record: &Record) -> io::Result<()> {
        for (name, errno, count) in record.counts() {
            self.line(&format!("count {name} {errno} {count}"))?;
        }
        Ok(())
    }

    /// How far it has come.
    pub fn state(&mut self, programs: u64, seconds: f64, corpus: usize) -> io::Result<()> {
        self.line(&format!("state {programs} {seconds:.1} {corpus}"))
    }

    /// What must hold does not.
    pub fn finding(&mut self, text: &str) -> io::Result<()> {
        self.line(&format!("finding {}", text.replace('\n', " ")))
    }
}
