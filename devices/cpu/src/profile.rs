//! Where the time of a run goes, node by node, by a clock that a host lends.
//!
//! A model that was compiled without a clock never asks for the time, and keeps nothing here. With one, each work holds a
//! time for each step of its plan, added up turn by turn (an interrupted node has several) and forgotten when the next run
//! begins. Nodes of the model that are no step of the plan were folded or fused: they are told of, without a time.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::profile::NodeTime;
use inferry_core::{NodeProfile, NodeStatus};
use inferry_engine::graph::Graph;

use crate::execute::States;
use crate::plan::{Label, Plan, Step, node_label};

/// A node of the model as it came.
pub(crate) struct Source {
    name: Arc<str>,
    op: &'static str,
    /// It holds other nodes.
    control_flow: bool,
}

/// The nodes of a graph and, after each, those of its bodies.
pub(crate) fn sources(graph: &Graph) -> Vec<Source> {
    fn walk(graph: &Graph, path: &str, nodes: &mut Vec<Source>) {
        for (index, node) in graph.nodes.iter().enumerate() {
            let label = node_label(node, index);
            let name = if path.is_empty() { label } else { format!("{path}/{label}") };
            let control_flow = !node.op.bodies().is_empty();
            nodes.push(Source { name: name.as_str().into(), op: node.op.name(), control_flow });
            for body in node.op.bodies() {
                walk(&body.graph, &name, nodes);
            }
        }
    }
    let mut nodes = Vec::new();
    walk(graph, "", &mut nodes);
    nodes
}

/// What the steps of a plan took in a run.
#[derive(Default)]
pub(crate) struct Times {
    /// By block and step.
    blocks: Vec<Vec<NodeTime>>,
}

impl Times {
    /// Makes room for the steps of a plan.
    pub(crate) fn reserve(&mut self, plan: &Plan) {
        self.blocks =
            plan.blocks.iter().map(|block| alloc::vec![NodeTime::default(); block.steps.len()]).collect();
    }

    /// Forgets the run before.
    pub(crate) fn begin(&mut self) {
        self.blocks.iter_mut().flatten().for_each(|time| *time = NodeTime::default());
    }

    /// A step had a turn.
    pub(crate) fn add(&mut self, block: u32, step: u32, nanos: u64) {
        if let Some(time) = self.blocks.get_mut(block as usize).and_then(|steps| steps.get_mut(step as usize))
        {
            time.add(nanos);
        }
    }
}

/// The steps of a plan and of its loops' bodies, and then the nodes of the model that are none.
pub(crate) fn profile(plan: &Plan, states: &States, nodes: &[Source]) -> Vec<NodeProfile> {
    let mut profile = Vec::new();
    gather(plan, states, &mut profile);
    let told: BTreeSet<String> = profile.iter().map(|node| String::from(&*node.name)).collect();
    let steps = profile.len();
    for source in nodes.iter().filter(|source| !told.contains(&*source.name)) {
        let whole = match source.control_flow {
            true => within(&source.name, &profile[..steps]),
            false => None,
        };
        let (status, time) = whole.unwrap_or((NodeStatus::OptimizedOut, NodeTime::default()));
        profile.push(NodeProfile::new(source.name.clone(), source.op, status, time.nanos, time.turns));
    }
    profile
}

/// Adds the steps of a plan. A node that is a step of several plans of a body is told of once.
fn gather(plan: &Plan, states: &States, profile: &mut Vec<NodeProfile>) {
    for (block, times) in plan.blocks.iter().zip(&states.times.blocks) {
        for (step, time) in block.steps.iter().zip(times) {
            let Label { name, op } = match step {
                Step::Kernel(step) => &step.label,
                Step::Late(step) => &step.label,
                Step::Object(step) => &step.label,
                Step::Branch(_) => continue,
                Step::Loop(step) => {
                    let mut inside = Vec::new();
                    for (plan, states) in states.loops[step.state].measured() {
                        let mut trips = Vec::new();
                        gather(plan, states, &mut trips);
                        trips.into_iter().for_each(|node| add(&mut inside, node));
                    }
                    profile.append(&mut inside);
                    continue;
                }
            };
            let status = if time.turns > 0 { NodeStatus::Executed } else { NodeStatus::NotRun };
            profile.push(NodeProfile::new(name.clone(), op, status, time.nanos, time.turns));
        }
    }
}

/// Adds what a node took to what it took in other plans.
fn add(profile: &mut Vec<NodeProfile>, node: NodeProfile) {
    let Some(same) = profile.iter_mut().find(|other| other.name == node.name) else {
        return profile.push(node);
    };
    same.nanos = same.nanos.saturating_add(node.nanos);
    same.turns = same.turns.saturating_add(node.turns);
    if node.status == NodeStatus::Executed {
        same.status = NodeStatus::Executed;
    }
}

/// What the steps inside a control-flow node took together; `None` when there are none.
fn within(name: &str, steps: &[NodeProfile]) -> Option<(NodeStatus, NodeTime)> {
    let inside = |step: &&NodeProfile| step.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let mut status = None;
    let mut time = NodeTime::default();
    for step in steps.iter().filter(inside) {
        if status != Some(NodeStatus::Executed) {
            status = Some(step.status);
        }
        time.nanos = time.nanos.saturating_add(step.nanos);
        time.turns = time.turns.saturating_add(step.turns);
    }
    status.map(|status| (status, time))
}
