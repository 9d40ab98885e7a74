// SPDX-License-Identifier: BSD-2-Clause
//! `nmctl list`: what there is.

use crate::debugfs::{self, Port, Region};
use crate::interface::{Interface, Outcome};
use crate::module::Module;
use crate::table;
use core::fmt::Write as _;
use netmap::Control;
use serde::Serialize;
use std::collections::BTreeMap;

/// All that there is.
#[derive(Debug, Default, Serialize)]
pub struct List {
    interfaces: Vec<Entry>,
    /// Ports on nothing of this network namespace: pipes, null ports, those of other namespaces.
    others: Vec<Other>,
    /// The ports of each switch of this network namespace.
    switches: BTreeMap<String, Vec<SwitchPort>>,
    regions: Vec<Region>,
    parameters: BTreeMap<String, String>,
    /// What could not be seen, and what to do about it.
    hidden: Vec<String>,
}

/// An Ethernet interface.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    driver: String,
    /// What a port of it is or would be: `native`, `emulated`, `none`.
    port: &'static str,
    /// Why it is not native.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    tx_queues: usize,
    rx_queues: usize,
    up: bool,
    carrier: bool,
    /// What it is bound as, in the module's words; absent if it is not bound, or if that cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<String>,
}

#[derive(Debug, Serialize)]
struct Other {
    name: String,
    kind: String,
    rings: usize,
    packets: u64,
}

#[derive(Debug, Serialize)]
struct SwitchPort {
    name: String,
    number: u32,
}

/// Looks at everything.
pub fn look() -> List {
    let module = Module::look();
    let mut list = List::default();
    let ports = match debugfs::read_ports() {
        Ok(ports) => ports,
        Err(reason) => {
            list.hidden.push(reason);
            Vec::new()
        }
    };
    // With the ports the regions are seen, and without them the same reason is not said again.
    list.regions = debugfs::read_regions().unwrap_or_default();
    match switch_ports() {
        Ok(switches) => list.switches = switches,
        // That there is no module was said above.
        Err(_) if !module.loaded => {}
        Err(reason) => list.hidden.push(reason),
    }
    let interfaces = Interface::all();
    list.others = others(&ports, &interfaces, &list.switches);
    list.interfaces = interfaces
        .iter()
        .filter(|interface| interface.ethernet)
        .map(|interface| entry(interface, &module, &ports))
        .collect();
    list.parameters = module.parameters.all();
    list
}

fn entry(interface: &Interface, module: &Module, ports: &[Port]) -> Entry {
    let (port, why) = match interface.outcome(module) {
        Outcome::Native => ("native", None),
        Outcome::Emulated(reason) => ("emulated", Some(reason.words())),
        Outcome::Refused(reason) => ("none", Some(reason.words())),
    };
    let bound = ports
        .iter()
        .find(|port| port.name == interface.name && !port.dead);
    Entry {
        name: interface.name.clone(),
        driver: interface.driver.clone(),
        port,
        why,
        tx_queues: interface.tx_queues,
        rx_queues: interface.rx_queues,
        up: interface.up,
        carrier: interface.carrier,
        bound: bound.map(|port| port.kind.clone()),
    }
}

/// Ports that are neither an interface's nor a switch's here.
fn others(
    ports: &[Port],
    interfaces: &[Interface],
    switches: &BTreeMap<String, Vec<SwitchPort>>,
) -> Vec<Other> {
    let is_interface = |port: &Port| {
        interfaces
            .iter()
            .any(|interface| interface.name == port.name)
    };
    let is_switched = |port: &Port| {
        switches
            .values()
            .flatten()
            .any(|other| other.name == port.name)
    };
    ports
        .iter()
        .filter(|port| !is_interface(port) && !is_switched(port))
        .map(|port| Other {
            name: port.name.clone(),
            kind: port.kind.clone(),
            rings: port.rings.len(),
            packets: port.rings.iter().map(|ring| ring.counters.packets).sum(),
        })
        .collect()
}

/// The ports of the switches of this network namespace.
fn switch_ports() -> Result<BTreeMap<String, Vec<SwitchPort>>, String> {
    let unseen = |error: std::io::Error| {
        format!("switches cannot be listed: /dev/netmap: {error}; run this as root")
    };
    let control = Control::open().map_err(unseen)?;
    let mut switches: BTreeMap<String, Vec<SwitchPort>> = BTreeMap::new();
    for port in control.ports() {
        let port = port.map_err(unseen)?;
        let switch = port.name.split(':').next().unwrap_or_default().to_owned();
        switches.entry(switch).or_default().push(SwitchPort {
            name: port.name,
            number: port.at.port,
        });
    }
    Ok(switches)
}

impl List {
    /// What could not be seen.
    pub fn hidden(&self) -> &[String] {
        &self.hidden
    }

