//! Resampling: an image (or anything else) of other extents.
//!
//! [`Resize::resolve`] is the one place that computes output extents and scales from the inputs, for these facts and for
//! the kernels. Where in the input an output lies is the kernels' business.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::Tensor;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, FLOAT32, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, roi?, scales?, sizes?`: exactly one of scales and sizes is given, one number for each of `axes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    /// How an output is computed from the inputs around it.
    pub mode: ResizeMode,
    /// Where in the input an output lies.
    pub coordinates: CoordinateMode,
    /// Which neighbour [`ResizeMode::Nearest`] takes.
    pub nearest: NearestMode,
    /// Whether shrinking widens the filter, so that every input counts.
    pub antialias: bool,
    /// Whether neighbours outside the input get no weight instead of repeating the edge.
    pub exclude_outside: bool,
    /// The output outside the input, with [`CoordinateMode::TfCropAndResize`].
    pub extrapolation: f32,
    /// The axes that scales, sizes and region of interest speak of; all when `None`. Negative ones count from the end.
    pub axes: Option<Vec<i64>>,
    /// What `sizes` mean.
    pub keep_aspect: KeepAspect,
}

/// How an output is computed from the inputs around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ResizeMode {
    /// One neighbour.
    Nearest,
    /// Two neighbours along each axis.
    Linear,
    /// Four neighbours along each axis, by a cubic.
    Cubic {
        /// The steepness of the cubic; -0.75 by default.
        coeff_a: f32,
    },
}

/// Where in the input (of extent `i`) the output element `x` (of extent `o`, `s = o / i`) lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CoordinateMode {
    /// `(x + 0.5) / s - 0.5`.
    HalfPixel,
    /// As half-pixel, adjusted so that the centre of the image stays where it is although `s * i` was rounded.
    HalfPixelSymmetric,
    /// As half-pixel, but 0 when the output has one element.
    PytorchHalfPixel,
    /// `x * (i - 1) / (o - 1)`, 0 when the output has one element. Where scales are given, `o` is `s * i` before it is rounded
    /// down.
    AlignCorners,
    /// `x / s`.
    Asymmetric,
    /// Within the region of interest, given in parts of the extent.
    TfCropAndResize,
}

/// Which neighbour is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NearestMode {
    /// The nearer one, halves downwards.
    RoundPreferFloor,
    /// The nearer one, halves upwards.
    RoundPreferCeil,
    /// The one before.
    Floor,
    /// The one behind.
    Ceil,
    /// The one before along an axis that grows, the one behind along one that shrinks (operator set 10 and before).
    FloorOrCeil,
}

/// What the sizes of a [`Resize`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeepAspect {
    /// Exactly these extents.
    Stretch,
    /// One scale for all axes, so that no extent is larger than its size.
    NotLarger,
    /// One scale for all axes, so that no extent is smaller than its size.
    NotSmaller,
}

/// A [`Resize`] of an input of known extents. One entry for each dimension in each list.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Resampling {
    /// The extents of the output.
    pub output: Vec<usize>,
    /// Output by input, as the coordinates want it: what the model states, or the quotient of the extents. 1 for dimensions
    /// that stay.
    pub scales: Vec<f32>,
    /// The region of interest: begin and end in parts of the extent; 0 and 1 without one.
    pub roi: Vec<(f32, f32)>,
}

