// SPDX-License-Identifier: GPL-2.0

//! `poll`, `select` and `epoll`.
//!
//! Poll is also a sync, as programs rely on: what was released on transmit rings is sent, unless the file was bound
//! with `NR_NO_TX_POLL`, and receive rings are synced if input is waited for or the file was bound with
//! `NR_DO_RX_POLL`. A ring is ready when the program has slots in it that it has not seen, `cur != tail`.
//!
//! No wake-up is lost: the caller is on the file's wait queue before the sync that finds nothing. It is one queue for all
//! rings, and there before the file is bound: epoll, aio and io_uring register once, and not on many queues.

use super::{open_file, OpenFile};
use crate::{
    port::{
        binding::Binding,
        forward::Forward, //
    },
    ring::sync::{self, Failure},
    sys::poll::Poll, //
};
use kernel::{bindings, ffi::c_uint};

const OUTPUT: u32 = bindings::POLLOUT | bindings::POLLWRNORM;
const INPUT: u32 = bindings::POLLIN | bindings::POLLRDNORM;

/// The events that are there; registers the caller for the others.
///
/// # Safety
///
/// For the kernel to call, as this operation of an open `/dev/netmap`.
pub(super) unsafe extern "C" fn poll(
    file: *mut bindings::file,
    table: *mut bindings::poll_table,
) -> c_uint {
    // SAFETY: This is an operation on an open file.
    let open = unsafe { open_file(file) };
    // SAFETY: These are the arguments of this operation.
    let caller = unsafe { Poll::new(file, table) };
    let events = caller.events();
    if caller.is_transient() {
        // Such a caller needs no wake-up if something is ready, and mostly something is.
        let ready = ready_events(open, events);
        if ready != 0 {
            return ready;
        }
    }
    caller.register(&open.wait);
    ready_events(open, events)
}

/// The events of `events` that are there, and `POLLERR`.
fn ready_events(open: &OpenFile, events: u32) -> u32 {
    match open.binding() {
        Some(binding) => sync_rings(binding, events),
        None => bindings::POLLERR,
    }
}

/// Syncs what poll has to; the events of `events` that are there, and `POLLERR`.
fn sync_rings(binding: &Binding, events: u32) -> u32 {
    if binding.is_dead() {
        return bindings::POLLERR;
    }
    let mut ready = 0;
    let mut output = events & OUTPUT;
    if output != 0 || !binding.flags.no_tx_poll() {
        for kring in binding.tx.iter() {
            // Once there is room somewhere, other rings are visited only if there is something to send.
            let result = if output != 0 {
                sync::txsync(&binding.label, kring, 0)
            } else {
                sync::txflush(&binding.label, kring, 0)
            };
            if found(result, &mut ready) {
                ready |= output;
                output = 0;
            }
        }
    }
    let input = events & INPUT;
    if input != 0 || binding.flags.do_rx_poll() {
        // All of them, or the last ones starve.
        let mut forward = Forward::new(binding);
        for kring in binding.rx.iter() {
            if found(
                sync::rxsync(&binding.label, kring, &mut forward, 0),
                &mut ready,
            ) {
                ready |= input;
            }
        }
        if forward.finish() {
            flush(binding, &mut ready);
        }
    }
    ready
}

/// Sends what was forwarded from host rings.
#[cold]
fn flush(binding: &Binding, ready: &mut u32) {
    for kring in binding.tx.iter() {
        found(sync::txflush(&binding.label, kring, 0), ready);
    }
}

#[inline]
fn found(result: Result<bool, Failure>, ready: &mut u32) -> bool {
    result.unwrap_or_else(|_| {
        *ready |= bindings::POLLERR;
        false
    })
}
