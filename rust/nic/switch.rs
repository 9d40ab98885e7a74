// SPDX-License-Identifier: GPL-2.0

//! How a hardware queue is stopped and started.

use super::register::{Block, Hardware, Reg, RCTL_EN, TCTL_EN};
use crate::{port::kring::Direction, prelude::*, sys::sched};

/// A way to stop and start a queue.
pub trait Switch: Send + Sync + 'static {
    /// Whether a queue goes on where it was when it is started again. If not, its head and tail are 0 then, and a tail
    /// written while it is stopped is lost.
    const RESUMES: bool;

    /// Stops a queue. `ETIMEDOUT` if the hardware does not confirm.
    fn stop(hw: &Hardware, block: Block, side: Direction) -> Result;

    /// Starts a queue. `ETIMEDOUT` if the hardware does not confirm.
    fn start(hw: &Hardware, block: Block, side: Direction) -> Result;

    /// Whether the queue is on.
    fn is_on(hw: &Hardware, block: Block, side: Direction) -> bool;
}

/// One switch for the receiver, one for the transmitter: NICs with a single queue.
///
/// The hardware does not say when it has stopped. Drivers wait 10 ms, in which the longest frame passes at the lowest
/// speed, and so do we.
pub struct Unit;

impl Unit {
    const fn of(side: Direction) -> (Reg, u32) {
        match side {
            Direction::Rx => (Reg::RCTL, RCTL_EN),
            Direction::Tx => (Reg::TCTL, TCTL_EN),
        }
    }
}

impl Switch for Unit {
    const RESUMES: bool = true;

    fn stop(hw: &Hardware, _block: Block, side: Direction) -> Result {
        let (reg, bit) = Self::of(side);
        hw.update(reg, bit, 0);
        hw.flush();
        sched::sleep_us(10_000);
        if hw.read(reg) & bit != 0 {
            return Err(ETIMEDOUT);
        }
        Ok(())
    }

    fn start(hw: &Hardware, _block: Block, side: Direction) -> Result {
        let (reg, bit) = Self::of(side);
        hw.update(reg, bit, bit);
        hw.flush();
        Ok(())
    }

    fn is_on(hw: &Hardware, _block: Block, side: Direction) -> bool {
        let (reg, bit) = Self::of(side);
        hw.read(reg) & bit != 0
    }
}

/// A switch per queue, which reads as off only when the queue's last write-back is done.
pub struct PerQueue;

impl PerQueue {
    const ENABLE: u32 = 1 << 25;

    fn set(hw: &Hardware, block: Block, on: bool) -> Result {
        let want = if on { Self::ENABLE } else { 0 };
        hw.update(block.control(), Self::ENABLE, want);
        // The driver polls up to 10 times a millisecond.
        for _ in 0..200 {
            if hw.read(block.control()) & Self::ENABLE == want {
                return Ok(());
            }
            sched::sleep_us(100);
        }
        Err(ETIMEDOUT)
    }
}

impl Switch for PerQueue {
    const RESUMES: bool = false;

    fn stop(hw: &Hardware, block: Block, side: Direction) -> Result {
        Self::set(hw, block, false)?;
        if side == Direction::Rx {
            // Data of a frame under way.
            sched::sleep_us(200);
        }
        Ok(())
    }

    fn start(hw: &Hardware, block: Block, _side: Direction) -> Result {
        Self::set(hw, block, true)
    }

    fn is_on(hw: &Hardware, block: Block, _side: Direction) -> bool {
        hw.read(block.control()) & Self::ENABLE != 0
    }
}
