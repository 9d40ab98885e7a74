// SPDX-License-Identifier: BSD-2-Clause
//! What the module says in `/sys/kernel/debug/netmap`.

use serde::Serialize;
use std::fmt;

/// The ports in netmap mode, of all network namespaces.
pub const PORTS: &str = "/sys/kernel/debug/netmap/ports";

/// The memory regions.
pub const REGIONS: &str = "/sys/kernel/debug/netmap/regions";

/// A port in netmap mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Its name, which is unique only within a network namespace.
    pub name: String,
    /// What it is, in the module's words: `native (igb)`, `emulated (skb)`, `pipe (master)`, `vale 0` ...
    pub kind: String,
    /// Its device is gone; programs have yet to close it.
    pub dead: bool,
    /// Its rings, those to transmit first.
    pub rings: Vec<Ring>,
}

/// A ring of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ring {
    /// One of the host's rings.
    pub host: bool,
    /// A transmit ring.
    pub transmit: bool,
    /// Its number among those of its direction and side.
    pub number: u32,
    /// What it has counted.
    pub counters: Counters,
    /// Where it stands, if somebody has it bound and nobody was at work on it.
    pub cursors: Option<Cursors>,
    /// Why it is not known where it stands: `unused`, or what the module says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// A queue of the hardware is behind it.
    pub taken: bool,
}

/// What a ring has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Their octets.
    pub bytes: u64,
    /// Syncs.
    pub syncs: u64,
    /// Interrupts that found news for a sleeper.
    pub wakeups: u64,
    /// Packets for which there was no room.
    pub drops: u64,
    /// Slots that could not be sent, and damaged frames.
    pub errors: u64,
    /// How often a program had left the ring in an impossible state.
    pub reinits: u64,
}

/// Where a ring stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cursors {
    /// Slots.
    pub slots: u32,
    /// First slot that the kernel has yet to look at.
    pub hwcur: u32,
    /// End of what is the kernel's.
    pub hwtail: u32,
    /// The program's head, as the kernel saw it last.
    pub head: u32,
    /// The program's cur.
    pub cur: u32,
    /// The program's tail.
    pub tail: u32,
}

/// A memory region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// Its number.
    pub id: u16,
    /// Octets of a program's mapping of it.
    pub size: u64,
    /// Interfaces, in pages.
    pub interface_pages: Pool,
    /// Rings, in pages.
    pub ring_pages: Pool,
    /// Buffers.
    pub buffers: Pool,
    /// Devices that it is mapped for.
    pub devices: u64,
    /// Buffers that come back only when other files are closed.
    pub lost_buffers: u64,
}

/// How much of a pool is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// In use.
    pub used: u64,
    /// Not in use.
    pub free: u64,
    /// Both.
    pub total: u64,
}

/// A line that is none of the module's; a newer or an older one may write others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine(String);

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not understood: nmctl and the module are not of the same version",
            self.0
        )
    }
}

impl Ring {
    /// `tx 0`, `host-rx 1` and so on.
    pub fn label(&self) -> String {
        format!(
            "{}{} {}",
            if self.host { "host-" } else { "" },
            if self.transmit { "tx" } else { "rx" },
            self.number
        )
    }
}

/// Reads the file `ports`.
///
/// # Errors
///
/// [`BadLine`].
pub fn parse_ports(text: &str) -> Result<Vec<Port>, BadLine> {
    let mut ports: Vec<Port> = Vec::new();
    for line in text.lines() {
        let bad = || BadLine(line.to_owned());
        if let Some(ring) = line.strip_prefix("  ") {
            let port = ports.last_mut().ok_or_else(bad)?;
            port.rings.push(parse_ring(ring).ok_or_else(bad)?);
        } else {
            ports.push(parse_port(line).ok_or_else(bad)?);
        }
    }
    Ok(ports)
}

/// `NAME: KIND`, with ` dead` at the end if it is. Names of ports of switches have a colon, but no space behind it.
fn parse_port(line: &str) -> Option<Port> {
    let (name, kind) = line.split_once(": ")?;
    let (kind, dead) = match kind.strip_suffix(" dead") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    Some(Port {
        name: name.to_owned(),
        kind: kind.to_owned(),
        dead,
        rings: Vec::new(),
    })
}

