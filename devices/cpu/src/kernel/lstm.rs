//! LSTM: one step of one sequence a tile, in order.
//!
//! The state lives in the outputs `Y_h` and `Y_c`, so a tile needs to know only its place: direction, batch entry, step.
//! A step computes the four gates as dot products of the weights' rows with the input and the last hidden state, and then
//! the new state. The projection of all inputs at once as a matrix product, and packed weights, are not here yet.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{Direction, Lstm, Unary};

use super::arguments::form;
use super::functions::{HardSigmoid, LeakyRelu, Relu, Sigmoid, Softplus, Softsign, Tanh};
use super::simple::simple_with_scratch;
use super::{BuildError, Builder, Built, Phase, vector};
use crate::io::Io;
use crate::isa::Isa;
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds LSTM, for f32.
pub(crate) fn lstm(op: &Lstm, node: &Builder<'_>) -> Built {
    let cell = Cell::new(op, node)?;
    let work = 4 * cell.hidden * (cell.hidden + cell.width);
    let phase = Phase::serial(cell.directions * cell.batch * cell.steps, work as u64 / 10);
    simple_with_scratch(phase, 5 * cell.hidden * size_of::<f32>(), move |io| cell.run(io))
}

/// An LSTM bound to its shapes.
struct Cell {
    directions: usize,
    batch: usize,
    steps: usize,
    width: usize,
    hidden: usize,
    backward: [bool; 2],
    /// Of each direction: for the gates, the cell, the output.
    activations: Vec<[Unary; 3]>,
    clip: Option<f32>,
    input_forget: bool,
    batch_first: bool,
    isa: Isa,
}

impl Cell {
    fn new(op: &Lstm, node: &Builder<'_>) -> Result<Cell, BuildError> {
        let (x, w) = (node.input(0)?, node.input(1)?);
        if x.element != ElementType::F32 {
            return Err(BuildError::Element { op: "LSTM", element: x.element });
        }
        let ([first, second, width], [directions, gates, _]) = (&x.shape[..], &w.shape[..]) else {
            return Err(form(format!("LSTM of {} by {}", x.shape, w.shape)));
        };
        if *gates != 4 * op.hidden || !matches!(directions, 1 | 2) {
            return Err(form(format!("LSTM of {} hidden units by {}", op.hidden, w.shape)));
        }
        let kinds: Vec<Unary> = op.activations.iter().map(|activation| activation.kind).collect();
        let activations = (0..*directions)
            .map(|direction| match kinds.get(direction * 3..direction * 3 + 3) {
                Some([gate, cell, output]) => [*gate, *cell, *output],
                _ => [Unary::Sigmoid, Unary::Tanh, Unary::Tanh],
            })
            .collect::<Vec<_>>();
        if let Some(kind) = activations.iter().flatten().find(|kind| !has(**kind)) {
            return Err(form(format!("LSTM with the activation {kind:?}")));
        }
        let (batch, steps) = if op.batch_first { (*first, *second) } else { (*second, *first) };
        Ok(Cell {
            directions: *directions,
            batch,
            steps,
            width: *width,
            hidden: op.hidden,
            backward: match op.direction {
                Direction::Forward => [false, false],
                Direction::Reverse => [true, true],
                Direction::Bidirectional => [false, true],
            },
            activations,
            clip: op.clip.filter(|clip| *clip > 0.0),
            input_forget: op.input_forget,
            batch_first: op.batch_first,
            isa: node.isa,
        })
    }

    fn run(&self, io: &mut Io<'_>) {
        let (y, y_h, y_c) = (io.whole::<f32>(0), io.whole::<f32>(1), io.whole::<f32>(2));
        let scratch = io.scratch::<f32>();
        let h = self.hidden;
        for tile in io.tiles() {
            let (sequence, step) = (tile / self.steps, tile % self.steps);
            let (direction, entry) = (sequence / self.batch, sequence % self.batch);
            let state = if self.batch_first { entry * self.directions + direction } else { sequence };
            let state = state * h..(state + 1) * h;
            let (hidden, cell) = (&mut y_h[state.clone()], &mut y_c[state.clone()]);
            if step == 0 {
                for (target, input) in [(&mut *hidden, 5), (&mut *cell, 6)] {
                    match io.has_input(input) {
                        true => target.copy_from_slice(&io.input::<f32>(input)[state.clone()]),
                        false => target.fill(0.0),
                    }
                }
            }
            let length = match io.has_input(4) {
                true => usize::try_from(io.input::<i32>(4)[entry]).unwrap_or(0).min(self.steps),
                false => self.steps,
            };
            let at = if self.backward[direction] && step < length { length - 1 - step } else { step };
            let (outer, inner, extent) =
                if self.batch_first { (entry, at, self.steps) } else { (at, entry, self.batch) };
            let target = if self.batch_first {
                ((entry * self.steps + at) * self.directions + direction) * h
            } else {
                ((at * self.directions + direction) * self.batch + entry) * h
            };
            if step >= length {
                y[target..target + h].fill(0.0);
                continue;
            }
            let x = &io.input::<f32>(0)[(outer * extent + inner) * self.width..][..self.width];
            self.step(io, direction, x, hidden, cell, scratch);
            y[target..target + h].copy_from_slice(hidden);
        }
    }

