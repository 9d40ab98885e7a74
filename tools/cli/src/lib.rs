// SPDX-License-Identifier: BSD-2-Clause
//! What the command lines of the programs have in common.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod departure;
mod number;
mod output;
mod refusal;
mod signals;

pub use departure::{drain, stuck, unsent, Amount, Queued, Watch};
pub use number::{positive, with_prefix};
pub use output::{print, print_to_reader, tell};
pub use refusal::{lost, open_failure};
pub use signals::{stop_on_signals, wait_for_link};

use clap::error::ErrorKind;
use clap::{Command, Parser};
use clap_complete::Shell;
use clap_mangen::Man;
use netmap::{Control, PortSpec, SpecError};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::exit;

/// Reads the command line as `Parser::parse` does, but for errors, which are one line.
///
/// `--generate KIND` alone, which the help does not tell, writes what a package contains of a program and its command line alone
/// says: its manual page (`man`) or the completions for a shell (`bash`, `zsh`, `fish`).
pub fn parse<A: Parser>() -> A {
    let given: Vec<_> = std::env::args_os().skip(1).take(3).collect();
    if let [option, kind] = &given[..] {
        if option == "--generate" {
            exit(
                match generate(A::command(), kind, &mut io::stdout().lock()) {
                    Ok(()) => 0,
                    Err(error) => {
                        tell(format_args!("--generate: {error}"));
                        1
                    }
                },
            )
        }
    }
    A::try_parse().unwrap_or_else(|error| {
        // Help and version are no errors, and where nothing was said, help is the answer.
        if !error.use_stderr()
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        {
            error.exit()
        }
        let name = A::command().get_name().to_owned();
        tell(format_args!(
            "{name}: {}; {name} --help tells more",
            in_a_line(&error.to_string())
        ));
        exit(error.exit_code())
    })
}

/// What is wrong with a command line, of the paragraphs that clap makes of it: the first, which may list arguments, and tips.
fn in_a_line(text: &str) -> String {
    let is_tip = |line: &&str| line.trim_start().starts_with("tip: ");
    let lines = text.lines();
    let first = lines.clone().take_while(|line| !line.is_empty());
    let words: Vec<_> = first
        .chain(lines.filter(is_tip))
        .flat_map(str::split_whitespace)
        .collect();
    let line = words.join(" ").replace(" tip: ", "; ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// Octets of the virtio-net header in front of the packets of an open port: none, but for those of switches.
///
/// # Errors
///
/// In words, if the kernel does not say.
pub fn virtio_header(port: &PortSpec) -> Result<usize, String> {
    if !port.name().starts_with("vale") {
        return Ok(0);
    }
    let octets = Control::open().and_then(|control| control.header(port.name()));
    match octets {
        Ok(octets) => Ok(octets as usize),
        Err(error) => Err(format!(
            "{port}: cannot look at its virtio-net header: {error}"
        )),
    }
}

/// The parser of a port's name in the arguments of a program that carries packets.
///
/// # Errors
///
/// In words, if it is no name, or that of a stack port.
pub fn packet_port(text: &str) -> Result<PortSpec, String> {
    let port: PortSpec = text.parse().map_err(|error: SpecError| error.to_string())?;
    if port.flags() & netmap::abi::NR_STACK != 0 {
        return Err("a stack port has what is in TCP connections, and no packets: see nm-http and stackmap(4)".to_owned());
    }
    Ok(port)
}

/// Whether the program was called by this name, which is that of a link to it.
pub fn is_called(name: &str) -> bool {
    let called = std::env::args_os().next().unwrap_or_default();
    Path::new(&called).file_name() == Some(OsStr::new(name))
}

/// Writes the manual page or the completions of a command.
///
/// # Errors
///
/// `InvalidInput` for any other kind, and what writing fails with.
pub fn generate(mut command: Command, kind: &OsStr, out: &mut dyn Write) -> io::Result<()> {
    let shell = match kind.to_str() {
        Some("man") => return manual(command, out),
        Some("bash") => Shell::Bash,
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "there are man, bash, zsh and fish",
            ))
        }
    };
    let name = command.get_name().to_owned();
    // It panics where writing fails, so it writes to memory.
    let mut completions = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut completions);
    out.write_all(&completions)
}

/// Writes the manual page of a command, which has those of its subcommands in it.
fn manual(mut command: Command, out: &mut dyn Write) -> io::Result<()> {
    command.build();
    let whole = Man::new(command.clone());
    if !command.has_subcommands() {
        return whole.render(out);
    }
    whole.render_title(out)?;
    whole.render_name_section(out)?;
    whole.render_synopsis_section(out)?;
    whole.render_description_section(out)?;
    whole.render_options_section(out)?;
    for part in command
        .get_subcommands()
        .filter(|part| part.get_name() != "help")
    {
        let page = Man::new(part.clone());
        let mut text = Vec::new();
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        // Its sections are parts of one here.
        let text = String::from_utf8_lossy(&text).replace(".SH ", ".SS ");
        write!(
            out,
            ".SH \"COMMAND {}\"\n{text}",
            part.get_name().to_uppercase()
        )?;
    }
    if command.get_version().is_none() {
        return Ok(());
    }
    whole.render_version_section(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    #[test]
    fn stack_ports_have_no_packets() {
        assert!(packet_port("netmap:eth0-1").is_ok());
        assert!(packet_port("stack:eth0")
            .unwrap_err()
            .contains("stackmap(4)"));
        assert!(packet_port("netmap:").is_err());
    }

    fn generated(kind: &str) -> io::Result<String> {
        let command = Command::new("nm-test")
            .about("Tests")
            .arg(Arg::new("count").long("count").help("How many"));
        let mut out = Vec::new();
        generate(command, OsStr::new(kind), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn manual_and_completions_tell_the_options() {
        let manual = generated("man").unwrap();
        assert!(manual.contains(".TH nm-test 1"), "{manual}");
        assert!(
            manual.contains("\\-\\-count") && manual.contains("How many"),
            "{manual}"
        );
        for shell in ["bash", "zsh", "fish"] {
            let completions = generated(shell).unwrap();
            assert!(
                completions.contains("nm-test") && completions.contains("count"),
                "{shell}"
            );
        }
    }

    #[test]
    fn a_manual_has_the_subcommands_in_it() {
        let part = Command::new("part")
            .about("Does a part")
            .arg(Arg::new("depth").long("depth"));
        let mut out = Vec::new();
        generate(
            Command::new("nm-test").subcommand(part),
            OsStr::new("man"),
            &mut out,
        )
        .unwrap();
        let manual = String::from_utf8(out).unwrap();
        assert!(
            manual.contains(".SH \"COMMAND PART\"") && manual.contains("Does a part"),
            "{manual}"
        );
        assert!(
            manual.contains("\\-\\-depth") && !manual.contains("part(1)"),
            "{manual}"
        );
    }

    #[test]
    fn an_error_is_one_line() {
        let command = Command::new("nm-test")
            .arg(Arg::new("count").long("count").required(true))
            .arg(Arg::new("file").long("file").required(true));
        let line = |words: &[&str]| {
            let error = command.clone().try_get_matches_from(words).unwrap_err();
            in_a_line(&error.to_string())
        };
        assert_eq!(
            line(&["nm-test"]),
            "the following required arguments were not provided: --count <count> --file <file>"
        );
        let unknown = line(&["nm-test", "--coun", "1"]);
        assert!(
            unknown.starts_with("unexpected argument '--coun' found; a similar argument exists"),
            "{unknown}"
        );
    }

    #[test]
    fn other_kinds_are_refused() {
        assert_eq!(
            generated("html").unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
