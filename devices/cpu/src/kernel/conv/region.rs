//! Regions: what a tile of a convolution reads, copied together.
//!
//! A region is the part of the input under a block of output rows and columns, padding included as zeros, so that the inner
//! loops meet neither borders nor strides:
//!
//! ```text
//!  input rows 0 1 2 3 4 5 …, stride 2      region: rows 0 2 4 … | rows 1 3 5 …   (a phase for each remainder)
//!  columns likewise                        of each channel, `lines` rows of `pitch` numbers in each phase
//! ```
//!
//! After that the number that tap (i, j) of the kernel meets for output (y, x) lies at `offset(i, j) + y * pitch + x`:
//! neighbours of the output are neighbours in memory whatever the stride and the dilation are. Phases that no tap reads
//! are left out. The rows of a tile of a dilated convolution are not neighbours, but as far apart as the taps
//! ([`Plane::spread`]), so that no rows in between are gathered that nobody reads.
//!
//! Rows no longer than a vector, of which small images have thousands, are copied a vector each, and with a stride of 2 both
//! phases at once: 576 channels of 14 x 14 to 7 x 7, depthwise, took 0.055 ms instead of 0.11 (Zen 5, AVX-512).
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::geometry::{Axis, Place, Plane};
use crate::simd::Simd;

/// The layout of a region. See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Region {
    channels: usize,
    row_phases: Vec<usize>,
    column_phases: Vec<usize>,
    /// Rows of each phase.
    lines: usize,
    /// Numbers from one row to the next.
    pub(super) pitch: usize,
    /// Numbers from one phase of a channel to the next.
    block: usize,
}

/// Numbers that are this far apart lie in the same few places of the first level of cache.
pub(super) const ALIASED: usize = 1024;

/// Keeps rows that are read together out of the same places of a cache: as many numbers as a cache line has.
const GAP: usize = 16;

/// Numbers that [`Region::gather`] may write beyond the region, and tiles may read beyond it.
pub(super) const SLACK: usize = 64;

impl Region {
    /// The region of `channels` channels under blocks of at most `rows` x `columns` of the output; `None` when it is
    /// absurdly large.
    pub(super) fn new(plane: &Plane, channels: usize, rows: usize, columns: usize) -> Option<Region> {
        let lines = plane.rows.reach(rows, plane.row_step());
        let pitch = plane.columns.reach(columns, plane.columns.stride);
        let block = lines.checked_mul(pitch)?;
        let region = Region {
            channels,
            row_phases: plane.rows.phases(plane.row_step()),
            column_phases: plane.columns.phases(plane.columns.stride),
            lines,
            pitch,
            block: if block.is_multiple_of(ALIASED) { block.checked_add(GAP)? } else { block },
        };
        let phases = region.row_phases.len() * region.column_phases.len();
        let len = phases.checked_mul(region.block)?.checked_mul(channels)?;
        (len < 1 << 30).then_some(region)
    }

    /// Numbers of the region.
    pub(super) fn len(&self) -> usize {
        self.row_phases.len() * self.column_phases.len() * self.block * self.channels
    }

    /// Where each tap of each channel begins, taps innermost.
    pub(super) fn table(&self, plane: &Plane) -> Vec<u32> {
        let mut table = Vec::with_capacity(self.channels * plane.taps());
        for channel in 0..self.channels {
            for row in 0..plane.rows.kernel {
                for column in 0..plane.columns.kernel {
                    table.push(self.offset(plane, channel, row, column) as u32);
                }
            }
        }
        table
    }

    /// Where a tap of a channel begins: below 2^30, as the region is.
    fn offset(&self, plane: &Plane, channel: usize, row: usize, column: usize) -> usize {
        let split = |axis: &Axis, phases: &[usize], step: usize, tap: usize| {
            let at = tap * axis.dilation;
            let phase = phases.iter().position(|phase| *phase == at % step);
            (phase.expect("a phase that a tap reads"), at / step)
        };
        let (row_phase, line) = split(&plane.rows, &self.row_phases, plane.row_step(), row);
        let (column_phase, column) = split(&plane.columns, &self.column_phases, plane.columns.stride, column);
        let phase = (column_phase * self.channels + channel) * self.row_phases.len() + row_phase;
        phase * self.block + line * self.pitch + column
    }

