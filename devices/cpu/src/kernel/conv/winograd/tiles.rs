//! The loops over a block of tiles: channels last, transform, multiply, transform back, channels first.
#![allow(clippy::needless_range_loop)] // Iterators over vectors are calls for every vector: see `simd`.

use super::transform::{MOST, inputs, outputs};
use super::{Winograd, weights};
use crate::io::{Io, Shared};
use crate::kernel::gemm::{Init, Left, Right, Sizes, Tile, compute};
use crate::kernel::transpose::plane::{MOST as LANES, exchange};
use crate::simd::{Simd, Vectorized};

/// The tiles of a run; `M` outputs on a side.
pub(super) struct Tiles<'a, 'io, const M: usize> {
    pub(super) winograd: &'a Winograd,
    pub(super) io: &'a mut Io<'io>,
}

/// Where a block lies.
#[derive(Clone, Copy)]
struct Place {
    /// Image and group, as one number.
    image: usize,
    /// The first output row and column.
    row: usize,
    column: usize,
    /// Tiles that there are.
    rows: usize,
    columns: usize,
    /// The first panel of features.
    panel: usize,
}

impl<const M: usize> Vectorized for Tiles<'_, '_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tiles { winograd, io } = self;
        let Winograd { problem, grid, .. } = winograd;
        let sizes = Sizes { rows: crate::kernel::gemm::rows::<S>(), lanes: S::LANES };
        let [transformed, products, lines] = grid.scratch();
        let (transformed, rest) = io.scratch::<f32>().split_at_mut(transformed);
        let (products, rest) = rest.split_at_mut(products);
        let lines = &mut rest[..lines];
        let size = weights::group_len(problem, M, sizes);
        let mut ready = None;
        for tile in io.tiles() {
            let block = tile / grid.feature_blocks;
            let place = winograd.place(block, tile % grid.feature_blocks);
            if grid.ahead == 0 && ready != Some(block) {
                let to = (transformed.as_mut_ptr(), transformed.len());
                lines.fill(0.0);
                forward::<S, M>(simd, winograd, io, place, 0..problem.depth, (&mut *lines, to));
                ready = Some(block);
            }
            let transformed = if grid.ahead == 0 {
                &*transformed
            } else {
                // SAFETY: only the phase ahead writes the workspace.
                let all = unsafe { io.read_workspace::<f32>() };
                &all[block * grid.transformed()..][..grid.transformed()]
            };
            let group = place.image % problem.groups;
            let weights = &winograd.packed[group * size..][..size];
            let end = (place.panel + grid.panels) * grid.width;
            for first in (place.panel * grid.width..end.min(problem.features)).step_by(grid.width) {
                multiply(simd, winograd, place, (first, weights), transformed, products);
                for feature in (first..problem.features.min(first + grid.width)).step_by(S::LANES) {
                    let bias = problem.bias.then(|| &io.input::<f32>(2)[group * problem.features..]);
                    let products = &products[feature - first..];
                    for row in 0..place.rows {
                        simd.call(Back::<M> { winograd, place, feature, bias, row, products, lines });
                        let out = io.shared(0);
                        simd.call(ChannelsFirst { winograd, place, feature, row, lines, out });
                    }
                }
            }
            winograd.finish(io, place);
        }
    }
}

/// The inputs of a run of blocks, transformed to the workspace; `M` outputs on a side.
pub(super) struct Ahead<'a, 'io, const M: usize> {
    pub(super) winograd: &'a Winograd,
    pub(super) io: &'a mut Io<'io>,
}

impl<const M: usize> Vectorized for Ahead<'_, '_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Ahead { winograd, io } = self;
        let Winograd { problem, grid, .. } = winograd;
        let [_, products, lines] = grid.scratch();
        let lines = &mut io.scratch::<f32>()[products..][..lines];
        let (parts, channels) = (grid.parts(problem), grid.ahead * S::LANES);
        let mut cleared = None;
        for tile in io.tiles() {
            let (block, first) = (tile / parts, tile % parts * channels);
            // Each tile of a block writes the same inputs and leaves the same padding.
            if cleared.replace(block) != Some(block) {
                lines.fill(0.0);
            }
            let channels = first..(first + channels).min(problem.depth);
            let all = io.shared_workspace::<f32>();
            assert!((block + 1) * grid.transformed() <= all.len());
            // Tiles of one block write different channels, vector by vector, among the same numbers.
            let to = (all.pointer(block * grid.transformed()), grid.transformed());
            forward::<S, M>(simd, winograd, io, winograd.place(block, 0), channels, (&mut *lines, to));
        }
    }
}

