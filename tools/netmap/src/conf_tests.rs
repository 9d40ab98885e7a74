// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use crate::name_options::OptionError;
use proptest::prelude::*;

/// Transmit and receive rings, host rings, slots.
#[track_caller]
fn of(text: &str) -> [(u32, u32); 3] {
    let asked = conf(text.as_bytes()).unwrap();
    [
        (asked.tx_rings.into(), asked.rx_rings.into()),
        (asked.host_tx_rings.into(), asked.host_rx_rings.into()),
        (asked.tx_slots, asked.rx_slots),
    ]
}

#[test]
fn keys_of_both_directions_and_of_one() {
    assert_eq!(of(""), [(0, 0), (0, 0), (0, 0)]);
    assert_eq!(of("@conf:rings=2,slots=512"), [(2, 2), (0, 0), (512, 512)]);
    assert_eq!(
        of("@conf:tx-rings=3,rings=2,rx_slots=7"),
        [(3, 2), (0, 0), (0, 7)]
    );
    assert_eq!(
        of("@conf:host-rings=4,host-rx-rings=5"),
        [(0, 0), (4, 5), (0, 0)]
    );
    assert_eq!(
        of("@conf:slots=4294967295@conf:rings=65535"),
        [(65535, 65535), (0, 0), (u32::MAX, u32::MAX)]
    );
}

#[test]
fn what_is_no_option() {
    let number = |key: &str, value: &str, most| SpecError::ConfNumber {
        key: key.into(),
        value: value.into(),
        most,
    };
    let no_value = || {
        SpecError::Malformed(OptionError::NoKeyValue {
            option: "conf".into(),
            key: "slots".into(),
        })
    };
    let cases = [
        ("@share:eth1", SpecError::UnknownOption("share".into())),
        ("@conf", SpecError::NoConfKey),
        ("@conf=2", SpecError::NoConfKey),
        ("@conf:color=1", SpecError::ConfKey("color".into())),
        (
            "@conf:slots=1,slots=2",
            SpecError::ConfKeyTwice("slots".into()),
        ),
        (
            "@conf:tx-slots=1,tx_slots=1",
            SpecError::ConfKeyTwice("tx_slots".into()),
        ),
        ("@conf:slots", no_value()),
        ("@conf:slots=", no_value()),
        ("@conf:slots=+1", number("slots", "+1", u32::MAX)),
        (
            "@conf:slots=4294967296",
            number("slots", "4294967296", u32::MAX),
        ),
        ("@conf:rings=65536", number("rings", "65536", 65535)),
        (
            "@conf:host-tx-rings=65536",
            number("host_tx_rings", "65536", 65535),
        ),
        ("@", SpecError::Malformed(OptionError::Empty)),
    ];
    for (text, error) in cases {
        assert_eq!(conf(text.as_bytes()).unwrap_err(), error, "{text}");
    }
}

#[test]
fn the_name_goes_before_the_caller() {
    let name = conf(b"@conf:tx-slots=1,host-rings=2").unwrap();
    let caller = Options {
        tx_slots: 3,
        rx_slots: 4,
        rx_rings: 5,
        extra_bufs: 6,
        flags: 7,
        ..Options::default()
    };
    let all = over(&name, &caller);
    assert_eq!(
        (all.tx_slots, all.rx_slots, all.tx_rings, all.rx_rings),
        (1, 4, 0, 5)
    );
    assert_eq!((all.host_tx_rings, all.host_rx_rings), (2, 2));
    assert_eq!((all.extra_bufs, all.flags), (6, 7));
}

proptest! {
    #[test]
    fn texts_are_read_again(numbers: [u16; 4], tx_slots: u32, rx_slots: u32) {
        let [tx_rings, rx_rings, host_tx_rings, host_rx_rings] = numbers;
        let asked = Options { tx_rings, rx_rings, host_tx_rings, host_rx_rings, tx_slots, rx_slots, ..Options::default() };
        prop_assert_eq!(conf(text(&asked).as_bytes()), Ok(asked));
    }
}
