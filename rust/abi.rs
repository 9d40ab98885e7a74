// SPDX-License-Identifier: GPL-2.0

//! The user ABI of `/dev/netmap` as Rust types.
//!
//! Types and constants are those of `include/uapi/net/netmap.h`, `netmap_legacy.h` and `netmap_stack.h`. Types have
//! Rust names, their fields and all constants the C ones. Every structure has the C layout with all
//! padding spelled out as fields, so that no byte of a value copied to a program is uninitialised.
//! Sizes and offsets are asserted at the end of this file.
//!
//! [`Ring`] and [`Slot`] live in memory that a program writes at any time: the kernel uses them for
//! their layout alone, never through a reference.

#[path = "abi/constants.rs"]
mod constants;

pub use constants::*;

/// Bytes of an interface name, the terminating NUL included (`IFNAMSIZ`).
pub const IFNAMSIZ: usize = 16;

/// `struct netmap_slot`: a buffer descriptor of a ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Index of the buffer in the region.
    pub buf_idx: u32,
    /// Length of the packet, or of this fragment of it, in bytes.
    pub len: u16,
    /// Flags, see [`slot_flags`].
    pub flags: u16,
    /// User pointer of an indirect buffer, or an offset into the buffer.
    pub ptr: u64,
}

/// `struct timeval` as a 64-bit program sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeval {
    /// Seconds.
    pub tv_sec: i64,
    /// Microseconds.
    pub tv_usec: i64,
}

/// `struct netmap_ring`: a ring in shared memory, followed by `num_slots` times [`Slot`].
#[repr(C, align(128))]
pub struct Ring {
    /// Distance in bytes from this ring to buffer 0 of its region.
    pub buf_ofs: i64,
    /// Number of slots.
    pub num_slots: u32,
    /// Size of a buffer in bytes.
    pub nr_buf_size: u32,
    /// Index of the ring among those of its direction, where host rings come after those of the NIC.
    pub ringid: u16,
    /// Direction: 0 transmits, 1 receives.
    pub dir: u16,
    /// First slot that the program owns; the program writes it.
    pub head: u32,
    /// Where the program stands, `head` or later; the program writes it.
    pub cur: u32,
    /// First slot that the kernel owns; the kernel writes it.
    pub tail: u32,
    /// Ring flags, see [`ring_flags`].
    pub flags: u32,
    /// Padding.
    pub pad1: u32,
    /// Time of the last sync of a receive ring.
    pub ts: Timeval,
    /// Bits of `Slot::ptr` that hold an offset.
    pub offset_mask: u64,
    /// Alignment of the buffers that offsets must keep, in bytes.
    pub buf_align: u64,
    /// Receive ring of a stack port: distance in bytes from this ring to its [`StackRuns`]; else 0.
    pub stack_ofs: i64,
    /// Stack ports: bytes at the begin of each buffer that are left to headers; else 0.
    pub stack_room: u32,
    /// Padding.
    pub pad2: [u8; 44],
    /// Room that the program may use for its own lock.
    pub sem: [u8; 128],
    /// The slots.
    pub slot: [Slot; 0],
}

/// `struct netmap_stack_run`: slots of one connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackRun {
    /// The connection's descriptor.
    pub fd: i32,
    /// Index of the first slot.
    pub first: u32,
    /// How many there are, around the ring.
    pub count: u32,
}

/// `struct netmap_stack_runs`: what is in a receive ring, by connection.
#[repr(C)]
pub struct StackRuns {
    /// How many runs there are.
    pub count: u32,
    /// How many there is room for.
    pub max: u32,
    /// The runs.
    pub run: [StackRun; 0],
}

/// `struct nmreq_pst_fd_reg`: the body of `NETMAP_REQ_PST_FD_REG` and `NETMAP_REQ_PST_FD_UNREG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackSocket {
    /// The connection's descriptor.
    pub fd: i32,
}

