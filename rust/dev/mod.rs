// SPDX-License-Identifier: GPL-2.0

//! `/dev/netmap`: what a program can do with an open file.
//!
//! A file is bound at most once, by [`ioctl::NIOCREGIF`] or [`ioctl::NIOCCTRL`], and from then on to its release the
//! binding does not change. So the sync path, which runs for every batch of packets, finds it with one load.
//!
//! # Errors
//!
//! | call | errno | when |
//! |---|---|---|
//! | any `ioctl` with an argument | `EINVAL` | the argument is a null pointer |
//! | | `EFAULT` | the argument, a body or an option cannot be read or written; a binding made on the way is undone |
//! | unknown `ioctl` | `EOPNOTSUPP` | always |
//! | `NIOCCONFIG`, registration of a connection | `ENXIO` | not bound, or the port is gone |
//! | | `EOPNOTSUPP` | bound to another port than a stack port |
//! | | `EBADF`, `ENOTSOCK`, `EBUSY`, ... | the descriptor is not that of a connection that can be registered: see [`crate::port::stack`] |
//! | `NIOCREGIF`, `NIOCGINFO`, `NIOCCTRL` | `EINVAL` | wrong version (written back), or a field: [`logic::request`] |
//! | | `EMSGSIZE` | body and options exceed [`abi::NETMAP_REQ_MAXSIZE`] bytes, a looping list for one; or a name is too long |
//! | | `EOPNOTSUPP` | a request type that is not served, or a bind with options; `nro_status` says which ones are not |
//! | | `ENXIO`, `ENOMEM`, `EBUSY`, ... | no such port, no memory, rings taken exclusively: see [`requests`] |
//! | `NIOCREGIF`, `NIOCGINFO` | `EOVERFLOW` | a size or an offset does not fit the 32 bits of `struct nmreq` |
//! | binding twice | `EBUSY` | the file is bound, or another thread is binding it |
//! | `NIOCTXSYNC`, `NIOCRXSYNC` | `ENXIO` | not bound, or the port is gone |
//! | | `EINTR` | killed while another thread was syncing the same ring |
//! | `mmap` | `EINVAL` | not bound; beyond the region; not `MAP_SHARED` |
//! | access to mapped memory | `SIGBUS` | that part of the region was never used, and there is no memory, or the task is killed |
//! | `poll` | `POLLERR` | not bound, the port is gone, or a ring was reinitialised |

mod control;
mod debug;
mod legacy;
mod map;
mod poll;
mod user;

use crate::{
    abi::ioctl,
    atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering},
    port::{binding::Binding, forward::Forward, requests},
    prelude::*,
    ring::sync,
    sys::{self, trace, wait::WaitQueue}, //
};
use core::ptr::null_mut;
use kernel::{
    bindings,
    ffi::{c_int, c_long, c_uint, c_ulong},
    types::Opaque, //
};

/// The private data of an open file.
///
/// # Invariants
///
/// `binding` is null or owns a reference that lives as long as this value; once it is not null it does not change.
/// It is written by the owner of `claimed` alone.
pub(crate) struct OpenFile {
    binding: AtomicPtr<Binding>,
    claimed: AtomicBool,
    /// The sleepers of all rings of the file. It is there before the binding is, because epoll registers only once.
    wait: Arc<WaitQueue>,
    /// Faults on mapped memory that were served with a large page.
    huge_faults: AtomicU64,
    /// Faults on mapped memory that were served with a small page.
    faults: AtomicU64,
}

impl OpenFile {
    fn new() -> Result<Self> {
        // INVARIANT: Null, and not claimed.
        Ok(Self {
            binding: AtomicPtr::new(null_mut()),
            claimed: AtomicBool::new(false),
            wait: Arc::pin_init(WaitQueue::new(), GFP_CHARGED)?,
            huge_faults: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        })
    }

    /// The binding, if the file is bound.
    #[inline]
    fn binding(&self) -> Option<&Binding> {
        // SAFETY: By the type's invariant it is null or valid as long as `self`.
        unsafe { self.binding.load(Ordering::Acquire).as_ref() }
    }

