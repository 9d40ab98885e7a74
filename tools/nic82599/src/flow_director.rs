// SPDX-License-Identifier: BSD-2-Clause
//! The flow director: filters that name the queue of a flow.
//!
//! It has two modes. In perfect mode a filter is compared with the packet under one mask for all filters: what
//! `ethtool -N` programs. In signature mode a filter is two hashes of the packet: what the driver programs from
//! its transmit path. The tables are here, and the registers from FDIRCTRL to FDIRSKEY.

use crate::packet::{Headers, Network, Transport};
use std::collections::HashMap;

/// Offsets of the registers.
pub mod register {
    /// First register of the block.
    pub const FIRST: u32 = 0xee00;
    /// Last register of the block.
    pub const LAST: u32 = 0xee7c;
    /// Control.
    pub const CTRL: u32 = 0xee00;
    /// Source address, in the order of the wire.
    pub const SOURCE: u32 = 0xee18;
    /// Destination address.
    pub const DESTINATION: u32 = 0xee1c;
    /// Destination and source port.
    pub const PORT: u32 = 0xee20;
    /// Flexible octets and VLAN.
    pub const VLAN: u32 = 0xee24;
    /// Bucket hash, and signature or software index.
    pub const HASH: u32 = 0xee28;
    /// Command.
    pub const COMMAND: u32 = 0xee2c;
    /// Free filters.
    pub const FREE: u32 = 0xee38;
    /// Mask of the destination address: a set bit is not compared.
    pub const DESTINATION_MASK: u32 = 0xee3c;
    /// Mask of the source address.
    pub const SOURCE_MASK: u32 = 0xee40;
    /// Mask of TCP ports, each of the two in reverse order of bits.
    pub const TCP_MASK: u32 = 0xee44;
    /// Mask of UDP ports.
    pub const UDP_MASK: u32 = 0xee48;
    /// Length of the longest chain of filters.
    pub const LEN: u32 = 0xee4c;
    /// Filters added and removed.
    pub const USE_STATISTICS: u32 = 0xee50;
    /// Filters that could not be added or removed.
    pub const FAIL_STATISTICS: u32 = 0xee54;
    /// Packets that a filter matched.
    pub const MATCH: u32 = 0xee58;
    /// Packets that none matched.
    pub const MISS: u32 = 0xee5c;
    /// Key of the bucket hash.
    pub const HASH_KEY: u32 = 0xee68;
    /// Key of the signature hash.
    pub const SIGNATURE_KEY: u32 = 0xee6c;
    /// Which fields are not compared.
    pub const MASK: u32 = 0xee70;
    /// Mask of SCTP ports (X550).
    pub const SCTP_MASK: u32 = 0xee78;
}

/// Bits of the registers.
mod bits {
    /// FDIRCTRL: memory for the filters, 0 is none.
    pub const PBALLOC: u32 = 3;
    pub const INIT_DONE: u32 = 1 << 3;
    pub const PERFECT: u32 = 1 << 4;
    pub const REPORT: u32 = 1 << 5;
    /// FDIRCMD: the command, 0 once it is done.
    pub const COMMAND: u32 = 3;
    pub const VALID: u32 = 1 << 2;
    pub const CLEAR: u32 = 1 << 8;
    pub const DROP: u32 = 1 << 9;
    pub const QUEUE: u32 = 1 << 15;
    /// FDIRM.
    pub const NO_VLAN_ID: u32 = 1 << 0;
    pub const NO_VLAN_PRIORITY: u32 = 1 << 1;
    pub const NO_PROTOCOL: u32 = 1 << 3;
    pub const NO_FLEXIBLE: u32 = 1 << 4;
}

/// Where the queue of a packet is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The queue; `None` drops the packet.
    pub queue: Option<u8>,
    /// The filter's software index, in perfect mode.
    pub index: u16,
    /// Whether the descriptor tells of the match.
    pub report: bool,
}

/// The fields of a packet that filters look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tuple {
    /// Bits 1:0 of the flow type (none, UDP, TCP, SCTP); bit 2 is set for IPv6.
    flow: u32,
    vlan: u32,
    flexible: u32,
    /// Exclusive or of the words of the address, in the order of the wire; an IPv4 address is its only word.
    source: u32,
    destination: u32,
    source_port: u32,
    destination_port: u32,
}

