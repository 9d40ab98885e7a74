// SPDX-License-Identifier: BSD-2-Clause
//! The module on this machine: whether it is there, who may use it, what its parameters are.

use std::collections::BTreeMap;
use std::path::Path;

const PARAMETERS: &str = "/sys/module/netmap/parameters";

/// Whether the module is loaded.
pub fn is_loaded() -> bool {
    Path::new("/sys/module/netmap").exists()
}

/// The module's parameters by name; empty if it is not loaded.
#[derive(Debug, Clone, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads them.
    pub fn read() -> Parameters {
        let entries = std::fs::read_dir(PARAMETERS)
            .into_iter()
            .flatten()
            .flatten();
        Parameters(
            entries
                .filter_map(|entry| {
                    let value = std::fs::read_to_string(entry.path()).ok()?;
                    Some((
                        entry.file_name().into_string().ok()?,
                        value.trim().to_owned(),
                    ))
                })
                .collect(),
        )
    }

    /// The word of a parameter, empty if there is none of that name.
    pub fn word(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The number of a parameter.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.word(name).parse().ok()
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }

    /// Whether a parameter that is yes or no says yes.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.word(name), "Y" | "1")
    }

    #[cfg(test)]
    pub fn of(pairs: &[(&str, &str)]) -> Parameters {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Parameters(pairs.iter().map(owned).collect())
    }
}

/// Where a parameter is written.
pub fn parameter_path(name: &str) -> String {
    format!("{PARAMETERS}/{name}")
}

/// What the machine says of the module besides its parameters.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// It is loaded.
    pub loaded: bool,
    /// There is one that `modprobe` would find.
    pub installed: bool,
    /// The kernel's release.
    pub release: String,
    /// What the kernel's configuration says, if it can be read.
    pub config: Option<String>,
    /// The error with which `/dev/netmap` does not open.
    pub device_error: Option<i32>,
    /// This process has `CAP_NET_ADMIN`.
    pub net_admin: bool,
    /// What is wrong with the module's files in debugfs.
    pub debugfs: Debugfs,
    /// The processor says that this is a virtual machine.
    pub guest: bool,
    /// Functions of drivers cannot be redirected: somebody has switched the tracer off.
    pub no_ftrace: bool,
    /// Its parameters.
    pub parameters: Parameters,
}

/// Whether the module's files in debugfs can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Debugfs {
    /// They can.
    #[default]
    Readable,
    /// Not by this user.
    Forbidden,
    /// There are none.
    Absent,
}

impl Module {
    /// Looks at the machine.
    pub fn look() -> Module {
        let release = read("/proc/sys/kernel/osrelease");
        let device_error = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/netmap")
            .err()
            .map(|error| error.raw_os_error().unwrap_or(libc::EIO));
        let debugfs = match std::fs::metadata(crate::debugfs::PORTS).map_err(|error| error.kind()) {
            Ok(_) => Debugfs::Readable,
            Err(std::io::ErrorKind::PermissionDenied) => Debugfs::Forbidden,
            Err(_) => Debugfs::Absent,
        };
        Module {
            loaded: is_loaded(),
            installed: is_listed(&read(&format!("/lib/modules/{release}/modules.dep"))),
            config: std::fs::read_to_string(format!("/boot/config-{release}")).ok(),
            release,
            device_error,
            net_admin: has_net_admin(&read("/proc/self/status")),
            debugfs,
            guest: is_guest(&read("/proc/cpuinfo")),
            no_ftrace: read("/proc/sys/kernel/ftrace_enabled") == "0",
            parameters: Parameters::read(),
        }
    }

    /// Whether the kernel's configuration has this option; `None` if it is not known.
    pub fn config_has(&self, option: &str) -> Option<bool> {
        let config = self.config.as_ref()?;
        Some(config.lines().any(|line| {
            line.strip_prefix(option)
                .is_some_and(|value| matches!(value, "=y" | "=m"))
        }))
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Whether a `modules.dep` has the module.
fn is_listed(modules: &str) -> bool {
    modules
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(path, _)| path.rsplit('/').next())
        .any(|name| name.split('.').next() == Some("netmap"))
}

/// Whether a `/proc/PID/status` has `CAP_NET_ADMIN` among the effective capabilities.
fn has_net_admin(status: &str) -> bool {
    const CAP_NET_ADMIN: u32 = 12;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    effective.is_some_and(|bits| bits & (1 << CAP_NET_ADMIN) != 0)
}

/// Whether a `/proc/cpuinfo` is that of a virtual machine.
fn is_guest(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities() {
        assert!(has_net_admin("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(has_net_admin("CapEff:\t0000000000001000\n"));
        assert!(!has_net_admin(
            "CapPrm:\t0000000000001000\nCapEff:\t0000000000000000\n"
        ));
        assert!(!has_net_admin(""));
    }

    #[test]
    fn modules_that_modprobe_finds() {
        assert!(is_listed(
            "kernel/a.ko.xz:\nupdates/dkms/netmap.ko.xz: kernel/b.ko\n"
        ));
        assert!(!is_listed(
            "kernel/netmap2.ko:\nkernel/c.ko: updates/netmap.ko\n"
        ));
    }

    #[test]
    fn virtual_machines() {
        assert!(is_guest("model name: x\nflags\t\t: fpu hypervisor lm\n"));
        assert!(!is_guest("flags\t\t: fpu lm\nbugs: hypervisor\n"));
    }

    #[test]
    fn options_of_the_kernel() {
        let module = Module {
            config: Some(
                "CONFIG_RUST=y\n# CONFIG_NETFILTER is not set\nCONFIG_RUST_IS_AVAILABLE=y\n"
                    .to_owned(),
            ),
            ..Module::default()
        };
        assert_eq!(module.config_has("CONFIG_RUST"), Some(true));
        assert_eq!(module.config_has("CONFIG_NETFILTER"), Some(false));
        assert_eq!(Module::default().config_has("CONFIG_RUST"), None);
    }

    #[test]
    fn parameters_of_each_type() {
        let parameters =
            Parameters::of(&[("admode", "2"), ("trust_file", "Y"), ("takeover", "hot")]);
        assert_eq!(parameters.number("admode"), Some(2));
        assert!(parameters.is_set("trust_file") && !parameters.is_set("e1000_takeover"));
        assert_eq!(
            (parameters.word("takeover"), parameters.number("takeover")),
            ("hot", None)
        );
    }
}
