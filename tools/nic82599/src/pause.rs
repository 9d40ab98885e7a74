// SPDX-License-Identifier: BSD-2-Clause
//! Link flow control by PAUSE frames (IEEE 802.3, annex 31B).

/// The group address of MAC control frames.
pub const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x01];
/// EtherType of MAC control frames.
pub const MAC_CONTROL: u16 = 0x8808;

/// Bits of the registers.
mod bits {
    /// FCCFG: PAUSE frames are sent.
    pub const TFCE: u32 = 1 << 3;
    /// FCRTH: the high mark is in force.
    pub const FCEN: u32 = 1 << 31;
    /// FCRTL: an XON is sent at the low mark.
    pub const XONE: u32 = 1 << 31;
    /// MFLCN: MAC control frames other than PAUSE are passed to the host.
    pub const PMCF: u32 = 1 << 0;
    /// MFLCN: PAUSE frames are not passed to the host.
    pub const DPF: u32 = 1 << 1;
    /// MFLCN: received PAUSE frames are obeyed.
    pub const RFCE: u32 = 1 << 3;
    /// Marks are in octets, in units of 32.
    pub const MARK: u32 = 0x7ffe0;
}

/// Duration of `quanta` of 512 bit times at `bits_per_second`, in nanoseconds.
pub fn duration(quanta: u16, bits_per_second: u64) -> u64 {
    (u64::from(quanta) * 512 * 1_000_000_000).div_ceil(bits_per_second.max(1))
}

/// Makes the PAUSE frame of a station; 0 quanta is an XON.
///
/// Source: IEEE 802.3, annex 31B; ixgbe_common.c: ixgbe_fc_enable_generic (the quanta are FCTTV's).
pub fn build(station: [u8; 6], quanta: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend_from_slice(&GROUP);
    frame.extend_from_slice(&station);
    frame.extend_from_slice(&MAC_CONTROL.to_be_bytes());
    frame.extend_from_slice(&[0, 1]);
    frame.extend_from_slice(&quanta.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// What the MAC does with a frame before the filters see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// The quanta of a PAUSE frame that is obeyed: stop sending for so long, or go on if 0.
    pub pause: Option<u16>,
    /// Whether the frame goes on to the filters.
    pub pass: bool,
}

/// Looks at a frame from the wire; `station` is the port's own address.
///
/// Source: datasheet section 3.7.7.3; ixgbe_type.h: `IXGBE_MFLCN_*`.
pub fn receive(frame: &[u8], station: [u8; 6], mflcn: u32) -> Reception {
    let is_control = frame.len() >= 18 && frame[12..14] == MAC_CONTROL.to_be_bytes();
    if !is_control {
        return Reception {
            pause: None,
            pass: true,
        };
    }
    let is_pause = frame[14..16] == [0, 1] && (frame[..6] == GROUP || frame[..6] == station);
    if !is_pause {
        return Reception {
            pause: None,
            pass: mflcn & bits::PMCF != 0,
        };
    }
    let obeyed = mflcn & bits::RFCE != 0;
    Reception {
        pause: obeyed.then(|| u16::from_be_bytes([frame[16], frame[17]])),
        pass: mflcn & bits::DPF == 0,
    }
}

/// What to send because of the packet buffer's filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop.
    Xoff,
    /// Go on.
    Xon,
}

/// The registers of the sending side.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks {
    /// FCCFG.
    pub fccfg: u32,
    /// FCRTH of the packet buffer.
    pub high: u32,
    /// FCRTL of the packet buffer.
    pub low: u32,
    /// FCTTV: the quanta of an XOFF.
    pub quanta: u16,
    /// FCRTV: an XOFF is repeated when so many quanta are left.
    pub refresh: u16,
}

impl Marks {
    /// Whether PAUSE frames are sent at all.
    pub fn in_force(&self) -> bool {
        self.fccfg & bits::TFCE != 0 && self.high & bits::FCEN != 0
    }
}

/// The sending side: XOFF above the high mark, repeated before it expires, and XON below the low mark.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender {
    /// When the last XOFF must be repeated, in nanoseconds; `None` while the peer may send.
    repeat_at: Option<u64>,
}

