// SPDX-License-Identifier: BSD-2-Clause
//! `nmctl show`: one port.

use crate::debugfs::{self, Port, Region, Ring};
use crate::doctor;
use crate::table;
use core::fmt::Write as _;
use netmap::{Control, PortInfo, PortSpec};
use serde::Serialize;

/// What there is to say of a port.
#[derive(Debug, Serialize)]
pub struct Shown {
    name: String,
    /// What it has, or would have if it were bound.
    #[serde(flatten)]
    info: Info,
    /// What it is bound as; absent if it is not bound, or if that cannot be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<Port>,
    /// Its memory, if somebody has memory there.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    /// What could not be seen, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<String>,
}

#[derive(Debug, Serialize)]
struct Info {
    mem_id: u16,
    mem_size: u64,
    tx_slots: u32,
    rx_slots: u32,
    tx_rings: u16,
    rx_rings: u16,
    host_tx_rings: u16,
    host_rx_rings: u16,
}

impl From<PortInfo> for Info {
    fn from(info: PortInfo) -> Info {
        Info {
            mem_id: info.mem_id,
            mem_size: info.mem_size,
            tx_slots: info.tx_slots,
            rx_slots: info.rx_slots,
            tx_rings: info.tx_rings,
            rx_rings: info.rx_rings,
            host_tx_rings: info.host_tx_rings,
            host_rx_rings: info.host_rx_rings,
        }
    }
}

/// The port that a user names, with or without prefix and ring selection.
///
/// # Errors
///
/// In words, if it is no port's.
pub fn spec_of(port: &str) -> Result<PortSpec, String> {
    port.parse().map_err(|error| format!("{port}: {error}"))
}

/// Looks at a port.
///
/// # Errors
///
/// In words, with what to do.
pub fn look(port: &str) -> Result<Shown, String> {
    let spec = spec_of(port)?;
    let name = spec.name();
    let control =
        Control::open().map_err(|error| cli::open_failure(&netmap::OpenError::Device(error)))?;
    let info = control.info_with(name, spec.conf()).map_err(|error| {
        format!(
            "{name}: {error}; {} (nmctl doctor {name} says more)",
            doctor::remedy_of(&error)
        )
    })?;
    let (ports, hidden) = match debugfs::read_ports() {
        Ok(ports) => (ports, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let regions = debugfs::read_regions().unwrap_or_default();
    Ok(Shown {
        bound: ports
            .into_iter()
            .find(|port| port.name == name && !port.dead),
        region: regions.into_iter().find(|region| region.id == info.mem_id),
        info: info.into(),
        hidden,
        name: name.to_owned(),
    })
}

impl Shown {
    /// What could not be seen.
    pub fn hidden(&self) -> Option<&str> {
        self.hidden.as_deref()
    }

    /// As text.
    pub fn text(&self) -> String {
        let info = &self.info;
        let state = match (&self.bound, &self.hidden) {
            (Some(port), _) => port.kind.as_str(),
            (None, Some(_)) => "?",
            (None, None) => "not bound",
        };
        let mut text = format!(
            "{}: {state}\nrings:  {} tx of {} slots, {} rx of {} slots, {} + {} of the host\n",
            self.name,
            info.tx_rings,
            info.tx_slots,
            info.rx_rings,
            info.rx_slots,
            info.host_tx_rings,
            info.host_rx_rings
        );
        // A string takes whatever is written to it.
        let _ = write!(
            text,
            "region: {}, {} KiB",
            info.mem_id,
            info.mem_size / 1024
        );
        if let Some(region) = &self.region {
            let _ = write!(
                text,
                ", {} of {} buffers in use",
                region.buffers.used, region.buffers.total
            );
            if region.lost_buffers != 0 {
                let _ = write!(text, ", {} lost", region.lost_buffers);
            }
        }
        text.push('\n');
        if let Some(port) = &self.bound {
            text.push('\n');
            text.push_str(&ring_table(&port.rings));
        }
        text
    }
}

fn ring_table(rings: &[Ring]) -> String {
    let titles = [
        "RING", "PACKETS", "BYTES", "SYNCS", "WAKEUPS", "DROPS", "ERRORS", "REINITS", "SLOTS",
        "HEAD", "CUR", "TAIL", "STATE",
    ];
    let rows = rings.iter().map(|ring| {
        let counters = &ring.counters;
        let cursor = |pick: fn(&debugfs::Cursors) -> u32| {
            ring.cursors
                .as_ref()
                .map_or("-".to_owned(), |c| pick(c).to_string())
        };
        let state = ring.state.clone().unwrap_or_else(|| {
            if ring.taken {
                "taken".to_owned()
            } else {
                "bound".to_owned()
            }
        });
        let mut row = vec![ring.label()];
        let counts = [
            counters.packets,
            counters.bytes,
            counters.syncs,
            counters.wakeups,
            counters.drops,
            counters.errors,
            counters.reinits,
        ];
        row.extend(counts.map(|count| count.to_string()));
        row.extend([
            cursor(|c| c.slots),
            cursor(|c| c.head),
            cursor(|c| c.cur),
            cursor(|c| c.tail),
            state,
        ]);
        row
    });
    let titles = titles.map(str::to_owned).to_vec();
    table::format(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bound: bool) -> Shown {
        let text = "eth0: native (igb)\n  rx 0: packets 3 bytes 180 syncs 4 wakeups 0 drops 1 errors 0 reinits 0 slots 8 hwcur 1 \
                    hwtail 2 head 1 cur 1 tail 2 taken\n  tx 0: packets 0 bytes 0 unused\n";
        Shown {
            name: "eth0".to_owned(),
            info: Info {
                mem_id: 1,
                mem_size: 2048,
                tx_slots: 256,
                rx_slots: 512,
                tx_rings: 2,
                rx_rings: 4,
                host_tx_rings: 1,
                host_rx_rings: 1,
            },
            bound: debugfs::parse_ports(text).unwrap().pop().filter(|_| bound),
            region: None,
            hidden: None,
        }
    }

    #[test]
    fn names_with_everything_around_them() {
        assert_eq!(spec_of("netmap:eth0-2/R").unwrap().name(), "eth0");
        assert_eq!(spec_of("vale0:a").unwrap().name(), "vale0:a");
        assert!(spec_of("eth0/Q").unwrap_err().starts_with("eth0/Q: "));
    }

    #[test]
    fn a_bound_port_has_rings() {
        let text = shown(true).text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "eth0: native (igb)");
        assert_eq!(
            lines[1],
            "rings:  2 tx of 256 slots, 4 rx of 512 slots, 1 + 1 of the host"
        );
        assert_eq!(lines[2], "region: 1, 2 KiB");
        let words: Vec<_> = lines[5].split_whitespace().collect();
        assert_eq!(
            words,
            ["rx", "0", "3", "180", "4", "0", "1", "0", "0", "8", "1", "1", "2", "taken"]
        );
        assert!(lines[6].ends_with("unused"));
    }

    #[test]
    fn one_that_is_not_bound_has_none() {
        assert_eq!(shown(false).text().lines().next(), Some("eth0: not bound"));
        assert_eq!(shown(false).text().lines().count(), 3);
    }

    #[test]
    fn as_json() {
        let json = serde_json::to_value(shown(true)).unwrap();
        assert_eq!(
            (
                &json["rx_rings"],
                &json["bound"]["rings"][0]["counters"]["packets"]
            ),
            (&4.into(), &3.into())
        );
    }
}
