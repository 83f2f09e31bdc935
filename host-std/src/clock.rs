//! The time of this host, as the core asks for it.

use std::sync::OnceLock;
use std::task::Waker;
use std::time::{Duration, Instant};

use inferry_core::{Clock, Timer};

use crate::timer;

/// The operating system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Timer for SystemClock {
    fn wake_at(&self, moment: u64, waker: Waker) -> u64 {
        let left = Duration::from_nanos(moment.saturating_sub(self.now()));
        let now = Instant::now();
        // What is further off than clocks count is as good as a year.
        timer::wake_at(now.checked_add(left).unwrap_or(now + Duration::from_secs(365 * 86400)), waker)
    }

    fn forget(&self, alarm: u64) {
        timer::forget(alarm);
    }
}

/// Nanoseconds from now to a moment; 0 when it has passed.
pub(crate) fn nanos_until(moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(u64::MAX)
}
