//! Tile: the whole tensor repeated along its dimensions.
//!
//! A repetition is a dimension of stride 0 outside the dimension that it repeats, so the output is a walk of twice the
//! dimensions. Those that repeat once, or have one element, vanish, which leaves few enough for a walk in all but
//! artificial cases.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::tensor::MAX_RANK;
use inferry_engine::op::Tile;

use crate::kernel::arguments::{form, integers};
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
    if extents.len() > MAX_RANK {
        return Err(form(format!("Tile of {} by {repeats:?}: too many dimensions are repeated", data.shape)));
    }
    let walk = Walk::new(&extents, |dim| [strides[dim]]);
    by_size!("Tile", *element, T => strided::copy::<T>(walk, output.count()))
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
        let repeats = tensor(&[2i64, 0, 3], [3]);
        assert!(run_one::<u8>(&Tile, &[&data, &repeats], [2, 0, 3]).is_empty());
    }
}
