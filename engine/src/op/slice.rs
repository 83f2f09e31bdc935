//! Parts of a tensor by begin, end and step.
//!
//! [`Taken::new`] is the one place that reads begin, end and step, for these facts and for the kernels;
//! [`Slice::resolve`] applies it to all axes. Neither touches an element.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, shape_error};
use super::{Inputs, Op, OpError, legacy};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `data, starts, ends, axes?, steps?`: as `data[start:end:step]` of numpy along each axis; see [`Taken::new`] for the one difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slice;

/// What a [`Slice`] takes along one dimension: `start`, `start + step`, ..., `count` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The first element; meaningless when there are none.
    pub start: usize,
    /// From one element to the next; negative walks backwards, never 0.
    pub step: i64,
    /// How many elements.
    pub count: usize,
}

impl Taken {
    /// What `start:end:step` takes of `extent` elements, after the rules of the standard: negative positions count from the end, all
    /// are brought into the range. They are those of numpy but for one: a walk backwards that would begin before the first element
    /// begins with it. `None` when the step is 0.
    pub fn new(extent: usize, start: i64, end: i64, step: i64) -> Option<Taken> {
        let length = i128::try_from(extent).unwrap_or(i128::MAX);
        let from_end = |position: i64| i128::from(position) + if position < 0 { length } else { 0 };
        // The begin and the place before or behind the last element that can be taken.
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let begin = from_end(start).min(high).max(0);
        let limit = from_end(end).clamp(low, high);
        let step_wide = i128::from(step);
        let count = match step {
            0 => return None,
            _ if extent == 0 => 0,
            1.. => (limit - begin + step_wide - 1).div_euclid(step_wide),
            _ => (begin - limit - step_wide - 1).div_euclid(-step_wide),
        };
        let count = usize::try_from(count.max(0)).ok()?;
        Some(Taken { start: usize::try_from(begin).unwrap_or(0), step, count })
    }

    /// All elements.
    pub fn all(extent: usize) -> Taken {
        Taken { start: 0, step: 1, count: extent }
    }
}

impl Slice {
    /// What is taken along each dimension of a tensor of these extents, from the values of the other inputs (empty axes stand for
    /// the first dimensions, empty steps for ones).
    pub fn resolve(
        extents: &[usize],
        starts: &[i64],
        ends: &[i64],
        axes: Option<&[i64]>,
        steps: Option<&[i64]>,
    ) -> Result<Vec<Taken>, OpError> {
        let positions = check_lists(extents.len(), starts, ends, axes, steps)?;
        let mut taken: Vec<Taken> = extents.iter().map(|extent| Taken::all(*extent)).collect();
        for (index, position) in positions.into_iter().enumerate() {
            let step = steps.map_or(1, |steps| steps[index]);
            taken[position] = take(position, extents[position], starts[index], ends[index], step)?;
        }
        Ok(taken)
    }
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "Slice"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(5, 1)?;
        let data = inputs.required(0)?;
        let starts = inputs.typed(1, &INDEX)?;
        let ends = inputs.typed(2, &INDEX)?;
        let axes = inputs.typed_optional(3, &INDEX)?;
        let steps = inputs.typed_optional(4, &INDEX)?;
        let Some(dims) = data.shape.dims() else { return rules::one(data.element, ShapeFact::unknown()) };
        // Of an optional input: not there, there with known values, or there with unknown ones.
        let values = |input: Option<&Fact>| match input {
            None => (true, None),
            Some(fact) => (false, fact.integers()),
        };
        let (all_axes, axes) = values(axes);
        let (all_ones, steps) = values(steps);
        let known =
            (starts.integers(), ends.integers(), all_axes || axes.is_some(), all_ones || steps.is_some());
        let shape = match known {
            (Some(starts), Some(ends), true, true) => {
                sliced(dims, &starts, &ends, axes.as_deref(), steps.as_deref())?
            }
            _ => blurred(dims, starts, all_axes, axes.as_deref())?,
        };
        rules::one(data.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1, 2, 3, 4]
    }
}

