//! Where a tensor is not zero, and Compress, which picks what stands where a condition is true.
//!
//! How many places there are is known only when the data are; their number stays open until a device has counted them.

use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, NUMBER_OR_BOOL};
use super::{Gather, Inputs, Op, OpError, Reshape, Squeeze};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `x`: the indices of all elements that are not zero, in row-major order: a row for each dimension of `x`, a column for
/// each element. NaN is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NonZero;

impl Op for NonZero {
    fn name(&self) -> &'static str {
        "NonZero"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &NUMBER_OR_BOOL)?;
        let rank = x.shape.rank().map_or(Dim::Unknown, Dim::Fixed);
        rules::one(ElementType::I64, ShapeFact(Some(alloc::vec![rank, Dim::Unknown])))
    }

    fn data_sized(&self) -> bool {
        true
    }
}

/// Compress: what NonZero finds of the condition, gathered.
pub(crate) fn import_compress(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let mut f = Fragment::new();
    let (x, condition) = (f.input(0), f.input(1));
    let places = f.step(NonZero, &[condition]);
    let first = f.ints(&[0]);
    let places = f.step(Squeeze, &[places, first]);
    let axis = node.int("axis")?;
    let flat = f.ints(&[-1]);
    let x = if axis.is_none() { f.step(Reshape { allow_zero: false }, &[x, flat]) } else { x };
    let y = f.step(Gather { axis: axis.unwrap_or(0) }, &[x, places]);
    Ok(f.giving(y))
}

/// NonZero.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(NonZero))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn the_number_of_places_stays_open() {
        check(NonZero, &["bool[N, 3]"], "i64[2, ?]");
        check(NonZero, &["f32[...]"], "i64[?, ?]");
        check(NonZero, &["i64[]"], "i64[0, ?]");
        check(NonZero, &["string[2]"], "input 0 is string; a number type or bool is needed");
    }
}
