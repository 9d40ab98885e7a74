// SPDX-License-Identifier: BSD-2-Clause
//! One test per rule of what a driver may not do, and per thing that silicon does and forgiving models do not. The
//! sources are named at the rules (rules.rs) and in the modules that the tests are about.

use crate::descriptor::rx;
use crate::device::Settings;
use crate::driver::{frame, Driver, EOP_RS_DATA, MEMORY, RX_BUFFERS, SLOTS};
use crate::memory::memory_file;
use crate::registers::{dmatxctl, offset, rxctrl, rxdctl, srrctl, txdctl};
use crate::ring::Delays;
use crate::rules::{Mode, Rule, Rules};

const BASE: u32 = 0x00;
const LENGTH: u32 = 0x08;
const HEAD: u32 = 0x10;
const SPLIT: u32 = 0x14;
const TAIL: u32 = 0x18;
const CONTROL: u32 = 0x28;
const WRITEBACK: u32 = 0x38;

/// A driver of a card that takes its time.
fn silicon() -> Driver {
    let mut settings = Settings::for_tests();
    settings.delays = Delays::SILICON;
    Driver::new(settings)
}

fn lenient() -> Driver {
    let mut settings = Settings::for_tests();
    settings.rules = Rules::quiet(Mode::Lenient);
    Driver::new(settings)
}

fn rx_at(at: u32) -> u32 {
    Driver::rx_register(0, at)
}

fn tx_at(at: u32) -> u32 {
    Driver::tx_register(0, at)
}

/// What was broken, and nothing else.
fn broken(driver: &Driver) -> Vec<Rule> {
    driver.device.rules.report().iter().map(|r| r.0).collect()
}

#[test]
fn heads_are_read_only() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.start_tx(0, 0);
    driver.write(rx_at(HEAD), 0);
    driver.write(tx_at(HEAD), 0);
    assert_eq!(broken(&driver), []);
    driver.write(rx_at(HEAD), 5);
    driver.write(tx_at(HEAD), 5);
    assert_eq!((driver.read(rx_at(HEAD)), driver.read(tx_at(HEAD))), (0, 0));
    assert_eq!(driver.device.rules.count(Rule::HeadWritten), 2);
}

/// What a takeover does that gives a queue back as emulated cards allow it: with the head where it was.
#[test]
fn restoring_a_head_of_a_stopped_queue_is_caught() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.arrive(frame(60));
    driver.pass(100_000);
    let head = driver.read(rx_at(HEAD));
    assert_eq!(head, 1);
    driver.write(rx_at(CONTROL), 0);
    driver.pass(1_000_000);
    driver.write(rx_at(HEAD), head);
    assert_eq!(broken(&driver), [Rule::HeadWritten]);
}

#[test]
fn enabling_a_queue_resets_head_and_tail() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.start_tx(0, 0);
    driver.arrive(frame(60));
    driver.put(0, 0, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(0, 1);
    driver.pass(100_000);
    for at in [rx_at(0), tx_at(0)] {
        assert_eq!(driver.read(at + HEAD), 1);
        assert_ne!(driver.read(at + TAIL), 0);
        driver.write(at + CONTROL, 0);
        driver.pass(1_000_000);
        assert_eq!(driver.read(at + HEAD), 1, "disabling leaves it");
        driver.write(at + CONTROL, rxdctl::ENABLE);
        driver.pass(1_000_000);
        assert_eq!((driver.read(at + HEAD), driver.read(at + TAIL)), (0, 0));
    }
    assert_eq!(broken(&driver), []);
}

#[test]
fn the_tail_of_a_disabled_queue_is_ignored() {
    let mut driver = silicon();
    driver.program_rx(0);
    driver.write(rx_at(TAIL), 0);
    assert_eq!(broken(&driver), []);
    driver.write(rx_at(TAIL), 8);
    driver.write(tx_at(TAIL), 8);
    assert_eq!((driver.read(rx_at(TAIL)), driver.read(tx_at(TAIL))), (0, 0));
    assert_eq!(driver.device.rules.count(Rule::TailWhileDisabled), 2);
}