fn sliced(
    dims: &[Dim],
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Vec<Dim>, OpError> {
    let positions = check_lists(dims.len(), starts, ends, axes, steps)?;
    let mut shape = dims.to_vec();
    for (index, position) in positions.into_iter().enumerate() {
        let step = steps.map_or(1, |steps| steps[index]);
        let (start, end) = (starts[index], ends[index]);
        shape[position] = match &dims[position] {
            Dim::Fixed(extent) => Dim::Fixed(take(position, *extent, start, end, step)?.count),
            // From the first to beyond any last one: everything. Exporters write the largest i32 or i64.
            whole if start == 0 && step == 1 && end >= i64::from(i32::MAX) => whole.clone(),
            _ if start == 0 && end == 0 => Dim::Fixed(0),
            _ => Dim::Unknown,
        };
    }
    Ok(shape)
}

/// What is known when not all values are: the dimensions that are not sliced.
fn blurred(dims: &[Dim], starts: &Fact, all_axes: bool, axes: Option<&[i64]>) -> Result<Vec<Dim>, OpError> {
    let sliced = match (axes, rules::vector_len(starts)) {
        (Some(axes), _) => rules::axes_mask(axes, dims.len())?,
        (None, Some(count)) if all_axes => (0..dims.len()).map(|index| index < count).collect(),
        _ => alloc::vec![true; dims.len()],
    };
    let keep = |(dim, sliced): (&Dim, bool)| if sliced { Dim::Unknown } else { dim.clone() };
    Ok(dims.iter().zip(sliced).map(keep).collect())
}

fn take(position: usize, extent: usize, start: i64, end: i64, step: i64) -> Result<Taken, OpError> {
    Taken::new(extent, start, end, step)
        .ok_or_else(|| OpError::Shape(format!("the step along dimension {position} is 0")))
}

/// The positions of the axes; all lists have the same length.
fn check_lists(
    rank: usize,
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Vec<usize>, OpError> {
    let count = starts.len();
    let others = [Some(ends), axes, steps];
    if let Some(other) = others.into_iter().flatten().find(|list| list.len() != count) {
        return shape_error(format!("{count} starts, but {} ends, axes or steps", other.len()));
    }
    match axes {
        Some(axes) => {
            rules::axes_mask(axes, rank)?;
            axes.iter().map(|axis| rules::axis(*axis, rank)).collect()
        }
        None if count <= rank => Ok((0..count).collect()),
        None => shape_error(format!("{count} starts for {rank} dimensions")),
    }
}

/// Slice; before operator set 10 everything but the data was an attribute.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=5, 1..=1)?;
    let mut imported = Imported::with(Slice);
    for (position, name) in [(1, "starts"), (2, "ends"), (3, "axes")] {
        match node.ints(name)? {
            Some(values) => imported = imported.constant(position, legacy::int64s(&values)),
            None if position < 3 && !node.has_input(position) => {
                return Err(node.refuse(format!("{name} are missing")));
            }
            None => {}
        }
    }
    Ok(imported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn what_is_taken_is_what_the_standard_says() {
        let cases = [
            // extent, start, end, step: first, count
            (10, 2, 5, 1, 2, 3),
            (10, 0, i64::MAX, 1, 0, 10),
            (10, -3, i64::MAX, 1, 7, 3),
            (10, -30, -3, 1, 0, 7),
            (10, 8, 3, 1, 8, 0),
            (10, 1, 10, 3, 1, 3),
            (10, 20, 30, 1, 10, 0),
            (10, 9, 0, -1, 9, 9),
            (10, -1, i64::MIN, -1, 9, 10),
            (10, i64::MAX, i64::MIN, -3, 9, 4),
            (10, 3, 8, -1, 3, 0),
            (10, 0, -11, -1, 0, 1),
            (10, -30, -40, -1, 0, 1),
            (10, -30, 0, -1, 0, 0),
            (0, 0, i64::MAX, 1, 0, 0),
            (0, -1, i64::MIN, -1, 0, 0),
            (3, 0, 3, i64::MAX, 0, 1),
            (3, 2, i64::MIN, i64::MIN, 2, 1),
        ];
        for (extent, start, end, step, first, count) in cases {
            let taken = Taken::new(extent, start, end, step).unwrap();
            assert_eq!((taken.start, taken.count), (first, count), "{extent}[{start}:{end}:{step}]");
        }
        assert_eq!(Taken::new(3, 0, 1, 0), None);
    }

    #[test]
    fn extents_follow_from_constant_bounds() {
        let max = "i64{9223372036854775807}";
        let cases: &[(&[&str], &str)] = &[
            (&["f32[N, 10]", "i64{2}", "i64{5}", "i64{1}"], "f32[N, 3]"),
            (&["f32[4, 10]", "i64{0, 1}", "i64{2, -1}"], "f32[2, 8]"),
            (&["f32[N, 10]", "i64{-1}", "i64{-11}", "i64{1}", "i64{-2}"], "f32[N, 5]"),
            (&["f32[N, 10]", "i64{0}", max, "i64{0}"], "f32[N, 10]"),
            (&["f32[N, 10]", "i64{1}", max, "i64{0}"], "f32[?, 10]"),
            (&["f32[N, 10]", "i32{0}", "i32{2147483647}", "i32{0}"], "f32[N, 10]"),
            (&["f32[N, 10]", "i64[1]", "i64[1]", "i64{0}"], "f32[?, 10]"),
            (&["f32[N, 10]", "i64[1]", "i64[1]"], "f32[?, 10]"),
            (&["f32[N, 10]", "i64[1]", "i64[1]", "i64[1]"], "f32[?, ?]"),
            (&["f32[...]", "i64{0}", "i64{1}"], "f32[...]"),
            (&["f32[10]", "i64{0}", "i64{1}", "i64{1}"], "axis 1 does not exist in 1 dimensions"),
            (&["f32[10]", "i64{0, 0}", "i64{1, 1}", "i64{0, -1}"], "axis -1 is named twice"),
            (&["f32[10]", "i64{0}", "i64{1}", "i64{0}", "i64{0}"], "the step along dimension 0 is 0"),
            (&["f32[10]", "i64{0}", "i64{1, 2}"], "1 starts, but 2 ends, axes or steps"),
            (&["f32[10]", "i64{0, 0}", "i64{1, 2}"], "2 starts for 1 dimensions"),
            (&["f32[10]", "f32{0}", "i64{1}"], "input 1 is f32; i32 or i64 is needed"),
            (&["f32[10]", "i64{0}"], "input 2 is missing"),
        ];
        for (inputs, expect) in cases {
            check(Slice, inputs, expect);
        }
    }

    #[test]
    fn kernels_resolve_the_same_way() {
        let taken = Slice::resolve(&[4, 10], &[1], &[-1], Some(&[-1]), Some(&[2])).unwrap();
        assert_eq!(taken, [Taken::all(4), Taken { start: 1, step: 2, count: 4 }]);
    }

    #[test]
    fn bounds_were_attributes() {
        let old = node("Slice", &["x"], &["y"]).ints("starts", &[0]).ints("ends", &[3]);
        check_import(&old, 6, Slice, &["1: i64{0}", "2: i64{3}"]);
        check_import(&old.ints("axes", &[2]), 9, Slice, &["1: i64{0}", "2: i64{3}", "3: i64{2}"]);
        check_import(&node("Slice", &["x", "s", "e", "", "t"], &["y"]), 10, Slice, &[]);
        check_refused(&node("Slice", &["x"], &["y"]).ints("starts", &[0]), 6, "ends are missing");
    }
}
