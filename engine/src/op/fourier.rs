//! Discrete Fourier transforms, of whole signals and of windows that slide over them.
//!
//! Complex numbers are pairs: the last dimension of a signal has one element (real) or two (real and imaginary part).

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INDEX, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, length?, axis?`: the transform along an axis (that before the last, unless one is given) of the signal, cut or filled
/// up with zeros to the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dft {
    /// Whether the inverse is taken, which divides by the length.
    pub inverse: bool,
    /// Whether of a spectrum that is its own mirror image only the first half and the middle are there: the output's, or for
    /// the inverse the input's, whose output then is real.
    pub onesided: bool,
}

impl Op for Dft {
    fn name(&self) -> &'static str {
        "DFT"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let length = inputs.typed_optional(1, &INDEX)?;
        let axis = inputs.typed_optional(2, &INT64)?;
        rules::check_single(1, length)?;
        rules::check_single(2, axis)?;
        let Some(dims) = x.shape.dims() else { return rules::one(x.element, ShapeFact::unknown()) };
        let mut shape = dims.to_vec();
        let Some(last) = shape.last_mut() else {
            return shape_error("the transform of a scalar".into());
        };
        parts_of(0, last)?;
        *last = Dim::Fixed(if self.inverse && self.onesided { 1 } else { 2 });
        let axis = match axis {
            Some(axis) => first(axis),
            None => Some(-2),
        };
        match axis {
            Some(axis) => {
                let axis = transformed(axis, dims.len())?;
                let length = match length {
                    Some(length) => first(length).map(|length| self.given(length)).transpose()?,
                    None => dims[axis].fixed().map(|extent| self.natural(extent)).transpose()?,
                };
                shape[axis] = match length {
                    Some(length) => Dim::Fixed(self.extent(length)),
                    None if self.onesided || inputs.optional(1).is_some() => Dim::Unknown,
                    None => dims[axis].clone(),
                };
            }
            None => shape[..dims.len() - 1].fill(Dim::Unknown),
        }
        rules::one(x.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1, 2]
    }
}

impl Dft {
    /// How many numbers are transformed, of a signal of this extent along the axis.
    pub fn natural(&self, extent: usize) -> Result<usize, OpError> {
        let length = if self.inverse && self.onesided {
            extent.checked_sub(1).and_then(|half| half.checked_mul(2))
        } else {
            Some(extent)
        };
        match length {
            Some(length) if length > 0 => Ok(length),
            _ => shape_error(format!("the transform of {extent} elements")),
        }
    }

    /// How many numbers are transformed, where the model says so many.
    pub fn given(&self, length: i64) -> Result<usize, OpError> {
        match usize::try_from(length) {
            Ok(length) if length > 0 => Ok(length),
            _ => shape_error(format!("a transform of {length} elements")),
        }
    }

    /// The extent of the output when so many numbers are transformed.
    pub fn extent(&self, length: usize) -> usize {
        if self.onesided && !self.inverse { length / 2 + 1 } else { length }
    }
}

/// `signal: [N, length, 1 or 2], step, window?, frame length?`: the transforms of all frames, multiplied by the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stft {
    /// Whether only the first half of each spectrum is given, which is that of a real signal.
    pub onesided: bool,
}

impl Op for Stft {
    fn name(&self) -> &'static str {
        "STFT"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let signal = inputs.typed(0, &FLOAT)?;
        let step = inputs.typed(1, &INDEX)?;
        let window = inputs.alike_optional(2, signal)?;
        let frame = inputs.typed_optional(3, &INDEX)?;
        rules::check_single(1, Some(step))?;
        rules::check_single(3, frame)?;
        rules::check_rank_is(0, &signal.shape, 3)?;
        let [batch, length, parts] = match signal.shape.dims() {
            Some([batch, length, parts]) => [batch.clone(), length.clone(), parts.clone()],
            _ => [Dim::Unknown, Dim::Unknown, Dim::Unknown],
        };
        parts_of(0, &parts)?;
        if self.onesided && parts == Dim::Fixed(2) {
            return shape_error("one side of the spectrum of a complex signal is not all of it".into());
        }
        let mut frame = match (frame, window) {
            (Some(frame), _) => first(frame).map_or(Ok(Dim::Unknown), |frame| positive("a frame", frame))?,
            (None, Some(_)) => Dim::Unknown,
            (None, None) => length.clone(),
        };
        if let Some(window) = window {
            rules::check_vector(2, window, &frame)?;
            if let Some([extent]) = window.shape.dims() {
                frame = rules::unify_dim(&frame, extent)?;
            }
        }
        let step =
            first(step).map(|step| positive("a step", step)).transpose()?.and_then(|step| step.fixed());
        let (mut frames, mut bins) = (Dim::Unknown, Dim::Unknown);
        if let Some(frame) = frame.fixed() {
            bins = Dim::Fixed(if self.onesided { frame / 2 + 1 } else { frame });
            if let (Some(step), Some(length)) = (step, length.fixed()) {
                frames = Dim::Fixed(Stft::frames(length, frame, step)?);
            }
        }
        rules::one(signal.element, ShapeFact(Some(alloc::vec![batch, frames, bins, Dim::Fixed(2)])))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1, 3]
    }
}

impl Stft {
    /// How many frames fit into a signal.
    pub fn frames(length: usize, frame: usize, step: usize) -> Result<usize, OpError> {
        match length.checked_sub(frame) {
            Some(room) if frame > 0 && step > 0 => Ok(room / step + 1),
            _ => shape_error(format!("frames of {frame} elements, every {step}, of {length}")),
        }
    }
}

/// The number that a constant holds.
fn first(fact: &Fact) -> Option<i64> {
    fact.integers()?.first().copied()
}

fn positive(what: &str, number: i64) -> Result<Dim, OpError> {
    match usize::try_from(number) {
        Ok(number) if number > 0 => Ok(Dim::Fixed(number)),
        _ => shape_error(format!("{what} of {number} elements")),
    }
}

/// The axis of a transform, which is not that of the parts of complex numbers.
fn transformed(axis: i64, rank: usize) -> Result<usize, OpError> {
    let position = rules::axis(axis, rank)?;
    if position + 1 == rank {
        return shape_error(format!("axis {axis} holds the parts of complex numbers"));
    }
    Ok(position)
}

/// Refuses what are not the parts of real or complex numbers.
fn parts_of(input: usize, parts: &Dim) -> Result<(), OpError> {
    match parts.fixed() {
        Some(extent) if !(1..=2).contains(&extent) => {
            shape_error(format!("the last dimension of input {input} must be 1 or 2, not {extent}"))
        }
        _ => Ok(()),
    }
}

/// DFT; before operator set 20 the axis was an attribute, and the first behind the batch unless given.
pub(crate) fn import_dft(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=3, 1..=1)?;
    let imported = Imported::with(Dft {
        inverse: node.flag("inverse", false)?,
        onesided: node.flag("onesided", false)?,
    });
    if node.opset() >= 20 {
        return Ok(imported);
    }
    Ok(imported.constant(2, inferry_core::Tensor::scalar(node.int_or("axis", 1)?)))
}

/// STFT.
pub(crate) fn import_stft(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=4, 1..=1)?;
    Ok(Imported::with(Stft { onesided: node.flag("onesided", true)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn the_axis_has_the_length_of_the_transform() {
        let dft = |inverse, onesided| Dft { inverse, onesided };
        check(dft(false, false), &["f32[N, 10, 9, 1]"], "f32[N, 10, 9, 2]");
        check(dft(false, false), &["f32[1, N, 9, 2]", "", "i64(1)"], "f32[1, N, 9, 2]");
        check(dft(false, true), &["f32[1, 10, 9, 1]"], "f32[1, 10, 5, 2]");
        check(dft(false, true), &["f32[1, N, 1]", "i64(16)"], "f32[1, 9, 2]");
        check(dft(true, true), &["f32[1, 5, 2]"], "f32[1, 8, 1]");
        check(dft(true, true), &["f32[1, 5, 2]", "i32(9)"], "f32[1, 9, 1]");
        check(dft(false, true), &["f32[1, N, 1]"], "f32[1, ?, 2]");
        check(dft(false, false), &["f32[1, N, 1]", "i64[]"], "f32[1, ?, 2]");
        check(dft(false, false), &["f32[2, 3, 1]", "", "i64[]"], "f32[?, ?, 2]");
        check(dft(false, false), &["f32[...]"], "f32[...]");
        check(
            dft(false, false),
            &["f32[2, 3]", "", "i64(1)"],
            "the last dimension of input 0 must be 1 or 2, not 3",
        );
        check(
            dft(false, false),
            &["f32[2, 3, 2]", "", "i64(-1)"],
            "axis -1 holds the parts of complex numbers",
        );
        check(dft(false, false), &["f32[2, 3, 2]", "i64(0)"], "a transform of 0 elements");
        check(dft(false, false), &["f32[2, 0, 2]"], "the transform of 0 elements");
        check(dft(false, false), &["f32[]"], "the transform of a scalar");
    }

    #[test]
    fn frames_are_counted() {
        let stft = |onesided| Stft { onesided };
        check(stft(true), &["f32[1, 128, 1]", "i64(8)", "f32[16]"], "f32[1, 15, 9, 2]");
        check(stft(true), &["f32[N, L, 1]", "i64(8)", "", "i64(16)"], "f32[N, ?, 9, 2]");
        check(stft(false), &["f32[1, 128, 2]", "i64(8)", "f32[16]", "i64(16)"], "f32[1, 15, 16, 2]");
        check(stft(false), &["f32[1, 128, 1]", "i64(8)"], "f32[1, 1, 128, 2]");
        check(stft(false), &["f32[...]", "i64[]", "f32[16]"], "f32[?, ?, 16, 2]");
        let complex = "one side of the spectrum of a complex signal is not all of it";
        check(stft(true), &["f32[1, 128, 2]", "i64(8)", "f32[16]"], complex);
        let misfit = "input 2 must have 8 elements, not 16";
        check(stft(true), &["f32[1, 128, 1]", "i64(8)", "f32[16]", "i64(8)"], misfit);
        let short = "frames of 16 elements, every 8, of 12";
        check(stft(true), &["f32[1, 12, 1]", "i64(8)", "f32[16]"], short);
        check(stft(true), &["f32[1, 12, 1]", "i64(0)", "f32[4]"], "a step of 0 elements");
    }

    #[test]
    fn the_axis_was_an_attribute() {
        let old = node("DFT", &["x"], &["y"]);
        check_import(&old, 17, Dft { inverse: false, onesided: false }, &["2: i64(1)"]);
        let new = node("DFT", &["x", "", "axis"], &["y"]).int("inverse", 1).int("onesided", 1);
        check_import(&new, 20, Dft { inverse: true, onesided: true }, &[]);
        check_import(&node("STFT", &["x", "s", "w"], &["y"]), 17, Stft { onesided: true }, &[]);
    }
}
