// SPDX-License-Identifier: BSD-2-Clause
//! The port's ways of packets, driven through registers and rings.

use crate::descriptor::rx;
use crate::device::Settings;
use crate::driver::{frame, Driver, EOP_RS_DATA};
use crate::faults::{Fault, Side, Sticking, Switch};
use crate::packet::examples;
use crate::pause;
use crate::registers::{cause, ctrl, hlreg0, offset, rxdctl, srrctl};
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

/// Source: ixgbe_main.c, ixgbe_is_non_eop: a frame goes on in the next descriptor until one has EOP.
#[test]
fn a_long_frame_takes_several_descriptors() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 8);
    driver.write(offset::HLREG0, hlreg0::JUMBOEN | hlreg0::RXCRCSTRP);
    driver.write(offset::MAXFRS, 9018 << 16);
    driver.arrive(frame(5000));
    driver.settle();
    let reports: Vec<_> = (0..4).map(|slot| driver.report(0, slot)).collect();
    let lengths: Vec<_> = reports.iter().flatten().map(|r| r.1).collect();
    assert_eq!(lengths, [2048, 2048, 904]);
    let ends: Vec<_> = reports.iter().flatten().map(|r| r.0 & rx::EOP).collect();
    assert_eq!(ends, [0, 0, rx::EOP]);
    assert_eq!(driver.rx_octets(1, 2048), frame(5000)[2048..4096]);
    driver.arrive(frame(9015));
    driver.settle();
    assert_eq!(driver.report(0, 3), None, "longer than MAXFRS");
}

/// Source: ixgbe_type.h, `IXGBE_SRRCTL_DROP_EN`; ixgbe_main.c, ixgbe_set_rx_drop_en says what it is for.
#[test]
fn without_descriptors_a_queue_drops_or_holds_all_up() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 1);
    driver.arrive(frame(60));
    driver.arrive(frame(61));
    driver.settle();
    assert_eq!(driver.device.buffered(), 61 + 4);
    driver.write(Driver::rx_register(0, 0x18), 2);
    driver.settle();
    assert_eq!(driver.report(0, 1).map(|r| r.1), Some(61));
    let split = driver.read(Driver::rx_register(0, 0x14));
    driver.write(Driver::rx_register(0, 0x14), split | srrctl::DROP_EN);
    driver.arrive(frame(62));
    driver.settle();
    assert_eq!(driver.device.buffered(), 0);
    assert_eq!(driver.read(0x1430), 1, "QPRDC");
}

/// Source: ixgbe_main.c, ixgbe_update_stats: MPC.
#[test]
fn what_the_packet_buffer_cannot_hold_is_missed() {
    let mut driver = Driver::quiet();
    driver.write(offset::RXPBSIZE0, 1 << 10);
    driver.start_rx(0, 0);
    for _ in 0..20 {
        driver.arrive(frame(60));
    }
    driver.settle();
    assert_eq!(driver.read(0x3fa0), 4);
    assert_eq!(driver.read(0x3fa0), 0, "reading clears");
}

/// Source: ixgbe_common.c, ixgbe_fc_enable_generic.
#[test]
fn a_full_buffer_asks_for_silence() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 0);
    driver.write(offset::FCCFG, 1 << 3);
    driver.write(offset::FCRTL0, 0x8000_0000 | 0x200);
    driver.write(offset::FCRTH0, 0x8000_0000 | 0x400);
    driver.write(offset::FCTTV0, 0xffff_ffff);
    driver.write(offset::FCRTV, 0x7fff);
    for _ in 0..17 {
        driver.arrive(frame(60));
    }
    driver.settle();
    let sent = driver.device.take_sent(usize::MAX);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0][12..16], &sent[0][16..18]),
        (&[0x88, 8, 0, 1][..], &[0xff; 2][..])
    );
    driver.write(Driver::rx_register(0, 0x18), 40);
    driver.settle();
    let sent = driver.device.take_sent(usize::MAX);
    assert_eq!((sent.len(), &sent[0][16..18]), (1, &[0; 2][..]), "XON");
}

