// SPDX-License-Identifier: BSD-2-Clause
//! Why the module refused a port, by its log, and what to do.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// The longest record of the kernel's log.
const RECORD: usize = 8192;

/// What begins a reason, and what to do about it; `IF` stands for the interface.
const REMEDIES: [(&str, &str); 22] = [
    (
        "not a NIC whose queues netmap knows how to take",
        "echo 0 >/sys/module/netmap/parameters/admode allows an emulated port",
    ),
    (
        "the loopback interface has no wire",
        "use a veth pair in its place: ip link add veth0 type veth peer name veth1",
    ),
    (
        "not an Ethernet device",
        "netmap is for interfaces with Ethernet frames",
    ),
    (
        "the driver is from outside the kernel's source tree",
        "rmmod the driver, remove the package that brought it, depmod, modprobe the kernel's own",
    ),
    (
        "stopping the receiver of a running 8254x",
        "echo auto >/sys/module/netmap/parameters/takeover, by which the driver is restarted",
    ),
    (
        "no interrupt of the driver's could wake a program",
        "unload what has added a NAPI instance to the device",
    ),
    (
        "stopping the receiver of an 82574",
        "in a virtual machine: echo Y >/sys/module/netmap/parameters/e1000e_takeover",
    ),
    (
        "buffers of this size are too small for the NIC",
        "end all netmap programs, then echo 2048 >/sys/module/netmap/parameters/buf_size",
    ),
    (
        "the device has virtual functions (SR-IOV)",
        "echo 0 >/sys/class/net/IF/device/sriov_numvfs",
    ),
    ("an XDP program is attached", "ip link set IF xdp off"),
    (
        "an AF_XDP socket is bound",
        "end the program that has it: ss -f xdp -p",
    ),
    ("traffic classes are configured", "tc qdisc del dev IF root"),
    ("macvlan offload is on", "ethtool -K IF l2-fwd-offload off"),
    ("the feature rx-all is on", "ethtool -K IF rx-all off"),
    ("the driver splits packets", "ip link set IF mtu 1500"),
    (
        "the queues are divided among traffic classes or functions",
        "tc qdisc del dev IF root; echo 0 >/sys/class/net/IF/device/sriov_numvfs",
    ),
    (
        "the queues are divided among functions (SR-IOV)",
        "echo 0 >/sys/class/net/IF/device/sriov_numvfs",
    ),
    (
        "the driver's functions are not called under the RTNL mutex",
        "use the kernel's own driver",
    ),
    (
        "its driver has detached the device",
        "it recovers from an error: try again",
    ),
    (
        "the driver's functions cannot be redirected",
        "sysctl kernel.ftrace_enabled=1, and remove live patches of the driver",
    ),
    (
        "the driver does not open the device again",
        "the driver's own messages say why: dmesg; then ip link set IF up",
    ),
    (
        "the device does not",
        "the hardware is gone: look at the card",
    ),
];

/// What begins the reasons of a queue that was not at rest, and what to do about it.
const NOT_AT_REST: ([&str; 2], &str) = (
    [
        "a transmit queue does not run empty",
        "a driver does not refill its receive ring",
    ],
    "its queues were not at rest: try again, or echo auto >/sys/module/netmap/parameters/takeover",
);

/// What to do about a reason of the module's, if it is one that is known.
fn known_remedy(reason: &str) -> Option<&'static str> {
    let found = REMEDIES.iter().find(|(start, _)| reason.starts_with(start));
    if let Some((_, remedy)) = found {
        return Some(remedy);
    }
    if reason.contains("is lost until all who have it bound") {
        return Some("end the programs that have it: fuser -v /dev/netmap");
    }
    let (reasons, remedy) = NOT_AT_REST;
    reasons
        .iter()
        .any(|start| reason.starts_with(start))
        .then_some(remedy)
}

/// What to do about a reason of the module's.
pub fn remedy(reason: &str, interface: &str) -> String {
    let remedy = known_remedy(reason).unwrap_or(NOT_AT_REST.1);
    remedy.replace("IF", interface)
}

/// The kernel's log from some time on.
pub struct Log<F>(F);

