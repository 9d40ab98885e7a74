// SPDX-License-Identifier: BSD-2-Clause
//! The interfaces of the network namespace, and what a port of one would be.

use crate::ethtool::Ethtool;
use crate::families::{self, Family};
use crate::module::Module;
use crate::netlink::Link;
use std::path::{Path, PathBuf};

const CLASS: &str = "/sys/class/net";

/// The header of an Ethernet frame with a VLAN tag, which the MTU does not count.
const ETHERNET_HEADER: u32 = 18;

/// An interface.
#[derive(Debug, Clone, Default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// It is the loopback interface.
    pub loopback: bool,
    /// Its frames are Ethernet's.
    pub ethernet: bool,
    /// Its driver, or what kind of virtual device it is.
    pub driver: String,
    /// The family of NICs that it is of, if the module knows that.
    pub family: Option<Family>,
    /// Its driver is not of the kernel's source tree.
    pub foreign: bool,
    /// Transmit queues.
    pub tx_queues: usize,
    /// Receive queues.
    pub rx_queues: usize,
    /// It is up.
    pub up: bool,
    /// It has a carrier, which is not known while it is down.
    pub carrier: bool,
    /// The longest payload.
    pub mtu: u32,
    /// Virtual functions of the card.
    pub virtual_functions: u32,
    /// Its queues are divided among traffic classes.
    pub traffic_classes: bool,
    /// What rtnetlink says.
    pub link: Link,
    /// The features that are on, by ethtool's names.
    pub features: Vec<String>,
}

/// What a port of an interface would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Native: the rings are those of the NIC.
    Native,
    /// Emulated, for this reason.
    Emulated(Reason),
    /// Refused, for this reason.
    Refused(Reason),
}

/// Why a port is not native, in the module's words where it has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The parameter `admode` is 2.
    Admode,
    /// No NIC of a family.
    UnknownNic,
    /// The driver is not the kernel's own.
    ForeignDriver,
    /// The parameter `e1000e_takeover` is not set.
    E1000e,
    /// The loopback interface.
    Loopback,
    /// No Ethernet frames.
    NotEthernet,
    /// The kernel lacks the hooks of emulated ports.
    NoHooks,
}

impl Reason {
    /// In the words of the module's log.
    pub fn words(self) -> &'static str {
        match self {
            Reason::Admode => "the parameter admode is 2",
            Reason::UnknownNic => "not a NIC whose queues netmap knows how to take",
            Reason::ForeignDriver => {
                "the driver is from outside the kernel's source tree; load the kernel's own"
            }
            Reason::E1000e => {
                "stopping the receiver of an 82574 is not known to be safe; in a VM, set e1000e_takeover=1"
            }
            Reason::Loopback => "the loopback interface has no wire",
            Reason::NotEthernet => "not an Ethernet device",
            Reason::NoHooks => "the kernel has not CONFIG_NETFILTER_INGRESS and CONFIG_NETFILTER_EGRESS",
        }
    }
}

impl Interface {
    /// What a port of it would be. Conflicts with other users of its queues are not judged here.
    pub fn outcome(&self, module: &Module) -> Outcome {
        if self.loopback {
            return Outcome::Refused(Reason::Loopback);
        }
        if !self.ethernet {
            return Outcome::Refused(Reason::NotEthernet);
        }
        let admode = module.parameters.number("admode").unwrap_or(0);
        let reason = match self.family {
            _ if admode == 2 => Reason::Admode,
            None => Reason::UnknownNic,
            Some(_) if self.foreign => Reason::ForeignDriver,
            Some(family)
                if family.driver == "e1000e" && !module.parameters.is_set("e1000e_takeover") =>
            {
                Reason::E1000e
            }
            Some(_) => return Outcome::Native,
        };
        let hooks = ["CONFIG_NETFILTER_INGRESS", "CONFIG_NETFILTER_EGRESS"];
        if admode == 1 {
            Outcome::Refused(reason)
        } else if hooks
            .iter()
            .any(|option| module.config_has(option) == Some(false))
        {
            Outcome::Refused(Reason::NoHooks)
        } else {
            Outcome::Emulated(reason)
        }
    }

