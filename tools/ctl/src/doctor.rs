// SPDX-License-Identifier: BSD-2-Clause
//! `nmctl doctor`: what is missing or hurts, why a port is emulated, and what would do about it.

use crate::findings::{prevents, Finding, Findings, Severity};
use crate::interface::{Interface, Outcome, Reason};
use crate::module::{parameter_path, Debugfs, Module};
use crate::netlink::XdpMode;
use crate::reasons;
use crate::show;
use crate::uses;
use netmap::{Control, PortSpec};
use std::io;

/// Looks at a port, or at the machine and all of its Ethernet interfaces.
///
/// # Errors
///
/// In words, if there is no such port.
pub fn run(port: Option<&str>) -> Result<Vec<Finding>, String> {
    let module = Module::look();
    let mut findings = of_machine(&module);
    let is_usable = !prevents(&findings);
    let Some(port) = port else {
        for interface in Interface::all()
            .iter()
            .filter(|interface| interface.ethernet)
        {
            let kind = kind_now(&interface.name);
            findings.extend(of_interface(interface, &module, kind.as_deref()));
        }
        // No port is well while the machine is not.
        findings.retain(|finding| is_usable || finding.severity != Severity::Ok);
        return Ok(findings);
    };
    findings.extend(of_port(&show::spec_of(port)?, &module, is_usable)?);
    let is_well = !prevents(&findings);
    findings.retain(|finding| is_well || finding.severity != Severity::Ok);
    Ok(findings)
}

/// What there is to say of a port, which is not asked of the module unless that is usable.
fn of_port(spec: &PortSpec, module: &Module, is_usable: bool) -> Result<Vec<Finding>, String> {
    let name = spec.name();
    // A pipe is on its interface, and nothing is in its way but what is in that one's.
    let base = name.split(['{', '}']).next().unwrap_or_default();
    if base.starts_with("vale") && base.contains(':') {
        return Ok(of_member(spec, module));
    }
    let interface = match Interface::look(base) {
        Ok(interface) => interface,
        Err(_) if base.len() < name.len() => return Ok(of_bare(spec, module)),
        Err(reason) => return Err(reason),
    };
    let kind = kind_now(base);
    let mut findings = of_interface(&interface, module, kind.as_deref());
    if is_usable && !prevents(&findings) {
        findings.extend(asked(spec, base));
    }
    let shares_rings = base == name && spec.flags() & netmap::abi::NR_STACK == 0;
    if let Some(kind) = kind.filter(|_| shares_rings) {
        findings.extend(uses::others(spec, &kind, &members()));
    }
    Ok(findings)
}

/// The kind of the port of packets that an interface of this name has now, in whichever network namespace, if it is bound and that
/// can be read.
fn kind_now(name: &str) -> Option<String> {
    let ports = crate::debugfs::read_ports().ok()?;
    ports
        .into_iter()
        .find(|port| port.name == name && !port.dead && !port.kind.starts_with("stack"))
        .map(|port| port.kind)
}

/// The ports of all switches of the network namespace, as far as they can be listed.
fn members() -> Vec<String> {
    let control = Control::open().ok();
    let ports = control.iter().flat_map(Control::ports);
    ports.filter_map(|port| Some(port.ok()?.name)).collect()
}

/// What the module itself answers about a port, if not that it is there with the rings that are asked for.
fn asked(spec: &PortSpec, base: &str) -> Option<Finding> {
    let name = spec.name();
    // From its end, for what it says of other requests is no answer to this one.
    let mut log = reasons::Log::from_now();
    let error = match Control::open().and_then(|control| control.info_with(name, spec.conf())) {
        Ok(info) => return uses::missing_ring(spec, &info),
        Err(error) => error,
    };
    let mut findings = Findings::about(Some(name));
    let reason = log.as_mut().and_then(|log| log.reason(base));
    match reason {
        Some(reason) => findings.add(
            Severity::Error,
            format!("refused: {reason} ({error})"),
            reasons::remedy(&reason, base),
        ),
        None => findings.add(
            Severity::Error,
            format!("refused: {error}"),
            remedy_of(&error),
        ),
    }
    findings.list.pop()
}

/// What to do about an error of a request, without the module's reason.
pub fn remedy_of(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => "run this as root, or with CAP_NET_ADMIN where the interface is",
        Some(libc::ENXIO) => "there is no such port in this network namespace",
        Some(libc::ENOMEM) => "the kernel's log (dmesg) names the parameter that is too small",
        Some(libc::EBUSY) => {
            "end what else uses its rings; the kernel's log (dmesg) has the reason"
        }
        _ => "the kernel's log (dmesg) has the reason",
    }
}

/// A port of a switch, which may be an interface's place there.
fn of_member(spec: &PortSpec, module: &Module) -> Vec<Finding> {
    let attached = spec
        .name()
        .split_once(':')
        .and_then(|(_, base)| uses::attached(base, kind_now(base).as_deref()?, &members()));
    match attached {
        Some(finding) => vec![finding],
        None => of_bare(spec, module),
    }
}

