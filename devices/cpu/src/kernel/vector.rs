//! Loops over `f32` with vectors: a function of one number or of two, applied to whole slices or along a walk.
//!
//! The functions are types ([`Map`], [`Zip`]) and not closures, because they are generic over the instruction set. What they
//! do to one vector they also do to the rest at the end of a slice, whose missing lanes are zeros.

use core::ops::Range;

use crate::isa::Isa;
use crate::kernel::walk::Walk;
use crate::simd::{Simd, Vectorized, dispatch};

/// A function of one number, on vectors.
pub(crate) trait Map: Copy + Send + Sync + 'static {
    /// The function. Implementations are `#[inline(always)]`.
    fn map<S: Simd>(self, s: S, x: S::F32) -> S::F32;
}

/// A function of two numbers, on vectors.
pub(crate) trait Zip: Copy + Send + Sync + 'static {
    /// The function. Implementations are `#[inline(always)]`.
    fn zip<S: Simd>(self, s: S, a: S::F32, b: S::F32) -> S::F32;
}

/// `to[i] = map(from[i])`; both have the same length.
pub(crate) fn map(isa: Isa, map: impl Map, from: &[f32], to: &mut [f32]) {
    dispatch(isa, MapAll { map, from, to });
}

/// `to[i] = zip(a[…], b[…])`, where `walk` says which elements meet in elements `start..` of the output.
pub(crate) fn zip(
    isa: Isa,
    zip: impl Zip,
    walk: &Walk<2>,
    a: &[f32],
    b: &[f32],
    start: usize,
    to: &mut [f32],
) {
    dispatch(isa, ZipAll { zip, walk, a, b, start, to });
}

struct MapAll<'a, M> {
    map: M,
    from: &'a [f32],
    to: &'a mut [f32],
}

impl<M: Map> Vectorized for MapAll<'_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        debug_assert_eq!(self.from.len(), self.to.len());
        let mut from = self.from.chunks_exact(S::LANES);
        let mut to = self.to.chunks_exact_mut(S::LANES);
        for (from, to) in from.by_ref().zip(to.by_ref()) {
            s.store(self.map.map(s, s.load(from)), to);
        }
        let (from, to) = (from.remainder(), to.into_remainder());
        if !to.is_empty() {
            s.store_partial(self.map.map(s, s.load_partial(from)), to);
        }
    }
}

struct ZipAll<'a, Z> {
    zip: Z,
    walk: &'a Walk<2>,
    a: &'a [f32],
    b: &'a [f32],
    start: usize,
    to: &'a mut [f32],
}

impl<Z: Zip> Vectorized for ZipAll<'_, Z> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if let Some((dense, row)) = self.short_rows() {
            return self.periodic(s, dense, row);
        }
        let [stride_a, stride_b] = self.walk.inner().strides;
        for run in self.walk.runs(self.start..self.start + self.to.len()) {
            let to = &mut self.to[run.output.start - self.start..run.output.end - self.start];
            let [a, b] = run.at;
            // The innermost stride of a broadcast operand is 0 or 1.
            match (stride_a, stride_b) {
                (0, 0) => {
                    let both = self.zip.zip(s, s.splat(self.a[a]), s.splat(self.b[b]));
                    each(s, to, |_| both, |_| both);
                }
                (0, _) => {
                    let a = s.splat(self.a[a]);
                    let b = &self.b[b..b + to.len()];
                    let last = |range| self.zip.zip(s, a, s.load_partial(part(b, range)));
                    each(s, to, |range| self.zip.zip(s, a, s.load(part(b, range))), last);
                }
                (_, 0) => {
                    let b = s.splat(self.b[b]);
                    let a = &self.a[a..a + to.len()];
                    let last = |range| self.zip.zip(s, s.load_partial(part(a, range)), b);
                    each(s, to, |range| self.zip.zip(s, s.load(part(a, range)), b), last);
                }
                _ => {
                    let a = &self.a[a..a + to.len()];
                    let b = &self.b[b..b + to.len()];
                    let last = |range: Range<usize>| {
                        self.zip.zip(
                            s,
                            s.load_partial(part(a, range.clone())),
                            s.load_partial(part(b, range)),
                        )
                    };
                    let whole = |range: Range<usize>| {
                        self.zip.zip(s, s.load(part(a, range.clone())), s.load(part(b, range)))
                    };
                    each(s, to, whole, last);
                }
            }
        }
    }
}

/// Numbers of a short row that are written down again and again, so that whole vectors can be taken of them.
const PERIODS: usize = 256;

impl<Z: Zip> ZipAll<'_, Z> {
    /// Which operand goes along with the output and how long the rows are, when the other one is one short row that is
    /// repeated.
    fn short_rows(&self) -> Option<(usize, usize)> {
        let [outer, inner] = self.walk.dims() else { return None };
        let row = inner.extent;
        let dense = (0..2).find(|n| outer.strides[*n] == row as isize && outer.strides[1 - *n] == 0)?;
        (inner.strides == [1, 1] && row <= PERIODS / 4).then_some((dense, row))
    }

    #[inline(always)]
    fn periodic<S: Simd>(self, s: S, dense: usize, row: usize) {
        let (along, repeated) = if dense == 0 { (self.a, self.b) } else { (self.b, self.a) };
        let mut periods = [0.0; PERIODS];
        let periods = &mut periods[..PERIODS / row * row];
        let turned = repeated[..row].iter().cycle().skip(self.start % row);
        periods.iter_mut().zip(turned).for_each(|(to, from)| *to = *from);
        let along = &along[self.start..self.start + self.to.len()];
        for (to, along) in self.to.chunks_mut(periods.len()).zip(along.chunks(periods.len())) {
            let numbers = along.chunks(S::LANES).zip(periods.chunks(S::LANES));
            for (to, (x, y)) in to.chunks_mut(S::LANES).zip(numbers) {
                let (x, y) = (load(s, x), load(s, y));
                let result = if dense == 0 { self.zip.zip(s, x, y) } else { self.zip.zip(s, y, x) };
                store(s, result, to);
            }
        }
    }
}

/// Stores `whole(range)` for each whole vector of `to`, and `last(range)` for the rest.
#[inline(always)]
pub(crate) fn each<S: Simd>(
    s: S,
    to: &mut [f32],
    whole: impl Fn(Range<usize>) -> S::F32,
    last: impl Fn(Range<usize>) -> S::F32,
) {
    let len = to.len();
    let mut at = 0;
    while at + S::LANES <= len {
        s.store(whole(at..at + S::LANES), &mut to[at..at + S::LANES]);
        at += S::LANES;
    }
    if at < len {
        s.store_partial(last(at..len), &mut to[at..]);
    }
}

/// A vector of the first numbers of `from`, with zeros after the last.
///
/// For loops over chunks: only the last chunk is short, and to ask is cheaper than to mask.
#[inline(always)]
pub(crate) fn load<S: Simd>(s: S, from: &[f32]) -> S::F32 {
    if from.len() >= S::LANES { s.load(from) } else { s.load_partial(from) }
}

/// Writes as much of a vector as `to` takes.
#[inline(always)]
pub(crate) fn store<S: Simd>(s: S, value: S::F32, to: &mut [f32]) {
    if to.len() >= S::LANES { s.store(value, to) } else { s.store_partial(value, to) }
}

#[inline(always)]
fn part(values: &[f32], range: Range<usize>) -> &[f32] {
    &values[range]
}
