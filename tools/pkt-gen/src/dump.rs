// SPDX-License-Identifier: BSD-2-Clause
//! Packets in hexadecimal.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicBool, Ordering};

/// Octets per line.
const WIDTH: usize = 16;

/// Set once packets could not be printed, though there is a reader.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Prints a packet to standard output. If nobody reads it any more, or it cannot be written, the program is to end.
pub fn print(packet: &[u8], stop: &AtomicBool) {
    match cli::print_to_reader(&text(packet)) {
        Ok(true) => {}
        Ok(false) => stop.store(true, Ordering::Relaxed),
        Err(reason) => {
            stop.store(true, Ordering::Relaxed);
            if !FAILED.swap(true, Ordering::Relaxed) {
                cli::tell(format_args!("nm-pkt-gen: {reason}"));
            }
        }
    }
}

/// Whether packets could not be printed, which has been said.
pub fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

fn text(packet: &[u8]) -> String {
    let mut text = format!("{} octets\n", packet.len());
    for (line, octets) in packet.chunks(WIDTH).enumerate() {
        let hex: String = octets.iter().fold(String::new(), |mut hex, octet| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{octet:02x} ");
            hex
        });
        let printable = |&octet: &u8| {
            if octet.is_ascii_graphic() {
                char::from(octet)
            } else {
                '.'
            }
        };
        let letters: String = octets.iter().map(printable).collect();
        let _ = writeln!(
            text,
            "{:5}: {hex:<width$}{letters}",
            line * WIDTH,
            width = 3 * WIDTH
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_aligned() {
        let text = super::text(b"netmap has 17 oct");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "17 octets");
        assert_eq!(
            lines[1],
            "    0: 6e 65 74 6d 61 70 20 68 61 73 20 31 37 20 6f 63 netmap.has.17.oc"
        );
        assert_eq!(lines[2].find('t'), lines[1].find('n'));
    }
}
