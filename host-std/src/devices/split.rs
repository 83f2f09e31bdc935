//! A model that is cut over several devices by operator.
//!
//! ```text
//!  Model ─▶ constants folded ─▶ who computes which node ─▶ parts ─▶ each compiled by its device ─▶ joined
//! ```
//!
//! Constants are folded first, with the CPU's arithmetic: the shape arithmetic of an exporter would otherwise be cut as well. A
//! node goes where a rule says, or to the first device that supports it. This does not weigh: a node is not kept from a device
//! because the way there takes longer than the work. Who knows that says it in a rule.

use std::sync::Arc;

use inferry_core::joined::{JoinError, Joined, Outlet, Part};
use inferry_core::request::BoxError;
use inferry_cpu::Cpu;
use inferry_engine::Model;
use inferry_engine::device::Settings;
use inferry_engine::graph::{Graph, Node};
use inferry_engine::passes::{PassError, drop_dead, propagate};
use inferry_engine::split::{self, separate_outputs};

use super::{Devices, Made, Over, names};

/// How a model is cut over devices.
///
/// A node is computed by the first device that supports it, unless a rule says otherwise. A rule for a node goes before one
/// for an operator, and of two the later.
#[derive(Clone, Debug)]
pub struct Split {
    devices: Devices,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    what: What,
    name: String,
    device: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Operator,
    Node,
}

impl Split {
    /// Over these devices.
    pub fn over(devices: Devices) -> Split {
        Split { devices, rules: Vec::new() }
    }

    /// The node of this name is computed by this device.
    #[must_use]
    pub fn node_on(self, node: impl Into<String>, device: impl Into<String>) -> Split {
        self.rule(What::Node, node.into(), device.into())
    }

    /// Every node of this operator, as in `Conv`, is computed by this device.
    #[must_use]
    pub fn operator_on(self, operator: impl Into<String>, device: impl Into<String>) -> Split {
        self.rule(What::Operator, operator.into(), device.into())
    }

    pub(crate) fn devices(&self) -> &Devices {
        &self.devices
    }

    fn rule(mut self, what: What, name: String, device: String) -> Split {
        self.rules.push(Rule { what, name, device });
        self
    }
}

impl From<Devices> for Split {
    fn from(devices: Devices) -> Split {
        Split::over(devices)
    }
}

/// A part of a model that was cut; see [`CompiledModel::parts`](crate::CompiledModel::parts).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartInfo {
    /// The name of its device.
    pub device: Arc<str>,
    /// Its nodes: their names, or their operator and position in the model.
    pub nodes: Vec<Arc<str>>,
}

/// Why a model could not be cut over devices.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// A rule names a device that is not in the list.
    #[error("no device is called {asked:?}; there are: {known}")]
    Device {
        /// The name in the rule.
        asked: String,
        /// The devices.
        known: String,
    },
    /// A rule for a node or operator that the model does not have.
    #[error("the model has no {what} {name:?}")]
    Absent {
        /// `node` or `operator`.
        what: &'static str,
        /// The name in the rule.
        name: String,
    },
    /// A rule gives a node to a device that does not support it.
    #[error("{node} is to be computed by the device {device:?}, which does not support it")]
    Refused {
        /// The node: its operator and name.
        node: String,
        /// The device.
        device: String,
    },
    /// Nodes that no device supports, all of them.
    #[error("no device of {devices} supports {}", .nodes.join(", "))]
    Unsupported {
        /// The nodes: their operators and names.
        nodes: Vec<String>,
        /// The devices.
        devices: String,
    },
    /// The graph contradicts itself.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// The graph could not be cut.
    #[error(transparent)]
    Cut(#[from] split::SplitError),
    /// A device could not compile its part.
    #[error(
        "part {part} of {parts}, of {nodes} nodes from {first} on, cannot be compiled by the device {device:?}: {source}"
    )]
    Part {
        /// Which part, from 0.
        part: usize,
        /// How many parts there are.
        parts: usize,
        /// How many nodes the part has.
        nodes: usize,
        /// The first of them.
        first: String,
        /// The device.
        device: String,
        /// What it says.
        source: BoxError,
    },
    /// The parts could not be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
}