/// Transforms some channels of a block, of which the first begins a vector, to so many numbers from an address on. What no input is
/// written to in `lines` is padding, and zero before.
#[inline(always)]
fn forward<S: Simd, const M: usize>(
    simd: S,
    winograd: &Winograd,
    io: &Io<'_>,
    place: Place,
    channels: core::ops::Range<usize>,
    (lines, (start, numbers)): (&mut [f32], (*mut f32, usize)),
) {
    let len = winograd.problem.depth * winograd.plane.input();
    let image = &io.input::<f32>(0)[place.image * len..][..len];
    for channel in channels.step_by(S::LANES) {
        simd.call(ChannelsLast { winograd, place, channel, image, lines });
        let to = (start.wrapping_add(channel), numbers - channel);
        simd.call(Forward::<M> { winograd, place, lines, to });
    }
}

impl Winograd {
    fn place(&self, block: usize, features: usize) -> Place {
        let grid = &self.grid;
        let (rest, column) =
            (block / grid.column_blocks, block % grid.column_blocks * grid.columns * grid.side);
        let (image, row) = (rest / grid.row_blocks, rest % grid.row_blocks * grid.rows * grid.side);
        let left = |all: usize, first: usize| (all.saturating_sub(first)).div_ceil(grid.side);
        Place {
            image,
            row,
            column,
            rows: grid.rows.min(left(self.plane.rows.output, row)),
            columns: grid.columns.min(left(self.plane.columns.output, column)),
            panel: features * grid.panels,
        }
    }

    /// Position in the output of element (row, column) of a feature.
    fn output(&self, place: Place, feature: usize, row: usize) -> usize {
        let channel = place.image * self.problem.features + feature;
        channel * self.plane.output() + row * self.plane.columns.output + place.column
    }

    /// Outputs of a row, and rows from `row` on, that a block has.
    fn extent(&self, place: Place) -> (usize, usize) {
        let rows = (place.rows * self.grid.side).min(self.plane.rows.output - place.row);
        (rows, (place.columns * self.grid.side).min(self.plane.columns.output - place.column))
    }

    /// Calls the epilogue on the outputs of a block: whole rows at once.
    fn finish(&self, io: &Io<'_>, place: Place) {
        if self.tail.then.is_none() {
            return;
        }
        let (rows, columns) = self.extent(place);
        let whole = columns == self.plane.columns.output;
        let (runs, len) = if whole { (1, rows * columns) } else { (rows, columns) };
        let first = place.panel * self.grid.width;
        let last = (first + self.grid.panels * self.grid.width).min(self.problem.features);
        let group = place.image % self.problem.groups;
        for feature in first..last {
            for run in 0..runs {
                let start = self.output(place, feature, place.row + run);
                // SAFETY: these are the block's own.
                let values = unsafe { io.shared(0).range(start..start + len) };
                self.tail.apply(io, start, group * self.problem.features + feature, values);
            }
        }
    }
}

/// Copies a vector of channels under a block to `lines`, channels innermost. What is in the padding is not touched.
struct ChannelsLast<'a> {
    winograd: &'a Winograd,
    place: Place,
    channel: usize,
    image: &'a [f32],
    lines: &'a mut [f32],
}

