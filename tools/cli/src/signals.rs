// SPDX-License-Identifier: BSD-2-Clause
//! Ending in order.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::time::Instant;

/// How long a sleep lasts at most, so that a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// A flag that SIGINT, SIGTERM and SIGHUP set in place of ending the program, which can then end in order. A second one of these
/// ends it at once, as it would be ended without the flag. SIGHUP stays ignored where it is, for whoever has said `nohup`.
///
/// # Errors
///
/// In words, if a signal cannot be handled.
pub fn stop_on_signals() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // Shells without job control ignore SIGINT for what they run in the background, which is no wish of the user's.
        if signal == SIGHUP && is_ignored(signal) {
            continue;
        }
        // In this order: the second signal finds the flag set, the first does not.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(|error| format!("cannot handle signal {signal}: {error}"))?;
    }
    Ok(stop)
}

/// Whether the program was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    let mut action = core::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null pointer asks for the action alone, which is written whole; all zeros are one, too.
    unsafe {
        libc::sigaction(signal, core::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Waits as long as links take to come up, or until the program is to stop.
pub fn wait_for_link(time: Duration, stop: &AtomicBool) {
    let start = Instant::now();
    while let Some(rest) = time.checked_sub(start.elapsed()) {
        if rest.is_zero() || stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(rest.min(PATIENCE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_program_is_to_stop() {
        let long = Duration::from_secs(1000);
        wait_for_link(long, &AtomicBool::new(true));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| wait_for_link(long, &stop));
            stop.store(true, Ordering::Relaxed);
            waiter.join().unwrap();
        });
        wait_for_link(Duration::ZERO, &AtomicBool::new(false));
    }

    #[test]
    fn a_hangup_stays_ignored() {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(SIGHUP, libc::SIG_IGN) };
        let stop = stop_on_signals().unwrap();
        assert!(is_ignored(SIGHUP) && !is_ignored(SIGINT));
        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert!(!stop.load(Ordering::Relaxed));
        signal_hook::low_level::raise(SIGINT).unwrap();
        assert!(stop.load(Ordering::Relaxed));
    }
}
