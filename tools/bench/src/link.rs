// SPDX-License-Identifier: BSD-2-Clause
//! Whether a NIC has its link.

use netmap::PortSpec;
use std::io;
use std::time::{Duration, Instant};

/// Distance between two looks.
const STEP: Duration = Duration::from_millis(10);

/// Waits until the NIC of a port has its link. What is no NIC, and so has no link, is not waited for.
///
/// # Errors
///
/// `TimedOut` if it has none after `limit`.
pub fn wait(port: &str, limit: Duration) -> io::Result<()> {
    let spec: PortSpec = port.parse().map_err(io::Error::other)?;
    let file = format!("/sys/class/net/{}/carrier", spec.name());
    let start = Instant::now();
    loop {
        match std::fs::read_to_string(&file) {
            Ok(carrier) if carrier.trim() == "1" => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // No link, or the interface is being brought up.
            _ if start.elapsed() < limit => std::thread::sleep(STEP),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the link does not come up",
                ))
            }
        }
    }
}
