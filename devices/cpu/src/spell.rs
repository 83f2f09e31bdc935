//! Strings between a tensor as it was bound and the numbers that stand for them in a run, a piece at a time.
//!
//! What `transfer` is to numbers this is to strings, of which none lies where a kernel could use it: those of inputs are
//! numbered before the first step, those of outputs spelled out after the last.

use inferry_core::ElementType;
use inferry_core::request::Bound;
use inferry_core::tensor::Layout;

use crate::kernel::fault::Fault;
use crate::text::{Text, Texts};
use crate::transfer::Transfer;

/// Numbers the next strings of an input; true when there are more.
pub(crate) fn number(
    bound: &Bound,
    numbers: &mut [Text],
    transfer: &mut Transfer,
    texts: &mut Texts,
) -> Result<bool, Fault> {
    let tensor = bound.tensor();
    let Some(range) = transfer.some_of(tensor.len()) else { return Ok(false) };
    let first = tensor.offset() / ElementType::String.size();
    for at in range.clone() {
        numbers[at] = texts.add(&bound.strings()[first + position(tensor.layout(), at)])?;
    }
    Ok(range.end < tensor.len())
}

/// Spells out the next strings of an output; true when there are more.
///
/// # Errors
/// The length of a string for which there is no memory.
pub(crate) fn out(
    numbers: &[Text],
    bound: &mut Bound,
    transfer: &mut Transfer,
    texts: &Texts,
) -> Result<bool, usize> {
    let (layout, count) = (bound.tensor().layout().clone(), bound.tensor().len());
    let Some(range) = transfer.some_of(count) else { return Ok(false) };
    let first = bound.tensor().offset() / ElementType::String.size();
    let strings = bound.strings_mut();
    for at in range.clone() {
        let (from, to) = (texts.get(numbers[at]), &mut strings[first + position(&layout, at)]);
        to.clear();
        to.try_reserve(from.len()).map_err(|_| from.len())?;
        to.push_str(from);
    }
    Ok(range.end < count)
}

/// Where element `index` in row-major order lies, in strings from the first.
fn position(layout: &Layout, mut index: usize) -> usize {
    let mut at = 0;
    for (extent, stride) in layout.shape().iter().zip(layout.strides()).rev() {
        at += index % extent * stride;
        index /= extent;
    }
    at / ElementType::String.size()
}
