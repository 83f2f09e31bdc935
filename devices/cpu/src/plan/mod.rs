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
//! The body of a loop is no block but has plans of its own (`trips`): it is a graph whose inputs change from trip to trip.
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
use inferry_core::{ElementType, Parallel, Shape};
use inferry_engine::graph::Graph;
use inferry_engine::op::OpError;

pub(crate) use alias::keeps_bytes;

use crate::arena::{Constant, OutOfMemory, Place, Room, can_be_had};
use crate::isa::Isa;
use crate::kernel::{BuildError, Kernel};
use crate::late::LateStep;
use crate::pack::Packs;
use crate::sequence::ObjectStep;
use crate::trips::LoopStep;

/// A graph for certain input shapes, ready to run. See the [module](self).
pub(crate) struct Plan {
    /// The model's graph is block 0; the others are bodies of control flow.
    pub(crate) blocks: Vec<Block>,
    pub(crate) constants: Vec<Constant>,
    /// The shape of each graph output, or the slot that will hold it.
    pub(crate) outputs: Vec<PlannedOutput>,
    /// For each graph input that is a sequence or an optional: its number among the objects.
    pub(crate) inputs: Vec<Option<u32>>,
    /// What it needs of the memory.
    pub(crate) room: Room,
    /// How many late steps, loops, and steps on objects there are.
    pub(crate) lates: usize,
    pub(crate) loops: usize,
    pub(crate) object_steps: usize,
    /// How deep blocks nest; at least 1.
    pub(crate) depth: usize,
}

/// Where a graph output comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlannedOutput {
    /// The steps write the bound tensor, which must have this shape.
    Shape(Shape),
    /// Its shape is known at the end of the run: it lies in this slot.
    Slot(u32),
    /// It is a sequence or an optional: this one of the objects.
    Object(u32),
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
    /// Runs the plans of a body, once a trip.
    Loop(LoopStep),
    /// Reads or makes a sequence or an optional.
    Object(Box<ObjectStep>),
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
    /// A loop that does not come to an end.
    #[error("after {0} trips, which is the limit of a run, the loops have not come to an end")]
    Trips(u64),
    /// A value of a trip that is not what the trips before gave, or what was planned: which, its shape, and what was wanted.
    #[error("the shape of {0}")]
    Trip(String),
    /// A sequence or an optional that does not hold what the node asks for.
    #[error("{0}")]
    Sequence(String),
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
    /// Bytes that a value may have.
    pub(crate) largest: usize,
    /// Who packs weights besides the caller.
    pub(crate) threads: Option<&'a dyn Parallel>,
}

impl Planning<'_> {
    /// Whether there may be a value of so many bytes; see [`can_be_had`].
    pub(crate) fn allows(&self, bytes: usize) -> Result<(), OutOfMemory> {
        if bytes <= self.largest { can_be_had(bytes) } else { Err(OutOfMemory(bytes)) }
    }
}

/// Planning of a graph inside of another.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, PlanError>> + Send + 'a>>;

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
    /// As [`Plan::new`], for the body of a loop.
    pub(crate) fn of_body<'a>(
        graph: &'a Graph,
        inputs: &'a [Shape],
        path: &'a str,
        planning: Planning<'a>,
        pace: &'a mut Pace,
    ) -> Work<'a, Plan> {
        Box::pin(Plan::new(graph, inputs, path, planning, pace))
    }

    /// A plan of `graph` for inputs of these shapes. `path` is the name of the node whose body the graph is; empty for a
    /// model's own.
    pub(crate) async fn new(
        graph: &Graph,
        inputs: &[Shape],
        path: &str,
        planning: Planning<'_>,
        pace: &mut Pace,
    ) -> Result<Plan, PlanError> {
        let nodes = graph.nodes.len();
        let own = path.is_empty();
        let walk = |number: usize| Walk { before: own.then(|| nodes.saturating_mul(number)) };
        if own {
            pace.enter(Phase::Plan, nodes.saturating_mul(3));
        }
        let graph = rewrite::for_shapes(graph, inputs, planning.isa, pace).await;
        let inside = |error: PlanError| if own { error } else { error.within(path) };
        let facts = facts::of_graph(&graph, inputs, planning, walk(1), pace).await.map_err(inside)?;
        let draft = draft::Draft::of_graph(&graph, &facts, path, planning, walk(2), pace).await?;
        let plan = finish::finish(draft, pace).await?;
        if own {
            pace.reach(Phase::Plan, usize::MAX);
        }
        Ok(plan)
    }
}