impl Resize {
    /// Output extents, scales and region from the values of the inputs; one of `scales` and `sizes` is there.
    pub fn resolve(
        &self,
        input: &[usize],
        roi: Option<&[f32]>,
        scales: Option<&[f32]>,
        sizes: Option<&[i64]>,
    ) -> Result<Resampling, OpError> {
        let positions = self.positions(input.len())?;
        let mut result = Resampling {
            output: input.to_vec(),
            scales: alloc::vec![1.0; input.len()],
            roi: alloc::vec![(0.0, 1.0); input.len()],
        };
        if let Some(roi) = roi.filter(|_| self.coordinates == CoordinateMode::TfCropAndResize) {
            check_count(1, "numbers", roi.len(), 2 * positions.len())?;
            for (index, position) in positions.iter().enumerate() {
                result.roi[*position] = (roi[index], roi[positions.len() + index]);
            }
        }
        match (scales, sizes) {
            (Some(scales), None) => {
                check_count(2, "scales", scales.len(), positions.len())?;
                for (scale, position) in scales.iter().zip(positions) {
                    let (begin, end) = result.roi[position];
                    result.output[position] = scaled(position, input[position], *scale, end - begin)?;
                    result.scales[position] = *scale;
                }
            }
            (None, Some(sizes)) => {
                check_count(3, "sizes", sizes.len(), positions.len())?;
                self.apply_sizes(input, &positions, &rules::extents(3, sizes)?, &mut result)?;
            }
            _ => return shape_error("either scales (input 2) or sizes (input 3) must be given".into()),
        }
        let mut extents = input.iter().zip(&result.output);
        if let Some(dim) = extents.position(|(input, output)| *input == 0 && *output > 0) {
            return shape_error(format!(
                "dimension {dim} is empty and has nothing to resize to {}",
                result.output[dim]
            ));
        }
        Ok(result)
    }

    fn apply_sizes(
        &self,
        input: &[usize],
        positions: &[usize],
        sizes: &[usize],
        result: &mut Resampling,
    ) -> Result<(), OpError> {
        let quotient = |index: usize| sizes[index] as f32 / input[positions[index]].max(1) as f32;
        let common = match self.keep_aspect {
            KeepAspect::Stretch => None,
            KeepAspect::NotLarger => (0..sizes.len()).map(quotient).min_by(f32::total_cmp),
            KeepAspect::NotSmaller => (0..sizes.len()).map(quotient).max_by(f32::total_cmp),
        };
        for (index, position) in positions.iter().copied().enumerate() {
            match common {
                Some(scale) => {
                    // The standard rounds here, halves upwards, where it cuts off for scales.
                    let extent = libm::floorf(scale * input[position] as f32 + 0.5);
                    result.output[position] = extent_from(position, extent)?;
                    result.scales[position] = scale;
                }
                None => {
                    result.output[position] = sizes[index];
                    result.scales[position] = quotient(index);
                }
            }
        }
        Ok(())
    }

    /// The dimensions that scales and sizes speak of.
    fn positions(&self, rank: usize) -> Result<Vec<usize>, OpError> {
        let Some(axes) = &self.axes else { return Ok((0..rank).collect()) };
        rules::axes_mask(axes, rank)?;
        axes.iter().map(|axis| rules::axis(*axis, rank)).collect()
    }

    /// The output when some extents are open or the values are not known.
    fn blurred(&self, dims: &[Dim], values: &Values) -> Result<Vec<Dim>, OpError> {
        let positions = self.positions(dims.len())?;
        let mut output = dims.to_vec();
        if let Some(scales) = &values.scales {
            check_count(2, "scales", scales.len(), positions.len())?;
        }
        if let Some(sizes) = &values.sizes {
            check_count(3, "sizes", sizes.len(), positions.len())?;
        }
        let cropped = self.coordinates == CoordinateMode::TfCropAndResize;
        for (index, position) in positions.into_iter().enumerate() {
            let scale = values.scales.as_ref().map(|scales| scales[index]);
            output[position] = match (&values.sizes, scale, &dims[position]) {
                (Some(sizes), ..) if self.keep_aspect == KeepAspect::Stretch => {
                    Dim::Fixed(rules::extents(3, &sizes[index..=index])?[0])
                }
                (None, Some(1.0), dim) if !cropped => dim.clone(),
                (None, Some(scale), Dim::Fixed(extent)) if !cropped => {
                    Dim::Fixed(scaled(position, *extent, scale, 1.0)?)
                }
                _ => Dim::Unknown,
            };
        }
        Ok(output)
    }
}

