//! Sampling an image (or a volume, or a signal) at places that a grid tells, and grids of affine maps.
//!
//! Places are given in coordinates from -1 to 1 along each dimension, the last dimension first.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x: [N, C, D...], grid: [N, O..., rank]`: for each place of the grid the number that all channels have there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GridSample {
    /// How a number between elements is found.
    pub mode: SampleMode,
    /// What lies outside of `x`.
    pub padding: SamplePadding,
    /// Whether -1 and 1 are the centres of the outermost elements (else their outer edges).
    pub align_corners: bool,
}

/// How a [`GridSample`] finds a number between elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SampleMode {
    /// From the two neighbours in each dimension.
    Linear,
    /// The nearest element; halves go to the even one.
    Nearest,
    /// From the four neighbours in each dimension, by Keys' cubic with `a = -0.75`.
    Cubic,
}

/// What a [`GridSample`] finds outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SamplePadding {
    /// Zeros.
    Zeros,
    /// The nearest element of the border.
    Border,
    /// What lies inside, reflected at the border again and again.
    Reflection,
}

impl Op for GridSample {
    fn name(&self) -> &'static str {
        "GridSample"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let grid = inputs.typed(1, &FLOAT)?;
        let rank = x.shape.rank().or(grid.shape.rank());
        if let Some(rank) = rank {
            if rank < 3 {
                return shape_error(format!("sampling needs at least 3 dimensions, there are {rank}"));
            }
            rules::check_rank_is(1, &grid.shape, rank)?;
        }
        let Some(rank) = rank else { return rules::one(x.element, ShapeFact::unknown()) };
        let unknown = alloc::vec![Dim::Unknown; rank];
        let (data, places) = (x.shape.dims().unwrap_or(&unknown), grid.shape.dims().unwrap_or(&unknown));
        rules::unify_dim(&places[rank - 1], &Dim::Fixed(rank - 2))?;
        let mut shape = alloc::vec![rules::unify_dim(&data[0], &places[0])?, data[1].clone()];
        shape.extend_from_slice(&places[1..rank - 1]);
        rules::one(x.element, ShapeFact(Some(shape)))
    }
}

/// `theta: [N, 2, 3] or [N, 3, 4], size`: for each element of an image of this size `[N, C, D...]` the place that an affine
/// map sends it to, in the coordinates of [`GridSample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AffineGrid {
    /// Whether -1 and 1 are the centres of the outermost elements (else their outer edges).
    pub align_corners: bool,
}

impl Op for AffineGrid {
    fn name(&self) -> &'static str {
        "AffineGrid"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let theta = inputs.typed(0, &FLOAT)?;
        let size = inputs.typed(1, &INT64)?;
        rules::check_rank_is(0, &theta.shape, 3)?;
        let Some(len) = rules::vector_len(size) else {
            return rules::one(theta.element, ShapeFact::unknown());
        };
        if !(4..=5).contains(&len) {
            return shape_error(format!("a size of {len} numbers; 4 or 5 are wanted"));
        }
        let spatial = len - 2;
        let mut batch = Dim::Unknown;
        if let Some([first, rows, columns]) = theta.shape.dims() {
            rules::unify_dim(rows, &Dim::Fixed(spatial))?;
            rules::unify_dim(columns, &Dim::Fixed(spatial + 1))?;
            batch = first.clone();
        }
        let mut shape = alloc::vec![batch];
        match size.integers() {
            Some(size) => {
                let size = rules::extents(1, &size)?;
                shape[0] = rules::unify_dim(&shape[0], &Dim::Fixed(size[0]))?;
                shape.extend(size[2..].iter().map(|extent| Dim::Fixed(*extent)));
            }
            None => shape.extend(core::iter::repeat_n(Dim::Unknown, spatial)),
        }
        shape.push(Dim::Fixed(spatial));
        rules::one(theta.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1]
    }
}

