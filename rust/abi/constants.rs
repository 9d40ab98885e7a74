// SPDX-License-Identifier: GPL-2.0

//! Numbers of the user ABI, with their C names.

/// ABI version that the headers carry.
pub const NETMAP_API: u16 = 14;
/// Lowest version that `NIOCCTRL` takes.
pub const NETMAP_MIN_API: u16 = 14;
/// Highest version that `NIOCCTRL` takes.
pub const NETMAP_MAX_API: u16 = 15;
/// Lowest version that the legacy requests take; the layout of `struct nmreq` dates from it.
pub const LEGACY_MIN_API: u32 = 11;
/// Bytes of `Header::nr_name`, the terminating NUL included.
pub const NETMAP_REQ_IFNAMSIZ: usize = 64;
/// Most bytes of a request's body and options together.
pub const NETMAP_REQ_MAXSIZE: usize = 4096;
/// Alignment of the parts of a ring that different sides write, in bytes.
pub const NM_CACHE_ALIGN: usize = 128;
/// Bytes of `SwitchConfig::data`.
pub const NM_IFRDATA_LEN: usize = 256;
/// Most slots that one packet may span.
pub const NETMAP_MAX_FRAGS: u32 = 64;

/// `ioctl` numbers.
///
/// They are not made by `kernel::ioctl::_IOWR`, because this file is also compiled without the kernel, where a test compares
/// each of them with the C headers.
pub mod ioctl {
    /// Describes a port or a region; takes a `LegacyRequest`.
    pub const NIOCGINFO: u32 = 0xc03c_6991;
    /// Binds the open file to a port; takes a `LegacyRequest`.
    pub const NIOCREGIF: u32 = 0xc03c_6992;
    /// Syncs the bound transmit rings; no argument.
    pub const NIOCTXSYNC: u32 = 0x6994;
    /// Syncs the bound receive rings; no argument.
    pub const NIOCRXSYNC: u32 = 0x6995;
    /// Registers a connection with a stack port; takes a `SwitchConfig`.
    pub const NIOCCONFIG: u32 = 0xc110_6996;
    /// Any request of the current control ABI; takes a `Header`.
    pub const NIOCCTRL: u32 = 0xc058_6997;
}

/// `Slot::flags`.
pub mod slot_flags {
    /// `buf_idx` changed: mappings of the buffer are looked up again.
    pub const NS_BUF_CHANGED: u16 = 0x0001;
    /// Ask the NIC to report the completion of this slot.
    pub const NS_REPORT: u16 = 0x0002;
    /// Pass the packet on: from NIC to host stack or back.
    pub const NS_FORWARD: u16 = 0x0004;
    /// The switch does not learn the source address.
    pub const NS_NO_LEARN: u16 = 0x0008;
    /// The packet is at the user address in `Slot::ptr`.
    pub const NS_INDIRECT: u16 = 0x0010;
    /// The packet goes on in the next slot.
    pub const NS_MOREFRAG: u16 = 0x0020;
    /// A monitor copied the packet on transmission.
    pub const NS_TXMON: u16 = 0x0040;
    /// Bits of the destination port in a switch, or of the fragment count.
    pub const NS_PORT_MASK: u16 = 0xff00;
    /// Position of `NS_PORT_MASK`.
    pub const NS_PORT_SHIFT: u32 = 8;
    /// Stack ports: the stream has ended.
    pub const NS_STACK_END: u16 = 0x0100;
    /// Stack ports: the slot has an errno.
    pub const NS_STACK_ERROR: u16 = 0x0200;
}

/// `Ring::flags`.
pub mod ring_flags {
    /// Write `Ring::ts` at each sync.
    pub const NR_TIMESTAMP: u32 = 0x0002;
    /// Honour `NS_FORWARD` in the slots of this ring.
    pub const NR_FORWARD: u32 = 0x0004;
}

/// `Interface::ni_flags`.
pub mod interface_flags {
    /// The region is private to the port.
    pub const NI_PRIV_MEM: u32 = 0x1;
}