impl Op for Resize {
    fn name(&self) -> &'static str {
        "Resize"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let x = inputs.required(0)?;
        let values = Values::of(inputs)?;
        let Some(dims) = x.shape.dims() else { return rules::one(x.element, ShapeFact::unknown()) };
        let cropped = self.coordinates == CoordinateMode::TfCropAndResize;
        let known = values.known && (!cropped || values.roi.is_some());
        let shape = match x.shape.fixed().filter(|_| known) {
            Some(input) => {
                let (roi, scales) = (values.roi.as_deref(), values.scales.as_deref());
                self.resolve(&input, roi, scales, values.sizes.as_deref())?.output[..].into()
            }
            None => ShapeFact(Some(self.blurred(dims, &values)?)),
        };
        rules::one(x.element, shape)
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1, 2, 3]
    }
}

/// The values of the inputs that decide the extents, as far as they are known.
struct Values {
    roi: Option<Vec<f32>>,
    scales: Option<Vec<f32>>,
    sizes: Option<Vec<i64>>,
    /// Whether scales or sizes are known.
    known: bool,
}

/// Whether an input is there. An empty vector stands for one left out, as models of operator set 11 write it.
enum Given {
    Yes,
    No,
    /// It is there, but may be empty.
    Perhaps,
}

impl Given {
    fn of(input: Option<&Fact>) -> Given {
        match input.map(rules::vector_len) {
            None | Some(Some(0)) => Given::No,
            Some(Some(_)) => Given::Yes,
            Some(None) => Given::Perhaps,
        }
    }
}

impl Values {
    fn of(inputs: &Inputs<'_>) -> Result<Values, OpError> {
        let roi = inputs.typed_optional(1, &FLOAT)?.and_then(rules::reals);
        let scales = inputs.typed_optional(2, &FLOAT32)?;
        let sizes = inputs.typed_optional(3, &INT64)?;
        match (Given::of(scales), Given::of(sizes)) {
            (Given::Yes, Given::Yes) | (Given::No, Given::No) => {
                return shape_error("either scales (input 2) or sizes (input 3) must be given".into());
            }
            _ => {}
        }
        let filled = |fact: &&Fact| rules::vector_len(fact) != Some(0);
        let (scales, sizes) = (scales.filter(filled), sizes.filter(filled));
        let (scales, sizes) = (scales.and_then(rules::reals), sizes.and_then(Fact::integers));
        let known = scales.is_some() || sizes.is_some();
        Ok(Values { roi, scales, sizes, known })
    }
}

/// `floor(extent * share * scale)`.
fn scaled(position: usize, extent: usize, scale: f32, share: f32) -> Result<usize, OpError> {
    if scale.is_nan() || scale <= 0.0 {
        return shape_error(format!(
            "the scale of dimension {position} is {scale}; it must be greater than 0"
        ));
    }
    // In f32, as the peers do: the extents that models expect depend on the rounding.
    extent_from(position, libm::floorf(extent as f32 * share * scale))
}

fn extent_from(position: usize, extent: f32) -> Result<usize, OpError> {
    // Also refuses what is not a number.
    if !(extent >= 0.0 && extent <= u32::MAX as f32) {
        return shape_error(format!("dimension {position} would have {extent} elements"));
    }
    Ok(extent as usize)
}

fn check_count(input: usize, what: &str, given: usize, wanted: usize) -> Result<(), OpError> {
    if given == wanted {
        return Ok(());
    }
    shape_error(format!("input {input} has {given} {what}; {wanted} are needed"))
}

/// Resize. Before operator set 11 it had two inputs, data and scales, and one way to place the outputs.
pub(crate) fn import_resize(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    if node.opset() < 11 {
        node.counts(2..=2, 1..=1)?;
        return Ok(Imported::with(old(node)?).inputs_at(&[0, 2]));
    }
    node.counts(1..=4, 1..=1)?;
    let (coordinates, nearest) = placing(node)?;
    let axes = node.ints("axes")?;
    Ok(Imported::with(Resize {
        mode: mode(node)?,
        coordinates,
        nearest,
        antialias: node.flag("antialias", false)?,
        exclude_outside: node.flag("exclude_outside", false)?,
        extrapolation: node.float_or("extrapolation_value", 0.0)?,
        axes: axes.filter(|axes| !axes.is_empty()),
        keep_aspect: match node.text("keep_aspect_ratio_policy")? {
            None | Some("stretch") => KeepAspect::Stretch,
            Some("not_larger") => KeepAspect::NotLarger,
            Some("not_smaller") => KeepAspect::NotSmaller,
            Some(other) => return Err(unknown(node, "keep_aspect_ratio_policy", other)),
        },
    }))
}

