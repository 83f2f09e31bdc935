//! The draft of a plan: which kernels run on which bytes, before the bytes have a place.
//!
//! A *root* is a run of bytes with one owner: what a step writes, a constant, a bound tensor. A value is a root, seen with a
//! type and a shape; nodes that only reshape make a second value of the same root. Steps are numbered in the order in
//! which they are drafted, bodies of control flow right after the step that chooses them, so that a root's lifetime is a
//! range of numbers even across blocks. `finish` turns roots into places.

mod control;
mod looped;
mod needs;
mod objects;
mod packing;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;
use inferry_core::{ElementType, Kind, Shape, Tensor};
use inferry_engine::graph::{Fact, Graph, Node, ValueId};
use inferry_engine::op::{Inputs, Loop, Op};

use super::alias::keeps_bytes;
use super::facts::{self, Bodies, Facts};
use super::{Label, NodeCause, NodeError, PlanError, PlannedOutput, Planning, Walk, Work};
use crate::arena::{Constant, OutOfMemory};
use crate::kernel::{self, Builder, Kernel};
use crate::pack::{Job, Packs};
use crate::plans::Plans;
use crate::sequence;
use crate::stored;
use packing::Packing;

/// A plan whose bytes have no place yet.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) roots: Vec<Root>,
    /// All steps of all blocks; the position is the moment that lifetimes speak of.
    pub(super) steps: Vec<DraftStep>,
    /// For each block: its steps, and why it cannot run.
    pub(super) blocks: Vec<(Vec<usize>, Option<PlanError>)>,
    pub(super) constants: Vec<Constant>,
    /// For each graph input that is a sequence or an optional: its number among the objects.
    pub(super) inputs: Vec<Option<u32>>,
    pub(super) outputs: Vec<PlannedOutput>,
    pub(super) slots: u32,
    pub(super) objects: u32,
    pub(super) lates: usize,
    pub(super) loops: usize,
    pub(super) object_steps: usize,
    pub(super) depth: usize,
    pub(super) packing: Packing,
}

/// A run of bytes with one owner.
pub(super) struct Root {
    pub(super) kind: RootKind,
    pub(super) bytes: usize,
}

/// What a root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RootKind {
    /// Written by a step, into the arena.
    Computed,
    /// Written by a step, into the tensor bound to an output.
    Output(u32),
    /// The tensor bound to an input.
    Input(u32),
    /// A constant of the plan.
    Constant(u32),
    /// Another name for a root, which it is computed into.
    Is(usize),
}

/// Bytes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// All bytes of a root.
    Root(usize),
    /// What a slot holds in the run.
    Slot(u32),
    /// None: a sequence or an optional, by its number.
    Object(u32),
}

impl Bytes {
    /// The number of a sequence or an optional.
    pub(super) fn object(self) -> Option<u32> {
        if let Bytes::Object(object) = self { Some(object) } else { None }
    }
}

/// A step of the draft.
pub(super) enum DraftStep {
    /// A kernel that is built.
    Kernel { kernel: Box<dyn Kernel>, reads: Vec<Option<Bytes>>, writes: Vec<Bytes>, label: Label },
    /// A choice between blocks.
    Branch { condition: Bytes, blocks: [u32; 2] },
    /// A kernel that is built in the run; without an operator, a copy.
    Late { op: Option<Arc<dyn Op>>, reads: Vec<Option<LateDraft>>, writes: Vec<LateDraft>, label: Label },
    /// A loop over the plans of its body; outputs that nobody reads are not written.
    Loop {
        op: Arc<dyn Op>,
        reads: Vec<Option<LateDraft>>,
        writes: Vec<Option<LateDraft>>,
        label: Label,
        plans: Arc<Plans>,
    },
    /// An operator on sequences or optionals; without one, the input is handed on.
    Object { op: Option<Arc<dyn Op>>, reads: Vec<Option<LateDraft>>, write: Box<LateDraft>, label: Label },
}

/// An operand of a late step.
pub(super) struct LateDraft {
    pub(super) bytes: Bytes,
    pub(super) element: ElementType,
    /// `None` when the slot says it in the run.
    pub(super) shape: Option<Shape>,
    pub(super) constant: Option<Tensor>,
    /// The value decides shapes, and is read before the kernel is built.
    pub(super) by_value: bool,
}

