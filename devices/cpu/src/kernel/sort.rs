//! Sorting in tiles: rows of positions, by an order that the kernel gives.
//!
//! A merge sort from the bottom up. The first phase sorts short runs in place; each further one merges pairs of runs, from one
//! half of the workspace to the other. A tile owns a stretch of the *result* of a merge and finds by bisection which parts
//! of the two runs belong there, so that no tile is long, however long the runs have become. Positions are `u32`.
//!
//! Not for short rows: a kernel sorts those in a tile of its own with the standard library.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::ops::Range;

use crate::io::Shared;
use crate::kernel::arguments::form;
use crate::kernel::{BuildError, Phase};

/// How many positions the first phase sorts together, and how many a tile of a merge writes. Short in tests, so that small
/// rows are merged as well.
const RUN: usize = if cfg!(test) { 8 } else { 1024 };
const STRETCH: usize = if cfg!(test) { 12 } else { 4096 };

/// Rows of positions to sort. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sort {
    rows: usize,
    len: usize,
    merges: usize,
}

impl Sort {
    /// `rows` rows of at most `len` positions.
    pub(crate) fn new(rows: usize, len: usize) -> Result<Sort, BuildError> {
        let bytes = rows.checked_mul(len).and_then(|count| count.checked_mul(8));
        if u32::try_from(len).is_err() || bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(form(alloc::format!("sorting {rows} rows of {len}")));
        }
        let mut merges = 0;
        while RUN << merges < len {
            merges += 1;
        }
        Ok(Sort { rows, len, merges })
    }

    /// The phases, in order.
    pub(crate) fn phases(&self) -> Vec<Phase> {
        let compare = 4;
        let sort = Phase::tiles(self.rows * self.len.div_ceil(RUN), (RUN * 10 * compare) as u64);
        let merge = Phase::tiles(self.rows * self.len.div_ceil(STRETCH), (STRETCH * compare) as u64);
        core::iter::once(sort).chain(core::iter::repeat_n(merge, self.merges)).collect()
    }

    /// Bytes of workspace: a multiple of 8.
    pub(crate) fn bytes(&self) -> usize {
        2 * self.rows * self.len * size_of::<u32>()
    }

    /// Where row `row` begins in the workspace before the first phase, in positions.
    pub(crate) fn begin(&self, row: usize) -> usize {
        row * self.len
    }

    /// Where row `row` lies in the workspace after the last phase, in positions.
    pub(crate) fn result(&self, row: usize) -> usize {
        (self.merges % 2) * self.rows * self.len + row * self.len
    }

    /// Does tiles of phase `phase`. `len` tells how many positions a row has in this run; `fill` writes positions of a row
    /// before they are sorted, where an earlier phase has not; `before` is a strict order of the positions of a row.
    pub(crate) fn run(
        &self,
        phase: usize,
        tiles: Range<usize>,
        workspace: Shared<'_, u32>,
        len: impl Fn(usize) -> usize,
        fill: impl Fn(Range<usize>, &mut [u32]),
        before: impl Fn(usize, u32, u32) -> bool,
    ) {
        let order = |row: usize| {
            let before = &before;
            move |a: &u32, b: &u32| match (before(row, *a, *b), before(row, *b, *a)) {
                (true, _) => core::cmp::Ordering::Less,
                (_, true) => core::cmp::Ordering::Greater,
                _ => core::cmp::Ordering::Equal,
            }
        };
        for tile in tiles {
            if phase == 0 {
                let (row, range) = stretch(tile, self.len, RUN, &len);
                let at = self.begin(row);
                // SAFETY: runs are disjoint and each belongs to one tile.
                let run = unsafe { workspace.range(at + range.start..at + range.end) };
                fill(range, run);
                run.sort_unstable_by(order(row));
                continue;
            }
            let (row, range) = stretch(tile, self.len, STRETCH, &len);
            let half = self.rows * self.len;
            let (from, to) = if phase % 2 == 1 { (0, half) } else { (half, 0) };
            let at = self.begin(row);
            let source = |range: Range<usize>| {
                assert!(range.start <= range.end && at + range.end <= half, "positions of one row");
                // SAFETY: in bounds by the line above and the size of the workspace, which `pointer` checks; nobody writes
                // the half that this phase reads.
                unsafe {
                    core::slice::from_raw_parts(
                        workspace.pointer(from + at + range.start).cast_const(),
                        range.len(),
                    )
                }
            };
            // SAFETY: stretches are disjoint and each belongs to one tile.
            let to = unsafe { workspace.range(to + at + range.start..to + at + range.end) };
            merge(RUN << (phase - 1), len(row), range, source, to, |a, b| before(row, a, b));
        }
    }
}

