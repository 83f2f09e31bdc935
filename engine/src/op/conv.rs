//! Convolutions: a window slides over the spatial dimensions, each place is one weighted sum over the channels.
//!
//! Data are `[N, C, spatial...]`, weights `[M, C / group, kernel...]` (transposed: `[C, M / group, kernel...]`). All that
//! depends on the window is in [`Window`], for these facts and for the kernels. Nothing is computed here.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;

use super::rules::{self, BYTE, FLOAT, INT32, shape_error};
use super::{Inputs, Op, OpError, Window, window};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, w, b?`: convolution (cross-correlation, as everybody calls it).
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
        rules::check_single(1, Some(inputs.typed(1, &FLOAT)?))?;
        rules::check_single(2, Some(inputs.alike(2, x)?))?;
        check_single_or_channels(4, Some(inputs.typed(4, &FLOAT)?), &shape)?;
        check_single_or_channels(5, Some(inputs.alike(5, w)?), &shape)?;
        rules::check_single(6, Some(inputs.typed(6, &FLOAT)?))?;
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
