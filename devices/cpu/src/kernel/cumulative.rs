//! CumSum: sums of everything up to an element.
//!
//! The tensor is seen as slabs of steps of rows; each step adds a row to the one before. Small slabs are independent tiles;
//! in large ones the steps themselves are, one after the other. Unsigned integers wrap like signed ones.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Range;

use inferry_core::ElementType;
use inferry_engine::op::{CumSum, Op};

use crate::io::Io;
use crate::kernel::arguments::{axis, form, integers};
use crate::kernel::number::Number;
use crate::kernel::simple::spread_rows;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`CumSum`].
pub(crate) fn cum_sum(op: &CumSum, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let axis = match integers(node, 1)?.as_deref() {
        Some([along]) => axis(*along, x.shape.rank())?,
        _ => return Err(form("input 1 must be one number")),
    };
    let outer = x.shape[..axis].iter().product();
    let inner = x.shape[axis + 1..].iter().product();
    let steps = Steps { op: *op, extent: x.shape[axis], inner };
    match x.element {
        ElementType::F32 => build::<f32>(steps, outer),
        ElementType::F64 => build::<f64>(steps, outer),
        ElementType::I32 | ElementType::U32 => build::<i32>(steps, outer),
        ElementType::I64 | ElementType::U64 => build::<i64>(steps, outer),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

/// Slabs of more elements are cut along the axis.
const LARGE: usize = if cfg!(test) { 50 } else { 1 << 18 };

fn build<T: Number>(steps: Steps, outer: usize) -> Built {
    let slab = steps.extent * steps.inner;
    let share = (LARGE / steps.inner.max(1)).clamp(1, steps.extent.max(1));
    let phase = if slab <= LARGE {
        spread_rows(outer, slab, PICOSECONDS)
    } else {
        let cost = (share * steps.inner) as u64 * PICOSECONDS / 1000;
        Phase::serial(outer * steps.extent.div_ceil(share), cost)
    };
    Ok(Box::new(Sums::<T> { phases: [phase], steps, share, of: PhantomData }))
}

const PICOSECONDS: u64 = 1500;

/// One slab.
struct Steps {
    op: CumSum,
    extent: usize,
    inner: usize,
}

struct Sums<T> {
    phases: [Phase; 1],
    steps: Steps,
    /// Steps of a serial tile.
    share: usize,
    of: PhantomData<T>,
}

impl<T: Number> Kernel for Sums<T> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, _: usize, io: &mut Io<'_>) {
        let (tiles, x) = (io.tiles(), io.input::<T>(0));
        let slab = (self.steps.extent * self.steps.inner).max(1);
        if !self.phases[0].serial {
            let start = tiles.start * self.phases[0].unit;
            let to = io.rows::<T>();
            let x = &x[start..start + to.len()];
            for (x, to) in x.chunks_exact(slab).zip(to.chunks_exact_mut(slab)) {
                self.steps.run(x, to, 0..self.steps.extent);
            }
            return;
        }
        let to = io.whole::<T>(0);
        let tiles_of_slab = self.steps.extent.div_ceil(self.share);
        for tile in tiles {
            let from = tile / tiles_of_slab * slab;
            let first = tile % tiles_of_slab * self.share;
            let range = first..(first + self.share).min(self.steps.extent);
            self.steps.run(&x[from..from + slab], &mut to[from..from + slab], range);
        }
    }
}

impl Steps {
    /// The sums of some steps, counted in the direction of the sum; those before are there.
    fn run<T: Number>(&self, x: &[T], to: &mut [T], steps: Range<usize>) {
        let CumSum { exclusive, reverse } = self.op;
        for step in steps {
            let place = |step: usize| {
                let position = if reverse { self.extent - 1 - step } else { step };
                position * self.inner
            };
            let here = place(step);
            match step.checked_sub(1).map(place) {
                None if exclusive => to[here..here + self.inner].fill(T::default()),
                None => to[here..here + self.inner].copy_from_slice(&x[here..here + self.inner]),
                Some(before) => {
                    let added = if exclusive { before } else { here };
                    for column in 0..self.inner {
                        to[here + column] = to[before + column].add(x[added + column]);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::Shape;

    #[test]
    fn both_directions_with_and_without_the_element() {
        let x = tensor(&[1.0f64, 2.0, 3.0, 4.0, 5.0], [5]);
        let axis = tensor(&[0i32], Shape::scalar());
        let sums = |exclusive, reverse| run_one::<f64>(&CumSum { exclusive, reverse }, &[&x, &axis], [5]);
        assert_eq!(sums(false, false), [1., 3., 6., 10., 15.]);
        assert_eq!(sums(true, false), [0., 1., 3., 6., 10.]);
        assert_eq!(sums(false, true), [15., 14., 12., 9., 5.]);
        assert_eq!(sums(true, true), [14., 12., 9., 5., 0.]);
    }

    #[test]
    fn along_any_axis_and_in_pieces() {
        for shape in [[3, 4, 5], [2, 30, 7], [4, 2, 60], [1, 200, 1]] {
            let count = shape.iter().product::<usize>();
            let x: Vec<i64> = (0..count as i64).map(|x| x * 7 % 13 - 6).collect();
            for axis in 0..3 {
                for (exclusive, reverse) in [(false, false), (true, true)] {
                    let inner: usize = shape[axis + 1..].iter().product();
                    let wanted: Vec<i64> = (0..count)
                        .map(|at| {
                            let place = at / inner % shape[axis];
                            let counts = |other: usize| match (reverse, exclusive) {
                                (false, false) => other <= place,
                                (false, true) => other < place,
                                (true, false) => other >= place,
                                (true, true) => other > place,
                            };
                            let line = at - place * inner;
                            let along = (0..shape[axis]).filter(|other| counts(*other));
                            along.map(|other| x[line + other * inner]).sum()
                        })
                        .collect();
                    let op = CumSum { exclusive, reverse };
                    let along = tensor(&[axis as i64 - 3], [1]);
                    assert_eq!(run_one::<i64>(&op, &[&tensor(&x, shape), &along], shape), wanted);
                }
            }
        }
    }
}
