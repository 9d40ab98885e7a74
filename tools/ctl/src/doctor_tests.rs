// SPDX-License-Identifier: BSD-2-Clause

use super::*;
use crate::families;
use crate::module::Parameters;
use crate::netlink::Link;

fn loaded() -> Module {
    Module {
        loaded: true,
        net_admin: true,
        guest: true,
        parameters: Parameters::of(&[("admode", "0"), ("buf_size", "2048"), ("takeover", "auto")]),
        ..Module::default()
    }
}

fn nic(device: u16, driver: &str) -> Interface {
    Interface {
        name: "eth0".to_owned(),
        ethernet: true,
        driver: driver.to_owned(),
        family: families::find(families::INTEL, device, driver),
        up: true,
        carrier: true,
        mtu: 1500,
        ..Interface::default()
    }
}

fn igb() -> Interface {
    nic(0x10c9, "igb")
}

fn veth() -> Interface {
    Interface {
        name: "veth0".to_owned(),
        family: None,
        driver: "veth".to_owned(),
        ..igb()
    }
}

/// The findings that matter, as lines.
fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(Finding::to_string).collect()
}

#[test]
fn a_sound_machine_and_a_sound_port() {
    assert_eq!(
        of_machine(&loaded())
            .iter()
            .map(|f| f.severity)
            .collect::<Vec<_>>(),
        [Severity::Ok]
    );
    assert_eq!(
        lines(&of_interface(&igb(), &loaded(), None)),
        ["ok      eth0: native (igb), nothing is in the way"]
    );
}

#[test]
fn what_the_machine_lacks() {
    let kernel = Module {
        config: Some("# no Rust\n".to_owned()),
        release: "6.12".to_owned(),
        ..Module::default()
    };
    for (module, expected) in [
        (Module::default(), "neither loaded nor installed"),
        (
            Module {
                installed: true,
                ..Module::default()
            },
            "not loaded; modprobe netmap",
        ),
        (kernel, "6.12 is built without CONFIG_RUST"),
        (
            Module {
                device_error: Some(libc::EACCES),
                ..loaded()
            },
            "may not be opened by this user; run this as root",
        ),
        (
            Module {
                device_error: Some(libc::ENOENT),
                ..loaded()
            },
            "there is no /dev/netmap here",
        ),
        (
            Module {
                net_admin: false,
                ..loaded()
            },
            "has not CAP_NET_ADMIN",
        ),
    ] {
        let found = of_machine(&module);
        assert_eq!(found[0].severity, Severity::Error, "{expected}");
        assert!(found[0].to_string().contains(expected), "{}", found[0]);
    }
    let trusting = Module {
        net_admin: false,
        parameters: Parameters::of(&[("trust_file", "Y")]),
        ..loaded()
    };
    assert_eq!(of_machine(&trusting)[0].severity, Severity::Ok);
    let blind = Module {
        debugfs: Debugfs::Absent,
        ..loaded()
    };
    assert!(of_machine(&blind)[0]
        .to_string()
        .contains("mount -t debugfs"));
}

#[test]
fn what_refuses_a_native_port() {
    let with = |change: &dyn Fn(&mut Interface)| {
        let mut interface = igb();
        change(&mut interface);
        interface
    };
    for (interface, remedy) in [
        (
            with(&|nic| nic.virtual_functions = 2),
            "echo 0 >/sys/class/net/eth0/device/sriov_numvfs",
        ),
        (
            with(&|nic| {
                nic.link = Link {
                    xdp: Some((XdpMode::Driver, 3)),
                    ..Link::default()
                }
            }),
            "ip link set eth0 xdp off",
        ),
        (
            with(&|nic| nic.traffic_classes = true),
            "tc qdisc del dev eth0 root",
        ),
        (
            with(&|nic| nic.features = vec!["rx-all".to_owned()]),
            "ethtool -K eth0 rx-all off",
        ),
        (
            with(&|nic| nic.features = vec!["l2-fwd-offload".to_owned()]),
            "ethtool -K eth0 l2-fwd-offload off",
        ),
    ] {
        let found = of_interface(&interface, &loaded(), None);
        let errors: Vec<_> = found
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .collect();
        assert_eq!(errors.len(), 1, "{remedy}");
        assert_eq!(errors[0].remedy.as_deref(), Some(remedy));
    }
    let generic = with(&|nic| {
        nic.link = Link {
            xdp: Some((XdpMode::Generic, 3)),
            ..Link::default()
        }
    });
    assert_eq!(
        of_interface(&generic, &loaded(), None)[0].severity,
        Severity::Ok
    );
}

