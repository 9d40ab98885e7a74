// SPDX-License-Identifier: BSD-2-Clause
//! Requests that bind nothing: what a port has, and VALE switches.

use crate::abi;
use crate::port::{device, Options, PortInfo};
use crate::spec::Rings;
use core::ptr::addr_of_mut;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// An open `/dev/netmap` for requests that bind nothing.
///
/// Names are the kernel's: an interface, `eth0`, or a port of a VALE switch, `vale0:eth0`. One that is too long is `EINVAL`.
/// All errors are those of the kernel, see `netmap(4)`.
///
/// ```no_run
/// let control = netmap::Control::open()?;
/// control.attach("vale0:eth0", netmap::Rings::NicAndHost, &netmap::Options::default(), 0)?;
/// for port in control.ports() {
///     println!("{}", port?.name);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Control(OwnedFd);

/// Where a port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indices {
    /// Number of the switch.
    pub switch: u16,
    /// Number of the port within the switch.
    pub port: u32,
}

/// A port of a VALE switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// Its name, such as `vale0:eth0`.
    pub name: String,
    /// Where it is.
    pub at: Indices,
}

/// Which CPUs poll an interface that is attached to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polling {
    /// One polls all rings.
    OneCpu(u32),
    /// Ring pairs from number `first` on are polled by the CPU of the same number each.
    CpuPerRing {
        /// First CPU, and first ring pair.
        first: u32,
        /// How many.
        count: u32,
    },
}

impl Control {
    /// Opens `/dev/netmap`.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the module is not loaded, `EACCES`.
    pub fn open() -> io::Result<Control> {
        Ok(Control(device()?))
    }

    /// What a port has.
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is no such port.
    pub fn info(&self, name: &str) -> io::Result<PortInfo> {
        self.info_with(name, &Options::default())
    }

    /// What a port has, or would have if it were made by a bind that asks for the rings and slots of `options`, as
    /// [`PortSpec::conf`](crate::PortSpec::conf) has them.
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is no such port, `EINVAL` if it cannot have them.
    pub fn info_with(&self, name: &str, options: &Options) -> io::Result<PortInfo> {
        let mut body = abi::ReqPortInfoGet {
            nr_tx_slots: options.tx_slots,
            nr_rx_slots: options.rx_slots,
            nr_tx_rings: options.tx_rings,
            nr_rx_rings: options.rx_rings,
            nr_host_tx_rings: options.host_tx_rings,
            nr_host_rx_rings: options.host_rx_rings,
            ..abi::ReqPortInfoGet::default()
        };
        // SAFETY: this is the body of the request.
        unsafe {
            self.request(
                abi::NETMAP_REQ_PORT_INFO_GET,
                name,
                addr_of_mut!(body).cast(),
            )?
        };
        Ok(PortInfo {
            mem_size: body.nr_memsize,
            mem_id: body.nr_mem_id,
            tx_slots: body.nr_tx_slots,
            rx_slots: body.nr_rx_slots,
            tx_rings: body.nr_tx_rings,
            rx_rings: body.nr_rx_rings,
            host_tx_rings: body.nr_host_tx_rings,
            host_rx_rings: body.nr_host_rx_rings,
        })
    }

    /// Plugs an interface into a switch: `vale0:eth0`, with its host rings if `rings` says so; the port's number.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such interface, `EBUSY` it is attached or bound, `ENOMEM` the switch or the table of switches is full.
    pub fn attach(
        &self,
        name: &str,
        rings: Rings,
        options: &Options,
        mem_id: u16,
    ) -> io::Result<u32> {
        let (nr_mode, nr_ringid) = rings.mode();
        let mut body = abi::ReqValeAttach {
            reg: abi::ReqRegister {
                nr_mem_id: mem_id,
                nr_mode,
                nr_ringid,
                nr_flags: options.flags,
                ..options.sizes()
            },
            ..abi::ReqValeAttach::default()
        };
        // SAFETY: this is the body of the request.
        unsafe { self.request(abi::NETMAP_REQ_VALE_ATTACH, name, addr_of_mut!(body).cast())? };
        Ok(body.port_index)
    }

