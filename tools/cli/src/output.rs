// SPDX-License-Identifier: BSD-2-Clause
//! What the programs say.

use core::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard error. `eprintln!` ends the program where that fails, as it does when nobody reads it any more; but what
/// the program does matters more than what it says about it.
pub fn tell(line: impl Display) {
    // In one piece, so that lines of several threads or programs do not mix.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes to standard output. That its reader has gone, as `head -1` does, is no error: nobody wants the rest.
///
/// # Errors
///
/// In words, what writing fails with.
pub fn print(text: &str) -> Result<(), String> {
    print_to_reader(text).map(drop)
}

/// As [`print()`], and says whether there is a reader still.
///
/// # Errors
///
/// As there.
pub fn print_to_reader(text: &str) -> Result<bool, String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("standard output: {error}")),
    }
}
