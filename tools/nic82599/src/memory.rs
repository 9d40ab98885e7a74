// SPDX-License-Identifier: BSD-2-Clause
//! The guest's memory as the card's DMA sees it: what is mapped, and the faults of accesses to what is not.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

/// An access that no mapping allows. On silicon the completer answers with an error, or the IOMMU blocks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} of {length} octets at {address:#x}: {}", if *.write { "write" } else { "read" }, self.reason())]
pub struct DmaFault {
    /// Where the access begins.
    pub address: u64,
    /// Its octets.
    pub length: usize,
    /// Whether the card wrote.
    pub write: bool,
    /// Whether there is a mapping, which does not allow this.
    pub mapped: bool,
}

impl DmaFault {
    fn reason(&self) -> &'static str {
        if self.mapped {
            "the mapping does not allow it"
        } else {
            "nothing is mapped there"
        }
    }
}

/// What can go wrong when memory is mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The guest's memory is not shared with other processes.
    #[error(
        "the guest's memory is not shared, so this model cannot reach it; give QEMU \
         '-object memory-backend-memfd,id=mem,size=SIZE,share=on' and '-machine memory-backend=mem'"
    )]
    NotShared,
    /// The address range is empty, or wraps.
    #[error("no such range: {length:#x} octets at {address:#x}")]
    Range {
        /// Where it begins.
        address: u64,
        /// Its octets.
        length: u64,
    },
    /// The file cannot be mapped.
    #[error("cannot map the guest's memory: {0}")]
    Io(#[from] std::io::Error),
    /// The file cannot be mapped.
    #[error("cannot map the guest's memory: {0}")]
    Mmap(#[from] vm_memory::mmap::MmapRegionError),
}

/// A mapping without a file below this size is a ROM or a hole of the PC's low memory; above, it is RAM.
const SMALLEST_RAM: u64 = 1 << 20;

/// One file of guest memory, mapped whole once: with an IOMMU, a page comes and goes per packet.
struct Backing {
    identity: (u64, u64),
    region: Arc<MmapRegion>,
}

struct Mapping {
    address: u64,
    length: u64,
    readable: bool,
    writable: bool,
    offset: u64,
    region: Option<Arc<MmapRegion>>,
}

/// All that the card may reach.
///
/// # Invariants
///
/// `mappings` is sorted by address, and no two overlap.
#[derive(Default)]
pub struct GuestMemory {
    mappings: Vec<Mapping>,
    backings: Vec<Backing>,
}

impl GuestMemory {
    /// Maps `length` octets at `address` to `file`, from `offset` on. What overlaps is unmapped first.
    ///
    /// Without a file there is nothing to access: the mapping is remembered, and each access is a fault.
    ///
    /// # Errors
    ///
    /// [`MapError::NotShared`] for main memory without a file; others if the file cannot be mapped.
    pub fn map(
        &mut self,
        address: u64,
        length: u64,
        file: Option<(File, u64)>,
        readable: bool,
        writable: bool,
    ) -> Result<(), MapError> {
        if length == 0 || address.checked_add(length).is_none() {
            return Err(MapError::Range { address, length });
        }
        if file.is_none() && writable && length >= SMALLEST_RAM {
            return Err(MapError::NotShared);
        }
        self.unmap(address, length);
        let (region, offset) = match file {
            None => (None, 0),
            Some((file, offset)) => {
                let region = self.backing(file)?;
                let end = offset.checked_add(length);
                if end.is_none_or(|end| end > region.size() as u64) {
                    return Err(MapError::Range { address, length });
                }
                (Some(region), offset)
            }
        };
        let at = self.mappings.partition_point(|m| m.address < address);
        self.mappings.insert(
            at,
            Mapping {
                address,
                length,
                readable,
                writable,
                offset,
                region,
            },
        );
        Ok(())
    }

    fn backing(&mut self, file: File) -> Result<Arc<MmapRegion>, MapError> {
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        if let Some(known) = self.backings.iter().find(|b| b.identity == identity) {
            return Ok(Arc::clone(&known.region));
        }
        let size = usize::try_from(metadata.size()).unwrap_or(usize::MAX);
        let region = Arc::new(MmapRegion::from_file(FileOffset::new(file, 0), size)?);
        self.backings.push(Backing {
            identity,
            region: Arc::clone(&region),
        });
        Ok(region)
    }

    /// Unmaps what lies in the range; of mappings that reach out of it the rest stays.
    pub fn unmap(&mut self, address: u64, length: u64) {
        let end = address.saturating_add(length);
        let mut kept = Vec::with_capacity(self.mappings.len() + 1);
        for mapping in self.mappings.drain(..) {
            let mapping_end = mapping.address + mapping.length;
            if mapping_end <= address || mapping.address >= end {
                kept.push(mapping);
                continue;
            }
            if mapping.address < address {
                kept.push(Mapping {
                    length: address - mapping.address,
                    region: mapping.region.clone(),
                    ..mapping
                });
            }
            if mapping_end > end {
                kept.push(Mapping {
                    address: end,
                    length: mapping_end - end,
                    offset: mapping.offset + (end - mapping.address),
                    ..mapping
                });
            }
        }
        self.mappings = kept;
    }

    /// Unmaps everything, and forgets the files.
    pub fn unmap_all(&mut self) {
        self.mappings.clear();
        self.backings.clear();
    }

    /// Reads guest memory. An access may span mappings that follow each other.
    ///
    /// # Errors
    ///
    /// A fault at the first octet that cannot be read; then `data` is filled up to there.
    pub fn read(&self, address: u64, data: &mut [u8]) -> Result<(), DmaFault> {
        let length = data.len();
        let mut done = 0;
        while done < length {
            let (region, at, run) = self.find(address, done, length, false)?;
            let part = &mut data[done..done + run];
            region
                .as_volatile_slice()
                .read_slice(part, at as usize)
                .map_err(|_| fault(address, length, false, true))?;
            done += run;
        }
        Ok(())
    }

    /// Writes guest memory, as [`Self::read`] reads it.
    ///
    /// # Errors
    ///
    /// A fault at the first octet that cannot be written; what lies before it is written.
    pub fn write(&self, address: u64, data: &[u8]) -> Result<(), DmaFault> {
        let length = data.len();
        let mut done = 0;
        while done < length {
            let (region, at, run) = self.find(address, done, length, true)?;
            region
                .as_volatile_slice()
                .write_slice(&data[done..done + run], at as usize)
                .map_err(|_| fault(address, length, true, true))?;
            done += run;
        }
        Ok(())
    }

    /// Writes eight octets in one store that is ordered behind all writes before it: a driver that sees them sees
    /// those. `address` is a multiple of 8.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn publish64(&self, address: u64, value: u64) -> Result<(), DmaFault> {
        let (region, at, run) = self.find(address, 0, 8, true)?;
        if run < 8 {
            return self.write(address, &value.to_le_bytes());
        }
        region
            .as_volatile_slice()
            .store(value.to_le(), at as usize, Ordering::Release)
            .map_err(|_| fault(address, 8, true, true))
    }

    /// As [`Self::publish64`], of four octets.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn publish32(&self, address: u64, value: u32) -> Result<(), DmaFault> {
        let (region, at, _) = self.find(address, 0, 4, true)?;
        region
            .as_volatile_slice()
            .store(value.to_le(), at as usize, Ordering::Release)
            .map_err(|_| fault(address, 4, true, true))
    }

    /// The region, the offset in it, and how many octets of the access at `address + done` it holds.
    fn find(
        &self,
        address: u64,
        done: usize,
        length: usize,
        write: bool,
    ) -> Result<(&MmapRegion, u64, usize), DmaFault> {
        let here = address
            .checked_add(done as u64)
            .ok_or(fault(address, length, write, false))?;
        let after = self.mappings.partition_point(|m| m.address <= here);
        let mapping = after
            .checked_sub(1)
            .map(|i| &self.mappings[i])
            .filter(|m| here - m.address < m.length)
            .ok_or(fault(address, length, write, false))?;
        let allowed = if write {
            mapping.writable
        } else {
            mapping.readable
        };
        match &mapping.region {
            Some(region) if allowed => {
                let within = here - mapping.address;
                let left = usize::try_from(mapping.length - within).unwrap_or(usize::MAX);
                Ok((region, mapping.offset + within, left.min(length - done)))
            }
            _ => Err(fault(address, length, write, true)),
        }
    }
}

