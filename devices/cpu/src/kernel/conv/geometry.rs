//! The window of a convolution in two dimensions, and the blocks of its output.
//!
//! This file counts; it copies and multiplies nothing.

use alloc::vec::Vec;

use inferry_engine::op::Resolved;

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
            dilation: if window.kernel[dim] == 1 { 1 } else { window.dilations[dim] },
            begin: window.begins[dim],
        }
    }

    /// Output element i needs input element i and nothing else.
    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.begin == 0 && self.output == self.input
    }

    /// The remainders, by `step`, of the places that taps look at.
    pub(super) fn phases(&self, step: usize) -> Vec<usize> {
        let mut phases: Vec<usize> = (0..self.kernel).map(|tap| tap * self.dilation % step).collect();
        phases.sort_unstable();
        phases.dedup();
        phases
    }

    /// Extent of one phase of the input, whose elements are `step` apart, under `outputs` elements of the output.
    pub(super) fn reach(&self, outputs: usize, step: usize) -> usize {
        outputs + (self.kernel - 1) * self.dilation / step
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

    /// Every output needs the input element at its own place and nothing else.
    pub(super) fn is_pointwise(&self) -> bool {
        self.rows.is_pointwise() && self.columns.is_pointwise()
    }

    /// Elements of one channel of the input.
    pub(super) fn input(&self) -> usize {
        self.rows.input * self.columns.input
    }

    /// Elements of one channel of the output.
    pub(super) fn output(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Rows of the output from one row of a tile to the next: those of a dilated convolution read the same rows of the
    /// input when they are as far apart as its taps.
    pub(super) fn spread(&self) -> usize {
        if self.rows.stride == 1 { self.rows.dilation } else { 1 }
    }

    /// Rows of the input from one row of a phase to the next.
    pub(super) fn row_step(&self) -> usize {
        self.rows.stride * self.spread()
    }

    /// Taps of the kernel.
    pub(super) fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }
}

/// A block of the output: its first row and column, and how many. Its rows are [`Plane::spread`] apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The largest number up to `most` that fits, assuming that what is smaller fits better; at least 1.
pub(super) fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most.max(1));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}
