// SPDX-License-Identifier: BSD-2-Clause
//! The programs that every search begins with: what the tests of the module do, in short.

macro_rules! seeds {
    ($($name:literal)+) => {
        [$(($name, include_str!(concat!("../corpus/", $name, ".txt")))),+]
    };
}

/// Their names and texts; all of `corpus/`.
pub const SEEDS: [(&str, &str); 20] = seeds! {
    "bad_cursors" "emulated" "exchange" "extra" "forward" "fragments" "host" "legacy" "one_ring" "options" "pipe" "pipe_scribble" "requests"
    "scribble" "shared_file" "small_pools" "stack" "stack_ends" "stack_scribble" "two_threads"
};
