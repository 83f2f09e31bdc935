//! DFT and STFT: the signals that they transform, and where the results go.
//!
//! A *row* is one signal: along the axis of a DFT, or a frame of an STFT. Short rows are transformed in a tile each, on its
//! scratch; for long ones every pass of the [`Transform`] is a phase, shared by many tiles. The inverse is the forward
//! transform of the conjugate.
#![allow(unsafe_code)]

mod transform;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_engine::op::{Dft, Op, Stft};

use self::transform::{Complex, Transform};
use crate::arena::can_be_had;
use crate::io::{Io, Shared};
use crate::kernel::arguments::{axis, form, integers, refused};
use crate::kernel::number::{Number, by_float};
use crate::kernel::simple::spread_items;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`Dft`].
pub(crate) fn dft(op: &Dft, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let (element, shape) = node.output(0);
    let first =
        |index| Ok::<_, BuildError>(integers(node, index)?.and_then(|values| values.first().copied()));
    let rank = x.shape.rank();
    let axis = axis(first(2)?.unwrap_or(-2), rank)?;
    let wrong = || form(format!("DFT of {} along axis {axis} is not {shape}", x.shape));
    if axis + 1 == rank || shape.rank() != rank || *element != x.element {
        return Err(wrong());
    }
    let length = match first(1)? {
        Some(length) => op.given(length),
        None => op.natural(x.shape[axis]),
    };
    let length = length.map_err(refused)?;
    let (parts, made) = (x.shape[rank - 1], shape[rank - 1]);
    let inner = x.shape[axis + 1..rank - 1].iter().product();
    let outer: usize = x.shape[..axis].iter().product();
    let bins = op.extent(length);
    let wanted = if op.inverse && op.onesided { 1 } else { 2 };
    if !(1..=2).contains(&parts) || made != wanted || shape.count() != outer * bins * inner * made {
        return Err(wrong());
    }
    let signal = Signal {
        row: Row::Axis { extent: x.shape[axis], inner, mirror: op.inverse && op.onesided },
        rows: outer * inner,
        length,
        parts,
        inverse: op.inverse,
        bins,
        inner,
        made,
    };
    build(op, node, signal)
}

/// Builds the kernel of an [`Stft`].
pub(crate) fn stft(op: &Stft, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let (element, shape) = node.output(0);
    let positive = |index| -> Result<Option<usize>, BuildError> {
        let values = integers(node, index)?;
        Ok(values.and_then(|values| usize::try_from(*values.first()?).ok()).filter(|value| *value > 0))
    };
    let wrong = || form(format!("STFT of {} is not {shape}", x.shape));
    if x.shape.rank() != 3 || shape.rank() != 4 || *element != x.element {
        return Err(wrong());
    }
    let window = node.optional(2).map(|window| window.shape.count());
    let length = positive(3)?.or(window).unwrap_or(x.shape[1]);
    let step = positive(1)?.ok_or_else(wrong)?;
    let frames = Stft::frames(x.shape[1], length, step).map_err(refused)?;
    let bins = if op.onesided { length / 2 + 1 } else { length };
    let fits = window.is_none_or(|window| window == length)
        && node.optional(2).is_none_or(|window| window.element == *element)
        && (1..=2).contains(&x.shape[2])
        && shape[..] == [x.shape[0], frames, bins, 2];
    if !fits {
        return Err(wrong());
    }
    let signal = Signal {
        row: Row::Frame { extent: x.shape[1], frames, step, window: window.is_some() },
        rows: x.shape[0] * frames,
        length,
        parts: x.shape[2],
        inverse: false,
        bins,
        inner: 1,
        made: 2,
    };
    build(op, node, signal)
}