#[derive(Debug, Clone, Copy)]
struct Filter {
    tuple: Tuple,
    command: u32,
}

/// The flow director.
#[derive(Debug)]
pub struct FlowDirector {
    registers: [u32; ((register::LAST - register::FIRST) / 4 + 1) as usize],
    /// Perfect filters by bucket hash and software index.
    perfect: HashMap<u32, Filter>,
    /// Commands of signature filters by bucket hash and signature.
    signatures: HashMap<u32, u32>,
}

impl Default for FlowDirector {
    fn default() -> Self {
        FlowDirector {
            registers: [0; ((register::LAST - register::FIRST) / 4 + 1) as usize],
            perfect: HashMap::new(),
            signatures: HashMap::new(),
        }
    }
}

impl FlowDirector {
    /// Reads a register of the block. Counters are cleared.
    ///
    /// Source: ixgbe_82599.c: ixgbe_reinit_fdir_tables_82599 ("read to clear").
    pub fn read(&mut self, offset: u32) -> u32 {
        let value = *self.at(offset);
        let statistics = [
            register::LEN,
            register::USE_STATISTICS,
            register::FAIL_STATISTICS,
            register::MATCH,
            register::MISS,
        ];
        if statistics.contains(&offset) {
            *self.at(offset) = 0;
        }
        value
    }

    /// Writes a register of the block.
    ///
    /// A write of FDIRCTRL starts the initialization, which is done at once; commands too are done at once.
    /// Source: ixgbe_82599.c: ixgbe_fdir_enable_82599, ixgbe_reinit_fdir_tables_82599.
    pub fn write(&mut self, offset: u32, value: u32) {
        match offset {
            register::CTRL => {
                self.perfect.clear();
                self.signatures.clear();
                *self.at(offset) = value | bits::INIT_DONE;
                *self.at(register::FREE) = self.capacity() as u32;
            }
            register::COMMAND => {
                *self.at(offset) = value;
                self.command(value);
            }
            register::LEN
            | register::USE_STATISTICS
            | register::FAIL_STATISTICS
            | register::MATCH
            | register::MISS => {}
            _ => *self.at(offset) = value,
        }
    }

    fn at(&mut self, offset: u32) -> &mut u32 {
        &mut self.registers[((offset - register::FIRST) / 4) as usize]
    }

    fn get(&self, offset: u32) -> u32 {
        self.registers[((offset - register::FIRST) / 4) as usize]
    }

    /// Filters that fit: 8 KiB filters in signature mode and 2 KiB in perfect mode per 64 KiB, less two.
    ///
    /// Source: datasheet section 7.1.2.7.2; ixgbe_ethtool.c: ixgbe_add_ethtool_fdir_entry.
    fn capacity(&self) -> usize {
        let control = self.get(register::CTRL);
        match (control & bits::PBALLOC, control & bits::PERFECT) {
            (0, _) => 0,
            (size, 0) => (4096 << size) - 2,
            (size, _) => (1024 << size) - 2,
        }
    }

    /// Source: ixgbe_82599.c: ixgbe_fdir_write_perfect_filter_82599, ixgbe_fdir_erase_perfect_filter_82599,
    /// ixgbe_fdir_add_signature_filter_82599.
    fn command(&mut self, value: u32) {
        if value & bits::CLEAR != 0 {
            self.perfect.clear();
            self.signatures.clear();
        }
        let hash = self.get(register::HASH);
        let is_perfect = self.get(register::CTRL) & bits::PERFECT != 0;
        // Buckets have 13 bits here, 15 in signature mode.
        let key = if is_perfect {
            hash & 0xffff_1fff
        } else {
            hash & 0x7fff_7fff
        };
        let known = if is_perfect {
            self.perfect.contains_key(&key)
        } else {
            self.signatures.contains_key(&key)
        };
        let mut answer = value & !(bits::COMMAND | bits::VALID);
        match value & bits::COMMAND {
            1 => {
                if !known && self.len() >= self.capacity() {
                    self.count(register::FAIL_STATISTICS, 0, 8);
                } else {
                    self.add(key, value, is_perfect);
                    self.count(register::USE_STATISTICS, 0, 16);
                }
            }
            2 if known => {
                self.perfect.remove(&key);
                self.signatures.remove(&key);
                self.count(register::USE_STATISTICS, 16, 16);
            }
            2 => self.count(register::FAIL_STATISTICS, 8, 8),
            3 if known => answer |= bits::VALID,
            _ => {}
        }
        *self.at(register::COMMAND) = answer;
        *self.at(register::FREE) = self.capacity().saturating_sub(self.len()) as u32;
    }

