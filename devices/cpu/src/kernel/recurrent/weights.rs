//! Packed weights and summed biases of a recurrent layer.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::Tensor;
use inferry_core::steps::Pace;

use super::{Kind, Layer};
use crate::kernel::Builder;
use crate::kernel::gemm::pack::{Floats, Matrix, pack_right, right_len};
use crate::kernel::gemm::product::Tables;
use crate::kernel::gemm::{Sizes, steps};
use crate::pack::Numbers;

/// Weights of all directions, packed.
pub(super) struct Weights {
    /// For each direction, the matrices that are multiplied one at a time.
    pub(super) packed: Arc<Vec<Floats>>,
    pub(super) tables: Tables,
}

impl Weights {
    /// Packs `tensor`, of `depth` columns and `rows` rows a direction, in matrices of as many rows as `split` says.
    pub(super) fn new(
        tensor: &Tensor,
        rows: usize,
        depth: usize,
        split: &[usize],
        node: &Builder<'_>,
    ) -> Option<Weights> {
        let sizes = Sizes::of(node.isa);
        let data = Numbers::of(tensor)?;
        let tag = 0x7265_6375_7272 ^ sizes.tag() << 48 ^ (split.len() as u64) << 16;
        let split: heapless::Vec<usize, 2> = split.iter().copied().collect();
        let directions = data.chunks_exact((rows * depth).max(1)).len();
        let lens: Vec<usize> = split.iter().map(|columns| 4 * right_len(*columns, depth, sizes)).collect();
        let parts = || lens.iter().cycle().take(lens.len() * directions).copied().collect();
        let pack = |pace| pack(data, [rows, depth], split, sizes, pace);
        let tables = Tables::with_left(steps(depth, 1)?, sizes)?;
        Some(Weights { packed: node.packs.get(tensor, tag, parts, pack), tables })
    }
}

/// For each direction, of `rows` rows and `depth` columns, its matrices of as many rows as `split` says.
async fn pack(
    data: Numbers,
    [rows, depth]: [usize; 2],
    split: heapless::Vec<usize, 2>,
    sizes: Sizes,
    mut pace: Pace,
) -> Vec<Floats> {
    let mut packed = Vec::new();
    for (direction, _) in data.chunks_exact((rows * depth).max(1)).enumerate() {
        let mut first = direction * rows;
        for columns in &split {
            let data = &data[first * depth..];
            let matrix = Matrix { data, rows: depth, columns: *columns, row_stride: 1, column_stride: depth };
            let len = right_len(*columns, depth, sizes);
            let mut floats = Floats::zeros_paced(len, &mut pace).await;
            pack_right(matrix, sizes, floats.as_mut(), &mut pace).await;
            packed.push(floats);
            first += columns;
        }
    }
    packed
}

/// Rows of the recurrent weights that are multiplied at once. Where the reset gate acts before the product, the last gate
/// must wait for it.
pub(super) fn split(layer: &Layer) -> heapless::Vec<usize, 2> {
    let h = layer.hidden;
    match layer.kind {
        Kind::Gru { linear_before_reset: false } => heapless::Vec::from_array([2 * h, h]),
        _ => heapless::Vec::from_iter([layer.rows()]),
    }
}

/// What is added to the sums of one direction.
pub(super) struct Bias {
    pub(super) projected: Floats,
    /// Only where it cannot be added to the projected inputs.
    pub(super) recurrent: Option<Floats>,
}

impl Bias {
    /// From the biases of the inputs and of the states, which lie one after the other for each direction.
    pub(super) fn new(layer: &Layer, given: Option<&[f32]>, direction: usize) -> Bias {
        let rows = layer.rows();
        let mut projected = Floats::zeros(rows);
        let late = layer.kind == (Kind::Gru { linear_before_reset: true });
        let mut recurrent = late.then(|| Floats::zeros(rows));
        let Some(given) = given else { return Bias { projected, recurrent } };
        let (of_input, of_state) = given[direction * 2 * rows..][..2 * rows].split_at(rows);
        projected.as_mut().copy_from_slice(of_input);
        for (row, bias) in of_state.iter().enumerate() {
            match &mut recurrent {
                Some(recurrent) if row >= 2 * layer.hidden => recurrent.as_mut()[row] = *bias,
                _ => projected.as_mut()[row] += bias,
            }
        }
        Bias { projected, recurrent }
    }
}
