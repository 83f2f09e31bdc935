//! From the file's names to a graph of ids.
//!
//! A graph is imported in three steps: its names are written down (inputs, constants, what nodes write), its nodes are put
//! in an order in which they can run, and each node is turned into an operator by its importer. A graph inside a node may
//! read names of the graphs around it: those *captures* become inputs of the inner graph and inputs of the node, level by
//! level, so that every graph is complete in itself.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::constant::constant;
use super::error::ImportError;
use super::external::{ExternalData, NoExternalData};
use super::node::{Imported, NodeView, label};
use super::order::topological;
use super::proto::{GraphProto, Merge, ModelProto, NodeProto, OperatorSet, ValueInfoProto};
use super::registry;
use super::survey::{inner_graphs, is_constant, long_domain, unsupported};
use super::tensor::tensor;
use super::value::declared;
use super::wire::{Budget, Message};
use crate::graph::{Body, Graph, Node, ValueId};
use crate::model::Model;

/// The oldest and the newest version of the standard's operators that we read.
const OPSETS: (i64, i64) = (6, 22);

/// How to read a file.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Where data outside of the model file comes from.
    pub external: &'a dyn ExternalData,
    /// How large a model may be.
    pub limits: Limits,
}

impl Default for Options<'_> {
    /// No external data, default limits.
    fn default() -> Self {
        Options { external: &NoExternalData, limits: Limits::default() }
    }
}

/// How large a model may be, so that a hostile file ends in an error and not in a machine without memory.
///
/// The sizes of tensors need no limit: they are believed only when their data is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Messages (nodes, attributes, tensors, extents) in all.
    pub messages: usize,
    /// Messages within messages. Each graph within a graph takes three.
    pub depth: usize,
    /// Nodes, those of inner graphs included.
    pub nodes: usize,
}

impl Default for Limits {
    /// Far above any real model: files up to what can be addressed, 16 million messages, one million nodes.
    fn default() -> Limits {
        Limits { bytes: isize::MAX as usize, messages: 1 << 24, depth: 64, nodes: 1 << 20 }
    }
}

/// Reads an ONNX file.
///
/// # Errors
/// Bytes that are no model, operators that we do not have (all at once), and whatever else is wrong with it.
pub fn import(bytes: &[u8], options: &Options<'_>) -> Result<Model, ImportError> {
    let limits = options.limits;
    if bytes.is_empty() {
        return Err(ImportError::Empty);
    }
    if bytes.len() > limits.bytes {
        return Err(ImportError::Limit { what: "bytes", limit: limits.bytes });
    }
    let budget = Budget::new(limits.depth, limits.messages);
    let proto = ModelProto::read(Message::file(bytes, &budget))?;
    let graph_proto = proto.graph.as_ref().ok_or(ImportError::Absent("graph"))?;
    let opset = standard_opset(&proto)?;
    check_operators(graph_proto, limits.nodes)?;

    let importer = Importer { opset, opsets: &proto.opsets, external: options.external };
    let graph = importer.graph(graph_proto, &[])?;
    let opsets = proto.opsets.iter();
    Ok(Model {
        graph,
        name: graph_proto.name.to_owned(),
        producer: format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned(),
        ir_version: proto.ir_version,
        opsets: opsets.map(|set| (long_domain(set.domain).to_owned(), set.version)).collect(),
        metadata: proto.metadata.into_iter().map(|entry| (entry.key, entry.value)).collect(),
        doc: proto.doc,
    })
}

/// The version of the standard's own operators. Other domains are looked at only where a node uses them.
fn standard_opset(proto: &ModelProto<'_>) -> Result<i64, ImportError> {
    let own = proto.opsets.iter().filter(|set| registry::domain(set.domain).is_empty());
    let version = own.map(|set| set.version).max().ok_or(ImportError::Absent("operator set of ai.onnx"))?;
    let (least, most) = OPSETS;
    match version {
        version if (least..=most).contains(&version) => Ok(version),
        version => Err(ImportError::Opset { version, least, most }),
    }
}

/// Finds all operators that the registry does not have, before anything else is looked at.
fn check_operators(graph: &GraphProto<'_>, limit: usize) -> Result<(), ImportError> {
    let (unknown, nodes) = unsupported(graph);
    if nodes > limit {
        return Err(ImportError::Limit { what: "nodes", limit });
    }
    if unknown.is_empty() { Ok(()) } else { Err(ImportError::Unsupported(unknown)) }
}

