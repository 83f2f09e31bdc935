//! Time, as a host lends it.
//!
//! The core has no clock: a host that has one implements [`Clock`] and hands it to whatever needs the time (a slice, a
//! profile). Nothing here sleeps or sets timers.

/// A monotonic clock of the host.
pub trait Clock: Send + Sync {
    /// Nanoseconds since a moment that stays fixed while the process lives. Never goes back.
    fn now(&self) -> u64;
}
