//! Recurrent layers: LSTM, GRU and RNN.
//!
//! ```text
//!  x ──▶ x · Wᵀ + bias ──▶ gates ──▶ cell ──▶ h, (c) ──▶ y
//!        all steps at once    ▲                │
//!                             └──── h · Rᵀ ◀───┘   step by step
//! ```
//!
//! What the three have in common is in [`Layer`]: shapes, directions, lengths, and where states lie. What is done with the
//! sums of a step is in [`cell`], for any float. There are two ways to the sums: [`packed`] for `f32` with constant weights,
//! with matrix products over packed weights, and [`plain`], by the definition, for the rest.
//!
//! States live in the outputs `Y_h` and `Y_c`, or in the workspace where a node has no such output, so that a layer can be
//! interrupted after every few steps. Sequences that are over keep their states, and their rows of `Y` are zero.
#![allow(unsafe_code)]

mod activation;
mod cell;
#[cfg(test)]
mod definition;
mod grid;
mod packed;
mod plain;
#[cfg(test)]
mod tests;
mod weights;

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape};
use inferry_engine::op::{Activation, Direction, Gru, Lstm, Rnn};

use super::arguments::form;
use super::number::Number;
use super::{BuildError, Builder, Built};
use crate::io::{Io, Shared};

/// Builds LSTM.
pub(crate) fn lstm(op: &Lstm, node: &Builder<'_>) -> Built {
    let kind = Kind::Lstm { input_forget: op.input_forget };
    let Lstm { hidden, direction, ref activations, clip, batch_first, .. } = *op;
    build(Layer::new(kind, hidden, direction, activations, clip, batch_first, node)?, node)
}

/// Builds GRU.
pub(crate) fn gru(op: &Gru, node: &Builder<'_>) -> Built {
    let kind = Kind::Gru { linear_before_reset: op.linear_before_reset };
    let Gru { hidden, direction, ref activations, clip, batch_first, .. } = *op;
    build(Layer::new(kind, hidden, direction, activations, clip, batch_first, node)?, node)
}

/// Builds RNN.
pub(crate) fn rnn(op: &Rnn, node: &Builder<'_>) -> Built {
    let Rnn { hidden, direction, ref activations, clip, batch_first } = *op;
    build(Layer::new(Kind::Rnn, hidden, direction, activations, clip, batch_first, node)?, node)
}

fn build(layer: Layer, node: &Builder<'_>) -> Built {
    match node.input(0)?.element {
        ElementType::F32 => match packed::build(layer, node) {
            Ok(kernel) => Ok(kernel),
            Err(layer) => plain::build::<f32>(layer),
        },
        ElementType::F64 => plain::build::<f64>(layer),
        element => Err(BuildError::Element { op: layer.kind.name(), element }),
    }
}

/// Which layer it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Gates input, output, forget, cell.
    Lstm { input_forget: bool },
    /// Gates update, reset, hidden.
    Gru { linear_before_reset: bool },
    /// One gate.
    Rnn,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Lstm { .. } => "LSTM",
            Kind::Gru { .. } => "GRU",
            Kind::Rnn => "RNN",
        }
    }

    fn gates(self) -> usize {
        match self {
            Kind::Lstm { .. } => 4,
            Kind::Gru { .. } => 3,
            Kind::Rnn => 1,
        }
    }

    /// States besides `h`.
    fn has_cell(self) -> bool {
        matches!(self, Kind::Lstm { .. })
    }

    /// Activations of one direction.
    fn activations(self) -> usize {
        match self {
            Kind::Lstm { .. } => 3,
            Kind::Gru { .. } => 2,
            Kind::Rnn => 1,
        }
    }
}

/// A layer bound to its shapes.
#[derive(Clone, Debug)]
struct Layer {
    kind: Kind,
    directions: usize,
    batch: usize,
    steps: usize,
    /// Features of an input.
    width: usize,
    /// Features of a state.
    hidden: usize,
    /// Whether each direction walks backwards.
    backward: [bool; 2],
    /// Those of the first direction, then those of the second.
    activations: Vec<Activation>,
    clip: Option<f32>,
    batch_first: bool,
    /// Outputs that the node has.
    outputs: usize,
}

impl Layer {
    fn new(
        kind: Kind,
        hidden: usize,
        direction: Direction,
        activations: &[Activation],
        clip: Option<f32>,
        batch_first: bool,
        node: &Builder<'_>,
    ) -> Result<Layer, BuildError> {
        let (name, x) = (kind.name(), node.input(0)?);
        let [first, second, width] = x.shape[..] else { return Err(form(format!("{name} of {}", x.shape))) };
        let (batch, steps) = if batch_first { (first, second) } else { (second, first) };
        let layer = Layer {
            kind,
            directions: direction.count(),
            batch,
            steps,
            width,
            hidden,
            backward: [direction == Direction::Reverse, direction != Direction::Forward],
            activations: activations.to_vec(),
            clip: clip.filter(|clip| *clip > 0.0),
            batch_first,
            outputs: node.outputs.len(),
        };
        if let Some(unknown) = layer.activations.iter().find(|activation| !activation::is_known(**activation))
        {
            return Err(form(format!("{name} with the activation {unknown:?}")));
        }
        if layer.activations.len() != layer.directions * kind.activations() {
            return Err(form(format!("{name} with {} activations", layer.activations.len())));
        }
        layer.check(node)?;
        Ok(layer)
    }

