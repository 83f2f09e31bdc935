//! Walking several operands along the elements of an output: broadcasting, slices and permutations are all this.
//!
//! The output is dense; each of the `N` operands has a stride a dimension (0 where it is broadcast, negative where it is
//! walked backwards). Dimensions that all operands cross without a jump are merged when the walk is made, so that the
//! innermost loop is as long as it can be and the common cases become one loop. A walk knows no element types and
//! touches no memory: it says where to look.

use core::ops::Range;

use heapless::Vec;
use inferry_core::tensor::MAX_RANK;

/// Where `N` operands stand for each element of an output. See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Walk<const N: usize> {
    /// Merged dimensions, outermost first; the last is the innermost and always there.
    dims: Vec<Step<N>, MAX_RANK>,
    start: [isize; N],
}

/// One merged dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step<const N: usize> {
    /// How many.
    pub(crate) extent: usize,
    /// Elements between neighbours, for each operand.
    pub(crate) strides: [isize; N],
}

/// A piece of the output along which all operands move by constant strides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run<const N: usize> {
    /// Elements of the output.
    pub(crate) output: Range<usize>,
    /// Where each operand stands for the first of them.
    pub(crate) at: [usize; N],
}

impl<const N: usize> Walk<N> {
    /// A walk along an output of `shape`; `strides` gives the stride of each operand in a dimension, in elements.
    pub(crate) fn new(shape: &[usize], strides: impl Fn(usize) -> [isize; N]) -> Walk<N> {
        Walk::starting(shape, [0; N], strides)
    }

    /// As [`Walk::new`], with the position of each operand for the first element.
    pub(crate) fn starting(
        shape: &[usize],
        start: [usize; N],
        strides: impl Fn(usize) -> [isize; N],
    ) -> Walk<N> {
        let mut dims: Vec<Step<N>, MAX_RANK> = Vec::new();
        for (dim, extent) in shape.iter().enumerate() {
            if *extent == 1 {
                continue;
            }
            let step = Step { extent: *extent, strides: strides(dim) };
            match dims.last_mut() {
                Some(outer) if follows(outer, &step) => {
                    *outer = Step { extent: outer.extent * step.extent, strides: step.strides };
                }
                _ => dims.push(step).expect("no more dimensions than a shape has"),
            }
        }
        if dims.is_empty() {
            dims.push(Step { extent: 1, strides: [0; N] }).expect("the first");
        }
        Walk { dims, start: start.map(|start| start as isize) }
    }

    /// A walk along `shape` for operands of these shapes, broadcast to it as numpy does: aligned at the innermost dimension,
    /// extents of 1 repeated.
    pub(crate) fn broadcast(shape: &[usize], operands: [&[usize]; N]) -> Walk<N> {
        Walk::new(shape, |dim| operands.map(|operand| broadcast_stride(shape.len(), operand, dim)))
    }

    /// The merged dimensions, outermost first.
    pub(crate) fn dims(&self) -> &[Step<N>] {
        &self.dims
    }

    /// The innermost dimension.
    pub(crate) fn inner(&self) -> Step<N> {
        *self.dims.last().expect("always there")
    }

    /// Some of the dimensions, as a walk of its own that begins at 0.
    pub(crate) fn part(&self, dims: Range<usize>) -> Walk<N> {
        let mut part: Vec<Step<N>, MAX_RANK> = self.dims[dims].iter().copied().collect();
        if part.is_empty() {
            part.push(Step { extent: 1, strides: [0; N] }).expect("the first");
        }
        Walk { dims: part, start: [0; N] }
    }

    /// Where each operand stands for element `index` of the output.
    pub(crate) fn at(&self, mut index: usize) -> [usize; N] {
        let mut at = self.start;
        for step in self.dims.iter().rev() {
            let steps = (index % step.extent) as isize;
            index /= step.extent;
            for (at, stride) in at.iter_mut().zip(step.strides) {
                *at += steps * stride;
            }
        }
        at.map(|at| at as usize)
    }

    /// Tells `each` the [runs](Walk::runs). For loops that exist once a type and function: the walk itself exists only once.
    #[inline(never)]
    pub(crate) fn each_run(&self, range: Range<usize>, each: &mut dyn FnMut(Run<N>)) {
        self.runs(range).for_each(each);
    }

    /// The pieces of the output that lie in `range`, in order. Along a piece operand `n` moves by `inner().strides[n]`.
    pub(crate) fn runs(&self, range: Range<usize>) -> Runs<'_, N> {
        let inner = self.inner();
        let outer = &self.dims[..self.dims.len() - 1];
        let mut runs = Runs { outer, inner, index: [0; MAX_RANK], at: self.start, column: 0, done: range };
        if runs.done.is_empty() {
            return runs;
        }
        let mut row = runs.done.start / inner.extent;
        runs.column = runs.done.start % inner.extent;
        for (dim, step) in outer.iter().enumerate().rev() {
            runs.index[dim] = row % step.extent;
            row /= step.extent;
            for (at, stride) in runs.at.iter_mut().zip(step.strides) {
                *at += runs.index[dim] as isize * stride;
            }
        }
        runs
    }
}

