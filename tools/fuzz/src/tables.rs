// SPDX-License-Identifier: BSD-2-Clause
//! What programs are made of: a new kind of port, request, option, flag or parameter joins by a line here.

use crate::domain::{row, Row};

/// What a port's name is made of.
#[derive(Debug, Clone, Copy)]
pub enum Name {
    /// This text, `%` standing for an interface.
    Text(&'static str),
    /// This byte throughout, without an end.
    Full(u8),
}

/// The kinds of ports.
pub static PORTS: [Row<Name>; 21] = [
    row("nic", Name::Text("%")),
    row("stack", Name::Text("stack:nmfuzz0")),
    row("stack_numbered", Name::Text("stack:0+%")),
    row("missing", Name::Text("nosuch0")),
    row("loopback", Name::Text("lo")),
    row("pipe_master", Name::Text("%{1")),
    row("pipe_slave", Name::Text("%}1")),
    row("pipe_named", Name::Text("%{a")),
    row("pipe_of_nothing", Name::Text("{")),
    row("pipe_on_nothing", Name::Text("nmfuzz{1")),
    row("pipe_on_nothing_slave", Name::Text("nmfuzz}1")),
    row("vale", Name::Text("vale0:p")),
    row("vale_nic", Name::Text("vale0:%")),
    row("vale_pipe", Name::Text("vale1:p{3")),
    row("vale_bare", Name::Text("vale0:")),
    row("host_suffix", Name::Text("%^")),
    row("prefixed", Name::Text("netmap:%")),
    row("empty", Name::Text("")),
    row(
        "long",
        Name::Text("abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0"),
    ),
    row("unended", Name::Full(b'e')),
    row("binary", Name::Full(0xff)),
];

/// A request of `NIOCCTRL`.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// `nr_reqtype`.
    pub reqtype: u16,
    /// Bytes of its body.
    pub body: usize,
}

const fn request(name: &'static str, reqtype: u16, body: usize) -> Row<Request> {
    row(name, Request { reqtype, body })
}

/// The requests, served or not, and some that do not exist.
pub static REQUESTS: [Row<Request>; 20] = [
    request("port_info_get", 2, 32),
    request("register", 1, 56),
    request("vale_attach", 3, 64),
    request("vale_detach", 4, 8),
    request("vale_list", 5, 8),
    request("port_hdr_set", 6, 8),
    request("port_hdr_get", 7, 8),
    request("vale_newif", 8, 16),
    request("vale_delif", 9, 0),
    request("vale_polling_enable", 10, 16),
    request("vale_polling_disable", 11, 16),
    request("pools_info_get", 12, 64),
    request("sync_kloop_start", 13, 8),
    request("sync_kloop_stop", 14, 0),
    request("csb_enable", 15, 0),
    request("none", 0, 8),
    request("next", 16, 8),
    request("pst_fd_reg", 18, 4),
    request("pst_fd_unreg", 19, 4),
    request("last", 0xffff, 64),
];

/// An option of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestOption {
    /// `nro_reqtype`.
    pub reqtype: u32,
    /// Bytes behind its head.
    pub body: usize,
}

const fn option(name: &'static str, reqtype: u32, body: usize) -> Row<RequestOption> {
    row(name, RequestOption { reqtype, body })
}

/// The options, and some that do not exist; at most 15, see [`crate::domain::Domain::List`].
pub static OPTIONS: [Row<RequestOption>; 8] = [
    option("extmem", 1, 72),
    option("eventfds", 2, 64),
    option("csb", 3, 16),
    option("kloop_mode", 4, 8),
    option("offsets", 5, 32),
    option("zero", 0, 0),
    option("next", 6, 8),
    option("last", u32::MAX, 8),
];

/// Where a list of options leads in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nowhere.
    Null,
    /// To its first option.
    First,
    /// To the last option itself.
    Itself,
    /// To an address where nothing is.
    Unmapped,
    /// To an address of the kernel.
    Kernel,
    /// To 200 more options of the kind of the last.
    Long,
}

/// See [`End`].
pub static ENDS: [Row<End>; 6] = [
    row("null", End::Null),
    row("first", End::First),
    row("itself", End::Itself),
    row("unmapped", End::Unmapped),
    row("kernel", End::Kernel),
    row("long", End::Long),
];