fn parse_ring(line: &str) -> Option<Ring> {
    let (label, rest) = line.split_once(": ")?;
    let (direction, number) = label.split_once(' ')?;
    let (host, direction) = match direction.strip_prefix("host-") {
        Some(direction) => (true, direction),
        None => (false, direction),
    };
    let transmit = match direction {
        "tx" => true,
        "rx" => false,
        _ => return None,
    };
    let mut ring = Ring {
        host,
        transmit,
        number: number.parse().ok()?,
        counters: Counters::default(),
        cursors: None,
        state: None,
        taken: false,
    };
    let mut words = rest.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let value: Option<u64> = words.peek().and_then(|next| next.parse().ok());
        let Some(value) = value else {
            match word {
                "taken" => ring.taken = true,
                _ => ring.state = Some(word.to_lowercase()),
            }
            continue;
        };
        words.next();
        ring.set(word, value)?;
    }
    Some(ring)
}

impl Ring {
    /// Sets the field of this name; one that is not known here is left out.
    fn set(&mut self, name: &str, value: u64) -> Option<()> {
        let counters = &mut self.counters;
        let counter = match name {
            "packets" => Some(&mut counters.packets),
            "bytes" => Some(&mut counters.bytes),
            "syncs" => Some(&mut counters.syncs),
            "wakeups" => Some(&mut counters.wakeups),
            "drops" => Some(&mut counters.drops),
            "errors" => Some(&mut counters.errors),
            "reinits" => Some(&mut counters.reinits),
            _ => None,
        };
        if let Some(counter) = counter {
            *counter = value;
            return Some(());
        }
        let value = u32::try_from(value).ok()?;
        let cursors = self.cursors.get_or_insert_default();
        match name {
            "slots" => cursors.slots = value,
            "hwcur" => cursors.hwcur = value,
            "hwtail" => cursors.hwtail = value,
            "head" => cursors.head = value,
            "cur" => cursors.cur = value,
            "tail" => cursors.tail = value,
            _ => {}
        }
        Some(())
    }
}

/// Reads the file `regions`.
///
/// # Errors
///
/// [`BadLine`].
pub fn parse_regions(text: &str) -> Result<Vec<Region>, BadLine> {
    let mut regions: Vec<Region> = Vec::new();
    for line in text.lines() {
        let bad = || BadLine(line.to_owned());
        match line.strip_prefix("  ") {
            None => regions.push(parse_region(line).ok_or_else(bad)?),
            Some(field) => {
                let region = regions.last_mut().ok_or_else(bad)?;
                let (name, value) = field.split_once(": ").ok_or_else(bad)?;
                set_field(region, name, value).ok_or_else(bad)?;
            }
        }
    }
    Ok(regions)
}

/// `region ID: SIZE bytes`.
fn parse_region(line: &str) -> Option<Region> {
    let (id, size) = line.strip_prefix("region ")?.split_once(": ")?;
    Some(Region {
        id: id.parse().ok()?,
        size: size.strip_suffix(" bytes")?.parse().ok()?,
        interface_pages: Pool::default(),
        ring_pages: Pool::default(),
        buffers: Pool::default(),
        devices: 0,
        lost_buffers: 0,
    })
}

/// Sets a field of a region; one that is not known here is left out.
fn set_field(region: &mut Region, name: &str, value: &str) -> Option<()> {
    match name {
        "interface pages" => region.interface_pages = parse_pool(value)?,
        "ring pages" => region.ring_pages = parse_pool(value)?,
        "buffers" => region.buffers = parse_pool(value)?,
        "devices" => region.devices = value.parse().ok()?,
        "lost buffers" => region.lost_buffers = value.parse().ok()?,
        _ => {}
    }
    Some(())
}

/// `used N free N total N`.
fn parse_pool(text: &str) -> Option<Pool> {
    let words: Vec<&str> = text.split(' ').collect();
    let ["used", used, "free", free, "total", total] = words[..] else {
        return None;
    };
    Some(Pool {
        used: used.parse().ok()?,
        free: free.parse().ok()?,
        total: total.parse().ok()?,
    })
}

/// The ports that the module has now.
///
/// # Errors
///
/// In words, with what to do.
pub fn read_ports() -> Result<Vec<Port>, String> {
    parse_ports(&read(PORTS)?).map_err(|bad| format!("{PORTS}: {bad}"))
}

