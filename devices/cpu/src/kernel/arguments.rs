//! What operators say in numbers: axes, and the integers of constant inputs, checked against the shapes.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::graph::Fact;
use inferry_engine::op::OpError;

use crate::kernel::{BuildError, Builder};

/// The dimension that `axis` means in a tensor of `rank` dimensions; negative ones count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, BuildError> {
    let wrapped = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    wrapped
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|axis| *axis < rank)
        .ok_or_else(|| form(format!("axis {axis} of a tensor of {rank} dimensions")))
}

/// A form of an operator that there is no kernel for.
pub(crate) fn form(what: impl Into<alloc::string::String>) -> BuildError {
    BuildError::Form(what.into())
}

/// Refuses an operand that does not broadcast to `output`.
pub(crate) fn broadcasts(operand: &Shape, output: &Shape) -> Result<(), BuildError> {
    let fits = operand.rank() <= output.rank()
        && operand.iter().rev().zip(output.iter().rev()).all(|(extent, wide)| *extent == 1 || extent == wide);
    if fits { Ok(()) } else { Err(form(format!("{operand} does not broadcast to {output}"))) }
}

/// What an operator says of inputs that do not fit it.
pub(crate) fn refused(error: OpError) -> BuildError {
    form(error.to_string())
}

/// The integers of input `index`, which must be constant; `None` when it is left out.
pub(crate) fn integers(node: &Builder<'_>, index: usize) -> Result<Option<Vec<i64>>, BuildError> {
    let Some(operand) = node.optional(index) else { return Ok(None) };
    let tensor = operand.constant.ok_or_else(|| form(format!("input {index} must be known beforehand")))?;
    Fact::constant(tensor.clone())
        .integers()
        .map(Some)
        .ok_or_else(|| form(format!("input {index} is {}, not integers", operand.element)))
}

/// The numbers of input `index` as `f32`, which must be constant floats; `None` when it is left out or empty.
pub(crate) fn floats(node: &Builder<'_>, index: usize) -> Result<Option<Vec<f32>>, BuildError> {
    let Some(operand) = node.optional(index) else { return Ok(None) };
    let tensor = operand.constant.ok_or_else(|| form(format!("input {index} must be known beforehand")))?;
    let values = as_f32(tensor).ok_or_else(|| form(format!("input {index} is {}", operand.element)))?;
    Ok(Some(values).filter(|values| !values.is_empty()))
}

fn as_f32(tensor: &Tensor) -> Option<Vec<f32>> {
    match tensor.element() {
        ElementType::F32 => tensor.to_vec::<f32>().ok(),
        ElementType::F64 => {
            Some(tensor.to_vec::<f64>().ok()?.into_iter().map(|value| value as f32).collect())
        }
        ElementType::F16 => Some(tensor.to_vec::<half::f16>().ok()?.into_iter().map(f32::from).collect()),
        _ => None,
    }
}

/// For each dimension whether it is in `axes`; all of them when `axes` is left out.
pub(crate) fn axis_set(axes: Option<&[i64]>, rank: usize) -> Result<Vec<bool>, BuildError> {
    let Some(axes) = axes else { return Ok(alloc::vec![true; rank]) };
    let mut set = alloc::vec![false; rank];
    for given in axes {
        set[axis(*given, rank)?] = true;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(axis(2, 3), Ok(2));
        assert_eq!(axis(-3, 3), Ok(0));
        for bad in [3, -4, i64::MIN, i64::MAX] {
            assert!(axis(bad, 3).is_err());
        }
        assert!(axis(0, 0).is_err());
    }
}