    /// Has a connection's data go through the rings, or not any more.
    fn connection(&self, fd: i32, register: bool) -> Result {
        let kind = alive(self)?.kind();
        if register {
            kind.register(fd)
        } else {
            kind.unregister(fd)
        }
    }

    /// Binds the file; the binding counts once it is published. `EBUSY` if the file is bound already.
    fn bind(&self, request: &crate::logic::request::BindRequest) -> Result<Pending<'_>> {
        if self.claimed.swap(true, Ordering::Acquire) {
            return Err(EBUSY);
        }
        // INVARIANT: `claimed` was clear and is ours now.
        let mut pending = Pending {
            file: self,
            binding: None,
        };
        pending.binding = Some(requests::bind(request, &self.wait)?);
        Ok(pending)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let binding = *self.binding.get_mut();
        if !binding.is_null() {
            // SAFETY: By the type's invariant the reference is ours.
            let binding = unsafe { Arc::from_raw(binding) };
            trace::unbind(&binding.label);
            requests::unbind(&binding);
        }
    }
}

/// A binding that is not published yet. Dropping it undoes the bind.
///
/// # Invariants
///
/// `file.claimed` is set and ours.
struct Pending<'a> {
    file: &'a OpenFile,
    binding: Option<Arc<Binding>>,
}

impl Pending<'_> {
    fn reply(&self) -> crate::logic::request::Reply {
        self.binding
            .as_ref()
            .map(|binding| binding.reply)
            .unwrap_or_default()
    }

    /// Lets the file be used.
    fn publish(mut self) {
        if let Some(binding) = self.binding.take() {
            let (tx, rx) = (binding.tx.len(), binding.rx.len());
            trace::bind(&binding.label, tx, rx, binding.reply.offset);
            let binding = Arc::into_raw(binding).cast_mut();
            // INVARIANT: `claimed` is ours, and stays set from now on.
            self.file.binding.store(binding, Ordering::Release);
            // Callers of poll that got an error for the unbound file look again.
            self.file.wait.wake();
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(binding) = self.binding.take() {
            requests::unbind(&binding);
        }
        if self.file.binding.load(Ordering::Relaxed).is_null() {
            self.file.claimed.store(false, Ordering::Release);
        }
    }
}

/// `/dev/netmap`, registered as long as this value lives.
///
/// # Invariants
///
/// `misc` is registered.
#[pin_data(PinnedDrop)]
pub(crate) struct CharDevice {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    #[pin]
    debug: debug::Files,
}

// SAFETY: The device is registered and deregistered only, by the module's loader.
unsafe impl Send for CharDevice {}
// SAFETY: As above.
unsafe impl Sync for CharDevice {}

