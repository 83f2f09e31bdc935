//! Small graphs for the tests of passes.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{Element, ElementType, Shape, Tensor};

use super::Evaluate;
use crate::graph::{Fact, Graph, Node, ValueId, verify};
use crate::op::{Binary, Cast, Concat, Gather, Op};

/// A graph under construction. What nodes write is f32 unless it is said otherwise.
#[derive(Default)]
pub(crate) struct Build {
    pub(crate) graph: Graph,
}

impl Build {
    pub(crate) fn input(&mut self, name: &str, extents: &[usize]) -> ValueId {
        self.input_of(name, Fact::fixed(ElementType::F32, extents))
    }

    pub(crate) fn input_of(&mut self, name: &str, fact: Fact) -> ValueId {
        let id = self.graph.add_value(name, Some(fact));
        self.graph.inputs.push(id);
        id
    }

    pub(crate) fn constant<T: Element>(
        &mut self,
        name: &str,
        values: &[T],
        shape: impl Into<Shape>,
    ) -> ValueId {
        self.graph.add_constant(name, Tensor::from_slice(values, shape).unwrap())
    }

    /// A node with one output of this shape.
    pub(crate) fn node(&mut self, op: impl Op, inputs: &[ValueId], extents: &[usize]) -> ValueId {
        let fact = Fact::fixed(ElementType::F32, extents);
        self.node_of(op, &inputs.iter().copied().map(Some).collect::<Vec<_>>(), "", Some(fact))
    }

    pub(crate) fn node_of(
        &mut self,
        op: impl Op,
        inputs: &[Option<ValueId>],
        output: &str,
        fact: Option<Fact>,
    ) -> ValueId {
        let id = self.graph.add_value(output, fact);
        let outputs = Vec::from([Some(id)]);
        self.graph.nodes.push(Node { name: "".into(), op: Arc::new(op), inputs: inputs.to_vec(), outputs });
        id
    }

    /// The graph, which must be in order.
    pub(crate) fn finish(mut self, outputs: &[ValueId]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        verify(&self.graph).unwrap();
        self.graph
    }
}

/// Arithmetic on i64, and what shapes are computed with: enough for the tests, slow and obvious.
pub(crate) struct Integers;

impl Evaluate for Integers {
    fn evaluate(
        &self,
        op: &dyn Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Fact],
    ) -> Option<Result<Vec<Tensor>, String>> {
        let values = |index: usize| inputs[index]?.to_vec::<i64>().ok();
        let shape = outputs[0].shape.fixed().expect("outputs are fixed");
        if let Some(cast) = op.downcast::<Cast>() {
            return (cast.to == ElementType::F32).then(|| {
                let floats: Vec<f32> =
                    values(0).unwrap_or_default().into_iter().map(|value| value as f32).collect();
                Tensor::from_slice(&floats, shape)
                    .map(|tensor| Vec::from([tensor]))
                    .map_err(|error| format!("{error}"))
            });
        }
        let result: Vec<i64> = if let Some(binary) = op.downcast::<Binary>() {
            let (a, b) = (values(0)?, values(1)?);
            let apply = |(a, b): (&i64, &i64)| match binary {
                Binary::Add => Some(a + b),
                Binary::Mul => Some(a * b),
                // A division by zero is the run's error, if it is ever reached.
                Binary::Div => a.checked_div(*b),
                _ => None,
            };
            let found: Option<Vec<i64>> = a.iter().zip(&b).map(apply).collect();
            match found {
                Some(values) => values,
                None => return Some(Err("cannot be computed".into())),
            }
        } else if op.downcast::<Gather>().is_some() {
            let data = values(0)?;
            let place =
                |index: &i64| usize::try_from(if *index < 0 { index + data.len() as i64 } else { *index });
            values(1)?.iter().map(|index| data[place(index).expect("an index within")]).collect()
        } else if op.downcast::<Concat>().is_some() {
            (0..inputs.len()).filter_map(values).flatten().collect()
        } else {
            return None;
        };
        Some(
            Tensor::from_slice(&result, shape)
                .map(|tensor| Vec::from([tensor]))
                .map_err(|error| format!("{error}")),
        )
    }
}