/// The pieces of a walk. See [`Walk::runs`].
pub(crate) struct Runs<'a, const N: usize> {
    outer: &'a [Step<N>],
    inner: Step<N>,
    /// Position in the outer dimensions, and of each operand at the begin of the row.
    index: [usize; MAX_RANK],
    at: [isize; N],
    /// Where in the row the next piece begins.
    column: usize,
    /// What is left of the range.
    done: Range<usize>,
}

impl<const N: usize> Iterator for Runs<'_, N> {
    type Item = Run<N>;

    fn next(&mut self) -> Option<Run<N>> {
        if self.done.is_empty() {
            return None;
        }
        let len = (self.inner.extent - self.column).min(self.done.len());
        let strides = self.inner.strides;
        let at = core::array::from_fn(|n| (self.at[n] + self.column as isize * strides[n]) as usize);
        let output = self.done.start..self.done.start + len;
        self.done.start += len;
        self.column = 0;
        if !self.done.is_empty() {
            advance(self.outer, &mut self.index, &mut self.at);
        }
        Some(Run { output, at })
    }
}

/// Moves to the next row: an odometer, the innermost dimension first.
fn advance<const N: usize>(outer: &[Step<N>], index: &mut [usize; MAX_RANK], at: &mut [isize; N]) {
    for (dim, step) in outer.iter().enumerate().rev() {
        index[dim] += 1;
        for (at, stride) in at.iter_mut().zip(step.strides) {
            *at += stride;
        }
        if index[dim] < step.extent {
            return;
        }
        index[dim] = 0;
        for (at, stride) in at.iter_mut().zip(step.strides) {
            *at -= step.extent as isize * stride;
        }
    }
}

/// Walking on from the end of `inner` is the same as one step of `outer`.
fn follows<const N: usize>(outer: &Step<N>, inner: &Step<N>) -> bool {
    (0..N).all(|n| outer.strides[n] == inner.strides[n] * inner.extent as isize)
}

/// The row-major stride, in elements, of dimension `dim` of an output of `rank` for an operand that is broadcast to it.
pub(crate) fn broadcast_stride(rank: usize, operand: &[usize], dim: usize) -> isize {
    let missing = rank - operand.len();
    if dim < missing || operand[dim - missing] == 1 {
        return 0;
    }
    dense_stride(operand, dim - missing)
}

/// The row-major stride, in elements, of a dimension of a dense tensor.
pub(crate) fn dense_stride(shape: &[usize], dim: usize) -> isize {
    shape[dim + 1..].iter().product::<usize>() as isize
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The positions that a walk gives, element by element, in blocks of `block` elements.
    fn positions<const N: usize>(walk: &Walk<N>, count: usize, block: usize) -> Vec<[usize; N]> {
        let mut all = Vec::new();
        for start in (0..count).step_by(block) {
            for run in walk.runs(start..(start + block).min(count)) {
                assert_eq!(run.output.start, all.len());
                for step in 0..run.output.len() {
                    let strides = walk.inner().strides;
                    all.push(core::array::from_fn(|n| {
                        (run.at[n] as isize + step as isize * strides[n]) as usize
                    }));
                }
            }
        }
        all
    }

    #[test]
    fn broadcasting_repeats_extents_of_one() {
        let walk = Walk::broadcast(&[2, 3], [&[3], &[2, 1], &[]]);
        let wanted = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]];
        for block in 1..=6 {
            assert_eq!(positions(&walk, 6, block), wanted);
        }
        assert_eq!(core::array::from_fn(|index| walk.at(index)), wanted);
    }

    #[test]
    fn what_lies_together_is_one_loop() {
        assert_eq!(Walk::broadcast(&[2, 3, 4], [&[2, 3, 4], &[2, 3, 4]]).dims().len(), 1);
        assert_eq!(Walk::broadcast(&[2, 3, 4], [&[2, 3, 4], &[]]).dims().len(), 1);
        assert_eq!(Walk::broadcast(&[1, 3, 4, 5], [&[1, 3, 4, 5], &[3, 1, 1]]).dims().len(), 2);
        assert_eq!(Walk::broadcast(&[], [&[], &[1]]).inner().extent, 1);
    }

    #[test]
    fn a_walk_may_go_backwards() {
        let walk = Walk::starting(&[2, 3], [5], |dim| [[-3, -1][dim]]);
        assert_eq!(positions(&walk, 6, 4), [[5], [4], [3], [2], [1], [0]]);
        assert_eq!(walk.dims().len(), 1);
        let walk = Walk::starting(&[2, 3], [3], |dim| [[-3, 1][dim]]);
        assert_eq!(positions(&walk, 6, 2), [[3], [4], [5], [0], [1], [2]]);
    }

    #[test]
    fn many_dimensions_are_walked_like_an_odometer() {
        // A transposition of [2, 3, 4] by [2, 0, 1].
        let walk = Walk::new(&[4, 2, 3], |dim| [[1, 12, 4][dim]]);
        let mut wanted = Vec::new();
        for c in 0..4 {
            for a in 0..2 {
                for b in 0..3 {
                    wanted.push([a * 12 + b * 4 + c]);
                }
            }
        }
        for block in [1, 2, 5, 24] {
            assert_eq!(positions(&walk, 24, block), wanted);
        }
    }
}