/// `struct netmap_if`: what a binding got, followed by one `i64` offset per ring.
///
/// The offsets are in bytes from the start of this structure, in the order: transmit rings, host
/// transmit rings, receive rings, host receive rings.
#[repr(C)]
pub struct Interface {
    /// Name of the port, NUL terminated.
    pub ni_name: [u8; IFNAMSIZ],
    /// ABI version.
    pub ni_version: u32,
    /// Flags, see [`interface_flags`].
    pub ni_flags: u32,
    /// Number of transmit rings of the port.
    pub ni_tx_rings: u32,
    /// Number of receive rings of the port.
    pub ni_rx_rings: u32,
    /// Index of the first extra buffer; each begins with the index of the next one, 0 ends the list.
    pub ni_bufs_head: u32,
    /// Number of host transmit rings of the port.
    pub ni_host_tx_rings: u32,
    /// Number of host receive rings of the port.
    pub ni_host_rx_rings: u32,
    /// Reserved.
    pub ni_spare1: [u32; 3],
    /// Offsets of the rings.
    pub ring_ofs: [i64; 0],
}

/// `struct nmreq`: the argument of the legacy requests `NIOCGINFO` and `NIOCREGIF`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyRequest {
    /// Name of the port, NUL terminated.
    pub nr_name: [u8; IFNAMSIZ],
    /// ABI version.
    pub nr_version: u32,
    /// Out: offset of the [`Interface`] in the region.
    pub nr_offset: u32,
    /// Out: size of the region in bytes.
    pub nr_memsize: u32,
    /// Slots per transmit ring.
    pub nr_tx_slots: u32,
    /// Slots per receive ring.
    pub nr_rx_slots: u32,
    /// Number of transmit rings.
    pub nr_tx_rings: u16,
    /// Number of receive rings.
    pub nr_rx_rings: u16,
    /// Ring index and bits, see [`legacy`].
    pub nr_ringid: u16,
    /// Command, see [`legacy`]; 0 binds.
    pub nr_cmd: u16,
    /// First argument of the command.
    pub nr_arg1: u16,
    /// Identifier of the memory region; 0 lets the kernel choose.
    pub nr_arg2: u16,
    /// Number of extra buffers.
    pub nr_arg3: u32,
    /// Register mode ([`mode`]) and flags ([`register_flags`]).
    pub nr_flags: u32,
    /// Reserved.
    pub spare2: u32,
}

/// `struct nmreq_header`: the argument of `NIOCCTRL`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// ABI version.
    pub nr_version: u16,
    /// Request type, see [`request_type`].
    pub nr_reqtype: u16,
    /// Must be zero.
    pub nr_reserved: u32,
    /// Name of the port, NUL terminated.
    pub nr_name: [u8; NETMAP_REQ_IFNAMSIZ],
    /// User address of the first option, or 0.
    pub nr_options: u64,
    /// User address of the request's body, or 0.
    pub nr_body: u64,
}

/// `struct nmreq_option`: the header of an option of `NIOCCTRL`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionHeader {
    /// User address of the next option, or 0.
    pub nro_next: u64,
    /// Option type, see [`option_type`].
    pub nro_reqtype: u32,
    /// Out: 0, or the errno of this option.
    pub nro_status: u32,
    /// Size of the option, this header included, where the type has no fixed size.
    pub nro_size: u64,
}

/// `struct nmreq_register`: the body of `NETMAP_REQ_REGISTER`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// Out: offset of the [`Interface`] in the region.
    pub nr_offset: u64,
    /// Out: size of the region in bytes.
    pub nr_memsize: u64,
    /// Slots per transmit ring.
    pub nr_tx_slots: u32,
    /// Slots per receive ring.
    pub nr_rx_slots: u32,
    /// Number of transmit rings.
    pub nr_tx_rings: u16,
    /// Number of receive rings.
    pub nr_rx_rings: u16,
    /// Number of host transmit rings.
    pub nr_host_tx_rings: u16,
    /// Number of host receive rings.
    pub nr_host_rx_rings: u16,
    /// Identifier of the memory region; 0 lets the kernel choose.
    pub nr_mem_id: u16,
    /// Index of the ring, for the modes that bind one.
    pub nr_ringid: u16,
    /// Register mode, see [`mode`].
    pub nr_mode: u32,
    /// Number of extra buffers: wanted, then got.
    pub nr_extra_bufs: u32,
    /// Padding.
    pub pad1: u32,
    /// Flags, see [`register_flags`].
    pub nr_flags: u64,
}