fn build(op: &dyn Op, node: &Builder<'_>, signal: Signal) -> Built {
    // The tables of a transform, and its buffers.
    let bytes = signal.length.saturating_mul(512);
    can_be_had(bytes)
        .map_err(|error| form(format!("{error}, which a transform of {} elements needs", signal.length)))?;
    let too_long = || form(format!("a transform of {} elements", signal.length));
    let transform = Transform::new(signal.length).ok_or_else(too_long)?;
    let passes = 0..transform.passes();
    let buffer = transform.buffer();
    let mut phases = Vec::new();
    let mut share = 1;
    if buffer <= SHORT {
        let cost: u64 = passes.map(|pass| transform.moves(pass) as u64 * transform.cost(pass)).sum();
        let (phase, each) = spread_items(signal.rows, (cost + 20 * signal.length as u64) * 1000);
        phases.push(phase);
        share = each;
    } else {
        let stretches = |moves: usize, cost: u64| {
            Phase::tiles(signal.rows * moves.div_ceil(STRETCH), STRETCH as u64 * cost)
        };
        phases.push(stretches(signal.length, 10));
        phases.extend(passes.map(|pass| stretches(transform.moves(pass), transform.cost(pass))));
        phases.push(stretches(signal.bins, 10));
        let bytes =
            buffer.checked_mul(2 * size_of::<Complex>()).and_then(|bytes| bytes.checked_mul(signal.rows));
        bytes.filter(|bytes| *bytes <= isize::MAX as usize).ok_or_else(too_long)?;
    }
    by_float!(op.name(), node.input(0)?.element, T => {
        let of = core::marker::PhantomData;
        Ok(Box::new(Fourier::<T> { signal, transform, share, phases, of }))
    })
}

/// Numbers that a tile transforms by itself; small in tests, as is the next.
const SHORT: usize = if cfg!(test) { 16 } else { 8192 };
/// Moves of a pass that a tile does.
const STRETCH: usize = if cfg!(test) { 5 } else { 16 << 10 };

/// What is transformed, and what is made of it.
struct Signal {
    row: Row,
    rows: usize,
    /// Numbers that are transformed.
    length: usize,
    /// 1 for real numbers, 2 for complex ones.
    parts: usize,
    inverse: bool,
    /// Results that are written.
    bins: usize,
    /// Elements between two results.
    inner: usize,
    /// Parts that are written of each.
    made: usize,
}

/// Where the numbers of a row stand in the input.
enum Row {
    /// Along an axis of so many elements, `inner` apart. Behind them there are zeros; or what is missing of a spectrum that
    /// mirrors itself.
    Axis { extent: usize, inner: usize, mirror: bool },
    /// So many frames of each signal, every `step` elements.
    Frame { extent: usize, frames: usize, step: usize, window: bool },
}

struct Fourier<T> {
    signal: Signal,
    transform: Transform,
    /// Rows of a tile, when they are short.
    share: usize,
    phases: Vec<Phase>,
    of: core::marker::PhantomData<T>,
}

impl<T: Number> Kernel for Fourier<T> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        if self.phases.len() > 1 { self.signal.rows * 2 * self.buffer_bytes() } else { 0 }
    }

    fn scratch(&self) -> usize {
        if self.phases.len() > 1 { 0 } else { 2 * self.buffer_bytes() }
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if self.phases.len() == 1 { self.short(io) } else { self.long(phase, io) }
    }
}

impl<T: Number> Fourier<T> {
    fn buffer_bytes(&self) -> usize {
        self.transform.buffer() * size_of::<Complex>()
    }

    /// Whole rows.
    fn short(&self, io: &mut Io<'_>) {
        let tiles = io.tiles();
        let (mut from, mut to) = io.scratch::<Complex>().split_at_mut(self.transform.buffer());
        for row in tiles.start * self.share..(tiles.end * self.share).min(self.signal.rows) {
            for (at, value) in from[..self.signal.length].iter_mut().enumerate() {
                *value = self.load(io, row, at);
            }
            for pass in 0..self.transform.passes() {
                self.transform.run(pass, 0..self.transform.moves(pass), from, |at, value| to[at] = value);
                core::mem::swap(&mut from, &mut to);
            }
            for (bin, value) in from[..self.signal.bins].iter().enumerate() {
                self.store(io.shared(0), row, bin, *value);
            }
        }
    }

