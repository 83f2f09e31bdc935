//! Operators: what a node does, as data.
//!
//! An operator is a small struct with its attributes in the newest form of the standard (what older operator versions had
//! as attributes and newer ones as inputs is an input, filled by the importer with a constant). It knows how to infer
//! facts about its outputs; it computes nothing: each device keeps its own kernels and finds them by the struct's type.
//!
//! One family of operators a file: structs, facts, ONNX importer, tests.

mod align;
pub(crate) mod attention;
pub(crate) mod binary;
pub(crate) mod bits;
pub(crate) mod blocks;
pub(crate) mod cast;
mod channels_last;
pub(crate) mod columns;
mod compose;
#[cfg(test)]
mod composed;
pub(crate) mod concat;
pub(crate) mod control;
pub(crate) mod conv;
pub(crate) mod cumulative;
pub(crate) mod det;
pub(crate) mod einsum;
#[cfg(test)]
mod every;
pub(crate) mod expand;
pub(crate) mod features;
pub(crate) mod fourier;
pub(crate) mod gather;
pub(crate) mod gelu;
pub(crate) mod grid_sample;
pub(crate) mod hot;
pub(crate) mod label_encoder;
mod legacy;
pub(crate) mod loops;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod matmul_nbits;
pub(crate) mod mel;
pub(crate) mod nonzero;
pub(crate) mod norm;
pub(crate) mod normalise;
pub(crate) mod optional;
pub(crate) mod pad;
pub(crate) mod pool;
mod program;
pub(crate) mod qlinear;
pub(crate) mod quantize;
pub(crate) mod random;
pub(crate) mod reduce;
pub(crate) mod regions;
pub(crate) mod reshape;
pub(crate) mod resize;
pub(crate) mod reverse;
pub(crate) mod rnn;
pub(crate) mod roi_pool;
pub(crate) mod rotary;
mod rules;
pub(crate) mod scan;
pub(crate) mod scatter;
pub(crate) mod sequence;
pub(crate) mod shape;
pub(crate) mod shrink;
pub(crate) mod skip_norm;
pub(crate) mod slice;
pub(crate) mod softmax;
pub(crate) mod split;
pub(crate) mod string_normalizer;
pub(crate) mod string_split;
#[cfg(test)]
mod testing;
pub(crate) mod text;
pub(crate) mod tfidf;
pub(crate) mod topk;
pub(crate) mod transpose;
pub(crate) mod trees;
pub(crate) mod triangle;
pub(crate) mod unary;
pub(crate) mod unique;
pub(crate) mod unpool;
pub(crate) mod window;

pub use align::*;
pub use attention::*;
pub use binary::*;
pub use bits::*;
pub use cast::*;
pub use channels_last::*;
pub use columns::*;
pub use concat::*;
pub use control::*;
pub use conv::*;
pub use cumulative::*;
pub use det::*;
pub use einsum::*;
pub use expand::*;
pub use features::*;
pub use fourier::*;
pub use gather::*;
pub use grid_sample::*;
pub use hot::*;
pub use label_encoder::*;
pub(crate) use legacy::int64s;
pub use loops::Loop;
pub use matmul::*;
pub use matmul_nbits::*;
pub use mel::*;
pub use nonzero::*;
pub use norm::*;
pub use optional::*;
pub use pad::*;
pub use pool::*;
pub use program::*;
pub use quantize::*;
pub use random::*;
pub use reduce::*;
pub use regions::*;
pub use reshape::*;
pub use resize::*;
pub use reverse::*;
pub use rnn::*;
pub use roi_pool::*;
pub use rotary::*;
pub use scatter::*;
pub use sequence::*;
pub use shape::*;
pub use slice::*;
pub use softmax::*;
pub use split::*;
pub use string_normalizer::*;
pub use string_split::*;
pub use text::*;
pub use tfidf::*;
pub use topk::*;
pub use transpose::*;
pub use trees::*;
pub use triangle::*;
pub use unary::*;
pub use unique::*;
pub use unpool::*;
pub use window::*;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::Debug;

use inferry_core::{ElementType, Kind};

use crate::graph::{Body, Fact};

/// What a node does. See the [module](self).
pub trait Op: Any + Debug + Send + Sync {
    /// The name of the operator in the ONNX standard, or our own for operators that passes make.
    fn name(&self) -> &'static str;

    /// What follows for the outputs from what is known of the inputs: one fact for each of `inputs.outputs()` outputs.
    ///
    /// An operator that only rearranges what it knows (Shape of a fixed shape, Size) may return a constant.
    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError>;

