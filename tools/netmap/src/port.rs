// SPDX-License-Identifier: BSD-2-Clause
//! Ports: open files bound to rings.

use crate::abi;
use crate::binding::{Binding, Interest, PortFile, Ready};
use crate::conf;
use crate::control::control;
use crate::group::{Label, Member};
use crate::region::{lock, Region, BINDS};
use crate::ring::{Buffers, RawRing, RingError, RxRing, TxRing};
use crate::spec::{PortSpec, Rings};
use core::ptr::{addr_of, addr_of_mut};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// What to ask for when a port is opened; zero stands for the port's default. Numbers of rings and slots in the port's name
/// (`@conf:`) go before those here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Slots per transmit ring.
    pub tx_slots: u32,
    /// Slots per receive ring.
    pub rx_slots: u32,
    /// Transmit rings.
    pub tx_rings: u16,
    /// Receive rings.
    pub rx_rings: u16,
    /// Host transmit rings.
    pub host_tx_rings: u16,
    /// Host receive rings.
    pub host_rx_rings: u16,
    /// Buffers that belong to no slot.
    pub extra_bufs: u32,
    /// Further `NR_*` flags, besides those in the port's name.
    pub flags: u64,
}

impl Options {
    /// A request that asks for so many rings and slots, and nothing else.
    pub(crate) fn sizes(&self) -> abi::ReqRegister {
        abi::ReqRegister {
            nr_tx_slots: self.tx_slots,
            nr_rx_slots: self.rx_slots,
            nr_tx_rings: self.tx_rings,
            nr_rx_rings: self.rx_rings,
            nr_host_tx_rings: self.host_tx_rings,
            nr_host_rx_rings: self.host_rx_rings,
            ..abi::ReqRegister::default()
        }
    }
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `/dev/netmap` could not be opened.
    #[error("/dev/netmap: {0}; is the netmap module loaded?")]
    Device(#[source] io::Error),
    /// The kernel refused to bind the port.
    #[error("{port}: cannot bind: {error}")]
    Bind {
        /// The port, as asked for.
        port: String,
        /// `ENXIO` unknown port, `EBUSY` bound exclusively or not free to be taken, `EINVAL` impossible request,
        /// `ENOMEM`, and what else `netmap(4)` names.
        #[source]
        error: io::Error,
    },
    /// The region could not be mapped.
    #[error("{port}: cannot map the rings: {error}")]
    Map {
        /// The port, as asked for.
        port: String,
        /// `mmap`'s.
        #[source]
        error: io::Error,
    },
    /// What the kernel has published does not lie within the region.
    #[error("{port}: the kernel describes a ring outside of the memory region")]
    Malformed {
        /// The port, as asked for.
        port: String,
    },
    /// This process has the ring already, through another [`Port`].
    #[error("{port}: this program has bound ring {ring} already")]
    RingTaken {
        /// The port, as asked for.
        port: String,
        /// Position of the ring in the port's table: transmit rings, then receive rings.
        ring: usize,
    },
}

/// What the kernel said about a port when it was bound.
#[derive(Debug, Clone, Copy)]
pub struct PortInfo {
    /// Size of the region, in octets.
    pub mem_size: u64,
    /// The region's number.
    pub mem_id: u16,
    /// Slots per transmit ring.
    pub tx_slots: u32,
    /// Slots per receive ring.
    pub rx_slots: u32,
    /// Transmit rings of the NIC.
    pub tx_rings: u16,
    /// Receive rings of the NIC.
    pub rx_rings: u16,
    /// Host transmit rings.
    pub host_tx_rings: u16,
    /// Host receive rings.
    pub host_rx_rings: u16,
}

/// A buffer of the region that is in no slot.
#[derive(Debug)]
pub struct ExtraBuf {
    idx: u32,
    buffers: Buffers,
    member: Arc<Member>,
}

// SAFETY: the buffer is this value's alone until it is exchanged with a slot's.
unsafe impl Send for ExtraBuf {}

impl ExtraBuf {
    /// The buffer's octets.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let size = self.buffers.size() as usize;
        // SAFETY: `at` checks the index; the buffer is in no slot, and `self` is borrowed. As for a slot's, the member's group has the
        // files open that the buffer belongs to.
        unsafe { core::slice::from_raw_parts_mut(self.buffers.at(self.idx), size) }
    }

    pub(crate) fn buffers(&self) -> Buffers {
        self.buffers
    }

    pub(crate) fn label(&self) -> &Label {
        self.member.label()
    }

    pub(crate) fn idx_mut(&mut self) -> &mut u32 {
        &mut self.idx
    }
}

