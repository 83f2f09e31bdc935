//! Which scale and zero point belong to which element: one for all, one for each index of an axis, or one for each block.
//!
//! Seen from its axis a tensor is `[outer, axis, inner]`. Any range of its elements is cut into segments in which the scale
//! either stays the same or goes along with the elements.

use core::ops::Range;

use crate::kernel::arguments::{axis, form};
use crate::kernel::{BuildError, Operand};

/// The layout of scales. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scales {
    /// One for all.
    One,
    /// One for each index of the axis: its extent, and the elements inside it.
    Axis { extent: usize, inner: usize },
    /// One for each block of so many indices of the axis.
    Block { extent: usize, inner: usize, block: usize },
}

/// Elements and where their scale stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The elements.
    pub(crate) elements: Range<usize>,
    /// Position of the scale of the first.
    pub(crate) scale: usize,
    /// Whether every element has the next scale (or all the same).
    pub(crate) along: bool,
}

impl Scales {
    /// The layout of `scale` for `x`, and of `zero`, which must be as long as the scale.
    pub(crate) fn new(
        x: &Operand<'_>,
        scale: &Operand<'_>,
        zero: Option<&Operand<'_>>,
        given_axis: i64,
        block: usize,
    ) -> Result<Scales, BuildError> {
        let count = scale.shape.count();
        let wrong = || {
            form(alloc::format!(
                "a scale of {} for {}, axis {given_axis}, block {block}",
                scale.shape,
                x.shape
            ))
        };
        if zero.is_some_and(|zero| zero.shape.count() != count) {
            return Err(wrong());
        }
        if count == 1 {
            return Ok(Scales::One);
        }
        let axis = axis(given_axis, x.shape.rank())?;
        let (extent, inner) = (x.shape[axis], x.shape[axis + 1..].iter().product());
        let outer: usize = x.shape[..axis].iter().product();
        if block == 0 {
            return if count == extent { Ok(Scales::Axis { extent, inner }) } else { Err(wrong()) };
        }
        let fits = count == outer * extent.div_ceil(block) * inner;
        if fits { Ok(Scales::Block { extent, inner, block }) } else { Err(wrong()) }
    }

    /// The segments of a range of elements, in order.
    pub(crate) fn segments(self, range: Range<usize>) -> impl Iterator<Item = Segment> {
        let mut at = range.start;
        core::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let (len, scale, along) = self.segment(at);
            let elements = at..range.end.min(at.saturating_add(len));
            at = elements.end;
            Some(Segment { elements, scale, along })
        })
    }

    /// The elements from `at` on that are one segment, and their scale.
    fn segment(self, at: usize) -> (usize, usize, bool) {
        match self {
            Scales::One => (usize::MAX, 0, false),
            Scales::Axis { extent, inner: 1 } => (extent - at % extent, at % extent, true),
            Scales::Axis { extent, inner } => (inner - at % inner, at / inner % extent, false),
            Scales::Block { extent, inner: 1, block } => {
                let index = at % extent;
                let scale = at / extent * extent.div_ceil(block) + index / block;
                ((block - index % block).min(extent - index), scale, false)
            }
            Scales::Block { extent, inner, block } => {
                let (row, column) = (at / inner, at % inner);
                let scale = row / extent * extent.div_ceil(block) + row % extent / block;
                (inner - column, scale * inner + column, true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn scales(layout: Scales, count: usize, block: usize) -> Vec<usize> {
        let mut found = Vec::new();
        for start in (0..count).step_by(block) {
            for segment in layout.segments(start..(start + block).min(count)) {
                assert_eq!(segment.elements.start, found.len());
                let along = usize::from(segment.along);
                found.extend((0..segment.elements.len()).map(|step| segment.scale + step * along));
            }
        }
        found
    }

    #[test]
    fn any_range_finds_its_scales() {
        let cases: [(Scales, usize, &[usize]); 5] = [
            (Scales::One, 4, &[0; 4]),
            (Scales::Axis { extent: 2, inner: 3 }, 12, &[0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]),
            (Scales::Axis { extent: 3, inner: 1 }, 6, &[0, 1, 2, 0, 1, 2]),
            (Scales::Block { extent: 5, inner: 1, block: 2 }, 10, &[0, 0, 1, 1, 2, 3, 3, 4, 4, 5]),
            (Scales::Block { extent: 3, inner: 2, block: 2 }, 12, &[0, 1, 0, 1, 2, 3, 4, 5, 4, 5, 6, 7]),
        ];
        for (layout, count, wanted) in cases {
            for block in 1..=count {
                assert_eq!(scales(layout, count, block), wanted, "{layout:?} in blocks of {block}");
            }
        }
    }
}
