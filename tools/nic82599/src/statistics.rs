// SPDX-License-Identifier: BSD-2-Clause
//! The statistics registers: cleared by reading, and stuck at their largest value when full.

use crate::filters::Cast;

/// Octets of the frame check sequence, which all octet counters include.
const CHECK: u64 = 4;

/// Sets of per-queue counters; RQSMR and TQSM map queues to them.
pub const QUEUE_SETS: usize = 16;

/// Counters of 32 bits, with the offset of their register.
///
/// Source: ixgbe_type.h ("Stats registers"), datasheet section 8.2.3.23.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Frames with a wrong check sequence.
    CrcErrors = 0x4000,
    /// Illegal symbols.
    IllegalByteErrors = 0x4004,
    /// Error symbols.
    ErrorBytes = 0x4008,
    /// Local faults of the MAC.
    LocalFaults = 0x4034,
    /// Remote faults of the MAC.
    RemoteFaults = 0x4038,
    /// Frames whose length field is wrong.
    LengthErrors = 0x4040,
    /// Frames for which the packet buffer had no room (MPC of buffer 0).
    Missed = 0x3fa0,
    /// XON sent.
    XonSent = 0x3f60,
    /// XOFF sent.
    XoffSent = 0x3f68,
    /// XON received.
    XonReceived = 0x41a4,
    /// XOFF received.
    XoffReceived = 0x41a8,
    /// Good frames received of 64 octets.
    Received64 = 0x405c,
    /// 65 to 127 octets.
    Received127 = 0x4060,
    /// 128 to 255 octets.
    Received255 = 0x4064,
    /// 256 to 511 octets.
    Received511 = 0x4068,
    /// 512 to 1023 octets.
    Received1023 = 0x406c,
    /// 1024 octets to the largest.
    Received1522 = 0x4070,
    /// Good frames that passed the filters, missed ones included.
    GoodReceived = 0x4074,
    /// Of these, to all.
    BroadcastReceived = 0x4078,
    /// Of these, to groups.
    MulticastReceived = 0x407c,
    /// Good frames sent, PAUSE frames included.
    GoodSent = 0x4080,
    /// Frames too short, but good otherwise.
    Undersize = 0x40a4,
    /// Frames too short, and with a wrong check sequence.
    Fragments = 0x40a8,
    /// Frames too long, but good otherwise.
    Oversize = 0x40ac,
    /// Frames too long, and with a wrong check sequence.
    Jabber = 0x40b0,
    /// All frames received.
    TotalReceived = 0x40d0,
    /// All frames sent.
    TotalSent = 0x40d4,
    /// Frames sent of 64 octets.
    Sent64 = 0x40d8,
    /// 65 to 127 octets.
    Sent127 = 0x40dc,
    /// 128 to 255 octets.
    Sent255 = 0x40e0,
    /// 256 to 511 octets.
    Sent511 = 0x40e4,
    /// 512 to 1023 octets.
    Sent1023 = 0x40e8,
    /// 1024 octets to the largest.
    Sent1522 = 0x40ec,
    /// Frames sent to groups, PAUSE frames included.
    MulticastSent = 0x40f0,
    /// Frames sent to all.
    BroadcastSent = 0x40f4,
    /// Receive descriptors' checksums found wrong.
    ChecksumErrors = 0x4120,
}

/// First offset of the counters of 32 bits, and the one behind the last.
const SMALL: (u32, u32) = (0x3f00, 0x41c8);

/// Counters of 36 bits: low word, then high word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Large {
    GoodReceived = 0x4088,
    GoodSent = 0x4090,
    TotalReceived = 0x40c0,
}

/// A frame on the wire that is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The check sequence is wrong.
    Crc,
    /// The frame is longer than MAXFRS allows.
    Oversize,
    /// The frame has fewer than 64 octets.
    Undersize,
}

/// Counters of one set of queues.
#[derive(Debug, Clone, Copy, Default)]
struct QueueSet {
    received: u32,
    received_octets: Wide,
    dropped: u32,
    sent: u32,
    sent_octets: Wide,
}

/// A counter of 36 bits. Reading the low word clears it and keeps the high one for the next read of that.
#[derive(Debug, Clone, Copy, Default)]
struct Wide {
    value: u64,
    latched: u32,
}

impl Wide {
    fn add(&mut self, octets: u64) {
        self.value = (self.value + octets).min((1 << 36) - 1);
    }

    fn read_low(&mut self) -> u32 {
        let value = std::mem::take(&mut self.value);
        self.latched = (value >> 32) as u32;
        value as u32
    }

    fn read_high(&mut self) -> u32 {
        std::mem::take(&mut self.latched)
    }
}

/// All statistics of a port.
#[derive(Debug)]
pub struct Statistics {
    small: [u32; ((SMALL.1 - SMALL.0) / 4) as usize],
    good_received: Wide,
    good_sent: Wide,
    total_received: Wide,
    queues: [QueueSet; QUEUE_SETS],
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            small: [0; ((SMALL.1 - SMALL.0) / 4) as usize],
            good_received: Wide::default(),
            good_sent: Wide::default(),
            total_received: Wide::default(),
            queues: [QueueSet::default(); QUEUE_SETS],
        }
    }
}

