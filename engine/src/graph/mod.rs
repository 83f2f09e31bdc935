//! The graph: nodes in an order in which they can run, values between them.
//!
//! An arena and ids. A [`ValueId`] stays valid while passes come and go; nodes are a plain list, kept in topological
//! order, that a pass rewrites as a whole. A value is written by at most one node; a value that no node writes is a graph
//! input or a constant (its fact holds the tensor). Graphs inside control-flow operators are [`Body`]s: what they
//! capture from outside is passed in as explicit inputs, so no name is looked up after the import.

mod expression;
mod fact;
mod verify;

pub use expression::evaluate;
pub use fact::{Dim, Fact, ShapeFact, Symbol};
pub use verify::{GraphError, verify};

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::Tensor;

use crate::op::Op;

/// A value of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// Position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What flows between nodes.
#[derive(Clone, Debug)]
pub struct Value {
    /// The name that the model gives it; empty for values that a pass made.
    pub name: Arc<str>,
    /// What is known of it; `None` until the facts have been inferred.
    pub fact: Option<Fact>,
}

/// One operator and what it reads and writes.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name that the model gives it; may be empty.
    pub name: Arc<str>,
    /// What it does.
    pub op: Arc<dyn Op>,
    /// Values read; `None` for an optional input that is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Values written; `None` for an optional output that nobody asked for.
    pub outputs: Vec<Option<ValueId>>,
}

/// A graph of operators. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The nodes, in an order in which they can run.
    pub nodes: Vec<Node>,
    values: Vec<Value>,
    /// Inputs, in the model's order. Constants are not inputs.
    pub inputs: Vec<ValueId>,
    /// Outputs, in the model's order.
    pub outputs: Vec<ValueId>,
}

/// A graph inside a control-flow operator.
#[derive(Clone, Debug)]
pub struct Body {
    /// The graph: its first inputs are the operator's formal parameters, the others its captures.
    pub graph: Graph,
    /// For each captured input of `graph`, in order: which input of the outer node carries it.
    pub captures: Vec<usize>,
}

impl Graph {
    /// Adds a value that nothing writes yet.
    pub fn add_value(&mut self, name: impl Into<Arc<str>>, fact: Option<Fact>) -> ValueId {
        let id = ValueId(u32::try_from(self.values.len()).expect("fewer than 2^32 values"));
        self.values.push(Value { name: name.into(), fact });
        id
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: impl Into<Arc<str>>, tensor: Tensor) -> ValueId {
        self.add_value(name, Some(Fact::constant(tensor)))
    }

    /// All values, by [`ValueId::index`]; also those that a pass left without use.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// A value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// All values, to change what is known of them.
    pub fn values_mut(&mut self) -> &mut [Value] {
        &mut self.values
    }

    /// A value, to change.
    pub fn value_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.index()]
    }

    /// What is known of a value.
    pub fn fact(&self, id: ValueId) -> Option<&Fact> {
        self.values[id.index()].fact.as_ref()
    }

    /// The tensor of a constant value.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.fact(id)?.constant.as_ref()
    }

    /// Forgets what is known of all values but these. Their ids stay valid.
    pub fn retain_facts(&mut self, keep: impl Fn(ValueId) -> bool) {
        for (index, value) in self.values.iter_mut().enumerate() {
            if !keep(ValueId(index as u32)) {
                value.fact = None;
            }
        }
    }

    /// For each value, by index: the node that writes it.
    pub fn writers(&self) -> Vec<Option<usize>> {
        let mut writers = alloc::vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            node.outputs.iter().flatten().for_each(|id| writers[id.index()] = Some(index));
        }
        writers
    }

    /// For each value, by index: how often nodes read it, plus how often it is an output of the graph.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = alloc::vec![0; self.values.len()];
        let read = self.nodes.iter().flat_map(|node| node.inputs.iter().flatten());
        read.chain(&self.outputs).for_each(|id| uses[id.index()] += 1);
        uses
    }

    /// How to call a node in messages: its operator, and its name or the name of what it writes.
    pub fn describe(&self, node: &Node) -> String {
        let op = node.op.name();
        if !node.name.is_empty() {
            return format!("{op} {:?}", node.name);
        }
        let written = node.outputs.iter().flatten().map(|id| self.describe_value(*id)).next();
        written.map_or_else(|| op.into(), |value| format!("{op} that writes {value}"))
    }

    /// How to call a value in messages: its name, or its number when it has none.
    pub fn describe_value(&self, id: ValueId) -> String {
        match self.values.get(id.index()) {
            Some(value) if !value.name.is_empty() => format!("{:?}", value.name),
            _ => format!("%{}", id.index()),
        }
    }
}
