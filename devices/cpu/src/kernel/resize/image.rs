//! Images of `f32`: the last two dimensions resized, row by row.
//!
//! For each row of the output the rows of the input that count are summed up into one, which takes whole vectors; it
//! stands in the scratch with its edges repeated at both ends, so that summing along it needs no case for them. Doubling
//! with two taps, the commonest case, has the same weights at all even and at all odd positions, and takes vectors too.

use core::ops::Range;

use inferry_engine::op::Resize;

use super::coordinates::{Line, Taps};
use crate::kernel::simple::{simple_with_scratch, spread_rows};
use crate::kernel::vector::{load, store};
use crate::kernel::{Builder, Built};
use crate::simd::{Simd, Vectorized, dispatch};

/// A resampling of the last two dimensions.
pub(super) struct Image {
    planes: usize,
    height: usize,
    width: usize,
    rows: Taps,
    columns: Taps,
    /// Rows and columns of the output.
    output: (usize, usize),
    /// Repeated elements before the row in the scratch, and its length with everything that vectors read beyond.
    left: usize,
    buffer: usize,
    form: Form,
    extrapolation: f32,
}

/// How a row is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// It stays as it is.
    Plain,
    /// Twice as many, two taps; the first elements that even and odd positions read, and their weights.
    Double { even: isize, odd: isize, weights: [f32; 4] },
    /// Anything else.
    General,
}

/// More than two vectors of any instruction set.
const BEYOND: usize = 64;

impl Image {
    /// `None` when other dimensions change as well.
    pub(super) fn new(op: &Resize, lines: &[Line]) -> Option<Image> {
        let [outer @ .., rows, columns] = lines else { return None };
        if !outer.iter().all(Line::is_plain) || columns.input == 0 || rows.input == 0 {
            return None;
        }
        let (taps, wide) = (rows.taps(op), columns.taps(op));
        let left = wide.starts.iter().map(|start| (-start).max(0) as usize).max().unwrap_or(0);
        let reach = wide.starts.iter().map(|start| (left as isize + start) as usize).max().unwrap_or(0);
        let form = if columns.is_plain() { Form::Plain } else { Form::of(&wide) };
        Some(Image {
            planes: outer.iter().map(|line| line.input).product(),
            height: rows.input,
            width: columns.input,
            output: (rows.output, columns.output),
            left,
            buffer: (reach + wide.count).max(left + columns.input) + BEYOND,
            rows: taps,
            columns: wide,
            form,
            extrapolation: op.extrapolation,
        })
    }

    /// Where the row lies in the scratch.
    fn middle(&self) -> Range<usize> {
        self.left..self.left + self.width
    }
}

impl Form {
    fn of(taps: &Taps) -> Form {
        let doubled = taps.count == 2
            && taps.starts.len() >= 2
            && taps.starts.windows(3).all(|three| three[2] == three[0] + 1)
            && taps.weights.windows(5).step_by(2).all(|five| five[0] == five[4])
            && taps.weights.windows(6).step_by(2).all(|six| six[1] == six[5])
            && !taps.outside.contains(&true);
        if !doubled {
            return Form::General;
        }
        let weights = [taps.weights[0], taps.weights[1], taps.weights[2], taps.weights[3]];
        Form::Double { even: taps.starts[0], odd: taps.starts[1], weights }
    }
}

/// Builds the kernel.
pub(super) fn build(image: Image, node: &Builder<'_>) -> Built {
    let isa = node.isa;
    let (height, width) = image.output;
    let along = if image.form == Form::General { 500 * image.columns.count } else { 200 };
    let picoseconds = 100 * image.rows.count * image.width.div_ceil(width.max(1)) + along;
    let phase = spread_rows(image.planes * height, width, picoseconds as u64);
    simple_with_scratch(phase, image.buffer * size_of::<f32>(), move |io| {
        let first = io.tiles().start * (phase.unit / width.max(1));
        let (x, buffer) = (io.input::<f32>(0), io.scratch::<f32>());
        dispatch(isa, Resizing { image: &image, x, buffer, first, to: io.rows::<f32>() });
    })
}

