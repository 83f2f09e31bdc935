//! Tile: the whole tensor repeated along its dimensions.
//!
//! A repetition is a dimension of stride 0 outside the dimension that it repeats, so the output is a walk of twice the
//! dimensions. Those that repeat once, or have one element, vanish, which leaves few enough for one walk in all but artificial
//! cases; in those the outermost dimensions are counted by hand around it.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::tensor::MAX_RANK;
use inferry_engine::op::Tile;

use crate::io::Plain;
use crate::kernel::arguments::{form, integers};
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::{Walk, dense_stride};
use crate::kernel::{BuildError, Builder, Built, by_size, strided};

/// Builds Tile.
pub(crate) fn tile(_: &Tile, node: &Builder<'_>) -> Built {
    let data = node.input(0)?;
    let (element, output) = node.output(0);
    let repeats = integers(node, 1)?.ok_or(BuildError::Missing { input: 1 })?;
    let fits = repeats.len() == data.shape.rank()
        && output.rank() == data.shape.rank()
        && (0..output.rank()).all(|dim| output[dim] as i64 == data.shape[dim] as i64 * repeats[dim].max(0));
    if !fits {
        return Err(form(format!("{} repeated {repeats:?} times is not {output}", data.shape)));
    }
    let mut extents = Vec::new();
    let mut strides = Vec::new();
    for (dim, repeats) in repeats.iter().enumerate() {
        let stride = dense_stride(&data.shape, dim);
        for (extent, stride) in [(*repeats as usize, 0), (data.shape[dim], stride)] {
            if extent != 1 {
                extents.push(extent);
                strides.push(stride);
            }
        }
    }
    let outer = extents.len().saturating_sub(MAX_RANK);
    let inner = extents.split_off(outer);
    let walk = Walk::new(&inner, |dim| [strides[outer + dim]]);
    if outer == 0 {
        return by_size!("Tile", *element, T => strided::copy::<T>(walk, output.count()));
    }
    let outer: Vec<(usize, usize)> =
        extents.into_iter().zip(strides).map(|(extent, stride)| (extent, stride as usize)).collect();
    let block = inner.iter().product();
    by_size!("Tile", *element, T => copy_blocks::<T>(outer, walk, block, output.count()))
}

/// Copies what `walk` visits, `block` elements, again for each step of the outer dimensions: extents and strides.
fn copy_blocks<T: Plain>(outer: Vec<(usize, usize)>, walk: Walk<1>, block: usize, count: usize) -> Built {
    let phase = spread(count, 1000);
    simple(phase, move |io| {
        let from = io.input::<T>(0);
        let mut start = io.tiles().start * phase.unit;
        let mut to = io.rows::<T>();
        while !to.is_empty() {
            let (mut index, begin) = (start / block, start % block);
            let mut at = 0;
            for (extent, stride) in outer.iter().rev() {
                at += index % extent * stride;
                index /= extent;
            }
            let most = to.len().min(block - begin);
            let (piece, rest) = core::mem::take(&mut to).split_at_mut(most);
            strided::copy_range(&walk, &from[at..], begin, piece);
            start += most;
            to = rest;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};

    #[test]
    fn repeats_along_every_dimension() {
        let data = tensor(&[0i32, 1, 2, 3], [2, 2]);
        let repeats = tensor(&[2i64, 2], [2]);
        let row = [0, 1, 0, 1, 2, 3, 2, 3];
        assert_eq!(run_one::<i32>(&Tile, &[&data, &repeats], [4, 4]), [row, row].concat());
        let data = tensor(&[5u8, 6, 7], [1, 3, 1]);
        let repeats = tensor(&[2i64, 1, 3], [3]);
        let half = [5, 5, 5, 6, 6, 6, 7, 7, 7];
        assert_eq!(run_one::<u8>(&Tile, &[&data, &repeats], [2, 3, 3]), [half, half].concat());
        // More dimensions than one walk has.
        let (data, twice) = (tensor(&core::array::from_fn::<u8, 32, _>(|at| at as u8), [2; 5]), [2i64; 5]);
        let wanted: Vec<u8> = (0..1024u32)
            .map(|at| (0..5).map(|dim| (at >> (2 * dim) & 1) << dim).sum::<u32>() as u8)
            .collect();
        assert_eq!(run_one::<u8>(&Tile, &[&data, &tensor(&twice, [5])], [4; 5]), wanted);
        let (data, repeats) = (tensor(&[5u8, 6, 7], [1, 3, 1]), tensor(&[2i64, 0, 3], [3]));
        assert!(run_one::<u8>(&Tile, &[&data, &repeats], [2, 0, 3]).is_empty());
    }
}
