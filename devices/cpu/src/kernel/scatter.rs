//! ScatterElements and ScatterND: elements put in places told by a tensor of indices.
//!
//! The data are copied by many tiles; the updates follow one after the other, because two may go to the same place and then
//! their order counts. Indices are `i32` or `i64`, negative ones count from the end, and one outside of the data is a fault.

use alloc::boxed::Box;
use alloc::format;

use inferry_core::ElementType;
use inferry_core::tensor::MAX_RANK;
use inferry_engine::op::{Op, Reduction, ScatterElements, ScatterNd};

use crate::io::Io;
use crate::kernel::arguments::{axis, form};
use crate::kernel::fault::Fault;
use crate::kernel::gather::{index, wide_indices, wrapped};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{spread, spread_items};
use crate::kernel::walk::dense_stride;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::stored::width;

/// Builds ScatterElements: one element for each index, along one axis.
pub(crate) fn scatter_elements(op: &ScatterElements, node: &Builder<'_>) -> Built {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let wide = wide_indices(indices.element)?;
    let axis = axis(op.axis, data.shape.rank())?;
    let fits = |dim: usize| dim == axis || indices.shape[dim] <= data.shape[dim];
    if indices.shape.rank() != data.shape.rank() || !(0..data.shape.rank()).all(fits) {
        return Err(form(format!("ScatterElements of {} into {}", indices.shape, data.shape)));
    }
    let (shape, put) = (data.shape.clone(), indices.shape.clone());
    build(op, node, op.reduction, put.count(), 1, move |io, element| {
        let (mut rest, mut at) = (element, 0);
        for dim in (0..put.rank()).rev() {
            let index = if dim == axis { 0 } else { rest % put[dim] };
            at += index * dense_stride(&shape, dim) as usize;
            rest /= put[dim];
        }
        let index = wrapped(index(io, 1, wide, element), shape[axis])?;
        Ok(at + index * dense_stride(&shape, axis) as usize)
    })
}

/// Builds ScatterND: slices whose leading indices are the rows of the indices.
pub(crate) fn scatter_nd(op: &ScatterNd, node: &Builder<'_>) -> Built {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let wide = wide_indices(indices.element)?;
    let depth = *indices.shape.last().ok_or_else(|| form("ScatterND with indices of no dimensions"))?;
    if depth == 0 || depth > data.shape.rank() {
        return Err(form(format!("ScatterND of {} into {}", indices.shape, data.shape)));
    }
    let inner: usize = data.shape[depth..].iter().product();
    let extents: heapless::Vec<(usize, usize), MAX_RANK> =
        (0..depth).map(|dim| (data.shape[dim], dense_stride(&data.shape, dim) as usize)).collect();
    build(op, node, op.reduction, indices.shape.count() / depth, inner, move |io, row| {
        let mut at = 0;
        for (column, (extent, stride)) in extents.iter().enumerate() {
            at += wrapped(index(io, 1, wide, row * depth + column), *extent)? * stride;
        }
        Ok(at)
    })
}

