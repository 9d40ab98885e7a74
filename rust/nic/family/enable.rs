// SPDX-License-Identifier: GPL-2.0

//! How a hardware queue is stopped and started.

use super::register::{Block, Hardware, Reg, RCTL_EN, TCTL_EN};
use crate::{
    prelude::*,
    ring::queue::Direction,
    sys::sched, //
};
use kernel::time::{delay::fsleep, Delta};

/// A way to stop and start a queue.
pub trait Enable: Send + Sync + 'static {
    /// Whether a queue goes on where it was when it is started again. If not, its head and tail are 0 then, and a tail
    /// written while it is stopped is lost.
    const RESUMES: bool;

    /// Stops a queue. `ETIMEDOUT` if the hardware does not confirm.
    fn stop(hw: &Hardware, block: Block, direction: Direction) -> Result;

    /// Starts a queue. `ETIMEDOUT` if the hardware does not confirm.
    fn start(hw: &Hardware, block: Block, direction: Direction) -> Result;

    /// Makes the hardware write back the completed descriptors of a transmit queue that runs, where it may hold them back
    /// for a while.
    fn write_back(_hw: &Hardware, _block: Block) {}

    /// Whether the queue is on.
    fn is_on(hw: &Hardware, block: Block, direction: Direction) -> bool;
}

/// One switch for the receiver, one for the transmitter: NICs with a single queue.
///
/// The hardware does not say when it has stopped. Drivers wait 10 ms, in which the longest frame passes at the lowest
/// speed, and so do we.
pub struct Unit;

impl Unit {
    const fn of(direction: Direction) -> (Reg, u32) {
        match direction {
            Direction::Rx => (Reg::RCTL, RCTL_EN),
            Direction::Tx => (Reg::TCTL, TCTL_EN),
        }
    }
}

impl Enable for Unit {
    const RESUMES: bool = true;

    fn stop(hw: &Hardware, _block: Block, direction: Direction) -> Result {
        let (reg, bit) = Self::of(direction);
        // When the link comes up, drivers turn the transmitter on. That can undo one of the attempts, but not all.
        for _ in 0..3 {
            hw.update(reg, bit, 0);
            hw.flush();
            fsleep(Delta::from_millis(10));
            if hw.read(reg) & bit == 0 {
                return Ok(());
            }
        }
        Err(ETIMEDOUT)
    }

    fn start(hw: &Hardware, _block: Block, direction: Direction) -> Result {
        let (reg, bit) = Self::of(direction);
        hw.update(reg, bit, bit);
        hw.flush();
        Ok(())
    }

    fn is_on(hw: &Hardware, _block: Block, direction: Direction) -> bool {
        let (reg, bit) = Self::of(direction);
        hw.read(reg) & bit != 0
    }
}

/// A switch per queue, which reads as off only when the queue's last write-back is done.
///
/// `FLUSH` are bits that make the queue drop the descriptors that it has fetched and not processed yet.
pub struct PerQueue<const FLUSH: u32>;

/// The enable bit of [`PerQueue`].
const ENABLE: u32 = 1 << 25;
/// The bit that asks for a write-back of what is done. The hardware clears it.
const WRITE_BACK: u32 = 1 << 26;

impl<const FLUSH: u32> PerQueue<FLUSH> {
    /// How long the hardware has to answer: for a read over the bus that is under way, with a margin.
    const PATIENCE_MS: u32 = 100;
}

impl<const FLUSH: u32> Enable for PerQueue<FLUSH> {
    const RESUMES: bool = false;

    fn stop(hw: &Hardware, block: Block, direction: Direction) -> Result {
        let control = block.control();
        let off = || hw.read(control) & ENABLE == 0;
        // A driver that sets its address filters may write the register of all queues as it has read them, with the bit,
        // until the hardware shows it cleared. It does so under the lock that `update` takes. So once the bit is found
        // cleared under that lock, no driver code holds an old value with the bit any more.
        for _ in 0..3 {
            hw.update(control, ENABLE | FLUSH, FLUSH);
            if sched::wait_until(Self::PATIENCE_MS, off) && hw.locked(off) {
                if direction == Direction::Rx {
                    // Data of a frame may still be under way.
                    fsleep(Delta::from_micros(200));
                }
                return Ok(());
            }
        }
        Err(ETIMEDOUT)
    }

    fn start(hw: &Hardware, block: Block, direction: Direction) -> Result {
        hw.update(block.control(), ENABLE | FLUSH, ENABLE);
        if sched::wait_until(Self::PATIENCE_MS, || Self::is_on(hw, block, direction)) {
            Ok(())
        } else {
            Err(ETIMEDOUT)
        }
    }

    fn write_back(hw: &Hardware, block: Block) {
        let control = block.control();
        hw.update(control, WRITE_BACK, WRITE_BACK);
        sched::wait_until(1, || hw.read(control) & WRITE_BACK == 0);
        hw.update(control, WRITE_BACK, 0);
    }

    fn is_on(hw: &Hardware, block: Block, _side: Direction) -> bool {
        hw.read(block.control()) & ENABLE != 0
    }
}
