//! Pooling: a window slides over the spatial dimensions of `[N, C, spatial...]`, each channel for itself.
//!
//! The window is that of convolutions ([`Window`]); nothing of its arithmetic is repeated here.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, FLOAT_OR_BYTE, shape_error};
use super::{Binary, Inputs, Op, OpError, ReduceKind, Unary, Window, window};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `x`: the largest number in each window. Outputs `y, indices?`; the indices are i64 into the flattened `x`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Kernel (always given), strides, dilations and padding. Padding never wins.
    pub window: Window,
    /// Whether a last window that is only partly filled counts.
    pub ceil: bool,
    /// 0 when the indices count row by row, 1 when column by column.
    pub storage_order: i64,
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 2)?;
        let x = inputs.typed(0, &FLOAT_OR_BYTE)?;
        let shape = pooled(&self.window, self.ceil, &x.shape)?;
        let mut facts = rules::one(x.element, shape.clone())?;
        if inputs.outputs() > 1 {
            facts.push(Fact::new(ElementType::I64, shape));
        }
        Ok(facts)
    }
}

/// `x`: the mean of each window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AveragePool {
    /// Kernel (always given), strides, dilations and padding.
    pub window: Window,
    /// Whether a last window that is only partly filled counts.
    pub ceil: bool,
    /// Whether padding counts as zeros; otherwise the mean is over what lies inside `x`.
    pub count_include_pad: bool,
}

impl Op for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        rules::one(x.element, pooled(&self.window, self.ceil, &x.shape)?)
    }
}

/// `x`: the norm of each window: the root of the sum of powers of what lies inside `x`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LpPool {
    /// Kernel (always given), strides, dilations and padding.
    pub window: Window,
    /// Whether a last window that is only partly filled counts.
    pub ceil: bool,
    /// The power and the root, at least 1.
    pub p: u32,
}

impl Op for LpPool {
    fn name(&self) -> &'static str {
        "LpPool"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        rules::one(x.element, pooled(&self.window, self.ceil, &x.shape)?)
    }
}

/// `x`: one number for each channel, the spatial dimensions become ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GlobalPool {
    /// What is taken over the channel.
    pub kind: GlobalPoolKind,
}

/// What a [`GlobalPool`] takes over each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GlobalPoolKind {
    /// The mean.
    Average,
    /// The largest number.
    Max,
}

impl Op for GlobalPool {
    fn name(&self) -> &'static str {
        match self.kind {
            GlobalPoolKind::Average => "GlobalAveragePool",
            GlobalPoolKind::Max => "GlobalMaxPool",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let Some(dims) = x.shape.dims() else { return rules::one(x.element, ShapeFact::unknown()) };
        check_spatial(dims)?;
        let mut dims = dims.to_vec();
        dims[2..].fill(Dim::Fixed(1));
        rules::one(x.element, ShapeFact(Some(dims)))
    }
}

fn pooled(window: &Window, ceil: bool, x: &ShapeFact) -> Result<ShapeFact, OpError> {
    let Some(kernel) = &window.kernel else { return shape_error("kernel_shape is missing".into()) };
    let kernel: Vec<Dim> = kernel.iter().map(|extent| Dim::Fixed(*extent)).collect();
    let unknown = alloc::vec![Dim::Unknown; kernel.len() + 2];
    let x = x.dims().unwrap_or(&unknown);
    check_spatial(x)?;
    let mut dims = x[..2].to_vec();
    dims.extend(window.infer(&x[2..], &kernel, ceil)?);
    Ok(ShapeFact(Some(dims)))
}

fn check_spatial(dims: &[Dim]) -> Result<(), OpError> {
    if dims.len() > 2 {
        return Ok(());
    }
    shape_error(format!("pooling over {} dimensions; at least 3 are needed", dims.len()))
}

/// MaxPool.
pub(crate) fn import_max_pool(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=2)?;
    let storage_order = node.int_or("storage_order", 0)?;
    if !(0..=1).contains(&storage_order) {
        return Err(node.refuse_attribute("storage_order", format!("{storage_order} is neither 0 nor 1")));
    }
    let ceil = node.flag("ceil_mode", false)?;
    Ok(Imported::with(MaxPool { window: import_window(node)?, ceil, storage_order }))
}

/// AveragePool.
pub(crate) fn import_average_pool(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(average(node)?))
}

/// What the attributes of an AveragePool say.
pub(super) fn average(node: &NodeView<'_>) -> Result<AveragePool, ImportError> {
    Ok(AveragePool {
        window: import_window(node)?,
        ceil: node.flag("ceil_mode", false)?,
        count_include_pad: node.flag("count_include_pad", false)?,
    })
}

/// GlobalAveragePool and GlobalMaxPool.
pub(crate) fn import_global(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let kind = match node.op_type() {
        "GlobalMaxPool" => GlobalPoolKind::Max,
        _ => GlobalPoolKind::Average,
    };
    Ok(Imported::with(GlobalPool { kind }))
}

/// LpPool.
pub(crate) fn import_lp_pool(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let ceil = node.flag("ceil_mode", false)?;
    Ok(Imported::with(LpPool { window: import_window(node)?, ceil, p: power(node)? }))
}

