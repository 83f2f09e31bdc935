//! Which nodes the time of a run goes to, for `inferry bench --profile`.
//!
//! Times add up by node over all runs, the cold one left out by [`Profiler::forget`]. A node that was fused into another has
//! no time of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use inferry::{Model, SystemClock};
use inferry_cpu::profile::{Listener, Profile};
use serde_json::{Value, json};

/// Adds up what nodes took.
#[derive(Default)]
pub struct Profiler(Mutex<HashMap<String, u64>>);

/// A node and its share.
pub struct Line {
    node: String,
    operator: String,
    nanos: u64,
}

impl Listener for Profiler {
    fn node(&self, name: &str, nanos: u64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match times.get_mut(name) {
            Some(time) => *time += nanos,
            None => drop(times.insert(name.to_string(), nanos)),
        }
    }
}

impl Profiler {
    /// What a compiled model has to be given.
    pub fn profile(self: &Arc<Profiler>) -> Profile {
        Profile { clock: Arc::new(SystemClock), listener: self.clone() }
    }

    /// Begins anew.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The nodes, the slowest first, with their operators as the model has them.
    pub fn lines(&self, model: &Model) -> Vec<Line> {
        let operators: HashMap<&str, &str> =
            model.graph.nodes.iter().map(|node| (&*node.name, node.op.name())).collect();
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<Line> = times
            .iter()
            .map(|(node, nanos)| {
                let operator = operators.get(node.as_str()).copied().unwrap_or_default();
                Line { node: node.clone(), operator: operator.to_string(), nanos: *nanos }
            })
            .collect();
        lines.sort_by(|a, b| b.nanos.cmp(&a.nanos).then_with(|| a.node.cmp(&b.node)));
        lines
    }
}

impl Line {
    fn milliseconds(&self, runs: usize) -> f64 {
        self.nanos as f64 / 1e6 / runs.max(1) as f64
    }
}

/// A table: milliseconds a run, share, operator, node.
pub fn text(lines: &[Line], runs: usize) -> String {
    let total: f64 = lines.iter().map(|line| line.milliseconds(runs)).sum();
    let row = |line: &Line| {
        let time = line.milliseconds(runs);
        let share = 100.0 * time / total.max(f64::MIN_POSITIVE);
        format!("{time:>9.4} ms {share:>5.1} %  {:<20} {}\n", line.operator, line.node)
    };
    let rows: String = lines.iter().map(row).collect();
    format!("nodes       {total:.3} ms a run\n{rows}")
}

/// The same as JSON.
pub fn json(lines: &[Line], runs: usize) -> Value {
    lines
        .iter()
        .map(|line| json!({ "node": line.node, "operator": line.operator, "ms": line.milliseconds(runs) }))
        .collect()
}
