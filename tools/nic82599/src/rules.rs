// SPDX-License-Identifier: BSD-2-Clause
//! What a driver may not do. Where other models let it pass, this one counts it, writes it down, and behaves as silicon.

use std::fs::File;
use std::io::Write;

/// A rule for drivers. The name says what breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A descriptor's head was written: it is the card's alone, and only enabling the queue makes it 0. Writing 0 is
    /// ignored in silence, as drivers do it.
    ///
    /// Source: ixgbe_ethtool.c, reg_test_82599 ("RDH is read-only"); ixgbe_main.c, ixgbe_configure_rx_ring writes 0.
    HeadWritten,
    /// A tail was written while its queue was disabled; it is ignored. Writing 0 is ignored in silence. So is what comes
    /// to a queue that was disabled before another ring is put in place: a driver's poll that goes on for a moment.
    ///
    /// Source: ixgbe_main.c, ixgbe_configure_rx_ring: buffers are given only behind ixgbe_rx_desc_queue_enable.
    TailWhileDisabled,
    /// A ring's address was written while its queue was enabled; the queue goes on with the old one.
    ///
    /// Source: ixgbe_main.c, ixgbe_configure_rx_ring and ixgbe_configure_tx_ring disable the queue first.
    BaseWhileEnabled,
    /// A ring's length was written while its queue was enabled; the queue goes on with the old one.
    ///
    /// Source: as [`Rule::BaseWhileEnabled`].
    LengthWhileEnabled,
    /// SRRCTL's buffer size or descriptor type was changed while the queue was enabled.
    ///
    /// Source: ixgbe_main.c, ixgbe_configure_rx_ring: written between disabling and enabling.
    FormatWhileEnabled,
    /// Descriptors were given on a queue that was enabled without a ring; it does not run. To enable such a queue is
    /// allowed while receiver and transmitter are off, as the driver's own test does it.
    ///
    /// Source: ixgbe_ethtool.c, reg_test_82599.
    NoRing,
    /// A tail lies outside of its ring; nothing is fetched.
    ///
    /// Source: the ring's definition; X550's malicious driver detection stops the queue.
    TailOutsideRing,
    /// A receive descriptor was given to the card that still has the card's last report in it, so that the report
    /// would be taken for the address of a buffer.
    ///
    /// Source: ixgbe_main.c, ixgbe_alloc_rx_buffers writes each descriptor anew, for the write-back is in its place.
    StaleReceiveDescriptor,
    /// A transmit descriptor was given to the card that still says that it is done.
    ///
    /// Source: ixgbe_main.c, ixgbe_tx_olinfo_status writes the whole word in which DD is.
    StaleTransmitDescriptor,
    /// A descriptor is of no type that the card knows, or does not belong where it stands.
    ///
    /// Source: ixgbe_type.h, `IXGBE_ADVTXD_DTYP_*`; X550's malicious driver detection stops the queue.
    BadDescriptor,
    /// PAYLEN is not what the descriptors of the packet hold, or a packet has no octets.
    ///
    /// Source: ixgbe_main.c, ixgbe_tx_olinfo_status; X550's malicious driver detection stops the queue.
    PayloadLength,
    /// The card was made to access memory that is not mapped for it.
    ///
    /// Source: PCI Express: the completer answers such a request with an error.
    DmaUnmapped,
    /// The card was made to write memory that is mapped for reading, or the other way round.
    ///
    /// Source: as [`Rule::DmaUnmapped`].
    DmaForbidden,
    /// Queues were left enabled, with work, when bus mastering was turned off.
    ///
    /// Source: ixgbe_common.c, ixgbe_disable_pcie_primary waits for STATUS.GIO before a reset.
    BusMasterOff,
    /// A register was read other than by four aligned octets, or written other than by four or eight.
    ///
    /// Source: the driver's accesses (ixgbe_common.h, ixgbe_write_reg, ixgbe_write_reg64; ixgbe_main.c, ixgbe_read_reg).
    AccessWidth,
}

