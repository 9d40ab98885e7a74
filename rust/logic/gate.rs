// SPDX-License-Identifier: GPL-2.0

//! Writing through a gate that may close at any time.

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The gate was closed, and nothing was written.
    Held,
    /// It was written with the gate open.
    Written,
    /// It was written, and then the gate was found closed: which of the two came first is not known.
    Late,
}

/// Runs `write` if the gate is open, and looks at the gate again.
#[inline]
pub fn pass(is_open: impl Fn() -> bool, write: impl FnOnce()) -> Passed {
    if !is_open() {
        return Passed::Held;
    }
    write();
    if is_open() {
        Passed::Written
    } else {
        Passed::Late
    }
}