fn fault(address: u64, length: usize, write: bool, mapped: bool) -> DmaFault {
    DmaFault {
        address,
        length,
        write,
        mapped,
    }
}

/// A file of `length` octets that lives in memory, for tests and for measuring.
///
/// # Errors
///
/// Those of the system calls.
pub fn memory_file(length: u64) -> std::io::Result<File> {
    let descriptor = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC)?;
    let file = File::from(descriptor);
    file.set_len(length)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_halves() -> GuestMemory {
        let file = memory_file(0x4000).unwrap();
        let mut memory = GuestMemory::default();
        let second = file.try_clone().unwrap();
        memory
            .map(0x10000, 0x1000, Some((file, 0x2000)), true, true)
            .unwrap();
        memory
            .map(0x11000, 0x1000, Some((second, 0)), true, true)
            .unwrap();
        memory
    }

    #[test]
    fn an_access_may_cross_mappings() {
        let memory = two_halves();
        memory.write(0x10ffe, &[1, 2, 3, 4]).unwrap();
        let mut back = [0; 4];
        memory.read(0x10ffe, &mut back).unwrap();
        assert_eq!(back, [1, 2, 3, 4]);
        memory.read(0x11000, &mut back[..2]).unwrap();
        assert_eq!(back[..2], [3, 4]);
    }

    #[test]
    fn an_access_outside_is_a_fault() {
        let memory = two_halves();
        let error = memory.read(0x11ffe, &mut [0; 4]).unwrap_err();
        assert_eq!(error, fault(0x11ffe, 4, false, false));
        assert!(memory.write(u64::MAX, &[0; 4]).is_err());
        assert!(memory.publish64(0xfff8, 1).is_err());
    }

    #[test]
    fn a_hole_is_cut_by_unmapping() {
        let mut memory = two_halves();
        memory.write(0x10800, &[7]).unwrap();
        memory.unmap(0x10400, 0x100);
        assert!(memory.read(0x104ff, &mut [0]).is_err());
        let mut octet = [0];
        memory.read(0x10800, &mut octet).unwrap();
        assert_eq!(octet, [7]);
        memory.read(0x10500, &mut octet).unwrap();
        memory.read(0x103ff, &mut octet).unwrap();
    }

    #[test]
    fn a_read_only_mapping_refuses_writes() {
        let mut memory = GuestMemory::default();
        let file = memory_file(0x1000).unwrap();
        memory.map(0, 0x1000, Some((file, 0)), true, false).unwrap();
        memory.read(0, &mut [0; 8]).unwrap();
        assert_eq!(memory.publish64(0, 1).unwrap_err(), fault(0, 8, true, true));
    }

    #[test]
    fn memory_that_is_not_shared_is_refused_and_a_rom_is_not() {
        let mut memory = GuestMemory::default();
        memory.map(0xfffc_0000, 0x40000, None, true, false).unwrap();
        let error = memory.map(0, 1 << 30, None, true, true).unwrap_err();
        assert!(error.to_string().contains("share=on"));
    }
}
