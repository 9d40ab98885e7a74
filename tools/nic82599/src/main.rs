// SPDX-License-Identifier: BSD-2-Clause
//! `nic82599`: serves models of the Intel 82599 network card to QEMU.

fn main() {}
