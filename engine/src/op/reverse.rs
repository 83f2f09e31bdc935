//! ReverseSequence: the begins of sequences of several lengths, turned round.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, ANY, INT64, shape_error, unify_dim};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, lengths`: of each sequence the first so many elements in the other order, the rest as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReverseSequence {
    /// True when the first dimension counts the steps and the second one the sequences; else the other way round.
    pub time_first: bool,
}

impl Op for ReverseSequence {
    fn name(&self) -> &'static str {
        "ReverseSequence"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.typed(0, &ANY)?;
        let lengths = inputs.typed(1, &INT64)?;
        rules::check_rank_is(1, &lengths.shape, 1)?;
        match (x.shape.dims(), lengths.shape.dims()) {
            (Some([first, second, ..]), Some([count])) => {
                unify_dim(if self.time_first { second } else { first }, count)?;
            }
            (Some([] | [_]), _) => {
                return shape_error(format!("input 0 needs 2 dimensions, its shape is {}", x.shape));
            }
            _ => {}
        }
        rules::one(x.element, x.shape.clone())
    }
}

/// ReverseSequence.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let (batch, time) = (node.int_or("batch_axis", 1)?, node.int_or("time_axis", 0)?);
    match (batch, time) {
        (1, 0) => Ok(Imported::with(ReverseSequence { time_first: true })),
        (0, 1) => Ok(Imported::with(ReverseSequence { time_first: false })),
        _ => Err(node.refuse(format!("batch_axis {batch} and time_axis {time} are not 0 and 1"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn there_is_a_length_for_each_sequence() {
        let reverse = |time_first| ReverseSequence { time_first };
        check(reverse(true), &["f32[9, 2, 3]", "i64[2]"], "f32[9, 2, 3]");
        check(reverse(false), &["i8[2, N]", "i64[2]"], "i8[2, N]");
        check(reverse(true), &["f32[9, 2, 3]", "i64[9]"], "extents 2 and 9 must be equal");
        check(reverse(true), &["f32[9]", "i64[9]"], "input 0 needs 2 dimensions, its shape is [9]");
    }

    #[test]
    fn the_axes_are_the_first_two() {
        let plain = node("ReverseSequence", &["x", "l"], &["y"]);
        check_import(&plain, 10, ReverseSequence { time_first: true }, &[]);
        let other = plain.clone().int("batch_axis", 0).int("time_axis", 1);
        check_import(&other, 10, ReverseSequence { time_first: false }, &[]);
        check_refused(&plain.int("time_axis", 2), 10, "batch_axis 1 and time_axis 2 are not 0 and 1");
    }
}