    /// Unplugs an interface from its switch; the number that the port had.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such port, `EBUSY` somebody has it bound.
    pub fn detach(&self, name: &str) -> io::Result<u32> {
        let mut body = abi::ReqValeDetach::default();
        // SAFETY: this is the body of the request.
        unsafe { self.request(abi::NETMAP_REQ_VALE_DETACH, name, addr_of_mut!(body).cast())? };
        Ok(body.port_index)
    }

    /// Where the port `name` of a switch is.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such port.
    pub fn find(&self, name: &str) -> io::Result<Indices> {
        let mut body = abi::ReqValeList::default();
        // SAFETY: this is the body of the request.
        unsafe { self.request(abi::NETMAP_REQ_VALE_LIST, name, addr_of_mut!(body).cast())? };
        Ok(Indices {
            switch: body.nr_bridge_idx,
            port: body.nr_port_idx,
        })
    }

    /// The ports of all switches, as they are met; what comes and goes meanwhile may be among them or not.
    pub fn ports(&self) -> impl Iterator<Item = io::Result<Switched>> + '_ {
        let mut next = Some(abi::ReqValeList::default());
        core::iter::from_fn(move || {
            let mut body = next.take()?;
            // SAFETY: this is the body of the request.
            let found =
                unsafe { self.request(abi::NETMAP_REQ_VALE_LIST, "", addr_of_mut!(body).cast()) };
            let header = match found {
                Ok(header) => header,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return None,
                Err(error) => return Some(Err(error)),
            };
            // After the last port of the last switch there is none.
            next = body
                .nr_port_idx
                .checked_add(1)
                .map(|nr_port_idx| abi::ReqValeList {
                    nr_port_idx,
                    ..body
                });
            Some(Ok(Switched {
                name: name_in(&header),
                at: Indices {
                    switch: body.nr_bridge_idx,
                    port: body.nr_port_idx,
                },
            }))
        })
    }

    /// Makes a persistent VALE port: an interface that can be attached to switches. What it got of `options`, of which the rings and slots
    /// other than the host's count, and of `mem_id`.
    ///
    /// # Errors
    ///
    /// `EEXIST` there is an interface of that name; `EINVAL` the name is none of an interface, or numbers are out of range.
    pub fn create(&self, name: &str, options: &Options, mem_id: u16) -> io::Result<(Options, u16)> {
        let mut body = abi::ReqValeNewif {
            nr_tx_slots: options.tx_slots,
            nr_rx_slots: options.rx_slots,
            nr_tx_rings: options.tx_rings,
            nr_rx_rings: options.rx_rings,
            nr_mem_id: mem_id,
            pad1: 0,
        };
        // SAFETY: this is the body of the request.
        unsafe { self.request(abi::NETMAP_REQ_VALE_NEWIF, name, addr_of_mut!(body).cast())? };
        let made = Options {
            tx_slots: body.nr_tx_slots,
            rx_slots: body.nr_rx_slots,
            tx_rings: body.nr_tx_rings,
            rx_rings: body.nr_rx_rings,
            ..Options::default()
        };
        Ok((made, body.nr_mem_id))
    }

    /// Removes a persistent VALE port.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such port, `EBUSY` it is bound or attached, `EINVAL` it is an interface of another kind.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        // SAFETY: the request has no body.
        unsafe { self.request(abi::NETMAP_REQ_VALE_DELIF, name, core::ptr::null_mut())? };
        Ok(())
    }

    /// Has kernel threads poll an attached interface, `vale0:eth0`.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such port, `EBUSY` it is polled already, `EINVAL` no such CPU or ring.
    pub fn start_polling(&self, name: &str, polling: Polling) -> io::Result<()> {
        self.poll(abi::NETMAP_REQ_VALE_POLLING_ENABLE, name, polling)
    }

    /// Ends that.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such port, or it is not polled.
    pub fn stop_polling(&self, name: &str) -> io::Result<()> {
        self.poll(
            abi::NETMAP_REQ_VALE_POLLING_DISABLE,
            name,
            Polling::OneCpu(0),
        )
    }

    fn poll(&self, request: u16, name: &str, polling: Polling) -> io::Result<()> {
        let (nr_mode, nr_first_cpu_id, nr_num_polling_cpus) = match polling {
            Polling::OneCpu(cpu) => (abi::NETMAP_POLLING_MODE_SINGLE_CPU, cpu, 1),
            Polling::CpuPerRing { first, count } => {
                (abi::NETMAP_POLLING_MODE_MULTI_CPU, first, count)
            }
        };
        let mut body = abi::ReqValePolling {
            nr_mode,
            nr_first_cpu_id,
            nr_num_polling_cpus,
            pad1: 0,
        };
        // SAFETY: this is the body of both requests.
        unsafe { self.request(request, name, addr_of_mut!(body).cast())? };
        Ok(())
    }

    /// Octets of the virtio-net header in front of the packets of a port.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such port.
    pub fn header(&self, name: &str) -> io::Result<u32> {
        let mut body = abi::ReqPortHdr::default();
        // SAFETY: this is the body of the request.
        unsafe {
            self.request(
                abi::NETMAP_REQ_PORT_HDR_GET,
                name,
                addr_of_mut!(body).cast(),
            )?
        };
        Ok(body.nr_hdr_len)
    }

    /// Sets them: 0, 10 or 12.
    ///
    /// # Errors
    ///
    /// `ENXIO` no such port, `EINVAL` another length.
    pub fn set_header(&self, name: &str, octets: u32) -> io::Result<()> {
        let mut body = abi::ReqPortHdr {
            nr_hdr_len: octets,
            pad1: 0,
        };
        // SAFETY: this is the body of the request.
        unsafe {
            self.request(
                abi::NETMAP_REQ_PORT_HDR_SET,
                name,
                addr_of_mut!(body).cast(),
            )?
        };
        Ok(())
    }

    /// # Safety
    ///
    /// As for [`control`].
    unsafe fn request(
        &self,
        request: u16,
        name: &str,
        body: *mut u8,
    ) -> io::Result<abi::ReqHeader> {
        // SAFETY: as the caller promises.
        unsafe { control(self.0.as_fd(), request, name, body) }
    }
}

