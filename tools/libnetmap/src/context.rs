// SPDX-License-Identifier: BSD-2-Clause
//! `nmctx_*`: messages, memory, and the lock of the list of regions.

use crate::mapping::MemDesc;
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::fmt::Arguments;
use core::ptr::{addr_of_mut, null_mut};
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::io::Write;

/// `struct nmctx`.
#[repr(C)]
pub struct Context {
    /// 0: no messages.
    pub verbose: c_int,
    /// Takes a message.
    pub error: unsafe extern "C" fn(*mut Context, *const c_char),
    /// Allocates.
    pub malloc: unsafe extern "C" fn(*mut Context, usize) -> *mut c_void,
    /// Frees.
    pub free: unsafe extern "C" fn(*mut Context, *mut c_void),
    /// Locks, or unlocks.
    pub lock: Option<unsafe extern "C" fn(*mut Context, c_int)>,
    /// Regions that are mapped.
    pub mem_descs: *mut MemDesc,
}

/// The context that is the default one until a program sets another, and its lock.
struct Global {
    context: UnsafeCell<Context>,
    lock: UnsafeCell<libc::pthread_mutex_t>,
}

// SAFETY: the lock is one of the C library's, which threads share; of the context only the list of regions changes, which
// the lock is for, and what the program writes itself.
unsafe impl Sync for Global {}

static GLOBAL: Global = Global {
    context: UnsafeCell::new(Context {
        verbose: 1,
        error: print,
        malloc: allocate,
        free: release,
        lock: Some(lock),
        mem_descs: null_mut(),
    }),
    lock: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
};

static DEFAULT: AtomicPtr<Context> = AtomicPtr::new(GLOBAL.context.get());

/// Of no use, but programs may write to it.
#[no_mangle]
#[allow(non_upper_case_globals)] // The name is C's.
pub static nmctx_threadsafe: AtomicI32 = AtomicI32::new(1);

unsafe extern "C" fn print(_: *mut Context, message: *const c_char) {
    // SAFETY: the message is a string, by the contract of the callback.
    let message = unsafe { core::ffi::CStr::from_ptr(message) };
    // There is nobody to tell that nothing can be told.
    let _ = writeln!(
        std::io::stderr(),
        "{}",
        String::from_utf8_lossy(message.to_bytes())
    );
}

unsafe extern "C" fn allocate(_: *mut Context, size: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    unsafe { libc::malloc(size) }
}

unsafe extern "C" fn release(_: *mut Context, memory: *mut c_void) {
    // SAFETY: the memory is `allocate`'s, by the contract of the callback.
    unsafe { libc::free(memory) }
}

unsafe extern "C" fn lock(_: *mut Context, locks: c_int) {
    let mutex = GLOBAL.lock.get();
    // SAFETY: the mutex is initialized, and never moves; who unlocks has locked, by the contract of the callback.
    unsafe {
        if locks != 0 {
            libc::pthread_mutex_lock(mutex);
        } else {
            libc::pthread_mutex_unlock(mutex);
        }
    }
}

/// The default context.
#[no_mangle]
pub extern "C" fn nmctx_get() -> *mut Context {
    DEFAULT.load(Ordering::Acquire)
}

/// Replaces the default context; the one before.
#[no_mangle]
pub extern "C" fn nmctx_set_default(context: *mut Context) -> *mut Context {
    DEFAULT.swap(context, Ordering::AcqRel)
}

/// Gives the default context a lock, if it has none.
///
/// # Safety
///
/// The default context must be a context, and no other thread may use it.
#[no_mangle]
pub unsafe extern "C" fn nmctx_set_threadsafe() {
    let context = nmctx_get();
    // SAFETY: as the caller promises.
    unsafe {
        if (*context).lock.is_none() {
            (*context).lock = Some(lock);
        }
    }
}

/// Allocates.
///
/// # Safety
///
/// `context` must be one.
#[no_mangle]
pub unsafe extern "C" fn nmctx_malloc(context: *mut Context, size: usize) -> *mut c_void {
    // SAFETY: as the caller promises.
    unsafe { ((*context).malloc)(context, size) }
}

/// Frees.
///
/// # Safety
///
/// `context` must be one, and `memory` of its allocator.
#[no_mangle]
pub unsafe extern "C" fn nmctx_free(context: *mut Context, memory: *mut c_void) {
    // SAFETY: as the caller promises.
    unsafe { ((*context).free)(context, memory) }
}

/// Locks the list of regions.
///
/// # Safety
///
/// `context` must be one, and this thread must not have locked it.
#[no_mangle]
pub unsafe extern "C" fn nmctx_lock(context: *mut Context) {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(lock) = (*context).lock {
            lock(context, 1);
        }
    }
}

/// Unlocks the list of regions.
///
/// # Safety
///
/// `context` must be one that this thread has locked.
#[no_mangle]
pub unsafe extern "C" fn nmctx_unlock(context: *mut Context) {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(lock) = (*context).lock {
            lock(context, 0);
        }
    }
}

/// Most octets of a message, with its final zero.
const MESSAGE: usize = 1000;

/// Hands a message to the context, cut if it is too long, and sets `errno`.
///
/// # Safety
///
/// `context` must be one.
pub unsafe fn fail(context: *mut Context, errno: c_int, message: Arguments<'_>) {
    // SAFETY: as the caller promises.
    if unsafe { (*context).verbose } != 0 {
        let mut text = message.to_string().into_bytes();
        text.retain(|octet| *octet != 0);
        text.truncate(MESSAGE - 1);
        text.push(0);
        // SAFETY: as the caller promises; the text ends with a zero.
        unsafe { ((*context).error)(context, text.as_ptr().cast()) };
    }
    set_errno(errno);
}

/// Sets `errno`.
pub fn set_errno(errno: c_int) {
    // SAFETY: the C library's own variable of this thread.
    unsafe { *libc::__errno_location() = errno };
}

/// The error of the call before, and how it reads.
pub fn last_error() -> (c_int, std::io::Error) {
    let error = std::io::Error::last_os_error();
    (error.raw_os_error().unwrap_or(libc::EIO), error)
}

/// Memory of the context's, with `value` in it; null, `ENOMEM` and a message if there is none.
///
/// # Safety
///
/// `context` must be one, whose memory is aligned as C's is.
pub unsafe fn place<T>(context: *mut Context, value: T) -> *mut T {
    // SAFETY: as the caller promises.
    let memory: *mut T = unsafe { nmctx_malloc(context, size_of::<T>()) }.cast();
    if memory.is_null() {
        // SAFETY: as the caller promises.
        unsafe { fail(context, libc::ENOMEM, format_args!("out of memory")) };
    } else {
        // SAFETY: the allocator has given as much as the value needs.
        unsafe { memory.write(value) };
    }
    memory
}

/// The list of regions, which the caller has locked.
///
/// # Safety
///
/// `context` must be one.
pub unsafe fn regions(context: *mut Context) -> *mut *mut MemDesc {
    // SAFETY: as the caller promises; no reference is made.
    unsafe { addr_of_mut!((*context).mem_descs) }
}
