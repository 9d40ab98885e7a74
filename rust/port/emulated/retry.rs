// SPDX-License-Identifier: GPL-2.0

//! What sends the frames that a driver did not take, when it takes them.
//!
//! The interface going up and the carrier coming are events of the device ([`super::events`]). That a driver lets packets in again
//! after it has stopped its queue is told to queueing disciplines alone. A destructor of packets would not tell: drivers free packets
//! before they let others in, and may free them much later. So a timer looks, as long as frames wait: at first after less time than a
//! driver's ring takes to run empty, then less often, and seldom while nobody sleeps for the ring.
//!
//! A timer cannot send: memory may be needed for that, and the ring may be held by a sync. Whoever sleeps for the ring is woken, whose
//! sync sends what waits. If there is nobody, or no sync has come of it, a work item does it.

use crate::{
    atomic::{AtomicBool, AtomicU32, Ordering},
    prelude::*,
    ring::kring::Kring,
    sys::{
        device_queue::{DeviceQueue, QueueState},
        wait,
        work::{Job, Work}, //
    },
};
use kernel::{
    impl_has_hr_timer,
    sync::ArcBorrow,
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeSoftMode, //
        },
        Delta,
        Monotonic, //
    },
};

/// Microseconds after which a stopped queue is looked at first.
const SOON: u32 = 50;
/// Microseconds between two looks at most, while somebody sleeps for the ring.
const LATE: u32 = 1000;
/// The same while nobody does.
const SELDOM: u32 = 16000;

/// Sends what waits in a ring.
pub(super) struct Resume {
    kring: Arc<Kring>,
}

impl Resume {
    /// For the transmit ring `kring`.
    pub(super) fn new(kring: Arc<Kring>) -> Self {
        Self { kring }
    }
}

impl Job for Resume {
    fn run(&self) {
        self.kring.resume();
    }
}

/// What looks whether the driver takes packets again.
#[pin_data]
pub(super) struct Retry {
    #[pin]
    timer: HrTimer<Self>,
    queue: DeviceQueue,
    kring: Arc<Kring>,
    resume: Arc<Work<Resume>>,
    /// Microseconds to the next look.
    interval: AtomicU32,
    /// Whether sleepers were woken to send.
    woken: AtomicBool,
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Retry {
        mode: RelativeSoftMode<Monotonic>, field: self.timer
    }
}

impl Retry {
    /// For `kring`, whose frames go to `queue`.
    pub(super) fn new(
        queue: DeviceQueue,
        kring: Arc<Kring>,
        resume: Arc<Work<Resume>>,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                timer <- HrTimer::new(),
                queue,
                kring,
                resume,
                interval: AtomicU32::new(LATE),
                woken: AtomicBool::new(false),
            }),
            GFP_CHARGED,
        )
    }

    /// Looks soon, or later if what is missing is memory; and if nothing was taken since the last start, after twice the time of
    /// then, as not all drivers tell that they have no room. The timer is not running.
    pub(super) fn start(
        this: &Arc<Self>,
        state: QueueState,
        stands: bool,
    ) -> ArcHrTimerHandle<Self> {
        let first = match state {
            QueueState::Full => SOON,
            // The memory is missing.
            QueueState::Open | QueueState::Closed => LATE,
        };
        let us = if stands {
            let most = if this.kring.listeners.has_sleepers() {
                LATE
            } else {
                SELDOM
            };
            let last = this.interval.load(Ordering::Relaxed);
            last.saturating_mul(2).min(most).max(first)
        } else {
            first
        };
        this.interval.store(us, Ordering::Relaxed);
        this.woken.store(false, Ordering::Relaxed);
        this.clone().start(Delta::from_micros(i64::from(us)))
    }

    /// Has what waits sent; true if that has to be looked at once more.
    fn tell(&self, has_sleepers: bool) -> bool {
        if has_sleepers && !self.woken.swap(true, Ordering::Relaxed) {
            self.kring.wake();
            return true;
        }
        self.resume.ask();
        false
    }
}

impl HrTimerCallback for Retry {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        wait::published();
        let has_sleepers = this.kring.listeners.has_sleepers();
        let us = if this.queue.state() == QueueState::Full {
            let most = if has_sleepers { LATE } else { SELDOM };
            let us = this.interval.load(Ordering::Relaxed);
            us.saturating_mul(2).min(most)
        } else if this.tell(has_sleepers) {
            LATE
        } else {
            return HrTimerRestart::NoRestart;
        };
        this.interval.store(us, Ordering::Relaxed);
        context.forward_now(Delta::from_micros(i64::from(us)));
        HrTimerRestart::Restart
    }
}
