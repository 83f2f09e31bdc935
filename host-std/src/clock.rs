//! The time of this host, as the core asks for it.

use std::sync::OnceLock;
use std::time::Instant;

use inferry_core::Clock;

/// The operating system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Nanoseconds from now to a moment; 0 when it has passed.
pub(crate) fn nanos_until(moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(Instant::now()).as_nanos()).unwrap_or(u64::MAX)
}
