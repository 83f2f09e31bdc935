//! Constants of signal processing: windows of cosines, and the weights of the mel scale.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INDEX, shape_error};
use super::{Inputs, Op, OpError, Range, Unary};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, NodeView};

/// `bins, length, rate, low, high`: the weights `[length / 2 + 1, bins]` that sum the lines of a spectrum of `length` points
/// into `bins` overlapping triangles, evenly spaced on the mel scale between two frequencies. The output is f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MelWeightMatrix;

impl Op for MelWeightMatrix {
    fn name(&self) -> &'static str {
        "MelWeightMatrix"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(5, 1)?;
        let count = |index: usize, what: &str| {
            let fact = inputs.typed(index, &INDEX)?;
            rules::check_single(index, Some(fact))?;
            match fact.integers().as_deref() {
                Some([value]) => match usize::try_from(*value) {
                    Ok(value) => Ok(Some(value)),
                    Err(_) => shape_error(format!("input {index} asks for {value} {what}")),
                },
                _ => Ok(None),
            }
        };
        let (bins, length) = (count(0, "bins")?, count(1, "points")?);
        count(2, "samples a second")?;
        for index in [3, 4] {
            rules::check_single(index, Some(inputs.typed(index, &FLOAT)?))?;
        }
        let dim = |extent: Option<usize>| extent.map_or(Dim::Unknown, Dim::Fixed);
        let shape = [dim(length.map(|length| length / 2 + 1)), dim(bins)];
        rules::product(&shape)?;
        rules::one(ElementType::F32, ShapeFact(Some(shape.into())))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[0, 1]
    }
}

/// MelWeightMatrix.
pub(crate) fn import_mel(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(5..=5, 1..=1)?;
    let to = node.element("output_datatype")?.unwrap_or(ElementType::F32);
    let mut f = Fragment::new();
    let inputs = [0, 1, 2, 3, 4].map(|index| f.input(index));
    let weights = f.step(MelWeightMatrix, &inputs);
    let y = f.cast(weights, to);
    Ok(f.giving(y))
}

/// HannWindow, HammingWindow and BlackmanWindow: `a - b cos(t) + c cos(2t)`, with `t` once round the circle. A periodic
/// window stops one step before it is round.
pub(crate) fn import_window(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let [a, b, c] = match node.op_type() {
        "HannWindow" => [0.5, 0.5, 0.0],
        "HammingWindow" => [25.0 / 46.0, 1.0 - 25.0 / 46.0, 0.0],
        _ => [0.42, 0.5, 0.08],
    };
    let to = node.element("output_datatype")?.unwrap_or(ElementType::F32);
    let periodic = node.flag("periodic", true)?;
    let mut f = Fragment::new();
    let size = f.input(0);
    // In f64, so that what should be nearly nothing at the edges is.
    let size = f.cast(size, ElementType::F64);
    let (zero, one) = (f.scalar(0.0f64), f.scalar(1.0f64));
    let positions = f.step(Range, &[zero, size, one]);
    let round = if periodic { size } else { f.sub(size, one) };
    let circle = f.scalar(core::f64::consts::TAU);
    let step = f.div(circle, round);
    let angles = f.mul(positions, step);
    let mut y = f.scalar(a);
    for (factor, times) in [(-b, 1.0), (c, 2.0)] {
        let (factor, times) = (f.scalar(factor), f.scalar(times));
        let angles = f.mul(angles, times);
        let wave = f.step(Unary::Cos, &[angles]);
        let wave = f.mul(wave, factor);
        y = f.add(y, wave);
    }
    let y = f.cast(y, to);
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn bins_and_lines_are_extents() {
        let mel = |bins, length| [bins, length, "i64(8192)", "f32(0)", "f32(4096)"];
        check(MelWeightMatrix, &mel("i64(8)", "i32(16)"), "f32[9, 8]");
        check(MelWeightMatrix, &mel("i64[]", "i64(16)"), "f32[9, ?]");
        check(MelWeightMatrix, &mel("i64(-1)", "i64(16)"), "input 0 asks for -1 bins");
        check(MelWeightMatrix, &mel("f32(8)", "i64(16)"), "input 0 is f32; i32 or i64 is needed");
        let absurd = mel("i64(9223372036854775807)", "i64(9223372036854775807)");
        check(MelWeightMatrix, &absurd, "the number of elements overflows");
    }
}
