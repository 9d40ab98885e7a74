// SPDX-License-Identifier: BSD-2-Clause
//! The way of a packet from memory to the wire: queues in turn, offloads, PAUSE.

use super::Device;
use crate::faults::Side;
use crate::registers::{hlreg0, offset};
use crate::rules::Rule;
use crate::segmentation::{frames, Misuse, Offload};
use crate::statistics::queue_set;
use crate::tx_queue::Packet;

/// Packets of one queue before it is another's turn.
const TURN: usize = 16;
/// Frames that wait for the wire before no more packets are read.
const BACKLOG: usize = 64;
/// Where the map from transmit queues to sets of counters is: TQSM.
const TQSM: u32 = 0x8600;

impl Device {
    /// Makes frames of packets, as long as those made before have been taken. Returns whether there is more to send, and
    /// when sending may go on.
    pub(super) fn transmit(&mut self, now: u64) -> (bool, Option<u64>) {
        if !self.transmitting() || self.faults.stops(Side::Tx) {
            return (false, None);
        }
        let looped = self.loops_back();
        if !self.link.up() && !looped {
            return (false, None);
        }
        if now < self.paused_until {
            return (false, Some(self.paused_until));
        }
        let used = self.tx_used;
        for step in 0..used {
            let number = (self.turn + step) % used;
            for _ in 0..TURN {
                if self.sent.len() >= BACKLOG {
                    self.turn = number;
                    return (false, None);
                }
                if !self.tx[number].ready() {
                    break;
                }
                match self.tx[number].next(now, &self.memory, &mut self.rules) {
                    Some(packet) => self.send(number, packet),
                    None => break,
                }
            }
        }
        self.turn = (self.turn + 1) % used.max(1);
        (self.tx[..used].iter().any(|queue| queue.ready()), None)
    }

    /// Sends nothing for the next `time` nanoseconds: the far end has asked for it.
    pub fn pause_for(&mut self, time: u64) {
        self.paused_until = self.now + time;
    }

    fn send(&mut self, number: usize, packet: Packet) {
        let first = packet.first;
        let tag = match packet.context {
            _ if !first.vlan => None,
            Some(context) if first.payload.is_some() => Some(context.vlan),
            _ => Some(first.legacy_vlan),
        };
        let offload = Offload {
            ipv4_checksum: first.ip_checksum,
            transport_checksum: first.l4_checksum,
            segment: first
                .payload
                .filter(|_| first.segment)
                .map(|len| len as usize),
            vlan: tag,
            pad: self.registers.get(offset::HLREG0) & hlreg0::TXPADEN != 0,
        };
        let set = queue_set(self.registers.slice(TQSM, 32), number);
        let looped = self.loops_back();
        let mut out = Vec::new();
        let done = frames(packet.octets, packet.context.as_ref(), offload, |frame| {
            out.push(frame);
        });
        for frame in out {
            self.statistics.sent(&frame);
            self.statistics.queue_sent(set, frame.len());
            if looped {
                self.looped.push(frame);
            } else {
                self.sent.push_back(frame);
            }
        }
        if let Err(misuse) = done {
            let rule = match misuse {
                Misuse::PayloadLength { .. } => Rule::PayloadLength,
                _ => Rule::BadDescriptor,
            };
            self.tx[number].offend(rule, &mut self.rules, || misuse.to_string());
        }
    }
}