/// A bound port: its file, its rings, its extra buffers.
///
/// Dropping it gives the extra buffers and the receive slots that were passed on back, and closes the file, which takes the rings from
/// the NIC. What was queued and not synced is not sent.
///
/// # What exchanges of buffers keep open
///
/// After an exchange ([`TxSlot::swap`], [`TxSlot::forward`], `swap_extra`) each port may hold buffers of the other, and they stay in its
/// rings. So these two ports, and all those that either has exchanged buffers with before, are closed together: when the last one of
/// their rings, extra buffers and [`Binding`]s is dropped. Until then each file stays open, with its descriptor; its rings stay bound,
/// so that the peer of a pipe sees no end and the name cannot be bound exclusively; and its buffers stay in use. Syncs change nothing in
/// that, for nothing tells a program what the kernel has taken. Ports that have had a ring in common in this process are closed together
/// as well.
///
/// A program that keeps one port and opens and drops others, such as pipes of clients beside a NIC, copies between them:
/// `slot.write(received.packet())` exchanges nothing. So do [`TxSlot::forward`] and [`TxRing::forward`] themselves for ports in
/// different regions.
///
/// [`TxSlot::swap`]: crate::TxSlot::swap
/// [`TxSlot::forward`]: crate::TxSlot::forward
pub struct Port {
    tx: Vec<TxRing>,
    rx: Vec<RxRing>,
    extra: Vec<ExtraBuf>,
    info: PortInfo,
    binding: Arc<Binding>,
}

