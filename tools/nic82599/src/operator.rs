// SPDX-License-Identifier: BSD-2-Clause
//! Carries out what the control socket asks of the ports.

use crate::control::{Command, Generate, LinkState, Module, Request, Target};
use crate::device::{Accesses, Device};
use crate::registers::{RxRegister, TxRegister};
use crate::rules::Mode;
use crate::sfp::Sfp;
use crate::worker::Port;
use std::fmt::Write;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a hand takes to put another module in.
const SWAP: Duration = Duration::from_millis(200);
/// How often the end of something is looked for.
const POLL: Duration = Duration::from_millis(2);

/// Who operates all ports of this process.
pub struct Operator {
    ports: Vec<Arc<Port>>,
}

impl Operator {
    /// Operates `ports`; requests give their places.
    pub fn new(ports: Vec<Arc<Port>>) -> Self {
        Operator { ports }
    }
}

impl Target for Operator {
    fn execute(&self, request: Request) -> Result<String, String> {
        let port = self
            .ports
            .get(request.port)
            .ok_or_else(|| format!("there are {} ports", self.ports.len()))?;
        let answer = execute(port, request.command);
        port.ring();
        port.ring_far();
        answer
    }
}

fn execute(port: &Port, command: Command) -> Result<String, String> {
    match command {
        Command::Link { state } => port.cable().set_broken(state == LinkState::Down),
        Command::Sfp { action } => move_module(port, action),
        Command::Fault(fault) => port.with(|device, _| device.inject(fault)),
        Command::Wire(change) => port.cable().change(port.end(), |properties| {
            let set = |place: &mut u64, value: Option<u64>| *place = value.unwrap_or(*place);
            set(&mut properties.rate, change.rate);
            set(&mut properties.delay, change.delay);
            set(&mut properties.lose, change.lose);
            set(&mut properties.damage, change.damage);
        }),
        Command::Generate(command) => return generate(port, command),
        Command::Check(command) => return port.with_far_end(|far_end, _| far_end.check(command)),
        Command::Stats => return Ok(statistics(port)),
        Command::Violations { clear } => {
            return Ok(port.with(|device, _| violations(device, clear)))
        }
        Command::Strict { switch } => port.with(|device, _| {
            let mode = if switch.is_on() {
                Mode::Strict
            } else {
                Mode::Lenient
            };
            device.rules.set_mode(mode);
        }),
    }
    Ok(String::new())
}

fn move_module(port: &Port, action: Module) {
    let set = |present| {
        port.with(|device, _| device.set_sfp(present));
        port.ring();
    };
    match action {
        Module::Out => set(false),
        Module::In => set(true),
        Module::Swap => {
            set(false);
            sleep(SWAP);
            port.with(|device, _| {
                device.sfp = Sfp::new("82599MODEL0002");
                device.sfp.set_present(false);
            });
            set(true);
        }
    }
}

fn generate(port: &Port, command: Generate) -> Result<String, String> {
    if let Generate::Wait { limit } = command {
        let end = Instant::now() + Duration::from_millis(limit);
        while port.with_far_end(|far_end, _| far_end.is_generating())
            || port.with(|device, _| device.buffered() > 0)
        {
            if Instant::now() >= end {
                return Err("it takes longer".into());
            }
            sleep(POLL);
        }
    }
    let station = port.with(|device, _| device.station());
    port.with_far_end(|far_end, now| far_end.generate(command, station, now))
}

/// Names and numbers, a line each: the wire, then the queues that run.
fn statistics(port: &Port) -> String {
    let mut text = port.with_far_end(|far_end, _| far_end.report());
    let carried = port.cable().carried(port.end());
    let _ = writeln!(
        text,
        "tx_lost {}\ntx_damaged {}",
        carried.lost, carried.damaged
    );
    port.with(|device, _| {
        let _ = writeln!(text, "link {}", u8::from(device.link_up()));
        let _ = writeln!(text, "buffered {}", device.buffered());
        let Accesses { reads, writes } = device.accesses();
        let _ = writeln!(text, "register_reads {reads}\nregister_writes {writes}");
        for (number, queue) in device.rx_queues().iter().enumerate() {
            if queue.ring().live() {
                let (head, tail) = (queue.read(RxRegister::Head), queue.read(RxRegister::Tail));
                let _ = writeln!(text, "rx_queue_{number} head {head} tail {tail}");
            }
        }
        for (number, queue) in device.tx_queues().iter().enumerate() {
            if queue.ring().live() {
                let (head, tail) = (queue.read(TxRegister::Head), queue.read(TxRegister::Tail));
                let _ = writeln!(text, "tx_queue_{number} head {head} tail {tail}");
            }
        }
    });
    text
}

fn violations(device: &mut Device, clear: bool) -> String {
    let mut text = String::new();
    for (rule, count) in device.rules.report() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{rule:?} {count}");
    }
    if clear {
        device.rules.clear();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cable::{Cable, End};
    use crate::clock::Clock;
    use crate::control::answer;
    use crate::device::Settings;
    use crate::rules::Rule;

    fn operator() -> (Operator, Arc<Port>) {
        let device = Device::new(Settings::for_tests());
        let port = Port::new(
            device,
            Arc::new(Cable::default()),
            End::A,
            None,
            Clock::host(),
        );
        (Operator::new(vec![Arc::clone(&port)]), port)
    }

    #[test]
    fn a_port_that_is_not_there() {
        let (operator, _) = operator();
        assert_eq!(
            answer("1 stats\n", &operator),
            " there are 1 ports\nfailed\n"
        );
    }

    #[test]
    fn cable_and_module() {
        let (operator, port) = operator();
        port.cable().shine(End::B, true);
        assert!(port.cable().lit(End::A));
        assert_eq!(answer("0 link down\n", &operator), "ok\n");
        assert!(!port.cable().lit(End::A));
        assert_eq!(answer("0 link up\n", &operator), "ok\n");
        assert!(port.cable().lit(End::A));
        assert_eq!(answer("0 sfp out\n", &operator), "ok\n");
        assert!(!port.with(|device, _| device.sfp.present()));
        assert_eq!(answer("0 sfp swap\n", &operator), "ok\n");
        assert!(port.with(|device, _| device.sfp.present()));
    }

    #[test]
    fn wire_changes_only_what_is_given() {
        let (operator, port) = operator();
        answer("0 wire --delay 5\n", &operator);
        answer("0 wire --lose 7\n", &operator);
        let properties = port.cable().properties();
        assert_eq!(
            (properties.delay, properties.lose, properties.rate),
            (5, 7, 0)
        );
    }

    #[test]
    fn violations_are_told_and_forgotten() {
        let (operator, port) = operator();
        port.with(|device, _| device.rules.broken(Rule::NoRing, String::new));
        assert_eq!(
            answer("0 violations --clear\n", &operator),
            " NoRing 1\nok\n"
        );
        assert_eq!(answer("0 violations\n", &operator), "ok\n");
    }

    #[test]
    fn a_dead_card_reads_as_ones() {
        let (operator, port) = operator();
        // Memory accesses are allowed.
        port.with(|device, _| device.write_config(4, &[2, 0]));
        port.with(|device, now| assert_ne!(device.read(8, now), u32::MAX));
        answer("0 fault dead on\n", &operator);
        port.with(|device, now| assert_eq!(device.read(8, now), u32::MAX));
        answer("0 fault clear\n", &operator);
        port.with(|device, now| assert_ne!(device.read(8, now), u32::MAX));
    }
}
