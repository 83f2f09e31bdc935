//! Which nodes the time of a run goes to, for `inferry bench --profile`.
//!
//! Times add up by node over all runs. A node that was fused into another or folded has no time, and no line.

use std::collections::HashMap;
use std::sync::Arc;

use inferry::NodeProfile;
use serde_json::{Value, json};

/// Adds up what nodes took.
#[derive(Default)]
pub struct Profiler(HashMap<Arc<str>, Line>);

/// A node and its share.
pub struct Line {
    node: Arc<str>,
    operator: &'static str,
    nanos: u64,
}

impl Profiler {
    /// Adds a run.
    pub fn add(&mut self, nodes: Vec<NodeProfile>) {
        for NodeProfile { name, operator, nanos, .. } in nodes {
            let line = Line { node: name.clone(), operator, nanos: 0 };
            self.0.entry(name).or_insert(line).nanos += nanos;
        }
    }

    /// The nodes that took time, the slowest first.
    pub fn lines(self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.0.into_values().filter(|line| line.nanos > 0).collect();
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
        .map(|line| json!({ "node": *line.node, "operator": line.operator, "ms": line.milliseconds(runs) }))
        .collect()
}