    /// As text: a table each.
    pub fn text(&self) -> String {
        let mut sections = vec![self.interface_table()];
        if !self.others.is_empty() {
            let titles = ["OTHER PORT", "KIND", "RINGS", "PACKETS"]
                .map(str::to_owned)
                .to_vec();
            let rows = self.others.iter().map(|other| {
                vec![
                    other.name.clone(),
                    other.kind.clone(),
                    other.rings.to_string(),
                    other.packets.to_string(),
                ]
            });
            sections.push(table::format(
                &std::iter::once(titles).chain(rows).collect::<Vec<_>>(),
            ));
        }
        if !self.switches.is_empty() {
            let titles = ["SWITCH", "PORTS"].map(str::to_owned).to_vec();
            let rows = self.switches.iter().map(|(switch, ports)| {
                let ports: Vec<_> = ports
                    .iter()
                    .map(|port| format!("{} ({})", port.name, port.number))
                    .collect();
                vec![switch.clone(), ports.join(" ")]
            });
            sections.push(table::format(
                &std::iter::once(titles).chain(rows).collect::<Vec<_>>(),
            ));
        }
        if !self.regions.is_empty() {
            let titles = ["REGION", "SIZE", "BUFFERS", "RING PAGES", "LOST"]
                .map(str::to_owned)
                .to_vec();
            let rows = self.regions.iter().map(|region| {
                vec![
                    region.id.to_string(),
                    format!("{} KiB", region.size / 1024),
                    format!("{}/{}", region.buffers.used, region.buffers.total),
                    format!("{}/{}", region.ring_pages.used, region.ring_pages.total),
                    region.lost_buffers.to_string(),
                ]
            });
            sections.push(table::format(
                &std::iter::once(titles).chain(rows).collect::<Vec<_>>(),
            ));
        }
        if !self.parameters.is_empty() {
            let mut line = String::from("PARAMETERS");
            for (name, value) in &self.parameters {
                // A string takes whatever is written to it.
                let _ = write!(line, " {name}={value}");
            }
            line.push('\n');
            sections.push(line);
        }
        sections.join("\n")
    }

    fn interface_table(&self) -> String {
        let titles = ["INTERFACE", "DRIVER", "PORT", "TX", "RX", "LINK", "BOUND"]
            .map(str::to_owned)
            .to_vec();
        let rows = self.interfaces.iter().map(|entry| {
            let link = match (entry.up, entry.carrier) {
                (false, _) => "down",
                (true, false) => "no carrier",
                (true, true) => "up",
            };
            vec![
                entry.name.clone(),
                entry.driver.clone(),
                entry.port.to_owned(),
                entry.tx_queues.to_string(),
                entry.rx_queues.to_string(),
                link.to_owned(),
                entry.bound.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        });
        table::format(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debugfs::parse_ports;

    const PORTS: &str = "eth0: emulated (skb)\n  rx 0: packets 3 bytes 180\npipe{1: pipe (master)\n  tx 0: packets 4 bytes 1\n\
                         vale0:a: vale 0\n  tx 0: packets 5 bytes 1\n";

    fn veth() -> Interface {
        Interface {
            name: "eth0".to_owned(),
            ethernet: true,
            driver: "veth".to_owned(),
            tx_queues: 2,
            rx_queues: 1,
            up: true,
            ..Interface::default()
        }
    }

    fn list() -> List {
        let ports = parse_ports(PORTS).unwrap();
        let switch = vec![SwitchPort {
            name: "vale0:a".to_owned(),
            number: 0,
        }];
        let switches = BTreeMap::from([("vale0".to_owned(), switch)]);
        List {
            others: others(&ports, &[veth()], &switches),
            interfaces: vec![entry(&veth(), &Module::default(), &ports)],
            switches,
            parameters: BTreeMap::from([("admode".to_owned(), "0".to_owned())]),
            ..List::default()
        }
    }

    #[test]
    fn a_table_each() {
        let text = list().text();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1],
            ["eth0", "veth", "emulated", "2", "1", "no", "carrier", "emulated", "(skb)"]
        );
        assert!(
            lines.contains(&vec!["pipe{1", "pipe", "(master)", "1", "4"]),
            "{text}"
        );
        assert!(lines.contains(&vec!["vale0", "vale0:a", "(0)"]), "{text}");
        assert_eq!(lines.last().unwrap(), &["PARAMETERS", "admode=0"]);
    }

    #[test]
    fn as_json() {
        let json = serde_json::to_value(list()).unwrap();
        assert_eq!(json["interfaces"][0]["bound"], "emulated (skb)");
        assert_eq!(
            json["interfaces"][0]["why"],
            "not a NIC whose queues netmap knows how to take"
        );
        assert_eq!(json["others"].as_array().unwrap().len(), 1);
        assert_eq!(json["switches"]["vale0"][0]["name"], "vale0:a");
    }
}