/// Where a structure lies that the kernel is to read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory, aligned.
    Normal,
    /// In memory, off by one.
    Odd,
    /// It ends where the memory does.
    Edge,
    /// Its second half is not there.
    Cross,
    /// In memory that cannot be written.
    ReadOnly,
    /// Nothing is there.
    Unmapped,
    /// Address 0.
    Null,
    /// In the kernel's half.
    Kernel,
    /// No address at all.
    Noncanonical,
    /// In a buffer of the region that is mapped as 0.
    Region,
}

/// See [`Place`].
pub static PLACES: [Row<Place>; 10] = [
    row("normal", Place::Normal),
    row("odd", Place::Odd),
    row("edge", Place::Edge),
    row("cross", Place::Cross),
    row("read_only", Place::ReadOnly),
    row("unmapped", Place::Unmapped),
    row("null", Place::Null),
    row("kernel", Place::Kernel),
    row("noncanonical", Place::Noncanonical),
    row("region", Place::Region),
];

/// `nr_mode`, and the low bits of the legacy `nr_flags`.
pub static MODES: &[Row<u64>] = &[
    row("default", 0),
    row("all_nic", 1),
    row("sw", 2),
    row("nic_sw", 3),
    row("one_nic", 4),
    row("pipe_master", 5),
    row("pipe_slave", 6),
    row("null", 7),
    row("one_sw", 8),
    // The usual ones again, to be drawn more often.
    row("all_nic", 1),
    row("nic_sw", 3),
    row("one_nic", 4),
];

/// `nr_flags`.
pub static REGISTER_FLAGS: &[Row<u64>] = &[
    row("monitor_tx", 0x100),
    row("monitor_rx", 0x200),
    row("zcopy_mon", 0x400),
    row("exclusive", 0x800),
    row("rx_only", 0x2000),
    row("tx_only", 0x4000),
    row("vnet_hdr", 0x8000),
    row("do_rx_poll", 0x10000),
    row("no_tx_poll", 0x20000),
    row("stack", 0x40000),
];

/// Bits of the legacy `nr_ringid`.
pub static RING_FLAGS: &[Row<u64>] = &[
    row("no_tx_poll", 0x1000),
    row("sw_ring", 0x2000),
    row("hw_ring", 0x4000),
    row("do_rx_poll", 0x8000),
    row("ring1", 1),
];

/// The requests with the legacy structure.
pub static LEGACY: [Row<libc::c_ulong>; 3] = [
    row("regif", 0xc03c_6992),
    row("ginfo", 0xc03c_6991),
    row("config", 0xc110_6996),
];

/// Other numbers of `ioctl`.
pub static IOCTLS: &[Row<u64>] = &[
    row("txsync", 0x6994),
    row("rxsync", 0x6995),
    row("reserved", 0x6993),
    row("ctrl", 0xc058_6997),
    row("ctrl_short", 0xc028_6997),
    row("regif_short", 0xc028_6992),
    row("fionread", 0x541b),
];

/// Flags of slots.
pub static SLOT_FLAGS: &[Row<u64>] = &[
    row("changed", 1),
    row("report", 2),
    row("forward", 4),
    row("no_learn", 8),
    row("indirect", 0x10),
    row("more", 0x20),
    row("txmon", 0x40),
    row("port", 0x300),
];

/// The fields of a ring's header that programs write: offset and bytes.
pub static CURSORS: [Row<&'static [(u64, usize)]>; 9] = [
    row("head_cur", &[(20, 4), (24, 4)]),
    row("head", &[(20, 4)]),
    row("cur", &[(24, 4)]),
    row("tail", &[(28, 4)]),
    row("flags", &[(32, 4)]),
    row("num_slots", &[(8, 4)]),
    row("buf_ofs", &[(0, 8)]),
    row("buf_size", &[(12, 4)]),
    row("offset_mask", &[(56, 8)]),
];

/// The fields of a slot: offset and bytes.
pub static SLOT_FIELDS: [Row<(u64, usize)>; 4] = [
    row("buf_idx", (0, 4)),
    row("len", (4, 2)),
    row("flags", (6, 2)),
    row("ptr", (8, 8)),
];