/// Register modes: `Register::nr_mode`, and the low bits of `LegacyRequest::nr_flags`.
pub mod mode {
    /// Legacy: bits of `LegacyRequest::nr_ringid` choose.
    pub const NR_REG_DEFAULT: u32 = 0;
    /// All rings of the NIC.
    pub const NR_REG_ALL_NIC: u32 = 1;
    /// All host rings.
    pub const NR_REG_SW: u32 = 2;
    /// All rings of the NIC and all host rings.
    pub const NR_REG_NIC_SW: u32 = 3;
    /// One ring of the NIC in each direction.
    pub const NR_REG_ONE_NIC: u32 = 4;
    /// Legacy: master side of the pipe `nr_ringid`.
    pub const NR_REG_PIPE_MASTER: u32 = 5;
    /// Legacy: slave side of the pipe `nr_ringid`.
    pub const NR_REG_PIPE_SLAVE: u32 = 6;
    /// A port of its own that no packet passes.
    pub const NR_REG_NULL: u32 = 7;
    /// One host ring in each direction.
    pub const NR_REG_ONE_SW: u32 = 8;
    /// Bits of the mode in `LegacyRequest::nr_flags`.
    pub const NR_REG_MASK: u32 = 0xf;
}

/// `Register::nr_flags`, and the bits of `LegacyRequest::nr_flags` above the mode.
pub mod register_flags {
    /// Monitor what the port transmits.
    pub const NR_MONITOR_TX: u64 = 0x100;
    /// Monitor what the port receives.
    pub const NR_MONITOR_RX: u64 = 0x200;
    /// The monitor takes the buffers instead of copies.
    pub const NR_ZCOPY_MON: u64 = 0x400;
    /// No other file may bind these rings.
    pub const NR_EXCLUSIVE: u64 = 0x800;
    /// Bind receive rings alone.
    pub const NR_RX_RINGS_ONLY: u64 = 0x2000;
    /// Bind transmit rings alone.
    pub const NR_TX_RINGS_ONLY: u64 = 0x4000;
    /// The program understands a virtio-net header before each packet.
    pub const NR_ACCEPT_VNET_HDR: u64 = 0x8000;
    /// `poll` syncs receive rings even if only output is waited for.
    pub const NR_DO_RX_POLL: u64 = 0x1_0000;
    /// `poll` syncs transmit rings only if output is waited for.
    pub const NR_NO_TX_POLL: u64 = 0x2_0000;
    /// The stack port of the interface.
    pub const NR_STACK: u64 = 0x4_0000;
}

/// `LegacyRequest::nr_ringid`, `nr_cmd` and `nr_arg1`.
pub mod legacy {
    /// `nr_ringid`: index of the ring or pipe.
    pub const NETMAP_RING_MASK: u16 = 0x0fff;
    /// `nr_ringid`: `poll` syncs transmit rings only if output is waited for.
    pub const NETMAP_NO_TX_POLL: u16 = 0x1000;
    /// `nr_ringid`: all host rings.
    pub const NETMAP_SW_RING: u16 = 0x2000;
    /// `nr_ringid`: one ring of the NIC.
    pub const NETMAP_HW_RING: u16 = 0x4000;
    /// `nr_ringid`: `poll` syncs receive rings even if only output is waited for.
    pub const NETMAP_DO_RX_POLL: u16 = 0x8000;

    /// `nr_cmd`: attach a port to a switch.
    pub const NETMAP_BDG_ATTACH: u16 = 1;
    /// `nr_cmd`: detach a port from its switch.
    pub const NETMAP_BDG_DETACH: u16 = 2;
    /// `nr_cmd`: replace the operations of a switch; kernel only.
    pub const NETMAP_BDG_REGOPS: u16 = 3;
    /// `nr_cmd` of `NIOCGINFO`: list the ports of the switches.
    pub const NETMAP_BDG_LIST: u16 = 4;
    /// `nr_cmd`: set the length of the virtio-net header.
    pub const NETMAP_BDG_VNET_HDR: u16 = 5;
    /// `nr_cmd`: create a persistent switch port.
    pub const NETMAP_BDG_NEWIF: u16 = 6;
    /// `nr_cmd`: delete a persistent switch port.
    pub const NETMAP_BDG_DELIF: u16 = 7;
    /// `nr_cmd`: start a host for pass-through.
    pub const NETMAP_PT_HOST_CREATE: u16 = 8;
    /// `nr_cmd`: stop a host for pass-through.
    pub const NETMAP_PT_HOST_DELETE: u16 = 9;
    /// `nr_cmd`: poll an attached NIC from kernel threads.
    pub const NETMAP_BDG_POLLING_ON: u16 = 10;
    /// `nr_cmd`: stop that.
    pub const NETMAP_BDG_POLLING_OFF: u16 = 11;
    /// `nr_cmd`: get the length of the virtio-net header.
    pub const NETMAP_VNET_HDR_GET: u16 = 12;
    /// `nr_arg1` of `NETMAP_BDG_ATTACH`: attach the host rings too.
    pub const NETMAP_BDG_HOST: u16 = 1;
}