/// A value while its graph is drafted.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) element: ElementType,
    /// `None` for a value in a slot.
    pub(super) shape: Option<Shape>,
    pub(super) constant: Option<Tensor>,
    /// `None` for a constant that no step has asked for yet.
    pub(super) bytes: Option<Bytes>,
}

/// Where the nodes of a graph go while they are drafted.
pub(super) struct Scope<'a> {
    pub(super) graph: &'a Graph,
    pub(super) facts: &'a Facts,
    pub(super) needed: Vec<bool>,
    pub(super) values: Vec<Option<Value>>,
    pub(super) block: usize,
    /// The names of the nodes around; empty in the model's own graph.
    pub(super) path: String,
    pub(super) planning: Planning<'a>,
}

/// Where a graph is drafted, and with what.
pub(super) struct Inside<'a> {
    pub(super) block: usize,
    pub(super) path: String,
    pub(super) planning: Planning<'a>,
}

impl Draft {
    /// The draft of a model's graph.
    pub(super) async fn of_graph(
        graph: &Graph,
        facts: &Facts,
        path: &str,
        planning: Planning<'_>,
        walk: Walk,
        pace: &mut Pace,
    ) -> Result<Draft, PlanError> {
        let mut draft = Draft { depth: 1, ..Draft::default() };
        let block = draft.block();
        let inputs = graph.inputs.iter().enumerate().map(|(port, id)| {
            let fact = facts.values[id.index()].as_ref().expect("inputs have facts");
            if fact.kind != Kind::Tensor {
                let bytes = draft.object();
                draft.inputs.push(if let Bytes::Object(object) = bytes { Some(object) } else { None });
                return Ok(Value { element: fact.element, shape: None, constant: None, bytes: Some(bytes) });
            }
            draft.inputs.push(None);
            let shape = fact.shape.fixed().expect("planned for fixed shapes");
            let root = draft.root(RootKind::Input(port as u32), bytes_of(fact.element, &shape)?);
            Ok(Value {
                element: fact.element,
                shape: Some(shape),
                constant: None,
                bytes: Some(Bytes::Root(root)),
            })
        });
        let inputs = inputs.collect::<Result<_, PlanError>>()?;
        let place = Inside { block, path: path.into(), planning };
        let results = draft.nodes(graph, facts, inputs, place, walk, pace).await?;
        for (port, result) in results.into_iter().enumerate() {
            draft.output(port as u32, result, planning.packs)?;
        }
        draft.pack(planning, pace).await?;
        Ok(draft)
    }

    /// The root that a root is computed into, after all merging.
    pub(super) fn resolve(&self, mut root: usize) -> usize {
        while let RootKind::Is(other) = self.roots[root].kind {
            root = other;
        }
        root
    }

    fn block(&mut self) -> usize {
        self.blocks.push((Vec::new(), None));
        self.blocks.len() - 1
    }

    fn root(&mut self, kind: RootKind, bytes: usize) -> usize {
        self.roots.push(Root { kind, bytes });
        self.roots.len() - 1
    }

    fn step(&mut self, block: usize, step: DraftStep) {
        self.lates += usize::from(matches!(step, DraftStep::Late { .. }));
        self.loops += usize::from(matches!(step, DraftStep::Loop { .. }));
        self.object_steps += usize::from(matches!(step, DraftStep::Object { .. }));
        self.blocks[block].0.push(self.steps.len());
        self.steps.push(step);
    }

    /// Drafts the steps of a graph into a block and gives the values of the graph's outputs.
    async fn nodes(
        &mut self,
        graph: &Graph,
        facts: &Facts,
        inputs: Vec<Value>,
        Inside { block, path, planning }: Inside<'_>,
        walk: Walk,
        pace: &mut Pace,
    ) -> Result<Vec<Value>, PlanError> {
        let needed = needs::of(graph, facts);
        let mut values: Vec<Option<Value>> = vec![None; graph.values().len()];
        for (id, value) in graph.inputs.iter().zip(inputs) {
            values[id.index()] = Some(value);
        }
        let mut scope = Scope { graph, facts, needed, values, block, path, planning };
        for (index, node) in graph.nodes.iter().enumerate() {
            walk.node(index, pace).await;
            if node.outputs.iter().flatten().any(|id| scope.needed[id.index()] && !scope.is_constant(*id)) {
                self.node(&mut scope, index, node, pace).await?;
            }
        }
        graph.outputs.iter().map(|id| Ok(scope.value(*id))).collect()
    }

