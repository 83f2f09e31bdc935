//! Products of matrices, in floats, integers and quantized numbers.
//!
//! One rule gives the shape of all of them, numpy's; Gemm alone knows only matrices. How the numbers are accumulated is the
//! kernels' business.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, BYTE, SCALE, WIDE, shape_error};
use super::{Inputs, MoveAxis, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `a, b`: as numpy's `matmul`: the last two dimensions are matrices, those before broadcast; a vector counts as a row
/// on the left and as a column on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MatMul;

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let a = inputs.typed(0, &WIDE)?;
        let b = inputs.alike(1, a)?;
        rules::one(a.element, multiplied(&a.shape, &b.shape)?)
    }
}

/// `a, b, c?`: `alpha * a' * b' + beta * c` of two matrices, `c` broadcast to the result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gemm {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `c`.
    pub beta: f32,
    /// Whether `a` is `[K, M]` instead of `[M, K]`.
    pub trans_a: bool,
    /// Whether `b` is `[N, K]` instead of `[K, N]`.
    pub trans_b: bool,
}

impl Op for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let a = inputs.typed(0, &WIDE)?;
        let b = inputs.alike(1, a)?;
        let [rows, inner_a] = matrix(0, &a.shape, self.trans_a)?;
        let [inner_b, columns] = matrix(1, &b.shape, self.trans_b)?;
        check_inner(&inner_a, &inner_b)?;
        let shape = ShapeFact(Some(alloc::vec![rows, columns]));
        if let Some(c) = inputs.alike_optional(2, a)? {
            rules::broadcasts_to(2, &c.shape, &shape)?;
        }
        rules::one(a.element, shape)
    }
}

/// `a, b, a_zero_point?, b_zero_point?`: [`MatMul`] of 8-bit integers into i32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MatMulInteger;

impl Op for MatMulInteger {
    fn name(&self) -> &'static str {
        "MatMulInteger"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let a = inputs.typed(0, &BYTE)?;
        let b = inputs.typed(1, &BYTE)?;
        inputs.alike_optional(2, a)?;
        inputs.alike_optional(3, b)?;
        rules::one(ElementType::I32, multiplied(&a.shape, &b.shape)?)
    }
}

/// `a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point`: [`MatMul`] of quantized numbers into quantized
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QLinearMatMul;

impl Op for QLinearMatMul {
    fn name(&self) -> &'static str {
        "QLinearMatMul"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(8, 1)?;
        let a = inputs.typed(0, &BYTE)?;
        let b = inputs.typed(3, &BYTE)?;
        for scale in [1, 4, 6] {
            inputs.typed(scale, &SCALE)?;
        }
        inputs.alike(2, a)?;
        inputs.alike(5, b)?;
        let zero = inputs.typed(7, &BYTE)?;
        rules::one(zero.element, multiplied(&a.shape, &b.shape)?)
    }
}

/// The shape of numpy's `matmul`.
fn multiplied(a: &ShapeFact, b: &ShapeFact) -> Result<ShapeFact, OpError> {
    for (input, shape) in [a, b].into_iter().enumerate() {
        if shape.rank() == Some(0) {
            return shape_error(format!("input {input} is a scalar; a vector or matrix is needed"));
        }
    }
    let (Some(a), Some(b)) = (a.dims(), b.dims()) else { return Ok(ShapeFact::unknown()) };
    let (lead_a, row, inner_a) = match a {
        [inner] => (&a[..0], None, inner),
        [lead @ .., row, inner] => (lead, Some(row), inner),
        [] => return Ok(ShapeFact::unknown()),
    };
    let (lead_b, inner_b, column) = match b {
        [inner] => (&b[..0], inner, None),
        [lead @ .., inner, column] => (lead, inner, Some(column)),
        [] => return Ok(ShapeFact::unknown()),
    };
    check_inner(inner_a, inner_b)?;
    let lead = rules::broadcast([&ShapeFact(Some(lead_a.to_vec())), &ShapeFact(Some(lead_b.to_vec()))])?;
    let mut dims = lead.0.unwrap_or_default();
    dims.extend(row.cloned());
    dims.extend(column.cloned());
    Ok(ShapeFact(Some(dims)))
}

/// Rows and columns of a matrix, exchanged if it is transposed.
fn matrix(input: usize, shape: &ShapeFact, transposed: bool) -> Result<[Dim; 2], OpError> {
    match shape.dims() {
        None => Ok([Dim::Unknown, Dim::Unknown]),
        Some([rows, columns]) if transposed => Ok([columns.clone(), rows.clone()]),
        Some([rows, columns]) => Ok([rows.clone(), columns.clone()]),
        Some(_) => shape_error(format!("input {input} must be a matrix, its shape is {shape}")),
    }
}

fn check_inner(a: &Dim, b: &Dim) -> Result<(), OpError> {
    match (a.fixed(), b.fixed()) {
        (Some(a), Some(b)) if a != b => {
            shape_error(format!("the rows of input 0 have {a} elements, the columns of input 1 have {b}"))
        }
        _ => Ok(()),
    }
}

/// MatMul.
pub(crate) fn import_matmul(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(MatMul))
}