impl Vectorized for ChannelsLast<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ChannelsLast { winograd, place, channel, image, lines } = self;
        let (plane, grid) = (&winograd.plane, &winograd.grid);
        let size = plane.input();
        let channels = S::LANES.min(winograd.problem.depth - channel);
        let image = &image[channel * size..][..channels * size];
        // The part of the image, and where it lies in the lines.
        let part = |begin: usize, first: usize, count: usize, extent: usize| {
            let from = first.saturating_sub(begin).min(extent);
            let until = (first + count).saturating_sub(begin).min(extent).max(from);
            (from..until, (from + begin).saturating_sub(first))
        };
        let (rows, top) = part(plane.rows.begin, place.row, place.rows * grid.side + 2, plane.rows.input);
        let (columns, start) =
            part(plane.columns.begin, place.column, place.columns * grid.side + 2, plane.columns.input);
        if rows.is_empty() || columns.is_empty() {
            return;
        }
        let gap = (grid.line() - columns.len()) * S::LANES;
        let last = (top + rows.len() - 1) * grid.line() + start + columns.len();
        assert!(last * S::LANES <= lines.len());
        assert!((channels - 1) * size + rows.end * plane.columns.input <= image.len());
        // Rows without gaps between them are one.
        let whole = columns.len() == plane.columns.input;
        let (runs, len) = if whole { (1, rows.len() * columns.len()) } else { (rows.len(), columns.len()) };
        for run in 0..runs {
            let from = (rows.start + run) * plane.columns.input + columns.start;
            let mut done = 0;
            while done < len {
                let count = S::LANES.min(len - done);
                let from = image[from + done..].as_ptr();
                let mut vectors = [simd.zero(); LANES];
                for index in 0..S::LANES {
                    if index < channels {
                        let from = from.wrapping_add(index * size);
                        // SAFETY: `count` numbers of this channel, whose last was checked above.
                        vectors[index] = unsafe {
                            match count == S::LANES {
                                true => simd.load_ptr(from),
                                false => simd.load_ptr_partial(from, count),
                            }
                        };
                    }
                }
                vectors = exchange(simd, vectors);
                let (row, mut column) = (run + done / columns.len(), done % columns.len());
                let mut to = lines[((top + row) * grid.line() + start + column) * S::LANES..].as_mut_ptr();
                for index in 0..S::LANES {
                    if index < count {
                        // SAFETY: the place of this column in its line, and the last place was checked above.
                        unsafe { simd.store_ptr(vectors[index], to) };
                        column += 1;
                        let next = if column == columns.len() { gap } else { 0 };
                        column = if column == columns.len() { 0 } else { column };
                        to = to.wrapping_add(S::LANES + next);
                    }
                }
                done += count;
            }
        }
    }
}

/// Transforms the inputs of a vector of channels.
struct Forward<'a, const M: usize> {
    winograd: &'a Winograd,
    place: Place,
    lines: &'a [f32],
    /// An address, and how many numbers there are: the caller's but for the channels of others.
    to: (*mut f32, usize),
}

impl<const M: usize> Vectorized for Forward<'_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Forward { winograd, place, lines, to } = self;
        let grid = &winograd.grid;
        let (line, step) = (grid.line() * S::LANES, grid.step());
        let n = const { M + 2 };
        assert!(lines.len() >= (place.rows * M + 2) * line && place.columns <= grid.columns);
        assert!(to.1 >= (n * n - 1) * step + (place.rows * place.columns - 1) * grid.pitch + S::LANES);
        for tile in 0..place.rows * place.columns {
            let (row, column) = (tile / place.columns, tile % place.columns);
            let from = lines[row * M * line + column * M * S::LANES..].as_ptr();
            let to = to.0.wrapping_add(tile * grid.pitch);
            let mut rows = [[simd.zero(); MOST]; MOST];
            for row in 0..n {
                let mut values = [simd.zero(); MOST];
                for column in 0..n {
                    // SAFETY: the lines hold `n` of `n` inputs for each tile, as was checked.
                    values[column] = unsafe { simd.load_ptr(from.add(row * line + column * S::LANES)) };
                }
                rows[row] = inputs::<S, M>(simd, values);
            }
            for column in 0..n {
                let mut values = [simd.zero(); MOST];
                for row in 0..n {
                    values[row] = rows[row][column];
                }
                let values = inputs::<S, M>(simd, values);
                for row in 0..n {
                    // SAFETY: the last product's last tile was checked; nobody else has these channels.
                    unsafe { simd.store_ptr(values[row], to.add((row * n + column) * step)) };
                }
            }
        }
    }
}

/// The products of a block with one panel of features.
#[inline(always)]
fn multiply<S: Simd>(
    simd: S,
    winograd: &Winograd,
    place: Place,
    (first, weights): (usize, &[f32]),
    transformed: &[f32],
    products: &mut [f32],
) {
    let (grid, depth) = (&winograd.grid, winograd.problem.depth);
    let sizes = Sizes { rows: crate::kernel::gemm::rows::<S>(), lanes: S::LANES };
    let count = place.rows * place.columns;
    let height = sizes.even_rows(count);
    let columns = grid.width.min((winograd.problem.features - first).next_multiple_of(S::LANES));
    let panels = &weights[first * depth * grid.products()..][..columns * depth * grid.products()];
    let right = winograd.right[usize::from(columns == S::LANES)].as_ptr();
    for (index, panel) in panels.chunks_exact(columns * depth).enumerate() {
        let left = &transformed[index * grid.step()..][..grid.step()];
        let out = &mut products[index * grid.product()..][..grid.product()];
        for row in (0..count).step_by(height) {
            let tile = Tile {
                depth,
                left: Left {
                    start: left[row * grid.pitch..].as_ptr(),
                    table: winograd.left.as_ptr(),
                    row: grid.pitch,
                },
                right: Right { start: panel.as_ptr(), table: right },
                init: Init::Zero,
                clip: None,
                out: out[row * grid.width..].as_mut_ptr(),
                out_row: grid.width,
                columns,
            };
            // SAFETY: the rows are among the tiles of the block, each of which has `pitch >= depth` numbers on the left and
            // `width >= columns` in the result; the panel has `depth` rows of whole vectors.
            unsafe { compute(simd, height.min(count - row), &tile) };
        }
    }
}

