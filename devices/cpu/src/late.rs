//! Late steps: nodes whose shapes hang on numbers of the run.
//!
//! What a NonZero gives, or the branch of an If that changes the rank, has a shape only when it has been computed. Such
//! values live in *slots*, growable buffers of the work, and the nodes that read or write one are late steps: when the run
//! comes to one, what is known of its inputs by then goes through the operator's own inference, and the kernel is built. The
//! last few kernels of a step are kept by what they were built for (shapes, and the values that decide shapes), so that a
//! warm run of a repeated case builds and allocates nothing. Where not even the values of a few inputs say how large an
//! output is (NonZero), the kernel itself finds out in its first phases, and its outputs get their room then.
//!
//! Whether a step is late is decided by `plan`; running its kernel is the business of `execute`, as for any other.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::graph::Fact;
use inferry_engine::op::{Inputs, Op};

use crate::arena::{Lent, Meter, OutOfMemory, Place, Region};
use crate::isa::Isa;
use crate::kernel::{self, Builder, Kernel, Operand};
use crate::pack::Packs;
use crate::plan::{Label, NodeCause, NodeError, keeps_bytes};
use crate::stored::{self, width};

/// How many kernels a step keeps.
const KEPT: usize = 4;

/// A node whose kernel is built in the run.
pub(crate) struct LateStep {
    /// What it does; `None` copies its input.
    pub(crate) op: Option<Arc<dyn Op>>,
    pub(crate) reads: Box<[Option<LateOperand>]>,
    pub(crate) writes: Box<[LateOperand]>,
    pub(crate) label: Label,
    /// Which of the work's [`LateState`]s is this step's.
    pub(crate) state: usize,
}

/// An operand of a late step.
pub(crate) struct LateOperand {
    pub(crate) place: Place,
    pub(crate) element: ElementType,
    /// `None` when the slot says it.
    pub(crate) shape: Option<Shape>,
    /// The value, when it is the same in every run.
    pub(crate) constant: Option<Tensor>,
    /// The value decides shapes: the kernel is built for it.
    pub(crate) by_value: bool,
    /// It is an object that nobody reads after this step.
    pub(crate) last: bool,
}

/// What a work remembers of a late step: the kernels it built, the last used first.
#[derive(Default)]
pub(crate) struct LateState {
    kept: Vec<Built>,
    /// What is looked for; kept for its capacity.
    key: Vec<u8>,
}

struct Built {
    /// The shapes and values that the kernel was built for.
    key: Box<[u8]>,
    kernel: Box<dyn Kernel>,
    /// `None` for one that the kernel measures.
    outputs: Vec<Option<Shape>>,
}

impl LateState {
    /// The kernel that [`LateStep::prepare`] found.
    pub(crate) fn kernel(&self) -> &dyn Kernel {
        &*self.kept[0].kernel
    }
}

impl LateStep {
    /// Finds the kernel for the inputs as they are now, or builds it, and makes room for the outputs.
    pub(crate) fn prepare(
        &self,
        state: &mut LateState,
        lent: &mut Lent<'_>,
        isa: Isa,
        packs: &Packs,
    ) -> Result<(), NodeError> {
        self.write_key(&mut state.key, lent);
        match state.kept.iter().position(|built| *built.key == *state.key) {
            Some(found) => state.kept[..=found].rotate_right(1),
            None => {
                let built = self.build(&state.key, lent, isa, packs)?;
                state.kept.truncate(KEPT - 1);
                state.kept.insert(0, built);
            }
        }
        for (operand, shape) in self.writes.iter().zip(&state.kept[0].outputs) {
            match shape {
                Some(shape) => self.make_room(operand, shape, lent)?,
                None => self.make_room(operand, &Shape::from([0]), lent)?,
            }
        }
        Ok(())
    }

    /// Makes room for the outputs that the kernel has measured by now.
    pub(crate) fn make_measured(&self, state: &LateState, lent: &mut Lent<'_>) -> Result<(), NodeError> {
        let Built { kernel, outputs, .. } = &state.kept[0];
        for (output, operand) in self.writes.iter().enumerate() {
            if outputs[output].is_some() {
                continue;
            }
            let shape = kernel.measured(output, lent.side(kernel.workspace()));
            if operand.shape.as_ref().is_some_and(|planned| *planned != shape) {
                return Err(self.error(lent, NodeCause::Open { output }));
            }
            self.make_room(operand, &shape, lent)?;
        }
        Ok(())
    }

    fn make_room(&self, operand: &LateOperand, shape: &Shape, lent: &mut Lent<'_>) -> Result<(), NodeError> {
        let Region::Slot(slot) = operand.place.region else { return Ok(()) };
        let bytes = shape.count().saturating_mul(width(operand.element));
        lent.resize_slot(slot, shape, bytes)
            .map_err(|OutOfMemory(bytes)| self.error(lent, NodeCause::OutOfMemory(bytes)))
    }

    /// Everything that may differ between two runs and that the kernel hangs on.
    fn write_key(&self, key: &mut Vec<u8>, lent: &mut Lent<'_>) {
        key.clear();
        for operand in self.reads.iter().flatten() {
            if operand.shape.is_none() {
                let shape = operand.shape(lent);
                key.push(shape.rank() as u8);
                key.extend(shape.iter().flat_map(|extent| extent.to_le_bytes()));
            }
            if operand.by_value && operand.constant.is_none() {
                key.extend_from_slice(lent.read(operand.place));
            }
        }
    }

