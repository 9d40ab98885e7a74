// SPDX-License-Identifier: BSD-2-Clause
//! Rates of rings, from counters that are read again and again.

use crate::debugfs::{Counters, Port, Ring};
use clap::ValueEnum;
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// How many rates of the past are kept of each ring.
pub const HISTORY: usize = 60;

/// What rows are sorted by: the names in order, of the others the highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// Port and ring.
    Name,
    /// Packets per second.
    Packets,
    /// Octets per second.
    Octets,
    /// Syncs per second.
    Syncs,
    /// Drops per second.
    Drops,
    /// Errors per second.
    Errors,
}

impl Key {
    /// The next one, and after the last the first.
    pub fn next(self) -> Key {
        match self {
            Key::Name => Key::Packets,
            Key::Packets => Key::Octets,
            Key::Octets => Key::Syncs,
            Key::Syncs => Key::Drops,
            Key::Drops => Key::Errors,
            Key::Errors => Key::Name,
        }
    }
}

/// What a ring does per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Packets.
    pub packets: f64,
    /// Octets.
    pub octets: f64,
    /// Syncs.
    pub syncs: f64,
    /// Drops.
    pub drops: f64,
    /// Errors.
    pub errors: f64,
}

/// A ring, and how it fares.
#[derive(Debug, Clone)]
pub struct Row {
    /// The port.
    pub port: String,
    /// What the port is.
    pub kind: String,
    /// The ring.
    pub ring: String,
    /// All that it has counted.
    pub counters: Counters,
    /// What it does now.
    pub rates: Rates,
    /// Packets per second of the past, the latest last.
    pub history: VecDeque<f64>,
    /// Slots that wait for the kernel or for the program, of how many; `None` if that is not known.
    pub filled: Option<(u32, u32)>,
    /// Somebody has it bound.
    pub is_bound: bool,
}

/// Which ring: port, how many ports of that name are before it (there may be some in other network namespaces), ring.
type Id = (String, usize, String);

/// All rings that were there at the last look.
#[derive(Debug, Default)]
pub struct Watch {
    rows: BTreeMap<Id, Row>,
}

impl Watch {
    /// Takes a new look, `seconds` after the last one.
    pub fn update(&mut self, ports: Vec<Port>, seconds: f64) {
        let mut before = core::mem::take(&mut self.rows);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for port in ports {
            let nth = seen.entry(port.name.clone()).or_default();
            for ring in &port.rings {
                let id = (port.name.clone(), *nth, ring.label());
                let row = next_row(before.remove(&id), &port, ring, seconds);
                self.rows.insert(id, row);
            }
            *nth += 1;
        }
    }

    /// The rings in order of `key`, without those that nobody has bound if `idle` does not ask for them.
    pub fn rows(&self, key: Key, idle: bool) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self
            .rows
            .values()
            .filter(|row| idle || row.is_bound)
            .collect();
        // Those of the same rate stay in order of their names.
        let by = |rate: fn(&Rates) -> f64| move |row: &&Row| Reverse(rate(&row.rates).to_bits());
        match key {
            Key::Name => {}
            // Rates are not negative, so that their bits are in the order of the numbers.
            Key::Packets => rows.sort_by_key(by(|rates| rates.packets)),
            Key::Octets => rows.sort_by_key(by(|rates| rates.octets)),
            Key::Syncs => rows.sort_by_key(by(|rates| rates.syncs)),
            Key::Drops => rows.sort_by_key(by(|rates| rates.drops)),
            Key::Errors => rows.sort_by_key(by(|rates| rates.errors)),
        }
        rows
    }
}

/// What follows on a row, or begins one.
fn next_row(before: Option<Row>, port: &Port, ring: &Ring, seconds: f64) -> Row {
    let now = ring.counters;
    // A ring that has counted less than before is another one, which has counted since it was made.
    let is_same =
        |row: &Row| row.counters.packets <= now.packets && row.counters.syncs <= now.syncs;
    let before = before.filter(is_same);
    let rates = before
        .as_ref()
        .filter(|_| seconds > 0.0)
        .map_or(Rates::default(), |row| {
            let since = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            let old = &row.counters;
            Rates {
                packets: since(now.packets, old.packets),
                octets: since(now.bytes, old.bytes),
                syncs: since(now.syncs, old.syncs),
                drops: since(now.drops, old.drops),
                errors: since(now.errors, old.errors),
            }
        });
    let mut history = before.map(|row| row.history).unwrap_or_default();
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(rates.packets);
    let filled = ring
        .cursors
        .filter(|cursors| cursors.slots != 0)
        .map(|cursors| {
            let ahead =
                |to: u32, from: u32| (to + cursors.slots - from % cursors.slots) % cursors.slots;
            // A transmit ring has what waits to be sent, one slot less than all in `[hwtail, hwcur)`; a receive ring what waits to be read.
            let waiting = match ring.transmit {
                true => (cursors.slots - 1).saturating_sub(ahead(cursors.hwtail, cursors.hwcur)),
                false => ahead(cursors.hwtail, cursors.head),
            };
            (waiting, cursors.slots)
        });
    Row {
        port: port.name.clone(),
        kind: port.kind.clone(),
        ring: ring.label(),
        counters: now,
        rates,
        history,
        filled,
        is_bound: ring.cursors.is_some() || ring.state.as_deref() != Some("unused"),
    }
}