impl CharDevice {
    /// Makes the device and its files in debugfs appear.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        // A failure is ignored: poll works without it, only slower.
        let _ = sys::poll::init();
        try_pin_init!(Self {
            // First, because nothing after the registration may fail.
            debug <- debug::Files::new(),
            misc <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let misc = bindings::miscdevice {
                    minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                    name: c"netmap".as_char_ptr(),
                    mode: 0o600,
                    fops: &raw const FILE_OPERATIONS.0,
                    ..pin_init::zeroed()
                };
                // SAFETY: The slot is ours to write, and does not move from now to the drop.
                unsafe { slot.write(misc) };
                // SAFETY: As above; the operations are static.
                kernel::error::to_result(unsafe { bindings::misc_register(slot) })
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for CharDevice {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is registered, by the type's invariant.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// A table of operations that is never written.
#[repr(transparent)]
struct Table<T>(T);

// SAFETY: It is only read.
unsafe impl<T> Sync for Table<T> {}

static FILE_OPERATIONS: Table<bindings::file_operations> = Table(bindings::file_operations {
    // The crate's `THIS_MODULE` is a static in Linux 7.2 and a constant of `ModuleMetadata` in 7.3; this is behind both.
    owner: (&raw const bindings::__this_module).cast_mut(),
    open: Some(open),
    release: Some(release),
    unlocked_ioctl: Some(ioctl_native),
    // The structures are the same for 32-bit programs, and user pointers in them are 64-bit fields.
    compat_ioctl: bindings::compat_ptr_ioctl,
    mmap: Some(map::mmap),
    get_unmapped_area: Some(bindings::thp_get_unmapped_area),
    poll: Some(poll::poll),
    show_fdinfo: Some(debug::show_fdinfo),
    ..pin_init::zeroed()
});

/// # Safety
///
/// As an operation of `/dev/netmap`, on a file whose `open` succeeded and whose `release` has not begun.
#[inline]
unsafe fn open_file<'a>(file: *mut bindings::file) -> &'a OpenFile {
    // SAFETY: `open` put it there, `release` takes it away, and this call is between the two.
    unsafe { &*(*file).private_data.cast::<OpenFile>() }
}

/// Gives a file that is being opened its private data.
///
/// # Safety
///
/// For the kernel to call, as this operation of an open `/dev/netmap`.
unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    match OpenFile::new().and_then(|open| Ok(KBox::new(open, GFP_CHARGED)?)) {
        Ok(open) => {
            // SAFETY: A file that is being opened is ours to set up.
            unsafe { (*file).private_data = KBox::into_raw(open).cast() };
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// Undoes the binding, when the last user of the open file is gone.
///
/// # Safety
///
/// For the kernel to call, as this operation of an open `/dev/netmap`.
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: `open` put it there, and nobody uses a file after its release.
    drop(unsafe { KBox::from_raw((*file).private_data.cast::<OpenFile>()) });
    0
}

/// All requests; the errors are in the table above.
///
/// # Safety
///
/// For the kernel to call, as this operation of an open `/dev/netmap`.
unsafe extern "C" fn ioctl_native(
    file: *mut bindings::file,
    request: c_uint,
    argument: c_ulong,
) -> c_long {
    // SAFETY: This is an operation on an open file.
    let open = unsafe { open_file(file) };
    let result = match request {
        ioctl::NIOCTXSYNC => sync_transmit(open),
        ioctl::NIOCRXSYNC => sync_receive(open),
        _ => control(open, request, argument),
    };
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno() as c_long,
    }
}

/// Everything but sync.
#[cold]
fn control(open: &OpenFile, request: u32, argument: usize) -> Result {
    let serve = match request {
        ioctl::NIOCCTRL => control::serve,
        ioctl::NIOCREGIF => legacy::register,
        ioctl::NIOCGINFO => legacy::info,
        ioctl::NIOCCONFIG => legacy::config,
        _ => return Err(EOPNOTSUPP),
    };
    if argument == 0 {
        return Err(EINVAL);
    }
    serve(open, argument)
}

/// The binding of a file, unless it is dead. The rings of a port are killed one after the other; a program that was told so
/// of the first must not find the others alive.
#[inline]
fn alive(open: &OpenFile) -> Result<&Binding> {
    open.binding()
        .filter(|binding| !binding.is_dead())
        .ok_or(ENXIO)
}

// A frame of its own, smaller than that of the other requests.
#[inline(never)]
fn sync_transmit(open: &OpenFile) -> Result {
    let binding = alive(open)?;
    let mut result = Ok(());
    for kring in binding.tx.iter() {
        if let Err(failure) = sync::txsync(&binding.label, kring, sync::FORCE) {
            result = result.and(failure.to_ioctl());
        }
    }
    result
}

#[inline(never)]
fn sync_receive(open: &OpenFile) -> Result {
    let binding = alive(open)?;
    let mut result = Ok(());
    let mut forward = Forward::new(binding);
    for kring in binding.rx.iter() {
        if let Err(failure) = sync::rxsync(&binding.label, kring, &mut forward, sync::FORCE) {
            result = result.and(failure.to_ioctl());
        }
    }
    if forward.finish() {
        for kring in binding.tx.iter() {
            if let Err(failure) = sync::txflush(&binding.label, kring, 0) {
                result = result.and(failure.to_ioctl());
            }
        }
    }
    result
}