/// `struct nmreq_port_info_get`: the body of `NETMAP_REQ_PORT_INFO_GET`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortInfo {
    /// Out: size of the region in bytes.
    pub nr_memsize: u64,
    /// Slots per transmit ring.
    pub nr_tx_slots: u32,
    /// Slots per receive ring.
    pub nr_rx_slots: u32,
    /// Number of transmit rings.
    pub nr_tx_rings: u16,
    /// Number of receive rings.
    pub nr_rx_rings: u16,
    /// Number of host transmit rings.
    pub nr_host_tx_rings: u16,
    /// Number of host receive rings.
    pub nr_host_rx_rings: u16,
    /// Identifier of the memory region.
    pub nr_mem_id: u16,
    /// Padding.
    pub pad: [u16; 3],
}

/// `struct nmreq_vale_attach`: the body of `NETMAP_REQ_VALE_ATTACH`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValeAttach {
    /// How the port is bound to the switch.
    pub reg: Register,
    /// Out: index of the port in the switch.
    pub port_index: u32,
    /// Padding.
    pub pad1: u32,
}

/// `struct nmreq_vale_detach`: the body of `NETMAP_REQ_VALE_DETACH`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValeDetach {
    /// Out: index that the port had in the switch.
    pub port_index: u32,
    /// Padding.
    pub pad1: u32,
}

/// `struct nmreq_vale_list`: the body of `NETMAP_REQ_VALE_LIST`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValeList {
    /// Index of the switch.
    pub nr_bridge_idx: u16,
    /// Padding.
    pub pad1: u16,
    /// Index of the port in the switch.
    pub nr_port_idx: u32,
}

/// `struct nmreq_port_hdr`: the body of `NETMAP_REQ_PORT_HDR_SET` and `NETMAP_REQ_PORT_HDR_GET`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortHeader {
    /// Length of the virtio-net header before each packet: 0, 10 or 12 bytes.
    pub nr_hdr_len: u32,
    /// Padding.
    pub pad1: u32,
}

/// `struct nmreq_vale_newif`: the body of `NETMAP_REQ_VALE_NEWIF`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValeNewInterface {
    /// Slots per transmit ring.
    pub nr_tx_slots: u32,
    /// Slots per receive ring.
    pub nr_rx_slots: u32,
    /// Number of transmit rings.
    pub nr_tx_rings: u16,
    /// Number of receive rings.
    pub nr_rx_rings: u16,
    /// Identifier of the memory region; 0 lets the kernel choose.
    pub nr_mem_id: u16,
    /// Padding.
    pub pad1: u16,
}

/// `struct nmreq_vale_polling`: the body of `NETMAP_REQ_VALE_POLLING_ENABLE` and `_DISABLE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValePolling {
    /// Mode, see [`polling`].
    pub nr_mode: u32,
    /// First CPU that polls.
    pub nr_first_cpu_id: u32,
    /// Number of CPUs that poll.
    pub nr_num_polling_cpus: u32,
    /// Padding.
    pub pad1: u32,
}

/// `struct nmreq_pools_info`: the body of `NETMAP_REQ_POOLS_INFO_GET`, and part of [`ExternalMemory`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolsInfo {
    /// Size of the region in bytes.
    pub nr_memsize: u64,
    /// Identifier of the memory region.
    pub nr_mem_id: u16,
    /// Padding.
    pub pad1: [u16; 3],
    /// Offset of the pool of [`Interface`]s in the region.
    pub nr_if_pool_offset: u64,
    /// Number of objects in it.
    pub nr_if_pool_objtotal: u32,
    /// Size of an object in bytes.
    pub nr_if_pool_objsize: u32,
    /// Offset of the pool of [`Ring`]s in the region.
    pub nr_ring_pool_offset: u64,
    /// Number of objects in it.
    pub nr_ring_pool_objtotal: u32,
    /// Size of an object in bytes.
    pub nr_ring_pool_objsize: u32,
    /// Offset of the pool of buffers in the region.
    pub nr_buf_pool_offset: u64,
    /// Number of objects in it.
    pub nr_buf_pool_objtotal: u32,
    /// Size of an object in bytes.
    pub nr_buf_pool_objsize: u32,
}