impl Port {
    /// Opens `/dev/netmap`, binds the file to `spec` and maps the region.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(spec: &PortSpec, options: &Options) -> Result<Port, OpenError> {
        let fd = device().map_err(OpenError::Device)?;
        let (mut port, viewed) = {
            // No group that has one of the rings ends meanwhile.
            let _binds = lock(&BINDS);
            let (mut port, reg) = Port::bind(fd, spec, options)?;
            let viewed = port.view_rings(spec, spec.flags() | options.flags, &reg);
            (port, viewed.map(|()| reg.nr_extra_bufs))
        };
        // Not before: the drop of a port takes the lock.
        port.collect_extra_bufs(viewed?);
        Ok(port)
    }

    /// A port without rings yet, and the kernel's answer.
    fn bind(
        fd: OwnedFd,
        spec: &PortSpec,
        options: &Options,
    ) -> Result<(Port, abi::ReqRegister), OpenError> {
        let port = || spec.to_string();
        let reg = register(&fd, spec, options).map_err(|error| OpenError::Bind {
            port: port(),
            error,
        })?;
        let len = usize::try_from(reg.nr_memsize).unwrap_or(usize::MAX);
        let region =
            Region::of(fd.as_fd(), reg.nr_mem_id, len).map_err(|error| OpenError::Map {
                port: port(),
                error,
            })?;
        let file = Arc::new(PortFile::new(fd, &region));
        let nifp = region
            .at(offset_of(&reg), size_of::<abi::If>(), 8)
            .ok_or_else(|| OpenError::Malformed { port: port() })?
            .cast();
        let info = PortInfo {
            mem_size: reg.nr_memsize,
            mem_id: reg.nr_mem_id,
            tx_slots: reg.nr_tx_slots,
            rx_slots: reg.nr_rx_slots,
            tx_rings: reg.nr_tx_rings,
            rx_rings: reg.nr_rx_rings,
            host_tx_rings: reg.nr_host_tx_rings,
            host_rx_rings: reg.nr_host_rx_rings,
        };
        let member = Member::new(&region, file.clone());
        // INVARIANT: `at` has checked it.
        let binding = Arc::new(Binding { file, nifp, member });
        let opened = Port {
            tx: Vec::new(),
            rx: Vec::new(),
            extra: Vec::new(),
            info,
            binding,
        };
        Ok((opened, reg))
    }

    /// What the kernel said about the port.
    pub fn info(&self) -> &PortInfo {
        &self.info
    }

    /// The bound transmit rings, in the port's order.
    pub fn tx_mut(&mut self) -> &mut [TxRing] {
        &mut self.tx
    }

    /// The bound receive rings, in the port's order.
    pub fn rx_mut(&mut self) -> &mut [RxRing] {
        &mut self.rx
    }

    /// The buffers that are in no slot.
    pub fn extra_bufs_mut(&mut self) -> &mut Vec<ExtraBuf> {
        &mut self.extra
    }

    /// Takes the rings out of the port, for threads: each may have some, and all of them sync by [`Self::binding`].
    ///
    /// Rings that live longer than the port keep the file open.
    ///
    /// ```no_run
    /// use netmap::{Interest, Options, Port};
    ///
    /// let mut port = Port::open(&"netmap:eth0".parse()?, &Options::default())?;
    /// let (_, received) = port.take_rings();
    /// std::thread::scope(|scope| {
    ///     for mut ring in received {
    ///         let binding = port.binding();
    ///         scope.spawn(move || {
    ///             while binding.poll(Interest::Rx, None).is_ok_and(|ready| !ready.error) {
    ///                 ring.drain(u32::MAX, |slot| println!("{} octets", slot.len()));
    ///             }
    ///         });
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_rings(&mut self) -> (Vec<TxRing>, Vec<RxRing>) {
        let (tx, rx) = (&mut self.tx, &mut self.rx);
        (core::mem::take(tx), core::mem::take(rx))
    }

    /// The port's file, which may be used by several threads at once.
    pub fn binding(&self) -> Arc<Binding> {
        Arc::clone(&self.binding)
    }

    /// File, transmit rings and receive rings at once.
    pub fn split(&mut self) -> (&Binding, &mut [TxRing], &mut [RxRing]) {
        (&self.binding, &mut self.tx, &mut self.rx)
    }

    /// Whether this port and `other` can exchange buffers.
    pub fn shares_region(&self, other: &Port) -> bool {
        Arc::ptr_eq(self.binding.region(), other.binding.region())
    }

    /// See [`Binding::sync_tx`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn sync_tx(&self) -> io::Result<()> {
        self.binding.sync_tx()
    }

    /// See [`Binding::sync_rx`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn sync_rx(&self) -> io::Result<()> {
        self.binding.sync_rx()
    }

    /// See [`Binding::poll`].
    ///
    /// # Errors
    ///
    /// As there.
    #[inline]
    pub fn poll(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Ready> {
        self.binding.poll(interest, timeout)
    }

    /// Makes the views of the rings that the binding has.
    fn view_rings(
        &mut self,
        spec: &PortSpec,
        flags: u64,
        reg: &abi::ReqRegister,
    ) -> Result<(), OpenError> {
        let port = || spec.to_string();
        let (member, nifp_offset) = (&self.binding.member, offset_of(reg));
        let region = member.region();
        let nifp = self.binding.nifp.as_ptr();
        // SAFETY: the structure is inside of the region; it is read by raw pointer.
        let [tx, host_tx, rx, host_rx] = unsafe {
            [
                addr_of!((*nifp).ni_tx_rings).read_volatile() as usize,
                addr_of!((*nifp).ni_host_tx_rings).read_volatile() as usize,
                addr_of!((*nifp).ni_rx_rings).read_volatile() as usize,
                addr_of!((*nifp).ni_host_rx_rings).read_volatile() as usize,
            ]
        };
        let total = [host_tx, rx, host_rx]
            .iter()
            .fold(tx, |sum, n| sum.saturating_add(*n));
        let table = region.at(
            nifp_offset + size_of::<abi::If>(),
            total.saturating_mul(size_of::<isize>()),
            align_of::<isize>(),
        );
        let table = table
            .ok_or_else(|| OpenError::Malformed { port: port() })?
            .cast::<isize>();
        // Those of rings that are not bound are 0.
        let offsets: Vec<Option<usize>> = (0..total)
            .map(|at| {
                // SAFETY: `at` is below `total`, and the table of that many offsets is inside of the region.
                let offset = unsafe { table.add(at).read_volatile() };
                match offset {
                    0 => Ok(None),
                    _ => nifp_offset.checked_add_signed(offset).map(Some).ok_or(()),
                }
            })
            .collect::<Result<_, ()>>()
            .map_err(|()| OpenError::Malformed { port: port() })?;
        let view = |at: usize| -> Result<Option<RawRing>, OpenError> {
            let Some(offset) = offsets[at] else {
                return Ok(None);
            };
            match RawRing::new(member, offset) {
                Ok(ring) => Ok(Some(ring)),
                Err(RingError::Malformed) => Err(OpenError::Malformed { port: port() }),
                Err(RingError::Taken) => Err(OpenError::RingTaken {
                    port: port(),
                    ring: at,
                }),
            }
        };
        let mut tx_rings = Vec::new();
        let mut rx_rings = Vec::new();
        if flags & abi::NR_RX_RINGS_ONLY == 0 {
            for at in bound(spec.rings(), tx, host_tx) {
                tx_rings.extend(view(at)?.map(TxRing));
            }
        }
        if flags & abi::NR_TX_RINGS_ONLY == 0 {
            for at in bound(spec.rings(), rx, host_rx) {
                rx_rings.extend(view(tx + host_tx + at)?.map(RxRing));
            }
        }
        // All that the file is bound to, with a view or not. Not before all views are there: who is refused one joins nobody.
        for offset in offsets.iter().flatten() {
            member.hold(*offset);
        }
        (self.tx, self.rx) = (tx_rings, rx_rings);
        Ok(())
    }

    /// Takes the list of extra buffers over from shared memory.
    fn collect_extra_bufs(&mut self, count: u32) {
        let Some(buffers) = self.buffers() else {
            return;
        };
        let head = self.bufs_head();
        // SAFETY: the field is inside of the region.
        let mut idx = unsafe { head.read_volatile() };
        for _ in 0..count {
            if idx == 0 || idx >= buffers.count() {
                break;
            }
            self.extra.push(ExtraBuf {
                idx,
                buffers,
                member: Arc::clone(&self.binding.member),
            });
            // SAFETY: the buffer is inside of the region; its first four octets hold the next one's index.
            idx = unsafe { buffers.at(idx).cast::<u32>().read_unaligned() };
        }
        // SAFETY: as above. What is listed in `extra` is no longer listed in shared memory.
        unsafe { head.write_volatile(idx) };
    }

    /// Puts what is in `extra` back to the list in shared memory, where a kernel that frees buffers by this list finds it at close.
    ///
    /// The program may have put extra buffers of other ports there. Those of other regions, where an index means another buffer, go
    /// back with their own files.
    fn return_extra_bufs(&mut self) {
        let head = self.bufs_head();
        let region = self.binding.region();
        // No panic here for an index that another program had written to a slot.
        let mine = |extra: &ExtraBuf| {
            Arc::ptr_eq(extra.member.region(), region) && extra.idx < extra.buffers.count()
        };
        for extra in self.extra.drain(..).filter(mine) {
            // SAFETY: the list's head and, by the check of `at`, the buffer are inside of the region, and the buffer is `extra`'s alone.
            unsafe {
                let next = head.read_volatile();
                extra
                    .buffers
                    .at(extra.idx)
                    .cast::<u32>()
                    .write_unaligned(next);
                head.write_volatile(extra.idx);
            }
        }
    }

    fn buffers(&self) -> Option<Buffers> {
        let tx = self.tx.first().map(|ring| ring.0.buffers());
        tx.or_else(|| self.rx.first().map(|ring| ring.0.buffers()))
    }

    fn bufs_head(&self) -> *mut u32 {
        // SAFETY: the structure is inside of the region; no reference is made.
        unsafe { addr_of_mut!((*self.binding.nifp.as_ptr()).ni_bufs_head) }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.return_extra_bufs();
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.binding.as_fd()
    }
}

