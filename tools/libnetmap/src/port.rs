// SPDX-License-Identifier: BSD-2-Clause
//! `nmport_*`: ports.

use crate::context::{fail, last_error, nmctx_free, nmctx_get, place, set_errno, Context};
use crate::mapping::{self, MemDesc, Memory};
use crate::parsers::nmreq_options_decode;
use crate::port_options;
use crate::request::{
    header, name_in, nmreq_header_decode, nmreq_register_decode, nmreq_remove_option,
    refused_options, DEVICE,
};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::{addr_of, addr_of_mut, null_mut, with_exposed_provenance_mut};
use netmap::abi::{self, If, OptExtmem, OptOffsets, ReqHeader, ReqRegister};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// `struct nmport_d`.
#[repr(C)]
pub struct PortDesc {
    /// The header of the request that registers the port.
    pub hdr: ReqHeader,
    /// The request.
    pub reg: ReqRegister,
    /// The region, once mapped.
    pub mem: *mut MemDesc,
    /// The context.
    pub ctx: *mut Context,
    /// Not 0: registered.
    pub register_done: c_int,
    /// Not 0: mapped.
    pub mmap_done: c_int,
    /// The option for memory of the program's own.
    pub extmem: *mut OptExtmem,
    /// The open file; -1 for none.
    pub fd: c_int,
    /// The rings, once mapped.
    pub nifp: *mut If,
    /// First transmit ring.
    pub first_tx_ring: u16,
    /// Last transmit ring.
    pub last_tx_ring: u16,
    /// First receive ring.
    pub first_rx_ring: u16,
    /// Last receive ring.
    pub last_rx_ring: u16,
    /// Where to look for room first.
    pub cur_tx_ring: u16,
    /// The program's.
    pub cur_rx_ring: u16,
    /// What parsing the name has made, the last first.
    pub(crate) clist: *mut Cleanup,
}

/// `struct nmport_cleanup_d`: something that goes with the name of a port.
pub(crate) struct Cleanup {
    next: *mut Cleanup,
    what: Made,
}

pub(crate) enum Made {
    Extmem(*mut OptExtmem),
    Offsets(*mut OptOffsets),
    Mapping(*mut c_void, usize),
}

/// Notes what was made, for [`undo`]; -1 if there is no memory for that.
///
/// # Safety
///
/// `port` must be a port.
pub(crate) unsafe fn note(port: *mut PortDesc, what: Made) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        let next = (*port).clist;
        let cleanup = place((*port).ctx, Cleanup { next, what });
        if cleanup.is_null() {
            return -1;
        }
        (*port).clist = cleanup;
        0
    }
}

/// Undoes what was made after `until`.
///
/// # Safety
///
/// `port` must be a port, and `until` its list as it was, or null.
pub(crate) unsafe fn undo(port: *mut PortDesc, until: *mut Cleanup) {
    // SAFETY: as the caller promises; what is in the list was made and not yet undone.
    unsafe {
        let context = (*port).ctx;
        while (*port).clist != until {
            let cleanup = (*port).clist;
            (*port).clist = (*cleanup).next;
            match (*cleanup).what {
                Made::Extmem(option) => {
                    nmreq_remove_option(addr_of_mut!((*port).hdr), option.cast());
                    nmctx_free(context, option.cast());
                    (*port).extmem = null_mut();
                }
                Made::Offsets(option) => {
                    nmreq_remove_option(addr_of_mut!((*port).hdr), option.cast());
                    nmctx_free(context, option.cast());
                }
                Made::Mapping(mem, size) => {
                    libc::munmap(mem, size);
                }
            }
            nmctx_free(context, cleanup.cast());
        }
    }
}

/// Says why a port cannot do something; -1.
///
/// # Safety
///
/// `port` must be a port.
pub(crate) unsafe fn refuse(
    port: *mut PortDesc,
    errno: c_int,
    reason: core::fmt::Arguments<'_>,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        match name_in(addr_of!((*port).hdr)) {
            name if name.is_empty() => fail((*port).ctx, errno, reason),
            name => fail((*port).ctx, errno, format_args!("{name}: {reason}")),
        }
    }
    -1
}

/// A port without a name, in a context.
///
/// # Safety
///
/// `context` must be one.
unsafe fn new(context: *mut Context) -> *mut PortDesc {
    // SAFETY: as the caller promises.
    unsafe {
        let port = place(
            context,
            PortDesc {
                hdr: header(abi::NETMAP_REQ_REGISTER, null_mut()),
                reg: ReqRegister::default(),
                mem: null_mut(),
                ctx: context,
                register_done: 0,
                mmap_done: 0,
                extmem: null_mut(),
                fd: -1,
                nifp: null_mut(),
                first_tx_ring: 0,
                last_tx_ring: 0,
                first_rx_ring: 0,
                last_rx_ring: 0,
                cur_tx_ring: 0,
                cur_rx_ring: 0,
                clist: null_mut(),
            },
        );
        if !port.is_null() {
            reset(port);
        }
        port
    }
}