impl Split {
    /// Cuts and compiles.
    pub(crate) fn compile(&self, model: &Model, cpu: Cpu, settings: &Settings) -> Result<Made, SplitError> {
        self.check_rules(&model.graph)?;
        let mut whole = model.clone();
        propagate(&mut whole.graph, &cpu.evaluator())?;
        drop_dead(&mut whole.graph);
        separate_outputs(&mut whole.graph);
        let cut = split::split(&whole.graph, &self.owners(&whole.graph)?)?;
        let count = cut.parts.len();
        let (mut parts, mut infos) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (index, part) in cut.parts.into_iter().enumerate() {
            let device = &self.devices.0[part.owner];
            let nodes: Vec<Arc<str>> = part.graph.nodes.iter().map(|node| node.name.clone()).collect();
            let of_part = Model { graph: part.graph, ..without_graph(&whole) };
            let compiled = device.compile(&of_part, settings).map_err(|source| SplitError::Part {
                part: index,
                parts: count,
                nodes: nodes.len(),
                first: of_part.graph.describe(&of_part.graph.nodes[0]),
                device: device.name().to_owned(),
                source,
            })?;
            let device: Arc<str> = device.name().into();
            parts.push(Part { device: device.clone(), model: compiled, inputs: part.inputs });
            infos.push(PartInfo { device, nodes });
        }
        join(&whole, cut.outputs, parts, infos)
    }

    /// Which device computes each node.
    fn owners(&self, graph: &Graph) -> Result<Vec<usize>, SplitError> {
        let mut nobody = Vec::new();
        let mut owners = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let supports = |device: &usize| self.devices.0[*device].supports(graph, node);
            let owner = match self.ruled(node) {
                Some(device) if supports(&device) => Some(device),
                Some(device) => {
                    let device = self.devices.0[device].name().to_owned();
                    return Err(SplitError::Refused { node: graph.describe(node), device });
                }
                None => (0..self.devices.0.len()).find(supports),
            };
            match owner {
                Some(device) => owners.push(device),
                None => nobody.push(graph.describe(node)),
            }
        }
        match nobody.is_empty() {
            true => Ok(owners),
            false => Err(SplitError::Unsupported { nodes: nobody, devices: self.devices.to_string() }),
        }
    }

    /// The device that a rule says.
    fn ruled(&self, node: &Node) -> Option<usize> {
        let applies = |rule: &&Rule| rule.applies(node);
        // Of equals the last.
        let rule = self.rules.iter().filter(applies).max_by_key(|rule| rule.what)?;
        self.devices.0.iter().position(|device| device.name() == rule.device)
    }

    /// Every rule names a device of the list, and something of the model.
    fn check_rules(&self, graph: &Graph) -> Result<(), SplitError> {
        for rule in &self.rules {
            if !self.devices.0.iter().any(|device| device.name() == rule.device) {
                return Err(SplitError::Device {
                    asked: rule.device.clone(),
                    known: self.devices.to_string(),
                });
            }
            if !anywhere(graph, rule) {
                let what = if rule.what == What::Node { "node" } else { "operator" };
                return Err(SplitError::Absent { what, name: rule.name.clone() });
            }
        }
        Ok(())
    }
}

impl Rule {
    fn applies(&self, node: &Node) -> bool {
        match self.what {
            What::Node => *node.name == *self.name,
            What::Operator => node.op.name() == self.name,
        }
    }
}

/// True when a rule applies to some node. One in a body counts: an If whose condition is known becomes its branch.
fn anywhere(graph: &Graph, rule: &Rule) -> bool {
    let inside = |node: &Node| node.op.bodies().iter().any(|body| anywhere(&body.graph, rule));
    graph.nodes.iter().any(|node| rule.applies(node) || inside(node))
}

/// What a model says about itself.
fn without_graph(model: &Model) -> Model {
    Model {
        graph: Graph::default(),
        name: model.name.clone(),
        producer: model.producer.clone(),
        ir_version: model.ir_version,
        opsets: model.opsets.clone(),
        metadata: model.metadata.clone(),
        doc: model.doc.clone(),
    }
}

fn join(
    whole: &Model,
    outlets: Vec<Outlet>,
    parts: Vec<Part>,
    infos: Vec<PartInfo>,
) -> Result<Made, SplitError> {
    let names = whole.outputs().into_iter().map(|port| port.name);
    let joined = Joined::new(whole.inputs(), names.zip(outlets).collect(), parts)?;
    let joined = joined.name_stages(names::stage);
    let stages = inferry_core::CompiledModel::stages(&joined).len();
    let of_stage = |stage| joined.device_of(stage).map_or(String::new(), |device| device.to_string());
    let waits = (0..stages).map(of_stage).collect();
    Ok(Made { model: Arc::new(joined), waits, over: Over::Parts(infos.into()) })
}
