// SPDX-License-Identifier: BSD-2-Clause
//! `nm-fuzz`: random programs against `/dev/netmap` and the memory that it shares, in a virtual machine.
//!
//! A program is a short text (see [`program`]). Each runs in a process of its own; before it does it is written to the
//! output, so that it is known even if the machine ends with it. Those that reach code of the module that none before
//! has reached are kept, and changed to make further ones. What must hold afterwards is in [`oracle`].

mod arena;
mod calls;
mod domain;
mod journal;
mod kcov;
mod layout;
mod machine;
mod operations;
mod oracle;
mod program;
mod requests;
mod rings;
mod run;
mod scribbler;
mod search;
mod seeds;
mod sockets;
mod tables;
#[cfg(test)]
mod tests;
mod world;

use clap::{Parser, Subcommand};
use journal::Journal;
use program::Program;
use run::Runner;
use search::{Limits, Search};
use seeds::SEEDS;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs random programs against /dev/netmap. For virtual machines: a finding may end them.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Interfaces, in pairs that are joined by a wire.
    #[arg(long = "nic", required = true, value_delimiter = ',')]
    nics: Vec<String>,
    /// Where the journal goes, each line before what it tells of happens; standard output if not given.
    #[arg(long)]
    journal: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make programs and run them until one fails.
    Run {
        /// What chance begins with.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// End after so many programs.
        #[arg(long)]
        programs: Option<u64>,
        /// End after so many seconds.
        #[arg(long)]
        seconds: Option<u64>,
        /// Be guided by the module's coverage, which it must have been built for.
        #[arg(long)]
        coverage: bool,
        /// More files with programs to begin with, and directories of such.
        corpus: Vec<PathBuf>,
    },
    /// Run programs as they are.
    Replay {
        /// How often, for those that fail by chance.
        #[arg(long, default_value_t = 1)]
        times: u64,
        /// Files with a program each, or with the journal of a run, whose last program is meant.
        files: Vec<PathBuf>,
    },
}

/// The programs in these files, and in those of these directories.
fn read_programs(paths: &[PathBuf]) -> Result<Vec<Program>, Box<dyn Error>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                files.push(entry?.path());
            }
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    let read = |path: &PathBuf| -> Result<Program, Box<dyn Error>> {
        let text = fs::read_to_string(path)?;
        let text = journal::last_program(&text).unwrap_or(&text);
        Program::parse(text).map_err(|error| format!("{}: {error}", path.display()).into())
    };
    files.iter().map(read).collect()
}

fn run(args: Args) -> Result<bool, Box<dyn Error>> {
    let mut journal = Journal::new(args.journal.as_deref())?;
    match args.command {
        Command::Run {
            seed,
            programs,
            seconds,
            coverage,
            corpus,
        } => {
            let runner = Runner::new(&args.nics, coverage)?;
            let limits = Limits { programs, seconds };
            let mut programs = read_programs(&corpus)?;
            for (name, text) in SEEDS {
                let program = Program::parse(text).map_err(|error| format!("{name}: {error}"))?;
                programs.push(program);
            }
            if coverage {
                journal.sections()?;
            }
            Ok(Search::new(runner, seed, programs).run(&limits, &mut journal)?)
        }
        Command::Replay { times, files } => {
            let mut runner = Runner::new(&args.nics, false)?;
            for program in read_programs(&files)? {
                for time in 0..times {
                    journal.start(time, &program)?;
                    let result = runner.run(&program).and_then(|()| runner.host_traffic());
                    if let Err(finding) = result {
                        journal.finding(&finding)?;
                        return Ok(false);
                    }
                }
            }
            journal.counts(runner.record())?;
            Ok(true)
        }
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nm-fuzz: {error}");
            ExitCode::from(2)
        }
    }
}
