//! Operators of object detectors: boxes that suppress each other, and features of boxes.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, FLOAT32, INT64};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `boxes: [N, boxes, 4], scores: [N, classes, boxes], most per class?, IoU threshold?, score threshold?`: of every class the
/// boxes with the best scores that overlap no better one too much, as rows of `[batch, class, box]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NonMaxSuppression {
    /// Whether a box is given as centre and size `[x, y, width, height]`, else as two opposite corners `[y, x, y, x]`.
    pub center: bool,
}

impl Op for NonMaxSuppression {
    fn name(&self) -> &'static str {
        "NonMaxSuppression"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(5, 1)?;
        let boxes = inputs.typed(0, &FLOAT32)?;
        let scores = inputs.typed(1, &FLOAT32)?;
        rules::check_rank_is(0, &boxes.shape, 3)?;
        rules::check_rank_is(1, &scores.shape, 3)?;
        if let Some([batch, count, four]) = boxes.shape.dims() {
            rules::unify_dim(four, &Dim::Fixed(4))?;
            if let Some([other, _, scored]) = scores.shape.dims() {
                rules::unify_dim(batch, other)?;
                rules::unify_dim(count, scored)?;
            }
        }
        rules::check_single(2, inputs.typed_optional(2, &INT64)?)?;
        for index in [3, 4] {
            rules::check_single(index, inputs.typed_optional(index, &FLOAT32)?)?;
        }
        rules::one(ElementType::I64, ShapeFact(Some(alloc::vec![Dim::Unknown, Dim::Fixed(3)])))
    }

    fn value_inputs(&self) -> &'static [usize] {
        // How many boxes a class keeps at most decides how much room the kernel takes.
        &[2]
    }

    fn data_sized(&self) -> bool {
        true
    }
}

/// `x: [N, C, H, W], rois: [count, 4], batch: [count]`: each region of each image, brought to one size by sampling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoiAlign {
    /// Whether the largest sample is taken (else the mean).
    pub max: bool,
    /// Whether coordinates count from the edges of the elements (else from their centres).
    pub half_pixel: bool,
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Samples along each dimension of an output's element; as many as the region has elements there when 0.
    pub sampling_ratio: usize,
    /// From the regions' coordinates to those of `x`.
    pub spatial_scale: f32,
}

impl Op for RoiAlign {
    fn name(&self) -> &'static str {
        "RoiAlign"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let rois = inputs.alike(1, x)?;
        let batch = inputs.typed(2, &INT64)?;
        rules::check_rank_is(0, &x.shape, 4)?;
        rules::check_rank_is(1, &rois.shape, 2)?;
        let mut count = Dim::Unknown;
        if let Some([rows, four]) = rois.shape.dims() {
            rules::unify_dim(four, &Dim::Fixed(4))?;
            count = rows.clone();
        }
        rules::check_vector(2, batch, &count)?;
        if let Some([rows]) = batch.shape.dims() {
            count = rules::unify_dim(&count, rows)?;
        }
        let channels = x.shape.dims().map_or(Dim::Unknown, |dims| dims[1].clone());
        let [height, width] = self.output.map(Dim::Fixed);
        rules::one(x.element, ShapeFact(Some(alloc::vec![count, channels, height, width])))
    }
}

/// NonMaxSuppression.
pub(crate) fn import_nms(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=5, 1..=1)?;
    let center = match node.int_or("center_point_box", 0)? {
        0 => false,
        1 => true,
        other => return Err(node.refuse_attribute("center_point_box", format!("{other} is neither 0 nor 1"))),
    };
    let imported = Imported::with(NonMaxSuppression { center });
    // Without a number of boxes there are none.
    Ok(if node.has_input(2) { imported } else { imported.constant(2, Tensor::scalar(0i64)) })
}

/// RoiAlign; until operator set 16 coordinates counted from the centres.
pub(crate) fn import_roi_align(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    let max = match node.text("mode")? {
        None | Some("avg") => false,
        Some("max") => true,
        Some(other) => return Err(node.refuse_attribute("mode", format!("{other:?} is no mode"))),
    };
    let half_pixel = match node.text("coordinate_transformation_mode")? {
        None => node.opset() >= 16,
        Some("half_pixel") => true,
        Some("output_half_pixel") => false,
        Some(other) => {
            let problem = format!("{other:?} is no mode");
            return Err(node.refuse_attribute("coordinate_transformation_mode", problem));
        }
    };
    Ok(Imported::with(RoiAlign {
        max,
        half_pixel,
        output: [node.count_or("output_height", 1)?, node.count_or("output_width", 1)?],
        sampling_ratio: node.count_or("sampling_ratio", 0)?,
        spatial_scale: node.float_or("spatial_scale", 1.0)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn how_many_boxes_stay_is_open() {
        let nms = NonMaxSuppression { center: false };
        let some = &["f32[1, 6, 4]", "f32[1, 2, 6]", "i64{3}", "f32{0.5}", "f32(0)"];
        check(nms, some, "i64[?, 3]");
        check(nms, &["f32[...]", "f32[N, C, B]"], "i64[?, 3]");
        check(nms, &["f32[1, 6, 4]", "f32[1, 2, 7]"], "extents 6 and 7 must be equal");
        check(nms, &["f32[1, 6, 5]", "f32[1, 2, 6]"], "extents 5 and 4 must be equal");
        check(
            nms,
            &["f32[1, 6, 4]", "f32[1, 2, 6]", "i64[2]"],
            "input 2 must be one number, its shape is [2]",
        );
    }

    #[test]
    fn regions_are_brought_to_one_size() {
        let roi =
            RoiAlign { max: false, half_pixel: true, output: [5, 7], sampling_ratio: 2, spatial_scale: 1.0 };
        check(roi, &["f32[N, 3, H, W]", "f32[R, 4]", "i64[R]"], "f32[R, 3, 5, 7]");
        check(roi, &["f32[...]", "f32[...]", "i64[6]"], "f32[6, ?, 5, 7]");
        check(roi, &["f32[N, 3, H, W]", "f32[2, 4]", "i64[3]"], "input 2 must have 2 elements, not 3");
        check(roi, &["f32[N, 3, H, W]", "f32[2, 5]", "i64[2]"], "extents 5 and 4 must be equal");
    }

    #[test]
    fn what_older_sets_left_out_is_written_out() {
        let nms = node("NonMaxSuppression", &["b", "s"], &["y"]);
        check_import(&nms, 10, NonMaxSuppression { center: false }, &["2: i64(0)"]);
        let with = node("NonMaxSuppression", &["b", "s", "m"], &["y"]).int("center_point_box", 1);
        check_import(&with, 11, NonMaxSuppression { center: true }, &[]);
        let odd = nms.int("center_point_box", 2);
        check_refused(&odd, 11, "attribute \"center_point_box\": 2 is neither 0 nor 1");
        let roi = node("RoiAlign", &["x", "r", "b"], &["y"]);
        let plain = |half_pixel| RoiAlign {
            max: false,
            half_pixel,
            output: [1, 1],
            sampling_ratio: 0,
            spatial_scale: 1.0,
        };
        check_import(&roi, 10, plain(false), &[]);
        check_import(&roi, 16, plain(true), &[]);
        let old = roi.text("coordinate_transformation_mode", "output_half_pixel");
        check_import(&old, 22, plain(false), &[]);
    }
}
