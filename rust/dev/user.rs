// SPDX-License-Identifier: GPL-2.0

//! Structures in the memory of a program: copied in once, copied out whole.

use crate::{abi, prelude::*};
use kernel::{
    transmute::{AsBytes, FromBytes},
    uaccess::{UserPtr, UserSlice}, //
};

/// Copies a structure in; `EFAULT` if it cannot be read.
pub(super) fn read<T: FromBytes>(address: u64) -> Result<T> {
    slice::<T>(address).reader().read()
}

/// Copies a structure out; `EFAULT` if it cannot be written.
pub(super) fn write<T: AsBytes>(address: u64, value: &T) -> Result {
    slice::<T>(address).writer().write(value)
}

fn slice<T>(address: u64) -> UserSlice {
    // The module is for 64-bit kernels, where an address is 64 bits wide.
    UserSlice::new(UserPtr::from_addr(address as usize), size_of::<T>())
}

/// Structures of integers without implicit padding, see the layout assertions of [`abi`].
macro_rules! plain {
    ($($name:ident),* $(,)?) => {$(
        // SAFETY: It has integers only, so that every pattern of bits is a value.
        unsafe impl FromBytes for abi::$name {}
        // SAFETY: It has no padding, so that every byte is initialised.
        unsafe impl AsBytes for abi::$name {}
    )*}
}

plain!(
    Header,
    LegacyRequest,
    OptionHeader,
    PoolsInfo,
    PortHeader,
    PortInfo,
    Register,
    StackSocket,
    SwitchConfig,
    ValeAttach,
    ValeDetach,
    ValeList,
    ValeNewInterface,
    ValePolling
);
