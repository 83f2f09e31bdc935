//! Where a convolution reads: the window in two dimensions, and the *region* that a tile of the output needs.
//!
//! A region is the part of the input under a block of output rows and columns, padding included as zeros, copied to
//! scratch so that the inner loops meet neither borders nor strides:
//!
//! ```text
//!  input rows 0 1 2 3 4 5 …, stride 2      region: rows 0 2 4 … | rows 1 3 5 …   (a phase for each remainder)
//!  columns likewise                        of each channel, `lines` rows of `pitch` numbers in each phase
//! ```
//!
//! After that the number that tap (i, j) of the kernel meets for output (y, x) lies at `offset(i, j) + y * pitch + x`:
//! neighbours of the output are neighbours in memory whatever the stride and the dilation are. Phases that no tap reads
//! are left out. This file counts and copies; it multiplies nothing.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use inferry_engine::op::Resolved;

use crate::simd::Simd;

/// One spatial dimension of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Zeros before the input.
    pub(super) begin: usize,
}

impl Axis {
    const SINGLE: Axis = Axis { input: 1, output: 1, kernel: 1, stride: 1, dilation: 1, begin: 0 };

    fn of(window: &Resolved, input: &[usize], dim: usize) -> Axis {
        Axis {
            input: input[dim],
            output: window.output[dim],
            kernel: window.kernel[dim],
            stride: window.strides[dim],
            dilation: window.dilations[dim],
            begin: window.begins[dim],
        }
    }

    /// Output element i needs input element i and nothing else.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.begin == 0 && self.output == self.input
    }

    /// The remainders, by the stride, of the places that taps look at.
    fn phases(&self) -> Vec<usize> {
        let mut phases: Vec<usize> = (0..self.kernel).map(|tap| tap * self.dilation % self.stride).collect();
        phases.sort_unstable();
        phases.dedup();
        phases
    }

    /// Extent of one phase of the input under `outputs` elements of the output.
    fn reach(&self, outputs: usize) -> usize {
        outputs + (self.kernel - 1) * self.dilation / self.stride
    }
}

/// The window in two dimensions, rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
}

impl Plane {
    /// The plane of a window of one or two dimensions. Dimensions that the window does not mix become one, and a single
    /// column becomes a row, so that the innermost loop is long.
    pub(super) fn new(window: &Resolved, input: &[usize]) -> Option<Plane> {
        let plane = match input.len() {
            1 => Plane { rows: Axis::SINGLE, columns: Axis::of(window, input, 0) },
            2 => Plane { rows: Axis::of(window, input, 0), columns: Axis::of(window, input, 1) },
            _ => return None,
        };
        let Plane { rows, columns } = plane;
        if rows.is_pointwise() && columns.is_pointwise() {
            let extent = rows.input * columns.input;
            return Some(Plane {
                rows: Axis::SINGLE,
                columns: Axis { input: extent, output: extent, ..columns },
            });
        }
        if columns == Axis::SINGLE {
            return Some(Plane { rows: columns, columns: rows });
        }
        Some(plane)
    }

    /// Elements of one channel of the input.
    pub(super) fn input(&self) -> usize {
        self.rows.input * self.columns.input
    }

    /// Elements of one channel of the output.
    pub(super) fn output(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Taps of the kernel.
    pub(super) fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }
}

/// The layout of a region. See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Region {
    row_phases: Vec<usize>,
    column_phases: Vec<usize>,
    /// Rows of each phase.
    lines: usize,
    /// Numbers from one row to the next.
    pub(super) pitch: usize,
}

/// A block of the output: its first row and column, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Numbers that [`Region::gather`] may write beyond the region, and tiles may read beyond it.
pub(super) const SLACK: usize = 64;

impl Region {
    /// The region under blocks of at most `rows` x `columns` of the output; `None` when it is absurdly large.
    pub(super) fn new(plane: &Plane, rows: usize, columns: usize) -> Option<Region> {
        let region = Region {
            row_phases: plane.rows.phases(),
            column_phases: plane.columns.phases(),
            lines: plane.rows.reach(rows),
            pitch: plane.columns.reach(columns),
        };
        let phases = region.row_phases.len() * region.column_phases.len();
        let len = phases.checked_mul(region.lines)?.checked_mul(region.pitch)?;
        (len < 1 << 26).then_some(region)
    }

    /// Numbers of one channel.
    pub(super) fn channel(&self) -> usize {
        self.row_phases.len() * self.column_phases.len() * self.lines * self.pitch
    }

