// SPDX-License-Identifier: BSD-2-Clause
//! `nm-bridge`: carries frames between two netmap ports, both ways, such as an interface and its own host stack.
//!
//! Ports that share a memory region, as those of one machine do if nobody says otherwise, exchange buffers, and no frame is
//! copied.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;

use args::{Args, Ends};
use core::sync::atomic::{AtomicBool, Ordering};
use netmap::abi::{NETMAP_MAX_FRAGS, NS_MOREFRAG};
use netmap::{Options, Port, PortSpec, RxRing, TxRing};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// A signal may come just before `poll`: how long it sleeps at most.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// How long to wait where there is room, but not enough for the next frame, which nobody tells.
const PAUSE: Duration = Duration::from_millis(1);

/// Time between two reports.
const REPORT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            cli::tell(format_args!("nm-bridge: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Carries frames until a signal comes, or a port is lost, and says how many slots went either way.
fn run(args: &Args) -> Result<(), String> {
    let ends = args.ends()?;
    let stop = cli::stop_on_signals()?;
    let mut bridge = match &ends {
        Ends::Two(one, other) => Bridge::new(args, vec![open(one)?, open(other)?])?,
        Ends::Loop(port) => Bridge::new(args, vec![open(port)?])?,
    };
    cli::wait_for_link(args.wait_link(), &stop);
    let result = bridge.run(&stop);
    let [forth, back] = bridge.carried;
    let dropped = bridge.dropped;
    cli::tell(format_args!(
        "nm-bridge: {forth} slots forth, {back} back{}",
        match dropped {
            0 => String::new(),
            _ => format!("; {dropped} slots dropped, of frames that have too many"),
        }
    ));
    if args.json {
        let names: Vec<_> = bridge
            .ports
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        let json = serde_json::json!({ "ports": names, "slots_forth": forth, "slots_back": back, "slots_dropped": dropped });
        cli::print(&format!("{json}\n"))?;
    }
    result
}

fn open(spec: &PortSpec) -> Result<(PortSpec, Port), String> {
    let port = Port::open(spec, &Options::default()).map_err(|error| cli::open_failure(&error))?;
    Ok((spec.clone(), port))
}

/// What is joined.
struct Bridge {
    /// One port, with itself, or two.
    ports: Vec<(PortSpec, Port)>,
    burst: u32,
    copy: bool,
    verbose: bool,
    /// Slots carried from the first port on, and back.
    carried: [u64; 2],
    /// Slots of frames that have more than frames have, or than the ring that they are for.
    dropped: u64,
    /// The receive rings of each port, by number, at whose head is the rest of a frame that was dropped.
    in_dropped: [Vec<bool>; 2],
}

impl Bridge {
    /// Checks that each port has rings of both directions, and that frames fit.
    fn new(args: &Args, mut ports: Vec<(PortSpec, Port)>) -> Result<Bridge, String> {
        for (name, port) in &mut ports {
            let (_, tx, rx) = port.split();
            let missing = match (tx, rx) {
                ([], _) => "transmit ring; leave out /R",
                (_, []) => "receive ring; leave out /T",
                _ => continue,
            };
            return Err(format!("{name}: the port has no {missing}"));
        }
        if let [(first, one), (second, other)] = &mut ports[..] {
            check_fit(second, one, other)?;
            check_fit(first, other, one)?;
        }
        Ok(Bridge {
            ports,
            burst: args.burst.unwrap_or(u32::MAX),
            copy: args.copy,
            verbose: args.verbose > 0,
            carried: [0; 2],
            dropped: 0,
            in_dropped: Default::default(),
        })
    }

    /// Carries frames until the program is to stop, and gives back what it has.
    fn run(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let result = self.carry_until(stop);
        // What was handed over last leaves with the first. The slots that were read last are given back by the second, for who opens
        // the end of a pipe next would get them again; of a port that is gone there is nothing to give back.
        let sent = self.ports.iter().map(|(name, port)| {
            let sent = port.sync_tx().map_err(|error| lost(name, &error));
            let _ = port.sync_rx();
            sent
        });
        // All of them, also where one fails.
        let sent: Vec<_> = sent.collect();
        result.and(sent.into_iter().collect())
    }

    fn carry_until(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let (mut before, mut due) = (self.carried, Instant::now() + REPORT);
        while !stop.load(Ordering::Relaxed) {
            self.wait()?;
            if !self.carry() && self.has_frames().contains(&true) {
                std::thread::sleep(PAUSE);
                // The rest of it may have come.
                for (name, port) in &self.ports {
                    port.sync_rx().map_err(|error| lost(name, &error))?;
                }
            }
            if self.verbose && Instant::now() >= due {
                let [forth, back] = [0, 1].map(|way: usize| self.carried[way] - before[way]);
                cli::tell(format_args!(
                    "{forth} slots forth, {back} back in the last second"
                ));
                (before, due) = (self.carried, Instant::now() + REPORT);
            }
        }
        Ok(())
    }

    /// Sleeps until there is something to carry, and room for it; what was handed over is sent on the way.
    fn wait(&mut self) -> Result<(), String> {
        let count = self.ports.len();
        // Who still has frames waits for the other's room, and not for more of them.
        let waiting = self.has_frames();
        let events = |at: usize| {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, !waiting[at]);
            events.set(PollFlags::OUT, waiting[count - 1 - at]);
            events
        };
        let mut files: Vec<_> = (0..)
            .zip(&self.ports)
            .map(|(at, (_, port))| PollFd::new(port, events(at)))
            .collect();
        match poll(&mut files, Some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(format!("poll: {error}")),
        }
        let failed = files
            .iter()
            .any(|file| file.revents().contains(PollFlags::ERR));
        // A ring that was set back is no reason to end; that an interface is gone is, and a sync tells.
        for (name, port) in self.ports.iter().filter(|_| failed) {
            port.sync_rx().map_err(|error| lost(name, &error))?;
        }
        Ok(())
    }

    /// Which ports have frames that have not been carried.
    fn has_frames(&mut self) -> Vec<bool> {
        let has_frames =
            |(_, port): &mut (PortSpec, Port)| port.rx_mut().iter().any(|ring| !ring.is_empty());
        self.ports.iter_mut().map(has_frames).collect()
    }

    /// Carries what there is room for, both ways; whether that was anything.
    fn carry(&mut self) -> bool {
        let (burst, copy) = (self.burst, self.copy);
        let [forth, back] = &mut self.in_dropped;
        let moved = match &mut self.ports[..] {
            [(_, one), (_, other)] => [
                carry(one.rx_mut(), other.tx_mut(), forth, burst, copy),
                carry(other.rx_mut(), one.tx_mut(), back, burst, copy),
            ],
            [(_, port)] => {
                let (_, outputs, inputs) = port.split();
                [carry(inputs, outputs, forth, burst, copy), Moved::default()]
            }
            // There are no more.
            _ => return false,
        };
        for (carried, moved) in self.carried.iter_mut().zip(moved) {
            *carried += moved.carried;
            self.dropped += moved.dropped;
        }
        moved.iter().any(|moved| moved.carried + moved.dropped != 0)
    }
}

/// What an error of a sync means.
fn lost(name: &PortSpec, error: &std::io::Error) -> String {
    format!("{name}: {}", cli::lost(error))
}

/// Frames that must be copied have to fit.
fn check_fit(name: &PortSpec, from: &mut Port, to: &mut Port) -> Result<(), String> {
    let (inputs, outputs) = (from.rx_mut(), to.tx_mut());
    let fits = |input| outputs.iter().all(|output| output.takes_from(input));
    match inputs.iter().find(|input| !fits(input)) {
        Some(input) => Err(format!(
            "{name}: its buffers are smaller than {} octets, which those of the other port have",
            input.buf_size()
        )),
        None => Ok(()),
    }
}

/// Slots that were taken from receive rings.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    carried: u64,
    dropped: u64,
}

