// SPDX-License-Identifier: BSD-2-Clause
//! The server, met by the crate's own client.

use super::{listen, serve, Backend};
use crate::cable::{Cable, End};
use crate::clock::Clock;
use crate::device::{Device, Settings};
use crate::memory::memory_file;
use crate::registers::offset;
use crate::rules::Rule;
use crate::worker::Port;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use vfio_user::{Client, DmaMapFlags, ServerBackend};

const BAR0: u32 = 0;
const CONFIG: u32 = 7;

/// A served port and its client.
struct Served {
    port: Arc<Port>,
    client: Client,
    server: JoinHandle<()>,
}

impl Served {
    fn new(name: &str) -> Self {
        let path: PathBuf =
            std::env::temp_dir().join(format!("nic82599-{}-{name}", std::process::id()));
        let server = listen(&path).unwrap();
        let device = Device::new(Settings::for_tests());
        let port = Port::new(
            device,
            Arc::new(Cable::default()),
            End::A,
            None,
            Clock::host(),
        );
        let served = Arc::clone(&port);
        let server = std::thread::spawn(move || serve(&server, &served, false).unwrap());
        let mut client = Client::new(&path).unwrap();
        // Memory accesses and bus mastering.
        client.region_write(CONFIG, 4, &[6, 0]).unwrap();
        Served {
            port,
            client,
            server,
        }
    }

    fn read(&mut self, at: u32) -> u32 {
        let mut octets = [0; 4];
        self.client
            .region_read(BAR0, u64::from(at), &mut octets)
            .unwrap();
        u32::from_le_bytes(octets)
    }

    /// The client goes, and the server ends.
    fn end(self) -> Arc<Port> {
        self.client.shutdown().unwrap();
        self.server.join().unwrap();
        self.port
    }
}

#[test]
fn configuration_space_and_registers_are_served() {
    let mut served = Served::new("access");
    let mut identity = [0; 4];
    served.client.region_read(CONFIG, 0, &mut identity).unwrap();
    assert_eq!(identity, [0x86, 0x80, 0xfb, 0x10]);
    let value = 0x1234_5680_u32.to_le_bytes();
    served.client.region_write(BAR0, 0x1000, &value).unwrap();
    assert_eq!(served.read(0x1000), 0x1234_5680);
    assert_eq!(served.end().with(|device, _| device.rules.total()), 0);
}

/// Source: ixgbe_82599.c, ixgbe_fdir_add_signature_filter_82599 writes eight octets.
#[test]
fn a_write_of_eight_octets_is_two_and_others_break_a_rule() {
    let mut served = Served::new("width");
    let value = [1, 0, 0, 0, 2, 0, 0, 0];
    served
        .client
        .region_write(BAR0, u64::from(offset::MTA0), &value)
        .unwrap();
    assert_eq!(
        (served.read(offset::MTA0), served.read(offset::MTA0 + 4)),
        (1, 2)
    );
    let rules = |port: &Port| port.with(|device, _| device.rules.report());
    assert_eq!(rules(&served.port), []);
    served.client.region_write(BAR0, 0x5200, &[1]).unwrap();
    served
        .client
        .region_read(BAR0, 0x5200, &mut [0; 2])
        .unwrap();
    assert_eq!(rules(&served.end()), [(Rule::AccessWidth, 2)]);
}

#[test]
fn what_lies_outside_of_a_region_is_ones() {
    let mut served = Served::new("outside");
    let mut octets = [0; 4];
    served
        .client
        .region_read(BAR0, 0x7_fffe, &mut octets)
        .unwrap();
    assert_eq!(octets, [0xff; 4]);
    served
        .client
        .region_write(BAR0, u64::MAX - 1, &octets)
        .unwrap();
    served.end();
}

#[test]
fn memory_is_mapped_and_gone_with_the_client() {
    let mut served = Served::new("memory");
    let file = memory_file(0x2000).unwrap();
    served
        .client
        .dma_map(0x1000, 0x8000, 0x1000, file.as_raw_fd())
        .unwrap();
    let reads = |port: &Port| {
        port.with(|device, _| device.memory.read(0x8000, &mut [0; 8]))
            .is_ok()
    };
    assert!(reads(&served.port));
    served.client.dma_unmap(0x8000, 0x1000).unwrap();
    assert!(!reads(&served.port));
    served
        .client
        .dma_map(0, 0x8000, 0x1000, file.as_raw_fd())
        .unwrap();
    assert!(!reads(&served.end()));
}

#[test]
fn memory_that_is_not_shared_is_a_failure_of_the_port() {
    let device = Device::new(Settings::for_tests());
    let cable = Arc::new(Cable::default());
    let port = Port::new(device, cable, End::A, None, Clock::host());
    let mut backend = Backend {
        port: Arc::clone(&port),
        lockstep: false,
    };
    let flags = DmaMapFlags::READ_WRITE;
    backend.dma_map(flags, 0, 0xf_0000, 0x1_0000, None).unwrap();
    assert_eq!(port.failure(), None);
    backend.dma_map(flags, 0, 0, 1 << 30, None).unwrap();
    assert!(port.failure().unwrap().contains("share=on"));
}
