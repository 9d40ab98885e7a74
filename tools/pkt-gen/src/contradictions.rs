// SPDX-License-Identifier: BSD-2-Clause
//! Flags that contradict each other, or the function: one table, for what `-o` says as well.

use crate::args::{Args, Function};
use frame::Mac;

/// What a command line may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    Check,
    Copy,
    Destination,
    DestinationMac,
    DestinationRange,
    Dump,
    FragmentSize,
    Fragments,
    IdleExit,
    Indirect,
    Length,
    PacketFile,
    RandomDestination,
    RandomLength,
    RandomSource,
    Rubbish,
    Source,
    SourceMac,
    SourceRange,
    Threads,
    Wait,
}

/// Flags, and the functions that they are for.
const FUNCTIONS: [(Flag, &[Function]); 8] = [
    (Flag::Check, &[Function::Tx, Function::Rx]),
    (
        Flag::Dump,
        &[Function::Tx, Function::Rx, Function::Txseq, Function::Rxseq],
    ),
    (Flag::FragmentSize, &[Function::Tx]),
    (Flag::Indirect, &[Function::Tx]),
    (Flag::PacketFile, &[Function::Tx]),
    (Flag::RandomLength, &[Function::Tx]),
    (Flag::Rubbish, &[Function::Tx]),
    (
        Flag::Threads,
        &[Function::Tx, Function::Rx, Function::Rxseq],
    ),
];

/// Flags, each with those that cannot be done with it, and why.
const CONTRADICTIONS: [(Flag, &[Flag], &str); 4] = [
    (
        Flag::PacketFile,
        &[
            Flag::Check,
            Flag::Destination,
            Flag::DestinationMac,
            Flag::Indirect,
            Flag::Length,
            Flag::RandomDestination,
            Flag::RandomLength,
            Flag::RandomSource,
            Flag::Rubbish,
            Flag::Source,
            Flag::SourceMac,
        ],
        "packets of a file are sent as they are",
    ),
    (
        Flag::Indirect,
        &[
            Flag::Check,
            Flag::Copy,
            Flag::DestinationRange,
            Flag::Dump,
            Flag::FragmentSize,
            Flag::Fragments,
            Flag::RandomDestination,
            Flag::RandomLength,
            Flag::RandomSource,
            Flag::Rubbish,
            Flag::SourceRange,
        ],
        "-I sends the same packet each time, in one slot",
    ),
    (
        Flag::Rubbish,
        &[
            Flag::Check,
            Flag::Copy,
            Flag::Destination,
            Flag::DestinationMac,
            Flag::Dump,
            Flag::RandomDestination,
            Flag::RandomLength,
            Flag::RandomSource,
            Flag::Source,
            Flag::SourceMac,
        ],
        "-r sends what is there, and writes nothing",
    ),
    (
        Flag::Wait,
        &[Flag::IdleExit],
        "-W is --idle-exit 1000, and it can be one of them",
    ),
];

impl Flag {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Flag::Check => "--check",
            Flag::Copy => "--copy",
            Flag::Destination => "-d",
            Flag::DestinationMac => "-D",
            Flag::DestinationRange => "a range of -d",
            Flag::Dump => "-X",
            Flag::FragmentSize => "-M",
            Flag::Fragments => "-F",
            Flag::IdleExit => "--idle-exit",
            Flag::Indirect => "-I",
            Flag::Length => "-l",
            Flag::PacketFile => "-P",
            Flag::RandomDestination => "-Z",
            Flag::RandomLength => "a second -l",
            Flag::RandomSource => "-z",
            Flag::Rubbish => "-r",
            Flag::Source => "-s",
            Flag::SourceMac => "-S",
            Flag::SourceRange => "a range of -s",
            Flag::Threads => "-p",
            Flag::Wait => "-W",
        }
    }

    fn is_given(self, args: &Args) -> bool {
        match self {
            Flag::Check => args.check,
            Flag::Copy => args.copy,
            Flag::Destination => args.destination.is_some(),
            Flag::DestinationMac => args.destination_mac != Mac::BROADCAST,
            Flag::DestinationRange => args.destination.is_some_and(|range| !range.is_single()),
            Flag::Dump => args.dump,
            Flag::FragmentSize => args.fragment_size.is_some(),
            Flag::Fragments => args.fragments > 1,
            Flag::IdleExit => args.idle_exit.is_some(),
            Flag::Indirect => args.indirect,
            // What is not given has one, too.
            Flag::Length => args.length() != crate::args::DEFAULT_LENGTH,
            Flag::PacketFile => args.packet_file.is_some(),
            Flag::RandomDestination => args.random_destination,
            Flag::RandomLength => args.length.len() > 1,
            Flag::RandomSource => args.random_source,
            Flag::Rubbish => args.rubbish,
            Flag::Source => args.source.is_some(),
            Flag::SourceMac => args.source_mac.is_some(),
            Flag::SourceRange => args.source.is_some_and(|range| !range.is_single()),
            Flag::Threads => args.threads > 1,
            Flag::Wait => args.exit_when_idle,
        }
    }
}

