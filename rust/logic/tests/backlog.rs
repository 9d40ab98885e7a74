// SPDX-License-Identifier: GPL-2.0

//! Waits for frames to leave, at the pace of a link.

use netmap_logic::logic::backlog::Backlog;

/// For how long a wait goes on, and how many slots are left then, on a link that takes `per_second` slots.
fn wait(slots: u32, size: u32, speed: u32, per_second: u64) -> (u32, u32) {
    let mut backlog = Backlog::new(slots, size, speed);
    for ms in 1.. {
        let gone = u32::try_from(u64::from(ms) * per_second / 1000).unwrap();
        let left = slots.saturating_sub(gone);
        if !backlog.goes_on(ms, left) {
            return (ms, left);
        }
    }
    unreachable!()
}

/// Frames of 1514 bytes per second at a speed in Mbit/s.
fn pace(speed: u32) -> u64 {
    u64::from(speed) * 1_000_000 / (1538 * 8)
}

#[test]
fn full_rings_leave_at_every_speed() {
    for speed in [10, 100, 1000, 2500, 10_000] {
        for slots in [1, 255, 4095] {
            let (_, left) = wait(slots, 2048, speed, pace(speed));
            assert_eq!(left, 0, "{slots} slots at {speed} Mbit/s");
        }
    }
}

#[test]
fn the_limit_follows_from_backlog_and_speed() {
    // A link that takes a frame now and then, for ever.
    assert!(wait(1, 2048, 10_000, 6).0 <= 25);
    assert!((600..800).contains(&wait(4095, 2048, 10_000, 6).0));
    // One that is slower than it says: its other end pauses it.
    assert_eq!(wait(4095, 2048, 10_000, pace(100)).1, 0);
    // One that does not tell its speed is taken for a slow one, and no wait is longer.
    assert_eq!(wait(1 << 20, 2048, 0, 6).0, 6000);
}

#[test]
fn a_link_that_stands_still_is_not_waited_for() {
    assert_eq!(wait(4095, 2048, 10, 0), (200, 4095));
    assert_eq!(wait(0, 2048, 1000, 0), (1, 0));
}

#[test]
fn looks_that_are_late_do_not_make_the_wait_longer() {
    // One frame leaves between looks that are 150 ms apart: 6000 ms are over after 40 of them.
    let mut backlog = Backlog::new(4095, 2048, 0);
    let looks = (1..)
        .take_while(|&look| backlog.goes_on(150 * look, 4095 - look))
        .count();
    assert_eq!(looks, 39);
    // The second look finds that nothing has left for longer than a link may stand still.
    let mut backlog = Backlog::new(4095, 2048, 0);
    assert!(backlog.goes_on(150, 4095));
    assert!(!backlog.goes_on(300, 4095));
}
