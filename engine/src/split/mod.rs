//! One graph cut into several, each for one device.
//!
//! An assignment says of every node whose it is. [`split`] makes of it *parts*: graphs of their own, in an order in which they
//! can run one after the other, each with the nodes of one owner. What a part reads that another wrote, or that the whole was
//! given, is an input of it; what others or the user read is an output:
//!
//! ```text
//!  x ─▶ Conv ─▶ Relu ─▶ Add ─▶ y           part 0, of owner 0: x ─▶ Conv ─▶ t
//!       of 0    of 1    of 0        ─▶     part 1, of owner 1: t ─▶ Relu ─▶ u
//!        └──────────────▲                  part 2, of owner 0: t, u ─▶ Add ─▶ y
//! ```
//!
//! Parts never wait for each other in a circle (see `order`), and there are as few as the assignment allows. A part need not hang
//! together: what one owner can compute between the same two others is one part. Constants go to every part that reads them,
//! and are shared, not copied. This decides nothing about devices: who can compute what is the assignment's business.

mod order;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::joined::{Outlet, Source};

use crate::graph::{Graph, Node, ValueId};
use crate::op::Identity;

/// A graph in parts.
#[derive(Clone, Debug)]
pub struct Split {
    /// In an order in which they can run.
    pub parts: Vec<Part>,
    /// Where each output of the whole comes from.
    pub outputs: Vec<Outlet>,
}

/// A part of a graph.
#[derive(Clone, Debug)]
pub struct Part {
    /// Whose it is, as the assignment says.
    pub owner: usize,
    /// Its nodes, as a graph of their own.
    pub graph: Graph,
    /// Where each input of [`Part::graph`] comes from.
    pub inputs: Vec<Source>,
}

/// Why a graph could not be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// Nothing is known of a value that goes from one part to another.
    #[error("the value {0} goes from one part to another, and not even the type of its elements is known")]
    Unknown(String),
    /// An output of the graph that no node writes, or that stands twice in the list: see [`separate_outputs`].
    #[error("the output {0} is not one that a node writes for it alone")]
    Output(String),
}

/// Gives every output of a graph a node that writes it, and nothing but it: an Identity where an output is an input, a constant,
/// or an output already. Then each output can be computed by some part.
pub fn separate_outputs(graph: &mut Graph) {
    let writers = graph.writers();
    let mut seen = vec![false; graph.values().len()];
    for index in 0..graph.outputs.len() {
        let id = graph.outputs[index];
        if writers[id.index()].is_some() && !core::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        let mut value = graph.value(id).clone();
        if let Some(fact) = &mut value.fact {
            fact.constant = None;
        }
        let copy = graph.add_value(value.name, value.fact);
        let (inputs, outputs) = (vec![Some(id)], vec![Some(copy)]);
        graph.nodes.push(Node { name: "".into(), op: Arc::new(Identity), inputs, outputs });
        graph.outputs[index] = copy;
    }
}

/// Cuts a graph: node `i` belongs to `owners[i]`. Facts must have been inferred ([`propagate`](crate::passes::propagate)).
///
/// # Panics
/// When there is not one owner for each node.
pub fn split(graph: &Graph, owners: &[usize]) -> Result<Split, SplitError> {
    assert_eq!(owners.len(), graph.nodes.len(), "an owner for each node");
    let writers = graph.writers();
    let mut cutting =
        Cutting { graph, part_of: vec![usize::MAX; graph.nodes.len()], outlets: BTreeMap::new() };
    let groups = order::parts(graph, &writers, owners);
    for (part, nodes) in groups.iter().enumerate() {
        nodes.iter().for_each(|node| cutting.part_of[*node] = part);
    }
    cutting.find_outlets(&writers);
    let parts = groups.iter().enumerate().map(|(part, nodes)| cutting.part(part, owners[nodes[0]], nodes));
    let parts = parts.collect::<Result<_, _>>()?;
    let mut given = Vec::with_capacity(graph.outputs.len());
    for id in &graph.outputs {
        let outlet = cutting.outlets.get(id).filter(|outlet| !given.contains(*outlet));
        given.push(*outlet.ok_or_else(|| SplitError::Output(graph.describe_value(*id)))?);
    }
    Ok(Split { parts, outputs: given })
}

