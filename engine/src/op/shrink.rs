//! Shrink: small numbers become zero, larger ones come closer to it. Put together from other operators.

use super::Binary;
use crate::onnx::{Fragment, ImportError, NodeView};

/// Shrink: `x + bias` below `-lambd`, `x - bias` above `lambd`, 0 between.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let (lambd, bias) = (node.float_or("lambd", 0.5)?, node.float_or("bias", 0.0)?);
    let mut f = Fragment::new();
    let x = f.input(0);
    let [lambd, bias, zero] = [lambd, bias, 0.0].map(|value| f.number(value, x));
    // The sign of `x + lambd` is exact, and unsigned numbers are never below.
    let sum = f.add(x, lambd);
    let below = f.step(Binary::Less, &[sum, zero]);
    let above = f.step(Binary::Less, &[lambd, x]);
    let (raised, lowered) = (f.add(x, bias), f.sub(x, bias));
    let upper = f.choose(above, lowered, zero);
    let y = f.choose(below, raised, upper);
    Ok(f.giving(y))
}
