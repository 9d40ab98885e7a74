// SPDX-License-Identifier: BSD-2-Clause
//! Writing a capture file.

use core::fmt;
use pcap_file::pcap::PcapHeader;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::{DataLink, Endianness, PcapError, TsResolution};
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

/// Which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The old one, of microseconds, which every program reads.
    Pcap,
    /// The new one, of nanoseconds, with the interface's name and its counters.
    PcapNg,
}

/// Writes frames to a file.
pub struct Writer<W: Write> {
    file: File<W>,
    snaplen: usize,
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("snaplen", &self.snaplen)
            .finish_non_exhaustive()
    }
}

enum File<W: Write> {
    Pcap(W),
    PcapNg(PcapNgWriter<W>),
}

impl<W: Write> Writer<W> {
    /// Writes what is at the start of a file whose frames come from `interface`, at most `snaplen` octets of each.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn new(mut out: W, format: Format, snaplen: u32, interface: &str) -> io::Result<Writer<W>> {
        let file = match format {
            Format::Pcap => {
                let header = PcapHeader {
                    snaplen,
                    datalink: DataLink::ETHERNET,
                    ts_resolution: TsResolution::MicroSecond,
                    endianness: Endianness::native(),
                    ..PcapHeader::default()
                };
                header.write_to(&mut out).map_err(failed)?;
                File::Pcap(out)
            }
            Format::PcapNg => {
                let section = SectionHeaderBlock {
                    endianness: Endianness::native(),
                    options: vec![
                        SectionHeaderOption::OS(Cow::Borrowed("Linux")),
                        SectionHeaderOption::UserApplication(Cow::Borrowed(concat!(
                            "netmap ",
                            env!("CARGO_PKG_VERSION")
                        ))),
                    ],
                    ..SectionHeaderBlock::default()
                };
                let mut writer = PcapNgWriter::with_section_header(out, section).map_err(failed)?;
                let interface = InterfaceDescriptionBlock {
                    linktype: DataLink::ETHERNET,
                    snaplen,
                    options: vec![
                        InterfaceDescriptionOption::IfName(Cow::Borrowed(interface)),
                        InterfaceDescriptionOption::IfTsResol(9),
                    ],
                };
                writer.write_pcapng_block(interface).map_err(failed)?;
                File::PcapNg(writer)
            }
        };
        Ok(Writer {
            file,
            snaplen: snaplen as usize,
        })
    }

    /// Writes a frame that had `length` octets, of which `octets` are there, or what `snaplen` allows of them.
    ///
    /// # Errors
    ///
    /// Those of writing; `InvalidInput` for a time after the year 2106, which a pcap file has no room for.
    pub fn write(&mut self, time: Duration, length: u32, octets: &[u8]) -> io::Result<()> {
        let octets = &octets[..octets.len().min(self.snaplen)];
        match &mut self.file {
            File::Pcap(out) => {
                let seconds = u32::try_from(time.as_secs()).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidInput, "pcap files end in 2106")
                })?;
                // How many octets are there is bounded by `snaplen`, which has 32 bits.
                let header = [seconds, time.subsec_micros(), octets.len() as u32, length];
                out.write_all(header.map(u32::to_ne_bytes).as_flattened())?;
                out.write_all(octets)?;
            }
            File::PcapNg(writer) => {
                let packet = EnhancedPacketBlock {
                    interface_id: 0,
                    // In units of the interface, which are nanoseconds.
                    timestamp: time,
                    original_len: length,
                    data: Cow::Borrowed(octets),
                    options: Vec::new(),
                };
                writer.write_pcapng_block(packet).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Hands what was written over.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.file {
            File::Pcap(out) => out.flush(),
            File::PcapNg(writer) => writer.get_mut().flush(),
        }
    }

    /// Writes what ends a file: how many frames the interface had until `time`, and how many it dropped.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn finish(mut self, time: Duration, received: u64, dropped: u64) -> io::Result<()> {
        if let File::PcapNg(writer) = &mut self.file {
            let nanoseconds = time.as_nanos() as u64;
            let block = InterfaceStatisticsBlock {
                interface_id: 0,
                // The upper half comes first, in either order of octets; the crate writes one number.
                timestamp: match Endianness::native() {
                    Endianness::Big => nanoseconds,
                    Endianness::Little => nanoseconds.rotate_left(32),
                },
                options: vec![
                    InterfaceStatisticsOption::IsbIfRecv(received),
                    InterfaceStatisticsOption::IsbIfDrop(dropped),
                ],
            };
            writer.write_pcapng_block(block).map_err(failed)?;
        }
        self.flush()
    }
}

/// What the crate reports as an error of writing.
fn failed(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pcap_file_has() {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, Format::Pcap, 64, "eth0").unwrap();
        writer
            .write(Duration::new(9, 8_000), 100, &[5; 100])
            .unwrap();
        writer.finish(Duration::ZERO, 1, 0).unwrap();
        let word = |at: usize| u32::from_ne_bytes(octets[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(16), word(20)), (0xa1b2_c3d4, 64, 1));
        assert_eq!((word(24), word(28), word(32), word(36)), (9, 8, 64, 100));
        assert_eq!(octets[40..], [5; 64]);
    }

    #[test]
    fn what_a_pcapng_file_has() {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, Format::PcapNg, 64, "vale0:a").unwrap();
        writer.write(Duration::new(9, 8), 3, &[5; 3]).unwrap();
        writer.finish(Duration::new(0, 77), 11, 22).unwrap();
        // Each block has its length at its start and at its end.
        let word = |at: usize| u32::from_ne_bytes(octets[at..at + 4].try_into().unwrap());
        let (mut at, mut kinds) = (0, Vec::new());
        while at < octets.len() {
            let length = word(at + 4) as usize;
            assert_eq!(word(at + length - 4) as usize, length);
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 5]);
        assert!(octets.windows(7).any(|name| name == b"vale0:a"));
        // Of the last block: interface, time, the two counters with their headers, the end of options, the length.
        let last = octets.len() - 4 - 4 - 2 * 12 - 12;
        assert_eq!((word(last), word(last + 4), word(last + 8)), (0, 0, 77));
        assert_eq!((word(last + 16), word(last + 28)), (11, 22));
    }

    #[test]
    fn a_time_that_pcap_has_no_room_for() {
        let mut writer = Writer::new(Vec::new(), Format::Pcap, 64, "eth0").unwrap();
        let late = Duration::from_secs(1 << 32);
        assert_eq!(
            writer.write(late, 1, &[0]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
