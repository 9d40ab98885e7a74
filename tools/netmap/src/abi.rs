// SPDX-License-Identifier: BSD-2-Clause
//! The binary interface of `/dev/netmap`: what the kernel and every netmap program agree on.
//!
//! The types mirror `include/uapi/net/netmap.h` field by field; the assertions at the end of this file hold
//! their layout on 64-bit machines. All integers are in the machine's byte order.

use core::ffi::c_ulong;

/// Version of the interface that this crate speaks.
pub const NETMAP_API: u16 = 14;
/// Oldest header version that the kernel accepts.
pub const NETMAP_MIN_API: u16 = 14;
/// Newest header version that the kernel accepts.
pub const NETMAP_MAX_API: u16 = 15;

/// Size of the port name in a request, with its terminating zero.
pub const NETMAP_REQ_IFNAMSIZ: usize = 64;
/// Bits of `nr_ringid` that hold a ring number.
pub const NETMAP_RING_MASK: u16 = 0xfff;
/// Most slots of one packet.
pub const NETMAP_MAX_FRAGS: u32 = 64;

/// Polling mode: one CPU polls all rings.
pub const NETMAP_POLLING_MODE_SINGLE_CPU: u32 = 1;
/// Polling mode: one CPU for each ring.
pub const NETMAP_POLLING_MODE_MULTI_CPU: u32 = 2;

/// `NIOCCTRL`: control request, its argument a [`ReqHeader`].
pub const NIOCCTRL: c_ulong = 0xc058_6997;
/// `NIOCTXSYNC`: send what is queued on the bound transmit rings.
pub const NIOCTXSYNC: c_ulong = 0x6994;
/// `NIOCRXSYNC`: collect what arrived on the bound receive rings.
pub const NIOCRXSYNC: c_ulong = 0x6995;

/// Request type: bind the file to a port.
pub const NETMAP_REQ_REGISTER: u16 = 1;
/// Request type: read a port's configuration.
pub const NETMAP_REQ_PORT_INFO_GET: u16 = 2;
/// Request type: plug an interface into a VALE switch.
pub const NETMAP_REQ_VALE_ATTACH: u16 = 3;
/// Request type: unplug it.
pub const NETMAP_REQ_VALE_DETACH: u16 = 4;
/// Request type: find a port of a VALE switch.
pub const NETMAP_REQ_VALE_LIST: u16 = 5;
/// Request type: set the length of a port's virtio-net header.
pub const NETMAP_REQ_PORT_HDR_SET: u16 = 6;
/// Request type: read that length.
pub const NETMAP_REQ_PORT_HDR_GET: u16 = 7;
/// Request type: make a persistent VALE port.
pub const NETMAP_REQ_VALE_NEWIF: u16 = 8;
/// Request type: remove it.
pub const NETMAP_REQ_VALE_DELIF: u16 = 9;
/// Request type: kernel threads poll an attached interface.
pub const NETMAP_REQ_VALE_POLLING_ENABLE: u16 = 10;
/// Request type: they do not any more.
pub const NETMAP_REQ_VALE_POLLING_DISABLE: u16 = 11;
/// Request type: the data of a connection goes through the rings of a stack port.
pub const NETMAP_REQ_PST_FD_REG: u16 = 18;
/// Request type: it does not any more.
pub const NETMAP_REQ_PST_FD_UNREG: u16 = 19;

/// Register mode: all rings of the NIC.
pub const NR_REG_ALL_NIC: u32 = 1;
/// Register mode: the host rings.
pub const NR_REG_SW: u32 = 2;
/// Register mode: the NIC's rings and the host rings.
pub const NR_REG_NIC_SW: u32 = 3;
/// Register mode: one ring pair of the NIC.
pub const NR_REG_ONE_NIC: u32 = 4;
/// Register mode: one host ring pair.
pub const NR_REG_ONE_SW: u32 = 8;

/// Register flag: monitor what the port sends.
pub const NR_MONITOR_TX: u64 = 0x100;
/// Register flag: monitor what the port receives.
pub const NR_MONITOR_RX: u64 = 0x200;
/// Register flag: a monitor that shares buffers instead of copying.
pub const NR_ZCOPY_MON: u64 = 0x400;
/// Register flag: no other file may bind these rings.
pub const NR_EXCLUSIVE: u64 = 0x800;
/// Register flag: bind the receive rings alone.
pub const NR_RX_RINGS_ONLY: u64 = 0x2000;
/// Register flag: bind the transmit rings alone.
pub const NR_TX_RINGS_ONLY: u64 = 0x4000;
/// Register flag: the program understands a virtio-net header before each packet.
pub const NR_ACCEPT_VNET_HDR: u64 = 0x8000;
/// Register flag: `poll` syncs receive rings even if no readability is asked for.
pub const NR_DO_RX_POLL: u64 = 0x10000;
/// Register flag: `poll` sends only if writability is asked for.
pub const NR_NO_TX_POLL: u64 = 0x20000;

