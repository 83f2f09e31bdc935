//! Recurrent layers by their definition: one step of one sequence a tile, in order.
//!
//! For `f64`, and for weights that are computed in the run. Every gate is a dot product of a row of the weights.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::ops::Range;

use super::activation::Float;
use super::{Kind, Layer, cell};
use crate::io::Io;
use crate::kernel::{Built, Kernel, Phase};
use crate::simd::{Portable, Simd};

/// Builds the kernel.
pub(super) fn build<T: Float>(layer: Layer) -> Built {
    let work = layer.rows() * (layer.hidden + layer.width);
    let tiles = layer.directions * layer.batch * layer.steps;
    let phases = [Phase::serial(1, layer.state_len() as u64 / 8), Phase::serial(tiles, work as u64)];
    Ok(Box::new(Plain { layer, phases, of: PhantomData::<T> }))
}

struct Plain<T> {
    layer: Layer,
    /// The first states, then all steps.
    phases: [Phase; 2],
    of: PhantomData<T>,
}

impl<T: Float> Kernel for Plain<T> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        self.layer.kept_len() * size_of::<T>()
    }

    fn scratch(&self) -> usize {
        (self.layer.rows() + self.layer.hidden) * size_of::<T>()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase == 0 {
            return self.layer.begin::<T>(io, 0);
        }
        let layer = &self.layer;
        let (gates, spare) = io.scratch::<T>().split_at_mut(layer.rows());
        let states = layer.states::<T>(io, 0);
        for tile in io.tiles() {
            let (sequence, step) = (tile / layer.steps, tile % layer.steps);
            let (direction, entry) = (sequence / layer.batch, sequence % layer.batch);
            let length = layer.length(io, entry);
            let position = layer.position(direction, step, length);
            let (y_at, state_at) = (layer.y_at(direction, entry, position), layer.state_at(direction, entry));
            // SAFETY: the phase is serial, and these slices, which do not overlap, end with this turn.
            let (y, hidden, cell) = unsafe {
                let y = io.shared::<T>(0).range(y_at..y_at + layer.hidden);
                (y, states.hidden(state_at, layer.hidden), states.cell(layer, state_at))
            };
            if step >= length {
                y.fill(T::default());
                continue;
            }
            let x = &io.input::<T>(0)[layer.x_at(entry, position)..][..layer.width];
            let weights = Weights { layer, io, direction };
            weights.step(Portable, x, hidden, cell, gates, &mut spare[..layer.hidden]);
            y.copy_from_slice(hidden);
        }
    }
}

/// The weights of one direction.
struct Weights<'a, 'io> {
    layer: &'a Layer,
    io: &'a Io<'io>,
    direction: usize,
}

impl Weights<'_, '_> {
    /// One step: `hidden` and `cell` become their successors.
    fn step<S: Simd, T: Float>(
        &self,
        s: S,
        x: &[T],
        hidden: &mut [T],
        cell: &mut [T],
        gates: &mut [T],
        spare: &mut [T],
    ) {
        let Weights { layer, io, direction } = *self;
        let (h, rows) = (layer.hidden, 0..layer.rows());
        gates.fill(T::default());
        self.add(1, rows.clone(), x, gates);
        match layer.kind {
            Kind::Lstm { .. } => {
                self.add(2, rows, hidden, gates);
                let peepholes = io.has_input(7).then(|| &io.input::<T>(7)[direction * 3 * h..][..3 * h]);
                cell::lstm(s, layer, direction, peepholes, gates, cell, hidden);
            }
            Kind::Gru { linear_before_reset } => {
                self.add(2, 0..2 * h, hidden, &mut gates[..2 * h]);
                cell::gru_gates(s, layer, direction, gates);
                let (gates_done, candidate) = gates.split_at_mut(2 * h);
                let reset = &gates_done[h..];
                spare.fill(T::default());
                if linear_before_reset {
                    self.add(2, 2 * h..3 * h, hidden, spare);
                    cell::add_product(candidate, reset, spare);
                } else {
                    cell::add_product(spare, reset, hidden);
                    self.add(2, 2 * h..3 * h, spare, candidate);
                }
                cell::gru(s, layer, direction, gates, hidden);
            }
            Kind::Rnn => {
                self.add(2, rows, hidden, gates);
                cell::rnn(s, layer, direction, gates, hidden);
            }
        }
    }

    /// Adds to `sums` the product of `rows` of the weights, which are input 1 or 2, with a vector, and their bias.
    fn add<T: Float>(&self, input: usize, rows: Range<usize>, vector: &[T], sums: &mut [T]) {
        let all = self.layer.rows();
        let matrix = &self.io.input::<T>(input)[self.direction * all * vector.len()..][..all * vector.len()];
        let bias =
            self.io.has_input(3).then(|| &self.io.input::<T>(3)[(self.direction * 2 + input - 1) * all..]);
        for (row, sum) in rows.zip(sums) {
            let row_of = &matrix[row * vector.len()..][..vector.len()];
            let product = row_of.iter().zip(vector).fold(T::default(), |sum, (a, b)| sum.add(a.mul(*b)));
            *sum = sum.add(product).add(bias.map_or(T::default(), |bias| bias[row]));
        }
    }
}