/// Carries what there is room for, `burst` slots of a ring at most, or one frame.
///
/// All frames of a receive ring go into the same transmit ring, so that they stay in order. One in several slots goes when there is
/// room for all of it, for the ring may be that of other receive rings too, whose frames are not to come between.
///
/// `in_dropped` says of each receive ring whether the next slot goes on with a frame the beginning of which was dropped; the rest is, too.
fn carry(
    inputs: &mut [RxRing],
    outputs: &mut [TxRing],
    in_dropped: &mut Vec<bool>,
    burst: u32,
    copy: bool,
) -> Moved {
    let mut moved = Moved::default();
    if outputs.is_empty() {
        return moved;
    }
    in_dropped.resize(inputs.len(), false);
    for (number, input) in inputs.iter_mut().enumerate() {
        let output = &mut outputs[number % outputs.len()];
        let flags = |input: &mut RxRing, ahead| input.slot(ahead).map_or(0, |slot| slot.flags());
        let available = Available {
            slots: input.space(),
            // A frame that has not ended then has no end.
            most: NETMAP_MAX_FRAGS.min(input.num_slots() - 1),
            room: output.space(),
            capacity: output.num_slots() - 1,
        };
        let mut goes_on = |ahead| flags(input, ahead) & NS_MOREFRAG != 0;
        let next = match in_dropped[number] {
            true => Next::Drop(available.rest(&mut goes_on)),
            false => available.next(burst, &mut goes_on),
        };
        match next {
            Next::Carry(count) => {
                moved.carried += u64::from(match copy {
                    true => copy_slots(input, output, count),
                    false => output.forward(input, count),
                });
            }
            Next::Drop(count) => {
                let goes_on = &mut in_dropped[number];
                moved.dropped += u64::from(
                    input.drain(count, |slot| *goes_on = slot.flags() & NS_MOREFRAG != 0),
                );
            }
        }
    }
    moved
}

