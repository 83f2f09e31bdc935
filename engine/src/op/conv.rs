//! Convolutions: a window slides over the spatial dimensions, each place is one weighted sum over the channels.
//!
//! Data are `[N, C, spatial...]`, weights `[M, C / group, kernel...]` (transposed: `[C, M / group, kernel...]`). All that
//! depends on the window is in [`Window`], for these facts and for the kernels. Nothing is computed here.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, BYTE, FLOAT, INT32, SCALE, shape_error};
use super::{Inputs, Op, OpError, Window, window};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, w, b?`: convolution (cross-correlation, as everybody calls it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Kernel, strides, dilations and padding.
    pub window: Window,
    /// Into how many independent groups the channels are split.
    pub group: usize,
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        "Conv"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let w = inputs.alike(1, x)?;
        let shape = convolved(&self.window, self.group, 1, &x.shape, &w.shape)?;
        check_channels(2, inputs.alike_optional(2, x)?, &shape)?;
        rules::one(x.element, shape)
    }
}

/// `x, w, b?`: the gradient of a convolution by its input, also called deconvolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvTranspose {
    /// Kernel, strides, dilations and padding; the padding is taken away from the output.
    pub window: Window,
    /// Into how many independent groups the channels are split.
    pub group: usize,
    /// Extents added to the end of each spatial dimension of the output; empty for zeros.
    pub output_padding: Vec<usize>,
    /// The spatial extents of the output, when the model states them; the padding then follows from them.
    pub output_shape: Option<Vec<usize>>,
}

impl Op for ConvTranspose {
    fn name(&self) -> &'static str {
        "ConvTranspose"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let w = inputs.alike(1, x)?;
        let shape = self.shape(&x.shape, &w.shape)?;
        check_channels(2, inputs.alike_optional(2, x)?, &shape)?;
        rules::one(x.element, shape)
    }
}

impl ConvTranspose {
    fn shape(&self, x: &ShapeFact, w: &ShapeFact) -> Result<ShapeFact, OpError> {
        let Some([x, w]) = paired(x, w)? else { return Ok(ShapeFact::unknown()) };
        if self.group == 0 {
            return shape_error("group is 0".into());
        }
        rules::unify_dim(&x[1], &w[0])?;
        if let Some(channels) = w[0].fixed().filter(|channels| channels % self.group != 0) {
            return shape_error(format!("{channels} channels do not split into {} groups", self.group));
        }
        let features = match w[1].fixed() {
            Some(share) => Dim::Fixed(share.checked_mul(self.group).ok_or_else(rules::too_large)?),
            None => Dim::Unknown,
        };
        let kernel = kernel_of(&self.window, &w[2..])?;
        let mut dims = alloc::vec![x[0].clone(), features];
        let stated = self.output_shape.as_deref();
        dims.extend(self.window.infer_transposed(&x[2..], &kernel, &self.output_padding, stated)?);
        Ok(ShapeFact(Some(dims)))
    }
}

/// `x, w, x_zero_point?, w_zero_point?`: convolution of 8-bit integers into i32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvInteger {
    /// Kernel, strides, dilations and padding.
    pub window: Window,
    /// Into how many independent groups the channels are split.
    pub group: usize,
}

impl Op for ConvInteger {
    fn name(&self) -> &'static str {
        "ConvInteger"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let x = inputs.typed(0, &BYTE)?;
        let w = inputs.typed(1, &BYTE)?;
        rules::check_single(2, inputs.alike_optional(2, x)?)?;
        let shape = convolved(&self.window, self.group, 1, &x.shape, &w.shape)?;
        check_single_or_channels(3, inputs.alike_optional(3, w)?, &shape)?;
        rules::one(ElementType::I32, shape)
    }
}

/// `x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, b?`: convolution of quantized numbers into
/// quantized numbers. The bias is i32 in units of `x_scale * w_scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QLinearConv {
    /// Kernel, strides, dilations and padding.
    pub window: Window,
    /// Into how many independent groups the channels are split.
    pub group: usize,
}