/// What a value is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// 0.
    Zero,
    /// The ring's `head`.
    Head,
    /// The ring's `cur`.
    Cur,
    /// The ring's `tail`.
    Tail,
    /// The ring's number of slots.
    Slots,
    /// The size of a buffer.
    BufSize,
    /// The index of a buffer that the ring had at first.
    Buffer,
    /// The first number beyond 31 bits.
    Half,
    /// The first number beyond 32 bits.
    Whole,
}

/// See [`From`].
pub static FROM: [Row<From>; 9] = [
    row("zero", From::Zero),
    row("head", From::Head),
    row("cur", From::Cur),
    row("tail", From::Tail),
    row("slots", From::Slots),
    row("buf_size", From::BufSize),
    row("buffer", From::Buffer),
    row("half", From::Half),
    row("whole", From::Whole),
];

/// What the other thread writes to.
pub mod target {
    /// Cursors and flags of rings.
    pub const CURSORS: u64 = 1;
    /// The rest of the rings' headers.
    pub const HEADERS: u64 = 2;
    /// Slots.
    pub const SLOTS: u64 = 4;
    /// The interface.
    pub const INTERFACE: u64 = 8;
    /// The first words of buffers.
    pub const BUFFERS: u64 = 16;
    /// Requests that are being made.
    pub const REQUESTS: u64 = 32;
}

/// See [`target`].
pub static TARGETS: &[Row<u64>] = &[
    row("cursors", target::CURSORS),
    row("headers", target::HEADERS),
    row("slots", target::SLOTS),
    row("interface", target::INTERFACE),
    row("buffers", target::BUFFERS),
    row("requests", target::REQUESTS),
];

/// `poll` events, and how they are waited for.
pub static EVENTS: &[Row<u64>] = &[
    row("in", 1),
    row("pri", 2),
    row("out", 4),
    row("rdnorm", 0x40),
    row("wrnorm", 0x100),
];

/// How readiness is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// `poll`.
    Poll,
    /// `select`.
    Select,
    /// `epoll_wait`, the file added for it and not taken out.
    Epoll,
    /// `epoll_wait`, edge-triggered.
    Edge,
}

/// See [`Wait`].
pub static WAITS: [Row<Wait>; 4] = [
    row("poll", Wait::Poll),
    row("select", Wait::Select),
    row("epoll", Wait::Epoll),
    row("edge", Wait::Edge),
];

/// What a child does with what it inherited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// It ends.
    Exit,
    /// It closes the file and ends.
    Close,
    /// It sends and ends.
    Transmit,
    /// It receives and ends.
    Receive,
    /// It polls and ends.
    Poll,
    /// It reads the mapping, and ends or dies of it.
    Read,
    /// It writes the mapping's rings, and ends or dies of it.
    Write,
    /// It unmaps the mapping and ends.
    Unmap,
    /// It keeps everything until it is killed, syncing.
    Linger,
    /// It becomes another program.
    Exec,
}

/// See [`Child`].
pub static CHILDREN: [Row<Child>; 10] = [
    row("exit", Child::Exit),
    row("close", Child::Close),
    row("transmit", Child::Transmit),
    row("receive", Child::Receive),
    row("poll", Child::Poll),
    row("read", Child::Read),
    row("write", Child::Write),
    row("unmap", Child::Unmap),
    row("linger", Child::Linger),
    row("exec", Child::Exec),
];

/// `mmap`: protection and flags.
pub static PROTECTIONS: [Row<(i32, i32)>; 6] = [
    row("rw", (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED)),
    row("r", (libc::PROT_READ, libc::MAP_SHARED)),
    row("none", (libc::PROT_NONE, libc::MAP_SHARED)),
    row(
        "private",
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE),
    ),
    row(
        "populate",
        (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_POPULATE,
        ),
    ),
    row(
        "exec",
        (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_SHARED),
    ),
];

/// `madvise`.
pub static ADVICE: &[Row<u64>] = &[
    row("dontneed", libc::MADV_DONTNEED as u64),
    row("willneed", libc::MADV_WILLNEED as u64),
    row("dontfork", libc::MADV_DONTFORK as u64),
    row("hugepage", libc::MADV_HUGEPAGE as u64),
    row("remove", libc::MADV_REMOVE as u64),
    row("populate", 23),
];