/// Upsample, which Resize has taken the place of. Before operator set 9 the scales were an attribute, and before 7 two: of pictures.
pub(crate) fn import_upsample(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    let imported = Imported::with(old(node)?).inputs_at(&[0, 2]);
    let scales = match node.opset() {
        ..7 if node.has("height_scale") && node.has("width_scale") => {
            let scale = |name| node.float_or(name, 1.0);
            Some(alloc::vec![1.0, 1.0, scale("height_scale")?, scale("width_scale")?])
        }
        ..7 => None,
        _ => node.floats("scales")?,
    };
    match scales {
        Some(scales) => {
            let scales = Tensor::from_slice(&scales, [scales.len()]);
            Ok(imported.constant(2, scales.expect("as many values as the vector is long")))
        }
        None if node.has_input(1) => Ok(imported),
        None => Err(node.refuse("the scales are missing")),
    }
}

/// What Resize was before operator set 11, and Upsample.
fn old(node: &NodeView<'_>) -> Result<Resize, ImportError> {
    Ok(Resize {
        mode: mode(node)?,
        coordinates: CoordinateMode::Asymmetric,
        nearest: NearestMode::FloorOrCeil,
        antialias: false,
        exclude_outside: false,
        extrapolation: 0.0,
        axes: None,
        keep_aspect: KeepAspect::Stretch,
    })
}

fn mode(node: &NodeView<'_>) -> Result<ResizeMode, ImportError> {
    match node.text("mode")? {
        None | Some("nearest") => Ok(ResizeMode::Nearest),
        // Upsample 7 wrote the latter.
        Some("linear" | "bilinear") => Ok(ResizeMode::Linear),
        Some("cubic") => Ok(ResizeMode::Cubic { coeff_a: node.float_or("cubic_coeff_a", -0.75)? }),
        Some(other) => Err(unknown(node, "mode", other)),
    }
}

/// Where outputs lie, and which neighbour is the nearest.
fn placing(node: &NodeView<'_>) -> Result<(CoordinateMode, NearestMode), ImportError> {
    let nearest = match node.text("nearest_mode")? {
        None | Some("round_prefer_floor") => NearestMode::RoundPreferFloor,
        Some("round_prefer_ceil") => NearestMode::RoundPreferCeil,
        Some("floor") => NearestMode::Floor,
        Some("ceil") => NearestMode::Ceil,
        Some(other) => return Err(unknown(node, "nearest_mode", other)),
    };
    let attribute = "coordinate_transformation_mode";
    let coordinates = match node.text(attribute)? {
        None | Some("half_pixel") => CoordinateMode::HalfPixel,
        Some("half_pixel_symmetric") => CoordinateMode::HalfPixelSymmetric,
        Some("pytorch_half_pixel") => CoordinateMode::PytorchHalfPixel,
        Some("align_corners") => CoordinateMode::AlignCorners,
        Some("asymmetric") => CoordinateMode::Asymmetric,
        Some("tf_crop_and_resize") => CoordinateMode::TfCropAndResize,
        // (x + 0.5) / s, only in operator set 11: the floor of that is half-pixel, rounded with halves upwards.
        Some("tf_half_pixel_for_nn") if nearest == NearestMode::Floor => {
            return Ok((CoordinateMode::HalfPixel, NearestMode::RoundPreferCeil));
        }
        Some(other) => return Err(unknown(node, attribute, other)),
    };
    Ok((coordinates, nearest))
}

