// SPDX-License-Identifier: GPL-2.0

//! Taking hardware queues from a live driver, moving packets through them, and giving them back.

pub(in crate::nic) mod backlog;
pub(in crate::nic) mod gate;
pub(in crate::nic) mod hardware_queue;
pub(in crate::nic) mod machine;
mod progress;
pub(in crate::nic) mod queue;
mod reports;
pub(in crate::nic) mod rings;
pub(in crate::nic) mod rx;
pub(in crate::nic) mod stages;
pub(in crate::nic) mod tx;
