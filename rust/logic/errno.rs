// SPDX-License-Identifier: GPL-2.0

//! The error numbers that this code hands out, as positive numbers of Linux.

/// No such file or directory.
pub const ENOENT: i32 = 2;
/// No such device or address.
pub const ENXIO: i32 = 6;
/// Invalid argument.
pub const EINVAL: i32 = 22;
/// Value too large for the data type.
pub const EOVERFLOW: i32 = 75;
/// Message too long.
pub const EMSGSIZE: i32 = 90;
/// Operation not supported.
pub const EOPNOTSUPP: i32 = 95;