    /// Whether a feature is on, by ethtool's name.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|name| name == feature)
    }

    /// The longest frame, without its check sequence.
    pub fn longest_frame(&self) -> u32 {
        self.mtu.saturating_add(ETHERNET_HEADER)
    }

    /// Looks at the interface of this name in the caller's network namespace.
    ///
    /// # Errors
    ///
    /// In words, if there is none.
    pub fn look(name: &str) -> Result<Interface, String> {
        let absent = || {
            format!("{name}: there is no such interface in this network namespace; ip -br link lists them")
        };
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Err(absent());
        }
        let directory = Path::new(CLASS).join(name);
        let number = |file: &str| read(&directory.join(file)).parse::<u32>().ok();
        let index = number("ifindex").ok_or_else(absent)?;
        let flags =
            u32::from_str_radix(read(&directory.join("flags")).trim_start_matches("0x"), 16);
        let flags = flags.unwrap_or(0);
        let link = Link::of(index).unwrap_or_default();
        let ethtool = Ethtool::open().ok();
        let driver = driver(&directory)
            .or_else(|| link.kind.clone())
            .or_else(|| ethtool.as_ref()?.driver(name).ok())
            .unwrap_or_default();
        let hex = |file: &str| {
            let text = read(&directory.join("device").join(file));
            u16::from_str_radix(text.trim_start_matches("0x"), 16).ok()
        };
        let family = hex("vendor")
            .zip(hex("device"))
            .and_then(|(vendor, device)| families::find(vendor, device, &driver));
        let (tx, rx) = queues(&directory);
        let is = |flag: i32| flags & flag as u32 != 0;
        Ok(Interface {
            name: name.to_owned(),
            loopback: is(libc::IFF_LOOPBACK),
            ethernet: number("type") == Some(u32::from(libc::ARPHRD_ETHER))
                && number("addr_len") == Some(6),
            foreign: read(&directory.join("device/driver/module/taint")).contains('O'),
            family,
            driver,
            tx_queues: tx.len(),
            rx_queues: rx,
            up: is(libc::IFF_UP),
            carrier: number("carrier") == Some(1),
            mtu: number("mtu").unwrap_or(0),
            virtual_functions: number("device/sriov_numvfs").unwrap_or(0),
            traffic_classes: tx.iter().any(|queue| {
                read(&queue.join("traffic_class"))
                    .parse::<u32>()
                    .is_ok_and(|class| class != 0)
            }) || link
                .qdisc
                .as_deref()
                .is_some_and(|qdisc| matches!(qdisc, "mqprio" | "taprio")),
            link,
            features: ethtool
                .and_then(|ethtool| ethtool.features(name).ok())
                .unwrap_or_default(),
        })
    }

    /// All interfaces of the caller's network namespace, in order of their names; one that goes meanwhile is left out.
    pub fn all() -> Vec<Interface> {
        let entries = std::fs::read_dir(CLASS).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_by_key(|name| natural(name));
        names
            .iter()
            .filter_map(|name| Interface::look(name).ok())
            .collect()
    }
}

/// An order in which `eth10` is behind `eth9`.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

/// The directories of the transmit queues, and how many receive queues there are.
fn queues(directory: &Path) -> (Vec<PathBuf>, usize) {
    let entries = std::fs::read_dir(directory.join("queues"))
        .into_iter()
        .flatten()
        .flatten();
    let (mut tx, mut rx) = (Vec::new(), 0);
    for entry in entries {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b"tx-") {
            tx.push(entry.path());
        } else {
            rx += 1;
        }
    }
    (tx, rx)
}

/// The name of the driver of the device behind an interface, if there is one.
fn driver(directory: &Path) -> Option<String> {
    let link = std::fs::read_link(directory.join("device/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Parameters;

    fn igb() -> Interface {
        Interface {
            name: "eth0".to_owned(),
            ethernet: true,
            driver: "igb".to_owned(),
            family: families::find(families::INTEL, 0x10c9, "igb"),
            ..Interface::default()
        }
    }

    fn with(parameters: &[(&str, &str)]) -> Module {
        Module {
            parameters: Parameters::of(parameters),
            ..Module::default()
        }
    }

    #[test]
    fn a_known_nic_is_native_unless_told_otherwise() {
        assert_eq!(igb().outcome(&with(&[])), Outcome::Native);
        assert_eq!(igb().outcome(&with(&[("admode", "1")])), Outcome::Native);
        assert_eq!(
            igb().outcome(&with(&[("admode", "2")])),
            Outcome::Emulated(Reason::Admode)
        );
        let foreign = Interface {
            foreign: true,
            ..igb()
        };
        assert_eq!(
            foreign.outcome(&with(&[])),
            Outcome::Emulated(Reason::ForeignDriver)
        );
        assert_eq!(
            foreign.outcome(&with(&[("admode", "1")])),
            Outcome::Refused(Reason::ForeignDriver)
        );
    }

    #[test]
    fn an_82574_needs_its_parameter() {
        let nic = Interface {
            family: families::find(families::INTEL, 0x10d3, "e1000e"),
            ..igb()
        };
        assert_eq!(
            nic.outcome(&with(&[("e1000e_takeover", "N")])),
            Outcome::Emulated(Reason::E1000e)
        );
        assert_eq!(
            nic.outcome(&with(&[("e1000e_takeover", "Y")])),
            Outcome::Native
        );
    }

    #[test]
    fn others_are_emulated_or_refused() {
        let veth = Interface {
            family: None,
            ..igb()
        };
        assert_eq!(
            veth.outcome(&with(&[])),
            Outcome::Emulated(Reason::UnknownNic)
        );
        assert_eq!(
            veth.outcome(&with(&[("admode", "1")])),
            Outcome::Refused(Reason::UnknownNic)
        );
        let tunnel = Interface {
            ethernet: false,
            ..igb()
        };
        assert_eq!(
            tunnel.outcome(&with(&[])),
            Outcome::Refused(Reason::NotEthernet)
        );
        let lo = Interface {
            loopback: true,
            ..tunnel
        };
        assert_eq!(lo.outcome(&with(&[])), Outcome::Refused(Reason::Loopback));
    }

    #[test]
    fn a_kernel_without_the_hooks_has_no_emulated_ports() {
        let module = Module {
            config: Some("CONFIG_NETFILTER_INGRESS=y\n".to_owned()),
            ..Module::default()
        };
        let veth = Interface {
            family: None,
            ..igb()
        };
        assert_eq!(veth.outcome(&module), Outcome::Refused(Reason::NoHooks));
        assert_eq!(igb().outcome(&module), Outcome::Native);
    }

    #[test]
    fn names_in_order() {
        let mut names = ["eth10", "eth9", "br", "eth0.2"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["br", "eth9", "eth10", "eth0.2"]);
    }

    #[test]
    fn the_loopback_interface_is_looked_at() {
        let lo = Interface::look("lo").unwrap();
        assert!(lo.loopback && !lo.ethernet && lo.family.is_none());
        for name in ["nosuchif", "", ".", "..", "../lo"] {
            assert!(Interface::look(name).is_err(), "{name}");
        }
    }
}