    fn build(&self, key: &[u8], lent: &mut Lent<'_>, isa: Isa, packs: &Packs) -> Result<Built, NodeError> {
        let mut known: Vec<Option<(ElementType, Shape, Option<Tensor>)>> =
            Vec::with_capacity(self.reads.len());
        for operand in &self.reads {
            known.push(match operand {
                Some(operand) => {
                    let shape = operand.shape(lent);
                    let value = operand.value(&shape, lent).map_err(|cause| self.error(lent, cause))?;
                    Some((operand.element, shape, value))
                }
                None => None,
            });
        }
        let built = self.kernel_for(&known, isa, packs, lent.meter());
        let built = built.map_err(|cause| self.error(lent, cause))?;
        Ok(Built { key: key.into(), ..built })
    }

    /// A kernel without its key.
    fn kernel_for(
        &self,
        known: &[Option<(ElementType, Shape, Option<Tensor>)>],
        isa: Isa,
        packs: &Packs,
        meter: &Meter,
    ) -> Result<Built, NodeCause> {
        let built = |kernel, outputs| Built { key: Box::default(), kernel, outputs };
        let Some(op) = &self.op else {
            let (element, shape, _) = known[0].as_ref().expect("a copy has an input");
            let kernel = kernel::copy::bytes(shape.count() * width(*element))?;
            return Ok(built(kernel, vec![Some(shape.clone())]));
        };
        let inferred = self.infer(&**op, known)?;
        let shapes = inferred.iter().map(|(_, shape)| shape.clone()).collect();
        let known_or_empty = |(element, shape): (_, Option<Shape>)| (element, shape.unwrap_or([0].into()));
        let outputs: Vec<_> = inferred.into_iter().map(known_or_empty).collect();
        if keeps_bytes(&**op) {
            let (element, shape) = &outputs[0];
            return Ok(built(kernel::copy::bytes(shape.count() * width(*element))?, shapes));
        }
        for (element, shape) in &outputs {
            // `usize::MAX` is more than anybody has.
            let room = stored::room(*element, shape).unwrap_or(usize::MAX);
            meter.allows(room).map_err(|OutOfMemory(bytes)| NodeCause::OutOfMemory(bytes))?;
        }
        let operands: Vec<_> = known
            .iter()
            .map(|known| {
                let (element, shape, constant) = known.as_ref()?;
                Some(Operand { element: *element, shape: shape.clone(), constant: constant.as_ref() })
            })
            .collect();
        let kernel = kernel::build(&**op, &Builder { inputs: &operands, outputs: &outputs, isa, packs })?;
        Ok(built(kernel, shapes))
    }

    /// Types and shapes of the outputs, which must be what the plan reserved where it did; `None` for a shape that the kernel
    /// is to measure.
    fn infer(
        &self,
        op: &dyn Op,
        known: &[Option<(ElementType, Shape, Option<Tensor>)>],
    ) -> Result<Vec<(ElementType, Option<Shape>)>, NodeCause> {
        let facts: Vec<Option<Fact>> = known.iter().map(|known| Some(fact(known.as_ref()?))).collect();
        let facts: Vec<Option<&Fact>> = facts.iter().map(Option::as_ref).collect();
        let inferred = op.infer(&Inputs::new(&facts, self.writes.len()))?;
        let outputs = inferred.iter().zip(&self.writes).enumerate();
        outputs
            .map(|(output, (fact, planned))| {
                let shape = fact.shape.fixed();
                let agrees = fact.element == planned.element
                    && match (&shape, &planned.shape) {
                        (Some(shape), None) => fits(shape, fact.element),
                        (Some(shape), Some(planned)) => shape == planned && fits(shape, fact.element),
                        (None, _) => op.data_sized(),
                    };
                if agrees { Ok((fact.element, shape)) } else { Err(NodeCause::Open { output }) }
            })
            .collect()
    }

    fn error(&self, lent: &Lent<'_>, cause: NodeCause) -> NodeError {
        let show = |operand: &Option<LateOperand>| match operand {
            Some(operand) => alloc::format!("{}{}", operand.element, operand.shape(lent)),
            None => "-".to_string(),
        };
        NodeError { inputs: self.reads.iter().map(show).collect::<Vec<_>>().join(", "), cause }
    }
}

impl LateOperand {
    /// The shape as it is now.
    pub(crate) fn shape(&self, lent: &Lent<'_>) -> Shape {
        match (&self.shape, self.place.region) {
            (Some(shape), _) => shape.clone(),
            (None, Region::Slot(slot)) => lent.slot(slot).shape.clone(),
            // A sequence or an optional has none.
            (None, Region::Object(_)) => Shape::scalar(),
            (None, _) => unreachable!("only slots have open shapes"),
        }
    }

    /// The value, where the kernel may be built for it.
    fn value(&self, shape: &Shape, lent: &mut Lent<'_>) -> Result<Option<Tensor>, NodeCause> {
        if self.constant.is_some() || !self.by_value {
            return Ok(self.constant.clone());
        }
        let tensor = Tensor::from_bytes(self.element, shape.clone(), lent.read(self.place));
        tensor.map(Some).map_err(|error| NodeCause::Fold(error.to_string()))
    }
}

fn fact((element, shape, constant): &(ElementType, Shape, Option<Tensor>)) -> Fact {
    match constant {
        Some(tensor) => Fact::constant(tensor.clone()),
        None => Fact::fixed(*element, shape),
    }
}

/// True when the bytes can be counted.
fn fits(shape: &Shape, element: ElementType) -> bool {
    stored::bytes(element, shape).is_some()
}