impl Op for QLinearConv {
    fn name(&self) -> &'static str {
        "QLinearConv"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(9, 1)?;
        let x = inputs.typed(0, &BYTE)?;
        let w = inputs.typed(3, &BYTE)?;
        let zero = inputs.typed(7, &BYTE)?;
        let shape = convolved(&self.window, self.group, 3, &x.shape, &w.shape)?;
        rules::check_single(1, Some(inputs.typed(1, &SCALE)?))?;
        rules::check_single(2, Some(inputs.alike(2, x)?))?;
        check_single_or_channels(4, Some(inputs.typed(4, &SCALE)?), &shape)?;
        check_single_or_channels(5, Some(inputs.alike(5, w)?), &shape)?;
        rules::check_single(6, Some(inputs.typed(6, &SCALE)?))?;
        rules::check_single(7, Some(zero))?;
        check_channels(8, inputs.typed_optional(8, &INT32)?, &shape)?;
        rules::one(zero.element, shape)
    }
}

/// The shape of a convolution of `x` with weights `w`, which are input `input`.
fn convolved(
    window: &Window,
    group: usize,
    input: usize,
    x: &ShapeFact,
    w: &ShapeFact,
) -> Result<ShapeFact, OpError> {
    let Some([x, w]) = paired(x, w)? else { return Ok(ShapeFact::unknown()) };
    if group == 0 {
        return shape_error("group is 0".into());
    }
    if let (Some(channels), Some(share)) = (x[1].fixed(), w[1].fixed())
        && share.checked_mul(group) != Some(channels)
    {
        return shape_error(format!(
            "input 0 has {channels} channels; input {input} takes {share} in each of {group} groups"
        ));
    }
    if let Some(features) = w[0].fixed().filter(|features| features % group != 0) {
        return shape_error(format!("{features} output channels do not split into {group} groups"));
    }
    let kernel = kernel_of(window, &w[2..])?;
    let mut dims = alloc::vec![x[0].clone(), w[0].clone()];
    dims.extend(window.infer(&x[2..], &kernel, false)?);
    Ok(ShapeFact(Some(dims)))
}

/// The dimensions of data and weights, when either is known; the other is then unknown dimensions of the same number.
fn paired(x: &ShapeFact, w: &ShapeFact) -> Result<Option<[Vec<Dim>; 2]>, OpError> {
    let Some(rank) = x.rank().or(w.rank()) else { return Ok(None) };
    let dims = |shape: &ShapeFact| shape.dims().map_or(alloc::vec![Dim::Unknown; rank], <[Dim]>::to_vec);
    let (x, w) = (dims(x), dims(w));
    if rank < 3 || x.len() != w.len() {
        return shape_error(format!(
            "data of {} and weights of {} dimensions; both must have the same number, at least 3",
            x.len(),
            w.len()
        ));
    }
    Ok(Some([x, w]))
}

/// The extents of the kernel, from the weights and from the attribute, which must agree.
fn kernel_of(window: &Window, weights: &[Dim]) -> Result<Vec<Dim>, OpError> {
    let Some(stated) = &window.kernel else { return Ok(weights.to_vec()) };
    if stated.len() != weights.len() {
        return shape_error(format!(
            "kernel_shape has {} extents, the weights have {}",
            stated.len(),
            weights.len()
        ));
    }
    stated.iter().zip(weights).map(|(extent, dim)| rules::unify_dim(&Dim::Fixed(*extent), dim)).collect()
}

/// Refuses a vector that has not one element for each output channel.
fn check_channels(input: usize, vector: Option<&Fact>, shape: &ShapeFact) -> Result<(), OpError> {
    let (Some(vector), Some(dims)) = (vector, shape.dims()) else { return Ok(()) };
    rules::check_vector(input, vector, &dims[1])
}

/// As [`check_channels`], but one number for all is fine too.
fn check_single_or_channels(input: usize, vector: Option<&Fact>, shape: &ShapeFact) -> Result<(), OpError> {
    if rules::check_single(input, vector).is_ok() { Ok(()) } else { check_channels(input, vector, shape) }
}