/// The poll of a driver whose queue was taken may still refill.
#[test]
fn a_tail_for_the_ring_that_ran_is_ignored_in_silence() {
    let mut driver = silicon();
    driver.program_rx(0);
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    driver.pass(1_000_000);
    driver.write(rx_at(CONTROL), 0);
    driver.pass(1_000_000);
    driver.write(rx_at(TAIL), 8);
    assert_eq!(driver.read(rx_at(TAIL)), 0);
    assert_eq!(broken(&driver), []);
    driver.program_rx(0);
    driver.write(rx_at(TAIL), 8);
    assert_eq!(broken(&driver), [Rule::TailWhileDisabled]);
}

/// A driver that gives buffers before ENABLE reads 1.
#[test]
fn a_tail_that_does_not_wait_for_enable_is_lost() {
    let mut driver = silicon();
    driver.program_rx(0);
    driver.post(0, 0);
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    driver.write(rx_at(TAIL), 8);
    driver.pass(1_000_000);
    assert_eq!(driver.read(rx_at(TAIL)), 0);
    assert_eq!(broken(&driver), [Rule::TailWhileDisabled]);
}

#[test]
fn the_base_of_an_enabled_queue_stays() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.write(rx_at(BASE), 0x4000);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert!(driver.report(0, 0).is_some());
    assert_eq!(broken(&driver), [Rule::BaseWhileEnabled]);
    driver.start_tx(0, 0);
    driver.write(tx_at(BASE + 4), 1);
    assert_eq!(driver.device.rules.count(Rule::BaseWhileEnabled), 2);
}

/// A takeover that programs its ring before ENABLE has read 0.
#[test]
fn a_queue_that_is_being_disabled_is_still_enabled() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.write(rx_at(CONTROL), 0);
    assert_ne!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
    driver.write(rx_at(BASE), 0x4000);
    assert_eq!(broken(&driver), [Rule::BaseWhileEnabled]);
}

#[test]
fn the_length_of_an_enabled_queue_stays() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.write(rx_at(LENGTH), 128);
    assert_eq!(broken(&driver), [Rule::LengthWhileEnabled]);
    driver.write(rx_at(TAIL), 40);
    for _ in 0..40 {
        driver.arrive(frame(60));
    }
    driver.pass(100_000);
    assert_eq!(driver.read(rx_at(HEAD)), 40);
}

#[test]
fn the_format_of_an_enabled_queue_stays() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    let split = driver.read(rx_at(SPLIT));
    driver.write(rx_at(SPLIT), split | srrctl::DROP_EN);
    assert_eq!(broken(&driver), []);
    driver.write(rx_at(SPLIT), split + 1);
    assert_eq!(broken(&driver), [Rule::FormatWhileEnabled]);
}

#[test]
fn a_queue_without_a_ring_does_not_run() {
    let mut driver = silicon();
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    driver.pass(1_000_000);
    assert_ne!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
    assert_eq!(broken(&driver), []);
    driver.write(rx_at(TAIL), 8);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::NoRing]);
    assert!(driver.device.rx_queues()[0].ring().hung());
}

#[test]
fn a_tail_outside_of_the_ring_stops_the_queue() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.write(rx_at(TAIL), SLOTS);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::TailOutsideRing]);
    assert!(driver.device.rx_queues()[0].ring().hung());
}

#[test]
fn a_report_is_no_descriptor_to_receive_by() {
    let mut driver = silicon();
    driver.start_rx(0, SLOTS - 1);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert!(driver.report(0, 0).is_some());
    // Slot 0 is given again as it is. The card reads it when its turn comes.
    driver.write(rx_at(TAIL), 1);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::StaleReceiveDescriptor]);
}