/// The names that a graph reads and does not define, each once, in the order of first reading.
fn captures<'p>(graph: &'p GraphProto<'_>) -> Vec<&'p str> {
    let mut defined: BTreeSet<&str> = BTreeSet::new();
    defined.extend(graph.inputs.iter().map(|input| input.name));
    defined.extend(graph.initializers.iter().map(|tensor| tensor.name));
    defined.extend(graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()));
    // The empty name is a left-out input.
    defined.insert("");
    let mut found = Vec::new();
    let outputs = graph.outputs.iter().map(|output| output.name);
    for name in graph.nodes.iter().flat_map(reads).chain(outputs) {
        if defined.insert(name) {
            found.push(name);
        }
    }
    found
}

/// All names that a node reads: its inputs, then what its inner graphs capture.
fn reads<'p>(node: &'p NodeProto<'_>) -> Vec<&'p str> {
    let mut names: Vec<&str> = node.inputs.iter().copied().filter(|name| !name.is_empty()).collect();
    names.extend(inner_graphs(node).flat_map(|(_, inner)| captures(inner)));
    names
}

/// What is the same for all graphs of a file.
struct Importer<'a> {
    opset: i64,
    opsets: &'a [OperatorSet<'a>],
    external: &'a dyn ExternalData,
}

/// A graph under construction, and the names of its values.
struct Scope<'a> {
    graph: Graph,
    name: &'a str,
    ids: BTreeMap<&'a str, ValueId>,
}

impl<'a> Scope<'a> {
    fn define(&mut self, name: &'a str, id: ValueId) -> Result<(), ImportError> {
        match self.ids.insert(name, id) {
            None => Ok(()),
            Some(_) => Err(ImportError::Duplicate { graph: self.name.to_owned(), name: name.to_owned() }),
        }
    }

    fn find(&self, name: &str, reader: impl FnOnce() -> String) -> Result<ValueId, ImportError> {
        let found = self.ids.get(name).copied();
        found.ok_or_else(|| ImportError::Dangling { reader: reader(), name: name.to_owned() })
    }
}

