// SPDX-License-Identifier: GPL-2.0

//! What nearly every file of the module uses.

pub(crate) use kernel::{
    alloc::{KVVec, KVec},
    prelude::*,
    sync::Arc, //
};

/// Operation not supported: the number that programs know, which the crate of older kernels has no constant for.
pub(crate) const EOPNOTSUPP: Error = {
    let errno = match core::num::NonZeroI32::new(-(kernel::bindings::EOPNOTSUPP as i32)) {
        Some(errno) => errno,
        None => panic!("an error number is not zero"),
    };
    // SAFETY: `Error` is a struct of one field, a `NonZeroI32` that holds a negative error number; another size would
    // not compile. Its constructor cannot be called in a constant.
    unsafe { core::mem::transmute::<core::num::NonZeroI32, Error>(errno) }
};
