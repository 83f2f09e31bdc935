//! TopK: the largest or smallest elements along an axis.
//!
//! An element and its index are one number, its *rank*: the key of the element above the complement of the index, so that
//! of two the larger rank comes first, also among equals. A row is read once; what is above the least of the best so far
//! goes to a buffer of twice `k` ranks, which is cut to the best `k` whenever it is full. A long row is read in pieces by
//! several tiles, whose best are then picked from again. Where `k` itself is large all positions are sorted.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{Op, TopK};

use crate::io::{Io, Plain};
use crate::kernel::arguments::{axis, form};
use crate::kernel::order::{self, Key};
use crate::kernel::sort::Sort;
use crate::kernel::{Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`TopK`].
pub(crate) fn top_k(op: &TopK, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let axis = axis(op.axis, x.shape.rank())?;
    let (element, shape) = node.output(0);
    let rows = Rows {
        len: x.shape[axis],
        inner: x.shape[axis + 1..].iter().product(),
        count: x.shape[..axis].iter().product::<usize>() * x.shape[axis + 1..].iter().product::<usize>(),
        k: *shape.get(axis).unwrap_or(&usize::MAX),
        size: element.size(),
        indices: node.outputs.len() > 1,
    };
    if rows.k > rows.len || *element != x.element || u32::try_from(rows.len).is_err() {
        return Err(form(alloc::format!("TopK of {} along axis {axis} is not {shape}", x.shape)));
    }
    let key = order::key(op.name(), x.element)?;
    if rows.count * rows.k == 0 {
        return Ok(Box::new(Pick { rows, pieces: 1, rank: Ranks { key, flip: 0 }, phases: Vec::new() }));
    }
    if rows.k > MOST {
        let sort = Sort::new(rows.count, rows.len)?;
        let mut phases = sort.phases();
        phases.push(Phase::tiles(rows.count * rows.k.div_ceil(STRETCH), STRETCH as u64 * 4));
        return Ok(Box::new(Sorted { rows, sort, key, flip: flip(op), phases }));
    }
    match x.element {
        ElementType::F32 => Ok(pick(rows, Floats { flip: flip(op) as u32 })),
        _ => Ok(pick(rows, Ranks { key, flip: flip(op) })),
    }
}

/// What turns keys around where the smallest are wanted.
fn flip(op: &TopK) -> u64 {
    if op.largest { 0 } else { u64::MAX }
}

/// The largest `k` that is picked; above it everything is sorted. Small in tests, as are the others.
const MOST: usize = if cfg!(test) { 20 } else { 16 << 10 };
/// Elements of a row that a tile reads, unless `k` is so large that it would hardly leave any out.
const PIECE: usize = if cfg!(test) { 50 } else { 64 << 10 };
/// Results that a tile writes after sorting.
const STRETCH: usize = if cfg!(test) { 12 } else { 4096 };

/// The rows that are looked at, and where results go.
#[derive(Clone, Copy, Debug)]
struct Rows {
    count: usize,
    len: usize,
    /// Elements between neighbours of a row.
    inner: usize,
    k: usize,
    /// Bytes of an element.
    size: usize,
    /// Whether somebody wants the indices.
    indices: bool,
}

impl Rows {
    /// Where element `at` of a row of `len` elements lies.
    fn place(&self, row: usize, at: usize, len: usize) -> usize {
        (row / self.inner * len + at) * self.inner + row % self.inner
    }

    /// Writes result `at` of a row, which is the row's element `index`.
    ///
    /// # Safety
    /// The result belongs to a tile of this call.
    unsafe fn write(&self, io: &Io<'_>, row: usize, at: usize, index: usize) {
        let (from, to) = (self.place(row, index, self.len), self.place(row, at, self.k));
        let value = &io.input::<u8>(0)[from * self.size..][..self.size];
        // SAFETY: the caller vouches for the result.
        unsafe { io.shared::<u8>(0).range(to * self.size..(to + 1) * self.size) }.copy_from_slice(value);
        if self.indices {
            // SAFETY: as above.
            let own = unsafe { io.shared::<i64>(1).range(to..to + 1) };
            own[0] = index as i64;
        }
    }
}

/// How the rank of an element is made.
trait Rank: Copy + Send + Sync + 'static {
    /// A rank.
    type Of: Plain + Copy + Ord;

    /// The rank of element `index` of a row, which is element `at` of the input.
    fn of(self, x: &[u8], at: usize, index: usize) -> Self::Of;

    /// The index within a rank.
    fn index(rank: Self::Of) -> usize;
}

/// Ranks of `f32`, which fit 64 bits.
#[derive(Clone, Copy)]
struct Floats {
    flip: u32,
}

impl Rank for Floats {
    type Of = u64;

