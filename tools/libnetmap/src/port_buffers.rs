// SPDX-License-Identifier: BSD-2-Clause
//! Where the buffers of a port lie, and where packets start in them: external memory, and offsets.

use crate::context::{last_error, nmctx_free, place, set_errno};
use crate::port::{note, refuse, undo, Made, PortDesc};
use crate::request::{nmreq_push_option, octets};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::{addr_of_mut, null_mut};
use netmap::abi::{self, OptExtmem, OptOffsets, ReqOption, ReqPoolsInfo};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Has the region of a port in memory of the program's own.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_extmem(
    port: *mut PortDesc,
    base: *mut c_void,
    size: usize,
) -> c_int {
    let mut option = OptExtmem {
        nro_opt: ReqOption {
            nro_reqtype: abi::NETMAP_REQ_OPT_EXTMEM,
            ..ReqOption::default()
        },
        nro_usrptr: base.expose_provenance() as u64,
        ..OptExtmem::default()
    };
    option.nro_info.nr_memsize = size as u64;
    // SAFETY: as the caller promises.
    unsafe {
        if (*port).register_done != 0 {
            return refuse(port, libc::EINVAL, format_args!("it is registered already"));
        }
        if !(*port).extmem.is_null() {
            return refuse(
                port,
                libc::EINVAL,
                format_args!("it has external memory already"),
            );
        }
        let option = place((*port).ctx, option);
        if option.is_null() {
            return -1;
        }
        if note(port, Made::Extmem(option)) < 0 {
            nmctx_free((*port).ctx, option.cast());
            return -1;
        }
        (*port).extmem = option;
        nmreq_push_option(addr_of_mut!((*port).hdr), option.cast());
        0
    }
}

/// Has the region of a port in the memory of a file.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_extmem_from_file(
    port: *mut PortDesc,
    path: *const c_char,
) -> c_int {
    // SAFETY: as the caller promises: a port and a string. A new mapping touches no existing memory.
    unsafe {
        let path = Path::new(OsStr::from_bytes(octets(path)));
        let file = OpenOptions::new().read(true).write(true).open(path);
        let opened = file.and_then(|file| Ok((file.metadata()?.len() as usize, file)));
        let (size, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let path = path.display();
                return refuse(port, errno, format_args!("{path}: {error}"));
            }
        };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.as_raw_fd();
        let mem = libc::mmap(null_mut(), size, access, libc::MAP_SHARED, fd, 0);
        if mem == libc::MAP_FAILED {
            let (errno, error) = last_error();
            let path = path.display();
            return refuse(port, errno, format_args!("{path}: mmap: {error}"));
        }
        let before = (*port).clist;
        if note(port, Made::Mapping(mem, size)) < 0 {
            libc::munmap(mem, size);
            return -1;
        }
        if nmport_extmem(port, mem, size) < 0 {
            let (errno, _) = last_error();
            undo(port, before);
            set_errno(errno);
            return -1;
        }
        0
    }
}

/// What is in the external memory of a port; null if there is none.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_extmem_getinfo(port: *mut PortDesc) -> *mut ReqPoolsInfo {
    // SAFETY: as the caller promises.
    unsafe {
        match (*port).extmem {
            option if option.is_null() => null_mut(),
            option => addr_of_mut!((*option).nro_info),
        }
    }
}

/// Has packets start at an offset in their buffers.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmport_offset(
    port: *mut PortDesc,
    initial: u64,
    most: u64,
    bits: u64,
    gap: u64,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        if (*port).register_done != 0 {
            return refuse(port, libc::EINVAL, format_args!("it is registered already"));
        }
        let Ok(bits) = u32::try_from(bits) else {
            return refuse(port, libc::EINVAL, format_args!("offsets of {bits} bits"));
        };
        let option = place(
            (*port).ctx,
            OptOffsets {
                nro_opt: ReqOption {
                    nro_reqtype: abi::NETMAP_REQ_OPT_OFFSETS,
                    ..ReqOption::default()
                },
                nro_max_offset: most,
                nro_initial_offset: initial,
                nro_offset_bits: bits,
                nro_tx_align: 0,
                nro_min_gap: gap,
            },
        );
        if option.is_null() {
            return -1;
        }
        if note(port, Made::Offsets(option)) < 0 {
            nmctx_free((*port).ctx, option.cast());
            return -1;
        }
        nmreq_push_option(addr_of_mut!((*port).hdr), option.cast());
        0
    }
}