/// Source: ixgbe_common.c, ixgbe_fc_enable_generic (MFLCN.RFCE).
#[test]
fn silence_is_kept_when_asked_for() {
    let mut driver = Driver::quiet();
    driver.start_tx(0, 0);
    driver.write(offset::MFLCN, 1 << 3);
    driver.arrive(pause::build([2, 0, 0, 0, 0, 9], 100));
    driver.put(0, 0, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(0, 1);
    driver.settle();
    assert!(driver.device.take_sent(usize::MAX).is_empty());
    driver.pass(100 * 512 / 10 + 1);
    assert_eq!(driver.device.take_sent(usize::MAX).len(), 1);
}

/// As ixgbe_main.c, ixgbe_configure_msix, sets it up.
#[test]
fn a_frame_makes_an_interrupt_moderated_by_eitr() {
    let mut driver = Driver::quiet();
    driver.device.write_config(0x72, &[0x3f, 0x80]);
    driver.write(0x898, (1 << 4) | (1 << 5));
    driver.write(0x810, 0xffff);
    driver.write(0x900, 0x83);
    driver.write(0x820 + 4 * 3, 10 << 3);
    driver.write(0x880, 1 << 3);
    driver.start_rx(0, 8);
    let sent = |driver: &Driver| driver.device.interrupts.lines.sent.get(3).copied();
    driver.arrive(frame(60));
    driver.settle();
    assert_eq!(sent(&driver), Some(1));
    driver.arrive(frame(60));
    driver.settle();
    assert_eq!(sent(&driver), Some(1));
    driver.pass(20_000);
    assert_eq!(sent(&driver), Some(2));
}

#[test]
fn a_frame_pulls_the_line_without_messages() {
    let mut driver = Driver::quiet();
    driver.write(0x900, 0x80);
    driver.write(0x880, 1);
    driver.start_rx(0, 8);
    driver.arrive(frame(60));
    driver.settle();
    assert_eq!(driver.device.interrupts.lines.raised, 1);
    assert_eq!(driver.read(0x800) & 1, 1);
}

/// Source: ixgbe_ethtool.c, ixgbe_setup_loopback_test; the wire is not heard meanwhile.
#[test]
fn loopback_receives_what_is_sent_and_nothing_else() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 8);
    driver.start_tx(0, 0);
    driver.write(offset::HLREG0, hlreg0::LPBK | hlreg0::RXCRCSTRP);
    driver.put(0, 0, &frame(64), EOP_RS_DATA);
    driver.set_tx_tail(0, 1);
    driver.arrive(frame(99));
    driver.settle();
    assert!(driver.device.take_sent(usize::MAX).is_empty());
    assert_eq!(driver.report(0, 0).map(|r| r.1), Some(64));
    assert_eq!(driver.report(0, 1), None);
}

/// Source: ixgbe_main.c, ixgbe_remove_adapter: a card that was pulled out reads as ones.
#[test]
fn a_dead_card_reads_as_ones() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 8);
    driver.device.inject(Fault::Dead { switch: Switch::On });
    assert_eq!(driver.read(offset::STATUS), !0);
    driver.write(offset::RXCTRL, 0);
    driver.arrive(frame(60));
    driver.settle();
    assert_eq!(driver.report(0, 0), None);
    assert!(!driver.device.shines());
    driver.device.write_config(4, &[2, 0]);
    assert_eq!(driver.device.rules.total(), 0);
    driver.device.inject(Fault::Clear);
    assert_eq!(
        driver.read(Driver::rx_register(0, 0x08)),
        0,
        "no ring is left"
    );
}

#[test]
fn a_reset_frees_a_stuck_queue() {
    let mut driver = Driver::quiet();
    let control = Driver::rx_register(0, 0x28);
    driver.start_rx(0, 8);
    driver.device.inject(Fault::Stuck {
        side: Side::Rx,
        queue: 0,
        sticking: Sticking::UntilReset,
    });
    driver.write(control, 0);
    driver.settle();
    assert_ne!(driver.read(control) & rxdctl::ENABLE, 0);
    driver.write(offset::CTRL, ctrl::RST);
    assert_eq!(driver.read(control) & rxdctl::ENABLE, 0);
    driver.write(control, rxdctl::ENABLE);
    driver.settle();
    assert_ne!(driver.read(control) & rxdctl::ENABLE, 0);
}

/// Source: ixgbe_main.c, ixgbe_msix_other: `IXGBE_EICR_ECC`.
#[test]
fn an_error_of_the_memory_is_a_cause() {
    let mut driver = Driver::quiet();
    driver.device.inject(Fault::MemoryError);
    assert_ne!(driver.read(0x800) & cause::ECC, 0);
}

/// Source: ixgbe_main.c, ixgbe_clean_rx_irq and ixgbe_get_rsc_count: the descriptors of a coalesced frame name each other.
#[test]
fn coalesced_frames_share_descriptors() {
    let mut driver = Driver::quiet();
    driver.start_rx(0, 8);
    driver.write(Driver::rx_register(0, 0x2c), 1 | (3 << 2));
    driver.write(offset::RXCSUM, 1 << 13);
    for number in 0..3 {
        driver.arrive(examples::tcp4(&[7; 1000], number * 1000, 0x10));
    }
    driver.settle();
    let (status, length) = driver.report(0, 0).unwrap();
    assert_eq!((status & rx::EOP, length), (0, 2048));
    assert_eq!((status >> rx::NEXTP_SHIFT) & 0xffff, 1);
    let (status, length) = driver.report(0, 1).unwrap();
    assert_eq!((status & rx::EOP, length), (rx::EOP, 54 + 3000 - 2048));
}
