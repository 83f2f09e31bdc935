//! Gelu as `com.microsoft` has it, with a bias or by shorter formulas. Put together from other operators.

use super::Unary;
use crate::onnx::{Fragment, ImportError, NodeView};

/// Gelu, BiasGelu (of the sum of two inputs) and FastGelu (with tanh; the second input may be left out).
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let (inputs, tanh) = match node.op_type() {
        "Gelu" => (1..=1, false),
        "BiasGelu" => (2..=2, false),
        _ => (1..=2, true),
    };
    node.counts(inputs, 1..=1)?;
    let mut f = Fragment::new();
    let mut x = f.input(0);
    if node.has_input(1) {
        let bias = f.input(1);
        x = f.add(x, bias);
    }
    let y = f.step(Unary::Gelu { tanh }, &[x]);
    Ok(f.giving(y))
}

/// QuickGelu: `x * sigmoid(alpha * x)`.
pub(crate) fn import_quick(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let alpha = node.float_or("alpha", 1.702)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let alpha = f.number(alpha, x);
    let inner = f.mul(x, alpha);
    let gate = f.step(Unary::Sigmoid, &[inner]);
    let y = f.mul(x, gate);
    Ok(f.giving(y))
}
