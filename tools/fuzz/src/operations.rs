// SPDX-License-Identifier: BSD-2-Clause
//! The operations that programs are made of; a new one joins by a line of [`OPERATIONS`].

use crate::calls;
use crate::domain::Domain::{self, Below, Bits, List, Number, Row, Value};
use crate::machine::{Machine, FILES, MAPS};
use crate::requests;
use crate::rings;
use crate::sockets::{self, CONNECTIONS};
use crate::tables::*;
use crate::world;
use libc::*;

/// An argument of an operation.
pub struct Arg {
    /// What it is called in text.
    pub name: &'static str,
    /// What it can be.
    pub domain: Domain,
    /// Whether it should be 0 in most programs.
    pub seldom: bool,
}

/// What a program can do.
pub struct Operation {
    /// What it is called in text.
    pub name: &'static str,
    /// How often it is drawn, in comparison to the others.
    pub weight: u32,
    /// Its arguments.
    pub args: &'static [Arg],
    /// The errors that are documented for it.
    pub errors: &'static [c_int],
    /// Does it: the errno or 0, or [`None`] if there was nothing to do it with.
    pub run: fn(&Machine, &[u64]) -> Option<c_int>,
}

const fn arg(name: &'static str, domain: Domain) -> Arg {
    Arg {
        name,
        domain,
        seldom: false,
    }
}

const fn seldom(name: &'static str, domain: Domain) -> Arg {
    Arg {
        name,
        domain,
        seldom: true,
    }
}

const fn op(
    name: &'static str,
    weight: u32,
    args: &'static [Arg],
    errors: &'static [c_int],
    run: fn(&Machine, &[u64]) -> Option<c_int>,
) -> Operation {
    Operation {
        name,
        weight,
        args,
        errors,
        run,
    }
}

const FILE: Arg = arg("file", Below(FILES as u64));
const MAP: Arg = arg("map", Below(MAPS as u64));
const NIC: Arg = arg("nic", Below(8));
const RING: Arg = arg("ring", Below(8));
const CONNECTION: Arg = arg("connection", Below(CONNECTIONS as u64));

const SLOTS: &[u64] = &[0, 1, 2, 64, 80, 256, 1024, 4096, 16384, u32::MAX as u64];
const RINGS: &[u64] = &[0, 1, 2, 4, 64, 65, u16::MAX as u64];
const EXTRA: &[u64] = &[0, 1, 8, 100, 163_840, u32::MAX as u64];
const VERSIONS: &[Row_] = &[row_("v14", 0), row_("v15", 1)];
const LENGTHS: &[u64] = &[60, 0, 14, 60, 1514, 2048, 4096, 9000, 65535];
const COUNTS: &[u64] = &[1, 2, 5, 33, 255, 256];
const WORDS: &[u64] = &[0, 1, 8, 4096, 1 << 31, 1 << 32, u64::MAX];

type Row_ = crate::domain::Row<u64>;
const fn row_(name: &'static str, value: u64) -> Row_ {
    crate::domain::row(name, value)
}

/// The errors of requests that bind.
const BIND: &[c_int] = &[
    EINVAL, EFAULT, EMSGSIZE, EOPNOTSUPP, ENXIO, EPERM, EBUSY, ENOMEM, EAGAIN, ENETDOWN, ENODEV,
    EIO,
];
/// Those of registering a connection besides.
const STACK: &[c_int] = &[
    EINVAL, EFAULT, EMSGSIZE, EOPNOTSUPP, ENXIO, EPERM, EBUSY, ENOMEM, EAGAIN, ENETDOWN, ENODEV,
    EIO, EBADF, ENOTSOCK, EPROTOTYPE, ENOTCONN, EXDEV, ENOSPC, ENOENT,
];
/// The errors of a sync.
const SYNC: &[c_int] = &[ENXIO, EINTR];
/// Those of `mmap`, the kernel's own included.
const MMAP: &[c_int] = &[
    EINVAL, ENOMEM, EACCES, EAGAIN, EBUSY, EFAULT, ENODEV, EOPNOTSUPP, EOVERFLOW,
];
/// Those of its relatives, likewise.
const MEMORY: &[c_int] = &[
    EINVAL, ENOMEM, EACCES, EAGAIN, EBUSY, EFAULT, ENODEV, EOPNOTSUPP,
];
const NONE: &[c_int] = &[];

