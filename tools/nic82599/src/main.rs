// SPDX-License-Identifier: BSD-2-Clause
//! `nic82599`: serves models of the Intel 82599 network card to QEMU.

mod args;
mod bench;
mod serve;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Bench(args) => {
            bench::run(&args);
            Ok(ExitCode::SUCCESS)
        }
        Command::Ask(args) => nic82599::control::ask(&args.socket, &args.request.join(" "))
            .map(|answer| {
                println!("{answer}");
                ExitCode::SUCCESS
            })
            .map_err(|error| error.to_string()),
    };
    result.unwrap_or_else(|reason| {
        eprintln!("nic82599: {reason}");
        ExitCode::FAILURE
    })
}
