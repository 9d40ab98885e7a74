// SPDX-License-Identifier: BSD-2-Clause
//! The open file of a port: syncs and waits.

use crate::abi;
use crate::group::{File, Member};
use crate::region::Region;
use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Which rings a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Free slots in a transmit ring.
    Tx,
    /// Packets in a receive ring.
    Rx,
    /// Either.
    Both,
}

/// What a wait has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// A transmit ring has free slots.
    pub tx: bool,
    /// A receive ring has packets.
    pub rx: bool,
    /// The port's NIC is gone, as a sync then says too; or a ring was found in an impossible state and was set back, and
    /// may be used at once.
    pub error: bool,
}

/// A file that is bound to a region.
#[derive(Debug)]
pub(crate) struct PortFile {
    fd: OwnedFd,
    region: Arc<Region>,
}

impl PortFile {
    /// Of a file for which [`Region::of`] has found the region.
    pub(crate) fn new(fd: OwnedFd, region: &Arc<Region>) -> PortFile {
        let region = Arc::clone(region);
        PortFile { fd, region }
    }
}

impl Drop for PortFile {
    fn drop(&mut self) {
        self.region.leave(self.fd.as_raw_fd());
    }
}

impl File for PortFile {
    fn release(&self) {
        // The port may be gone; then nobody has its rings.
        sync(self.fd.as_raw_fd(), abi::NIOCRXSYNC).ok();
    }
}

#[inline]
fn sync(fd: RawFd, request: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the two sync requests take no argument.
    let failed = unsafe { libc::ioctl(fd, request) } < 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The open file of a port: what syncs and waits go through.
///
/// # Invariants
///
/// `nifp` is the interface of the file, inside of the region.
#[derive(Debug)]
pub struct Binding {
    // Before the member, with the last of which the file is closed.
    pub(crate) file: Arc<PortFile>,
    pub(crate) nifp: NonNull<abi::If>,
    pub(crate) member: Arc<Member>,
}

// SAFETY: `nifp` leads into the region, which is shared memory; it is read and written by single accesses.
unsafe impl Send for Binding {}
// SAFETY: as above; the kernel allows concurrent calls on one file.
unsafe impl Sync for Binding {}

impl AsFd for Binding {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.fd.as_fd()
    }
}

impl AsRawFd for Binding {
    fn as_raw_fd(&self) -> RawFd {
        self.file.fd.as_raw_fd()
    }
}

impl Binding {
    pub(crate) fn region(&self) -> &Arc<Region> {
        self.member.region()
    }

    /// Sends what is queued on the transmit rings and collects sent slots (`NIOCTXSYNC`).
    ///
    /// # Errors
    ///
    /// `ENXIO` if the port is gone; `EINTR` if the program was killed. A ring that is found in an impossible state is set
    /// back, which is no error here: [`Self::poll`] tells it.
    #[inline]
    pub fn sync_tx(&self) -> io::Result<()> {
        sync(self.as_raw_fd(), abi::NIOCTXSYNC)
    }

    /// Collects received packets and gives released slots back to the NIC (`NIOCRXSYNC`).
    ///
    /// # Errors
    ///
    /// As [`Self::sync_tx`].
    #[inline]
    pub fn sync_rx(&self) -> io::Result<()> {
        sync(self.as_raw_fd(), abi::NIOCRXSYNC)
    }

    /// Waits for what `interest` names, `timeout` at most, and syncs the rings on the way.
    ///
    /// Queued packets are sent whatever the interest, unless the port was opened with [`abi::NR_NO_TX_POLL`].
    /// A signal or the timeout ends the wait with nothing ready.
    ///
    /// # Errors
    ///
    /// `poll`'s, such as `ENOMEM`.
    #[inline]
    pub fn poll(&self, interest: Interest, timeout: Option<Duration>) -> io::Result<Ready> {
        let mut pollfd = libc::pollfd {
            fd: self.as_raw_fd(),
            events: match interest {
                Interest::Tx => libc::POLLOUT,
                Interest::Rx => libc::POLLIN,
                Interest::Both => libc::POLLOUT | libc::POLLIN,
            },
            revents: 0,
        };
        // SAFETY: `pollfd` is one element, as stated, and lives through the call.
        let found = unsafe { libc::poll(&mut pollfd, 1, timeout.map_or(-1, milliseconds)) };
        if found < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(Ready::default()),
                _ => Err(error),
            };
        }
        Ok(Ready {
            tx: pollfd.revents & libc::POLLOUT != 0,
            rx: pollfd.revents & libc::POLLIN != 0,
            error: pollfd.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0,
        })
    }
}

/// Whole milliseconds, rounded up so that a wait is never shorter than asked for.
fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}