/// What is to be done with the first slots of a receive ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// So many are whole frames, and fit.
    Carry(u32),
    /// So many are of a frame that fits nowhere.
    Drop(u32),
}

/// What a receive ring has, and the transmit ring that it is for.
#[derive(Debug, Clone, Copy)]
struct Available {
    /// Slots received.
    slots: u32,
    /// Slots that a frame received there may have.
    most: u32,
    /// Slots free.
    room: u32,
    /// Slots that may ever be free.
    capacity: u32,
}

impl Available {
    /// What to do next; `goes_on` says whether the frame of a received slot has more slots.
    fn next(self, burst: u32, mut goes_on: impl FnMut(u32) -> bool) -> Next {
        let mut whole = burst.min(self.slots).min(self.room);
        while whole != 0 && goes_on(whole - 1) {
            whole -= 1;
        }
        if whole != 0 {
            return Next::Carry(whole);
        }
        // Not one frame: the first has more slots than a burst, than there is room for, or than have come.
        let last = (0..self.slots.min(self.most)).find(|ahead| !goes_on(*ahead));
        match last.map(|last| last + 1) {
            Some(count) if count > self.capacity => Next::Drop(count),
            Some(count) if count > self.room => Next::Carry(0),
            Some(count) => Next::Carry(count),
            None if self.slots >= self.most => Next::Drop(self.most),
            None => Next::Carry(0),
        }
    }

    /// Slots of the rest of a frame, as far as they have come.
    fn rest(self, mut goes_on: impl FnMut(u32) -> bool) -> u32 {
        let last = (0..self.slots).find(|ahead| !goes_on(*ahead));
        last.map_or(self.slots, |last| last + 1)
    }
}

/// As [`TxRing::forward`], but the buffers stay where they are.
fn copy_slots(input: &mut RxRing, output: &mut TxRing, burst: u32) -> u32 {
    let count = burst.min(input.space()).min(output.space());
    output.fill(count, |slot| {
        input.drain(1, |received| {
            let packet = received.packet();
            slot.write(packet);
            // No longer than the buffer, whose length 16 bits hold as far as a slot can tell.
            slot.set(packet.len() as u16, received.flags() & NS_MOREFRAG);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of so many slots each, the last of which has not come to its end.
    fn available(frames: &[u32], rest: u32, room: u32) -> (Available, impl Fn(u32) -> bool) {
        let mut more = Vec::new();
        for slots in frames {
            more.extend((1..=*slots).map(|slot| slot != *slots));
        }
        more.extend((0..rest).map(|_| true));
        let available = Available {
            slots: more.len() as u32,
            most: 5,
            room,
            capacity: 4,
        };
        (available, move |ahead| more[ahead as usize])
    }

    /// What is next of them.
    fn next(frames: &[u32], rest: u32, burst: u32, room: u32) -> Next {
        let (available, goes_on) = available(frames, rest, room);
        available.next(burst, goes_on)
    }

    #[test]
    fn the_rest_of_a_frame_has_an_end() {
        let rest = |frames: &[u32], rest| {
            let (available, goes_on) = available(frames, rest, 4);
            available.rest(goes_on)
        };
        assert_eq!(rest(&[3, 1], 0), 3);
        assert_eq!(rest(&[1, 3], 0), 1);
        assert_eq!(rest(&[], 7), 7);
        assert_eq!(rest(&[], 0), 0);
    }

    #[test]
    fn frames_go_whole_or_wait() {
        assert_eq!(next(&[1, 1, 1], 0, 9, 4), Next::Carry(3));
        assert_eq!(next(&[1, 1, 1], 0, 2, 4), Next::Carry(2));
        assert_eq!(next(&[1, 2, 1], 0, 2, 4), Next::Carry(1));
        assert_eq!(next(&[1, 2], 0, 9, 2), Next::Carry(1));
        assert_eq!(next(&[2, 1], 0, 9, 1), Next::Carry(0));
        assert_eq!(next(&[1], 2, 9, 4), Next::Carry(1));
        assert_eq!(next(&[], 2, 9, 4), Next::Carry(0));
        assert_eq!(next(&[], 0, 9, 4), Next::Carry(0));
        assert_eq!(next(&[1], 0, 9, 0), Next::Carry(0));
    }

    #[test]
    fn a_frame_may_have_more_slots_than_a_burst() {
        assert_eq!(next(&[3, 1], 0, 1, 4), Next::Carry(3));
        assert_eq!(next(&[3, 1], 0, 1, 2), Next::Carry(0));
    }

    #[test]
    fn what_fits_nowhere_is_dropped() {
        assert_eq!(next(&[5, 1], 0, 9, 4), Next::Drop(5));
        assert_eq!(next(&[], 5, 9, 4), Next::Drop(5));
        assert_eq!(next(&[1], 5, 9, 4), Next::Carry(1));
    }
}