/// Makes a control request about the port `name`; the header as the kernel left it.
///
/// # Errors
///
/// The kernel's, and `EINVAL` if the name leaves no room for a final zero.
///
/// # Safety
///
/// `body` must be the body that belongs to the request's type, and live; or null, if that has none.
pub(crate) unsafe fn control(
    fd: BorrowedFd<'_>,
    request: u16,
    name: &str,
    body: *mut u8,
) -> io::Result<abi::ReqHeader> {
    let mut header = abi::ReqHeader {
        nr_version: abi::NETMAP_API,
        nr_reqtype: request,
        nr_reserved: 0,
        nr_name: [0; abi::NETMAP_REQ_IFNAMSIZ],
        nr_options: 0,
        nr_body: body.expose_provenance() as u64,
    };
    if name.len() >= header.nr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    header.nr_name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: `header` is the argument that the request takes, and outlives the call; its body is as the caller promises.
    let failed = unsafe { libc::ioctl(fd.as_raw_fd(), abi::NIOCCTRL, &mut header) } < 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(header)
}

/// The name that the kernel has put into a header.
fn name_in(header: &abi::ReqHeader) -> String {
    let name = header.nr_name.split(|&octet| octet == 0).next();
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_their_zero() {
        let mut header = abi::ReqHeader {
            nr_version: 0,
            nr_reqtype: 0,
            nr_reserved: 0,
            nr_name: [b'x'; abi::NETMAP_REQ_IFNAMSIZ],
            nr_options: 0,
            nr_body: 0,
        };
        assert_eq!(name_in(&header), "x".repeat(abi::NETMAP_REQ_IFNAMSIZ));
        header.nr_name[..8].copy_from_slice(b"vale0:a\0");
        assert_eq!(name_in(&header), "vale0:a");
    }

    #[test]
    fn a_name_without_room_for_its_zero_is_refused() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let long = "x".repeat(abi::NETMAP_REQ_IFNAMSIZ);
        // SAFETY: the request has no body.
        let refused = unsafe {
            control(
                null.as_fd(),
                abi::NETMAP_REQ_VALE_DELIF,
                &long,
                core::ptr::null_mut(),
            )
        };
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
