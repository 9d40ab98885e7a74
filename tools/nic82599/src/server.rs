// SPDX-License-Identifier: BSD-2-Clause
//! The port as a vfio-user server: what QEMU's vfio-user-pci asks, on crate `vfio_user`.
//!
//! The crate's weak spots, and what is done here: a backend's error is answered as if it were none, and an error can
//! leave the stream out of step, so that no call here returns one; accesses are not checked against the region's bounds,
//! so that they are here.

#[cfg(test)]
mod tests;

use crate::config_space::{BAR0_SIZE, BAR4_SIZE, SIZE, VECTORS};
use crate::rules::Rule;
use crate::worker::Port;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use vfio_bindings::bindings::vfio::{
    vfio_region_info, VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE,
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR4_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

/// Listens at `path`.
///
/// # Errors
///
/// If there is such a file already, or it cannot be made.
pub fn listen(path: &Path) -> Result<Server, vfio_user::Error> {
    Server::new(path, true, interrupts(), regions())
}

/// Serves one client until it goes, and leaves the port as after power-on. With `lockstep`, the answer to a write comes
/// when what it asks for is done.
///
/// # Errors
///
/// If the connection fails.
pub fn serve(server: &Server, port: &Arc<Port>, lockstep: bool) -> Result<(), vfio_user::Error> {
    let mut backend = Backend {
        port: Arc::clone(port),
        lockstep,
    };
    let served = server.run(&mut backend);
    port.with(|device, _| {
        device.reset_function();
        device.memory.unmap_all();
        device.interrupts.lines.clear_messages();
        device.interrupts.lines.set_line(None);
    });
    port.ring();
    served
}

fn regions() -> Vec<ServerRegion> {
    (0..VFIO_PCI_NUM_REGIONS)
        .map(|index| ServerRegion {
            region_info: vfio_region_info {
                argsz: size_of::<vfio_region_info>() as u32,
                flags: if region_size(index) > 0 {
                    VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE
                } else {
                    0
                },
                index,
                size: region_size(index),
                ..vfio_region_info::default()
            },
            sparse_areas: Vec::new(),
            mmap_fd: None,
        })
        .collect()
}

fn interrupts() -> Vec<IrqInfo> {
    (0..VFIO_PCI_NUM_IRQS)
        .map(|index| {
            let (count, flags) = match index {
                VFIO_PCI_INTX_IRQ_INDEX => (
                    1,
                    VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED,
                ),
                VFIO_PCI_MSIX_IRQ_INDEX => (VECTORS as u32, VFIO_IRQ_INFO_EVENTFD),
                _ => (0, 0),
            };
            IrqInfo {
                index,
                flags,
                count,
            }
        })
        .collect()
}

struct Backend {
    port: Arc<Port>,
    lockstep: bool,
}

impl Backend {
    fn read_register(&self, offset: u64, data: &mut [u8]) {
        // BAR 0 has 19 bits of address.
        let at = offset as u32;
        if data.len() == 4 && at % 4 == 0 {
            let value = self.port.access(|device, now| device.read(at, now));
            data.copy_from_slice(&value.to_le_bytes());
            return;
        }
        self.bad_width(at, data.len());
        for (index, octet) in (at..).zip(data) {
            let value = self.port.access(|device, now| device.read(index & !3, now));
            *octet = value.to_le_bytes()[(index % 4) as usize];
        }
    }

    /// Four octets; or eight, which are two writes, the lower first (ixgbe_common.h, ixgbe_write_reg64).
    fn write_register(&self, offset: u64, data: &[u8]) {
        let at = offset as u32;
        if !matches!(data.len(), 4 | 8) || offset % data.len() as u64 != 0 {
            self.bad_width(at, data.len());
            return;
        }
        self.port.access(|device, now| {
            for (at, octets) in (at..).step_by(4).zip(data.chunks_exact(4)) {
                let mut word = [0; 4];
                word.copy_from_slice(octets);
                device.write(at, u32::from_le_bytes(word), now);
            }
        });
    }

    fn bad_width(&self, at: u32, width: usize) {
        self.port.with(|device, _| {
            device.rules.broken(Rule::AccessWidth, || {
                format!("{width} octets at register {at:#x}")
            });
        });
    }
}

/// Octets of a region.
fn region_size(region: u32) -> u64 {
    match region {
        VFIO_PCI_BAR0_REGION_INDEX => BAR0_SIZE,
        VFIO_PCI_BAR4_REGION_INDEX => BAR4_SIZE,
        VFIO_PCI_CONFIG_REGION_INDEX => SIZE as u64,
        _ => 0,
    }
}

fn within(region: u32, offset: u64, length: usize) -> bool {
    offset
        .checked_add(length as u64)
        .is_some_and(|end| end <= region_size(region))
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        data.fill(0);
        if !within(region, offset, data.len()) {
            data.fill(0xff);
            return Ok(());
        }
        match region {
            VFIO_PCI_BAR0_REGION_INDEX => self.read_register(offset, data),
            VFIO_PCI_CONFIG_REGION_INDEX => self
                .port
                .with(|device, _| device.config.read(offset as usize, data)),
            // The table of MSI-X is QEMU's, and no message is ever pending in this model.
            _ => {}
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        if !within(region, offset, data.len()) {
            return Ok(());
        }
        match region {
            VFIO_PCI_BAR0_REGION_INDEX => self.write_register(offset, data),
            VFIO_PCI_CONFIG_REGION_INDEX => self
                .port
                .with(|device, _| device.write_config(offset as usize, data)),
            _ => return Ok(()),
        }
        if self.lockstep {
            self.port.settle();
        } else {
            self.port.ring();
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        file: Option<File>,
    ) -> io::Result<()> {
        let file = file.map(|file| (file, offset));
        let readable = flags.contains(DmaMapFlags::READ);
        let writable = flags.contains(DmaMapFlags::WRITE);
        let mapped = self
            .port
            .with(|device, _| device.memory.map(address, size, file, readable, writable));
        if let Err(error) = mapped {
            // Going on would lose every packet in silence.
            self.port.fail(error.to_string());
        }
        Ok(())
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        self.port.with(|device, _| {
            if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
                device.memory.unmap(0, u64::MAX);
            } else {
                device.memory.unmap(address, size);
            }
        });
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.port.with(|device, _| device.reset_function());
        self.port.ring();
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        files: Vec<File>,
    ) -> io::Result<()> {
        let sets = flags & VFIO_IRQ_SET_ACTION_TRIGGER != 0;
        let events = flags & VFIO_IRQ_SET_DATA_EVENTFD != 0;
        self.port.with(|device, _| {
            let lines = &mut device.interrupts.lines;
            match index {
                VFIO_PCI_INTX_IRQ_INDEX if flags & VFIO_IRQ_SET_ACTION_UNMASK != 0 => {
                    device.interrupts.line_served();
                }
                VFIO_PCI_INTX_IRQ_INDEX if sets => lines.set_line(files.into_iter().next()),
                VFIO_PCI_MSIX_IRQ_INDEX if sets && (count == 0 || !events) => {
                    lines.clear_messages();
                }
                VFIO_PCI_MSIX_IRQ_INDEX if sets => {
                    let first = start as usize;
                    let count = (count as usize).min(VECTORS.saturating_sub(first));
                    let mut files = files.into_iter();
                    let events = (0..count).map(|_| files.next()).collect();
                    lines.set_messages(first, events);
                }
                _ => {}
            }
        });
        Ok(())
    }
}
