// SPDX-License-Identifier: GPL-2.0

//! What nearly every file of the module uses.

pub(crate) use kernel::{
    alloc::{KVVec, KVec},
    prelude::*,
    sync::Arc, //
};