impl<'a> Importer<'a> {
    /// A graph; `captured` are the names that it may use of the graphs around it, its last inputs.
    fn graph(&self, proto: &'a GraphProto<'a>, captured: &[&'a str]) -> Result<Graph, ImportError> {
        let mut scope = Scope { graph: Graph::default(), name: proto.name, ids: BTreeMap::new() };
        self.constants(&mut scope, proto)?;
        self.inputs(&mut scope, proto, captured)?;

        let reads: Vec<Vec<&str>> = proto.nodes.iter().map(reads).collect();
        let writes: Vec<Vec<&str>> = proto.nodes.iter().map(|node| node.outputs.clone()).collect();
        let names = |nodes: Vec<usize>| nodes.into_iter().map(|node| label(&proto.nodes[node])).collect();
        let order = topological(&reads, &writes).map_err(|nodes| ImportError::Cycle(names(nodes)))?;
        for node in order {
            self.node(&mut scope, &proto.nodes[node])?;
        }
        outputs(&mut scope, proto)?;
        Ok(scope.graph)
    }

    fn constants(&self, scope: &mut Scope<'a>, proto: &'a GraphProto<'a>) -> Result<(), ImportError> {
        if proto.sparse > 0 {
            let problem = "sparse initializers are not supported".into();
            return Err(ImportError::Tensor { tensor: scope.name.to_owned(), problem });
        }
        for initializer in &proto.initializers {
            let id = scope
                .graph
                .add_constant(initializer.name, tensor(initializer, "initializer", self.external)?);
            scope.define(initializer.name, id)?;
        }
        Ok(())
    }

    fn inputs(
        &self,
        scope: &mut Scope<'a>,
        proto: &'a GraphProto<'a>,
        captured: &[&'a str],
    ) -> Result<(), ImportError> {
        // Files of the first versions list the constants among the inputs.
        let constants: BTreeSet<&str> = proto.initializers.iter().map(|tensor| tensor.name).collect();
        for input in proto.inputs.iter().filter(|input| !constants.contains(input.name)) {
            let fact = declared(&input.kind).map_err(|problem| port_error("input", input, problem))?;
            let id = scope.graph.add_value(input.name, fact);
            scope.define(input.name, id)?;
            scope.graph.inputs.push(id);
        }
        for name in captured {
            let id = scope.graph.add_value(*name, None);
            scope.define(name, id)?;
            scope.graph.inputs.push(id);
        }
        Ok(())
    }

    fn node(&self, scope: &mut Scope<'a>, proto: &'a NodeProto<'a>) -> Result<(), ImportError> {
        let opset = self.opset_of(registry::domain(proto.domain));
        if is_constant(proto) {
            let tensor = constant(&NodeView::new(proto, opset, self.external, &[]))?;
            let id = scope.graph.add_constant(proto.outputs[0], tensor);
            return scope.define(proto.outputs[0], id);
        }

        let mut inputs = operands(scope, proto)?;
        let (bodies, captured) = self.bodies(proto, inputs.len())?;
        let view = NodeView::new(proto, opset, self.external, &bodies);
        let import = registry::find(view.domain(), view.op_type());
        let imported = import.ok_or_else(|| view.refuse("is not supported"))?(&view)?;
        inputs = imported.arrange(inputs);
        let Imported { op, constants, .. } = imported;
        for name in captured {
            inputs.push(Some(scope.find(name, || format!("a graph in node {}", label(proto)))?));
        }
        for (position, tensor) in constants {
            if position >= inputs.len() {
                inputs.resize(position + 1, None);
            }
            if inputs[position].replace(scope.graph.add_constant("", tensor)).is_some() {
                return Err(view.refuse(format!("input {position} is given twice, once by an attribute")));
            }
        }

        let mut outputs = Vec::with_capacity(view.outputs());
        for name in &proto.outputs[..view.outputs()] {
            let id = (!name.is_empty()).then(|| scope.graph.add_value(*name, None));
            outputs.push(id);
            id.map_or(Ok(()), |id| scope.define(name, id))?;
        }
        scope.graph.nodes.push(Node { name: Arc::from(proto.name), op, inputs, outputs });
        Ok(())
    }

    fn opset_of(&self, domain: &str) -> i64 {
        match domain {
            "" => self.opset,
            domain => self.opsets.iter().find(|set| set.domain == domain).map_or(1, |set| set.version),
        }
    }

    /// The graphs of a node, and the names they capture. All of them share one input of the node for a value that several
    /// capture; those inputs come after the `operands` inputs that the node has itself.
    #[allow(clippy::type_complexity)] // two lists side by side
    fn bodies(
        &self,
        proto: &'a NodeProto<'a>,
        operands: usize,
    ) -> Result<(Vec<(&'a str, Body)>, Vec<&'a str>), ImportError> {
        let mut bodies = Vec::new();
        let mut carried: Vec<&str> = Vec::new();
        for (attribute, inner) in inner_graphs(proto) {
            let captured = captures(inner);
            let mut positions = Vec::with_capacity(captured.len());
            for name in &captured {
                let known = carried.iter().position(|carried| carried == name);
                positions.push(operands + known.unwrap_or(carried.len()));
                if known.is_none() {
                    carried.push(name);
                }
            }
            bodies.push((attribute, Body { graph: self.graph(inner, &captured)?, captures: positions }));
        }
        Ok((bodies, carried))
    }
}

/// The values that a node itself reads; `None` where an optional input is left out.
fn operands(scope: &Scope<'_>, proto: &NodeProto<'_>) -> Result<Vec<Option<ValueId>>, ImportError> {
    // Empty names at the end are no inputs at all.
    let count = proto.inputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    let find = |name: &&str| match *name {
        "" => Ok(None),
        name => scope.find(name, || format!("node {}", label(proto))).map(Some),
    };
    proto.inputs[..count].iter().map(find).collect()
}

/// Finds the outputs and notes what is declared of them.
fn outputs<'a>(scope: &mut Scope<'a>, proto: &'a GraphProto<'a>) -> Result<(), ImportError> {
    for output in &proto.outputs {
        let id = scope.find(output.name, || format!("graph \"{}\"", scope.name))?;
        let fact = declared(&output.kind).map_err(|problem| port_error("output", output, problem))?;
        let value = scope.graph.value_mut(id);
        value.fact = value.fact.take().or(fact);
        scope.graph.outputs.push(id);
    }
    Ok(())
}

fn port_error(side: &'static str, info: &ValueInfoProto<'_>, problem: String) -> ImportError {
    ImportError::Port { side, name: info.name.to_string(), problem }
}