/// Gemm. The `broadcast` of operator set 6 only forbade what is allowed always since.
pub(crate) fn import_gemm(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=1)?;
    Ok(Imported::with(Gemm {
        alpha: node.float_or("alpha", 1.0)?,
        beta: node.float_or("beta", 1.0)?,
        trans_a: node.flag("transA", false)?,
        trans_b: node.flag("transB", false)?,
    }))
}

/// MatMulInteger.
pub(crate) fn import_matmul_integer(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=4, 1..=1)?;
    Ok(Imported::with(MatMulInteger))
}

/// QLinearMatMul.
pub(crate) fn import_qlinear_matmul(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(8..=8, 1..=1)?;
    Ok(Imported::with(QLinearMatMul))
}

/// FusedMatMul of `com.microsoft`: factors turned first, the product multiplied by a number. Where the batch is turned too,
/// the first dimension of a factor is that of its matrices.
pub(crate) fn import_fused(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let mut f = Fragment::new();
    let mut factors = [f.input(0), f.input(1)];
    for (factor, side) in factors.iter_mut().zip(["A", "B"]) {
        if node.flag(&format!("transBatch{side}"), false)? {
            *factor = f.step(MoveAxis { from: 0, to: -2 }, &[*factor]);
        }
        if node.flag(&format!("trans{side}"), false)? {
            *factor = f.step(MoveAxis { from: -1, to: -2 }, &[*factor]);
        }
    }
    let mut y = f.step(MatMul, &factors);
    let alpha = node.float_or("alpha", 1.0)?;
    if alpha != 1.0 {
        let alpha = f.number(alpha, y);
        y = f.mul(y, alpha);
    }
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn matrices_multiply_as_in_numpy() {
        let cases = [
            (["f32[2, 3]", "f32[3, 4]"], "f32[2, 4]"),
            (["f32[N, M, 3]", "f32[3, 4]"], "f32[N, M, 4]"),
            (["f32[5, 1, 2, 3]", "f32[7, 3, 4]"], "f32[5, 7, 2, 4]"),
            (["f32[3]", "f32[3, 4]"], "f32[4]"),
            (["f32[2, 3]", "f32[3]"], "f32[2]"),
            (["f32[3]", "f32[3]"], "f32[]"),
            (["f32[5, 2, 3]", "f32[3]"], "f32[5, 2]"),
            (["f32[2, K]", "f32[3, 4]"], "f32[2, 4]"),
            (["f32[...]", "f32[3, 4]"], "f32[...]"),
            (["i32[2, 3]", "i32[3, 4]"], "i32[2, 4]"),
            (
                ["f32[2, 3]", "f32[4, 4]"],
                "the rows of input 0 have 3 elements, the columns of input 1 have 4",
            ),
            (["f32[]", "f32[3, 4]"], "input 0 is a scalar; a vector or matrix is needed"),
            (["f32[2, 2, 3]", "f32[3, 3, 4]"], "[2] does not broadcast with [3]"),
            (
                ["i8[2, 3]", "i8[3, 4]"],
                "input 0 is i8; a float type or an integer type of 32 or 64 bits is needed",
            ),
        ];
        for (inputs, expect) in cases {
            check(MatMul, &inputs, expect);
        }
    }

    #[test]
    fn gemm_multiplies_matrices_and_adds_what_broadcasts() {
        let plain = Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
        let both = Gemm { trans_a: true, trans_b: true, ..plain };
        check(plain, &["f32[N, 3]", "f32[3, 4]", "f32[4]"], "f32[N, 4]");
        check(both, &["f32[3, 2]", "f32[4, 3]"], "f32[2, 4]");
        check(plain, &["f32[...]", "f32[3, 4]"], "f32[?, 4]");
        check(
            plain,
            &["f32[2, 3]", "f32[3, 4]", "f32[3]"],
            "input 2 of shape [3] does not broadcast to [2, 4]",
        );
        check(plain, &["f32[2, 3, 1]", "f32[3, 4]"], "input 0 must be a matrix, its shape is [2, 3, 1]");
        let gemm = node("Gemm", &["a", "b", "c"], &["y"]).float("alpha", 0.5).int("transB", 1);
        let expect = Gemm { alpha: 0.5, trans_b: true, ..plain };
        check_import(&gemm.clone().int("broadcast", 1), 6, expect, &[]);
        check_import(&gemm, 13, expect, &[]);
    }

    #[test]
    fn integer_products_give_i32_or_the_type_of_the_zero_point() {
        check(MatMulInteger, &["u8[2, 3]", "i8[3, 4]", "u8[]", "i8[4]"], "i32[2, 4]");
        check(
            MatMulInteger,
            &["u8[2, 3]", "i8[3, 4]", "i8[]"],
            "input 2 is i8; it must have the same type as the input before",
        );
        let mut inputs = ["u8[2, 3]", "f32[]", "u8[]", "i8[3, 4]", "f32[]", "i8[]", "f32[]", "i8[]"];
        check(QLinearMatMul, &inputs, "i8[2, 4]");
        inputs[7] = "";
        check(QLinearMatMul, &inputs, "input 7 is missing");
    }
}