fn unknown(node: &NodeView<'_>, attribute: &str, value: &str) -> ImportError {
    node.refuse_attribute(attribute, format!("\"{value}\" is not supported"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    fn nearest() -> Resize {
        Resize {
            mode: ResizeMode::Nearest,
            coordinates: CoordinateMode::HalfPixel,
            nearest: NearestMode::RoundPreferFloor,
            antialias: false,
            exclude_outside: false,
            extrapolation: 0.0,
            axes: None,
            keep_aspect: KeepAspect::Stretch,
        }
    }

    fn on_axes(axes: &[i64]) -> Resize {
        Resize { axes: Some(axes.to_vec()), ..nearest() }
    }

    #[test]
    fn scales_or_sizes_decide_the_extents() {
        let cases: &[(Resize, &[&str], &str)] = &[
            (nearest(), &["f32[1, 3, 4, 5]", "", "f32{1, 1, 2, 2}"], "f32[1, 3, 8, 10]"),
            (nearest(), &["f32[1, 3, 4, 5]", "", "f32{1, 1, 0.6, 0.5}"], "f32[1, 3, 2, 2]"),
            (nearest(), &["u8[N, 3, H, 5]", "", "f32{1, 1, 2, 2}"], "u8[N, 3, ?, 10]"),
            (nearest(), &["f32[N, 3, H, W]", "", "", "i64{1, 3, 7, 9}"], "f32[1, 3, 7, 9]"),
            (on_axes(&[-1, 2]), &["f32[N, 3, H, W]", "", "", "i64{9, 7}"], "f32[N, 3, 7, 9]"),
            (nearest(), &["f32[1, 3, 4, 5]", "", "f32[4]"], "f32[?, ?, ?, ?]"),
            (on_axes(&[2]), &["f32[N, 3, 4, 5]", "", "f32[1]"], "f32[N, 3, ?, 5]"),
            (nearest(), &["f32[...]", "", "f32{1}"], "f32[...]"),
            (nearest(), &["f32[0, 4]", "", "f32{2, 2}"], "f32[0, 8]"),
            (
                nearest(),
                &["f32[4, 0]", "", "", "i64{4, 2}"],
                "dimension 1 is empty and has nothing to resize to 2",
            ),
            // An empty vector is an input left out.
            (nearest(), &["f32[4]", "f32{}", "f32{}", "i64{7}"], "f32[7]"),
            (nearest(), &["f32[4]", "", "", ""], "either scales (input 2) or sizes (input 3) must be given"),
            (
                nearest(),
                &["f32[4]", "", "f32{2}", "i64{8}"],
                "either scales (input 2) or sizes (input 3) must be given",
            ),
            (nearest(), &["f32[4]", "", "f32{2, 2}"], "input 2 has 2 scales; 1 are needed"),
            (nearest(), &["f32[N]", "", "", "i64{2, 2}"], "input 3 has 2 sizes; 1 are needed"),
            (
                nearest(),
                &["f32[4]", "", "f32{0}"],
                "the scale of dimension 0 is 0; it must be greater than 0",
            ),
            (
                nearest(),
                &["f32[4]", "", "f32{NaN}"],
                "the scale of dimension 0 is NaN; it must be greater than 0",
            ),
            (
                nearest(),
                &["f32[4]", "", "f32{1e30}"],
                "dimension 0 would have 4000000000000000000000000000000 elements",
            ),
            (nearest(), &["f32[4]", "", "", "i64{-1}"], "input 3 asks for an extent of -1"),
            (on_axes(&[1]), &["f32[4]", "", "f32{2}"], "axis 1 does not exist in 1 dimensions"),
            (on_axes(&[0, 0]), &["f32[4]", "", "f32{2, 2}"], "axis 0 is named twice"),
        ];
        for (op, inputs, expect) in cases {
            check(op.clone(), inputs, expect);
        }
    }

    #[test]
    fn one_scale_may_rule_all_axes() {
        let keep = |keep_aspect| Resize { keep_aspect, axes: Some(alloc::vec![0, 1]), ..nearest() };
        check(keep(KeepAspect::NotLarger), &["f32[2, 4]", "", "", "i64{7, 8}"], "f32[4, 8]");
        check(keep(KeepAspect::NotSmaller), &["f32[2, 4]", "", "", "i64{7, 8}"], "f32[7, 14]");
        check(keep(KeepAspect::NotLarger), &["f32[N, 4]", "", "", "i64{7, 8}"], "f32[?, ?]");
        let resampling = keep(KeepAspect::NotSmaller).resolve(&[2, 4], None, None, Some(&[7, 8])).unwrap();
        assert_eq!(resampling.scales, [3.5, 3.5]);
    }

    #[test]
    fn a_region_of_interest_counts_where_it_is_asked_for() {
        let crop = Resize { coordinates: CoordinateMode::TfCropAndResize, ..nearest() };
        check(crop.clone(), &["f32[4]", "f32{0.5, 1}", "f32{2}"], "f32[4]");
        check(crop.clone(), &["f32[4]", "f32[2]", "f32{2}"], "f32[?]");
        check(crop.clone(), &["f32[4]", "f32[2]", "", "i64{3}"], "f32[3]");
        check(nearest(), &["f32[4]", "f32{0.5, 1}", "f32{2}"], "f32[8]");
        let resampling = crop.resolve(&[4], Some(&[0.5, 1.0]), None, Some(&[3])).unwrap();
        assert_eq!(
            resampling,
            Resampling { output: alloc::vec![3], scales: alloc::vec![0.75], roi: alloc::vec![(0.5, 1.0)] }
        );
    }

    #[test]
    fn resize_of_every_version_is_read() {
        let old = node("Resize", &["x", "scales"], &["y"]).text("mode", "linear");
        let expect = Resize {
            mode: ResizeMode::Linear,
            coordinates: CoordinateMode::Asymmetric,
            nearest: NearestMode::FloorOrCeil,
            ..nearest()
        };
        check_import(&old, 10, expect.clone(), &[]);
        assert_eq!(
            old.import(10).unwrap().arrange(alloc::vec![Some("x"), Some("scales")]),
            [Some("x"), None, Some("scales")]
        );
        let upsample =
            node("Upsample", &["x"], &["y"]).text("mode", "bilinear").floats("scales", &[1.0, 2.0]);
        check_import(&upsample, 7, expect, &["2: f32{1.0, 2.0}"]);
        check_refused(&node("Upsample", &["x"], &["y"]), 7, "the scales are missing");
        check_refused(
            &node("Upsample", &["x"], &["y"]).float("height_scale", 2.0),
            6,
            "the scales are missing",
        );
        check_import(&node("Resize", &["x", "", "s"], &["y"]), 11, nearest(), &[]);
        let new = node("Resize", &["x", "", "", "sizes"], &["y"])
            .text("mode", "cubic")
            .text("coordinate_transformation_mode", "half_pixel_symmetric")
            .text("keep_aspect_ratio_policy", "not_larger")
            .ints("axes", &[2, 3])
            .int("antialias", 1)
            .int("exclude_outside", 1)
            .float("cubic_coeff_a", -0.5);
        let expect = Resize {
            mode: ResizeMode::Cubic { coeff_a: -0.5 },
            coordinates: CoordinateMode::HalfPixelSymmetric,
            antialias: true,
            exclude_outside: true,
            axes: Some(alloc::vec![2, 3]),
            keep_aspect: KeepAspect::NotLarger,
            ..nearest()
        };
        check_import(&new, 19, expect, &[]);
    }

    #[test]
    fn modes_that_are_not_known_are_named() {
        let resize = |attribute, value| node("Resize", &["x", "", "s"], &["y"]).text(attribute, value);
        for attribute in
            ["mode", "nearest_mode", "coordinate_transformation_mode", "keep_aspect_ratio_policy"]
        {
            let message = format!("attribute \"{attribute}\": \"odd\" is not supported");
            check_refused(&resize(attribute, "odd"), 19, &message);
        }
        let half = resize("coordinate_transformation_mode", "tf_half_pixel_for_nn");
        check_import(
            &half.clone().text("nearest_mode", "floor"),
            11,
            Resize { nearest: NearestMode::RoundPreferCeil, ..nearest() },
            &[],
        );
        assert!(half.import(11).is_err());
    }
}
