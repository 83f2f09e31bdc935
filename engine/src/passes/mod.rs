//! Passes: rewrites of the graph, one a file.
//!
//! [`run`] does what is right for every device, in the order of its list. A device then calls [`specialise`] for the
//! shapes of a run, and those of the others that suit its kernels ([`fuse`], [`pair_quantize`]). A pass leaves the graph in
//! a state that [`verify`] accepts, and gives the same results. Passes do not choose kernels or layouts of one device.

mod bodies;
mod cancel_transposes;
mod drop_dead;
mod fold;
mod fold_affine;
mod fold_batch_norm;
mod fold_pad;
mod fuse;
mod inline_if;
mod lower_integer;
mod no_op;
mod pair_quantize;
mod propagate;
mod specialise;
#[cfg(test)]
pub(crate) mod testing;
mod widen_half;

pub use bodies::everywhere;
pub use cancel_transposes::cancel_transposes;
pub use drop_dead::drop_dead;
pub use fold_affine::fold_affine;
pub use fold_batch_norm::fold_batch_norm;
pub use fold_pad::fold_pad;
pub use fuse::{Fusible, fuse};
pub use lower_integer::lower_integer;
pub use no_op::bypass;
pub use pair_quantize::pair_quantize;
pub use propagate::propagate;
pub use specialise::specialise;
pub use widen_half::widen_half;

use alloc::string::String;
use alloc::vec::Vec;
use inferry_core::{Shape, Tensor};

use crate::graph::{Fact, Graph, GraphError, verify};
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
    #[error("nothing is known of input {0:?}, not even the type of its elements")]
    Unknown(String),
    /// Not one shape an input.
    #[error("{given} shapes are given for {wanted} inputs")]
    InputCount {
        /// Shapes given.
        given: usize,
        /// Inputs of the graph.
        wanted: usize,
    },
    /// An input of a shape that the model does not admit.
    #[error("input {name:?} is given the shape {given}; the model takes {wanted}")]
    InputShape {
        /// The input.
        name: String,
        /// The shape that was given.
        given: Shape,
        /// What the model declares.
        wanted: String,
    },
    /// A pass left a graph that breaks a rule.
    #[error("after {pass}: {source}")]
    Broken {
        /// The pass.
        pass: &'static str,
        /// The rule.
        source: GraphError,
    },
}

/// Looks at the graph after a pass of this name.
pub type Observe<'a> = &'a mut dyn FnMut(&'static str, &Graph);

/// A pass that needs no arithmetic of a device and cannot fail, and its name.
type Rewrite = (&'static str, fn(&mut Graph));

/// What [`run`] is to do besides what is right for every device.
#[derive(Default)]
pub struct Options<'a> {
    /// For devices without arithmetic on half floats: f16 and bf16 become f32 inside of the graph.
    pub widen_half: bool,
    /// Called after each pass with its name and the graph, for dumps.
    pub observe: Option<Observe<'a>>,
}

/// In their order.
const REWRITES: [Rewrite; 8] = [
    ("bypass", bypass),
    ("fold_pad", fold_pad),
    ("fold_batch_norm", fold_batch_norm),
    ("fold_affine", fold_affine),
    ("cancel_transposes", cancel_transposes),
    ("pair_quantize", pair_quantize),
    ("lower_integer", lower_integer),
    // Cancelled transposes leave an Identity.
    ("bypass", bypass),
];

/// Runs the passes that are right for every device: facts and constants first, then rewrites, then what is dead goes.
///
/// # Errors
/// What an operator refuses. The graph is then of no further use.
pub fn run(graph: &mut Graph, evaluate: &dyn Evaluate, options: Options<'_>) -> Result<(), PassError> {
    let mut observe = options.observe;
    let mut done = |graph: &Graph, pass: &'static str| {
        check(graph, pass)?;
        if let Some(observe) = &mut observe {
            observe(pass, graph);
        }
        Ok(())
    };
    propagate(graph, evaluate)?;
    done(graph, "propagate")?;
    if options.widen_half {
        widen_half(graph)?;
        done(graph, "widen_half")?;
        propagate(graph, evaluate)?;
        done(graph, "propagate")?;
    }
    for (name, rewrite) in REWRITES {
        everywhere(graph, &rewrite);
        done(graph, name)?;
    }
    drop_dead(graph);
    done(graph, "drop_dead")
}

/// Verifies a graph after a pass, in debug builds.
fn check(graph: &Graph, pass: &'static str) -> Result<(), PassError> {
    if cfg!(debug_assertions) {
        verify(graph).map_err(|source| PassError::Broken { pass, source })
    } else {
        Ok(())
    }
}
