// SPDX-License-Identifier: GPL-2.0

//! Thin safe wrappers over kernel API that the `kernel` crate lacks.

pub(crate) mod address_space;
pub(crate) mod barrier;
pub(crate) mod copy;
pub(crate) mod device_queue;
pub(crate) mod frame;
pub(crate) mod log;
pub(crate) mod net_ns;
pub(crate) mod netdev;
pub(crate) mod netfilter;
pub(crate) mod notifier;
pub(crate) mod param;
pub(crate) mod poll;
pub(crate) mod rtnl;
pub(crate) mod sched;
pub(crate) mod skb;
pub(crate) mod socket;
pub(crate) mod softirq;
pub(crate) mod thread;
pub(crate) mod time;
pub(crate) mod trace;
pub(crate) mod wait;
pub(crate) mod work;