impl Log<File> {
    /// From now on, if it can be read.
    pub fn from_now() -> Option<Self> {
        let mut log = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .ok()?;
        log.seek(SeekFrom::End(0)).ok()?;
        Some(Log(log))
    }
}

impl<F: Read> Log<F> {
    /// The last reason that it has for an interface. Other lines, as of a bind by somebody else, are none.
    pub fn reason(&mut self, interface: &str) -> Option<String> {
        let mut record = [0; RECORD];
        let mut last = None;
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return last,
                Ok(length) => {
                    let record = String::from_utf8_lossy(&record[..length]);
                    let word = word_of(&record, interface);
                    last = word.filter(|word| known_remedy(word).is_some()).or(last);
                }
                // Records that were overwritten meanwhile are left out.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(_) => return last,
            }
        }
    }
}

/// What a record says of an interface: `6,1,2,-;netmap: eth0: WORD`.
fn word_of(record: &str, interface: &str) -> Option<String> {
    let (_, message) = record.split_once(';')?;
    let line = message.lines().next()?;
    let word = line
        .strip_prefix("netmap: ")?
        .strip_prefix(interface)?
        .strip_prefix(": ")?;
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_the_log() {
        let record = "3,812,5098,-;netmap: eth0: an XDP program is attached\n SUBSYSTEM=x\n";
        assert_eq!(
            word_of(record, "eth0").as_deref(),
            Some("an XDP program is attached")
        );
        assert_eq!(word_of(record, "eth"), None);
        assert_eq!(word_of("3,812,5098,-;igb: eth0: up", "eth0"), None);
        assert_eq!(word_of("", "eth0"), None);
    }

    /// A log of these records, one for each read.
    struct Records(Vec<&'static str>);

    impl Read for Records {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            let record = self.0.remove(0).as_bytes();
            into[..record.len()].copy_from_slice(record);
            Ok(record.len())
        }
    }

    #[test]
    fn only_reasons_are_reasons() {
        let reason = |records: &[&'static str]| Log(Records(records.to_vec())).reason("eth0");
        let bound = "6,1,2,-;netmap: eth0: native (igb), 2 tx + 2 rx queues of 4\n";
        let refused = "6,1,2,-;netmap: eth0: an XDP program is attached\n";
        let busy = "6,1,2,-;netmap: eth0: a transmit queue does not run empty (tx 0)\n";
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&[bound]), None);
        let attached = Some("an XDP program is attached".to_owned());
        assert_eq!(reason(&[refused]), attached);
        assert_eq!(reason(&[busy, refused, bound]), attached);
        assert_ne!(reason(&[refused, busy]), attached);
        assert_eq!(
            reason(&["6,1,2,-;netmap: eth1: an XDP program is attached\n"]),
            None
        );
    }

    #[test]
    fn the_interface_is_named() {
        assert_eq!(
            remedy("an XDP program is attached", "eth0"),
            "ip link set eth0 xdp off"
        );
    }

    /// Each reason of the table in the administrator's guide has a remedy here, and each remedy a reason there.
    #[test]
    fn they_are_those_of_the_guide() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../Documentation/admin-guide.md"
        );
        let guide = std::fs::read_to_string(path).unwrap();
        let section = guide.split("## Why a bind is refused").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        // What is not in the list: those of a queue that was not at rest, and of rings that are lost.
        let other = [&NOT_AT_REST.0[..], &["the rx ring 0 is lost"]].concat();
        let mut seen = [false; REMEDIES.len()];
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let cell = row.split('|').nth(1).unwrap();
            for reason in cell
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|reason| !reason.starts_with("..."))
            {
                if other.iter().any(|other| reason.starts_with(other)) {
                    continue;
                }
                let at = REMEDIES
                    .iter()
                    .position(|(start, _)| reason.starts_with(start));
                seen[at.unwrap_or_else(|| panic!("no remedy for {reason:?}"))] = true;
            }
        }
        for (seen, (start, _)) in seen.iter().zip(REMEDIES) {
            assert!(
                *seen || start == "the queues are divided among functions (SR-IOV)",
                "{start} is not in the guide"
            );
        }
    }
}
