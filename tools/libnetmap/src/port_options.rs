// SPDX-License-Identifier: BSD-2-Clause
//! The options that port names may have: share, extmem, conf, offset.

use crate::context::{fail, set_errno};
use crate::parsers::{
    OptKey, OptParser, ParseContext, MAXKEYS, OPTF_DISABLED, OPTK_DEFAULT, OPTK_MUSTSET,
};
use crate::port::PortDesc;
use crate::port_buffers::{nmport_extmem_from_file, nmport_offset};
use crate::request::{nmreq_get_mem_id, octets, shown};
use core::ffi::{c_char, c_int, c_uint, CStr};
use core::ptr::null;
use core::str::FromStr;
use core::sync::atomic::{AtomicU32, Ordering};

/// An option of ours.
struct Known(OptParser);

// SAFETY: the pointers lead to constants; only the flags change, which are atomic.
unsafe impl Sync for Known {}

/// An option with its keys, each of whose ids is its place here.
const fn known(
    prefix: &'static CStr,
    parse: unsafe extern "C" fn(*mut ParseContext) -> c_int,
    flags: c_uint,
    next: *const OptParser,
    names: &[(&'static CStr, c_uint)],
) -> Known {
    let mut keys = [OptKey {
        key: null(),
        id: 0,
        flags: 0,
    }; MAXKEYS];
    let mut default_key = -1;
    let mut id = 0;
    while id < names.len() {
        let (name, flags) = names[id];
        // There are no more than `MAXKEYS`.
        keys[id] = OptKey {
            key: name.as_ptr(),
            id: id as c_int,
            flags,
        };
        if flags & OPTK_DEFAULT != 0 {
            default_key = id as c_int;
        }
        id += 1;
    }
    Known(OptParser {
        prefix: prefix.as_ptr(),
        parse,
        default_key,
        nr_keys: names.len() as c_int,
        flags: AtomicU32::new(flags),
        next,
        keys,
    })
}

const DEFAULT: c_uint = OPTK_DEFAULT | OPTK_MUSTSET;

static SHARE: Known = known(
    c"share",
    share,
    0,
    &raw const EXTMEM.0,
    &[(c"port", DEFAULT)],
);

static EXTMEM: Known = known(
    c"extmem",
    extmem,
    0,
    &raw const CONF.0,
    &[
        (c"file", DEFAULT),
        (c"if_num", 0),
        (c"if_size", 0),
        (c"ring_num", 0),
        (c"ring_size", 0),
        (c"buf_num", 0),
        (c"buf_size", 0),
    ],
);

static CONF: Known = known(
    c"conf",
    conf,
    0,
    &raw const OFFSET.0,
    &[
        (c"rings", 0),
        (c"tx_rings", 0),
        (c"rx_rings", 0),
        (c"host_rings", 0),
        (c"host_tx_rings", 0),
        (c"host_rx_rings", 0),
        (c"slots", 0),
        (c"tx_slots", 0),
        (c"rx_slots", 0),
    ],
);

static OFFSET: Known = known(
    c"offset",
    offset,
    OPTF_DISABLED,
    null(),
    &[(c"initial", DEFAULT), (c"bits", 0)],
);

/// The first of the list.
pub fn all() -> *const OptParser {
    &raw const SHARE.0
}

/// The options by name.
fn find(name: &[u8]) -> Option<&'static OptParser> {
    let options = [&SHARE.0, &EXTMEM.0, &CONF.0, &OFFSET.0];
    // SAFETY: the names are strings.
    let is_named = |option: &&OptParser| unsafe { octets(option.prefix) } == name;
    options.into_iter().find(is_named)
}

/// Has names refused that have an option.
///
/// # Safety
///
/// `name` must be a string.
#[no_mangle]
pub unsafe extern "C" fn nmport_disable_option(name: *const c_char) {
    // SAFETY: as the caller promises.
    if let Some(option) = find(unsafe { octets(name) }) {
        option.flags.fetch_or(OPTF_DISABLED, Ordering::Relaxed);
    }
}

/// Allows names to have an option; -1 and `EOPNOTSUPP` if there is no such option.
///
/// # Safety
///
/// `name` must be a string.
#[no_mangle]
pub unsafe extern "C" fn nmport_enable_option(name: *const c_char) -> c_int {
    // SAFETY: as the caller promises.
    match find(unsafe { octets(name) }) {
        Some(option) => {
            option.flags.fetch_and(!OPTF_DISABLED, Ordering::Relaxed);
            0
        }
        None => {
            set_errno(libc::EOPNOTSUPP);
            -1
        }
    }
}

/// What a callback was given.
///
/// # Invariants
///
/// The context of a parser of ours: its values are strings, its token is a port.
struct Given<'c>(&'c ParseContext);

/// The error of a parser: `errno` is set, and a message was given.
struct Refused;