    #[inline(always)]
    fn of(self, x: &[u8], at: usize, index: usize) -> u64 {
        let x: &[f32] = bytemuck::cast_slice(x);
        u64::from(order::of_f32(x[at]) ^ self.flip) << 32 | u64::from(!(index as u32))
    }

    fn index(rank: u64) -> usize {
        !(rank as u32) as usize
    }
}

/// Ranks of any other type.
#[derive(Clone, Copy)]
struct Ranks {
    key: Key,
    flip: u64,
}

impl Rank for Ranks {
    type Of = u128;

    fn of(self, x: &[u8], at: usize, index: usize) -> u128 {
        u128::from((self.key)(x, at) ^ self.flip) << 32 | u128::from(!(index as u32))
    }

    fn index(rank: u128) -> usize {
        !(rank as u32) as usize
    }
}

struct Pick<R> {
    rows: Rows,
    /// Into how many pieces a row is cut.
    pieces: usize,
    rank: R,
    phases: Vec<Phase>,
}

fn pick<R: Rank>(rows: Rows, rank: R) -> Box<dyn Kernel> {
    // An even share for each, which is longer than `k`.
    let pieces = rows.len.div_ceil(PIECE.max(8 * rows.k));
    let cost = |read: usize| (2 * read + 20 * rows.k) as u64;
    let mut phases = alloc::vec![Phase::tiles(rows.count * pieces, cost(rows.len / pieces))];
    if pieces > 1 {
        phases.push(Phase::tiles(rows.count, cost(pieces * rows.k)));
    }
    Box::new(Pick { rows, pieces, rank, phases })
}

impl<R: Rank> Kernel for Pick<R> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        // The best of each piece.
        if self.pieces > 1 { self.rows.count * self.pieces * self.rows.k * size_of::<R::Of>() } else { 0 }
    }

    fn scratch(&self) -> usize {
        2 * self.rows.k * size_of::<R::Of>()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        let Pick { rows, pieces, rank, .. } = *self;
        let (x, buffer) = (io.input::<u8>(0), io.scratch::<R::Of>());
        let of = |row: usize, index: usize| rank.of(x, rows.place(row, index, rows.len), index);
        for tile in io.tiles() {
            if phase == 1 {
                let best = tile * pieces * rows.k..(tile + 1) * pieces * rows.k;
                // SAFETY: this phase does not write the workspace.
                let best = unsafe { io.read_workspace::<R::Of>() }[best].iter().copied();
                self.write(io, tile, best_of(best, rows.k, buffer));
                continue;
            }
            let row = tile / pieces;
            let begin = |piece: usize| (piece as u64 * rows.len as u64 / pieces as u64) as usize;
            let range = begin(tile % pieces)..begin(tile % pieces + 1);
            if pieces == 1 {
                self.write(io, row, best_of(range.map(|index| of(row, index)), rows.k, buffer));
                continue;
            }
            // SAFETY: every piece has a place of its own.
            let to = unsafe { io.shared_workspace::<R::Of>().range(tile * rows.k..(tile + 1) * rows.k) };
            to.copy_from_slice(best_of(range.map(|index| of(row, index)), rows.k, buffer));
        }
    }
}

impl<R: Rank> Pick<R> {
    fn write(&self, io: &Io<'_>, row: usize, best: &[R::Of]) {
        for (at, rank) in best.iter().enumerate() {
            // SAFETY: a row belongs to one tile.
            unsafe { self.rows.write(io, row, at, R::index(*rank)) };
        }
    }
}

/// The `k` largest ranks, the largest first. The buffer holds at least twice as many.
fn best_of<R: Copy + Ord>(ranks: impl Iterator<Item = R>, k: usize, buffer: &mut [R]) -> &[R] {
    let (mut len, mut least) = (0, None);
    for rank in ranks {
        if least.is_some_and(|least| rank <= least) {
            continue;
        }
        if len == 2 * k {
            let (_, last, _) = buffer[..len].select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
            (least, len) = (Some(*last), k);
            if rank <= *last {
                continue;
            }
        }
        buffer[len] = rank;
        len += 1;
    }
    buffer[..len].sort_unstable_by(|a, b| b.cmp(a));
    &buffer[..len.min(k)]
}

/// Everything sorted, for a large `k`.
struct Sorted {
    rows: Rows,
    sort: Sort,
    key: Key,
    flip: u64,
    phases: Vec<Phase>,
}

