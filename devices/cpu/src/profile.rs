//! Where the time of a run goes, node by node, by a clock that a host lends.
//!
//! A model that was compiled without a [`Profile`] never asks for the time. With one, whoever listens is told of each turn
//! of each node: an interrupted node has several. Nothing is kept here.

use alloc::sync::Arc;

use inferry_core::Clock;

/// Told how long nodes take, on the thread that ran them; it should be quick.
pub trait Listener: Send + Sync {
    /// The node of this name (or operator and position; within control flow after the names of the nodes around it) had a
    /// turn of so many nanoseconds.
    fn node(&self, name: &str, nanos: u64);
}

/// A clock, and who wants to know.
#[derive(Clone)]
pub struct Profile {
    /// Read before and after each turn of a node.
    pub clock: Arc<dyn Clock>,
    /// Told the difference.
    pub listener: Arc<dyn Listener>,
}

impl core::fmt::Debug for Profile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Profile")
    }
}
