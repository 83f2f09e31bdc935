//! Layouts: where each element lies, as a shape and the distance in bytes between neighbours of each dimension.
//!
//! A layout is arithmetic: it knows no storage and no element type, only the size of an element. Every layout that this
//! module makes keeps two promises on which the views and copies lean: no two elements overlap, and going through the
//! elements in row-major order goes forward through memory. So there are no transposed, broadcast or reversed layouts;
//! the kernels of a device have their own index arithmetic for those.
//!
//! Elements smaller than a byte have a layout of their own kind: *packed*, always dense, two elements a byte. It has no strides,
//! and no regions.

use alloc::boxed::Box;
use core::ops::Range;

use heapless::Vec;

use super::element::ElementType;
use super::shape::{MAX_RANK, Shape};

/// A shape with the stride of each dimension, in bytes. Strides are never negative, and all 0 when elements are packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Shape,
    strides: Vec<usize, MAX_RANK>,
    packed: bool,
}

/// Strides or a region that do not describe elements inside the storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// Not one stride or range a dimension.
    #[error("{given} strides or ranges for {rank} dimensions")]
    Rank {
        /// How many were given.
        given: usize,
        /// How many dimensions there are.
        rank: usize,
    },
    /// A stride that lets elements overlap or lie off their alignment.
    #[error(
        "stride {stride} of dimension {dim} is less than {least} bytes or no multiple of the element's {element_size}"
    )]
    Stride {
        /// The dimension.
        dim: usize,
        /// The stride that was given, in bytes.
        stride: usize,
        /// The least stride that keeps elements apart, in bytes.
        least: usize,
        /// Bytes of an element.
        element_size: usize,
    },
    /// The number of bytes overflows.
    #[error("shape {shape} with these strides reaches further than memory can be addressed")]
    TooLarge {
        /// The shape.
        shape: Shape,
    },
    /// A range beyond the extent, or one that ends before it begins.
    #[error("range {start}..{end} of dimension {dim} does not lie within its extent {extent}")]
    Range {
        /// The dimension.
        dim: usize,
        /// Begin of the range.
        start: usize,
        /// End of the range.
        end: usize,
        /// The extent of the dimension.
        extent: usize,
    },
    /// There is no such dimension.
    #[error("there is no dimension {dim}; there are {rank}")]
    Dimension {
        /// The dimension that was asked for.
        dim: usize,
        /// How many dimensions there are.
        rank: usize,
    },
    /// Cuts along an inner dimension: the parts are disjoint but their bytes alternate.
    #[error(
        "parts cut along dimension {dim} of shape {shape} interleave in memory; cut along the outermost dimension"
    )]
    Interleaved {
        /// The dimension to cut.
        dim: usize,
        /// The shape.
        shape: Shape,
    },
    /// Strides, a region, or another kind of layout for elements that share bytes.
    #[error("elements of 4 bits share bytes: they have no strides and no regions")]
    Packed,
    /// A copy between different shapes.
    #[error("elements of shape {from} cannot be copied to shape {to}")]
    Shapes {
        /// Shape of the source.
        from: Box<Shape>,
        /// Shape of the destination.
        to: Box<Shape>,
    },
    /// The elements would reach beyond the storage.
    #[error("the layout needs {needed} bytes, the storage has {available}")]
    Storage {
        /// Bytes from the first to the end of the last element.
        needed: usize,
        /// Bytes there are.
        available: usize,
    },
}

impl Layout {
    /// Row-major, without gaps, for elements of this type. `None` when the number of bytes overflows.
    pub fn of(element: ElementType, shape: Shape) -> Option<Layout> {
        if !element.is_packed() {
            return Layout::dense(shape, element.size());
        }
        element.bytes(shape.checked_len()?)?;
        let strides = core::iter::repeat_n(0, shape.rank()).collect();
        Some(Layout { shape, strides, packed: true })
    }

