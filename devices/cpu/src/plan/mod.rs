//! Plans: a graph with known input shapes as a list of steps that only compute.
//!
//! ```text
//!  graph + input shapes ─▶ rewrite ─▶ facts ─▶ draft (which kernels, which bytes) ─▶ lifetimes ─▶ arena offsets ─▶ Plan
//! ```
//!
//! A plan is made once for a tuple of input shapes and shared by all requests. Each step has its kernel built and its
//! operands named as [`Place`]s; nodes that only rename bytes (Reshape and its kin) are no steps at all, and a value that is a
//! graph output is computed in the bound tensor where that is possible. The graphs inside control flow are *blocks* of the
//! same plan: they share its arena, and what they capture are places like any others. A value whose shape hangs on numbers
//! of the run lives in a *slot*, and the nodes that read or write one are *late* steps, whose kernels are built in the run.
//!
//! A plan runs nothing: that is `work`.

mod alias;
mod check;
mod draft;
mod facts;
mod finish;
mod memory;
mod rewrite;

pub(crate) use facts::label as node_label;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::Pin;

use inferry_core::steps::{Pace, Phase};
use inferry_core::tensor::InUse;
use inferry_core::{ElementType, Shape};
use inferry_engine::graph::Graph;
use inferry_engine::op::OpError;

pub(crate) use alias::keeps_bytes;

use crate::arena::{Constant, Place};
use crate::isa::Isa;
use crate::kernel::{BuildError, Kernel};
use crate::late::LateStep;
use crate::pack::Packs;

/// A graph for certain input shapes, ready to run. See the [module](self).
pub(crate) struct Plan {
    /// The model's graph is block 0; the others are bodies of control flow.
    pub(crate) blocks: Vec<Block>,
    pub(crate) constants: Vec<Constant>,
    /// The shape of each graph output, or the slot that will hold it.
    pub(crate) outputs: Vec<PlannedOutput>,
    /// Bytes of the arena.
    pub(crate) arena: usize,
    /// How many slots there are, and how many late steps.
    pub(crate) slots: usize,
    pub(crate) lates: usize,
    /// How deep blocks nest; at least 1.
    pub(crate) depth: usize,
    /// The most inputs or outputs that a step has.
    pub(crate) operands: usize,
}

/// Where a graph output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlannedOutput {
    /// The steps write the bound tensor, which must have this shape.
    Shape(Shape),
    /// Its shape is known at the end of the run: it lies in this slot.
    Slot(u32),
}

/// Steps that run one after the other.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) steps: Vec<Step>,
    /// Why this block cannot run; it matters only when control flow comes here.
    pub(crate) broken: Option<PlanError>,
}

/// One thing to do.
pub(crate) enum Step {
    /// Runs a kernel.
    Kernel(KernelStep),
    /// Runs one of two blocks.
    Branch(BranchStep),
    /// Builds a kernel and runs it.
    Late(LateStep),
}

/// A kernel and its operands.
pub(crate) struct KernelStep {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) reads: Box<[Option<Place>]>,
    pub(crate) writes: Box<[Place]>,
    pub(crate) workspace: Place,
    /// What errors and profiles call the node.
    pub(crate) label: Label,
}

/// A choice between two blocks by a condition that is known in the run.
pub(crate) struct BranchStep {
    /// One element of type bool.
    pub(crate) condition: Place,
    /// The blocks for true and for false.
    pub(crate) blocks: [u32; 2],
}

/// The name of a node in errors: its own, or its operator and position; within control flow, with the names of the nodes
/// around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: Arc<str>,
    /// Its operator.
    pub(crate) op: &'static str,
}

impl core::fmt::Display for Label {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A node that cannot run on these inputs.
    #[error("node {node}: {problem}")]
    Node {
        /// Its name, or its operator and position; within control flow after the names of the nodes around it and `/`.
        node: String,
        /// What is wrong with it.
        problem: NodeError,
    },
    /// The values together need more memory than can be addressed.
    #[error("the values of the model need more memory than can be addressed")]
    TooLarge,
}

impl PlanError {
    /// The same error of a node inside the node `outer`.
    fn within(self, outer: &str) -> PlanError {
        match self {
            PlanError::Node { node, problem } => {
                PlanError::Node { node: alloc::format!("{outer}/{node}"), problem }
            }
            other => other,
        }
    }
}

/// What is wrong with a node, and what it was given.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{cause} (inputs: {inputs})")]
pub struct NodeError {
    /// The types and shapes of its inputs.
    pub inputs: String,
    /// What is wrong.
    pub cause: NodeCause,
}

/// What is wrong with a node.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeCause {
    /// The operator refuses its inputs.
    #[error(transparent)]
    Op(#[from] OpError),
    /// There is no kernel.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It could not be computed ahead.
    #[error("computing it ahead of the run: {0}")]
    Fold(String),
    /// A constant that somebody is writing.
    #[error("a constant of the model: {0}")]
    Constant(#[from] InUse),
    /// Branches that disagree about the type of a result.
    #[error("output {output} is {first} in one branch and {second} in the other")]
    Branches {
        /// Position of the output.
        output: usize,
        /// Type in the first branch.
        first: ElementType,
        /// Type in the second.
        second: ElementType,
    },
    /// Shapes that remain open although everything is known.
    #[error("the shape of output {output} cannot be told from its inputs")]
    Open {
        /// Position of the output.
        output: usize,
    },
    /// There is no memory for it.
    #[error("no memory for {0} bytes")]
    OutOfMemory(usize),
}

/// What planning needs besides the graph.
#[derive(Clone, Copy)]
pub(crate) struct Planning<'a> {
    pub(crate) isa: Isa,
    pub(crate) packs: &'a Packs,
}

/// Planning of a graph inside of another.
type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, PlanError>> + Send + 'a>>;

/// Roughly the nanoseconds that one walk along the nodes takes for a node, besides packing.
const NODE_NS: u64 = 3_000;

/// Counts the nodes of the model's own graph that planning has walked along.
#[derive(Clone, Copy)]
struct Walk {
    /// The nodes of the walks before, or `None` inside of control flow.
    before: Option<usize>,
}

impl Walk {
    /// Inside of a node nothing is counted.
    const INNER: Walk = Walk { before: None };

    /// The walk is about to come to node `index`.
    async fn node(self, index: usize, pace: &mut Pace) {
        if let Some(before) = self.before {
            pace.reach(Phase::Plan, before.saturating_add(index));
        }
        pace.spend(NODE_NS).await;
    }
}

impl Plan {
    /// A plan of `graph` for inputs of these shapes.
    pub(crate) async fn new(
        graph: &Graph,
        inputs: &[Shape],
        planning: Planning<'_>,
        pace: &mut Pace,
    ) -> Result<Plan, PlanError> {
        let nodes = graph.nodes.len();
        let walk = |number: usize| Walk { before: Some(nodes.saturating_mul(number)) };
        pace.enter(Phase::Plan, nodes.saturating_mul(3));
        let graph = rewrite::for_shapes(graph, inputs, planning.isa, pace).await;
        let facts = facts::of_graph(&graph, inputs, planning, walk(1), pace).await?;
        let draft = draft::Draft::of_graph(&graph, &facts, planning, walk(2), pace).await?;
        let plan = finish::finish(draft, pace).await?;
        pace.reach(Phase::Plan, usize::MAX);
        Ok(plan)
    }
}