    /// Adds one to a field that sticks at its largest value.
    fn count(&mut self, offset: u32, shift: u32, width: u32) {
        let largest = u32::MAX >> (32 - width);
        let register = self.at(offset);
        if (*register >> shift) & largest < largest {
            *register += 1 << shift;
        }
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.perfect.len() + self.signatures.len()
    }

    /// Whether there is no filter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&mut self, key: u32, command: u32, is_perfect: bool) {
        if !is_perfect {
            self.signatures.insert(key, command);
            return;
        }
        let (port, vlan) = (self.get(register::PORT), self.get(register::VLAN));
        let tuple = Tuple {
            flow: (command >> 5) & 7,
            vlan: vlan & 0xffff,
            flexible: vlan >> 16,
            source: self.get(register::SOURCE).swap_bytes(),
            destination: self.get(register::DESTINATION).swap_bytes(),
            source_port: port & 0xffff,
            destination_port: port >> 16,
        };
        self.perfect.insert(key, Filter { tuple, command });
    }

    /// The filter that a packet matches, counted.
    ///
    /// A perfect filter whose bucket hash is not that of the masked packet is never found, as on silicon.
    pub fn find(&mut self, frame: &[u8], headers: &Headers) -> Option<Match> {
        let control = self.get(register::CTRL);
        if control & bits::PBALLOC == 0 {
            return None;
        }
        let tuple = self.tuple(frame, headers)?;
        let found = match control & bits::PERFECT {
            _ if self.is_empty() => None,
            0 => self.find_signature(tuple),
            _ => self.find_perfect(tuple),
        };
        let counter = if found.is_some() {
            register::MATCH
        } else {
            register::MISS
        };
        self.count(counter, 0, 32);
        let (index, command) = found?;
        Some(Match {
            queue: (command & bits::DROP == 0 && command & bits::QUEUE != 0)
                .then_some((command >> 16) as u8 & 0x7f),
            index,
            report: control & bits::REPORT != 0,
        })
    }

    fn find_perfect(&self, tuple: Tuple) -> Option<(u16, u32)> {
        let masked = self.masked(tuple);
        let bucket = bucket_hash(masked, self.get(register::HASH_KEY)) & 0x1fff;
        // The lowest index wins where several match, for the result must not depend on the map's order.
        self.perfect
            .iter()
            .filter(|(key, filter)| *key & 0x1fff == bucket && self.masked(filter.tuple) == masked)
            .map(|(key, filter)| ((key >> 16) as u16, filter.command))
            .min()
    }

    fn find_signature(&self, tuple: Tuple) -> Option<(u16, u32)> {
        let bucket = bucket_hash(tuple, self.get(register::HASH_KEY)) & 0x7fff;
        let signature = signature_hash(tuple, self.get(register::SIGNATURE_KEY)) & 0x7fff;
        let command = *self.signatures.get(&((signature << 16) | bucket))?;
        ((command >> 5) & 7 == tuple.flow).then_some((0, command))
    }

    /// Zeroes what the masks exclude.
    ///
    /// Source: ixgbe_82599.c: ixgbe_fdir_set_input_mask_82599, ixgbe_get_fdirtcpm_82599.
    fn masked(&self, tuple: Tuple) -> Tuple {
        let mask = self.get(register::MASK);
        let mut ports = match tuple.flow & 3 {
            1 => self.get(register::UDP_MASK),
            2 => self.get(register::TCP_MASK),
            _ => self.get(register::SCTP_MASK),
        };
        let mut flow = tuple.flow;
        if mask & bits::NO_PROTOCOL != 0 {
            flow &= 4;
            ports = u32::MAX;
        }
        let mut vlan = tuple.vlan;
        if mask & bits::NO_VLAN_ID != 0 {
            vlan &= 0xf000;
        }
        if mask & bits::NO_VLAN_PRIORITY != 0 {
            vlan &= 0x0fff;
        }
        // The canonical form bit takes no part.
        vlan &= 0xefff;
        let reversed = |half: u32| u32::from((half as u16).reverse_bits());
        Tuple {
            flow,
            vlan,
            flexible: if mask & bits::NO_FLEXIBLE != 0 {
                0
            } else {
                tuple.flexible
            },
            source: tuple.source & !self.get(register::SOURCE_MASK).swap_bytes(),
            destination: tuple.destination & !self.get(register::DESTINATION_MASK).swap_bytes(),
            source_port: tuple.source_port & !reversed(ports),
            destination_port: tuple.destination_port & !reversed(ports >> 16),
        }
    }

    /// The fields of a packet; `None` if it is not IP.
    ///
    /// Source: datasheet section 7.1.2.7; ixgbe_main.c: ixgbe_atr (the flexible octets, at word 6, are the EtherType).
    fn tuple(&self, frame: &[u8], headers: &Headers) -> Option<Tuple> {
        let is_six = match headers.network? {
            Network::Ipv4 { .. } => 0,
            Network::Ipv6 { .. } => 4,
        };
        let flow = match headers.transport {
            None => 0,
            Some(Transport::Udp) => 1,
            Some(Transport::Tcp) => 2,
            Some(Transport::Sctp) => 3,
        };
        let fold = |octets: &[u8]| {
            octets.chunks_exact(4).fold(0, |sum, word| {
                sum ^ u32::from_be_bytes([word[0], word[1], word[2], word[3]])
            })
        };
        let (source, destination) = headers.addresses(frame)?;
        let (source_port, destination_port) = headers.ports(frame).unwrap_or((0, 0));
        let flexible_at = ((self.get(register::CTRL) >> 16) & 0x1f) as usize * 2;
        let flexible = frame.get(flexible_at..flexible_at + 2).map_or(0, |octets| {
            u32::from(u16::from_be_bytes([octets[0], octets[1]]))
        });
        Some(Tuple {
            flow: is_six | flow,
            vlan: u32::from(headers.vlan.unwrap_or(0)),
            flexible,
            source: fold(source),
            destination: fold(destination),
            source_port: source_port.into(),
            destination_port: destination_port.into(),
        })
    }
}

