//! MaxUnpool: what MaxPool has picked, back where it stood.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INT64, shape_error};
use super::{Inputs, Op, OpError, Pad, PadMode, Padding, Window};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, NodeView};
use crate::op::window;

/// `x, indices`: zeros with each element of `x` at the position that its index gives in the flattened output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxUnpool {
    /// The window of the MaxPool; its padding is explicit and there are no dilations.
    pub window: Window,
}

impl Op for MaxUnpool {
    fn name(&self) -> &'static str {
        "MaxUnpool"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let indices = inputs.typed(1, &INT64)?;
        let Some(dims) = x.shape.dims() else { return rules::one(x.element, ShapeFact::unknown()) };
        if let Some(others) = indices.shape.dims() {
            if others.len() != dims.len() {
                return shape_error(format!("{} indices for an input of {}", indices.shape, x.shape));
            }
            dims.iter().zip(others).try_for_each(|(a, b)| rules::unify_dim(a, b).map(drop))?;
        }
        let kernel = self.window.kernel.as_deref().unwrap_or_default();
        if dims.len() != kernel.len() + 2 {
            return shape_error(format!("a kernel of {} dimensions for {}", kernel.len(), x.shape));
        }
        let mut shape = dims[..2].to_vec();
        for (axis, dim) in dims[2..].iter().enumerate() {
            shape.push(match dim.fixed() {
                Some(extent) => Dim::Fixed(self.extent(axis, extent)?),
                None => Dim::Unknown,
            });
        }
        rules::one(x.element, ShapeFact(Some(shape)))
    }
}

impl MaxUnpool {
    /// What `(extent - 1) * stride + kernel - padding` is.
    fn extent(&self, axis: usize, extent: usize) -> Result<usize, OpError> {
        let kernel = self.window.kernel.as_deref().unwrap_or_default();
        let pads: &[usize] = match &self.window.padding {
            Padding::Explicit(pads) => pads,
            _ => &[],
        };
        let pad = |index: usize| pads.get(index).copied().unwrap_or(0);
        let stride = self.window.strides.get(axis).copied().unwrap_or(1);
        let Some(before) = extent.checked_sub(1) else { return Ok(0) };
        let reach = before.checked_mul(stride).and_then(|reach| reach.checked_add(kernel[axis]));
        let cut = pad(axis).checked_add(pad(kernel.len() + axis));
        let extent = reach.zip(cut).and_then(|(reach, cut)| reach.checked_sub(cut));
        extent.ok_or_else(|| OpError::Shape(format!("spatial dimension {axis} has no extent left")))
    }
}

/// MaxUnpool. With an output shape, what is unpooled stands in its first corner.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=3, 1..=1)?;
    let window = window::import(node)?;
    if window.kernel.is_none() {
        return Err(node.refuse_attribute("kernel_shape", "is missing"));
    }
    let mut f = Fragment::new();
    let (x, indices) = (f.input(0), f.input(1));
    let mut y = f.step(MaxUnpool { window }, &[x, indices]);
    if node.has_input(2) {
        let wanted = f.input(2);
        let own = f.extents(y, 0, None);
        let after = f.sub(wanted, own);
        let before = f.sub(own, own);
        let pads = f.chain(&[before, after]);
        y = f.step(Pad { mode: PadMode::Constant }, &[y, pads]);
    }
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn the_window_is_undone() {
        let window = |strides: &[usize], pads: &[usize]| Window {
            kernel: Some([2, 3].into()),
            strides: strides.into(),
            padding: Padding::Explicit(pads.into()),
            ..Window::default()
        };
        let plain = MaxUnpool { window: window(&[2, 2], &[]) };
        check(plain.clone(), &["f32[1, 1, 2, 2]", "i64[1, 1, 2, 2]"], "f32[1, 1, 4, 5]");
        check(plain.clone(), &["f32[N, 1, H, 2]", "i64[...]"], "f32[N, 1, ?, 5]");
        let padded = MaxUnpool { window: window(&[], &[1, 0, 0, 1]) };
        check(padded, &["f32[1, 1, 2, 2]", "i64[1, 1, 2, 2]"], "f32[1, 1, 2, 3]");
        let all = MaxUnpool { window: window(&[], &[9, 0, 0, 0]) };
        check(all, &["f32[1, 1, 2, 2]", "i64[1, 1, 2, 2]"], "spatial dimension 0 has no extent left");
        check(plain, &["f32[1, 1, 2, 2]", "i64[1, 1, 2, 3]"], "extents 2 and 3 must be equal");
    }
}
