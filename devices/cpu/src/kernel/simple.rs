//! Kernels of one phase, written as a closure, and how they are cut into tiles.
//!
//! Most kernels follow one plan: the output is a run of elements, any part of it can be computed by itself, and every
//! element costs about the same. For those [`spread`] makes the phase and [`simple`] the kernel. A kernel with several
//! phases, a workspace or a scratch implements [`Kernel`] itself.

use alloc::boxed::Box;

use crate::io::Io;
use crate::kernel::{Built, Kernel, Phase};

/// A kernel whose only phase is computed by `body`.
pub(crate) fn simple(phase: Phase, body: impl Fn(&mut Io<'_>) + Send + Sync + 'static) -> Built {
    Ok(Box::new(Simple { phases: [phase], scratch: 0, body }))
}

/// As [`simple`], with `scratch` bytes for each call.
pub(crate) fn simple_with_scratch(
    phase: Phase,
    scratch: usize,
    body: impl Fn(&mut Io<'_>) + Send + Sync + 'static,
) -> Built {
    Ok(Box::new(Simple { phases: [phase], scratch, body }))
}

/// Tiles of consecutive elements of output 0, each element of which takes about `picoseconds`.
pub(crate) fn spread(elements: usize, picoseconds: u64) -> Phase {
    spread_rows(elements, 1, picoseconds)
}

/// Tiles of consecutive rows of output 0, each of `row` elements that take about `picoseconds` each. Tiles are whole rows.
pub(crate) fn spread_rows(rows: usize, row: usize, picoseconds: u64) -> Phase {
    let (tiles, share) = shares(rows, (row as u64).saturating_mul(picoseconds));
    debug_assert_eq!(tiles, rows.div_ceil(share));
    Phase::rows(rows * row, share * row, cost(share, row as u64 * picoseconds))
}

/// Tiles that share `items` evenly, each of which takes about `picoseconds`; the phase and the items of a tile. Tile `t`
/// owns the items from `t * share` on.
pub(crate) fn spread_items(items: usize, picoseconds: u64) -> (Phase, usize) {
    let (tiles, share) = shares(items, picoseconds);
    (Phase::tiles(tiles, cost(share, picoseconds)), share)
}

/// Number of tiles, and items in each (at least one).
fn shares(items: usize, picoseconds: u64) -> (usize, usize) {
    let share = usize::try_from(TILE / picoseconds.max(1)).unwrap_or(usize::MAX).clamp(1, items.max(1));
    // A last tile that is nearly empty would cost as much to hand out as a full one.
    let tiles = items.div_ceil(share);
    let even = items.div_ceil(tiles.max(1)).max(1);
    // Cache lines of output that two tiles share would travel between cores.
    let share = if even > 256 { even.next_multiple_of(64) } else { even };
    (items.div_ceil(share), share)
}

fn cost(items: usize, picoseconds: u64) -> u64 {
    ((items as u64).saturating_mul(picoseconds) / 1000).max(1)
}

/// Picoseconds of work in a tile. In tests a few elements make a tile, so that small tensors are cut as well.
const TILE: u64 = if cfg!(test) { 2_000 } else { 40_000_000 };

struct Simple<F> {
    phases: [Phase; 1],
    scratch: usize,
    body: F,
}

impl<F: Fn(&mut Io<'_>) + Send + Sync> Kernel for Simple<F> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        self.scratch
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        (self.body)(io);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_all_rows_and_are_even() {
        for rows in [0, 1, 2, 7, 64, 1000, 4097] {
            for picoseconds in [1, 100, 999, 5000] {
                let phase = spread_rows(rows, 3, picoseconds);
                assert!(phase.tiles * phase.unit >= rows * 3);
                assert!(rows == 0 || (phase.tiles - 1) * phase.unit < rows * 3);
                assert_eq!(phase.unit % 3, 0);
                let (phase, share) = spread_items(rows, picoseconds);
                assert_eq!(phase.tiles, rows.div_ceil(share));
            }
        }
    }
}
