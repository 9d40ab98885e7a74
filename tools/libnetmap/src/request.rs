// SPDX-License-Identifier: BSD-2-Clause
//! `nmreq_*`: headers, names, and the options of requests. The parsers of options in names are in `parsers.rs`.

use crate::context::{fail, last_error, Context};
use core::ffi::{c_char, c_int, c_void, CStr};
use core::ptr::with_exposed_provenance_mut;
use netmap::abi::{self, ReqHeader, ReqOption, ReqPortInfoGet, ReqRegister};
use netmap::name;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;

/// The octets of a C string; none of a null pointer, which is no name then.
///
/// # Safety
///
/// `text` must be one or null, for as long as what is returned is used.
pub unsafe fn octets<'t>(text: *const c_char) -> &'t [u8] {
    if text.is_null() {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// A part of a text as messages have it.
pub fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Moves a pointer into a text over what was taken of it: all but `rest`, its end.
///
/// # Safety
///
/// `*text` must be the start of the text whose end `rest` is.
unsafe fn advance(text: *mut *const c_char, taken: &[u8], rest: &[u8]) {
    // SAFETY: as the caller promises.
    unsafe { *text = (*text).add(taken.len() - rest.len()) };
}

/// A header without a name.
pub fn header(request: u16, body: *mut c_void) -> ReqHeader {
    ReqHeader {
        nr_version: abi::NETMAP_API,
        nr_reqtype: request,
        nr_reserved: 0,
        nr_name: [0; abi::NETMAP_REQ_IFNAMSIZ],
        nr_options: 0,
        nr_body: body.expose_provenance() as u64,
    }
}

/// The name in a header, for messages.
///
/// # Safety
///
/// `header` must point to one.
pub unsafe fn name_in(header: *const ReqHeader) -> String {
    // SAFETY: as the caller promises.
    let octets = unsafe { (*header).nr_name };
    let name = octets.split(|octet| *octet == 0).next();
    shown(name.unwrap_or_default())
}

/// Clears a header, and sets version, type and body.
///
/// # Safety
///
/// `out` must be valid for writes.
#[no_mangle]
pub unsafe extern "C" fn nmreq_header_init(out: *mut ReqHeader, request: u16, body: *mut c_void) {
    // SAFETY: as the caller promises.
    unsafe { out.write(header(request, body)) };
}

/// Takes a port's name from a text.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_header_decode(
    text: *mut *const c_char,
    out: *mut ReqHeader,
    context: *mut Context,
) -> c_int {
    // SAFETY: as the caller promises: a text, a context, and a header.
    unsafe {
        let spec = octets(*text);
        let found = match name::name(spec) {
            Ok(found) => found,
            Err(error) => {
                let spec = shown(spec);
                fail(context, libc::EINVAL, format_args!("{spec}: {error}"));
                return -1;
            }
        };
        // The parser has left room for a zero at least.
        let mut name = [0; abi::NETMAP_REQ_IFNAMSIZ];
        let (scope, rest) = name.split_at_mut(found.scope.len());
        scope.copy_from_slice(found.scope);
        rest[..found.name.len()].copy_from_slice(found.name);
        (*out).nr_name = name;
        advance(text, spec, found.rest);
        0
    }
}

/// Takes rings, flags and region from what is behind a name.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_register_decode(
    text: *mut *const c_char,
    out: *mut ReqRegister,
    context: *mut Context,
) -> c_int {
    // SAFETY: as the caller promises: a text, a context, and a request.
    unsafe {
        let spec = octets(*text);
        let found = match name::mode(spec, (*out).nr_mem_id) {
            Ok(found) => found,
            Err(error) => {
                fail(context, libc::EINVAL, format_args!("{error}"));
                return -1;
            }
        };
        (*out).nr_mode = found.mode;
        (*out).nr_ringid = found.ring;
        (*out).nr_flags = found.flags;
        (*out).nr_mem_id = found.mem_id;
        advance(text, spec, found.rest);
        0
    }
}

