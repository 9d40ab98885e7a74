// SPDX-License-Identifier: GPL-2.0

//! Writes through a gate that closes before, at and after each step of a write.

use netmap_logic::logic::gate::{pass, Passed};
use std::cell::Cell;

/// The gate closes for good once as many steps are done, a look or a write; what is written after that is out of place.
fn passed(closes: u32) -> (Passed, Option<u32>) {
    let step = Cell::new(0);
    let written = Cell::new(None);
    let next = || step.replace(step.get() + 1);
    let passed = pass(|| next() < closes, || written.set(Some(next())));
    (passed, written.get())
}

#[test]
fn no_write_out_of_place_is_unnoticed() {
    for closes in 0..8 {
        let (passed, written) = passed(closes);
        assert_eq!(written.is_some(), passed != Passed::Held);
        if written.is_some_and(|at| at >= closes) {
            assert_eq!(passed, Passed::Late, "closed at step {closes}");
        }
    }
}

#[test]
fn an_open_gate_is_passed() {
    assert_eq!(passed(u32::MAX), (Passed::Written, Some(1)));
    assert_eq!(passed(0), (Passed::Held, None));
}