/// The row and the positions of a tile, of rows of at most `most` positions cut into pieces of `piece`.
fn stretch(tile: usize, most: usize, piece: usize, len: impl Fn(usize) -> usize) -> (usize, Range<usize>) {
    let pieces = most.div_ceil(piece);
    let (row, start) = (tile / pieces, tile % pieces * piece);
    let len = len(row).min(most);
    (row, start.min(len)..(start + piece).min(len))
}

/// Writes the part `range` of a row whose runs of `width` are merged pair by pair.
fn merge<'a>(
    width: usize,
    len: usize,
    range: Range<usize>,
    source: impl Fn(Range<usize>) -> &'a [u32],
    to: &mut [u32],
    before: impl Fn(u32, u32) -> bool,
) {
    let mut done = range.start;
    while done < range.end {
        let pair = done / (2 * width) * (2 * width);
        let (middle, end) = ((pair + width).min(len), (pair + 2 * width).min(len));
        let (a, b) = (source(pair..middle), source(middle..end));
        let stop = end.min(range.end);
        let (mut i, mut j) = split(a, b, done - pair, &before);
        for to in &mut to[done - range.start..stop - range.start] {
            let first = j == b.len() || (i < a.len() && before(a[i], b[j]));
            *to = if first { a[i] } else { b[j] };
            (i, j) = if first { (i + 1, j) } else { (i, j + 1) };
        }
        done = stop;
    }
}

/// How many of the first `count` of both together come from each.
fn split(a: &[u32], b: &[u32], count: usize, before: impl Fn(u32, u32) -> bool) -> (usize, usize) {
    let (mut low, mut high) = (count.saturating_sub(b.len()), count.min(a.len()));
    while low < high {
        let middle = low.midpoint(high);
        if before(a[middle], b[count - 1 - middle]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (low, count - low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Io, Operands, Shelf, Span};
    use crate::kernel::fault::Faults;
    use crate::kernel::testing::noise;
    use crate::text::Texts;
    use alloc::vec;

    /// Sorts rows of some lengths by keys, one tile at a time.
    fn sorted(keys: &[Vec<u32>], most: usize) -> Vec<Vec<u32>> {
        let sort = Sort::new(keys.len(), most).unwrap();
        let mut workspace = vec![0xa5a5_a5a5_a5a5_a5a5u64; sort.bytes() / 8 + 1];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut workspace);
        let span = Span::new(&mut bytes[..sort.bytes()]);
        let (faults, mut texts) = (Faults::none(), Texts::default());
        let texts = Shelf::new(&mut texts);
        let operands = Operands { inputs: &[], outputs: &[], workspace: span, faults: &faults, texts };
        for (index, phase) in sort.phases().into_iter().enumerate() {
            for tile in (0..phase.tiles).rev() {
                // SAFETY: the workspace lives on; one call runs at a time.
                let io = unsafe { Io::new(operands, &mut [], tile..tile + 1, phase) };
                let fill = |range: Range<usize>, to: &mut [u32]| {
                    to.iter_mut().zip(range).for_each(|(to, at)| *to = at as u32);
                };
                let before = |row: usize, a: u32, b: u32| {
                    let keys: &Vec<u32> = &keys[row];
                    (keys[a as usize], a) < (keys[b as usize], b)
                };
                sort.run(index, io.tiles(), io.shared_workspace(), |row| keys[row].len(), fill, before);
            }
        }
        let all: &[u32] = bytemuck::cast_slice(&workspace);
        (0..keys.len()).map(|row| all[sort.result(row)..][..keys[row].len()].to_vec()).collect()
    }

    #[test]
    fn rows_of_all_lengths_are_sorted() {
        for most in [0, 1, 7, 8, 9, 16, 17, 50, 129, 1000] {
            let row = |seed: u64, len: usize| -> Vec<u32> {
                noise(len, seed).iter().map(|x| (x.abs() * 30.0) as u32).collect()
            };
            let keys = [row(1, most), row(2, most / 2), row(3, most / 3)];
            let found = sorted(&keys, most);
            for (keys, found) in keys.iter().zip(found) {
                let mut wanted: Vec<u32> = (0..keys.len() as u32).collect();
                wanted.sort_by_key(|at| keys[*at as usize]);
                assert_eq!(found, wanted, "{most}");
            }
        }
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        assert!(Sort::new(usize::MAX, 9).is_err());
        assert!(Sort::new(1, usize::MAX).is_err());
    }
}
