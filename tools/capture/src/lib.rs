// SPDX-License-Identifier: BSD-2-Clause
//! Capture files of Ethernet frames: pcap and pcapng.

mod read;
mod write;

pub use read::{Capture, Frame, ReadError};
pub use write::{Format, Writer};