    /// That inputs and outputs have the types and shapes that they must have.
    fn check(&self, node: &Builder<'_>) -> Result<(), BuildError> {
        let Layer { directions, batch, steps, width, hidden, .. } = *self;
        let element = node.input(0)?.element;
        let rows = hidden.checked_mul(8).map(|_| self.kind.gates() * hidden);
        let rows = rows.ok_or_else(|| form(format!("{hidden} hidden units")))?;
        let (state, y) = if self.batch_first {
            ([batch, directions, hidden], [batch, steps, directions, hidden])
        } else {
            ([directions, batch, hidden], [steps, directions, batch, hidden])
        };
        let fits = |shape: &Shape, wanted: &[usize]| {
            let wrong = || form(format!("{} of {shape} where {wanted:?} is wanted", self.kind.name()));
            if shape[..] == *wanted { Ok(()) } else { Err(wrong()) }
        };
        node.input(1)?;
        node.input(2)?;
        let wanted: [(usize, &[usize]); 7] = [
            (1, &[directions, rows, width]),
            (2, &[directions, rows, hidden]),
            (3, &[directions, 2 * rows]),
            (4, &[batch]),
            (5, &state),
            (6, &state),
            (7, &[directions, 3 * hidden]),
        ];
        for (input, wanted) in wanted {
            let Some(operand) = node.optional(input) else { continue };
            let element = if input == 4 { ElementType::I32 } else { element };
            if operand.element != element {
                return Err(BuildError::Element { op: self.kind.name(), element: operand.element });
            }
            fits(&operand.shape, wanted)?;
        }
        fits(&node.output(0).1, &y)?;
        node.outputs[1..].iter().try_for_each(|(_, shape)| fits(shape, &state))
    }

    /// Rows of the weights of one direction.
    fn rows(&self) -> usize {
        self.kind.gates() * self.hidden
    }

    fn activations(&self, direction: usize) -> &[Activation] {
        let each = self.kind.activations();
        &self.activations[direction * each..][..each]
    }

    /// Steps of one sequence.
    fn length(&self, io: &Io<'_>, entry: usize) -> usize {
        if !io.has_input(4) {
            return self.steps;
        }
        usize::try_from(io.input::<i32>(4)[entry]).unwrap_or(0).min(self.steps)
    }

    /// The position in the sequence that a step of a sequence of `length` steps looks at; those behind the end stay.
    fn position(&self, direction: usize, step: usize, length: usize) -> usize {
        if self.backward[direction] && step < length { length - 1 - step } else { step }
    }

    /// Where the input of an entry at a position begins.
    fn x_at(&self, entry: usize, position: usize) -> usize {
        let row =
            if self.batch_first { entry * self.steps + position } else { position * self.batch + entry };
        row * self.width
    }

    /// Where the row of `Y` begins.
    fn y_at(&self, direction: usize, entry: usize, position: usize) -> usize {
        let row = if self.batch_first {
            (entry * self.steps + position) * self.directions + direction
        } else {
            (position * self.directions + direction) * self.batch + entry
        };
        row * self.hidden
    }

    /// Where the state of an entry begins.
    fn state_at(&self, direction: usize, entry: usize) -> usize {
        let row = if self.batch_first {
            entry * self.directions + direction
        } else {
            direction * self.batch + entry
        };
        row * self.hidden
    }

    /// Elements of one state of all sequences.
    fn state_len(&self) -> usize {
        self.directions * self.batch * self.hidden
    }

    /// Elements of workspace for states that are no outputs.
    fn kept_len(&self) -> usize {
        let outputs = self.outputs.saturating_sub(1);
        (1 + usize::from(self.kind.has_cell())).saturating_sub(outputs) * self.state_len()
    }

    /// The states: `h` and `c` (which a layer without one must not ask for). Those that are no outputs lie in the workspace
    /// from `offset` on.
    fn states<'a, T: Number>(&self, io: &Io<'a>, offset: usize) -> States<'a, T> {
        let hidden = match self.outputs {
            ..=1 => (io.shared_workspace(), offset),
            _ => (io.shared(1), 0),
        };
        let cell = match self.outputs {
            ..=1 => (io.shared_workspace(), offset + self.state_len()),
            2 => (io.shared_workspace(), offset),
            _ => (io.shared(2), 0),
        };
        States { hidden, cell }
    }

    /// Gives all states their first values. For a phase of a single tile.
    fn begin<T: Number>(&self, io: &Io<'_>, offset: usize) {
        let states = self.states::<T>(io, offset);
        let first = |input: usize, (memory, start): (Shared<'_, T>, usize)| {
            // SAFETY: the only tile of its phase, and the slice ends with this call.
            let state = unsafe { memory.range(start..start + self.state_len()) };
            match io.has_input(input) {
                true => state.copy_from_slice(io.input::<T>(input)),
                false => state.fill(T::default()),
            }
        };
        first(5, states.hidden);
        if self.kind.has_cell() {
            first(6, states.cell);
        }
    }
}

/// Where the states of all sequences lie.
struct States<'a, T> {
    hidden: (Shared<'a, T>, usize),
    cell: (Shared<'a, T>, usize),
}

impl<'a, T: Number> States<'a, T> {
    /// The hidden state that begins at `at`.
    ///
    /// # Safety
    /// It belongs to the tile, and no other reference to it lives.
    unsafe fn hidden(&self, at: usize, len: usize) -> &'a mut [T] {
        let (memory, start) = self.hidden;
        // SAFETY: as this function.
        unsafe { memory.range(start + at..start + at + len) }
    }

    /// The cell state that begins at `at`; nothing for a layer that has none.
    ///
    /// # Safety
    /// As [`States::hidden`].
    unsafe fn cell(&self, layer: &Layer, at: usize) -> &'a mut [T] {
        if !layer.kind.has_cell() {
            return &mut [];
        }
        let (memory, start) = self.cell;
        // SAFETY: as this function.
        unsafe { memory.range(start + at..start + at + layer.hidden) }
    }
}
