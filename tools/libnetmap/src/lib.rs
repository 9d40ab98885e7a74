// SPDX-License-Identifier: BSD-2-Clause
//! The C library of `libnetmap.h`.
//!
//! Names are judged in `netmap::name`, and options in [`options`], which knows no pointer. The other modules have the functions of the header, by
//! the prefix of their names; a variadic one, which Rust cannot define, is in `message.c`.
//!
//! What C programs hand over is trusted to be what the header says: their pointers are valid, their strings end with a zero.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("netmap is for 64-bit Linux");

mod context;
mod inject;
mod mapping;
mod parsers;
mod port;
mod port_buffers;
mod port_options;
mod request;
