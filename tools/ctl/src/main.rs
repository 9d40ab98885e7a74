// SPDX-License-Identifier: BSD-2-Clause
//! `nmctl`: shows netmap's ports, and says what is in a port's way.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod debugfs;
mod doctor;
mod ethtool;
mod families;
mod findings;
mod interface;
mod list;
mod module;
mod netlink;
mod rates;
mod reasons;
mod screen;
mod show;
mod table;
mod top;
mod uses;

use args::{Args, Command};
use serde::Serialize;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    match run(&args.command) {
        Ok(status) => status,
        Err(reason) => {
            cli::tell(format_args!("nmctl: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode, String> {
    match command {
        Command::List { json } => {
            let list = list::look();
            for reason in list.hidden() {
                cli::tell(format_args!("nmctl: {reason}"));
            }
            match json {
                true => print_json(&list)?,
                false => cli::print(&list.text())?,
            }
            return Ok(if list.hidden().is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        Command::Show { port, json } => {
            let shown = show::look(port)?;
            if let Some(reason) = shown.hidden() {
                cli::tell(format_args!("nmctl: {reason}"));
            }
            match json {
                true => print_json(&shown)?,
                false => cli::print(&shown.text())?,
            }
            if shown.hidden().is_some() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Doctor { port, json } => {
            let findings = doctor::run(port.as_deref())?;
            match json {
                true => print_json(&serde_json::json!({ "findings": findings }))?,
                false => {
                    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
                    cli::print(&(lines.join("\n") + "\n"))?;
                }
            }
            if findings::prevents(&findings) {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Top { interval, sort } => top::run(*interval, *sort)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One object, on one line.
fn print_json(value: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_string(value).map_err(|error| error.to_string())?;
    cli::print(&format!("{json}\n"))
}
