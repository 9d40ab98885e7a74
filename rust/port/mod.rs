// SPDX-License-Identifier: GPL-2.0

//! What a name can be bound to.

pub(crate) mod binding;
pub(crate) mod emulated;
pub(crate) mod forward;
mod host;
mod kind;
mod nic;
mod null;
pub(crate) mod pipe;
#[expect(
    clippy::module_inception,
    reason = "what every port has is a port, and so is the folder of all kinds"
)]
mod port;
pub(crate) mod registry;
pub(crate) mod requests;
pub(crate) mod stack;
pub(crate) mod vale;
