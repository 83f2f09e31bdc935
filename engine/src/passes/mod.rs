//! Passes: rewrites of the graph, one a file.
//!
//! [`run`] does what is right for every device, in the order of its list. A device then calls [`specialise`] for the
//! shapes of a run, and those of the others that suit its kernels ([`fuse`], [`pair_quantize`]). A pass leaves the graph in
//! a state that [`verify`] accepts, and gives the same results. Passes do not choose kernels or layouts of one device.

mod bodies;
mod cancel_transposes;
mod channels_last;
mod drop_dead;
mod fold;
mod fold_affine;
mod fold_batch_norm;
mod fold_pad;
mod fuse;
mod inline_if;
mod lift_quantize;
mod lower_einsum;
mod lower_integer;
mod no_op;
mod pair_quantize;
mod propagate;
mod settle;
mod specialise;
#[cfg(test)]
pub(crate) mod testing;
mod widen_half;

pub use bodies::everywhere;
use bodies::everywhere_paced;
pub use cancel_transposes::cancel_transposes;
pub use channels_last::channels_last;
pub use drop_dead::drop_dead;
pub use fold_affine::fold_affine;
pub use fold_batch_norm::fold_batch_norm;
pub use fold_pad::fold_pad;
pub use fuse::{Fusible, fuse};
pub use lift_quantize::lift_quantize;
pub use lower_einsum::lower_einsum;
pub use lower_integer::lower_integer;
pub use no_op::bypass;
pub use pair_quantize::pair_quantize;
pub use propagate::{propagate, propagate_paced};
pub use specialise::{specialise, specialise_paced};
pub use widen_half::widen_half;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::pin::Pin;

use inferry_core::steps::{Pace, Phase, finish};
use inferry_core::{Shape, Tensor};

use crate::graph::{Fact, Graph, GraphError, verify};
use crate::op::{Op, OpError};

/// Arithmetic on constants, lent by a device.
pub trait Evaluate: Sync {
    /// Computes the outputs of `op` from constant inputs. `outputs` are the inferred facts, of fixed shape. `None` when this
    /// device has no kernel for it; the node then stays.
    fn evaluate(
        &self,
        op: &dyn Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Fact],
    ) -> Option<Result<Vec<Tensor>, String>>;

    /// As [`Evaluate::evaluate`], as work that can be interrupted. Without more it is one piece of work.
    fn evaluate_paced<'a>(
        &'a self,
        op: &'a dyn Op,
        inputs: &'a [Option<&'a Tensor>],
        outputs: &'a [Fact],
    ) -> Option<Evaluation<'a>> {
        let outputs = self.evaluate(op, inputs, outputs)?;
        Some(Box::pin(core::future::ready(outputs)))
    }
}

/// The outputs of a node, as work that [`Pace::spend`] interrupts.
pub type Evaluation<'a> = Work<'a, Result<Vec<Tensor>, String>>;