/// Register flag: the stack port of the interface.
pub const NR_STACK: u64 = 0x40000;

/// Ring flag: the kernel writes the time of each sync to `ts`.
pub const NR_TIMESTAMP: u32 = 0x2;
/// Ring flag: slots released with [`NS_FORWARD`] go to the other side (NIC or host).
pub const NR_FORWARD: u32 = 0x4;

/// Slot flag: `buf_idx` has changed.
pub const NS_BUF_CHANGED: u16 = 0x1;
/// Slot flag: report this slot's completion soon instead of lazily.
pub const NS_REPORT: u16 = 0x2;
/// Slot flag: pass the packet on, see [`NR_FORWARD`].
pub const NS_FORWARD: u16 = 0x4;
/// Slot flag of switch ports: the packet lies at `ptr`, in the memory of the program.
pub const NS_INDIRECT: u16 = 0x10;
/// Slot flag: the packet goes on in the next slot.
pub const NS_MOREFRAG: u16 = 0x20;

/// Slot flag of stack ports: the peer sends no more.
pub const NS_STACK_END: u16 = 0x100;
/// Slot flag of stack ports: the connection has an error, which the highest 16 bits of `ptr` tell.
pub const NS_STACK_ERROR: u16 = 0x200;

/// One packet, or a fragment of one, in a ring (`struct netmap_slot`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Index of the buffer within the region.
    pub buf_idx: u32,
    /// Octets in the buffer that belong to the packet.
    pub len: u16,
    /// `NS_*`.
    pub flags: u16,
    /// Address of an indirect buffer, or an offset within the buffer. On stack ports: descriptor, offset, error, from the
    /// lowest bit on with 32, 16 and 16 bits.
    pub ptr: u64,
}

/// `struct timeval`, as the ring holds it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Timeval {
    /// Seconds of the real-time clock.
    pub tv_sec: i64,
    /// Microseconds within the second.
    pub tv_usec: i64,
}

/// Room for a lock of the program's own, in a cache line pair of its own.
#[repr(C, align(128))]
#[derive(Debug, Clone, Copy)]
pub struct Sem(pub [u8; 128]);

/// Head of a ring in shared memory (`struct netmap_ring`); [`Slot`]s follow it.
#[repr(C)]
#[derive(Debug)]
pub struct Ring {
    /// From this structure to buffer 0, in octets.
    pub buf_ofs: i64,
    /// Slots in the ring.
    pub num_slots: u32,
    /// Octets per buffer.
    pub nr_buf_size: u32,
    /// Ring number within the port.
    pub ringid: u16,
    /// 0 transmit, 1 receive.
    pub dir: u16,
    /// First slot that the program owns; written by the program.
    pub head: u32,
    /// Where `poll` wakes up; written by the program.
    pub cur: u32,
    /// First slot that the kernel owns; written by the kernel.
    pub tail: u32,
    /// `NR_TIMESTAMP`, `NR_FORWARD`.
    pub flags: u32,
    /// Time of the last sync, if asked for.
    pub ts: Timeval,
    /// Bits of a slot's `ptr` that hold an offset.
    pub offset_mask: u64,
    /// Alignment that packets need within a buffer, in octets.
    pub buf_align: u64,
    /// Receive ring of a stack port: from this structure to its [`StackRuns`], in octets.
    pub stack_ofs: i64,
    /// Stack ports: octets at the start of each buffer that are left to headers.
    pub stack_room: u32,
    /// The program's.
    pub sem: Sem,
}

/// Slots of one connection in a receive ring of a stack port (`struct netmap_stack_run`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StackRun {
    /// The connection's descriptor.
    pub fd: i32,
    /// First slot.
    pub first: u32,
    /// How many, in the order of the ring.
    pub count: u32,
}

/// Head of the list of runs (`struct netmap_stack_runs`); [`StackRun`]s follow it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StackRuns {
    /// Runs in the list.
    pub count: u32,
    /// Room for runs.
    pub max: u32,
}

/// Body of [`NETMAP_REQ_PST_FD_REG`] and [`NETMAP_REQ_PST_FD_UNREG`] (`struct nmreq_pst_fd_reg`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReqPstFdReg {
    /// The connection's descriptor.
    pub fd: i32,
}

