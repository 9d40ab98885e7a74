// SPDX-License-Identifier: GPL-2.0

//! What a name can be bound to, and the rings behind it.

pub(crate) mod binding;
mod events;
pub(crate) mod forward;
pub(crate) mod host;
pub(crate) mod nic;
pub(crate) mod registry;
mod service;