/// A port of a switch, or a pipe on nothing.
fn of_bare(spec: &PortSpec, module: &Module) -> Vec<Finding> {
    let name = spec.name();
    let mut findings = Findings::about(Some(name));
    if module.loaded && module.device_error.is_none() {
        match asked(spec, name) {
            Some(finding) => return vec![finding],
            None => findings.add(Severity::Ok, "nothing is in the way of a bind", ""),
        }
    }
    findings.list
}

/// What is wrong with the machine.
fn of_machine(module: &Module) -> Vec<Finding> {
    let mut findings = Findings::about(None);
    if !module.loaded {
        not_loaded(module, &mut findings);
        return findings.list;
    }
    match module.device_error {
        None => {}
        Some(libc::EACCES | libc::EPERM) => findings.add(
            Severity::Error,
            "/dev/netmap may not be opened by this user",
            "run this as root, or join the group that may (usermod -aG netmap USER, and log in again)",
        ),
        Some(libc::ENOENT) => findings.add(
            Severity::Error,
            "there is no /dev/netmap here",
            "in a container: give it the file (--device /dev/netmap)",
        ),
        Some(number) => findings.add(
            Severity::Error,
            format!("/dev/netmap: {}", io::Error::from_raw_os_error(number)),
            "load the module again: rmmod netmap; modprobe netmap",
        ),
    }
    if !module.net_admin && !module.parameters.is_set("trust_file") {
        findings.add(
            Severity::Error,
            "this process has not CAP_NET_ADMIN, without which it binds no interface (but ports of switches, and pipes)",
            format!("run the program as root, or echo Y >{}", parameter_path("trust_file")),
        );
    }
    match module.debugfs {
        Debugfs::Readable => {}
        Debugfs::Forbidden => findings.add(
            Severity::Note,
            "the counters in /sys/kernel/debug/netmap may not be read by this user",
            "run nmctl as root",
        ),
        Debugfs::Absent => findings.add(
            Severity::Warning,
            "there is no /sys/kernel/debug/netmap, where the counters are",
            "mount -t debugfs none /sys/kernel/debug",
        ),
    }
    if findings.list.is_empty() {
        findings.add(
            Severity::Ok,
            "the module is loaded, and this process may use it",
            "",
        );
    }
    findings.list
}

fn not_loaded(module: &Module, findings: &mut Findings) {
    let release = &module.release;
    if module.config_has("CONFIG_RUST") == Some(false) {
        findings.add(
            Severity::Error,
            format!("the kernel {release} is built without CONFIG_RUST, which the module needs"),
            "boot another one (Debian: apt install -t trixie-backports linux-image-amd64)",
        );
    } else if module.installed {
        findings.add(
            Severity::Error,
            "the module is not loaded",
            "modprobe netmap",
        );
    } else {
        findings.add(
            Severity::Error,
            format!("the module is neither loaded nor installed for the kernel {release}"),
            "apt install ./netmap-dkms_*.deb, or make and make install; then modprobe netmap",
        );
    }
}

/// What is wrong with an interface; `bound` is the kind of its port, if it is bound.
fn of_interface(interface: &Interface, module: &Module, bound: Option<&str>) -> Vec<Finding> {
    let mut findings = Findings::about(Some(&interface.name));
    let outcome = interface.outcome(module);
    match outcome {
        Outcome::Refused(reason) => findings.add(
            Severity::Error,
            reason.words(),
            remedy_for(reason, interface, module),
        ),
        Outcome::Emulated(reason) => emulated(interface, module, reason, bound, &mut findings),
        Outcome::Native => native(interface, module, bound, &mut findings),
    }
    if !matches!(outcome, Outcome::Refused(_)) {
        of_link(interface, module, &mut findings);
    }
    let hurts = |finding: &Finding| matches!(finding.severity, Severity::Error | Severity::Warning);
    if !findings.list.iter().any(hurts) {
        let kind = match (bound, outcome) {
            (Some(kind), _) => kind.to_owned(),
            (None, Outcome::Native) => format!("native ({})", interface.driver),
            (None, _) => "emulated".to_owned(),
        };
        findings.add(Severity::Ok, format!("{kind}, nothing is in the way"), "");
    }
    findings.list
}

/// What would make a port of this reason native, or possible at all.
fn remedy_for(reason: Reason, interface: &Interface, module: &Module) -> String {
    match reason {
        Reason::Admode => format!("echo 0 >{}", parameter_path("admode")),
        Reason::NoHooks => "boot a kernel that has them".to_owned(),
        Reason::UnknownNic if module.parameters.number("admode") != Some(1) => {
            "native ports are those of ixgbe, igb, e1000 and e1000e cards".to_owned()
        }
        Reason::E1000e if !module.guest => "there is none outside of virtual machines".to_owned(),
        _ => reasons::remedy(reason.words(), &interface.name),
    }
}

