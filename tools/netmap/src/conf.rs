// SPDX-License-Identifier: BSD-2-Clause
//! The option `@conf:` of a port's name: how many rings and slots it asks for.

use crate::name::shown;
use crate::name_options::{options, Body};
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
/// one of both, wherever they stand.
pub(crate) fn conf(text: &[u8]) -> Result<Options, SpecError> {
    let mut numbers = [None; KEYS.len()];
    let mut both = [None; BOTH.len()];
    for option in options(text).map_err(SpecError::Options)? {
        if option.name != b"conf" {
            return Err(SpecError::Option(shown(option.name)));
        }
        let Body::Keys(keys) = option.body else {
            return Err(SpecError::NoConfKey);
        };
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
            let value = value.unwrap_or_default();
            *place = Some(number(value, most).ok_or_else(|| SpecError::ConfNumber(shown(value)))?);
        }
    }
    for (number, (_, stands_for)) in both.into_iter().zip(BOTH) {
        for at in stands_for {
            numbers[at] = numbers[at].or(number);
        }
    }
    let [tx_rings, rx_rings, host_tx_rings, host_rx_rings, tx_slots, rx_slots] =
        numbers.map(Option::unwrap_or_default);
    // None is above `RINGS`.
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

/// A number without a sign, up to `most`.
fn number(text: &[u8], most: u32) -> Option<u32> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok().filter(|number| *number <= most)
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
    let slots = |name: u32, caller: u32| if name == 0 { caller } else { name };
    let rings = |name: u16, caller: u16| if name == 0 { caller } else { name };
    Options {
        tx_rings: rings(name.tx_rings, caller.tx_rings),
        rx_rings: rings(name.rx_rings, caller.rx_rings),
        host_tx_rings: rings(name.host_tx_rings, caller.host_tx_rings),
        host_rx_rings: rings(name.host_rx_rings, caller.host_rx_rings),
        tx_slots: slots(name.tx_slots, caller.tx_slots),
        rx_slots: slots(name.rx_slots, caller.rx_slots),
        ..*caller
    }
}

#[cfg(test)]
#[path = "conf_tests.rs"]
mod tests;