/// All rules, in the order of their discriminants.
pub const RULES: [Rule; 15] = [
    Rule::HeadWritten,
    Rule::TailWhileDisabled,
    Rule::BaseWhileEnabled,
    Rule::LengthWhileEnabled,
    Rule::FormatWhileEnabled,
    Rule::NoRing,
    Rule::TailOutsideRing,
    Rule::StaleReceiveDescriptor,
    Rule::StaleTransmitDescriptor,
    Rule::BadDescriptor,
    Rule::PayloadLength,
    Rule::DmaUnmapped,
    Rule::DmaForbidden,
    Rule::BusMasterOff,
    Rule::AccessWidth,
];

impl Rule {
    /// Whether it is about memory that the card accessed: this counts in lenient mode, too.
    pub fn is_dma_fault(self) -> bool {
        matches!(self, Rule::DmaUnmapped | Rule::DmaForbidden)
    }
}

/// How the card takes what a driver may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As silicon: heads are read-only, tails of disabled queues are ignored, handshakes take time. All is counted.
    #[default]
    Strict,
    /// As models that forgive: registers take what is written, at once. Only DMA faults are counted.
    Lenient,
}

/// Lines of the log per rule; beyond them only the count goes on.
const LOGGED: u64 = 20;

/// The judge: counts what was broken, and writes it down.
pub struct Rules {
    mode: Mode,
    name: String,
    counts: [u64; RULES.len()],
    log: Option<File>,
    quiet: bool,
    detects: bool,
}

impl Rules {
    /// A judge for the port `name`, who writes to standard error, and to `log` if there is one.
    pub fn new(mode: Mode, name: &str, log: Option<File>) -> Self {
        Rules {
            mode,
            name: name.to_owned(),
            counts: [0; RULES.len()],
            log,
            quiet: false,
            detects: false,
        }
    }

    /// A judge who only counts.
    pub fn quiet(mode: Mode) -> Self {
        Rules {
            quiet: true,
            ..Self::new(mode, "", None)
        }
    }

    /// Turns malicious driver detection on, as X550 has it: a queue whose descriptors or tail cannot be is blocked, until
    /// its bit in WQBR_RX or WQBR_TX is cleared and it is enabled anew.
    ///
    /// Source: ixgbe_x550.c, ixgbe_handle_mdd_x550, ixgbe_restore_mdd_vf_x550.
    pub fn detect(&mut self, on: bool) {
        self.detects = on;
    }

    /// Whether malicious driver detection is on.
    pub fn detects(&self) -> bool {
        self.detects
    }

    /// How the card behaves.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Changes how the card behaves.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Whether the card behaves as silicon.
    pub fn strict(&self) -> bool {
        self.mode == Mode::Strict
    }

    /// `rule` was broken; `what` says where.
    pub fn broken(&mut self, rule: Rule, what: impl FnOnce() -> String) {
        if !self.strict() && !rule.is_dma_fault() {
            return;
        }
        let count = &mut self.counts[rule as usize];
        *count += 1;
        if self.quiet || *count > LOGGED {
            return;
        }
        let line = format!("{}: {rule:?}: {}\n", self.name, what());
        eprint!("{line}");
        if let Some(log) = &mut self.log {
            // The count is what decides; a log that cannot be written only misses a line.
            let _ = log.write_all(line.as_bytes());
        }
    }

    /// How often `rule` was broken.
    pub fn count(&self, rule: Rule) -> u64 {
        self.counts[rule as usize]
    }

    /// All that was broken, and how often.
    pub fn report(&self) -> Vec<(Rule, u64)> {
        let all = RULES.iter().map(|&rule| (rule, self.count(rule)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// How often any rule was broken.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Forgets what was broken.
    pub fn clear(&mut self) {
        self.counts = [0; RULES.len()];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(*rule as usize, index);
        }
    }

    #[test]
    fn lenient_counts_only_faults() {
        let mut rules = Rules::quiet(Mode::Lenient);
        rules.broken(Rule::HeadWritten, String::new);
        assert_eq!(rules.total(), 0);
        rules.broken(Rule::DmaUnmapped, String::new);
        assert_eq!(rules.report(), [(Rule::DmaUnmapped, 1)]);
    }
}