    /// Row-major, without gaps. `None` when the number of bytes overflows. For packed elements see [`Layout::of`].
    pub fn dense(shape: Shape, element_size: usize) -> Option<Layout> {
        let count = shape.checked_len()?;
        count.checked_mul(element_size).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let mut strides = Vec::from_slice(&shape).ok()?;
        let mut stride = element_size;
        for (slot, extent) in strides.iter_mut().zip(shape.iter()).rev() {
            *slot = stride;
            // Saturates only in an empty shape, where no stride is ever followed.
            stride = stride.saturating_mul((*extent).max(1));
        }
        Some(Layout { shape, strides, packed: false })
    }

    /// A layout with strides in bytes. Each must be a multiple of `element_size` and at least what the dimensions
    /// within it take up, so that elements neither overlap nor run backwards.
    pub fn strided(shape: Shape, strides: &[usize], element_size: usize) -> Result<Layout, LayoutError> {
        if strides.len() != shape.rank() {
            return Err(LayoutError::Rank { given: strides.len(), rank: shape.rank() });
        }
        let mut least = element_size;
        let mut span = element_size;
        for (dim, (extent, stride)) in shape.iter().zip(strides).enumerate().rev() {
            if *stride < least || stride % element_size != 0 {
                return Err(LayoutError::Stride { dim, stride: *stride, least, element_size });
            }
            let too_large = || LayoutError::TooLarge { shape: shape.clone() };
            least = stride.checked_mul((*extent).max(1)).ok_or_else(too_large)?;
            let reach = stride.checked_mul(extent.saturating_sub(1)).ok_or_else(too_large)?;
            span = span
                .checked_add(reach)
                .filter(|bytes| *bytes <= isize::MAX as usize)
                .ok_or_else(too_large)?;
        }
        let strides = strides.iter().copied().collect();
        Ok(Layout { shape, strides, packed: false })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Bytes between neighbours of each dimension.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Bytes from the first element to the end of the last; 0 when there are none.
    pub fn span(&self, element_size: usize) -> usize {
        if self.shape.contains(&0) {
            return 0;
        }
        if self.packed {
            return self.shape.count().div_ceil(2);
        }
        let last: usize =
            self.shape.iter().zip(&self.strides).map(|(extent, stride)| (extent - 1) * stride).sum();
        last + element_size
    }

    /// True when the elements lie row-major without gaps. Dimensions of extent 1 do not count; an empty tensor is dense.
    pub fn is_dense(&self, element_size: usize) -> bool {
        if self.shape.contains(&0) || self.packed {
            return true;
        }
        let mut stride = element_size;
        for (extent, actual) in self.shape.iter().zip(&self.strides).rev() {
            if *extent == 1 {
                continue;
            }
            if *actual != stride {
                return false;
            }
            stride *= extent;
        }
        true
    }

    /// True when elements share bytes.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// Bytes from the first element to the one at `index`; `None` when the index has another rank or lies outside. Of a packed
    /// element, to the byte that it shares.
    #[inline]
    pub fn offset_of(&self, index: &[usize]) -> Option<usize> {
        if index.len() != self.shape.rank() {
            return None;
        }
        let mut offset = 0;
        for ((at, extent), stride) in index.iter().zip(self.shape.iter()).zip(&self.strides) {
            if at >= extent {
                return None;
            }
            offset = if self.packed { offset * extent + at } else { offset + at * stride };
        }
        Some(if self.packed { offset / 2 } else { offset })
    }

    /// The part of each dimension within its range, with the same strides, and the bytes from this layout's first
    /// element to the part's. An empty range gives an empty part, which begins where this layout does.
    pub fn region(&self, ranges: &[Range<usize>]) -> Result<(Layout, usize), LayoutError> {
        if ranges.len() != self.shape.rank() {
            return Err(LayoutError::Rank { given: ranges.len(), rank: self.shape.rank() });
        }
        let mut region = self.clone();
        for (dim, (range, slot)) in ranges.iter().zip(region.shape.iter_mut()).enumerate() {
            let Range { start, end } = *range;
            if start > end || end > *slot {
                return Err(LayoutError::Range { dim, start, end, extent: *slot });
            }
            *slot = end - start;
        }
        if region.shape.contains(&0) {
            return Ok((region, 0));
        }
        if self.packed && region.shape != self.shape {
            return Err(LayoutError::Packed);
        }
        let offset = ranges.iter().zip(&self.strides).map(|(range, stride)| range.start * stride).sum();
        Ok((region, offset))
    }

    /// This layout with other extents, none larger than in `limits`, and any number of leading dimensions of extent 1
    /// before them. `None` when the extents do not fit so.
    pub(super) fn within(&self, limits: &Shape, shape: &Shape, element_size: usize) -> Option<Layout> {
        if self.packed {
            return None;
        }
        let leading = shape.rank().checked_sub(limits.rank())?;
        let (ones, extents) = shape.split_at(leading);
        if ones.iter().any(|one| *one != 1)
            || extents.iter().zip(limits.iter()).any(|(new, limit)| new > limit)
        {
            return None;
        }
        // The dimensions of the limits are the last ones of this layout: earlier calls only put ones before them.
        let inner = &self.strides[self.strides.len() - limits.rank()..];
        let outer = inner
            .first()
            .zip(limits.first())
            .map_or(element_size, |(stride, limit)| stride.saturating_mul((*limit).max(1)));
        let strides = core::iter::repeat_n(outer, leading).chain(inner.iter().copied()).collect();
        Some(Layout { shape: shape.clone(), strides, packed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn layout(shape: &[usize], strides: &[usize], size: usize) -> Result<Layout, LayoutError> {
        Layout::strided(Shape::new(shape).unwrap(), strides, size)
    }

    #[test]
    fn dense_strides_are_those_of_row_major_order() {
        let cases: [(&[usize], usize, &[usize]); 5] = [
            (&[4, 3, 2], 4, &[24, 8, 4]),
            (&[], 8, &[]),
            (&[0], 2, &[2]),
            (&[2, 0, 3], 1, &[3, 3, 1]),
            (&[1, 1, 5], 4, &[20, 20, 4]),
        ];
        for (shape, size, strides) in cases {
            let dense = Layout::dense(Shape::new(shape).unwrap(), size).unwrap();
            assert_eq!(dense.strides(), strides, "{shape:?}");
            assert!(dense.is_dense(size), "{shape:?}");
            assert_eq!(dense.span(size), shape.iter().product::<usize>() * size, "{shape:?}");
        }
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        assert_eq!(Layout::dense([usize::MAX, 2].into(), 1), None);
        assert_eq!(Layout::dense([usize::MAX / 4].into(), 4), None);
        assert!(Layout::dense([usize::MAX, 0, usize::MAX].into(), 8).is_some());
        assert!(matches!(layout(&[2, 3], &[usize::MAX - 3, 4], 4), Err(LayoutError::TooLarge { .. })));
        assert!(matches!(
            layout(&[1 << 20], &[1 << (usize::BITS - 10)], 4),
            Err(LayoutError::TooLarge { .. })
        ));
    }

    #[test]
    fn strides_are_checked_one_by_one() {
        // Of shape [2, 3, 4] with elements of 4 bytes; the dense strides are [48, 16, 4].
        let ok: [&[usize]; 4] = [&[48, 16, 4], &[96, 32, 8], &[48, 16, 4], &[1000, 100, 20]];
        for strides in ok {
            assert_eq!(layout(&[2, 3, 4], strides, 4).unwrap().strides(), strides);
        }
        let bad: [(&[usize], LayoutError); 6] = [
            (&[16, 4], LayoutError::Rank { given: 2, rank: 3 }),
            (&[48, 16, 0], LayoutError::Stride { dim: 2, stride: 0, least: 4, element_size: 4 }),
            (&[48, 16, 2], LayoutError::Stride { dim: 2, stride: 2, least: 4, element_size: 4 }),
            (&[48, 12, 4], LayoutError::Stride { dim: 1, stride: 12, least: 16, element_size: 4 }),
            (&[48, 18, 4], LayoutError::Stride { dim: 1, stride: 18, least: 16, element_size: 4 }),
            (&[48, 20, 4], LayoutError::Stride { dim: 0, stride: 48, least: 60, element_size: 4 }),
        ];
        for (strides, error) in bad {
            assert_eq!(layout(&[2, 3, 4], strides, 4), Err(error), "{strides:?}");
        }
    }

    #[test]
    fn density_ignores_dimensions_of_one_element() {
        let cases: [(&[usize], &[usize], bool); 11] = [
            (&[], &[], true),
            (&[5], &[1], true),
            (&[5], &[2], false),
            (&[1], &[7], true),
            (&[2, 3], &[3, 1], true),
            (&[2, 3], &[4, 1], false),
            (&[1, 3], &[9, 1], true),
            (&[2, 1], &[1, 1], true),
            (&[2, 1], &[4, 1], false),
            (&[2, 1, 3], &[3, 3, 1], true),
            (&[2, 0, 3], &[9, 3, 1], true),
        ];
        for (shape, strides, dense) in cases {
            assert_eq!(layout(shape, strides, 1).unwrap().is_dense(1), dense, "{shape:?} {strides:?}");
        }
    }

    #[test]
    fn a_region_keeps_the_strides_and_says_where_it_begins() {
        let parent = Layout::dense([1, 3, 6, 5].into(), 4).unwrap();
        let (region, offset) = parent.region(&[0..1, 0..3, 1..5, 2..4]).unwrap();
        assert_eq!(*region.shape(), [1, 3, 4, 2]);
        assert_eq!(region.strides(), parent.strides());
        assert_eq!(offset, 7 * 4);
        let (inner, offset) = region.region(&[0..1, 2..3, 3..4, 1..2]).unwrap();
        assert_eq!((inner.span(4), offset), (4, (2 * 30 + 3 * 5 + 1) * 4));
        assert_eq!(parent.offset_of(&[0, 2, 4, 3]), Some(7 * 4 + offset));
    }

    #[test]
    fn a_region_outside_is_refused_and_an_empty_one_is_not() {
        let parent = Layout::dense([4, 5].into(), 1).unwrap();
        assert_eq!(parent.region(&[0..4, 0..5, 0..1]), Err(LayoutError::Rank { given: 3, rank: 2 }));
        for (start, end) in [(0, 6), (6, 6), (3, 2), (usize::MAX, usize::MAX)] {
            let refused = Err(LayoutError::Range { dim: 1, start, end, extent: 5 });
            assert_eq!(parent.region(&[0..4, start..end]), refused);
        }
        let (empty, offset) = parent.region(&[4..4, 5..5]).unwrap();
        assert_eq!((empty.span(1), offset), (0, 0));
    }

    #[test]
    fn offsets_exist_for_indices_inside_only() {
        let layout = layout(&[2, 3], &[100, 8], 4).unwrap();
        let offsets = vec![
            layout.offset_of(&[0, 0]),
            layout.offset_of(&[1, 2]),
            layout.offset_of(&[2, 0]),
            layout.offset_of(&[0, 3]),
            layout.offset_of(&[0]),
        ];
        assert_eq!(offsets, [Some(0), Some(116), None, None, None]);
        assert_eq!(Layout::dense(Shape::scalar(), 4).unwrap().offset_of(&[]), Some(0));
    }

    #[test]
    fn packed_elements_share_bytes() {
        let packed = Layout::of(ElementType::U4, [3, 3].into()).unwrap();
        assert_eq!((packed.span(1), packed.is_dense(1), packed.is_packed()), (5, true, true));
        let offsets = [[0, 0], [0, 1], [0, 2], [1, 0], [2, 2]].map(|index| packed.offset_of(&index));
        assert_eq!(offsets, [Some(0), Some(0), Some(1), Some(1), Some(4)]);
        assert_eq!(packed.offset_of(&[0, 3]), None);
        assert_eq!(packed.region(&[0..3, 0..3]).unwrap(), (packed.clone(), 0));
        assert_eq!(packed.region(&[0..2, 0..3]), Err(LayoutError::Packed));
        assert_eq!(Layout::of(ElementType::I4, [0, 3].into()).unwrap().span(1), 0);
        assert!(Layout::of(ElementType::I4, [usize::MAX, 2].into()).is_none());
    }
}