/// The set of a queue, from the mapping registers: four entries a word.
///
/// Source: ixgbe_82599.c and ixgbe_main.c: ixgbe_configure (RQSMR, TQSM).
pub fn queue_set(mapping: &[u32], queue: usize) -> usize {
    let word = mapping.get(queue / 4).copied().unwrap_or(0);
    (word >> (queue % 4 * 8)) as usize & (QUEUE_SETS - 1)
}

impl Statistics {
    /// Adds one to a counter.
    pub fn count(&mut self, counter: Counter) {
        let value = &mut self.small[((counter as u32 - SMALL.0) / 4) as usize];
        *value = value.saturating_add(1);
    }

    /// Counts a good frame from the wire, before any filter. `len` is without the check sequence.
    pub fn received_any(&mut self, len: usize) {
        self.count(Counter::TotalReceived);
        self.total_received.add(len as u64 + CHECK);
        self.count(bin(len, Counter::Received64));
    }

    /// Counts a good frame that passed the filters, whether there was room for it or not.
    ///
    /// Source: ixgbe_main.c: ixgbe_update_stats ("work around hardware counting issue": it subtracts missed frames).
    pub fn received_good(&mut self, frame: &[u8]) {
        self.count(Counter::GoodReceived);
        self.good_received.add(frame.len() as u64 + CHECK);
        match Cast::of(frame) {
            Cast::Unicast => {}
            Cast::Multicast => self.count(Counter::MulticastReceived),
            Cast::Broadcast => self.count(Counter::BroadcastReceived),
        }
    }

    /// Counts a frame from the wire that is not good.
    ///
    /// Source: datasheet section 8.2.3.23 (CRCERRS, ROC, RUC).
    pub fn received_damaged(&mut self, damage: Damage) {
        self.count(Counter::TotalReceived);
        self.count(match damage {
            Damage::Crc => Counter::CrcErrors,
            Damage::Oversize => Counter::Oversize,
            Damage::Undersize => Counter::Undersize,
        });
    }

    /// Counts a frame that was sent, PAUSE frames included.
    ///
    /// Source: ixgbe_main.c: ixgbe_update_stats (it subtracts PAUSE frames from these counters).
    pub fn sent(&mut self, frame: &[u8]) {
        self.count(Counter::TotalSent);
        self.count(Counter::GoodSent);
        self.good_sent.add(frame.len() as u64 + CHECK);
        self.count(bin(frame.len(), Counter::Sent64));
        match Cast::of(frame) {
            Cast::Unicast => {}
            Cast::Multicast => self.count(Counter::MulticastSent),
            Cast::Broadcast => self.count(Counter::BroadcastSent),
        }
    }

    /// Counts a frame that a receive queue wrote to memory.
    pub fn queue_received(&mut self, set: usize, len: usize) {
        let set = &mut self.queues[set % QUEUE_SETS];
        set.received = set.received.saturating_add(1);
        set.received_octets.add(len as u64 + CHECK);
    }

    /// Counts a frame that a receive queue without descriptors dropped (QPRDC).
    pub fn queue_dropped(&mut self, set: usize) {
        let set = &mut self.queues[set % QUEUE_SETS];
        set.dropped = set.dropped.saturating_add(1);
    }

    /// Counts a frame that a transmit queue sent.
    pub fn queue_sent(&mut self, set: usize, len: usize) {
        let set = &mut self.queues[set % QUEUE_SETS];
        set.sent = set.sent.saturating_add(1);
        set.sent_octets.add(len as u64 + CHECK);
    }

    /// Reads and clears the register at `offset`; `None` if it is not a statistics register.
    pub fn read(&mut self, offset: u32) -> Option<u32> {
        if offset % 4 != 0 {
            return None;
        }
        Some(match offset {
            _ if offset == Large::GoodReceived as u32 => self.good_received.read_low(),
            _ if offset == Large::GoodReceived as u32 + 4 => self.good_received.read_high(),
            _ if offset == Large::GoodSent as u32 => self.good_sent.read_low(),
            _ if offset == Large::GoodSent as u32 + 4 => self.good_sent.read_high(),
            _ if offset == Large::TotalReceived as u32 => self.total_received.read_low(),
            _ if offset == Large::TotalReceived as u32 + 4 => self.total_received.read_high(),
            0x3f00..0x3f40
            | 0x3f60..0x3f6c
            | 0x3fa0..0x3fe0
            | 0x4000..0x4124
            | 0x4140..0x4180
            | 0x41a4..0x41c8 => std::mem::take(&mut self.small[((offset - SMALL.0) / 4) as usize]),
            // QPRC, QBRC_L, QBRC_H and, 0x400 further, QPRDC.
            0x1030..0x1430 if offset & 0x30 == 0x30 => {
                let set = &mut self.queues[((offset - 0x1030) / 0x40) as usize];
                match offset & 0xf {
                    0 => std::mem::take(&mut set.received),
                    4 => set.received_octets.read_low(),
                    8 => set.received_octets.read_high(),
                    _ => return None,
                }
            }
            0x1430..0x1830 if offset & 0x3f == 0x30 => {
                std::mem::take(&mut self.queues[((offset - 0x1430) / 0x40) as usize].dropped)
            }
            0x6030..0x6430 if offset & 0x3f == 0x30 => {
                std::mem::take(&mut self.queues[((offset - 0x6030) / 0x40) as usize].sent)
            }
            0x8700..0x8780 => {
                let octets = &mut self.queues[((offset - 0x8700) / 8) as usize].sent_octets;
                if offset & 4 == 0 {
                    octets.read_low()
                } else {
                    octets.read_high()
                }
            }
            _ => return None,
        })
    }
}

