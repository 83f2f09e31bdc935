//! Gather, GatherElements and GatherND: elements picked by a tensor of indices.
//!
//! Indices are `i32` or `i64` and come in the run. Negative ones count from the end. One that lies outside the data has no
//! element to give: the node fails.

use alloc::format;

use inferry_core::ElementType;
use inferry_engine::op::{ArrayFeatureExtractor, Gather, GatherElements, GatherNd};

use crate::io::{Io, Plain};
use crate::kernel::arguments::{axis, form};
use crate::kernel::fault::Fault;
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::dense_stride;
use crate::kernel::{BuildError, Builder, Built, Operand, by_size};

/// Builds Gather: whole slices along one axis.
pub(crate) fn gather(op: &Gather, node: &Builder<'_>) -> Built {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let wide = wide_indices(indices.element)?;
    let axis = axis(op.axis, data.shape.rank())?;
    let picked = indices.shape.count();
    let inner: usize = data.shape[axis + 1..].iter().product();
    let outer: usize = data.shape[..axis].iter().product();
    let extent = data.shape[axis];
    let count = node.output(0).1.count();
    if count != outer * picked * inner {
        return Err(form(format!(
            "Gather of {} by {} is not {}",
            data.shape,
            indices.shape,
            node.output(0).1
        )));
    }
    by_size!("Gather", data.element, T => pieces::<T>(count, inner, move |io, piece| {
        let index = wrapped(index(io, 1, wide, piece % picked), extent)?;
        Ok(((piece / picked) * extent + index) * inner)
    }))
}

/// Builds ArrayFeatureExtractor: Gather along the last axis, by indices of any shape and with its own word on vectors.
pub(crate) fn array_feature_extractor(_: &ArrayFeatureExtractor, node: &Builder<'_>) -> Built {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let Some((_, outer)) = data.shape.split_last() else {
        return Err(form("ArrayFeatureExtractor of a scalar"));
    };
    let flat = Operand { shape: [indices.shape.count()].into(), ..indices.clone() };
    let inputs = [Some(data.clone()), Some(flat)];
    if node.output(0).1.count() != outer.iter().product::<usize>() * indices.shape.count() {
        return Err(form(format!("{} by {} is not {}", data.shape, indices.shape, node.output(0).1)));
    }
    gather(&Gather { axis: -1 }, &Builder { inputs: &inputs, ..*node })
}

/// Builds GatherND: slices whose leading indices are the rows of the indices.
pub(crate) fn gather_nd(op: &GatherNd, node: &Builder<'_>) -> Built {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let wide = wide_indices(indices.element)?;
    let batch_dims = op.batch_dims;
    let depth = *indices.shape.last().ok_or_else(|| form("GatherND with indices of no dimensions"))?;
    if batch_dims >= indices.shape.rank() || batch_dims + depth > data.shape.rank() {
        return Err(form(format!("GatherND of {} by {}", data.shape, indices.shape)));
    }
    let batches: usize = data.shape[..batch_dims].iter().product();
    let inner: usize = data.shape[batch_dims + depth..].iter().product();
    let batch: usize = data.shape[batch_dims..].iter().product();
    let extents: heapless::Vec<(usize, usize), { inferry_core::tensor::MAX_RANK }> = (batch_dims
        ..batch_dims + depth)
        .map(|dim| (data.shape[dim], dense_stride(&data.shape, dim) as usize))
        .collect();
    let rows = indices.shape.count() / depth.max(1);
    let rows_of_batch: usize = indices.shape[batch_dims..indices.shape.rank() - 1].iter().product();
    let count = node.output(0).1.count();
    if count != batches * rows_of_batch * inner || (depth > 0 && rows != batches * rows_of_batch) {
        return Err(form(format!(
            "GatherND of {} by {} is not {}",
            data.shape,
            indices.shape,
            node.output(0).1
        )));
    }
    by_size!("GatherND", data.element, T => pieces::<T>(count, inner, move |io, piece| {
        let mut at = piece / rows_of_batch * batch;
        for (column, (extent, stride)) in extents.iter().enumerate() {
            at += wrapped(index(io, 1, wide, piece * depth + column), *extent)? * stride;
        }
        Ok(at)
    }))
}

/// Builds GatherElements: one element for each index, along one axis.
pub(crate) fn gather_elements(op: &GatherElements, node: &Builder<'_>) -> Built {
    let (data, indices) = (node.input(0)?, node.input(1)?);
    let wide = wide_indices(indices.element)?;
    let axis = axis(op.axis, data.shape.rank())?;
    let extent = data.shape[axis];
    let output = node.output(0).1.clone();
    let fits = |dim: usize| dim == axis || output[dim] <= data.shape[dim];
    if indices.shape != output || output.rank() != data.shape.rank() || !(0..output.rank()).all(fits) {
        return Err(form(format!("GatherElements of {} by {} to {output}", data.shape, indices.shape)));
    }
    let shape = data.shape.clone();
    by_size!("GatherElements", data.element, T => pieces::<T>(output.count(), 1, move |io, element| {
        let (mut rest, mut at) = (element, 0);
        for dim in (0..output.rank()).rev() {
            let index = if dim == axis { 0 } else { rest % output[dim] };
            at += index * dense_stride(&shape, dim) as usize;
            rest /= output[dim];
        }
        let index = wrapped(index(io, 1, wide, element), extent)?;
        Ok(at + index * dense_stride(&shape, axis) as usize)
    }))
}

