// SPDX-License-Identifier: BSD-2-Clause
//! What a test breaks on purpose.

use clap::{Subcommand, ValueEnum};

// Of the second word of a receive descriptor's report.
const LENGTH: u64 = 0xffff << 32;
const ERRORS: u64 = 0xfff0_0000;
const END_OF_PACKET: u64 = 1 << 1;

/// Whether something is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// As a truth value.
    pub fn is_on(self) -> bool {
        self == Switch::On
    }
}

/// For how long the enable bit of a queue is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sticking {
    /// From now on.
    On,
    /// No more.
    Off,
    /// Until the card is reset.
    UntilReset,
}

/// Which half of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Receive.
    Rx,
    /// Transmit.
    Tx,
}

/// What is wrong with a receive descriptor's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Corruption {
    /// The length is 0xffff, more than any buffer holds.
    Length,
    /// It is done, but has no octets.
    Empty,
    /// All error bits are set.
    Errors,
    /// It has no end of packet, although the packet ends.
    Endless,
}

/// A fault to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Fault {
    /// DMA of one half stops, or goes on
    Stop {
        /// The half
        side: Side,
        /// Whether it stops
        switch: Switch,
    },
    /// The next interrupts are not sent
    LoseInterrupts {
        /// How many
        count: u64,
    },
    /// Interrupts are sent without a cause
    SpuriousInterrupts {
        /// How many
        count: u64,
    },
    /// The next receive descriptors are reported wrongly
    Corrupt {
        /// What is wrong
        corruption: Corruption,
        /// How many
        count: u64,
    },
    /// All reports are written later
    Late {
        /// By so many nanoseconds
        nanoseconds: u64,
    },
    /// The enable bit of a queue keeps its value, whatever is written
    Stuck {
        /// The half
        side: Side,
        /// The queue
        #[arg(value_parser = clap::value_parser!(u8).range(0..128))]
        queue: u8,
        /// For how long it is stuck
        sticking: Sticking,
    },
    /// The card finds an error in its own memory, and wants a reset
    MemoryError,
    /// All reads give ones and all writes are lost, as after a surprise removal
    Dead {
        /// Whether it is dead
        switch: Switch,
    },
    /// No fault any more
    Clear,
}

/// The faults in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    stop_receive: bool,
    stop_transmit: bool,
    corrupt: Option<(Corruption, u64)>,
    late: u64,
    stuck_receive: u128,
    stuck_transmit: u128,
    /// Which of them a reset cures: receive, transmit.
    curable: [u128; 2],
    dead: bool,
}

