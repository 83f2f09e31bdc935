//! Why a model could not be imported. Every error names the part of the model it is about, in one line: names come from
//! the file and are escaped where they are shown.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::wire::WireError;

/// Why a model could not be imported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is empty.
    #[error("the model file is empty")]
    Empty,
    /// The bytes are no protobuf, or not that of a model.
    #[error("this is not an ONNX model, or it is damaged: {0}")]
    Wire(#[from] WireError),
    /// A file without a graph or without operator sets: valid protobuf, but no model.
    #[error("this is not an ONNX model: it has no {0}")]
    Absent(&'static str),
    /// Written in a version of the operators that we do not read.
    #[error("the model is written in operator set {version}; {least} to {most} are supported{}", Besides(.operators))]
    Opset {
        /// The version that the model asks for.
        version: i64,
        /// The oldest that we read.
        least: i64,
        /// The newest that we read.
        most: i64,
        /// Of the operators that the model uses, those that we do not have at all or not in a form so old. Of a version newer
        /// than all that we read nobody can say here what has changed in the others.
        operators: Vec<UnsupportedOp>,
    },
    /// Operators that we do not have: all of them at once.
    #[error("the model needs operators that are not supported: {}", List(.0))]
    Unsupported(Vec<UnsupportedOp>),
    /// More of something than the limits allow.
    #[error("the model has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A node that we cannot take as it is.
    #[error("node {node}: {problem}")]
    Node {
        /// The node: its operator with its name or first output.
        node: String,
        /// What is wrong.
        problem: String,
    },
    /// An attribute of a node that we cannot take as it is.
    #[error("node {node}, attribute {attribute:?}: {problem}")]
    Attribute {
        /// The node: its operator with its name or first output.
        node: String,
        /// The attribute.
        attribute: String,
        /// What is wrong.
        problem: String,
    },
    /// A tensor in the file that is not what it says.
    #[error("tensor {tensor:?}: {problem}")]
    Tensor {
        /// The tensor's name, or the place it stands in.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// A graph input or output that is not a tensor of a type that we know.
    #[error("{side} {name:?}: {problem}")]
    Port {
        /// `input` or `output`.
        side: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A name that is given to two values.
    #[error("two values of graph {graph:?} are named {name:?}")]
    Duplicate {
        /// The graph.
        graph: String,
        /// The name.
        name: String,
    },
    /// A value that is read and that nothing writes.
    #[error("{reader} reads {name:?}, which nothing writes")]
    Dangling {
        /// The node or graph output that reads it.
        reader: String,
        /// The value.
        name: String,
    },
    /// Functions of the model that call each other in a circle.
    #[error("functions of the model call each other in a circle: {}", .0.join(", "))]
    Recursion(Vec<String>),
    /// Nodes that wait for each other.
    #[error("these nodes wait for each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
}

/// An operator that we do not have, and where the model uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedOp {
    /// The domain, `ai.onnx` for the standard's own.
    pub domain: String,
    /// The operator's name.
    pub name: String,
    /// Every node that uses it, by its name, or by what it writes when it has none.
    pub nodes: Vec<String>,
}

/// Nodes of one operator that a message names; all of them are in the error.
const NAMED: usize = 20;

struct List<'a>(&'a [UnsupportedOp]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, op) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let (domain, name) = (op.domain.escape_debug(), op.name.escape_debug());
            write!(f, "{comma}{domain}.{name} (")?;
            for (index, node) in op.nodes.iter().take(NAMED).enumerate() {
                write!(f, "{}{node:?}", if index == 0 { "" } else { ", " })?;
            }
            match op.nodes.len().saturating_sub(NAMED) {
                0 => write!(f, ")")?,
                more => write!(f, " and {more} more)")?,
            }
        }
        Ok(())
    }
}

/// What is wrong besides the version.
struct Besides<'a>(&'a [UnsupportedOp]);

impl fmt::Display for Besides<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; not supported in it: {}", List(self.0)) }
    }
}