/// Work of a pass.
type Work<'a, T = ()> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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
pub type Observe<'a> = &'a mut (dyn FnMut(&'static str, &Graph) + Send);

/// A pass that needs no arithmetic of a device and cannot fail.
#[derive(Clone, Copy)]
enum Rewrite {
    /// One that only walks along the nodes.
    Whole(fn(&mut Graph)),
    /// One that computes with constants.
    Paced(for<'a> fn(&'a mut Graph, &'a mut Pace) -> Work<'a>),
}

/// What [`run`] is to do besides what is right for every device.
#[derive(Default)]
pub struct Options<'a> {
    /// For devices without arithmetic on half floats: f16 and bf16 become f32 inside of the graph.
    pub widen_half: bool,
    /// For devices with kernels over bytes: [`OVER_BYTES`]. Nothing is done where nothing is quantised.
    pub bytes: Option<&'static OverBytes>,
    /// Called after each pass with its name and the graph, for dumps.
    pub observe: Option<Observe<'a>>,
}

/// Passes that make operators over bytes. A device hands them down, so that those which do not are built without them.
#[derive(Debug)]
pub struct OverBytes {
    rewrites: [Named; 2],
}

/// A pass and its name.
type Named = (&'static str, fn(&mut Graph));

/// [`lift_quantize`] and [`channels_last`].
pub static OVER_BYTES: OverBytes =
    OverBytes { rewrites: [("lift_quantize", lift_quantize), ("channels_last", channels_last)] };

/// In their order.
const REWRITES: [(&str, Rewrite); 8] = [
    ("bypass", Rewrite::Whole(bypass)),
    ("fold_pad", Rewrite::Whole(fold_pad)),
    ("fold_batch_norm", Rewrite::Paced(fold_batch_norm::paced)),
    ("fold_affine", Rewrite::Paced(fold_affine::paced)),
    ("cancel_transposes", Rewrite::Whole(cancel_transposes)),
    ("pair_quantize", Rewrite::Whole(pair_quantize)),
    ("lower_integer", Rewrite::Whole(lower_integer)),
    // Cancelled transposes leave an Identity.
    ("bypass", Rewrite::Whole(bypass)),
];

/// Roughly the nanoseconds that a pass takes for a node that it leaves as it is.
const NODE_NS: u64 = 200;

/// Runs the passes that are right for every device: facts and constants first, then rewrites, then what is dead goes.
///
/// # Errors
/// What an operator refuses. The graph is then of no further use.
pub fn run(graph: &mut Graph, evaluate: &dyn Evaluate, options: Options<'_>) -> Result<(), PassError> {
    finish(run_paced(graph, evaluate, options, &mut Pace::silent()))
}

/// As [`run`], with interruptions.
pub async fn run_paced(
    graph: &mut Graph,
    evaluate: &dyn Evaluate,
    options: Options<'_>,
    pace: &mut Pace,
) -> Result<(), PassError> {
    let mut done = Done::new(graph, options.observe, pace);
    let (all, spared) = (evaluate, channels_last::Weights(evaluate));
    let bytes = options.bytes.filter(|_| channels_last::has_bytes(graph));
    // What is to be found as bytes must not be folded before.
    let evaluate: &dyn Evaluate = if bytes.is_some() { &spared } else { all };
    propagate::counted(graph, evaluate, pace).await?;
    done.pass(graph, "propagate", pace).await?;
    // Products of matrices are written as such before anything looks for them, as soon as the ranks are known.
    let lowered = lower_einsum::is_needed(graph);
    if lowered {
        everywhere_paced(graph, Rewrite::Whole(lower_einsum), pace).await;
        done.pass(graph, "lower_einsum", pace).await?;
    }
    if options.widen_half {
        widen_half::paced(graph, pace).await?;
        done.pass(graph, "widen_half", pace).await?;
    }
    if lowered || options.widen_half {
        propagate_paced(graph, evaluate, pace).await?;
        done.pass(graph, "propagate", pace).await?;
    }
    if let Some(bytes) = bytes {
        for (name, rewrite) in bytes.rewrites {
            everywhere_paced(graph, Rewrite::Whole(rewrite), pace).await;
            propagate_paced(graph, evaluate, pace).await?;
            done.pass(graph, name, pace).await?;
        }
        drop_dead(graph);
        propagate_paced(graph, all, pace).await?;
        done.pass(graph, "propagate", pace).await?;
    }
    for (name, rewrite) in REWRITES {
        everywhere_paced(graph, rewrite, pace).await;
        done.pass(graph, name, pace).await?;
    }
    drop_dead(graph);
    done.pass(graph, "drop_dead", pace).await?;
    done.all(pace);
    Ok(())
}

/// The passes that are over.
struct Done<'a> {
    observe: Option<Observe<'a>>,
    /// The nodes at the beginning, by which progress is counted.
    nodes: usize,
    passes: usize,
}

impl<'a> Done<'a> {
    /// [`propagate`] twice, [`widen_half`], [`drop_dead`] and those over bytes besides the rewrites.
    const PASSES: usize = REWRITES.len() + 7;

    fn new(graph: &Graph, observe: Option<Observe<'a>>, pace: &mut Pace) -> Done<'a> {
        let nodes = graph.nodes.len();
        pace.enter(Phase::Optimise, nodes.saturating_mul(Self::PASSES));
        Done { observe, nodes, passes: 0 }
    }

    /// A pass of this name has left the graph so.
    async fn pass(&mut self, graph: &Graph, name: &'static str, pace: &mut Pace) -> Result<(), PassError> {
        check(graph, name)?;
        if let Some(observe) = &mut self.observe {
            observe(name, graph);
        }
        self.passes += 1;
        pace.reach(Phase::Optimise, self.passes.saturating_mul(self.nodes));
        pace.spend(NODE_NS.saturating_mul(graph.nodes.len() as u64)).await;
        Ok(())
    }

    fn all(&self, pace: &mut Pace) {
        pace.reach(Phase::Optimise, usize::MAX);
    }
}

/// Verifies a graph after a pass, in debug builds.
fn check(graph: &Graph, pass: &'static str) -> Result<(), PassError> {
    if cfg!(debug_assertions) {
        verify(graph).map_err(|source| PassError::Broken { pass, source })
    } else {
        Ok(())
    }
}
