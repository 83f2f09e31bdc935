//! Moving elements between a tensor as it was bound and the dense bytes that kernels want, a piece at a time.
//!
//! A region of a picture does not lie densely; kernels read dense elements. So what is bound strided is gathered before the
//! first step, or scattered after the last. A megapixel takes milliseconds, hence the [`Transfer`] is resumable like everything
//! else: it moves about 256 KiB and comes back.

use core::ops::Range;

use inferry_core::ElementType;
use inferry_core::tensor::{Layout, LayoutError, MAX_RANK, copy_bytes};

use crate::stored::{pack_to, unpack_to};

/// About how many bytes a piece has.
const PIECE: usize = 256 << 10;

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Pieces of the tensor that have been moved; of strings, how many.
    done: usize,
}

/// Which way the elements go. Slices begin with the first element.
pub(crate) enum Elements<'a> {
    /// From the bytes of a tensor to dense bytes.
    Gather { bound: &'a [u8], dense: &'a mut [u8] },
    /// From dense bytes to the bytes of a tensor.
    Scatter { dense: &'a [u8], bound: &'a mut [u8] },
}

impl Transfer {
    /// True between the first piece and the last.
    pub(crate) fn is_under_way(&self) -> bool {
        self.done > 0
    }

    /// The next of `count` elements that are moved one by one, strings; `None` when all have been.
    pub(crate) fn some_of(&mut self, count: usize) -> Option<Range<usize>> {
        /// Copying a short string takes about 10 ns.
        const SOME: usize = 8192;
        let start = self.done;
        self.done = count.min(start + SOME);
        (start < count).then_some(start..self.done)
    }

    /// Moves the next piece; true when there are more.
    pub(crate) fn piece(
        &mut self,
        layout: &Layout,
        element: ElementType,
        elements: Elements<'_>,
    ) -> Result<bool, LayoutError> {
        if element.is_packed() {
            return Ok(self.pairs(element, layout.shape().count(), elements));
        }
        let element_size = element.size();
        let cut = Cut::of(layout, element_size);
        if self.done >= cut.pieces {
            return Ok(false);
        }
        let (ranges, dense_start) = cut.ranges(layout, self.done, element_size);
        let (bound_layout, bound_start) = layout.region(&ranges)?;
        let shape = bound_layout.shape().clone();
        // A part of what fits memory fits memory.
        let dense_layout = Layout::dense(shape, element_size).expect("smaller than the whole");
        match elements {
            Elements::Gather { bound, dense } => {
                let (bound, dense) = (&bound[bound_start..], &mut dense[dense_start..]);
                copy_bytes(element_size, &bound_layout, bound, &dense_layout, dense)?;
            }
            Elements::Scatter { dense, bound } => {
                let (bound, dense) = (&mut bound[bound_start..], &dense[dense_start..]);
                copy_bytes(element_size, &dense_layout, dense, &bound_layout, bound)?;
            }
        }
        self.done += 1;
        Ok(self.done < cut.pieces)
    }

    /// Moves the next packed elements: they are unpacked on the way in, and packed on the way out.
    fn pairs(&mut self, element: ElementType, count: usize, elements: Elements<'_>) -> bool {
        let start = self.done * PIECE;
        let end = count.min(start + PIECE);
        let packed = start / 2..end.div_ceil(2);
        match elements {
            Elements::Gather { bound, dense } => unpack_to(element, &bound[packed], &mut dense[start..end]),
            Elements::Scatter { dense, bound } => pack_to(&dense[start..end], &mut bound[packed]),
        }
        self.done += 1;
        end < count
    }
}

/// How a shape is cut: everything outside `dim` one by one, `dim` into chunks, everything inside whole.
struct Cut {
    dim: usize,
    /// Extent of `dim` in a piece.
    chunk: usize,
    /// Chunks along `dim`.
    chunks: usize,
    pieces: usize,
    /// Elements of one step along `dim`.
    inner: usize,
}

impl Cut {
    fn of(layout: &Layout, element_size: usize) -> Cut {
        let shape = layout.shape();
        if shape.contains(&0) {
            return Cut { dim: 0, chunk: 0, chunks: 0, pieces: 0, inner: 0 };
        }
        // The outermost dimension whose steps are small enough, or the innermost there is.
        let (mut dim, mut inner) = (0, 1usize);
        for (at, extent) in shape.iter().enumerate().rev() {
            dim = at;
            if at == 0 || inner * extent * element_size > PIECE {
                break;
            }
            inner *= extent;
        }
        let extent = shape.get(dim).copied().unwrap_or(1);
        let chunk = (PIECE / (inner * element_size)).clamp(1, extent);
        let chunks = extent.div_ceil(chunk);
        let outer: usize = shape.iter().take(dim).product();
        Cut { dim, chunk, chunks, pieces: outer * chunks, inner }
    }