/// A number with three digits and a unit prefix.
pub fn scaled(value: f64) -> String {
    let mut value = value;
    for prefix in ["", "K", "M", "G"] {
        if value < 999.5 {
            // Below a thousand there are no fractions but those of units.
            let digits = match prefix {
                "" => 0,
                _ if value < 9.995 => 2,
                _ if value < 99.95 => 1,
                _ => 0,
            };
            return format!("{value:.digits$}{prefix}");
        }
        value /= 1000.0;
    }
    format!("{value:.0}T")
}

/// The past as a line of `width` blocks, the latest at the right; the highest of it is a full block.
pub fn sparkline(history: &VecDeque<f64>, width: usize) -> String {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = history.len().min(width);
    let past = history.iter().skip(history.len() - shown);
    let highest = past.clone().fold(0.0, |a: f64, b| a.max(*b));
    let block = |value: &f64| match highest > 0.0 && *value > 0.0 {
        true => BLOCKS[((value / highest * 8.0).ceil() as usize).clamp(1, 8)],
        false => BLOCKS[0],
    };
    let line: String = past.map(block).collect();
    format!("{}{line}", " ".repeat(width - shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debugfs::parse_ports;

    fn ports(packets: u64, drops: u64) -> Vec<Port> {
        let text = format!(
            "eth0: native (igb)\n  \
             tx 0: packets 0 bytes 0 syncs 0 wakeups 0 drops 0 errors 0 reinits 0 unused\n  \
             rx 0: packets {packets} bytes {} syncs 10 wakeups 0 drops {drops} errors 0 reinits 0 slots 8 hwcur 2 hwtail 6 head 2 cur 2 tail 6\n\
             eth1: native (igb)\n  \
             tx 0: packets 5 bytes 300 syncs 5 wakeups 0 drops 0 errors 0 reinits 0 slots 8 hwcur 4 hwtail 1 head 4 cur 4 tail 1\n",
            packets * 60
        );
        parse_ports(&text).unwrap()
    }

    fn first(watch: &Watch, key: Key) -> Row {
        watch.rows(key, false)[0].clone()
    }

    #[test]
    fn rates_are_differences_by_time() {
        let mut watch = Watch::default();
        watch.update(ports(100, 0), 0.0);
        assert_eq!(first(&watch, Key::Packets).rates, Rates::default());
        watch.update(ports(1100, 6), 2.0);
        let row = first(&watch, Key::Packets);
        assert_eq!((&row.port[..], &row.ring[..]), ("eth0", "rx 0"));
        assert_eq!(
            (row.rates.packets, row.rates.octets, row.rates.drops),
            (500.0, 30_000.0, 3.0)
        );
        assert_eq!(row.history, [0.0, 500.0]);
        assert_eq!(row.filled, Some((4, 8)));
    }

    #[test]
    fn a_ring_that_counts_from_the_beginning_is_another_one() {
        let mut watch = Watch::default();
        watch.update(ports(1000, 0), 0.0);
        watch.update(ports(10, 0), 1.0);
        let row = first(&watch, Key::Packets);
        assert_eq!((row.rates.packets, row.history.len()), (0.0, 1));
    }

    #[test]
    fn rows_in_order_and_idle_ones() {
        let mut watch = Watch::default();
        watch.update(ports(0, 0), 0.0);
        watch.update(ports(10, 0), 1.0);
        let names = |key, idle| -> Vec<String> {
            watch
                .rows(key, idle)
                .iter()
                .map(|row| format!("{} {}", row.port, row.ring))
                .collect()
        };
        assert_eq!(
            names(Key::Name, true),
            ["eth0 rx 0", "eth0 tx 0", "eth1 tx 0"]
        );
        assert_eq!(
            names(Key::Packets, true),
            ["eth0 rx 0", "eth0 tx 0", "eth1 tx 0"]
        );
        assert_eq!(names(Key::Drops, false), ["eth0 rx 0", "eth1 tx 0"]);
    }

    #[test]
    fn ports_that_go_are_forgotten() {
        let mut watch = Watch::default();
        watch.update(ports(1, 0), 0.0);
        watch.update(Vec::new(), 1.0);
        assert!(watch.rows(Key::Name, true).is_empty());
    }

    #[test]
    fn a_transmit_ring_has_what_waits_to_be_sent() {
        let mut watch = Watch::default();
        watch.update(ports(1, 0), 0.0);
        let rows = watch.rows(Key::Name, false);
        // Slots 1, 2 and 3 are on their way out, with the one that is always the kernel's.
        assert_eq!(rows[1].filled, Some((2, 8)));
    }

    #[test]
    fn all_keys_follow_each_other() {
        let mut key = Key::Name;
        for _ in Key::value_variants() {
            key = key.next();
        }
        assert_eq!(key, Key::Name);
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (999.0, "999"),
            (1000.0, "1.00K"),
            (14_880_000.0, "14.9M"),
            (999_600.0, "1.00M"),
            (5e15, "5000T"),
        ] {
            assert_eq!(scaled(value), text);
        }
    }

    #[test]
    fn a_sparkline_fills_from_the_right() {
        assert_eq!(
            sparkline(&VecDeque::from([0.0, 1.0, 4.0, 8.0]), 6),
            "   ▁▄█"
        );
        assert_eq!(sparkline(&VecDeque::from([9.0, 1.0, 2.0]), 2), "▄█");
        assert_eq!(sparkline(&VecDeque::new(), 3), "   ");
    }
}
