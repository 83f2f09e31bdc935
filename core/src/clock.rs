//! Time, as a host lends it.
//!
//! The core has no clock: a host that has one implements [`Clock`] and hands it to whatever needs the time (a slice, a
//! profile), and [`Timer`] if it can also wake somebody later. Nothing here sleeps.

use core::task::Waker;

/// A monotonic clock of the host.
pub trait Clock: Send + Sync {
    /// Nanoseconds since a moment that stays fixed while the process lives. Never goes back.
    fn now(&self) -> u64;
}

/// A clock that wakes.
pub trait Timer: Clock {
    /// Wakes `waker` when [`Clock::now`] has reached `moment`. Gives the number of the alarm.
    fn wake_at(&self, moment: u64, waker: Waker) -> u64;

    /// Forgets an alarm that is not needed any more; one that has rung is forgotten already.
    fn forget(&self, alarm: u64);
}