    /// The ranges of piece `index`, and where it begins in the dense bytes.
    fn ranges(
        &self,
        layout: &Layout,
        index: usize,
        element_size: usize,
    ) -> (heapless::Vec<Range<usize>, MAX_RANK>, usize) {
        let shape = layout.shape();
        let mut ranges: heapless::Vec<Range<usize>, MAX_RANK> =
            shape.iter().map(|extent| 0..*extent).collect();
        let (mut outer, chunk) = (index / self.chunks, index % self.chunks);
        let start = chunk * self.chunk;
        let mut rows = start;
        let mut weight = shape.get(self.dim).copied().unwrap_or(1);
        if let Some(range) = ranges.get_mut(self.dim) {
            *range = start..(start + self.chunk).min(range.end);
        }
        for dim in (0..self.dim).rev() {
            let at = outer % shape[dim];
            outer /= shape[dim];
            ranges[dim] = at..at + 1;
            rows += at * weight;
            weight *= shape[dim];
        }
        (ranges, rows * self.inner * element_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use inferry_core::{ElementType, Tensor};

    fn round_trip(tensor: &Tensor) -> usize {
        let (element, size) = (tensor.element(), tensor.element().size());
        let lease = tensor.lease_read().unwrap();
        let bound = &lease.bytes()[tensor.byte_range()];
        let mut dense = vec![0; tensor.byte_len()];
        let mut pieces = 1;
        let mut gather = Transfer::default();
        while gather.piece(tensor.layout(), element, Elements::Gather { bound, dense: &mut dense }).unwrap() {
            pieces += 1;
        }
        let mut whole = vec![0; tensor.byte_len()];
        inferry_core::tensor::gather(tensor.layout(), size, bound, &mut whole).unwrap();
        assert!(dense == whole, "{}", tensor.shape());

        let mut back = vec![0; bound.len()];
        let mut scatter = Transfer::default();
        while scatter
            .piece(tensor.layout(), element, Elements::Scatter { dense: &dense, bound: &mut back })
            .unwrap()
        {}
        let mut again = vec![0; tensor.byte_len()];
        inferry_core::tensor::gather(tensor.layout(), size, &back, &mut again).unwrap();
        assert!(again == whole, "{}", tensor.shape());
        pieces
    }

    fn numbers(shape: &[usize]) -> Tensor {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|value| value as f32).collect();
        Tensor::from_slice(&values, inferry_core::Shape::new(shape).unwrap()).unwrap()
    }

    #[test]
    fn regions_of_all_sizes_arrive_whole() {
        let picture = numbers(&[3, 400, 700]);
        assert!(round_trip(&picture.region(&[0..3, 10..390, 5..690]).unwrap()) > 8);
        assert_eq!(round_trip(&picture.region(&[0..3, 10..20, 5..9]).unwrap()), 1);
        round_trip(&picture.region(&[1..2, 0..400, 3..700]).unwrap());
        round_trip(&picture.region(&[0..3, 7..8, 3..4]).unwrap());
        round_trip(&picture.region(&[0..3, 7..7, 3..4]).unwrap());
        round_trip(&numbers(&[2, 3, 90_000]).region(&[0..2, 1..3, 1..89_999]).unwrap());
        round_trip(&numbers(&[]));
        assert_eq!(numbers(&[2]).element(), ElementType::F32);
    }

    #[test]
    fn packed_elements_are_unpacked_and_packed_in_pieces() {
        let count = 2 * PIECE + 5;
        let bytes: Vec<u8> = (0..count.div_ceil(2))
            .map(|at| (at * 7) as u8 & if at == count / 2 { 15 } else { 255 })
            .collect();
        let tensor = Tensor::from_bytes(ElementType::I4, [count], &bytes).unwrap();
        let (mut dense, mut gather, mut pieces) = (vec![0; count], Transfer::default(), 1);
        while gather
            .piece(tensor.layout(), ElementType::I4, Elements::Gather { bound: &bytes, dense: &mut dense })
            .unwrap()
        {
            pieces += 1;
        }
        assert_eq!((pieces, dense[1], dense[count - 1] as i8), (3, 0, ((bytes[count / 2] << 4) as i8) >> 4));
        let (mut back, mut scatter) = (vec![0; bytes.len()], Transfer::default());
        while scatter
            .piece(tensor.layout(), ElementType::I4, Elements::Scatter { dense: &dense, bound: &mut back })
            .unwrap()
        {}
        assert!(back == bytes);
    }
}
