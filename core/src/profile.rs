//! What each node of a model did in the latest run of a request.
//!
//! A device that was asked to measure (by an option of its own) keeps a time for each node in the request's
//! [`Work`](crate::device::Work), and [`Request::profile`](crate::Request::profile) reads them when no run is under way. A
//! device that was not asked never reads a clock, and the list is empty: no rows of zeros that look like measurements.
//!
//! Spans of stages and runs, with the time that they wait in queues, are [`trace`](crate::trace)'s.

use alloc::sync::Arc;

/// A node of the model in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeProfile {
    /// The node's name, or its operator and position; within control flow after the names of the nodes around it and `/`.
    pub name: Arc<str>,
    /// Its operator, as the device ran it.
    pub operator: &'static str,
    /// Whether it ran.
    pub status: NodeStatus,
    /// Nanoseconds, by the clock of the host, on the thread that ran the stage: work that was forked over other threads
    /// counts as long as this thread was at it. In a loop, the sum of its turns.
    pub nanos: u64,
    /// How often it was begun or gone on with: an interrupted node has several turns.
    pub turns: u32,
    /// The device that ran it, where a model runs on more than one.
    pub device: Option<Arc<str>>,
}

impl NodeProfile {
    /// What a device writes down.
    pub fn new(
        name: Arc<str>,
        operator: &'static str,
        status: NodeStatus,
        nanos: u64,
        turns: u32,
    ) -> NodeProfile {
        NodeProfile { name, operator, status, nanos, turns, device: None }
    }

    /// The same node on this device.
    #[must_use]
    pub fn on(self, device: Arc<str>) -> NodeProfile {
        NodeProfile { device: Some(device), ..self }
    }
}

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeStatus {
    /// It ran.
    Executed,
    /// The run did not come to it: a branch that was not taken, or a run that ended before.
    NotRun,
    /// It was computed when the model was compiled, or is part of another node.
    OptimizedOut,
}

/// A time that is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeTime {
    /// Nanoseconds.
    pub nanos: u64,
    /// Turns.
    pub turns: u32,
}

impl NodeTime {
    /// Adds a turn of so many nanoseconds.
    pub fn add(&mut self, nanos: u64) {
        self.nanos = self.nanos.saturating_add(nanos);
        self.turns = self.turns.saturating_add(1);
    }
}