/// Asks the kernel for the region of the port whose name a text begins with.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_get_mem_id(text: *mut *const c_char, context: *mut Context) -> i32 {
    let mut body = ReqPortInfoGet::default();
    let mut request = header(
        abi::NETMAP_REQ_PORT_INFO_GET,
        core::ptr::addr_of_mut!(body).cast(),
    );
    // SAFETY: as the caller promises: a text and a context.
    unsafe {
        let mut rest = *text;
        if nmreq_header_decode(&mut rest, &mut request, context) < 0 {
            return -1;
        }
        let device = OpenOptions::new().read(true).write(true).open(DEVICE);
        let device = match device {
            Ok(device) => device,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                fail(context, errno, format_args!("{DEVICE}: {error}"));
                return -1;
            }
        };
        // The request is what the ioctl takes, and its body that of its type.
        if libc::ioctl(device.as_raw_fd(), abi::NIOCCTRL, &mut request) < 0 {
            let (errno, error) = last_error();
            let name = name_in(&request);
            fail(context, errno, format_args!("{name}: {error}"));
            return -1;
        }
        *text = rest;
    }
    i32::from(body.nr_mem_id)
}

/// The control device.
pub const DEVICE: &str = "/dev/netmap";

/// The option at an address; null for 0.
fn option(address: u64) -> *mut ReqOption {
    // Addresses are no longer than 64 bits here.
    with_exposed_provenance_mut(address as usize)
}

/// Puts an option before the others of a request.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_push_option(header: *mut ReqHeader, opt: *mut ReqOption) {
    // SAFETY: as the caller promises.
    unsafe {
        (*opt).nro_next = (*header).nr_options;
        (*header).nr_options = opt.expose_provenance() as u64;
    }
}

/// Takes an option out of the list of a request, if it is there.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_remove_option(header: *mut ReqHeader, opt: *mut ReqOption) {
    // SAFETY: as the caller promises; the list's members are whole.
    unsafe {
        let mut link = core::ptr::addr_of_mut!((*header).nr_options);
        while *link != 0 {
            let at = option(*link);
            if at == opt {
                *link = (*opt).nro_next;
                (*opt).nro_next = 0;
                return;
            }
            link = core::ptr::addr_of_mut!((*at).nro_next);
        }
    }
}

/// The first option of a type; null if there is none.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_find_option(header: *mut ReqHeader, kind: u32) -> *mut ReqOption {
    // SAFETY: as the caller promises; the list's members are whole.
    unsafe {
        let mut opt = option((*header).nr_options);
        while !opt.is_null() && (*opt).nro_reqtype != kind {
            opt = option((*opt).nro_next);
        }
        opt
    }
}

/// Frees all options of a request.
///
/// # Safety
///
/// As `libnetmap.h` says: `malloc()` has made them.
#[no_mangle]
pub unsafe extern "C" fn nmreq_free_options(header: *mut ReqHeader) {
    // SAFETY: as the caller promises; each member is read before it is freed.
    unsafe {
        let mut opt = option((*header).nr_options);
        (*header).nr_options = 0;
        while !opt.is_null() {
            let next = option((*opt).nro_next);
            libc::free(opt.cast());
            opt = next;
        }
    }
}

/// What a type of options is called.
#[no_mangle]
pub extern "C" fn nmreq_option_name(kind: u32) -> *const c_char {
    let name = match kind {
        abi::NETMAP_REQ_OPT_EXTMEM => c"extmem",
        abi::NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS => c"sync-kloop-eventfds",
        abi::NETMAP_REQ_OPT_CSB => c"csb",
        abi::NETMAP_REQ_OPT_SYNC_KLOOP_MODE => c"sync-kloop-mode",
        abi::NETMAP_REQ_OPT_OFFSETS => c"offsets",
        _ => c"unknown",
    };
    name.as_ptr()
}

/// Calls `f` with each option that the kernel has refused, its name and its error.
///
/// # Safety
///
/// `header` must be that of a request that the kernel has refused.
pub unsafe fn refused_options(header: *const ReqHeader, mut f: impl FnMut(&str, c_int)) {
    // SAFETY: as the caller promises; the list's members are whole, and the names are strings.
    unsafe {
        let mut opt = option((*header).nr_options);
        while !opt.is_null() {
            let status = (*opt).nro_status;
            if status != 0 {
                let name = CStr::from_ptr(nmreq_option_name((*opt).nro_reqtype));
                f(&name.to_string_lossy(), status as c_int);
            }
            opt = option((*opt).nro_next);
        }
    }
}
