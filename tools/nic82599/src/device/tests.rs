// SPDX-License-Identifier: BSD-2-Clause
//! The port's ways of packets, driven through registers and rings.

use crate::descriptor::rx;
use crate::device::Settings;
use crate::driver::{frame, Driver, EOP_RS_DATA};
use crate::registers::rxdctl;
use crate::ring::Delays;

#[test]
fn a_frame_is_received() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 8);
    driver.arrive(frame(100));
    driver.settle();
    let (status, length) = driver.report(0, 0).unwrap();
    assert_eq!((status & 3, length), (rx::DD | rx::EOP, 100));
    assert_eq!(driver.rx_octets(0, 100), frame(100));
    assert_eq!(driver.read(Driver::rx_register(0, 0x10)), 1);
    assert_eq!(driver.report(0, 1), None);
    assert_eq!(driver.device.rules.total(), 0);
}

#[test]
fn a_packet_is_sent() {
    let mut driver = Driver::quiet();
    driver.start_tx(0, 0);
    driver.put(0, 0, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(0, 1);
    driver.settle();
    assert_eq!(driver.device.take_sent(usize::MAX), [frame(60)]);
    assert!(driver.tx_done(0, 0));
    assert_eq!(driver.read(Driver::tx_register(0, 0x10)), 1);
    assert_eq!(driver.device.rules.total(), 0);
}

#[test]
fn a_queue_that_is_off_takes_nothing() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 8);
    driver.write(Driver::rx_register(0, 0x28), 0);
    driver.settle();
    assert_eq!(
        driver.read(Driver::rx_register(0, 0x28)) & rxdctl::ENABLE,
        0
    );
    driver.arrive(frame(100));
    driver.settle();
    assert_eq!(driver.report(0, 0), None);
}

#[test]
fn reports_are_written_in_time_without_company() {
    let mut settings = Settings::for_tests();
    settings.delays = Delays::SILICON;
    let mut driver = Driver::new(settings);
    driver.start_rx(0, 8);
    driver.start_tx(1, 8 << 16);
    driver.put(1, 0, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(1, 1);
    driver.arrive(frame(60));
    driver.settle();
    assert_eq!(driver.report(0, 0), None);
    assert!(!driver.tx_done(1, 0));
    driver.pass(100_000);
    assert!(driver.report(0, 0).is_some() && driver.tx_done(1, 0));
}