/// What is known while parts are made.
struct Cutting<'a> {
    graph: &'a Graph,
    /// For each node.
    part_of: Vec<usize>,
    /// The values that leave their part.
    outlets: BTreeMap<ValueId, Outlet>,
}

impl Cutting<'_> {
    /// Numbers what leaves each part, in the order of the nodes that write it.
    fn find_outlets(&mut self, writers: &[Option<usize>]) {
        let mut leaves = vec![false; self.graph.values().len()];
        self.graph.outputs.iter().for_each(|id| leaves[id.index()] = true);
        for (reader, node) in self.graph.nodes.iter().enumerate() {
            for id in node.inputs.iter().flatten() {
                let writer = writers[id.index()];
                if writer.is_some_and(|writer| self.part_of[writer] != self.part_of[reader]) {
                    leaves[id.index()] = true;
                }
            }
        }
        let mut counts = BTreeMap::new();
        for (writer, node) in self.graph.nodes.iter().enumerate() {
            let part = self.part_of[writer];
            for id in node.outputs.iter().flatten().filter(|id| leaves[id.index()]) {
                let count = counts.entry(part).or_insert(0);
                self.outlets.insert(*id, Outlet { part, output: *count });
                *count += 1;
            }
        }
    }

    fn part(&self, part: usize, owner: usize, nodes: &[usize]) -> Result<Part, SplitError> {
        let mut made =
            Making { of: self, part, ids: BTreeMap::new(), graph: Graph::default(), inputs: Vec::new() };
        for index in nodes {
            let node = &self.graph.nodes[*index];
            // A node without a name is called by its place in the whole, whichever part it is in.
            let name = match &*node.name {
                "" => format!("{} #{index}", node.op.name()).into(),
                _ => node.name.clone(),
            };
            let inputs = node
                .inputs
                .iter()
                .map(|id| id.map(|id| made.read(id)).transpose())
                .collect::<Result<_, _>>()?;
            let outputs = node
                .outputs
                .iter()
                .map(|id| id.map(|id| made.write(id)).transpose())
                .collect::<Result<_, _>>()?;
            made.graph.nodes.push(Node { name, op: node.op.clone(), inputs, outputs });
        }
        Ok(Part { owner, graph: made.graph, inputs: made.inputs })
    }

    /// What a port of a part must know.
    fn check_known(&self, id: ValueId) -> Result<(), SplitError> {
        match self.graph.fact(id) {
            Some(_) => Ok(()),
            None => Err(SplitError::Unknown(self.graph.describe_value(id))),
        }
    }
}

/// A part that is being made.
struct Making<'a> {
    of: &'a Cutting<'a>,
    part: usize,
    /// The part's ids of values of the whole.
    ids: BTreeMap<ValueId, ValueId>,
    graph: Graph,
    inputs: Vec<Source>,
}

impl Making<'_> {
    fn read(&mut self, id: ValueId) -> Result<ValueId, SplitError> {
        if let Some(own) = self.ids.get(&id) {
            return Ok(*own);
        }
        let own = self.add(id);
        let whole = &self.of.graph;
        let source = match whole.inputs.iter().position(|input| *input == id) {
            Some(input) => Source::Input(input),
            None if whole.constant(id).is_some() => return Ok(own),
            None => match self.of.outlets.get(&id) {
                Some(outlet) if outlet.part != self.part => Source::Outlet(*outlet),
                _ => unreachable!("a graph that was verified reads what was written before"),
            },
        };
        self.of.check_known(id)?;
        self.graph.inputs.push(own);
        self.inputs.push(source);
        Ok(own)
    }

    fn write(&mut self, id: ValueId) -> Result<ValueId, SplitError> {
        let own = self.add(id);
        if self.of.outlets.contains_key(&id) {
            self.of.check_known(id)?;
            self.graph.outputs.push(own);
        }
        Ok(own)
    }

    fn add(&mut self, id: ValueId) -> ValueId {
        let value = self.of.graph.value(id);
        // A port has a name.
        let name = match &*value.name {
            "" => format!("%{}", id.index()).into(),
            _ => value.name.clone(),
        };
        let own = self.graph.add_value(name, value.fact.clone());
        self.ids.insert(id, own);
        own
    }
}

#[cfg(test)]
mod tests;