#[test]
fn a_report_is_no_descriptor_to_send_by() {
    let mut driver = silicon();
    driver.start_tx(0, 0);
    for slot in 0..SLOTS {
        driver.put(0, slot, &frame(60), EOP_RS_DATA);
    }
    driver.set_tx_tail(0, SLOTS - 1);
    driver.pass(1_000_000);
    assert!(driver.tx_done(0, 0));
    driver.set_tx_tail(0, 1);
    driver.pass(1_000_000);
    assert_eq!(driver.device.rules.count(Rule::StaleTransmitDescriptor), 1);
}

#[test]
fn an_unknown_descriptor_stops_the_queue() {
    let mut driver = silicon();
    driver.start_tx(0, 0);
    driver.store(driver.tx_ring(0), [0, (1 << 29) | (7 << 20)]);
    driver.set_tx_tail(0, 1);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::BadDescriptor]);
    assert_eq!(driver.read(tx_at(HEAD)), 0);
}

#[test]
fn a_packet_has_the_length_that_it_says() {
    let mut driver = silicon();
    driver.start_tx(0, 0);
    driver.put(0, 0, &frame(60), EOP_RS_DATA);
    driver.put(0, 1, &frame(60), EOP_RS_DATA + (1 << 46));
    driver.set_tx_tail(0, 2);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::PayloadLength]);
}

#[test]
fn no_access_goes_outside_of_memory() {
    let outside = MEMORY - 0x1000;
    let mut driver = silicon();
    driver.start_tx(0, 0);
    driver.store(driver.tx_ring(0), [outside, EOP_RS_DATA | 60 | (60 << 46)]);
    driver.set_tx_tail(0, 1);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::DmaUnmapped]);
    assert!(!driver.tx_done(0, 0));

    let mut driver = silicon();
    driver.start_rx(0, 0);
    driver.store(driver.rx_ring(0), [outside, 0]);
    driver.write(rx_at(TAIL), 8);
    driver.pass(100_000);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::DmaUnmapped]);

    let mut driver = silicon();
    driver.program_rx(0);
    driver.write(rx_at(BASE), outside as u32);
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    driver.pass(1_000_000);
    driver.write(rx_at(TAIL), 8);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::DmaUnmapped]);
}

/// Also what an IOMMU does: memory that the driver has unmapped is gone for the card.
#[test]
fn memory_that_was_unmapped_is_out_of_reach() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.device.memory.unmap(RX_BUFFERS, 0x1000);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::DmaUnmapped]);
}

#[test]
fn memory_for_reading_is_not_written() {
    let mut driver = silicon();
    driver.start_rx(0, 0);
    let file = memory_file(0x1000).unwrap();
    let memory = &mut driver.device.memory;
    memory.map(0, 0x1000, Some((file, 0)), true, false).unwrap();
    driver.store(driver.rx_ring(0), [0x800, 0]);
    driver.write(rx_at(TAIL), 1);
    driver.pass(100_000);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::DmaForbidden]);
}

#[test]
fn buffers_have_an_address() {
    let mut driver = silicon();
    driver.start_rx(0, 0);
    driver.store(driver.rx_ring(0), [0, 0]);
    driver.write(rx_at(TAIL), 1);
    driver.pass(100_000);
    assert_eq!(broken(&driver), [Rule::BadDescriptor]);
}

#[test]
fn bus_mastering_is_not_turned_off_under_a_receiver() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.device.write_config(4, &[2, 0]);
    assert_eq!(broken(&driver), [Rule::BusMasterOff]);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(driver.report(0, 0), None, "nothing is written any more");
}

#[test]
fn enable_is_not_read_at_once() {
    let mut driver = silicon();
    driver.program_rx(0);
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    assert_eq!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
    driver.pass(Delays::SILICON.enable);
    assert_ne!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
    driver.write(rx_at(CONTROL), 0);
    driver.pass(Delays::SILICON.disable - 1);
    assert_ne!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
    driver.pass(1);
    assert_eq!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
}

