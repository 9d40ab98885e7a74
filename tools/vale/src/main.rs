// SPDX-License-Identifier: BSD-2-Clause
//! `nm-vale`: makes and shows VALE switches.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;

use args::Args;
use core::fmt::Write as _;
use netmap::{Control, OpenError, Options, PortInfo, PortSpec, Rings};
use serde_json::{json, Value};
use std::io;
use std::process::ExitCode;

/// What there is to print.
#[derive(Debug, Default)]
struct Answer {
    /// As lines.
    text: String,
    /// As an object, which has all that is to be known even where the lines say it only if asked to.
    json: Value,
}

fn main() -> ExitCode {
    let args = cli::parse::<Args>();
    let printed = run(&args).and_then(|answer| match (args.json, &answer.json) {
        (false, _) => cli::print(&answer.text),
        (true, Value::Null) => cli::print("{}\n"),
        (true, json) => cli::print(&format!("{json}\n")),
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            cli::tell(format_args!("nm-vale: {reason}"));
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked for; what there is to print.
fn run(args: &Args) -> Result<Answer, String> {
    let control = Control::open().map_err(|error| cli::open_failure(&OpenError::Device(error)))?;
    if let Some(port) = &args.info {
        let info = control.info(port).map_err(failed("look at", port))?;
        return Ok(describe(&info));
    }
    if let Some(port) = &args.attach {
        return attach(&control, args, port, Rings::Nic);
    }
    if let Some(port) = &args.attach_host {
        return attach(&control, args, port, Rings::NicAndHost);
    }
    if let Some(port) = &args.detach {
        let number = control.detach(port).map_err(failed("detach", port))?;
        return Ok(port_number(args, number));
    }
    if let Some(name) = &args.new {
        let (options, mem_id) = (args.options()?, memory(&control, args)?);
        let made = control.create(name, &options, mem_id);
        let (options, mem_id) = made.map_err(failed("create", name))?;
        return Ok(Answer {
            text: match args.verbose > 0 {
                true => rings(&options, mem_id),
                false => String::new(),
            },
            json: rings_json(&options, mem_id),
        });
    }
    if let Some(name) = &args.remove {
        control.remove(name).map_err(failed("remove", name))?;
        return Ok(Answer::default());
    }
    if let Some(port) = &args.poll {
        let polling = args.polling()?;
        let started = control.start_polling(port, polling);
        started.map_err(failed("start polling", port))?;
        return Ok(Answer::default());
    }
    if let Some(port) = &args.no_poll {
        let stopped = control.stop_polling(port);
        stopped.map_err(failed("stop polling", port))?;
        return Ok(Answer::default());
    }
    if let Some(port) = &args.header {
        return header(&control, args, port);
    }
    if let Some(port) = &args.list {
        if !port.starts_with("vale") {
            return Err(format!(
                "{port:?} is no port of a VALE switch: vale0:{port}?"
            ));
        }
        let at = control.find(port).map_err(failed("find", port))?;
        return Ok(Answer {
            text: format!("bridge_idx: {}\nport_idx:   {}\n", at.switch, at.port),
            json: json!({ "bridge_idx": at.switch, "port_idx": at.port }),
        });
    }
    list(&control)
}

fn list(control: &Control) -> Result<Answer, String> {
    let (mut text, mut ports) = (String::new(), Vec::new());
    for port in control.ports() {
        let port = port.map_err(|error| format!("cannot list ports: {}", explain(&error)))?;
        // A string takes whatever is written to it.
        let _ = writeln!(
            text,
            "{} bridge_idx {} port_idx {}",
            port.name, port.at.switch, port.at.port
        );
        let (name, at) = (port.name, port.at);
        ports.push(json!({ "name": name, "bridge_idx": at.switch, "port_idx": at.port }));
    }
    let json = json!({ "ports": ports });
    Ok(Answer { text, json })
}

fn attach(control: &Control, args: &Args, port: &str, rings: Rings) -> Result<Answer, String> {
    let (options, mem_id) = (args.options()?, memory(control, args)?);
    let number = control.attach(port, rings, &options, mem_id);
    Ok(port_number(args, number.map_err(failed("attach", port))?))
}

fn port_number(args: &Args, number: u32) -> Answer {
    Answer {
        text: match args.verbose > 0 {
            true => format!("port_index: {number}\n"),
            false => String::new(),
        },
        json: json!({ "port_index": number }),
    }
}

fn header(control: &Control, args: &Args, port: &str) -> Result<Answer, String> {
    if let Some(octets) = args.header_length {
        let set = control.set_header(port, octets);
        set.map_err(failed("set the header of", port))?;
        return Ok(Answer::default());
    }
    let octets = control.header(port);
    let octets = octets.map_err(failed("look at the header of", port))?;
    Ok(Answer {
        text: format!("hdr_len:    {octets}\n"),
        json: json!({ "hdr_len": octets }),
    })
}

/// The region of `-m`; 0 if there is none.
fn memory(control: &Control, args: &Args) -> Result<u16, String> {
    let Some(text) = &args.memory else {
        return Ok(0);
    };
    if text.bytes().all(|octet| octet.is_ascii_digit()) {
        return text.parse().map_err(|error| format!("-m {text}: {error}"));
    }
    let port: PortSpec = text
        .parse()
        .map_err(|error| format!("-m {text}: {error}"))?;
    if port.rings() != Rings::Nic
        || port.flags() | u64::from(port.mem_id()) != 0
        || *port.conf() != Options::default()
    {
        return Err(format!("-m {text}: a name alone is needed"));
    }
    let info = control.info(port.name());
    Ok(info.map_err(failed("look at", text))?.mem_id)
}

fn describe(info: &PortInfo) -> Answer {
    let options = Options {
        tx_slots: info.tx_slots,
        rx_slots: info.rx_slots,
        tx_rings: info.tx_rings,
        rx_rings: info.rx_rings,
        ..Options::default()
    };
    let mut json = rings_json(&options, info.mem_id);
    json["memsize"] = info.mem_size.into();
    json["host_tx_rings"] = info.host_tx_rings.into();
    json["host_rx_rings"] = info.host_rx_rings.into();
    let text = format!(
        "memsize:    {}\n{}host_tx_rings: {}\nhost_rx_rings: {}\n",
        info.mem_size,
        rings(&options, info.mem_id),
        info.host_tx_rings,
        info.host_rx_rings
    );
    Answer { text, json }
}

fn rings_json(options: &Options, mem_id: u16) -> Value {
    json!({
        "tx_slots": options.tx_slots,
        "rx_slots": options.rx_slots,
        "tx_rings": options.tx_rings,
        "rx_rings": options.rx_rings,
        "mem_id": mem_id,
    })
}

fn rings(options: &Options, mem_id: u16) -> String {
    format!(
        "tx_slots:   {}\nrx_slots:   {}\ntx_rings:   {}\nrx_rings:   {}\nmem_id:     {mem_id}\n",
        options.tx_slots, options.rx_slots, options.tx_rings, options.rx_rings
    )
}

/// Makes the message of a request that has failed.
fn failed<'a>(action: &'a str, port: &'a str) -> impl Fn(io::Error) -> String + 'a {
    move |error| format!("cannot {action} {port}: {}", explain(&error))
}

/// An error, and what it means here.
fn explain(error: &io::Error) -> String {
    let meaning = match error.raw_os_error() {
        Some(libc::ENXIO) => "there is no such interface or port",
        Some(libc::ENOENT) => "there is no such port on a switch",
        Some(libc::EBUSY) => "it is in use: bound by a program, attached to a switch, or polled",
        Some(libc::EEXIST) => "there is one of that name already",
        Some(libc::ENOMEM) => "no memory, no room in the switch, or too many switches",
        Some(libc::EOPNOTSUPP) => "this module, or this kind of port, does not do that",
        Some(libc::EPERM) => "that takes CAP_NET_ADMIN",
        Some(libc::EINVAL) => "a name or a number is wrong: a port of a switch is named vale0:eth0",
        _ => return error.to_string(),
    };
    format!("{meaning} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_they_mean_and_what_they_are() {
        let busy = failed("attach", "vale0:eth0")(io::Error::from_raw_os_error(libc::EBUSY));
        assert!(
            busy.starts_with("cannot attach vale0:eth0: it is in use"),
            "{busy}"
        );
        assert!(busy.ends_with("(os error 16))"), "{busy}");
        let other = explain(&io::Error::from_raw_os_error(libc::EIO));
        assert!(other.ends_with("(os error 5)"), "{other}");
    }

    #[test]
    fn a_port_is_described_in_the_lines_that_scripts_read() {
        let info = PortInfo {
            mem_size: 4096,
            mem_id: 3,
            tx_slots: 1,
            rx_slots: 2,
            tx_rings: 3,
            rx_rings: 4,
            host_tx_rings: 5,
            host_rx_rings: 6,
        };
        let Answer { text, json } = describe(&info);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "memsize:    4096");
        assert_eq!(lines[1..3], ["tx_slots:   1", "rx_slots:   2"]);
        assert_eq!(
            lines[3..6],
            ["tx_rings:   3", "rx_rings:   4", "mem_id:     3"]
        );
        assert_eq!(lines[6..], ["host_tx_rings: 5", "host_rx_rings: 6"]);
        assert_eq!(
            (&json["memsize"], &json["rx_rings"], &json["host_rx_rings"]),
            (&4096.into(), &4.into(), &6.into())
        );
    }
}