/// A kernel whose output is made of pieces of `len` elements; `find` says where piece `n` begins in input 0.
fn pieces<T: Plain>(
    count: usize,
    len: usize,
    find: impl Fn(&Io<'_>, usize) -> Result<usize, Fault> + Send + Sync + 'static,
) -> Built {
    let each = 60 * size_of::<T>() as u64 + 3000 / len.max(1) as u64;
    let phase = spread(count, each);
    simple(phase, move |io| {
        let data = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        let mut done = 0;
        while done < to.len() {
            let (piece, skipped) = ((start + done) / len, (start + done) % len);
            let part = (len - skipped).min(to.len() - done);
            let to = &mut to[done..done + part];
            match find(io, piece) {
                Ok(at) => to.copy_from_slice(&data[at + skipped..at + skipped + part]),
                Err(fault) => return io.fail(fault),
            }
            done += part;
        }
    })
}

/// Whether indices are `i64` (and not `i32`).
pub(crate) fn wide_indices(element: ElementType) -> Result<bool, BuildError> {
    match element {
        ElementType::I64 => Ok(true),
        ElementType::I32 => Ok(false),
        _ => Err(form(format!("indices of {element}"))),
    }
}

/// Element `at` of the indices.
#[inline]
pub(crate) fn index(io: &Io<'_>, input: usize, wide: bool, at: usize) -> i64 {
    if wide { io.input::<i64>(input)[at] } else { i64::from(io.input::<i32>(input)[at]) }
}

/// The place that an index of input 1 means; negative ones count from the end.
#[inline]
pub(crate) fn wrapped(index: i64, extent: usize) -> Result<usize, Fault> {
    let position = if index < 0 { index + extent as i64 } else { index };
    let position = usize::try_from(position).ok().filter(|position| *position < extent);
    position.ok_or(Fault::Index { input: 1, index, extent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{fault_of, run_one, run_strings, strings, tensor};

    #[test]
    fn gathers_slices_along_an_axis() {
        let data = tensor(&[1f32, 2., 3., 4., 5., 6.], [3, 2]);
        let rows = tensor(&[0i64, -1, 0, 1], [2, 2]);
        let op = Gather { axis: 0 };
        assert_eq!(run_one::<f32>(&op, &[&data, &rows], [2, 2, 2]), [1., 2., 5., 6., 1., 2., 3., 4.]);
        let column = tensor(&[1i32], inferry_core::Shape::scalar());
        assert_eq!(run_one::<f32>(&Gather { axis: -1 }, &[&data, &column], [3]), [2., 4., 6.]);
    }

    #[test]
    fn an_index_outside_fails() {
        let data = tensor(&[1u8, 2, 3], [3]);
        for outside in [3, -4, i64::MIN, i64::MAX] {
            let indices = tensor(&[2, outside], [2]);
            let outside = Fault::Index { input: 1, index: outside, extent: 3 };
            let gather = Gather { axis: 0 };
            assert_eq!(fault_of(&gather, &[&data, &indices], &[(ElementType::U8, [2].into())]), outside);
            let elements = GatherElements { axis: 0 };
            assert_eq!(fault_of(&elements, &[&data, &indices], &[(ElementType::U8, [2].into())]), outside);
            let mut indices = indices;
            indices.set_shape([2, 1]).unwrap();
            let by_rows = GatherNd { batch_dims: 0 };
            assert_eq!(fault_of(&by_rows, &[&data, &indices], &[(ElementType::U8, [2].into())]), outside);
        }
    }

    #[test]
    fn extracts_features_of_every_row() {
        let data = tensor(&[1f64, 2., 3., 4., 5., 6.], [2, 3]);
        let op = ArrayFeatureExtractor;
        assert_eq!(run_one::<f64>(&op, &[&data, &tensor(&[2i64, 0], [1, 2])], [2, 2]), [3., 1., 6., 4.]);
        let names = strings(&["no", "yes"], [2]);
        assert_eq!(run_strings(&op, &[&names, &tensor(&[1i64, 1, 0], [3])], [1, 3]), ["yes", "yes", "no"]);
    }

    #[test]
    fn gathers_by_rows_of_indices() {
        let data = tensor(&[0i32, 1, 2, 3, 4, 5, 6, 7], [2, 2, 2]);
        let op = GatherNd { batch_dims: 0 };
        let indices = tensor(&[0i64, 1, 1, 0], [2, 2]);
        assert_eq!(run_one::<i32>(&op, &[&data, &indices], [2, 2]), [2, 3, 4, 5]);
        let indices = tensor(&[1i64, -1, 0], [1, 3]);
        assert_eq!(run_one::<i32>(&op, &[&data, &indices], [1]), [6]);
        let op = GatherNd { batch_dims: 1 };
        let indices = tensor(&[1i64, 0], [2, 1]);
        assert_eq!(run_one::<i32>(&op, &[&data, &indices], [2, 2]), [2, 3, 4, 5]);
    }

    #[test]
    fn gathers_one_element_an_index() {
        let data = tensor(&[1i64, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3]);
        let indices = tensor(&[1i32, 2, 0, 2, 0, 0], [2, 3]);
        assert_eq!(
            run_one::<i64>(&GatherElements { axis: 0 }, &[&data, &indices], [2, 3]),
            [4, 8, 3, 7, 2, 3]
        );
        let indices = tensor(&[0i64, 0, 1, -3], [2, 2]);
        assert_eq!(run_one::<i64>(&GatherElements { axis: 1 }, &[&data, &indices], [2, 2]), [1, 1, 5, 4]);
    }
}
