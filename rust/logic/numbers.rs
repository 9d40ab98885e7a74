// SPDX-License-Identifier: GPL-2.0

//! Which connection a descriptor stands for: an array by number, of words that the caller provides and grows.

/// One more than the largest number that can stand for a connection.
pub const MOST_NUMBERS: u32 = 1 << 20;
/// Most connections of a port.
pub const MOST_CONNECTIONS: u32 = 1 << 16;

/// No connection.
pub const NONE: u32 = u32::MAX;

/// How many words a table of `have` words must have for the number `fd`, if those are too few. [`None`] for a number that can
/// stand for no connection.
pub fn words_for(fd: i32, have: usize) -> Option<usize> {
    let fd = u32::try_from(fd).ok().filter(|fd| *fd < MOST_NUMBERS)?;
    let need = (fd as usize).checked_add(1)?;
    Some(if need <= have {
        have
    } else {
        need.checked_next_power_of_two()?.max(64)
    })
}

/// What stands at a number.
#[inline]
pub fn get(table: &[u32], fd: i32) -> Option<u32> {
    let index = usize::try_from(fd).ok()?;
    table.get(index).copied().filter(|entry| *entry != NONE)
}

/// Has the number stand for a connection; what it stood for is returned. The table has a word for it.
pub fn set(table: &mut [u32], fd: i32, connection: u32) -> Option<u32> {
    let entry = table.get_mut(usize::try_from(fd).ok()?)?;
    Some(core::mem::replace(entry, connection)).filter(|entry| *entry != NONE)
}

/// Has the number stand for nothing, if it stood for this connection.
pub fn clear(table: &mut [u32], fd: i32, connection: u32) {
    if let Some(entry) = usize::try_from(fd).ok().and_then(|at| table.get_mut(at)) {
        if *entry == connection {
            *entry = NONE;
        }
    }
}
