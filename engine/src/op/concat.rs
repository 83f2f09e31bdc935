//! Tensors put one behind the other.

use alloc::vec::Vec;

use super::rules;
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `inputs...`: joined along an axis; all other extents are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// The axis; negative counts from the end.
    pub axis: i64,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(usize::MAX, 1)?;
        let first = inputs.required(0)?;
        for index in 1..inputs.len() {
            inputs.alike(index, first)?;
        }
        let Some(rank) = inputs.present().find_map(|fact| fact.shape.rank()) else {
            return rules::one(first.element, ShapeFact::unknown());
        };
        let axis = rules::axis(self.axis, rank)?;
        let mut joined = alloc::vec![Dim::Unknown; rank];
        joined[axis] = Dim::Fixed(0);
        for (index, fact) in inputs.present().enumerate() {
            let Some(dims) = fact.shape.dims() else {
                joined[axis] = Dim::Unknown;
                continue;
            };
            rules::check_rank_is(index, &fact.shape, rank)?;
            for (position, (slot, dim)) in joined.iter_mut().zip(dims).enumerate() {
                *slot = if position == axis { sum(slot, dim)? } else { rules::unify_dim(slot, dim)? };
            }
        }
        rules::one(first.element, ShapeFact(Some(joined)))
    }
}

fn sum(a: &Dim, b: &Dim) -> Result<Dim, OpError> {
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_add(*b).map(Dim::Fixed).ok_or_else(rules::too_large),
        (Dim::Fixed(0), other) | (other, Dim::Fixed(0)) => Ok(other.clone()),
        _ => Ok(Dim::Unknown),
    }
}

/// Concat.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=usize::MAX, 1..=1)?;
    let axis = node.int("axis")?.ok_or_else(|| node.refuse_attribute("axis", "is missing"))?;
    Ok(Imported::with(Concat { axis }))
}