/// The operations.
pub static OPERATIONS: &[Operation] = &[
    op("open", 2, &[FILE], NONE, calls::open),
    op("close", 4, &[FILE], NONE, calls::close),
    op(
        "dup",
        2,
        &[FILE, arg("to", Below(FILES as u64))],
        NONE,
        calls::dup,
    ),
    op(
        "register",
        12,
        &[
            FILE,
            NIC,
            seldom("port", Row(&PORTS)),
            arg("mode", Value(MODES, 32)),
            arg("ring", Number(&[0, 0, 1, 2, 0xffff], 16)),
            arg("flags", Bits(REGISTER_FLAGS, 64)),
            seldom("tx_slots", Number(SLOTS, 32)),
            seldom("rx_slots", Number(SLOTS, 32)),
            seldom("tx_rings", Number(RINGS, 16)),
            seldom("rx_rings", Number(RINGS, 16)),
            seldom("host_tx", Number(RINGS, 16)),
            seldom("host_rx", Number(RINGS, 16)),
            seldom("mem", Number(&[0, 1, 2], 16)),
            seldom("extra", Number(EXTRA, 32)),
            seldom("version", Value(VERSIONS, 16)),
            seldom("options", List(&OPTIONS)),
            seldom("end", Row(&ENDS)),
            seldom("size", Number(WORDS, 64)),
            seldom("header", Row(&PLACES)),
            seldom("body", Row(&PLACES)),
        ],
        BIND,
        requests::register,
    ),
    op(
        "legacy",
        6,
        &[
            FILE,
            arg("request", Row(&LEGACY)),
            NIC,
            seldom("port", Row(&PORTS)),
            arg("mode", Value(MODES, 4)),
            arg("ring", Bits(RING_FLAGS, 16)),
            arg("flags", Bits(REGISTER_FLAGS, 32)),
            seldom("version", Number(&[0, 1, 2, 3], 32)),
            seldom("command", Number(&[0, 1, 5, 12], 16)),
            seldom("slots", Number(SLOTS, 32)),
            seldom("rings", Number(RINGS, 16)),
            seldom("mem", Number(&[0, 1, 2], 16)),
            seldom("extra", Number(EXTRA, 32)),
            seldom("body", Row(&PLACES)),
        ],
        &[
            EINVAL, EFAULT, EMSGSIZE, EOPNOTSUPP, ENXIO, EPERM, EBUSY, ENOMEM, EAGAIN, ENETDOWN,
            ENODEV, EIO, EOVERFLOW, EBADF, ENOTSOCK, EPROTOTYPE, ENOTCONN, EXDEV,
        ],
        requests::legacy,
    ),
    op(
        "request",
        8,
        &[
            FILE,
            arg("type", Row(&REQUESTS)),
            NIC,
            seldom("port", Row(&PORTS)),
            arg("word0", Number(WORDS, 64)),
            arg("word1", Number(WORDS, 64)),
            seldom("version", Value(VERSIONS, 16)),
            seldom("reserved", Number(&[0, 1], 32)),
            seldom("options", List(&OPTIONS)),
            seldom("end", Row(&ENDS)),
            seldom("size", Number(WORDS, 64)),
            seldom("header", Row(&PLACES)),
            seldom("body", Row(&PLACES)),
        ],
        STACK,
        requests::request,
    ),
    op(
        "ioctl",
        2,
        &[
            FILE,
            arg("number", Value(IOCTLS, 32)),
            arg("at", Row(&PLACES)),
        ],
        &[
            EOPNOTSUPP, EINVAL, EFAULT, ENXIO, EINTR, ENOTTY, EMSGSIZE, EPERM, EBUSY, ENOMEM,
            EAGAIN, ENETDOWN, ENODEV, EIO,
        ],
        requests::ioctl_number,
    ),
    op(
        "connect",
        6,
        &[CONNECTION, arg("kind", Row(&KINDS))],
        NONE,
        sockets::connect,
    ),
    op(
        "stack",
        6,
        &[FILE, CONNECTION, arg("how", Row(&REGISTRATIONS))],
        &[
            EBADF, ENOTSOCK, EPROTOTYPE, ENOTCONN, EBUSY, EXDEV, ENOSPC, ENOENT, ENOMEM, ENXIO,
            EOPNOTSUPP,
        ],
        sockets::stack,
    ),
    op(
        "post",
        8,
        &[
            MAP,
            RING,
            CONNECTION,
            arg("count", Number(COUNTS, 12)),
            arg("length", Number(&[1448, 0, 1, 100, 1968, 2048], 16)),
            arg("offset", Number(&[80, 80, 0, 66, 2047, 2048], 16)),
        ],
        NONE,
        sockets::post,
    ),
    op(
        "act",
        10,
        &[
            CONNECTION,
            arg("end", Below(2)),
            arg("what", Row(&ACTS)),
            arg("count", Number(&[1, 100, 5000, 60_000], 17)),
        ],
        NONE,
        sockets::act,
    ),
    op(
        "txsync",
        12,
        &[FILE, arg("more", Below(8))],
        SYNC,
        calls::txsync,
    ),
    op(
        "rxsync",
        12,
        &[FILE, arg("more", Below(8))],
        SYNC,
        calls::rxsync,
    ),
    op(
        "mmap",
        4,
        &[
            MAP,
            FILE,
            seldom("how", Row(&PROTECTIONS)),
            seldom("pages", Number(&[1, 16, 512, 1024], 40)),
            seldom("offset", Number(&[0, 1, 16, 512, 80_000], 52)),
        ],
        MMAP,
        calls::mmap_file,
    ),
    op(
        "munmap",
        3,
        &[MAP, seldom("part", Below(4))],
        MEMORY,
        calls::munmap_map,
    ),
    op(
        "mprotect",
        1,
        &[MAP, arg("how", Row(&PROTECTIONS))],
        MEMORY,
        calls::protect,
    ),
    op(
        "mremap",
        1,
        &[MAP, arg("how", Below(3))],
        MEMORY,
        calls::remap,
    ),
    op(
        "madvise",
        1,
        &[MAP, arg("advice", Value(ADVICE, 5))],
        MEMORY,
        calls::advise,
    ),
    op(
        "touch",
        2,
        &[
            MAP,
            arg("page", Number(&[0, 16, 512, 1900, 2048], 20)),
            arg("pages", Below(40)),
            arg("write", Below(2)),
        ],
        &[EFAULT, EIO],
        rings::touch,
    ),
    op(
        "share",
        3,
        &[
            FILE,
            arg("what", Bits(TARGETS, 6)),
            arg("seed", Below(1000)),
        ],
        NONE,
        rings::share,
    ),
    op(
        "send",
        10,
        &[
            MAP,
            RING,
            arg("count", Number(COUNTS, 12)),
            arg("length", Number(LENGTHS, 16)),
            arg("flags", Bits(SLOT_FLAGS, 16)),
            seldom("port", Below(2)),
        ],
        NONE,
        rings::send,
    ),
    op(
        "receive",
        8,
        &[
            MAP,
            RING,
            arg("count", Number(COUNTS, 12)),
            arg("flags", Bits(SLOT_FLAGS, 16)),
        ],
        NONE,
        rings::receive,
    ),
    op(
        "cursor",
        6,
        &[
            MAP,
            RING,
            arg("field", Row(&CURSORS)),
            arg("from", Row(&FROM)),
            arg("by", Number(&[0, 1, 2, 6], 16)),
        ],
        NONE,
        rings::cursor,
    ),
    op(
        "slot",
        6,
        &[
            MAP,
            RING,
            arg("at", Number(&[0, 1, 8], 14)),
            arg("field", Row(&SLOT_FIELDS)),
            arg("from", Row(&FROM)),
            arg("by", Number(WORDS, 64)),
        ],
        NONE,
        rings::slot,
    ),
    op(
        "swap",
        3,
        &[MAP, RING, arg("with", Below(8)), arg("count", Below(300))],
        NONE,
        rings::swap,
    ),
    op(
        "extra",
        2,
        &[
            MAP,
            arg("from", Row(&FROM)),
            arg("by", Number(EXTRA, 32)),
            arg("chain", Below(200)),
            arg("loop", Below(2)),
        ],
        NONE,
        rings::extra,
    ),
    op(
        "interface",
        1,
        &[MAP, arg("word", Below(24)), arg("value", Number(WORDS, 64))],
        NONE,
        rings::interface,
    ),
    op(
        "forward",
        2,
        &[MAP, arg("on", Below(2))],
        NONE,
        rings::forward,
    ),
    op(
        "wait",
        6,
        &[
            FILE,
            arg("events", Bits(EVENTS, 16)),
            arg("ms", Below(20)),
            arg("how", Row(&WAITS)),
        ],
        NONE,
        calls::wait,
    ),
    op(
        "frames",
        8,
        &[
            NIC,
            arg("count", Below(200)),
            arg("length", Number(LENGTHS, 16)),
            arg("kind", Below(4)),
        ],
        NONE,
        world::frames,
    ),
    op(
        "fork",
        3,
        &[
            FILE,
            MAP,
            arg("child", Row(&CHILDREN)),
            arg("wait", Below(2)),
        ],
        NONE,
        world::fork_child,
    ),
    op(
        "read",
        1,
        &[FILE, arg("what", Row(&FILES_TO_READ))],
        &[ENOENT],
        world::read,
    ),
    op(
        "parameter",
        1,
        &[arg("value", Row(&PARAMETERS))],
        &[EINVAL, ERANGE],
        world::parameter,
    ),
    op("nap", 1, &[arg("ms", Below(20))], NONE, world::nap),
    op("die", 1, &[], NONE, world::die),
];