/// Makes the request of a port that of one without a name.
///
/// # Safety
///
/// `port` must be a port.
unsafe fn reset(port: *mut PortDesc) {
    // SAFETY: as the caller promises.
    unsafe {
        (*port).reg = ReqRegister::default();
        let body: *mut ReqRegister = addr_of_mut!((*port).reg);
        (*port).hdr = header(abi::NETMAP_REQ_REGISTER, body.cast());
    }
}

/// A port without a name.
///
/// # Safety
///
/// The default context must be one.
#[no_mangle]
pub unsafe extern "C" fn nmport_new() -> *mut PortDesc {
    // SAFETY: as the caller promises.
    unsafe { new(nmctx_get()) }
}

/// Frees a port of `nmport_new()`.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_delete(port: *mut PortDesc) {
    // SAFETY: as the caller promises.
    unsafe { nmctx_free((*port).ctx, port.cast()) };
}

/// Names a port.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_parse(port: *mut PortDesc, text: *const c_char) -> c_int {
    // SAFETY: as the caller promises: a port and a text. What fails leaves the port as it was.
    unsafe {
        let (before, context) = ((*port).clist, (*port).ctx);
        let (hdr, reg) = ((*port).hdr, (*port).reg);
        let mut rest = text;
        let parsed = nmreq_header_decode(&mut rest, addr_of_mut!((*port).hdr), context) == 0
            && nmreq_register_decode(&mut rest, addr_of_mut!((*port).reg), context) == 0
            && nmreq_options_decode(rest, port_options::all(), port.cast(), context) == 0;
        if !parsed {
            let (errno, _) = last_error();
            undo(port, before);
            ((*port).hdr, (*port).reg) = (hdr, reg);
            set_errno(errno);
            return -1;
        }
        0
    }
}

/// Takes a port's name away.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_undo_parse(port: *mut PortDesc) {
    // SAFETY: as the caller promises.
    unsafe {
        undo(port, null_mut());
        reset(port);
    }
}

/// A port with a name.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_prepare(text: *const c_char) -> *mut PortDesc {
    // SAFETY: as the caller promises.
    unsafe {
        let port = nmport_new();
        if !port.is_null() && nmport_parse(port, text) < 0 {
            nmport_delete(port);
            return null_mut();
        }
        port
    }
}

/// Undoes `nmport_prepare()`.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_undo_prepare(port: *mut PortDesc) {
    if port.is_null() {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        nmport_undo_parse(port);
        nmport_delete(port);
    }
}

/// Binds a port.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_register(port: *mut PortDesc) -> c_int {
    // SAFETY: as the caller promises: a port, whose header and options are those of the request.
    unsafe {
        if (*port).register_done != 0 {
            return refuse(port, libc::EINVAL, format_args!("it is registered already"));
        }
        // Without O_CLOEXEC, as C netmap's library: programs pass `fd` to those that they execute.
        let device = match libc::open(c"/dev/netmap".as_ptr(), libc::O_RDWR) {
            device if device >= 0 => OwnedFd::from_raw_fd(device),
            _ => {
                let (errno, error) = last_error();
                fail((*port).ctx, errno, format_args!("{DEVICE}: {error}"));
                return -1;
            }
        };
        let reg = (*port).reg;
        let hdr = addr_of_mut!((*port).hdr);
        if libc::ioctl(device.as_raw_fd(), abi::NIOCCTRL, hdr) < 0 {
            let (errno, error) = last_error();
            let mut told = false;
            refused_options(hdr, |option, status| {
                let status = std::io::Error::from_raw_os_error(status);
                refuse(port, errno, format_args!("option {option}: {status}"));
                told = true;
            });
            if !told {
                refuse(port, errno, format_args!("{error}"));
            }
            (*port).reg = reg;
            return -1;
        }
        (*port).fd = device.into_raw_fd();
        (*port).register_done = 1;
        0
    }
}

/// Undoes `nmport_register()`.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_undo_register(port: *mut PortDesc) {
    // SAFETY: as the caller promises.
    unsafe {
        if (*port).fd >= 0 {
            if !(*port).mem.is_null() {
                mapping::close((*port).ctx, (*port).mem, (*port).fd);
            }
            libc::close((*port).fd);
        }
        (*port).fd = -1;
        (*port).register_done = 0;
    }
}

