// SPDX-License-Identifier: GPL-2.0

//! What nearly every file of the module uses.

pub(crate) use kernel::{
    alloc::{KVVec, KVec},
    prelude::*,
    sync::Arc, //
};

/// For memory that is allocated on behalf of a program: it is charged to the program, and the allocation fails before the OOM
/// killer is called. [`GFP_KERNEL`] is for what the module itself needs.
pub(crate) const GFP_CHARGED: kernel::alloc::Flags = {
    // SAFETY: `Flags` is a struct of one `u32`, of which every value is one; another size would not compile. It has no
    // constructor, and no constant for this one.
    unsafe { core::mem::transmute::<u32, kernel::alloc::Flags>(crate::bindings::netmap_gfp) }
};

/// The error of a number for which the kernel crate has a constant from Linux 7.3 on, but not in 7.2.
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

/// The socket that a number stood for is gone.
pub(crate) const ESTALE: Error = error(kernel::bindings::ESTALE);

/// No memory for buffers.
pub(crate) const ENOBUFS: Error = error(kernel::bindings::ENOBUFS);