impl Kernel for Sorted {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        self.sort.bytes()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        let Sorted { rows, sort, key, flip, .. } = self;
        if phase + 1 < self.phases.len() {
            let x = io.input::<u8>(0);
            let key = |row: usize, index: u32| key(x, rows.place(row, index as usize, rows.len)) ^ flip;
            let before = |row: usize, a: u32, b: u32| {
                let (first, second) = (key(row, a), key(row, b));
                first > second || (first == second && a < b)
            };
            let fill = |range: core::ops::Range<usize>, to: &mut [u32]| {
                to.iter_mut().zip(range).for_each(|(to, index)| *to = index as u32);
            };
            return sort.run(phase, io.tiles(), io.shared_workspace(), |_| rows.len, fill, before);
        }
        // SAFETY: the last phase does not write the workspace.
        let sorted = unsafe { io.read_workspace::<u32>() };
        let stretches = rows.k.div_ceil(STRETCH);
        for tile in io.tiles() {
            let (row, first) = (tile / stretches, tile % stretches * STRETCH);
            for at in first..(first + STRETCH).min(rows.k) {
                // SAFETY: a stretch of a row belongs to one tile.
                unsafe { rows.write(io, row, at, sorted[sort.result(row) + at] as usize) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{noise, run, tensor};
    use inferry_core::{Element, Shape, Tensor};

    fn top<T: Element>(op: TopK, x: &Tensor, k: usize, shape: &[usize]) -> (Vec<T>, Vec<i64>) {
        let shape = Shape::new(shape).unwrap();
        let inputs = [Some(x.clone()), Some(tensor(&[k as i64], [1]))];
        let outputs = [(T::TYPE, shape.clone()), (ElementType::I64, shape)];
        let results = run(&op, &inputs, &outputs, Isa::portable());
        (results[0].to_vec().unwrap(), results[1].to_vec().unwrap())
    }

    #[test]
    fn values_of_the_standard() {
        let x: Vec<f32> = (0..12u8).map(f32::from).collect();
        let x = tensor(&x, [3, 4]);
        let (values, indices) = top::<f32>(TopK { axis: 1, largest: true }, &x, 3, &[3, 3]);
        assert_eq!(values, [3., 2., 1., 7., 6., 5., 11., 10., 9.]);
        assert_eq!(indices, [3, 2, 1, 3, 2, 1, 3, 2, 1]);
        let (values, indices) = top::<f32>(TopK { axis: -2, largest: false }, &x, 2, &[2, 4]);
        assert_eq!(
            (values[..4].to_vec(), indices[4..].to_vec()),
            (alloc::vec![0., 1., 2., 3.], alloc::vec![1; 4])
        );
    }

    #[test]
    fn of_equals_the_first_comes_first_and_nan_is_the_largest() {
        let x = tensor(&[1.0f32, 2.0, f32::NAN, 2.0, -0.0, 0.0], [6]);
        let (_, indices) = top::<f32>(TopK { axis: 0, largest: true }, &x, 6, &[6]);
        assert_eq!(indices, [2, 1, 3, 0, 4, 5]);
        let (_, indices) = top::<f32>(TopK { axis: 0, largest: false }, &x, 6, &[6]);
        assert_eq!(indices, [4, 5, 0, 1, 3, 2]);
        let none = tensor::<f32>(&[], [0]);
        assert_eq!(top::<f32>(TopK { axis: 0, largest: true }, &none, 0, &[0]), (Vec::new(), Vec::new()));
    }

    /// Every element type, row length and `k` against a sort; between them they take every way.
    fn agrees<T: Element + PartialOrd>(convert: impl Fn(f32) -> T) {
        for (len, k) in [(5, 1), (5, 5), (45, 3), (90, 10), (333, 7), (333, 19), (100, 60), (61, 61)] {
            let values: Vec<T> = noise(2 * len * 3, 3).into_iter().map(|x| convert(x * 40.0)).collect();
            let x = tensor(&values, [2, len, 3]);
            for largest in [true, false] {
                let (found, indices) = top::<T>(TopK { axis: 1, largest }, &x, k, &[2, k, 3]);
                for row in 0..6 {
                    let at = |index: usize, len: usize| (row / 3 * len + index) * 3 + row % 3;
                    let mut order: Vec<usize> = (0..len).collect();
                    order.sort_by(|a, b| {
                        let order = values[at(*a, len)].partial_cmp(&values[at(*b, len)]).unwrap();
                        if largest { order.reverse() } else { order }
                    });
                    for (index, wanted) in order[..k].iter().enumerate() {
                        assert_eq!(indices[at(index, k)], *wanted as i64, "{len} {k} {largest}");
                        assert_eq!(found[at(index, k)], values[at(*wanted, len)]);
                    }
                }
            }
        }
    }

    #[test]
    fn every_way_agrees_with_a_sort() {
        agrees::<f32>(|x| x.trunc());
        agrees::<f64>(f64::from);
        agrees::<i8>(|x| x as i8);
        agrees::<u64>(|x| x.abs() as u64);
    }
}
