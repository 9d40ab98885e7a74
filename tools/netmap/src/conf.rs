// SPDX-License-Identifier: BSD-2-Clause
//! The option `@conf:` of a port's name: how many rings and slots it asks for.

use crate::name::shown;
use crate::name_options::{options, Body, OptionError};
use crate::port::Options;
use crate::SpecError;

/// Keys that stand for one direction, and their largest values.
const KEYS: [(&str, u32); 6] = [
    ("tx_rings", RINGS),
    ("rx_rings", RINGS),
    ("host_tx_rings", RINGS),
    ("host_rx_rings", RINGS),
    ("tx_slots", u32::MAX),
    ("rx_slots", u32::MAX),
];

/// What a request has room for.
const RINGS: u32 = u16::MAX as u32;

/// Keys that stand for both directions, and those of [`KEYS`] that they stand for.
const BOTH: [(&str, [usize; 2]); 3] =
    [("rings", [0, 1]), ("host_rings", [2, 3]), ("slots", [4, 5])];

/// Reads what follows a name, its rings, flags and region: nothing, or `@conf:` and its keys. A key of one direction goes before the
/// one of both, wherever they stand; of several options the later one goes before, as libnetmap has it.
pub(crate) fn conf(text: &[u8]) -> Result<Options, SpecError> {
    let mut all = [0; KEYS.len()];
    for option in options(text).map_err(SpecError::Malformed)? {
        if option.name != b"conf" {
            return Err(SpecError::UnknownOption(shown(option.name)));
        }
        let Body::Keys(keys) = option.body else {
            return Err(SpecError::NoConfKey);
        };
        read(keys, &mut all)?;
    }
    let [tx_rings, rx_rings, host_tx_rings, host_rx_rings, tx_slots, rx_slots] = all;
    // `number` lets nothing above `RINGS` through.
    let rings = |number: u32| u16::try_from(number).unwrap_or_default();
    Ok(Options {
        tx_rings: rings(tx_rings),
        rx_rings: rings(rx_rings),
        host_tx_rings: rings(host_tx_rings),
        host_rx_rings: rings(host_rx_rings),
        tx_slots,
        rx_slots,
        ..Options::default()
    })
}

/// Reads the keys of one option.
fn read(keys: Vec<(Vec<u8>, Option<&[u8]>)>, all: &mut [u32; KEYS.len()]) -> Result<(), SpecError> {
    let mut numbers = [None; KEYS.len()];
    let mut both = [None; BOTH.len()];
    for (key, value) in keys {
        let one = KEYS.iter().position(|(name, _)| name.as_bytes() == key);
        let pair = BOTH.iter().position(|(name, _)| name.as_bytes() == key);
        let (place, most) = match (one, pair) {
            (Some(at), _) => (&mut numbers[at], KEYS[at].1),
            (_, Some(at)) => (&mut both[at], KEYS[BOTH[at].1[0]].1),
            _ => return Err(SpecError::ConfKey(shown(&key))),
        };
        if place.is_some() {
            return Err(SpecError::ConfKeyTwice(shown(&key)));
        }
        *place = Some(number(&key, value, most)?);
    }
    for (number, (_, stands_for)) in both.into_iter().zip(BOTH) {
        for at in stands_for {
            numbers[at] = numbers[at].or(number);
        }
    }
    for (number, asked) in numbers.into_iter().zip(all) {
        *asked = number.unwrap_or(*asked);
    }
    Ok(())
}

/// The value of a key: a number without a sign, up to `most`.
fn number(key: &[u8], value: Option<&[u8]>, most: u32) -> Result<u32, SpecError> {
    let text = value.ok_or_else(|| {
        SpecError::Malformed(OptionError::NoKeyValue {
            option: "conf".to_owned(),
            key: shown(key),
        })
    })?;
    let digits = text.iter().all(u8::is_ascii_digit);
    let number = core::str::from_utf8(text).ok().filter(|_| digits);
    let number = number.and_then(|text| text.parse().ok());
    number
        .filter(|number| *number <= most)
        .ok_or_else(|| SpecError::ConfNumber {
            key: shown(key),
            value: shown(text),
            most,
        })
}

/// The text that [`conf`] reads as these, which is empty if all are zero.
pub(crate) fn text(asked: &Options) -> String {
    let numbers = [
        u32::from(asked.tx_rings),
        u32::from(asked.rx_rings),
        u32::from(asked.host_tx_rings),
        u32::from(asked.host_rx_rings),
        asked.tx_slots,
        asked.rx_slots,
    ];
    let keys: Vec<String> = (KEYS.iter().zip(numbers))
        .filter(|(_, number)| *number != 0)
        .map(|((key, _), number)| format!("{key}={number}"))
        .collect();
    match &keys[..] {
        [] => String::new(),
        keys => format!("@conf:{}", keys.join(",")),
    }
}

/// What a port is asked for: the name's numbers, and the caller's where it has none.
pub(crate) fn over(name: &Options, caller: &Options) -> Options {
    Options {
        tx_rings: or(name.tx_rings, caller.tx_rings),
        rx_rings: or(name.rx_rings, caller.rx_rings),
        host_tx_rings: or(name.host_tx_rings, caller.host_tx_rings),
        host_rx_rings: or(name.host_rx_rings, caller.host_rx_rings),
        tx_slots: or(name.tx_slots, caller.tx_slots),
        rx_slots: or(name.rx_slots, caller.rx_slots),
        ..*caller
    }
}

/// A number, or the other one if it is zero.
fn or<N: Default + PartialEq>(number: N, other: N) -> N {
    if number == N::default() {
        other
    } else {
        number
    }
}

#[cfg(test)]
#[path = "conf_tests.rs"]
mod tests;
