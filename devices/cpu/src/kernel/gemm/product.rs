//! A block of a product: tiles side by side and one below the other.
//!
//! Columns are the outer loop: one panel of the right factor (a few dozen KiB) stays in the first or second level of cache
//! while all rows of the block pass by. So the block should have so few rows that they stay in the second level.
#![allow(unsafe_code)]

use super::pack::{Matrix, pack_right_panel, right_panel};
use super::{Init, Sizes, StridedLeft, StridedRight, Tile, compute};
use crate::simd::Simd;

/// The right factor of a block.
#[derive(Clone, Copy)]
pub(crate) enum RightFactor<'a> {
    /// All of it packed by [`pack_right`](super::pack::pack_right).
    Packed(&'a [f32]),
    /// As it is; panels that cannot be read as they are, or are read often, are packed one at a time.
    Plain(Matrix<'a>),
}

/// A block: `rows` rows and the columns `first..first + columns` of a product.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// The left factor, from the block's first row.
    pub(crate) left: StridedLeft,
    /// The whole right factor.
    pub(crate) right: RightFactor<'a>,
    /// Columns of the whole right factor.
    pub(crate) all_columns: usize,
    /// Inner dimension.
    pub(crate) depth: usize,
    /// Rows of the block.
    pub(crate) rows: usize,
    /// First column of the block: a multiple of [`Sizes::columns`].
    pub(crate) first: usize,
    /// Columns of the block.
    pub(crate) columns: usize,
    /// What is added to; pointers are to the block's first row or to column 0 of the whole.
    pub(crate) init: Init,
    /// Limits of the results.
    pub(crate) clip: Option<[f32; 2]>,
    /// The block's first row, column 0 of the whole.
    pub(crate) out: *mut f32,
    /// Numbers from one row of the result to the next.
    pub(crate) out_row: usize,
}

/// Numbers of scratch that [`multiply`] needs for a plain right factor.
pub(crate) fn scratch_len(depth: usize, sizes: Sizes) -> usize {
    depth * sizes.columns()
}

/// Computes a block. `scratch` begins at a multiple of 64 bytes and has [`scratch_len`] numbers unless the right factor is packed.
///
/// # Safety
/// The left factor can be read in `rows` rows and `depth` columns, the bias where [`Init`] says, and the output written
/// (for [`Init::Output`] read) in the block's rows and columns; nobody else touches it now.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(simd: S, block: &Block<'_>, scratch: &mut [f32]) {
    let sizes = Sizes { rows: super::micro::rows::<S>(), lanes: S::LANES };
    let height = sizes.even_rows(block.rows);
    let end = block.first + block.columns;
    for column in (block.first..end).step_by(sizes.columns()) {
        let columns = sizes.columns().min(end - column);
        let right = panel(block, column, columns, sizes, scratch);
        for row in (0..block.rows).step_by(height) {
            let tile = Tile {
                depth: block.depth,
                left: StridedLeft {
                    start: block.left.start.wrapping_add(row * block.left.row),
                    ..block.left
                },
                right,
                init: match block.init {
                    Init::Rows(bias) => Init::Rows(bias.wrapping_add(row)),
                    Init::Columns(bias) => Init::Columns(bias.wrapping_add(column)),
                    other => other,
                },
                clip: block.clip,
                out: block.out.wrapping_add(row * block.out_row + column),
                out_row: block.out_row,
                columns,
            };
            // SAFETY: rows and columns lie within the block, for which the caller vouches; a panel is padded to whole
            // vectors, and a plain matrix is read in place only where the columns are whole vectors.
            unsafe { compute(simd, height.min(block.rows - row), tile) };
        }
    }
}

/// The rows of the right factor for the `columns` columns from `column` on.
#[inline(always)]
fn panel(
    block: &Block<'_>,
    column: usize,
    columns: usize,
    sizes: Sizes,
    scratch: &mut [f32],
) -> StridedRight {
    match block.right {
        RightFactor::Packed(packed) => {
            let (start, width) = right_panel(column, block.all_columns, block.depth, sizes);
            StridedRight { start: packed[start..start + width * block.depth].as_ptr(), k: width }
        }
        RightFactor::Plain(matrix) => {
            let whole = columns.is_multiple_of(sizes.lanes) && matrix.column_stride == 1;
            if whole && block.rows <= 2 * sizes.rows && block.depth > 0 {
                let last = (block.depth - 1) * matrix.row_stride + column + columns;
                return StridedRight { start: matrix.data[column..last].as_ptr(), k: matrix.row_stride };
            }
            let width = columns.next_multiple_of(sizes.lanes);
            let scratch = &mut scratch[..width * block.depth];
            pack_right_panel(matrix, column, width, scratch);
            StridedRight { start: scratch.as_ptr(), k: width }
        }
    }
}
