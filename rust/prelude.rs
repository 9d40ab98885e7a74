// SPDX-License-Identifier: GPL-2.0

//! What nearly every file of the module uses.

// What is allocated for a program is charged to it, with GFP_KERNEL_ACCOUNT; GFP_KERNEL is for what the module needs.
pub(crate) use kernel::{
    alloc::{flags::GFP_KERNEL_ACCOUNT, KVVec, KVec},
    prelude::*,
    sync::Arc, //
};

/// The error of a number that the crate of older kernels has no constant for.
const fn error(number: u32) -> Error {
    let errno = match core::num::NonZeroI32::new(-(number as i32)) {
        Some(errno) => errno,
        None => panic!("an error number is not zero"),
    };
    // SAFETY: `Error` is a struct of one field, a `NonZeroI32` that holds a negative error number; another size would
    // not compile. Its constructor cannot be called in a constant.
    unsafe { core::mem::transmute::<core::num::NonZeroI32, Error>(errno) }
}

/// Operation not supported.
pub(crate) const EOPNOTSUPP: Error = error(kernel::bindings::EOPNOTSUPP);

/// The interface is down.
pub(crate) const ENETDOWN: Error = error(kernel::bindings::ENETDOWN);