/// GlobalLpPool: the norm of each channel, put together from other operators.
pub(crate) fn import_global_lp(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let p = power(node)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let channels = f.extents(x, 0, Some(2));
    let elements = f.count(x, 2, None);
    let shape = f.chain(&[channels, elements]);
    let flat = f.reshape(x, shape);
    let norm = match p {
        1 => f.reduce(ReduceKind::L1, flat, &[2]),
        2 => f.reduce(ReduceKind::L2, flat, &[2]),
        _ => {
            let (power, root) = (f.number(p as f32, x), f.number(1.0 / p as f32, x));
            let size = f.step(Unary::Abs, &[flat]);
            let powers = f.step(Binary::Pow, &[size, power]);
            let sum = f.reduce(ReduceKind::Sum, powers, &[2]);
            f.step(Binary::Pow, &[sum, root])
        }
    };
    // As many ones as there are spatial dimensions.
    let spatial = f.extents(x, 2, None);
    let zeros = f.sub(spatial, spatial);
    let one = f.ints(&[1]);
    let ones = f.add(zeros, one);
    let shape = f.chain(&[channels, ones]);
    let y = f.reshape(norm, shape);
    Ok(f.giving(y))
}

fn power(node: &NodeView<'_>) -> Result<u32, ImportError> {
    let p = node.int_or("p", 2)?;
    match u32::try_from(p) {
        Ok(p) if p > 0 => Ok(p),
        _ => Err(node.refuse_attribute("p", format!("{p} is out of range"))),
    }
}

fn import_window(node: &NodeView<'_>) -> Result<Window, ImportError> {
    let window = window::import(node)?;
    match window.kernel {
        Some(_) => Ok(window),
        None => Err(node.refuse_attribute("kernel_shape", "is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    fn window(kernel: &[usize], strides: &[usize]) -> Window {
        Window { kernel: Some(kernel.to_vec()), strides: strides.to_vec(), ..Window::default() }
    }

    #[test]
    fn pools_shrink_the_spatial_dimensions() {
        let max = |ceil| MaxPool { window: window(&[3, 3], &[2, 2]), ceil, storage_order: 0 };
        check(max(false), &["f32[1, 3, 8, 9]"], "f32[1, 3, 3, 4]");
        check(max(true), &["u8[1, 3, 8, 9]"], "u8[1, 3, 4, 4]");
        check(max(false), &["f32[N, C, H, 9]"], "f32[N, C, ?, 4] | i64[N, C, ?, 4]");
        check(max(false), &["f32[...]"], "f32[?, ?, ?, ?]");
        check(max(false), &["i32[1, 3, 8, 9]"], "input 0 is i32; a float type, i8 or u8 is needed");
        check(max(false), &["f32[1, 3, 8]"], "a kernel of 2 dimensions over 1 spatial dimensions");
        check(max(false), &["f32[1, 3]"], "pooling over 2 dimensions; at least 3 are needed");
        let average = AveragePool { window: window(&[2], &[]), ceil: false, count_include_pad: false };
        check(average.clone(), &["f16[1, 3, 8]"], "f16[1, 3, 7]");
        check(average, &["i8[1, 3, 8]"], "input 0 is i8; a float type is needed");
        let global = GlobalPool { kind: GlobalPoolKind::Average };
        check(global, &["f32[N, 3, H, W]"], "f32[N, 3, 1, 1]");
        check(global, &["f32[...]"], "f32[...]");
    }

    #[test]
    fn norms_of_windows() {
        let norm = LpPool { window: window(&[2], &[2]), ceil: true, p: 3 };
        check(norm.clone(), &["f32[N, 3, 5]"], "f32[N, 3, 3]");
        let plain = node("LpPool", &["x"], &["y"]).ints("kernel_shape", &[2]).ints("strides", &[2]);
        check_import(&plain.clone().int("p", 3).int("ceil_mode", 1), 18, norm, &[]);
        check_refused(&plain.int("p", 0), 18, "attribute \"p\": 0 is out of range");
    }

    #[test]
    fn pools_of_every_version_are_read() {
        let max = node("MaxPool", &["x"], &["y"]).ints("kernel_shape", &[2, 2]);
        let expect = MaxPool { window: window(&[2, 2], &[]), ceil: false, storage_order: 0 };
        check_import(&max, 6, expect.clone(), &[]);
        let new = max.clone().int("ceil_mode", 1).int("storage_order", 1).ints("dilations", &[2, 2]);
        let dilated = Window { dilations: alloc::vec![2, 2], ..window(&[2, 2], &[]) };
        check_import(&new, 12, MaxPool { window: dilated, ceil: true, storage_order: 1 }, &[]);
        check_refused(&max.int("storage_order", 2), 12, "attribute \"storage_order\": 2 is neither 0 nor 1");
        check_refused(&node("AveragePool", &["x"], &["y"]), 7, "attribute \"kernel_shape\": is missing");
        let average =
            node("AveragePool", &["x"], &["y"]).ints("kernel_shape", &[2]).int("count_include_pad", 1);
        let expect = AveragePool { window: window(&[2], &[]), ceil: false, count_include_pad: true };
        check_import(&average, 7, expect, &[]);
        check_import(
            &node("GlobalMaxPool", &["x"], &["y"]),
            6,
            GlobalPool { kind: GlobalPoolKind::Max },
            &[],
        );
    }
}