    /// As [`Draft::nodes`], for the graph of a body.
    fn inside<'a>(
        &'a mut self,
        body: (&'a Graph, &'a Facts),
        inputs: Vec<Value>,
        place: Inside<'a>,
        pace: &'a mut Pace,
    ) -> Work<'a, Vec<Value>> {
        Box::pin(self.nodes(body.0, body.1, inputs, place, Walk::INNER, pace))
    }

    async fn node(
        &mut self,
        scope: &mut Scope<'_>,
        index: usize,
        node: &Node,
        pace: &mut Pace,
    ) -> Result<(), PlanError> {
        let facts = scope.facts;
        let made = match &facts.bodies[index] {
            Bodies::None => match node.op.downcast::<Loop>() {
                Some(looped) => self.looped(scope, index, node, looped, pace).await,
                None => self.operator(scope, index, node).await,
            },
            Bodies::Always(taken, body) => self.inline(scope, index, node, (*taken, body), pace).await,
            Bodies::Choice(bodies) => self.branch(scope, index, node, bodies, pace).await,
        }?;
        for (id, value) in node.outputs.iter().zip(made) {
            if let Some(id) = id {
                scope.values[id.index()] = Some(value);
            }
        }
        Ok(())
    }

    /// Drafts an ordinary node and gives its outputs.
    async fn operator(
        &mut self,
        scope: &mut Scope<'_>,
        index: usize,
        node: &Node,
    ) -> Result<Vec<Value>, PlanError> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for id in &node.inputs {
            inputs.push(match id {
                Some(id) => Some(self.placed(scope, index, *id)?),
                None => None,
            });
        }
        let object = |value: &Option<Value>| value.as_ref().is_some_and(Value::is_object);
        if sequence::runs(&*node.op) || inputs.iter().any(object) {
            return self.object_step(scope, index, node, inputs);
        }
        let outputs = scope.outputs(index, node)?;
        let by_value = |input: usize| node.op.value_inputs().contains(&input);
        let open = |(input, value): (usize, &Option<Value>)| {
            let Some(value) = value else { return false };
            value.shape.is_none() || (by_value(input) && value.constant.is_none())
        };
        let late = inputs.iter().enumerate().any(open) || outputs.iter().any(|(_, shape)| shape.is_none());
        let label = scope.label(index, node);
        if late {
            return self.late(scope, node.op.clone(), inputs, outputs, label);
        }
        let outputs: Vec<_> = outputs.into_iter().map(|(e, shape)| (e, shape.expect("not late"))).collect();
        if keeps_bytes(&*node.op) {
            let (element, shape) = outputs.into_iter().next().expect("such operators have an output");
            let bytes = inputs.into_iter().next().flatten().and_then(|value| value.bytes);
            return Ok(vec![Value { element, shape: Some(shape), constant: None, bytes }]);
        }
        for (element, shape) in &outputs {
            let room = stored::room(*element, shape).ok_or(PlanError::TooLarge)?;
            scope
                .planning
                .allows(room)
                .map_err(|OutOfMemory(bytes)| scope.error(index, NodeCause::OutOfMemory(bytes)))?;
        }
        let (kernel, jobs) = scope.build(index, node, &inputs, &outputs).await?;
        if !jobs.is_empty() {
            self.packing.add(jobs, self.steps.len(), (&node.op, &label), &inputs, &outputs);
        }
        let made = self.made(outputs)?;
        let reads = inputs.iter().map(|value| value.as_ref()?.bytes).collect();
        let writes = made.iter().map(|value| value.bytes.expect("just made")).collect();
        self.step(scope.block, DraftStep::Kernel { kernel, reads, writes, label });
        Ok(made)
    }

    /// Values that a step will write.
    fn made(&mut self, outputs: Vec<(ElementType, Shape)>) -> Result<Vec<Value>, PlanError> {
        let make = |(element, shape): (ElementType, Shape)| {
            let root = self.root(RootKind::Computed, bytes_of(element, &shape)?);
            Ok(Value { element, shape: Some(shape), constant: None, bytes: Some(Bytes::Root(root)) })
        };
        outputs.into_iter().map(make).collect()
    }

    /// Drafts a step whose kernel is built in the run.
    fn late(
        &mut self,
        scope: &Scope<'_>,
        op: Arc<dyn Op>,
        inputs: Vec<Option<Value>>,
        outputs: Vec<(ElementType, Option<Shape>)>,
        label: Label,
    ) -> Result<Vec<Value>, PlanError> {
        let mut made = Vec::with_capacity(outputs.len());
        for (element, shape) in outputs {
            let bytes = match &shape {
                Some(shape) => Bytes::Root(self.root(RootKind::Computed, bytes_of(element, shape)?)),
                None => self.slot(),
            };
            made.push(Value { element, shape, constant: None, bytes: Some(bytes) });
        }
        let by_value = op.value_inputs();
        let reads = inputs
            .into_iter()
            .enumerate()
            .map(|(input, value)| Some(LateDraft::new(value?, by_value.contains(&input))))
            .collect();
        let writes = made.iter().map(|value| LateDraft::new(value.clone(), false)).collect();
        self.step(scope.block, DraftStep::Late { op: Some(op), reads, writes, label });
        Ok(made)
    }

    fn object(&mut self) -> Bytes {
        self.objects += 1;
        Bytes::Object(self.objects - 1)
    }

    fn slot(&mut self) -> Bytes {
        self.slots += 1;
        Bytes::Slot(self.slots - 1)
    }

    /// A value with its bytes: a constant becomes one of the plan's when it is asked for first.
    fn placed(&mut self, scope: &mut Scope<'_>, index: usize, id: ValueId) -> Result<Value, PlanError> {
        let mut value = scope.value(id);
        if value.bytes.is_none() {
            let tensor = value.constant.as_ref().expect("a value is computed before it is used");
            let constant =
                self.constant(tensor, scope.planning.packs).map_err(|cause| scope.error(index, cause))?;
            value.bytes = Some(constant);
            scope.values[id.index()] = Some(value.clone());
        }
        Ok(value)
    }

    fn constant(&mut self, tensor: &Tensor, packs: &Packs) -> Result<Bytes, NodeCause> {
        let numbered;
        let tensor = match tensor.element() {
            ElementType::String => {
                numbered = numbers(tensor, packs)?;
                &numbered
            }
            packed if packed.is_packed() => {
                numbered = stored::unpacked(tensor).map_err(|error| NodeCause::Fold(error.to_string()))?;
                &numbered
            }
            _ => tensor,
        };
        let range = tensor.byte_range();
        let bytes = range.len();
        self.constants.push(Constant::new(tensor.lease_read()?, range));
        Ok(Bytes::Root(self.root(RootKind::Constant(self.constants.len() as u32 - 1), bytes)))
    }

    /// Makes a value the output `port` of the model.
    fn output(&mut self, port: u32, mut value: Value, packs: &Packs) -> Result<(), PlanError> {
        let label = Label { name: alloc::format!("output {port}").into(), op: "Copy" };
        if value.bytes.is_none() {
            let tensor = value.constant.as_ref().expect("an output is computed or constant");
            let failed = |cause| {
                let problem = NodeError { inputs: String::new(), cause };
                PlanError::Node { node: label.name.as_ref().into(), problem }
            };
            value.bytes = Some(self.constant(tensor, packs).map_err(failed)?);
        }
        match value.bytes.expect("just placed") {
            Bytes::Slot(slot) => self.outputs.push(PlannedOutput::Slot(slot)),
            Bytes::Object(object) => self.outputs.push(PlannedOutput::Object(object)),
            Bytes::Root(root) => {
                self.outputs.push(PlannedOutput::Shape(value.shape.expect("not in a slot")));
                let root = self.resolve(root);
                if self.roots[root].kind == RootKind::Computed {
                    self.roots[root].kind = RootKind::Output(port);
                } else {
                    let bytes = self.roots[root].bytes;
                    let to = self.root(RootKind::Output(port), bytes);
                    self.copy(0, Bytes::Root(root), to, label);
                }
            }
        }
        Ok(())
    }

    /// Copies a value whose shape is known only in the run.
    fn copy_late(&mut self, block: usize, from: Value, to: Value, label: Label) {
        let reads = vec![Some(LateDraft::new(from, false))];
        let writes = vec![LateDraft::new(to, false)];
        self.step(block, DraftStep::Late { op: None, reads, writes, label });
    }

    fn copy(&mut self, block: usize, from: Bytes, to: usize, label: Label) {
        let kernel = kernel::copy::bytes(self.roots[to].bytes).expect("bytes can always be copied");
        let (reads, writes) = (vec![Some(from)], vec![Bytes::Root(to)]);
        self.step(block, DraftStep::Kernel { kernel, reads, writes, label });
    }
}