impl Sender {
    /// What to send when the packet buffer holds `used` octets at time `now` (ns), at the link's bit rate.
    ///
    /// Source: datasheet section 3.7.7.3.5 and 8.2.3.3 (FCRTV, FCRTL.XONE); ixgbe_common.c: ixgbe_fc_enable_generic.
    pub fn poll(
        &mut self,
        used: usize,
        marks: &Marks,
        now: u64,
        bits_per_second: u64,
    ) -> Option<Signal> {
        if !marks.in_force() {
            self.repeat_at = None;
            return None;
        }
        let due = match self.repeat_at {
            None => used >= (marks.high & bits::MARK) as usize,
            Some(_) if used <= (marks.low & bits::MARK) as usize => {
                self.repeat_at = None;
                return (marks.low & bits::XONE != 0).then_some(Signal::Xon);
            }
            Some(at) => now >= at,
        };
        due.then(|| {
            let left = marks.quanta.saturating_sub(marks.refresh).max(1);
            self.repeat_at = Some(now + duration(left, bits_per_second));
            Signal::Xoff
        })
    }

    /// When [`Sender::poll`] must be called again although nothing happened.
    pub fn next_poll(&self) -> Option<u64> {
        self.repeat_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const RATE: u64 = 10_000_000_000;

    fn marks() -> Marks {
        Marks {
            fccfg: bits::TFCE,
            high: bits::FCEN | 0x10000,
            low: bits::XONE | 0x4000,
            quanta: 0xffff,
            refresh: 0x7fff,
        }
    }

    #[test]
    fn built_frames_are_obeyed_and_kept() {
        let reception = receive(&build(STATION, 0x1234), [2; 6], bits::RFCE | bits::DPF);
        assert_eq!((reception.pause, reception.pass), (Some(0x1234), false));
        let reception = receive(&build(STATION, 0), [2; 6], bits::RFCE);
        assert_eq!((reception.pause, reception.pass), (Some(0), true));
        let reception = receive(&build(STATION, 9), [2; 6], bits::DPF);
        assert_eq!((reception.pause, reception.pass), (None, false));
    }

    #[test]
    fn others_stations_and_other_control_frames() {
        let mut frame = build(STATION, 9);
        frame[..6].copy_from_slice(&[2; 6]);
        assert_eq!(receive(&frame, [2; 6], bits::RFCE).pause, Some(9));
        assert_eq!(receive(&frame, STATION, bits::RFCE).pause, None);
        let mut frame = build(STATION, 9);
        frame[15] = 2;
        assert!(!receive(&frame, STATION, bits::RFCE).pass);
        assert!(receive(&frame, STATION, bits::PMCF).pass);
        assert!(receive(&crate::packet::examples::udp4(60), STATION, 0).pass);
    }

    #[test]
    fn quanta_are_512_bit_times() {
        assert_eq!(duration(1, RATE), 52);
        assert_eq!(duration(0xffff, RATE), 3_355_392);
    }

    #[test]
    fn off_above_the_high_mark_on_below_the_low() {
        let mut sender = Sender::default();
        assert_eq!(sender.poll(0xffff, &marks(), 0, RATE), None);
        assert_eq!(sender.poll(0x10000, &marks(), 0, RATE), Some(Signal::Xoff));
        assert_eq!(sender.poll(0x20000, &marks(), 1000, RATE), None);
        assert_eq!(sender.poll(0x4001, &marks(), 2000, RATE), None);
        assert_eq!(sender.poll(0x4000, &marks(), 3000, RATE), Some(Signal::Xon));
        assert_eq!(sender.poll(0x4000, &marks(), 4000, RATE), None);
    }

    #[test]
    fn off_is_repeated_before_it_expires() {
        let mut sender = Sender::default();
        sender.poll(0x10000, &marks(), 0, RATE);
        let at = sender.next_poll().unwrap();
        assert_eq!(at, duration(0x8000, RATE));
        assert_eq!(sender.poll(0x10000, &marks(), at - 1, RATE), None);
        assert_eq!(sender.poll(0x10000, &marks(), at, RATE), Some(Signal::Xoff));
    }

    #[test]
    fn nothing_when_off() {
        let mut sender = Sender::default();
        for marks in [
            Marks {
                fccfg: 0,
                ..marks()
            },
            Marks {
                high: 0x10000,
                ..marks()
            },
        ] {
            assert_eq!(sender.poll(0x80000, &marks, 0, RATE), None);
        }
    }
}
