// SPDX-License-Identifier: BSD-2-Clause
//! Why a port cannot be opened, and what to do about it.

use netmap::OpenError;

/// The numbers of the errors that the kernel gives.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// One line: what failed and what to do.
pub fn open_failure(error: &OpenError) -> String {
    let (number, is_device) = match error {
        OpenError::Device(error) => (error.raw_os_error(), true),
        OpenError::Bind { error, .. } | OpenError::Map { error, .. } => {
            (error.raw_os_error(), false)
        }
        _ => (None, false),
    };
    let remedy = match (is_device, number) {
        (true, Some(ENOENT | ENXIO)) => return "/dev/netmap: there is no such file; load the module: modprobe netmap".to_owned(),
        (true, Some(EACCES | EPERM)) => {
            return "/dev/netmap: permission denied; run this as root, or as a member of the group that may open it (ls -l /dev/netmap)"
                .to_owned()
        }
        (false, Some(EPERM)) => "it takes CAP_NET_ADMIN where the interface is: run this as root",
        (false, Some(ENXIO)) => "there is no such interface in this network namespace (ip -br link), or it has no such ring",
        (false, Some(EBUSY)) => "another program has it exclusively (fuser -v /dev/netmap), a switch has it (nm-vale), or something else uses its rings (nmctl doctor)",
        (false, Some(EAGAIN)) => "its driver is busy with its rings: try again",
        (false, Some(ENOMEM)) => "netmap's memory is used up: the kernel's log (dmesg) names the parameter that is too small",
        (false, Some(EINVAL)) => "no such ring, or sizes that are not possible: nmctl show says what the port has",
        (false, Some(EOPNOTSUPP)) => "it cannot have such a port (nmctl doctor), or a monitor was asked for, which there is not yet",
        _ => return error.to_string(),
    };
    format!("{error}; {remedy}")
}

/// What an error of a sync or of a wait means.
pub fn lost(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(ENXIO) => "the interface is gone".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn the_device_and_the_port_have_remedies_of_their_own() {
        let device =
            |number| open_failure(&OpenError::Device(io::Error::from_raw_os_error(number)));
        assert!(device(ENOENT).ends_with("modprobe netmap"));
        assert!(device(EACCES).contains("as root"));
        let bind = |number| {
            open_failure(&OpenError::Bind {
                port: "netmap:eth0".to_owned(),
                error: io::Error::from_raw_os_error(number),
            })
        };
        for number in [EPERM, ENXIO, EBUSY, EAGAIN, ENOMEM, EINVAL, EOPNOTSUPP] {
            let line = bind(number);
            assert!(
                line.starts_with("netmap:eth0: cannot bind: ") && line.contains("; "),
                "{line}"
            );
            assert!(!line.contains('\n'), "{line}");
        }
        assert_eq!(bind(5).matches(';').count(), 0);
    }
}
