//! Pad: elements added at the ends of dimensions, or (with negative pads) taken away.
//!
//! Dimensions are independent of each other: for each a table says which element of the input an element of the output
//! shows, or that it shows the constant (see [`Lookup`]).

use alloc::format;
use alloc::vec::Vec;

use inferry_engine::op::{Pad, PadMode};

use crate::io::Plain;
use crate::kernel::arguments::{form, integers, refused};
use crate::kernel::lookup::{Lookup, NONE};
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::dense_stride;
use crate::kernel::{BuildError, Builder, Built, by_size};

/// Builds Pad.
pub(crate) fn pad(op: &Pad, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let (element, output) = node.output(0);
    let pads = pads(node, data.shape.rank())?;
    let mut tables = Vec::with_capacity(pads.len());
    for (dim, (begin, end)) in pads.iter().enumerate() {
        let extent = data.shape[dim] as i64;
        if begin.checked_add(*end).and_then(|sum| sum.checked_add(extent)) != Some(output[dim] as i64) {
            return Err(form(format!("{} padded by {pads:?} is not {output}", data.shape)));
        }
        let stride = dense_stride(&data.shape, dim);
        let table: Vec<isize> = (0..output[dim] as i64)
            .map(|index| source(op.mode, index - begin, extent).map_or(NONE, |at| at as isize * stride))
            .collect();
        if op.mode != PadMode::Constant && table.contains(&NONE) {
            return Err(form(format!("dimension {dim} of {} has nothing to pad with", data.shape)));
        }
        tables.push(table.into_boxed_slice());
    }
    let lookup = Lookup::new(tables);
    let has_value = op.mode == PadMode::Constant && node.optional(2).is_some();
    by_size!("Pad", *element, T => run::<T>(lookup, has_value, output.count()))
}

fn run<T: Plain>(lookup: Lookup, has_value: bool, count: usize) -> Built {
    let phase = spread(count, 60 * size_of::<T>() as u64);
    simple(phase, move |io| {
        let from = io.input::<T>(0);
        let value = if has_value { io.input::<T>(2)[0] } else { T::zeroed() };
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        lookup.copy(from, value, start, to);
    })
}

/// The pads before and after each dimension.
fn pads(node: &Builder<'_>, rank: usize) -> Result<Vec<(i64, i64)>, BuildError> {
    let pads = integers(node, 1)?.ok_or(BuildError::Missing { input: 1 })?;
    Pad::resolve(rank, &pads, integers(node, 3)?.as_deref()).map_err(refused)
}

/// Which element of a dimension of `extent` stands at `index`, which may lie outside.
fn source(mode: PadMode, index: i64, extent: i64) -> Option<i64> {
    if (0..extent).contains(&index) {
        return Some(index);
    }
    if extent == 0 {
        return None;
    }
    match mode {
        PadMode::Constant => None,
        PadMode::Edge => Some(index.clamp(0, extent - 1)),
        PadMode::Wrap => Some(index.rem_euclid(extent)),
        PadMode::Reflect => {
            // Back and forth without repeating the ends: a period of twice the extent less two.
            let period = (2 * extent - 2).max(1);
            let at = index.rem_euclid(period);
            Some(if at < extent { at } else { period - at })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run, run_one, tensor};
    use inferry_core::{ElementType, Shape};

    fn padded(mode: PadMode, pads: &[i64], shape: [usize; 2]) -> Vec<i32> {
        let data = tensor(&[1i32, 2, 3, 4, 5, 6], [2, 3]);
        run_one::<i32>(&Pad { mode }, &[&data, &tensor(pads, [4])], shape)
    }

    #[test]
    fn modes_as_the_standard_says() {
        // numpy.pad of [[1, 2, 3], [4, 5, 6]].
        assert_eq!(
            padded(PadMode::Constant, &[1, 2, 0, 1], [3, 6]),
            [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 0]
        );
        assert_eq!(
            padded(PadMode::Edge, &[1, 2, 0, 1], [3, 6]),
            [1, 1, 1, 2, 3, 3, 1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6]
        );
        assert_eq!(
            padded(PadMode::Reflect, &[1, 2, 0, 1], [3, 6]),
            [6, 5, 4, 5, 6, 5, 3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5]
        );
        assert_eq!(
            padded(PadMode::Wrap, &[1, 2, 0, 1], [3, 6]),
            [5, 6, 4, 5, 6, 4, 2, 3, 1, 2, 3, 1, 5, 6, 4, 5, 6, 4]
        );
        // Further than the extent: reflection goes back and forth.
        assert_eq!(
            padded(PadMode::Reflect, &[0, 5, 0, 0], [2, 8]),
            [2, 1, 2, 3, 2, 1, 2, 3, 5, 4, 5, 6, 5, 4, 5, 6]
        );
    }

    #[test]
    fn negative_pads_take_away() {
        assert_eq!(padded(PadMode::Constant, &[-1, -1, 0, 1], [1, 3]), [5, 6, 0]);
        assert_eq!(padded(PadMode::Edge, &[0, 1, -1, -1], [1, 3]), [1, 1, 2]);
    }

    #[test]
    fn a_value_and_axes() {
        let inputs = [
            Some(tensor(&[1f32, 2., 3., 4.], [2, 2])),
            Some(tensor(&[1i64, 1], [2])),
            Some(tensor(&[9f32], Shape::scalar())),
            Some(tensor(&[-1i32], [1])),
        ];
        let outputs = [(ElementType::F32, [2, 4].into())];
        let op = Pad { mode: PadMode::Constant };
        let padded = run(&op, &inputs, &outputs, Isa::portable());
        assert_eq!(padded[0].to_vec::<f32>().unwrap(), [9., 1., 2., 9., 9., 3., 4., 9.]);
    }

    #[test]
    fn nothing_padded_is_all_value() {
        let inputs =
            [Some(tensor::<u8>(&[], [0, 2])), Some(tensor(&[1i64, 0, 1, 1], [4])), Some(tensor(&[7u8], [1]))];
        let outputs = [(ElementType::U8, [2, 3].into())];
        let padded = run(&Pad { mode: PadMode::Constant }, &inputs, &outputs, Isa::portable());
        assert_eq!(padded[0].to_vec::<u8>().unwrap(), [7; 6]);
    }
}