/// `struct nmreq_sync_kloop_start`: the body of `NETMAP_REQ_SYNC_KLOOP_START`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncLoopStart {
    /// Sleep between two rounds, in microseconds.
    pub sleep_us: u32,
    /// Padding.
    pub pad1: u32,
}

/// `struct nm_csb_atok`: communication block of a ring, written by the application.
#[repr(C)]
pub struct CsbToKernel {
    /// First slot that the program owns.
    pub head: u32,
    /// Where the program stands.
    pub cur: u32,
    /// Whether the application wants to be notified.
    pub appl_need_kick: u32,
    /// Flags for the sync.
    pub sync_flags: u32,
    /// Padding.
    pub pad: [u32; 12],
}

/// `struct nm_csb_ktoa`: communication block of a ring, written by the kernel.
#[repr(C)]
pub struct CsbToApplication {
    /// The kernel's `hwcur`.
    pub hwcur: u32,
    /// The kernel's `hwtail`.
    pub hwtail: u32,
    /// Whether the kernel wants to be notified.
    pub kern_need_kick: u32,
    /// Padding.
    pub pad: [u32; 13],
}

/// Event file descriptors of one ring in [`SyncLoopEventfds`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingEventfds {
    /// Notifies the kernel, or -1.
    pub ioeventfd: i32,
    /// Notifies the application, or -1.
    pub irqfd: i32,
}

/// `struct nmreq_opt_sync_kloop_eventfds`: `NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS`, one entry per ring.
#[repr(C)]
pub struct SyncLoopEventfds {
    /// Option header.
    pub nro_opt: OptionHeader,
    /// The descriptors, transmit rings first.
    pub eventfds: [RingEventfds; 0],
}

/// `struct nmreq_opt_sync_kloop_mode`: `NETMAP_REQ_OPT_SYNC_KLOOP_MODE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncLoopMode {
    /// Option header.
    pub nro_opt: OptionHeader,
    /// Mode, see [`sync_loop`].
    pub mode: u32,
    /// Padding.
    pub pad1: u32,
}

/// `struct nmreq_opt_extmem`: `NETMAP_REQ_OPT_EXTMEM`, a region made of the caller's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExternalMemory {
    /// Option header.
    pub nro_opt: OptionHeader,
    /// User address of the memory.
    pub nro_usrptr: u64,
    /// Its size and the wanted pools.
    pub nro_info: PoolsInfo,
}

/// `struct nmreq_opt_csb`: `NETMAP_REQ_OPT_CSB`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csb {
    /// Option header.
    pub nro_opt: OptionHeader,
    /// User address of an array of [`CsbToKernel`].
    pub csb_atok: u64,
    /// User address of an array of [`CsbToApplication`].
    pub csb_ktoa: u64,
}

/// `struct nmreq_opt_offsets`: `NETMAP_REQ_OPT_OFFSETS`, packets that begin inside the buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// Option header.
    pub nro_opt: OptionHeader,
    /// Largest offset in bytes.
    pub nro_max_offset: u64,
    /// Offset of every slot at first, in bytes.
    pub nro_initial_offset: u64,
    /// Bits of `Slot::ptr` that hold the offset.
    pub nro_offset_bits: u32,
    /// Alignment that a transmit offset keeps, in bytes.
    pub nro_tx_align: u32,
    /// Least room between offset and end of the buffer, in bytes.
    pub nro_min_gap: u64,
}

/// `struct nm_ifreq`: the argument of `NIOCCONFIG`, whose data begin with a descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchConfig {
    /// Not looked at.
    pub nifr_name: [u8; IFNAMSIZ],
    /// An `int`, and what is not looked at.
    pub data: [u8; NM_IFRDATA_LEN],
}

/// Asserts the size of structures and the offset of each of their fields.
macro_rules! assert_layout {
    ($($type:ident $size:literal { $($field:ident $offset:literal),+ $(,)? })+) => {
        $(const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            $(assert!(core::mem::offset_of!($type, $field) == $offset);)+
        };)+
    };
}