/// The flow type and VLAN word of the hash's input, and the exclusive or of all its other words.
fn compressed(tuple: Tuple) -> (u32, u32) {
    let first = (tuple.flow << 16) | tuple.vlan;
    let rest = tuple.source
        ^ tuple.destination
        ^ ((tuple.source_port << 16) | tuple.destination_port)
        ^ (tuple.flexible << 16);
    (first, rest)
}

/// The two words that the bits of a key select shifted copies of, and the first's value for bit 0.
fn hash_words(tuple: Tuple) -> (u32, u32, u32) {
    let (first, rest) = compressed(tuple);
    let high = rest ^ first ^ (first >> 16);
    let low_at_0 = rest.rotate_left(16);
    let low = low_at_0 ^ first ^ (first << 16);
    (low_at_0, low, high)
}

/// The bucket hash, of 16 bits, of which 13 or 15 are used.
///
/// Source: ixgbe_82599.c: ixgbe_atr_compute_perfect_hash_82599, ixgbe_atr_compute_sig_hash_82599.
fn bucket_hash(tuple: Tuple, key: u32) -> u32 {
    let (low_at_0, low, high) = hash_words(tuple);
    let selected = (0..32u32).filter(|bit| (key >> bit) & 1 != 0);
    selected.fold(0, |hash, bit| {
        hash ^ match bit {
            0 => low_at_0,
            1..16 => low >> bit,
            _ => high >> (bit - 16),
        }
    }) & 0xffff
}

/// The signature, of 15 bits: the same hash under another key.
///
/// Source: ixgbe_82599.c: ixgbe_atr_compute_sig_hash_82599.
fn signature_hash(tuple: Tuple, key: u32) -> u32 {
    bucket_hash(tuple, key) & 0x7fff
}

#[cfg(test)]
#[path = "flow_director_tests.rs"]
mod tests;
