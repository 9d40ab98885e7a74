// SPDX-License-Identifier: BSD-2-Clause
//! `nic82599 bench`: how fast the model is, without a guest.

use crate::args::Bench;
use nic82599::device::{Next, Settings};
use nic82599::driver::{frame, Driver, EOP_RS_DATA, SLOTS};
use nic82599::wire::Arrival;
use std::time::Instant;

/// Measures lengths and batches, and prints a line each.
pub fn run(args: &Bench) {
    println!(
        "octets  batch  packets/s, sent by one model and received by another in the same thread"
    );
    for length in [60, 1514] {
        for batch in [1, 8, 32] {
            let start = Instant::now();
            move_packets(args.count, length, batch);
            let rate = args.count as f64 / start.elapsed().as_secs_f64();
            println!("{length:6} {batch:6} {rate:10.0}");
        }
    }
}

/// Sends `count` packets, `batch` with each write of the tail; fails if one is not received.
fn move_packets(count: u64, length: usize, batch: u32) {
    let mut sender = Driver::new(Settings::for_tests());
    let mut receiver = Driver::new(Settings::for_tests());
    sender.start_tx(0, 32 | (1 << 8));
    receiver.start_rx(0, SLOTS - 1);
    let packet = frame(length);
    for slot in 0..SLOTS {
        sender.put(0, slot, &packet, EOP_RS_DATA);
    }
    let mut slot = 0;
    let mut received = 0;
    while received < count {
        for offset in 0..batch {
            // The buffers stay, descriptors are written anew: both rings hold their reports by now.
            let at = (slot + offset) % SLOTS;
            sender.renew(0, at, length, EOP_RS_DATA);
        }
        slot = (slot + batch) % SLOTS;
        sender.set_tx_tail(0, slot);
        while sender.device.step(sender.now) == Next::Now {}
        for frame in sender.device.take_sent(usize::MAX) {
            receiver
                .device
                .receive(Arrival { frame, good: true }, receiver.now);
            received += 1;
        }
        while receiver.device.step(receiver.now) == Next::Now {}
        let mut last = slot;
        for offset in 0..batch {
            last = (slot + SLOTS - batch + offset) % SLOTS;
            assert!(receiver.report(0, last).is_some(), "a packet is lost");
            receiver.post(0, last);
        }
        receiver.write(Driver::rx_register(0, 0x18), last);
    }
    assert_eq!(
        sender.device.rules.total() + receiver.device.rules.total(),
        0
    );
}
