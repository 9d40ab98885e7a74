// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.

use crate::{bindings, prelude::*};

/// Which network namespace, by its cookie: no other one has it, then or later, so that no reference is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetNs(u64);

impl NetNs {
    /// That of the calling process.
    pub fn current() -> Self {
        // SAFETY: The namespace is the current task's and so is alive.
        Self(unsafe { bindings::netmap_net_cookie() })
    }

    /// Checks that the calling process may have what others have in memory: `EPERM` without `CAP_NET_ADMIN` in its network namespace,
    /// unless the module parameter `trust_file` admits all that may open `/dev/netmap`.
    pub fn check_admin() -> Result {
        // SAFETY: As above.
        if unsafe { bindings::netmap_may_share() } {
            Ok(())
        } else {
            Err(EPERM)
        }
    }

    /// Checks that the calling process may have threads of the kernel take processors of the host's, which no control group limits:
    /// `EPERM` without `CAP_NET_ADMIN` in the initial user namespace, unless `trust_file` admits it.
    pub fn check_host_admin() -> Result {
        // SAFETY: Callable in the context of a process.
        if unsafe { bindings::netmap_may_spin() } {
            Ok(())
        } else {
            Err(EPERM)
        }
    }
}