fn emulated(
    interface: &Interface,
    module: &Module,
    reason: Reason,
    bound: Option<&str>,
    findings: &mut Findings,
) {
    // That a card which could be native is not is a loss; that a veth is not is its nature.
    let severity = match interface.family {
        Some(_) => Severity::Warning,
        None => Severity::Note,
    };
    let remedy = match (reason, interface.family) {
        (Reason::Admode, None) => String::new(),
        _ => remedy_for(reason, interface, module),
    };
    findings.add(severity, format!("emulated: {}", reason.words()), remedy);
    let name = &interface.name;
    for (feature, short) in [
        ("rx-gro", "gro"),
        ("rx-lro", "lro"),
        ("rx-gro-hw", "rx-gro-hw"),
    ] {
        if interface.has(feature) && bound.is_some_and(|kind| kind.starts_with("emulated")) {
            findings.add(
                Severity::Warning,
                format!("{short} is on while its port is bound: packets are put together, and cut again for the rings"),
                format!("ethtool -K {name} {short} off"),
            );
        } else if interface.has(feature) {
            findings.add(
                Severity::Note,
                format!("{short} is on; it is off while a receive ring is bound"),
                "",
            );
        }
    }
    if let Some((mode, number)) = interface.link.xdp.filter(|_| bound.is_none()) {
        let how = if mode == XdpMode::Generic {
            "generic "
        } else {
            ""
        };
        findings.add(
            Severity::Note,
            format!(
                "the {how}XDP program {number} is attached, so that the port receives without XDP"
            ),
            format!("ip link set {name} xdp off"),
        );
    }
}

fn native(interface: &Interface, module: &Module, bound: Option<&str>, findings: &mut Findings) {
    let name = &interface.name;
    let mut refuse = |is: bool, reason: &str| {
        if is {
            findings.add(Severity::Error, reason, reasons::remedy(reason, name));
        }
    };
    refuse(
        interface.virtual_functions != 0,
        "the device has virtual functions (SR-IOV)",
    );
    let in_driver = |(mode, _): &(XdpMode, u32)| *mode != XdpMode::Generic;
    refuse(
        interface.link.xdp.as_ref().is_some_and(in_driver),
        "an XDP program is attached",
    );
    refuse(interface.traffic_classes, "traffic classes are configured");
    refuse(interface.has("l2-fwd-offload"), "macvlan offload is on");
    refuse(interface.has("rx-all"), "the feature rx-all is on");
    refuse(
        interface.driver == "e1000e" && interface.mtu > 1500,
        "the driver splits packets",
    );
    let buffer = module.parameters.number("buf_size").unwrap_or(u32::MAX);
    let least = interface.family.map_or(0, |family| family.least_buffer);
    refuse(buffer < least, "buffers of this size are too small for the NIC to receive into (module parameter buf_size)");
    refuse(
        interface.driver == "ixgbe" && module.no_ftrace,
        "the driver's functions cannot be redirected (kernel.ftrace_enabled is 0)",
    );
    let takeover = module.parameters.word("takeover");
    let restarts =
        interface.driver == "e1000" && !module.guest && !module.parameters.is_set("e1000_takeover");
    refuse(
        restarts && takeover == "hot",
        "stopping the receiver of a running 8254x is not known to be safe; e1000_takeover=1 allows it",
    );
    if takeover == "restart" && bound.is_none() {
        findings.add(
            Severity::Note,
            "the link goes down and up at a bind, as takeover=restart asks",
            format!("echo auto >{}", parameter_path("takeover")),
        );
    } else if restarts && takeover == "auto" && bound.is_none() {
        findings.add(
            Severity::Note,
            "the link goes down and up at each bind and at the end: an 8254x outside of a virtual machine",
            format!("echo Y >{} takes its queues while it runs, which is not known to be safe", parameter_path("e1000_takeover")),
        );
    }
}

/// What there is to say of the link, whatever the port is.
fn of_link(interface: &Interface, module: &Module, findings: &mut Findings) {
    let name = &interface.name;
    if !interface.up {
        findings.add(
            Severity::Warning,
            "the interface is down: nothing goes out or comes in",
            format!("ip link set {name} up"),
        );
    } else if !interface.carrier {
        findings.add(
            Severity::Warning,
            "there is no carrier: nothing goes out or comes in",
            "plug the cable in, or set the other end up",
        );
    }
    let buffer = module.parameters.number("buf_size").unwrap_or(u32::MAX);
    if interface.longest_frame() > buffer {
        findings.add(
            Severity::Note,
            format!("frames of an MTU of {} are longer than a buffer ({buffer}), and take several slots (NS_MOREFRAG)", interface.mtu),
            format!("echo {} >{} while nobody is bound", interface.longest_frame().next_power_of_two(), parameter_path("buf_size")),
        );
    }
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