    /// Copies the region under `place` from consecutive channels of the input. `to` has [`SLACK`] numbers more than the
    /// region; they may be overwritten.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(
        &self,
        simd: S,
        plane: &Plane,
        input: &[f32],
        place: Place,
        to: &mut [f32],
    ) {
        let width = plane.columns.input;
        assert!(to.len() >= self.len() + SLACK && input.len() >= self.channels * plane.input());
        let lines = plane.rows.reach(place.rows, plane.row_step());
        let first_row = (place.row * plane.rows.stride) as isize - plane.rows.begin as isize;
        let first_column = (place.column * plane.columns.stride) as isize - plane.columns.begin as isize;
        if plane.columns.stride == 1 && self.row_phases[..] == [0] && self.pitch <= S::LANES {
            let span = Span::new(width, first_column, 1, self.pitch);
            for channel in 0..self.channels {
                let image = &input[channel * plane.input()..][..plane.input()];
                let to = &mut to[channel * self.block..][..lines * self.pitch + SLACK];
                span.copy_rows(simd, image, first_row, plane.row_step(), to);
            }
            return;
        }
        if plane.columns.stride == 2 && self.column_phases[..] == [0, 1] && self.pitch <= S::LANES {
            let span = |phase| Span::new(width, first_column + phase, 2, self.pitch);
            if let Some(pair) = Pair::new(span(0), span(1)) {
                return self.gather_pairs(simd, plane, input, (first_row, lines), pair, to);
            }
        }
        // Rows are written in the order in which they lie, because each may spill over into the next.
        let mut at = 0;
        for column_phase in &self.column_phases {
            let start = first_column + *column_phase as isize;
            let span = Span::new(width, start, plane.columns.stride, self.pitch);
            for channel in 0..self.channels {
                let image = &input[channel * plane.input()..][..plane.input()];
                for row_phase in &self.row_phases {
                    for line in 0..lines {
                        let row = first_row + (line * plane.row_step() + row_phase) as isize;
                        let to = &mut to[at + line * self.pitch..][..self.pitch + SLACK];
                        match usize::try_from(row).ok().filter(|row| *row < plane.rows.input) {
                            Some(row) => span.copy(simd, &image[row * width..][..width], to),
                            None => span.zeros(simd, to),
                        }
                    }
                    at += self.block;
                }
            }
        }
    }
}

impl Region {
    /// As [`Region::gather`], for both phases of rows that are no longer than a vector each, `lines` of them.
    #[inline(always)]
    fn gather_pairs<S: Simd>(
        &self,
        simd: S,
        plane: &Plane,
        input: &[f32],
        (first_row, lines): (isize, usize),
        pair: Pair,
        to: &mut [f32],
    ) {
        let width = plane.columns.input;
        let block = self.block;
        let apart = self.channels * self.row_phases.len() * block;
        assert!(to.len() >= 2 * apart + SLACK && lines <= self.lines && SLACK >= 2 * S::LANES);
        let (even, odd) = (pair.even.first + pair.later * apart, pair.odd.first + (1 - pair.later) * apart);
        let to = to.as_mut_ptr();
        for channel in 0..self.channels {
            let image = &input[channel * plane.input()..][..plane.input()];
            for (index, row_phase) in self.row_phases.iter().enumerate() {
                let start = (channel * self.row_phases.len() + index) * block;
                // SAFETY: the beginning of a block of each phase, of which there are as many as `apart` says.
                unsafe {
                    simd.store_ptr_partial(simd.zero(), to.add(start), self.pitch);
                    simd.store_ptr_partial(simd.zero(), to.add(start + apart), self.pitch);
                }
                for line in 0..lines {
                    let row = first_row + (line * plane.row_step() + row_phase) as isize;
                    let row = usize::try_from(row).ok().filter(|row| *row < plane.rows.input);
                    let (low, high) = match row {
                        Some(row) => {
                            let from = &image[row * width + pair.even.begin..][..pair.count];
                            let (low, high) = from.split_at(from.len().min(S::LANES));
                            (simd.load_partial(low), simd.load_partial(high))
                        }
                        None => (simd.zero(), simd.zero()),
                    };
                    let (evens, odds) = simd.deinterleave(low, high);
                    let at = start + line * self.pitch;
                    let left = (lines - line) * self.pitch;
                    let count = |first: usize| (left - first).min(S::LANES);
                    // SAFETY: within the block; what a vector has beyond its row are zeros, with which the next row begins.
                    // Beyond the block the other phase may have been written already.
                    unsafe {
                        simd.store_ptr_partial(evens, to.add(at + even), count(pair.even.first));
                        simd.store_ptr_partial(odds, to.add(at + odd), count(pair.odd.first));
                    }
                }
            }
        }
    }
}

/// The two phases of columns with a stride of 2, when they are the even and the odd places of one run of numbers.
#[derive(Clone, Copy)]
struct Pair {
    /// The phase that the first number of the run belongs to.
    even: Span,
    odd: Span,
    /// 1 when `even` is the second phase.
    later: usize,
    /// Numbers of the run.
    count: usize,
}

impl Pair {
    fn new(first: Span, second: Span) -> Option<Pair> {
        let later = second.begin < first.begin;
        let (even, odd) = if later { (second, first) } else { (first, second) };
        let (evens, odds) = (even.last - even.first, odd.last - odd.first);
        let fits = odd.begin == even.begin + 1 && (evens == odds || evens == odds + 1);
        let later = usize::from(later);
        fits.then_some(Pair { even, odd, later, count: evens + odds })
    }
}

