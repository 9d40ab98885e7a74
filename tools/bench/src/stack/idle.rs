// SPDX-License-Identifier: BSD-2-Clause
//! Idle time, to the instruction.
//!
//! The kernel counts idle time in ticks. A thread that runs only when nothing else wants to counts it exactly: it does
//! nothing but to count its turns, each of two instructions.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Instructions of one turn.
const TURN: u64 = 2;

static TURNS: AtomicU64 = AtomicU64::new(0);

/// Starts the thread, which ends with the program.
///
/// # Errors
///
/// If there can be no such thread.
pub fn start() -> io::Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        let parameter = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameter lives through the call, which is about this thread alone.
        let failed = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameter) } != 0;
        let result = match failed {
            true => Err(io::Error::last_os_error()),
            false => Ok(()),
        };
        if tell.send(result).is_ok() && !failed {
            count();
        }
    })?;
    told.recv().map_err(io::Error::other)?
}

/// Counts for ever.
fn count() -> ! {
    // SAFETY: adds to a variable that lives as long as the program; an aligned store of 64 bits is seen whole, and no other
    // thread writes to it.
    unsafe {
        core::arch::asm!(
            "2: inc qword ptr [{turns}]",
            "jmp 2b",
            turns = in(reg) TURNS.as_ptr(),
            options(noreturn, nostack)
        )
    }
}

/// Instructions for which the processor had nothing else to do.
pub fn instructions() -> u64 {
    TURNS.load(Ordering::Relaxed) * TURN
}