/// A kernel that puts `updates` slices of `inner` elements; `find` says where slice `n` goes.
fn build(
    op: &dyn Op,
    node: &Builder<'_>,
    reduction: Reduction,
    updates: usize,
    inner: usize,
    find: impl Fn(&Io<'_>, usize) -> Result<usize, Fault> + Send + Sync + 'static,
) -> Built {
    let (data, given) = (node.input(0)?, node.input(2)?);
    let (element, shape) = node.output(0);
    if [data.element, given.element] != [*element; 2] {
        return Err(BuildError::Element { op: op.name(), element: given.element });
    }
    if given.shape.count() != updates * inner || data.shape != *shape {
        return Err(form(format!("{} of {} updates {} to {shape}", op.name(), data.shape, given.shape)));
    }
    let put = put(op.name(), *element, reduction)?;
    let size = width(*element);
    let copy = spread(shape.count() * size, 60);
    let (mut scatter, share) = spread_items(updates, 10_000 + 500 * inner as u64);
    scatter.serial = true;
    // Empty slices have no place.
    scatter.tiles = if inner == 0 { 0 } else { scatter.tiles };
    let slice = inner * size;
    Ok(Box::new(Scatter { phases: [copy, scatter], share, updates, size, slice, reduction, put, find }))
}

/// Puts the bytes of updates to those of the elements there, of which there are as many.
pub(crate) type Put = fn(Reduction, &mut [u8], &[u8]);

/// How updates are put to elements of a type.
pub(crate) fn put(op: &'static str, element: ElementType, reduction: Reduction) -> Result<Put, BuildError> {
    match reduction {
        Reduction::None => Ok(|_, to, from| to.copy_from_slice(from)),
        _ => by_number!(op, element, T => Ok(reduce::<T> as Put)),
    }
}

fn reduce<T: Number>(reduction: Reduction, to: &mut [u8], from: &[u8]) {
    let (to, from): (&mut [T], &[T]) = (bytemuck::cast_slice_mut(to), bytemuck::cast_slice(from));
    let function: fn(T, T) -> T = match reduction {
        Reduction::None => |_, new| new,
        Reduction::Add => T::add,
        Reduction::Mul => T::mul,
        Reduction::Max => T::most,
        Reduction::Min => T::least,
    };
    to.iter_mut().zip(from).for_each(|(to, from)| *to = function(*to, *from));
}

struct Scatter<F> {
    phases: [Phase; 2],
    /// Slices that a tile puts.
    share: usize,
    updates: usize,
    /// Bytes of an element and of a slice.
    size: usize,
    slice: usize,
    reduction: Reduction,
    put: Put,
    find: F,
}

impl<F: Fn(&Io<'_>, usize) -> Result<usize, Fault> + Send + Sync> Kernel for Scatter<F> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        let tiles = io.tiles();
        if phase == 0 {
            let to = io.rows::<u8>();
            let start = tiles.start * self.phases[0].unit;
            return to.copy_from_slice(&io.input::<u8>(0)[start..start + to.len()]);
        }
        let (from, to) = (io.input::<u8>(2), io.whole::<u8>(0));
        for update in tiles.start * self.share..(tiles.end * self.share).min(self.updates) {
            match (self.find)(io, update) {
                Ok(at) => {
                    let to = &mut to[at * self.size..][..self.slice];
                    (self.put)(self.reduction, to, &from[update * self.slice..][..self.slice]);
                }
                Err(fault) => return io.fail(fault),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{fault_of, run_one, tensor};
    use alloc::vec::Vec;

    fn elements(axis: i64, reduction: Reduction) -> ScatterElements {
        ScatterElements { axis, reduction }
    }

    #[test]
    fn elements_go_along_an_axis() {
        let data = tensor(&[0f32; 9], [3, 3]);
        let indices = tensor(&[1i64, 0, 2, 0, 2, 1], [2, 3]);
        let updates = tensor(&[1.0f32, 1.1, 1.2, 2.0, 2.1, 2.2], [2, 3]);
        let found = run_one::<f32>(&elements(0, Reduction::None), &[&data, &indices, &updates], [3, 3]);
        assert_eq!(found, [2.0, 1.1, 0.0, 1.0, 0.0, 2.2, 0.0, 2.1, 1.2]);
        let data = tensor(&[1u16, 2, 3, 4, 5], [1, 5]);
        let indices = tensor(&[1i32, -2], [1, 2]);
        let updates = tensor(&[11u16, 21], [1, 2]);
        let found = run_one::<u16>(&elements(1, Reduction::None), &[&data, &indices, &updates], [1, 5]);
        assert_eq!(found, [1, 11, 3, 21, 5]);
    }

    #[test]
    fn updates_of_one_place_are_reduced_in_order() {
        let data = tensor(&[1f64, 2., 3., 4., 5.], [5]);
        let indices = tensor(&[1i64, 1, 4], [3]);
        let updates = tensor(&[1.1f64, 2.1, 9.0], [3]);
        let found = |reduction| run_one::<f64>(&elements(0, reduction), &[&data, &indices, &updates], [5]);
        assert_eq!(found(Reduction::None), [1., 2.1, 3., 4., 9.]);
        assert_eq!(found(Reduction::Add), [1., 2. + 1.1 + 2.1, 3., 4., 14.]);
        assert_eq!(found(Reduction::Mul), [1., 2. * 1.1 * 2.1, 3., 4., 45.]);
        assert_eq!(found(Reduction::Max), [1., 2.1, 3., 4., 9.]);
        assert_eq!(found(Reduction::Min), [1., 1.1, 3., 4., 5.]);
    }

    #[test]
    fn slices_go_where_tuples_point() {
        let data: Vec<i8> = (0..24).collect();
        let data = tensor(&data, [4, 2, 3]);
        let indices = tensor(&[2i64, 0, -1, 1], [2, 2]);
        let updates = tensor(&[100i8, 101, 102, 110, 111, 112], [2, 3]);
        let none = ScatterNd { reduction: Reduction::None };
        let found = run_one::<i8>(&none, &[&data, &indices, &updates], [4, 2, 3]);
        assert_eq!(found[10..16], [10, 11, 100, 101, 102, 15]);
        assert_eq!(found[20..], [20, 110, 111, 112]);
        let sum = ScatterNd { reduction: Reduction::Add };
        // Integers wrap.
        let found = run_one::<i8>(&sum, &[&data, &indices, &updates], [4, 2, 3]);
        assert_eq!(found[20..], [20, -125, -123, -121]);
        let nothing = tensor::<i8>(&[], [0, 3]);
        let nowhere = tensor::<i64>(&[], [0, 2]);
        let found = run_one::<i8>(&none, &[&data, &nowhere, &nothing], [4, 2, 3]);
        assert_eq!(found, (0..24).collect::<Vec<i8>>());
    }

    #[test]
    fn an_index_outside_fails() {
        let data = tensor(&[1u8, 2, 3], [3]);
        let updates = tensor(&[9u8], [1]);
        let outputs = [(ElementType::U8, [3].into())];
        for index in [3i64, -4, i64::MIN, i64::MAX] {
            let wanted = Fault::Index { input: 1, index, extent: 3 };
            let indices = tensor(&[index], [1]);
            let op = elements(0, Reduction::None);
            assert_eq!(fault_of(&op, &[&data, &indices, &updates], &outputs), wanted);
            let indices = tensor(&[index], [1, 1]);
            let op = ScatterNd { reduction: Reduction::Add };
            assert_eq!(fault_of(&op, &[&data, &indices, &updates], &outputs), wanted);
        }
    }
}
