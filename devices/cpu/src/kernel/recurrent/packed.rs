//! Recurrent layers in `f32` with constant weights: matrix products over weights that are packed once.
//!
//! A chunk of the sequence is *projected* first: its inputs times the input weights, plus the biases, as one product over
//! all its steps, cut into blocks. Then come its *steps*: for a group of the batch, the hidden states times the recurrent
//! weights, both sums added, and the cell. A tile of the second kind is several steps of one group and one direction; tiles
//! are independent, because groups and directions are. The chunk is so long that the projected inputs stay in the cache.
//!
//! # Evidence
//!
//! Zen 5 server, one core, AVX-512 (`benches/recurrent.rs`): LSTM of 128 to 128 features takes 2.4 us a step for one
//! sequence, which is bound by reading the 256 KiB of recurrent weights from the second level of cache, and 1.3 us a step
//! and sequence for 16 of them. The first model of DTLN, two such layers and little else, went from 30 us a run with one dot
//! product after the other to 18.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::grid::{Chunk, Grid, Part};
use super::weights::{Bias, Weights, split};
use super::{Kind, Layer, cell};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::gemm::Init;
use crate::kernel::gemm::product::{Block, RightFactor, multiply};
use crate::kernel::{Builder, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel; gives the layer back when the weights are not constant.
pub(super) fn build(layer: Layer, node: &Builder<'_>) -> Result<Box<dyn Kernel>, Layer> {
    match Packed::new(&layer, node) {
        Some(packed) => Ok(Box::new(packed)),
        None => Err(layer),
    }
}

struct Packed {
    layer: Layer,
    phases: Vec<Phase>,
    /// What each phase does.
    parts: Vec<Part>,
    input: Weights,
    recurrent: Weights,
    bias: Vec<Bias>,
    grid: Grid,
    isa: Isa,
}

/// Rows of a left factor.
#[derive(Clone, Copy)]
struct Rows {
    start: *const f32,
    stride: usize,
    count: usize,
}

impl Packed {
    fn new(layer: &Layer, node: &Builder<'_>) -> Option<Packed> {
        let constant = |input: usize| node.optional(input).and_then(|operand| operand.constant);
        let (rows, h) = (layer.rows(), layer.hidden);
        if layer.width == 0 {
            return None;
        }
        let bias = match node.optional(3) {
            Some(operand) => Some(operand.constant?.to_vec::<f32>().ok()?),
            None => None,
        };
        let input = Weights::new(constant(1)?, rows, layer.width, &[rows], node)?;
        let recurrent = Weights::new(constant(2)?, rows, h, &split(layer), node)?;
        let grid = Grid::new(layer, node);
        let parts = grid.parts(layer, node.isa);
        let phases = parts.iter().map(|part| grid.phase(layer, *part, node.isa)).collect();
        let bias =
            (0..layer.directions).map(|direction| Bias::new(layer, bias.as_deref(), direction)).collect();
        Some(Packed { layer: layer.clone(), phases, parts, input, recurrent, bias, grid, isa: node.isa })
    }

    /// Elements of the projected inputs of a chunk, which lie before the states in the workspace.
    fn projected_len(&self) -> usize {
        self.layer.directions * self.grid.chunk * self.layer.batch * self.layer.rows()
    }

    /// Where the projected input of an entry at a place of its chunk begins. Places are in the order of the input.
    fn projected_at(&self, direction: usize, entry: usize, place: usize) -> usize {
        let (chunk, batch) = (self.grid.chunk, self.layer.batch);
        let row = if self.layer.batch_first { entry * chunk + place } else { place * batch + entry };
        (direction * chunk * batch + row) * self.layer.rows()
    }

    /// How many steps of the chunk an entry has, and the first position in the sequence that they look at.
    fn span(&self, io: &Io<'_>, direction: usize, entry: usize, chunk: Chunk) -> (usize, usize) {
        let length = self.layer.length(io, entry);
        let from = chunk.from;
        let count = chunk.count.min(length.saturating_sub(from));
        let backward = self.layer.backward[direction];
        (count, if backward { (length - count).saturating_sub(from) } else { from })
    }

    /// Projects a block of the chunk.
    #[inline(always)]
    fn project<S: Simd>(&self, s: S, io: &Io<'_>, tile: usize, chunk: Chunk) {
        let (layer, grid) = (&self.layer, &self.grid);
        let all_columns = layer.rows();
        let columns = all_columns.div_ceil(grid.columns);
        let rows = grid.block_rows(layer, chunk).div_ceil(grid.rows);
        let (rest, column) = (tile / columns, tile % columns * grid.columns);
        let (rest, row) = (rest / rows, rest % rows * grid.rows);
        let entries = if grid.together { 1 } else { layer.batch };
        let (direction, entry) = (rest / entries, rest % entries);
        let (own, first) = self.span(io, direction, entry, chunk);
        let own = if grid.together { own * layer.batch } else { own };
        if row >= own {
            return;
        }
        // Together, the rows are those of all entries; else one entry's, one from each position.
        let stride = if grid.together || layer.batch_first { 1 } else { layer.batch };
        let x = &io.input::<f32>(0)[layer.x_at(entry, first) + row * stride * layer.width..];
        let out = self.projected_at(direction, entry, 0) + row * stride * all_columns;
        let block = Block {
            left: x.as_ptr(),
            left_row: stride * layer.width,
            right: RightFactor::Packed(&self.input.packed[direction]),
            all_columns,
            tables: &self.input.tables,
            rows: grid.rows.min(own - row),
            first: column,
            columns: grid.columns.min(all_columns - column),
            init: Init::Columns(self.bias[direction].projected.as_ptr()),
            clip: None,
            out: io.shared_workspace::<f32>().pointer(out),
            out_row: stride * all_columns,
        };
        // SAFETY: the rows are steps of the input, the columns those of the weights and the bias, and this block of the
        // projected inputs is this tile's.
        unsafe { multiply(s, &block, &mut []) };
    }

    /// Some steps of a group of entries in one direction.
    #[inline(always)]
    fn steps<S: Simd>(&self, s: S, io: &Io<'_>, tile: usize, part: Part, scratch: &mut [f32]) {
        let Part::Steps { from, count, chunk } = part else { return };
        let (layer, group) = (&self.layer, self.grid.group);
        let groups = layer.batch.div_ceil(group);
        let (direction, first) = (tile / groups, tile % groups * group);
        let entries = first..layer.batch.min(first + group);
        let states = layer.states::<f32>(io, self.projected_len());
        let (rows, h) = (layer.rows(), layer.hidden);
        let (gates, reset) = scratch.split_at_mut(group * rows);
        for step in from..from + count {
            let (memory, start) = states.hidden;
            let left = memory.pointer(start + layer.state_at(direction, first));
            let left_row = if layer.batch_first { layer.directions * h } else { h };
            let rows_of = |start, stride| Rows { start, stride, count: entries.len() };
            // SAFETY: the states of the group's entries are this far apart, and nobody writes them now.
            unsafe { self.recur(s, direction, 0, rows_of(left, left_row), gates) };
            if layer.kind == (Kind::Gru { linear_before_reset: false }) {
                for (index, entry) in entries.clone().enumerate() {
                    // SAFETY: the projected inputs and states of this group are this tile's, and these slices end with
                    // this turn.
                    let (sums, hidden) = unsafe {
                        (
                            self.projected(io, direction, entry, step, chunk),
                            self.hidden(&states, direction, entry),
                        )
                    };
                    let Some(sums) = sums else { continue };
                    let gates = &mut gates[index * rows..][..rows];
                    cell::add(&mut gates[..2 * h], &sums[..2 * h]);
                    cell::gru_gates(s, layer, direction, gates);
                    let reset = &mut reset[index * h..][..h];
                    reset.fill(0.0);
                    cell::add_product(reset, &gates[h..2 * h], hidden);
                }
                // SAFETY: one row an entry, one after the other; rows of entries that are over are numbers all the same.
                unsafe { self.recur(s, direction, 1, rows_of(reset.as_ptr(), h), &mut gates[2 * h..]) };
            }
            for (index, entry) in entries.clone().enumerate() {
                let length = layer.length(io, entry);
                let y_at = layer.y_at(direction, entry, layer.position(direction, step, length));
                // SAFETY: as above, and so are the rows of the output.
                let (y, sums, hidden, cell) = unsafe {
                    (
                        io.shared::<f32>(0).range(y_at..y_at + h),
                        self.projected(io, direction, entry, step, chunk),
                        self.hidden(&states, direction, entry),
                        states.cell(layer, layer.state_at(direction, entry)),
                    )
                };
                let Some(sums) = sums else {
                    y.fill(0.0);
                    continue;
                };
                let gates = &mut gates[index * rows..][..rows];
                self.finish(s, io, direction, sums, gates, (cell, hidden));
                y.copy_from_slice(hidden);
            }
        }
    }

    /// The states of one entry from its sums.
    #[inline(always)]
    fn finish<S: Simd>(
        &self,
        s: S,
        io: &Io<'_>,
        direction: usize,
        sums: &[f32],
        gates: &mut [f32],
        (cell, hidden): (&mut [f32], &mut [f32]),
    ) {
        let (layer, h) = (&self.layer, self.layer.hidden);
        match layer.kind {
            Kind::Lstm { .. } => {
                cell::add(gates, sums);
                let peepholes = io.has_input(7).then(|| &io.input::<f32>(7)[direction * 3 * h..][..3 * h]);
                cell::lstm(s, layer, direction, peepholes, gates, cell, hidden);
            }
            Kind::Gru { linear_before_reset: true } => {
                let (open, candidate) = gates.split_at_mut(2 * h);
                cell::add(open, sums);
                cell::gru_gates(s, layer, direction, open);
                for (candidate, (reset, sum)) in
                    candidate.iter_mut().zip(open[h..].iter().zip(&sums[2 * h..]))
                {
                    *candidate = sum + reset * *candidate;
                }
                cell::gru(s, layer, direction, gates, hidden);
            }
            Kind::Gru { linear_before_reset: false } => {
                cell::add(&mut gates[2 * h..], &sums[2 * h..]);
                cell::gru(s, layer, direction, gates, hidden);
            }
            Kind::Rnn => {
                cell::add(gates, sums);
                cell::rnn(s, layer, direction, gates, hidden);
            }
        }
    }

    /// The product of some rows with the recurrent weights `part` of a direction, into every row of `gates`.
    ///
    /// # Safety
    /// The rows, of as many numbers as a state has, can be read.
    #[inline(always)]
    unsafe fn recur<S: Simd>(&self, s: S, direction: usize, part: usize, left: Rows, gates: &mut [f32]) {
        let split = split(&self.layer);
        let columns = split[part];
        let out_row = self.layer.rows();
        assert!(gates.len() >= (left.count - 1) * out_row + columns);
        let block = Block {
            left: left.start,
            left_row: left.stride,
            right: RightFactor::Packed(&self.recurrent.packed[direction * split.len() + part]),
            all_columns: columns,
            tables: &self.recurrent.tables,
            rows: left.count,
            first: 0,
            columns,
            init: match &self.bias[direction].recurrent {
                Some(bias) => Init::Columns(bias.as_ptr()),
                None => Init::Zero,
            },
            clip: None,
            out: gates.as_mut_ptr(),
            out_row,
        };
        // SAFETY: as the caller vouches, and the rows of the result fit, as asserted.
        unsafe { multiply(s, &block, &mut []) };
    }

    /// The projected input of an entry for a step; `None` when its sequence is over.
    ///
    /// # Safety
    /// It belongs to the tile, and no other reference to it lives.
    #[inline(always)]
    unsafe fn projected<'a>(
        &self,
        io: &Io<'a>,
        direction: usize,
        entry: usize,
        step: usize,
        chunk: Chunk,
    ) -> Option<&'a [f32]> {
        let (own, first) = self.span(io, direction, entry, chunk);
        if step - chunk.from >= own {
            return None;
        }
        let position = self.layer.position(direction, step, self.layer.length(io, entry));
        let at = self.projected_at(direction, entry, position - first);
        // SAFETY: as this function.
        Some(unsafe { io.shared_workspace::<f32>().range(at..at + self.layer.rows()) })
    }

    /// # Safety
    /// As [`States::hidden`](super::States::hidden).
    #[inline(always)]
    unsafe fn hidden<'a>(
        &self,
        states: &super::States<'a, f32>,
        direction: usize,
        entry: usize,
    ) -> &'a mut [f32] {
        // SAFETY: as this function.
        unsafe { states.hidden(self.layer.state_at(direction, entry), self.layer.hidden) }
    }
}

impl Kernel for Packed {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        (self.projected_len() + self.layer.kept_len()) * size_of::<f32>()
    }

    fn scratch(&self) -> usize {
        self.grid.group * (self.layer.rows() + self.layer.hidden) * size_of::<f32>()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Packed, Part, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                let Tiles(packed, part, io) = self;
                let scratch = io.scratch::<f32>();
                for tile in io.tiles() {
                    match part {
                        Part::Begin => packed.layer.begin::<f32>(io, packed.projected_len()),
                        Part::Project(chunk) => packed.project(s, io, tile, chunk),
                        Part::Steps { .. } => packed.steps(s, io, tile, part, scratch),
                    }
                }
            }
        }
        dispatch(self.isa, Tiles(self, self.parts[phase], io));
    }
}