/// Source: ixgbe_main.c, ixgbe_configure_tx: "DMATXCTL.EN must be before Tx queues are enabled".
#[test]
fn a_transmit_queue_waits_for_the_transmitter() {
    let mut driver = silicon();
    driver.write(offset::DMATXCTL, 0);
    driver.write(tx_at(CONTROL), txdctl::ENABLE);
    driver.pass(1_000_000);
    assert_eq!(driver.read(tx_at(CONTROL)) & txdctl::ENABLE, 0);
    driver.write(offset::DMATXCTL, dmatxctl::TE);
    driver.pass(1_000_000);
    assert_ne!(driver.read(tx_at(CONTROL)) & txdctl::ENABLE, 0);
}

#[test]
fn a_queue_is_disabled_behind_its_last_report() {
    let mut settings = Settings::for_tests();
    settings.delays = Delays {
        writeback: 10_000_000,
        ..Delays::SILICON
    };
    let mut driver = Driver::new(settings);
    driver.start_rx(0, 8);
    driver.arrive(frame(60));
    driver.pass(10_000);
    driver.write(rx_at(CONTROL), 0);
    driver.pass(Delays::SILICON.disable + 1000);
    assert_eq!(driver.report(0, 0), None);
    assert_ne!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
    driver.pass(10_000_000);
    assert!(driver.report(0, 0).is_some());
    assert_eq!(driver.read(rx_at(CONTROL)) & rxdctl::ENABLE, 0);
}

/// A buffer that is exchanged in a descriptor that the card has read already is not noticed.
#[test]
fn a_descriptor_that_was_read_ahead_is_not_read_again() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    let ring = driver.rx_ring(0);
    driver.store(ring, [RX_BUFFERS + 40 * 2048, 0]);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(driver.rx_octets(0, 60), frame(60));
    assert_ne!(driver.rx_octets(40, 60), frame(60));
}

#[test]
fn the_card_reads_ahead_only_what_the_thresholds_allow() {
    let mut driver = silicon();
    // PTHRESH 4, HTHRESH 8: with 4 or more there is no need, and fewer than 8 are not worth a read.
    driver.start_tx(0, 4 | (8 << 8));
    let queue = |driver: &Driver| driver.device.tx_queues()[0].ring().cached();
    driver.device.pause_for(1 << 40);
    for slot in 0..20 {
        driver.put(0, slot, &frame(60), EOP_RS_DATA);
    }
    driver.set_tx_tail(0, 4);
    driver.pass(100_000);
    assert_eq!(
        queue(&driver),
        0,
        "nothing is read while nothing may be sent"
    );
    driver.device.pause_for(0);
    driver.pass(100_000);
    assert_eq!(driver.device.take_sent(usize::MAX).len(), 4);
    assert_eq!(broken(&driver), []);
}

#[test]
fn reports_wait_for_wthresh_others() {
    let mut settings = Settings::for_tests();
    settings.delays = Delays {
        writeback: 10_000_000,
        ..Delays::SILICON
    };
    let mut driver = Driver::new(settings);
    driver.start_tx(0, 4 << 16);
    for slot in 0..8 {
        driver.put(0, slot, &frame(60), EOP_RS_DATA);
    }
    driver.set_tx_tail(0, 3);
    driver.pass(1_000_000);
    assert_eq!(driver.device.take_sent(usize::MAX).len(), 3);
    assert!(!driver.tx_done(0, 0));
    driver.set_tx_tail(0, 4);
    driver.pass(1_000_000);
    assert!((0..4).all(|slot| driver.tx_done(0, slot)));
    driver.set_tx_tail(0, 5);
    driver.pass(1_000_000);
    assert!(!driver.tx_done(0, 4));
    driver.write(tx_at(CONTROL), (4 << 16) | txdctl::ENABLE | txdctl::SWFLSH);
    driver.pass(1_000);
    assert!(driver.tx_done(0, 4), "SWFLSH flushes");
}