#[test]
fn parameters_that_refuse() {
    let module = |name: &'static str, value: &'static str| Module {
        parameters: Parameters::of(&[("takeover", "auto"), ("buf_size", "2048"), (name, value)]),
        ..loaded()
    };
    let first =
        |interface: &Interface, module: &Module| of_interface(interface, module, None).remove(0);
    let small = first(&igb(), &module("buf_size", "512"));
    assert!(small.severity == Severity::Error && small.what.contains("too small"));
    let lo = Interface {
        loopback: true,
        ..veth()
    };
    assert!(first(&lo, &loaded()).to_string().contains("veth pair"));
    let only_native = first(&veth(), &module("admode", "1"));
    assert!(
        only_native.severity == Severity::Error && only_native.remedy.unwrap().contains("admode")
    );
    let emulated = first(&igb(), &module("admode", "2"));
    assert!(
        emulated.severity == Severity::Warning && emulated.remedy.unwrap().starts_with("echo 0 >")
    );
    let e1000e = first(&nic(0x10d3, "e1000e"), &loaded());
    assert!(
        e1000e.severity == Severity::Warning && e1000e.remedy.unwrap().ends_with("e1000e_takeover")
    );
    let bare_metal = Module {
        guest: false,
        ..module("takeover", "hot")
    };
    assert_eq!(
        first(&nic(0x100e, "e1000"), &bare_metal).severity,
        Severity::Error
    );
    assert_eq!(
        first(&nic(0x100e, "e1000"), &module("takeover", "hot")).severity,
        Severity::Ok
    );
    let restarts = Module {
        guest: false,
        ..loaded()
    };
    assert!(first(&nic(0x100e, "e1000"), &restarts)
        .what
        .contains("down and up"));
}

#[test]
fn what_hurts_an_emulated_port() {
    let offloads = Interface {
        features: vec!["rx-gro".to_owned(), "rx-lro".to_owned()],
        ..veth()
    };
    let bound = of_interface(&offloads, &loaded(), Some("emulated (skb)"));
    let warnings: Vec<_> = bound
        .iter()
        .filter(|f| f.severity == Severity::Warning)
        .collect();
    assert_eq!(warnings.len(), 2, "{:?}", lines(&bound));
    assert_eq!(
        warnings[0].remedy.as_deref(),
        Some("ethtool -K veth0 gro off")
    );
    let free = of_interface(&offloads, &loaded(), None);
    assert!(
        free.iter().all(|f| f.severity != Severity::Warning),
        "{:?}",
        lines(&free)
    );
    assert!(free[0].what.starts_with("emulated: not a NIC"));
}

#[test]
fn the_link_and_its_mtu() {
    let down = Interface {
        up: false,
        carrier: false,
        ..veth()
    };
    assert!(lines(&of_interface(&down, &loaded(), None))
        .iter()
        .any(|line| line.ends_with("ip link set veth0 up")));
    let pulled = Interface {
        carrier: false,
        ..igb()
    };
    assert!(lines(&of_interface(&pulled, &loaded(), None))[0].contains("no carrier"));
    let jumbo = Interface { mtu: 9000, ..igb() };
    let found = of_interface(&jumbo, &loaded(), None);
    assert!(
        found[0].what.contains("several slots")
            && found[0].remedy.as_ref().unwrap().contains("echo 16384")
    );
    let split = Interface {
        mtu: 9000,
        ..nic(0x10d3, "e1000e")
    };
    let module = Module {
        parameters: Parameters::of(&[("e1000e_takeover", "Y"), ("takeover", "auto")]),
        ..loaded()
    };
    assert_eq!(
        of_interface(&split, &module, None)[0].remedy.as_deref(),
        Some("ip link set eth0 mtu 1500")
    );
}
