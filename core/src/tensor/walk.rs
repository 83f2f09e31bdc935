//! Walking through the elements of one or several layouts of one shape, in row-major order.
//!
//! Dimensions that follow each other without a gap in all the layouts are taken together first, so that what is left is
//! the longest run of bytes that lies together everywhere, and the axes along which runs repeat. A dense tensor is one
//! run and no axis.

use heapless::Vec;

use super::layout::Layout;
use super::shape::MAX_RANK;

/// How to walk through `K` layouts side by side.
#[derive(Clone, Debug)]
pub(super) struct Walk<const K: usize> {
    /// Bytes that lie together in every layout: at least one element.
    pub(super) run: usize,
    /// Along which runs repeat, outermost first.
    pub(super) axes: Vec<Axis<K>, MAX_RANK>,
    empty: bool,
}

/// One dimension of a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis<const K: usize> {
    pub(super) extent: usize,
    /// Bytes between neighbours, in each layout.
    pub(super) strides: [usize; K],
}

impl<const K: usize> Walk<K> {
    /// The walk through layouts that all have the shape of the first.
    pub(super) fn new(layouts: [&Layout; K], element_size: usize) -> Walk<K> {
        let shape = layouts[0].shape();
        debug_assert!(layouts.iter().all(|layout| layout.shape() == shape));
        let mut walk = Walk { run: element_size, axes: Vec::new(), empty: shape.contains(&0) };
        if walk.empty {
            return walk;
        }
        // Innermost first while collecting. Nothing overflows: all products are at most the span of a layout.
        for (dim, extent) in shape.iter().enumerate().rev().filter(|(_, extent)| **extent > 1) {
            let strides = layouts.map(|layout| layout.strides()[dim]);
            match walk.axes.last_mut() {
                None if strides.iter().all(|stride| *stride == walk.run) => walk.run *= extent,
                Some(inner) if follows(&strides, inner) => inner.extent *= extent,
                _ => walk.axes.push(Axis { extent: *extent, strides }).expect("no more axes than dimensions"),
            }
        }
        walk.axes.reverse();
        walk
    }

    /// The byte offsets at which the runs begin, in each layout.
    pub(super) fn starts(&self) -> Starts<K> {
        let left = if self.empty { 0 } else { self.axes.iter().map(|axis| axis.extent).product() };
        Starts { axes: self.axes.clone(), index: [0; MAX_RANK], at: [0; K], left }
    }
}

/// Iterator over where runs begin.
#[derive(Clone, Debug)]
pub(super) struct Starts<const K: usize> {
    axes: Vec<Axis<K>, MAX_RANK>,
    index: [usize; MAX_RANK],
    at: [usize; K],
    left: usize,
}

impl<const K: usize> Iterator for Starts<K> {
    type Item = [usize; K];

    #[inline]
    fn next(&mut self) -> Option<[usize; K]> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        for (axis, index) in self.axes.iter().zip(&mut self.index).rev() {
            *index += 1;
            if *index < axis.extent {
                add(&mut self.at, axis.strides);
                break;
            }
            // Back to the begin of this axis; the next outer one steps on.
            *index = 0;
            for (at, stride) in self.at.iter_mut().zip(axis.strides) {
                *at -= stride * (axis.extent - 1);
            }
        }
        Some(at)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<const K: usize> ExactSizeIterator for Starts<K> {}

fn add<const K: usize>(at: &mut [usize; K], strides: [usize; K]) {
    for (at, stride) in at.iter_mut().zip(strides) {
        *at += stride;
    }
}

/// True when one step of the outer strides is as far as all the steps of the inner axis.
fn follows<const K: usize>(outer: &[usize; K], inner: &Axis<K>) -> bool {
    outer.iter().zip(inner.strides).all(|(outer, inner_stride)| *outer == inner_stride * inner.extent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn walk(shape: &[usize], strides: &[usize], size: usize) -> (usize, Vec<usize>) {
        let layout = Layout::strided(shape.try_into().unwrap(), strides, size).unwrap();
        let walk = Walk::new([&layout], size);
        (walk.run, walk.starts().map(|[at]| at).collect())
    }

    #[test]
    fn a_walk_takes_together_what_lies_together() {
        assert_eq!(walk(&[2, 3, 4], &[48, 16, 4], 4), (96, [0].to_vec()));
        assert_eq!(walk(&[2, 3, 4], &[64, 16, 4], 4), (48, [0, 64].to_vec()));
        assert_eq!(walk(&[2, 2, 2], &[64, 16, 4], 4), (8, [0, 16, 64, 80].to_vec()));
        assert_eq!(walk(&[2, 3], &[6, 2], 1), (1, [0, 2, 4, 6, 8, 10].to_vec()));
        assert_eq!(walk(&[], &[], 4), (4, [0].to_vec()));
        assert_eq!(walk(&[1, 1], &[9, 3], 1), (1, [0].to_vec()));
        assert_eq!(walk(&[2, 0, 2], &[9, 3, 1], 1).1, []);
    }
}