struct Resizing<'a> {
    image: &'a Image,
    x: &'a [f32],
    buffer: &'a mut [f32],
    /// The first row of the output.
    first: usize,
    to: &'a mut [f32],
}

impl Vectorized for Resizing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Resizing { image, x, buffer, first, to } = self;
        let (height, width) = image.output;
        buffer.fill(0.0);
        for (index, to) in to.chunks_exact_mut(width.max(1)).enumerate() {
            let (plane, row) = ((first + index) / height, (first + index) % height);
            if image.rows.outside[row] {
                to.fill(image.extrapolation);
                continue;
            }
            let x = &x[plane * image.height * image.width..][..image.height * image.width];
            let line =
                |tap: usize| &x[image.rows.element(row, tap, image.height) * image.width..][..image.width];
            let weights = image.rows.weights_of(row);
            if image.form == Form::Plain {
                blend(s, weights, line, to);
                continue;
            }
            blend(s, weights, line, &mut buffer[image.middle()]);
            repeat_edges(buffer, image.middle());
            match image.form {
                Form::Double { even, odd, weights } => {
                    let at = |start: isize| &buffer[(image.left as isize + start) as usize..];
                    double(s, [at(even), at(odd)], weights, to);
                }
                _ => general(image, buffer, to),
            }
        }
    }
}

/// The weighted sum of some rows.
#[inline(always)]
fn blend<'a, S: Simd>(s: S, weights: &[f32], row: impl Fn(usize) -> &'a [f32], to: &mut [f32]) {
    for (tap, weight) in weights.iter().enumerate() {
        let from = row(tap);
        let weight = s.splat(*weight);
        let pairs = to.chunks_mut(S::LANES).zip(from.chunks(S::LANES));
        if tap == 0 {
            for (to, from) in pairs {
                store(s, s.mul(load(s, from), weight), to);
            }
        } else {
            for (to, from) in pairs {
                store(s, s.fma(load(s, from), weight, load(s, to)), to);
            }
        }
    }
}

fn repeat_edges(buffer: &mut [f32], middle: Range<usize>) {
    let (first, last) = (buffer[middle.start], buffer[middle.end - 1]);
    buffer[..middle.start].fill(first);
    buffer[middle.end..].fill(last);
}

/// Two outputs for each element.
#[inline(always)]
fn double<S: Simd>(s: S, [even, odd]: [&[f32]; 2], weights: [f32; 4], to: &mut [f32]) {
    let [a, b, c, d] = weights;
    let (a, b, c, d) = (s.splat(a), s.splat(b), s.splat(c), s.splat(d));
    for (index, to) in to.chunks_mut(2 * S::LANES).enumerate() {
        let (even, odd) = (&even[index * S::LANES..], &odd[index * S::LANES..]);
        let evens = s.fma(s.load(even), a, s.mul(s.load(&even[1..]), b));
        let odds = s.fma(s.load(odd), c, s.mul(s.load(&odd[1..]), d));
        let (first, second) = s.interleave(evens, odds);
        let (low, high) = to.split_at_mut(to.len().min(S::LANES));
        store(s, first, low);
        store(s, second, high);
    }
}

#[inline(always)]
fn general(image: &Image, buffer: &[f32], to: &mut [f32]) {
    let taps = &image.columns;
    let starts = taps.starts.iter().map(|start| (image.left as isize + start) as usize);
    if taps.count == 2 {
        let pairs = taps.weights.as_chunks::<2>().0;
        for (to, (start, [a, b])) in to.iter_mut().zip(starts.zip(pairs)) {
            let from = &buffer[start..start + 2];
            *to = from[0] * a + from[1] * b;
        }
    } else {
        let weights = taps.weights.chunks_exact(taps.count);
        for (to, (start, weights)) in to.iter_mut().zip(starts.zip(weights)) {
            *to = buffer[start..].iter().zip(weights).map(|(x, weight)| x * weight).sum();
        }
    }
    for (to, outside) in to.iter_mut().zip(&taps.outside) {
        if *outside {
            *to = image.extrapolation;
        }
    }
}
