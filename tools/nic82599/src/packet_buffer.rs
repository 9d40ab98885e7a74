// SPDX-License-Identifier: BSD-2-Clause
//! The receive packet buffer: frames that came from the wire and were not yet written to memory.

use std::collections::VecDeque;

/// Octets of the frame check sequence, which is kept in the buffer.
const CHECK: usize = 4;

/// A first-in first-out buffer of as many octets as RXPBSIZE says.
///
/// The frame at its head waits until its queue has descriptors, and all others behind it: that is how one full queue
/// without DROP_EN holds up the others.
#[derive(Debug, Default)]
pub struct PacketBuffer<T> {
    frames: VecDeque<(usize, T)>,
    used: usize,
}

impl<T> PacketBuffer<T> {
    /// An empty buffer.
    pub fn new() -> Self {
        PacketBuffer {
            frames: VecDeque::new(),
            used: 0,
        }
    }

    /// Stores a frame of `len` octets in a buffer of RXPBSIZE `size`; gives it back if it has no room.
    ///
    /// Source: ixgbe_common.c: ixgbe_set_rxpba_generic (octets, in bits 19:10); a missed frame is counted in MPC.
    pub fn store(&mut self, frame: T, len: usize, size: u32) -> Result<(), T> {
        let room = size as usize & 0xffc00;
        if self.used + len + CHECK > room {
            return Err(frame);
        }
        self.used += len + CHECK;
        self.frames.push_back((len, frame));
        Ok(())
    }

    /// The frame at the head.
    pub fn head(&self) -> Option<&T> {
        self.frames.front().map(|(_, frame)| frame)
    }

    /// Takes the frame at the head.
    pub fn take(&mut self) -> Option<T> {
        let (len, frame) = self.frames.pop_front()?;
        self.used -= len + CHECK;
        Some(frame)
    }

    /// Octets in use: what FCRTH and FCRTL are compared with.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Frames in the buffer.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame is in the buffer.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Forgets all frames, as a reset does.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_order_and_bounded() {
        let mut buffer = PacketBuffer::new();
        assert_eq!(buffer.store("a", 500, 0x400), Ok(()));
        assert_eq!(buffer.store("b", 516, 0x400), Ok(()));
        assert_eq!(buffer.store("c", 60, 0x400), Err("c"));
        assert_eq!((buffer.used(), buffer.len()), (1024, 2));
        assert_eq!(buffer.head(), Some(&"a"));
        assert_eq!(buffer.take(), Some("a"));
        assert_eq!(buffer.store("c", 60, 0x400), Ok(()));
        assert_eq!(buffer.take(), Some("b"));
        assert_eq!(buffer.take(), Some("c"));
        assert_eq!((buffer.take(), buffer.used()), (None, 0));
    }

    #[test]
    fn no_size_no_room() {
        let mut buffer = PacketBuffer::new();
        assert_eq!(buffer.store((), 60, 0), Err(()));
        assert_eq!(buffer.store((), 60, 0x3ff), Err(()));
        buffer.store((), 60, 0x80000).unwrap();
        buffer.clear();
        assert!(buffer.is_empty());
        assert_eq!(buffer.used(), 0);
    }
}
