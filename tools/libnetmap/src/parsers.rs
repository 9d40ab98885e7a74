// SPDX-License-Identifier: BSD-2-Clause
//! `nmreq_options_decode()`: hands the options of a name to C callbacks.

use crate::context::{fail, Context};
use crate::request::{octets, shown};
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::null;
use core::sync::atomic::{AtomicU32, Ordering};
use netmap::name_options::{options, Body, Opt};
use std::ffi::CString;

/// Most keys of an option.
pub const MAXKEYS: usize = 16;
/// A key may stand alone.
const OPTK_ALLOWEMPTY: c_uint = 1;
/// A key must be there.
pub const OPTK_MUSTSET: c_uint = 2;
/// A value of the option is meant for this key.
pub const OPTK_DEFAULT: c_uint = 4;
/// The option is refused.
pub const OPTF_DISABLED: c_uint = 1;
/// The option may stand alone.
const OPTF_ALLOWEMPTY: c_uint = 2;

/// `struct nmreq_opt_key`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OptKey {
    /// Its name; null ends the keys of an option.
    pub key: *const c_char,
    /// Where its value goes.
    pub id: c_int,
    /// `OPTK_*`.
    pub flags: c_uint,
}

/// `struct nmreq_opt_parser`.
#[repr(C, align(16))]
pub struct OptParser {
    /// The option's name.
    pub prefix: *const c_char,
    /// Takes the values of its keys.
    pub parse: unsafe extern "C" fn(*mut ParseContext) -> c_int,
    /// The key that a value of the option is meant for; negative if there is none.
    pub default_key: c_int,
    /// Number of keys.
    pub nr_keys: c_int,
    /// `OPTF_*`.
    pub flags: AtomicU32,
    /// The next of the list.
    pub next: *const OptParser,
    /// Its keys.
    pub keys: [OptKey; MAXKEYS],
}

/// `struct nmreq_parse_ctx`.
#[repr(C)]
pub struct ParseContext {
    /// For messages and memory.
    pub context: *mut Context,
    /// The caller's.
    pub token: *mut c_void,
    /// The value of each key, by id; null if it was not there.
    pub keys: [*const c_char; MAXKEYS],
}

/// Hands options to their parsers.
///
/// # Safety
///
/// As `libnetmap.h` says.
#[no_mangle]
pub unsafe extern "C" fn nmreq_options_decode(
    text: *const c_char,
    parsers: *const OptParser,
    token: *mut c_void,
    context: *mut Context,
) -> c_int {
    // SAFETY: as the caller promises: a text, a list of parsers, and a context.
    unsafe {
        let found = match options(octets(text)) {
            Ok(found) => found,
            Err(error) => {
                fail(context, libc::EINVAL, format_args!("{error}"));
                return -1;
            }
        };
        for opt in &found {
            let result = decode(opt, parsers, token, context);
            if result < 0 {
                return -1;
            }
        }
        0
    }
}

/// # Safety
///
/// As for [`nmreq_options_decode`].
unsafe fn decode(
    opt: &Opt<'_>,
    parsers: *const OptParser,
    token: *mut c_void,
    context: *mut Context,
) -> c_int {
    let name = shown(opt.name);
    let refuse = |errno, reason: Arguments<'_>| {
        // SAFETY: as the caller promises.
        unsafe { fail(context, errno, format_args!("option {name}: {reason}")) };
        -1
    };
    let mut parser = parsers;
    // SAFETY: as the caller promises: a list of parsers, whose names are strings.
    unsafe {
        while !parser.is_null() && octets((*parser).prefix) != opt.name {
            parser = (*parser).next;
        }
    }
    if parser.is_null() {
        return refuse(libc::EINVAL, format_args!("there is no such option"));
    }
    // SAFETY: as above.
    let parser = unsafe { &*parser };
    let flags = parser.flags.load(Ordering::Relaxed);
    if flags & OPTF_DISABLED != 0 {
        return refuse(
            libc::EOPNOTSUPP,
            format_args!("this program does not allow it"),
        );
    }
    // The values live until the callback has returned.
    let mut values: [Option<CString>; MAXKEYS] = Default::default();
    // There is no zero in what was a C string.
    let string = |value: &[u8]| CString::new(value).ok();
    match &opt.body {
        Body::None if flags & OPTF_ALLOWEMPTY == 0 => {
            return refuse(
                libc::EINVAL,
                format_args!("'=' and a value, or ':' and keys, are missing"),
            );
        }
        Body::None => {}
        Body::Value(value) => match usize::try_from(parser.default_key) {
            Ok(id) if id < MAXKEYS => values[id] = string(value),
            _ => {
                return refuse(
                    libc::EINVAL,
                    format_args!("it has keys, after ':', and no value"),
                )
            }
        },
        Body::Keys(given) => {
            for (key, value) in given {
                let shown_key = shown(key);
                let known = keys(parser).find(|(known, ..)| known == key);
                let Some((_, id, key_flags)) = known else {
                    return refuse(libc::EINVAL, format_args!("there is no key {shown_key}"));
                };
                let value = match value {
                    None if key_flags & OPTK_ALLOWEMPTY == 0 => {
                        return refuse(libc::EINVAL, format_args!("no value for key {shown_key}"));
                    }
                    None => key,
                    Some(value) => *value,
                };
                if values[id].is_some() {
                    return refuse(libc::EINVAL, format_args!("key {shown_key} is there twice"));
                }
                values[id] = string(value);
            }
            let missing = keys(parser)
                .find(|(_, id, key_flags)| key_flags & OPTK_MUSTSET != 0 && values[*id].is_none());
            if let Some((key, ..)) = missing {
                let key = shown(key);
                return refuse(libc::EINVAL, format_args!("key {key} must be there"));
            }
        }
    }
    let mut found = ParseContext {
        context,
        token,
        keys: values
            .each_ref()
            .map(|value| value.as_ref().map_or(null(), |value| value.as_ptr())),
    };
    // SAFETY: the callback takes what it was made for.
    unsafe { (parser.parse)(&mut found) }
}

/// The keys of an option: name, id, flags. Those whose id leads nowhere are left out.
fn keys(parser: &OptParser) -> impl Iterator<Item = (&[u8], usize, c_uint)> {
    let known = parser.keys.iter().take_while(|key| !key.key.is_null());
    known.filter_map(|key| {
        let id = usize::try_from(key.id).ok().filter(|id| *id < MAXKEYS)?;
        // SAFETY: the names of keys are strings that live as long as their parser.
        Some((unsafe { octets(key.key) }, id, key.flags))
    })
}
