// SPDX-License-Identifier: GPL-2.0

//! What stands behind a ring while its queue is not ours: it moves nothing. The slots that the program hands over are read
//! and checked as by a queue, and their buffers are remembered: the hardware gets them when the queue is back.

use super::{
    kring::Kring,
    queue::{Direction, Inner, Queue, SyncError}, //
};
use crate::{logic::ring::Span, prelude::*};

struct IdleTx;

impl Queue for IdleTx {
    fn sync(&self, held: &mut Inner, _: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        // The slots stay handed over, and are sent when the queue is back. The slots of an impossible packet, and all behind it,
        // become the program's again.
        match held.accept_span(span, true) {
            Ok(_) => Ok(()),
            Err(at) => Err(SyncError::BadRing { at: Some(at) }),
        }
    }

    fn has_news(&self, _: &Inner) -> bool {
        false
    }
}

struct IdleRx;

impl Queue for IdleRx {
    fn sync(&self, held: &mut Inner, _: &Kring, span: Span, _: u32) -> Result<(), SyncError> {
        match held.accept_span(span, false) {
            Ok(_) => {
                // The slots are the kernel's again; they are filled when the queue is back.
                held.cursors.release_all();
                Ok(())
            }
            Err(at) => {
                // It lies between `hwcur` and the program's head, where the span is.
                let _ = held.cursors.release(at.slot);
                Err(SyncError::BadRing { at: Some(at) })
            }
        }
    }

    fn has_news(&self, _: &Inner) -> bool {
        false
    }
}

/// The idle queues of a port's rings, allocated in advance, because giving a queue back must not need memory.
pub(crate) struct Idle {
    tx: Arc<dyn Queue>,
    rx: Arc<dyn Queue>,
}

impl Idle {
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            tx: Arc::new(IdleTx, GFP_CHARGED)?,
            rx: Arc::new(IdleRx, GFP_CHARGED)?,
        })
    }

    /// For a ring of this direction.
    pub(crate) fn queue(&self, direction: Direction) -> Arc<dyn Queue> {
        match direction {
            Direction::Tx => self.tx.clone(),
            Direction::Rx => self.rx.clone(),
        }
    }
}