/// Looks for what cannot be done together.
///
/// # Errors
///
/// In words, what that is.
pub fn find(args: &Args) -> Result<(), String> {
    let is_given = |flag: Flag| flag.is_given(args);
    let function = args.function;
    for (flag, functions) in FUNCTIONS {
        if is_given(flag) && !functions.contains(&function) {
            let names: Vec<_> = functions.iter().map(|function| function.name()).collect();
            return Err(format!(
                "{} is for -f {}, not for {}",
                flag.name(),
                names.join(", "),
                function.name()
            ));
        }
    }
    for (flag, others, reason) in CONTRADICTIONS.iter().filter(|(flag, ..)| is_given(*flag)) {
        if let Some(other) = others.iter().find(|other| is_given(**other)) {
            return Err(format!(
                "{} and {} contradict each other: {reason}",
                flag.name(),
                other.name()
            ));
        }
    }
    if args.indirect && !args.is_switched() {
        return Err("-I is for ports of switches".to_owned());
    }
    let fragments = u64::from(args.fragments);
    if function == Function::Txseq && args.count % fragments != 0 {
        return Err(format!(
            "-n of txseq counts slots, of which -F says that {fragments} are a packet: it must be a multiple"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The ways to give a flag.
    fn ways(flag: Flag) -> &'static [&'static str] {
        match flag {
            Flag::Check => &["--check"],
            Flag::Copy => &["--copy", "-o 4", "-o 8"],
            Flag::Destination => &["-d 10.1.0.7"],
            Flag::DestinationMac => &["-D 2:0:0:0:0:7"],
            Flag::DestinationRange => &["-d 10.1.0.7-10.1.0.9"],
            Flag::Dump => &["-X", "-o 64"],
            Flag::FragmentSize => &["-M 100"],
            Flag::Fragments => &["-F 3"],
            Flag::IdleExit => &["--idle-exit 5"],
            Flag::Indirect => &["-I", "-o 32"],
            Flag::Length => &["-l 100"],
            Flag::PacketFile => &["-P file"],
            Flag::RandomDestination => &["-Z", "-o 1024"],
            Flag::RandomLength => &["-l 1500 -l 60"],
            Flag::RandomSource => &["-z", "-o 512"],
            Flag::Rubbish => &["-r", "-o 256"],
            Flag::Source => &["-s 10.0.0.7"],
            Flag::SourceMac => &["-S 2:0:0:0:0:7"],
            Flag::SourceRange => &["-s 10.0.0.7-10.0.0.9"],
            Flag::Threads => &["-p 2"],
            Flag::Wait => &["-W"],
        }
    }

    fn complete(words: &str) -> Result<Args, String> {
        let line = format!("nm-pkt-gen -i vale0:a {words}");
        Args::try_parse_from(line.split_whitespace())
            .unwrap()
            .complete()
    }

    #[test]
    fn each_pair_is_refused_and_each_of_it_alone_is_not() {
        for (flag, others, _) in CONTRADICTIONS {
            for other in others {
                for one in ways(flag) {
                    for two in ways(*other) {
                        for alone in [one, two] {
                            let line = format!("-f tx {alone}");
                            assert!(complete(&line).is_ok(), "{line}");
                        }
                        let line = format!("-f tx {one} {two}");
                        let error = complete(&line).unwrap_err();
                        assert!(error.contains("contradict"), "{line}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn each_flag_is_for_its_functions_alone() {
        use Function::{Ping, Pong, Rx, Rxseq, Tx, Txseq};
        for (flag, functions) in FUNCTIONS {
            for function in [Tx, Rx, Ping, Pong, Txseq, Rxseq] {
                for way in ways(flag) {
                    let line = format!("-f {} {way}", function.name());
                    let is_for = functions.contains(&function);
                    assert_eq!(complete(&line).is_ok(), is_for, "{line}");
                }
            }
        }
    }

    #[test]
    fn memory_of_the_program_is_for_switches() {
        let line = ["nm-pkt-gen", "-i", "eth0", "-f", "tx", "-I"];
        let args = Args::try_parse_from(line).unwrap();
        assert!(args.complete().unwrap_err().contains("switches"));
    }

    #[test]
    fn numbered_slots_make_whole_packets() {
        assert!(complete("-f txseq -n 2 -F 3").is_err());
        assert!(complete("-f txseq -n 6 -F 3").is_ok());
        assert!(complete("-f txseq -F 3").is_ok());
        assert!(complete("-f tx -n 2 -F 3").is_ok());
    }
}