/// What a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has a connection.
    Connected,
    /// It waits for the answer of somebody who is not there.
    Connecting,
    /// It waits for connections.
    Listening,
    /// It has a connection with itself.
    Local,
    /// It is no socket of TCP.
    Datagrams,
    /// Nothing was done with it.
    Bare,
}

/// See [`Kind`].
pub static KINDS: [Row<Kind>; 6] = [
    row("connected", Kind::Connected),
    row("connecting", Kind::Connecting),
    row("listening", Kind::Listening),
    row("local", Kind::Local),
    row("datagrams", Kind::Datagrams),
    row("bare", Kind::Bare),
];

/// How a socket is registered, or not any more: requests, 0 for the older ioctl.
pub static REGISTRATIONS: [Row<u16>; 3] =
    [row("register", 18), row("unregister", 19), row("config", 0)];

/// What is done with a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `send`.
    Send,
    /// `send`, the last octet urgent.
    SendUrgent,
    /// `recv`.
    Receive,
    /// `recv`, which leaves it there.
    Peek,
    /// `splice` to a pipe.
    Splice,
    /// `shutdown` of what it sends.
    ShutWrite,
    /// `shutdown` of what it receives.
    ShutRead,
    /// `close` with a reset.
    Reset,
    /// `close`.
    Close,
    /// `dup2` of the next one to its number.
    Replace,
    /// `connect` to nobody.
    Disconnect,
    /// It is to have kernel TLS.
    Tls,
    /// It may have little under way.
    SmallSend,
    /// It may have little that is not read.
    SmallReceive,
    /// It sends full segments only.
    Cork,
    /// It sends all.
    Uncork,
    /// There is time for something to arrive.
    Settle,
}

/// See [`Act`].
pub static ACTS: [Row<Act>; 17] = [
    row("send", Act::Send),
    row("send_urgent", Act::SendUrgent),
    row("receive", Act::Receive),
    row("peek", Act::Peek),
    row("splice", Act::Splice),
    row("shut_write", Act::ShutWrite),
    row("shut_read", Act::ShutRead),
    row("reset", Act::Reset),
    row("close", Act::Close),
    row("replace", Act::Replace),
    row("disconnect", Act::Disconnect),
    row("tls", Act::Tls),
    row("small_send", Act::SmallSend),
    row("small_receive", Act::SmallReceive),
    row("cork", Act::Cork),
    row("uncork", Act::Uncork),
    row("settle", Act::Settle),
];

/// What can be read about the module.
pub static FILES_TO_READ: [Row<&'static str>; 4] = [
    row("fdinfo", ""),
    row("ports", "/sys/kernel/debug/netmap/ports"),
    row("regions", "/sys/kernel/debug/netmap/regions"),
    row("smaps", "/proc/self/smaps"),
];

/// Parameters of the module with a value to set; the values from before come back after the program.
pub static PARAMETERS: [Row<&'static str>; 24] = [
    row("buf_size_64", "buf_size=64"),
    row("buf_size_1000", "buf_size=1000"),
    row("buf_size_64k", "buf_size=65536"),
    row("buf_size_bad", "buf_size=4294967295"),
    row("buf_num_few", "buf_num=700"),
    row("buf_num_4", "buf_num=4"),
    row("buf_num_bad", "buf_num=0"),
    row("ring_size_small", "ring_size=2048"),
    row("ring_size_bad", "ring_size=4294967295"),
    row("ring_num_3", "ring_num=3"),
    row("if_num_1", "if_num=1"),
    row("if_size_small", "if_size=96"),
    row("hot", "takeover=hot"),
    row("restart", "takeover=restart"),
    row("no_e1000e", "e1000e_takeover=N"),
    row("forward", "fwd=1"),
    row("no_timestamp", "no_timestamp=1"),
    row("trust_file", "trust_file=Y"),
    row("admode_native", "admode=1"),
    row("admode_emulated", "admode=2"),
    row("generic_ringsize_0", "generic_ringsize=0"),
    row("generic_ringsize_many", "generic_ringsize=16384"),
    row("no_xdp", "emulated_xdp=0"),
    row("xdp_where_possible", "emulated_xdp=2"),
];