#[test]
fn only_descriptors_that_ask_for_it_are_reported() {
    let mut driver = silicon();
    driver.start_tx(0, 0);
    driver.put(0, 0, &frame(60), EOP_RS_DATA & !(1 << 27));
    driver.put(0, 1, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(0, 2);
    driver.pass(100_000);
    assert!(!driver.tx_done(0, 0) && driver.tx_done(0, 1));
    assert_eq!(driver.read(tx_at(HEAD)), 2);
}

/// Source: ixgbe_type.h, `IXGBE_TDWBAL_HEAD_WB_ENABLE`.
#[test]
fn the_head_is_written_back_instead() {
    let mut driver = silicon();
    let place = MEMORY + 0x3f_0000;
    driver.write(tx_at(WRITEBACK), place as u32 | 1);
    driver.start_tx(0, 0);
    driver.put(0, 0, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(0, 1);
    driver.pass(100_000);
    assert_eq!(driver.load(place).0[0], 1);
    assert!(!driver.tx_done(0, 0));
}

/// Source: ixgbe_common.c, ixgbe_disable_pcie_primary; the driver polls STATUS.GIO.
#[test]
fn primary_disable_stops_dma() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.write(offset::CTRL, 1 << 2);
    assert_eq!(driver.read(offset::STATUS) & (1 << 19), 0);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(driver.report(0, 0), None);
}

#[test]
fn a_reset_forgets_all_queues() {
    let mut driver = silicon();
    driver.start_rx(0, 8);
    driver.write(offset::CTRL, (1 << 26) | (1 << 2));
    assert_eq!(driver.read(rx_at(LENGTH)), 0);
    assert_eq!(driver.read(offset::CTRL), 0);
    driver.pass(10_000_000);
    driver.write(offset::RXCTRL, rxctrl::RXEN);
    driver.arrive(frame(60));
    driver.pass(100_000);
    assert_eq!(driver.report(0, 0), None);
}

#[test]
fn a_lenient_card_takes_everything() {
    let mut driver = lenient();
    driver.start_rx(0, 8);
    driver.write(rx_at(CONTROL), 0);
    driver.settle();
    driver.write(rx_at(HEAD), 3);
    driver.write(rx_at(TAIL), 9);
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    driver.settle();
    assert_eq!((driver.read(rx_at(HEAD)), driver.read(rx_at(TAIL))), (3, 9));
    driver.arrive(frame(60));
    driver.settle();
    assert_eq!(driver.report(0, 3).map(|r| r.0 & rx::DD), Some(rx::DD));
    assert_eq!(broken(&driver), []);
}

/// The driver's own test of registers, which does not wait.
#[test]
fn a_queue_is_enabled_at_once_while_the_receiver_is_off() {
    let mut driver = silicon();
    driver.write(offset::RXCTRL, 0);
    driver.write(rx_at(CONTROL), rxdctl::ENABLE);
    driver.write(rx_at(TAIL), 0x5a5a);
    assert_eq!(driver.read(rx_at(TAIL)), 0x5a5a);
    driver.write(rx_at(TAIL), 0);
    assert_eq!(broken(&driver), []);
}

/// Source: ixgbe_x550.c, ixgbe_handle_mdd_x550 reads WQBR_TX; ixgbe_restore_mdd_vf_x550 clears it by writing ones.
#[test]
fn a_malicious_driver_is_detected_if_asked_for() {
    const WQBR_TX: u32 = 0x8130;
    let mut driver = silicon();
    driver.device.rules.detect(true);
    driver.start_tx(1, 0);
    driver.put(1, 0, &frame(60), EOP_RS_DATA + (1 << 46));
    driver.set_tx_tail(1, 1);
    driver.pass(100_000);
    assert_eq!(driver.device.take_sent(usize::MAX), Vec::<Vec<u8>>::new());
    assert_eq!(driver.read(WQBR_TX), 2);
    let control = Driver::tx_register(1, CONTROL);
    driver.write(control, 0);
    driver.pass(1_000_000);
    driver.write(WQBR_TX, 2);
    assert_eq!(driver.read(WQBR_TX), 0);
    driver.start_tx(1, 0);
    driver.put(1, 0, &frame(60), EOP_RS_DATA);
    driver.set_tx_tail(1, 1);
    driver.pass(100_000);
    assert_eq!(driver.device.take_sent(usize::MAX).len(), 1);
}
