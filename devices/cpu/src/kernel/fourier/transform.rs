//! Discrete Fourier transforms of any length, as passes over two buffers.
//!
//! A length is cut into small factors (Stockham's way: no reordering, every pass reads one buffer and writes the other); one
//! with a large prime factor is turned into a convolution of a length that has none (Bluestein's way). A pass is a counted
//! number of *moves*, independent of each other, so that one thread can do a short transform in one go and many can share a
//! long one. Numbers are `f64`: the rounding of `f32` over many passes would show.
//!
//! ```text
//!  short factors only:  pass for each factor
//!  else:                chirp ─▶ factors ─▶ times the spectrum of the chirp ─▶ factors (backwards) ─▶ chirp
//! ```

use alloc::vec::Vec;
use core::ops::Range;

use bytemuck::{Pod, Zeroable};

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl Complex {
    /// `e^(-2πi * turns / of)`
    fn turn(turns: u64, of: u64) -> Complex {
        // Half turns are exact, and small angles stay small.
        let angle = -2.0 * core::f64::consts::PI * ((turns % of) as f64 / of as f64);
        Complex { re: libm::cos(angle), im: libm::sin(angle) }
    }

    #[inline(always)]
    pub(super) fn times(self, other: Complex) -> Complex {
        Complex { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    #[inline(always)]
    fn plus(self, other: Complex) -> Complex {
        Complex { re: self.re + other.re, im: self.im + other.im }
    }

    #[inline(always)]
    pub(super) fn conjugate(self) -> Complex {
        Complex { re: self.re, im: -self.im }
    }
}

/// A transform of a certain length. See the [module](self).
pub(super) struct Transform {
    passes: Vec<Pass>,
    /// Numbers in a buffer.
    buffer: usize,
}

enum Pass {
    /// Joins the transforms of `factor` parts.
    Join(Join),
    /// Multiplies by a table as long as the signal; fills up with zeros.
    Multiply { table: Vec<Complex>, to: usize },
    /// Multiplies by a table, and turns the spectrum around so that the next transform is the inverse.
    Convolve { table: Vec<Complex> },
    /// Turns back, multiplies by a table, and cuts off what is beyond it.
    Finish { table: Vec<Complex> },
}

/// A pass of Stockham's transform: `done` numbers of each part are transformed already, and `rest` parts are left.
struct Join {
    factor: usize,
    done: usize,
    rest: usize,
    /// `e^(-2πi k q / (done * factor))` by `k * factor + q`.
    twiddles: Vec<Complex>,
    /// `e^(-2πi c q / factor)` by `c * factor + q`.
    roots: Vec<Complex>,
}

/// The largest prime factor that is a pass of its own.
const LARGEST: usize = if cfg!(test) { 7 } else { 31 };

impl Transform {
    /// The transform of `length` numbers; `None` when the tables would not fit the address space.
    pub(super) fn new(length: usize) -> Option<Transform> {
        match factors(length) {
            Some(factors) => Some(Transform { passes: joins(&factors), buffer: length }),
            None => Transform::chirped(length),
        }
    }

    /// By a convolution with `e^(-πi n² / length)`.
    fn chirped(length: usize) -> Option<Transform> {
        let buffer = length.checked_mul(2)?.checked_next_power_of_two()?;
        buffer.checked_mul(4 * size_of::<Complex>())?;
        let (n, twice) = (length as u128, 2 * length as u128);
        debug_assert!(n < 1 << 62);
        let chirp: Vec<Complex> =
            (0..n).map(|at| Complex::turn((at * at % twice) as u64, twice as u64)).collect();
        let mut spectrum = alloc::vec![Complex::default(); buffer];
        for (at, value) in chirp.iter().enumerate() {
            let back = Complex { re: value.re / buffer as f64, im: -value.im / buffer as f64 };
            spectrum[at] = back;
            spectrum[(buffer - at) % buffer] = back;
        }
        let factors = factors(buffer)?;
        let inner = Transform { passes: joins(&factors), buffer };
        let mut other = alloc::vec![Complex::default(); buffer];
        let spectrum = inner.whole(spectrum, &mut other);
        let mut passes = alloc::vec![Pass::Multiply { table: chirp.clone(), to: buffer }];
        passes.extend(joins(&factors));
        passes.push(Pass::Convolve { table: spectrum });
        passes.extend(joins(&factors));
        passes.push(Pass::Finish { table: chirp });
        Some(Transform { passes, buffer })
    }

    /// How many passes there are. The first reads the signal; each other what the one before wrote.
    pub(super) fn passes(&self) -> usize {
        self.passes.len()
    }

    /// How many numbers a buffer must hold.
    pub(super) fn buffer(&self) -> usize {
        self.buffer
    }

    /// How many moves pass `pass` has.
    pub(super) fn moves(&self, pass: usize) -> usize {
        match &self.passes[pass] {
            Pass::Join(join) => join.done * join.rest,
            Pass::Multiply { to, .. } => *to,
            Pass::Convolve { table } | Pass::Finish { table } => table.len(),
        }
    }

    /// About how many nanoseconds a move of a pass takes.
    pub(super) fn cost(&self, pass: usize) -> u64 {
        match &self.passes[pass] {
            Pass::Join(join) => 2 + 2 * (join.factor * join.factor) as u64,
            _ => 3,
        }
    }

    /// Does some moves of a pass: reads `from`, and gives every number that it makes with its place to `put`.
    pub(super) fn run(
        &self,
        pass: usize,
        moves: Range<usize>,
        from: &[Complex],
        mut put: impl FnMut(usize, Complex),
    ) {
        match &self.passes[pass] {
            Pass::Join(join) => join.run(moves, from, put),
            Pass::Multiply { table, .. } => {
                for at in moves {
                    put(at, table.get(at).map_or(Complex::default(), |factor| from[at].times(*factor)));
                }
            }
            Pass::Convolve { table } => {
                moves.for_each(|at| put(at, from[at].times(table[at]).conjugate()));
            }
            Pass::Finish { table } => {
                moves.for_each(|at| put(at, from[at].conjugate().times(table[at])));
            }
        }
    }

    /// The whole transform of a signal as long as the buffer.
    fn whole(&self, mut signal: Vec<Complex>, other: &mut Vec<Complex>) -> Vec<Complex> {
        for pass in 0..self.passes() {
            self.run(pass, 0..self.moves(pass), &signal, |at, value| other[at] = value);
            core::mem::swap(&mut signal, other);
        }
        signal
    }
}

impl Join {
    fn run(&self, moves: Range<usize>, from: &[Complex], mut put: impl FnMut(usize, Complex)) {
        let Join { factor, done, rest, .. } = *self;
        let mut parts = [Complex::default(); LARGEST + 1];
        let parts = &mut parts[..factor];
        for index in moves {
            let (k, s) = (index / rest, index % rest);
            let twiddles = &self.twiddles[k * factor..(k + 1) * factor];
            for (q, (part, twiddle)) in parts.iter_mut().zip(twiddles).enumerate() {
                *part = from[(k * factor + q) * rest + s].times(*twiddle);
            }
            let at = |c: usize| (k + done * c) * rest + s;
            match factor {
                2 => {
                    let [a, b] = [parts[0], parts[1]];
                    put(at(0), a.plus(b));
                    put(at(1), Complex { re: a.re - b.re, im: a.im - b.im });
                }
                4 => {
                    let [a, b, c, d] = [parts[0], parts[1], parts[2], parts[3]];
                    let (even, odd) = (a.plus(c), b.plus(d));
                    let (left, right) = (
                        Complex { re: a.re - c.re, im: a.im - c.im },
                        Complex { re: b.re - d.re, im: b.im - d.im },
                    );
                    put(at(0), even.plus(odd));
                    put(at(1), Complex { re: left.re + right.im, im: left.im - right.re });
                    put(at(2), Complex { re: even.re - odd.re, im: even.im - odd.im });
                    put(at(3), Complex { re: left.re - right.im, im: left.im + right.re });
                }
                _ => {
                    for (c, roots) in self.roots.chunks_exact(factor).enumerate() {
                        let terms = parts.iter().zip(roots);
                        put(
                            at(c),
                            terms.fold(Complex::default(), |sum, (part, root)| sum.plus(part.times(*root))),
                        );
                    }
                }
            }
        }
    }
}

/// The passes of a length with these factors.
fn joins(factors: &[usize]) -> Vec<Pass> {
    let length: usize = factors.iter().product();
    let mut done = 1;
    let mut passes = Vec::with_capacity(factors.len());
    for factor in factors.iter().copied() {
        let table = |rows: usize, of: usize| {
            let turn = move |row: usize, q: usize| Complex::turn((row * q) as u64, of as u64);
            (0..rows).flat_map(move |row| (0..factor).map(move |q| turn(row, q))).collect()
        };
        passes.push(Pass::Join(Join {
            factor,
            done,
            rest: length / done / factor,
            twiddles: table(done, done * factor),
            roots: table(factor, factor),
        }));
        done *= factor;
    }
    // A single number is its own transform.
    if passes.is_empty() {
        let table = alloc::vec![Complex { re: 1.0, im: 0.0 }];
        passes.push(Pass::Multiply { table, to: 1 });
    }
    passes
}

/// Factors of a length, fours first; `None` when one is too large.
fn factors(length: usize) -> Option<Vec<usize>> {
    let (mut rest, mut factors) = (length, Vec::new());
    while rest > 1 {
        let factor = if rest.is_multiple_of(4) {
            4
        } else {
            (2..=LARGEST).find(|factor| rest.is_multiple_of(*factor))?
        };
        factors.push(factor);
        rest /= factor;
    }
    Some(factors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::noise;

    #[test]
    fn every_length_agrees_with_the_definition() {
        // Powers, products, primes that are passes and primes that are not, and their multiples.
        for length in (1..=40).chain([48, 53, 64, 75, 97, 121, 128]) {
            let numbers = noise(2 * length, length as u64);
            let signal: Vec<Complex> =
                numbers.chunks(2).map(|of| Complex { re: of[0].into(), im: of[1].into() }).collect();
            let transform = Transform::new(length).unwrap();
            let size = transform.buffer();
            let (mut from, mut to) = (signal.clone(), alloc::vec![Complex::default(); size]);
            from.resize(size, Complex::default());
            for pass in 0..transform.passes() {
                // Backwards, one move at a time: they are independent.
                for at in (0..transform.moves(pass)).rev() {
                    transform.run(pass, at..at + 1, &from, |at, value| to[at] = value);
                }
                core::mem::swap(&mut from, &mut to);
            }
            for (k, found) in from[..length].iter().enumerate() {
                let turn = |at: usize| Complex::turn((at * k) as u64, length as u64);
                let wanted = signal
                    .iter()
                    .enumerate()
                    .fold(Complex::default(), |sum, (at, value)| sum.plus(value.times(turn(at))));
                let far = (found.re - wanted.re).abs().max((found.im - wanted.im).abs());
                assert!(far < 1e-12 * length as f64, "{k} of {length}: {found:?} {wanted:?}");
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert!(Transform::new(usize::MAX).is_none());
    }
}
