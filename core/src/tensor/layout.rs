//! Layouts: where each element lies, as a shape and the distance in bytes between neighbours of each dimension.

use heapless::Vec;

use super::shape::{MAX_RANK, Shape};

/// A shape with the stride of each dimension, in bytes. Strides are never negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Shape,
    strides: Vec<usize, MAX_RANK>,
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
        "stride {stride} of dimension {dim} is less than its {least} bytes or no multiple of the element size"
    )]
    Stride {
        /// The dimension.
        dim: usize,
        /// The stride that was given, in bytes.
        stride: usize,
        /// The least stride that keeps elements apart.
        least: usize,
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
    /// Row-major, without gaps. `None` when the number of bytes overflows.
    pub fn dense(shape: Shape, element_size: usize) -> Option<Layout> {
        let count = shape.checked_len()?;
        count.checked_mul(element_size).filter(|bytes| *bytes <= isize::MAX as usize)?;
        let mut strides = Vec::from_slice(&shape).ok()?;
        let mut stride = element_size;
        for (slot, extent) in strides.iter_mut().zip(shape.iter()).rev() {
            *slot = stride;
            stride = stride.saturating_mul((*extent).max(1));
        }
        Some(Layout { shape, strides })
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
        let last: usize =
            self.shape.iter().zip(&self.strides).map(|(extent, stride)| (extent - 1) * stride).sum();
        last + element_size
    }

    /// True when the elements lie row-major without gaps. Dimensions of extent 1 do not count; an empty tensor is dense.
    pub fn is_dense(&self, element_size: usize) -> bool {
        if self.shape.contains(&0) {
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
}