    /// One step: `hidden` and `cell` become their successors.
    fn step(
        &self,
        io: &Io<'_>,
        direction: usize,
        x: &[f32],
        hidden: &mut [f32],
        cell: &mut [f32],
        scratch: &mut [f32],
    ) {
        let h = self.hidden;
        let (gates, spare) = scratch.split_at_mut(4 * h);
        let w = &io.input::<f32>(1)[direction * 4 * h * self.width..][..4 * h * self.width];
        let r = &io.input::<f32>(2)[direction * 4 * h * h..][..4 * h * h];
        if io.has_input(3) {
            let bias = &io.input::<f32>(3)[direction * 8 * h..][..8 * h];
            for (gate, (of_w, of_r)) in gates.iter_mut().zip(bias.iter().zip(&bias[4 * h..])) {
                *gate = of_w + of_r;
            }
        } else {
            gates.fill(0.0);
        }
        dispatch(self.isa, Rows { matrix: w, vector: x, sums: gates });
        dispatch(self.isa, Rows { matrix: r, vector: hidden, sums: gates });
        let peepholes = io.has_input(7).then(|| &io.input::<f32>(7)[direction * 3 * h..][..3 * h]);
        let [of_gate, of_cell, of_output] = self.activations[direction];
        // The gates lie in the order input, output, forget, cell; the peepholes in the order input, output, forget.
        let (input, rest) = gates.split_at_mut(h);
        let (output, rest) = rest.split_at_mut(h);
        let (forget, candidate) = rest.split_at_mut(h);
        let peep = |gate: &mut [f32], index: usize, cell: &[f32]| {
            if let Some(weights) = peepholes {
                let weights = &weights[index * h..][..h];
                gate.iter_mut().zip(weights.iter().zip(cell)).for_each(|(gate, (p, c))| *gate += p * c);
            }
        };
        peep(input, 0, cell);
        peep(forget, 2, cell);
        self.activate(of_gate, input, spare);
        self.activate(of_gate, forget, spare);
        if self.input_forget {
            forget.iter_mut().zip(&*input).for_each(|(forget, input)| *forget = 1.0 - input);
        }
        self.activate(of_cell, candidate, spare);
        for (cell, ((input, forget), candidate)) in
            cell.iter_mut().zip(input.iter().zip(&*forget).zip(&*candidate))
        {
            *cell = forget * *cell + input * candidate;
        }
        peep(output, 1, cell);
        self.activate(of_gate, output, spare);
        hidden.copy_from_slice(cell);
        apply(self.isa, of_output, hidden, spare);
        hidden.iter_mut().zip(&*output).for_each(|(hidden, output)| *hidden *= output);
    }

    fn activate(&self, kind: Unary, values: &mut [f32], spare: &mut [f32]) {
        if let Some(clip) = self.clip {
            values.iter_mut().for_each(|value| *value = value.clamp(-clip, clip));
        }
        apply(self.isa, kind, values, spare);
    }
}

/// Whether [`apply`] has a function.
fn has(kind: Unary) -> bool {
    matches!(
        kind,
        Unary::Sigmoid
            | Unary::Tanh
            | Unary::Relu
            | Unary::HardSigmoid { .. }
            | Unary::LeakyRelu { .. }
            | Unary::Softsign
            | Unary::Softplus
    )
}

/// Applies an activation in place; `spare` is as long as `values`.
fn apply(isa: Isa, kind: Unary, values: &mut [f32], spare: &mut [f32]) {
    let from = &mut spare[..values.len()];
    from.copy_from_slice(values);
    match kind {
        Unary::Sigmoid => vector::map(isa, Sigmoid {}, from, values),
        Unary::Tanh => vector::map(isa, Tanh {}, from, values),
        Unary::Relu => vector::map(isa, Relu {}, from, values),
        Unary::HardSigmoid { alpha, beta } => vector::map(isa, HardSigmoid { alpha, beta }, from, values),
        Unary::LeakyRelu { alpha } => vector::map(isa, LeakyRelu { alpha }, from, values),
        Unary::Softsign => vector::map(isa, Softsign {}, from, values),
        Unary::Softplus => vector::map(isa, Softplus {}, from, values),
        _ => unreachable!("`has` has been asked"),
    }
}

/// `sums[i] += matrix[i] · vector`, for the rows of a dense matrix.
struct Rows<'a> {
    matrix: &'a [f32],
    vector: &'a [f32],
    sums: &'a mut [f32],
}

impl Vectorized for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.vector.is_empty() {
            return;
        }
        for (row, sum) in self.matrix.chunks_exact(self.vector.len()).zip(self.sums.iter_mut()) {
            let mut acc = [s.zero(), s.zero()];
            let (mut a, mut b) = (row.chunks_exact(S::LANES), self.vector.chunks_exact(S::LANES));
            for (index, (a, b)) in a.by_ref().zip(b.by_ref()).enumerate() {
                acc[index % 2] = s.fma(s.load(a), s.load(b), acc[index % 2]);
            }
            let rest = s.mul(s.load_partial(a.remainder()), s.load_partial(b.remainder()));
            *sum += s.sum(s.add(s.add(acc[0], acc[1]), rest));
        }
    }
}
