// SPDX-License-Identifier: BSD-2-Clause
//! How many packets a port has dropped.

use netmap::Port;
use std::os::fd::AsRawFd;

/// The drops of the receive rings that a port has bound, since they were made; 0 if that cannot be read.
pub fn of(port: &Port) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", port.as_raw_fd());
    std::fs::read_to_string(path).map_or(0, |text| sum(&text))
}

/// The sum of the counters `drops` of the receive rings in a file of `/proc/PID/fdinfo`.
fn sum(text: &str) -> u64 {
    let rings = text
        .lines()
        .filter_map(|line| line.strip_prefix("netmap-ring:\t"));
    rings
        .filter_map(|ring| ring.split_once(": "))
        .filter(|(label, _)| label.trim_start_matches("host-").starts_with("rx"))
        .filter_map(|(_, counters)| {
            let mut words = counters.split(' ').skip_while(|word| *word != "drops");
            words.nth(1)?.parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_receive_rings_count() {
        let text = "pos:\t0\nnetmap-port:\teth0\nnetmap-ring:\ttx 0: packets 1 drops 9 errors 0\n\
                    netmap-ring:\trx 0: packets 5 bytes 3 drops 2 errors 7\nnetmap-ring:\thost-rx 0: packets 1 drops 40 errors 1\n";
        assert_eq!(sum(text), 42);
        assert_eq!(sum("pos:\t0\nnetmap-ring:\trx 0: packets 5 drops x\n"), 0);
    }
}