    /// A pass of all rows: loading is the first, storing the last.
    fn long(&self, phase: usize, io: &Io<'_>) {
        let Signal { rows, length, bins, .. } = self.signal;
        let (words, buffer) = (io.shared_workspace::<Complex>(), self.transform.buffer());
        // The passes read and write two halves in turns; what is loaded lies in the first.
        let half = |turn: usize, row: usize| (turn % 2 * rows + row) * buffer;
        let moves = match phase {
            0 => length,
            _ if phase + 1 == self.phases.len() => bins,
            _ => self.transform.moves(phase - 1),
        };
        let stretches = moves.div_ceil(STRETCH);
        for tile in io.tiles() {
            let (row, first) = (tile / stretches, tile % stretches * STRETCH);
            let moves = first..(first + STRETCH).min(moves);
            let to = half(phase, row);
            // SAFETY: every number that a move makes is its own, and moves belong to one tile.
            let put = |at: usize, value: Complex| unsafe { words.pointer(to + at).write(value) };
            if phase == 0 {
                moves.for_each(|at| put(at, self.load(io, row, at)));
                continue;
            }
            let from = words.pointer(half(phase - 1, row)).cast_const();
            assert!(half(phase - 1, row) + buffer <= words.len(), "a row of the workspace");
            // SAFETY: in bounds by the line above; this phase writes the other half only.
            let from = unsafe { core::slice::from_raw_parts(from, buffer) };
            if phase + 1 == self.phases.len() {
                moves.for_each(|bin| self.store(io.shared(0), row, bin, from[bin]));
            } else {
                self.transform.run(phase - 1, moves, from, put);
            }
        }
    }

    /// Number `at` of a row.
    fn load(&self, io: &Io<'_>, row: usize, at: usize) -> Complex {
        let Signal { length, parts, inverse, .. } = self.signal;
        let x = io.input::<T>(0);
        let read = |place: usize| Complex {
            re: x[place * parts].to_f64(),
            im: if parts == 2 { x[place * parts + 1].to_f64() } else { 0.0 },
        };
        let value = match self.signal.row {
            Row::Axis { extent, inner, mirror } => {
                let mirrored = mirror && at > length / 2;
                let at = if mirrored { length - at } else { at };
                let value = match at < extent {
                    true => read((row / inner * extent + at) * inner + row % inner),
                    false => Complex::default(),
                };
                if mirrored { value.conjugate() } else { value }
            }
            Row::Frame { extent, frames, step, window } => {
                let Complex { re, im } = read(row / frames * extent + row % frames * step + at);
                let factor = if window { io.input::<T>(2)[at].to_f64() } else { 1.0 };
                Complex { re: re * factor, im: im * factor }
            }
        };
        if inverse { value.conjugate() } else { value }
    }

