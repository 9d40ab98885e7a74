// SPDX-License-Identifier: GPL-2.0

//! What the `kernel` crate's bindings lack, as bindgen read it from the kernel's headers.

#![allow(
    // The names and shapes are C's, and all of it is generated.
    clippy::all,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    improper_ctypes,
    // Of compilers newer than the oldest.
    unknown_lints,
    unnecessary_transmutes
)]

use kernel::{bindings::tracepoint, ffi};

type __kernel_size_t = usize;
type __kernel_ssize_t = isize;
type __kernel_ptrdiff_t = isize;

include!("bindings_generated.rs");
