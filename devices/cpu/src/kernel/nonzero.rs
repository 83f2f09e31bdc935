//! NonZero: where a tensor is not zero.
//!
//! ```text
//!  count in pieces ─▶ add up ─▶ (the output gets its extent) ─▶ write, each piece where those before it end
//! ```
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::ops::{BitAnd, Range};

use inferry_core::tensor::MAX_RANK;
use inferry_core::{ElementType, Shape};
use inferry_engine::op::NonZero;

use crate::io::{Io, Plain};
use crate::kernel::{Builder, Built, Kernel, Phase, by_size};

/// Builds NonZero.
pub(crate) fn non_zero(_: &NonZero, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    // Negative zero is zero: the sign of a float does not count.
    let sign: u64 = match x.element {
        ElementType::F32 => 1 << 31,
        ElementType::F64 => 1 << 63,
        _ => 0,
    };
    let pieces = x.shape.count().div_ceil(PIECE);
    let phases = [
        Phase::tiles(pieces, PIECE as u64 / 2),
        Phase::serial(1, pieces as u64 + 1),
        Phase::tiles(pieces, PIECE as u64 * 4),
    ];
    by_size!("NonZero", x.element, T => {
        Ok(Box::new(Search::<T> { shape: x.shape.clone(), mask: !(sign as T), pieces, phases }))
    })
}

/// Elements that a tile looks at.
const PIECE: usize = if cfg!(test) { 16 } else { 8192 };

struct Search<T> {
    shape: Shape,
    /// What of an element is looked at.
    mask: T,
    pieces: usize,
    phases: [Phase; 3],
}

impl<T> Kernel for Search<T>
where
    T: Plain + Copy + Default + PartialEq + BitAnd<Output = T>,
{
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        // How many each piece has, then how many come before it; all of them at the end.
        (self.pieces + 1) * size_of::<u64>()
    }

    fn measures_after(&self) -> usize {
        2
    }

    fn measured(&self, _output: usize, workspace: &[u8]) -> Shape {
        let counts: &[u64] = bytemuck::cast_slice(workspace);
        [self.shape.rank(), counts[self.pieces] as usize].into()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        match phase {
            0 => self.count(io),
            1 if io.tiles().is_empty() => {}
            1 => {
                let [counts @ .., total] = io.whole_workspace::<u64>() else { return };
                *total = 0;
                for count in counts {
                    (*count, *total) = (*total, *total + *count);
                }
            }
            _ => self.write(io),
        }
    }
}

impl<T> Search<T>
where
    T: Plain + Copy + Default + PartialEq + BitAnd<Output = T>,
{
    fn count(&self, io: &Io<'_>) {
        let x = io.input::<T>(0);
        let counts = io.shared_workspace::<u64>();
        for piece in io.tiles() {
            let count = x[self.piece(piece)].iter().filter(|x| self.is_set(**x)).count();
            // SAFETY: each piece has a number of its own.
            let own = unsafe { counts.range(piece..piece + 1) };
            own[0] = count as u64;
        }
    }

    fn write(&self, io: &Io<'_>) {
        let (x, to) = (io.input::<T>(0), io.shared::<i64>(0));
        // SAFETY: this phase does not write the workspace.
        let counts = unsafe { io.read_workspace::<u64>() };
        let total = counts[self.pieces] as usize;
        for piece in io.tiles() {
            let own = counts[piece] as usize..counts[piece + 1] as usize;
            let row = |dim: usize| dim * total + own.start..dim * total + own.end;
            let mut rows: heapless::Vec<&mut [i64], MAX_RANK> = (0..self.shape.rank())
                // SAFETY: the counts say which columns belong to which piece, and each piece to one tile.
                .map(|dim| unsafe { to.range(row(dim)) })
                .collect();
            let range = self.piece(piece);
            let set = x[range.clone()].iter().enumerate().filter(|(_, x)| self.is_set(**x));
            for (column, (at, _)) in set.enumerate() {
                let mut rest = range.start + at;
                for (row, extent) in rows.iter_mut().zip(self.shape.iter()).rev() {
                    row[column] = (rest % extent) as i64;
                    rest /= extent;
                }
            }
        }
    }

    fn is_set(&self, x: T) -> bool {
        x & self.mask != T::default()
    }

    fn piece(&self, piece: usize) -> Range<usize> {
        piece * PIECE..((piece + 1) * PIECE).min(self.shape.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{noise, run_one, tensor};
    use alloc::vec::Vec;

    #[test]
    fn places_are_listed_in_order_dimension_by_dimension() {
        let x = tensor(&[1i8, 0, 0, 0, -1, 1], [2, 3]);
        assert_eq!(run_one::<i64>(&NonZero, &[&x], [2, 3]), [0, 1, 1, 0, 1, 2]);
        let x = tensor(&[0.0f32, -0.0, f32::NAN, 1e-45], [4]);
        assert_eq!(run_one::<i64>(&NonZero, &[&x], [1, 2]), [2, 3]);
        let x = tensor(&[true], Shape::scalar());
        assert_eq!(run_one::<i64>(&NonZero, &[&x], [0, 1]), []);
        let x = tensor::<u16>(&[], [3, 0]);
        assert_eq!(run_one::<i64>(&NonZero, &[&x], [2, 0]), []);
    }

    #[test]
    fn many_pieces_follow_one_another() {
        let values: Vec<f64> = noise(7 * 11 * 3, 5).iter().map(|x| f64::from((x * 2.0).trunc())).collect();
        let set: Vec<usize> = (0..values.len()).filter(|at| values[*at] != 0.0).collect();
        let wanted: Vec<i64> = [33, 3, 1]
            .iter()
            .zip([7, 11, 3])
            .flat_map(|(stride, extent)| set.iter().map(move |at| (at / stride % extent) as i64))
            .collect();
        let x = tensor(&values, [7, 11, 3]);
        assert_eq!(run_one::<i64>(&NonZero, &[&x], [3, set.len()]), wanted);
    }
}
