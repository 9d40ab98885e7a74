// SPDX-License-Identifier: BSD-2-Clause
//! What a test can put at the far end of a port's wire: a traffic source and a sink.

use crate::control::{Check, Generate};
use crate::pause;
use crate::traffic::{Checker, Generator};

/// Bits a second that the quanta of a PAUSE frame are counted in.
const RATE: u64 = 10_000_000_000;
/// The address of this end, which no PAUSE frame is sent to: they go to the group.
const STATION: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
/// MFLCN as a station has it that obeys PAUSE frames (RFCE).
const OBEYS: u32 = 1 << 3;

/// The far end of one port's wire. Times are nanoseconds of the model's clock.
#[derive(Debug, Default)]
pub struct FarEnd {
    generator: Option<Generator>,
    checker: Option<Checker>,
    /// Until when the port has told the source to be silent.
    silent_until: u64,
    taken: u64,
    taken_octets: u64,
    xoffs: u64,
    xons: u64,
}

impl FarEnd {
    /// An end where nothing is.
    pub fn new() -> Self {
        FarEnd::default()
    }

    /// Takes a frame that the port has sent.
    ///
    /// A PAUSE frame silences the source, as that of a station that obeys it.
    pub fn take(&mut self, frame: &[u8], now: u64) {
        self.taken += 1;
        self.taken_octets += frame.len() as u64 + 4;
        let reception = pause::receive(frame, STATION, OBEYS);
        if let Some(quanta) = reception.pause {
            match quanta {
                0 => self.xons += 1,
                _ => self.xoffs += 1,
            }
            self.silent_until = now + pause::duration(quanta, RATE);
        } else if let Some(checker) = &mut self.checker {
            checker.take(frame);
        }
    }

    /// The next frame of the source, if one is due and the port has not asked for silence.
    pub fn next(&mut self, now: u64) -> Option<Vec<u8>> {
        if now < self.silent_until {
            return None;
        }
        self.generator.as_mut()?.next(now)
    }

    /// When the source has its next frame.
    pub fn next_due(&self) -> Option<u64> {
        let due = self.generator.as_ref()?.due()?;
        Some(due.max(self.silent_until))
    }

    /// Whether the source has frames left to send.
    pub fn is_generating(&self) -> bool {
        self.generator
            .as_ref()
            .is_some_and(|generator| generator.due().is_some())
    }

    /// Carries out a command for the source of a port with the address `station`; [`Generate::Wait`] is the caller's.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn generate(
        &mut self,
        command: Generate,
        station: [u8; 6],
        now: u64,
    ) -> Result<String, String> {
        match command {
            Generate::Start(plan) => {
                self.silent_until = 0;
                self.generator = Some(Generator::new(plan, station, now));
                Ok(String::new())
            }
            Generate::Stop => {
                let sent = self.sent();
                self.generator = None;
                Ok(format!("sent {sent}"))
            }
            Generate::Wait { .. } | Generate::Report => Ok(format!("sent {}", self.sent())),
        }
    }

    fn sent(&self) -> u64 {
        self.generator.as_ref().map_or(0, Generator::sent)
    }

    /// Carries out a command for the sink.
    ///
    /// # Errors
    ///
    /// There is none to report of.
    pub fn check(&mut self, command: Check) -> Result<String, String> {
        match command {
            Check::Start => {
                self.checker = Some(Checker::new());
                Ok(String::new())
            }
            Check::Stop | Check::Report => {
                let report = self.checker.as_ref().map(ToString::to_string);
                if command == Check::Stop {
                    self.checker = None;
                }
                report.ok_or_else(|| "nothing is checked".into())
            }
        }
    }

    /// What came here: names and numbers, a line each.
    pub fn report(&self) -> String {
        format!(
            "tx_frames {}\ntx_octets {}\ntx_xoff {}\ntx_xon {}\n",
            self.taken, self.taken_octets, self.xoffs, self.xons
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Command, Request};
    use clap::Parser;

    fn start(far_end: &mut FarEnd, options: &str) {
        let line = format!("0 generate start {options}");
        let request = Request::parse_from(line.split_whitespace());
        let Command::Generate(command) = request.command else {
            panic!("{line}");
        };
        far_end.generate(command, [2; 6], 0).unwrap();
    }

    #[test]
    fn source_and_sink_agree() {
        let mut far_end = FarEnd::new();
        assert!(far_end.check(Check::Report).is_err());
        far_end.check(Check::Start).unwrap();
        start(&mut far_end, "--count 5 --rate 1000");
        assert!(far_end.is_generating());
        while let Some(due) = far_end.next_due() {
            let frame = far_end.next(due).unwrap();
            far_end.take(&frame, due);
        }
        assert!(!far_end.is_generating());
        assert!(far_end
            .check(Check::Stop)
            .unwrap()
            .starts_with("stream 1 unique 5 lost 0 "));
        assert_eq!(
            far_end.generate(Generate::Stop, [2; 6], 0).unwrap(),
            "sent 5"
        );
        assert_eq!(
            far_end.report(),
            "tx_frames 5\ntx_octets 320\ntx_xoff 0\ntx_xon 0\n"
        );
    }

    #[test]
    fn a_pause_frame_silences_the_source() {
        let mut far_end = FarEnd::new();
        start(&mut far_end, "");
        assert!(far_end.next(0).is_some());
        far_end.take(&pause::build([2; 6], 1000), 0);
        assert_eq!(far_end.next_due(), Some(51_200));
        assert!(far_end.next(51_199).is_none());
        assert!(far_end.next(51_200).is_some());
        far_end.take(&pause::build([2; 6], 1000), 60_000);
        far_end.take(&pause::build([2; 6], 0), 60_001);
        assert!(far_end.next(60_001).is_some());
    }
}
