// SPDX-License-Identifier: BSD-2-Clause
//! Reading a capture file.

use core::fmt;
use core::ops::Range;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};
use std::io::{self, Read};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// All frames of a file, in memory.
#[derive(Debug, Default)]
pub struct Capture {
    octets: Vec<u8>,
    frames: Vec<Entry>,
    /// How many frames are shorter in the file than they were on the wire.
    pub shortened: u64,
    /// How many are left out because nothing of them is in the file.
    pub empty: u64,
}

#[derive(Debug)]
struct Entry {
    time: u64,
    octets: Range<usize>,
}

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'c> {
    /// When it was captured, in nanoseconds since 1970.
    pub time: u64,
    /// What is there of it.
    pub octets: &'c [u8],
}

/// Why a file cannot be read; in words, as a part of a line.
#[derive(Debug)]
pub enum ReadError {
    /// Reading failed.
    Io(io::Error),
    /// There is nothing in it.
    Empty,
    /// It is no capture file.
    Unknown,
    /// It is compressed by the program of this name.
    Compressed(&'static str),
    /// It ends in the middle of a frame, after so many whole ones.
    Truncated(usize),
    /// Something in it is not as it must be, after so many frames.
    Damaged(usize, String),
    /// Its frames are not Ethernet's.
    NotEthernet(u32),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => write!(f, "{error}"),
            ReadError::Empty => f.write_str("the file is empty"),
            ReadError::Unknown => f.write_str("this is neither a pcap nor a pcapng file"),
            ReadError::Compressed(program) => {
                write!(f, "the file is compressed: {program} -dc FILE | ... -f -")
            }
            ReadError::Truncated(whole) => write!(
                f,
                "the file is truncated: it ends in the middle of what follows frame {whole}"
            ),
            ReadError::Damaged(whole, what) => {
                write!(f, "the file is damaged after frame {whole}: {what}")
            }
            ReadError::NotEthernet(link) => write!(
                f,
                "its frames are of link type {link}, and not Ethernet's (1)"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

impl Capture {
    /// Reads a whole file of either format, whatever its order of octets.
    ///
    /// # Errors
    ///
    /// [`ReadError`]. A file that ends too early or is damaged is refused as a whole.
    pub fn read(mut file: impl Read) -> Result<Capture, ReadError> {
        let mut start = [0; 4];
        let mut length = 0;
        while length < start.len() {
            match file.read(&mut start[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        let whole = start[..length].chain(file);
        match start {
            _ if length == 0 => Err(ReadError::Empty),
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1] => Capture::read_pcap(whole),
            [0x0a, 0x0d, 0x0d, 0x0a] => Capture::read_pcapng(whole),
            [0x1f, 0x8b, ..] => Err(ReadError::Compressed("gzip")),
            [0x28, 0xb5, 0x2f, 0xfd] => Err(ReadError::Compressed("zstd")),
            [0xfd, b'7', b'z', b'X'] => Err(ReadError::Compressed("xz")),
            _ => Err(ReadError::Unknown),
        }
    }

    fn read_pcap(file: impl Read) -> Result<Capture, ReadError> {
        let mut capture = Capture::default();
        let mut reader = PcapReader::new(file).map_err(|error| capture.failed(error))?;
        let header = reader.header();
        // The upper bits say something of check sequences.
        let link = u32::from(header.datalink) & 0xffff;
        if DataLink::from(link) != DataLink::ETHERNET {
            return Err(ReadError::NotEthernet(link));
        }
        let unit = match header.ts_resolution {
            TsResolution::MicroSecond => 1000,
            TsResolution::NanoSecond => 1,
        };
        // The raw ones: a whole one may not have been longer on the wire than the file says its frames are here, which they are
        // allowed to.
        while let Some(packet) = reader.next_raw_packet() {
            let packet = match packet {
                Ok(packet) => packet,
                Err(error) => return Err(capture.failed(error)),
            };
            let fraction = u64::from(packet.ts_frac) * unit;
            if fraction >= SECOND {
                return Err(capture.damaged("a fraction of a second is a second or more"));
            }
            capture.add(
                u64::from(packet.ts_sec) * SECOND + fraction,
                packet.orig_len,
                &packet.data,
            );
        }
        Ok(capture)
    }

    fn read_pcapng(file: impl Read) -> Result<Capture, ReadError> {
        let mut capture = Capture::default();
        let mut reader = PcapNgReader::new(file).map_err(|error| capture.failed(error))?;
        let mut clocks: Vec<Clock> = Vec::new();
        let mut endianness = reader.section().endianness;
        let mut last = 0;
        while let Some(block) = reader.next_block() {
            let block = match block {
                Ok(block) => block,
                Err(error) => return Err(capture.failed(error)),
            };
            let (interface, units, length, data) = match &block {
                Block::SectionHeader(section) => {
                    endianness = section.endianness;
                    clocks.clear();
                    continue;
                }
                Block::InterfaceDescription(interface) => {
                    let link = u32::from(interface.linktype);
                    if interface.linktype != DataLink::ETHERNET {
                        return Err(ReadError::NotEthernet(link));
                    }
                    match Clock::of(interface) {
                        Some(clock) => clocks.push(clock),
                        None => {
                            return Err(capture
                                .damaged("an interface has an impossible resolution of time"))
                        }
                    }
                    continue;
                }
                // The crate takes the units of time for nanoseconds, whatever they are.
                Block::EnhancedPacket(packet) => {
                    let units = packet.timestamp.as_nanos() as u64;
                    (
                        packet.interface_id as usize,
                        Some(units),
                        packet.original_len,
                        &packet.data,
                    )
                }
                // The crate reads the two halves of the time as one number, in the order of octets of the section.
                Block::Packet(packet) => {
                    let units = match endianness {
                        Endianness::Big => packet.timestamp,
                        Endianness::Little => packet.timestamp.rotate_left(32),
                    };
                    (
                        usize::from(packet.interface_id),
                        Some(units),
                        packet.original_len,
                        &packet.data,
                    )
                }
                Block::SimplePacket(packet) => (0, None, packet.original_len, &packet.data),
                _ => continue,
            };
            let Some(clock) = clocks.get(interface) else {
                return Err(capture.damaged("a frame is of an interface that is not described"));
            };
            last = units.map_or(last, |units| clock.nanoseconds(units));
            capture.add(last, length, data);
        }
        Ok(capture)
    }

    fn add(&mut self, time: u64, length: u32, data: &[u8]) {
        if data.is_empty() {
            self.empty += 1;
            return;
        }
        self.shortened += u64::from(data.len() < length as usize);
        let start = self.octets.len();
        self.octets.extend_from_slice(data);
        self.frames.push(Entry {
            time,
            octets: start..self.octets.len(),
        });
    }

    fn damaged(&self, what: &str) -> ReadError {
        ReadError::Damaged(self.frames.len(), what.to_owned())
    }

    /// What an error of the crate means for a file.
    fn failed(&self, error: PcapError) -> ReadError {
        match error {
            PcapError::IncompleteBuffer => ReadError::Truncated(self.frames.len()),
            PcapError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                ReadError::Truncated(self.frames.len())
            }
            PcapError::IoError(error) => ReadError::Io(error),
            other => ReadError::Damaged(self.frames.len(), other.to_string()),
        }
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames, in the order of the file.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> + '_ {
        (0..self.len()).filter_map(|number| self.frame(number))
    }

    /// The frame of this number, from 0.
    pub fn frame(&self, number: usize) -> Option<Frame<'_>> {
        let entry = self.frames.get(number)?;
        Some(Frame {
            time: entry.time,
            octets: self.octets.get(entry.octets.clone())?,
        })
    }
}

/// How an interface counts time.
struct Clock {
    /// Units of a second.
    units: u64,
    /// Seconds to add.
    offset: u64,
}

impl Clock {
    /// By the options of an interface; microseconds if there are none. `None` if they are impossible.
    fn of(interface: &InterfaceDescriptionBlock<'_>) -> Option<Clock> {
        let mut clock = Clock {
            units: 1_000_000,
            offset: 0,
        };
        for option in &interface.options {
            match option {
                InterfaceDescriptionOption::IfTsResol(power) => {
                    let exponent = u32::from(power & 0x7f);
                    clock.units = match power & 0x80 {
                        0 => 10u64.checked_pow(exponent)?,
                        _ => 2u64.checked_pow(exponent)?,
                    };
                }
                InterfaceDescriptionOption::IfTsOffset(seconds) => clock.offset = *seconds,
                _ => {}
            }
        }
        Some(clock)
    }

    fn nanoseconds(&self, units: u64) -> u64 {
        let fraction = u128::from(units % self.units) * u128::from(SECOND) / u128::from(self.units);
        // Less than a second, as the remainder is less than what a second has.
        (units / self.units)
            .wrapping_add(self.offset)
            .saturating_mul(SECOND)
            .saturating_add(fraction as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::{Format, Writer};
    use proptest::prelude::*;
    use std::time::Duration;

    const TIME: Duration = Duration::new(1_600_000_000, 123_456_000);

    fn file(format: Format, frames: u8) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, format, 65_535, "vale0:a").unwrap();
        for number in 0..frames {
            let time = TIME + Duration::from_micros(u64::from(number) * 7);
            writer.write(time, 61, &[number; 61]).unwrap();
        }
        writer.finish(TIME, u64::from(frames), 0).unwrap();
        octets
    }

    #[test]
    fn what_was_written() {
        for format in [Format::Pcap, Format::PcapNg] {
            let capture = Capture::read(&file(format, 3)[..]).unwrap();
            let frames: Vec<_> = capture
                .frames()
                .map(|frame| (frame.time, frame.octets.to_vec()))
                .collect();
            let at = |micros: u64| TIME.as_nanos() as u64 + micros * 1000;
            assert_eq!(
                frames,
                [
                    (at(0), vec![0; 61]),
                    (at(7), vec![1; 61]),
                    (at(14), vec![2; 61])
                ],
                "{format:?}"
            );
            assert_eq!((capture.len(), capture.shortened, capture.empty), (3, 0, 0));
        }
    }

    #[test]
    fn a_frame_that_was_cut_and_one_of_nothing() {
        for format in [Format::Pcap, Format::PcapNg] {
            let mut octets = Vec::new();
            let mut writer = Writer::new(&mut octets, format, 20, "eth0").unwrap();
            writer.write(TIME, 1500, &[7; 1500]).unwrap();
            writer.write(TIME, 60, &[]).unwrap();
            writer.finish(TIME, 1, 0).unwrap();
            let capture = Capture::read(&octets[..]).unwrap();
            assert_eq!(capture.frame(0).unwrap().octets, [7; 20]);
            assert_eq!(
                (capture.len(), capture.shortened, capture.empty),
                (1, 1, 1),
                "{format:?}"
            );
        }
    }

    #[test]
    fn the_other_order_of_octets_and_nanoseconds() {
        let mut octets = Vec::new();
        octets.extend(0xa1b2_3c4d_u32.to_be_bytes());
        octets.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 1]);
        for word in [5u32, 6, 2, 2] {
            octets.extend(word.to_be_bytes());
        }
        octets.extend([1, 2]);
        let capture = Capture::read(&octets[..]).unwrap();
        assert_eq!(
            capture.frame(0),
            Some(Frame {
                time: 5 * SECOND + 6,
                octets: &[1, 2]
            })
        );
    }

    #[test]
    fn a_cut_anywhere_is_told() {
        for format in [Format::Pcap, Format::PcapNg] {
            let whole = file(format, 2);
            let mut told = 0;
            for length in 0..whole.len() {
                match Capture::read(&whole[..length]) {
                    // Between two records there is nothing to tell.
                    Ok(capture) => assert!(capture.len() <= 2),
                    Err(ReadError::Empty) => assert_eq!(length, 0),
                    Err(ReadError::Unknown) => assert!(length < 4),
                    Err(ReadError::Truncated(frames)) => {
                        assert!(frames <= 2);
                        told += 1;
                    }
                    Err(other) => panic!("{length}: {other}"),
                }
            }
            assert!(told > 150, "{format:?}: {told}");
        }
    }

    #[test]
    fn other_files() {
        let read = |octets: &[u8]| Capture::read(octets).unwrap_err().to_string();
        assert!(read(b"").contains("empty"));
        assert!(read(b"#!/bin/sh\n").contains("neither"));
        assert!(read(&[0x1f, 0x8b, 8, 0, 0]).contains("gzip"));
        let mut raw_ip = file(Format::Pcap, 1);
        raw_ip[20] = 101;
        assert!(read(&raw_ip).contains("link type 101"));
    }

    #[test]
    fn clocks() {
        let clock = |options| {
            Clock::of(&InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: 0,
                options,
            })
        };
        let resolution = |power| clock(vec![InterfaceDescriptionOption::IfTsResol(power)]);
        assert_eq!(
            clock(vec![]).unwrap().nanoseconds(3_000_001),
            3 * SECOND + 1000
        );
        assert_eq!(resolution(9).unwrap().nanoseconds(7), 7);
        assert_eq!(
            resolution(0x81).unwrap().nanoseconds(3),
            SECOND + SECOND / 2
        );
        assert_eq!(resolution(0).unwrap().nanoseconds(u64::MAX), u64::MAX);
        assert!(resolution(20).is_none() && resolution(0xff).is_none());
        let offset = clock(vec![InterfaceDescriptionOption::IfTsOffset(5)]).unwrap();
        assert_eq!(offset.nanoseconds(0), 5 * SECOND);
    }

    proptest! {
        /// Octets that were changed anywhere make an error or other frames, and no panic.
        #[test]
        fn damage_is_no_panic(
            is_pcapng: bool,
            places in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let format = if is_pcapng { Format::PcapNg } else { Format::Pcap };
            let mut octets = file(format, 3);
            for (at, octet) in places {
                let at = at.index(octets.len());
                octets[at] = octet;
            }
            if let Ok(capture) = Capture::read(&octets[..]) {
                prop_assert!(capture.frames().count() == capture.len());
            }
        }
    }
}
