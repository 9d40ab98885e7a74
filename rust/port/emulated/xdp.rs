// SPDX-License-Identifier: GPL-2.0

//! Receiving by XDP: the driver shows each packet before it makes one of the stack's of it.
//!
//! How the driver comes to call [`run`] is said in `xdp.c`.

use super::{offloads::TAGS, receive::Receiver};
use crate::{
    bindings,
    prelude::*,
    sys::{
        copy::copy_frame,
        netdev::NetDev,
        rtnl::Rtnl,
        softirq::Softirq, //
    },
};
use core::ptr::{null_mut, NonNull};

/// The packet is gone: the driver has its memory back.
const TAKEN: u64 = bindings::xdp_action_XDP_DROP as u64;
/// The packet goes on, as if no program was there.
const NOT_TAKEN: u64 = bindings::xdp_action_XDP_PASS as u64;

/// A device's driver has our program. Dropping it takes the program away; the last of that is done in the background, see
/// [`settle`].
///
/// # Invariants
///
/// `raw` is valid, and this value's own. If it has a receiver, that is `receiver`.
pub(super) struct Xdp {
    raw: NonNull<bindings::netmap_xdp>,
    receiver: Arc<Receiver>,
    /// What the device gets back when the program is gone.
    afterwards: Option<(NetDev, u64)>,
}

// SAFETY: It belongs to no thread.
unsafe impl Send for Xdp {}
// SAFETY: With a reference to it one can only read what others write in one piece.
unsafe impl Sync for Xdp {}

impl Xdp {
    /// Whether packets of the device are to come by XDP: the parameter `emulated_xdp` and the driver say that.
    pub(super) fn is_wanted(dev: &NetDev, _rtnl: &Rtnl) -> bool {
        // SAFETY: The device is valid, and the RTNL mutex is held.
        unsafe { bindings::netmap_xdp_wanted(dev.as_ptr()) }
    }

    /// Attaches the program, which passes all packets until it is armed. `EBUSY` if there is another one, `EPERM` if the calling task
    /// may not do that, or whatever the driver says. Without any lock held.
    pub(super) fn attach(dev: &NetDev, receiver: &Arc<Receiver>) -> Result<Self> {
        // SAFETY: The device is valid, and no lock is held.
        let raw = unsafe { bindings::netmap_xdp_attach(dev.as_ptr(), Some(run)) };
        let raw = kernel::error::from_err_ptr(raw)?;
        // INVARIANT: Just made, without a receiver.
        Ok(Self {
            raw: NonNull::new(raw).ok_or(ENOMEM)?,
            receiver: receiver.clone(),
            afterwards: None,
        })
    }

    /// From now on packets go to the receiver. `ENODEV` if what was attached is not attached to this device, or no more; or whatever
    /// the driver says. `EOPNOTSUPP` if it takes out VLAN tags, and cannot do without.
    pub(super) fn arm(&mut self, dev: &NetDev, _rtnl: &Rtnl) -> Result {
        // SAFETY: The device is valid.
        if unsafe { bindings::netmap_features(dev.as_ptr()) } & TAGS != 0 {
            return Err(EOPNOTSUPP);
        }
        let receiver: *const Receiver = &*self.receiver;
        // SAFETY: It is valid by the type's invariant, and so is the device; the RTNL mutex is held.
        kernel::error::to_result(unsafe {
            bindings::netmap_xdp_arm(self.raw.as_ptr(), dev.as_ptr(), receiver.cast())
        })
    }

    /// Takes the program away, and then turns features on again: drivers refuse some of them as long as they have a program.
    pub(super) fn detach(mut self, dev: &NetDev, features: u64) {
        self.afterwards = Some((dev.clone(), features));
    }

    /// Whether the driver still has the program.
    pub(super) fn is_armed(&self, dev: &NetDev) -> bool {
        // SAFETY: It is valid by the type's invariant, and so is the device.
        unsafe { bindings::netmap_xdp_is_armed(self.raw.as_ptr(), dev.as_ptr()) }
    }
}

impl Drop for Xdp {
    fn drop(&mut self) {
        let (dev, features) = match &self.afterwards {
            Some((dev, features)) => (dev.as_ptr(), *features),
            None => (null_mut(), 0),
        };
        // SAFETY: It is valid by the type's invariant, and given away. The device is valid, if there is one. When the function returns,
        // the receiver is not in use any more.
        unsafe { bindings::netmap_xdp_detach(self.raw.as_ptr(), dev, features) };
    }
}

/// What an error of [`Xdp::attach`] or [`Xdp::arm`] means, for the log.
pub(super) fn why(error: Error) -> &'static str {
    match error {
        EBUSY | EEXIST => "another program is attached",
        EPERM => "that takes CAP_BPF and CAP_NET_ADMIN",
        _ => "the program cannot be attached",
    }
}

/// Waits until all that was dropped is gone. Without the RTNL mutex.
pub(super) fn settle() {
    // SAFETY: The caller holds no lock that the release of a program takes.
    unsafe { bindings::netmap_xdp_settle() };
}

/// What the driver has instead of an XDP program.
///
/// # Safety
///
/// For [`Xdp`] alone: with softirqs off, in an RCU read side, with a packet that the driver has received.
unsafe extern "C" fn run(buff: *const bindings::xdp_buff, xdp: *const bindings::netmap_xdp) -> u64 {
    // SAFETY: By the function's requirement: `xdp` and the receiver that it has stay at least until the end of the RCU read side,
    // see `netmap_xdp_detach`, and the packet and its queue's device as long.
    let (receiver, buff, queue, dev, softirq) = unsafe {
        let receiver = (&raw const (*xdp).receiver).read_volatile();
        let queue = &*(*buff).rxq;
        (
            receiver.cast::<Receiver>().as_ref(),
            &*buff,
            queue.queue_index,
            queue.dev,
            Softirq::assume(),
        )
    };
    // SAFETY: The device is there while it receives.
    let features = unsafe { (&raw const (*dev).features).read_volatile() };
    if features & TAGS != 0 {
        // Somebody has turned it on again: the stack is told what tag there was.
        return NOT_TAKEN;
    }
    let Some(mut delivery) = receiver
        .and_then(|receiver| receiver.choose(queue))
        .and_then(|inbox| inbox.deliver(softirq))
    else {
        return NOT_TAKEN;
    };
    // What does not fit is counted, and lost.
    let _ = if is_in_one(buff) {
        let from = buff.data.cast::<u8>();
        let len = (buff.data_end as usize).wrapping_sub(buff.data as usize) as u32;
        delivery.put(len, |offset, to, len| {
            // SAFETY: The packet has as many bytes, and the inbox asks for no others; it does so at the address of a buffer that has
            // room for them.
            unsafe { copy_frame(from.add(offset as usize), to.as_ptr(), len as usize) };
            true
        })
    } else {
        // SAFETY: The packet is one that the driver has received.
        let len = unsafe { bindings::netmap_xdp_len(buff) };
        // SAFETY: As above; the inbox asks for bytes at the address of a buffer that has room for them.
        delivery.put(len, |offset, to, len| unsafe {
            bindings::netmap_xdp_copy(buff, offset, to.as_ptr(), len)
        })
    };
    TAKEN
}

/// Whether a packet is in one piece.
#[inline]
fn is_in_one(buff: &bindings::xdp_buff) -> bool {
    // SAFETY: All that is in the union is a number.
    let flags = unsafe { buff.__bindgen_anon_1.__bindgen_anon_1.flags };
    flags & bindings::xdp_buff_flags_XDP_FLAGS_HAS_FRAGS == 0
}