    fn store(&self, to: Shared<'_, T>, row: usize, bin: usize, value: Complex) {
        let Signal { length, inverse, bins, inner, made, .. } = self.signal;
        let scale = if inverse { 1.0 / length as f64 } else { 1.0 };
        let Complex { re, im } = if inverse { value.conjugate() } else { value };
        let at = ((row / inner * bins + bin) * inner + row % inner) * made;
        // SAFETY: a result of a row belongs to one tile.
        let to = unsafe { to.range(at..at + made) };
        for (to, part) in to.iter_mut().zip([re, im]) {
            *to = T::from_f64(part * scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, noise, run_with_constants, tensor};
    use inferry_core::{ElementType, Shape, Tensor};

    fn run(op: &dyn Op, inputs: &[Option<Tensor>], shape: &[usize]) -> Vec<f32> {
        let outputs = [(ElementType::F32, Shape::new(shape).unwrap())];
        let constants: Vec<usize> =
            (1..inputs.len()).filter(|index| *index != 2 || op.name() == "DFT").collect();
        run_with_constants(op, inputs, &constants, &outputs, Isa::portable())[0].to_vec().unwrap()
    }

    fn scalar(value: i64) -> Option<Tensor> {
        Some(tensor(&[value], Shape::scalar()))
    }

    /// The transform of complex numbers, by the definition.
    fn plain(signal: &[[f64; 2]], inverse: bool) -> Vec<[f32; 2]> {
        let (length, sign) = (signal.len(), if inverse { 1.0 } else { -1.0 });
        let scale = if inverse { 1.0 / length as f64 } else { 1.0 };
        (0..length)
            .map(|k| {
                let mut sum = [0.0, 0.0];
                for (at, [re, im]) in signal.iter().enumerate() {
                    let angle = sign * core::f64::consts::TAU * (at * k % length) as f64 / length as f64;
                    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
                    sum = [sum[0] + re * cos - im * sin, sum[1] + re * sin + im * cos];
                }
                sum.map(|part| (part * scale) as f32)
            })
            .collect()
    }

    #[test]
    fn signals_along_any_axis_and_back_again() {
        // Short ones, long ones, and long ones with a large prime factor.
        for length in [1, 5, 12, 20, 22] {
            let (outer, inner) = (2, 3);
            let x = noise(outer * length * inner * 2, 7);
            let shape = [outer, length, inner, 2];
            let dft = Dft { inverse: false, onesided: false };
            let found = run(&dft, &[Some(tensor(&x, shape)), None, scalar(1)], &shape);
            for row in 0..outer * inner {
                let at = |t: usize| ((row / inner * length + t) * inner + row % inner) * 2;
                let signal: Vec<_> = (0..length).map(|t| [x[at(t)].into(), x[at(t) + 1].into()]).collect();
                for (k, wanted) in plain(&signal, false).iter().enumerate() {
                    assert_close(&found[at(k)..at(k) + 2], wanted, 1e-5, 1e-5);
                }
            }
            let back = Dft { inverse: true, onesided: false };
            let again = run(&back, &[Some(tensor(&found, shape)), None, scalar(-3)], &shape);
            assert_close(&again, &x, 1e-5, 0.0);
        }
    }

    #[test]
    fn a_signal_is_cut_or_filled_up() {
        let x = noise(10, 3);
        let signal: Vec<[f64; 2]> = x.iter().map(|x| [f64::from(*x), 0.0]).collect();
        for length in [4usize, 10, 13] {
            let mut cut = signal.clone();
            cut.resize(length, [0.0, 0.0]);
            let wanted: Vec<f32> = plain(&cut, false)[..length / 2 + 1].concat();
            let onesided = Dft { inverse: false, onesided: true };
            let inputs = [Some(tensor(&x, [1, 10, 1])), scalar(length as i64)];
            let found = run(&onesided, &inputs, &[1, length / 2 + 1, 2]);
            assert_close(&found, &wanted, 1e-5, 1e-5);
            // And back from one side.
            let back = Dft { inverse: true, onesided: true };
            let half = Some(tensor(&found, [1, length / 2 + 1, 2]));
            let again = run(&back, &[half, scalar(length as i64)], &[1, length, 1]);
            let cut: Vec<f32> = cut.iter().map(|of| of[0] as f32).collect();
            assert_close(&again, &cut, 1e-5, 0.0);
        }
    }

    #[test]
    fn frames_are_weighted_and_transformed() {
        for frame in [6, 17, 22] {
            let (length, step) = (40, 5);
            let (x, window) = (noise(2 * length, 1), noise(frame, 2));
            let frames = (length - frame) / step + 1;
            let inputs = |parts| {
                [
                    Some(tensor(&x, [2 / parts, length, parts])),
                    scalar(step as i64),
                    Some(tensor(&window, [frame])),
                    scalar(frame as i64),
                ]
            };
            let one = run(&Stft { onesided: true }, &inputs(1), &[2, frames, frame / 2 + 1, 2]);
            let two = run(&Stft { onesided: false }, &inputs(2), &[1, frames, frame, 2]);
            for index in 0..frames {
                let real = |at: usize| [f64::from(x[index * step + at] * window[at]), 0.0];
                let wanted =
                    plain(&(0..frame).map(real).collect::<Vec<_>>(), false)[..frame / 2 + 1].concat();
                assert_close(&one[index * wanted.len()..][..wanted.len()], &wanted, 1e-5, 1e-5);
                let complex = |at: usize| {
                    let place = 2 * (index * step + at);
                    [x[place], x[place + 1]].map(|part| f64::from(part * window[at]))
                };
                let wanted = plain(&(0..frame).map(complex).collect::<Vec<_>>(), false).concat();
                assert_close(&two[index * wanted.len()..][..wanted.len()], &wanted, 1e-5, 1e-5);
            }
            let plain_window = [inputs(1)[0].clone(), scalar(step as i64), None, scalar(frame as i64)];
            run(&Stft { onesided: true }, &plain_window, &[2, frames, frame / 2 + 1, 2]);
        }
    }
}