/// GridSample; until operator set 20 two of the modes were called after what they are in two dimensions.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let mode = match node.text("mode")? {
        None | Some("linear" | "bilinear") => SampleMode::Linear,
        Some("nearest") => SampleMode::Nearest,
        Some("cubic" | "bicubic") => SampleMode::Cubic,
        Some(other) => return Err(node.refuse_attribute("mode", format!("{other:?} is no mode"))),
    };
    let padding = match node.text("padding_mode")? {
        None | Some("zeros") => SamplePadding::Zeros,
        Some("border") => SamplePadding::Border,
        Some("reflection") => SamplePadding::Reflection,
        Some(other) => {
            return Err(node.refuse_attribute("padding_mode", format!("{other:?} is no padding")));
        }
    };
    Ok(Imported::with(GridSample { mode, padding, align_corners: node.flag("align_corners", false)? }))
}

/// AffineGrid.
pub(crate) fn import_affine(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(AffineGrid { align_corners: node.flag("align_corners", false)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    const PLAIN: GridSample =
        GridSample { mode: SampleMode::Linear, padding: SamplePadding::Zeros, align_corners: false };

    #[test]
    fn the_grid_says_how_many_places() {
        check(PLAIN, &["f32[N, 3, 8, 9]", "f32[N, 4, W, 2]"], "f32[N, 3, 4, W]");
        check(PLAIN, &["f64[1, 1, 3, 2, 2]", "f32[1, 2, 4, 3, 3]"], "f64[1, 1, 2, 4, 3]");
        check(PLAIN, &["f32[...]", "f32[2, 4, 5, 2]"], "f32[2, ?, 4, 5]");
        check(PLAIN, &["f32[1, 3, 8, 9]", "f32[...]"], "f32[1, 3, ?, ?]");
        check(PLAIN, &["f32[1, 3, 8, 9]", "f32[1, 4, 4, 3]"], "extents 3 and 2 must be equal");
        let rank = "input 1 must have 4 dimensions, its shape is [1, 4, 2]";
        check(PLAIN, &["f32[1, 3, 8, 9]", "f32[1, 4, 2]"], rank);
        check(PLAIN, &["f32[1, 3]", "f32[1, 4]"], "sampling needs at least 3 dimensions, there are 2");
    }

    #[test]
    fn a_grid_has_the_size_that_is_asked_for() {
        let grid = AffineGrid { align_corners: false };
        check(grid, &["f32[N, 2, 3]", "i64{4, 3, 5, 6}"], "f32[4, 5, 6, 2]");
        check(grid, &["f32[4, 3, 4]", "i64{4, 3, 5, 6, 7}"], "f32[4, 5, 6, 7, 3]");
        check(grid, &["f32[N, 2, 3]", "i64[4]"], "f32[N, ?, ?, 2]");
        check(grid, &["f32[...]", "i64[?]"], "f32[...]");
        check(grid, &["f32[4, 2, 3]", "i64{4, 3, 5, 6, 7}"], "extents 2 and 3 must be equal");
        check(grid, &["f32[4, 2, 3]", "i64{4, 3}"], "a size of 2 numbers; 4 or 5 are wanted");
    }

    #[test]
    fn modes_have_two_names() {
        let plain = node("GridSample", &["x", "grid"], &["y"]);
        check_import(&plain, 16, PLAIN, &[]);
        check_import(&plain.clone().text("mode", "bilinear"), 16, PLAIN, &[]);
        let cubic =
            GridSample { mode: SampleMode::Cubic, padding: SamplePadding::Reflection, align_corners: true };
        let with = |mode: &str| {
            plain.clone().text("mode", mode).text("padding_mode", "reflection").int("align_corners", 1)
        };
        check_import(&with("bicubic"), 16, cubic, &[]);
        check_import(&with("cubic"), 20, cubic, &[]);
        check_refused(&plain.text("mode", "area"), 20, "attribute \"mode\": \"area\" is no mode");
        let affine = node("AffineGrid", &["theta", "size"], &["y"]).int("align_corners", 1);
        check_import(&affine, 20, AffineGrid { align_corners: true }, &[]);
    }
}