impl Value {
    /// True for a sequence or an optional.
    pub(super) fn is_object(&self) -> bool {
        matches!(self.bytes, Some(Bytes::Object(_)))
    }
}

impl LateDraft {
    pub(super) fn new(value: Value, by_value: bool) -> LateDraft {
        let Value { element, shape, constant, bytes } = value;
        LateDraft { bytes: bytes.expect("placed"), element, shape, constant, by_value }
    }
}

impl Scope<'_> {
    fn is_constant(&self, id: ValueId) -> bool {
        self.facts.values[id.index()].as_ref().is_some_and(|fact| fact.constant.is_some())
    }

    /// What was made of a value; a constant when nothing made it.
    fn value(&self, id: ValueId) -> Value {
        if let Some(value) = &self.values[id.index()] {
            return value.clone();
        }
        let fact = self.facts.values[id.index()].as_ref().expect("nodes are in order");
        let (shape, constant) = (fact.shape.fixed(), fact.constant.clone());
        Value { element: fact.element, shape, constant, bytes: None }
    }

    fn label(&self, index: usize, node: &Node) -> Label {
        let label = facts::label(node, index);
        let name = match &*self.path {
            "" => label.into(),
            path => alloc::format!("{path}/{label}").into(),
        };
        Label { name, op: node.op.name() }
    }

    fn error(&self, index: usize, cause: NodeCause) -> PlanError {
        let node = &self.graph.nodes[index];
        let inputs: Vec<_> = self.input_facts(node);
        let error = facts::node_error(node, index, &inputs, cause);
        if self.path.is_empty() { error } else { error.within(&self.path) }
    }

    fn input_facts(&self, node: &Node) -> Vec<Option<&Fact>> {
        node.inputs.iter().map(|id| self.facts.values[(*id)?.index()].as_ref()).collect()
    }

    /// What is known of every output of a node, also of one that nobody asked for.
    fn output_facts(&self, index: usize, node: &Node) -> Result<Vec<Fact>, PlanError> {
        if node.outputs.iter().all(Option::is_some) {
            let fact = |id: &ValueId| self.facts.values[id.index()].clone().expect("inferred before");
            return Ok(node.outputs.iter().flatten().map(fact).collect());
        }
        let inputs = self.input_facts(node);
        let facts = Inputs::new(&inputs, node.outputs.len()).infer(&*node.op);
        facts.map_err(|error| self.error(index, error.into()))
    }

    /// Type and shape of every output of a node whose outputs are tensors.
    fn outputs(&self, index: usize, node: &Node) -> Result<Vec<(ElementType, Option<Shape>)>, PlanError> {
        let facts = self.output_facts(index, node)?;
        Ok(facts.into_iter().map(|fact| (fact.element, fact.shape.fixed())).collect())
    }

    /// Builds the kernel of a node, and packs what it needs packed; where threads are lent for that, gives what is to be packed
    /// before the kernel is built again.
    async fn build(
        &self,
        index: usize,
        node: &Node,
        inputs: &[Option<Value>],
        outputs: &[(ElementType, Shape)],
    ) -> Result<(Box<dyn Kernel>, Vec<Job>), PlanError> {
        let operands: Vec<_> = inputs.iter().map(|value| value.as_ref().map(Value::operand)).collect();
        let Planning { isa, packs, threads, .. } = self.planning;
        let packs = packs.later();
        let builder = Builder { inputs: &operands, outputs, isa, packs: &packs };
        loop {
            let kernel = kernel::build(&*node.op, &builder);
            let kernel = kernel.map_err(|error| self.error(index, error.into()))?;
            let jobs = packs.take_jobs();
            if jobs.is_empty() || threads.is_some() {
                return Ok((kernel, jobs));
            }
            drop(kernel);
            for job in jobs {
                job.await;
            }
        }
    }
}

/// A constant of strings as the numbers that stand for them.
fn numbers(tensor: &Tensor, packs: &Packs) -> Result<Tensor, NodeCause> {
    let numbered = packs.words().numbers(tensor).map_err(|error| NodeCause::Fold(error.to_string()))?;
    // Nobody folds strings, so a constant of a plan is one of the model.
    numbered.ok_or_else(|| NodeCause::Fold("a string that the model does not have".to_string()))
}

/// How many bytes a value has.
fn bytes_of(element: ElementType, shape: &Shape) -> Result<usize, PlanError> {
    stored::bytes(element, shape).ok_or(PlanError::TooLarge)
}
