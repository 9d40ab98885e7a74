// SPDX-License-Identifier: GPL-2.0

//! The interposition for a driver whose operations cannot be replaced: its functions are redirected.
//!
//! A driver may know its devices by the address of their operation table, as `ixgbe` does. Then the table stays, and the
//! kernel's function tracer is asked to call us at the entry of the functions in it, as live patching does. For a
//! device with hooks we send the call to the same functions that stand in a copied table elsewhere ([`super::ops`]).
//!
//! # Why not the egress hook
//!
//! The other way to get at what the stack sends is netfilter's egress hook, with the taken transmit queues stopped. But
//! packet sockets that bypass the queueing discipline, pktgen and netpoll do not pass that hook; and a queue does not stay
//! stopped: the driver wakes all its queues when the link comes up, before anybody is told. From then on, until the queue is
//! stopped again, the driver would write its tail to a queue that runs our ring. (The watchdog would also have to be kept
//! quiet for all queues.) Every packet passes the entry of the driver's transmit function, under the queue's lock and
//! whatever the state of the queue; so [`super::intercept`] diverts it there as it does elsewhere.
//!
//! # Ending a redirection
//!
//! To end a redirection, the kernel waits tens of milliseconds for all tasks to leave the tracer. Neither a program that
//! closes a port nor others that want the RTNL mutex should wait for that: when the last device goes, the functions stay
//! redirected for a moment ([`LINGER_MS`]). [`decide`] finds no device of ours meanwhile, and the next bind finds the
//! redirection in place. The removal of the driver or of this module does wait, because the tracer must not know functions
//! that do not exist any more.
//!
//! # No recursion
//!
//! A stand-in may call the driver's function, which is redirected and would lead to the stand-in again. [`decide`] prevents
//! that: functions that run under the RTNL mutex are not redirected while [`Hooks::ask`] is under way, and all others are
//! redirected only if the stand-in does the work alone.

use super::{
    intercept::Hooks,
    ops,
    table, //
};
use crate::{
    atomic::{AtomicUsize, Ordering},
    bindings::{self, net_device, net_device_ops, sk_buff},
    prelude::*,
    sys::rtnl::Rtnl, //
};
use kernel::{
    ffi::c_ulong,
    sync::{global_lock, rcu}, //
};

/// The functions that are redirected, in the order of [`Function::ALL`]; 0 where the driver has none.
static ADDRESSES: [AtomicUsize; Function::ALL.len()] =
    [const { AtomicUsize::new(0) }; Function::ALL.len()];

/// What is redirected now.
struct Redirection {
    /// The address of the table whose functions are redirected; 0 if there is none.
    table: usize,
    /// How many devices need it.
    users: u32,
}

global_lock! {
    // SAFETY: Initialised in `init` before anything else runs.
    unsafe(uninit) static REDIRECTION: Mutex<Redirection> = Redirection {
        table: 0,
        users: 0,
    };
}

/// How long a redirection that no device needs stays, in milliseconds.
const LINGER_MS: u32 = 1000;

/// # Safety
///
/// To be called once, when the module is loaded.
pub(in crate::nic) unsafe fn init() {
    // SAFETY: By the function's requirement.
    unsafe { REDIRECTION.init() };
}

/// The tracer calls us from a place that is less than this many bytes after the start of the function.
const ENTRY: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Function {
    StartXmit,
    SelectQueue,
    TxTimeout,
    XdpXmit,
    XskWakeup,
    Open,
    Stop,
    ChangeMtu,
    FixFeatures,
    SetFeatures,
    Bpf,
    SetupTc,
}

/// The address of an operation, 0 if there is none.
macro_rules! address {
    ($operation:expr) => {
        $operation.map_or(0, |function| function as *const () as usize)
    };
}

impl Function {
    const ALL: [Self; 12] = [
        Self::StartXmit,
        Self::SelectQueue,
        Self::TxTimeout,
        Self::XdpXmit,
        Self::XskWakeup,
        Self::Open,
        Self::Stop,
        Self::ChangeMtu,
        Self::FixFeatures,
        Self::SetFeatures,
        Self::Bpf,
        Self::SetupTc,
    ];

    /// Where it is in a table.
    fn of(self, ops: &net_device_ops) -> usize {
        match self {
            Self::StartXmit => address!(ops.ndo_start_xmit),
            Self::SelectQueue => address!(ops.ndo_select_queue),
            Self::TxTimeout => address!(ops.ndo_tx_timeout),
            Self::XdpXmit => address!(ops.ndo_xdp_xmit),
            Self::XskWakeup => address!(ops.ndo_xsk_wakeup),
            Self::Open => address!(ops.ndo_open),
            Self::Stop => address!(ops.ndo_stop),
            Self::ChangeMtu => address!(ops.ndo_change_mtu),
            Self::FixFeatures => address!(ops.ndo_fix_features),
            Self::SetFeatures => address!(ops.ndo_set_features),
            Self::Bpf => address!(ops.ndo_bpf),
            Self::SetupTc => address!(ops.ndo_setup_tc),
        }
    }

