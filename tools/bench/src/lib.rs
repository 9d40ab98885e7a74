// SPDX-License-Identifier: BSD-2-Clause
//! What the programs of this crate share: the clock by which instructions are counted, and links to wait for.

pub mod clock;
pub mod link;