/// The regions that the module has now.
///
/// # Errors
///
/// In words, with what to do.
pub fn read_regions() -> Result<Vec<Region>, String> {
    parse_regions(&read(REGIONS)?).map_err(|bad| format!("{REGIONS}: {bad}"))
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "run this as root",
            std::io::ErrorKind::NotFound if crate::module::is_loaded() => {
                "mount -t debugfs none /sys/kernel/debug"
            }
            std::io::ErrorKind::NotFound => "load the module: modprobe netmap",
            _ => return format!("{path}: {error}"),
        };
        format!("{path}: {error}; {remedy}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
eth0: native (igb)
  tx 0: packets 0 bytes 0 syncs 0 wakeups 0 drops 0 errors 0 reinits 0 unused
  host-tx 0: packets 1 bytes 60 syncs 2 wakeups 0 drops 3 errors 0 reinits 0 slots 256 hwcur 1 hwtail 0 head 1 cur 1 tail 0
  rx 1: packets 21 bytes 1554 syncs 4125 wakeups 73 drops 4 errors 5 reinits 6 slots 256 hwcur 21 hwtail 22 head 23 cur 24 tail 25 taken
vale0:a: vale 0 dead
  rx 0: packets 0 bytes 0 syncs 0 wakeups 0 drops 0 errors 0 reinits 0 Busy
";

    #[test]
    fn ports_and_rings() {
        let ports = parse_ports(TEXT).unwrap();
        let names: Vec<_> = ports
            .iter()
            .map(|port| (&port.name[..], &port.kind[..], port.dead))
            .collect();
        assert_eq!(
            names,
            [("eth0", "native (igb)", false), ("vale0:a", "vale 0", true)]
        );
        let labels: Vec<_> = ports[0].rings.iter().map(Ring::label).collect();
        assert_eq!(labels, ["tx 0", "host-tx 0", "rx 1"]);
        let rx = &ports[0].rings[2];
        assert_eq!(
            rx.counters,
            Counters {
                packets: 21,
                bytes: 1554,
                syncs: 4125,
                wakeups: 73,
                drops: 4,
                errors: 5,
                reinits: 6
            }
        );
        assert_eq!(
            rx.cursors,
            Some(Cursors {
                slots: 256,
                hwcur: 21,
                hwtail: 22,
                head: 23,
                cur: 24,
                tail: 25
            })
        );
        assert!(rx.taken && rx.state.is_none());
    }

    #[test]
    fn rings_that_stand_nowhere() {
        let ports = parse_ports(TEXT).unwrap();
        let state = |port: usize, ring: usize| {
            let ring: &Ring = &ports[port].rings[ring];
            (ring.cursors, ring.state.clone(), ring.taken)
        };
        assert_eq!(state(0, 0), (None, Some("unused".to_owned()), false));
        assert_eq!(state(1, 0), (None, Some("busy".to_owned()), false));
    }

    #[test]
    fn a_newer_module_may_say_more() {
        let ports =
            parse_ports("a{1: pipe (master)\n  tx 0: packets 7 retries 3 bytes 8 news slots 4\n")
                .unwrap();
        let ring = &ports[0].rings[0];
        assert_eq!((ring.counters.packets, ring.counters.bytes), (7, 8));
        assert_eq!(ring.cursors.unwrap().slots, 4);
    }

    #[test]
    fn a_stack_port_says_more_than_its_kind() {
        let ports = parse_ports("eth0: stack (soft), 3 connections, 5 buffers in TCP\n").unwrap();
        assert_eq!(
            ports[0].kind,
            "stack (soft), 3 connections, 5 buffers in TCP"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "eth0\n",
            "  rx 0: packets 1\n",
            "eth0: x\n  up 0: packets 1\n",
            "eth0: x\n  rx a: packets 1\n",
        ] {
            assert!(parse_ports(text).is_err(), "{text}");
        }
        for text in [
            "memory 1: 2 bytes\n",
            "region 1: big\n",
            "  buffers: used 1\n",
            "region 1: 2 bytes\n  buffers: 1\n",
        ] {
            assert!(parse_regions(text).is_err(), "{text}");
        }
        assert_eq!(parse_ports("").unwrap(), []);
    }

    #[test]
    fn regions_and_their_pools() {
        let text = "\
region 1: 343019520 bytes
  interface pages: used 1 free 24 total 25
  ring pages: used 2 free 1798 total 1800
  buffers: used 512 free 163328 total 163840
  clusters: 1 huge 1
  pages of interfaces and rings: 3
  devices: 1
  lost buffers: 7
region 2: 4096 bytes
";
        let regions = parse_regions(text).unwrap();
        assert_eq!(regions.len(), 2);
        assert_eq!(
            regions[0].buffers,
            Pool {
                used: 512,
                free: 163328,
                total: 163840
            }
        );
        assert_eq!(
            (
                regions[0].id,
                regions[0].size,
                regions[0].devices,
                regions[0].lost_buffers
            ),
            (1, 343019520, 1, 7)
        );
        assert_eq!(regions[1].buffers, Pool::default());
    }
}
