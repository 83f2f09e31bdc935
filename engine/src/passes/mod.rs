//! Passes: rewrites of the graph, one a file, in the order of the list below.
//!
//! A pass leaves the graph in a state that `verify` accepts. Passes do not choose kernels or layouts of one device.

mod fold;
mod fold_affine;
mod fuse;
mod inline_if;
mod pair_quantize;
mod propagate;

pub use fold_affine::fold_affine;
pub use fuse::fuse;
pub use pair_quantize::pair_quantize;
pub use propagate::propagate;

use alloc::string::String;
use alloc::vec::Vec;
use inferry_core::Tensor;

use crate::graph::{Fact, GraphError};
use crate::op::{Op, OpError};

/// Arithmetic on constants, lent by a device.
pub trait Evaluate {
    /// Computes the outputs of `op` from constant inputs. `outputs` are the inferred facts, of fixed shape. `None` when this
    /// device has no kernel for it; the node then stays.
    fn evaluate(
        &self,
        op: &dyn Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Fact],
    ) -> Option<Result<Vec<Tensor>, String>>;
}

/// Computes nothing: only what operators know by themselves is folded.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoArithmetic;

impl Evaluate for NoArithmetic {
    fn evaluate(&self, _: &dyn Op, _: &[Option<&Tensor>], _: &[Fact]) -> Option<Result<Vec<Tensor>, String>> {
        None
    }
}

/// Why a graph could not be rewritten.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PassError {
    /// An operator refuses its inputs: the model contradicts itself, or the shapes it is given do not fit it.
    #[error("node {node}: {source}")]
    Op {
        /// The node.
        node: String,
        /// Its objection.
        source: OpError,
    },
    /// A node inside a body.
    #[error("in node {node}: {source}")]
    Body {
        /// The node.
        node: String,
        /// What is wrong inside.
        source: alloc::boxed::Box<PassError>,
    },
    /// A device that computed something else than the operator promised.
    #[error("node {node} was to give {wanted} and gave {actual}")]
    Evaluate {
        /// The node.
        node: String,
        /// The inferred fact.
        wanted: String,
        /// What came.
        actual: String,
    },
    /// An input of the graph without a declared element type.
    #[error("nothing is known of input \"{0}\", not even the type of its elements")]
    Unknown(String),
    /// A pass left a graph that breaks a rule.
    #[error("after {pass}: {source}")]
    Broken {
        /// The pass.
        pass: &'static str,
        /// The rule.
        source: GraphError,
    },
}
