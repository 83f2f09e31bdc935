//! Packing: the factors of a product rearranged so that the inner loop reads them from front to back.
//!
//! The left factor becomes panels of a few rows, the right factor panels of two vectors of columns; within a panel the inner
//! dimension is outermost. Panels of the right factor are filled up with zeros to whole vectors. Constants are packed when a
//! kernel is built and shared through [`Packs`](crate::pack::Packs); what changes from run to run is packed panel by
//! panel in scratch.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Deref;

use inferry_core::steps::Pace;

use super::Sizes;
use crate::pack::{Pack, Part};

/// A matrix somewhere in memory: element (row, column) is `data[row * row_stride + column * column_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) column_stride: usize,
}

/// Numbers that begin at a multiple of 64 bytes, so that no vector of a panel crosses a cache line.
pub(crate) struct Floats(Memory);

enum Memory {
    Own {
        lines: Vec<Line>,
        len: usize,
    },
    /// A file's.
    Shared(Part),
}

impl Default for Floats {
    fn default() -> Floats {
        Floats(Memory::Own { lines: Vec::new(), len: 0 })
    }
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Floats {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Floats {
        Floats(Memory::Own { lines: bytemuck::zeroed_vec(len.div_ceil(16)), len })
    }

    /// As [`Floats::zeros`], with interruptions.
    pub(crate) async fn zeros_paced(len: usize, pace: &mut Pace) -> Floats {
        /// So many lines are cleared between two looks.
        const CLEARED: usize = 1 << 10;
        let count = len.div_ceil(16);
        let mut lines = Vec::with_capacity(count);
        while lines.len() < count {
            let piece = CLEARED.min(count - lines.len());
            lines.resize(lines.len() + piece, Line([0.0; 16]));
            pace.spend(piece as u64 * 20).await;
        }
        Floats(Memory::Own { lines, len })
    }

    /// The numbers, to write; none of those that are a file's.
    pub(crate) fn as_mut(&mut self) -> &mut [f32] {
        match &mut self.0 {
            Memory::Own { lines, len } => &mut bytemuck::cast_slice_mut(lines)[..*len],
            Memory::Shared(_) => &mut [],
        }
    }

    /// The numbers of a part of a file; `None` when they do not lie where numbers can be read.
    pub(crate) fn of_part(part: Part) -> Option<Floats> {
        bytemuck::try_cast_slice::<u8, f32>(&part).ok()?;
        Some(Floats(Memory::Shared(part)))
    }
}

impl Deref for Floats {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        match &self.0 {
            Memory::Own { lines, len } => &bytemuck::cast_slice(lines)[..*len],
            Memory::Shared(part) => bytemuck::cast_slice(part),
        }
    }
}

impl Pack for Floats {
    fn parts(&self) -> Vec<&[u8]> {
        vec![bytemuck::cast_slice(self)]
    }

    fn of_parts(parts: Vec<Part>) -> Option<Floats> {
        Floats::of_part(parts.into_iter().next()?)
    }
}

/// Several matrices, each a part.
impl Pack for Vec<Floats> {
    fn parts(&self) -> Vec<&[u8]> {
        self.iter().map(|floats| bytemuck::cast_slice(floats)).collect()
    }

    fn of_parts(parts: Vec<Part>) -> Option<Vec<Floats>> {
        parts.into_iter().map(Floats::of_part).collect()
    }
}

/// Packs a left factor into panels of `height` rows, the last of which may have fewer. Panel `p` begins at
/// `p * height * depth`.
pub(crate) fn pack_left(from: Matrix<'_>, height: usize, to: &mut [f32]) {
    let panels = to.chunks_mut((height * from.columns).max(1));
    for (panel, first) in panels.zip((0..from.rows).step_by(height)) {
        pack_left_panel(from, first, height.min(from.rows - first), panel);
    }
}

/// As [`pack_left`], with interruptions.
pub(crate) async fn pack_left_paced(from: Matrix<'_>, height: usize, to: &mut [f32], pace: &mut Pace) {
    let panels = to.chunks_mut((height * from.columns).max(1));
    for (panel, first) in panels.zip((0..from.rows).step_by(height)) {
        pack_left_panel(from, first, height.min(from.rows - first), panel);
        pace.spend(packing(panel.len())).await;
    }
}

/// Roughly the nanoseconds that it takes to pack so many numbers.
fn packing(numbers: usize) -> u64 {
    2 * numbers as u64
}

/// Packs the panel of `rows` rows from `first` on.
fn pack_left_panel(from: Matrix<'_>, first: usize, rows: usize, to: &mut [f32]) {
    for (k, column) in to.chunks_exact_mut(rows).enumerate() {
        for (row, slot) in column.iter_mut().enumerate() {
            *slot = from.data[(first + row) * from.row_stride + k * from.column_stride];
        }
    }
}

/// How many numbers a packed right factor has.
pub(crate) fn right_len(columns: usize, depth: usize, sizes: Sizes) -> usize {
    columns.next_multiple_of(sizes.lanes) * depth
}

/// Where the panel that begins with `column` begins, and how wide it is. `column` is a multiple of `sizes.columns()`.
pub(crate) fn right_panel(column: usize, columns: usize, depth: usize, sizes: Sizes) -> (usize, usize) {
    let left = (columns - column).next_multiple_of(sizes.lanes);
    (column * depth, left.min(sizes.columns()))
}

/// Packs a right factor into panels of `sizes.columns()` columns. See [`right_panel`].
pub(crate) async fn pack_right(from: Matrix<'_>, sizes: Sizes, to: &mut [f32], pace: &mut Pace) {
    for column in (0..from.columns).step_by(sizes.columns()) {
        let (start, width) = right_panel(column, from.columns, from.rows, sizes);
        pack_right_panel(from, column, width, &mut to[start..start + width * from.rows]);
        pace.spend(packing(width * from.rows)).await;
    }
}

/// Packs the panel of `width` columns from `column` on; columns beyond the matrix are zero.
#[inline(always)]
pub(crate) fn pack_right_panel(from: Matrix<'_>, column: usize, width: usize, to: &mut [f32]) {
    let columns = width.min(from.columns - column);
    if from.column_stride == 1 {
        for (k, line) in to.chunks_exact_mut(width).take(from.rows).enumerate() {
            let start = k * from.row_stride + column;
            line[..columns].copy_from_slice(&from.data[start..start + columns]);
            line[columns..].fill(0.0);
        }
        return;
    }
    for (k, line) in to.chunks_exact_mut(width).take(from.rows).enumerate() {
        let start = k * from.row_stride + column * from.column_stride;
        for (index, slot) in line.iter_mut().enumerate() {
            *slot = if index < columns { from.data[start + index * from.column_stride] } else { 0.0 };
        }
    }
}
