//! How the work of a packed layer is cut: chunks of the sequence, blocks of their projection, groups of the batch.
//!
//! This file counts; it multiplies nothing.

use alloc::vec::Vec;

use super::Layer;
use crate::isa::Isa;
use crate::kernel::gemm::Sizes;
use crate::kernel::matmul::gigaflops;
use crate::kernel::{Builder, Phase};

/// Bytes of projected inputs: a part of the second level of cache. In tests short sequences are cut as well.
const CHUNK: usize = if cfg!(test) { 0 } else { 512 << 10 };
/// Steps that are projected at once in any case, so that weights are not read for a few rows.
const CHUNK_STEPS: usize = if cfg!(test) { 4 } else { 16 };
/// Nanoseconds of a tile.
const TILE: u64 = if cfg!(test) { 300 } else { 300_000 };

/// What a phase does; `from` and `count` are steps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Begin,
    Project(Chunk),
    /// Some steps of a chunk.
    Steps {
        from: usize,
        count: usize,
        chunk: Chunk,
    },
}

/// Steps whose inputs are projected at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) from: usize,
    pub(super) count: usize,
}

/// How the work is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Steps of a chunk.
    pub(super) chunk: usize,
    /// Rows and columns of a block of a projection.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// All entries of a chunk lie one after the other in the input, and are projected as one.
    pub(super) together: bool,
    /// Entries of the batch in a group.
    pub(super) group: usize,
}

impl Grid {
    pub(super) fn new(layer: &Layer, node: &Builder<'_>) -> Grid {
        let sizes = Sizes::of(node.isa);
        let step = (4 * layer.directions * layer.batch * layer.rows()).max(1);
        let chunk = (CHUNK / step).max(CHUNK_STEPS).min(layer.steps.max(1));
        let columns = 8 * sizes.columns();
        let row = (2 * layer.width * columns) as u64;
        let rows = (TILE * gigaflops(node.isa) / row.max(1)) as usize / sizes.rows;
        let groups = layer.batch.div_ceil(2 * sizes.rows).max(1);
        Grid {
            chunk,
            rows: rows.clamp(1, 8) * sizes.rows,
            columns,
            together: node.optional(4).is_none()
                && (!layer.batch_first || layer.batch == 1 || chunk == layer.steps),
            group: layer.batch.div_ceil(groups).max(1),
        }
    }

    /// Rows of the products that project a chunk.
    pub(super) fn block_rows(&self, layer: &Layer, chunk: Chunk) -> usize {
        if self.together { chunk.count * layer.batch } else { chunk.count }
    }

    /// Nanoseconds of a step of a group.
    fn step_cost(&self, layer: &Layer, isa: Isa) -> u64 {
        let weights = (layer.rows() * layer.hidden) as u64;
        let product = (2 * weights * self.group as u64 / gigaflops(isa)).max(weights / 5);
        product + (self.group * layer.rows()) as u64 + 50
    }

    /// What the phases do, in their order.
    pub(super) fn parts(&self, layer: &Layer, isa: Isa) -> Vec<Part> {
        let mut parts = alloc::vec![Part::Begin];
        if layer.batch == 0 {
            return parts;
        }
        let several = usize::try_from(TILE / self.step_cost(layer, isa)).unwrap_or(usize::MAX).max(1);
        for from in (0..layer.steps).step_by(self.chunk) {
            let chunk = Chunk { from, count: self.chunk.min(layer.steps - from) };
            parts.push(Part::Project(chunk));
            let end = from + chunk.count;
            let steps = (from..end).step_by(several);
            parts.extend(steps.map(|from| Part::Steps { from, count: several.min(end - from), chunk }));
        }
        parts
    }

    pub(super) fn phase(&self, layer: &Layer, part: Part, isa: Isa) -> Phase {
        match part {
            Part::Begin => Phase::tiles(1, layer.state_len() as u64 / 8),
            Part::Project(chunk) => {
                let entries = if self.together { 1 } else { layer.batch };
                let rows = self.block_rows(layer, chunk);
                let columns = layer.rows().div_ceil(self.columns);
                let tiles = layer.directions * entries * rows.div_ceil(self.rows) * columns;
                let weights = (layer.width * self.columns.min(layer.rows())) as u64;
                let product = 2 * weights * self.rows.min(rows) as u64 / gigaflops(isa);
                Phase::tiles(tiles, product.max(weights / 5))
            }
            Part::Steps { count, .. } => {
                let tiles = layer.directions * layer.batch.div_ceil(self.group);
                Phase::tiles(tiles, count as u64 * self.step_cost(layer, isa))
            }
        }
    }
}