/// Conv.
pub(crate) fn import_conv(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=1)?;
    Ok(Imported::with(Conv { window: window::import(node)?, group: node.count_or("group", 1)? }))
}

/// ConvTranspose.
pub(crate) fn import_conv_transpose(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=1)?;
    let output_shape = node.extents("output_shape")?;
    Ok(Imported::with(ConvTranspose {
        window: window::import(node)?,
        group: node.count_or("group", 1)?,
        output_padding: node.extents("output_padding")?,
        output_shape: (!output_shape.is_empty()).then_some(output_shape),
    }))
}

/// ConvInteger.
pub(crate) fn import_conv_integer(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=4, 1..=1)?;
    Ok(Imported::with(ConvInteger { window: window::import(node)?, group: node.count_or("group", 1)? }))
}

/// QLinearConv.
pub(crate) fn import_qlinear_conv(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(8..=9, 1..=1)?;
    Ok(Imported::with(QLinearConv { window: window::import(node)?, group: node.count_or("group", 1)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};
    use crate::op::{Padding, Window};

    fn window(strides: &[usize], pads: &[usize]) -> Window {
        let padding = Padding::Explicit(pads.to_vec());
        Window { strides: strides.to_vec(), padding, ..Window::default() }
    }

    #[test]
    fn convolutions_know_their_output() {
        let plain = |group| Conv { window: Window::default(), group };
        let padded = Conv { window: window(&[], &[1, 1, 1, 1]), group: 1 };
        let cases = [
            (plain(1), ["f32[2, 3, 8, 9]", "f32[5, 3, 3, 2]", "f32[5]"], "f32[2, 5, 6, 8]"),
            (plain(1), ["f16[N, 3, 8]", "f16[5, 3, 3]", ""], "f16[N, 5, 6]"),
            (plain(3), ["f32[1, 3, 8]", "f32[6, 1, 1]", ""], "f32[1, 6, 8]"),
            (plain(1), ["f32[1, 3, H]", "f32[6, 3, 3]", ""], "f32[1, 6, ?]"),
            // A window that keeps every extent keeps their names, too.
            (padded.clone(), ["f32[1, 3, H, W]", "f32[6, 3, 3, 3]", ""], "f32[1, 6, H, W]"),
            (padded, ["f32[1, 3, H, W]", "f32[6, 3, ?, 3]", ""], "f32[1, 6, ?, W]"),
            (plain(1), ["f32[...]", "f32[6, 3, 3]", ""], "f32[?, 6, ?]"),
            (plain(1), ["f32[...]", "f32[...]", ""], "f32[...]"),
            (
                plain(1),
                ["f32[1, 4, 8]", "f32[6, 3, 3]", ""],
                "input 0 has 4 channels; input 1 takes 3 in each of 1 groups",
            ),
            (plain(2), ["f32[1, 2, 8]", "f32[5, 1, 3]", ""], "5 output channels do not split into 2 groups"),
            (plain(0), ["f32[1, 2, 8]", "f32[5, 1, 3]", ""], "group is 0"),
            (plain(1), ["f32[1, 3, 8]", "f32[5, 3, 3]", "f32[4]"], "input 2 must have 5 elements, not 4"),
            (
                plain(1),
                ["f32[1, 3, 8]", "f32[5, 3, 3]", "f32[5, 1]"],
                "input 2 must be a vector, its shape is [5, 1]",
            ),
            (
                plain(1),
                ["f32[1, 3]", "f32[5, 3]", ""],
                "data of 2 and weights of 2 dimensions; both must have the same number, at least 3",
            ),
            (plain(1), ["i32[1, 3, 8]", "i32[5, 3, 3]", ""], "input 0 is i32; a float type is needed"),
        ];
        for (op, inputs, expect) in cases {
            check(op, &inputs, expect);
        }
        let stated = Window { kernel: Some(alloc::vec![2]), ..Window::default() };
        check(
            Conv { window: stated, group: 1 },
            &["f32[1, 3, 8]", "f32[5, 3, 3]"],
            "extents 2 and 3 must be equal",
        );
    }

    #[test]
    fn transposed_convolutions_know_their_output() {
        let plain = |group| ConvTranspose {
            window: window(&[2, 2], &[]),
            group,
            output_padding: alloc::vec![0, 1],
            output_shape: None,
        };
        check(plain(1), &["f32[1, 3, 4, 4]", "f32[3, 5, 2, 2]", "f32[5]"], "f32[1, 5, 8, 9]");
        check(plain(3), &["f32[1, 3, H, 4]", "f32[3, 5, 2, 2]"], "f32[1, 15, ?, 9]");
        check(plain(1), &["f32[1, 4, 4, 4]", "f32[3, 5, 2, 2]"], "extents 4 and 3 must be equal");
        check(plain(2), &["f32[1, 3, 4, 4]", "f32[3, 5, 2, 2]"], "3 channels do not split into 2 groups");
        let stated = ConvTranspose { output_shape: Some(alloc::vec![9, 9]), ..plain(1) };
        check(stated, &["f32[N, 3, H, W]", "f32[3, 5, 2, 2]"], "f32[N, 5, 9, 9]");
    }

    #[test]
    fn integer_convolutions_check_their_zero_points() {
        let integer = ConvInteger { window: Window::default(), group: 1 };
        check(integer.clone(), &["u8[1, 3, 8]", "i8[5, 3, 3]", "u8[]", "i8[5]"], "i32[1, 5, 6]");
        check(integer.clone(), &["u8[1, 3, 8]", "i8[5, 3, 3]"], "i32[1, 5, 6]");
        check(
            integer.clone(),
            &["u8[1, 3, 8]", "i8[5, 3, 3]", "i8[]"],
            "input 2 is i8; it must have the same type as the input before",
        );
        check(
            integer,
            &["u8[1, 3, 8]", "i8[5, 3, 3]", "u8[]", "i8[4]"],
            "input 3 must have 5 elements, not 4",
        );
        let linear = || QLinearConv { window: Window::default(), group: 1 };
        let mut inputs =
            ["u8[1, 3, 8]", "f32[]", "u8[]", "i8[5, 3, 3]", "f32[5]", "i8[5]", "f32[]", "i8[]", "i32[5]"];
        check(linear(), &inputs, "i8[1, 5, 6]");
        check(linear(), &inputs[..8], "i8[1, 5, 6]");
        inputs[4] = "f32[4]";
        check(linear(), &inputs, "input 4 must have 5 elements, not 4");
        inputs[4] = "f32[]";
        inputs[8] = "f32[5]";
        check(linear(), &inputs, "input 8 is f32; i32 is needed");
    }

    #[test]
    fn attributes_become_the_window() {
        let conv = node("Conv", &["x", "w", "b"], &["y"]).int("group", 2).ints("strides", &[2, 2]);
        let pads = conv.ints("pads", &[1, 1, 1, 1]);
        check_import(&pads, 6, Conv { window: window(&[2, 2], &[1, 1, 1, 1]), group: 2 }, &[]);
        let transpose = node("ConvTranspose", &["x", "w"], &["y"]).ints("output_padding", &[1, 1]);
        let expect = ConvTranspose {
            window: Window::default(),
            group: 1,
            output_padding: alloc::vec![1, 1],
            output_shape: None,
        };
        check_import(&transpose, 11, expect.clone(), &[]);
        let stated = ConvTranspose { output_shape: Some(alloc::vec![9, 9]), ..expect };
        check_import(&transpose.ints("output_shape", &[9, 9]), 11, stated, &[]);
        check_refused(
            &node("Conv", &["x", "w"], &["y"]).int("group", -1),
            11,
            "attribute \"group\": -1 is negative",
        );
        check_refused(&node("QLinearConv", &["x", "s"], &["y"]), 10, "2 inputs where 8 to 9 are wanted");
    }
}
