// SPDX-License-Identifier: GPL-2.0

//! The interposition between the network core and a driver.

pub(in crate::nic) mod ethtool;
pub(crate) mod events;
pub(crate) mod intercept;
pub(in crate::nic) mod napi;
pub(in crate::nic) mod ops;
pub(in crate::nic) mod redirect;
pub(in crate::nic) mod rss;
pub(in crate::nic) mod table;