/// Maps the region of a port.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_mmap(port: *mut PortDesc) -> c_int {
    // SAFETY: as the caller promises: a port. What the kernel has answered to a registered one is true; what is in the region
    // any program may have written that has it too.
    unsafe {
        if (*port).mmap_done != 0 {
            return refuse(port, libc::EINVAL, format_args!("it is mapped already"));
        }
        if (*port).register_done == 0 {
            return refuse(port, libc::EINVAL, format_args!("it is not registered"));
        }
        let reg = &(*port).reg;
        let extmem = (*port).extmem;
        let memory = if extmem.is_null() {
            // Sizes are no longer than 64 bits here.
            Memory::File((*port).fd, reg.nr_memsize as usize)
        } else {
            let address = (*extmem).nro_usrptr as usize;
            let size = (*extmem).nro_info.nr_memsize as usize;
            Memory::Own(with_exposed_provenance_mut(address), size)
        };
        let mem = mapping::get((*port).ctx, reg.nr_mem_id, memory);
        if mem.is_null() {
            return -1;
        }
        let tx = usize::from(reg.nr_tx_rings) + usize::from(reg.nr_host_tx_rings);
        let rx = usize::from(reg.nr_rx_rings) + usize::from(reg.nr_host_rx_rings);
        // Offsets are no longer than 64 bits here.
        let offset = reg.nr_offset as usize;
        let len = size_of::<If>() + (tx + rx) * size_of::<i64>();
        if offset % align_of::<i64>() != 0 || offset > (*mem).size || (*mem).size - offset < len {
            mapping::put((*port).ctx, mem, (*port).fd);
            return refuse(
                port,
                libc::EFAULT,
                format_args!("its rings are not in the region"),
            );
        }
        let nifp: *mut If = (*mem).mem.byte_add(offset).cast();
        let table: *const i64 = nifp.add(1).cast();
        let is_bound = |at: usize| table.add(at).read_volatile() != 0;
        (*port).mem = mem;
        (*port).nifp = nifp;
        ((*port).first_tx_ring, (*port).last_tx_ring) = bound(tx, is_bound);
        ((*port).first_rx_ring, (*port).last_rx_ring) = bound(rx, |at| is_bound(tx + at));
        (*port).cur_tx_ring = (*port).first_tx_ring;
        (*port).cur_rx_ring = (*port).first_rx_ring;
        (*port).mmap_done = 1;
        0
    }
}

/// The first and the last of `count` rings that are bound; the first after the last if none is.
fn bound(count: usize, is_bound: impl Fn(usize) -> bool) -> (u16, u16) {
    let first = (0..count).find(|&at| is_bound(at));
    let Some(first) = first else {
        return (1, 0);
    };
    let end = (first..count).find(|&at| !is_bound(at)).unwrap_or(count);
    // Ring numbers have 16 bits.
    (first as u16, (end - 1) as u16)
}

/// Undoes `nmport_mmap()`.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_undo_mmap(port: *mut PortDesc) {
    // SAFETY: as the caller promises.
    unsafe {
        if (*port).mem.is_null() {
            return;
        }
        mapping::put((*port).ctx, (*port).mem, (*port).fd);
        (*port).mem = null_mut();
        (*port).nifp = null_mut();
        (*port).mmap_done = 0;
        ((*port).first_tx_ring, (*port).last_tx_ring) = (0, 0);
        ((*port).first_rx_ring, (*port).last_rx_ring) = (0, 0);
        ((*port).cur_tx_ring, (*port).cur_rx_ring) = (0, 0);
    }
}

/// Registers and maps a port.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_open_desc(port: *mut PortDesc) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        if nmport_register(port) < 0 {
            return -1;
        }
        if nmport_mmap(port) < 0 {
            let (errno, _) = last_error();
            nmport_undo_register(port);
            set_errno(errno);
            return -1;
        }
        0
    }
}

/// Undoes `nmport_open_desc()`.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_undo_open_desc(port: *mut PortDesc) {
    // SAFETY: as the caller promises.
    unsafe {
        nmport_undo_mmap(port);
        nmport_undo_register(port);
    }
}

/// Opens a port.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_open(text: *const c_char) -> *mut PortDesc {
    // SAFETY: as the caller promises.
    unsafe {
        let port = nmport_prepare(text);
        if !port.is_null() && nmport_open_desc(port) < 0 {
            let (errno, _) = last_error();
            nmport_undo_prepare(port);
            set_errno(errno);
            return null_mut();
        }
        port
    }
}

/// Closes a port.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_close(port: *mut PortDesc) {
    if port.is_null() {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe {
        nmport_undo_open_desc(port);
        nmport_undo_prepare(port);
    }
}

/// A prepared port with the request of another.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_clone(port: *mut PortDesc) -> *mut PortDesc {
    // SAFETY: as the caller promises.
    unsafe {
        if !(*port).extmem.is_null() && (*port).register_done == 0 {
            let reason = format_args!("its external memory is not registered yet");
            refuse(port, libc::EINVAL, reason);
            return null_mut();
        }
        let clone = new((*port).ctx);
        if !clone.is_null() {
            let body = (*clone).hdr.nr_body;
            (*clone).hdr = (*port).hdr;
            (*clone).hdr.nr_body = body;
            (*clone).hdr.nr_options = 0;
            (*clone).reg = (*port).reg;
        }
        clone
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
