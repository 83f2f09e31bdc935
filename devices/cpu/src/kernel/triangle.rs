//! Trilu and EyeLike: what a matrix has on one side of a diagonal, and the diagonal itself.
//!
//! Both work on whole rows. Trilu moves bytes and knows no types.

use inferry_engine::op::{Diagonal, Trilu};

use crate::kernel::arguments::form;
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::{Builder, Built};
use crate::stored::width;

/// Builds the kernel of a [`Trilu`].
pub(crate) fn trilu(op: &Trilu, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let [.., rows, columns] = x.shape[..] else { return Err(form("a triangle of no matrix")) };
    let size = width(x.element);
    let all = x.shape.count() / columns.max(1);
    let upper = op.upper;
    let phase = spread_rows(all, columns * size, 60);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<u8>();
        let from = &io.input::<u8>(0)[start..start + to.len()];
        let k = if io.has_input(1) { io.input::<i64>(1)[0] } else { 0 };
        let line = (columns * size).max(1);
        for (index, (from, to)) in from.chunks_exact(line).zip(to.chunks_exact_mut(line)).enumerate() {
            let row = (start / line + index) % rows;
            // Where the upper part begins, or the lower one ends.
            let split = (row as i64).saturating_add(k).saturating_add(i64::from(!upper));
            let split = split.clamp(0, columns as i64) as usize * size;
            to.copy_from_slice(from);
            let (left, right) = to.split_at_mut(split);
            if upper { left } else { right }.fill(0);
        }
    })
}

/// Builds the kernel of a [`Diagonal`].
pub(crate) fn diagonal(op: &Diagonal, node: &Builder<'_>) -> Built {
    let [rows, columns] = node.output(0).1[..] else { return Err(form("a diagonal of no matrix")) };
    let k = op.k;
    let phase = spread_rows(rows, columns, 20);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<u8>();
        to.fill(0);
        for (index, to) in to.chunks_exact_mut(columns.max(1)).enumerate() {
            let column = ((start / columns + index) as i64).saturating_add(k);
            if let Some(element) = usize::try_from(column).ok().and_then(|column| to.get_mut(column)) {
                *element = 1;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};
    use alloc::vec::Vec;
    use inferry_core::Shape;

    #[test]
    fn a_side_of_a_diagonal_is_kept() {
        let x: Vec<i16> = (1..=24).collect();
        let x = tensor(&x, [2, 3, 4]);
        for (upper, k) in [
            (true, 0),
            (true, 1),
            (true, -2),
            (true, 9),
            (false, 0),
            (false, -1),
            (false, i64::MAX),
            (false, i64::MIN),
        ] {
            let wanted: Vec<i16> = (0..24i64)
                .map(|at| {
                    let (row, column) = (at / 4 % 3, at % 4);
                    let above = i128::from(column) - i128::from(row) - i128::from(k);
                    let kept = if upper { above >= 0 } else { above <= 0 };
                    if kept { at as i16 + 1 } else { 0 }
                })
                .collect();
            let k = tensor(&[k], Shape::scalar());
            assert_eq!(run_one::<i16>(&Trilu { upper }, &[&x, &k], [2, 3, 4]), wanted, "{upper} {k:?}");
        }
        let empty = tensor::<f32>(&[], [2, 0, 3]);
        assert!(run_one::<f32>(&Trilu { upper: true }, &[&empty], [2, 0, 3]).is_empty());
        let thin = tensor::<f32>(&[], [3, 0]);
        assert!(run_one::<f32>(&Trilu { upper: true }, &[&thin], [3, 0]).is_empty());
    }

    #[test]
    fn diagonals_may_lie_outside() {
        let x = tensor(&[0.0f32; 6], [2, 3]);
        let on = |k| run_one::<bool>(&Diagonal { k }, &[&x], [2, 3]);
        assert_eq!(on(0), [true, false, false, false, true, false]);
        assert_eq!(on(-1), [false, false, false, true, false, false]);
        assert_eq!(on(2), [false, false, true, false, false, false]);
        assert_eq!(on(i64::MAX), [false; 6]);
    }
}