/// Which numbers of an input row go to a row of the region: every `step`-th from `begin` on goes to places `first..last` of
/// `count`; the other places are zero.
#[derive(Clone, Copy)]
struct Span {
    /// Numbers of the input row.
    width: usize,
    begin: usize,
    step: usize,
    first: usize,
    last: usize,
    count: usize,
}

impl Span {
    /// The places of a row of `count` that begins at index `start` of an input row of `width`.
    fn new(width: usize, start: isize, step: usize, count: usize) -> Span {
        let first = if start >= 0 { 0 } else { start.unsigned_abs().div_ceil(step) }.min(count);
        let begin = (start + (first * step) as isize).max(0) as usize;
        let last = (first + width.saturating_sub(begin).div_ceil(step)).min(count);
        Span { width, begin, step, first, last, count }
    }

    /// Writes a row of the region. May write [`SLACK`] numbers more.
    #[inline(always)]
    fn copy<S: Simd>(self, simd: S, from: &[f32], to: &mut [f32]) {
        let Span { begin, step, first, last, count, .. } = self;
        assert!(to.len() >= count + SLACK && SLACK >= 2 * S::LANES);
        assert!(first == last || begin + (last - first - 1) * step < from.len());
        let (from, to) = (from.as_ptr().wrapping_add(begin), to.as_mut_ptr());
        // SAFETY: all writes begin below `count` and have at most `LANES` numbers, so that they end before the slack does.
        // Reads lie between `begin` and the number for `last - 1`: whole vectors only where as many are left.
        unsafe {
            zeros(simd, to, 0, first);
            let mut index = first;
            if step == 1 {
                while index + S::LANES <= last {
                    simd.store_ptr(simd.load_ptr(from.add(index - first)), to.add(index));
                    index += S::LANES;
                }
                if index < last {
                    let rest = simd.load_ptr_partial(from.add(index - first), last - index);
                    simd.store_ptr(rest, to.add(index));
                    index += S::LANES;
                }
            } else if step == 2 {
                // The last vector may not read its last odd number: there may be none.
                while index + S::LANES < last {
                    let from = from.add((index - first) * 2);
                    let (low, high) = (simd.load_ptr(from), simd.load_ptr(from.add(S::LANES)));
                    simd.store_ptr(simd.deinterleave(low, high).0, to.add(index));
                    index += S::LANES;
                }
                if index < last {
                    let (from, left) = (from.add((index - first) * 2), 2 * (last - index) - 1);
                    let low = simd.load_ptr_partial(from, left.min(S::LANES));
                    let beyond = left.saturating_sub(S::LANES);
                    let high = simd.load_ptr_partial(from.wrapping_add(S::LANES), beyond);
                    simd.store_ptr(simd.deinterleave(low, high).0, to.add(index));
                    index += S::LANES;
                }
            }
            while index < last {
                *to.add(index) = *from.add((index - first) * step);
                index += 1;
            }
            zeros(simd, to, index, count);
        }
    }

    /// Writes rows that are no longer than a vector: those of `image` from row `first_row` on, `step` apart. Each vector begins
    /// at the first number of its row and brings the zeros around it, up to the first number of the next row.
    #[inline(always)]
    fn copy_rows<S: Simd>(self, simd: S, image: &[f32], first_row: isize, step: usize, to: &mut [f32]) {
        let Span { begin, first, last, count, .. } = self;
        let (lines, width) = ((to.len() - SLACK) / count.max(1), last - first);
        assert!(count <= S::LANES && first <= count && SLACK >= 2 * S::LANES);
        // SAFETY: a vector at the beginning of `to`, and one that begins within each row: `to` has the slack after the last.
        unsafe { simd.store_ptr(simd.zero(), to.as_mut_ptr()) };
        for line in 0..lines {
            let row = first_row + (line * step) as isize;
            let at = usize::try_from(row).ok().and_then(|row| row.checked_mul(self.width));
            let numbers = match at.and_then(|at| image.get(at + begin..at + begin + width)) {
                Some(numbers) => simd.load_partial(numbers),
                None => simd.zero(),
            };
            // SAFETY: as above.
            unsafe { simd.store_ptr(numbers, to.as_mut_ptr().add(line * count + first)) };
        }
    }

    /// Writes a row of zeros. May write [`SLACK`] numbers more.
    #[inline(always)]
    fn zeros<S: Simd>(self, simd: S, to: &mut [f32]) {
        assert!(to.len() >= self.count + SLACK && SLACK >= S::LANES);
        // SAFETY: just checked.
        unsafe { zeros(simd, to.as_mut_ptr(), 0, self.count) };
    }
}

/// Writes zeros from `first` to `last` and up to a vector beyond.
///
/// # Safety
/// These can be written.
#[inline(always)]
unsafe fn zeros<S: Simd>(simd: S, to: *mut f32, first: usize, last: usize) {
    let mut index = first;
    while index < last {
        // SAFETY: the caller vouches for the numbers up to a vector beyond `last`.
        unsafe { simd.store_ptr(simd.zero(), to.add(index)) };
        index += S::LANES;
    }
}