impl Given<'_> {
    fn port(&self) -> *mut PortDesc {
        self.0.token.cast()
    }

    fn text(&self, key: usize) -> Option<&[u8]> {
        let value = self.0.keys[key];
        // SAFETY: by the invariant.
        (!value.is_null()).then(|| unsafe { octets(value) })
    }

    /// The number that a key has, if it is there.
    fn number<N: FromStr>(&self, key: usize) -> Result<Option<N>, Refused> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        // A sign is no part of a number here.
        let digits = text.iter().all(u8::is_ascii_digit);
        let number = core::str::from_utf8(text).ok().filter(|_| digits);
        match number.and_then(|number| number.parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => {
                let text = shown(text);
                // SAFETY: by the invariant.
                unsafe {
                    fail(
                        self.0.context,
                        libc::EINVAL,
                        format_args!("{text} is no number, or too large"),
                    );
                }
                Err(Refused)
            }
        }
    }
}

/// Runs a parser of ours.
///
/// # Safety
///
/// `context` must be that of a parser of ours.
unsafe fn parse(
    context: *mut ParseContext,
    f: impl FnOnce(&Given<'_>) -> Result<(), Refused>,
) -> c_int {
    // INVARIANT: as the caller promises.
    // SAFETY: likewise; nothing writes to it meanwhile.
    let given = Given(unsafe { &*context });
    match f(&given) {
        Ok(()) => 0,
        Err(Refused) => -1,
    }
}

/// What a function of C has returned.
fn done(result: c_int) -> Result<(), Refused> {
    if result < 0 {
        return Err(Refused);
    }
    Ok(())
}

unsafe extern "C" fn share(context: *mut ParseContext) -> c_int {
    let share = |given: &Given<'_>| {
        let mut port = given.0.keys[0];
        // SAFETY: by the invariant of `Given`; the key must be there.
        let mem_id = unsafe { nmreq_get_mem_id(&mut port, given.0.context) };
        // What the kernel says has 16 bits; less than 0 is an error.
        let mem_id = u16::try_from(mem_id).map_err(|_| Refused)?;
        // SAFETY: by the invariant; a port is aligned, and nobody else writes to it.
        unsafe {
            let rest = octets(port);
            let set = (*given.port()).reg.nr_mem_id;
            if !rest.is_empty() {
                let rest = shown(rest);
                fail(
                    given.0.context,
                    libc::EINVAL,
                    format_args!("option share: {rest:?} behind the name"),
                );
                return Err(Refused);
            }
            if set != 0 && set != mem_id {
                fail(
                    given.0.context,
                    libc::EINVAL,
                    format_args!("region {mem_id}, but it is {set} already"),
                );
                return Err(Refused);
            }
            (*given.port()).reg.nr_mem_id = mem_id;
        }
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { parse(context, share) }
}

unsafe extern "C" fn extmem(context: *mut ParseContext) -> c_int {
    let extmem = |given: &Given<'_>| {
        let mut numbers = [0; 6];
        for (number, key) in numbers.iter_mut().zip(1..) {
            *number = given.number(key)?.unwrap_or_default();
        }
        // SAFETY: by the invariant of `Given`; the key of the file must be there, and the option that was made then is valid.
        unsafe {
            done(nmport_extmem_from_file(given.port(), given.0.keys[0]))?;
            let info = &mut (*(*given.port()).extmem).nro_info;
            [
                info.nr_if_pool_objtotal,
                info.nr_if_pool_objsize,
                info.nr_ring_pool_objtotal,
                info.nr_ring_pool_objsize,
                info.nr_buf_pool_objtotal,
                info.nr_buf_pool_objsize,
            ] = numbers;
        }
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { parse(context, extmem) }
}

unsafe extern "C" fn conf(context: *mut ParseContext) -> c_int {
    let conf = |given: &Given<'_>| {
        // SAFETY: by the invariant of `Given`; nobody else has the port meanwhile.
        let reg = unsafe { &mut (*given.port()).reg };
        // Of each pair, the number of both and that of one direction.
        for (both, tx, rx) in [
            (0, &mut reg.nr_tx_rings, &mut reg.nr_rx_rings),
            (3, &mut reg.nr_host_tx_rings, &mut reg.nr_host_rx_rings),
        ] {
            let number = given.number(both)?;
            *tx = given.number(both + 1)?.or(number).unwrap_or(*tx);
            *rx = given.number(both + 2)?.or(number).unwrap_or(*rx);
        }
        let slots = given.number(6)?;
        reg.nr_tx_slots = given.number(7)?.or(slots).unwrap_or(reg.nr_tx_slots);
        reg.nr_rx_slots = given.number(8)?.or(slots).unwrap_or(reg.nr_rx_slots);
        Ok(())
    };
    // SAFETY: as the caller promises.
    unsafe { parse(context, conf) }
}

unsafe extern "C" fn offset(context: *mut ParseContext) -> c_int {
    let offset = |given: &Given<'_>| {
        let initial = given.number(0)?.unwrap_or_default();
        let bits = given.number(1)?.unwrap_or_default();
        // SAFETY: by the invariant of `Given`.
        done(unsafe { nmport_offset(given.port(), initial, initial, bits, 0) })
    };
    // SAFETY: as the caller promises.
    unsafe { parse(context, offset) }
}