impl Faults {
    /// Puts a fault in force, or takes it out of force. What interrupts have to do with is kept elsewhere.
    pub fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Stop {
                side: Side::Rx,
                switch,
            } => self.stop_receive = switch.is_on(),
            Fault::Stop {
                side: Side::Tx,
                switch,
            } => self.stop_transmit = switch.is_on(),
            Fault::Corrupt { corruption, count } => {
                self.corrupt = (count > 0).then_some((corruption, count));
            }
            Fault::Late { nanoseconds } => self.late = nanoseconds,
            Fault::Stuck {
                side,
                queue,
                sticking,
            } => {
                let [curable_receive, curable_transmit] = &mut self.curable;
                let (bits, curable) = match side {
                    Side::Rx => (&mut self.stuck_receive, curable_receive),
                    Side::Tx => (&mut self.stuck_transmit, curable_transmit),
                };
                let bit = 1 << (queue % 128);
                let set = |bits: &mut u128, is: bool| {
                    *bits = if is { *bits | bit } else { *bits & !bit };
                };
                set(bits, sticking != Sticking::Off);
                set(curable, sticking == Sticking::UntilReset);
            }
            Fault::Dead { switch } => self.dead = switch.is_on(),
            Fault::Clear => *self = Faults::default(),
            Fault::LoseInterrupts { .. }
            | Fault::SpuriousInterrupts { .. }
            | Fault::MemoryError => {}
        }
    }

    /// The card is reset.
    pub fn reset(&mut self) {
        let [receive, transmit] = std::mem::take(&mut self.curable);
        self.stuck_receive &= !receive;
        self.stuck_transmit &= !transmit;
    }

    /// Whether one half's DMA stands still.
    pub fn stops(&self, side: Side) -> bool {
        match side {
            Side::Rx => self.stop_receive,
            Side::Tx => self.stop_transmit,
        }
    }

    /// The report of a receive descriptor as it is to be written; a corrupted one counts.
    pub fn report(&mut self, report: [u64; 2]) -> [u64; 2] {
        let Some((corruption, left)) = &mut self.corrupt else {
            return report;
        };
        let corruption = *corruption;
        *left -= 1;
        if *left == 0 {
            self.corrupt = None;
        }
        let [first, second] = report;
        [
            first,
            match corruption {
                Corruption::Length => second | LENGTH,
                Corruption::Empty => second & !LENGTH,
                Corruption::Errors => second | ERRORS,
                Corruption::Endless => second & !END_OF_PACKET,
            },
        ]
    }

    /// Nanoseconds that reports are written later.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Whether a queue's enable bit is stuck.
    pub fn sticks(&self, side: Side, queue: usize) -> bool {
        let bits = match side {
            Side::Rx => self.stuck_receive,
            Side::Tx => self.stuck_transmit,
        };
        queue < 128 && (bits >> queue) & 1 != 0
    }

    /// Whether the card is gone.
    pub fn dead(&self) -> bool {
        self.dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[command(subcommand)]
        fault: Fault,
    }

    fn with(lines: &[&str]) -> Faults {
        let mut faults = Faults::default();
        for line in lines {
            faults.inject(Line::parse_from(line.split_whitespace()).fault);
        }
        faults
    }

    #[test]
    fn nothing_is_broken_at_first() {
        let mut faults = Faults::default();
        assert!(!faults.stops(Side::Rx) && !faults.stops(Side::Tx) && !faults.dead());
        assert!(!faults.sticks(Side::Rx, 0) && faults.late() == 0);
        assert_eq!(faults.report([1, 2]), [1, 2]);
    }

    #[test]
    fn reports_are_corrupted() {
        let good = [7, (60 << 32) | 3];
        for (kind, second) in [
            ("length", (0xffff << 32) | 3),
            ("empty", 3),
            ("errors", (60 << 32) | 0xfff0_0003),
            ("endless", (60 << 32) | 1),
        ] {
            let mut faults = with(&[&format!("corrupt {kind} 1")]);
            assert_eq!(faults.report(good), [7, second], "{kind}");
            assert_eq!(faults.report(good), good, "{kind}");
        }
    }

    #[test]
    fn switches_go_both_ways() {
        let mut faults = with(&[
            "stop rx on",
            "stuck tx 3 on",
            "stuck rx 127 on",
            "dead on",
            "late 500",
        ]);
        assert!(faults.stops(Side::Rx) && !faults.stops(Side::Tx));
        assert!(
            faults.sticks(Side::Tx, 3)
                && !faults.sticks(Side::Rx, 3)
                && faults.sticks(Side::Rx, 127)
        );
        assert!(faults.dead() && faults.late() == 500);
        faults.inject(Fault::Stuck {
            side: Side::Tx,
            queue: 3,
            sticking: Sticking::Off,
        });
        assert!(!faults.sticks(Side::Tx, 3));
        faults.inject(Fault::Clear);
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn a_reset_cures_what_it_can() {
        let mut faults = with(&[
            "stuck rx 1 on",
            "stuck rx 2 until-reset",
            "stuck tx 2 until-reset",
            "stuck tx 3 until-reset",
            "stuck tx 3 on",
        ]);
        assert!(faults.sticks(Side::Rx, 2) && faults.sticks(Side::Tx, 2));
        faults.reset();
        assert!(faults.sticks(Side::Rx, 1) && faults.sticks(Side::Tx, 3));
        assert!(!faults.sticks(Side::Rx, 2) && !faults.sticks(Side::Tx, 2));
    }

    #[test]
    fn impossible_faults_are_refused() {
        for line in [
            "stuck rx 128 on",
            "corrupt colour 1",
            "stop up on",
            "late",
            "dead",
        ] {
            assert!(
                Line::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }
}
