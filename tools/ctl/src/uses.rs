// SPDX-License-Identifier: BSD-2-Clause
//! What a port is asked for that it has not, and who else uses it.

use crate::findings::{Finding, Findings, Severity};
use netmap::{PortInfo, PortSpec, Rings};

/// A ring of the name that the port has not.
pub fn missing_ring(spec: &PortSpec, info: &PortInfo) -> Option<Finding> {
    let (side, ring, count) = match spec.rings() {
        Rings::OneNic(ring) => ("", ring, info.tx_rings.max(info.rx_rings)),
        Rings::OneHost(ring) => ("host ", ring, info.host_tx_rings.max(info.host_rx_rings)),
        Rings::Host | Rings::NicAndHost => ("host ", 0, info.host_tx_rings.max(info.host_rx_rings)),
        Rings::Nic => return None,
    };
    if ring < count {
        return None;
    }
    let mut findings = Findings::about(Some(spec.name()));
    match count.checked_sub(1) {
        None => findings.add(
            Severity::Error,
            format!("it has no {side}rings"),
            "leave out what selects rings (-N, ^, *)",
        ),
        Some(last) => findings.add(
            Severity::Error,
            format!("there is no {side}ring {ring}"),
            format!("the last one is {last}"),
        ),
    }
    findings.list.pop()
}

/// The place on a switch of an interface whose port is of this kind now, in the module's words; `members` are the ports of all
/// switches.
pub fn attached(base: &str, kind: &str, members: &[String]) -> Option<Finding> {
    // Programs bind a persistent port, which is of another kind, wherever it is attached.
    let is_device = kind.starts_with("native") || kind.starts_with("emulated");
    let is_it = |member: &&String| member.split_once(':').is_some_and(|(_, name)| name == base);
    let member = members.iter().find(is_it).filter(|_| is_device)?;
    let mut findings = Findings::about(Some(base));
    findings.add(
        Severity::Error,
        format!("it is attached to a switch, as {member}"),
        format!("nm-vale -d {member}, or bind another port of the switch"),
    );
    findings.list.pop()
}

/// Who has an interface already.
pub fn others(spec: &PortSpec, kind: &str, members: &[String]) -> Option<Finding> {
    let attached = attached(spec.name(), kind, members);
    if attached.is_some() {
        return attached;
    }
    let mut findings = Findings::about(Some(spec.name()));
    let remedy = "fuser -v /dev/netmap names the programs";
    if spec.flags() & netmap::abi::NR_EXCLUSIVE != 0 {
        findings.add(
            Severity::Warning,
            "it is bound already, or one of this name elsewhere; /x is refused while one of its rings is bound",
            remedy,
        );
    } else {
        findings.add(
            Severity::Note,
            "it is bound already, or one of this name elsewhere; who binds the same rings shares them, unless that program asked for /x",
            remedy,
        );
    }
    findings.list.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(name: &str) -> Option<String> {
        let info = PortInfo {
            mem_size: 1 << 20,
            mem_id: 1,
            tx_slots: 512,
            rx_slots: 512,
            tx_rings: 2,
            rx_rings: 4,
            host_tx_rings: 1,
            host_rx_rings: 0,
        };
        let bare = PortInfo {
            host_tx_rings: 0,
            ..info
        };
        let spec = name.parse().unwrap();
        let info = if name.starts_with("vale") { bare } else { info };
        missing_ring(&spec, &info).map(|finding| finding.to_string())
    }

    #[test]
    fn rings_that_are_not_there() {
        for name in [
            "netmap:eth0",
            "eth0-3",
            "eth0^",
            "eth0^0",
            "eth0*",
            "vale0:a-0",
        ] {
            assert_eq!(missing(name), None, "{name}");
        }
        assert_eq!(
            missing("eth0-4").unwrap(),
            "error   eth0: there is no ring 4; the last one is 3"
        );
        assert_eq!(
            missing("eth0^1").unwrap(),
            "error   eth0: there is no host ring 1; the last one is 0"
        );
        for name in ["vale0:a^0", "vale0:a^", "vale0:a*"] {
            assert_eq!(
                missing(name).unwrap(),
                "error   vale0:a: it has no host rings; leave out what selects rings (-N, ^, *)"
            );
        }
    }

    #[test]
    fn who_has_the_port() {
        let members = ["vale0:a".to_owned(), "vale1:eth0".to_owned()];
        let of = |name: &str, kind| {
            let finding = others(&name.parse().unwrap(), kind, &members);
            finding.unwrap().to_string()
        };
        assert_eq!(
            of("eth0", "native (igb)"),
            "error   eth0: it is attached to a switch, as vale1:eth0; nm-vale -d vale1:eth0, or bind another port of the switch"
        );
        for (name, kind) in [("eth0", "wire"), ("eth1", "emulated (skb)")] {
            assert!(of(name, kind).starts_with("note "));
            assert!(of(&format!("{name}/x"), kind).starts_with("warning "));
        }
    }
}
