//! Loops over `f32` with vectors: a function of one number or of two, applied to whole slices or along a walk.
//!
//! The functions are types ([`Map`], [`Zip`]) and not closures: they are generic over the instruction set, and a closure is
//! a function without the instructions of the shell it is used in, which LLVM inlines only when it is small; otherwise every
//! vector operation in it becomes a call. What is done to one vector is also done to the rest at the end of a slice, whose
//! missing lanes are zeros.

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
    dispatch(isa, MapBlock { map, a: Numbers::Each(from), out: to });
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

/// Numbers for a block.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    /// One for each element.
    Each(&'a [f32]),
    /// The same for all.
    Same(f32),
}

impl Numbers<'_> {
    /// The number for an element.
    pub(crate) fn at(self, index: usize) -> f32 {
        match self {
            Numbers::Each(each) => each[index],
            Numbers::Same(same) => same,
        }
    }

    /// Writes the numbers for as many elements as `to` has.
    pub(crate) fn copy_to(self, to: &mut [f32]) {
        match self {
            Numbers::Each(each) => to.copy_from_slice(each),
            Numbers::Same(same) => to.fill(same),
        }
    }
}

/// A function of one number over a block.
pub(crate) struct MapBlock<'a, M> {
    pub(crate) map: M,
    pub(crate) a: Numbers<'a>,
    pub(crate) out: &'a mut [f32],
}

impl<M: Map> Vectorized for MapBlock<'_, M> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let MapBlock { map, a, out } = self;
        match a {
            Numbers::Same(x) => fill(s, map.map(s, s.splat(x)), out),
            Numbers::Each(from) => {
                debug_assert_eq!(from.len(), out.len());
                for (to, from) in out.chunks_mut(S::LANES).zip(from.chunks(S::LANES)) {
                    store(s, map.map(s, load(s, from)), to);
                }
            }
        }
    }
}

/// A function of two numbers over a block.
pub(crate) struct ZipBlock<'a, Z> {
    pub(crate) zip: Z,
    pub(crate) a: Numbers<'a>,
    pub(crate) b: Numbers<'a>,
    pub(crate) out: &'a mut [f32],
}

impl<Z: Zip> Vectorized for ZipBlock<'_, Z> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ZipBlock { zip, a, b, out } = self;
        match (a, b) {
            (Numbers::Each(a), Numbers::Each(b)) => {
                let both = a.chunks(S::LANES).zip(b.chunks(S::LANES));
                for (to, (a, b)) in out.chunks_mut(S::LANES).zip(both) {
                    store(s, zip.zip(s, load(s, a), load(s, b)), to);
                }
            }
            (Numbers::Each(a), Numbers::Same(b)) => {
                let b = s.splat(b);
                for (to, a) in out.chunks_mut(S::LANES).zip(a.chunks(S::LANES)) {
                    store(s, zip.zip(s, load(s, a), b), to);
                }
            }
            (Numbers::Same(a), Numbers::Each(b)) => {
                let a = s.splat(a);
                for (to, b) in out.chunks_mut(S::LANES).zip(b.chunks(S::LANES)) {
                    store(s, zip.zip(s, a, load(s, b)), to);
                }
            }
            (Numbers::Same(a), Numbers::Same(b)) => fill(s, zip.zip(s, s.splat(a), s.splat(b)), out),
        }
    }
}

/// Writes the same everywhere.
#[inline(always)]
fn fill<S: Simd>(s: S, value: S::F32, out: &mut [f32]) {
    for to in out.chunks_mut(S::LANES) {
        store(s, value, to);
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
            let a = numbers(self.a, run.at[0], stride_a, to.len());
            let b = numbers(self.b, run.at[1], stride_b, to.len());
            ZipBlock { zip: self.zip, a, b, out: to }.run(s);
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

/// The numbers of an operand along a run. The innermost stride of a broadcast operand is 0 or 1.
#[inline(always)]
fn numbers(values: &[f32], at: usize, stride: isize, len: usize) -> Numbers<'_> {
    if stride == 0 { Numbers::Same(values[at]) } else { Numbers::Each(&values[at..at + len]) }
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