    /// Where each tap of each channel begins, taps innermost; `None` when a place does not fit into 32 bits.
    pub(super) fn table(&self, plane: &Plane, channels: usize) -> Option<Vec<u32>> {
        let mut table = Vec::with_capacity(channels * plane.taps());
        for channel in 0..channels {
            for row in 0..plane.rows.kernel {
                for column in 0..plane.columns.kernel {
                    let place = channel * self.channel() + self.offset(plane, row, column);
                    table.push(u32::try_from(place).ok()?);
                }
            }
        }
        Some(table)
    }

    fn offset(&self, plane: &Plane, row: usize, column: usize) -> usize {
        let split = |axis: &Axis, phases: &[usize], tap: usize| {
            let at = tap * axis.dilation;
            let phase = phases.iter().position(|phase| *phase == at % axis.stride);
            (phase.expect("a phase that a tap reads"), at / axis.stride)
        };
        let (row_phase, line) = split(&plane.rows, &self.row_phases, row);
        let (column_phase, column) = split(&plane.columns, &self.column_phases, column);
        let phase = row_phase * self.column_phases.len() + column_phase;
        (phase * self.lines + line) * self.pitch + column
    }

    /// Copies the region under `place` of `channels` consecutive channels of the input. `to` has [`SLACK`] numbers more than
    /// the channels fill; they may be overwritten.
    #[inline(always)]
    pub(super) fn gather<S: Simd>(
        &self,
        simd: S,
        plane: &Plane,
        input: &[f32],
        place: Place,
        channels: usize,
        to: &mut [f32],
    ) {
        let width = plane.columns.input;
        assert!(to.len() >= channels * self.channel() + SLACK && input.len() >= channels * plane.input());
        let lines = plane.rows.reach(place.rows);
        let first_row = (place.row * plane.rows.stride) as isize - plane.rows.begin as isize;
        let first_column = (place.column * plane.columns.stride) as isize - plane.columns.begin as isize;
        for channel in 0..channels {
            let image = &input[channel * plane.input()..][..plane.input()];
            let mut at = channel * self.channel();
            for row_phase in &self.row_phases {
                for column_phase in &self.column_phases {
                    for line in 0..lines {
                        let row = first_row + (line * plane.rows.stride + row_phase) as isize;
                        let from = usize::try_from(row).ok().filter(|row| *row < plane.rows.input);
                        let from = from.map_or(&[][..], |row| &image[row * width..][..width]);
                        let start = first_column + *column_phase as isize;
                        let to = &mut to[at + line * self.pitch..][..self.pitch + SLACK];
                        gather_line(simd, from, start, plane.columns.stride, self.pitch, to);
                    }
                    at += self.lines * self.pitch;
                }
            }
        }
    }
}

/// Copies every `step`-th number of `from`, from index `start` on, `count` of them, to the begin of `to`; what lies outside
/// `from` is zero. May write [`SLACK`] numbers more.
#[inline(always)]
fn gather_line<S: Simd>(simd: S, from: &[f32], start: isize, step: usize, count: usize, to: &mut [f32]) {
    assert!(to.len() >= count + SLACK && SLACK >= 2 * S::LANES);
    let to = to.as_mut_ptr();
    // The part `first..last` of the line lies inside.
    let first = if start >= 0 { 0 } else { start.unsigned_abs().div_ceil(step) }.min(count);
    let begin = start + (first * step) as isize;
    let inside = (from.len() as isize - begin).max(0) as usize;
    let last = (first + inside.div_ceil(step)).min(count);
    // SAFETY: all writes begin below `count` (or at it) and have at most `LANES` numbers, so that they end before the
    // slack does. Reads lie between `begin` and the end of `from`: whole vectors only where as many are left.
    unsafe {
        zeros(simd, to, 0, first);
        let at = |index: usize| from.as_ptr().add((start + (index * step) as isize) as usize);
        let mut index = first;
        if step == 1 {
            while index + S::LANES <= last {
                simd.store_ptr(simd.load_ptr(at(index)), to.add(index));
                index += S::LANES;
            }
            if index < last {
                simd.store_ptr(simd.load_ptr_partial(at(index), last - index), to.add(index));
                index += S::LANES;
            }
        } else if step == 2 {
            // The last vector may not read its last odd number: there may be none.
            while index + S::LANES < last {
                let (low, high) = (simd.load_ptr(at(index)), simd.load_ptr(at(index).add(S::LANES)));
                simd.store_ptr(simd.deinterleave(low, high).0, to.add(index));
                index += S::LANES;
            }
        }
        while index < last {
            *to.add(index) = *at(index);
            index += 1;
        }
        zeros(simd, to, index, count);
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