    /// Whether a call with these arguments is for us.
    fn is_ours(self, hooks: &Hooks, first: usize, second: usize) -> bool {
        match self {
            Self::StartXmit => {
                // SAFETY: The core calls the function with a packet as its first argument.
                let queue = unsafe { bindings::netmap_skb_queue(first as *mut sk_buff) };
                hooks.is_diverted(queue)
            }
            Self::SelectQueue => hooks.is_bound(),
            Self::TxTimeout => u16::try_from(second).is_ok_and(|queue| hooks.is_diverted(queue)),
            Self::XdpXmit | Self::XskWakeup => hooks.is_bound(),
            _ => !hooks.is_asking(),
        }
    }
}

/// Finds out where a call of a redirected function goes; 0 if to the function itself.
///
/// # Safety
///
/// Only for the function tracer, at the entry of a function that was redirected, with its first two arguments.
unsafe extern "C" fn decide(at: c_ulong, first: c_ulong, second: c_ulong) -> c_ulong {
    let found = Function::ALL
        .into_iter()
        .zip(&ADDRESSES)
        .find(|(_, address)| at.wrapping_sub(address.load(Ordering::Relaxed)) < ENTRY);
    let Some((function, _)) = found else {
        return 0;
    };
    let device = match function {
        Function::StartXmit => second,
        _ => first,
    } as *const net_device;
    let rcu = rcu::read_lock();
    match table::find(device, &rcu) {
        Some(hooks) if function.is_ours(hooks, first, second) => function.of(&ops::STAND_INS),
        _ => 0,
    }
}

impl Redirection {
    /// Redirects the functions of a table, with no other redirected.
    fn begin(&mut self, table: &net_device_ops) -> Result {
        let mut functions = KVec::with_capacity(ADDRESSES.len(), GFP_CHARGED)?;
        for (function, address) in Function::ALL.into_iter().zip(&ADDRESSES) {
            let value = function.of(table);
            address.store(value, Ordering::Relaxed);
            if value != 0 {
                functions.push(value as c_ulong, GFP_CHARGED)?;
            }
        }
        // SAFETY: The functions are there as long as the table. `decide` is a function of this module, which stays until
        // the redirection has ended.
        kernel::error::to_result(unsafe {
            bindings::netmap_redirect(functions.as_mut_ptr(), functions.len() as u32, Some(decide))
        })?;
        self.table = core::ptr::from_ref(table) as usize;
        Ok(())
    }

    /// Ends the redirection, if there is one and no device needs it.
    fn end(&mut self) {
        if self.users == 0 && self.table != 0 {
            // SAFETY: Begun by `begin`. When it returns, no call is on its way to `decide`.
            unsafe { bindings::netmap_redirect_end() };
            self.table = 0;
        }
    }
}

/// A device is about to go: its functions are not redirected any more, unless another one needs it.
pub(in crate::nic) fn leaves(device: *const net_device, _rtnl: &Rtnl) {
    // SAFETY: The device is valid, and its tables change only under the RTNL mutex.
    let table = unsafe { (*device).netdev_ops };
    let mut state = REDIRECTION.lock();
    if state.table == table as usize {
        state.end();
    }
}

/// The module is unloaded: the redirection ends. No device needs it, because nothing is bound.
pub(in crate::nic) fn end() {
    REDIRECTION.lock().end();
    // SAFETY: Process context, and the mutex is not held.
    unsafe { bindings::netmap_redirect_expire_cancel() };
}

/// # Safety
///
/// For the delayed work of [`Redirected`]'s drop alone.
unsafe extern "C" fn expire() {
    REDIRECTION.lock().end();
}

/// The functions of a driver are redirected as long as there is one of these.
pub(in crate::nic) struct Redirected(());

impl Redirected {
    /// Redirects the functions of a table, which stays where it is until its last device has gone through [`leaves`].
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the kernel cannot redirect functions, or not these; `EBUSY` if they are redirected by others (a
    /// live patch), the tracer is switched off, or functions of another table are redirected.
    pub fn new(table: &net_device_ops, _rtnl: &Rtnl) -> Result<Self> {
        let mut state = REDIRECTION.lock();
        if state.table != core::ptr::from_ref(table) as usize {
            if state.users != 0 {
                return Err(EBUSY);
            }
            state.end();
            state.begin(table)?;
        }
        state.users += 1;
        Ok(Self(()))
    }
}

impl Redirected {
    /// Gives up one use of the redirection, which stays if another device needs it. For [`Self::drop`], or for a value that
    /// is not dropped.
    pub(in crate::nic) fn put(&self) {
        let mut state = REDIRECTION.lock();
        state.users -= 1;
        if state.users == 0 {
            // SAFETY: `expire` is a function of this module, which waits for it at its end.
            unsafe { bindings::netmap_redirect_expire(Some(expire), LINGER_MS) };
        }
    }
}

impl Drop for Redirected {
    fn drop(&mut self) {
        self.put();
    }
}