/// `Header::nr_reqtype`.
pub mod request_type {
    /// Bind the open file to a port.
    pub const NETMAP_REQ_REGISTER: u16 = 1;
    /// Describe a port or a region.
    pub const NETMAP_REQ_PORT_INFO_GET: u16 = 2;
    /// Attach a port to a switch.
    pub const NETMAP_REQ_VALE_ATTACH: u16 = 3;
    /// Detach a port from its switch.
    pub const NETMAP_REQ_VALE_DETACH: u16 = 4;
    /// List the ports of the switches.
    pub const NETMAP_REQ_VALE_LIST: u16 = 5;
    /// Set the length of the virtio-net header.
    pub const NETMAP_REQ_PORT_HDR_SET: u16 = 6;
    /// Get the length of the virtio-net header.
    pub const NETMAP_REQ_PORT_HDR_GET: u16 = 7;
    /// Create a persistent switch port.
    pub const NETMAP_REQ_VALE_NEWIF: u16 = 8;
    /// Delete a persistent switch port.
    pub const NETMAP_REQ_VALE_DELIF: u16 = 9;
    /// Poll an attached NIC from kernel threads.
    pub const NETMAP_REQ_VALE_POLLING_ENABLE: u16 = 10;
    /// Stop that.
    pub const NETMAP_REQ_VALE_POLLING_DISABLE: u16 = 11;
    /// Describe the pools of a region.
    pub const NETMAP_REQ_POOLS_INFO_GET: u16 = 12;
    /// Sync in a loop inside this call.
    pub const NETMAP_REQ_SYNC_KLOOP_START: u16 = 13;
    /// Stop that loop.
    pub const NETMAP_REQ_SYNC_KLOOP_STOP: u16 = 14;
    /// Use communication blocks instead of the pointers in the rings.
    pub const NETMAP_REQ_CSB_ENABLE: u16 = 15;
    /// Register a connection with a stack port.
    pub const NETMAP_REQ_PST_FD_REG: u16 = 18;
    /// The opposite.
    pub const NETMAP_REQ_PST_FD_UNREG: u16 = 19;
}

/// `OptionHeader::nro_reqtype`.
pub mod option_type {
    /// A region made of the caller's memory.
    pub const NETMAP_REQ_OPT_EXTMEM: u32 = 1;
    /// Event file descriptors of the sync loop.
    pub const NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS: u32 = 2;
    /// Communication blocks.
    pub const NETMAP_REQ_OPT_CSB: u32 = 3;
    /// Mode of the sync loop.
    pub const NETMAP_REQ_OPT_SYNC_KLOOP_MODE: u32 = 4;
    /// Packets that begin inside the buffer.
    pub const NETMAP_REQ_OPT_OFFSETS: u32 = 5;
    /// First number that is no option.
    pub const NETMAP_REQ_OPT_MAX: u32 = 6;
}

/// `ValePolling::nr_mode`.
pub mod polling {
    /// One CPU polls all rings.
    pub const NETMAP_POLLING_MODE_SINGLE_CPU: u32 = 1;
    /// Each CPU polls one ring.
    pub const NETMAP_POLLING_MODE_MULTI_CPU: u32 = 2;
}

/// `SyncLoopMode::mode`.
pub mod sync_loop {
    /// The application's notifications run the transmit sync directly.
    pub const NM_OPT_SYNC_KLOOP_DIRECT_TX: u32 = 0x1;
    /// The application's notifications run the receive sync directly.
    pub const NM_OPT_SYNC_KLOOP_DIRECT_RX: u32 = 0x2;
}
