//! A block of a product: tiles side by side and one below the other.
//!
//! Columns are the outer loop: one panel of the right factor (a few dozen KiB) stays in the first or second level of cache
//! while all rows of the block pass by. So the block should have so few rows that they stay in the second level. The next
//! panel is asked for meanwhile: MobileNetV2's pointwise convolutions of 7 x 7, whose weights come from the third level
//! of cache, reached 134 instead of 124 GFLOP/s (206 when the weights lie nearer).
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::pack::{Matrix, pack_right_panel, right_panel};
use super::{Init, Left, Right, Sizes, Tile, compute, steps};
use crate::simd::Simd;

/// The right factor of a block.
#[derive(Clone, Copy)]
pub(crate) enum RightFactor<'a> {
    /// All of it packed by [`pack_right`](super::pack::pack_right).
    Packed(&'a [f32]),
    /// As it is; panels that cannot be read as they are, or are read often, are packed one at a time.
    Plain(Matrix<'a>),
}

/// What products of one depth and one layout need beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    left: Vec<u32>,
    /// Panels of two vectors and of one.
    panels: [Vec<u32>; 2],
    /// A right factor that is read in place.
    plain: Option<Vec<u32>>,
}

impl Tables {
    /// For a left factor whose inner places are `left` apart and a right factor whose rows are `right` apart. `None` when
    /// a place does not fit into 32 bits.
    pub(crate) fn new(depth: usize, left: usize, right: usize, sizes: Sizes) -> Option<Tables> {
        let plain = steps(depth, right);
        Some(Tables { plain, ..Tables::with_left(steps(depth, left)?, sizes)? })
    }

    /// For a left factor with this table and a packed right factor.
    pub(crate) fn with_left(left: Vec<u32>, sizes: Sizes) -> Option<Tables> {
        let panels = [steps(left.len(), sizes.columns())?, steps(left.len(), sizes.lanes)?];
        Some(Tables { left, panels, plain: None })
    }

    fn panel(&self, wide: bool) -> *const u32 {
        self.panels[usize::from(!wide)].as_ptr()
    }
}

/// A block: `rows` rows and the columns `first..first + columns` of a product.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    /// The left factor, from the block's first row.
    pub(crate) left: *const f32,
    /// Numbers from one row of the left factor to the next.
    pub(crate) left_row: usize,
    /// The whole right factor.
    pub(crate) right: RightFactor<'a>,
    /// Columns of the whole right factor.
    pub(crate) all_columns: usize,
    /// The tables of both.
    pub(crate) tables: &'a Tables,
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

/// Computes a block. `scratch` has [`scratch_len`] numbers unless the right factor is packed; best it begins at a multiple
/// of 64 bytes.
///
/// # Safety
/// The left factor can be read in `rows` rows at all its places, the bias where [`Init`] says, and the output written in
/// the block's rows and columns; nobody else touches it now. The tables are those of the factors.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd>(simd: S, block: &Block<'_>, scratch: &mut [f32]) {
    let sizes = Sizes { rows: super::micro::rows::<S>(), lanes: S::LANES };
    let height = sizes.even_rows(block.rows);
    let end = block.first + block.columns;
    for column in (block.first..end).step_by(sizes.columns()) {
        let columns = sizes.columns().min(end - column);
        let right = panel(block, column, columns, sizes, scratch);
        let ahead = Ahead::new(block, column, columns);
        for row in (0..block.rows).step_by(height) {
            ahead.fetch(simd, row, height.min(block.rows - row), block.rows);
            let tile = Tile {
                depth: block.tables.left.len(),
                left: Left {
                    start: block.left.wrapping_add(row * block.left_row),
                    table: block.tables.left.as_ptr(),
                    row: block.left_row,
                },
                right,
                init: match block.init {
                    Init::Zero => Init::Zero,
                    Init::Rows(bias) => Init::Rows(bias.wrapping_add(row)),
                    Init::Columns(bias) => Init::Columns(bias.wrapping_add(column)),
                },
                clip: block.clip,
                out: block.out.wrapping_add(row * block.out_row + column),
                out_row: block.out_row,
                columns,
            };
            // SAFETY: rows and columns lie within the block, for which the caller vouches; a panel is padded to whole
            // vectors, and a plain matrix is read in place only where the columns are whole vectors.
            unsafe { compute(simd, height.min(block.rows - row), &tile) };
        }
    }
}

/// The packed panel after the one that is being multiplied: it is asked for while that goes on, since constants of a whole
/// network come from far away.
struct Ahead<'a>(&'a [f32]);

impl<'a> Ahead<'a> {
    fn new(block: &Block<'a>, column: usize, columns: usize) -> Ahead<'a> {
        /// With fewer rows than this nothing is done but reading, which needs no help.
        const ROWS: usize = 4;
        let RightFactor::Packed(packed) = block.right else { return Ahead(&[]) };
        if block.rows < ROWS {
            return Ahead(&[]);
        }
        let depth = block.tables.left.len();
        let len = columns * depth;
        let next = (column + columns) * depth;
        Ahead(packed.get(next..).map_or(&[], |rest| &rest[..len.min(rest.len())]))
    }

    /// The share that belongs to these rows of a tile.
    #[inline(always)]
    fn fetch<S: Simd>(&self, simd: S, row: usize, rows: usize, all: usize) {
        /// Numbers of a cache line.
        const LINE: usize = 16;
        let (first, last) = (self.0.len() * row / all, self.0.len() * (row + rows) / all);
        for at in (first..last).step_by(LINE) {
            simd.prefetch(self.0[at..].as_ptr());
        }
    }
}

/// The right factor's `columns` columns from `column` on.
#[inline(always)]
fn panel(block: &Block<'_>, column: usize, columns: usize, sizes: Sizes, scratch: &mut [f32]) -> Right {
    let depth = block.tables.left.len();
    match block.right {
        RightFactor::Packed(packed) => {
            let (start, width) = right_panel(column, block.all_columns, depth, sizes);
            let panel = &packed[start..start + width * depth];
            Right { start: panel.as_ptr(), table: block.tables.panel(width > sizes.lanes) }
        }
        RightFactor::Plain(matrix) => {
            let whole = columns.is_multiple_of(sizes.lanes) && matrix.column_stride == 1 && depth > 0;
            if let Some(table) = block.tables.plain.as_ref().filter(|_| whole && block.rows <= 2 * sizes.rows)
            {
                let last = (depth - 1) * matrix.row_stride + column + columns;
                return Right { start: matrix.data[column..last].as_ptr(), table: table.as_ptr() };
            }
            let width = columns.next_multiple_of(sizes.lanes);
            let scratch = &mut scratch[..width * depth];
            pack_right_panel(matrix, column, width, scratch);
            Right { start: scratch.as_ptr(), table: block.tables.panel(width > sizes.lanes) }
        }
    }
}
