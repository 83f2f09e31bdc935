//! RotaryEmbedding of `com.microsoft`: pairs of numbers turned by angles that grow with the position.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, positions, cosines, sines`: `x` is `[N, L, heads * size]` or `[N, heads, L, size]`; of each head the first numbers,
/// two for each column of the tables, are turned. Positions are rows of the tables: `[N, L]`, or the first one `[1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RotaryEmbedding {
    /// Whether neighbours make a pair, else a number of the first half with one of the second.
    pub interleaved: bool,
    /// How many heads lie in the last dimension of three; 0 when the tables say it: all of a head is turned.
    pub heads: usize,
}

impl Op for RotaryEmbedding {
    fn name(&self) -> &'static str {
        "RotaryEmbedding"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let positions = inputs.typed(1, &INT64)?;
        let tables = [inputs.alike(2, x)?, inputs.alike(3, x)?];
        for (index, table) in tables.iter().enumerate() {
            rules::check_rank_is(2 + index, &table.shape, 2)?;
        }
        let columns = tables[0].shape.dims().and_then(|dims| dims[1].fixed());
        if let Some(dims) = x.shape.dims() {
            let size = self.head_size(dims, columns)?;
            if let (Some(size), Some(columns)) = (size, columns)
                && columns.checked_mul(2).is_none_or(|turned| turned > size)
            {
                return shape_error(format!("tables of {columns} columns for heads of {size}"));
            }
            let length = if dims.len() == 4 { &dims[2] } else { &dims[1] };
            match positions.shape.dims() {
                None | Some([_]) => {}
                Some([batch, steps]) => {
                    rules::unify_dim(batch, &dims[0])?;
                    rules::unify_dim(steps, length)?;
                }
                Some(_) => return shape_error(format!("positions of shape {}", positions.shape)),
            }
        }
        rules::one(x.element, x.shape.clone())
    }
}

impl RotaryEmbedding {
    /// The numbers of one head, as far as they are known.
    ///
    /// # Errors
    /// Dimensions that cannot be divided so.
    pub fn head_size(&self, x: &[Dim], columns: Option<usize>) -> Result<Option<usize>, OpError> {
        match (x, self.heads) {
            ([_, _, _, size], _) => Ok(size.fixed()),
            ([_, _, width], 0) => {
                let size = columns.and_then(|columns| columns.checked_mul(2));
                match (width.fixed(), size) {
                    (Some(width), Some(size)) if size == 0 || width % size != 0 => {
                        shape_error(format!("{width} numbers for heads of {size}"))
                    }
                    _ => Ok(size),
                }
            }
            ([_, _, width], heads) => match width.fixed() {
                Some(width) if width % heads != 0 => {
                    shape_error(format!("{width} numbers for {heads} heads"))
                }
                width => Ok(width.map(|width| width / heads)),
            },
            _ => shape_error(format!("input 0 needs 3 or 4 dimensions, not {}", x.len())),
        }
    }
}

/// RotaryEmbedding.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(4..=4, 1..=1)?;
    if node.float_or("scale", 1.0)? != 1.0 {
        return Err(node.refuse_attribute("scale", "other than 1 is not supported"));
    }
    // Without a dimension of its own, all of a head is turned, and the tables tell its size.
    let heads =
        if node.count_or("rotary_embedding_dim", 0)? > 0 { node.count_or("num_heads", 0)? } else { 0 };
    Ok(Imported::with(RotaryEmbedding { interleaved: node.flag("interleaved", false)?, heads }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn heads_and_tables_fit() {
        let rotary = |heads| RotaryEmbedding { interleaved: false, heads };
        let inputs = |x, tables| [x, "i64[N, L]", tables, tables];
        check(rotary(0), &inputs("f32[N, L, 12]", "f32[99, 2]"), "f32[N, L, 12]");
        check(rotary(0), &inputs("f32[N, 3, L, 4]", "f32[99, 2]"), "f32[N, 3, L, 4]");
        check(rotary(3), &inputs("f32[N, L, 12]", "f32[99, 1]"), "f32[N, L, 12]");
        check(rotary(0), &inputs("f32[N, L, 10]", "f32[99, 2]"), "10 numbers for heads of 4");
        check(rotary(5), &inputs("f32[N, L, 12]", "f32[99, 2]"), "12 numbers for 5 heads");
        check(rotary(0), &inputs("f32[N, 3, L, 2]", "f32[99, 2]"), "tables of 2 columns for heads of 2");
        check(rotary(0), &inputs("f32[N, L]", "f32[99, 2]"), "input 0 needs 3 or 4 dimensions, not 2");
    }
}