/// The counter of a frame's size, which counts the check sequence; `smallest` is the first of six in a row.
fn bin(len: usize, smallest: Counter) -> Counter {
    use Counter::*;
    let received = [
        Received64,
        Received127,
        Received255,
        Received511,
        Received1023,
        Received1522,
    ];
    let sent = [Sent64, Sent127, Sent255, Sent511, Sent1023, Sent1522];
    let bins = if smallest == Received64 {
        received
    } else {
        sent
    };
    bins[match len + CHECK as usize {
        ..=64 => 0,
        65..=127 => 1,
        128..=255 => 2,
        256..=511 => 3,
        512..=1023 => 4,
        _ => 5,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::examples;

    #[test]
    fn reading_clears() {
        let mut statistics = Statistics::default();
        statistics.count(Counter::Missed);
        statistics.count(Counter::Missed);
        assert_eq!(statistics.read(0x3fa0), Some(2));
        assert_eq!(statistics.read(0x3fa0), Some(0));
        assert_eq!(statistics.read(0x3fa4), Some(0));
    }

    #[test]
    fn a_good_frame_is_counted_everywhere() {
        let mut statistics = Statistics::default();
        let mut frame = examples::udp4(60);
        frame[0] = 1;
        statistics.received_any(frame.len());
        statistics.received_good(&frame);
        statistics.queue_received(3, frame.len());
        for (offset, value) in [
            (0x40d0, 1),
            (0x40c0, 64),
            (0x40c4, 0),
            (0x405c, 1),
            (0x4060, 0),
            (0x4074, 1),
            (0x4088, 64),
            (0x407c, 1),
            (0x4078, 0),
            (0x10f0, 1),
            (0x10f4, 64),
            (0x1030, 0),
        ] {
            assert_eq!(statistics.read(offset), Some(value), "{offset:#x}");
        }
    }

    #[test]
    fn a_sent_frame_is_counted_everywhere() {
        let mut statistics = Statistics::default();
        let mut frame = examples::udp4(1514);
        frame[..6].fill(255);
        statistics.sent(&frame);
        statistics.queue_sent(1, frame.len());
        for (offset, value) in [
            (0x40d4, 1),
            (0x4080, 1),
            (0x4090, 1518),
            (0x40ec, 1),
            (0x40f4, 1),
            (0x40f0, 0),
            (0x6070, 1),
            (0x8708, 1518),
            (0x870c, 0),
        ] {
            assert_eq!(statistics.read(offset), Some(value), "{offset:#x}");
        }
    }

    #[test]
    fn thirty_six_bits() {
        let mut statistics = Statistics::default();
        statistics.good_sent.add(0x5_0000_0001);
        assert_eq!(statistics.read(0x4090), Some(1));
        statistics.good_sent.add(7);
        assert_eq!(statistics.read(0x4094), Some(5));
        assert_eq!(statistics.read(0x4090), Some(7));
        statistics.good_sent.add(u64::MAX >> 1);
        assert_eq!(statistics.read(0x4090), Some(u32::MAX));
        assert_eq!(statistics.read(0x4094), Some(15));
    }

    #[test]
    fn full_counters_stick() {
        let mut statistics = Statistics::default();
        statistics.small[((0x4000 - SMALL.0) / 4) as usize] = u32::MAX;
        statistics.received_damaged(Damage::Crc);
        assert_eq!(statistics.read(0x4000), Some(u32::MAX));
    }

    #[test]
    fn sizes() {
        for (len, offset) in [
            (60, 0x405c),
            (61, 0x4060),
            (123, 0x4060),
            (124, 0x4064),
            (508, 0x406c),
            (1019, 0x406c),
            (1020, 0x4070),
            (9000, 0x4070),
        ] {
            let mut statistics = Statistics::default();
            statistics.received_any(len);
            assert_eq!(statistics.read(offset), Some(1), "{len}");
        }
    }

    #[test]
    fn queues_map_to_sets() {
        let mapping = [0x0302_0100, 0x0000_0f04];
        assert_eq!(
            (0..6).map(|q| queue_set(&mapping, q)).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 15]
        );
        assert_eq!(queue_set(&mapping, 100), 0);
    }

    #[test]
    fn other_registers_are_not_statistics() {
        let mut statistics = Statistics::default();
        for offset in [
            0x1028, 0x103c, 0x1438, 0x4240, 0x42a4, 0x3f40, 0x8780, 0x6038, 0x4001,
        ] {
            assert_eq!(statistics.read(offset), None, "{offset:#x}");
        }
    }
}