/// What a binding sees of its port (`struct netmap_if`); offsets of its rings, in octets from here, follow it.
#[repr(C)]
#[derive(Debug)]
pub struct If {
    /// Interface name, ended by a zero.
    pub ni_name: [u8; 16],
    /// Interface version.
    pub ni_version: u32,
    /// `NI_PRIV_MEM`.
    pub ni_flags: u32,
    /// Transmit rings of the NIC.
    pub ni_tx_rings: u32,
    /// Receive rings of the NIC.
    pub ni_rx_rings: u32,
    /// First buffer of the list of extra buffers; 0 ends the list.
    pub ni_bufs_head: u32,
    /// Host transmit rings.
    pub ni_host_tx_rings: u32,
    /// Host receive rings.
    pub ni_host_rx_rings: u32,
    /// Reserved.
    pub ni_spare1: [u32; 3],
}

/// Head of a control request (`struct nmreq_header`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ReqHeader {
    /// [`NETMAP_API`].
    pub nr_version: u16,
    /// `NETMAP_REQ_*`.
    pub nr_reqtype: u16,
    /// Zero.
    pub nr_reserved: u32,
    /// Port name, ended by a zero.
    pub nr_name: [u8; NETMAP_REQ_IFNAMSIZ],
    /// Address of the first option, or zero.
    pub nr_options: u64,
    /// Address of the request's body.
    pub nr_body: u64,
}

/// Body of [`NETMAP_REQ_REGISTER`] (`struct nmreq_register`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqRegister {
    /// Out: where [`If`] is in the region, in octets.
    pub nr_offset: u64,
    /// Out: size of the region, in octets.
    pub nr_memsize: u64,
    /// In and out: slots per transmit ring; 0 asks for the default.
    pub nr_tx_slots: u32,
    /// In and out: slots per receive ring; 0 asks for the default.
    pub nr_rx_slots: u32,
    /// In and out: transmit rings; 0 asks for the default.
    pub nr_tx_rings: u16,
    /// In and out: receive rings; 0 asks for the default.
    pub nr_rx_rings: u16,
    /// In and out: host transmit rings; 0 asks for the default.
    pub nr_host_tx_rings: u16,
    /// In and out: host receive rings; 0 asks for the default.
    pub nr_host_rx_rings: u16,
    /// In and out: region to use; 0 lets the kernel choose.
    pub nr_mem_id: u16,
    /// Ring for the modes that name one.
    pub nr_ringid: u16,
    /// `NR_REG_*`.
    pub nr_mode: u32,
    /// In and out: extra buffers.
    pub nr_extra_bufs: u32,
    /// `NR_*`.
    pub nr_flags: u64,
}

/// Body of [`NETMAP_REQ_PORT_INFO_GET`] (`struct nmreq_port_info_get`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqPortInfoGet {
    /// Out: size of the region, in octets.
    pub nr_memsize: u64,
    /// In and out: slots per transmit ring.
    pub nr_tx_slots: u32,
    /// In and out: slots per receive ring.
    pub nr_rx_slots: u32,
    /// In and out: transmit rings.
    pub nr_tx_rings: u16,
    /// In and out: receive rings.
    pub nr_rx_rings: u16,
    /// In and out: host transmit rings.
    pub nr_host_tx_rings: u16,
    /// In and out: host receive rings.
    pub nr_host_rx_rings: u16,
    /// In and out: region.
    pub nr_mem_id: u16,
    /// Zero.
    pub pad: [u16; 3],
}

/// Body of [`NETMAP_REQ_VALE_ATTACH`] (`struct nmreq_vale_attach`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqValeAttach {
    /// What to bind, as for [`NETMAP_REQ_REGISTER`].
    pub reg: ReqRegister,
    /// Out: number of the port within the switch.
    pub port_index: u32,
    /// Zero.
    pub pad1: u32,
}

/// Body of [`NETMAP_REQ_VALE_DETACH`] (`struct nmreq_vale_detach`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqValeDetach {
    /// Out: number that the port had within the switch.
    pub port_index: u32,
    /// Zero.
    pub pad1: u32,
}

/// Body of [`NETMAP_REQ_VALE_LIST`] (`struct nmreq_vale_list`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqValeList {
    /// Without a name in the request: where to look from (in). The switch (out).
    pub nr_bridge_idx: u16,
    /// Zero.
    pub pad1: u16,
    /// The same of the port.
    pub nr_port_idx: u32,
}

/// Body of [`NETMAP_REQ_PORT_HDR_SET`] and [`NETMAP_REQ_PORT_HDR_GET`] (`struct nmreq_port_hdr`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqPortHdr {
    /// Octets of the virtio-net header: 0, 10 or 12.
    pub nr_hdr_len: u32,
    /// Zero.
    pub pad1: u32,
}