    /// Inputs whose *values* (not only their shapes) decide the shapes of the outputs: the shape of Reshape, the axes of
    /// Squeeze.
    fn value_inputs(&self) -> &'static [usize] {
        &[]
    }

    /// True when the extents of outputs hang on numbers of inputs that are no [`value_inputs`](Op::value_inputs), as those
    /// of NonZero do: `infer` leaves them open, and the device finds them while it computes.
    fn data_sized(&self) -> bool {
        false
    }

    /// False when two runs with equal inputs may give different outputs; such a node is never folded.
    fn is_pure(&self) -> bool {
        true
    }

    /// True when inputs of it may be sequences and optionals. Others are not asked about such inputs: [`Inputs::infer`].
    fn takes_any_kind(&self) -> bool {
        false
    }

    /// The graphs inside a control-flow operator.
    fn bodies(&self) -> &[Body] {
        &[]
    }

    /// The same operator with other bodies; `None` for operators without bodies.
    fn with_bodies(&self, bodies: Vec<Body>) -> Option<Arc<dyn Op>> {
        let _ = bodies;
        None
    }
}

impl dyn Op {
    /// The operator as `T`, when it is one.
    pub fn downcast<T: Op>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

/// What is known of a node's inputs, and how many outputs it has.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    facts: &'a [Option<&'a Fact>],
    outputs: usize,
}

impl<'a> Inputs<'a> {
    /// The facts of each input (`None` for one left out) and the number of outputs wanted.
    pub fn new(facts: &'a [Option<&'a Fact>], outputs: usize) -> Inputs<'a> {
        Inputs { facts, outputs }
    }

    /// What an operator infers from these inputs, each of which is of a kind that it takes.
    ///
    /// # Errors
    /// What the operator refuses.
    pub fn infer(&self, op: &dyn Op) -> Result<Vec<Fact>, OpError> {
        let other = |fact: &&Fact| fact.kind != Kind::Tensor;
        match self.facts.iter().position(|fact| fact.as_ref().is_some_and(other)) {
            Some(input) if !op.takes_any_kind() => self.tensor(input).map(|_| Vec::new()),
            _ => op.infer(self),
        }
    }

    /// An input that must be there, and be a tensor.
    pub fn tensor(&self, index: usize) -> Result<&'a Fact, OpError> {
        let fact = self.required(index)?;
        match fact.kind {
            Kind::Tensor => Ok(fact),
            actual => Err(OpError::Kind { input: index, actual, wanted: Kind::Tensor }),
        }
    }

    /// How many inputs were given, left-out ones in the middle included.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// How many outputs are wanted.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// An input that must be there.
    pub fn required(&self, index: usize) -> Result<&'a Fact, OpError> {
        self.optional(index).ok_or(OpError::Missing { input: index })
    }

    /// An input that may be left out.
    pub fn optional(&self, index: usize) -> Option<&'a Fact> {
        self.facts.get(index).copied().flatten()
    }

    /// The first `count` inputs with one output, and the inputs after them.
    pub fn split_at(&self, count: usize) -> (Inputs<'a>, Inputs<'a>) {
        let (first, rest) = self.facts.split_at(count.min(self.facts.len()));
        (Inputs { facts: first, outputs: 1 }, Inputs { facts: rest, outputs: 1 })
    }

    /// All inputs that are there.
    pub fn present(&self) -> impl Iterator<Item = &'a Fact> + '_ {
        self.facts.iter().copied().flatten()
    }
}

/// Why an operator refuses its inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// A required input is not there.
    #[error("input {input} is missing")]
    Missing {
        /// Position of the input.
        input: usize,
    },
    /// An input of a type that the operator does not take.
    #[error("input {input} is {actual}; {wanted}")]
    Element {
        /// Position of the input.
        input: usize,
        /// What it is.
        actual: ElementType,
        /// What is taken.
        wanted: &'static str,
    },
    /// An input of another kind than the operator takes: a sequence where a tensor is wanted.
    #[error("input {input} is {actual}; {wanted} is needed")]
    Kind {
        /// Position of the input.
        input: usize,
        /// What it is.
        actual: Kind,
        /// What is taken.
        wanted: Kind,
    },
    /// Shapes that do not fit together or an attribute out of range.
    #[error("{0}")]
    Shape(String),
    /// Something allowed by the standard that we do not have.
    #[error("{0} is not supported")]
    Unsupported(String),
}