assert_layout! {
    Slot 16 { buf_idx 0, len 4, flags 6, ptr 8 }
    Timeval 16 { tv_sec 0, tv_usec 8 }
    Ring 256 {
        buf_ofs 0, num_slots 8, nr_buf_size 12, ringid 16, dir 18, head 20, cur 24, tail 28,
        flags 32, pad1 36, ts 40, offset_mask 56, buf_align 64, stack_ofs 72,
        stack_room 80, pad2 84, sem 128, slot 256,
    }
    Interface 56 {
        ni_name 0, ni_version 16, ni_flags 20, ni_tx_rings 24, ni_rx_rings 28, ni_bufs_head 32,
        ni_host_tx_rings 36, ni_host_rx_rings 40, ni_spare1 44, ring_ofs 56,
    }
    LegacyRequest 60 {
        nr_name 0, nr_version 16, nr_offset 20, nr_memsize 24, nr_tx_slots 28, nr_rx_slots 32,
        nr_tx_rings 36, nr_rx_rings 38, nr_ringid 40, nr_cmd 42, nr_arg1 44, nr_arg2 46,
        nr_arg3 48, nr_flags 52, spare2 56,
    }
    Header 88 {
        nr_version 0, nr_reqtype 2, nr_reserved 4, nr_name 8, nr_options 72, nr_body 80,
    }
    OptionHeader 24 { nro_next 0, nro_reqtype 8, nro_status 12, nro_size 16 }
    Register 56 {
        nr_offset 0, nr_memsize 8, nr_tx_slots 16, nr_rx_slots 20, nr_tx_rings 24, nr_rx_rings 26,
        nr_host_tx_rings 28, nr_host_rx_rings 30, nr_mem_id 32, nr_ringid 34, nr_mode 36,
        nr_extra_bufs 40, pad1 44, nr_flags 48,
    }
    PortInfo 32 {
        nr_memsize 0, nr_tx_slots 8, nr_rx_slots 12, nr_tx_rings 16, nr_rx_rings 18,
        nr_host_tx_rings 20, nr_host_rx_rings 22, nr_mem_id 24, pad 26,
    }
    ValeAttach 64 { reg 0, port_index 56, pad1 60 }
    ValeDetach 8 { port_index 0, pad1 4 }
    ValeList 8 { nr_bridge_idx 0, pad1 2, nr_port_idx 4 }
    PortHeader 8 { nr_hdr_len 0, pad1 4 }
    ValeNewInterface 16 {
        nr_tx_slots 0, nr_rx_slots 4, nr_tx_rings 8, nr_rx_rings 10, nr_mem_id 12, pad1 14,
    }
    ValePolling 16 { nr_mode 0, nr_first_cpu_id 4, nr_num_polling_cpus 8, pad1 12 }
    PoolsInfo 64 {
        nr_memsize 0, nr_mem_id 8, pad1 10,
        nr_if_pool_offset 16, nr_if_pool_objtotal 24, nr_if_pool_objsize 28,
        nr_ring_pool_offset 32, nr_ring_pool_objtotal 40, nr_ring_pool_objsize 44,
        nr_buf_pool_offset 48, nr_buf_pool_objtotal 56, nr_buf_pool_objsize 60,
    }
    SyncLoopStart 8 { sleep_us 0, pad1 4 }
    CsbToKernel 64 { head 0, cur 4, appl_need_kick 8, sync_flags 12, pad 16 }
    CsbToApplication 64 { hwcur 0, hwtail 4, kern_need_kick 8, pad 12 }
    RingEventfds 8 { ioeventfd 0, irqfd 4 }
    SyncLoopEventfds 24 { nro_opt 0, eventfds 24 }
    SyncLoopMode 32 { nro_opt 0, mode 24, pad1 28 }
    ExternalMemory 96 { nro_opt 0, nro_usrptr 24, nro_info 32 }
    Csb 40 { nro_opt 0, csb_atok 24, csb_ktoa 32 }
    Offsets 56 {
        nro_opt 0, nro_max_offset 24, nro_initial_offset 32, nro_offset_bits 40, nro_tx_align 44,
        nro_min_gap 48,
    }
    SwitchConfig 272 { nifr_name 0, data 16 }
    StackRun 12 { fd 0, first 4, count 8 }
    StackRuns 8 { count 0, max 4, run 8 }
    StackSocket 4 { fd 0 }
}