/// Body of [`NETMAP_REQ_VALE_NEWIF`] (`struct nmreq_vale_newif`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqValeNewif {
    /// In and out: slots per transmit ring; 0 asks for the default.
    pub nr_tx_slots: u32,
    /// In and out: slots per receive ring; 0 asks for the default.
    pub nr_rx_slots: u32,
    /// In and out: transmit rings; 0 asks for the default.
    pub nr_tx_rings: u16,
    /// In and out: receive rings; 0 asks for the default.
    pub nr_rx_rings: u16,
    /// In and out: region; 0 asks for one of the port's own.
    pub nr_mem_id: u16,
    /// Zero.
    pub pad1: u16,
}

/// Body of [`NETMAP_REQ_VALE_POLLING_ENABLE`] and [`NETMAP_REQ_VALE_POLLING_DISABLE`] (`struct nmreq_vale_polling`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqValePolling {
    /// `NETMAP_POLLING_MODE_*`.
    pub nr_mode: u32,
    /// First CPU that polls.
    pub nr_first_cpu_id: u32,
    /// How many poll.
    pub nr_num_polling_cpus: u32,
    /// Zero.
    pub pad1: u32,
}

/// Option type: the program's own memory as region.
pub const NETMAP_REQ_OPT_EXTMEM: u32 = 1;
/// Option type: events of the loop that syncs in the kernel.
pub const NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS: u32 = 2;
/// Option type: indices in the program's memory.
pub const NETMAP_REQ_OPT_CSB: u32 = 3;
/// Option type: how the loop in the kernel syncs.
pub const NETMAP_REQ_OPT_SYNC_KLOOP_MODE: u32 = 4;
/// Option type: packets start inside their buffers.
pub const NETMAP_REQ_OPT_OFFSETS: u32 = 5;

/// Head of each option of a request (`struct nmreq_option`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqOption {
    /// Address of the next option, or zero.
    pub nro_next: u64,
    /// `NETMAP_REQ_OPT_*`.
    pub nro_reqtype: u32,
    /// Out: zero, or an error number.
    pub nro_status: u32,
    /// Octets of the option, where they vary.
    pub nro_size: u64,
}

/// What is where in a region (`struct nmreq_pools_info`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqPoolsInfo {
    /// Size of the region, in octets.
    pub nr_memsize: u64,
    /// The region.
    pub nr_mem_id: u16,
    /// Zero.
    pub pad1: [u16; 3],
    /// Where the [`If`]s begin, in octets.
    pub nr_if_pool_offset: u64,
    /// How many there are.
    pub nr_if_pool_objtotal: u32,
    /// Octets of each.
    pub nr_if_pool_objsize: u32,
    /// Where the [`Ring`]s begin, in octets.
    pub nr_ring_pool_offset: u64,
    /// How many there are.
    pub nr_ring_pool_objtotal: u32,
    /// Octets of each.
    pub nr_ring_pool_objsize: u32,
    /// Where the buffers begin, in octets.
    pub nr_buf_pool_offset: u64,
    /// How many there are.
    pub nr_buf_pool_objtotal: u32,
    /// Octets of each.
    pub nr_buf_pool_objsize: u32,
}

/// [`NETMAP_REQ_OPT_EXTMEM`] (`struct nmreq_opt_extmem`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct OptExtmem {
    /// Head.
    pub nro_opt: ReqOption,
    /// Address of the memory.
    pub nro_usrptr: u64,
    /// What is wanted, and what is there.
    pub nro_info: ReqPoolsInfo,
}

/// [`NETMAP_REQ_OPT_OFFSETS`] (`struct nmreq_opt_offsets`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct OptOffsets {
    /// Head.
    pub nro_opt: ReqOption,
    /// Largest offset in use, in octets.
    pub nro_max_offset: u64,
    /// Offset of all slots at first, in octets.
    pub nro_initial_offset: u64,
    /// Low bits of a slot's `ptr` that hold the offset; 0 for all.
    pub nro_offset_bits: u32,
    /// Alignment that packets need in transmit buffers, in octets.
    pub nro_tx_align: u32,
    /// Zero.
    pub nro_min_gap: u64,
}

macro_rules! layout {
    ($type:ty, $size:literal { $($field:ident $offset:literal $len:literal,)* }) => {
        const _: () = {
            /// Size of the field that the argument leads to.
            const fn size_of_field<F>(_: fn(&$type) -> &F) -> usize {
                size_of::<F>()
            }
            assert!(size_of::<$type>() == $size);
            $(
                assert!(core::mem::offset_of!($type, $field) == $offset);
                assert!(size_of_field(|t| &t.$field) == $len);
            )*
        };
    };
}