impl AsRawFd for Port {
    fn as_raw_fd(&self) -> RawFd {
        self.binding.as_raw_fd()
    }
}

/// Where the interface of a bound file is in its region.
fn offset_of(reg: &abi::ReqRegister) -> usize {
    usize::try_from(reg.nr_offset).unwrap_or(usize::MAX)
}

/// Positions, within one direction's rings, that a selection binds.
fn bound(rings: Rings, nic: usize, host: usize) -> core::ops::Range<usize> {
    let (start, end) = match rings {
        Rings::Nic => (0, nic),
        Rings::Host => (nic, nic + host),
        Rings::NicAndHost => (0, nic + host),
        Rings::OneNic(ring) => (usize::from(ring), usize::from(ring) + 1),
        Rings::OneHost(ring) => (nic + usize::from(ring), nic + usize::from(ring) + 1),
    };
    start.min(nic + host)..end.min(nic + host)
}

/// Opens `/dev/netmap`.
pub(crate) fn device() -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/netmap")?;
    Ok(file.into())
}

/// Binds `fd` with [`abi::NETMAP_REQ_REGISTER`]; the parser of names has left room for the final zero.
fn register(fd: &OwnedFd, spec: &PortSpec, options: &Options) -> io::Result<abi::ReqRegister> {
    let (nr_mode, nr_ringid) = spec.rings().mode();
    let options = conf::over(spec.conf(), options);
    let mut reg = abi::ReqRegister {
        nr_mem_id: spec.mem_id(),
        nr_ringid,
        nr_mode,
        nr_extra_bufs: options.extra_bufs,
        nr_flags: spec.flags() | options.flags,
        ..options.sizes()
    };
    let body = addr_of_mut!(reg);
    // SAFETY: the body is the one that belongs to the request's type.
    unsafe {
        control(
            fd.as_fd(),
            abi::NETMAP_REQ_REGISTER,
            spec.name(),
            body.cast(),
        )?;
    }
    // SAFETY: `reg` is initialized whatever the kernel wrote: its fields are integers.
    Ok(unsafe { body.read_volatile() })
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
