// SPDX-License-Identifier: BSD-2-Clause
//! PACKET_MMAP: frames in memory shared with the kernel, sent by `TX_RING` and received by `TPACKET_V3`.

use crate::mapping::Mapping;
use crate::packet::{check, open, readable, set_option, wait};
use crate::payload::{Sink, Source, MAX_LEN};
use crate::run::{Receiver, Sender};
use core::ptr::{addr_of, addr_of_mut};
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Room per frame to send, header included.
const FRAME: usize = 2 * MAX_LEN;
/// Frames in the ring to send.
const FRAMES: usize = 256;
/// Where a frame's octets start, after its header.
const DATA: usize = size_of::<libc::tpacket2_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);

/// Octets per block of received frames.
const BLOCK: usize = 16 << 10;
/// Blocks of received frames.
const BLOCKS: usize = 64;
/// Milliseconds after which a block that is not full is handed over.
const BLOCK_TIMEOUT: u32 = 1;

/// The sending side.
pub struct TxRing {
    fd: OwnedFd,
    ring: Mapping,
    next: usize,
}

impl TxRing {
    /// Opens a socket with a ring.
    ///
    /// # Errors
    ///
    /// As [`open`]; `ENOMEM`.
    pub fn open(interface: &str) -> io::Result<TxRing> {
        let fd = open(interface, false)?;
        let version = libc::tpacket_versions::TPACKET_V2 as i32;
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let request = libc::tpacket_req {
            tp_block_size: (16 * FRAME) as u32,
            tp_block_nr: (FRAMES / 16) as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: FRAMES as u32,
        };
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_TX_RING, &request)?;
        let ring = Mapping::of(&fd, FRAMES * FRAME, 0)?;
        Ok(TxRing { fd, ring, next: 0 })
    }

    /// Tells the kernel to send; if `blocks`, returns when all has been sent.
    fn kick(&self, blocks: bool) -> io::Result<()> {
        let flags = if blocks { 0 } else { libc::MSG_DONTWAIT };
        // SAFETY: no octets are given.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), core::ptr::null(), 0, flags) };
        match check(sent) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(drop),
        }
    }
}

impl Sender for TxRing {
    fn send<const LEN: usize>(&mut self, source: &mut Source<LEN>, count: u32) -> io::Result<u32> {
        let mut queued = 0;
        while queued < count {
            let frame = self.ring.at(self.next * FRAME);
            let header = frame.cast::<libc::tpacket2_hdr>();
            // SAFETY: `next` is below `FRAMES`, so that header and data are inside of the mapping; the status word
            // is shared with the kernel and only ever accessed atomically.
            unsafe {
                let status = AtomicU32::from_ptr(addr_of_mut!((*header).tp_status));
                if status.load(Ordering::Acquire) != libc::TP_STATUS_AVAILABLE {
                    break;
                }
                source.put(frame.add(DATA));
                addr_of_mut!((*header).tp_len).write(source.len() as u32);
                status.store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
            }
            self.next = (self.next + 1) % FRAMES;
            queued += 1;
        }
        if queued == 0 {
            wait(&self.fd, libc::POLLOUT, Duration::from_secs(1))?;
        }
        self.kick(false)?;
        Ok(queued)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.kick(true)
    }
}

/// The receiving side.
pub struct RxRing {
    fd: OwnedFd,
    ring: Mapping,
    block: usize,
    /// Frames left in the block, and where the next one is in the mapping. Nothing is held if there are none.
    left: u32,
    at: usize,
}

impl RxRing {
    /// Opens a socket with a ring.
    ///
    /// # Errors
    ///
    /// As [`open`]; `ENOMEM`.
    pub fn open(interface: &str) -> io::Result<RxRing> {
        let fd = open(interface, true)?;
        let version = libc::tpacket_versions::TPACKET_V3 as i32;
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let request = libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: FRAME as u32,
            tp_frame_nr: (BLOCKS * BLOCK / FRAME) as u32,
            tp_retire_blk_tov: BLOCK_TIMEOUT,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set_option(&fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        let ring = Mapping::of(&fd, BLOCKS * BLOCK, 0)?;
        Ok(RxRing {
            fd,
            ring,
            block: 0,
            left: 0,
            at: 0,
        })
    }

    fn status(&self) -> &AtomicU32 {
        let block = self
            .ring
            .at(self.block * BLOCK)
            .cast::<libc::tpacket_block_desc>();
        // SAFETY: `block` is below `BLOCKS`; the status word is shared with the kernel and accessed atomically.
        unsafe { AtomicU32::from_ptr(addr_of_mut!((*block).hdr.bh1.block_status)) }
    }

    /// Takes the next block, if the kernel has handed it over.
    fn take_block(&mut self) -> bool {
        while self.left == 0 {
            if self.status().load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return false;
            }
            let start = self.block * BLOCK;
            let block = self.ring.at(start).cast::<libc::tpacket_block_desc>();
            // SAFETY: as in `status`; the block is the program's now.
            let (left, offset) = unsafe {
                let header = addr_of!((*block).hdr.bh1);
                (
                    addr_of!((*header).num_pkts).read(),
                    addr_of!((*header).offset_to_first_pkt).read(),
                )
            };
            self.left = left;
            self.at = start + offset as usize;
            if left == 0 {
                self.give_back();
            }
        }
        true
    }

    fn give_back(&mut self) {
        self.status()
            .store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.block = (self.block + 1) % BLOCKS;
    }
}

impl Receiver for RxRing {
    fn receive<const LEN: usize>(
        &mut self,
        sink: &mut Sink<LEN>,
        count: u32,
        patience: Option<Duration>,
    ) -> io::Result<u32> {
        if !self.take_block() {
            match patience {
                Some(patience) if readable(&self.fd, patience)? => {}
                _ => return Ok(0),
            }
        }
        let mut taken = 0;
        while taken < count && self.take_block() {
            let header = self.ring.at(self.at).cast::<libc::tpacket3_hdr>();
            // SAFETY: the kernel has put a frame header here, inside of the block, and the frame after it; a block
            // is aligned and followed by another or by the mapping's spare page, so that 60 octets can be read.
            unsafe {
                let data = header
                    .cast::<u8>()
                    .add(usize::from(addr_of!((*header).tp_mac).read()));
                let len = addr_of!((*header).tp_snaplen).read() as usize;
                sink.take(data, len);
                self.at += addr_of!((*header).tp_next_offset).read() as usize;
            }
            self.left -= 1;
            taken += 1;
            if self.left == 0 {
                self.give_back();
            }
        }
        Ok(taken)
    }
}