layout!(Slot, 16 {
    buf_idx 0 4,
    len 4 2,
    flags 6 2,
    ptr 8 8,
});
layout!(Ring, 256 {
    buf_ofs 0 8,
    num_slots 8 4,
    nr_buf_size 12 4,
    ringid 16 2,
    dir 18 2,
    head 20 4,
    cur 24 4,
    tail 28 4,
    flags 32 4,
    ts 40 16,
    offset_mask 56 8,
    buf_align 64 8,
    stack_ofs 72 8,
    stack_room 80 4,
    sem 128 128,
});
layout!(StackRun, 12 {
    fd 0 4,
    first 4 4,
    count 8 4,
});
layout!(StackRuns, 8 {
    count 0 4,
    max 4 4,
});
layout!(ReqPstFdReg, 4 {
    fd 0 4,
});
layout!(If, 56 {
    ni_name 0 16,
    ni_version 16 4,
    ni_flags 20 4,
    ni_tx_rings 24 4,
    ni_rx_rings 28 4,
    ni_bufs_head 32 4,
    ni_host_tx_rings 36 4,
    ni_host_rx_rings 40 4,
    ni_spare1 44 12,
});
layout!(ReqHeader, 88 {
    nr_version 0 2,
    nr_reqtype 2 2,
    nr_reserved 4 4,
    nr_name 8 64,
    nr_options 72 8,
    nr_body 80 8,
});
layout!(ReqRegister, 56 {
    nr_offset 0 8,
    nr_memsize 8 8,
    nr_tx_slots 16 4,
    nr_rx_slots 20 4,
    nr_tx_rings 24 2,
    nr_rx_rings 26 2,
    nr_host_tx_rings 28 2,
    nr_host_rx_rings 30 2,
    nr_mem_id 32 2,
    nr_ringid 34 2,
    nr_mode 36 4,
    nr_extra_bufs 40 4,
    nr_flags 48 8,
});
layout!(ReqPortInfoGet, 32 {
    nr_memsize 0 8,
    nr_tx_slots 8 4,
    nr_rx_slots 12 4,
    nr_tx_rings 16 2,
    nr_rx_rings 18 2,
    nr_host_tx_rings 20 2,
    nr_host_rx_rings 22 2,
    nr_mem_id 24 2,
    pad 26 6,
});
layout!(ReqValeAttach, 64 {
    reg 0 56,
    port_index 56 4,
    pad1 60 4,
});
layout!(ReqValeDetach, 8 {
    port_index 0 4,
    pad1 4 4,
});
layout!(ReqValeList, 8 {
    nr_bridge_idx 0 2,
    pad1 2 2,
    nr_port_idx 4 4,
});
layout!(ReqPortHdr, 8 {
    nr_hdr_len 0 4,
    pad1 4 4,
});
layout!(ReqValeNewif, 16 {
    nr_tx_slots 0 4,
    nr_rx_slots 4 4,
    nr_tx_rings 8 2,
    nr_rx_rings 10 2,
    nr_mem_id 12 2,
    pad1 14 2,
});
layout!(ReqValePolling, 16 {
    nr_mode 0 4,
    nr_first_cpu_id 4 4,
    nr_num_polling_cpus 8 4,
    pad1 12 4,
});
layout!(ReqOption, 24 {
    nro_next 0 8,
    nro_reqtype 8 4,
    nro_status 12 4,
    nro_size 16 8,
});
layout!(ReqPoolsInfo, 64 {
    nr_memsize 0 8,
    nr_mem_id 8 2,
    pad1 10 6,
    nr_if_pool_offset 16 8,
    nr_if_pool_objtotal 24 4,
    nr_if_pool_objsize 28 4,
    nr_ring_pool_offset 32 8,
    nr_ring_pool_objtotal 40 4,
    nr_ring_pool_objsize 44 4,
    nr_buf_pool_offset 48 8,
    nr_buf_pool_objtotal 56 4,
    nr_buf_pool_objsize 60 4,
});
layout!(OptExtmem, 96 {
    nro_opt 0 24,
    nro_usrptr 24 8,
    nro_info 32 64,
});
layout!(OptOffsets, 56 {
    nro_opt 0 24,
    nro_max_offset 24 8,
    nro_initial_offset 32 8,
    nro_offset_bits 40 4,
    nro_tx_align 44 4,
    nro_min_gap 48 8,
});
