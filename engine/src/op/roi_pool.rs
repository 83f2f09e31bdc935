//! MaxRoiPool: regions of an image, each brought to the same size by taking the largest numbers.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, rois`: from `[N, C, H, W]` and regions `[R, 5]` (which of the N, then x1, y1, x2, y2) to `[R, C, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxRoiPool {
    /// Height and width of each result.
    pub pooled: [usize; 2],
    /// What the coordinates of the regions are multiplied by to be those of `x`.
    pub scale: f32,
}

impl Op for MaxRoiPool {
    fn name(&self) -> &'static str {
        "MaxRoiPool"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let rois = inputs.alike(1, x)?;
        rules::check_rank_is(0, &x.shape, 4)?;
        rules::check_rank_is(1, &rois.shape, 2)?;
        let regions = match rois.shape.dims() {
            Some([regions, five]) => {
                rules::unify_dim(five, &Dim::Fixed(5))?;
                regions.clone()
            }
            _ => Dim::Unknown,
        };
        let channels = x.shape.dims().map_or(Dim::Unknown, |dims| dims[1].clone());
        let [height, width] = self.pooled.map(Dim::Fixed);
        rules::one(x.element, ShapeFact(Some([regions, channels, height, width].into())))
    }
}

/// MaxRoiPool.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    match node.extents("pooled_shape")?[..] {
        [height, width] if height > 0 && width > 0 => Ok(Imported::with(MaxRoiPool {
            pooled: [height, width],
            scale: node.float_or("spatial_scale", 1.0)?,
        })),
        _ => Err(node.refuse_attribute("pooled_shape", "is not a height and a width")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn every_region_becomes_an_image() {
        let pool = MaxRoiPool { pooled: [2, 3], scale: 0.5 };
        check(pool, &["f32[1, 4, 9, 9]", "f32[R, 5]"], "f32[R, 4, 2, 3]");
        check(pool, &["f32[1, 4, 9, 9]", "f32[R, 4]"], "extents 4 and 5 must be equal");
        check(pool, &["f32[1, 4, 9]", "f32[R, 5]"], "input 0 must have 4 dimensions, its shape is [1, 4, 9]");
        let plain = node("MaxRoiPool", &["x", "r"], &["y"]);
        let given = plain.clone().ints("pooled_shape", &[2, 3]).float("spatial_scale", 0.5);
        check_import(&given, 6, pool, &[]);
        check_refused(&plain, 6, "attribute \"pooled_shape\": is not a height and a width");
    }
}