/// Transforms the products of a row of tiles and a vector of features back, to lines of outputs, features innermost.
struct Back<'a, const M: usize> {
    winograd: &'a Winograd,
    place: Place,
    feature: usize,
    bias: Option<&'a [f32]>,
    row: usize,
    /// From the vector's features on.
    products: &'a [f32],
    lines: &'a mut [f32],
}

impl<const M: usize> Vectorized for Back<'_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Back { winograd, place, feature, bias, row, products, lines } = self;
        let grid = &winograd.grid;
        let (step, n) = (grid.product(), const { M + 2 });
        let line = (grid.columns * M).next_multiple_of(S::LANES) * S::LANES;
        let last = (row + 1) * place.columns - 1;
        assert!(products.len() >= (n * n - 1) * step + last * grid.width + S::LANES);
        assert!(lines.len() >= M * line && place.columns <= grid.columns);
        let features = S::LANES.min(winograd.problem.features - feature);
        let bias = match bias {
            Some(bias) => simd.load_partial(&bias[feature..][..features]),
            None => simd.zero(),
        };
        for column in 0..place.columns {
            let from = products[(row * place.columns + column) * grid.width..].as_ptr();
            let to = lines[column * M * S::LANES..].as_mut_ptr();
            let mut rows = [[simd.zero(); 4]; MOST];
            for row in 0..n {
                let mut values = [simd.zero(); MOST];
                for column in 0..n {
                    // SAFETY: the last product's last tile was checked.
                    values[column] = unsafe { simd.load_ptr(from.add((row * n + column) * step)) };
                }
                rows[row] = outputs::<S, M>(simd, values);
            }
            for column in 0..M {
                let mut values = [simd.zero(); MOST];
                for row in 0..n {
                    values[row] = rows[row][column];
                }
                let values = outputs::<S, M>(simd, values);
                for row in 0..M {
                    let mut value = simd.add(values[row], bias);
                    if let Some([low, high]) = winograd.tail.clip {
                        value = simd.min(simd.splat(high), simd.max(simd.splat(low), value));
                    }
                    // SAFETY: there are `M` lines for `M` outputs of each tile of a row, as was checked.
                    unsafe { simd.store_ptr(value, to.add(row * line + column * S::LANES)) };
                }
            }
        }
    }
}

/// Copies the lines of a row of tiles to the output, features outermost.
struct ChannelsFirst<'a, 'io> {
    winograd: &'a Winograd,
    place: Place,
    feature: usize,
    row: usize,
    lines: &'a [f32],
    out: Shared<'io, f32>,
}

impl Vectorized for ChannelsFirst<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ChannelsFirst { winograd, place, feature, row, lines, out } = self;
        let (grid, size) = (&winograd.grid, winograd.plane.output());
        let (rows, columns) = winograd.extent(place);
        let line = (grid.columns * grid.side).next_multiple_of(S::LANES) * S::LANES;
        let features = S::LANES.min(winograd.problem.features - feature);
        for index in 0..grid.side.min(rows - row * grid.side) {
            let start = winograd.output(place, feature, place.row + row * grid.side + index);
            for column in (0..columns).step_by(S::LANES) {
                let from = lines[index * line + column * S::LANES..][..S::LANES * S::LANES].as_ptr();
                let mut vectors = [simd.zero(); LANES];
                for index in 0..S::LANES {
                    // SAFETY: the square that was just cut out.
                    vectors[index] = unsafe { simd.load_ptr(from.add(index * S::LANES)) };
                }
                vectors = exchange(simd, vectors);
                let count = S::LANES.min(columns - column);
                let last = start + (features - 1) * size + column + count;
                let to = out.pointer(start + column);
                assert!(last <= out.len());
                for index in 0..S::LANES {
                    if index < features {
                        let to = to.wrapping_add(index * size);
                        // SAFETY: the outputs of the block are the caller's, and the last was just checked.
                        unsafe {
                            match count == S::LANES {
                                true => simd.store_ptr(vectors[index], to),
                                false => simd.store_ptr_partial(vectors[index], to, count),
                            }
                        }
                    }
                }
            }
        }
    }
}
